#include "host/support/secret_name.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace kante {
namespace {

// Anywhere in a name, whose separators are left out.
constexpr std::array<std::string_view, 16> kStems = {
    "password",     "passwd",       "passphrase",       "secret",  "token",     "credential",
    "apikey",       "accesskey",    "privatekey",       "authkey", "sharedkey", "accountkey",
    "presharedkey", "sharedaccess", "connectionstring", "connstr"};
// As one of its words.
constexpr std::array<std::string_view, 11> kWords = {"sas", "pin", "psk",  "pass",  "pwd",   "pw",
                                                     "jwt", "otp", "cred", "creds", "bearer"};
constexpr std::array<std::string_view, 7> kUnsureWords = {
    "key", "keys", "auth", "cookie", "authorization", "signature", "sig"};

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isUpper(char c) { return c >= 'A' && c <= 'Z'; }
char lower(char c) { return isUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// "mqttApiKey2" is mqtt, api, key.
std::vector<std::string> wordsOf(std::string_view name) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool letter = isLetter(name[i]);
    const bool begins = letter && isUpper(name[i]) && i > 0 &&
                        (!isUpper(name[i - 1]) ||
                         (i + 1 < name.size() && isLetter(name[i + 1]) && !isUpper(name[i + 1])));
    if ((!letter || begins) && !words.back().empty()) words.emplace_back();
    if (letter) words.back() += lower(name[i]);
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool namesSecret(std::string_view name, NameIn where) {
  const std::vector<std::string> words = wordsOf(name);
  if (words.empty()) return false;
  const std::string& last = words.back();
  if (last == "file" || last == "path") return false;
  std::string whole;
  for (const std::string& word : words) whole += word;
  const auto inside = [&whole](std::string_view stem) {
    return whole.find(stem) != std::string::npos;
  };
  if (std::any_of(kStems.begin(), kStems.end(), inside)) return true;
  return std::any_of(words.begin(), words.end(), [where](const std::string& word) {
    return contains(kWords, word) || (where == NameIn::kStructure && contains(kUnsureWords, word));
  });
}

}  // namespace kante
