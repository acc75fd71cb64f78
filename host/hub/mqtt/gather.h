// What leaves with one write: heads and small payloads in one buffer, large payloads from where
// they are.
//
// A Gather belongs to a shard and is used for one connection after the other; what a socket did not
// take becomes that connection's Leftover.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/hub/mqtt/publication.h"

namespace kante::hub {

// Bytes that a socket had no room for.
class Leftover {
 public:
  bool empty() const { return first_ == pieces_.size(); }
  std::size_t bytes() const { return bytes_; }
  void parts(std::vector<iovec>& out) const;
  void sent(std::size_t bytes);

 private:
  friend class Gather;
  struct Piece {
    PublicationRef publication;  // Whose payload `bytes` is, or null:
    std::string own;
    std::string_view bytes() const { return publication ? publication->payload() : own; }
  };
  std::vector<Piece> pieces_;
  std::size_t first_ = 0;
  std::size_t offset_ = 0;  // Of the first piece.
  std::size_t bytes_ = 0;
};

class Gather {
 public:
  // A payload up to here is cheaper to copy than to describe to the kernel.
  static constexpr std::size_t kCopiedMax = 2048;
  static constexpr std::size_t kFull = 64u << 10;

  Gather() { bytes_.reserve(kFull + (16u << 10)); }
  bool empty() const { return size_ == 0; }
  bool isFull() const { return size_ >= kFull || payloads_.size() >= kPayloadsMax; }
  std::size_t size() const { return size_; }
  // Append heads here, then say so.
  std::string& bytes() { return bytes_; }
  void appended() { size_ = bytes_.size() + payload_bytes_; }
  void payload(const PublicationRef& publication);

  void parts(std::vector<iovec>& out) const;
  // All but the first `sent` bytes.
  Leftover rest(std::size_t sent) const;
  void clear();

 private:
  static constexpr std::size_t kPayloadsMax = 100;  // Parts of one write, at most IOV_MAX / 2.
  struct Payload {
    std::size_t after;  // Where in bytes_ it comes.
    PublicationRef publication;
  };
  // Calls with each part and, for payloads, whose it is.
  template <typename Call>
  void forEach(Call&& call) const;

  std::string bytes_;
  std::vector<Payload> payloads_;
  std::size_t payload_bytes_ = 0;
  std::size_t size_ = 0;
};

}  // namespace kante::hub
