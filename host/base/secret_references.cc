#include "host/base/secret_references.h"

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::string_view kOpen = "${secret:";
constexpr std::string_view kMember = "$secret";

// The name in {"$secret": "NAME"}; null: it is something else.
const json::string* wholeReference(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr || object->size() != 1 || object->begin()->key() != kMember) return nullptr;
  return object->begin()->value().if_string();
}

Result<std::string> valueOf(std::string_view name, const Secrets& secrets,
                            const std::string& pointer) {
  if (!isName(name))
    return fail(Errc::kInvalid, pointer +
                                    ": what stands for a secret is written ${secret:NAME}, "
                                    "NAME of 1 to 64 of A-Z a-z 0-9 . _ -");
  const std::string* value = secrets(std::string(name));
  if (value != nullptr) return *value;
  return fail(Errc::kNotFound, pointer + ": there is no secret \"" + std::string(name) +
                                   "\" on this gateway; kante secret set, or a document of kind "
                                   "secrets, brings it");
}

Status substituteText(json::string& text, const Secrets& secrets, const std::string& pointer) {
  std::string out;
  std::string_view rest = text;
  bool found = false;
  for (std::size_t at; (at = rest.find(kOpen)) != std::string_view::npos; found = true) {
    out += rest.substr(0, at);
    rest.remove_prefix(at + kOpen.size());
    const std::size_t end = rest.find('}');
    KANTE_TRY(value, valueOf(rest.substr(0, end), secrets, pointer));
    if (end == std::string_view::npos) return valueOf("", secrets, pointer).error();
    out += value;
    rest.remove_prefix(end + 1);
  }
  if (found) text = out + std::string(rest);
  return {};
}

}  // namespace

Status substituteSecrets(json::value& value, const Secrets& secrets, const std::string& pointer) {
  if (const json::string* name = wholeReference(value)) {
    KANTE_TRY(found, valueOf(*name, secrets, pointer));
    value = found;
    return {};
  }
  if (auto* text = value.if_string()) return substituteText(*text, secrets, pointer);
  if (auto* array = value.if_array()) {
    for (std::size_t i = 0; i < array->size(); ++i)
      KANTE_CHECK(substituteSecrets((*array)[i], secrets, jsonPointer(pointer, i)));
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object)
      KANTE_CHECK(substituteSecrets(member.value(), secrets, jsonPointer(pointer, member.key())));
  }
  return {};
}

std::set<std::string> secretsIn(const json::value& value) {
  std::set<std::string> names;
  json::value copy = value;
  static const std::string kNothing;
  (void)substituteSecrets(
      copy,
      [&names](const std::string& name) {
        names.insert(name);
        return &kNothing;
      },
      "");
  return names;
}

}  // namespace kante
