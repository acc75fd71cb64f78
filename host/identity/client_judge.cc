#include "host/identity/client_judge.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "host/base/trusted_clock.h"

namespace kante {
namespace {

// Without a clock that is worth something, "not yet valid" means nothing.
int overlookBeginning(int ok, X509_STORE_CTX* chain) {
  if (ok == 1 || X509_STORE_CTX_get_error(chain) != X509_V_ERR_CERT_NOT_YET_VALID) return ok;
  X509_STORE_CTX_set_error(chain, X509_V_OK);
  return 1;
}

int obey(int ok, X509_STORE_CTX* /*chain*/) { return ok; }

}  // namespace

bool judgeClient(X509_STORE_CTX* chain, const TrustedClock& clock) {
  const JudgementTime time = clock.judgement();
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(chain);
  X509_VERIFY_PARAM_set_time(rules, time.at_s);
  X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
  const bool trusted = time.clock == JudgementTime::Clock::kTrusted;
  X509_STORE_CTX_set_verify_cb(chain, trusted ? obey : overlookBeginning);
  const int verified = X509_verify_cert(chain);
  if (verified != 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK)
    X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
  return verified == 1;
}

void judgeClientsBy(SSL_CTX* context, const TrustedClock& clock) {
  SSL_CTX_set_cert_verify_callback(
      context,
      [](X509_STORE_CTX* chain, void* by) {
        (void)judgeClient(chain, *static_cast<const TrustedClock*>(by));
        return 1;
      },
      const_cast<TrustedClock*>(&clock));
}

}  // namespace kante
