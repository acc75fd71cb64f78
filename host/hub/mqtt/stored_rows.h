// What the broker keeps in the store, row by row; docs/formats/store.md.
//
// Rows carry a checksum in the store; these still take any bytes, and a row that is none is
// nothing.  Times are on the store's clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/hub/mqtt/inflight.h"
#include "host/hub/mqtt/topic_tree.h"

namespace kante::hub {

// The areas of the store.
inline constexpr std::string_view kSessionRows = "mqtt/session";  // Session → SessionRow.
inline constexpr std::string_view kFilterRows = "mqtt/filter";    // Session, number → FilterRow.
inline constexpr std::string_view kEntryRows = "mqtt/entry";      // Session, place → EntryRow.
inline constexpr std::string_view kPacketRows = "mqtt/packet";  // Session, identifier → nothing.
inline constexpr std::string_view kWillRows = "mqtt/will";      // Session → WillRow.
inline constexpr std::string_view kMessageRows = "mqtt/message";    // Message → a publication.
inline constexpr std::string_view kRetainedRows = "mqtt/retained";  // Message → nothing.

// Big-endian, so that a session's rows are neighbours and in order.
std::string rowKey(std::uint64_t first);
std::string rowKey(std::uint64_t first, std::uint64_t second);
std::string packetKey(std::uint64_t session, std::uint16_t id);
struct RowKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;  // 0 where the key has one part.
};
std::optional<RowKey> readKey(std::string_view key);

struct SessionRow {
  std::string principal;
  std::string client_id;
  std::uint32_t expiry_s = 0;
  std::int64_t ends_ns = INT64_MAX;  // INT64_MAX: somebody is connected, or it never ends.
};
std::string toRow(const SessionRow& row);
std::optional<SessionRow> readSessionRow(std::string_view bytes);

struct FilterRow {
  std::string text;
  SubscriptionOptions options;
};
std::string toRow(const FilterRow& row);
std::optional<FilterRow> readFilterRow(std::string_view bytes);

struct EntryRow {
  std::uint64_t message = 0;  // 0: none any more; PUBREL is owed.
  mqtt::Qos qos = mqtt::Qos::k1;
  bool retain = false;
  std::vector<std::uint32_t> ids;  // Subscription identifiers.
};
std::string toRow(const EntryRow& row);
std::optional<EntryRow> readEntryRow(std::string_view bytes);

// A moment of the broker's clock in ns as rows tell it, and back. `clock_ns`: the store's clock
// less the broker's. What cannot be told (rows may hold any number) is Publication::kNever.
std::int64_t toRowClock(std::int64_t ns, std::int64_t clock_ns);
std::int64_t fromRowClock(std::int64_t ns, std::int64_t clock_ns);

std::string toRow(const Publication& publication, std::int64_t clock_ns);
// Null: it is none.
PublicationRef readPublication(std::string_view bytes, std::int64_t clock_ns);

struct WillRow {
  std::int64_t due_ns = 0;
  std::optional<std::uint32_t> expiry_s;
  PublicationRef publication;
};
std::string toRow(const WillRow& row);
std::optional<WillRow> readWillRow(std::string_view bytes);

}  // namespace kante::hub
