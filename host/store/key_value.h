// Small texts by key, in areas, on the same disk and in the same transactions as the queues: twins,
// module storage ("module/NAME"), deployment journal, registry.
//
// Any thread.  Order: what one thread asks is done in that order.  The waiting forms are for the
// control thread (start, command line); shards use the forms with a callback, which comes on the
// store's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/durable_map.h"
#include "host/base/result.h"

namespace kante {

class AreaTable;
class StoreCore;
class Transaction;

// The areas inside one transaction, for whoever keeps many small things there.  Store's thread, for
// the length of one call.
class AreaWriter {
 public:
  AreaWriter(AreaTable& areas, Transaction& txn) : areas_(areas), txn_(txn) {}
  // Within the bounds of KeyValue::Write.
  void put(std::string_view area, std::string_view key, std::string_view value);
  bool erase(std::string_view area, std::string_view key);  // False: it is not there.
  // All keys that begin so.
  void erasePrefix(std::string_view area, std::string_view prefix);
  // What may still be put, keys and checksums included.
  std::uint64_t room() const;

 private:
  AreaTable& areas_;
  Transaction& txn_;
};

class KeyValue {
 public:
  static constexpr std::size_t kAreaBytesMax = 128;
  static constexpr std::size_t kKeyBytesMax = 320;
  static constexpr std::size_t kValueBytesMax = 16u << 20;

  // Area: not empty, without U+0000.  Absent value: erase.
  struct Write {
    std::string area;
    std::string key;
    std::optional<std::string> value;
  };
  using Pairs =
      std::vector<std::pair<std::string, std::string>>;  // Key and value, in order of keys.
  using OnStatus = std::function<void(Status)>;
  using OnValue = std::function<void(Result<std::optional<std::string>>)>;
  using OnPairs = std::function<void(Result<Pairs>)>;
  // The value, or that it is damaged.
  using OnRow = std::function<void(std::string_view key, Result<std::string_view> value)>;

  explicit KeyValue(StoreCore& core) : core_(core) {}

  // All of it or nothing.  kLimit: a size over its bound, or too much waiting for the store (64
  // MiB); kIo: disk full or failing.
  Status apply(std::vector<Write> writes);
  Status put(std::string area, std::string key, std::string value);
  Status erase(std::string area, std::string key);
  Result<std::optional<std::string>> get(std::string area, std::string key);
  Result<Pairs> scan(std::string area);

  void apply(std::vector<Write> writes, OnStatus done);
  void get(std::string area, std::string key, OnValue done);
  void scan(std::string area, OnPairs done);

  // Writes from inside the transaction.  `apply` may run again with nothing of the run before done:
  // the second time because there was no room for what it put, so it had better only erase.
  // `bytes`: memory that is held while it waits.
  void transact(std::uint64_t bytes, std::function<void(AreaWriter&)> apply, OnStatus done);
  // Every row in order of keys, damaged ones too, on the store's thread while the caller waits.
  Status visit(const std::string& area, const OnRow& row);
  // The store's clock (store_clock.h), which goes on over restarts.  Waits, like visit().
  Result<std::int64_t> nowNs();

 private:
  StoreCore& core_;
};

// One area as the DurableMap that twins and the agent keep their things in.  Control thread only;
// `post` runs a function there later.  The KeyValue outlives it.
class StoreMap final : public DurableMap {
 public:
  using Post = std::function<void(std::function<void()>)>;
  StoreMap(KeyValue& store, std::string area, Post post);
  ~StoreMap() override;

  Result<std::map<std::string, std::string>> readAll() override;
  Status put(const std::string& key, const std::string& value) override;
  Status erase(const std::string& key) override;
  void sync(std::function<void(Status)> done) override;

 private:
  struct State;
  Status later(KeyValue::Write write);
  KeyValue& store_;
  const std::string area_;
  const Post post_;
  std::shared_ptr<State> state_;  // Shared with callbacks on their way.
};

}  // namespace kante
