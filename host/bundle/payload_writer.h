// The zstd frame that a payload is: how bundles are packed, and how a gateway makes the very same
// bytes again from the archive when a delta brought it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

struct ZSTD_CCtx_s;

namespace kante {

// Values are in deltas: append only.
enum class PayloadCoding : std::uint8_t {
  kZstd = 0,    // Small; the same bytes come from the same version of libzstd only.
  kStored = 1,  // Blocks as they are: the same bytes from every version, about three times as many.
};

// The version of libzstd in this process, 10504 for 1.5.4.
std::uint32_t zstdVersion();

// One frame of exactly the bytes that were announced.  Holds 14 MiB at most: a gateway does this,
// too.
class PayloadWriter {
 public:
  using Output = std::function<Status(std::string_view)>;

  // `bytes`: of the archive, from 1.
  PayloadWriter(PayloadCoding coding, std::uint64_t bytes, Output output);
  ~PayloadWriter();
  PayloadWriter(const PayloadWriter&) = delete;
  PayloadWriter& operator=(const PayloadWriter&) = delete;

  Status write(std::string_view bytes);
  Status finish();

 private:
  Status compress(std::string_view bytes, bool ends);
  Status store(std::string_view bytes);

  struct Free {
    void operator()(ZSTD_CCtx_s* context) const;
  };

  const PayloadCoding coding_;
  const Output output_;
  std::uint64_t left_;
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;  // Of kZstd.
  std::string block_;                           // Of kStored: what precedes the next block.
  std::vector<char> out_;
};

}  // namespace kante
