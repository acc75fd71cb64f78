#include "host/cli/module_sandbox_kit.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/runtime/module_port.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/runner_link.h"
#include "host/sandbox/runner_source.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kPatience{15};
constexpr std::chrono::seconds kDrainWithin{5};

// What stands around the runner: its instance and its host, of which every request is answered with
// "not found".  Told on the shard, asked by the main thread.
class Guest final : public LifeOwner, public ModulePort {
 public:
  struct State {
    std::string format_bytes;
    std::uint64_t format = 0;
  };

  explicit Guest(RunnerLink& link) : link_(link) {}

  template <typename Holds>
  bool wait(std::chrono::seconds patience, Holds holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return !ended.empty() || holds(); }) && holds();
  }
  // With the lock: what look() and wait() give.
  template <typename Ask>
  auto look(Ask ask) {
    const std::lock_guard lock(mutex_);
    return ask();
  }
  std::string ended;  // Why it is over; empty: it is not.
  std::optional<std::pair<kante_status, std::string>> created;
  bool promised = false;
  bool is_ready = false;
  bool is_drained = false;
  std::uint64_t handled = 0;
  std::map<std::uint32_t, kante_status> events;  // By type: the last.
  std::string violation;
  std::optional<State> state;

  // ---- LifeOwner ----
  void createEnded(kante_status status, const std::string& text, bool promised_ready) override {
    note([&] {
      created.emplace(status, text);
      promised = promised_ready;
    });
  }
  void startFailed(Error error) override {
    note([&] { ended = error.text; });
  }
  void roomAgain() override {}
  void inputsHandled(std::uint32_t count) override {
    note([&] { handled += count; });
  }
  void inputsRecalled() override {}
  kante_status emitted(std::uint32_t, MessageRef& message, std::uint8_t,
                       std::uint64_t token) override {
    message = MessageRef();
    return answer(token, KANTE_OK);
  }
  void lost(std::uint32_t, const MessageRef&) override {}  // There is room for all.
  void together(const std::function<void()>& work) override { work(); }
  void eventEnded(std::uint32_t type, std::uint64_t, kante_status status,
                  const std::string&) override {
    note([&] { events[type] = status; });
  }
  void violated(const std::string& what) override {
    note([&] { violation = what; });
  }
  void died(const LifeEnd& end) override {
    note([&] { ended = end.reason; });
  }

  // ---- ModulePort ----
  kante_status sealMessage(void*, std::uint32_t, kante_msg**) override { return KANTE_E_STATE; }
  kante_status emit(std::uint32_t, kante_msg*, std::uint64_t) override { return KANTE_E_STATE; }
  kante_status publish(std::uint32_t, void*, std::uint32_t, std::uint64_t) override {
    return KANTE_E_STATE;
  }
  kante_status settle(std::uint64_t, kante_status) override { return KANTE_OK; }
  void drained() override {
    note([this] { is_drained = true; });
  }
  void log(std::uint32_t, std::string_view) override {}
  void explain(kante_status, std::string_view) override {}
  kante_status report(kante_msg*, std::uint64_t token) override { return answer(token, KANTE_OK); }
  kante_status reply(std::uint64_t, std::int32_t, kante_msg*) override { return KANTE_OK; }
  std::uint64_t nowNs() override { return static_cast<std::uint64_t>(SystemClock().bootNs()); }
  kante_status setTimer(std::uint32_t, std::uint64_t, std::uint64_t) override { return KANTE_OK; }
  kante_status cancelTimer(std::uint32_t) override { return KANTE_OK; }
  kante_status defineMetric(std::string_view, std::uint32_t, std::uint32_t* id) override {
    *id = 0;
    return KANTE_OK;
  }
  void addMetric(std::uint32_t, std::int64_t) override {}
  void recordMetric(std::uint32_t, double) override {}
  kante_status storageGet(std::string_view, std::uint64_t token) override {
    return answer(token, KANTE_E_NOT_FOUND);
  }
  kante_status storagePut(std::string_view, kante_msg*, std::uint64_t token) override {
    return answer(token, KANTE_OK);
  }
  kante_status storageErase(std::string_view, std::uint64_t token) override {
    return answer(token, KANTE_OK);
  }
  kante_status saveState(std::uint64_t, std::uint64_t format, const void* data,
                         std::size_t size) override {
    note([&] { state = State{std::string(static_cast<const char*>(data), size), format}; });
    return KANTE_OK;
  }
  void ready() override {
    note([this] { is_ready = true; });
  }
  kante_status defer(std::uint32_t) override { return KANTE_E_LIMIT; }
  kante_status invoke(std::string_view, std::string_view, kante_msg*, std::uint32_t,
                      std::uint64_t token) override {
    return answer(token, KANTE_E_NOT_FOUND);
  }
  void promisedReady() override {}

 private:
  template <typename Change>
  void note(const Change& change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  kante_status answer(std::uint64_t token, kante_status status) {
    if (token == 0) return KANTE_OK;
    Shard::current()->post([this, token, status] {
      kante_event event{};
      event.struct_size = sizeof event;
      event.type = KANTE_EVENT_DONE;
      event.token = token;
      event.status = status;
      (void)link_.onEvent(event);
    });
    return KANTE_OK;
  }

  RunnerLink& link_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

// The threads that a life needs.
class Stage {
 public:
  Stage() { shard_->start(); }
  ~Stage() {
    shard_->stop();
    onControl([this] {
      source_.reset();
      launcher_.reset();
    });
    work_.reset();
    control_.stop();
    thread_.join();
  }
  // Empty, or why there is no sandbox.
  std::string open() {
    std::string why;
    onControl([&] {
      LauncherClient::Options options;
      options.log = &log_;
      auto opened = LauncherClient::open(control_, std::move(options));
      if (opened.has_error()) {
        why = opened.error().text;
        return;
      }
      launcher_ = std::move(*opened);
      source_.emplace(*launcher_);
      if (launcher_->can().tier == 0) why = launcher_->can().better;
    });
    return why;
  }
  Result<std::shared_ptr<RunnerLink>> life(const ModuleBytes& module,
                                           const std::shared_ptr<const FileDescriptor>& bytes) {
    Result<std::shared_ptr<RunnerLink>> made(nullptr);
    onControl([&] {
      RunnerOrder order;
      order.name = "checked";
      order.module_id = module.manifest.id;
      order.module_file = "checked.so";
      order.module_bytes = bytes;
      order.tier = launcher_->can().tier;
      made = RunnerLink::make({control_, *source_, shard_, order});
    });
    return made;
  }
  void onShard(const std::function<void()>& task) {
    wait([&](auto run) { shard_->post(run); }, task);
  }
  void onControl(const std::function<void()>& task) {
    wait([&](auto run) { boost::asio::post(control_, run); }, task);
  }

 private:
  template <typename Post>
  static void wait(const Post& post, const std::function<void()>& task) {
    const auto done = std::make_shared<std::promise<void>>();
    post([&task, done] {
      task();
      done->set_value();
    });
    done->get_future().wait();
  }

  Log log_{Log::Format::kSilent, LogLevel::kError};
  boost::asio::io_context control_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      control_.get_executor()};
  std::thread thread_{[this] { control_.run(); }};
  CallbackSlot slot_;
  std::shared_ptr<Shard> shard_ = std::make_shared<Shard>(0, &slot_);
  std::unique_ptr<LauncherClient> launcher_;
  std::optional<LaunchedRunners> source_;
};

// One life under test; each step answers what was wrong, empty when nothing was.
class Run {
 public:
  Run(Stage& stage, std::shared_ptr<RunnerLink> link)
      : stage_(stage), link_(std::move(link)), guest_(*link_), host_(makeHostTable(guest_)) {}
  ~Run() { (void)end(); }

  std::string start(const std::string& config_json) {
    const auto config = jsonMessage(config_json);
    if (config.has_error()) return config.error().text;
    stage_.onShard([&] { (void)link_->create(host_, guest_, config->get()); });
    began_ = true;
    const bool begun = guest_.wait(kPatience, [this] { return guest_.created.has_value(); });
    if (!begun) return over("it did not begin in time");
    const auto created = guest_.look([this] { return *guest_.created; });
    if (created.first != KANTE_OK) return "create() answered " + textOf(created);
    stage_.onShard([&] { link_->routesAreThere(); });
    if (!guest_.look([this] { return guest_.promised; }) ||
        guest_.wait(kPatience, [this] { return guest_.is_ready; }))
      return "";
    return over("it promised ready() and did not call it");
  }

  std::string takeMessages() {
    std::uint64_t sent = 0;
    for (const std::string& body : {std::string("{\"value\":1}"), std::string("[1,null]"),
                                    "\"" + std::string(200'000, 'x') + "\""}) {
      for (std::size_t input = 0; input < link_->inputs().size(); ++input) {
        for (const std::uint64_t token : {std::uint64_t{0}, ++last_token_}) {
          sent += send(static_cast<std::uint32_t>(input), body, token) ? 1 : 0;
        }
      }
    }
    // One that puts a message off may do so; one that ends must not.
    (void)guest_.wait(std::chrono::seconds(1), [&] { return guest_.handled == sent; });
    return over("");
  }

  std::string answerEvents() {
    for (const std::uint32_t type :
         {std::uint32_t{KANTE_EVENT_METHOD}, std::uint32_t{KANTE_EVENT_HEALTH}}) {
      kante_event event = make(type);
      event.name = {"unknown-method", 14};
      const auto nothing = jsonMessage("null");
      if (type == KANTE_EVENT_METHOD) attach(event, *nothing);
      event.token = type == KANTE_EVENT_METHOD ? ++last_token_ : 0;
      stage_.onShard([&] { (void)link_->onEvent(event); });
      if (!guest_.wait(kPatience, [&] { return guest_.events.contains(type); }))
        return over("an event of type " + std::to_string(type) + " did not return");
    }
    return over("");
  }

  // The state that it saved, if it has one.
  std::string save(std::optional<Guest::State>& state) {
    kante_event event = make(KANTE_EVENT_SAVE);
    event.token = ++last_token_;
    stage_.onShard([&] { (void)link_->onEvent(event); });
    if (!guest_.wait(kPatience, [this] { return guest_.events.contains(KANTE_EVENT_SAVE); }))
      return over("SAVE did not return");
    state = guest_.look([this] { return guest_.state; });
    return "";
  }
  std::string restore(const Guest::State& state) {
    kante_event event = make(KANTE_EVENT_RESTORE);
    event.arg = state.format;
    event.name = {state.format_bytes.data(), state.format_bytes.size()};
    stage_.onShard([&] { (void)link_->onEvent(event); });
    if (!guest_.wait(kPatience, [this] { return guest_.events.contains(KANTE_EVENT_RESTORE); }))
      return over("RESTORE did not return");
    const kante_status status = guest_.look([this] { return guest_.events[KANTE_EVENT_RESTORE]; });
    return status == KANTE_OK ? "" : "it refuses the state that it saved";
  }

  std::string drain() {
    kante_event event = make(KANTE_EVENT_DRAIN);
    stage_.onShard([&] { (void)link_->onEvent(event); });
    if (!guest_.wait(kDrainWithin, [this] { return guest_.is_drained; }))
      return over("drained() was not called within 5 s after DRAIN");
    return end();
  }

  // destroy(), and what it had been refused until then.
  std::string end() {
    if (!std::exchange(began_, false)) return "";
    const std::string before = guest_.look([this] { return guest_.ended; });
    const auto gone = std::make_shared<std::promise<void>>();
    stage_.onShard([&] { link_->destroy([gone] { gone->set_value(); }); });
    gone->get_future().wait();  // A runner that does not go is killed.
    const std::string violation = guest_.look([this] { return guest_.violation; });
    if (!violation.empty()) return "it " + violation;
    return before.empty() ? guest_.look([this] { return guest_.ended; }) : before;
  }

 private:
  static std::string textOf(const std::pair<kante_status, std::string>& answer) {
    return std::to_string(answer.first) + (answer.second.empty() ? "" : ": " + answer.second);
  }
  std::string over(const std::string& otherwise) {
    const std::string ended = guest_.look([this] { return guest_.ended; });
    return ended.empty() ? otherwise : "it ended: " + ended;
  }
  static kante_event make(std::uint32_t type) {
    kante_event event{};
    event.struct_size = sizeof event;
    event.type = type;
    return event;
  }
  static void attach(kante_event& event, const MessageRef& message) {
    event.msg = message.get();
    event.words = message.words();
    event.word_count = message.wordCount();
  }
  bool send(std::uint32_t input, const std::string& body, std::uint64_t token) {
    const auto message = jsonMessage(body);
    kante_event event = make(KANTE_EVENT_INPUT);
    event.id = input;
    event.token = token;
    event.name = {"module/check/out", 16};
    attach(event, *message);
    kante_status status = KANTE_OK;
    stage_.onShard([&] { status = link_->onInput(event, 0); });
    return status == KANTE_PENDING;
  }

  Stage& stage_;
  const std::shared_ptr<RunnerLink> link_;
  Guest guest_;
  const kante_host host_;
  bool began_ = false;
  std::uint64_t last_token_ = 0;
};

}  // namespace

void runSandboxKit(const ModuleBytes& module, const std::string& config_json,
                   const std::function<void(const SandboxFinding&)>& done) {
  Stage stage;
  if (const std::string why = stage.open(); !why.empty())
    return done({"runs in the sandbox", true, "not tried, because there is none here: " + why});
  const auto bytes =
      std::make_shared<const FileDescriptor>(::fcntl(module.sealed.get(), F_DUPFD_CLOEXEC, 0));
  const auto tell = [&](const char* check, const std::string& wrong) {
    done({check, wrong.empty(), wrong});
    return wrong.empty();
  };
  const auto first = stage.life(module, bytes);
  if (first.has_error()) return (void)tell("starts in the sandbox", first.error().text);
  std::optional<Guest::State> state;
  {
    Run run(stage, *first);
    if (!tell("starts in the sandbox", run.start(config_json))) return;
    if (!tell("takes any message in the sandbox", run.takeMessages())) return;
    if (!tell("answers there", run.answerEvents())) return;
    if (!tell("saves its state there", run.save(state))) return;
    if (!tell("drains there", run.drain())) return;
  }
  if (!state) return;
  const auto second = stage.life(module, bytes);
  if (second.has_error()) return (void)tell("restores its state there", second.error().text);
  Run next(stage, *second);
  std::string wrong = next.start(config_json);
  if (wrong.empty()) wrong = next.restore(*state);
  if (wrong.empty()) wrong = next.drain();
  (void)tell("restores its state there", wrong);
}

}  // namespace kante::cli
