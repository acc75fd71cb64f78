// One section of a configuration file: takes its keys one by one, and knows afterwards which were
// none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/config/toml_value.h"

namespace kante {

// What is wrong in the whole file, and which keys it sets.  Outlives its sections.
class ConfigReader {
 public:
  // Relative paths in the file start at its own directory.
  ConfigReader(std::string file, std::string directory)
      : file_(std::move(file)), directory_(std::move(directory)) {}

  // line 0: of the file as a whole.
  void fault(std::uint32_t line, std::string text);
  // Of all faults the one that stands first in the file, and how many follow.
  Status result() const;
  void setAt(std::string key, std::uint32_t line) { set_at_.emplace(std::move(key), line); }
  std::map<std::string, std::uint32_t> takeSetAt() { return std::move(set_at_); }
  std::string resolvePath(const std::string& path) const;

 private:
  std::string file_;
  std::string directory_;
  std::multimap<std::uint32_t, std::string> faults_;
  std::map<std::string, std::uint32_t> set_at_;
};

// Each member leaves `out` alone when the key is absent, and reports a fault when it is wrong.
class Section {
 public:
  // `table` may be null: an absent section.
  Section(ConfigReader& reader, const TomlValue* table, std::string name);
  ~Section();  // Reports the keys that nobody asked for.
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  using Check = std::function<Status(const std::string&)>;

  void boolean(const char* key, bool& out);
  template <typename Integer>
  void number(const char* key, Integer& out, std::int64_t from, std::int64_t to) {
    std::int64_t value = 0;
    if (integer(key, value, from, to)) out = static_cast<Integer>(value);
  }
  void text(const char* key, std::string& out, const Check& check = {});
  void path(const char* key, std::string& out);
  void texts(const char* key, std::vector<std::string>& out, const Check& check = {});
  void paths(const char* key, std::vector<std::string>& out);
  // One of a few words; `names` in the order of the enumeration's values, from 0.
  template <typename Enum>
  void word(const char* key, Enum& out, std::span<const char* const> names) {
    std::size_t index = 0;
    if (oneOf(key, index, names)) out = static_cast<Enum>(index);
  }
  // Any keys, each a text; key and value are checked.
  void texts(const char* key, std::map<std::string, std::string>& out, const Check& check_key,
             const Check& check_value);
  const TomlValue* table(const char* key);
  std::span<const TomlValue> tables(const char* key);

  void fault(const char* key, const std::string& text);
  bool has(const char* key) const;

 private:
  const TomlValue* take(const char* key, TomlValue::Kind kind);
  void wrongKind(const char* key, const TomlValue& value, const char* wanted);
  bool integer(const char* key, std::int64_t& out, std::int64_t from, std::int64_t to);
  bool oneOf(const char* key, std::size_t& out, std::span<const char* const> names);
  std::string label(std::string_view key) const;

  ConfigReader& reader_;
  const TomlValue* table_;
  std::string name_;
  std::set<std::string> known_;
};

}  // namespace kante
