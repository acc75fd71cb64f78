#include "host/cli/host_update.h"

#include <boost/asio/io_context.hpp>

#include "host/agent/agent.h"
#include "host/base/events.h"
#include "host/base/log.h"
#include "host/bundle/bundle_store.h"
#include "host/placement/module_host.h"
#include "sandbox/wire/update.h"

namespace kante::cli {

namespace {
constexpr std::chrono::milliseconds kLook{100};
}  // namespace

HostUpdate::HostUpdate(Parts parts, HostVersions& versions)
    : parts_(std::move(parts)), versions_(versions), timer_(parts_.control) {
  if (versions_.own()) status_.digest = versions_.own()->digest;
  if (versions_.isOnTrial()) {
    status_.update = {"trial", versions_.own()->digest, versions_.own()->version, {}};
    parts_.log.info("host", "version " + versions_.own()->version +
                                " is on trial until all that ran before it runs");
    return;
  }
  if (const auto failed = versions_.takeFailure()) {
    status_.update = {"failed", failed->version.digest, failed->version.version, failed->reason};
    say(EventLevel::kError, "host.update.failed",
        "The update of the host to version " + failed->version.version +
            " failed, and version " KANTE_VERSION " runs again: " + failed->reason);
  }
}

void HostUpdate::say(EventLevel level, const std::string& kind, const std::string& text) {
  Event event;
  event.level = level;
  event.kind = kind;
  event.subject = "host";
  event.text = text;
  parts_.events.add(std::move(event));
  if (level == EventLevel::kError) {
    parts_.log.error("host", text);
  } else {
    parts_.log.info("host", text);
  }
}

void HostUpdate::request(int fd, UpdateRequest request,
                         std::function<void(Result<HostStatus>)> done) {
  if (!parts_.leave)
    return done(fail(Errc::kUnsupported,
                     "this host has no keeper that could start another version; run it without "
                     "--no-keeper"));
  if (versions_.isOnTrial())
    return done(fail(Errc::kState, "this version is on trial itself; try again in a moment"));
  if (leaving_) return done(fail(Errc::kState, "another update is under way; try again"));
  if (request.seconds < 1 || request.seconds > kTrialSecondsMax)
    return done(
        fail(Errc::kInvalid, "deadline_s: is from 1 to " + std::to_string(kTrialSecondsMax)));
  const auto admitted = parts_.agent.admit(
      fd, request.rebind ? ApplyRequest::Rebind::kYes : ApplyRequest::Rebind::kNo);
  if (!admitted) return done(admitted.error());
  if (admitted->manifest.kind != Manifest::Kind::kHost)
    return done(
        fail(Errc::kInvalid, admitted->manifest.id +
                                 " is a module; deploy it, an update takes a bundle of kind "
                                 "host"));
  const auto version = versions_.find(admitted->digest);
  if (!version) return done(version.error());
  if (version->digest == status_.digest)
    return done(
        fail(Errc::kConflict, "version " + version->version + " of this bundle runs already"));
  // Else what keeps an older one out would be passed by another name.
  if (versions_.own() && versions_.own()->id != version->id && !request.rebind)
    return done(fail(Errc::kDenied, "the host here is " + versions_.own()->id + ", not " +
                                        version->id + "; a local operator may --rebind it"));
  if (const Status noted = versions_.beginTrial(*version, request.seconds); !noted)
    return done(noted.error());
  leaving_ = true;
  say(EventLevel::kInfo, "host.update.started",
      "The host is updated from version " KANTE_VERSION " to " + version->version + " by " +
          request.who);
  parts_.agent.handOverToUpdate([this, version = *version, done](const Status& handed) {
    if (!handed) {
      leaving_ = false;
      (void)versions_.cancelTrial();
      status_.update = {"failed", version.digest, version.version, handed.error().text};
      say(EventLevel::kError, "host.update.failed",
          "The update of the host to version " + version.version +
              " failed: " + handed.error().text);
      return done(handed.error());
    }
    status_.update = {"trial", version.digest, version.version, {}};
    done(status_);
    parts_.leave(kExitUpdate);
  });
}

void HostUpdate::started(const Status& deployment) {
  if (!versions_.isOnTrial()) {
    if (versions_.own()) raiseFloor();  // It may have been cut off before.
    return parts_.agent.updateIsOver();
  }
  if (!deployment) return giveUp("the deployment does not start: " + deployment.error().text);
  steady_at_ = std::chrono::steady_clock::now() + kSteady;
  look();
}

// Of what ran before: a module that had failed there already proves nothing.
std::string HostUpdate::unhealthy() const {
  const std::set<std::string> down = parts_.agent.downBeforeUpdate();
  for (const ModuleStatus& each : parts_.modules.modules()) {
    const bool is_down = each.state == ModuleState::kFailed ||
                         each.state == ModuleState::kBackoff || each.restarts > 0;
    if (is_down && !down.contains(each.name))
      return "module " + each.name + " does not run: " + each.last_exit;
  }
  return {};
}

void HostUpdate::look() {
  if (const std::string wrong = unhealthy(); !wrong.empty()) return giveUp(wrong);
  if (std::chrono::steady_clock::now() >= steady_at_) return commit();
  timer_.expires_after(kLook);
  timer_.async_wait([this](const boost::system::error_code& stopped) {
    if (!stopped) look();
  });
}

// From now on an older one is a downgrade.
void HostUpdate::raiseFloor() {
  if (const Status floor = parts_.bundles.commitCounter(versions_.own()->digest); !floor)
    parts_.log.error("host", floor.error().text);
}

void HostUpdate::commit() {
  const HostVersion own = *versions_.own();
  if (const Status held = versions_.commit(); !held) return giveUp(held.error().text);
  raiseFloor();
  parts_.agent.updateIsOver();
  status_.update = {"committed", own.digest, own.version, {}};
  say(EventLevel::kInfo, "host.update.committed",
      "The host runs version " + own.version + " of " + own.digest + " from now on");
}

void HostUpdate::giveUp(const std::string& reason) {
  if (const Status noted = versions_.giveUp(reason); !noted)
    parts_.log.error("host", noted.error().text);
  parts_.log.error("host", "version " + versions_.own()->version + " gives up: " + reason);
  if (parts_.leave) parts_.leave(kExitUnhealthy);
}

}  // namespace kante::cli
