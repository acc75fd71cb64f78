// What kante-bench store compares the store with: LMDB by itself, and a file that is appended to
// and synced.  Both write the same records in the same groups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "host/base/fd.h"

namespace kante::bench {

inline constexpr double kRoundSeconds = 0.15;

struct Rates {
  double in = 0;   // Messages a second, on disk.
  double out = 0;  // Messages a second, read and removed; 0: cannot.
};

// One of the ways to keep messages; each call is one round in groups of `group` records of `bytes`.
class Keeper {
 public:
  virtual ~Keeper() = default;
  virtual Rates round(std::size_t group, std::size_t bytes) = 0;
  // One record, durable when it returns.
  virtual void one(std::size_t bytes) = 0;
};

std::unique_ptr<Keeper> rawLmdb(const std::string& directory, std::uint64_t map_bytes);
std::unique_ptr<Keeper> appendedFile(const std::string& directory, std::uint64_t file_bytes);

// Bytes that this process caused to be sent to a disk so far (/proc/self/io, write_bytes: pages as
// they are handed to the block layer; a file system's own journal is not in it).
std::uint64_t writtenBytes();

}  // namespace kante::bench
