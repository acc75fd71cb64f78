#include "host/store/area_table.h"

#include <algorithm>
#include <cstring>

#include "host/store/crc32c.h"
#include "host/store/environment.h"

namespace kante {
namespace {

constexpr std::size_t kCrcBytes = 4;

std::string fullKey(const std::string& area, std::string_view key) {
  std::string full = area;
  full += '\0';
  full += key;
  return full;
}

std::uint32_t checksum(std::string_view full_key, std::string_view value) {
  return crc32c(value.data(), value.size(), crc32c(full_key.data(), full_key.size()));
}

Result<std::string> unpack(std::string_view full_key, std::string_view stored) {
  std::uint32_t crc = 0;
  const std::string shown(full_key.substr(0, full_key.find('\0')));
  if (stored.size() < kCrcBytes) return fail(Errc::kCorrupt, "store, " + shown + ": cut short");
  std::memcpy(&crc, stored.data(), kCrcBytes);
  stored.remove_prefix(kCrcBytes);
  if (checksum(full_key, stored) != crc) {
    return fail(Errc::kCorrupt, "store, " + shown + ": wrong checksum");
  }
  return std::string(stored);
}

}  // namespace

Status AreaTable::check(const KeyValue::Write& write) {
  if (write.area.empty() || write.area.find('\0') != std::string::npos) {
    return fail(Errc::kInvalid, "store: an area needs a name without U+0000");
  }
  if (write.area.size() > KeyValue::kAreaBytesMax || write.key.size() > KeyValue::kKeyBytesMax) {
    return fail(Errc::kLimit, "store, " + write.area + ": key longer than " +
                                  std::to_string(KeyValue::kKeyBytesMax) + " bytes");
  }
  if (write.value && write.value->size() > KeyValue::kValueBytesMax) {
    return fail(Errc::kLimit, "store, " + write.area + ": value longer than " +
                                  std::to_string(KeyValue::kValueBytesMax) + " bytes");
  }
  return {};
}

Status AreaTable::fits(const std::vector<KeyValue::Write>& writes) const {
  std::uint64_t bytes = bytes_;
  for (const KeyValue::Write& write : writes) {
    if (write.value)
      bytes += write.area.size() + 1 + write.key.size() + kCrcBytes + write.value->size();
  }
  const bool erases =
      std::all_of(writes.begin(), writes.end(), [](const auto& w) { return !w.value; });
  if (erases || bytes <= bytes_max_) return {};
  return fail(Errc::kLimit, "store, " + writes.front().area + ": full, [store] max_bytes is " +
                                std::to_string(bytes_max_));
}

void AreaTable::apply(Transaction& txn, const std::vector<KeyValue::Write>& writes) {
  for (const KeyValue::Write& write : writes) {
    const std::string key = fullKey(write.area, write.key);
    std::string_view old;
    if (txn.get(txn.tables.areas, key, old)) {
      bytes_ -= std::min<std::uint64_t>(bytes_, key.size() + old.size());
      if (!write.value) txn.erase(txn.tables.areas, key);
    }
    if (!write.value) continue;
    const std::size_t bytes = kCrcBytes + write.value->size();
    std::uint8_t* to = txn.reserve(txn.tables.areas, key, bytes);
    if (to == nullptr) return;
    const std::uint32_t crc = checksum(key, *write.value);
    std::memcpy(to, &crc, kCrcBytes);
    if (!write.value->empty())
      std::memcpy(to + kCrcBytes, write.value->data(), write.value->size());
    bytes_ += key.size() + bytes;
  }
}

Result<std::optional<std::string>> AreaTable::get(Transaction& txn, const std::string& area,
                                                  const std::string& key) {
  const std::string full = fullKey(area, key);
  std::string_view stored;
  if (!txn.get(txn.tables.areas, full, stored)) {
    if (txn.failed()) return lmdbError("store", txn.error());
    return std::optional<std::string>();
  }
  KANTE_TRY(value, unpack(full, stored));
  return std::optional<std::string>(std::move(value));
}

Result<KeyValue::Pairs> AreaTable::scan(Transaction& txn, const std::string& area) {
  KeyValue::Pairs pairs;
  const std::string prefix = fullKey(area, {});
  Cursor cursor(txn, txn.tables.areas);
  for (bool more = cursor.seek(prefix); more; more = cursor.next()) {
    if (!cursor.key().starts_with(prefix)) break;
    KANTE_TRY(value, unpack(cursor.key(), cursor.value()));
    pairs.emplace_back(cursor.key().substr(prefix.size()), std::move(value));
  }
  if (txn.failed()) return lmdbError("store", txn.error());
  return pairs;
}

}  // namespace kante
