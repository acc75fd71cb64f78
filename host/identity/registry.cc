#include "host/identity/registry.h"

#include <algorithm>
#include <cstring>

#include "host/base/clock.h"
#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr const char* kModule = "/module/";

// 63 bits, so that it is a positive number for everybody.
std::uint64_t newGeneration() {
  std::uint64_t number = 0;
  std::memcpy(&number, randomBytes(sizeof number).data(), sizeof number);
  return number >> 1;
}

}  // namespace

const char* name(Registry::What what) {
  switch (what) {
    case Registry::What::kAdded: return "added";
    case Registry::What::kRemoved: return "removed";
    case Registry::What::kEnabled: return "enabled";
    case Registry::What::kDisabled: return "disabled";
    case Registry::What::kGrants: return "grants";
    case Registry::What::kVerifier: return "credentials";
  }
  return "";
}

Result<std::unique_ptr<Registry>> Registry::open(DurableMap& store, const Seal& seal,
                                                 const Clock& clock) {
  auto records = store.readAll();
  if (!records) return within("registry of devices", records.error());
  std::unique_ptr<Registry> registry(new Registry(store, seal, clock));
  registry->identities_.reserve(records->size());
  for (const auto& [principal, record] : *records) registry->read(principal, record);
  return registry;
}

Registry::~Registry() = default;

void Registry::read(const std::string& principal, const std::string& record) {
  const auto named = PrincipalName::parse(principal);
  auto decoded =
      named ? decodeIdentity(principal, record, seal_) : Result<DecodedIdentity>(named.error());
  const auto grants =
      decoded ? grantsOf(named->kind(), decoded->grants) : Result<GrantsPtr>(decoded.error());
  if (!grants) {
    damaged_.emplace(principal, grants.error().text);
    return;
  }
  decoded->identity.grants = *grants;
  identities_.emplace(principal, std::move(decoded->identity));
}

// Most principals have the same few lists, which are compiled once.
Result<GrantsPtr> Registry::grantsOf(PrincipalName::Kind kind,
                                     const std::vector<std::string>& texts) {
  std::string key = std::to_string(static_cast<int>(kind));
  for (const std::string& text : texts) key += '\n' + text;
  if (const auto found = grants_.find(key); found != grants_.end()) {
    if (GrantsPtr grants = found->second.lock()) return grants;
  }
  KANTE_TRY(compiled, Grants::compile(kind, texts));
  std::erase_if(grants_, [](const auto& entry) { return entry.second.expired(); });
  grants_[key] = compiled;
  return compiled;
}

const Identity* Registry::find(const PrincipalName& principal) const {
  const auto found = identities_.find(principal.name());
  return found == identities_.end() ? nullptr : &found->second;
}

Result<Identity*> Registry::known(const PrincipalName& principal) {
  const auto found = identities_.find(principal.name());
  if (found != identities_.end()) return &found->second;
  const auto damaged = damaged_.find(principal.name());
  if (damaged != damaged_.end())
    return fail(Errc::kCorrupt, principal.name() + " cannot be read: " + damaged->second +
                                    "; remove it and add it again");
  return fail(Errc::kNotFound, principal.name() +
                                   " is not registered; kante device list shows "
                                   "who is, kante device add registers it");
}

Registry::Found Registry::lookUp(const PrincipalName& principal) const {
  const std::string name = principal.name();
  const bool is_module = principal.kind() == PrincipalName::Kind::kDeviceModule;
  const std::string device = is_module ? name.substr(0, name.find(kModule)) : std::string();
  Found out;
  const std::lock_guard lock(mutex_);
  if (const auto found = identities_.find(name); found != identities_.end())
    out.identity = found->second;
  if (!is_module) return out;
  if (const auto found = identities_.find(device); found != identities_.end())
    out.device = found->second;
  return out;
}

bool Registry::Found::enabled() const {
  const auto is = [](const Identity& one) { return one.state == Identity::State::kEnabled; };
  return identity && is(*identity) && (!device || is(*device));
}

std::vector<Registry::Named> Registry::page(std::string_view after, std::size_t max) const {
  std::vector<Named> out;
  for (const auto& [principal, identity] : identities_) {
    if (principal > after) out.emplace_back(principal, &identity);
  }
  const auto end = out.begin() + static_cast<std::ptrdiff_t>(std::min(max, out.size()));
  std::partial_sort(out.begin(), end, out.end(),
                    [](const Named& a, const Named& b) { return a.first < b.first; });
  out.erase(end, out.end());
  return out;
}

std::vector<PrincipalName> Registry::modulesOf(const PrincipalName& device) const {
  std::vector<PrincipalName> out;
  if (device.kind() != PrincipalName::Kind::kDevice) return out;
  const std::string prefix = device.name() + kModule;
  for (const auto& [principal, identity] : identities_) {
    if (principal.starts_with(prefix)) out.push_back(*PrincipalName::parse(principal));
  }
  return out;
}

Status Registry::roomFor(const PrincipalName& principal) const {
  if (find(principal) != nullptr)
    return fail(Errc::kConflict, principal.name() +
                                     " is registered already; remove it first, or change its "
                                     "grants or keys");
  if (identities_.size() >= kIdentitiesMax)
    return fail(Errc::kLimit, "there are " + std::to_string(kIdentitiesMax) +
                                  " identities already; remove those that are gone");
  if (principal.kind() != PrincipalName::Kind::kDeviceModule) return {};
  KANTE_TRY(device, PrincipalName::device(principal.id()));
  if (find(device) == nullptr)
    return fail(Errc::kNotFound,
                device.name() + " is not registered; add the device before its modules");
  if (modulesOf(device).size() >= kModulesPerDeviceMax)
    return fail(Errc::kLimit, device.name() + " has " + std::to_string(kModulesPerDeviceMax) +
                                  " modules already");
  return {};
}

Status Registry::checkParent(const PrincipalName& principal, const std::string& parent) const {
  if (parent.empty()) return {};
  if (principal.kind() != PrincipalName::Kind::kDevice)
    return fail(Errc::kInvalid, principal.name() +
                                    " has no parent: a device has one, its modules "
                                    "are where it is");
  KANTE_TRY(gateway, PrincipalName::gateway(parent));
  if (find(gateway) != nullptr) return {};
  return fail(Errc::kNotFound,
              gateway.name() + " is not registered; add the gateway before what is behind it");
}

Status Registry::add(const PrincipalName& principal, const Registration& registration) {
  KANTE_CHECK(roomFor(principal));
  KANTE_CHECK(registration.verifier.check());
  KANTE_CHECK(checkParent(principal, registration.parent));
  KANTE_TRY(grants, grantsOf(principal.kind(), registration.grants));
  Identity identity;
  identity.state = registration.state;
  identity.verifier = registration.verifier;
  identity.parent = registration.parent;
  identity.grants = grants;
  identity.generation = newGeneration();
  identity.created_s = identity.updated_s = nowS();
  const std::string name = principal.name();
  KANTE_CHECK(store_.put(name, encodeIdentity(name, identity, seal_)));
  {
    const std::lock_guard lock(mutex_);
    identities_.emplace(name, std::move(identity));
  }
  damaged_.erase(name);
  tell(principal, What::kAdded, Sessions::kKeep);
  return {};
}

Status Registry::remove(const PrincipalName& principal) {
  const std::string name = principal.name();
  if (damaged_.erase(name) > 0) return store_.erase(name);
  KANTE_TRY(there, known(principal));
  (void)there;
  std::vector<PrincipalName> gone = modulesOf(principal);
  gone.push_back(principal);
  for (const PrincipalName& each : gone) {
    KANTE_CHECK(store_.erase(each.name()));
    const std::lock_guard lock(mutex_);
    identities_.erase(each.name());
  }
  for (const PrincipalName& each : gone) tell(each, What::kRemoved, Sessions::kEnd);
  return {};
}

Status Registry::change(const PrincipalName& principal, Identity& current, Identity next, What what,
                        Sessions sessions) {
  next.updated_s = nowS();
  if (sessions == Sessions::kEnd) ++next.epoch;
  const std::string name = principal.name();
  KANTE_CHECK(store_.put(name, encodeIdentity(name, next, seal_)));
  {
    const std::lock_guard lock(mutex_);
    current = std::move(next);
  }
  tell(principal, what, sessions);
  return {};
}

Status Registry::setState(const PrincipalName& principal, Identity::State state) {
  KANTE_TRY(current, known(principal));
  if (current->state == state) return {};
  Identity next = *current;
  next.state = state;
  const bool ends = state == Identity::State::kDisabled;
  const What what = ends ? What::kDisabled : What::kEnabled;
  const Sessions sessions = ends ? Sessions::kEnd : Sessions::kKeep;
  KANTE_CHECK(change(principal, *current, std::move(next), what, sessions));
  for (const PrincipalName& each : modulesOf(principal)) tell(each, what, sessions);
  return {};
}

Status Registry::setGrants(const PrincipalName& principal, const std::vector<std::string>& grants) {
  KANTE_TRY(current, known(principal));
  KANTE_TRY(compiled, grantsOf(principal.kind(), grants));
  if (compiled == current->grants) return {};
  Identity next = *current;
  next.grants = compiled;
  return change(principal, *current, std::move(next), What::kGrants, Sessions::kKeep);
}

Status Registry::setVerifier(const PrincipalName& principal, const Verifier& verifier,
                             Sessions sessions) {
  KANTE_TRY(current, known(principal));
  KANTE_CHECK(verifier.check());
  Identity next = *current;
  next.verifier = verifier;
  return change(principal, *current, std::move(next), What::kVerifier, sessions);
}

Status Registry::rotate(const PrincipalName& principal, Keys keys, Sessions sessions) {
  KANTE_TRY(current, known(principal));
  if (current->verifier.kind != Verifier::Kind::kSas)
    return fail(Errc::kState, principal.name() + " has no keys: it proves itself by " +
                                  kante::name(current->verifier.kind));
  Verifier fresh = Verifier::randomKeys();
  if (keys == Keys::kPrimary) fresh.secondary = current->verifier.primary;
  if (keys == Keys::kSecondary) fresh.primary = current->verifier.primary;
  return setVerifier(principal, fresh, sessions);
}

Registry::Observation Registry::observe(OnChange on_change) {
  std::erase_if(observers_, [](const auto& weak) { return weak.expired(); });
  auto observer = std::make_shared<OnChange>(std::move(on_change));
  observers_.push_back(observer);
  return observer;
}

void Registry::tell(const PrincipalName& principal, What what, Sessions sessions) {
  // Weak until each one's turn: who was dropped by a call before it is not called any more.
  const auto now = observers_;
  for (const auto& weak : now) {
    if (const auto observer = weak.lock()) (*observer)(Change{principal, what, sessions});
  }
}

std::int64_t Registry::nowS() const { return clock_.wallNs() / 1'000'000'000; }

}  // namespace kante
