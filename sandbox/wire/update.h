// How a host, its keeper and the next version of both tell each other about an update: files of one
// line in data_dir/host, and an exit code.  All releases know them, so they stay as they are.
//
//   current   FOLDER           the version that was committed; missing: that of the system
//   trial     FOLDER SECONDS   the next one, until it commits itself or the time is over
//   reason    TEXT             why the version on trial gives up, written by itself
//   failed    FOLDER REASON    why it came to nothing, written by the keeper; gone once a host said
//   so
//
// FOLDER is relative to data_dir and holds kante, kante-launcher and kante-runner of one release.
// Each file is replaced as a whole, so that a power cut leaves the old version or the new one: what
// is in `trial` alone is never started at a start of the gateway.
#pragma once

namespace kante {

inline constexpr const char* kUpdateFolder = "host";
inline constexpr const char* kUpdateCurrent = "current";
inline constexpr const char* kUpdateTrial = "trial";
inline constexpr const char* kUpdateReason = "reason";
inline constexpr const char* kUpdateFailed = "failed";
inline constexpr int kTrialSecondsMax = 3600;

// How a host ends that wants its keeper to start what `trial` names, and one on trial that gives
// up.
inline constexpr int kExitUpdate = 75;
inline constexpr int kExitUnhealthy = 76;

}  // namespace kante
