// What goes into a support bundle, wherever it is made: gathered as it is, then packed without the
// secrets in it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/cli/checks.h"
#include "host/config/config.h"
#include "host/support/archive.h"

namespace kante::cli {

struct SupportFile {
  enum class Kind { kJson, kJsonLines, kText } kind = Kind::kJson;
  std::string name;
  std::string text;
};

// check.json, as `kante check --json` prints it.
SupportFile checkFile(const CheckResults& results);
// about.json: this build, and in `host` whether one runs.
SupportFile aboutFile(const std::string& gateway, const std::string& host);
// config.json: the settings that the file makes, without its comments.
SupportFile configFile(const std::string& path);

struct SupportSource {
  Config config;
  std::vector<SupportFile> files;  // The most important first.
  std::size_t bytes_max = SupportArchive::kBytesMax;
  std::vector<std::string> secrets = {};  // Besides those that the configuration's files hold.
};
// Adds machine.json and packs.  Reads files of the configuration to know their secrets.
Result<std::string> packSupport(SupportSource source, std::string_view head);

}  // namespace kante::cli
