// Logs every step of its life; config says where it goes wrong:
//   fail_create, throw_create, throw_destroy
//   ready_ms N (-1: never)      with kante.lifecycle/1
//   drained_ms N (-1: never)    0: at once, in DRAIN
//   unhealthy                   HEALTH says why
//   ill N                       the first N times
//   defer_ms N                  with ready_ms: asks for it at the first DESIRED, and for 0 at
//   others
#include <stdexcept>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"out", nullptr};

class Life : public kit::Module {
 public:
  Life(const kante_host* host, kante_msg* config) : Module(host, config) {
    log("create");
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    log(std::string("unknown extension ") +
        (extension<int>("kante.unknown/9") == nullptr ? "missing" : "?"));
    if (number("ready_ms") == 0) return;
    lifecycle_ = extension<kante_lifecycle_v1>(KANTE_EXT_LIFECYCLE);
    if (number("ready_ms") > 0) timer(1, number("ready_ms"));
  }
  ~Life() override { log("destroy"); }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_INPUT: log("input " + bodyOf(event)); return KANTE_OK;
      case KANTE_EVENT_DESIRED:
        log("desired " + std::to_string(event.arg) + " " + bodyOf(event));
        if (has("refuse")) return KANTE_E_INVALID;
        if (has("defer_ms")) defer(event.arg < 2 ? number("defer_ms") : 0);
        return KANTE_OK;
      case KANTE_EVENT_TIMER:
        if (event.id == 1) {
          log("ready");
          lifecycle_->ready(host_);
        } else {
          log("drained");
          host_->drained(host_);
        }
        return KANTE_OK;
      case KANTE_EVENT_DRAIN:
        log("drain");
        if (number("drained_ms") > 0) timer(2, number("drained_ms"));
        if (number("drained_ms") == 0) host_->drained(host_);
        return KANTE_OK;
      case KANTE_EVENT_HEALTH:
        return has("unhealthy") || asked_++ < number("ill")
                   ? explain(KANTE_E_STATE, "the fan stands still")
                   : KANTE_OK;
      default: log("declines " + std::to_string(event.type)); return KANTE_E_UNSUPPORTED;
    }
  }
  bool fails() const { return has("fail_create"); }
  bool throws() const { return has("throw_create"); }
  kante_status refuse() const {
    return explain(KANTE_E_INVALID, "the configuration has no address");
  }

 private:
  void defer(long long ms) {
    const auto status = lifecycle_->defer(host_, static_cast<std::uint32_t>(ms));
    log("defer " + std::to_string(ms) + " " + std::to_string(status));
  }
  void timer(std::uint32_t id, long long ms) {
    timers_->set(host_, id, static_cast<std::uint64_t>(ms) * 1'000'000, 0);
  }
  long long asked_ = 0;
  const kante_timers_v1* timers_ = nullptr;
  const kante_lifecycle_v1* lifecycle_ = nullptr;
};

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  auto* life = new Life(host, config);
  if (life->throws()) {
    delete life;
    throw std::runtime_error("out of create()");
  }
  if (life->fails()) {
    const kante_status status = life->refuse();
    delete life;
    return status;
  }
  *out = reinterpret_cast<kante_module*>(static_cast<kit::Module*>(life));
  return KANTE_OK;
}

}  // namespace

KIT_MODULE(Life, "kit-life", create);
