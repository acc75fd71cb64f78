// Certificates for a test, made on the spot: a CA, and what it issues.  P-256, valid for a day.
#pragma once

#include <memory>
#include <string>

namespace kante::testing {

// When a certificate is valid, counted from now.
struct CertificateLife {
  long begins_s = -3600;
  long ends_s = 86'400;
};

class TlsMaterial {
 public:
  // Files are written into the directory, which must exist: NAME-ca.pem, NAME-ca.key.
  TlsMaterial(std::string directory, std::string name);
  ~TlsMaterial();

  struct Pair {
    std::string cert;  // Path of a PEM file.
    std::string key;
  };
  const std::string& ca() const { return ca_path_; }
  // For a server; `san` as OpenSSL writes it: "DNS:localhost,IP:127.0.0.1".
  Pair server(const std::string& file, const std::string& san = "DNS:localhost,IP:127.0.0.1",
              CertificateLife life = {});
  // For a client; the common name is its identity.
  Pair client(const std::string& file, const std::string& common_name, CertificateLife life = {});

 private:
  struct State;
  Pair issue(const std::string& file, const std::string& common_name, const std::string& san,
             const char* usage, CertificateLife life);
  const std::string directory_;
  std::string ca_path_;
  std::unique_ptr<State> state_;
};

}  // namespace kante::testing
