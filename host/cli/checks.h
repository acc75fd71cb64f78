// What `kante check` looks at, one function a subject; none needs a running host, and none changes
// anything that stays.
#pragma once

#include <string>
#include <vector>

namespace kante {
struct Config;
}

namespace kante::cli {

enum class Verdict { kOk, kWarn, kFail };
const char* name(Verdict verdict);  // "ok", "warn", "fail"

struct CheckResult {
  std::string name;  // "clock", "broker", …
  Verdict verdict = Verdict::kOk;
  std::string text;
  std::string hint;  // Empty when ok.
};
using CheckResults = std::vector<CheckResult>;

// The configuration to check against: that of the file, of the system without one; defaults when it
// is not there or wrong, which is said.
Config configToCheck(const std::string& given, CheckResults& out);
// All that follow.
void checkAll(const Config& config, const std::string& socket, CheckResults& out);

void checkClock(CheckResults& out);
void checkKernel(CheckResults& out);
// What sandboxed modules get, found out by kante-launcher, which tries it.
void checkSandbox(const Config& config, CheckResults& out);
// Whether there is an engine for containers, which may well be missing.
void checkContainers(const Config& config, CheckResults& out);
void checkLimits(CheckResults& out);
// Writable, synced to the disk, with room for what [store] may take.
void checkDataDirectory(const Config& config, CheckResults& out);
// Whether a host answers there, and how near it is to its bound on loaded libraries.
void checkHost(const std::string& socket, CheckResults& out);
// Files of [trust], [fetch], [hub.tls] and [uplink]: readable, valid, how long still.
void checkCertificates(const Config& config, CheckResults& out);
// Name, TCP and TLS, each with a deadline of 5 s.
void checkBroker(const Config& config, CheckResults& out);

}  // namespace kante::cli
