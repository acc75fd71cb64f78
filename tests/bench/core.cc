#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "host/base/fd.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/runner_link.h"
#include "host/sandbox/runner_source.h"
#include "tests/bench/bench.h"

namespace kante::bench {

namespace {

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "kante-bench: %s\n", text.c_str());
  std::exit(1);
}

FileDescriptor sealed(const std::string& path) {
  auto bytes = readFile(path, 64u << 20);
  if (bytes.has_error()) die(bytes.error().text);
  FileDescriptor memory(::memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory || writeAll(memory.get(), *bytes).has_error()) die("memfd_create failed");
  (void)::fcntl(memory.get(), F_ADD_SEALS,
                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return memory;
}

class NoServices final : public ModuleServices {
 public:
  void report(const std::string&, const MessageRef&, Answer answer) override { refuse(answer); }
  void storageGet(const std::string&, const std::string&, Answer answer) override {
    refuse(answer);
  }
  void storagePut(const std::string&, const std::string&, const MessageRef&,
                  Answer answer) override {
    refuse(answer);
  }
  void storageErase(const std::string&, const std::string&, Answer answer) override {
    refuse(answer);
  }
  void invoke(const std::string&, const std::string&, const std::string&, const MessageRef&,
              std::uint32_t, Answer answer) override {
    refuse(answer);
  }
  void reply(std::uint64_t, int, const MessageRef&) override {}
  std::pair<MessageRef, std::uint64_t> desiredAtStart(const std::string&) override { return {}; }
  std::shared_ptr<void> subscribeDesired(const std::string&, OnDesired) override { return nullptr; }
  std::shared_ptr<void> serveMethods(const std::string&, OnMethod) override { return nullptr; }

 private:
  static void refuse(const Answer& answer) { answer(KANTE_E_UNSUPPORTED, MessageRef(), 0); }
};

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

std::unique_ptr<ModuleServices> noServices() { return std::make_unique<NoServices>(); }

struct Core::Loop {
  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  std::thread thread{[this] { io.run(); }};
  ~Loop() { stop(); }
  // From then on nothing runs; what was made with `io` may end.
  void stop() {
    if (!thread.joinable()) return;
    work.reset();
    io.stop();
    thread.join();
  }
};

// What makes lives in runners, and what their modules send to $upstream.
struct Core::Runners final : DurableSink {
  Runners(boost::asio::io_context& io, Log& log) : control(io) {
    LauncherClient::Options options;
    options.log = &log;
    auto opened = LauncherClient::open(io, std::move(options));
    if (opened.has_error()) die(opened.error().text);
    launcher = std::move(*opened);
    if (launcher->can().tier == 0) die("no sandbox here: " + std::string(launcher->can().better));
    source.emplace(*launcher);
  }
  Result<std::shared_ptr<ModuleLife>> make(const ModuleSpec& spec, Shard& shard) {
    RunnerOrder order;
    order.name = spec.name;
    order.module_id = spec.id;
    order.module_file = spec.digest + ".so";
    order.module_bytes = std::make_shared<const FileDescriptor>(
        sealed(std::string(KANTE_BENCH_MODULES) + "/" + spec.digest + ".so"));
    order.tier = launcher->can().tier;
    order.memory_mb = 64;
    if (const auto at = cpu_percent.find(spec.name); at != cpu_percent.end())
      order.cpu_percent = at->second;
    KANTE_TRY(link, RunnerLink::make({control, *source, shard.shared_from_this(), order}));
    return std::shared_ptr<ModuleLife>(std::move(link));
  }
  Offer offer(const MessageRef& message, const Hop&, std::uint8_t, std::uint32_t,
              Committed committed) override {
    {
      const std::lock_guard lock(mutex);
      bodies.emplace_back(message.view().body());
    }
    came.notify_one();
    if (committed) committed(true);
    return Offer::kTaken;
  }
  bool hasRoom() const override { return true; }
  void onRoom(std::function<void()> waker) override { waker(); }

  boost::asio::io_context& control;
  std::unique_ptr<LauncherClient> launcher;
  std::optional<LaunchedRunners> source;
  std::map<std::string, std::uint32_t> cpu_percent;
  std::mutex mutex;
  std::condition_variable came;
  std::deque<std::string> bodies;
};

std::string Core::nextUpstream() {
  std::unique_lock lock(runners_->mutex);
  if (!runners_->came.wait_for(lock, std::chrono::seconds(120),
                               [&] { return !runners_->bodies.empty(); })) {
    die("nothing came from the modules for two minutes");
  }
  std::string body = std::move(runners_->bodies.front());
  runners_->bodies.pop_front();
  return body;
}

void Core::limit(const std::string& name, std::uint32_t cpu_percent) {
  runners_->cpu_percent[name] = cpu_percent;
}

std::map<std::string, int> Core::pids() {
  std::promise<std::map<std::string, int>> out;
  boost::asio::post(loop_->io, [&] {
    std::map<std::string, int> pids;
    for (const ModuleStatus& module : host_->modules()) pids[module.name] = module.pid;
    out.set_value(std::move(pids));
  });
  return out.get_future().get();
}

Core::Core(std::uint32_t shards, ModuleServices& services, Sandbox sandbox)
    : loop_(std::make_unique<Loop>()), page_(CrashPage::inMemory()) {
  ModuleHostOptions options;
  options.gateway_id = "bench";
  options.shards = shards;
  options.control = &loop_->io;
  options.log = &log_;
  options.services = &services;
  options.crash_page = page_.get();
  options.load = [this](const std::string& digest, const std::string& id) {
    auto loaded =
        LoadedModule::load(sealed(std::string(KANTE_BENCH_MODULES) + "/" + digest + ".so"), id);
    if (loaded.has_value()) loaded_[digest] = *loaded;
    return loaded;
  };
  std::promise<void> made;
  boost::asio::post(loop_->io, [&] {
    if (sandbox == Sandbox::kYes) {
      runners_ = std::make_unique<Runners>(loop_->io, log_);
      options.upstream = runners_.get();
      options.sandbox = [this](const ModuleSpec& spec, Shard& shard) {
        return runners_->make(spec, shard);
      };
    }
    host_ = makeModuleHost(std::move(options));
    made.set_value();
  });
  made.get_future().wait();
}

Core::~Core() {
  std::promise<void> ended;
  boost::asio::post(loop_->io, [&] { host_->shutDown([&] { ended.set_value(); }); });
  ended.get_future().wait();
  loop_->stop();
  host_.reset();
  runners_.reset();
  loop_.reset();
}

void Core::apply(const RuntimeTarget& target) {
  std::promise<Status> applied;
  boost::asio::post(loop_->io, [&] {
    host_->apply(target, [&](const Result<ApplyReport>& result) {
      applied.set_value(result.has_error() ? Status(result.error()) : Status());
    });
  });
  const Status status = applied.get_future().get();
  if (status.has_error()) die(status.error().text);
}

BenchFigures& Core::figures(const std::string& digest) {
  return *static_cast<BenchFigures*>(
      const_cast<void*>(loaded_.at(digest)->extension("bench.figures/1")));
}

ModuleSpec sourceSpec(const std::string& config) {
  ModuleSpec spec;
  spec.name = "source";
  spec.digest = "bench-source";
  spec.id = "dev.kante.bench-source";
  spec.version = "1.0.0";
  spec.inputs = {"next"};
  spec.outputs = {"out"};
  spec.config = config;
  return spec;
}

ModuleSpec sinkSpec(const std::string& name, const std::string& config) {
  ModuleSpec spec;
  spec.name = name;
  spec.digest = "bench-sink";
  spec.id = "dev.kante.bench-sink";
  spec.version = "1.0.0";
  spec.inputs = {"in"};
  spec.outputs = {"answer"};
  spec.config = config;
  return spec;
}

}  // namespace kante::bench
