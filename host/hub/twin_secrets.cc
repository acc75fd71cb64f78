#include "host/hub/twin_secrets.h"

#include <boost/json.hpp>

#include "host/base/json.h"

namespace kante {
namespace {

constexpr JsonBounds kBounds{Twins::kSectionBytesMax * 2, Twins::kDepthMax + 2};

}  // namespace

TwinSection withSecrets(TwinSection section, const Secrets& secrets) {
  if (!secrets || section.json.find("${secret:") == std::string::npos) return section;
  auto value = parseJson(section.json, kBounds);
  if (value && substituteSecrets(*value, secrets, "")) section.json = writeJson(*value);
  return section;
}

std::string retold(const TwinSection& section, const std::string& secret) {
  const std::string wanted = "${secret:" + secret + "}";
  if (section.json.find(wanted) == std::string::npos) return {};
  const auto object = parseJsonObject(section.json, kBounds);
  if (!object) return {};
  boost::json::object patch;
  for (const auto& [name, value] : *object)
    if (writeJson(value).find(wanted) != std::string::npos) patch[name] = value;
  return patch.empty() ? "" : writeJson(patch);
}

}  // namespace kante
