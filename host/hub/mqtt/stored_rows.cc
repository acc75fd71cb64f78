#include "host/hub/mqtt/stored_rows.h"

#include "host/hub/mqtt/limits.h"
#include "host/mqtt/bytes.h"
#include "host/mqtt/topic.h"

namespace kante::hub {
namespace {

constexpr std::uint32_t kSubscriptionIdMax = 268'435'455;
constexpr std::uint8_t kVersion = 1;  // The first byte of each row.

template <typename Int>
void append(std::string& out, Int value) {
  for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 0xff);
}

void appendText(std::string& out, std::string_view text) {
  append(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

class RowReader {
 public:
  explicit RowReader(std::string_view bytes) : reader_(bytes) { good_ = byte() == kVersion; }
  std::uint8_t byte() { return reader_.byte(); }
  std::uint16_t u16() { return reader_.u16(); }
  std::uint32_t u32() { return reader_.u32(); }
  std::uint64_t u64() {
    const std::uint64_t high = reader_.u32();
    return high << 32 | reader_.u32();
  }
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  std::string_view text() { return reader_.bytes(reader_.u32()); }
  bool flag() {
    const std::uint8_t value = byte();
    if (value > 1) good_ = false;
    return value == 1;
  }
  mqtt::Qos qos() {
    const std::uint8_t value = byte();
    if (value > 2) good_ = false;
    return static_cast<mqtt::Qos>(value & 3);
  }
  std::string_view rest() { return reader_.bytes(reader_.rest().size()); }
  void expect(bool so) { good_ = good_ && so; }
  bool ok() const { return good_ && reader_.ok(); }
  // And nothing is left.
  bool isWhole() const { return ok() && reader_.empty(); }

 private:
  mqtt::ByteReader reader_;
  bool good_ = true;
};

std::string begin() { return std::string(1, static_cast<char>(kVersion)); }

}  // namespace

std::int64_t toRowClock(std::int64_t ns, std::int64_t clock_ns) {
  std::int64_t out = 0;
  const bool told = ns != Publication::kNever && !__builtin_add_overflow(ns, clock_ns, &out);
  return told ? out : Publication::kNever;
}

std::int64_t fromRowClock(std::int64_t ns, std::int64_t clock_ns) {
  std::int64_t out = 0;
  const bool told = ns != Publication::kNever && !__builtin_sub_overflow(ns, clock_ns, &out);
  return told ? out : Publication::kNever;
}

std::string rowKey(std::uint64_t first) {
  std::string key;
  append(key, first);
  return key;
}

std::string rowKey(std::uint64_t first, std::uint64_t second) {
  std::string key = rowKey(first);
  append(key, second);
  return key;
}

std::string packetKey(std::uint64_t session, std::uint16_t id) {
  std::string key = rowKey(session);
  append(key, id);
  return key;
}

std::optional<RowKey> readKey(std::string_view key) {
  if (key.size() != 8 && key.size() != 10 && key.size() != 16) return {};
  RowKey out;
  for (const char byte : key.substr(0, 8))
    out.first = out.first << 8 | static_cast<std::uint8_t>(byte);
  for (const char byte : key.substr(8))
    out.second = out.second << 8 | static_cast<std::uint8_t>(byte);
  return out;
}

std::string toRow(const SessionRow& row) {
  std::string out = begin();
  append(out, row.expiry_s);
  append(out, row.ends_ns);
  appendText(out, row.principal);
  appendText(out, row.client_id);
  return out;
}

std::optional<SessionRow> readSessionRow(std::string_view bytes) {
  RowReader reader(bytes);
  SessionRow row;
  row.expiry_s = reader.u32();
  row.ends_ns = reader.i64();
  row.principal = reader.text();
  row.client_id = reader.text();
  reader.expect(!row.principal.empty() && row.client_id.size() <= Limits::kClientIdBytesMax);
  if (!reader.isWhole()) return {};
  return row;
}

std::string toRow(const FilterRow& row) {
  std::string out = begin();
  append(out, static_cast<std::uint8_t>(row.options.qos));
  append(out, static_cast<std::uint8_t>(row.options.no_local));
  append(out, static_cast<std::uint8_t>(row.options.retain_as_published));
  append(out, row.options.id);
  appendText(out, row.text);
  return out;
}

std::optional<FilterRow> readFilterRow(std::string_view bytes) {
  RowReader reader(bytes);
  FilterRow row;
  row.options.qos = reader.qos();
  row.options.no_local = reader.flag();
  row.options.retain_as_published = reader.flag();
  row.options.id = reader.u32();
  row.text = reader.text();
  const bool shared = mqtt::isShared(row.text);
  reader.expect(shared ? mqtt::sharedFilter(row.text).has_value() : mqtt::isTopicFilter(row.text));
  reader.expect(mqtt::isUtf8(row.text) && TopicTree::fits(row.text) &&
                row.options.id <= kSubscriptionIdMax);
  if (!reader.isWhole()) return {};
  return row;
}

std::string toRow(const EntryRow& row) {
  std::string out = begin();
  append(out, row.message);
  append(out, static_cast<std::uint8_t>(row.qos));
  append(out, static_cast<std::uint8_t>(row.retain));
  for (const std::uint32_t id : row.ids) append(out, id);
  return out;
}

std::optional<EntryRow> readEntryRow(std::string_view bytes) {
  RowReader reader(bytes);
  EntryRow row;
  row.message = reader.u64();
  row.qos = reader.qos();
  row.retain = reader.flag();
  reader.expect(row.qos != mqtt::Qos::k0 && (row.message != 0 || row.qos == mqtt::Qos::k2));
  while (reader.ok() && !reader.isWhole()) {
    row.ids.push_back(reader.u32());
    reader.expect(row.ids.back() != 0 && row.ids.back() <= kSubscriptionIdMax);
  }
  if (!reader.isWhole()) return {};
  return row;
}

std::string toRow(const Publication& publication, std::int64_t clock_ns) {
  std::string out = begin();
  out.reserve(64 + publication.size());
  append(out, static_cast<std::uint8_t>(publication.qos()));
  append(out, static_cast<std::uint8_t>(publication.retain()));
  append(out, publication.publisher());
  append(out, toRowClock(publication.expiresNs(), clock_ns));
  appendText(out, publication.topic());
  appendText(out, publication.properties());
  out += publication.payload();
  return out;
}

PublicationRef readPublication(std::string_view bytes, std::int64_t clock_ns) {
  RowReader reader(bytes);
  Publication::Kept kept;
  kept.qos = reader.qos();
  kept.retain = reader.flag();
  kept.publisher = reader.u64();
  kept.expires_ns = fromRowClock(reader.i64(), clock_ns);
  kept.topic = reader.text();
  kept.properties = reader.text();
  kept.payload = reader.rest();
  reader.expect(kept.topic.size() <= 65'535 && mqtt::isUtf8(kept.topic) &&
                mqtt::isTopicName(kept.topic));
  reader.expect(TopicTree::fits(kept.topic) && Publication::areOwn(kept.properties));
  if (!reader.isWhole()) return {};
  return Publication::make(kept);
}

std::string toRow(const WillRow& row) {
  std::string out = begin();
  append(out, row.due_ns);
  append(out, static_cast<std::uint8_t>(row.expiry_s.has_value()));
  append(out, row.expiry_s.value_or(0));
  return out + toRow(*row.publication, 0);  // It has no expiry before it is published.
}

std::optional<WillRow> readWillRow(std::string_view bytes) {
  RowReader reader(bytes);
  WillRow row;
  row.due_ns = reader.i64();
  const bool expires = reader.flag();
  const std::uint32_t expiry_s = reader.u32();
  if (expires) row.expiry_s = expiry_s;
  row.publication = readPublication(reader.rest(), 0);
  if (!reader.ok() || !row.publication) return {};
  return row;
}

}  // namespace kante::hub
