// The TLS settings of one connection to one server: whom to trust, as whom to come, which name to
// expect.
#pragma once

#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/base/trusted_clock.h"

struct ssl_ctx_st;

namespace kante {

struct TlsFiles {
  std::string ca;    // PEM, needed: there is no connection without verification.
  std::string cert;  // PEM chain and key of the client; both or neither.
  std::string key;
};

// TLS 1.2 or later.  The server's certificate must be valid for the host, a name or an address, and
// at the time that the trusted clock judges by: with a wall clock that is not trusted, expiry is
// judged at the floor and "not yet valid" is no reason.
// Used by one thread at a time.
class TlsContext {
 public:
  // kIo, kInvalid: which file, and why.
  // `wall`, if given, outlives it; without it the machine's clock is believed.
  static Result<std::unique_ptr<TlsContext>> make(const TlsFiles& files, const std::string& host,
                                                  TrustedClock* wall = nullptr);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* raw() const { return context_; }
  // Why the last server's certificate was refused; empties it.
  std::string takeRefusal();

 private:
  friend struct TlsCallbacks;
  TlsContext(ssl_ctx_st* context, std::string host, TrustedClock* wall)
      : context_(context), host_(std::move(host)), wall_(wall) {}

  ssl_ctx_st* const context_;
  const std::string host_;
  TrustedClock* const wall_;
  JudgementTime judged_at_;  // Of the handshake under way.
  bool host_is_name_ = true;
  std::string refusal_;
};

}  // namespace kante
