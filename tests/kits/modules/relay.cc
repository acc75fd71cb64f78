// Passes on what it gets, the very message; config says how it gets in the way:
//   again N       the first N times it says KANTE_E_AGAIN
//   error         answers each with an error and its text
//   throw         lets an exception out
//   sleep_ms N    holds its thread that long with each message
//   keep N        keeps the first message and sends it N times more, a millisecond apart
//   mute          passes nothing on
//   late          sends one more behind its state
#include <poll.h>

#include <stdexcept>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"out", nullptr};

class Relay : public kit::Module {
 public:
  Relay(const kante_host* host, kante_msg* config) : Module(host, config), again_(number("again")) {
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    state_ = extension<kante_state_v1>(KANTE_EXT_STATE);
  }
  ~Relay() override {
    if (kept_ != nullptr) host_->msg_release(kept_);
  }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_INPUT: return input(event);
      case KANTE_EVENT_TIMER: return repeat();
      case KANTE_EVENT_WRITABLE:
        return KANTE_OK;  // The host brings back what it got KANTE_E_AGAIN for.
      case KANTE_EVENT_SAVE: {
        const std::string state = std::to_string(handled_);
        const kante_status status = state_->save(host_, event.token, 1, state.data(), state.size());
        if (has("late")) (void)publish(0, "\"late\"");
        return status;
      }
      case KANTE_EVENT_RESTORE:
        handled_ =
            std::strtoull(std::string(event.name.data, event.name.size).c_str(), nullptr, 10);
        return KANTE_OK;
      case KANTE_EVENT_DRAIN:
        log("handled " + std::to_string(handled_));
        host_->drained(host_);
        return KANTE_OK;
      case KANTE_EVENT_METHOD:
        log("method " + std::string(toView(event.name)));
        return KANTE_E_UNSUPPORTED;
      default: return KANTE_E_UNSUPPORTED;
    }
  }

 private:
  kante_status input(const kante_event& event) {
    if (again_ > 0) {
      --again_;
      return KANTE_E_AGAIN;
    }
    if (const long long ms = number("sleep_ms"); ms > 0) {
      (void)::poll(nullptr, 0, static_cast<int>(ms));  // Holds its thread, as a module should not.
    }
    if (has("throw")) throw std::runtime_error("out of the module");
    if (has("error")) {
      ++handled_;
      return explain(KANTE_E_INVALID, "does not like " + bodyOf(event));
    }
    if (has("keep") && kept_ == nullptr) {
      kept_ = event.msg;
      host_->msg_retain(kept_);
      left_ = number("keep");
      timers_->set(host_, 1, 1'000'000, 1'000'000);
    }
    if (!has("mute")) {
      const kante_status status = host_->emit(host_, 0, event.msg, 0);
      if (status != KANTE_OK) return status;
    }
    ++handled_;
    return KANTE_OK;
  }
  kante_status repeat() {
    if (left_ == 0) {
      timers_->cancel(host_, 1);
      log("repeated all");
      return KANTE_OK;
    }
    if (host_->emit(host_, 0, kept_, 0) == KANTE_OK) --left_;
    return KANTE_OK;
  }

  long long again_;
  std::uint64_t handled_ = 0;
  const kante_timers_v1* timers_ = nullptr;
  const kante_state_v1* state_ = nullptr;
  kante_msg* kept_ = nullptr;
  long long left_ = 0;
};

}  // namespace

KIT_MODULE(Relay, "kit-relay", kit::create<Relay>);
