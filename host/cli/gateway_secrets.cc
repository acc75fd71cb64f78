#include "host/cli/gateway_secrets.h"

#include "host/base/events.h"
#include "host/base/log.h"
#include "host/base/trusted_clock.h"
#include "host/hub/twin_secrets.h"
#include "host/store/key_value.h"

namespace kante::cli {

Result<std::unique_ptr<GatewaySecrets>> GatewaySecrets::open(int identity_dir_fd, const Seal& seal,
                                                             const std::string& gateway_id,
                                                             Parts parts) {
  std::unique_ptr<GatewaySecrets> out(new GatewaySecrets(std::move(parts)));
  out->map_ = std::make_unique<StoreMap>(out->parts_.store, "secrets", out->parts_.post);
  KANTE_TRY(store, SecretStore::open(*out->map_, seal));
  out->store_ = std::move(store);
  for (const std::string& name : out->store_->damaged())
    out->parts_.log.error("secrets", "secret " + name + " cannot be read and counts as removed");
  KANTE_TRY(box,
            SecretBox::open(identity_dir_fd, seal, gateway_id, out->parts_.clock.judgement().at_s));
  out->box_ = std::move(box);
  if (const std::string& why = out->box_->broken(); !why.empty()) {
    Event broken;
    broken.level = EventLevel::kError;
    broken.kind = "secret.key_broken";
    broken.subject = "gateway";
    broken.text =
        "The gateway has a new key for secrets, to which they have to be encrypted: " + why;
    out->parts_.log.error("secrets", broken.text);
    out->parts_.events.add(std::move(broken));
  }
  return out;
}

GatewaySecrets::~GatewaySecrets() = default;

Secrets GatewaySecrets::values() const {
  return [this](const std::string& name) { return store_->find(name); };
}

void GatewaySecrets::take(const std::string& cms, const std::string& who,
                          std::function<void(Status)> done) {
  const auto text = box_->open(cms);
  const auto changes = text ? SecretStore::parse(*text, "/content")
                            : Result<SecretStore::Changes>(within("/content/cms", text.error()));
  if (!changes) return done(changes.error());
  change(*changes, who, std::move(done));
}

void GatewaySecrets::change(const SecretStore::Changes& changes, const std::string& who,
                            std::function<void(Status)> done) {
  const std::int64_t now_s = parts_.clock.judgement().at_s;
  if (const Status put = store_->change(changes, who, now_s); !put) return done(put.error());
  store_->sync([this, changes, who, done = std::move(done),
                alive = std::weak_ptr(alive_)](const Status& synced) {
    if (alive.expired()) return;
    if (synced) tell(changes, who);
    done(synced);
  });
}

void GatewaySecrets::tell(const SecretStore::Changes& changes, const std::string& who) {
  for (const auto& [name, value] : changes) {
    Event event;
    event.kind = value ? "secret.set" : "secret.removed";
    event.subject = "secret/" + name;
    event.text = "Secret " + name + (value ? " was set by " : " was removed by ") + who;
    parts_.log.info("secrets", event.text);
    parts_.events.add(std::move(event));
  }
  // Modules that are told desired properties with it are told again.
  for (const std::string& principal : parts_.twins.principals()) {
    if (!principal.starts_with("module/")) continue;
    for (const auto& [name, value] : changes) {
      const std::string patch = retold(parts_.twins.desired(principal), name);
      if (!patch.empty()) (void)parts_.twins.patchDesired(principal, patch);
    }
  }
  parts_.changed();
}

}  // namespace kante::cli
