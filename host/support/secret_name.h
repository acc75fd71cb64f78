// Which names have a secret under them: "password", "apiKey", "MQTT_TOKEN", "x-psk".
#pragma once

#include <string_view>

namespace kante {

// kStructure: of a member, or in NAME=VALUE.  kProse: in a sentence, where "key: " is a word like
// others; only what is a secret's name for sure counts.
enum class NameIn { kStructure, kProse };

// By its words, so that "keyboard" and "tokenize" are none, and "passwordFile", a path, is none.
bool namesSecret(std::string_view name, NameIn where = NameIn::kStructure);

}  // namespace kante
