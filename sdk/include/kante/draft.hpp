// kante/draft.hpp - messages as a module holds them: Message, a counted reference to one that is
// finished, and Draft, one that is still being written.
#pragma once

#include <kante/json.hpp>
#include <kante/message.hpp>

#include <array>
#include <tuple>

KANTE_SDK_BEGIN

// A reference to an immutable message; copying counts up.  Any thread.  Empty by default.
class Message {
 public:
  Message() = default;
  // Takes over one reference that the caller has.
  static Message adopt(const kante_host* host, kante_msg* msg) { return Message(host, msg); }
  // Adds a reference to one that is only borrowed.
  static Message share(const kante_host* host, kante_msg* msg) {
    if (msg != nullptr) host->msg_retain(msg);
    return Message(host, msg);
  }
  Message(const Message& other) : host_(other.host_), msg_(other.msg_) {
    if (msg_ != nullptr) host_->msg_retain(msg_);
  }
  Message(Message&& other) noexcept
      : host_(other.host_), msg_(std::exchange(other.msg_, nullptr)) {}
  Message& operator=(Message other) noexcept {
    std::swap(host_, other.host_);
    std::swap(msg_, other.msg_);
    return *this;
  }
  ~Message() {
    if (msg_ != nullptr) host_->msg_release(msg_);
  }

  explicit operator bool() const { return msg_ != nullptr; }
  kante_msg* get() const { return msg_; }
  // Valid as long as this reference.
  MessageView view() const {
    if (msg_ == nullptr) return {};
    std::uint32_t words = 0;
    const void* at = host_->msg_words(msg_, &words);
    return {static_cast<const std::uint64_t*>(at), words};
  }

 private:
  Message(const kante_host* host, kante_msg* msg) : host_(host), msg_(msg) {}
  const kante_host* host_ = nullptr;
  kante_msg* msg_ = nullptr;
};

// Room for one message in the host's memory; given back unless it was sealed or published.
class Scratch {
 public:
  Scratch(const kante_host* host, std::uint32_t words) : host_(host), words_(words) {
    if (words == 0) return;  // status_ says KANTE_E_INVALID: no message of this shape exists.
    status_ = host->msg_alloc(host, words, 0, &at_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (at_ != nullptr) host_->msg_abandon(host_, at_);
  }

  Status status() const { return status_; }
  void* at() const { return at_; }
  std::uint32_t words() const { return words_; }

  Status publish(std::uint32_t output, std::uint64_t token) {
    const Status status = host_->publish(host_, output, at_, words_, token);
    if (status == KANTE_OK) at_ = nullptr;
    return status;
  }
  Status seal(Message& out) {
    kante_msg* msg = nullptr;
    const Status status = host_->msg_seal(host_, at_, words_, &msg);
    if (status != KANTE_OK) return status;
    at_ = nullptr;
    out = Message::adopt(host_, msg);
    return KANTE_OK;
  }

 private:
  const kante_host* host_;
  std::uint32_t words_;
  Status status_ = KANTE_E_INVALID;
  void* at_ = nullptr;
};

// What a message will say.  Owns its texts.  Where thousands a second have the same properties, a
// MessageTemplate (kante/message.hpp) costs less.
class Draft {
 public:
  Draft() = default;
  // A body of bytes of this media type.
  Draft(std::string_view content_type, std::string body)
      : content_type_(content_type), body_(std::move(body)) {}
  static Draft json(const json::Value& value) { return jsonText(value.dump()); }
  // text: JSON already.
  static Draft jsonText(std::string text) {
    return Draft("application/json", std::move(text)).contentEncoding("utf-8");
  }
  // All that original says but its id, its time of creation and the names that are the host's to
  // say: for a message that is made from another one.
  static Draft from(MessageView original) {
    Draft draft = withoutBody(original);
    draft.body_ = original.body();
    return draft;
  }
  static Draft withoutBody(MessageView original) {
    Draft draft;
    draft.content_type_ = original.contentType();
    draft.content_encoding_ = original.contentEncoding();
    draft.expiry_ns_ = original.expiryNs();
    std::tie(draft.trace_high_, draft.trace_low_) = original.trace();
    for (std::uint32_t i = 0; i < original.propertyCount(); ++i) {
      const auto [name, value] = original.property(i);
      if (!kante_name_reserved(toStr(name))) draft.properties_.emplace_back(name, value);
    }
    for (std::uint32_t i = 0; i < original.systemPropertyCount(); ++i) {
      draft.system_.emplace_back(original.systemProperty(i));
    }
    return draft;
  }

  Draft& body(std::string body) { return body_ = std::move(body), *this; }
  Draft& contentType(std::string_view type) { return content_type_ = type, *this; }
  Draft& contentEncoding(std::string_view encoding) { return content_encoding_ = encoding, *this; }
  // Replaces the property of that name (names compare without ASCII case) or adds it.
  Draft& property(std::string_view name, std::string_view value) {
    return set(properties_, name, value);
  }
  Draft& systemProperty(std::string_view name, std::string_view value) {
    return set(system_, name, value);
  }
  // Nanoseconds since 1970, UTC, after which nobody wants it; 0: never.
  Draft& expiryNs(std::int64_t expiry_ns) { return expiry_ns_ = expiry_ns, *this; }
  Draft& id(MessageId id) { return id_ = id, *this; }
  Draft& createdNs(std::int64_t created_ns) { return created_ns_ = created_ns, *this; }

  const std::string& body() const { return body_; }
  bool empty() const { return body_.empty() && properties_.empty(); }

  // Calls take(const kante_message&) with what stands here, if it is within the limits of a
  // message.
  template <typename Take>
  Status lay(Take&& take) const {
    std::array<kante_property, KANTE_PROPERTIES_MAX> properties;
    std::array<kante_property, KANTE_SYSTEM_PROPERTIES_MAX> system;
    if (properties_.size() > properties.size() || system_.size() > system.size())
      return KANTE_E_LIMIT;
    kante_message message{};
    message.id_high = id_.high;
    message.id_low = id_.low;
    message.created_ns = created_ns_;
    message.expiry_ns = expiry_ns_;
    message.trace_high = trace_high_;
    message.trace_low = trace_low_;
    message.content_type = toStr(content_type_);
    message.content_encoding = toStr(content_encoding_);
    message.properties = point(properties_, properties.data());
    message.property_count = static_cast<std::uint32_t>(properties_.size());
    message.system = point(system_, system.data());
    message.system_count = static_cast<std::uint32_t>(system_.size());
    message.body = toStr(body_);
    return take(message);
  }
  // Writes it into the host's memory and gives that to take(Scratch&).
  template <typename Take>
  Status write(const kante_host* host, Take&& take) const {
    return lay([&](const kante_message& message) {
      Scratch scratch(host, kante_message_words(&message));
      if (scratch.status() != KANTE_OK) return scratch.status();
      kante_message_write(&message, scratch.at(), scratch.words());
      return take(scratch);
    });
  }
  Status seal(const kante_host* host, Message& out) const {
    return write(host, [&](Scratch& scratch) { return scratch.seal(out); });
  }

 private:
  using Texts = std::vector<std::pair<std::string, std::string>>;

  Draft& set(Texts& list, std::string_view name, std::string_view value) {
    const auto lower = [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    for (auto& [known, text] : list) {
      if (std::equal(known.begin(), known.end(), name.begin(), name.end(),
                     [&](char a, char b) { return lower(a) == lower(b); })) {
        text = value;
        return *this;
      }
    }
    list.emplace_back(name, value);
    return *this;
  }
  static const kante_property* point(const Texts& texts, kante_property* at) {
    for (std::size_t i = 0; i < texts.size(); ++i)
      at[i] = {toStr(texts[i].first), toStr(texts[i].second)};
    return at;
  }

  MessageId id_;
  std::int64_t created_ns_ = 0;
  std::int64_t expiry_ns_ = 0;
  std::uint64_t trace_high_ = 0;
  std::uint64_t trace_low_ = 0;
  std::string content_type_;
  std::string content_encoding_;
  Texts properties_;
  Texts system_;
  std::string body_;
};

KANTE_SDK_END
