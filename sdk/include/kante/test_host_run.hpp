// kante/test_host_run.hpp - how kante::TestHost runs a module: life, events, time (include
// kante/test_host.hpp).
#pragma once

#include <kante/test_host_tables.hpp>

KANTE_SDK_BEGIN

inline TestHost::TestHost(const kante_entry& entry) : entry_(entry), messages_(this) {
  host_.struct_size = sizeof(kante_host);
  host_.abi_major = KANTE_ABI_MAJOR;
  host_.abi_minor = KANTE_ABI_MINOR;
  host_.ctx = this;
  host_.get_extension = Tables::getExtension;
  host_.log = Tables::log;
  host_.explain = Tables::explain;
  host_.msg_alloc = Tables::allocate;
  host_.msg_seal = Tables::seal;
  host_.msg_abandon = Tables::abandon;
  host_.msg_words = Tables::words;
  host_.msg_retain = Tables::retain;
  host_.msg_release = Tables::release;
  host_.emit = Tables::emit;
  host_.publish = Tables::publish;
  host_.settle = Tables::settle;
  host_.drained = Tables::drained;
  checkEntry();
}

inline void TestHost::checkEntry() {
  if (entry_.magic != KANTE_MAGIC || entry_.abi_major != KANTE_ABI_MAJOR ||
      entry_.struct_size < offsetof(kante_entry, get_extension)) {
    throw Failure(KANTE_E_UNSUPPORTED,
                  "not the entry of a module of ABI " + std::to_string(KANTE_ABI_MAJOR));
  }
  if (entry_.id == nullptr || entry_.version == nullptr || entry_.inputs == nullptr ||
      entry_.outputs == nullptr || entry_.create == nullptr || entry_.on_event == nullptr ||
      entry_.destroy == nullptr) {
    throw Failure(KANTE_E_INVALID,
                  "the entry of the module has a null field that must not be null");
  }
  std::size_t outputs = 0;
  while (entry_.outputs[outputs] != nullptr) ++outputs;
  emitted_.resize(outputs);
  credit_.assign(outputs, kUnlimited);
  refused_.assign(outputs, false);
}

// A message from outside the module; throws Failure for a draft that is none.
inline std::shared_ptr<const Words> TestHost::lay(const Draft& draft) {
  auto words = std::make_shared<Words>();
  const Status status = draft.lay([&](const kante_message& message) {
    const std::uint32_t count = kante_message_words(&message);
    if (count == 0) return KANTE_E_INVALID;
    words->resize(count);
    kante_message_write(&message, words->data(), count);
    return KANTE_OK;
  });
  if (status != KANTE_OK)
    throw Failure(status, "the draft is no message: a text is no UTF-8, or a limit");
  return words;
}

inline Status TestHost::createFrom(const Draft& config) {
  if (module_ != nullptr) throw Failure(KANTE_E_STATE, "the module was created already");
  TestMessages::Record* message = locked([&] {
    auto* record = messages_.add(lay(config), 0);
    record->lent = true;
    in_event_ = true;
    return record;
  });
  kante_module* module = nullptr;
  const Status status = entry_.create(&host_, TestMessages::handle(message), &module);
  locked([&] {
    in_event_ = false;
    messages_.endLoan(message);
    if (status > 0) breach("create() returned a positive status");
    if (status == KANTE_OK && module == nullptr) breach("create() returned KANTE_OK and no module");
  });
  if (status != KANTE_OK || module == nullptr) {
    timers_.clear();
    return status;
  }
  module_ = module;
  deliverDone();
  return KANTE_OK;
}

inline void TestHost::destroy() {
  if (module_ == nullptr) return;
  entry_.destroy(std::exchange(module_, nullptr));
  locked([&] {
    for (std::string& leak : messages_.leaks()) breach("after destroy(): " + std::move(leak));
    timers_.clear();
    pending_.clear();
  });
}

inline Status TestHost::deliver(std::uint32_t type, kante_event event,
                                std::shared_ptr<const Words> message) {
  if (module_ == nullptr)
    throw Failure(KANTE_E_STATE, "no module: create() it first, and see what that said");
  event.struct_size = sizeof event;
  event.type = type;
  TestMessages::Record* record = nullptr;
  locked([&] {
    in_event_ = true;
    if (message == nullptr) return;
    event.words = message->data();
    event.word_count = static_cast<std::uint32_t>(message->size());
    record = messages_.add(message, 0);
    record->lent = true;
    event.msg = TestMessages::handle(record);
  });
  const Status status = entry_.on_event(module_, &event);
  locked([&] {
    in_event_ = false;
    if (record != nullptr) messages_.endLoan(record);
    if (status > KANTE_PENDING)
      breach("on_event() returned the positive status " + std::to_string(status));
    if (status == KANTE_PENDING && (type != KANTE_EVENT_INPUT || event.token == 0)) {
      breach("KANTE_PENDING for an event that is no input of a durable route");
    }
  });
  if (type != KANTE_EVENT_DONE) deliverDone();
  return status;
}

// Answers of requests arrive after the call that asked, as in the real host, and before the test
// goes on.
inline void TestHost::deliverDone() {
  for (;;) {
    const auto next = locked([&]() -> std::optional<Pending> {
      if (pending_.empty() || module_ == nullptr) return std::nullopt;
      Pending first = std::move(pending_.front());
      pending_.pop_front();
      return first;
    });
    if (!next) return;
    kante_event event{};
    event.token = next->token;
    event.status = next->status;
    event.arg = next->arg;
    deliver(KANTE_EVENT_DONE, event, next->message);
  }
}

inline Status TestHost::send(std::string_view input, const Draft& draft, const Route& route) {
  kante_event event{};
  event.id = indexOf(entry_.inputs, input);
  event.arg = route.redeliveries;
  event.name = toStr(route.sender);
  std::shared_ptr<const Words> message = locked([&] {
    auto words = std::make_shared<Words>(*lay(draft));
    if ((*words)[KANTE_WORD_ID_LOW] == 0) (*words)[KANTE_WORD_ID_LOW] = ++last_token_;
    if ((*words)[KANTE_WORD_CREATED] == 0) (*words)[KANTE_WORD_CREATED] = now_ns_;
    if (route.durable) {
      event.token = ++last_token_;
      unsettled_.insert(event.token);
    }
    return words;
  });
  const Status status = deliver(KANTE_EVENT_INPUT, event, message);
  locked([&] {
    if (event.token == 0 || status == KANTE_PENDING) return;
    if (unsettled_.erase(event.token) == 0)
      breach("an input was settled and its status is not KANTE_PENDING");
    settled_[event.token] = status;
  });
  return status;
}

inline Status TestHost::emit(std::uint32_t output, const std::shared_ptr<const Words>& words,
                             std::uint64_t token) {
  if (output >= emitted_.size()) return KANTE_E_INVALID;
  if (credit_[output] == 0) {
    refused_[output] = true;
    return KANTE_E_AGAIN;
  }
  if (credit_[output] != kUnlimited) --credit_[output];
  emitted_[output].emplace_back(words);
  answerLater(token, KANTE_OK);
  return KANTE_OK;
}

inline void TestHost::grant(std::string_view output, std::uint64_t n) {
  kante_event event{};
  event.id = static_cast<std::uint32_t>(outputIndex(output));
  const bool tell = locked([&] {
    credit_[event.id] = n;
    const bool refused = refused_[event.id];
    refused_[event.id] = false;
    return refused;
  });
  if (tell) deliver(KANTE_EVENT_WRITABLE, event);
}

inline void TestHost::advance(std::chrono::nanoseconds by) {
  const std::uint64_t until =
      locked([&] { return now_ns_; }) + static_cast<std::uint64_t>(by.count());
  for (std::uint64_t firings = 0;; ++firings) {
    kante_event event{};
    const bool fires = locked([&] {
      const auto due = std::min_element(
          timers_.begin(), timers_.end(),
          [](const auto& a, const auto& b) { return a.second.due_ns < b.second.due_ns; });
      if (due == timers_.end() || due->second.due_ns > until) return false;
      if (firings == kFiringsMax) {
        breach("timer " + std::to_string(due->first) + " spins");
        return false;
      }
      now_ns_ = std::max(now_ns_, due->second.due_ns);
      event.id = due->first;
      event.arg = 1;
      if (due->second.period_ns == 0) {
        timers_.erase(due);
      } else {
        due->second.due_ns += due->second.period_ns;
      }
      return true;
    });
    if (!fires) break;
    deliver(KANTE_EVENT_TIMER, event);
  }
  locked([&] { now_ns_ = until; });
}

inline bool TestHost::runUntil(const std::function<bool()>& condition,
                               std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    deliverDone();
    if (condition()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

inline TestHost::Answer TestHost::call(std::string_view method, const json::Value& arguments) {
  kante_event event{};
  event.name = toStr(method);
  const auto message = locked([&] {
    event.token = ++last_token_;
    unanswered_.insert(event.token);
    return lay(Draft::json(arguments));
  });
  const Status status = deliver(KANTE_EVENT_METHOD, event, message);
  return locked([&] {
    Answer& answer = answers_[event.token];
    answer.status = status;
    answer.token = event.token;
    return answer;
  });
}

inline Status TestHost::desire(const json::Value& properties) {
  kante_event event{};
  event.arg = ++desired_version_;
  return deliver(KANTE_EVENT_DESIRED, event, lay(Draft::json(properties)));
}

inline std::optional<State> TestHost::save() {
  kante_event event{};
  event.token = locked([&] {
    saved_.reset();
    return open_save_ = ++last_token_;
  });
  deliver(KANTE_EVENT_SAVE, event);
  return locked([&] { return saved_; });
}

inline Status TestHost::restore(const State& state) {
  kante_event event{};
  event.arg = state.format;
  event.name = toStr(state.bytes);
  return deliver(KANTE_EVENT_RESTORE, event);
}

inline bool TestHost::logged(std::string_view part) const {
  return locked([&] {
    return std::any_of(log_.begin(), log_.end(), [&](const LogLine& line) {
      return line.text.find(part) != std::string::npos;
    });
  });
}

KANTE_SDK_END
