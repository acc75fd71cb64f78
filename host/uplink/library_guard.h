// Calls of libmosquitto that read what a broker sent, survived where the library would end the
// process.
//
// libmosquitto 2.0.11, as Debian builds it, logs an MQTT 5 property that it does not know without a
// client to log for, and asserts that there is one: ten bytes from a broker end whoever uses the
// library.  While a guard is set, an assertion that fails in C on this thread ends the guarded call
// instead.  The library's client must not be used afterwards but for mosquitto_destroy(): each
// connection has a client of its own (docs/decisions/0009), so only the connection is lost, and
// what the library had allocated in that call: 48 bytes a connection for a CONNACK.
#pragma once

namespace kante {

class LibraryGuard {
 public:
  using Call = int (*)(void* argument);
  // What the call returned; `otherwise` when an assertion failed in it.  Between here and the
  // assertion there may be only C frames: our own callbacks begin with a Pause.
  static int run(Call call, void* argument, int otherwise);

  // For as long as it lives, an assertion ends the process as it always does.
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    void* const guard_;
  };
};

}  // namespace kante
