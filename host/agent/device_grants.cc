#include "host/agent/device_grants.h"

#include <algorithm>
#include <utility>

#include "host/base/json.h"

namespace kante {
namespace {

Status readKind(const Members& from, std::string_view member, DeviceKind kind,
                std::vector<PlacedGrant>& out) {
  KANTE_TRY(targets, from.texts(member));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::string pointer = jsonPointer(from.at(member), i);
    if (out.size() == kDeviceGrantsMax)
      return failAt(pointer, Errc::kLimit,
                    "more than " + std::to_string(kDeviceGrantsMax) + " of one module");
    const std::string fault = targetFault(kind, targets[i]);
    if (!fault.empty()) return failAt(pointer, Errc::kInvalid, "\"" + targets[i] + "\" " + fault);
    out.push_back({{kind, std::move(targets[i])}, pointer});
  }
  return {};
}

}  // namespace

Result<std::vector<PlacedGrant>> readDeviceGrants(const Members& from) {
  std::vector<PlacedGrant> out;
  KANTE_TRY(object, from.object("files"));
  if (object != nullptr) {
    const Members files(*object, from.at("files"));
    KANTE_CHECK(files.allow({"read", "write", "space"}));
    KANTE_CHECK(readKind(files, "read", DeviceKind::kRead, out));
    KANTE_CHECK(readKind(files, "write", DeviceKind::kWrite, out));
    KANTE_CHECK(readKind(files, "space", DeviceKind::kSpace, out));
  }
  for (const DeviceKind kind :
       {DeviceKind::kDevice, DeviceKind::kTcp, DeviceKind::kUdp, DeviceKind::kListen})
    KANTE_CHECK(readKind(from, name(kind), kind, out));
  return out;
}

std::vector<DeviceGrant> bothOf(const std::vector<PlacedGrant>& granted,
                                const std::vector<PlacedGrant>& asked,
                                std::vector<std::string>& warnings) {
  std::vector<DeviceGrant> both;
  for (const PlacedGrant& one : granted) {
    const auto wider = [&](const PlacedGrant& wide) { return covers(wide.grant, one.grant); };
    if (std::any_of(asked.begin(), asked.end(), wider)) {
      both.push_back(one.grant);
      continue;
    }
    // What it is wider than counts as far as it was asked for.
    const std::size_t before = both.size();
    for (const PlacedGrant& narrow : asked)
      if (covers(one.grant, narrow.grant)) both.push_back(narrow.grant);
    if (both.size() == before)
      warnings.push_back(one.pointer + ": \"" + one.grant.target +
                         "\" has no effect: the bundle's manifest does not ask for it");
  }
  return both;
}

}  // namespace kante
