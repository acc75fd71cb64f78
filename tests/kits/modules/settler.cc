// Ends what it gets as it is told.  Logs "got BODY earlier N" for each; config says how it ends:
//   (nothing)        OK, and passes it on
//   pending          keeps all; the method "settle" [status] ends them in the order of arrival
//   thread           keeps each, passes it on and ends it, from a thread of its own
//   again N          puts off the first N deliveries of the message "poison_at" (else of the first)
//   fail             answers an error to the message whose body is "poison_at"
//   fail_all         to every message
//   both             settles each itself, and then answers an error all the same
//   leak             at its end it does not give back the messages that it keeps
//   late N           with "pending": settles those that it got once there are N
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"out", nullptr};

class Settler : public kit::Module {
 public:
  Settler(const kante_host* host, kante_msg* config)
      : Module(host, config), again_(number("again")) {
    twin_ = extension<kante_twin_v1>(KANTE_EXT_TWIN);
    state_ = extension<kante_state_v1>(KANTE_EXT_STATE);
    if (has("thread")) thread_ = std::thread([this] { work(); });
  }
  ~Settler() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (has("leak")) return;
    for (const Kept& kept : kept_) host_->msg_release(kept.message);
  }

  kante_status event(const kante_event& event) override {
    switch (event.type) {
      case KANTE_EVENT_INPUT: return input(event);
      case KANTE_EVENT_METHOD: return method(event);
      case KANTE_EVENT_WRITABLE: wake_.notify_all(); return KANTE_OK;
      case KANTE_EVENT_SAVE: return state_->save(host_, event.token, 1, "", 0);
      case KANTE_EVENT_DRAIN:
        log("drain with " + std::to_string(kept_.size()));
        if (has("settle_at_drain")) settleKept(KANTE_OK);
        host_->drained(host_);
        return KANTE_OK;
      default: return KANTE_E_UNSUPPORTED;
    }
  }

 private:
  struct Kept {
    std::uint64_t token;
    kante_msg* message;
  };

  kante_status input(const kante_event& event) {
    const std::string body = bodyOf(event);
    if (!has("quiet")) log("got " + body + " earlier " + std::to_string(event.arg));
    if (event.token == 0 && !has("memory")) log("no token");
    const bool is_meant = !has("poison_at") || std::atoll(body.c_str()) == number("poison_at");
    if (is_meant && again_ > 0) {
      --again_;
      return KANTE_E_AGAIN;
    }
    if (has("fail") && is_meant) return explain(KANTE_E_CORRUPT, "cannot stand " + body);
    if (has("fail_all")) return explain(KANTE_E_INVALID, "likes nothing");
    if (has("both")) {
      (void)host_->settle(host_, event.token, KANTE_OK);
      return explain(KANTE_E_INVALID, "after all");
    }
    if (has("pending") || has("thread")) {
      host_->msg_retain(event.msg);
      {
        const std::lock_guard lock(mutex_);
        kept_.push_back({event.token, event.msg});
      }
      wake_.notify_all();
      if (has("late") && static_cast<long long>(kept_.size()) == number("late"))
        settleKept(KANTE_OK);
      return KANTE_PENDING;
    }
    return host_->emit(host_, 0, event.msg, 0);
  }
  kante_status method(const kante_event& event) {
    const int code = static_cast<int>(std::atoi(bodyOf(event).c_str()));
    const std::string name(event.name.data, event.name.size);
    int answer = 200;
    if (name == "settle") {
      settleKept(code);
    } else if (name == "again") {  // The oldest alone.
      const Kept kept = takeFront();
      if (host_->settle(host_, kept.token, KANTE_E_AGAIN) != KANTE_OK) answer = 500;
      host_->msg_release(kept.message);
    } else if (name == "twice") {  // Only the first of two counts; a token of nobody is unknown.
      const Kept kept = takeFront();
      const bool right = host_->settle(host_, kept.token, KANTE_OK) == KANTE_OK &&
                         host_->settle(host_, kept.token, KANTE_OK) == KANTE_E_NOT_FOUND &&
                         host_->settle(host_, 0, KANTE_OK) == KANTE_E_NOT_FOUND &&
                         host_->settle(host_, 1ull << 40, KANTE_OK) == KANTE_E_NOT_FOUND &&
                         host_->settle(host_, ~0ull, KANTE_OK) == KANTE_E_NOT_FOUND;
      if (!right) answer = 500;
      host_->msg_release(kept.message);
    } else {
      return KANTE_E_UNSUPPORTED;
    }
    return twin_->reply(host_, event.token, answer, nullptr);
  }
  void settleKept(kante_status status) {
    for (;;) {
      const Kept kept = takeFront();
      if (kept.message == nullptr) return;
      (void)host_->settle(host_, kept.token, status);
      host_->msg_release(kept.message);
    }
  }
  Kept takeFront() {
    const std::lock_guard lock(mutex_);
    if (kept_.empty()) return {0, nullptr};
    const Kept kept = kept_.front();
    kept_.pop_front();
    return kept;
  }
  void work() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return stopping_ || !kept_.empty(); });
        if (stopping_) return;
      }
      const Kept kept = takeFront();
      while (host_->emit(host_, 0, kept.message, 0) == KANTE_E_AGAIN) {
        std::unique_lock lock(mutex_);
        if (stopping_) break;
        wake_.wait_for(lock, std::chrono::milliseconds(1));
      }
      (void)host_->settle(host_, kept.token, KANTE_OK);
      host_->msg_release(kept.message);
    }
  }

  long long again_;
  const kante_twin_v1* twin_ = nullptr;
  const kante_state_v1* state_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Kept> kept_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

KIT_MODULE(Settler, "kit-settler", kit::create<Settler>);
