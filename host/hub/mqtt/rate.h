// How often something may happen for each of many names: a bucket of tokens a name, and a bound on
// names.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace kante::hub {

class Rate {
 public:
  static constexpr std::size_t kNamesMax = 65'536;

  // `per_s` in the long run, twice that at once.
  explicit Rate(std::uint32_t per_s) : per_s_(per_s) {}
  // Takes one; false: not now.
  bool take(const std::string& name, std::int64_t now_ns);
  std::size_t names() const { return buckets_.size(); }

 private:
  struct Bucket {
    double left;
    std::int64_t at_ns;
  };
  double tokens(const Bucket& bucket, std::int64_t now_ns) const;
  void forgetFull(std::int64_t now_ns);

  const std::uint32_t per_s_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace kante::hub
