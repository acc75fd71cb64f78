#include "host/agent/overrides.h"

#include <boost/json.hpp>

#include "host/agent/agent_state.h"
#include "host/base/json.h"
#include "host/base/log.h"

namespace kante {

namespace json = boost::json;

namespace {
constexpr JsonBounds kBounds{64 * 1024, 4};
}  // namespace

std::optional<Placement> placementOf(const std::string& text) {
  for (const Placement one : {Placement::kInProcess, Placement::kSandbox, Placement::kContainer}) {
    if (text == name(one)) return one;
  }
  return std::nullopt;
}

std::string encodeOverride(const Override& override_) {
  return writeJson(json::object{{"placement", name(override_.placement)},
                                {"reason", override_.reason},
                                {"digest", override_.digest},
                                {"deployed", name(override_.deployed)}});
}

std::optional<Override> decodeOverride(const std::string& text) {
  const auto object = parseJsonObject(text, kBounds);
  if (!object) return std::nullopt;
  try {
    const auto placement = placementOf(std::string(object->at("placement").as_string()));
    const auto deployed = placementOf(std::string(object->at("deployed").as_string()));
    if (!placement || !deployed) return std::nullopt;
    return Override{*placement, std::string(object->at("reason").as_string()),
                    std::string(object->at("digest").as_string()), *deployed};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

// ---- the agent's part
// ---------------------------------------------------------------------------------------

void Agent::State::applyOverrides(RuntimeTarget& target) const {
  for (ModuleSpec& module : target.modules) {
    const auto at = journal.overrides().find(module.name);
    if (at == journal.overrides().end()) continue;
    if (!at->second.holdsFor(module.digest, module.placement)) continue;
    module.placement = at->second.placement;
    module.override_reason = at->second.reason;
  }
}

// Of a deployment that holds: those that were made for something else go.
void Agent::State::dropOverrides(const ResolvedDeployment& resolved) {
  const Overrides all = journal.overrides();
  for (const auto& [module, override_] : all) {
    const auto entry = resolved.deployment.modules.find(module);
    if (entry != resolved.deployment.modules.end() &&
        override_.holdsFor(entry->second.bundle, entry->second.placement))
      continue;
    parts.log.info(kAgentLog, "module " + module + " runs again where the deployment says");
    journal.setOverride(module, std::nullopt, noted(module));
  }
}

// Holds in this life all the same.
std::function<void(const Status&)> Agent::State::noted(const std::string& module) {
  return [weak = weak_from_this(), module](const Status& written) {
    const auto self = weak.lock();
    if (!self || written) return;
    self->parts.log.error(kAgentLog, "where module " + module +
                                         " runs now cannot be stored, so the next life of the "
                                         "host may run it elsewhere: " +
                                         written.error().text);
  };
}

void Agent::State::move(const std::string& module, std::optional<Placement> placement,
                        const std::string& who, std::function<void(Status)> done) {
  if (changing) return done(underWay());
  const auto entry = current ? current->deployment.modules.find(module)
                             : std::map<std::string, ModuleEntry>::const_iterator();
  if (!current || entry == current->deployment.modules.end())
    return done(fail(Errc::kNotFound, "there is no module '" + module + "'"));
  const Placement deployed = entry->second.placement;
  if (deployed == Placement::kContainer)
    return done(fail(Errc::kUnsupported, "module " + module +
                                             " is a container; deploy a bundle in its place to run "
                                             "it in-process or in the sandbox"));
  std::optional<Override> override_;
  if (placement && *placement != deployed)
    override_ = Override{*placement, "moved by " + who, entry->second.bundle, deployed};
  const Placement to = override_ ? override_->placement : deployed;
  const std::string why = override_ ? override_->reason : "";
  changing = true;
  parts.log.info(kAgentLog, "module " + module + " moves to " + name(to), {{"who", who}});
  const auto moved = [weak = weak_from_this(), module, override_, to, why,
                      done = std::move(done)](const Status& ended) {
    const auto self = weak.lock();
    if (!self) return;
    self->changing = false;
    if (!ended) return done(ended);
    for (ModuleSpec& spec : self->current->target.modules) {
      if (spec.name != module) continue;
      spec.placement = to;
      spec.override_reason = why;
    }
    self->journal.setOverride(module, override_, [module, to, done](const Status& written) {
      if (written) return done(written);
      done(fail(written.error().code,
                "module " + module + " has moved and runs " + name(to) +
                    " now, but that cannot be stored, so after the next start of the host it runs "
                    "where it was: " +
                    written.error().text));
    });
  };
  parts.modules.move(module, to, why, moved);
}

void Agent::move(const std::string& module, std::optional<Placement> placement,
                 const std::string& who, std::function<void(Status)> done) {
  state_->move(module, placement, who, std::move(done));
}

bool Agent::demote(const std::string& module, const std::string& digest,
                   const std::string& reason) {
  State& state = *state_;
  const Journal::Entry* now = state.journal.current();
  const auto deployment =
      now == nullptr ? Result<Deployment>(Deployment()) : parseDeployment(now->document);
  if (!deployment) return false;
  const auto entry = deployment->modules.find(module);
  if (entry == deployment->modules.end() || entry->second.bundle != digest) return false;
  if (const auto at = state.journal.overrides().find(module);
      at != state.journal.overrides().end() && at->second.placement == Placement::kSandbox &&
      at->second.holdsFor(digest, entry->second.placement))
    return false;  // It is there already.
  if (entry->second.placement == Placement::kSandbox) {
    // A person had moved it into the process.
    state.journal.setOverride(module, std::nullopt, state.noted(module));
  } else {
    state.journal.setOverride(
        module, Override{Placement::kSandbox, reason, digest, entry->second.placement},
        state.noted(module));
  }
  return true;
}

}  // namespace kante
