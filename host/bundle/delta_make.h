// Makes a delta out of two bundles.  For those who publish bundles: it takes the memory and the
// time that a small delta needs.
#pragma once

#include <optional>
#include <string>

#include "host/base/result.h"
#include "host/bundle/delta.h"

namespace kante {

struct DeltaFiles {
  std::string from;     // The bundle that gateways have.
  std::string to;       // The one that they shall get.
  std::string scratch;  // Folder for files without a name and for the base, unpacked.
  // Of the gateways; none: that of the base, if it is for one machine alone, else this one.
  std::optional<Machine> machine;
};

struct MadeDelta {
  DeltaHead head;
  std::string id;
  std::string from_version;
  std::string to_version;
  std::uint64_t without_base_bytes = 0;  // Files for other machines, unpacked: nothing to refer to.
};

// Writes it to the empty file out_fd and shows that it can be applied.  kInvalid: the bundles are
// of different kinds or modules, or are the same; kUnsupported: no gateway could make the payload
// of `to` again.
Result<MadeDelta> makeDelta(const DeltaFiles& files, int out_fd);

// What the delta makes of this bundle, in a file without a name.
Result<FileDescriptor> bundleOf(int delta_fd, const std::string& base, const std::string& scratch);

}  // namespace kante
