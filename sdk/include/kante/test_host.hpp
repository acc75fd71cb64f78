// kante/test_host.hpp - a whole Kante host in one object, for tests of modules: no gateway, no
// threads of its own, time that only moves when told.  kante/testing.hpp adds GoogleTest.
//
//   kante::TestHost host;                                // of the module linked into this program
//   ASSERT_EQ(host.create({{"period_ms", 100}}), KANTE_OK) << host.explained();
//   host.send("in", kante::Draft::json({{"value", 31}}));
//   EXPECT_EQ(host.take("alert").at(0).json(), …);
//
// It has every extension of ABI 1.0, refuses what the real host refuses (a corrupt message, a
// property name that is the host's, a metric of a wrong name, …), and writes down every breach of
// the contract, a leaked message reference foremost, in violations().  What the module's own
// threads call is safe; the object itself belongs to the thread of the test.
#pragma once

#include <kante/test_messages.hpp>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

KANTE_SDK_BEGIN

struct LogLine {
  std::uint32_t level;  // 0 trace to 4 error
  std::string text;
};

class TestHost {
  template <typename Call>
  auto locked(Call&& call) const {
    const std::lock_guard lock(mutex_);
    return call();
  }
  template <typename Map, typename Key>
  static std::optional<typename Map::mapped_type> find(const Map& map, const Key& key) {
    const auto at = map.find(key);
    return at == map.end() ? std::nullopt : std::optional(at->second);
  }

 public:
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
  static constexpr std::uint64_t kFiringsMax =
      1'000'000;  // In one advance(): more is a timer that spins.

  explicit TestHost(const kante_entry& entry = kante_module_entry);
  virtual ~TestHost() {
    destroy();
    for (const std::string& violation : violations_)
      std::fprintf(stderr, "kante: %s\n", violation.c_str());
  }
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;

  // ---- life ----
  // Before create(): this host does not have that extension (a missing one must not be an error).
  void without(const std::string& extension) { missing_.insert(extension); }
  Status create(const json::Value& config = json::Object()) {
    return createFrom(Draft::json(config));
  }
  // With a configuration that is not JSON, or no good one.
  Status createFrom(const Draft& config);
  bool alive() const { return module_ != nullptr; }
  // Also checks that nothing of the host's is still held.
  void destroy();
  // True when the module says drained at once; drained() tells it later.
  bool drain() {
    deliver(KANTE_EVENT_DRAIN);
    return drained();
  }
  bool drained() const {
    return locked([&] { return drained_; });
  }
  bool ready() const {
    return locked([&] { return ready_ || !asked_lifecycle_; });
  }
  Status health() { return deliver(KANTE_EVENT_HEALTH); }
  // An event as it stands, e.g. of a type that no host of today sends.
  Status raw(const kante_event& event) { return entry_.on_event(module_, &event); }

  // ---- inputs ----
  struct Route {
    bool durable = false;  // Then there is a token, and settled() tells how it ended.
    std::string sender = "module/test/out";
    std::uint64_t redeliveries = 0;
  };
  // The status that the module returned.
  Status send(std::string_view input, const Draft& draft) { return send(input, draft, Route()); }
  Status send(std::string_view input, const Draft& draft, const Route& route);
  std::uint64_t lastToken() const { return last_token_; }
  // How the delivery of that token ended: by the returned status or by settle(); nothing while
  // PENDING.
  std::optional<Status> settled(std::uint64_t token) const {
    return locked([&] { return find(settled_, token); });
  }

  // ---- outputs ----
  // All that was emitted on an output since the last take.
  std::vector<TestMessage> take(std::string_view output) {
    return locked([&] {
      return std::exchange(emitted_.at(outputIndex(output)), std::vector<TestMessage>());
    });
  }
  std::size_t count(std::string_view output) const {
    return locked([&] { return emitted_.at(outputIndex(output)).size(); });
  }
  // From now on only n more messages find credit.
  void setCredit(std::string_view output, std::uint64_t n) {
    locked([&] { credit_.at(outputIndex(output)) = n; });
  }
  // New credit, and WRITABLE when the module was refused since the last one.
  void grant(std::string_view output, std::uint64_t n = kUnlimited);

  // ---- time ----
  // Moves the host's clock, timers expire on the way in their order; 0 fires those that are due.
  void advance(std::chrono::nanoseconds by);
  // Waits, in real time, for what a thread of the module does; delivers its answers meanwhile.
  bool runUntil(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline = std::chrono::seconds(10));

  // ---- twin and methods ----
  struct Answer {
    std::optional<int> code;  // Nothing: not answered (yet); see answered().
    json::Value result;
    Status status = KANTE_OK;  // What the handler returned.
    std::uint64_t token = 0;
  };
  Answer call(std::string_view method, const json::Value& arguments = {});
  // The answer to an earlier call().
  std::optional<Answer> answered(std::uint64_t token) const {
    return locked([&] { return find(answers_, token); });
  }
  // A full desired document under the next version.
  Status desire(const json::Value& properties);
  // The reported section, all patches applied.
  json::Value reported() const {
    return locked([&] { return reported_; });
  }
  // What another principal answers to invoke(); without it everything is KANTE_E_NOT_FOUND.
  std::function<Answer(std::string_view target, std::string_view name,
                       const json::Value& arguments)>
      on_invoke;

  // What the host answers to open(); without it everything is KANTE_E_DENIED.
  struct Opened {
    Status status = KANTE_E_DENIED;
    int descriptor = -1;  // The module's from then on.
    std::optional<json::Value> result = std::nullopt;
  };
  std::function<Opened(const std::string& what)> on_open;

  // ---- state and storage ----
  // Nothing when the module keeps none.
  std::optional<State> save();
  // On a fresh host, after create() and before all else.
  Status restore(const State& state);
  std::map<std::string, std::string>& storage() { return storage_; }  // Bodies by key.

  // ---- what was seen ----
  std::vector<LogLine> log() const {
    return locked([&] { return log_; });
  }
  bool logged(std::string_view part) const;
  // "INVALID: text" of the last explain().
  std::string explained() const {
    return locked([&] { return explained_; });
  }
  // The value of a counter or gauge, the count of a histogram; nothing when not defined.
  std::optional<double> metric(const std::string& name) const {
    return locked([&] { return find(metrics_, name); });
  }
  std::vector<std::string> violations() const {
    return locked([&] { return violations_; });
  }
  std::vector<std::string> takeViolations() {
    return locked([&] { return std::exchange(violations_, {}); });
  }

 private:
  struct TimerState {
    std::uint64_t due_ns;
    std::uint64_t period_ns;
  };
  struct Pending {  // A DONE event on its way.
    std::uint64_t token;
    Status status;
    std::shared_ptr<const Words> message;
    std::uint64_t arg;
  };
  struct Tables;  // The C functions.

  static std::uint32_t indexOf(const char* const* names, std::string_view name) {
    for (std::uint32_t i = 0; names[i] != nullptr; ++i) {
      if (name == names[i]) return i;
    }
    throw Failure(KANTE_E_NOT_FOUND,
                  "the module has no input or output \"" + std::string(name) + "\"");
  }
  std::size_t outputIndex(std::string_view name) const { return indexOf(entry_.outputs, name); }

  Status deliver(std::uint32_t type, kante_event event = {},
                 std::shared_ptr<const Words> message = nullptr);
  void deliverDone();
  void answerLater(std::uint64_t token, Status status,
                   std::shared_ptr<const Words> message = nullptr, std::uint64_t arg = 0) {
    if (token != 0) pending_.push_back({token, status, std::move(message), arg});
  }
  std::shared_ptr<const Words> lay(const Draft& draft);
  Status emit(std::uint32_t output, const std::shared_ptr<const Words>& words, std::uint64_t token);
  void checkEntry();
  void breach(std::string text) { violations_.push_back(std::move(text)); }

  const kante_entry& entry_;
  kante_host host_{};
  kante_module* module_ = nullptr;
  mutable std::mutex mutex_;  // Around all below: the module's own threads may call.
  TestMessages messages_;
  std::set<std::string> missing_;
  std::vector<std::vector<TestMessage>> emitted_;
  std::vector<std::uint64_t> credit_;
  std::vector<bool> refused_;
  std::deque<Pending> pending_;
  std::map<std::uint32_t, TimerState> timers_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t last_token_ = 0;
  std::uint64_t open_save_ = 0;
  std::map<std::uint64_t, Status> settled_;
  std::set<std::uint64_t> unsettled_;
  std::map<std::uint64_t, Answer> answers_;
  std::set<std::uint64_t> unanswered_;
  std::uint64_t desired_version_ = 0;
  json::Value reported_ = json::Object();
  std::optional<State> saved_;
  std::map<std::string, std::string> storage_;
  std::map<std::string, double> metrics_;
  std::vector<std::pair<std::string, std::uint32_t>> metric_names_;
  std::vector<LogLine> log_;
  std::string explained_;
  bool in_event_ = false;
  bool drained_ = false;
  bool ready_ = false;
  bool asked_lifecycle_ = false;
  std::vector<std::string> violations_;
};

KANTE_SDK_END

#include <kante/test_host_tables.hpp>
