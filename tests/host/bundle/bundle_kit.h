// What tests need to make bundles, good and bad: certificate authorities, revocation lists, CMS
// messages, archives and frames, each bendable where a rule could be broken.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/fd.h"
#include "host/base/openssl.h"
#include "host/bundle/admission.h"
#include "host/bundle/payload_writer.h"

namespace kante::test {

// A folder of its own below the temporary folder, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  std::string write(const std::string& name, std::string_view bytes) const;  // Returns the path.

 private:
  std::string path_;
  FileDescriptor fd_;
};

inline constexpr std::int64_t kNow_s = 1'800'000'000;
inline constexpr std::int64_t kDay_s = 86'400;

struct Identity {
  KeyPtr key;
  X509Ptr certificate;
  std::string keyPem() const;
  std::string certificatePem() const;
};

struct CertificateOptions {
  std::string common_name = "signer";
  const Identity* issuer = nullptr;  // None: self-signed.
  std::int64_t not_before_s = kNow_s - 10 * kDay_s;
  std::int64_t not_after_s = kNow_s + 100 * kDay_s;
  std::string usage = "codeSigning";  // Empty: no extended key usage at all.
  std::string key_usage = "critical,digitalSignature";
  bool is_ca = false;
  const EVP_MD* digest = EVP_sha256();
  long serial = 0;  // 0: random.
};
Identity makeIdentity(const CertificateOptions& options);
Identity makeCa(const std::string& common_name, const Identity* issuer = nullptr);
Identity makeSigner(const Identity& ca, const std::string& common_name = "signer");
std::string makeRevocations(const Identity& ca,
                            const std::vector<const Identity*>& revoked);  // PEM

struct CmsOptions {
  const EVP_MD* digest = EVP_sha256();
  unsigned flags = 0;                // Added to detached, binary, no capabilities.
  unsigned without_flags = 0;        // Taken away again.
  const Identity* second = nullptr;  // Another signer.
  bool unsigned_attribute = false;
  bool without_signer = false;
  std::vector<const Identity*> chain;  // Sent along.
};
std::string makeCms(std::string_view payload, const Identity& signer,
                    const CmsOptions& options = {});

struct Member {
  std::string name;
  std::string content;
  char type = '0';
  std::string link;
};
std::string tarMember(const Member& member);
std::string tarOf(const std::vector<Member>& members);  // With its end.
std::string zstdOf(std::string_view bytes, int window_log = 0);
// As bundle pack codes an archive, so that deltas can make it again.
std::string packedOf(std::string_view bytes, PayloadCoding coding = PayloadCoding::kZstd);
std::string frameOf(std::string_view payload, std::string_view cms);

// A manifest of this module with these files, as JSON; `more` is put in front of its last brace.
std::string manifestFor(const std::vector<Member>& files, const std::string& more = {},
                        const std::string& id = "com.example.test", std::uint64_t counter = 7);
// manifest.json and then the files.
std::vector<Member> membersOf(const std::vector<Member>& files, const std::string& more = {},
                              const std::string& id = "com.example.test",
                              std::uint64_t counter = 7);
// The payload of a good bundle with the good library and one data file, packed as bundle pack does.
std::string goodPayload(const std::string& id = "com.example.test", std::uint64_t counter = 7,
                        const std::string& more = {});

std::string libraryName();                       // lib/ARCH/module.so of this machine
std::string sampleElf(const std::string& name);  // One of tests/host/bundle/elf, built.

// An unnamed file with these bytes.
FileDescriptor fileOf(std::string_view bytes);
TrustStore trustIn(const Identity& anchor, const std::string& revocations = {});
AdmissionPolicy policyFor(const TrustStore& trust);  // At kNow_s, clock trusted.

// Takes everything, keeps what it got.
class CollectingSink final : public MemberSink {
 public:
  Status manifest(const Manifest&, std::string_view) override { return {}; }
  Status begin(const std::string& name, const ManifestFile&) override {
    members.push_back({name, {}, '0', {}});
    return {};
  }
  Status write(std::string_view bytes) override {
    members.back().content += bytes;
    return {};
  }
  Result<int> end() override { return -1; }
  std::vector<Member> members;
};

}  // namespace kante::test
