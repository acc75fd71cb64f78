// The deployments that were tried, on disk: which one holds, and those that may come back.
//
//   "current"         the number of the committed entry
//   "entry/NNNNNNNN"  one attempt: who, when, what changed, how it ended, and the whole document
//
// "current" alone decides which deployment holds, and is one write: after a crash at any instant it
// is the old or the new.  An entry that was being applied when the process ended counts as
// committed if "current" names it, else as rolled back, unless
//
//   "handover"        names it: the process ended to begin anew with it
//   "state/NAME"      what module NAME goes on from then
//
// The last two are of one beginning of the next life: gone once taken over, and at the third life
// that finds them.  Beside all that:
//
//   "override/NAME"   where module NAME runs although the deployment says otherwise (overrides.h)
//
// Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/agent/agent.h"
#include "host/agent/overrides.h"
#include "host/base/durable_map.h"
#include "host/placement/module_spec.h"

namespace kante {

class Journal {
 public:
  struct Entry {
    HistoryEntry said;
    std::uint64_t origin = 0;  // The entry whose deployment this one brought back; else its own n.
    std::vector<std::string> digests;  // Of its bundles, and "image:NAME".
    std::string document;              // What runs; canonical, with digests.
    std::string base;                  // Without its layers; empty: there are none on it.
    Layers layers;
    std::vector<DocumentMark> marks;
    // The process ended while it was being applied, nobody knows why, or fail() was told so.
    bool cut_off = false;

    // Each of its documents is to be tried alone.
    bool isApart() const { return cut_off && marks.size() > 1; }
    const std::string& baseText() const { return base.empty() ? document : base; }
  };
  static constexpr char kApplying[] = "applying";
  static constexpr char kCommitted[] = "committed";
  static constexpr char kRolledBack[] = "rolled-back";

  struct Handover {
    std::uint64_t n = 0;      // The entry that the next life begins with.
    std::uint32_t lives = 0;  // That began with it.  1: one was trying it; 2: one was going back.
    std::int64_t began_boot_ns = 0;  // When modules came to rest.
    SavedStates states;
    std::set<std::string> down;  // Modules that did not run.
    // For another version of the host, with the deployment as it is; n is nothing.
    bool is_update = false;
    // How the entry is watched once it runs, and whether the uplink was connected.
    std::uint32_t window_s = 0;
    bool uplink_was_up = false;
    // Of one that changes the gateway's own configuration: a life has begun with it, and why that
    // life came to nothing, as far as it knew (gateway_section.h).
    bool tried = false;
    std::string reason = {};
  };

  // `map` outlives it.  `damage` gets a sentence for each record that could not be read. `last_end`
  // is what ended the last life of the host, as far as anybody knows.
  static Result<Journal> open(DurableMap& map, std::vector<std::string>& damage,
                              const std::string& last_end = {});

  using Done = std::function<void(Status)>;
  std::uint64_t next() const;  // The number that the next begin() gives.
  // Numbers the entry (said.n, and origin where it is 0) and writes it as kApplying; `done` when it
  // is on disk.  Returns n.
  std::uint64_t begin(Entry entry, Done done);
  // From now on entry n holds.  When `done` gets an error nobody knows what a restart would find:
  // call fail() then, which makes the old one hold again.
  void commit(std::uint64_t n, Done done);
  // kMay: it is not what was wrong, so whoever asked for it may do so again, as after a cut.
  enum class Again { kNo, kMay };
  void fail(std::uint64_t n, const std::string& reason, Again again);

  // Entry n, being applied, is what the next life begins with; `done` when all of it is on disk.
  // With an error call takenOver(), and there is no next life.  The journal stays where it is
  // until then.
  void handOver(Handover handover, Done done);
  // What this life found, until it is taken over.
  const std::optional<Handover>& handover() const { return handover_; }
  // One more life begins with it; `done` when that is on disk.
  void countLife(Done done);
  // The next life goes back, for this reason; `done` when that is on disk.
  void noteGoingBack(const std::string& reason, Done done);
  // Its states were given to modules, or never will be.  commit() of its entry does this, too.
  void takenOver();

  const Overrides& overrides() const { return overrides_; }
  // Nothing: none any more.  `done` when it is on disk.
  void setOverride(const std::string& module, const std::optional<Override>& override_, Done done);

  const Entry* current() const;
  const Entry* find(std::uint64_t n) const;
  // The deployment before the current one that is another one; null if there is none.
  const Entry* beforeCurrent() const;
  std::vector<HistoryEntry> history() const;  // Newest first.
  // The entry that the last life was applying when it ended, now rolled back; null: none.
  const Entry* interrupted() const { return find(interrupted_); }
  const std::map<std::uint64_t, Entry>& entries() const { return entries_; }
  std::set<std::string> digests() const;  // Of all committed entries that are kept.

 private:
  explicit Journal(DurableMap& map) : map_(&map) {}
  Status write(const Entry& entry);
  Result<Handover> readHandover(const std::map<std::string, std::string>& all) const;
  void openHandover(const std::map<std::string, std::string>& all,
                    std::vector<std::string>& damage);
  Status writeHandover(const Handover& handover);
  void writeStates(SavedStates::const_iterator next, Done done);
  void settleLeftovers(const std::string& last_end);
  void trim();

  DurableMap* map_;
  std::map<std::uint64_t, Entry> entries_;
  std::optional<Handover> handover_;
  Overrides overrides_;
  std::set<std::string> state_keys_;                        // That are, or may be, on disk.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();  // Answers that come late see it gone.
  std::uint64_t current_ = 0;
  std::uint64_t interrupted_ = 0;
  std::uint64_t before_commit_ = 0;  // What current_ was before the last commit().
};

}  // namespace kante
