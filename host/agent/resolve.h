// Holds a deployment against what it refers to: bundles, their manifests, and the route language.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "host/agent/agent.h"
#include "host/agent/deployment.h"
#include "host/base/result.h"

namespace kante {

struct ResolveFrom {
  BundleStore& bundles;
  // Called for each file that is admitted.  None: only bundles that the store has already.
  std::function<AdmissionPolicy()> policy;
  std::string base_directory;                  // Of relative paths; empty: files are refused.
  std::map<std::string, std::string> uploads;  // Path as in the document → digest in the store.
  Upstream upstream = Upstream::kServed;
  Topics topics = Topics::kServed;
  std::function<bool(const std::string& module)> elsewhere = nullptr;
  Secrets secrets = nullptr;  // Null: there are none.
  // What becomes of a module whose secret is not there.
  enum class MissingSecret { kRefused, kBarsTheModule } missing_secret = MissingSecret::kRefused;
};

inline constexpr const char* kImageMark = "image:";

struct ResolvedDeployment {
  Deployment deployment;  // Digests for bundles, in `json` too.
  RuntimeTarget target;
  std::map<std::string, std::string> bases;  // "module/NAME" → base of its desired properties.
  // Of its bundles, and kImageMark with its name for each image: what it needs.  Sorted, each once.
  std::vector<std::string> digests;
  std::vector<std::string> warnings;  // What was accepted and has no effect.
};

// Errors begin with the JSON pointer.  `admitted` gets the digests that are new in the store, also
// when it fails: they are harmless there and go with the next collection.
Result<ResolvedDeployment> resolveDeployment(const Deployment& deployment, const ResolveFrom& from,
                                             std::vector<std::string>& admitted);

}  // namespace kante
