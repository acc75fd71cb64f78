// The TLS settings of the connections to a broker: whom to trust, as whom to come, which name to
// expect.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/base/trusted_clock.h"

struct ssl_ctx_st;
struct x509_st;

namespace kante {

struct TlsFiles {
  std::string ca;    // PEM, needed: there is no connection without verification.
  std::string cert;  // PEM chain and key of the client; both or neither.
  std::string key;
};

// When the gateway's own certificate is valid.
struct Validity {
  std::int64_t begins_s = 0;
  std::int64_t ends_s = 0;  // 0: there is none.
};

// TLS 1.2 or later.  The server's certificate must be valid for the host, a name or an address, and
// at the time that the trusted clock judges by: with a wall clock that is not trusted, expiry is
// judged at the floor and "not yet valid" is no reason.
// Used by one thread at a time.
class TlsContext {
 public:
  // kIo, kInvalid: which file, and why.
  // `wall`, if given, outlives it; without it the machine's clock is believed.
  static Result<std::unique_ptr<TlsContext>> make(TlsFiles files, const std::string& host,
                                                  TrustedClock* wall = nullptr);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* raw() const { return context_; }

  // ---- between two connections ----

  // The server that the next connection goes to.  Forgets the last one.
  Status expect(const std::string& host);

  // ---- any time ----

  // Whether the files on disk are others than those in use.
  bool changedOnDisk() const;
  // Takes the files for the connections to come; one that stands keeps what it was made with.  When
  // they cannot be used, what was loaded last stays: the error says why.
  Status load();
  Validity own() const { return own_; }
  // The gateway's own certificate for somebody who looks for it at the other side: its file, whose
  // it is, and when it ended if it has.  Empty: there is none.
  std::string ownText() const;
  // By which certificates are judged.
  std::int64_t nowS() const;
  const TlsFiles& files() const { return files_; }
  // Why the last server's certificate was refused, or the server refused us; empties it.
  std::string takeRefusal();

 private:
  friend struct TlsCallbacks;
  using Stamp = std::array<struct timespec, 3>;
  TlsContext(ssl_ctx_st* context, TlsFiles files, TrustedClock* wall);
  void refuse(int why, x509_st* certificate);
  std::string endedText() const;
  Stamp stamp() const;

  ssl_ctx_st* const context_;
  const TlsFiles files_;
  TrustedClock* const wall_;
  JudgementTime judged_at_;  // Of the handshake under way.
  std::string host_;
  bool host_is_name_ = true;
  Stamp loaded_{};
  Validity own_;
  std::string own_names_;  // Whose it is, and its fingerprint.
  std::string refusal_;
};

}  // namespace kante
