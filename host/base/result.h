// The value that a function returns when it can fail for a reason that the caller must handle.
//
// Error carries a code for programs and one sentence for people: what happened, to what, and where
// it can be mended.  A broken invariant is KANTE_ASSERT instead, which stays on in release builds
// and ends the process; no assertion may depend on what a module, a client or a file did.
#pragma once

#include <boost/system/result.hpp>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace kante {

// Reasons a caller can act on.  The values are written to logs and twins: append only, never
// renumber.
enum class Errc {
  kInvalid = 1,       // The input is wrong; the same input will fail again.
  kNotFound = 2,      // What was named is not there.
  kDenied = 3,        // Not allowed: signature, grant, permission.
  kLimit = 4,         // A named bound is reached.
  kState = 5,         // Not now: wrong order, already done, shutting down.
  kCorrupt = 6,       // Bytes are not what they claim to be.
  kIo = 7,            // The operating system said no.
  kTimeout = 8,       // A deadline passed.
  kConflict = 9,      // Somebody else changed it first.
  kUnsupported = 10,  // Valid, but not something this build does.
  kUnavailable = 11,  // The other side is away; trying again later may help.
  kUntrusted = 12,    // The signer is not trusted, or not for this.
  kExpired = 13,      // A certificate or token outlived its time.
  kRevoked = 14,      // A certificate was revoked.
  kDowngrade = 15,    // A counter or version would go back.
  kCancelled = 16,    // Somebody ended it, or asked for something newer.
};

const char* name(Errc code);

struct Error {
  Errc code = Errc::kInvalid;
  std::string text;  // One sentence without a full stop at its end; begins with what it is about.
};

[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

template <typename T>
using Result = boost::system::result<T, Error>;
using Status = Result<void>;

inline Error fail(Errc code, std::string text) { return Error{code, std::move(text)}; }

// "what: text of errno", with kIo; the codes that callers tell apart keep their own.
Error failErrno(const std::string& what, int error_number = errno);

// The same error with "context: " in front, so that a sentence grows from the place that failed
// outwards.
Error within(const std::string& context, Error error);

}  // namespace kante

// Ends the process with file, line and condition on stderr.
[[noreturn]] void kanteAssertFailed(const char* condition, const char* file, int line);
#define KANTE_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : kanteAssertFailed(#condition, __FILE__, __LINE__))

// KANTE_TRY(name, expression): declares name as the value, or returns the error.
// NOLINTBEGIN(bugprone-macro-parentheses): a declared name cannot stand in parentheses.
#define KANTE_TRY_CAT2(a, b) a##b
#define KANTE_TRY_CAT(a, b) KANTE_TRY_CAT2(a, b)
#define KANTE_TRY(name, expression)                                 \
  auto KANTE_TRY_CAT(try_result_, __LINE__) = (expression);         \
  if (KANTE_TRY_CAT(try_result_, __LINE__).has_error())             \
    return std::move(KANTE_TRY_CAT(try_result_, __LINE__)).error(); \
  auto name = std::move(*KANTE_TRY_CAT(try_result_, __LINE__))
// NOLINTEND(bugprone-macro-parentheses)
#define KANTE_CHECK(expression)                                       \
  do {                                                                \
    auto try_status = (expression);                                   \
    if (try_status.has_error()) return std::move(try_status).error(); \
  } while (false)
