// The key-value areas inside a transaction.  Lives on the store's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/store/key_value.h"
#include "host/store/transaction.h"

namespace kante {

class AreaTable {
 public:
  explicit AreaTable(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // kLimit when they might not fit; what they replace is not counted in their favour.
  Status fits(const std::vector<KeyValue::Write>& writes) const;
  void apply(Transaction& txn, const std::vector<KeyValue::Write>& writes);
  // kCorrupt: the value does not fit its checksum.
  Result<std::optional<std::string>> get(Transaction& txn, const std::string& area,
                                         const std::string& key);
  Result<KeyValue::Pairs> scan(Transaction& txn, const std::string& area);
  Status visit(Transaction& txn, const std::string& area, const KeyValue::OnRow& row);

  void put(Transaction& txn, std::string_view area, std::string_view key, std::string_view value);
  bool erase(Transaction& txn, std::string_view area, std::string_view key);
  void erasePrefix(Transaction& txn, std::string_view area, std::string_view prefix);
  std::uint64_t room() const { return bytes_max_ > bytes_ ? bytes_max_ - bytes_ : 0; }

  // Keys and values; undone with the transaction by setting what it was.
  std::uint64_t bytes() const { return bytes_; }
  void setBytes(std::uint64_t bytes) { bytes_ = bytes; }

  static Status check(const KeyValue::Write& write);

 private:
  const std::string& fullKey(std::string_view area, std::string_view key);
  void uncount(std::uint64_t bytes) { bytes_ -= std::min(bytes_, bytes); }

  std::string key_;  // Of the row at hand.
  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
};

}  // namespace kante
