// The three modules of the overload rig, by `role`: a flood towards the uplink that counts what the
// host took, a relay, and a probe that measures the way over the relay and back to itself.
#include <kante/module.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

namespace {

using kante::Status;
using kante::json::Value;
using std::chrono::milliseconds;

constexpr milliseconds kTick{1};
constexpr std::uint64_t kPerTickMax = 1'000;
constexpr std::size_t kSamplesMax = 1 << 20;
constexpr std::uint64_t kWindow = 256;  // Messages of a burst on their way.

class Probe : public kante::Module {
 public:
  explicit Probe(kante::Start& start) : Module(start) {
    kante::Fields fields(start.config());
    role_ = fields.string("role");
    bytes_ = static_cast<std::size_t>(fields.integer("bytes", 256, {16, 262'144}));
    fields.end();
    if (role_ != "relay") tick_.every(kTick);
  }

  Status onInput(const kante::Input& input) override {
    if (role_ == "relay") return output_.emit(input);
    if (role_ == "probe") returned(input.body());
    return KANTE_OK;
  }

  Status onMethod(kante::Method method) override {
    if (method.name() == "rate") {
      const Value arguments = method.arguments();
      kante::Fields fields(arguments);
      rate_ = static_cast<double>(fields.integer("per_s", 0, {0, 1'000'000}));
      fields.end();
      owed_ = 0;
      return method.reply(200, sent());
    }
    if (method.name() == "sent") return method.reply(200, sent());
    if (method.name() == "latency") return method.reply(200, latency());
    if (method.name() == "burst" && role_ == "probe" && !burst_) return burst(std::move(method));
    return Module::onMethod(std::move(method));
  }

 private:
  Value sent() const { return {{"sent", sent_}, {"no_credit", no_credit_}, {"per_s", rate_}}; }

  void tick() {
    if (burst_) return;
    const double rate = role_ == "probe" ? 1'000 : rate_;
    owed_ = std::min(owed_ + rate * 0.001 * static_cast<double>(tick_.expirations()),
                     static_cast<double>(kPerTickMax));
    for (; owed_ >= 1; owed_ -= 1) {
      const Status status = output_.emit(kante::Draft("text/plain", body()));
      if (status != KANTE_OK) {
        ++no_credit_;
        return;
      }
      ++sent_;
    }
  }

  // A flood's message is known by its number, a probe's by its time.
  std::string body() const {
    std::string text =
        std::to_string(role_ == "probe" ? static_cast<std::uint64_t>(now().count()) : sent_ + 1);
    text += ':';
    text.resize(std::max(bytes_, text.size()), '.');
    return text;
  }

  void returned(std::string_view body) {
    const auto left_at = static_cast<std::int64_t>(std::strtoull(body.data(), nullptr, 10));
    if (!burst_) {
      if (samples_.size() < kSamplesMax) samples_.push_back(now().count() - left_at);
      return;
    }
    ++burst_returned_;
    if (burst_sent_ < burst_count_) {
      emitBurst();
    } else if (burst_returned_ == burst_count_) {
      const double seconds = static_cast<double>(now().count() - burst_began_) / 1e9;
      std::exchange(burst_, std::nullopt)
          ->reply(200, {{"messages", burst_count_},
                        {"per_s", static_cast<double>(burst_count_) / seconds}});
    }
  }

  Value latency() {
    std::vector<std::int64_t> all = std::exchange(samples_, {});
    std::sort(all.begin(), all.end());
    const auto at = [&all](double part) {
      if (all.empty()) return 0.0;
      return static_cast<double>(
                 all[static_cast<std::size_t>(part * static_cast<double>(all.size() - 1))]) /
             1e3;
    };
    return {{"count", all.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"max_us", at(1)}};
  }

  Status burst(kante::Method method) {
    const Value arguments = method.arguments();
    kante::Fields fields(arguments);
    burst_count_ = static_cast<std::uint64_t>(fields.integer("messages", {1'000, 100'000'000}));
    fields.end();
    burst_ = std::move(method);
    burst_sent_ = burst_returned_ = 0;
    burst_began_ = now().count();
    for (std::uint64_t i = 0; i < kWindow; ++i) emitBurst();
    return KANTE_OK;
  }
  void emitBurst() {
    if (output_.emit(kante::Draft("text/plain", body())) == KANTE_OK) ++burst_sent_;
  }

  std::string role_;
  std::size_t bytes_ = 256;
  double rate_ = 0;
  double owed_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t no_credit_ = 0;
  std::vector<std::int64_t> samples_;  // Nanoseconds there and back.
  std::optional<kante::Method> burst_;
  std::uint64_t burst_count_ = 0;
  std::uint64_t burst_sent_ = 0;
  std::uint64_t burst_returned_ = 0;
  std::int64_t burst_began_ = 0;
  kante::Output output_{*this, "out"};
  kante::Timer tick_{*this, [this] { tick(); }};
};

}  // namespace

KANTE_MODULE(Probe, "dev.kante.overload-probe", "1.0.0", KANTE_INPUTS("in"), KANTE_OUTPUTS("out"))
