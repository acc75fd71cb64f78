// A key or a fingerprint of at most 64 bytes, without a heap; and how such are compared and used.
// Never written to a log; wiped when it goes.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/result.h"

namespace kante {

class Secret {
 public:
  static constexpr std::size_t kBytesMax = 64;

  Secret() = default;
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  // kLimit over kBytesMax.
  static Result<Secret> of(std::string_view bytes);

  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), size_}; }
  // Takes as long whatever differs.  An empty one equals nothing.
  bool same(std::string_view bytes) const;

 private:
  std::uint8_t size_ = 0;
  std::array<std::uint8_t, kBytesMax> bytes_{};
};

Sha256 hmacSha256(std::string_view key, std::string_view text);

}  // namespace kante
