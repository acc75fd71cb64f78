#include "host/identity/hub_certificate.h"

#include <openssl/pem.h>
#include <sys/stat.h>

#include "host/base/fd.h"
#include "host/base/openssl.h"
#include "host/base/trusted_clock.h"

namespace kante {
namespace {

Result<ServerCredential> readFiles(const HubCertificate::Files& files, std::int64_t now_s) {
  KANTE_TRY(chain, readFile(files.cert, HubCertificate::kFileBytesMax));
  KANTE_TRY(key_pem, readFile(files.key, HubCertificate::kFileBytesMax));
  auto certificates = readCertificates(chain);
  if (!certificates) return within(files.cert, certificates.error());
  if (certificates->empty()) return fail(Errc::kInvalid, files.cert + ": has no certificate");
  const BioPtr bio(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  // Without a terminal to ask for one: a key with a passphrase is refused.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr)
    return fail(Errc::kInvalid,
                files.key + ": no private key without a passphrase: " + opensslReason());
  const X509* own = certificates->front().get();
  if (X509_check_private_key(own, key.get()) != 1) {
    (void)opensslReason();
    return fail(Errc::kInvalid,
                files.key + " is not the key of the first certificate in " + files.cert);
  }
  ServerCredential out{std::move(chain), std::move(key_pem), fingerprintOf(own),
                       secondsOf(X509_get0_notBefore(own)), secondsOf(X509_get0_notAfter(own))};
  if (out.not_after_s < now_s)
    return fail(Errc::kExpired,
                files.cert + " expired at " + formatUtc(out.not_after_s * 1'000'000'000));
  return out;
}

}  // namespace

Result<std::unique_ptr<HubCertificate>> HubCertificate::issued(GatewayCa& ca,
                                                               const TrustedClock& clock,
                                                               std::vector<std::string> names) {
  std::unique_ptr<HubCertificate> out(new HubCertificate(clock));
  out->ca_ = &ca;
  out->names_ = std::move(names);
  KANTE_CHECK(out->renew());
  return out;
}

Result<std::unique_ptr<HubCertificate>> HubCertificate::fromFiles(Files files,
                                                                  const TrustedClock& clock) {
  std::unique_ptr<HubCertificate> out(new HubCertificate(clock));
  out->files_ = std::move(files);
  KANTE_CHECK(out->renew());
  return out;
}

// Names the files' versions; one that is missing has none.
std::string HubCertificate::stamp() const {
  std::string out;
  for (const std::string* file : {&files_.cert, &files_.key}) {
    struct stat status {};
    if (::stat(file->c_str(), &status) != 0) continue;
    for (const auto part :
         {static_cast<long long>(status.st_ino), static_cast<long long>(status.st_size),
          static_cast<long long>(status.st_mtim.tv_sec),
          static_cast<long long>(status.st_mtim.tv_nsec)})
      out += std::to_string(part) + " ";
  }
  return out;
}

bool HubCertificate::due() const {
  if (ca_ == nullptr) return stamp() != stamp_;
  const std::int64_t now_s = clock_.judgement().at_s;
  const std::int64_t life_s = current_.not_after_s - current_.not_before_s;
  // Also when the clock went back before its beginning: nobody would take it.
  return now_s >= current_.not_before_s + life_s * 2 / 3 || now_s < current_.not_before_s;
}

Status HubCertificate::renew() {
  const std::int64_t now_s = clock_.judgement().at_s;
  stamp_ = stamp();
  auto next = ca_ != nullptr ? ca_->issue(names_, now_s) : readFiles(files_, now_s);
  if (!next) return next.error();
  current_ = std::move(*next);
  if (on_change_) on_change_(current_);
  return {};
}

Status HubCertificate::tick() {
  if (!due()) return {};
  const Status renewed = renew();
  const std::string why = renewed ? std::string() : renewed.error().text;
  if (why.empty() || why == failure_) {
    failure_ = why;
    return {};
  }
  failure_ = why;
  return within("the hub's certificate was not renewed and stays as it is", renewed.error());
}

}  // namespace kante
