// What in a text has the form of a secret, whatever it is called.
#pragma once

#include <string_view>
#include <vector>

namespace kante {

// Views into the text, in order, apart from each other:
//   - user info and query of an address with a scheme
//   - VALUE of NAME=VALUE, "NAME": "VALUE", and in prose of PASSWORD: VALUE, where the name says so
//     (secret_name.h), also inside of quoted JSON
//   - a private key as PEM, what follows "Bearer ", "Basic " or "SharedAccessSignature ", a JSON
//     web token
//   - 40 and more characters of base64 that are no number and no path, as keys are written
std::vector<std::string_view> secretsIn(std::string_view text);

}  // namespace kante
