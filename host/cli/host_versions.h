// Which version of the host runs here: that of the system, or one that came as a bundle of kind
// host and lies in the bundle store.  The files of sandbox/wire/update.h as a host reads and writes
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "host/base/fd.h"
#include "host/base/result.h"

namespace kante::cli {

struct HostVersion {
  std::string digest;  // Of its bundle.
  std::string folder;  // Of its programs, relative to data_dir.
  std::string id;      // Of the bundle, as those of modules.
  std::string version;
  std::uint64_t counter = 0;
};

// For `kante run`, before anything is opened: the version that was committed, unless the system has
// a newer one meanwhile.  Nothing: the system's runs.  An error: it was committed and cannot run.
Result<std::optional<HostVersion>> committedHost(const std::string& data_dir);

// If this program is a version on trial: what its start failed with becomes the reason of the
// update's failure, unless there is one already.
void noteFailedTrial(const std::string& data_dir, const Error& error);

// Made once data_dir is locked.
class HostVersions {
 public:
  static Result<HostVersions> open(int data_dir_fd, const std::string& data_dir);

  // The one of this bundle, which was admitted.
  Result<HostVersion> find(const std::string& digest) const;
  // This process's own; nothing: it is of the system.
  const std::optional<HostVersion>& own() const { return own_; }
  bool isOnTrial() const { return on_trial_; }
  std::set<std::string> digests() const;  // Of what must be kept.

  Status beginTrial(const HostVersion& version, std::uint32_t seconds) const;
  Status cancelTrial() const;
  // This process, which is on trial, holds from now on.
  Status commit();
  // It gives up; its keeper brings back what ran before.
  Status giveUp(const std::string& reason) const;

  struct Failure {
    HostVersion version;
    std::string reason;
  };
  // Of an update that came to nothing since the last host said so; a trial that was cut off by an
  // end of the gateway is one.
  std::optional<Failure> takeFailure();

 private:
  HostVersions(FileDescriptor data_dir, FileDescriptor folder)
      : data_dir_(std::move(data_dir)), folder_(std::move(folder)) {}
  std::string line(const char* name) const;
  Status remove(const char* name) const;

  FileDescriptor data_dir_;
  FileDescriptor folder_;  // data_dir/host
  std::optional<HostVersion> own_;
  bool on_trial_ = false;
};

}  // namespace kante::cli
