// Who a client of the hub is, and what it may do.  The hub asks; the registry of identities
// answers.
//
// Everything is denied unless an answer allows it.  Sessions ask on their shards, so an Access and
// its principals are immutable or guard themselves, and answer without waiting: no file, no
// network, no other thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "host/mqtt/reason.h"

namespace kante::hub {

// The other end of a connection, as far as the transport knows it.
struct Peer {
  std::string address;  // Without the port.
  std::uint16_t port = 0;
  bool loopback = false;
  bool tls = false;
  // The client's certificate in DER; empty: it showed none.  `chain_verified`: it leads to a CA of
  // [hub.tls] client_ca; else it may still be known by its thumbprint.
  std::string certificate;
  bool chain_verified = false;
};

// What a CONNECT says; borrowed.
struct Credentials {
  const Peer& peer;
  std::string_view client_id;  // Empty: the hub will give one.
  std::optional<std::string_view> user_name;
  std::optional<std::string_view> password;
};

// What one request over HTTPS brings; borrowed.
struct RequestCredentials {
  const Peer& peer;
  std::string_view principal;
  std::string_view token;     // Empty: the peer's certificate has to do.
  std::string_view resource;  // What the token has to be for: "devices/ID".
};

// An identity with its grants as they were when it was asked for.
class Principal {
 public:
  virtual ~Principal() = default;
  virtual const std::string& name() const = 0;  // "device/ID", "gateway/ID", …
  // Many clients are this principal: what one of them does is not held against the others.
  virtual bool isShared() const { return false; }
  virtual bool mayPublish(std::string_view topic) const = 0;
  // `filter` without "$share/GROUP/".  Allowed only if all that it matches is, unless
  // checksDeliveries().
  virtual bool maySubscribe(std::string_view filter) const = 0;
  // True: a subscription may match more than the principal may have; each delivery is asked for.
  virtual bool checksDeliveries() const { return false; }
  virtual bool mayReceive(std::string_view /*topic*/) const { return true; }
  // It came by IoT Hub's contract: below devices/ it may say only what that knows.
  virtual bool isOfContract() const { return false; }
  // Direct methods and twins of principals; its own twin is granted like any other.
  virtual bool mayCall(std::string_view /*principal*/, std::string_view /*method*/) const {
    return false;
  }
  virtual bool mayUseTwin(std::string_view /*principal*/) const { return false; }
  // Whether it may speak for a device behind it.
  virtual bool mayActFor(std::string_view /*principal*/) const { return false; }
};

struct Admission {
  std::shared_ptr<const Principal> principal;  // Null: refused, for `reason`.
  mqtt::Reason reason = mqtt::Reason::kNotAuthorized;
  std::string why = {};              // For logs; never sent.  Names who was refused and for what.
  std::int64_t expires_wall_ns = 0;  // The session is closed then: a token's end.  0: never.
};

class Access {
 public:
  virtual ~Access() = default;
  virtual Admission authenticate(const Credentials& credentials) const = 0;
  virtual Admission verify(const RequestCredentials& /*credentials*/) const { return {}; }
  // The same identity as it is now, after its grants changed; null: it is gone, and its sessions
  // with it.
  virtual std::shared_ptr<const Principal> current(const Principal& principal) const = 0;
  // Who is registered by that name, without a session; null: nobody, or disabled.
  virtual std::shared_ptr<const Principal> find(std::string_view /*name*/) const { return {}; }
};

}  // namespace kante::hub
