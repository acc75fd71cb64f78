// The gateway's part that keeps secrets: sealed on disk, brought by operators and by documents that
// are encrypted to it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/base/secret_references.h"
#include "host/identity/secret_box.h"
#include "host/identity/secret_store.h"

namespace kante {
class EventLog;
class KeyValue;
class Log;
class StoreMap;
class TrustedClock;
class Twins;
}  // namespace kante

namespace kante::cli {

class GatewaySecrets {
 public:
  // All borrowed; they outlive it.
  struct Parts {
    Log& log;
    EventLog& events;
    const TrustedClock& clock;
    KeyValue& store;
    Twins& twins;
    std::function<void(std::function<void()>)> post;
    // Others are there than before, on disk.
    std::function<void()> changed;
  };
  static Result<std::unique_ptr<GatewaySecrets>> open(int identity_dir_fd, const Seal& seal,
                                                      const std::string& gateway_id, Parts parts);
  ~GatewaySecrets();

  Secrets values() const;
  const SecretStore& store() const { return *store_; }
  const SecretBox& box() const { return *box_; }
  // What a document brought.
  void take(const std::string& cms, const std::string& who, std::function<void(Status)> done);
  // `done` when it is on disk and everybody was told.
  void change(const SecretStore::Changes& changes, const std::string& who,
              std::function<void(Status)> done);

 private:
  explicit GatewaySecrets(Parts parts) : parts_(std::move(parts)) {}
  void tell(const SecretStore::Changes& changes, const std::string& who);

  const Parts parts_;
  std::unique_ptr<StoreMap> map_;
  std::unique_ptr<SecretStore> store_;
  std::unique_ptr<SecretBox> box_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();  // Answers that come late see it gone.
};

}  // namespace kante::cli
