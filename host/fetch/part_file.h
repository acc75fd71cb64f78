// The bytes of a bundle that have come so far: FOLDER/HEX.part, where HEX is the digest that is
// wanted.  It outlives the process, so that the next attempt asks for the rest only.
//
// What does not begin as a bundle does, or is longer than its own head says, is refused at once;
// whether the bytes are those of the digest only the whole tells.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/bundle/frame.h"

namespace kante {

class PartFile {
 public:
  // Opens or begins it.  `digest`: "sha256:HEX".
  static Result<PartFile> open(int folder_fd, const std::string& digest);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t bytesOfAll() const { return whole_; }  // 0 before its head has come.
  bool isWhole() const { return whole_ != 0 && bytes_ == whole_; }

  // kCorrupt, kLimit: these are no bytes of a bundle; kIo: of the disk.
  Status append(std::string_view bytes);
  Status restart();  // Empties it.
  Status sync();
  // What it holds, once it is whole and the payload has the digest; kCorrupt: it has another one.
  Result<FileDescriptor> take() const;

  // Removes it, and those of other digests that nobody came back for.
  static Status remove(int folder_fd, const std::string& digest);
  static Status removeAllBut(int folder_fd, const std::string& digest);

 private:
  PartFile(int folder_fd, std::string digest, FileDescriptor file)
      : folder_fd_(folder_fd), digest_(std::move(digest)), file_(std::move(file)) {}
  Status readHead();

  int folder_fd_;
  std::string digest_;
  FileDescriptor file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t whole_ = 0;
  std::uint64_t unsynced_ = 0;
};

}  // namespace kante
