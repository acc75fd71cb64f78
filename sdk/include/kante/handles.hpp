// kante/handles.hpp - what a kante::Module has as members: outputs, timers, metrics, storage,
// lifecycle (include kante/module.hpp).  A handle belongs to the module it was made with and does
// not move.
#pragma once

#include <kante/module.hpp>

#include <deque>

KANTE_SDK_BEGIN

// An output by its name.  Any thread may emit; the order of several threads is the order of return.
// Every emit answers KANTE_OK (all sinks took it), KANTE_E_AGAIN (none did: no credit; onWritable
// follows) or another error (none did).
class Output {
 public:
  // Throws Failure when KANTE_MODULE names no such output.
  Output(Module& module, std::string_view name) : module_(module), index_(indexOf(module, name)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  std::uint32_t index() const { return index_; }

  // done: called when every durable sink has committed and every memory sink has taken it.
  Status emit(const Draft& draft, Module::Callback done = {}) {
    return draft.write(module_.host(), [&](Scratch& scratch) {
      return module_.request(std::move(done),
                             [&](std::uint64_t token) { return scratch.publish(index_, token); });
    });
  }
  Status emit(const Message& message, Module::Callback done = {}) {
    return emitRaw(message.get(), std::move(done));
  }
  // Passes on what came in: the very same message, with this module as its source.
  Status emit(const Input& input, Module::Callback done = {}) {
    return emitRaw(input.raw(), std::move(done));
  }
  // The fast way: a template's words and a body, written once where they will live.
  Status emit(const MessageTemplate& shape, std::string_view body) {
    Scratch scratch(module_.host(), shape.words(body.size()));
    if (scratch.status() != KANTE_OK) return scratch.status();
    shape.write(scratch.at(), body);
    return scratch.publish(index_, 0);
  }

 private:
  static std::uint32_t indexOf(Module& module, std::string_view name) {
    std::uint32_t i = 0;
    for (const char* const* at = module.entry().outputs; *at != nullptr; ++at, ++i) {
      if (name == *at) return i;
    }
    throw Failure(KANTE_E_INVALID, "KANTE_MODULE names no output \"" + std::string(name) + "\"");
  }
  Status emitRaw(kante_msg* msg, Module::Callback done) {
    return module_.request(std::move(done), [&](std::uint64_t token) {
      return module_.host()->emit(module_.host(), index_, msg, token);
    });
  }

  Module& module_;
  std::uint32_t index_;
};

// An output with patience: what finds no credit waits here, in order and bounded, and leaves by
// itself when the output is writable again; a drain waits for it.  On the strand only.
class Outbox {
 public:
  struct Limits {
    std::size_t messages_max = 1024;
    std::size_t bytes_max = 4u << 20;
  };

  Outbox(Module& module, std::string_view output) : Outbox(module, output, Limits()) {}
  Outbox(Module& module, std::string_view output, Limits limits)
      : module_(module), output_(module, output), limits_(limits) {
    module.outboxes_.push_back(this);
  }
  ~Outbox() { std::erase(module_.outboxes_, this); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  std::size_t size() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty(); }
  bool full() const {
    return waiting_.size() >= limits_.messages_max || bytes_ >= limits_.bytes_max;
  }

  // KANTE_OK: sent or waiting here.  KANTE_E_AGAIN: full, the message is not taken.
  Status send(const Draft& draft) { return toSent(place(draft, {})); }
  Status send(const Message& message) { return toSent(place(message, {})); }

  // For onInput, to return as it is: sends what was made of this input.  KANTE_PENDING while it
  // waits here, and the input is settled when it has left, so that an input of a durable route is
  // never lost between; KANTE_E_AGAIN when full, and the host brings a durable input again.
  Status answer(const Input& input, const Draft& draft) {
    return toAnswer(input, place(draft, tokensOf(input)));
  }
  // The same with the input itself.
  Status forward(const Input& input) {
    return toAnswer(input, place(input.keep(), tokensOf(input)));
  }
  // For a message made of many inputs.  KANTE_OK: it has left, and the caller settles.
  // KANTE_PENDING: it waits here, and these tokens are settled when it has left.  KANTE_E_AGAIN:
  // full, nothing is taken.
  Status sendFor(const std::vector<std::uint64_t>& tokens, const Draft& draft) {
    return place(draft, tokens);
  }

  // Sends what it can; called by the module when the output is writable.
  void flush() {
    while (!waiting_.empty()) {
      const Status status = output_.emit(waiting_.front().message);
      if (status == KANTE_E_AGAIN) return;
      const Waiting sent = std::move(waiting_.front());
      waiting_.pop_front();
      bytes_ -= sent.bytes;
      if (status != KANTE_OK)
        module_.warn("an output refused a waiting message: ", statusName(status));
      for (const std::uint64_t token : sent.tokens) module_.settle(token, status);
    }
  }
  std::uint32_t output() const { return output_.index(); }

 private:
  using Tokens = std::vector<std::uint64_t>;
  struct Waiting {
    Message message;
    std::size_t bytes;
    Tokens tokens;
  };

  // KANTE_OK: sent.  KANTE_PENDING: waits.
  Status place(const Draft& draft, const Tokens& tokens) {
    if (full()) return KANTE_E_AGAIN;
    return draft.write(module_.host(), [&](Scratch& scratch) {
      if (waiting_.empty()) {
        const Status status = scratch.publish(output_.index(), 0);
        if (status != KANTE_E_AGAIN) return status;
      }
      Message message;
      const Status status = scratch.seal(message);
      return status == KANTE_OK ? keep(std::move(message), tokens) : status;
    });
  }
  Status place(const Message& message, const Tokens& tokens) {
    if (full()) return KANTE_E_AGAIN;
    if (waiting_.empty()) {
      const Status status = output_.emit(message);
      if (status != KANTE_E_AGAIN) return status;
    }
    return keep(message, tokens);
  }
  Status keep(Message message, const Tokens& tokens) {
    const std::size_t bytes = message.view().wordCount() * sizeof(std::uint64_t);
    waiting_.push_back({std::move(message), bytes, tokens});
    bytes_ += bytes;
    return KANTE_PENDING;
  }
  static Tokens tokensOf(const Input& input) {
    return input.isDurable() ? Tokens{input.token()} : Tokens();
  }
  static Status toSent(Status placed) { return placed == KANTE_PENDING ? KANTE_OK : placed; }
  static Status toAnswer(const Input& input, Status placed) {
    return input.isDurable() ? placed : toSent(placed);
  }

  Module& module_;
  Output output_;
  Limits limits_;
  std::deque<Waiting> waiting_;
  std::size_t bytes_ = 0;
};

// Calls back on the strand.  At most 64 a module; stops when destroyed.
class Timer {
 public:
  // Throws Failure when the host has no timers or all 64 are taken.
  Timer(Module& module, std::function<void()> call) : module_(module), call_(std::move(call)) {
    if (module.timers_ == nullptr)
      throw Failure(KANTE_E_UNSUPPORTED, "the host has no " KANTE_EXT_TIMERS);
    const auto free = std::find(module.timer_slots_.begin(), module.timer_slots_.end(), nullptr);
    if (free == module.timer_slots_.end()) throw Failure(KANTE_E_LIMIT, "more than 64 timers");
    *free = this;
    id_ = static_cast<std::uint32_t>(free - module.timer_slots_.begin());
  }
  ~Timer() {
    cancel();
    module_.timer_slots_[id_] = nullptr;
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // First after `first`, then every `period`; replaces what was set.  [any]
  Status every(std::chrono::nanoseconds period, std::chrono::nanoseconds first) {
    return module_.timers_->set(module_.host(), id_, static_cast<std::uint64_t>(first.count()),
                                static_cast<std::uint64_t>(period.count()));
  }
  Status every(std::chrono::nanoseconds period) { return every(period, period); }
  Status once(std::chrono::nanoseconds after) { return every(std::chrono::nanoseconds(0), after); }
  Status cancel() { return module_.timers_->cancel(module_.host(), id_); }
  // How often it expired since the last call: more than 1 when the strand was busy.
  std::uint64_t expirations() const { return expirations_; }

 private:
  friend class Module;
  Module& module_;
  std::function<void()> call_;
  std::uint32_t id_ = 0;
  std::uint64_t expirations_ = 0;
};

// Metrics appear as kante_module_NAME{module="…"}; without the extension they do nothing.  [any]
// Names: [a-z][a-z0-9_]{0,63}.  At most 64 a module; throws Failure when the host refuses one.
class Metric {
 protected:
  Metric(Module& module, std::string_view name, std::uint32_t kind)
      : host_(module.host()), table_(module.extension<kante_metrics_v1>(KANTE_EXT_METRICS)) {
    if (table_ == nullptr) return;
    const Status status = table_->define(host_, toStr(name), kind, &id_);
    if (status == KANTE_OK) return;
    throw Failure(status, "metric \"" + std::string(name) + "\" refused: " + statusName(status));
  }
  void addTo(std::int64_t delta) const {
    if (table_ != nullptr) table_->add(host_, id_, delta);
  }
  void recordTo(double value) const {
    if (table_ != nullptr) table_->record(host_, id_, value);
  }

 private:
  const kante_host* host_;
  const kante_metrics_v1* table_;
  std::uint32_t id_ = 0;
};
class Counter : Metric {
 public:
  Counter(Module& module, std::string_view name) : Metric(module, name, 0) {}
  void add(std::int64_t delta = 1) const { addTo(delta); }
};
class Gauge : Metric {
 public:
  Gauge(Module& module, std::string_view name) : Metric(module, name, 1) {}
  void set(double value) const { recordTo(value); }
  void add(std::int64_t delta) const { addTo(delta); }
};
class Histogram : Metric {
 public:
  Histogram(Module& module, std::string_view name) : Metric(module, name, 2) {}
  void record(double value) const { recordTo(value); }
};

// Private key-values of this module that outlive it.  Keys: 1 to 256 bytes.  [any]
class Storage {
 public:
  // Throws Failure when the host has no storage.
  explicit Storage(Module& module)
      : module_(module), table_(module.extension<kante_storage_v1>(KANTE_EXT_STORAGE)) {
    if (table_ == nullptr) throw Failure(KANTE_E_UNSUPPORTED, "the host has no " KANTE_EXT_STORAGE);
  }
  // Done: KANTE_E_NOT_FOUND where there is none.
  Status get(std::string_view key, Module::Callback done) {
    return module_.request(std::move(done), [&](std::uint64_t token) {
      return table_->get(module_.host(), toStr(key), token);
    });
  }
  Status put(std::string_view key, const Draft& value, Module::Callback done = {}) {
    Message message;
    if (const Status status = value.seal(module_.host(), message); status != KANTE_OK)
      return status;
    return module_.request(std::move(done), [&](std::uint64_t token) {
      return table_->put(module_.host(), toStr(key), message.get(), token);
    });
  }
  Status erase(std::string_view key, Module::Callback done = {}) {
    return module_.request(std::move(done), [&](std::uint64_t token) {
      return table_->erase(module_.host(), toStr(key), token);
    });
  }

 private:
  Module& module_;
  const kante_storage_v1* table_;
};

// For a module that is not ready as soon as it is created.  Having this member promises ready().
// [any]
class Lifecycle {
 public:
  explicit Lifecycle(Module& module)
      : host_(module.host()), table_(module.extension<kante_lifecycle_v1>(KANTE_EXT_LIFECYCLE)) {}
  void ready() const {
    if (table_ != nullptr) table_->ready(host_);
  }
  // Asks that a pending stop or upgrade wait this long from now.
  Status defer(std::chrono::milliseconds wait) const {
    if (table_ == nullptr) return KANTE_E_UNSUPPORTED;
    return table_->defer(host_, static_cast<std::uint32_t>(wait.count()));
  }

 private:
  const kante_host* host_;
  const kante_lifecycle_v1* table_;
};

KANTE_SDK_END
