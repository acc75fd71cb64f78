// The bytes of a bundle that have come so far: FOLDER/HEX.part, where HEX is the digest that is
// wanted; of a delta that makes it, HEX.from-HEX.part.  It outlives the process, so that the next
// attempt asks for the rest only.
//
// What does not begin as a bundle or as this delta does, or is longer than its own head says, is
// refused at once; whether the bytes are those of the digest only the whole tells.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/bundle/delta.h"

namespace kante {

class PartFile {
 public:
  // Opens or begins it.  `digest`: "sha256:HEX".  `base`: it is a delta against that, which
  // outlives this; null: it is the whole bundle.
  static Result<PartFile> open(int folder_fd, const std::string& digest,
                               const BaseForm* base = nullptr);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t bytesOfAll() const { return whole_; }  // 0 before its head has come.
  // Of the bundle, if these bytes are a delta that makes it; 0 otherwise, and before its head came.
  std::uint64_t bytesInstead() const { return delta_ ? delta_->bundle_bytes : 0; }
  bool isWhole() const { return whole_ != 0 && bytes_ == whole_; }

  // kCorrupt, kLimit, kUnsupported: these are no bytes of it, or of no use here; kIo: of the disk.
  Status append(std::string_view bytes);
  Status restart();  // Empties it.
  Status sync();
  // What it holds or, of a delta, makes, once it is whole and the payload has the digest; kCorrupt:
  // it has another one.  What a delta makes has no name.
  Result<FileDescriptor> take(const std::function<bool()>& goes_on) const;

  // Removes all that came of it, and what came of other digests that nobody came back for.
  static Status remove(int folder_fd, const std::string& digest);
  static Status removeAllBut(int folder_fd, const std::string& digest);

 private:
  PartFile(int folder_fd, std::string digest, const BaseForm* base)
      : folder_fd_(folder_fd), digest_(std::move(digest)), base_(base) {}
  std::string name() const;
  std::size_t headBytes() const { return base_ != nullptr ? kDeltaHeadBytes : kFrameHeadBytes; }
  Status readHead();

  int folder_fd_;
  std::string digest_;
  const BaseForm* base_;
  FileDescriptor file_;
  std::optional<DeltaHead> delta_;
  std::uint64_t bytes_ = 0;
  std::uint64_t whole_ = 0;
  std::uint64_t unsynced_ = 0;
};

}  // namespace kante
