#include "tests/plugins/remote_module.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstring>
#include <future>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "host/base/log.h"
#include "host/message/message.h"
#include "host/runtime/event_name.h"
#include "host/runtime/module_life.h"
#include "host/runtime/module_port.h"
#include "host/shard/shard.h"
#include "sandbox/wire/frames.h"
#include "tests/kits/sandbox_lives.h"
#include "tests/plugins/told_time.h"

namespace kante {
namespace {

constexpr std::chrono::seconds kWithin{60};
constexpr std::uint64_t kOwnTokens = std::uint64_t{1} << 62;  // Of methods that tell the time.

kante_str strOf(std::string_view text) { return {text.data(), text.size()}; }

template <typename Table>
const Table& extension(const kante_host& host, const char* id) {
  return *static_cast<const Table*>(host.get_extension(&host, id));
}

// A control thread, a shard and a launcher, for all modules of this program and until its end.
struct Rig {
  Rig() {
    shard->start();
    onControl([this] { lives.emplace(control, log); });
  }
  void onControl(const std::function<void()>& task) {
    std::promise<void> done;
    boost::asio::post(control, [&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void onShard(const std::function<void()>& task) const {
    const auto done = std::make_shared<std::promise<void>>();
    shard->post([&task, done] {
      task();
      done->set_value();
    });
    done->get_future().wait();
  }
  static Rig& get() {
    static Rig* const rig = new Rig;
    return *rig;
  }

  boost::asio::io_context control;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      control.get_executor()};
  std::thread thread{[this] { control.run(); }};
  Log log{Log::Format::kSilent, LogLevel::kError};
  CallbackSlot slot;
  std::shared_ptr<Shard> shard = std::make_shared<Shard>(0, &slot);
  std::optional<SandboxLives> lives;
};

// What inRunner() was told.
struct Program {
  const kante_entry* like = nullptr;
  std::string library;
};
Program& program() {
  static Program one;
  return one;
}

// The test's thread calls it and waits; the life answers on its shard, and what the module asks
// goes from there to the test's host, as from a thread of the module's own.
class RemoteModule final : public LifeOwner, public ModulePort {
 public:
  explicit RemoteModule(const kante_host& test) : test_(test), table_(makeHostTable(*this)) {}

  kante_status create(kante_msg* config) {
    Rig& rig = Rig::get();
    std::uint32_t count = 0;
    const auto* words = static_cast<const std::uint64_t*>(test_.msg_words(config, &count));
    const MessageRef message = *messageFromWords(words, count);
    rig.onControl([&] {
      life_ = *rig.lives->make({"module", program().like->id, program().library}, *rig.shard);
    });
    onShard([&] { (void)life_->create(table_, *this, message.get()); });
    if (!await("create", [&] { return created_.has_value(); })) return KANTE_E_INTERNAL;
    if (*created_ != KANTE_OK) {
      explainNow(*created_);
      destroy();
      return *created_;
    }
    onShard([&] { life_->routesAreThere(); });
    return quiet() ? KANTE_OK : KANTE_E_INTERNAL;
  }

  kante_status onEvent(const kante_event& event) {
    const bool goes_on = event.type != KANTE_EVENT_DRAIN && event.type != KANTE_EVENT_DONE &&
                         event.type != KANTE_EVENT_WRITABLE;
    if (goes_on && std::exchange(saved_, false)) onShard([&] { life_->resume(); });
    tellTime(event);
    {
      const std::lock_guard lock(mutex_);
      in_event_ = event.type;
      input_ = event.type == KANTE_EVENT_INPUT ? event.token : 0;
      settled_.reset();
      ended_ = KANTE_OK;
      text_.clear();
    }
    kante_status status = event.type == KANTE_EVENT_TIMER ? fire(event) : hand(event);
    if (!quiet()) return KANTE_E_INTERNAL;
    if (event.type == KANTE_EVENT_SAVE) saved_ = true;
    const std::lock_guard lock(mutex_);
    in_event_ = 0;
    if (std::exchange(input_, 0) != 0) {
      status = settled_.value_or(KANTE_PENDING);
    } else if (status >= KANTE_OK) {
      status = ended_;
    }
    if (status < KANTE_OK) explainNow(status);
    return status;
  }

  void destroy() {
    std::promise<void> gone;
    onShard([&] { life_->destroy([&] { gone.set_value(); }); });
    gone.get_future().wait();
    onShard([&] { life_.reset(); });
  }

  // ---- LifeOwner ----
  void createEnded(kante_status status, const std::string& text, bool promised_ready) override {
    if (promised_ready) (void)test_.get_extension(&test_, KANTE_EXT_LIFECYCLE);
    change([&] {
      created_ = status;
      text_ = text;
    });
  }
  void startFailed(Error error) override {
    change([&] { broken_ = "did not start: " + error.text; });
  }
  void roomAgain() override {
    change([&] { ++rooms_; });
  }
  void inputsHandled(std::uint32_t) override {}
  void inputsRecalled() override {}
  kante_status emitted(std::uint32_t output, MessageRef& message, std::uint8_t,
                       std::uint64_t token) override {
    void* scratch = laid(message.get());
    const kante_status status = test_.publish(&test_, output, scratch, message.wordCount(), token);
    if (status == KANTE_OK) {
      message = MessageRef();
      ++emits_;
    } else {
      test_.msg_abandon(&test_, scratch);
    }
    return status;
  }
  void lost(std::uint32_t, const MessageRef&) override {}  // Of a test that granted no more credit.
  void together(const std::function<void()>& work) override { work(); }
  void eventEnded(std::uint32_t type, std::uint64_t, kante_status status,
                  const std::string& text) override {
    change([&] {
      if (type == KANTE_EVENT_HEALTH) return static_cast<void>(++healths_);
      const std::uint32_t sent_as =
          in_event_ == KANTE_EVENT_TIMER ? std::uint32_t{KANTE_EVENT_METHOD} : in_event_;
      if (type != sent_as) return;
      ended_ = status;
      // That of an input begins with its sender.
      text_ = type == KANTE_EVENT_INPUT ? text.substr(text.find('\n') + 1) : text;
    });
  }
  void violated(const std::string& what) override {
    ADD_FAILURE() << "the module's sandbox had to refuse something: it " << what;
  }
  void died(const LifeEnd& end) override {
    change([&] { broken_ = "its runner ended: " + end.reason; });
  }

  // ---- ModulePort: what goes on to the test's host ----
  kante_status settle(std::uint64_t token, kante_status status) override {
    {
      const std::lock_guard lock(mutex_);
      if (token == input_) {
        settled_ = status;
        return KANTE_OK;
      }
    }
    return test_.settle(&test_, token, status);
  }
  void explain(kante_status, std::string_view text) override {
    change([&] { text_ = text; });
  }
  void drained() override { test_.drained(&test_); }
  void log(std::uint32_t level, std::string_view text) override {
    if (text.find(" messages when it was destroyed") != std::string_view::npos)
      ADD_FAILURE() << "the module " << text;
    test_.log(&test_, level, strOf(text));
  }
  kante_status report(kante_msg* patch, std::uint64_t token) override {
    return with(patch, [&](kante_msg* message) {
      return extension<kante_twin_v1>(test_, KANTE_EXT_TWIN).report(&test_, message, token);
    });
  }
  kante_status reply(std::uint64_t token, std::int32_t code, kante_msg* result) override {
    if (token > kOwnTokens) return KANTE_OK;
    return with(result, [&](kante_msg* message) {
      return extension<kante_twin_v1>(test_, KANTE_EXT_TWIN).reply(&test_, token, code, message);
    });
  }
  kante_status defineMetric(std::string_view name, std::uint32_t kind, std::uint32_t* id) override {
    return metrics().define(&test_, strOf(name), kind, id);
  }
  void addMetric(std::uint32_t id, std::int64_t delta) override {
    metrics().add(&test_, id, delta);
  }
  void recordMetric(std::uint32_t id, double value) override {
    metrics().record(&test_, id, value);
  }
  kante_status storageGet(std::string_view key, std::uint64_t token) override {
    if (isOfTime(key)) return KANTE_OK;
    return storage().get(&test_, strOf(key), token);
  }
  kante_status storagePut(std::string_view key, kante_msg* value, std::uint64_t token) override {
    return with(value, [&](kante_msg* message) {
      return storage().put(&test_, strOf(key), message, token);
    });
  }
  kante_status storageErase(std::string_view key, std::uint64_t token) override {
    return storage().erase(&test_, strOf(key), token);
  }
  kante_status saveState(std::uint64_t token, std::uint64_t format, const void* data,
                         std::size_t size) override {
    return extension<kante_state_v1>(test_, KANTE_EXT_STATE)
        .save(&test_, token, format, data, size);
  }
  void ready() override { extension<kante_lifecycle_v1>(test_, KANTE_EXT_LIFECYCLE).ready(&test_); }
  kante_status defer(std::uint32_t ms) override {
    return extension<kante_lifecycle_v1>(test_, KANTE_EXT_LIFECYCLE).defer(&test_, ms);
  }
  kante_status invoke(std::string_view target, std::string_view name, kante_msg* arguments,
                      std::uint32_t timeout_ms, std::uint64_t token) override {
    return with(arguments, [&](kante_msg* message) {
      return extension<kante_invoke_v1>(test_, KANTE_EXT_INVOKE)
          .invoke(&test_, strOf(target), strOf(name), message, timeout_ms, token);
    });
  }
  kante_status open(std::string_view what, std::uint64_t token) override {
    change([&] { opens_.insert(token); });
    return extension<kante_device_v1>(test_, KANTE_EXT_DEVICE).open(&test_, strOf(what), token);
  }

  // ---- ModulePort: what a life does not ask ----
  kante_status sealMessage(void*, std::uint32_t, kante_msg**) override { return KANTE_E_STATE; }
  kante_status emit(std::uint32_t, kante_msg*, std::uint64_t) override { return KANTE_E_STATE; }
  kante_status publish(std::uint32_t, void*, std::uint32_t, std::uint64_t) override {
    return KANTE_E_STATE;
  }
  std::uint64_t nowNs() override { return 0; }
  kante_status setTimer(std::uint32_t, std::uint64_t, std::uint64_t) override {
    return KANTE_E_STATE;
  }
  kante_status cancelTimer(std::uint32_t) override { return KANTE_E_STATE; }
  void promisedReady() override {}

 private:
  void onShard(const std::function<void()>& task) const { Rig::get().onShard(task); }
  template <typename Change>
  void change(Change make) {
    const std::lock_guard lock(mutex_);
    make();
    changed_.notify_all();
  }
  // False, and the test fails: the runner is gone, or does not do it.
  template <typename Condition>
  bool await(const char* what, Condition condition) {
    std::unique_lock lock(mutex_);
    const bool done =
        changed_.wait_for(lock, kWithin, [&] { return condition() || !broken_.empty(); });
    if (done && broken_.empty()) return true;
    ADD_FAILURE() << what << ": the module in the runner "
                  << (broken_.empty() ? "did not answer" : broken_);
    return false;
  }

  bool isOpened(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    return opens_.erase(token) != 0;
  }

  // Sends an event, once there is room for it.
  kante_status hand(const kante_event& event) {
    kante_event own = event;
    const MessageRef message =
        event.word_count == 0 ? MessageRef() : *messageFromWords(event.words, event.word_count);
    own.msg = message.get();
    own.words = message ? message.words() : nullptr;
    const bool brings = event.type == KANTE_EVENT_DONE && isOpened(event.token) &&
                        event.status == KANTE_OK && !message;
    const int fd = brings ? static_cast<int>(event.arg) : -1;
    kante_status status = KANTE_E_AGAIN;
    while (status == KANTE_E_AGAIN) {
      const std::uint64_t rooms = rooms_;
      onShard([&] {
        status = event.type == KANTE_EVENT_INPUT ? life_->onInput(own, 1)
                 : fd >= 0                       ? life_->onOpened(own, fd)
                                                 : life_->onEvent(own);
      });
      if (status == KANTE_E_AGAIN && !await("room", [&] { return rooms_ != rooms; })) break;
    }
    if (fd >= 0) ::close(fd);
    return status == KANTE_PENDING ? KANTE_OK : status;
  }

  // Until all is done that the module does for what it was sent: what it says of a turn goes out
  // before the answer of the next, and what leaves it may bring it credit for more.
  bool quiet() {
    std::uint64_t emits = emits_;
    for (int silent = 0; silent < 2; silent = emits_ == emits ? silent + 1 : 0, emits = emits_) {
      const std::uint64_t healths = healths_;
      kante_event health{};
      health.struct_size = sizeof health;
      health.type = KANTE_EVENT_HEALTH;
      (void)hand(health);
      if (!await("an event", [&] { return healths_ != healths; })) return false;
    }
    return true;
  }

  // ---- time (told_time.h)
  kante_status method(const std::string& name) {
    kante_event method{};
    method.struct_size = sizeof method;
    method.type = KANTE_EVENT_METHOD;
    method.token = kOwnTokens + ++methods_;
    method.name = strOf(name);
    return hand(method);
  }
  void tellTime(const kante_event& event) {
    const std::uint64_t now = timers().now_ns(&test_);
    if (now == told_ns_ || event.type == KANTE_EVENT_TIMER) return;
    told_ns_ = now;
    (void)method(told_time::kNow + std::to_string(now));
  }
  kante_status fire(const kante_event& event) {
    told_ns_ = timers().now_ns(&test_);
    return method(told_time::kFire + std::to_string(told_ns_) + " " + std::to_string(event.id) +
                  " " + std::to_string(event.arg));
  }
  bool isOfTime(std::string_view key) {
    const bool is_set = key.starts_with(told_time::kSet);
    if (!is_set && !key.starts_with(told_time::kCancel)) return false;
    const char* prefix = is_set ? told_time::kSet : told_time::kCancel;
    std::istringstream numbers{std::string(key.substr(std::strlen(prefix)))};
    std::uint32_t id = 0;
    std::uint64_t first = 0, period = 0;
    numbers >> id >> first >> period;
    if (is_set) {
      (void)timers().set(&test_, id, first, period);
    } else {
      (void)timers().cancel(&test_, id);
    }
    return true;
  }

  // ---- the test's host
  void explainNow(kante_status status) {
    if (!text_.empty()) test_.explain(&test_, status, strOf(text_));
  }
  void* laid(kante_msg* message) const {
    void* scratch = nullptr;
    (void)test_.msg_alloc(&test_, message->words, 0, &scratch);
    std::memcpy(scratch, message->data(), std::size_t{message->words} * 8);
    return scratch;
  }
  // The call, with the same message as the test's host has messages.
  template <typename Call>
  kante_status with(kante_msg* message, Call call) const {
    if (message == nullptr) return call(nullptr);
    void* scratch = laid(message);
    kante_msg* sealed = nullptr;
    const kante_status status = test_.msg_seal(&test_, scratch, message->words, &sealed);
    if (status != KANTE_OK) {
      test_.msg_abandon(&test_, scratch);
      return status;
    }
    const kante_status answer = call(sealed);
    test_.msg_release(sealed);
    return answer;
  }
  const kante_timers_v1& timers() const {
    return extension<kante_timers_v1>(test_, KANTE_EXT_TIMERS);
  }
  const kante_metrics_v1& metrics() const {
    return extension<kante_metrics_v1>(test_, KANTE_EXT_METRICS);
  }
  const kante_storage_v1& storage() const {
    return extension<kante_storage_v1>(test_, KANTE_EXT_STORAGE);
  }

  const kante_host& test_;
  const kante_host table_;
  std::shared_ptr<ModuleLife> life_;
  bool saved_ = false;
  std::uint64_t told_ns_ = told_time::kBeginNs;
  std::uint64_t methods_ = 0;
  // Counted by the shard's thread.
  std::atomic<std::uint64_t> rooms_{0}, healths_{0}, emits_{0};

  std::mutex mutex_;  // Around all below, which the shard's thread writes.
  std::condition_variable changed_;
  std::optional<kante_status> created_;
  std::string broken_;
  std::set<std::uint64_t> opens_;  // Tokens of what is to be opened.
  std::uint32_t in_event_ = 0;     // 0: none.
  std::uint64_t input_ = 0;        // The token of the input that is being handled.
  std::optional<kante_status> settled_;
  kante_status ended_ = KANTE_OK;
  std::string text_;
};

RemoteModule& of(kante_module* module) { return *reinterpret_cast<RemoteModule*>(module); }

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  auto module = std::make_unique<RemoteModule>(*host);
  const kante_status status = module->create(config);
  if (status == KANTE_OK) *out = reinterpret_cast<kante_module*>(module.release());
  return status;
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  return of(module).onEvent(*event);
}

void destroy(kante_module* module) {
  of(module).destroy();
  delete &of(module);
}

}  // namespace

bool haveRunners() {
  static const bool have = SandboxLives::areThere();
  return have;
}

kante_entry entryInRunner(const kante_entry& like, const char* library) {
  program() = {&like, library};
  kante_entry entry = like;
  entry.create = create;
  entry.on_event = onEvent;
  entry.destroy = destroy;
  return entry;
}

std::size_t underWayMax() { return kOutputCredit; }

}  // namespace kante
