// Takes secrets out of what leaves the gateway: members and settings whose names say so, what has
// the form of one (keys, tokens, user info and queries of addresses), and every secret that it has
// learned, wherever it stands, also in base64 or percent-encoded.
//
// Give it all structured data first: what is taken out of there is learned, and so found again in
// log lines.  Rather too much than too little.  One thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kante {

class Redactor {
 public:
  static constexpr std::string_view kMark = "***";
  // Shorter ones are taken out where they stand, but not looked for elsewhere.
  static constexpr std::size_t kLearnedBytesMin = 6;
  static constexpr std::size_t kUnsureBytesMin = 16;  // "key": "temperature" is none.
  static constexpr std::size_t kLearnedMax = 4096;
  static constexpr std::size_t kLearnedBytesMax = 16 * 1024;  // Each.

  void learn(std::string_view secret);
  // In place: below members whose names say so all texts and numbers, elsewhere as text().
  void json(boost::json::value& value);
  std::string text(std::string_view text) const;

 private:
  // Whether what is there is a secret for sure, so that even a short one is learned.
  enum class Sure { kYes, kNo };
  void hide(boost::json::value& value, Sure sure);
  void object(boost::json::object& object);
  void array(boost::json::array& array);
  void string(boost::json::value& value);
  std::size_t learnedAt(std::string_view text, std::size_t at) const;

  // By their first kLearnedBytesMin bytes.
  std::unordered_map<std::string, std::vector<std::string>> learned_;
  std::vector<bool> begins_ = std::vector<bool>(65'536);  // By the first two bytes.
  std::size_t count_ = 0;
};

}  // namespace kante
