// Between the broker and the routes of a deployment, on one shard: what clients publish runs
// through the routes as well as to those who subscribed, and routes end in topics.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "host/hub/access.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/publication.h"
#include "host/message/message.h"
#include "host/mqtt/packet.h"
#include "host/mqtt/reason.h"

namespace kante::hub {

// Into the topics of the broker.
class TopicDoor {
 public:
  virtual ~TopicDoor() = default;
  // On the shard's thread.
  virtual void publish(const PublicationRef& publication) = 0;
};

class Routing {
 public:
  virtual ~Routing() = default;

  // Whose message it is, and what it can wait for.
  class Sender {
   public:
    virtual ~Sender() = default;
    virtual const std::string& name() const = 0;  // Of the principal.
    virtual bool mayActFor(std::string_view principal) const = 0;
    // Called once, on whatever thread, with whether the message is on disk; asked for once for each
    // queue.  Empty: nobody is answered.
    virtual std::function<void(Kept)> kept() = 0;
    // Called once at most, on whatever thread, when there may be room.  Empty: it does not wait,
    // and what has no room is dropped and counted.
    virtual std::function<void()> resume() = 0;
  };

  enum class Taken : std::uint8_t {
    kNobody,   // No route wants it.
    kTaken,    // Every route that does has it, or has counted that it does not.
    kHeld,     // A sink has no room: nothing was done, and resume() will be called.
    kRefused,  // It breaks a rule that routes have, or its topic names somebody else.
  };
  struct Outcome {
    Taken taken = Taken::kNobody;
    MessageRef message = {};  // Of kTaken: has the payload, so that it need not be copied again.
    std::string why = {};     // Of kRefused, as is the next.
    mqtt::Reason reason = mqtt::Reason::kImplementationSpecific;
  };
  // The shard's thread.  Granted before.
  virtual Outcome take(const mqtt::Publish& publish, Sender& sender) = 0;

  // Before the first take(): where its topics are.  Outlives the last publish.
  virtual void serve(TopicDoor& door) = 0;
};

}  // namespace kante::hub
