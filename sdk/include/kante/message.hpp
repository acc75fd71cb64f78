// kante/message.hpp - the C++ face of kante/message.h: a view that reads a checked message in
// place, and a template that writes one by copying what never changes.  Header only, no library.
//
// The host uses the same code on its own fast path.
#pragma once

#include <kante/message.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace kante {

inline std::string_view toView(kante_str text) { return {text.data, text.size}; }
inline kante_str toStr(std::string_view text) { return {text.data(), text.size()}; }

struct MessageId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const MessageId&, const MessageId&) = default;
  friend auto operator<=>(const MessageId&, const MessageId&) = default;
};

// Borrows words that were checked (every message that a host hands out); costs nothing to copy.
class MessageView {
 public:
  MessageView() = default;
  MessageView(const std::uint64_t* words, std::uint32_t word_count)
      : words_(words), word_count_(word_count) {}

  explicit operator bool() const { return words_ != nullptr; }
  const std::uint64_t* words() const { return words_; }
  std::uint32_t wordCount() const { return word_count_; }

  MessageId id() const { return {words_[KANTE_WORD_ID_HIGH], words_[KANTE_WORD_ID_LOW]}; }
  std::int64_t createdNs() const { return static_cast<std::int64_t>(words_[KANTE_WORD_CREATED]); }
  std::int64_t expiryNs() const { return static_cast<std::int64_t>(words_[KANTE_WORD_EXPIRY]); }
  std::uint64_t schemaId() const { return words_[KANTE_WORD_SCHEMA]; }
  std::pair<std::uint64_t, std::uint64_t> trace() const {
    return {words_[KANTE_WORD_TRACE_HIGH], words_[KANTE_WORD_TRACE_LOW]};
  }
  std::string_view contentType() const { return toView(kante_message_content_type(words_)); }
  std::string_view contentEncoding() const {
    return toView(kante_message_content_encoding(words_));
  }
  std::string_view body() const { return toView(kante_message_body(words_)); }

  std::uint32_t propertyCount() const {
    return kante_message_property_count(words_, KANTE_WORD_PROPERTIES);
  }
  std::pair<std::string_view, std::string_view> property(std::uint32_t i) const {
    return pair(KANTE_WORD_PROPERTIES, i);
  }
  std::uint32_t systemPropertyCount() const {
    return kante_message_property_count(words_, KANTE_WORD_SYSTEM);
  }
  std::pair<std::string_view, std::string_view> systemProperty(std::uint32_t i) const {
    return pair(KANTE_WORD_SYSTEM, i);
  }
  // Names compare without (ASCII) case, as IoT Hub compares them.  Null data() means "not there".
  std::string_view property(std::string_view name) const {
    return find(KANTE_WORD_PROPERTIES, name);
  }
  std::string_view systemProperty(std::string_view name) const {
    return find(KANTE_WORD_SYSTEM, name);
  }

 private:
  static bool sameName(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
  }
  static char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
  std::pair<std::string_view, std::string_view> pair(std::uint32_t list, std::uint32_t i) const {
    const kante_property p = kante_message_property(words_, list, i);
    return {toView(p.name), toView(p.value)};
  }
  std::string_view find(std::uint32_t list, std::string_view name) const {
    const std::uint32_t count = kante_message_property_count(words_, list);
    for (std::uint32_t i = 0; i < count; ++i) {
      const kante_property p = kante_message_property(words_, list, i);
      if (sameName(toView(p.name), name)) return toView(p.value);
    }
    return {};
  }

  const std::uint64_t* words_ = nullptr;
  std::uint32_t word_count_ = 0;
};

// Everything but id, times, trace and body is written once; a message then costs one copy of a few
// dozen words and the body.  Property values may be changed between messages (that rewrites the
// prefix). Not for several threads at once.
class MessageTemplate {
 public:
  MessageTemplate() { rebuild({}, {}, {}); }
  MessageTemplate(
      std::string_view content_type, std::string_view content_encoding,
      const std::vector<std::pair<std::string_view, std::string_view>>& properties = {}) {
    rebuild(content_type, content_encoding, properties);
  }

  // False when the texts are no UTF-8 or break a limit: words() is then 0 for every body.
  bool valid() const { return !prefix_.empty(); }
  // Words for a message with this body; 0 when it is too large or the template is not valid.
  std::uint32_t words(std::size_t body_bytes) const {
    if (!valid() || body_bytes > KANTE_BODY_BYTES_MAX) return 0;
    const std::uint32_t all =
        static_cast<std::uint32_t>(prefix_.size()) + kante_detail_words(body_bytes);
    return all > KANTE_MESSAGE_WORDS_MAX ? 0 : all;
  }
  // scratch has words(body.size()) words.  Id and creation time stay zero for the host to stamp
  // unless given; trace and expiry likewise.
  void write(void* scratch, std::string_view body, MessageId id = {}, std::int64_t created_ns = 0,
             std::int64_t expiry_ns = 0) const {
    auto* to = static_cast<std::uint64_t*>(scratch);
    const auto fixed = static_cast<std::uint32_t>(prefix_.size());
    std::memcpy(to, prefix_.data(), prefix_.size() * sizeof(std::uint64_t));
    const std::uint32_t body_words = kante_detail_words(body.size());
    to[KANTE_WORD_TABLE] = static_cast<std::uint64_t>(fixed + body_words - 1) << 32;
    to[KANTE_WORD_ID_HIGH] = id.high;
    to[KANTE_WORD_ID_LOW] = id.low;
    to[KANTE_WORD_CREATED] = static_cast<std::uint64_t>(created_ns);
    to[KANTE_WORD_EXPIRY] = static_cast<std::uint64_t>(expiry_ns);
    if (body_words == 0) return;
    to[KANTE_WORD_BODY] = kante_detail_list_pointer(KANTE_WORD_BODY, fixed, 2,
                                                    static_cast<std::uint32_t>(body.size()));
    to[fixed + body_words - 1] = 0;
    std::memcpy(to + fixed, body.data(), body.size());
  }

 private:
  void rebuild(std::string_view content_type, std::string_view content_encoding,
               const std::vector<std::pair<std::string_view, std::string_view>>& properties) {
    std::vector<kante_property> list;
    list.reserve(properties.size());
    for (const auto& [name, value] : properties) list.push_back({toStr(name), toStr(value)});
    kante_message message{};
    message.content_type = toStr(content_type);
    message.content_encoding = toStr(content_encoding);
    message.properties = list.data();
    message.property_count = static_cast<std::uint32_t>(list.size());
    message.body = toStr("");
    const std::uint32_t words = kante_message_words(&message);
    prefix_.assign(words, 0);
    if (words != 0) kante_message_write(&message, prefix_.data(), words);
  }

  std::vector<std::uint64_t> prefix_;
};

}  // namespace kante
