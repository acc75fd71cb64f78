#include "host/base/json_patch.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

using Tokens = std::vector<std::string>;

Result<Tokens> splitPointer(std::string_view pointer) {
  Tokens tokens;
  if (pointer.empty()) return tokens;
  if (pointer[0] != '/') return fail(Errc::kInvalid, "a JSON pointer begins with \"/\"");
  for (const char c : pointer) {
    if (c == '/') {
      tokens.emplace_back();
    } else {
      tokens.back() += c;
    }
  }
  for (std::string& token : tokens) {
    std::string plain;
    for (std::size_t i = 0; i < token.size(); ++i) {
      if (token[i] != '~') {
        plain += token[i];
      } else if (i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1')) {
        plain += token[++i] == '0' ? '~' : '/';
      } else {
        return fail(Errc::kInvalid, "\"~\" in a JSON pointer is followed by 0 or 1");
      }
    }
    token = std::move(plain);
  }
  return tokens;
}

// RFC 6901: digits without leading zeros.
std::optional<std::size_t> arrayIndex(const std::string& token) {
  if (token.empty() || token.size() > 9 || (token.size() > 1 && token[0] == '0')) return {};
  std::size_t index = 0;
  for (const char c : token) {
    if (c < '0' || c > '9') return {};
    index = index * 10 + static_cast<std::size_t>(c - '0');
  }
  return index;
}

json::value* child(json::value& parent, const std::string& token) {
  if (auto* object = parent.if_object()) return object->if_contains(token);
  if (auto* array = parent.if_array()) {
    const auto index = arrayIndex(token);
    if (index && *index < array->size()) return &(*array)[*index];
  }
  return nullptr;
}

json::value* walk(json::value& root, const Tokens& tokens, std::size_t count) {
  json::value* at = &root;
  for (std::size_t i = 0; i < count && at != nullptr; ++i) at = child(*at, tokens[i]);
  return at;
}

Error nowhere(std::string_view pointer) {
  return fail(Errc::kNotFound, "nothing is at \"" + std::string(pointer) + "\"");
}

// False when the value is nested deeper than `depth` or has more values than `budget`, which it
// uses up.
bool fits(const json::value& value, std::size_t depth, std::size_t& budget) {
  if (budget == 0) return false;
  --budget;
  if (!value.is_structured()) return true;
  if (depth == 0) return false;
  if (const auto* array = value.if_array()) {
    for (const auto& element : *array)
      if (!fits(element, depth - 1, budget)) return false;
    return true;
  }
  for (const auto& member : value.get_object())
    if (!fits(member.value(), depth - 1, budget)) return false;
  return true;
}

Status add(json::value& root, const std::string& pointer, json::value value, std::size_t& budget) {
  KANTE_TRY(tokens, splitPointer(pointer));
  if (tokens.size() > kPatchDepthMax || !fits(value, kPatchDepthMax - tokens.size(), budget))
    return fail(Errc::kLimit, "the patched value would nest deeper than " +
                                  std::to_string(kPatchDepthMax) + " levels or grow too large");
  if (tokens.empty()) {
    root = std::move(value);
    return {};
  }
  json::value* parent = walk(root, tokens, tokens.size() - 1);
  if (parent == nullptr) return nowhere(pointer);
  if (auto* object = parent->if_object()) {
    (*object)[tokens.back()] = std::move(value);
    return {};
  }
  auto* array = parent->if_array();
  if (array == nullptr) return nowhere(pointer);
  const auto index = tokens.back() == "-" ? array->size() : arrayIndex(tokens.back());
  if (!index || *index > array->size()) return nowhere(pointer);
  array->insert(array->begin() + static_cast<std::ptrdiff_t>(*index), std::move(value));
  return {};
}

Result<json::value> take(json::value& root, const std::string& pointer) {
  KANTE_TRY(tokens, splitPointer(pointer));
  if (tokens.empty()) return std::exchange(root, nullptr);
  json::value* parent = walk(root, tokens, tokens.size() - 1);
  json::value* found = parent == nullptr ? nullptr : child(*parent, tokens.back());
  if (found == nullptr) return nowhere(pointer);
  json::value value = std::move(*found);
  if (auto* object = parent->if_object()) {
    object->stable_erase(object->find(tokens.back()));
  } else {
    auto& array = parent->get_array();
    array.erase(array.begin() + static_cast<std::ptrdiff_t>(*arrayIndex(tokens.back())));
  }
  return value;
}

Result<json::value> copyOf(json::value& root, const std::string& pointer) {
  KANTE_TRY(tokens, splitPointer(pointer));
  const json::value* found = walk(root, tokens, tokens.size());
  if (found == nullptr) return nowhere(pointer);
  return *found;
}

Result<std::string> text(const json::object& operation, const char* member) {
  const json::value* value = operation.if_contains(member);
  if (value == nullptr || !value->is_string())
    return fail(Errc::kInvalid, std::string("/") + member + ": expected a string");
  return std::string(value->get_string());
}

Result<json::value> operand(const json::object& operation) {
  const json::value* value = operation.if_contains("value");
  if (value == nullptr) return fail(Errc::kInvalid, "/value: missing");
  return *value;
}

Status applyOne(json::value& root, const json::object& operation, std::size_t& budget) {
  KANTE_TRY(op, text(operation, "op"));
  KANTE_TRY(path, text(operation, "path"));
  auto atPath = [](Error error) { return within("/path", std::move(error)); };
  if (op == "add") {
    KANTE_TRY(value, operand(operation));
    if (Status done = add(root, path, std::move(value), budget); !done) return atPath(done.error());
    return {};
  }
  if (op == "remove") {
    if (auto taken = take(root, path); !taken) return atPath(taken.error());
    return {};
  }
  if (op == "replace") {
    KANTE_TRY(value, operand(operation));
    KANTE_TRY(tokens, splitPointer(path));
    json::value* found = walk(root, tokens, tokens.size());
    if (found == nullptr) return atPath(nowhere(path));
    if (!fits(value, kPatchDepthMax - std::min(kPatchDepthMax, tokens.size()), budget))
      return atPath(fail(Errc::kLimit, "the patched value would grow too large"));
    *found = std::move(value);
    return {};
  }
  if (op == "test") {
    KANTE_TRY(value, operand(operation));
    auto found = copyOf(root, path);
    if (!found) return atPath(found.error());
    if (*found != value)
      return atPath(fail(Errc::kConflict, "the value at \"" + path + "\" is another one"));
    return {};
  }
  if (op == "move" || op == "copy") {
    KANTE_TRY(from, text(operation, "from"));
    // Moving a value into itself would leave it nowhere.
    if (op == "move" && path.size() > from.size() && path.starts_with(from + "/"))
      return atPath(fail(Errc::kInvalid, "lies within \"" + from + "\", which is moved"));
    auto value = op == "move" ? take(root, from) : copyOf(root, from);
    if (!value) return within("/from", value.error());
    if (Status done = add(root, path, std::move(*value), budget); !done)
      return atPath(done.error());
    return {};
  }
  return fail(Errc::kInvalid,
              "/op: \"" + op + "\" is none of add, remove, replace, move, copy, test");
}

}  // namespace

void mergePatch(json::value& target, const json::value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = json::object();
  json::object& object = target.get_object();
  for (const auto& member : patch.get_object()) {
    if (member.value().is_null()) {
      const auto found = object.find(member.key());
      if (found != object.end()) object.stable_erase(found);
    } else {
      mergePatch(object[member.key()], member.value());
    }
  }
}

json::object mergePatchBetween(const json::object& from, const json::object& to) {
  json::object patch;
  for (const auto& member : from)
    if (!to.contains(member.key())) patch[member.key()] = nullptr;
  for (const auto& member : to) {
    const json::value* before = from.if_contains(member.key());
    if (before != nullptr && *before == member.value()) continue;
    if (before != nullptr && before->is_object() && member.value().is_object()) {
      patch[member.key()] = mergePatchBetween(before->get_object(), member.value().get_object());
    } else {
      patch[member.key()] = member.value();
    }
  }
  return patch;
}

Status jsonPatch(json::value& target, const json::value& patch) {
  if (!patch.is_array()) return fail(Errc::kInvalid, "a JSON Patch is an array of operations");
  const json::array& operations = patch.get_array();
  if (operations.size() > kPatchOperationsMax)
    return fail(Errc::kLimit,
                "a JSON Patch has at most " + std::to_string(kPatchOperationsMax) + " operations");
  json::value result = target;
  std::size_t budget = kPatchValuesMax;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const std::string place = "/" + std::to_string(i);
    if (!operations[i].is_object())
      return fail(Errc::kInvalid, place + ": an operation is an object");
    if (Status done = applyOne(result, operations[i].get_object(), budget); !done) {
      Error error = done.error();
      error.text = place + (error.text.starts_with('/') ? "" : ": ") + error.text;
      return error;
    }
  }
  target = std::move(result);
  return {};
}

Status removeAt(json::value& target, std::string_view pointer) {
  KANTE_TRY(tokens, splitPointer(pointer));
  if (tokens.empty()) return fail(Errc::kInvalid, "it leads to no member");
  json::value* at = &target;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    json::object* object = at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(tokens[i]);
    if (at == nullptr) return {};
  }
  if (json::object* object = at->if_object()) object->erase(tokens.back());
  return {};
}

}  // namespace kante
