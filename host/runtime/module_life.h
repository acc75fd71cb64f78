// One life of one module as its instance sees it, wherever its code runs: in this process, or in a
// runner at the other end of two rings.
//
// Everything is called on the module's strand, except what says otherwise.  A life that runs
// elsewhere cannot answer at once what the ABI answers by returning: then it says KANTE_PENDING and
// tells the rest to its LifeOwner.
#pragma once

#include <kante/module.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/message/message.h"

namespace kante {

class MetricWriter;

// Why a life ended that should not have.
struct LifeEnd {
  enum class By : std::uint8_t {
    kItself,   // Crashed, broke a rule, or reached a limit.
    kOutside,  // SIGKILL by somebody else: no fault of the module's, start again at once.
  };
  std::string reason;  // For people: "called `socket`", "memory limit 32 MB reached", "SIGSEGV at
                       // 0x0 in event INPUT"
  By by = By::kItself;
  // It ended inside a callback for the first of the inputs that are not handled.
  bool in_input = false;
};

// The instance.  Strand.
class LifeOwner {
 public:
  virtual ~LifeOwner() = default;
  // What create() would have returned, after KANTE_PENDING.
  virtual void createEnded(kante_status status, const std::string& text, bool promised_ready) = 0;
  // Before that: the module could not be brought to life, or its process ended.
  virtual void startFailed(Error error) = 0;
  // Takes inputs and events again, after it said KANTE_E_AGAIN to one.
  virtual void roomAgain() = 0;
  // So many more of the inputs that were answered KANTE_PENDING are handled, in the order in which
  // they were taken.  When SAVE has ended (saved or not) or the life has died, the owner takes back
  // what is not handled, memory inputs to the front of their lane, durable ones to their queue:
  // tell it first.
  virtual void inputsHandled(std::uint32_t count) = 0;
  // The input before them failed, and they were not delivered: the same without an end of SAVE.
  virtual void inputsRecalled() = 0;
  // As emit() of the host table, of a message that has `hops` behind it with this one.  Takes the
  // reference on KANTE_OK only.
  virtual kante_status emitted(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                               std::uint64_t token) = 0;
  // One that was told KANTE_E_AGAIN, when the life has ended or is about to.
  virtual void lost(std::uint32_t output, const MessageRef& message) = 0;
  // Runs `work`; what the module emits and settles in it is committed together.
  virtual void together(const std::function<void()>& work) = 0;
  // What RESTORE, METHOD, HEALTH or SAVE would have returned, after PENDING (token of METHOD and
  // SAVE, else 0); of other events only errors other than KANTE_E_UNSUPPORTED.  For SAVE after its
  // state was given to the host table, if it was.  For an INPUT without a token, text is the
  // sender, a line feed and the explanation.
  virtual void eventEnded(std::uint32_t type, std::uint64_t token, kante_status status,
                          const std::string& text) = 0;
  // It did something that its sandbox refuses, which does not end it: "called `socket`, which …".
  virtual void violated(const std::string& what) = 0;
  // The process is gone and it was not asked to, after createEnded() (before: startFailed()).
  // What it had sent until then was handed on before.  Nothing of it comes any more.
  virtual void died(const LifeEnd& end) = 0;
};

class ModuleLife {
 public:
  virtual ~ModuleLife() = default;
  // The names that the code itself has, by index.  Known before create() in process, from
  // createEnded() on elsewhere.
  virtual const std::vector<std::string>& inputs() const = 0;
  virtual const std::vector<std::string>& outputs() const = 0;
  // `host` and `owner` stay until gone(): see destroy().
  virtual kante_status create(const kante_host& host, LifeOwner& owner, kante_msg* config) = 0;
  // INPUT; `hops` are those that the message has behind it.  Elsewhere KANTE_PENDING with a token
  // or without, once it is on its way, or KANTE_E_AGAIN when there is no room; then roomAgain()
  // follows.  The message and the name are borrowed for the call.
  virtual kante_status onInput(const kante_event& event, std::uint8_t hops) = 0;
  // Every other event.  Elsewhere METHOD, HEALTH, SAVE and RESTORE are PENDING once on their way,
  // and every event may be answered KANTE_E_AGAIN: it comes again, before any other, after
  // roomAgain().
  virtual kante_status onEvent(const kante_event& event) = 0;
  // A DONE that brings this descriptor, which stays the caller's until the answer is not AGAIN.  A
  // life in this process has taken it then, one elsewhere a copy of it.
  virtual kante_status onOpened(const kante_event& event, int fd) {
    kante_event with = event;
    with.arg = static_cast<std::uint64_t>(fd);
    return onEvent(with);
  }
  // Its outputs lead somewhere from now on.
  virtual void routesAreThere() {}
  // After SAVE: this instance stays, its events go on.
  virtual void resume() {}
  // destroy(), within its time.  The owner hears what the module still says, then `gone`, once;
  // nothing afterwards.  A life that died, or whose start failed, is gone at once.
  virtual void destroy(std::function<void()> gone) = 0;

  // ---- any thread ----
  virtual int pid() const = 0;  // 0: not yet, or no more.
  // Memory that it shares with its runner, of either side's.  In process none.
  virtual std::size_t sharedBytes() const { return 0; }
  // Figures of its own, beyond those of an instance.
  virtual void collect(MetricWriter& /*out*/, std::string_view /*module*/) const {}
  // The runner is killed for this reason, and died() follows.  In process nothing: nobody can.
  virtual void kill(const std::string& /*reason*/) {}
};

}  // namespace kante
