// Emits numbered messages with tokens and appends each that was acknowledged to a ledger.
//
// Configuration: "burst" messages an output each "period_us", at most "count" in a life; "bytes" of
// padding at most; "first" names its first source.  "folder" is that of the rig, in which the host
// opens for it, wherever it runs:
//   ledger     each record is one write(), which survives the end of the process
//   delivered  the same for what comes to the input "in"; every fourth of these is settled only
//   with
//              a later tick
//   orders     for this life, without a deployment: "count=N;" overrides "count"; "lies;", for the
//              rig's self-test, acknowledges what was only emitted
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
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    run_ = (static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
            static_cast<std::uint64_t>(now.tv_nsec)) *
               16 +
           first_;
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    device_ = extension<kante_device_v1>(KANTE_EXT_DEVICE);
    const std::string folder = text("folder");
    if (!folder.empty()) {
      open(kLedger, "append:" + folder + "/ledger");
      open(kDelivered, "append:" + folder + "/delivered");
      open(kOrders, "read:" + folder + "/orders");
    }
    if (opening_ == 0) begin();
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
        if (event.token >= kLedger) return opened(event);
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
  // Tokens of what is opened, above those of all messages.
  static constexpr std::uint64_t kLedger = std::uint64_t{1} << 62;
  static constexpr std::uint64_t kDelivered = kLedger + 1;
  static constexpr std::uint64_t kOrders = kLedger + 2;

  void open(std::uint64_t token, const std::string& what) {
    if (device_->open(host_, toStr(what), token) == KANTE_OK) ++opening_;
  }
  kante_status opened(const kante_event& event) {
    const int fd = event.status == KANTE_OK ? static_cast<int>(event.arg) : -1;
    if (event.token == kLedger) ledger_ = fd;
    if (event.token == kDelivered) delivered_ = fd;
    if (event.token == kOrders && fd >= 0) {
      char orders[256] = {};
      if (::read(fd, orders, sizeof orders - 1) < 0) log("its orders cannot be read");
      ::close(fd);
      if (const char* count = std::strstr(orders, "count="))
        count_ = std::strtoull(count + std::strlen("count="), nullptr, 10);
      lies_ = std::strstr(orders, "lies;") != nullptr;
    }
    if (--opening_ == 0) begin();
    return event.status;
  }
  void begin() {
    const auto period_ns = static_cast<std::uint64_t>(number("period_us", 2'000)) * 1000;
    if (timers_ != nullptr) timers_->set(host_, 0, 1, period_ns);
  }
  kante_status input(const kante_event& event) {
    if (opening_ > 0) return KANTE_E_AGAIN;
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
  int opening_ = 0;  // Answers to open() that are still to come.
  const kante_timers_v1* timers_ = nullptr;
  const kante_device_v1* device_ = nullptr;
};

}  // namespace

KIT_MODULE(Load, "durability-load", kit::create<Load>);
