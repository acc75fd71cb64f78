// Sends the numbers from "start" up to "count" as fast as it may, from its strand or ("thread")
// from a thread of its own, which waits for WRITABLE when there is no credit.  Its state is the
// next number; with "outbox" it says instead that all is sent, and sends the rest while it drains.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {nullptr};
const char* const kOutputs[] = {"out", "other", nullptr};

class Source : public kit::Module {
 public:
  Source(const kante_host* host, kante_msg* config)
      : Module(host, config),
        next_(static_cast<std::uint64_t>(number("start"))),
        end_(static_cast<std::uint64_t>(number("count"))),
        bytes_(static_cast<std::size_t>(number("bytes", 0))),
        tokens_(number("tokens") != 0) {
    state_ = extension<kante_state_v1>(KANTE_EXT_STATE);
    if (has("lifecycle")) lifecycle_ = extension<kante_lifecycle_v1>(KANTE_EXT_LIFECYCLE);
    if (has("bad_restore")) refuses_ = true;
    if (has("idle")) return;
    if (has("thread")) {
      thread_ = std::thread([this] { sendFromThread(); });
    } else {
      send();
    }
  }
  ~Source() override {
    stop();
    if (thread_.joinable()) thread_.join();
  }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_WRITABLE:
        writable();
        if (draining_ && next_ == end_) host_->drained(host_);
        return KANTE_OK;
      case KANTE_EVENT_DONE:
        if (event.status != KANTE_OK) log("lost " + std::to_string(event.token));
        if (++done_ == end_) log("all done");
        return KANTE_OK;
      case KANTE_EVENT_SAVE: {
        if (has("outbox")) {
          const std::string state = std::to_string(end_);
          return state_->save(host_, event.token, 7, state.data(), state.size());
        }
        stop();
        if (thread_.joinable()) thread_.join();
        const std::string state = std::to_string(next_);
        return state_->save(host_, event.token, 7, state.data(), state.size());
      }
      case KANTE_EVENT_RESTORE:
        if (refuses_) return explain(KANTE_E_INVALID, "not my state");
        next_ = std::strtoull(std::string(event.name.data, event.name.size).c_str(), nullptr, 10);
        log("restored " + std::to_string(next_) + " format " + std::to_string(event.arg));
        return KANTE_OK;
      case KANTE_EVENT_DRAIN:
        if (draining_ = has("outbox") && next_ < end_; draining_) return KANTE_OK;
        stop();
        host_->drained(host_);
        return KANTE_OK;
      default: return KANTE_E_UNSUPPORTED;
    }
  }

 private:
  std::string body() const {
    std::string text = std::to_string(next_);
    if (text.size() < bytes_) text.resize(bytes_, ' ');
    return text;
  }
  kante_status sendOne() {
    const kante_status status = publish(0, body(), tokens_ ? next_ + 1 : 0);
    if (status == KANTE_OK) ++next_;
    return status;
  }
  void send() {
    while (!stopping_ && next_ < end_) {
      if (sendOne() != KANTE_OK) return;
    }
    if (next_ == end_) log("sent all");
  }
  void sendFromThread() {
    while (next_ < end_) {
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      const std::uint64_t seen = writables_;
      lock.unlock();
      if (sendOne() == KANTE_OK) continue;
      lock.lock();
      wake_.wait(lock, [&] { return stopping_ || writables_ != seen; });
    }
    log("sent all");
  }
  void writable() {
    if (!thread_.joinable()) return send();
    const std::lock_guard lock(mutex_);
    ++writables_;
    wake_.notify_all();
  }
  void stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }

  std::uint64_t next_;
  const std::uint64_t end_;
  const std::size_t bytes_;
  const bool tokens_;
  bool refuses_ = false;
  bool draining_ = false;
  std::uint64_t done_ = 0;
  const kante_state_v1* state_ = nullptr;
  const kante_lifecycle_v1* lifecycle_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::uint64_t writables_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

KIT_MODULE(Source, "kit-source", kit::create<Source>);
