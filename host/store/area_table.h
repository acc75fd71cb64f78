// The key-value areas inside a transaction.  Lives on the store's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
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

  // Keys and values; undone with the transaction by setting what it was.
  std::uint64_t bytes() const { return bytes_; }
  void setBytes(std::uint64_t bytes) { bytes_ = bytes; }

  static Status check(const KeyValue::Write& write);

 private:
  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
};

}  // namespace kante
