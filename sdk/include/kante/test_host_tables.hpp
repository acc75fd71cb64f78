// kante/test_host_tables.hpp - kante::TestHost as the C tables that a module sees (include
// kante/test_host.hpp).
#pragma once

#include <kante/test_host.hpp>

#include <thread>

KANTE_SDK_BEGIN

struct TestHost::Tables {
  static TestHost& of(const kante_host* host) { return *static_cast<TestHost*>(host->ctx); }
  static TestHost& of(TestMessages::Record* record) {
    return *static_cast<TestHost*>(record->owner);
  }
  static std::string text(kante_str text) { return std::string(toView(text)); }

  // Runs call with the host's lock; every function below is [any].
  template <typename Call>
  static auto with(TestHost& self, Call&& call) {
    const std::lock_guard lock(self.mutex_);
    return call(self);
  }

  // ---- the frame ----
  static const void* getExtension(const kante_host* host, const char* id);
  static void log(const kante_host* host, std::uint32_t level, kante_str text) {
    with(of(host), [&](TestHost& self) {
      if (level > 4) self.breach("log() with level " + std::to_string(level));
      if (std::getenv("KANTE_TEST_LOG") != nullptr) {
        std::fprintf(stderr, "[%c] %s\n", "TDIWE?"[std::min(level, 5u)],
                     Tables::text(text).c_str());
      }
      self.log_.push_back({level, Tables::text(text)});
    });
  }
  static void explain(const kante_host* host, kante_status code, kante_str text) {
    with(of(host), [&](TestHost& self) {
      if (!self.in_event_) self.breach("explain() outside of a callback");
      self.explained_ = std::string(statusName(code)) + ": " + Tables::text(text);
    });
  }
  static kante_status allocate(const kante_host* host, std::uint32_t words, std::uint32_t flags,
                               void** out) {
    if (words == 0) return KANTE_E_INVALID;
    if (words > KANTE_MESSAGE_WORDS_MAX) return KANTE_E_LIMIT;
    *out = with(of(host), [&](TestHost& self) { return self.messages_.allocate(words, flags); });
    return KANTE_OK;
  }
  static kante_status sealTo(TestHost& self, void* scratch, std::uint32_t used,
                             std::shared_ptr<const Words>& out) {
    std::string why;
    const Status status = self.messages_.seal(scratch, used, self.now_ns_, out, why);
    if (status == KANTE_E_INVALID) self.breach("seal or publish of " + why);
    if (status != KANTE_OK) self.log_.push_back({3, "message refused: " + why});
    return status;
  }
  static kante_status seal(const kante_host* host, void* scratch, std::uint32_t used,
                           kante_msg** out) {
    return with(of(host), [&](TestHost& self) {
      std::shared_ptr<const Words> words;
      const Status status = sealTo(self, scratch, used, words);
      if (status == KANTE_OK) *out = TestMessages::handle(self.messages_.add(std::move(words), 1));
      return status;
    });
  }
  static void abandon(const kante_host* host, void* scratch) {
    with(of(host), [&](TestHost& self) {
      if (!self.messages_.abandon(scratch))
        self.breach("msg_abandon() of a scratch that the module does not own");
    });
  }
  static const void* words(const kante_msg* msg, std::uint32_t* count) {
    auto* record = TestMessages::record(msg);
    return with(of(record), [&](TestHost& self) -> const void* {
      if (!self.messages_.usable(record)) {
        self.breach("msg_words() of a message that the module no longer holds");
        *count = 0;
        return nullptr;
      }
      *count = static_cast<std::uint32_t>(record->words->size());
      return record->words->data();
    });
  }
  static void retain(kante_msg* msg) {
    auto* record = TestMessages::record(msg);
    with(of(record), [&](TestHost& self) {
      if (!self.messages_.usable(record))
        return self.breach("msg_retain() of a message that the module no longer holds");
      ++record->held;
    });
  }
  static void release(kante_msg* msg) {
    auto* record = TestMessages::record(msg);
    with(of(record), [&](TestHost& self) {
      if (!self.messages_.release(record))
        self.breach("msg_release() of a message that the module does not hold");
    });
  }
  static std::shared_ptr<const Words> wordsOf(TestHost& self, kante_msg* msg, const char* call) {
    auto* record = TestMessages::record(msg);
    if (msg != nullptr && record->owner == &self && self.messages_.usable(record))
      return record->words;
    self.breach(std::string(call) + " with a message that the module does not hold");
    return nullptr;
  }
  static kante_status emit(const kante_host* host, std::uint32_t output, kante_msg* msg,
                           std::uint64_t token) {
    return with(of(host), [&](TestHost& self) {
      const auto words = wordsOf(self, msg, "emit()");
      return words == nullptr ? KANTE_E_INVALID : self.emit(output, words, token);
    });
  }
  static kante_status publish(const kante_host* host, std::uint32_t output, void* scratch,
                              std::uint32_t used, std::uint64_t token) {
    return with(of(host), [&](TestHost& self) -> kante_status {
      // Credit first: on KANTE_E_AGAIN the scratch must stay as it is.
      if (output >= self.credit_.size()) return KANTE_E_INVALID;
      if (self.credit_[output] == 0) return self.emit(output, nullptr, token);
      std::shared_ptr<const Words> words;
      const Status status = sealTo(self, scratch, used, words);
      return status == KANTE_OK ? self.emit(output, words, token) : status;
    });
  }
  static kante_status settle(const kante_host* host, std::uint64_t token, kante_status status) {
    return with(of(host), [&](TestHost& self) -> kante_status {
      if (self.unsettled_.erase(token) == 0) {
        self.breach("settle() of token " + std::to_string(token) + ", which is not open");
        return KANTE_E_STATE;
      }
      self.settled_[token] = status;
      return KANTE_OK;
    });
  }
  static void drained(const kante_host* host) {
    with(of(host), [](TestHost& self) { self.drained_ = true; });
  }

  // ---- extensions ----
  static kante_status report(const kante_host* host, kante_msg* patch, std::uint64_t token) {
    return with(of(host), [&](TestHost& self) -> kante_status {
      const auto words = wordsOf(self, patch, "report()");
      if (words == nullptr) return KANTE_E_INVALID;
      const auto value = json::tryParse(TestMessage(words).body());
      if (!value || !value->isObject()) return KANTE_E_INVALID;
      json::mergePatch(self.reported_, *value);
      self.answerLater(token, KANTE_OK);
      return KANTE_OK;
    });
  }
  static kante_status reply(const kante_host* host, std::uint64_t token, std::int32_t code,
                            kante_msg* result) {
    return with(of(host), [&](TestHost& self) -> kante_status {
      if (self.unanswered_.erase(token) == 0) return KANTE_E_CANCELED;
      Answer& answer = self.answers_[token];
      answer.code = code;
      if (result == nullptr) return KANTE_OK;
      const auto words = wordsOf(self, result, "reply()");
      const auto value =
          words == nullptr ? std::nullopt : json::tryParse(TestMessage(words).body());
      if (value) answer.result = *value;
      return KANTE_OK;
    });
  }
  static std::uint64_t now(const kante_host* host) {
    return with(of(host), [](TestHost& self) { return self.now_ns_; });
  }
  static kante_status setTimer(const kante_host* host, std::uint32_t id, std::uint64_t first,
                               std::uint64_t period) {
    if (id >= 64) return KANTE_E_LIMIT;
    with(of(host), [&](TestHost& self) { self.timers_[id] = {self.now_ns_ + first, period}; });
    return KANTE_OK;
  }
  static kante_status cancelTimer(const kante_host* host, std::uint32_t id) {
    if (id >= 64) return KANTE_E_LIMIT;
    with(of(host), [&](TestHost& self) { self.timers_.erase(id); });
    return KANTE_OK;
  }
  static bool metricName(std::string_view name) {
    if (name.empty() || name.size() > 64 || name[0] < 'a' || name[0] > 'z') return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
  }
  static kante_status define(const kante_host* host, kante_str name, std::uint32_t kind,
                             std::uint32_t* id) {
    if (!metricName(toView(name)) || kind > 2) return KANTE_E_INVALID;
    return with(of(host), [&](TestHost& self) -> kante_status {
      const std::pair<std::string, std::uint32_t> wanted(toView(name), kind);
      auto& names = self.metric_names_;
      const auto known = std::find(names.begin(), names.end(), wanted);
      *id = static_cast<std::uint32_t>(known - names.begin());
      if (known != names.end()) return KANTE_OK;
      if (names.size() == 64) return KANTE_E_LIMIT;
      names.push_back(wanted);
      self.metrics_[wanted.first] = 0;
      return KANTE_OK;
    });
  }
  static void withMetric(const kante_host* host, std::uint32_t id,
                         const std::function<void(double&, std::uint32_t)>& call) {
    with(of(host), [&](TestHost& self) {
      if (id >= self.metric_names_.size()) return self.breach("a metric id that was never defined");
      const auto& [name, kind] = self.metric_names_[id];
      call(self.metrics_[name], kind);
    });
  }
  static void add(const kante_host* host, std::uint32_t id, std::int64_t delta) {
    withMetric(host, id,
               [&](double& value, std::uint32_t) { value += static_cast<double>(delta); });
  }
  static void recordMetric(const kante_host* host, std::uint32_t id, double value) {
    withMetric(host, id, [&](double& at, std::uint32_t kind) { at = kind == 2 ? at + 1 : value; });
  }
  static bool storageKey(kante_str key) { return key.size >= 1 && key.size <= 256; }
  static kante_status get(const kante_host* host, kante_str key, std::uint64_t token) {
    if (!storageKey(key)) return KANTE_E_INVALID;
    return with(of(host), [&](TestHost& self) {
      const auto at = self.storage_.find(text(key));
      if (at == self.storage_.end()) {
        self.answerLater(token, KANTE_E_NOT_FOUND);
      } else {
        self.answerLater(token, KANTE_OK, self.lay(Draft().body(at->second)));
      }
      return KANTE_OK;
    });
  }
  static kante_status put(const kante_host* host, kante_str key, kante_msg* value,
                          std::uint64_t token) {
    if (!storageKey(key)) return KANTE_E_INVALID;
    return with(of(host), [&](TestHost& self) -> kante_status {
      const auto words = wordsOf(self, value, "put()");
      if (words == nullptr) return KANTE_E_INVALID;
      self.storage_[text(key)] = TestMessage(words).body();
      self.answerLater(token, KANTE_OK);
      return KANTE_OK;
    });
  }
  static kante_status erase(const kante_host* host, kante_str key, std::uint64_t token) {
    if (!storageKey(key)) return KANTE_E_INVALID;
    return with(of(host), [&](TestHost& self) {
      self.answerLater(token, self.storage_.erase(text(key)) != 0 ? KANTE_OK : KANTE_E_NOT_FOUND);
      return KANTE_OK;
    });
  }
  static kante_status saveState(const kante_host* host, std::uint64_t token, std::uint64_t format,
                                const void* data, std::size_t size) {
    if (size > KANTE_STATE_BYTES_MAX) return KANTE_E_LIMIT;
    return with(of(host), [&](TestHost& self) -> kante_status {
      if (self.open_save_ == 0 || token != self.open_save_) return KANTE_E_STATE;
      self.open_save_ = 0;
      self.saved_ = State{format, std::string(static_cast<const char*>(data), size)};
      return KANTE_OK;
    });
  }
  static void ready(const kante_host* host) {
    with(of(host), [](TestHost& self) { self.ready_ = true; });
  }
  static kante_status defer(const kante_host*, std::uint32_t) { return KANTE_OK; }
  static kante_status invoke(const kante_host* host, kante_str target, kante_str name,
                             kante_msg* arguments, std::uint32_t, std::uint64_t token) {
    TestHost& self = of(host);
    const auto words = with(self, [&](TestHost&) { return wordsOf(self, arguments, "invoke()"); });
    if (words == nullptr) return KANTE_E_INVALID;
    // Without the lock: it is the test's own code.
    Answer answer;
    answer.status = KANTE_E_NOT_FOUND;
    const auto value = json::tryParse(TestMessage(words).body());
    if (self.on_invoke)
      answer = self.on_invoke(toView(target), toView(name), value.value_or(json::Value()));
    with(self, [&](TestHost&) {
      self.answerLater(token, answer.status, self.lay(Draft::json(answer.result)),
                       static_cast<std::uint64_t>(answer.code.value_or(0)));
    });
    return KANTE_OK;
  }
  static kante_status open(const kante_host* host, kante_str what, std::uint64_t token) {
    TestHost& self = of(host);
    const std::string wanted = text(what);
    if (token == 0 || wanted.empty()) return KANTE_E_INVALID;
    // Without the lock: it is the test's own code.
    Opened opened;
    if (self.on_open) opened = self.on_open(wanted);
    with(self, [&](TestHost&) {
      self.answerLater(token, opened.status,
                       opened.result ? self.lay(Draft::json(*opened.result)) : nullptr,
                       static_cast<std::uint64_t>(opened.descriptor));
    });
    return KANTE_OK;
  }
};

inline const void* TestHost::Tables::getExtension(const kante_host* host, const char* id) {
  static constexpr kante_twin_v1 kTwin{sizeof(kante_twin_v1), 0, report, reply};
  static constexpr kante_timers_v1 kTimers{sizeof(kante_timers_v1), 0, now, setTimer, cancelTimer};
  static constexpr kante_metrics_v1 kMetrics{sizeof(kante_metrics_v1), 0, define, add,
                                             recordMetric};
  static constexpr kante_storage_v1 kStorage{sizeof(kante_storage_v1), 0, get, put, erase};
  static constexpr kante_state_v1 kState{sizeof(kante_state_v1), 0, saveState};
  static constexpr kante_lifecycle_v1 kLifecycle{sizeof(kante_lifecycle_v1), 0, ready, defer};
  static constexpr kante_invoke_v1 kInvoke{sizeof(kante_invoke_v1), 0, invoke};
  static constexpr kante_device_v1 kDevice{sizeof(kante_device_v1), 0, open};
  static constexpr std::pair<std::string_view, const void*> kAll[] = {
      {KANTE_EXT_TWIN, &kTwin},       {KANTE_EXT_TIMERS, &kTimers},
      {KANTE_EXT_METRICS, &kMetrics}, {KANTE_EXT_STORAGE, &kStorage},
      {KANTE_EXT_STATE, &kState},     {KANTE_EXT_LIFECYCLE, &kLifecycle},
      {KANTE_EXT_INVOKE, &kInvoke},   {KANTE_EXT_DEVICE, &kDevice}};
  return with(of(host), [&](TestHost& self) -> const void* {
    if (self.missing_.count(id) != 0) return nullptr;
    for (const auto& [known, table] : kAll) {
      if (known != id) continue;
      if (table == &kLifecycle) self.asked_lifecycle_ = true;
      return table;
    }
    return nullptr;
  });
}

KANTE_SDK_END

#include <kante/test_host_run.hpp>
