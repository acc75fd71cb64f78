#include "host/config/section.h"

#include "host/base/encoding.h"

namespace kante {

void ConfigReader::fault(std::uint32_t line, std::string text) {
  faults_.emplace(line == 0 ? UINT32_MAX : line, std::move(text));
}

Status ConfigReader::result() const {
  if (faults_.empty()) return {};
  const auto& [line, text] = *faults_.begin();
  std::string message = file_;
  if (line != UINT32_MAX) message += ":" + std::to_string(line);
  message += ": " + text;
  if (faults_.size() > 1)
    message += " (and " + std::to_string(faults_.size() - 1) + " more in this file)";
  return fail(Errc::kInvalid, std::move(message));
}

std::string ConfigReader::resolvePath(const std::string& path) const {
  if (path.empty() || path[0] == '/' || directory_.empty()) return path;
  return directory_ + "/" + path;
}

Section::Section(ConfigReader& reader, const TomlValue* table, std::string name)
    : reader_(reader), table_(table), name_(std::move(name)) {}

Section::~Section() {
  if (table_ == nullptr) return;
  for (const auto& [key, value] : table_->members) {
    if (known_.contains(key)) continue;
    const bool section = value.kind == TomlValue::Kind::kTable;
    std::string text = section && name_.empty() ? "[" + key + "]" : label(key);
    text += section ? ": unknown section" : ": unknown key";
    const std::string near = nearest(key, known_);
    if (!near.empty()) text += "; did you mean " + near + "?";
    reader_.fault(value.line, std::move(text));
  }
}

std::string Section::label(std::string_view key) const {
  return (name_.empty() ? "" : "[" + name_ + "] ") + std::string(key);
}

void Section::fault(const char* key, const std::string& text) {
  const TomlValue* value = table_ == nullptr ? nullptr : table_->find(key);
  const std::uint32_t line = value != nullptr ? value->line : table_ != nullptr ? table_->line : 0;
  reader_.fault(line, label(key) + ": " + text);
}

bool Section::has(const char* key) const {
  return table_ != nullptr && table_->find(key) != nullptr;
}

void Section::wrongKind(const char* key, const TomlValue& value, const char* wanted) {
  reader_.fault(value.line,
                label(key) + ": expected " + wanted + ", not " + kante::name(value.kind));
}

const TomlValue* Section::take(const char* key, TomlValue::Kind kind) {
  known_.insert(key);
  const TomlValue* value = table_ == nullptr ? nullptr : table_->find(key);
  if (value == nullptr) return nullptr;
  if (value->kind != kind) {
    wrongKind(key, *value, kante::name(kind));
    return nullptr;
  }
  reader_.setAt(name_.empty() ? key : name_ + "." + key, value->line);
  return value;
}

void Section::boolean(const char* key, bool& out) {
  if (const TomlValue* value = take(key, TomlValue::Kind::kBoolean)) out = value->boolean;
}

bool Section::integer(const char* key, std::int64_t& out, std::int64_t from, std::int64_t to) {
  const TomlValue* value = take(key, TomlValue::Kind::kInteger);
  if (value == nullptr) return false;
  if (value->integer < from || value->integer > to) {
    fault(key, std::to_string(value->integer) + " is not between " + std::to_string(from) +
                   " and " + std::to_string(to));
    return false;
  }
  out = value->integer;
  return true;
}

void Section::text(const char* key, std::string& out, const Check& check) {
  const TomlValue* value = take(key, TomlValue::Kind::kText);
  if (value == nullptr) return;
  if (check) {
    if (const Status checked = check(value->text); !checked)
      return fault(key, checked.error().text);
  }
  out = value->text;
}

void Section::path(const char* key, std::string& out) {
  if (const TomlValue* value = take(key, TomlValue::Kind::kText))
    out = reader_.resolvePath(value->text);
}

void Section::texts(const char* key, std::vector<std::string>& out, const Check& check) {
  const TomlValue* value = take(key, TomlValue::Kind::kArray);
  if (value == nullptr) return;
  std::vector<std::string> all;
  for (const TomlValue& element : value->elements) {
    if (element.kind != TomlValue::Kind::kText)
      return wrongKind(key, element, "a list of texts in quotes");
    if (check) {
      if (const Status checked = check(element.text); !checked)
        return fault(key, checked.error().text);
    }
    all.push_back(element.text);
  }
  out = std::move(all);
}

void Section::paths(const char* key, std::vector<std::string>& out) {
  std::vector<std::string> all = out;
  texts(key, all, [](const std::string& path) -> Status {
    if (path.empty()) return fail(Errc::kInvalid, "a path is empty");
    return {};
  });
  if (!has(key)) return;
  for (std::string& path : all) path = reader_.resolvePath(path);
  out = std::move(all);
}

void Section::texts(const char* key, std::map<std::string, std::string>& out,
                    const Check& check_key, const Check& check_value) {
  const TomlValue* value = take(key, TomlValue::Kind::kTable);
  if (value == nullptr) return;
  for (const auto& [member, element] : value->members) {
    if (element.kind != TomlValue::Kind::kText) return wrongKind(key, element, "texts in quotes");
    Status checked = check_key(member);
    if (checked) checked = check_value(element.text);
    if (!checked) return fault(key, member + ": " + checked.error().text);
    out[member] = element.text;
  }
}

bool Section::oneOf(const char* key, std::size_t& out, std::span<const char* const> names) {
  const TomlValue* value = take(key, TomlValue::Kind::kText);
  if (value == nullptr) return false;
  std::string all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (value->text == names[i]) {
      out = i;
      return true;
    }
    all += (i == 0                  ? "\""
            : i + 1 == names.size() ? " or \""
                                    : ", \"") +
           std::string(names[i]) + '"';
  }
  fault(key, "\"" + value->text + "\" is not " + all);
  return false;
}

const TomlValue* Section::table(const char* key) { return take(key, TomlValue::Kind::kTable); }

std::span<const TomlValue> Section::tables(const char* key) {
  const TomlValue* value = take(key, TomlValue::Kind::kArray);
  if (value == nullptr) return {};
  for (const TomlValue& element : value->elements) {
    if (element.kind == TomlValue::Kind::kTable) continue;
    wrongKind(key, element, "sections in double brackets");
    return {};
  }
  return value->elements;
}

}  // namespace kante
