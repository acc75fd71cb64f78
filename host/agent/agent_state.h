// What is behind Agent: shared by the files that make it up.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/agent/agent.h"
#include "host/agent/deployment.h"
#include "host/agent/journal.h"
#include "host/agent/observe.h"
#include "host/agent/plan.h"
#include "host/agent/resolve.h"
#include "host/placement/module_host.h"

namespace kante {

inline constexpr char kAgentLog[] = "agent";

std::string titleOf(const std::string& id, std::uint64_t version);

struct Agent::State : std::enable_shared_from_this<Agent::State> {
  // One change on its way; `changing` is set as long as it is.
  struct Change {
    ResolvedDeployment resolved;
    Plan plan;
    std::uint64_t n = 0;
    Applied applied;
    bool needs_next_life = false;
    std::uint32_t window_s = 0;
    ApplyRequest::Answer answer = ApplyRequest::Answer::kWhenItHolds;
    bool uplink_was_up = false;               // Before the switch.
    SavedStates states;                       // What those before had when they were replaced.
    Applied cut_short;                        // Of who rolled it back while it was watched.
    std::optional<Journal::Handover> handed;  // In a life that began with it.
    Journal::Again again = Journal::Again::kNo;
  };
  // What goes wrong with it is the gateway's own trouble: its document may be tried again.
  static const std::shared_ptr<Change>& blameless(const std::shared_ptr<Change>& change) {
    change->again = Journal::Again::kMay;
    return change;
  }

  // One that runs and does not hold yet.
  struct Watched {
    std::shared_ptr<Change> change;
    Observation judge;
    std::int64_t ask_at_ns = 0;  // How modules are.
    std::optional<std::int64_t> uplink_seen_ns;
    std::shared_ptr<void> timer;
  };

  // With the pointer to who needs it; the next one last.
  struct Missing {
    std::vector<std::pair<WantedBundle, std::string>> bundles;
    std::vector<std::pair<std::string, std::string>> images;  // That may have to be pulled.
    bool empty() const { return bundles.empty() && images.empty(); }
  };

  // One whose bundles and images are not all here; `changing` is set.
  struct Fetching {
    Deployment base;
    Layers layers;
    ApplyRequest request;
    Applied applied;
    Missing missing;
    DeploymentStatus before;
    std::shared_ptr<void> running;
  };

  State(Parts given, Journal opened) : parts(std::move(given)), journal(std::move(opened)) {}

  Result<ResolvedDeployment> resolve(const Deployment& deployment, const ApplyRequest* request);
  Status translate(ApplyRequest& request) const;
  Status checkVersion(const Deployment& next) const;
  bool isRunning(const ResolvedDeployment& next) const;
  struct Watching {
    std::uint32_t window_s = 0;  // 0: not at all.
    ApplyRequest::Answer answer = ApplyRequest::Answer::kWhenItHolds;
  };
  // `entry`: who, origin, base, layers and marks of it.
  void begin(ResolvedDeployment resolved, Journal::Entry entry, Watching watching, Applied applied);
  Error underWay() const;  // Why there can be no other change now.
  void tell() const {
    if (parts.changed) parts.changed();
  }

  // layering.cc
  Status checkBase(const ApplyRequest& request) const;
  // What is resolved, and the text of its base.
  struct Resolution {
    ResolvedDeployment resolved;
    std::string base;  // Empty: no layer lies on it.
  };
  Result<Resolution> resolveWith(const Deployment& base, const Layers& layers,
                                 const ApplyRequest& request);
  // What a request asks for: a base, and all that is to lie on it.
  struct Proposal {
    Deployment base;
    Layers layers;
  };
  // Request.document and request.warnings are those of what it was translated to.
  Result<Proposal> read(ApplyRequest& request) const;
  Result<Layers> layersWith(const std::string& base, ApplyRequest& request) const;
  Result<Layer> readLayer(const LayerChange& change, const std::string& base, Layers others,
                          std::vector<std::string>& report) const;
  Status checkContent(const Deployment& next, const std::string& base) const;
  // Fetches what is missing, then proceeds.
  void propose(const Deployment& base, Layers layers, const ApplyRequest& request, Applied applied);
  void proceed(const Deployment& base, Layers layers, const ApplyRequest& request, Applied applied);
  Place place() const { return {parts.gateway, parts.tags}; }
  void switchTo(const std::shared_ptr<Change>& change);
  // The module host takes no order now.
  bool hostIsTaken() const { return parts.modules.turn() != ModuleHost::Turn::kFree; }
  // Runs it once the module host takes orders: an operator's restart of a module may be under way.
  void whenFree(std::function<void()> then);
  bool hostIsOver() const { return parts.modules.turn() == ModuleHost::Turn::kOver; }
  void commit(const std::shared_ptr<Change>& change);
  void committed(const std::shared_ptr<Change>& change);
  void revert(const std::shared_ptr<Change>& change, const Error& why);
  void failed(const std::shared_ptr<Change>& change, const Error& why);
  void settle(const ResolvedDeployment& resolved);
  void collect();
  void applyOverrides(RuntimeTarget& target) const;
  std::function<void(const Status&)> noted(const std::string& module);
  void dropOverrides(const ResolvedDeployment& resolved);
  void move(const std::string& module, std::optional<Placement> placement, const std::string& who,
            std::function<void(Status)> done);
  void startCommitted(const Journal::Handover* handed, const std::string& rolled_back,
                      Applied applied);

  // fetching.cc
  Missing missingOf(const Deployment& base, const Layers& layers,
                    const ApplyRequest& request) const;
  void addBundles(const Deployment& deployment, Missing& missing) const;
  void addImages(const Deployment& deployment, Missing& missing) const;
  void fetchNext();
  std::map<std::string, std::shared_ptr<const BaseForm>> basesOf(const WantedBundle& wanted) const;
  void fetched(Result<FetchedBundle> bundle);
  void getNextImage();
  void endFetching(const Error& why);
  void stopFetching(const std::string& who, Applied applied);

  // reconsider.cc
  void reconsider();
  void reconsiderLater();

  // observe.cc
  void watch(const std::shared_ptr<Change>& change, const ApplyReport& report);
  void lookAgain();
  std::string linkIsWrong(std::int64_t window_ns) const;
  void endWatch(const std::string& wrong);
  void cutShort(const std::string& who, Applied applied);

  // handover.cc
  Result<bool> needsNextLife(const ResolvedDeployment& next);
  bool changesSection(const Deployment& next) const { return next.gateway != parts.section.patch; }
  Status checkSection(const Deployment& next) const;
  void goBackInNextLife(const std::shared_ptr<Change>& change, const Error& why);
  void handOver(const std::shared_ptr<Change>& change);
  void handOverToUpdate(std::function<void(Status)> done);
  void beginUpdated(Applied applied);
  void stay(const std::shared_ptr<Change>& change, const Error& why);
  void beginAgain(Applied applied);
  void tryNext(const std::shared_ptr<Change>& change);
  void goBack(const std::shared_ptr<Change>& change, const Error& why);

  Parts parts;
  Journal journal;
  std::optional<ResolvedDeployment> current;  // What the module host was told last and took.
  DeploymentStatus status;
  bool changing = false;
  std::unique_ptr<Fetching> fetching;  // While kFetching.
  std::vector<FetchReport> reports;    // Of what came last; at most kModulesMax and layers.
  std::unique_ptr<Watched> watched;    // While kWatching.
  std::shared_ptr<void> free_timer;    // Of whenFree().
  std::shared_ptr<void> reconsider_timer;
  std::vector<std::string> fresh;  // Admitted, and in no kept deployment yet; the oldest first.
  static constexpr std::size_t kFreshMax = 64;
};

}  // namespace kante
