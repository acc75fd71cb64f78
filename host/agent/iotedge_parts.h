// The parts of IoT Edge's deployment manifests that whole and layered ones have in common: the
// envelope, modules and routes, each translated by itself.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "host/agent/iotedge_manifest.h"
#include "host/agent/members.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::string_view kManifestContent = "modulesContent";
inline constexpr std::string_view kManifestDesired = "properties.desired";
inline constexpr std::string_view kManifestPath = "properties.desired.";
inline constexpr std::string_view kEdgeAgent = "$edgeAgent";
inline constexpr std::string_view kEdgeHub = "$edgeHub";
inline constexpr char kRightsAreGrants[] = "rights are grants of devices here: kante device grant";

// The manifest itself ({"modulesContent": …}), or within a configuration of IoT Hub ({"id": …,
// "content": {"modulesContent": …}, "targetCondition": …, "priority": …}).  Borrows the manifest.
struct ManifestEnvelope {
  const boost::json::object* content = nullptr;        // Sections by name.
  std::string pointer;                                 // To content.
  std::string root;                                    // To the manifest.
  const boost::json::object* configuration = nullptr;  // Null: the manifest alone.
};
// `pointer`: to the manifest.  What has no counterpart goes to `report`.
Result<ManifestEnvelope> openEnvelope(const boost::json::value& manifest,
                                      const std::string& pointer, std::vector<std::string>& report);

// What modules and routes become.  Borrows images and report.
class ManifestParts {
 public:
  using Orders = std::map<std::uint64_t, std::set<std::string>>;
  static constexpr std::uint64_t kLast = std::numeric_limits<std::uint32_t>::max();

  ManifestParts(const std::vector<ImageRule>& images, std::vector<std::string>& report)
      : images_(images), report_(report) {}

  void note(const std::string& pointer, const std::string& text) {
    report_.push_back(pointer + ": " + text);
  }

  // "1.0" to "1.MINOR".
  static Status checkSchema(const Members& section, unsigned minor);
  Status readRuntime(const Members& runtime);
  // The host itself is both; what it is told otherwise is in its configuration.
  void readSystemModule(const boost::json::value& module, const std::string& pointer);

  struct Module {
    boost::json::object out;
    std::uint64_t order = kLast;
    bool runs = true;
  };
  Result<Module> module(const Members& module);
  // Of a module that is there already, what is said of it.  `said`: which members, or members of
  // members, as a whole; `replaced` gets those of `out` that are not merged but put in the place of
  // what is there.
  enum class Onto { kBundle, kContainer };
  Result<boost::json::object> partOfModule(const Members& part, const std::set<std::string>& said,
                                           Onto onto, std::set<std::string>& replaced);
  // All members of a deployment's module that a manifest may say.
  static const std::vector<std::string>& moduleMembers();

  // Who has a number waits until those with the next lower one are ready.
  static void startInOrder(const Orders& orders, boost::json::object& modules);

  // Nothing: a blank one.  ttl_s: of routes that say none; 0: none.
  Result<std::optional<boost::json::object>> route(const boost::json::value& value,
                                                   const std::string& pointer, std::int64_t ttl_s);
  // What is said of one that is there.
  static Result<boost::json::object> partOfRoute(const Members& part);
  // Its timeToLiveSecs.
  Result<std::int64_t> readStoring(const Members& storing);

 private:
  static Result<boost::json::object> createOptions(const Members& settings,
                                                   const boost::json::object& object);
  static Result<boost::json::object> variables(const Members& module);
  const ImageRule* ruleFor(const std::string& image) const;
  static Result<boost::json::object> bundle(const ImageRule& rule, const Members& settings);
  void noteEnvironment(const Members& module);
  void takeLimits(const boost::json::object& options, const std::string& pointer,
                  boost::json::object& out);
  Status partOfSettings(const boost::json::object& object, const std::string& pointer,
                        const std::set<std::string>& said, Onto& onto, boost::json::object& out,
                        std::set<std::string>& replaced);

  const std::vector<ImageRule>& images_;
  std::vector<std::string>& report_;
};

}  // namespace kante
