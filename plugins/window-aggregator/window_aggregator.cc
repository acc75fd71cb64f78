// Turns many messages into few: count, minimum, maximum, mean and 95th percentile of each window.
#include <kante/module.hpp>

#include "plugins/common/recent_map.h"
#include "window.h"

namespace {

using kante::Status;
using kante::json::Value;

constexpr std::uint64_t kStateFormat = 1;
// Carried in saved state: as JSON at most 10 of the 16 MiB.  Windows with more are sent instead.
constexpr std::size_t kStateSamplesMax = 400'000;
// Half of what a host lets wait unsettled: then all windows end early, or the input would stop for
// good.
constexpr std::size_t kUnsettledMax = 5'000;
constexpr std::size_t kUnsettledBytesMax = 8u << 20;

class WindowAggregator : public kante::Module {
 public:
  explicit WindowAggregator(kante::Start& start)
      : Module(start), config_(Config::parse(start.config())) {
    if (config_.window.count() > 0) tick_.every(config_.window);
    info("p95 is exact up to ", config_.samples_max, " values a window");
  }

  // A durable input is settled when the aggregate that it is part of has left.
  Status onInput(const kante::Input& input) override {
    is_handed_over_ = false;
    const Value body = input.json();
    const std::string key = config_.key.of(input, body);
    if (isLate(input, key) && config_.late == Config::Late::kDrop) return KANTE_OK;
    if (const Status status = makeRoom(key); status != KANTE_OK) {
      refused_.add();
      return status;
    }
    current_ = input.token();
    current_status_ = input.isDurable() ? KANTE_PENDING : KANTE_OK;
    Window& window = windows_.touch(key);
    addTo(window, input, body);
    keys_.set(static_cast<double>(windows_.size()));
    if (config_.window_count != 0 && window.count >= config_.window_count)
      close(key, window, "count");
    if (unsettled_ >= kUnsettledMax || unsettled_bytes_ >= kUnsettledBytesMax) {
      early_.add();
      closeAll("unsettled");
    }
    current_ = 0;
    return current_status_;
  }

  void onWritable(std::uint32_t) override {
    if (is_overdue_) closeAll("time");
  }

  void onDrain() override {
    tick_.cancel();
    // Windows that went to a successor are its own to send.
    if (!is_handed_over_) closeAll("drain");
    drained();
  }

  // Windows with durable inputs are sent, so that these can be settled here; the others are carried
  // over.
  std::optional<kante::State> onSave() override {
    std::size_t samples = 0;
    for (auto& [key, window] : windows_) {
      if (!window.tokens.empty()) close(key, window, "handover");
      samples += window.samples();
    }
    if (samples > kStateSamplesMax) closeAll("handover");
    kante::json::Array windows;
    for (const auto& [key, window] : windows_) windows.push_back(window.toJson(key));
    is_handed_over_ = true;
    return kante::State{kStateFormat, Value{{"windows", std::move(windows)}}.dump()};
  }

  Status onRestore(const kante::State& state) override {
    if (state.format != kStateFormat) throw kante::Failure("state of an unknown format");
    const Value json = kante::json::parse(state.bytes, {KANTE_STATE_BYTES_MAX, 8, 4u << 20});
    const Value* windows = json.get("windows");
    if (windows == nullptr || !windows->isArray())
      throw kante::Failure("saved state: windows should be an array");
    for (const Value& one : *windows->array()) {
      Window window = Window::fromJson(one, config_.fields.size());
      windows_.touch(*one.get("key")->string()) = std::move(window);
    }
    return KANTE_OK;
  }

 private:
  void addTo(Window& window, const kante::Input& input, const Value& body) {
    window.add(input.message().createdNs());
    window.series.resize(config_.fields.size());
    bool has_field = false;
    for (std::size_t i = 0; i < config_.fields.size(); ++i) {
      const Value* field = body.find(config_.fields[i].path);
      if (field == nullptr || !field->isNumber()) continue;
      window.series[i].add(*field->number(), config_.samples_max, random_);
      has_field = true;
    }
    if (!has_field) without_field_.add();
    messages_in_.add();
    if (!input.isDurable()) return;
    const std::size_t bytes = std::size_t{input.message().wordCount()} * 8;
    window.tokens.push_back(input.token());
    window.token_bytes += bytes;
    ++unsettled_;
    unsettled_bytes_ += bytes;
  }

  bool isLate(const kante::Input& input, const std::string& key) {
    const Window* window = windows_.find(key);
    if (window == nullptr || input.message().createdNs() >= window->closed_ns) return false;
    late_.add();
    return true;
  }

  // With all keys taken, the window of the longest silent one ends early: nothing is lost for a new
  // key.
  Status makeRoom(const std::string& key) {
    if (windows_.size() < config_.keys_max || windows_.find(key) != nullptr) return KANTE_OK;
    const auto oldest = windows_.begin();
    if (const Status status = close(oldest->first, oldest->second, "keys"); status != KANTE_OK)
      return status;
    windows_.erase(oldest);
    evicted_.add();
    return KANTE_OK;
  }

  // KANTE_E_AGAIN: no room in the outbox, the window stays open and grows.
  Status close(const std::string& key, Window& window, const char* reason) {
    if (window.count == 0) return KANTE_OK;
    const Status status = out_.sendFor(window.tokens, window.aggregate(key, config_, reason));
    if (status == KANTE_E_AGAIN) {
      is_overdue_ = true;
      return status;
    }
    if (status < 0) warn("an aggregate was refused: ", kante::statusName(status));
    if (status != KANTE_PENDING) settleAll(window.tokens, status);
    unsettled_ -= window.tokens.size();
    unsettled_bytes_ -= window.token_bytes;
    window.reset();
    windows_closed_.add();
    return KANTE_OK;
  }

  // The input that is being handled ends by the status that onInput returns.
  void settleAll(const std::vector<std::uint64_t>& tokens, Status status) {
    for (const std::uint64_t token : tokens) {
      if (token == current_) {
        current_status_ = status;
      } else {
        settle(token, status);
      }
    }
  }

  void closeAll(const char* reason) {
    is_overdue_ = false;
    for (auto& [key, window] : windows_) {
      if (close(key, window, reason) != KANTE_OK) return;
    }
  }

  void tick() {
    is_handed_over_ = false;
    for (auto at = windows_.begin(); at != windows_.end();) {
      at =
          at->second.count == 0 ? windows_.erase(at) : std::next(at);  // Silent for a whole window.
    }
    closeAll("time");
    keys_.set(static_cast<double>(windows_.size()));
  }

  const Config config_;
  RecentMap<Window> windows_;
  std::minstd_rand random_;    // Only for which samples stay; the same every time.
  std::size_t unsettled_ = 0;  // Tokens in open windows, and the bytes of their messages.
  std::size_t unsettled_bytes_ = 0;
  bool is_overdue_ = false;      // A window could not be sent when it should.
  bool is_handed_over_ = false;  // The windows went into saved state.
  std::uint64_t current_ = 0;    // Token of the input that is being handled.
  Status current_status_ = KANTE_OK;

  kante::Outbox out_{*this, "aggregate"};
  kante::Timer tick_{*this, [this] { tick(); }};
  kante::Counter messages_in_{*this, "messages_in"};
  kante::Counter without_field_{*this, "messages_without_field"};
  kante::Counter late_{*this, "messages_late"};
  kante::Counter refused_{*this, "messages_refused"};
  kante::Counter windows_closed_{*this, "windows_closed"};
  kante::Counter early_{*this, "unsettled_early"};
  kante::Counter evicted_{*this, "keys_evicted"};
  kante::Gauge keys_{*this, "keys"};
};

}  // namespace

KANTE_MODULE(WindowAggregator, "dev.kante.window-aggregator", "1.0.0", KANTE_INPUTS("in"),
             KANTE_OUTPUTS("aggregate"))
