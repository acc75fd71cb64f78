#include "host/store/area_table.h"

#include <algorithm>
#include <cstring>

#include "host/store/crc32c.h"
#include "host/store/environment.h"

namespace kante {
namespace {

constexpr std::size_t kCrcBytes = 4;

std::uint32_t checksum(std::string_view full_key, std::string_view value) {
  return crc32c(value.data(), value.size(), crc32c(full_key.data(), full_key.size()));
}

Result<std::string_view> unpack(std::string_view full_key, std::string_view stored) {
  std::uint32_t crc = 0;
  const auto damaged = [&](const char* how) {
    return fail(Errc::kCorrupt,
                "store, " + std::string(full_key.substr(0, full_key.find('\0'))) + ": " + how);
  };
  if (stored.size() < kCrcBytes) return damaged("cut short");
  std::memcpy(&crc, stored.data(), kCrcBytes);
  stored.remove_prefix(kCrcBytes);
  if (checksum(full_key, stored) != crc) return damaged("wrong checksum");
  return stored;
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

const std::string& AreaTable::fullKey(std::string_view area, std::string_view key) {
  key_ = area;
  key_ += '\0';
  key_ += key;
  return key_;
}

void AreaTable::put(Transaction& txn, std::string_view area, std::string_view key,
                    std::string_view value) {
  const std::string& full = fullKey(area, key);
  std::string_view old;
  if (txn.get(txn.tables.areas, full, old)) uncount(full.size() + old.size());
  const std::size_t bytes = kCrcBytes + value.size();
  std::uint8_t* to = txn.reserve(txn.tables.areas, full, bytes);
  if (to == nullptr) return;
  const std::uint32_t crc = checksum(full, value);
  std::memcpy(to, &crc, kCrcBytes);
  if (!value.empty()) std::memcpy(to + kCrcBytes, value.data(), value.size());
  bytes_ += full.size() + bytes;
}

bool AreaTable::erase(Transaction& txn, std::string_view area, std::string_view key) {
  const std::string& full = fullKey(area, key);
  std::string_view old;
  if (!txn.get(txn.tables.areas, full, old)) return false;
  uncount(full.size() + old.size());
  return txn.erase(txn.tables.areas, full);
}

void AreaTable::erasePrefix(Transaction& txn, std::string_view area, std::string_view prefix) {
  const std::string& full = fullKey(area, prefix);
  Cursor cursor(txn, txn.tables.areas);
  while (cursor.seek(full) && cursor.key().starts_with(full)) {
    uncount(cursor.key().size() + cursor.value().size());
    cursor.erase();
  }
}

void AreaTable::apply(Transaction& txn, const std::vector<KeyValue::Write>& writes) {
  for (const KeyValue::Write& write : writes) {
    if (write.value) {
      put(txn, write.area, write.key, *write.value);
    } else {
      (void)erase(txn, write.area, write.key);
    }
  }
}

Result<std::optional<std::string>> AreaTable::get(Transaction& txn, const std::string& area,
                                                  const std::string& key) {
  const std::string& full = fullKey(area, key);
  std::string_view stored;
  if (!txn.get(txn.tables.areas, full, stored)) {
    if (txn.failed()) return lmdbError("store", txn.error());
    return std::optional<std::string>();
  }
  KANTE_TRY(value, unpack(full, stored));
  return std::optional<std::string>(value);
}

Status AreaTable::visit(Transaction& txn, const std::string& area, const KeyValue::OnRow& row) {
  const std::string prefix = fullKey(area, {});
  Cursor cursor(txn, txn.tables.areas);
  for (bool more = cursor.seek(prefix); more; more = cursor.next()) {
    if (!cursor.key().starts_with(prefix)) break;
    row(cursor.key().substr(prefix.size()), unpack(cursor.key(), cursor.value()));
  }
  if (txn.failed()) return lmdbError("store", txn.error());
  return {};
}

Result<KeyValue::Pairs> AreaTable::scan(Transaction& txn, const std::string& area) {
  KeyValue::Pairs pairs;
  Status damaged;
  KANTE_CHECK(visit(txn, area, [&](std::string_view key, const Result<std::string_view>& value) {
    if (value.has_error()) {
      if (!damaged.has_error()) damaged = value.error();
    } else {
      pairs.emplace_back(key, *value);
    }
  }));
  KANTE_CHECK(damaged);
  return pairs;
}

void AreaWriter::put(std::string_view area, std::string_view key, std::string_view value) {
  areas_.put(txn_, area, key, value);
}
bool AreaWriter::erase(std::string_view area, std::string_view key) {
  return areas_.erase(txn_, area, key);
}
void AreaWriter::erasePrefix(std::string_view area, std::string_view prefix) {
  areas_.erasePrefix(txn_, area, prefix);
}
std::uint64_t AreaWriter::room() const { return areas_.room(); }

}  // namespace kante
