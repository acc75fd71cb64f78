// kante/fields.hpp - reads the members of a JSON object and refuses what is wrong with a sentence
// that names the JSON pointer: for configuration, desired properties and method arguments.
//
//   Fields fields(start.config());
//   period_ms_ = fields.integer("period_ms", 1000, {1, 86'400'000});
//   key_ = fields.string("key", "");
//   fields.end();                    // refuses members nobody asked for, naming the nearest known
//   one
#pragma once

#include <kante/json.hpp>

#include <set>

KANTE_SDK_BEGIN

template <typename Number>
struct Range {
  Number min;
  Number max;
};

class Fields {
 public:
  // Borrows the object.  at: its JSON pointer, for the texts ("" for the document itself).
  // Null counts as an empty object, so that "no configuration" is one.
  explicit Fields(const json::Value& value, std::string at = "") : Fields(&value, std::move(at)) {}
  explicit Fields(json::Value&&, std::string = "") = delete;  // It would dangle.

  bool has(std::string_view name) { return member(name) != nullptr; }

  std::int64_t integer(std::string_view name, std::int64_t otherwise, Range<std::int64_t> range) {
    const json::Value* value = member(name);
    return value == nullptr ? otherwise : toInteger(name, *value, range);
  }
  std::int64_t integer(std::string_view name, Range<std::int64_t> range) {
    return toInteger(name, required(name), range);
  }
  double number(std::string_view name, double otherwise, Range<double> range = kAnyNumber) {
    const json::Value* value = member(name);
    return value == nullptr ? otherwise : toNumber(name, *value, range);
  }
  double number(std::string_view name, Range<double> range = kAnyNumber) {
    return toNumber(name, required(name), range);
  }
  std::optional<double> optionalNumber(std::string_view name, Range<double> range = kAnyNumber) {
    const json::Value* value = member(name);
    return value == nullptr ? std::nullopt : std::optional(toNumber(name, *value, range));
  }
  bool boolean(std::string_view name, bool otherwise) {
    const json::Value* value = member(name);
    if (value == nullptr) return otherwise;
    if (!value->isBool()) refuse(name, "should be true or false, is " + typeOf(*value));
    return *value->boolean();
  }
  std::string string(std::string_view name, std::string_view otherwise) {
    const json::Value* value = member(name);
    return value == nullptr ? std::string(otherwise) : toString(name, *value);
  }
  std::string string(std::string_view name) { return toString(name, required(name)); }
  // One of the given words; the first is what a missing member means.  Returns its index.
  std::size_t oneOf(std::string_view name, std::initializer_list<std::string_view> words) {
    const json::Value* value = member(name);
    if (value == nullptr) return 0;
    const std::string text = toString(name, *value);
    const auto found = std::find(words.begin(), words.end(), text);
    if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
    std::string list;
    for (const std::string_view word : words)
      list += (list.empty() ? "" : ", ") + std::string(word);
    refuse(name, "should be one of " + list + ", is \"" + text + "\"");
  }
  std::vector<std::string> strings(std::string_view name, std::vector<std::string> otherwise,
                                   std::size_t count_max) {
    const json::Value* value = member(name);
    if (value == nullptr) return otherwise;
    if (!value->isArray()) refuse(name, "should be an array of strings, is " + typeOf(*value));
    if (value->array()->size() > count_max) {
      refuse(name, "should have at most " + std::to_string(count_max) + " elements");
    }
    std::vector<std::string> out;
    for (const json::Value& element : *value->array()) out.push_back(toString(name, element));
    return out;
  }
  // An object below this one, read the same way.
  Fields object(std::string_view name) {
    return Fields(member(name), at_ + "/" + std::string(name));
  }
  const json::Value* value(std::string_view name) { return member(name); }

  // Refuses the members that were not asked for; names that begin with "$" are the host's and pass.
  void end() {
    const json::Object* members = value_ == nullptr ? nullptr : value_->object();
    if (members == nullptr) return;
    for (const json::Member& unknown : *members) {
      if (unknown.first.starts_with('$') || known_.count(unknown.first) != 0) continue;
      const std::string nearest = nearestName(unknown.first);
      refuse(unknown.first,
             nearest.empty() ? "is not known" : "is not known, did you mean \"" + nearest + "\"");
    }
  }

  [[noreturn]] void refuse(std::string_view name, const std::string& text) const {
    const std::string pointer = name.empty() ? at_ : at_ + "/" + std::string(name);
    throw Failure(KANTE_E_INVALID, (pointer.empty() ? "the document" : pointer) + " " + text);
  }

  static constexpr Range<double> kAnyNumber{std::numeric_limits<double>::lowest(),
                                            std::numeric_limits<double>::max()};

 private:
  Fields(const json::Value* value, std::string at) : value_(value), at_(std::move(at)) {
    if (value == nullptr || value->isNull() || value->isObject()) return;
    refuse("", "should be an object, is " + typeOf(*value));
  }
  static std::string typeOf(const json::Value& value) { return value.typeName(); }
  const json::Value* member(std::string_view name) {
    known_.emplace(name);
    const json::Value* value = value_ == nullptr ? nullptr : value_->get(name);
    return value == nullptr || value->isNull() ? nullptr : value;
  }
  const json::Value& required(std::string_view name) {
    const json::Value* value = member(name);
    if (value == nullptr) refuse(name, "is missing");
    return *value;
  }
  std::int64_t toInteger(std::string_view name, const json::Value& value,
                         Range<std::int64_t> range) const {
    if (!value.isInteger()) refuse(name, "should be an integer, is " + typeOf(value));
    const std::int64_t number = *value.integer();
    if (number < range.min || number > range.max) {
      refuse(name, "should lie between " + std::to_string(range.min) + " and " +
                       std::to_string(range.max) + ", is " + std::to_string(number));
    }
    return number;
  }
  double toNumber(std::string_view name, const json::Value& value, Range<double> range) const {
    if (!value.isNumber()) refuse(name, "should be a number, is " + typeOf(value));
    const double number = *value.number();
    if (number < range.min || number > range.max) {
      refuse(name, "should lie between " + json::Value(range.min).dump() + " and " +
                       json::Value(range.max).dump() + ", is " + value.dump());
    }
    return number;
  }
  std::string toString(std::string_view name, const json::Value& value) const {
    if (!value.isString()) refuse(name, "should be a string, is " + typeOf(value));
    return *value.string();
  }

  // The known name with the smallest edit distance, if that is small enough to be a slip.
  std::string nearestName(std::string_view name) const {
    std::string nearest;
    std::size_t best = name.size() / 3 + 2;
    for (const std::string& known : known_) {
      const std::size_t distance = editDistance(name, known);
      if (distance < best) {
        best = distance;
        nearest = known;
      }
    }
    return nearest;
  }
  static std::size_t editDistance(std::string_view a, std::string_view b) {
    if (a.size() > 64 || b.size() > 64) return a.size() + b.size();
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= b.size(); ++j) {
        const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    return row[b.size()];
  }

  const json::Value* value_;
  std::string at_;
  std::set<std::string, std::less<>> known_;
};

KANTE_SDK_END
