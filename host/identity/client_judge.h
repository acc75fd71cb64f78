// Judges the certificates of TLS clients at the time that the gateway trusts, not at the wall
// clock's.
#pragma once

#include <openssl/types.h>

namespace kante {

class TrustedClock;

// For server contexts whose clients may show certificates.  A handshake never fails for one: the
// outcome is SSL_get_verify_result(), which X509_V_OK alone makes a chain to a trusted CA.  A
// trusted certificate ends a chain wherever it stands.  The clock outlives the context.
void judgeClientsBy(SSL_CTX* context, const TrustedClock& clock);
// The same for one chain; whether it leads to a trusted CA.
bool judgeClient(X509_STORE_CTX* chain, const TrustedClock& clock);

}  // namespace kante
