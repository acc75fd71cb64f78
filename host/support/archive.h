// A few texts as one tar.zst, bounded as a whole and each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

// What is given first is in it; what finds no room any more is cut or left out, and contents() says
// so.
class SupportArchive {
 public:
  static constexpr std::size_t kFileBytesMax = 4u << 20;
  static constexpr std::size_t kBytesMax = 16u << 20;  // Of all files, before they are packed.

  explicit SupportArchive(std::size_t bytes_max = kBytesMax) : bytes_max_(bytes_max) {}

  // kEnd: of a log the end matters.
  enum class Keep { kBeginning, kEnd };
  void add(const std::string& name, std::string text, Keep keep = Keep::kBeginning);
  // A line a file.
  std::string contents() const;
  // With README.txt, which begins with `head`, and contents() in it.
  Result<std::string> pack(std::string_view head) const;

 private:
  struct File {
    std::string name;
    std::string text;
    std::size_t bytes = 0;  // As it was given.
  };
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::vector<File> files_;
};

}  // namespace kante
