#include "host/config/gateway_section.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <set>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/config/config.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kPointer[] = "/gateway";
constexpr JsonBounds kBounds{kConfigBytesMax, 8};
constexpr std::array kSections = {"uplink", "hub", "store", "log"};
const std::set<std::string> kOfTheFile = {"gateway", "trust", "api",   "runtime",
                                          "sandbox", "fetch", "image", "containers"};
// Who may deploy may not have files of this machine read.
const std::set<std::string> kFiles = {"/gateway/uplink/ca", "/gateway/uplink/cert",
                                      "/gateway/uplink/key", "/gateway/uplink/password_file",
                                      "/gateway/hub/tls"};

Error refused(const std::string& pointer, const std::string& text) {
  return fail(Errc::kInvalid, pointer + ": " + text);
}

Status merge(const json::value& from, const std::string& pointer, TomlValue& into);

Status mergeTable(const json::object& from, const std::string& pointer, TomlValue& into) {
  if (into.kind != TomlValue::Kind::kTable) into = TomlValue();
  for (const auto& member : from) {
    const std::string name(member.key());
    const std::string at = jsonPointer(pointer, name);
    if (kFiles.contains(at))
      return refused(at, "only the configuration file names files of this gateway");
    const auto found = std::find_if(into.members.begin(), into.members.end(),
                                    [&name](const TomlMember& one) { return one.name == name; });
    if (member.value().is_null()) {
      if (found != into.members.end()) into.members.erase(found);
      continue;
    }
    TomlMember& target =
        found != into.members.end() ? *found : into.members.emplace_back(TomlMember{name, {}});
    KANTE_CHECK(merge(member.value(), at, target.value));
  }
  return {};
}

Status merge(const json::value& from, const std::string& pointer, TomlValue& into) {
  if (const auto* object = from.if_object()) return mergeTable(*object, pointer, into);
  into = TomlValue();
  if (const auto* array = from.if_array()) {
    into.kind = TomlValue::Kind::kArray;
    for (std::size_t i = 0; i < array->size(); ++i)
      KANTE_CHECK(merge((*array)[i], jsonPointer(pointer, i), into.elements.emplace_back()));
  } else if (from.is_bool()) {
    into.kind = TomlValue::Kind::kBoolean;
    into.boolean = from.get_bool();
  } else if (from.is_string()) {
    into.kind = TomlValue::Kind::kText;
    into.text = from.get_string();
    if (into.text.find('\0') != std::string::npos)
      return refused(pointer, "a text holds no U+0000");
  } else if (from.is_double() || from.is_null()) {
    return refused(pointer, "expected a text, a whole number, true, false or a list of these");
  } else {
    json::error_code error;
    into.kind = TomlValue::Kind::kInteger;
    into.integer = from.to_number<std::int64_t>(error);
    if (error) return refused(pointer, "is too large");
  }
  return {};
}

json::value toJson(const TomlValue& value) {
  switch (value.kind) {
    case TomlValue::Kind::kBoolean: return value.boolean;
    case TomlValue::Kind::kInteger: return value.integer;
    case TomlValue::Kind::kText: return json::value(value.text);
    case TomlValue::Kind::kArray: {
      json::array out;
      for (const TomlValue& one : value.elements) out.push_back(toJson(one));
      return out;
    }
    case TomlValue::Kind::kTable: {
      json::object out;
      for (const TomlMember& member : value.members) out[member.name] = toJson(member.value);
      return out;
    }
    default: return nullptr;
  }
}

}  // namespace

Status mergeGatewaySection(std::string_view patch, TomlValue& document) {
  const auto object = parseJsonObject(patch, kBounds);
  if (!object) return within(kPointer, object.error());
  for (const auto& member : *object) {
    const std::string name(member.key());
    const std::string at = jsonPointer(kPointer, name);
    if (kOfTheFile.contains(name))
      return refused(at,
                     "only the configuration file says this; a deployment may change uplink, hub, "
                     "store and log");
    if (std::find(kSections.begin(), kSections.end(), name) == kSections.end()) {
      const std::string near = nearest(name, kSections);
      return refused(at,
                     "unknown section" + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
    }
    if (!member.value().is_object() && !member.value().is_null())
      return refused(at, std::string("expected an object, not ") + jsonKindName(member.value()));
    if (member.value().is_null())
      return refused(at,
                     "a section cannot be taken away; name the keys that shall be as by default");
  }
  return mergeTable(*object, kPointer, document);
}

Error asPointer(const Error& error) {
  const std::size_t open = error.text.find('[');
  const std::size_t close = error.text.find("] ", open);
  if (open == std::string::npos || close == std::string::npos)
    return {error.code, std::string(kPointer) + ": " + error.text};
  std::string path = error.text.substr(open + 1, close - open - 1);
  std::replace(path.begin(), path.end(), '.', '/');
  return {error.code, std::string(kPointer) + "/" + path + "/" + error.text.substr(close + 2)};
}

std::string shownSections(const TomlValue& document) {
  json::object out;
  for (const char* name : kSections)
    if (const TomlValue* section = document.find(name)) out[name] = toJson(*section);
  return writeJson(out);
}

}  // namespace kante
