#include "host/base/result.h"

#include <boost/system/error_code.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace kante {

const char* name(Errc code) {
  switch (code) {
    case Errc::kInvalid: return "invalid";
    case Errc::kNotFound: return "not_found";
    case Errc::kDenied: return "denied";
    case Errc::kLimit: return "limit";
    case Errc::kState: return "state";
    case Errc::kCorrupt: return "corrupt";
    case Errc::kIo: return "io";
    case Errc::kTimeout: return "timeout";
    case Errc::kConflict: return "conflict";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kUnavailable: return "unavailable";
    case Errc::kUntrusted: return "untrusted";
    case Errc::kExpired: return "expired";
    case Errc::kRevoked: return "revoked";
    case Errc::kDowngrade: return "downgrade";
    case Errc::kCancelled: return "cancelled";
  }
  return "unknown";
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.text);
}

Error failErrno(const std::string& what, int error_number) {
  Errc code = Errc::kIo;
  if (error_number == ENOENT) code = Errc::kNotFound;
  if (error_number == EACCES || error_number == EPERM) code = Errc::kDenied;
  return Error{code, what + ": " + boost::system::generic_category().message(error_number)};
}

// What says its context already is not given it twice.
Error within(const std::string& context, Error error) {
  if (!error.text.starts_with(context + ": ")) error.text = context + ": " + error.text;
  return error;
}

}  // namespace kante

void kanteAssertFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
  std::abort();
}
