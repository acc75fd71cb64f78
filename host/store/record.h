// One stored message as bytes: what its author said and what the host knew, complete in itself and
// guarded by a CRC.  The format is frozen in docs/formats/store.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/message/hop.h"
#include "host/message/message.h"

namespace kante {

inline constexpr std::uint8_t kRecordVersion = 1;
// Of a message that came from a gateway below: what the release before cannot read.
inline constexpr std::uint8_t kRecordVersionOrigin = 2;
inline constexpr std::size_t kRecordHeaderBytes = 48;
// Every text of a source and the reason of a quarantined message; longer ones are cut.
inline constexpr std::size_t kRecordTextBytesMax = 4096;

// A source whose texts are borrowed from the record.
struct SourceView {
  std::string_view principal;
  std::string_view output;
  std::string_view path;
  std::string_view topic;
  std::string_view connection_device_id;
  std::string_view connection_module_id;
  std::string_view telemetry_name;
  std::string_view origin_gateway;
  std::string_view origin_epoch;

  static SourceView of(const Source& source);
  Source copy() const;
};

// What a record says; texts and message borrow from the bytes that were decoded.
struct RecordView {
  MessageView message;
  SourceView source;
  std::int64_t enqueued_ns = 0;  // Store clock.
  std::int64_t expires_ns = 0;   // Store clock; 0: never.
  std::int64_t arrived_ns = 0;   // Wall time, as the hop had it.
  std::uint64_t number = 0;      // What a quarantined message had; 0: none.
  std::uint8_t attempts = 0;     // Failed deliveries so far; both stay at 255.
  std::uint8_t deliveries = 0;   // Others that did not end: put off, or cut short by a crash.
  std::uint8_t hops = 1;
  std::uint64_t origin_number = 0;  // Of the source's origin; 0: it has none.
  std::string_view reason;          // Of quarantine, else empty.
  std::string_view origin;          // The queue that a quarantined message came from, else empty.
};

// Bytes that encodeRecord() will append.
std::size_t recordBytes(const RecordView& record);
// Writes at `to`, which has recordBytes(record) bytes.
void encodeRecord(const RecordView& record, std::uint8_t* to);

// Two fields without a check, for bookkeeping; 0 when the bytes are cut short.
std::int64_t peekEnqueued(std::string_view bytes);
std::int64_t peekExpires(std::string_view bytes);

// Checks length, CRC, texts and the message's canonical layout, so the view is safe to read.
// `bytes` must be aligned to 8.  kCorrupt names what does not fit.
Result<RecordView> decodeRecord(std::string_view bytes);

}  // namespace kante
