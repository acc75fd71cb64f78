#include "host/api/error_reply.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace kante {

unsigned statusOf(Errc code) {
  switch (code) {
    case Errc::kInvalid: return 400;
    case Errc::kNotFound: return 404;
    case Errc::kDenied:
    case Errc::kUntrusted:
    case Errc::kExpired:
    case Errc::kRevoked: return 403;
    case Errc::kLimit: return 429;
    case Errc::kState:
    case Errc::kConflict:
    case Errc::kDowngrade:
    case Errc::kCancelled: return 409;
    case Errc::kCorrupt: return 422;
    case Errc::kIo: return 500;
    case Errc::kTimeout: return 504;
    case Errc::kUnsupported: return 501;
    case Errc::kUnavailable: return 503;
  }
  return 500;
}

std::string pointerOf(std::string_view text) {
  if (!text.starts_with('/')) return {};
  const std::size_t colon = text.find(": ");
  if (colon == std::string_view::npos) return {};
  return std::string(text.substr(0, colon));
}

HttpResponse errorReply(unsigned status, const Error& error) {
  HttpResponse response;
  response.status = status;
  response.body = boost::json::serialize(boost::json::object{
      {"error",
       {{"code", name(error.code)}, {"text", error.text}, {"pointer", pointerOf(error.text)}}}});
  response.body += '\n';
  return response;
}

HttpResponse errorReply(const Error& error) { return errorReply(statusOf(error.code), error); }

}  // namespace kante
