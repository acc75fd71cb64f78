#include "tests/host/bundle/bundle_kit.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "host/base/encoding.h"
#include "host/bundle/tar.h"
#include "host/bundle/tree.h"

namespace kante::test {

namespace {

std::string textOf(const BioPtr& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

BioPtr memory() { return BioPtr(BIO_new(BIO_s_mem())); }

void extend(X509* certificate, X509V3_CTX* context, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str());
  KANTE_ASSERT(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = "/tmp/kante-bundle-XXXXXX";
  KANTE_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
  fd_ = openDirectory(path_).value();
}

TempDir::~TempDir() { (void)removeTree(AT_FDCWD, path_); }

std::string TempDir::write(const std::string& name, std::string_view bytes) const {
  const std::string path = path_ + "/" + name;
  (void)makeDirectory(path.substr(0, path.rfind('/')), 0755);
  const auto file = openAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  KANTE_ASSERT(file.has_value() && writeAll(file->get(), bytes).has_value());
  return path;
}

std::string Identity::keyPem() const {
  const BioPtr bio = memory();
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return textOf(bio);
}

std::string Identity::certificatePem() const {
  const BioPtr bio = memory();
  PEM_write_bio_X509(bio.get(), certificate.get());
  return textOf(bio);
}

Identity makeIdentity(const CertificateOptions& options) {
  Identity made{KeyPtr(EVP_EC_gen("P-256")), X509Ptr(X509_new())};
  X509* certificate = made.certificate.get();
  const long serial = options.serial != 0 ? options.serial : 1 + std::rand();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  ASN1_TIME_set(X509_getm_notBefore(certificate), options.not_before_s);
  ASN1_TIME_set(X509_getm_notAfter(certificate), options.not_after_s);
  const auto* cn = reinterpret_cast<const unsigned char*>(options.common_name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, cn, -1, -1,
                             0);
  const Identity& issuer = options.issuer != nullptr ? *options.issuer : made;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate.get()));
  X509_set_pubkey(certificate, made.key.get());
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer.certificate.get(), certificate, nullptr, nullptr, 0);
  extend(certificate, &context, NID_basic_constraints,
         options.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!options.key_usage.empty()) extend(certificate, &context, NID_key_usage, options.key_usage);
  if (!options.usage.empty()) extend(certificate, &context, NID_ext_key_usage, options.usage);
  extend(certificate, &context, NID_subject_key_identifier, "hash");
  KANTE_ASSERT(X509_sign(certificate, issuer.key.get(), options.digest) > 0);
  return made;
}

Identity makeCa(const std::string& common_name, const Identity* issuer) {
  CertificateOptions options;
  options.common_name = common_name;
  options.issuer = issuer;
  options.usage = "";
  options.key_usage = "critical,keyCertSign,cRLSign";
  options.is_ca = true;
  return makeIdentity(options);
}

Identity makeSigner(const Identity& ca, const std::string& common_name) {
  CertificateOptions options;
  options.common_name = common_name;
  options.issuer = &ca;
  return makeIdentity(options);
}

std::string makeRevocations(const Identity& ca, const std::vector<const Identity*>& revoked) {
  const CrlPtr list(X509_CRL_new());
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(ca.certificate.get()));
  ASN1_TIME* time = ASN1_TIME_set(nullptr, kNow_s - 5 * kDay_s);
  X509_CRL_set1_lastUpdate(list.get(), time);
  for (const Identity* one : revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(one->certificate.get()));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list.get(), entry);
  }
  ASN1_TIME_set(time, kNow_s - 1 * kDay_s);  // Already out of date, on purpose.
  X509_CRL_set1_nextUpdate(list.get(), time);
  ASN1_TIME_free(time);
  X509_CRL_sort(list.get());
  KANTE_ASSERT(X509_CRL_sign(list.get(), ca.key.get(), EVP_sha256()) > 0);
  const BioPtr bio = memory();
  PEM_write_bio_X509_CRL(bio.get(), list.get());
  return textOf(bio);
}

std::string makeCms(std::string_view payload, const Identity& signer, const CmsOptions& options) {
  const unsigned flags =
      (CMS_DETACHED | CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL | options.flags) &
      ~options.without_flags;
  STACK_OF(X509)* chain = sk_X509_new_null();
  for (const Identity* one : options.chain) sk_X509_push(chain, one->certificate.get());
  const CmsPtr cms(CMS_sign(nullptr, nullptr, chain, nullptr, flags));
  sk_X509_free(chain);
  CMS_SignerInfo* info = nullptr;
  if (!options.without_signer) {
    info = CMS_add1_signer(cms.get(), signer.certificate.get(), signer.key.get(), options.digest,
                           flags);
    KANTE_ASSERT(info != nullptr);
  }
  if (options.second != nullptr) {
    CMS_add1_signer(cms.get(), options.second->certificate.get(), options.second->key.get(),
                    EVP_sha256(), flags);
  }
  const BioPtr content(BIO_new_mem_buf(payload.data(), static_cast<int>(payload.size())));
  KANTE_ASSERT(options.without_signer || CMS_final(cms.get(), content.get(), nullptr, flags) == 1);
  if (options.unsigned_attribute) {
    CMS_unsigned_add1_attr_by_txt(info, "1.2.3.4", V_ASN1_UTF8STRING, "x", 1);
  }
  unsigned char* der = nullptr;
  const int size = i2d_CMS_ContentInfo(cms.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string tarMember(const Member& member) {
  auto block = makeTarHeader(member.name, member.content.size()).value();
  block[156] = member.type;
  std::memcpy(block.data() + 157, member.link.c_str(), member.link.size());
  std::memset(block.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(block.data() + 148, 8, "%06o", sum);
  return std::string(block.data(), block.size()) + member.content +
         std::string(tarPadding(member.content.size()), '\0');
}

std::string tarOf(const std::vector<Member>& members) {
  std::string all;
  for (const Member& member : members) all += tarMember(member);
  return all + std::string(1024, '\0');
}

std::string zstdOf(std::string_view bytes, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, window_log == 0 ? 1 : 0);
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_compressStream2(context, &to, &in,
                       ZSTD_e_continue);  // Keeps a stated window from being made smaller.
  KANTE_ASSERT(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end) == 0);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

std::string packedOf(std::string_view bytes, PayloadCoding coding) {
  std::string out;
  PayloadWriter writer(coding, bytes.size(), [&out](std::string_view part) -> Status {
    out += part;
    return {};
  });
  KANTE_ASSERT(writer.write(bytes) && writer.finish());
  return out;
}

std::string frameOf(std::string_view payload, std::string_view cms) {
  return makeFrameStart(FrameKind::kBundle, cms, payload.size()).value() + std::string(payload);
}

std::string manifestFor(const std::vector<Member>& files, const std::string& more,
                        const std::string& id, std::uint64_t counter) {
  std::string listed;
  for (const Member& file : files) {
    listed += (listed.empty() ? "" : ",") + ("\"" + file.name + "\":{\"size\":") +
              std::to_string(file.content.size()) + ",\"sha256\":\"" + toHex(sha256(file.content)) +
              "\"}";
  }
  const std::string machine = name(hostMachine());
  return R"({"schema":"kante.module/1","id":")" + id + R"(","version":"1.0.0","counter":)" +
         std::to_string(counter) + R"(,"abi":"1.0","lib":{")" + machine + "\":\"lib/" + machine +
         "/module.so\"},\"files\":{" + listed + "}" + (more.empty() ? "" : "," + more) + "}";
}

std::vector<Member> membersOf(const std::vector<Member>& files, const std::string& more,
                              const std::string& id, std::uint64_t counter) {
  std::vector<Member> all{{"manifest.json", manifestFor(files, more, id, counter), '0', {}}};
  all.insert(all.end(), files.begin(), files.end());
  return all;
}

std::string goodPayload(const std::string& id, std::uint64_t counter, const std::string& more) {
  return packedOf(tarOf(membersOf(
      {{libraryName(), sampleElf("good"), '0', {}}, {"data/hello.txt", "hello\n", '0', {}}}, more,
      id, counter)));
}

std::string libraryName() { return std::string("lib/") + name(hostMachine()) + "/module.so"; }

std::string sampleElf(const std::string& name) {
  const auto bytes = readFile(std::string(KANTE_ELF_SAMPLES) + "/" + name + ".so", 64 << 20);
  KANTE_ASSERT(bytes.has_value());
  return *bytes;
}

FileDescriptor fileOf(std::string_view bytes) {
  FileDescriptor file(::memfd_create("bundle", MFD_CLOEXEC));
  KANTE_ASSERT(file && writeAll(file.get(), bytes).has_value());
  return file;
}

TrustStore trustIn(const Identity& anchor, const std::string& revocations) {
  return TrustStore::fromPem(anchor.certificatePem(), revocations).value();
}

AdmissionPolicy policyFor(const TrustStore& trust) {
  AdmissionPolicy policy;
  policy.trust = &trust;
  policy.time = {kNow_s, JudgementTime::Clock::kTrusted};
  return policy;
}

}  // namespace kante::test
