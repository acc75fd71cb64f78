// kante/module.hpp - a Kante module in C++: derive from kante::Module, name it with KANTE_MODULE.
//
//   #include <kante/module.hpp>
//
//   class Doubler : public kante::Module {
//    public:
//     using Module::Module;
//     kante::Status onInput(const kante::Input& input) override {
//       const double number = input.json().number().value_or(0);
//       return out_.answer(input, kante::Draft::json(2 * number));
//     }
//
//    private:
//     kante::Outbox out_{*this, "out"};
//   };
//   KANTE_MODULE(Doubler, "com.example.doubler", "1.0.0", KANTE_INPUTS("in"), KANTE_OUTPUTS("out"))
//
// Everything runs on the instance's strand: no two handlers at once, so members need no lock (the
// thread may differ from call to call).  What other threads of the module may call is marked [any].
// A handler must not wait.  What it throws stops at the fence: a kante::Failure becomes its status
// and text, bad_alloc KANTE_E_LIMIT, anything else KANTE_E_INTERNAL.
//
// Header only; needs libc, libm, libgcc and libstdc++ and nothing else.
#pragma once

#include <kante/draft.hpp>
#include <kante/events.hpp>
#include <kante/fields.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>

KANTE_SDK_BEGIN

class Outbox;
class Timer;

// What create() knows: given to the constructor of a module, valid while that runs.
class Start {
 public:
  Start(const kante_host* host, const kante_entry& entry, kante_msg* config)
      : host_(host), entry_(entry), message_(Message::share(host, config)) {
    if (message_ && !message_.view().body().empty()) config_ = json::parse(message_.view().body());
  }
  const kante_host* host() const { return host_; }
  const kante_entry& entry() const { return entry_; }
  // Null when the deployment has none.
  const json::Value& config() const { return config_; }
  MessageView configMessage() const { return message_.view(); }

 private:
  const kante_host* host_;
  const kante_entry& entry_;
  Message message_;
  json::Value config_;
};

class Module {
 public:
  static constexpr std::size_t kTimersMax = 64;  // By the ABI.
  static constexpr std::size_t kRequestsMax =
      1024;  // Open at a time; a further one is KANTE_E_LIMIT.
  using Callback = std::function<void(const Done&)>;

  // Throw Failure from the constructor of the derived class to refuse a configuration.
  explicit Module(Start& start) : host_(start.host()), entry_(start.entry()) {
    twin_ = extension<kante_twin_v1>(KANTE_EXT_TWIN);
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
  }
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // ---- handlers: what happens to a module ----

  // KANTE_OK: done with it.  KANTE_E_AGAIN: bring it again later.  KANTE_PENDING: kept,
  // settle(token) follows (durable routes).  Any other error is a failed attempt.
  virtual Status onInput(const Input&) { return KANTE_E_UNSUPPORTED; }
  // Answer by method.reply(), now or, moved somewhere, later.
  virtual Status onMethod(Method method) {
    method.decline();
    return KANTE_E_UNSUPPORTED;
  }
  virtual Status onDesired(const Desired&) { return KANTE_E_UNSUPPORTED; }
  // Stop taking work; call drained() when quiet.  Outboxes are waited for by themselves.
  virtual void onDrain() { drained(); }
  // KANTE_OK is healthy; throw a Failure that says why not.
  virtual Status onHealth() { return KANTE_OK; }
  // What a new version of this module shall know; nothing: no state is carried over.
  virtual std::optional<State> onSave() { return std::nullopt; }
  // State of an earlier version, before any other event.  Throw a Failure to refuse it.
  virtual Status onRestore(const State&) { return KANTE_E_UNSUPPORTED; }
  // An output that said KANTE_E_AGAIN has credit again.  An Outbox sees to it by itself.
  virtual void onWritable(std::uint32_t /*output*/) {}
  // An event that this SDK does not know.
  virtual Status onEvent(const kante_event&) { return KANTE_E_UNSUPPORTED; }

  // ---- what a module can do ----

  const kante_host* host() const { return host_; }
  const kante_entry& entry() const { return entry_; }

  // Text of the parts one after the other, e.g. info("kept ", count, " of ", name).  Rate limited.
  // [any]
  template <typename... Parts>
  void debug(const Parts&... parts) const {
    log(1, parts...);
  }
  template <typename... Parts>
  void info(const Parts&... parts) const {
    log(2, parts...);
  }
  template <typename... Parts>
  void warn(const Parts&... parts) const {
    log(3, parts...);
  }
  template <typename... Parts>
  void error(const Parts&... parts) const {
    log(4, parts...);
  }

  // Attaches a sentence to the error that the running handler is about to return.
  Status explain(Status status, std::string_view text) const {
    host_->explain(host_, status, toStr(text));
    return status;
  }

  // Monotonic, of the host (a test turns it by hand).  [any]
  std::chrono::nanoseconds now() const {
    if (timers_ != nullptr) return std::chrono::nanoseconds(timers_->now_ns(host_));
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  // Ends the delivery for which onInput said KANTE_PENDING; nothing for token 0.  [any]
  Status settle(std::uint64_t token, Status status = KANTE_OK) const {
    return token == 0 ? KANTE_OK : host_->settle(host_, token, status);
  }

  // A JSON merge patch of the reported properties; done when stored.  [any]
  Status report(const json::Value& patch, Callback done = {}) {
    if (twin_ == nullptr) return KANTE_E_UNSUPPORTED;
    Message message;
    if (const Status status = Draft::json(patch).seal(host_, message); status != KANTE_OK)
      return status;
    return request(std::move(done),
                   [&](std::uint64_t token) { return twin_->report(host_, message.get(), token); });
  }

  // Calls a direct method of "module/NAME" or "device/ID".  Done: arg is the method's own status,
  // json() its result.  [any]
  Status invoke(std::string_view target, std::string_view name, const json::Value& arguments,
                std::chrono::milliseconds timeout, Callback done) {
    const auto* invoke = extension<kante_invoke_v1>(KANTE_EXT_INVOKE);
    if (invoke == nullptr) return KANTE_E_UNSUPPORTED;
    Message message;
    if (const Status status = Draft::json(arguments).seal(host_, message); status != KANTE_OK)
      return status;
    return request(std::move(done), [&](std::uint64_t token) {
      return invoke->invoke(host_, toStr(target), toStr(name), message.get(),
                            static_cast<std::uint32_t>(timeout.count()), token);
    });
  }

  // Has the host open what the manifest asks for and the deployment grants, in the words of
  // KANTE_EXT_DEVICE: "read:/PATH", "tcp:HOST:PORT", …  Done: descriptor(), or json() for a list or
  // an error.  [any]
  Status open(std::string_view what, Callback done) {
    const auto* device = extension<kante_device_v1>(KANTE_EXT_DEVICE);
    if (device == nullptr) return KANTE_E_UNSUPPORTED;
    return request(std::move(done),
                   [&](std::uint64_t token) { return device->open(host_, toStr(what), token); });
  }

  // Quiet after onDrain(): tells the host once the outboxes are empty.
  void drained() {
    draining_ = true;
    tellDrained();
  }

  // Runs ask(token) with a fresh token whose DONE event calls done; token 0 when done is empty.
  // [any]
  template <typename Ask>
  Status request(Callback done, Ask&& ask) {
    std::uint64_t token = 0;
    if (done) {
      const std::lock_guard lock(requests_mutex_);
      if (requests_.size() == kRequestsMax) return KANTE_E_LIMIT;
      token = ++last_token_;
      requests_.emplace(token, std::move(done));
    }
    const Status status = ask(token);
    if (status != KANTE_OK && token != 0) takeRequest(token);
    return status;
  }

  // Null when the host does not have it.  [any]
  template <typename Table>
  const Table* extension(const char* id) const {
    const auto* table = static_cast<const Table*>(host_->get_extension(host_, id));
    return table != nullptr && table->struct_size >= sizeof(Table) ? table : nullptr;
  }

  // Called by the fence for every event.
  Status handle(const kante_event& event);

 private:
  friend class Outbox;
  friend class Timer;

  template <typename... Parts>
  void log(std::uint32_t level, const Parts&... parts) const {
    std::string text;
    (appendText(text, parts), ...);
    host_->log(host_, level, toStr(text));
  }

  Callback takeRequest(std::uint64_t token) {
    const std::lock_guard lock(requests_mutex_);
    auto node = requests_.extract(token);
    return node.empty() ? Callback() : std::move(node.mapped());
  }

  Status handleMethod(const kante_event& event);
  Status handleSave(const kante_event& event);
  void tellDrained();
  void writable(std::uint32_t output);

  const kante_host* host_;
  const kante_entry& entry_;
  const kante_twin_v1* twin_ = nullptr;
  const kante_timers_v1* timers_ = nullptr;
  std::array<Timer*, kTimersMax> timer_slots_{};
  std::vector<Outbox*> outboxes_;
  bool draining_ = false;
  std::mutex
      requests_mutex_;  // Around the map alone: requests may come from the module's own threads.
  std::unordered_map<std::uint64_t, Callback> requests_;
  std::uint64_t last_token_ = 0;
};

KANTE_SDK_END

#include <kante/entry.hpp>
#include <kante/handles.hpp>
