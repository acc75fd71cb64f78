// An Error as an answer: the HTTP status that fits it and {"error":{"code","text","pointer"}}.
#pragma once

#include <string>
#include <string_view>

#include "host/api/http.h"
#include "host/base/result.h"

namespace kante {

unsigned statusOf(Errc code);
// The JSON pointer that an error text begins with ("/modules/x/config: …"), or empty.
std::string pointerOf(std::string_view text);

HttpResponse errorReply(const Error& error);
HttpResponse errorReply(unsigned status, const Error& error);

}  // namespace kante
