// The agent: knows what should run, makes it run, and remembers it.
//
// apply() takes a document through parse → fetch of the bundles that are not here (fetching.cc) →
// resolve (admission of bundles) → stage in the journal → ModuleHost::apply → watch (observe.cc) →
// commit; a failure at any step leaves what ran before, on
// disk and in memory, or brings it back.
// start() brings the committed deployment up again.  A deployment that needs more libraries than
// this process may still load is handed over to its next life (docs/deployment.md).  Control thread
// only; one change at a time (kState for a second one).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/agent/gateway_section.h"
#include "host/agent/iotedge_manifest.h"
#include "host/agent/layers.h"
#include "host/base/result.h"
#include "host/base/secret_references.h"
#include "host/fetch/fetcher.h"
#include "host/placement/module_spec.h"

namespace kante {

class BundleStore;
class Clock;
class Log;
class ModuleHost;
class Twins;
class DurableMap;
struct AdmissionPolicy;
struct AdmittedBundle;

// Whether this gateway has an uplink for routes into $upstream.
enum class Upstream { kServed, kAbsent };
// Whether it has a broker, for routes from and into topics.
enum class Topics { kServed, kAbsent };

enum class DeploymentState {
  kNone,      // Nothing was ever committed.
  kFetching,  // Bundles of the next one come; the one before runs, and nothing has changed yet.
  kApplying,  // A change is on its way; the one before still runs.
  kWatching,  // The new one runs, and is committed if it still runs well at the end of its window.
  kCommitted,
  kRolledBack,  // The last change failed and the one before it runs; see reason.
  kFailed,      // The committed deployment could not be started; see reason.
};
const char* name(DeploymentState state);  // "none", "fetching", "applying", "watching",
                                          // "committed", "rolled-back", "failed"

// What runs, or should: id and version of the committed deployment (of the new one while
// kFetching, kApplying and kWatching).
struct DeploymentStatus {
  std::string id;
  std::uint64_t version = 0;
  DeploymentState state = DeploymentState::kNone;
  std::string reason;
  std::int64_t watched_until_boot_ns = 0;  // While kWatching.
  FetchProgress fetching = {};             // While kFetching.
  std::vector<FetchReport> fetched = {};   // How the bundles of the last one came that needed any.
};

struct HistoryEntry {
  std::uint64_t n = 0;  // Rises with every attempt; what `rollback N` takes.
  std::string id;
  std::uint64_t version = 0;
  std::string who;
  std::int64_t when_wall_ns = 0;
  std::string state;                 // "applying", "committed", "rolled-back"
  std::string reason;                // Why not, else empty.
  std::vector<std::string> changed;  // JSON pointers against the one before.
  std::vector<std::string> layers;   // That came, changed or went; none: only the base did.
};

// The signed document that asks for a change.
struct DocumentMark {
  std::string series;  // Whose counters it is one of: deployer, kind and name (documents.h).
  std::uint64_t counter = 0;
  std::string digest;
};

// A layer that comes, changes or goes.
struct LayerChange {
  std::string name;
  // JSON, as in its document: a kante.layer/1 or a layered manifest of IoT Edge; "null": it goes.
  std::string content;
  std::string who = {}, document = {};  // As of a Layer.
};

struct ApplyRequest {
  enum class Mode { kApply, kDryRun };
  enum class Rebind { kNo, kYes };

  std::string document;             // Empty: the base stays, and only layers change.
  std::vector<LayerChange> layers;  // Together with it; each name once.
  std::string who;                  // "operator/USER", "gateway": for history and logs.
  std::string base_directory;       // Where relative bundle paths start; empty: paths are refused.
  std::map<std::string, std::string>
      uploads;  // Bundle path as in the document → digest from admit().
  Mode mode = Mode::kApply;
  Rebind rebind = Rebind::kNo;
  // When `applied` is told of one that is watched.
  enum class Answer { kWhenItHolds, kWhenItRuns };
  Answer answer = Answer::kWhenItHolds;
  // How long bundles are fetched that are not here.
  Fetcher::Patience patience = Fetcher::Patience::kFewTries;
  // How long it is watched if it says nothing of that, unless it is the first: there is nothing to
  // go back to.
  std::uint32_t default_window_s = 0;
  std::optional<std::uint64_t> base;  // The version that must be deployed, else kConflict.
  // Journalled with the change.  Of several none counts as tried when it comes to nothing, unless
  // somebody took it back: one of them may be what was wrong.
  std::vector<DocumentMark> marks;
  // What was said of it before it came here, for the outcome's own.
  std::vector<std::string> warnings;
};

struct ApplyOutcome {
  // kHandover: the host begins a new life with it; the history says how that went.
  enum class Kind { kCommitted, kUnchanged, kDryRun, kHandover };
  Kind kind = Kind::kCommitted;
  std::uint64_t n = 0;  // In the history; 0: no entry.
  std::string id;
  std::uint64_t version = 0;
  std::vector<std::string> plan;      // One line a step, for people.
  std::vector<std::string> warnings;  // What was accepted and has no effect, and why.
  std::vector<std::string> changed;   // JSON pointers.
};

class Agent {
 public:
  static constexpr std::size_t kHistoryMax = 10;
  // Of a deployment that changes the gateway's own configuration and names no window.
  static constexpr std::uint32_t kSectionWindowS = 120;
  // Of one that comes from afar, where nobody stands by, and names none.
  static constexpr std::uint32_t kAfarWindowS = 120;

  // How this process's life ends so that the next one goes on: called in this order, and resumes()
  // instead of leave() when it came to nothing.
  struct Handover {
    std::function<void()> begins;   // Modules come to rest: take nothing for them any more.
    std::function<void()> resumes;  // They go on.
    std::function<void()> leave;    // All is on disk.  Empty: there is no other life.
  };

  // All borrowed; they outlive the agent.  `policy` gives trust and time for each admission.
  struct Parts {
    BundleStore& bundles;
    ModuleHost& modules;
    Twins& twins;
    DurableMap& journal;
    Clock& clock;
    Log& log;
    std::function<AdmissionPolicy()> policy;
    Upstream upstream = Upstream::kServed;
    Handover handover = {};
    // Why a module of this bundle must not run although it was admitted (empty: it may); null:
    // all may.
    std::function<std::string(const std::string& digest)> barred = nullptr;
    std::string last_end = {};  // What ended the last life of the host, as far as it is known.
    // Of bundles that are kept besides those of deployments; empty: none.
    std::function<std::set<std::string>()> kept = nullptr;
    // Told, whenever that may have changed, which images the deployments that are kept need.
    std::function<void(const std::set<std::string>& images)> images_needed = nullptr;
    Topics topics = Topics::kServed;
    // Whether a module that no deployment names comes as a client of the hub; empty: none does.
    std::function<bool(const std::string& module)> elsewhere = nullptr;
    Tags tags = {};                           // Of this gateway, for the conditions of layers.
    std::string gateway = {};                 // Its id, likewise.
    std::function<void()> changed = nullptr;  // status() or history() did.
    // Calls `task` once that time is over, on the control thread; dropping the handle ends it.
    // Null: no deployment is watched, whatever it says.
    using Task = std::function<void()>;
    std::function<std::shared_ptr<void>(std::chrono::milliseconds, Task task)> later = nullptr;
    std::function<bool()> uplink_connected = nullptr;  // Null: there is none.
    Fetcher* fetcher = nullptr;                        // Null: every bundle has to be here.
    std::vector<ImageRule> images = {};                // For manifests of IoT Edge.
    Secrets secrets = nullptr;                         // Null: there are none.
    // The section of a deployment that this process was made with, and why another one cannot be.
    // Null: none can.
    GatewaySection section = {};
    std::function<Status(const std::string& patch)> check_section = nullptr;
    // Has the engine get the image of a container before anything changes; dropping the handle ends
    // that.  Null: whoever makes the container does it.
    std::function<std::shared_ptr<void>(const std::string& image, Fetcher::Patience patience,
                                        std::function<void(Status)> then)>
        get_image = nullptr;
    std::function<FetchProgress()> image_progress = nullptr;  // Of that; with get_image.
  };

  static Result<std::unique_ptr<Agent>> open(Parts parts);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  using Applied = std::function<void(Result<ApplyOutcome>)>;

  // Brings the committed deployment up, by the digests of its bundles; kNotFound if there is none.
  // In a life that was handed over to, tries the one that this was for and commits it, or goes
  // back; modules go on from the states that were saved for them. When it does not come up the
  // state is kFailed and the journal is as before.
  void start(Applied applied);
  // The base, layers on the current one, or both.  A manifest of IoT Edge is translated first
  // (iotedge_manifest.h, iotedge_layer.h).
  // Error texts name the JSON pointer.  kConflict: version did not rise, or the same version with
  // other content; kNotFound: layers without a base; kUnchanged: the same document again, layers
  // that lie there already, or did not.
  void apply(ApplyRequest request, Applied applied);
  // Whether apply() would begin with it now, in this life of the host; false: it needs bundles or
  // images that are not here, or another life.  An error: it would be refused.
  Result<bool> isReady(ApplyRequest request);
  // The current base with the patch that request.document is, then as apply().  A patch that leaves
  // the version alone raises it by one.
  enum class PatchKind { kMerge, kJson };
  void patch(PatchKind kind, ApplyRequest request, Applied applied);
  // After start(): when conditions of layers hold or fail that did not when they were committed,
  // because the gateway's tags are others now.
  void recompose(Applied applied);
  // The committed deployment of entry n, or the one before the current (n = 0), exactly as it was,
  // its version included.  While a deployment is fetched or watched (n = 0): back to the one before
  // it at once.
  void rollback(std::uint64_t n, const std::string& who, Applied applied);

  // Ends a deployment whose bundles are still fetched, with kCancelled and `why`; nothing in any
  // other state.
  void giveUpFetching(const std::string& why);

  // Runs the module there although its deployment says otherwise, its state carried over; nothing:
  // where the deployment says.  Kept until the deployment changes the module's bundle or placement.
  // `done` when that is on disk.
  void move(const std::string& module, std::optional<Placement> placement, const std::string& who,
            std::function<void(Status)> done);
  // Before start(): a module of the committed deployment that brought the host down runs in the
  // sandbox from now on.  False: it is not in it, not with this bundle, or runs there already.
  bool demote(const std::string& module, const std::string& digest, const std::string& reason);

  // Into the store, for documents to come ("uploads"); what `kante deploy apply` does with each
  // bundle.
  Result<AdmittedBundle> admit(int fd, ApplyRequest::Rebind rebind);

  // What a module may, or gets, besides what the deployment says, is another: who is trusted,
  // secrets. What runs is brought to it, once no change is under way.
  void reconsider();

  // For another version of the host: modules come to rest, and what they saved is on disk when
  // `done` is told so; then parts.handover.leave() is for the caller.  On an error all goes on.
  void handOverToUpdate(std::function<void(Status)> done);
  // Modules that did not run when this life was handed to, as an update is.
  std::set<std::string> downBeforeUpdate() const;
  // What an update was handed is kept until this is called, so that the version before it may begin
  // from there, too.
  void updateIsOver();

  // Whether start() begins with what an earlier life of this process handed over.
  bool wasHandedOver() const;
  DeploymentStatus status() const;
  bool changing() const;                      // A change is under way, and another one is refused.
  std::vector<HistoryEntry> history() const;  // Newest first.
  // The committed base with digests for bundles, or "null"; compact JSON.
  std::string document() const;
  // With its layers: what runs.
  std::string effectiveDocument() const;
  const Layers& layers() const;
  std::vector<std::string> layersInForce() const;  // In the order in which they apply.
  // Of documents whose changes ended, one way or the other, the oldest first.  One that was cut
  // off, nobody knows why, or that failed by the gateway's own trouble has not: it may be tried
  // kCutOffMax times.  Neither has one of apart().
  struct Ended {
    DocumentMark mark;
    std::uint64_t n = 0;  // Of the change in the history.
    bool committed = false;
    bool is_last = false;  // No other change was tried since.
  };
  std::vector<Ended> ended() const;
  static constexpr std::size_t kCutOffMax = 3;
  // Digests of the documents of changes of several that came to nothing: each is to be tried alone.
  std::set<std::string> apart() const;

 private:
  struct State;
  explicit Agent(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // Shared weakly with answers on their way.
};

}  // namespace kante
