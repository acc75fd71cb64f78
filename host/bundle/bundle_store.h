// The bundles of this gateway, by the digest of their payload, under data_dir/bundles/.
//
//   sha256-HEX/        one admitted bundle: manifest.json, lib/ARCH/module.so of this machine,
//   data/… sha256-HEX/.admission.json    signer, signature, time: what the judgement was ids.json
//   for every module id the CA it belongs to, its counter floor, what it revoked .new-… being
//   unpacked; removed when the store opens
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/bundle/admission.h"
#include "host/bundle/base_form.h"
#include "host/bundle/module_bytes.h"

namespace kante {

// Where a library will run: `libraries` of the manifest are for a sandbox only.
enum class LoadFor { kInProcess, kSandbox };

// Owned by the agent.  One thread at a time; one process (the host holds data_dir/lock).
class BundleStore {
 public:
  // Opens or makes data_dir/bundles and removes what a crash left behind.
  static Result<BundleStore> open(int data_dir_fd);

  // Copies the file to an unnamed one in the store, verifies and unpacks that.  Afterwards the
  // bundle is on disk for good, or nothing changed.  The same bundle again is judged again and its
  // record replaced.  Of a delta what it makes is admitted; kNotFound if its base is not here.
  Result<AdmittedBundle> admit(int fd, const AdmissionPolicy& policy);

  Result<AdmittedBundle> find(const std::string& digest) const;
  std::vector<std::string> list() const;  // Digests, sorted.
  // What a delta can be applied to; good as long as the bundle stays.
  Result<BaseForm> base(const std::string& digest) const;
  // The library of this machine, compared with the digest that was admitted, linted, sealed.
  Result<ModuleBytes> load(const std::string& digest, LoadFor where = LoadFor::kInProcess) const;
  // The verdict that the signer of an admitted bundle would get now; for reporting `distrusted`.
  Result<Signer> judgeAgain(const std::string& digest, const TrustStore& trust,
                            const JudgementTime& time) const;

  Status remove(const std::string& digest);
  // Removes every bundle that is not in `keep`; how many went.
  Result<std::size_t> removeAllBut(const std::set<std::string>& keep);

  // Called when the deployment that uses the bundle is committed: from then on admission refuses
  // lower counters of this id, and load refuses those that this manifest `revokes`.
  Status commitCounter(const std::string& digest);
  std::uint64_t counterFloor(const std::string& id) const;

 private:
  struct IdRecord {
    std::string ca_fingerprint;
    std::uint64_t floor = 0;
    std::uint64_t revoked_below = 0;
  };
  explicit BundleStore(FileDescriptor directory) : directory_(std::move(directory)) {}
  Status readIds();
  Status replaceIds(std::map<std::string, IdRecord> ids);
  Status bindId(const AdmittedBundle& bundle);
  Status removeLeftovers() const;
  Status checkId(const AdmittedBundle& bundle, const AdmissionPolicy& policy) const;
  Status install(const AdmittedBundle& bundle, const std::string& staged) const;
  Result<FileDescriptor> madeBy(FileDescriptor delta) const;

  FileDescriptor directory_;
  std::map<std::string, IdRecord> ids_;
};

}  // namespace kante
