// The bytes of one connection, whatever carries them: TCP, TLS, and WebSocket on either.
//
// Never blocks.  One shard's at a time: it may move to another between two calls.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace kante::hub {

struct Peer;

class Transport {
 public:
  virtual ~Transport() = default;

  enum class Flow { kOk, kAgain, kClosed };
  struct Moved {
    Flow flow = Flow::kOk;
    std::size_t bytes = 0;  // With kOk: 0 when what came was meant for the transport itself.
    bool more = true;       // After reading: false where it is known that nothing more has come.
  };
  // kAgain: nothing (more) has come; it was not ready for anything before it is so again.
  // After kOk with `more` it has to be asked again.
  virtual Moved read(std::span<char> into) = 0;
  // Takes as much from the front as there is room for.
  virtual Moved write(std::span<const iovec> parts) = 0;
  // When there is room again: writes what is the transport's own.
  virtual Flow writeOwn() { return Flow::kOk; }
  // After kClosed: how the other end broke the rules of the transport; null: it left.
  virtual const char* fault() const { return nullptr; }
  // Whether after shutDown() the other end has a last word that is worth waiting for.
  virtual bool expectsGoodbye() const { return false; }
  // What to watch for readiness; -1: nothing.
  virtual int descriptor() const = 0;
  // Still agreeing on keys: no byte of the client has come.
  virtual bool isHandshaking() const { return false; }
  // What it has learned of the other end by now.
  virtual void describe(Peer& /*peer*/) const {}
  // Ends it in an orderly way, after what was written.
  virtual void shutDown() = 0;
};

}  // namespace kante::hub
