#include "tests/durability/bridge.h"

#include <fmt/format.h>
#include <mosquitto.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/durability/load.h"
#include "tests/durability/receiver.h"
#include "tests/support/mosquitto.h"

namespace kante::durability {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kRun = 1;
constexpr std::uint32_t kSources = 4;
constexpr std::uint32_t kBurst = 2;
constexpr auto kTick = std::chrono::milliseconds(2);
constexpr std::uint32_t kBodyBytesMax = 200;
// After the last life: nothing new for so long means that nothing more comes.
constexpr auto kQuiet = std::chrono::seconds(4);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "durability: bridge: %s\n", what.c_str());
  std::exit(1);
}

// At the far broker, on a thread of libmosquitto's.
class Sink {
 public:
  explicit Sink(std::uint16_t port) : handle_(mosquitto_new("bridge-receiver", false, this)) {
    mosquitto_connect_callback_set(handle_, [](mosquitto* handle, void*, int) {
      mosquitto_subscribe(handle, nullptr, "load/#", 1);
    });
    mosquitto_subscribe_callback_set(handle_, [](mosquitto*, void* obj, int, int, const int*) {
      auto* self = static_cast<Sink*>(obj);
      const std::lock_guard lock(self->mutex_);
      self->subscribed_ = true;
      self->changed_.notify_all();
    });
    mosquitto_message_callback_set(
        handle_, [](mosquitto*, void* obj, const mosquitto_message* message) {
          static_cast<Sink*>(obj)->take({static_cast<const char*>(message->payload),
                                         static_cast<std::size_t>(message->payloadlen)});
        });
    if (mosquitto_connect(handle_, "127.0.0.1", port, 30) != MOSQ_ERR_SUCCESS) die("no broker");
    mosquitto_loop_start(handle_);
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(30), [this] { return subscribed_; })) {
      die("the broker does not answer");
    }
  }
  ~Sink() {
    mosquitto_disconnect(handle_);
    mosquitto_loop_stop(handle_, false);
    mosquitto_destroy(handle_);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  bool has(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    return number < seen_.size() && seen_[number];
  }
  // Waits until nothing came for kQuiet.
  void waitForQuiet() {
    std::unique_lock lock(mutex_);
    for (std::uint64_t before = ~std::uint64_t{0}; before != arrivals_;) {
      before = arrivals_;
      changed_.wait_for(lock, kQuiet, [&] { return arrivals_ != before; });
    }
  }
  std::uint64_t distinct() {
    const std::lock_guard lock(mutex_);
    return distinct_;
  }
  std::uint64_t duplicates() {
    const std::lock_guard lock(mutex_);
    return arrivals_ - distinct_;
  }

 private:
  void take(std::string_view body) {
    BodyName name;
    if (!parseBody(body, name)) return;
    const std::lock_guard lock(mutex_);
    ++arrivals_;
    if (seen_.size() <= name.number) seen_.resize(name.number + 1);
    distinct_ += seen_[name.number] ? 0 : 1;
    seen_[name.number] = true;
    changed_.notify_all();
  }

  mosquitto* const handle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool subscribed_ = false;
  std::vector<bool> seen_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t distinct_ = 0;
};

// Publishes to the local broker during one of its lives, on the caller's thread.
class Publisher {
 public:
  Publisher(std::uint16_t port, std::uint64_t& next)
      : handle_(mosquitto_new(nullptr, true, this)), next_(next) {
    mosquitto_publish_callback_set(handle_, [](mosquitto*, void* obj, int mid) {
      auto* self = static_cast<Publisher*>(obj);
      const auto found = self->open_.find(mid);
      if (found == self->open_.end()) return;
      self->acknowledged_.push_back(found->second);
      self->open_.erase(found);
    });
    mosquitto_max_inflight_messages_set(handle_, 0);
    connected_ = mosquitto_connect(handle_, "127.0.0.1", port, 30) == MOSQ_ERR_SUCCESS;
  }
  ~Publisher() { mosquitto_destroy(handle_); }
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  void publishUntil(Clock::time_point end) {
    auto tick = Clock::now();
    while (connected_ && Clock::now() < end) {
      if (Clock::now() >= tick) {
        tick += kTick;
        for (std::uint32_t i = 0; i < kSources * kBurst; ++i) publish(i % kSources);
      }
      if (mosquitto_loop(handle_, 1, 1) != MOSQ_ERR_SUCCESS) connected_ = false;
    }
  }
  // The broker is gone: what it said before is still to be read.
  std::vector<std::uint64_t> acknowledged() {
    while (connected_ && mosquitto_loop(handle_, 100, 1) == MOSQ_ERR_SUCCESS) {
    }
    return acknowledged_;
  }

 private:
  void publish(std::uint32_t source) {
    const std::uint64_t number = ++next_;
    const std::string body = bodyOf({kRun, source, number}, kBodyBytesMax);
    int mid = 0;
    if (mosquitto_publish(handle_, &mid, fmt::format("load/{}", source).c_str(),
                          static_cast<int>(body.size()), body.data(), 1,
                          false) == MOSQ_ERR_SUCCESS) {
      open_[mid] = number;
    }
  }

  mosquitto* const handle_;
  std::uint64_t& next_;
  bool connected_ = false;
  std::unordered_map<int, std::uint64_t> open_;
  std::vector<std::uint64_t> acknowledged_;
};

std::string localSettings(Autosave autosave, std::uint16_t far_port) {
  std::string text = "max_inflight_messages 64\nlog_type none\n";
  if (autosave != Autosave::kDefault) text += "autosave_interval 1\n";
  if (autosave == Autosave::kEachChange) text += "autosave_on_changes true\n";
  return text + fmt::format(
                    "connection up\naddress 127.0.0.1:{}\ntopic load/# out 1\ncleansession false\n"
                    "remote_clientid bridge\nnotifications false\nrestart_timeout 1\n",
                    far_port);
}

}  // namespace

BridgeReport runBridge(Autosave autosave, std::uint64_t cuts, std::uint64_t seed) {
  const auto began = Clock::now();
  std::mt19937_64 random(seed);
  const auto fraction = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
  testing::Mosquitto far({.extra = "max_inflight_messages 0\nlog_type none\n"});
  mosquitto_lib_init();
  Sink sink(far.port());
  testing::Mosquitto local({.extra = localSettings(autosave, far.port())});
  BridgeReport report;
  report.autosave = autosave;
  std::vector<std::uint64_t> acknowledged;
  for (; report.cuts < cuts; ++report.cuts) {
    if (!local.running()) local.start();
    Publisher publisher(local.port(), report.published);
    const auto start = Clock::now();
    const auto within = [&](double us) {
      return std::chrono::microseconds(static_cast<std::int64_t>(fraction() * us));
    };
    const auto life = within(200'000);
    const auto end = start + life;
    const auto middle = start + within(static_cast<double>(life.count()));
    const double link = fraction();
    publisher.publishUntil(link < 0.2 ? middle : end);
    if (link < 0.15) takeOver(far.port(), "bridge");
    if (link >= 0.15 && link < 0.2) far.pause();
    publisher.publishUntil(end);
    local.kill();
    if (link >= 0.15 && link < 0.2) far.resume();
    const auto more = publisher.acknowledged();
    acknowledged.insert(acknowledged.end(), more.begin(), more.end());
  }
  local.start();
  sink.waitForQuiet();
  report.acknowledged = acknowledged.size();
  for (const std::uint64_t number : acknowledged) {
    report.acknowledged_lost += sink.has(number) ? 0 : 1;
  }
  report.received = sink.distinct();
  report.duplicates = sink.duplicates();
  report.seconds = std::chrono::duration<double>(Clock::now() - began).count();
  return report;
}

boost::json::object jsonOf(const BridgeReport& report) {
  const char* autosave = "default";
  if (report.autosave == Autosave::kEachSecond) autosave = "each second";
  if (report.autosave == Autosave::kEachChange) autosave = "each change";
  return {{"peer", "mosquitto bridge"},
          {"autosave", autosave},
          {"form", "kill"},
          {"cuts", report.cuts},
          {"published", report.published},
          {"acknowledged", report.acknowledged},
          {"received", report.received},
          {"duplicates", report.duplicates},
          {"acknowledged_lost", report.acknowledged_lost},
          {"seconds", report.seconds}};
}

}  // namespace kante::durability
