// Takes signed documents: judges each by deployer, target, end and counter, and does what it says.
// One after the other, but deployments and layers that wait at the same moment go together, as one
// change, where that comes to the same (documents_together.cc).
// What came of it is in the outcome, in errors(), in the events and in report().
// What changes the deployment waits while another change is under way, which may be watched for
// hours; desired properties and commands go past that.
//
// A document that was taken is remembered by its digest, and its counter by deployer, kind and
// name: it is ignored when it comes again, and older ones are refused.  For what changes the
// deployment that is in the journal's own record of the change, so that a crash leaves both or
// neither; here follows what the journal says.  Control thread only.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/agent/agent.h"
#include "host/agent/document.h"
#include "host/base/durable_map.h"
#include "host/bundle/document_file.h"
#include "host/bundle/trust.h"

namespace kante {

class Anchors;
class EventLog;
class Methods;

struct DocumentOutcome {
  enum class Kind { kTaken, kIgnored, kRefused } kind = Kind::kRefused;
  // kRefused: a word: malformed, tampered, untrusted, expired, wrong-target, replayed, conflict,
  // downgrade, not-found, invalid, limit, busy, given-up, unsupported, rolled-back, failed.
  std::string reason;
  Error error;                          // The same as a sentence.
  std::optional<ApplyOutcome> applied;  // Of what changes the deployment.
  int status = 0;                       // Of a command: its answer.
  std::string payload;
  // Of a command that is on disk and not yet called.
  std::function<void(std::function<void(int status, std::string payload)> answer)> call;
};

// The last that was refused from one source, until one from there is taken.
struct DocumentError {
  std::string source;
  std::string document;  // Digest; empty: it has none.
  std::string kind, name;
  std::uint64_t counter = 0;
  std::string reason, text;
};

class Documents {
 public:
  static constexpr std::size_t kWaitingMax = 128;  // As the next, of changes and of all others.
  static constexpr std::size_t kWaitingBytesMax = 32u << 20;
  static constexpr std::size_t kParkedBytesMax = 16u << 20;  // Of layers without a base.
  static constexpr std::size_t kSeriesMax = 10'000;
  static constexpr std::size_t kErrorsMax = 16;  // The newest.
  static constexpr std::size_t kSaidMax = 256;   // Refusals that were told already.
  // Of refusals at once as events and in the log; then one a second.
  static constexpr std::int64_t kToldAtOnceMax = 32;
  static constexpr std::int64_t kCommandSecondsMax = 300;
  static constexpr std::size_t kTogetherMax = 32;  // Documents of one change.
  // How long after one from afar others may follow that are to go with it.  What a broker retains
  // comes one by one, over a slow link; what was published just now follows at once.
  static constexpr std::chrono::milliseconds kGatherTime{1000};
  static constexpr std::chrono::milliseconds kGatherLiveTime{100};
  static constexpr char kLogName[] = "documents";

  // All borrowed; they outlive it.
  struct Parts {
    Agent& agent;
    Twins& twins;
    Methods& methods;
    DurableMap& taken;
    Log& log;
    EventLog& events;
    Anchors& anchors;
    std::function<JudgementTime()> now;
    std::function<void(const Signer&)> accepted;  // May be empty.
    std::string gateway;
    Tags tags;
    std::function<void(std::function<void()>)> post =
        nullptr;  // Runs it later on the control thread.
    // Percent of the deployment's modules that run.
    std::function<unsigned()> progress = nullptr;
    // Others are trusted than before; may be empty.
    std::function<void()> trust_changed = nullptr;
    // What is in a document of kind secrets: a CMS message; null: none is taken.  `done` when they
    // are on disk; kDenied: encrypted to somebody else.
    std::function<void(const std::string& cms, const std::string& who,
                       std::function<void(Status)> done)>
        set_secrets = nullptr;
    std::string recipient = {};  // The certificate that they are encrypted to, PEM.
    // What deployment/reported has to say, whenever it is something else; may be empty.
    std::function<void(const std::string& json)> report = nullptr;
    // As of an agent; null: what comes is not waited with.
    std::function<std::shared_ptr<void>(std::chrono::milliseconds, std::function<void()> task)>
        later = nullptr;
  };
  static Result<std::unique_ptr<Documents>> open(Parts parts);
  ~Documents();

  struct Arrival {
    std::string file;
    std::string source;  // "deployment/set", "operator/root": for people, and for errors().
    // What its way is for: nothing of another kind or name comes on it.  Empty: any.
    std::vector<DocumentKind> kinds = {};
    std::string name = {};
    ApplyRequest::Mode mode = ApplyRequest::Mode::kApply;
    // How long bundles are fetched for it.
    Fetcher::Patience patience = Fetcher::Patience::kUntilCancelled;
    std::uint32_t default_window_s = 0;  // As of an ApplyRequest.
    bool is_retained = false;            // It lay at the broker, maybe with others.
  };
  using Done = std::function<void(DocumentOutcome)>;
  // Once start() was called.  Changes of the deployment in the order of arrival, when no other is
  // under way; so do all others among themselves, without waiting for that.  True: it waits now.
  bool take(Arrival arrival, Done done);

  // One whose file was dropped on the way, because too many are on it.
  void refuseBusy(Arrival arrival, const Done& done);

  // Whom the files of [trust] name is trusted again, and nobody else.
  void resetTrust(const std::string& who, std::function<void(Status)> done);

  // There are others than before: what waited for one may go on.
  void secretsChanged();

  void start();         // The agent has started.
  void agentChanged();  // Its status did; what Agent::Parts::changed is for.

  const std::deque<DocumentError>& errors() const { return errors_; }
  std::string report() const;  // JSON, as it is now.

 private:
  struct Judged {
    Document document;
    DocumentMark mark;
    std::string who;
  };
  struct Waiting {
    Arrival arrival;
    Done done;
    std::optional<Judged> judged = {};  // As far as it was read.
    std::string compared_with = {};     // The digest of what it did not take the place of.
    bool is_alone = false;              // A change that it was one of several of came to nothing.
  };
  using Together = std::vector<std::shared_ptr<Waiting>>;
  struct Lane {
    std::deque<std::shared_ptr<Waiting>> waiting;
    std::size_t bytes = 0;
    bool busy = false;
    std::shared_ptr<Waiting> current;  // While busy with one alone.
  };
  struct Taken {
    std::uint64_t counter = 0;
    std::string digest;
  };
  explicit Documents(Parts parts) : parts_(std::move(parts)) {}
  void next();
  void next(Lane& lane);
  static bool hasRoom(const Lane& lane, const Arrival& arrival);
  static void enqueue(Lane& lane, std::shared_ptr<Waiting> waiting);
  void takeAgain(std::map<std::string, Arrival> parked);
  void nextLater();
  void supersede();
  void process(Waiting& waiting, const Done& done);
  Result<DocumentFile> openFile(const Arrival& arrival, bool& by_root) const;
  bool open(const Arrival& arrival, Judged& judged, DocumentOutcome& refused) const;
  bool check(const Arrival& arrival, const Judged& judged, DocumentOutcome& refused) const;
  void perform(const Arrival& arrival, const Judged& judged, const Done& done);
  static void park(const Arrival& arrival, const std::string& key,
                   std::map<std::string, Arrival>& among);
  void unpark();
  void changeDeployment(const Arrival& arrival, const Judged& judged, const Done& done);
  void changed(const Arrival& arrival, const Judged& judged, Result<ApplyOutcome> result,
               const Done& done);
  static void ask(ApplyRequest& request, const Arrival& arrival, const Judged& judged);
  // documents_together.cc
  void awaitMore(const Arrival& arrival);
  void nextChange();
  Together candidates();
  bool fits(const Together& before, const Waiting& waiting) const;
  Together gather(ApplyRequest& request);
  static ApplyRequest requestOf(const Together& together);
  void applyTogether(const Together& together, ApplyRequest request);
  void endedTogether(const Together& together, const Result<ApplyOutcome>& result);
  void setDesired(const Judged& judged, const Done& done);
  void command(const Judged& judged, const Done& done);
  void setSecrets(const Judged& judged, const Done& done);
  void replaceTrust(const Judged& judged, const Done& done);
  void trustChanged(const std::string& text, const std::string& who);
  Status remember(const DocumentMark& mark);
  Status write(const std::string& series, const Taken& taken);
  void rememberBehind(const DocumentMark& mark);
  // `done` when it is on disk; with an error it is as if it had not come.
  void rememberOnDisk(const DocumentMark& mark, const std::function<void(Status)>& done);
  void followJournal();
  bool wasTaken(const std::string& digest) const;
  boost::json::array errorsJson(const DeploymentStatus& status) const;
  boost::json::value takenJson() const;
  // What reports say of the document with this mark.
  static DocumentError saidOf(const DocumentMark& mark);
  void note(const Waiting& waiting, const DocumentOutcome& outcome);
  void noteRefusal(const Waiting& waiting, const DocumentOutcome& outcome);
  bool mayTell();
  void tell();

  const Parts parts_;
  std::map<std::string, Taken> taken_;  // By series.
  Lane changes_, others_;
  // Layers that came before any base, or from afar and do not fit, by name; at most kLayersMax.
  // Tried once there is one, or what is deployed is another than parked_on_.
  std::map<std::string, Arrival> parked_;
  std::string parked_on_;
  // Deployments and layers that wanted what is not here, by series; the same.  Tried again when
  // secrets change.
  std::map<std::string, Arrival> wanting_;
  std::deque<DocumentError> errors_;
  std::deque<std::string> said_;
  std::int64_t may_tell_ = kToldAtOnceMax;
  std::int64_t told_at_s_ = 0;
  std::uint64_t untold_ = 0;  // Since one was told.
  // What was taken last, together, the base first; reasons and texts are empty.
  std::vector<DocumentError> last_;
  std::uint64_t followed_ = 0;  // The last change of documents that the journal said was committed.
  std::string reported_;
  bool started_ = false;
  std::shared_ptr<void> gathering_;                         // More may follow.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();  // Answers that come late see it gone.
};

}  // namespace kante
