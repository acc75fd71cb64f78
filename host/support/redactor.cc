#include "host/support/redactor.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/support/secret_form.h"
#include "host/support/secret_name.h"

namespace kante {
namespace {

namespace json = boost::json;

std::string_view viewOf(const json::string& text) { return {text.data(), text.size()}; }

std::size_t firstTwo(std::string_view text) {
  return static_cast<std::size_t>(static_cast<unsigned char>(text[0])) << 8 |
         static_cast<unsigned char>(text[1]);
}

// Without the quotes.
std::string asJson(std::string_view text) {
  const std::string quoted = writeJson(json::value(json::string(text)));
  return quoted.substr(1, quoted.size() - 2);
}

// {"name": "PASSWORD", "value": …}, as lists of settings are written.
bool isNamedSecret(const json::object& object) {
  for (const char* member : {"name", "key"}) {
    const json::value* name = object.if_contains(member);
    if (name != nullptr && name->is_string() && namesSecret(viewOf(name->get_string())))
      return object.contains("value");
  }
  return false;
}

// "--password", whose value is the next element.
bool isOption(const json::value& element) {
  if (!element.is_string()) return false;
  const std::string_view text = viewOf(element.get_string());
  return text.starts_with("-") && text.find('=') == std::string_view::npos && namesSecret(text);
}

}  // namespace

void Redactor::learn(std::string_view secret) {
  if (secret.size() < kLearnedBytesMin || secret.size() > kLearnedBytesMax) return;
  // Without its padding and last character base64 is the same wherever the secret ends.
  const std::string base64 = toBase64(secret.substr(0, secret.size() / 3 * 3));
  for (const std::string& form :
       {std::string(secret), base64, percentEncode(secret), asJson(secret), toHex(secret)}) {
    if (count_ >= kLearnedMax) return;
    auto& same = learned_[form.substr(0, kLearnedBytesMin)];
    if (std::find(same.begin(), same.end(), form) != same.end()) continue;
    same.push_back(form);
    begins_[firstTwo(form)] = true;
    ++count_;
  }
}

// Structure stays, so that one sees what is set.
void Redactor::hide(json::value& value, Sure sure) {
  if (value.is_string()) {
    const std::string_view text = viewOf(value.get_string());
    if (sure == Sure::kYes || text.size() >= kUnsureBytesMin) learn(text);
    if (!value.get_string().empty()) value = json::string(kMark);
  } else if (value.is_number()) {
    value = json::string(kMark);
  } else if (value.is_array()) {
    for (json::value& element : value.get_array()) hide(element, sure);
  } else if (value.is_object()) {
    for (auto& member : value.get_object()) hide(member.value(), sure);
  }
}

void Redactor::json(json::value& value) {
  if (value.is_object()) return object(value.get_object());
  if (value.is_array()) return array(value.get_array());
  if (value.is_string()) string(value);
}

void Redactor::object(json::object& object) {
  const bool named = isNamedSecret(object);
  for (auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (namesSecret(name) && !(name == "key" && named)) {
      hide(member.value(), namesSecret(name, NameIn::kProse) ? Sure::kYes : Sure::kNo);
    } else if (named && name == "value") {
      hide(member.value(), Sure::kYes);
    } else {
      json(member.value());
    }
  }
}

void Redactor::array(json::array& array) {
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i > 0 && isOption(array[i - 1])) {
      hide(array[i], Sure::kYes);
    } else {
      json(array[i]);
    }
  }
}

// Also a JSON text within one, as create options are.
void Redactor::string(json::value& value) {
  const std::string_view text = viewOf(value.get_string());
  if (text.starts_with('{') || text.starts_with('[')) {
    if (auto inner = parseJson(text, {1 << 20, 32})) {
      json(*inner);
      value = json::string(writeJson(*inner));
      return;
    }
  }
  for (const std::string_view secret : secretsIn(text)) learn(secret);
  const std::string clean = this->text(text);
  if (clean != text) value = json::string(clean);
}

std::size_t Redactor::learnedAt(std::string_view text, std::size_t at) const {
  if (text.size() - at < kLearnedBytesMin || !begins_[firstTwo(text.substr(at))]) return 0;
  const auto same = learned_.find(std::string(text.substr(at, kLearnedBytesMin)));
  if (same == learned_.end()) return 0;
  std::size_t longest = 0;
  for (const std::string& secret : same->second) {
    if (secret.size() > longest && text.substr(at).starts_with(secret)) longest = secret.size();
  }
  return longest;
}

std::string Redactor::text(std::string_view text) const {
  std::string known;  // Learned ones first: what has been cut by a form would not be found.
  known.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = learnedAt(text, at);
    if (length == 0) {
      known += text[at++];
      continue;
    }
    known += kMark;
    at += length;
  }
  std::string out;
  out.reserve(known.size());
  std::size_t end = 0;
  for (const std::string_view secret : secretsIn(known)) {
    const auto begin = static_cast<std::size_t>(secret.data() - known.data());
    out.append(known, end, begin - end);
    out += kMark;
    end = begin + secret.size();
  }
  return out.append(known, end, std::string::npos);
}

}  // namespace kante
