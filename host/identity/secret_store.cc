#include "host/identity/secret_store.h"

#include <openssl/crypto.h>

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kRecordBounds{SecretStore::kValueBytesMax * 6 + 4096, 2};
constexpr JsonBounds kChangesBounds{4u << 20, 2};

std::string contextOf(const std::string& name) { return "secret/" + name; }

std::optional<SecretStore::Kept> decode(const std::string& name, const std::string& record,
                                        const Seal& seal) {
  const auto text = seal.unseal(record, contextOf(name));
  if (!text) return {};
  const auto object = parseJsonObject(*text, kRecordBounds);
  if (!object) return {};
  try {
    SecretStore::Kept kept;
    kept.value = object->at("value").as_string();
    kept.who = object->at("who").as_string();
    kept.set_s = object->at("set_s").to_number<std::int64_t>();
    return kept;
  } catch (const std::exception&) {
    return {};
  }
}

std::string encode(const std::string& name, const SecretStore::Kept& kept, const Seal& seal) {
  std::string text =
      writeJson(json::object{{"value", kept.value}, {"who", kept.who}, {"set_s", kept.set_s}});
  std::string sealed = seal.seal(text, contextOf(name));
  OPENSSL_cleanse(text.data(), text.size());
  return sealed;
}

}  // namespace

Result<std::unique_ptr<SecretStore>> SecretStore::open(DurableMap& map, const Seal& seal) {
  KANTE_TRY(all, map.readAll());
  std::unique_ptr<SecretStore> store(new SecretStore(map, seal));
  for (const auto& [name, record] : all) {
    if (auto kept = decode(name, record, seal)) {
      store->kept_.emplace(name, std::move(*kept));
    } else {
      store->damaged_.push_back(name);
    }
  }
  return store;
}

SecretStore::~SecretStore() {
  while (!kept_.empty()) forget(std::string(kept_.begin()->first));
}

void SecretStore::forget(const std::string& name) {
  const auto found = kept_.find(name);
  if (found == kept_.end()) return;
  OPENSSL_cleanse(found->second.value.data(), found->second.value.size());
  kept_.erase(found);
}

const std::string* SecretStore::find(const std::string& name) const {
  const auto found = kept_.find(name);
  return found == kept_.end() ? nullptr : &found->second.value;
}

std::vector<std::string> SecretStore::values() const {
  std::vector<std::string> out;
  for (const auto& [name, kept] : kept_) out.push_back(kept.value);
  return out;
}

Result<SecretStore::Changes> SecretStore::parse(std::string_view text, const std::string& pointer) {
  auto object = parseJsonObject(text, kChangesBounds);
  if (!object) return within(pointer, object.error());
  Changes changes;
  for (const auto& member : *object) {
    const std::string at = jsonPointer(pointer, member.key()) + ": ";
    if (!isName(member.key()))
      return fail(Errc::kInvalid, at + "a name has 1 to 64 of A-Z a-z 0-9 . _ - and begins with a "
                                       "letter or digit");
    const json::value& value = member.value();
    if (!value.is_string() && !value.is_null())
      return fail(Errc::kInvalid,
                  at + "expected a text, or null to remove it, not " + jsonKindName(value));
    if (value.is_string() && value.get_string().size() > kValueBytesMax)
      return fail(Errc::kLimit,
                  at + "a secret has at most " + std::to_string(kValueBytesMax) + " bytes");
    changes[member.key()] =
        value.is_null() ? std::optional<std::string>() : std::string(value.get_string());
  }
  if (changes.empty()) return fail(Errc::kInvalid, pointer + ": it names no secret");
  return changes;
}

Status SecretStore::change(const Changes& changes, const std::string& who, std::int64_t now_s) {
  std::size_t count = kept_.size();
  for (const auto& [name, value] : changes) count += value && !kept_.contains(name) ? 1 : 0;
  if (count > kSecretsMax)
    return fail(Errc::kLimit, "there are at most " + std::to_string(kSecretsMax) + " secrets");
  for (const auto& [name, value] : changes) {
    if (!value) {
      KANTE_CHECK(map_.erase(name));
      forget(name);
      continue;
    }
    Kept next{*value, who, now_s};
    KANTE_CHECK(map_.put(name, encode(name, next, seal_)));
    forget(name);
    kept_.emplace(name, std::move(next));
  }
  return {};
}

}  // namespace kante
