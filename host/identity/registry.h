// The devices, their modules and the gateways below this one: who they are, how they prove it, what
// they may do.
//
// Everything lives in memory, about 300 bytes each, and is written behind to a DurableMap with the
// secrets sealed.  Control thread only, but for lookUp(): that is how sessions ask on their shards,
// for the length of one look into a table.  What they take is told to observers when it changes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/base/durable_map.h"
#include "host/base/result.h"
#include "host/identity/identity.h"
#include "host/identity/principal_name.h"
#include "host/identity/seal.h"

namespace kante {

class Clock;

class Registry {
 public:
  static constexpr std::size_t kIdentitiesMax = 100'000;
  static constexpr std::size_t kModulesPerDeviceMax = 50;  // As IoT Hub.

  // Reads what the store has; `store` and `clock` outlive the registry.
  static Result<std::unique_ptr<Registry>> open(DurableMap& store, const Seal& seal,
                                                const Clock& clock);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Good until the next change; null when there is none.
  const Identity* find(const PrincipalName& principal) const;
  // Any thread.
  struct Found {
    std::optional<Identity> identity;
    std::optional<Identity> device;  // Of a module.
    // Whether it and, for a module, its device are.
    bool enabled() const;
  };
  Found lookUp(const PrincipalName& principal) const;
  std::size_t size() const { return identities_.size(); }
  // By name, the first `max` behind `after`: to go through all of them.
  using Named = std::pair<std::string_view, const Identity*>;
  std::vector<Named> page(std::string_view after, std::size_t max) const;
  // Whose record open() could not read: they are as good as not there, and their records stay until
  // they are added again.  With why.
  const std::map<std::string, std::string>& damaged() const { return damaged_; }

  struct Registration {
    Verifier verifier;
    std::vector<std::string> grants = {"default"};
    Identity::State state = Identity::State::kEnabled;
    std::string parent = {};  // The id of a gateway, of a device that is behind it for good.
  };
  // kConflict: it is there already.  kNotFound: a module of a device that is not, or a parent that
  // is not.
  Status add(const PrincipalName& principal, const Registration& registration);
  // A device's modules go with it.
  Status remove(const PrincipalName& principal);
  Status setState(const PrincipalName& principal, Identity::State state);
  Status setGrants(const PrincipalName& principal, const std::vector<std::string>& grants);
  // What becomes of sessions that live by what is replaced.
  enum class Sessions { kKeep, kEnd };
  Status setVerifier(const PrincipalName& principal, const Verifier& verifier, Sessions sessions);
  // kPrimary: a new primary key, and the one before becomes the secondary one, so that who still
  // has it can connect until the next rotation.  kState: its identity has no keys.
  enum class Keys { kPrimary, kSecondary, kBoth };
  Status rotate(const PrincipalName& principal, Keys keys, Sessions sessions);

  // "Everything up to now is on disk".
  void sync(std::function<void(Status)> done) { store_.sync(std::move(done)); }

  enum class What { kAdded, kRemoved, kEnabled, kDisabled, kGrants, kVerifier };
  struct Change {
    const PrincipalName& principal;
    What what;
    Sessions sessions;  // kEnd: for kRemoved, kDisabled, and kVerifier when asked.
  };
  // Called after each change, on the control thread; for what happens to a device also once for
  // each of its modules.  Dropping the handle ends it, also from within a call.
  using OnChange = std::function<void(const Change&)>;
  using Observation = std::shared_ptr<void>;
  [[nodiscard]] Observation observe(OnChange on_change);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  using Identities = std::unordered_map<std::string, Identity, Hash, std::equal_to<>>;

  Registry(DurableMap& store, const Seal& seal, const Clock& clock)
      : store_(store), seal_(seal), clock_(clock) {}
  void read(const std::string& principal, const std::string& record);
  Result<GrantsPtr> grantsOf(PrincipalName::Kind kind, const std::vector<std::string>& texts);
  Result<Identity*> known(const PrincipalName& principal);
  Status roomFor(const PrincipalName& principal) const;
  Status checkParent(const PrincipalName& principal, const std::string& parent) const;
  Status change(const PrincipalName& principal, Identity& current, Identity next, What what,
                Sessions sessions);
  std::vector<PrincipalName> modulesOf(const PrincipalName& device) const;
  void tell(const PrincipalName& principal, What what, Sessions sessions);
  std::int64_t nowS() const;

  DurableMap& store_;
  const Seal seal_;
  const Clock& clock_;
  // The control thread changes the table, with the lock, and reads it without; others only read.
  mutable std::mutex mutex_;
  Identities identities_;
  std::map<std::string, std::string> damaged_;
  std::map<std::string, std::weak_ptr<const Grants>> grants_;  // By kind and texts.
  std::vector<std::weak_ptr<OnChange>> observers_;
};

const char* name(Registry::What what);  // "added", "removed", …, "verifier"

}  // namespace kante
