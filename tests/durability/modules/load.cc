// Emits numbered messages with tokens and appends each that was acknowledged to a ledger.
//
// Configuration: "burst" messages an output each "period_us", at most "count" in a life; "bytes" of
// padding at most; "first" names its first source.  The ledger's path and how it is kept come from
// the environment, so that they need no deployment:
//   DURABILITY_LEDGER  a file; each record is one write(), which survives the end of the process
//   DURABILITY_COUNT   overrides "count"
//   DURABILITY_ACK     "emit": a lie for the rig's self-test, acknowledges what was only emitted
//   DURABILITY_DELIVERED  another file, for what comes to the input "in"; every fourth of these is
//                      settled only with a later tick
#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <utility>
#include <vector>

#include "tests/durability/load.h"
#include "tests/kits/modules/kit_module.h"

namespace {

using namespace kante;
using durability::LedgerRecord;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"high", "low", nullptr};
constexpr std::uint32_t kOutputCount = 2;

class Load : public kit::Module {
 public:
  Load(const kante_host* host, kante_msg* config)
      : Module(host, config),
        burst_(static_cast<std::uint64_t>(number("burst", 1))),
        count_(static_cast<std::uint64_t>(number("count", 1'000'000'000))),
        bytes_(static_cast<std::uint32_t>(number("bytes", 100))),
        first_(static_cast<std::uint32_t>(number("first", 0))) {
    if (const char* count = std::getenv("DURABILITY_COUNT"))
      count_ = std::strtoull(count, nullptr, 10);
    ledger_ = openFrom("DURABILITY_LEDGER");
    delivered_ = openFrom("DURABILITY_DELIVERED");
    if (const char* ack = std::getenv("DURABILITY_ACK")) lies_ = std::string_view(ack) == "emit";
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    run_ = (static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
            static_cast<std::uint64_t>(now.tv_nsec)) *
               16 +
           first_;
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    const auto period_ns = static_cast<std::uint64_t>(number("period_us", 2'000)) * 1000;
    if (timers_ != nullptr) timers_->set(host_, 0, 1, period_ns);
  }
  ~Load() override {
    if (ledger_ >= 0) ::close(ledger_);
    if (delivered_ >= 0) ::close(delivered_);
  }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_INPUT: return input(event);
      case KANTE_EVENT_TIMER:
        for (const std::uint64_t token : std::exchange(unsettled_, {})) {
          host_->settle(host_, token, KANTE_OK);
        }
        for (std::uint32_t output = 0; output < kOutputCount; ++output) emitSome(output);
        return KANTE_OK;
      case KANTE_EVENT_DONE:
        if (event.status == KANTE_OK && !lies_) acknowledged(event.token);
        return KANTE_OK;
      case KANTE_EVENT_WRITABLE: return KANTE_OK;
      case KANTE_EVENT_DRAIN:
        if (timers_ != nullptr) timers_->cancel(host_, 0);
        host_->drained(host_);
        return KANTE_OK;
      default: return KANTE_E_UNSUPPORTED;
    }
  }

 private:
  static int openFrom(const char* variable) {
    const char* path = std::getenv(variable);
    return path == nullptr ? -1 : ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  }
  kante_status input(const kante_event& event) {
    durability::BodyName name;
    if (!durability::parseBody(bodyOf(event), name)) return KANTE_E_INVALID;
    const LedgerRecord record{name.run, name.number, name.source, 0};
    if (delivered_ >= 0 && ::write(delivered_, &record, sizeof record) != sizeof record) {
      return explain(KANTE_E_LIMIT, "the ledger of deliveries cannot be written");
    }
    if (event.token == 0 || name.number % 4 != 0) return KANTE_OK;
    unsettled_.push_back(event.token);
    return KANTE_PENDING;
  }
  void emitSome(std::uint32_t output) {
    for (std::uint64_t i = 0; i < burst_ && next_[output] <= count_; ++i) {
      const std::uint64_t token = next_[output] * kOutputCount + output;
      const std::string body = durability::bodyOf({run_, first_ + output, next_[output]}, bytes_);
      if (publish(output, body, token) != KANTE_OK) return;
      ++next_[output];
      if (lies_) acknowledged(token);
    }
  }
  void acknowledged(std::uint64_t token) {
    LedgerRecord record;
    record.run = run_;
    record.number = token / kOutputCount;
    record.source = first_ + static_cast<std::uint32_t>(token % kOutputCount);
    if (ledger_ >= 0 && ::write(ledger_, &record, sizeof record) != sizeof record) {
      log("the ledger cannot be written");
    }
  }

  const std::uint64_t burst_;
  std::uint64_t count_;
  const std::uint32_t bytes_;
  const std::uint32_t first_;
  std::uint64_t run_ = 0;
  std::uint64_t next_[kOutputCount] = {1, 1};
  int ledger_ = -1;
  int delivered_ = -1;
  std::vector<std::uint64_t> unsettled_;
  bool lies_ = false;
  const kante_timers_v1* timers_ = nullptr;
};

}  // namespace

KIT_MODULE(Load, "durability-load", kit::create<Load>);
