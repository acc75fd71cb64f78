#include "tests/support/tls_material.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace kante::testing {
namespace {

void check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "TLS material: %s failed\n", what);
  std::abort();
}

void writePem(const std::string& path, X509* cert, EVP_PKEY* key) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  check(file != nullptr, path.c_str());
  if (cert != nullptr) check(PEM_write_X509(file, cert) == 1, "PEM_write_X509");
  if (key != nullptr) {
    check(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM key");
  }
  std::fclose(file);
}

void extend(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  check(extension != nullptr, value.c_str());
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* begin(EVP_PKEY* key, const std::string& common_name, CertificateLife life = {}) {
  static long serial = 1;
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(cert), life.begins_s);
  X509_gmtime_adj(X509_getm_notAfter(cert), life.ends_s);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return cert;
}

}  // namespace

struct TlsMaterial::State {
  EVP_PKEY* key = nullptr;
  X509* cert = nullptr;
};

TlsMaterial::TlsMaterial(std::string directory, std::string name)
    : directory_(std::move(directory)), state_(std::make_unique<State>()) {
  state_->key = EVP_EC_gen("P-256");
  check(state_->key != nullptr, "EVP_EC_gen");
  state_->cert = begin(state_->key, name);
  X509_set_issuer_name(state_->cert, X509_get_subject_name(state_->cert));
  extend(state_->cert, state_->cert, NID_basic_constraints, "critical,CA:TRUE");
  extend(state_->cert, state_->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(state_->cert, state_->cert, NID_subject_key_identifier, "hash");
  check(X509_sign(state_->cert, state_->key, EVP_sha256()) > 0, "X509_sign");
  ca_path_ = directory_ + "/" + name + "-ca.pem";
  writePem(ca_path_, state_->cert, nullptr);
  writePem(directory_ + "/" + name + "-ca.key", nullptr, state_->key);
}

TlsMaterial::~TlsMaterial() {
  X509_free(state_->cert);
  EVP_PKEY_free(state_->key);
}

TlsMaterial::Pair TlsMaterial::issue(const std::string& file, const std::string& common_name,
                                     const std::string& san, const char* usage,
                                     CertificateLife life) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = begin(key, common_name, life);
  X509_set_issuer_name(cert, X509_get_subject_name(state_->cert));
  extend(cert, state_->cert, NID_basic_constraints, "critical,CA:FALSE");
  extend(cert, state_->cert, NID_ext_key_usage, usage);
  if (!san.empty()) extend(cert, state_->cert, NID_subject_alt_name, san);
  check(X509_sign(cert, state_->key, EVP_sha256()) > 0, "X509_sign");
  Pair pair{directory_ + "/" + file + ".pem", directory_ + "/" + file + ".key"};
  writePem(pair.cert, cert, nullptr);
  writePem(pair.key, nullptr, key);
  X509_free(cert);
  EVP_PKEY_free(key);
  return pair;
}

TlsMaterial::Pair TlsMaterial::server(const std::string& file, const std::string& san,
                                      CertificateLife life) {
  return issue(file, "server", san, "serverAuth", life);
}

TlsMaterial::Pair TlsMaterial::client(const std::string& file, const std::string& common_name,
                                      CertificateLife life) {
  return issue(file, common_name, {}, "clientAuth", life);
}

}  // namespace kante::testing
