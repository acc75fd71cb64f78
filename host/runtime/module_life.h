// One life of one module as its instance sees it, wherever its code runs: in this process, or in a
// runner at the other end of two rings.
//
// Everything is called on the module's strand.  A life that runs elsewhere cannot answer at once
// what the ABI answers by returning: then it says KANTE_PENDING and tells the rest to its
// LifeOwner.
#pragma once

#include <kante/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Why a life ended that should not have.
struct LifeEnd {
  std::string reason;  // For people: "called `socket`", "memory limit 32 MB reached", "SIGSEGV at
                       // 0x0 in event INPUT"
  bool from_outside =
      false;  // SIGKILL by somebody else: no fault of the module's, start again at once.
};

// The instance.  Strand.
class LifeOwner {
 public:
  virtual ~LifeOwner() = default;
  // create() (after it said KANTE_PENDING) went well: from here it is as if create() had returned
  // KANTE_OK.
  virtual void created(bool promised_ready) = 0;
  // create() or RESTORE said no, or the module could not be brought to life.
  virtual void startFailed(Error error) = 0;
  // The RESTORE event that was PENDING is done.
  virtual void restored() = 0;
  // Takes inputs and events again, after it said KANTE_E_AGAIN to one.
  virtual void roomAgain() = 0;
  // What HEALTH, METHOD or SAVE would have returned, after PENDING; token of METHOD and SAVE, else
  // 0.
  virtual void eventEnded(std::uint32_t type, std::uint64_t token, kante_status status,
                          const std::string& text) = 0;
  // The process is gone and it was not asked to.  Nothing of it comes any more.
  virtual void died(const LifeEnd& end) = 0;
};

class ModuleLife {
 public:
  virtual ~ModuleLife() = default;
  // The names that the code itself has, by index.  Known before create() in process, after
  // created() elsewhere.
  virtual const std::vector<std::string>& inputs() const = 0;
  virtual const std::vector<std::string>& outputs() const = 0;
  virtual kante_status create(const kante_host& host, LifeOwner& owner, kante_msg* config) = 0;
  // INPUT: KANTE_E_AGAIN when there is no room, roomAgain() follows; KANTE_PENDING for one with a
  // token.  RESTORE, METHOD, HEALTH and SAVE may be PENDING.
  virtual kante_status onEvent(const kante_event& event) = 0;
  // After SAVE: this instance stays, its events go on.
  virtual void resume() {}
  // Nothing is called afterwards, and the owner hears no more.
  virtual void destroy() = 0;
  virtual int pid() const = 0;
};

}  // namespace kante
