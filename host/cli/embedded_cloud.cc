#include "host/cli/embedded_cloud.h"

#include <pthread.h>

#include <atomic>
#include <charconv>
#include <chrono>

namespace kante::cli {

namespace {
using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTransit{EmbeddedCloud::kTransitMs};
constexpr std::chrono::milliseconds kReconnect{100};
constexpr std::size_t kSourcesMax = 64;
constexpr std::size_t kLastBytes = 160;
}  // namespace

void NumberCheck::received(const std::string& epoch, std::uint64_t number) {
  Epoch& known = epochs_[epoch];
  if (number <= known.whole || !known.beyond.insert(number).second) {
    ++duplicates_;
    return;
  }
  ++delivered_;
  while (!known.beyond.empty() && *known.beyond.begin() == known.whole + 1) {
    ++known.whole;
    known.beyond.erase(known.beyond.begin());
  }
}

std::uint64_t NumberCheck::gaps() const {
  std::uint64_t missing = 0;
  for (const auto& [epoch, known] : epochs_) {
    if (known.beyond.empty()) continue;
    missing += *known.beyond.rbegin() - known.whole - known.beyond.size();
  }
  return missing;
}

struct EmbeddedCloud::Shared {
  mutable std::mutex mutex;  // Around what the demo reads while the client's thread works.
  std::condition_variable wake;
  Link link = Link::kUp;
  NumberCheck numbers;
  Figures figures;
};

// One thread that keeps a small timetable: what arrives when, what is answered when.
class EmbeddedCloud::Client final : public UplinkClient {
 public:
  explicit Client(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Client() override { stop(); }

  Status start(ClientHandler& handler) override {
    handler_ = &handler;
    thread_ = std::thread([this] { loop(); });
    ::pthread_setname_np(thread_.native_handle(), "kante-cloud");
    return {};
  }

  void stop() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(shared_->mutex);
      stopping_ = true;
    }
    shared_->wake.notify_all();
    thread_.join();
    state_ = LinkState::kStopped;
  }

  void post(std::function<void()> work) override {
    {
      const std::lock_guard lock(shared_->mutex);
      if (stopping_) return;
      work_.push_back(std::move(work));
    }
    shared_->wake.notify_all();
  }

  MqttForm form() const override { return MqttForm::k5; }
  Status publish(const Publication& publication, std::uint64_t token) override {
    if (state_ != LinkState::kConnected) return fail(Errc::kUnavailable, "not connected");
    Sent sent;
    sent.token = token;
    sent.topic = publication.topic;
    sent.body = std::string(publication.payload.substr(0, kLastBytes));
    for (const auto& [name, value] : publication.properties) {
      if (name == "kante-epoch") sent.epoch = value;
      if (name == "kante-seq")
        std::from_chars(value.data(), value.data() + value.size(), sent.number);
    }
    sent.arrives = Clock::now() + kTransit;
    sent.answered = sent.arrives + kTransit;
    under_way_.push_back(std::move(sent));
    return {};
  }

  Status subscribe(const std::string&) override { return {}; }
  Status unsubscribe(const std::string&) override { return {}; }
  LinkState state() const override { return state_; }
  std::uint64_t connects() const override { return connects_; }

 private:
  struct Sent {
    std::uint64_t token = 0;
    std::uint64_t number = 0;  // 0: not telemetry.
    std::string epoch, topic, body;
    bool arrived = false;
    Clock::time_point arrives, answered;
  };

  void loop() {
    state_ = LinkState::kConnecting;
    auto connect_at = Clock::now() + kTransit;
    std::unique_lock lock(shared_->mutex);
    while (!stopping_) {
      auto until = Clock::now() + kReconnect;
      if (!under_way_.empty()) until = std::min(until, nextDue());
      if (state_ != LinkState::kConnected) until = std::min(until, connect_at);
      if (work_.empty()) shared_->wake.wait_until(lock, until);
      const Link link = shared_->link;
      std::deque<std::function<void()>> work;
      work.swap(work_);
      lock.unlock();
      for (auto& task : work) task();
      followLink(link, connect_at);
      if (state_ == LinkState::kConnected) {
        deliverWhatIsDue();
        handler_->onTurn();
      }
      lock.lock();
    }
  }

  void followLink(Link link, Clock::time_point& connect_at) {
    const auto now = Clock::now();
    if (link == Link::kDown && state_ == LinkState::kConnected) {
      state_ = LinkState::kWaiting;
      connect_at = now + kReconnect;
      handler_->onDisconnected("the demo cut the link");
    } else if (link == Link::kUp && state_ != LinkState::kConnected && now >= connect_at) {
      state_ = LinkState::kConnected;
      ++connects_;
      for (Sent& sent : under_way_) {  // Repeated: the cloud may see some for the second time.
        sent.arrived = false;
        sent.arrives = now + kTransit;
        sent.answered = sent.arrives + kTransit;
      }
      handler_->onConnected();
    } else if (link == Link::kDown) {
      connect_at = now + kReconnect;
    }
  }

  Clock::time_point nextDue() const {
    auto due = Clock::time_point::max();
    if (state_ != LinkState::kConnected) return due;
    for (const Sent& sent : under_way_) {
      due = std::min(due, sent.arrived ? sent.answered : sent.arrives);
      if (!sent.arrived) break;
    }
    return due;
  }

  void deliverWhatIsDue() {
    const auto now = Clock::now();
    for (Sent& sent : under_way_) {
      if (sent.arrived) continue;
      if (sent.arrives > now) break;
      sent.arrived = true;
      arrive(sent);
    }
    while (!under_way_.empty() && under_way_.front().arrived &&
           under_way_.front().answered <= now) {
      const std::uint64_t token = under_way_.front().token;
      under_way_.pop_front();
      handler_->onPublished(token, 0);
    }
  }

  void arrive(const Sent& sent) {
    if (sent.number == 0) return;
    const std::lock_guard lock(shared_->mutex);
    shared_->numbers.received(sent.epoch, sent.number);
    Figures& figures = shared_->figures;
    figures.delivered = shared_->numbers.delivered();
    figures.duplicates = shared_->numbers.duplicates();
    const auto at = sent.topic.find("/telemetry/");
    const std::string source = at == std::string::npos ? sent.topic : sent.topic.substr(at + 11);
    if (figures.by_source.size() < kSourcesMax || figures.by_source.contains(source)) {
      ++figures.by_source[source];
    }
    figures.last = source + "  " + sent.body;
  }

  const std::shared_ptr<Shared> shared_;
  ClientHandler* handler_ = nullptr;
  std::thread thread_;
  std::deque<std::function<void()>> work_;  // Under shared_->mutex, as stopping_.
  bool stopping_ = false;
  std::deque<Sent> under_way_;  // Its thread only; bounded by the uplink's window.
  std::atomic<LinkState> state_{LinkState::kStopped};
  std::atomic<std::uint64_t> connects_{0};
};

EmbeddedCloud::EmbeddedCloud() : shared_(std::make_shared<Shared>()) {}
EmbeddedCloud::~EmbeddedCloud() = default;

std::unique_ptr<UplinkClient> EmbeddedCloud::client() { return std::make_unique<Client>(shared_); }

void EmbeddedCloud::setLink(Link link) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->link = link;
  }
  shared_->wake.notify_all();
}

EmbeddedCloud::Figures EmbeddedCloud::figures() const {
  const std::lock_guard lock(shared_->mutex);
  Figures figures = shared_->figures;
  figures.gaps = shared_->numbers.gaps();
  return figures;
}

}  // namespace kante::cli
