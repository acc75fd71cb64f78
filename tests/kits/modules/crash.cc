// Dies at its first message, the way that its configuration names: segv, abort, divide, or sleeps
// for good.
#include <unistd.h>

#include <csignal>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {nullptr};

class Crash : public kit::Module {
 public:
  using Module::Module;
  kante_status event(const kante_event& event) override {
    if (event.type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
    if (has("segv")) *null_ = 1;
    if (has("abort")) std::abort();
    // A trap by instruction where the machine has one, else by hand: sanitizers turn a division
    // into text.
    if (has("divide")) std::raise(SIGFPE);
    if (has("sleep")) ::pause();
    return KANTE_OK;
  }

 private:
  volatile int* volatile null_ = nullptr;
};

}  // namespace

KIT_MODULE(Crash, "kit-crash", kit::create<Crash>);
