#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

#include "host/base/fd.h"
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
  ~Loop() {
    work.reset();
    io.stop();
    thread.join();
  }
};

Core::Core(std::uint32_t shards, ModuleServices& services)
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
    host_ = makeModuleHost(std::move(options));
    made.set_value();
  });
  made.get_future().wait();
}

Core::~Core() {
  std::promise<void> ended;
  boost::asio::post(loop_->io, [&] { host_->shutDown([&] { ended.set_value(); }); });
  ended.get_future().wait();
  loop_.reset();
  host_.reset();
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

BenchFigures& Core::figures() {
  return *static_cast<BenchFigures*>(
      const_cast<void*>(loaded_.at("bench-sink")->extension("bench.figures/1")));
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
