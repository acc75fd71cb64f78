// kante/events.hpp - what the handlers of a kante::Module are given (include kante/module.hpp).
#pragma once

#include <kante/draft.hpp>

#include <exception>

KANTE_SDK_BEGIN

// Appends what log lines and texts are made of.
inline void appendText(std::string& out, std::string_view text) { out += text; }
inline void appendText(std::string& out, const std::string& text) { out += text; }
inline void appendText(std::string& out, const char* text) { out += text; }
inline void appendText(std::string& out, char c) { out += c; }
inline void appendText(std::string& out, bool value) { out += value ? "true" : "false"; }
inline void appendText(std::string& out, const json::Value& value) { value.dumpTo(out); }
template <typename Number, std::enable_if_t<std::is_arithmetic_v<Number>, int> = 0>
void appendText(std::string& out, Number value) {
  json::dumpNumber(value, out);
}

// A message on an input.  Borrowed: valid until the handler returns; keep() what shall stay.
class Input {
 public:
  Input(const kante_host* host, const kante_entry& entry, const kante_event& event)
      : host_(host), entry_(entry), event_(event) {}

  std::uint32_t index() const { return event_.id; }
  std::string_view name() const { return entry_.inputs[event_.id]; }
  // "module/sensor/temperature", "device/car-7", a topic, …
  std::string_view sender() const { return toView(event_.name); }
  // What to settle; 0 for a memory route, which needs no settlement.
  std::uint64_t token() const { return event_.token; }
  bool isDurable() const { return event_.token != 0; }
  // Earlier deliveries of this very message: 0 the first time.
  std::uint64_t redeliveries() const { return event_.arg; }

  MessageView message() const { return {event_.words, event_.word_count}; }
  std::string_view body() const { return message().body(); }
  // Null data() when there is none.
  std::string_view property(std::string_view name) const { return message().property(name); }
  // The body as JSON; throws Failure when it is none.
  json::Value json() const { return json::parse(body()); }

  kante_msg* raw() const { return event_.msg; }
  Message keep() const { return Message::share(host_, event_.msg); }

 private:
  const kante_host* host_;
  const kante_entry& entry_;
  const kante_event& event_;
};

// The full desired properties, with the version that they have in the twin.
class Desired {
 public:
  Desired(MessageView message, std::uint64_t version) : message_(message), version_(version) {
    if (!message.body().empty()) properties_ = json::parse(message.body());
  }
  std::uint64_t version() const { return version_; }
  const json::Value& properties() const { return properties_; }
  MessageView message() const { return message_; }

 private:
  MessageView message_;
  std::uint64_t version_;
  json::Value properties_;
};

// A direct method call that waits for its answer.  Move it away to answer later, on any thread; one
// that is destroyed unanswered answers 500 by itself, so that no caller waits in vain.
class Method {
 public:
  Method(const kante_host* host, const kante_twin_v1* twin, std::uint64_t token, std::string name,
         Message message)
      : host_(host),
        twin_(twin),
        token_(token),
        name_(std::move(name)),
        message_(std::move(message)) {}
  Method(Method&& other) noexcept
      : host_(other.host_),
        twin_(other.twin_),
        token_(std::exchange(other.token_, 0)),
        name_(std::move(other.name_)),
        message_(std::move(other.message_)),
        exceptions_(other.exceptions_) {}
  Method& operator=(Method&& other) noexcept {
    Method taken(std::move(other));
    std::swap(host_, taken.host_);
    std::swap(twin_, taken.twin_);
    std::swap(token_, taken.token_);
    std::swap(name_, taken.name_);
    std::swap(message_, taken.message_);
    std::swap(exceptions_, taken.exceptions_);
    return *this;
  }
  ~Method() {
    // While a handler's exception passes, the fence answers with its text.
    if (token_ == 0 || std::uncaught_exceptions() > exceptions_) return;
    try {
      reply(500, json::Value{{"error", "the module gave no answer"}});
    } catch (...) {
      // Out of memory: the host's deadline answers.
    }
  }

  const std::string& name() const { return name_; }
  MessageView message() const { return message_.view(); }
  // The arguments; null when there are none.  Throws Failure when they are no JSON.
  json::Value arguments() const {
    const std::string_view body = message_ ? message_.view().body() : std::string_view();
    return body.empty() ? json::Value() : json::parse(body);
  }

  // code: as of HTTP.  KANTE_E_CANCELED when the caller did not wait that long.  Once.  [any]
  Status reply(int code, const json::Value& result = {}) {
    if (token_ == 0) return KANTE_E_STATE;
    Message message;
    if (const Status status = Draft::json(result).seal(host_, message); status != KANTE_OK)
      return status;
    return twin_->reply(host_, std::exchange(token_, 0), code, message.get());
  }
  // Leaves the answer to the host, for a method that the module does not have.
  void decline() { token_ = 0; }

 private:
  const kante_host* host_;
  const kante_twin_v1* twin_;
  std::uint64_t token_;
  std::string name_;
  Message message_;
  int exceptions_ = std::uncaught_exceptions();
};

// What a module hands to its successor: at most 16 MiB, in a format of its own number.
struct State {
  std::uint64_t format = 1;
  std::string bytes;
};

// The answer to a request (storage, report, invoke, emit with a callback).  Valid while the
// callback runs.
class Done {
 public:
  Done(const kante_host* host, const kante_event& event) : host_(host), event_(event) {}
  Status status() const { return event_.status; }
  bool ok() const { return event_.status == KANTE_OK; }
  std::uint64_t arg() const { return event_.arg; }
  // What open() brought: the module's to close.  -1: nothing was opened.
  int descriptor() const { return ok() ? static_cast<int>(event_.arg) : -1; }
  // Empty when the answer has no message.
  MessageView message() const { return {event_.words, event_.word_count}; }
  std::string_view body() const {
    return event_.words == nullptr ? std::string_view() : message().body();
  }
  json::Value json() const { return body().empty() ? json::Value() : json::parse(body()); }
  Message keep() const { return Message::share(host_, event_.msg); }

 private:
  const kante_host* host_;
  const kante_event& event_;
};

KANTE_SDK_END
