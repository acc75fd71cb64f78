// What a gateway has of an admitted bundle, as one run of bytes: the text of its manifest, its
// libraries, its data, each in the order of their names, without those of other machines, which no
// store keeps.  It is what a delta was made against.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/bundle/manifest.h"

namespace kante {

// Whether a gateway of this machine keeps the file: the libraries and programs of other machines
// are dropped at admission, flash is dear.
bool isKept(const Manifest& manifest, std::string_view name, Machine machine);

// Reads the files when they are asked for; what is wrong with them the digest of the result says.
// Any thread, one at a time.
class BaseForm {
 public:
  // The folder of an unpacked bundle.  `digest`: "sha256:HEX" of its payload.
  static Result<BaseForm> open(FileDescriptor folder, std::string digest, const Manifest& manifest,
                               Machine machine);

  const std::string& digest() const { return digest_; }
  Machine machine() const { return machine_; }
  std::uint64_t bytes() const { return bytes_; }
  // Where the file begins; none: it is not there.
  std::optional<std::uint64_t> offsetOf(std::string_view name) const;
  // kCorrupt: there are fewer.
  Result<std::string> read(std::uint64_t offset, std::size_t count) const;

 private:
  struct Piece {
    std::string name;
    std::uint64_t begin = 0;
    std::uint64_t bytes = 0;
  };
  BaseForm(FileDescriptor folder, std::string digest, Machine machine)
      : folder_(std::move(folder)), digest_(std::move(digest)), machine_(machine) {}
  void add(const std::string& name, std::uint64_t bytes);

  FileDescriptor folder_;
  std::string digest_;
  Machine machine_;
  std::vector<Piece> pieces_;
  std::uint64_t bytes_ = 0;
};

}  // namespace kante
