// The independent receiver: a libmosquitto client with a session of its own at the broker, which
// hands every message of one gateway to a checker.  Knows the wire and nothing of the gateway.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace kante::durability {

class Checker;

class Receiver {
 public:
  // Subscribed when the constructor returns; ends the program when that fails.  Calls the checker
  // on a thread of its own.
  Receiver(std::uint16_t port, const std::string& gateway, Checker& checker);
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

 private:
  struct Client;
  std::unique_ptr<Client> client_;
};

// Cuts somebody's connection: connects with the same client id, whereupon the broker closes theirs.
void takeOver(std::uint16_t port, const std::string& client_id);

}  // namespace kante::durability
