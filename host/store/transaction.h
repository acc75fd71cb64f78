// One LMDB write transaction with a sticky error: after the first failure every call does nothing,
// and whoever began it looks once, at the end.
#pragma once

#include <lmdb.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kante {

// The tables of the environment; formats in docs/formats/store.md.
struct Tables {
  MDB_dbi root = 0;     // "root" → the store's own record.
  MDB_dbi queues = 0;   // Name → queue record.
  MDB_dbi entries = 0;  // (queue, priority, position) → message record.
  MDB_dbi numbers = 0;  // (queue, first number) → the entries that got these numbers.
  MDB_dbi expiry = 0;   // (expires, queue, priority, position) → nothing.
  MDB_dbi areas = 0;    // area NUL key → checksum, value.
};

class Transaction {
 public:
  Transaction(MDB_env* env, const Tables& of) : tables(of) {
    error_ = mdb_txn_begin(env, nullptr, 0, &txn_);
    if (error_ != 0) txn_ = nullptr;
  }
  ~Transaction() { abort(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  const Tables& tables;

  int error() const { return error_; }
  bool failed() const { return error_ != 0; }
  bool wrote() const { return wrote_; }
  MDB_txn* raw() { return txn_; }

  // False when it is not there (or the transaction failed).  The value lives until the next write.
  bool get(MDB_dbi table, std::string_view key, std::string_view& value) {
    if (failed()) return false;
    MDB_val k = val(key), v{};
    const int rc = mdb_get(txn_, table, &k, &v);
    if (rc == MDB_NOTFOUND) return false;
    if (!note(rc)) return false;
    value = view(v);
    return true;
  }
  void put(MDB_dbi table, std::string_view key, std::string_view value) {
    if (failed()) return;
    MDB_val k = val(key), v = val(value);
    wrote_ = true;
    note(mdb_put(txn_, table, &k, &v, 0));
  }
  // Room for `bytes` under the key, to be filled before the next call; null when it failed.
  std::uint8_t* reserve(MDB_dbi table, std::string_view key, std::size_t bytes) {
    if (failed()) return nullptr;
    MDB_val k = val(key), v{bytes, nullptr};
    wrote_ = true;
    return note(mdb_put(txn_, table, &k, &v, MDB_RESERVE)) ? static_cast<std::uint8_t*>(v.mv_data)
                                                           : nullptr;
  }
  bool erase(MDB_dbi table, std::string_view key) {
    if (failed()) return false;
    MDB_val k = val(key);
    const int rc = mdb_del(txn_, table, &k, nullptr);
    if (rc == MDB_NOTFOUND) return false;
    wrote_ = true;
    return note(rc);
  }
  // The same on `entries`, with a cursor that stays where it is: what goes on there costs no way
  // down from the root.
  bool findEntry(std::string_view key, std::string_view& value) {
    if (!openEntries()) return false;
    MDB_val k = val(key), v{};
    const int rc = mdb_cursor_get(entries_, &k, &v, MDB_SET_KEY);
    if (rc == MDB_NOTFOUND || !note(rc)) return false;
    value = view(v);
    return true;
  }
  // What findEntry() just found.
  void eraseFoundEntry() {
    if (failed()) return;
    wrote_ = true;
    note(mdb_cursor_del(entries_, 0));
  }
  std::uint8_t* reserveEntry(std::string_view key, std::size_t bytes) {
    if (!openEntries()) return nullptr;
    MDB_val k = val(key), v{bytes, nullptr};
    wrote_ = true;
    return note(mdb_cursor_put(entries_, &k, &v, MDB_RESERVE))
               ? static_cast<std::uint8_t*>(v.mv_data)
               : nullptr;
  }
  // The error code; 0 when it is on disk.  Over either way.
  int commit() {
    if (failed()) {
      abort();
      return error_;
    }
    error_ = mdb_txn_commit(txn_);
    txn_ = nullptr;
    return error_;
  }
  void abort() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
    txn_ = nullptr;
  }

  bool openEntries() {
    if (failed()) return false;
    return entries_ != nullptr || note(mdb_cursor_open(txn_, tables.entries, &entries_));
  }
  bool note(int rc) {
    if (rc != 0 && error_ == 0) error_ = rc;
    return rc == 0;
  }
  static MDB_val val(std::string_view bytes) {
    return {bytes.size(), const_cast<char*>(bytes.data())};
  }
  static std::string_view view(const MDB_val& v) {
    return {static_cast<const char*>(v.mv_data), v.mv_size};
  }

 private:
  friend class Cursor;
  MDB_txn* txn_ = nullptr;
  MDB_cursor* entries_ = nullptr;  // LMDB closes it with the transaction.
  int error_ = 0;
  bool wrote_ = false;
};

// Walks a table of a transaction in order of keys; also ends when the transaction fails.
class Cursor {
 public:
  Cursor(Transaction& txn, MDB_dbi table) : txn_(txn) {
    if (!txn.failed()) txn.note(mdb_cursor_open(txn.raw(), table, &cursor_));
  }
  ~Cursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // To the first key at or after this one; empty: to the first of all.
  bool seek(std::string_view key) { return move(key.empty() ? MDB_FIRST : MDB_SET_RANGE, key); }
  bool next() { return move(MDB_NEXT, {}); }
  void erase() {
    if (txn_.failed()) return;
    txn_.wrote_ = true;
    txn_.note(mdb_cursor_del(cursor_, 0));
  }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }

 private:
  bool move(MDB_cursor_op op, std::string_view key) {
    if (txn_.failed()) return false;
    MDB_val k = Transaction::val(key), v{};
    const int rc = mdb_cursor_get(cursor_, &k, &v, op);
    if (rc == MDB_NOTFOUND || !txn_.note(rc)) return false;
    key_ = Transaction::view(k);
    value_ = Transaction::view(v);
    return true;
  }

  Transaction& txn_;
  MDB_cursor* cursor_ = nullptr;
  std::string_view key_;
  std::string_view value_;
};

// Big-endian integers, so that keys sort as numbers do.
class KeyBuilder {
 public:
  template <typename Int>
  KeyBuilder& add(Int value) {
    for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8) {
      bytes_[size_++] = static_cast<char>((value >> shift) & 0xff);
    }
    return *this;
  }
  // NOLINTNEXTLINE(google-explicit-constructor): a key is its bytes.
  operator std::string_view() const { return {bytes_, size_}; }

 private:
  char bytes_[32] = {};
  std::size_t size_ = 0;
};

template <typename Int>
Int readBig(std::string_view bytes, std::size_t at) {
  Int value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<Int>((value << 8) | static_cast<unsigned char>(bytes[at + i]));
  }
  return value;
}

}  // namespace kante
