#include "host/agent/container_entry.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "host/base/json.h"
#include "host/container/create_body.h"
#include "host/container/edge_environment.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::size_t kImageBytesMax = 512;
constexpr std::size_t kVariablesMax = 512;
constexpr std::array kPullNames = {"on-create", "never"};  // In the order of the enumeration.

Status refuseWhatBundlesHave(const Members& module) {
  struct Only {
    const char* member;
    const char* instead;
  };
  constexpr Only kOnly[] = {
      {"bundle", "a module is a bundle or an image; take one of them out"},
      {"from", "is for bundles; the engine gets an image from its registry"},
      {"files", "is for bundles"},
      {"config", "a container has none; use \"env\", or \"desired\" properties of its twin"},
      {"execution", "is for modules that share threads of the host"},
      {"defer_max_s", "is for bundles: a container does not know of a deployment"},
  };
  for (const auto& [member, instead] : kOnly)
    if (module.has(member)) return module.fail(member, instead);
  return {};
}

Status readEnvironment(const Members& module, ContainerSpec& out) {
  KANTE_TRY(env, module.object("env"));
  if (env == nullptr) return {};
  if (env->size() > kVariablesMax)
    return module.fail("env", "at most " + std::to_string(kVariablesMax) + " variables",
                       Errc::kLimit);
  for (const auto& variable : *env) {
    if (!variable.value().is_string())
      return failAt(jsonPointer(module.at("env"), variable.key()), Errc::kInvalid,
                    std::string("expected a text, not ") + jsonKindName(variable.value()));
    out.env[variable.key()] = variable.value().get_string();
  }
  return {};
}

}  // namespace

Status readContainer(const Members& module, ContainerSpec& out) {
  KANTE_CHECK(refuseWhatBundlesHave(module));
  KANTE_TRY(image, module.text("image"));
  const bool plain =
      std::all_of(image.begin(), image.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (image.empty() || image.size() > kImageBytesMax || !plain)
    return module.fail("image", "expected an image as the engine names it: \"registry/name:tag\"");
  out.image = std::move(image);
  KANTE_TRY(pull, module.word("pull", kPullNames, 0));
  out.pull = static_cast<ContainerSpec::Pull>(pull);
  KANTE_CHECK(readEnvironment(module, out));
  KANTE_TRY(options, module.object("create_options"));
  if (options != nullptr) out.create_options = writeJson(*options, MemberOrder::kSorted);
  return {};
}

Status readContainerGrants(const Members& grants, ContainerSpec& out) {
  for (const char* name : {"files", "devices", "tcp", "udp", "listen"})
    if (grants.has(name))
      return grants.fail(
          name,
          "is for bundles; a container asks by \"create_options\" and is granted \"container\"");
  KANTE_TRY(list, grants.texts("container"));
  out.grants = std::move(list);
  return {};
}

Status checkContainer(const Members& module, const ModuleLimits& limits,
                      const ContainerSpec& container) {
  const char* only_bundles = limits.data_mb != 0   ? "data_mb"
                             : limits.ring_kb != 0 ? "ring_kb"
                                                   : nullptr;
  if (only_bundles != nullptr)
    return failAt(jsonPointer(module.at("limits"), only_bundles), Errc::kInvalid, "is for bundles");
  CreateOrder order;
  order.image = container.image;
  order.env = container.env;
  KANTE_TRY(options, parseJsonObject(container.create_options, {1u << 20, 32}));
  order.create_options = std::move(options);
  order.memory_mb = limits.memory_mb;
  order.cpu_percent = limits.cpu_percent;
  order.threads = limits.threads;
  order.grants = container.grants;
  order.pointer = module.pointer();
  order.environment = edgeEnvironment({});
  const auto made = makeCreateBody(order);
  if (!made) return made.error();
  return {};
}

}  // namespace kante
