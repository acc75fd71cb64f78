#include "host/store/page_check.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kante {
namespace {

// The format of LMDB 0.9 on 64-bit machines (its lmdb.h and mdb.c): page header 16 bytes, meta data
// after.
constexpr std::size_t kPageHeader = 16;
constexpr std::uint32_t kMagic = 0xbeefc0de;
constexpr std::uint16_t kBranch = 1, kLeaf = 2, kOverflow = 4, kMetaPage = 8;
constexpr std::uint16_t kKinds = 0x3fef;  // Without the marks dirty, loose and keep.
constexpr std::uint16_t kBigData = 1, kSubData = 2;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::size_t kDbBytes = 48, kDbRoot = 40;
constexpr std::size_t kMetaDbs = kPageHeader + 24, kMetaLast = kMetaDbs + 2 * kDbBytes;

template <typename Int>
Int readAt(std::string_view bytes, std::size_t at) {
  Int value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Meta {
  std::uint64_t txn = 0;
  std::uint64_t last_page = 0;
  std::uint64_t roots[2] = {kNoPage, kNoPage};
};

class PageWalk {
 public:
  PageWalk(int fd, std::uint64_t file_bytes) : fd_(fd), file_bytes_(file_bytes) {}

  Status run() {
    Meta newest;
    bool any = false;
    page_bytes_ = 4096;
    for (std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}}) {
      Meta meta;
      if (!readMeta(number, meta)) continue;
      if (!any || meta.txn > newest.txn) newest = meta;
      any = true;
    }
    if (!any) return bad(0, "no valid meta page");
    meta_ = newest;
    seen_.assign(meta_.last_page + 1, false);
    push(newest.roots[0], Tree::kFreePages);
    push(newest.roots[1], Tree::kTables);
    while (!todo_.empty()) {
      const Todo next = todo_.back();
      todo_.pop_back();
      KANTE_CHECK(checkPage(next.number, next.tree));
    }
    return {};
  }

 private:
  enum class Tree { kFreePages, kTables };
  struct Todo {
    std::uint64_t number;
    Tree tree;
  };

  // Every page has one use.  False for those outside of the file, too.
  bool use(std::uint64_t number) {
    if (number < 2 || number > meta_.last_page || seen_[number]) return false;
    seen_[number] = true;
    return true;
  }

  static Error bad(std::uint64_t page, const char* what) {
    return fail(Errc::kCorrupt, "store page " + std::to_string(page) + ": " + what);
  }

  bool read(std::uint64_t number, std::string& page) {
    page.resize(page_bytes_);
    const auto at = static_cast<off_t>(number * page_bytes_);
    return ::pread(fd_, page.data(), page_bytes_, at) == static_cast<ssize_t>(page_bytes_);
  }

  bool readMeta(std::uint64_t number, Meta& meta) {
    std::string page;
    if (!read(number, page)) return false;
    if ((readAt<std::uint16_t>(page, 10) & kMetaPage) == 0) return false;
    if (readAt<std::uint32_t>(page, kPageHeader) != kMagic) return false;
    const auto page_bytes = readAt<std::uint32_t>(page, kMetaDbs);
    if (number == 0 && (page_bytes & (page_bytes - 1)) == 0 && page_bytes >= 4096 &&
        page_bytes <= 65536) {
      page_bytes_ = page_bytes;
    } else if (page_bytes != page_bytes_) {
      return false;
    }
    meta.roots[0] = readAt<std::uint64_t>(page, kMetaDbs + kDbRoot);
    meta.roots[1] = readAt<std::uint64_t>(page, kMetaDbs + kDbBytes + kDbRoot);
    meta.last_page = readAt<std::uint64_t>(page, kMetaLast);
    meta.txn = readAt<std::uint64_t>(page, kMetaLast + 8);
    return meta.last_page < file_bytes_ / page_bytes_ + 2;
  }

  void push(std::uint64_t root, Tree tree) {
    if (root != kNoPage) todo_.push_back({root, tree});
  }

  Status checkPage(std::uint64_t number, Tree tree) {
    std::string page;
    if (!use(number)) return bad(number, "is used twice, or outside of the file");
    if (!read(number, page)) return bad(number, "outside of the file");
    const auto flags = static_cast<std::uint16_t>(readAt<std::uint16_t>(page, 10) & kKinds);
    const auto lower = readAt<std::uint16_t>(page, 12);
    const auto upper = readAt<std::uint16_t>(page, 14);
    if (readAt<std::uint64_t>(page, 0) != number) return bad(number, "has another page's number");
    if (flags != kBranch && flags != kLeaf) return bad(number, "is neither branch nor leaf");
    if (lower < kPageHeader || lower > upper || upper > page_bytes_ || lower % 2 != 0) {
      return bad(number, "has impossible bounds");
    }
    const std::size_t nodes = (lower - kPageHeader) / 2;
    if (nodes == 0 || (flags == kBranch && nodes < 2)) return bad(number, "has no entries");
    std::string_view before;
    std::vector<std::pair<std::size_t, std::size_t>> places;  // Begin and end of each entry.
    for (std::size_t i = 0; i < nodes; ++i) {
      const std::size_t at = readAt<std::uint16_t>(page, kPageHeader + 2 * i);
      KANTE_CHECK(checkNode(number, page, at, flags, tree));
      places.emplace_back(at, at + nodeBytes(page, at, flags));
      if (flags == kBranch && i == 0) continue;  // Its key is not there.
      const std::string_view key =
          std::string_view(page).substr(at + 8, readAt<std::uint16_t>(page, at + 6));
      if (key.empty() || (!before.empty() && !inOrder(before, key, tree))) {
        return bad(number, "has its keys out of order");
      }
      before = key;
    }
    if (!arePacked(std::move(places), upper)) return bad(number, "has entries that overlap");
    return {};
  }

  // What LMDB moves when an entry comes or goes: header, key, and the value or where it is.  Even,
  // because entries begin at even places.
  static std::size_t nodeBytes(std::string_view page, std::size_t at, std::uint16_t flags) {
    std::size_t bytes = 8 + std::size_t{readAt<std::uint16_t>(page, at + 6)};
    if (flags == kLeaf) {
      const bool big = (readAt<std::uint16_t>(page, at + 4) & kBigData) != 0;
      bytes += big ? 8
                   : readAt<std::uint16_t>(page, at) +
                         (std::size_t{readAt<std::uint16_t>(page, at + 2)} << 16);
    }
    return (bytes + 1) & ~std::size_t{1};
  }

  // Entries lie side by side from `upper` to the page's end; LMDB trusts that when it moves them.
  bool arePacked(std::vector<std::pair<std::size_t, std::size_t>> places, std::size_t upper) const {
    std::sort(places.begin(), places.end());
    std::size_t end = upper;
    for (const auto& [begins, ends] : places) {
      if (begins != end) return false;
      end = ends;
    }
    return end == page_bytes_;
  }

  static bool inOrder(std::string_view a, std::string_view b, Tree tree) {
    if (tree == Tree::kTables) return a < b;
    return a.size() == 8 && b.size() == 8 &&
           readAt<std::uint64_t>(a, 0) < readAt<std::uint64_t>(b, 0);
  }

  Status checkNode(std::uint64_t number, std::string_view page, std::size_t at, std::uint16_t flags,
                   Tree tree) {
    if (at + 8 > page.size() || at % 2 != 0) return bad(number, "has an entry outside of it");
    const std::uint64_t low = readAt<std::uint16_t>(page, at);
    const std::uint64_t high = readAt<std::uint16_t>(page, at + 2);
    const std::uint64_t node_flags = readAt<std::uint16_t>(page, at + 4);
    const std::size_t data = at + 8 + readAt<std::uint16_t>(page, at + 6);
    if (flags == kBranch) {
      if (data > page.size()) return bad(number, "has a key outside of it");
      push(low | high << 16 | node_flags << 32, tree);
      return {};
    }
    const std::uint64_t size = low | high << 16;
    const bool big = (node_flags & kBigData) != 0;
    if (node_flags > 3 || data + (big ? 8 : size) > page.size()) {
      return bad(number, "has a value outside of it");
    }
    if (big) return checkOverflow(readAt<std::uint64_t>(page, data), size, tree);
    if (tree == Tree::kFreePages) return checkFree(number, page.substr(data, size));
    if ((node_flags & kSubData) != 0) {
      if (size != kDbBytes) return bad(number, "has a damaged table");
      push(readAt<std::uint64_t>(page, data + kDbRoot), tree);
    }
    return {};
  }

  // Free pages: their count, then their numbers.  One that is in use would be written over.
  Status checkFree(std::uint64_t number, std::string_view list) {
    if (list.size() < 8 || readAt<std::uint64_t>(list, 0) > list.size() / 8 - 1) {
      return bad(number, "has a damaged list of free pages");
    }
    const auto count = readAt<std::uint64_t>(list, 0);
    for (std::uint64_t i = 1; i <= count; ++i) {
      if (!use(readAt<std::uint64_t>(list, 8 * i))) {
        return bad(number, "lists a page as free that is not");
      }
    }
    return {};
  }

  Status checkOverflow(std::uint64_t number, std::uint64_t size, Tree tree) {
    char header[kPageHeader];
    const std::string_view view(header, sizeof header);
    const auto at = static_cast<off_t>(number * page_bytes_);
    if (number < 2 || number > meta_.last_page ||
        ::pread(fd_, header, sizeof header, at) != static_cast<ssize_t>(sizeof header)) {
      return bad(number, "outside of the file");
    }
    const std::uint64_t pages = readAt<std::uint32_t>(view, 12);
    if (readAt<std::uint64_t>(view, 0) != number ||
        (readAt<std::uint16_t>(view, 10) & kKinds) != kOverflow || pages == 0 ||
        number + pages - 1 > meta_.last_page || pages * page_bytes_ < size + kPageHeader) {
      return bad(number, "is no overflow page of its size");
    }
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (!use(number + i)) return bad(number + i, "is used twice");
    }
    if (tree != Tree::kFreePages) return {};
    std::string list(size, '\0');
    if (::pread(fd_, list.data(), size, at + static_cast<off_t>(kPageHeader)) !=
        static_cast<ssize_t>(size)) {
      return bad(number, "outside of the file");
    }
    return checkFree(number, list);
  }

  const int fd_;
  const std::uint64_t file_bytes_;
  std::uint64_t page_bytes_ = 4096;
  Meta meta_;
  std::vector<bool> seen_;
  std::vector<Todo> todo_;
};

}  // namespace

Status checkPages(int data_fd) {
  struct stat file {};
  if (::fstat(data_fd, &file) != 0) return failErrno("store");
  if (file.st_size == 0) return {};
  return PageWalk(data_fd, static_cast<std::uint64_t>(file.st_size)).run();
}

}  // namespace kante
