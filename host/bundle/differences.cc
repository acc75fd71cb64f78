#include "host/bundle/differences.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "host/bundle/little_endian.h"

namespace kante {
namespace {

constexpr std::size_t kSeedBytes = 12;    // What has to be equal for a place to be looked at.
constexpr std::size_t kPlacesMax = 32;    // That are looked at for one seed, the last first.
constexpr std::size_t kBetterBy = 2;      // As many more equal bytes make another place worth it.
constexpr std::size_t kEqualMax = 4'096;  // Bytes that are compared at most.
constexpr int kHashLog = 20;

// Where runs of bytes occur in the base.
class Places {
 public:
  explicit Places(std::string_view base)
      : base_(base), heads_(std::size_t{1} << kHashLog, -1), before_(base.size(), -1) {
    for (std::size_t at = 0; at + kSeedBytes <= base.size(); ++at) {
      std::int32_t& head = heads_[hashOf(base.substr(at))];
      before_[at] = head;
      head = static_cast<std::int32_t>(at);
    }
  }

  struct Found {
    std::size_t at = 0;
    std::size_t equal = 0;
  };
  Found longest(std::string_view text) const {
    Found best;
    if (text.size() < kSeedBytes) return best;
    std::int32_t at = heads_[hashOf(text)];
    for (std::size_t looked = 0; at >= 0 && looked < kPlacesMax; ++looked) {
      const auto place = static_cast<std::size_t>(at);
      const std::size_t equal = equalBytes(base_.substr(place), text);
      if (equal > best.equal) best = {place, equal};
      at = before_[place];
    }
    return best.equal < kSeedBytes ? Found() : best;
  }

 private:
  static std::size_t hashOf(std::string_view text) {
    std::uint64_t a = 0, b = 0;
    std::memcpy(&a, text.data(), 8);
    std::memcpy(&b, text.data() + kSeedBytes - 8, 8);
    return static_cast<std::size_t>(((a ^ (b << 21 | b >> 43)) * 0x9e3779b97f4a7c15u) >>
                                    (64 - kHashLog));
  }
  static std::size_t equalBytes(std::string_view a, std::string_view b) {
    const std::size_t most = std::min({a.size(), b.size(), kEqualMax});
    return static_cast<std::size_t>(
        std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
        a.begin());
  }

  const std::string_view base_;
  std::vector<std::int32_t> heads_;
  std::vector<std::int32_t> before_;
};

// From a place in one to a place in the other.
struct Aligned {
  std::size_t made = 0;
  std::size_t base = 0;
};

// Percival's bsdiff, with a hash table for the suffix array: an alignment goes on through bytes
// that differ, until another one fits clearly better.
class Differ {
 public:
  Differ(std::string_view base, std::string_view made) : base_(base), made_(made), places_(base) {}

  std::string run() {
    std::size_t scan = 0;
    while (scan < made_.size()) {
      const auto found = places_.longest(made_.substr(scan));
      if (found.equal <= equalHere(scan, found.equal) + kBetterBy) {
        scan += std::max<std::size_t>(1, runHere(scan));
        continue;
      }
      take({scan, found.at});
      scan += found.equal;
    }
    take({made_.size(), base_.size()});
    if (steps_ > kDifferenceStepsMax) return {};
    std::string out;
    appendLittle(out, steps_, 4);
    return out + controls_ + differences_ + extras_;
  }

 private:
  bool agree(std::size_t made, std::size_t base) const {
    return base < base_.size() && made < made_.size() && base_[base] == made_[made];
  }
  // Of the next `count` bytes, in the alignment that holds.
  std::size_t equalHere(std::size_t scan, std::size_t count) const {
    std::size_t equal = 0;
    for (std::size_t i = 0; i < count; ++i)
      if (agree(scan + i, last_.base + (scan - last_.made) + i)) ++equal;
    return equal;
  }
  // As far as they agree, no other place is looked for: files may be all zeros.
  std::size_t runHere(std::size_t scan) const {
    std::size_t run = 0;
    while (agree(scan + run, last_.base + (scan - last_.made) + run)) ++run;
    return run;
  }
  // How far it is worth to go on from the last place.
  std::size_t forward(std::size_t most) const {
    std::size_t best = 0, equal = 0;
    std::ptrdiff_t score = 0;
    for (std::size_t i = 0; i < most && last_.base + i < base_.size();) {
      if (agree(last_.made + i, last_.base + i)) ++equal;
      ++i;
      const auto now = static_cast<std::ptrdiff_t>(2 * equal) - static_cast<std::ptrdiff_t>(i);
      if (now > score) score = now, best = i;
    }
    return best;
  }
  std::size_t backward(const Aligned& next, std::size_t most) const {
    std::size_t best = 0, equal = 0;
    std::ptrdiff_t score = 0;
    for (std::size_t i = 1; i <= most && i <= next.base; ++i) {
      if (agree(next.made - i, next.base - i)) ++equal;
      const auto now = static_cast<std::ptrdiff_t>(2 * equal) - static_cast<std::ptrdiff_t>(i);
      if (now > score) score = now, best = i;
    }
    return best;
  }
  // Where two alignments want the same bytes: the cut with which most are equal.
  std::size_t cut(const Aligned& next, std::size_t ahead, std::size_t back,
                  std::size_t both) const {
    std::size_t best = 0;
    std::ptrdiff_t score = 0, now = 0;
    for (std::size_t i = 0; i < both; ++i) {
      if (agree(last_.made + ahead - both + i, last_.base + ahead - both + i)) ++now;
      if (agree(next.made - back + i, next.base - back + i)) --now;
      if (now > score) score = now, best = i + 1;
    }
    return best;
  }

  void take(const Aligned& next) {
    const std::size_t between = next.made - last_.made;
    std::size_t ahead = forward(between);
    std::size_t back = next.made < made_.size() ? backward(next, between) : 0;
    if (ahead + back > between) {
      const std::size_t both = ahead + back - between;
      const std::size_t kept = cut(next, ahead, back, both);
      ahead = ahead - both + kept;
      back -= kept;
    }
    const std::size_t extra = between - ahead - back;
    if (ahead + extra > 0) {
      ++steps_;
      appendLittle(controls_, last_.base, 4);
      appendLittle(controls_, ahead, 4);
      appendLittle(controls_, extra, 4);
      for (std::size_t i = 0; i < ahead; ++i)
        differences_ += static_cast<char>(made_[last_.made + i] - base_[last_.base + i]);
      extras_ += made_.substr(last_.made + ahead, extra);
    }
    last_ = {next.made - back, next.base - back};
  }

  const std::string_view base_;
  const std::string_view made_;
  const Places places_;
  Aligned last_;
  std::size_t steps_ = 0;
  std::string controls_;
  std::string differences_;
  std::string extras_;
};

Error corrupt() { return fail(Errc::kCorrupt, "differences do not fit together"); }

}  // namespace

std::string makeDifferences(std::string_view base, std::string_view made) {
  return Differ(base, made).run();
}

Status applyDifferences(std::string_view base, std::string_view text, std::span<char> made) {
  if (text.size() < 4) return corrupt();
  const std::uint64_t steps = readLittle(text, 0, 4);
  if (steps > kDifferenceStepsMax || text.size() != 4 + steps * kDifferenceStepBytes + made.size())
    return corrupt();
  std::uint64_t all = 0;
  for (std::size_t n = 0; n < steps; ++n)
    all += readLittle(text, 4 + n * kDifferenceStepBytes + 4, 4);
  const std::string_view bytes =
      text.substr(4 + static_cast<std::size_t>(steps) * kDifferenceStepBytes);
  if (all > bytes.size()) return corrupt();
  std::string_view differences = bytes.substr(0, static_cast<std::size_t>(all));
  std::string_view extras = bytes.substr(static_cast<std::size_t>(all));
  std::size_t at = 0;
  for (std::size_t n = 0; n < steps; ++n) {
    const std::size_t control = 4 + n * kDifferenceStepBytes;
    const auto from = static_cast<std::size_t>(readLittle(text, control, 4));
    const auto ahead = static_cast<std::size_t>(readLittle(text, control + 4, 4));
    const auto extra = static_cast<std::size_t>(readLittle(text, control + 8, 4));
    if (ahead > differences.size() || extra > extras.size() || from > base.size() ||
        ahead > base.size() - from)
      return corrupt();
    for (std::size_t i = 0; i < ahead; ++i)
      made[at + i] = static_cast<char>(base[from + i] + differences[i]);
    std::copy_n(extras.begin(), extra, made.begin() + static_cast<std::ptrdiff_t>(at + ahead));
    at += ahead + extra;
    differences.remove_prefix(ahead);
    extras.remove_prefix(extra);
  }
  return at == made.size() ? Status() : corrupt();
}

}  // namespace kante
