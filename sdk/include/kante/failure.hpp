// kante/failure.hpp - the one exception type of the SDK: a status for the host and a sentence for
// people.
//
// Throw it where a handler or constructor cannot go on; the fence around every call from the host
// turns it into that status and attaches the text (see kante/module.hpp).
#pragma once

#include <kante/module.h>

#include <stdexcept>
#include <string>

#if __cplusplus < 202002L
#error "The C++ face of the Kante SDK needs C++20 (-std=c++20); kante/module.h alone is C11"
#endif

// Everything the SDK defines in C++ lies in this inline namespace: authors write kante::Module, and
// a program that holds modules of two SDK versions, or the host itself, still has no two meanings
// of a name.
#define KANTE_SDK_BEGIN \
  namespace kante {     \
  inline namespace sdk1 {
#define KANTE_SDK_END \
  }                   \
  }

KANTE_SDK_BEGIN

using Status = kante_status;

class Failure : public std::runtime_error {
 public:
  // text: one sentence, what is wrong, where, and what would be right, without a full stop at its
  // end.
  Failure(Status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  explicit Failure(const std::string& text) : Failure(KANTE_E_INVALID, text) {}
  Status status() const noexcept { return status_; }

 private:
  Status status_;
};

// The name of a status as it stands in kante/module.h, without the prefix.
inline const char* statusName(Status status) noexcept {
  switch (status) {
    case KANTE_PENDING: return "PENDING";
    case KANTE_OK: return "OK";
    case KANTE_E_INVALID: return "INVALID";
    case KANTE_E_UNSUPPORTED: return "UNSUPPORTED";
    case KANTE_E_AGAIN: return "AGAIN";
    case KANTE_E_NOT_FOUND: return "NOT_FOUND";
    case KANTE_E_DENIED: return "DENIED";
    case KANTE_E_LIMIT: return "LIMIT";
    case KANTE_E_STATE: return "STATE";
    case KANTE_E_CORRUPT: return "CORRUPT";
    case KANTE_E_CANCELED: return "CANCELED";
    case KANTE_E_INTERNAL: return "INTERNAL";
    default: return "UNKNOWN";
  }
}

KANTE_SDK_END
