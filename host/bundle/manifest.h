// What a bundle says about itself: manifest.json, parsed and checked once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/encoding.h"
#include "host/base/result.h"
#include "host/bundle/machine.h"

namespace kante {

inline constexpr std::size_t kManifestBytesMax = 256 * 1024;
inline constexpr std::size_t kManifestDepthMax = 32;
inline constexpr std::size_t kBundleFilesMax = 4'096;
// Of all members together: room for a large model, and the end of every decompression bomb.
inline constexpr std::uint64_t kUnpackedBytesMax = std::uint64_t{2} << 30;
inline constexpr std::size_t kMemberNameBytesMax = 255;
inline constexpr std::size_t kModuleIdBytesMax = 128;
inline constexpr std::size_t kPortsMax = 256;  // Inputs, outputs, methods, libraries: each.

struct ManifestFile {
  std::uint64_t bytes = 0;
  Sha256 sha256{};
};

// Holding a Manifest proves that the text followed every rule of docs/formats/bundle.md.
struct Manifest {
  enum class Kind { kModule, kHost };
  enum class Execution { kShared, kDedicated };

  std::string id;
  std::string version;        // Semantic version 2.0.0.
  std::uint64_t counter = 0;  // Rises with every release; what rollback protection compares.
  std::uint64_t revokes = 0;  // Counters of this id below this one must never run again; 0: none.
  std::uint32_t abi_major = 0;
  std::uint32_t abi_minor = 0;
  Kind kind = Kind::kModule;
  std::map<Machine, std::string> lib;
  std::map<std::string, ManifestFile> files;  // Every member but manifest.json itself.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> methods;
  std::vector<std::string> libraries;  // Sonames beyond the allow-list; granted in a sandbox only.
  Execution execution = Execution::kShared;
  std::string permissions_json = "{}";  // An object; what the placement and the agent grant from.
  std::vector<std::string> unknown_permissions;  // Pointers to what this host gives to nobody.
  std::string config_schema_json;  // Empty: any configuration.  Else a schema that JsonSchema took.

  const std::string* libFor(Machine machine) const;
};

// Fails with kInvalid; the text names the JSON pointer and, for an unknown member, the nearest
// known one.
Result<Manifest> parseManifest(std::string_view json);

// What `bundle pack` reads: the same without `files`.  Returns the text of the complete
// manifest.json: `files` filled in, `lib` from them if it is missing, `counter` from the version if
// it is missing (counterOf).
Result<std::string> completeManifest(std::string_view json,
                                     const std::map<std::string, ManifestFile>& files);

// MAJOR.MINOR.PATCH as one number, 5 digits for each but the first: 1.4.2 is 10000400002.  So a
// version that goes back is a downgrade even when its author never thought of counters.  None when
// a part is too large.
std::optional<std::uint64_t> counterOf(std::string_view version);

// A member name as bundles allow it: relative, [A-Za-z0-9._-] between slashes, no ".", ".." or
// empty part.
bool isMemberName(std::string_view name);
// Reverse-domain module id: [A-Za-z0-9.-], no empty label, at most kModuleIdBytesMax.
bool isModuleId(std::string_view id);
bool isSemanticVersion(std::string_view version);

}  // namespace kante
