#include "host/store/record.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <span>

#include "host/base/encoding.h"
#include "host/store/crc32c.h"

namespace kante {
namespace {

// The fixed part, little-endian; then the words, then the texts as (u16 length, bytes) each.
struct Header {
  std::uint32_t crc;  // Of everything after it.
  std::uint8_t version;
  std::uint8_t hops;
  std::uint8_t attempts;
  std::uint8_t deliveries;
  std::uint32_t words;
  std::uint32_t text_bytes;
  std::int64_t enqueued_ns;
  std::int64_t expires_ns;
  std::int64_t arrived_ns;
  std::uint64_t number;
};
static_assert(sizeof(Header) == kRecordHeaderBytes);

// The last three are of a message with an origin only.
constexpr std::size_t kTexts = 12, kTextsWithoutOrigin = 9;

// Borrows; the number's digits are its own.
struct Texts {
  Texts() = default;
  explicit Texts(const RecordView& record);
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;

  std::span<std::string_view> used() { return std::span(all).first(count); }
  std::size_t bytes() {
    std::size_t sum = 0;
    for (const std::string_view text : used()) sum += 2 + text.size();
    return sum;
  }

  std::array<std::string_view, kTexts> all;
  std::size_t count = kTextsWithoutOrigin;
  std::string digits;  // Short enough to need no memory.
};

// A cut never leaves half a character.
std::string_view cut(std::string_view text) {
  if (text.size() <= kRecordTextBytesMax) return text;
  std::size_t size = kRecordTextBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80u) --size;
  return text.substr(0, size);
}

Texts::Texts(const RecordView& record) {
  const SourceView& source = record.source;
  all = {source.principal,
         source.output,
         source.path,
         source.topic,
         source.connection_device_id,
         source.connection_module_id,
         source.telemetry_name,
         record.reason,
         record.origin,
         source.origin_gateway,
         source.origin_epoch};
  if (record.origin_number != 0) {
    count = kTexts;
    digits = std::to_string(record.origin_number);
    all[kTexts - 1] = digits;
  }
  for (std::string_view& text : used()) text = cut(text);
}

// The shortest form and nothing else, so that a record is written again to the same bytes.
bool readNumber(std::string_view text, std::uint64_t& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size() && number != 0 &&
         number <= kOriginNumberMax && text.front() != '0';
}

bool readTexts(std::string_view bytes, Texts& texts) {
  for (std::string_view& text : texts.used()) {
    std::uint16_t size = 0;
    if (bytes.size() < sizeof size) return false;
    std::memcpy(&size, bytes.data(), sizeof size);
    bytes.remove_prefix(sizeof size);
    if (size > kRecordTextBytesMax || size > bytes.size()) return false;
    text = bytes.substr(0, size);
    if (!isUtf8(text)) return false;
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

Error corrupt(const char* what) {
  return fail(Errc::kCorrupt, std::string("stored message: ") + what);
}

std::int64_t peek(std::string_view bytes, std::size_t at) {
  std::int64_t value = 0;
  if (bytes.size() >= sizeof(Header)) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::int64_t peekEnqueued(std::string_view bytes) {
  return peek(bytes, offsetof(Header, enqueued_ns));
}
std::int64_t peekExpires(std::string_view bytes) {
  return peek(bytes, offsetof(Header, expires_ns));
}

SourceView SourceView::of(const Source& source) {
  return {source.principal,
          source.output,
          source.path,
          source.topic,
          source.connection_device_id,
          source.connection_module_id,
          source.telemetry_name,
          source.origin_gateway,
          source.origin_epoch};
}

Source SourceView::copy() const {
  Source source;
  source.principal = principal;
  source.output = output;
  source.path = path;
  source.topic = topic;
  source.connection_device_id = connection_device_id;
  source.connection_module_id = connection_module_id;
  source.telemetry_name = telemetry_name;
  source.origin_gateway = origin_gateway;
  source.origin_epoch = origin_epoch;
  return source;
}

std::size_t recordBytes(const RecordView& record) {
  return sizeof(Header) + std::size_t{record.message.wordCount()} * 8 + Texts(record).bytes();
}

void encodeRecord(const RecordView& record, std::uint8_t* to) {
  Texts texts(record);
  const std::size_t words_bytes = std::size_t{record.message.wordCount()} * 8;
  Header header{};
  header.version = record.origin_number == 0 ? kRecordVersion : kRecordVersionOrigin;
  header.hops = record.hops;
  header.attempts = record.attempts;
  header.deliveries = record.deliveries;
  header.words = record.message.wordCount();
  header.text_bytes = static_cast<std::uint32_t>(texts.bytes());
  header.enqueued_ns = record.enqueued_ns;
  header.expires_ns = record.expires_ns;
  header.arrived_ns = record.arrived_ns;
  header.number = record.number;
  std::uint8_t* at = to + sizeof header;
  std::memcpy(at, record.message.words(), words_bytes);
  at += words_bytes;
  for (const std::string_view text : texts.used()) {
    const auto size = static_cast<std::uint16_t>(text.size());
    std::memcpy(at, &size, sizeof size);
    at += sizeof size;
    if (size > 0) std::memcpy(at, text.data(), size);
    at += size;
  }
  std::memcpy(to, &header, sizeof header);
  header.crc = crc32c(to + 4, static_cast<std::size_t>(at - to) - 4);
  std::memcpy(to, &header.crc, sizeof header.crc);
}

Result<RecordView> decodeRecord(std::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof header) return corrupt("cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kRecordVersion && header.version != kRecordVersionOrigin)
    return corrupt("of an unknown version");
  if (header.words > KANTE_MESSAGE_WORDS_MAX ||
      bytes.size() != sizeof header + std::size_t{header.words} * 8 + header.text_bytes) {
    return corrupt("its size is not what it says");
  }
  if (crc32c(bytes.data() + 4, bytes.size() - 4) != header.crc) return corrupt("wrong checksum");
  const char* words = bytes.data() + sizeof header;
  std::uint32_t flags = 0;
  if (kante_message_check(words, header.words, &flags) != KANTE_CHECK_CANONICAL) {
    return corrupt("the message in it is malformed");
  }
  Texts texts;
  if (header.version == kRecordVersionOrigin) texts.count = kTexts;
  if (!readTexts(bytes.substr(sizeof header + std::size_t{header.words} * 8), texts)) {
    return corrupt("the texts in it are malformed");
  }
  RecordView record;
  const auto& all = texts.all;
  if (texts.count == kTexts && !readNumber(all[kTexts - 1], record.origin_number))
    return corrupt("its origin has no number");
  record.message = MessageView(reinterpret_cast<const std::uint64_t*>(words), header.words);
  record.source = {all[0], all[1], all[2], all[3], all[4], all[5], all[6], all[9], all[10]};
  record.reason = all[7];
  record.origin = all[8];
  record.enqueued_ns = header.enqueued_ns;
  record.expires_ns = header.expires_ns;
  record.arrived_ns = header.arrived_ns;
  record.number = header.number;
  record.attempts = header.attempts;
  record.deliveries = header.deliveries;
  record.hops = header.hops;
  return record;
}

}  // namespace kante
