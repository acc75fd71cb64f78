#include "host/container/create_options.h"

#include <algorithm>
#include <boost/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;
using Names = std::span<const char* const>;

std::string lowerCase(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

Error at(const std::string& pointer, Errc code, const std::string& text) {
  return fail(code, pointer + ": " + text);
}

// As Go's zero value, which asks for nothing.
bool isEmpty(const json::value& value) {
  if (const auto* text = value.if_string()) return text->empty();
  if (const auto* list = value.if_array()) return list->empty();
  if (const auto* object = value.if_object()) return object->empty();
  if (const auto* flag = value.if_bool()) return !*flag;
  if (const auto* number = value.if_int64()) return *number == 0;
  return value.is_null();
}

// Of a volume or a network.
bool isEngineName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && isName(name.substr(0, 1)) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return c == '_' || c == '.' || c == '-' || isName(std::string_view(&c, 1));
         });
}

// Harmless: of the container alone, or bounded by what it is given elsewhere.
constexpr const char* kHarmless[] = {"Hostname",    "Domainname",   "User",
                                     "AttachStdin", "AttachStdout", "AttachStderr",
                                     "Tty",         "OpenStdin",    "StdinOnce",
                                     "Env",         "Cmd",          "Healthcheck",
                                     "ArgsEscaped", "Image",        "Volumes",
                                     "WorkingDir",  "Entrypoint",   "ExposedPorts",
                                     "MacAddress",  "OnBuild",      "NetworkDisabled",
                                     "Labels",      "StopSignal",   "StopTimeout",
                                     "Shell",       "HostConfig",   "NetworkingConfig"};
constexpr const char* kHostHarmless[] = {"BlkioWeight",
                                         "BlkioWeightDevice",
                                         "BlkioDeviceReadBps",
                                         "BlkioDeviceWriteBps",
                                         "BlkioDeviceReadIOps",
                                         "BlkioDeviceWriteIOps",
                                         "CapDrop",
                                         "ConsoleSize",
                                         "CpuCount",
                                         "CpuPercent",
                                         "CpuPeriod",
                                         "CpuQuota",
                                         "CpuRealtimePeriod",
                                         "CpuRealtimeRuntime",
                                         "CpuShares",
                                         "CpusetCpus",
                                         "CpusetMems",
                                         "Dns",
                                         "DnsOptions",
                                         "DnsSearch",
                                         "ExtraHosts",
                                         "GroupAdd",
                                         "Init",
                                         "IOMaximumBandwidth",
                                         "IOMaximumIOps",
                                         "Isolation",
                                         "KernelMemory",
                                         "KernelMemoryTCP",
                                         "Links",
                                         "Memory",
                                         "MemoryReservation",
                                         "MemorySwap",
                                         "MemorySwappiness",
                                         "NanoCpus",
                                         "PidsLimit",
                                         "PortBindings",
                                         "PublishAllPorts",
                                         "ReadonlyRootfs",
                                         "ShmSize",
                                         "StorageOpt",
                                         "Sysctls",
                                         "Tmpfs",
                                         "Ulimits"};
// Doors to the machine that have no grant of their own.
constexpr const char* kHostPrivileged[] = {
    "Cgroup",         "CgroupParent", "ContainerIDFile", "DeviceCgroupRules",
    "DeviceRequests", "MaskedPaths",  "OomKillDisable",  "ReadonlyPaths",
    "Runtime",        "VolumeDriver", "VolumesFrom"};

class Checker {
 public:
  explicit Checker(const ContainerGrants& grants) : grants_(grants) {}

  Result<json::object> options(const json::object& options, const std::string& pointer) const;

 private:
  using Rule = Status (Checker::*)(json::value& value, const std::string& pointer) const;
  struct HostRule {
    const char* name;
    Rule rule;
  };
  static const HostRule kHostRules[];

  Status need(const std::string& grant, const std::string& pointer) const {
    if (grants_.has(grant)) return {};
    return at(pointer, Errc::kDenied,
              "needs \"" + grant + "\" in " + grants_.pointer() + ", or take it out");
  }
  Status needPath(const std::string& path, bool read_only, const std::string& pointer) const;
  Result<json::object> known(const json::object& object, const std::vector<Names>& names,
                             const std::string& pointer) const;
  // The object of a member, in place; an absent one is empty.
  Status knownMember(json::object& parent, const char* name, const std::vector<Names>& names,
                     const std::string& pointer) const;

  Status hostConfig(json::object& host, const std::string& pointer) const;
  Status endpoints(json::object& networking, const std::string& pointer) const;
  Status labels(const json::value& labels, const std::string& pointer) const;

  Status privileged(json::value& value, const std::string& pointer) const;
  Status autoRemove(json::value& value, const std::string& pointer) const;
  Status binds(json::value& value, const std::string& pointer) const;
  Status mounts(json::value& value, const std::string& pointer) const;
  Status mount(json::object& mount, const std::string& pointer) const;
  Status capabilities(json::value& value, const std::string& pointer) const;
  Status devices(json::value& value, const std::string& pointer) const;
  Status networkMode(json::value& value, const std::string& pointer) const;
  template <const char* const& kind>
  Status spaceMode(json::value& value, const std::string& pointer) const;
  Status securityOptions(json::value& value, const std::string& pointer) const;
  Status restartPolicy(json::value& value, const std::string& pointer) const;
  Status logConfig(json::value& value, const std::string& pointer) const;
  Status oomScore(json::value& value, const std::string& pointer) const;

  const ContainerGrants& grants_;
};

Result<std::vector<std::string>> textsOf(const json::value& value, const std::string& pointer) {
  if (!value.is_array()) return at(pointer, Errc::kInvalid, "expected a list of strings");
  std::vector<std::string> out;
  for (std::size_t i = 0; i < value.as_array().size(); ++i) {
    const auto& one = value.as_array()[i];
    if (!one.is_string()) return at(jsonPointer(pointer, i), Errc::kInvalid, "expected a string");
    out.emplace_back(one.as_string());
  }
  return out;
}

Result<std::string> textOf(const json::value& value, const std::string& pointer) {
  if (!value.is_string()) return at(pointer, Errc::kInvalid, "expected a string");
  return std::string(value.as_string());
}

// Under the names that the engine documents, in whatever case they were written.
Result<json::object> Checker::known(const json::object& object, const std::vector<Names>& names,
                                    const std::string& pointer) const {
  json::object out;
  for (const auto& [written, value] : object) {
    if (value.is_null()) continue;
    std::string name(written);
    bool found = false;
    for (const Names& list : names)
      for (const char* documented : list)
        if (lowerCase(documented) == lowerCase(written)) name = documented, found = true;
    const std::string here = jsonPointer(pointer, written);
    if (!found && !grants_.privileged())
      return at(
          here, Errc::kUnsupported,
          "not an option that is known to be harmless; take it out, or grant \"privileged\" in " +
              grants_.pointer());
    if (!out.emplace(name, value).second)
      return at(here, Errc::kInvalid, "is there twice, in different case");
  }
  return out;
}

Status Checker::knownMember(json::object& parent, const char* name, const std::vector<Names>& names,
                            const std::string& pointer) const {
  json::value& value = parent[name];
  if (value.is_null()) value = json::object();
  if (!value.is_object())
    return at(jsonPointer(pointer, name), Errc::kInvalid, "expected an object");
  KANTE_TRY(checked, known(value.as_object(), names, jsonPointer(pointer, name)));
  value = std::move(checked);
  return {};
}

Result<json::object> Checker::options(const json::object& options,
                                      const std::string& pointer) const {
  static constexpr const char* kNetworking[] = {"EndpointsConfig"};
  std::vector<const char*> ruled;
  for (const HostRule* rule = kHostRules; rule->name != nullptr; ++rule)
    ruled.push_back(rule->name);
  KANTE_TRY(out, known(options, {kHarmless}, pointer));
  KANTE_CHECK(knownMember(out, "HostConfig", {kHostHarmless, kHostPrivileged, ruled}, pointer));
  KANTE_CHECK(knownMember(out, "NetworkingConfig", {kNetworking}, pointer));
  KANTE_CHECK(hostConfig(out["HostConfig"].as_object(), jsonPointer(pointer, "HostConfig")));
  KANTE_CHECK(
      endpoints(out["NetworkingConfig"].as_object(), jsonPointer(pointer, "NetworkingConfig")));
  if (const auto* given = out.if_contains("Labels"))
    KANTE_CHECK(labels(*given, jsonPointer(pointer, "Labels")));
  return out;
}

Status Checker::labels(const json::value& labels, const std::string& pointer) const {
  if (!labels.is_object()) return at(pointer, Errc::kInvalid, "expected an object of strings");
  for (const auto& [name, value] : labels.as_object()) {
    if (!value.is_string())
      return at(jsonPointer(pointer, name), Errc::kInvalid, "expected a string");
    if (lowerCase(name).starts_with("dev.kante."))
      return at(jsonPointer(pointer, name), Errc::kUnsupported,
                "labels that begin with \"dev.kante.\" are Kante's own; take it out");
  }
  return {};
}

Status Checker::endpoints(json::object& networking, const std::string& pointer) const {
  const auto* endpoints = networking.if_contains("EndpointsConfig");
  if (endpoints == nullptr) return {};
  const std::string here = jsonPointer(pointer, "EndpointsConfig");
  if (!endpoints->is_object()) return at(here, Errc::kInvalid, "expected an object");
  for (const auto& endpoint : endpoints->as_object()) {
    json::value mode(json::string(endpoint.key()));
    KANTE_CHECK(networkMode(mode, jsonPointer(here, endpoint.key())));
  }
  return {};
}

// ---- HostConfig ------------------------------------------------------------------------------

inline constexpr const char* kPid = "pid";
inline constexpr const char* kIpc = "ipc";
inline constexpr const char* kUts = "uts";
inline constexpr const char* kUserns = "userns";
inline constexpr const char* kCgroupns = "cgroupns";

const Checker::HostRule Checker::kHostRules[] = {{"AutoRemove", &Checker::autoRemove},
                                                 {"Binds", &Checker::binds},
                                                 {"CapAdd", &Checker::capabilities},
                                                 {"CgroupnsMode", &Checker::spaceMode<kCgroupns>},
                                                 {"Devices", &Checker::devices},
                                                 {"IpcMode", &Checker::spaceMode<kIpc>},
                                                 {"LogConfig", &Checker::logConfig},
                                                 {"Mounts", &Checker::mounts},
                                                 {"NetworkMode", &Checker::networkMode},
                                                 {"OomScoreAdj", &Checker::oomScore},
                                                 {"PidMode", &Checker::spaceMode<kPid>},
                                                 {"Privileged", &Checker::privileged},
                                                 {"RestartPolicy", &Checker::restartPolicy},
                                                 {"SecurityOpt", &Checker::securityOptions},
                                                 {"UTSMode", &Checker::spaceMode<kUts>},
                                                 {"UsernsMode", &Checker::spaceMode<kUserns>},
                                                 {nullptr, nullptr}};

Status Checker::hostConfig(json::object& host, const std::string& pointer) const {
  for (const HostRule* rule = kHostRules; rule->name != nullptr; ++rule) {
    auto* value = host.if_contains(rule->name);
    if (value == nullptr) continue;
    if (isEmpty(*value)) {
      host.erase(rule->name);
      continue;
    }
    KANTE_CHECK((this->*rule->rule)(*value, jsonPointer(pointer, rule->name)));
  }
  for (const char* name : kHostPrivileged) {
    const auto* value = host.if_contains(name);
    if (value != nullptr && !isEmpty(*value))
      KANTE_CHECK(need("privileged", jsonPointer(pointer, name)));
  }
  return {};
}

Status Checker::privileged(json::value& value, const std::string& pointer) const {
  if (!value.is_bool()) return at(pointer, Errc::kInvalid, "expected true or false");
  return need("privileged", pointer);
}

Status Checker::autoRemove(json::value&, const std::string& pointer) const {
  return at(pointer, Errc::kUnsupported,
            "Kante removes containers itself, once it knows how they ended; take it out");
}

Status Checker::needPath(const std::string& path, bool read_only,
                         const std::string& pointer) const {
  if (!isPlainPath(path))
    return at(pointer, Errc::kInvalid,
              "\"" + path +
                  "\": a path of this machine is absolute and has no \".\", \"..\" and no "
                  "empty parts");
  if (read_only && grants_.has("bind:" + path + ":ro")) return {};
  return need("bind:" + path, pointer);
}

Status Checker::binds(json::value& value, const std::string& pointer) const {
  KANTE_TRY(binds, textsOf(value, pointer));
  for (std::size_t i = 0; i < binds.size(); ++i) {
    const std::string here = jsonPointer(pointer, i);
    const std::size_t source_end = binds[i].find(':');
    if (source_end == std::string::npos)
      return at(here, Errc::kInvalid, "expected \"SOURCE:TARGET\" or \"SOURCE:TARGET:MODE\"");
    const std::string source = binds[i].substr(0, source_end);
    const std::size_t target_end = binds[i].find(':', source_end + 1);
    const std::string modes =
        target_end == std::string::npos ? "" : "," + binds[i].substr(target_end + 1) + ",";
    if (isEngineName(source)) continue;
    KANTE_CHECK(needPath(source, modes.find(",ro,") != std::string::npos, here));
  }
  return {};
}

Status Checker::mounts(json::value& value, const std::string& pointer) const {
  static constexpr const char* kMount[] = {"Target",       "Source",       "Type",
                                           "ReadOnly",     "Consistency",  "BindOptions",
                                           "TmpfsOptions", "VolumeOptions"};
  if (!value.is_array()) return at(pointer, Errc::kInvalid, "expected a list of objects");
  for (std::size_t i = 0; i < value.as_array().size(); ++i) {
    auto& one = value.as_array()[i];
    const std::string here = jsonPointer(pointer, i);
    if (!one.is_object()) return at(here, Errc::kInvalid, "expected an object");
    KANTE_TRY(checked, known(one.as_object(), {kMount}, here));
    KANTE_CHECK(mount(checked, here));
    one = std::move(checked);
  }
  return {};
}

Status Checker::mount(json::object& mount, const std::string& pointer) const {
  static constexpr const char* kVolume[] = {"NoCopy", "Labels", "DriverConfig", "Subpath"};
  KANTE_TRY(type, textOf(mount["Type"], jsonPointer(pointer, "Type")));
  json::value& source = mount["Source"];
  if (source.is_null()) source = "";
  KANTE_TRY(from, textOf(source, jsonPointer(pointer, "Source")));
  if (type == "bind") {
    const auto* read_only = mount.if_contains("ReadOnly");
    const bool only_reads = read_only != nullptr && read_only->is_bool() && read_only->as_bool();
    return needPath(from, only_reads, jsonPointer(pointer, "Source"));
  }
  if (type == "tmpfs") return {};
  if (type != "volume") return need("privileged", jsonPointer(pointer, "Type"));
  if (!from.empty() && !isEngineName(from))
    return at(jsonPointer(pointer, "Source"), Errc::kInvalid, "expected the name of a volume");
  KANTE_CHECK(knownMember(mount, "VolumeOptions", {kVolume}, pointer));
  // The usual driver mounts whatever its options say.
  const auto* driver = mount["VolumeOptions"].as_object().if_contains("DriverConfig");
  if (driver == nullptr || isEmpty(*driver)) return {};
  return need("privileged", jsonPointer(pointer, "VolumeOptions") + "/DriverConfig");
}

Status Checker::capabilities(json::value& value, const std::string& pointer) const {
  KANTE_TRY(capabilities, textsOf(value, pointer));
  for (std::size_t i = 0; i < capabilities.size(); ++i) {
    std::string name = capabilities[i];
    for (char& c : name)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (name.starts_with("CAP_")) name.erase(0, 4);
    KANTE_CHECK(need("cap:" + name, jsonPointer(pointer, i)));
  }
  return {};
}

Status Checker::devices(json::value& value, const std::string& pointer) const {
  static constexpr const char* kDevice[] = {"PathOnHost", "PathInContainer", "CgroupPermissions"};
  if (!value.is_array()) return at(pointer, Errc::kInvalid, "expected a list of objects");
  for (std::size_t i = 0; i < value.as_array().size(); ++i) {
    auto& one = value.as_array()[i];
    const std::string here = jsonPointer(pointer, i);
    if (!one.is_object()) return at(here, Errc::kInvalid, "expected an object");
    KANTE_TRY(checked, known(one.as_object(), {kDevice}, here));
    const std::string path_at = jsonPointer(here, "PathOnHost");
    KANTE_TRY(path, textOf(checked["PathOnHost"], path_at));
    if (!isPlainPath(path))
      return at(path_at, Errc::kInvalid,
                "\"" + path + "\": a device is named by its absolute path, without \"..\"");
    KANTE_CHECK(need("device:" + path, path_at));
    one = std::move(checked);
  }
  return {};
}

Status Checker::networkMode(json::value& value, const std::string& pointer) const {
  KANTE_TRY(mode, textOf(value, pointer));
  // A network's name; "none", "bridge" and "default" look like one.  "host" and "container:X" are
  // not the container's own, and Podman has more words with a colon.
  if (lowerCase(mode) != "host" && isEngineName(mode)) return {};
  return need("network:" + (lowerCase(mode) == "host" ? "host" : mode), pointer);
}

template <const char* const& kind>
Status Checker::spaceMode(json::value& value, const std::string& pointer) const {
  KANTE_TRY(mode, textOf(value, pointer));
  if (mode == "private" || mode == "none" || mode == "shareable") return {};
  return need(std::string(kind) + ":" + mode, pointer);
}

Status Checker::securityOptions(json::value& value, const std::string& pointer) const {
  KANTE_TRY(options, textsOf(value, pointer));
  for (std::size_t i = 0; i < options.size(); ++i) {
    const bool stricter = options[i] == "no-new-privileges" ||
                          options[i] == "no-new-privileges:true" ||
                          options[i] == "no-new-privileges=true";
    if (!stricter) KANTE_CHECK(need("privileged", jsonPointer(pointer, i)));
  }
  return {};
}

Status Checker::restartPolicy(json::value& value, const std::string& pointer) const {
  static constexpr const char* kPolicy[] = {"Name", "MaximumRetryCount"};
  if (!value.is_object()) return at(pointer, Errc::kInvalid, "expected an object");
  KANTE_TRY(policy, known(value.as_object(), {kPolicy}, pointer));
  json::value& name = policy["Name"];
  if (isEmpty(name) || name == "no") return {};
  return at(jsonPointer(pointer, "Name"), Errc::kUnsupported,
            "Kante restarts modules itself; take it out and say \"restart\" of the module");
}

Status Checker::logConfig(json::value& value, const std::string& pointer) const {
  static constexpr const char* kLog[] = {"Type", "Config"};
  if (!value.is_object()) return at(pointer, Errc::kInvalid, "expected an object");
  KANTE_TRY(log, known(value.as_object(), {kLog}, pointer));
  for (const auto& [name, one] : log)
    if (name == "Config" ? !one.is_object() : !one.is_string())
      return at(jsonPointer(pointer, name), Errc::kInvalid,
                name == "Config" ? "expected an object" : "expected a string");
  value = std::move(log);
  return {};
}

Status Checker::oomScore(json::value& value, const std::string& pointer) const {
  if (!value.is_int64()) return at(pointer, Errc::kInvalid, "expected a number");
  return value.as_int64() < 0 ? need("privileged", pointer) : Status();
}

}  // namespace

Result<json::object> checkCreateOptions(const json::object& options, const ContainerGrants& grants,
                                        const std::string& pointer) {
  return Checker(grants).options(options, pointer);
}

}  // namespace kante
