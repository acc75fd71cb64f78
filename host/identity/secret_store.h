// The secrets of this gateway: texts by name that modules are configured with and nobody is shown.
// Sealed on disk, as the keys of devices are.  Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/durable_map.h"
#include "host/base/result.h"
#include "host/identity/seal.h"

namespace kante {

class SecretStore {
 public:
  static constexpr std::size_t kSecretsMax = 1000;
  static constexpr std::size_t kValueBytesMax = 64 * 1024;

  struct Kept {
    std::string value;
    std::string who;
    std::int64_t set_s = 0;  // Since 1970.
  };
  using Changes = std::map<std::string, std::optional<std::string>>;  // Nothing: it is removed.

  // `map` outlives it.
  static Result<std::unique_ptr<SecretStore>> open(DurableMap& map, const Seal& seal);
  ~SecretStore();
  SecretStore(const SecretStore&) = delete;
  SecretStore& operator=(const SecretStore&) = delete;

  // Null: there is none.
  const std::string* find(const std::string& name) const;
  const std::map<std::string, Kept>& all() const { return kept_; }
  std::vector<std::string> values() const;  // For whoever takes them out of texts.
  // Names whose record could not be read: they count as not there.
  const std::vector<std::string>& damaged() const { return damaged_; }

  // {"NAME": "text" | null, …}.  Errors begin with the JSON pointer, below `pointer`, and hold no
  // value.
  static Result<Changes> parse(std::string_view json, const std::string& pointer);
  // On disk once sync() says so.  kLimit: too many, nothing changed then.
  Status change(const Changes& changes, const std::string& who, std::int64_t now_s);
  void sync(std::function<void(Status)> done) { map_.sync(std::move(done)); }

 private:
  SecretStore(DurableMap& map, const Seal& seal) : map_(map), seal_(seal) {}
  void forget(const std::string& name);

  DurableMap& map_;
  const Seal seal_;
  std::map<std::string, Kept> kept_;
  std::vector<std::string> damaged_;
};

}  // namespace kante
