// The keys of queues' tables; docs/formats/store.md.
#pragma once

#include <cstdint>
#include <string_view>

#include "host/store/durable_queue.h"
#include "host/store/queue_table.h"
#include "host/store/transaction.h"

namespace kante {

inline KeyBuilder entryKey(std::uint32_t queue, QueueToken token) {
  KeyBuilder key;
  key.add(queue).add(token.priority).add(token.position);
  return key;
}

inline KeyBuilder expiryKey(std::int64_t expires, std::uint32_t queue, QueueToken token) {
  KeyBuilder key;
  key.add(static_cast<std::uint64_t>(expires)).add(queue).add(token.priority).add(token.position);
  return key;
}

inline QueueToken tokenOf(std::string_view key, std::size_t at) {
  return {readBig<std::uint8_t>(key, at), readBig<std::uint64_t>(key, at + 1)};
}

inline constexpr std::size_t kCountsBytes = sizeof(QueueCounts) + 4;

}  // namespace kante
