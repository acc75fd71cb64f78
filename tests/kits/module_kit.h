// A module host for tests with everything around it: a control thread, a log that is read, a
// `$upstream` that notes what comes, and a control plane of maps in memory.
//
// Every function may be called from the test's thread; each waits for the control thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/base/clock.h"
#include "host/placement/local_module_host.h"
#include "tests/kits/far_life.h"
#include "tests/kits/placements.h"
#include "tests/kits/sandbox_lives.h"

namespace kante {

// What $upstream got.
class KitUpstream final : public DurableSink {
 public:
  struct Taken {
    std::string body;
    std::string source;  // "module/NAME/OUTPUT"
    MessageId id;
    int hops = 0;
    int priority = 0;
    std::uint32_t ttl_s = 0;
  };
  Offer offer(const MessageRef& message, const Hop& hop, std::uint8_t priority, std::uint32_t ttl_s,
              Committed committed) override;
  bool hasRoom() const override { return !busy_.load(); }
  void onRoom(std::function<void()> waker) override;

  // Busy until it is set back, which wakes whoever waits.
  void setBusy(bool busy);
  void setFull(bool full) { full_.store(full); }
  std::size_t count() const;
  std::vector<Taken> taken() const;
  // The numbers that the bodies from this source begin with.
  std::vector<std::uint64_t> numbers(const std::string& source) const;

 private:
  mutable std::mutex mutex_;
  std::vector<Taken> taken_;
  std::vector<std::function<void()>> wakers_;
  std::atomic<bool> busy_{false};
  std::atomic<bool> full_{false};
};

// Twins, storage and methods in memory; control thread, as ModuleServices says.
class KitServices final : public ModuleServices {
 public:
  void report(const std::string& module, const MessageRef& patch, Answer answer) override;
  void storageGet(const std::string& module, const std::string& key, Answer answer) override;
  void storagePut(const std::string& module, const std::string& key, const MessageRef& value,
                  Answer answer) override;
  void storageErase(const std::string& module, const std::string& key, Answer answer) override;
  void invoke(const std::string& module, const std::string& target, const std::string& name,
              const MessageRef& arguments, std::uint32_t timeout_ms, Answer answer) override;
  void reply(std::uint64_t call, int status, const MessageRef& result) override;
  std::pair<MessageRef, std::uint64_t> desiredAtStart(const std::string& module) override;
  std::shared_ptr<void> subscribeDesired(const std::string& module, OnDesired on_desired) override;
  std::shared_ptr<void> serveMethods(const std::string& module, OnMethod on_method) override;

  std::map<std::string, std::string> reported;  // By module: the last patch.
  std::map<std::string, MessageRef> values;     // By "module key".
  std::map<std::string, std::pair<std::string, std::uint64_t>> desired;
  std::map<std::string, std::shared_ptr<OnDesired>> on_desired;
  std::map<std::string, std::weak_ptr<OnMethod>> methods;
  std::map<std::uint64_t, std::function<void(int, std::string)>> calls;
  std::uint64_t last_call = 0;
  std::deque<Answer> held;  // Where hold_answers: who waits.
  bool hold_answers = false;
};

class ModuleKit {
 public:
  struct Options {
    std::uint32_t shards = 1;
    std::uint32_t loads_max = 64;
    std::uint32_t callback_warn_ms = 1000;
    std::uint32_t callback_limit_ms = 60'000;
    std::uint32_t health_ms = 60'000;
    std::string data_dir;  // With one there is a store, which outlives the kit.
  };
  explicit ModuleKit(const PlacementUnderTest& placement) : ModuleKit(placement, Options{}) {}
  ModuleKit(const PlacementUnderTest& placement, const Options& options);
  ~ModuleKit();  // Shuts down, if the test did not.
  ModuleKit(const ModuleKit&) = delete;
  ModuleKit& operator=(const ModuleKit&) = delete;

  // A running module of this library.  `copy` tells digests of one library apart.
  ModuleSpec spec(const std::string& name, const std::string& library,
                  const std::string& config = "{}", const std::string& copy = "") const;
  static RouteSpec route(const std::string& from,
                         const std::string& to);  // "a/out", "b/in" or "$upstream"

  Result<ApplyReport> apply(RuntimeTarget target);
  Status restart(const std::string& name);
  Status stop(const std::string& name);
  Status start(const std::string& name);
  Result<ModuleHost::Saved> saveAll();
  void resume();
  ModuleHost::Room roomFor(const RuntimeTarget& target);
  Status check(const RuntimeTarget& target);
  void shutDown();
  // Destroys the host without shutDown().
  void destroyHost();

  // Runs it on the control thread.
  void onControl(const std::function<void()>& task);
  // Calls a method; what its answer was, or nothing when none came in time.
  std::optional<std::pair<int, std::string>> call(const std::string& module,
                                                  const std::string& method,
                                                  const std::string& arguments = "null");
  void desire(const std::string& module, const std::string& document, std::uint64_t version);
  ModuleStatus status(const std::string& module);
  ModuleHost::Turn turn();
  std::uint64_t dropped(const std::string& reason);
  RouteStatus routeStatus(const std::string& name);

  // Lines of a module ("module/NAME"), as they were written.
  std::vector<std::string> lines(const std::string& module) const;
  bool saw(const std::string& module, const std::string& text) const;
  // Waits for it.
  bool sees(const std::string& module, const std::string& text) const;
  std::size_t times(const std::string& module, const std::string& text) const;
  std::vector<std::string> events() const;

  // Where there is a data_dir.
  Store& store() { return *store_; }
  std::vector<InspectedMessage> inspect(const std::string& queue);
  static RouteSpec durable(RouteSpec route);

  KitUpstream upstream;
  KitServices services;
  FarLives far;  // Of modules with placement "sandbox".
  Log log{Log::Format::kSilent, LogLevel::kDebug};
  std::unique_ptr<CrashPage> crash_page = CrashPage::inMemory();

 private:
  Status operate(void (ModuleHost::*operation)(const std::string&, ModuleHost::Done),
                 const std::string& name);
  Placement placement_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  std::thread control_{[this] { io_.run(); }};
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> lines_;
  std::vector<std::string> events_;
  std::shared_ptr<void> follower_;
  SystemClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SandboxLives> sandbox_;
  std::unique_ptr<DeviceOpener> devices_;
  std::unique_ptr<ModuleHost> host_;
};

// A library of tests/kits/modules: its path, and its sealed memory file.
std::string kitLibrary(const std::string& library);
FileDescriptor sealedLibrary(const std::string& library);
// That of any file.
FileDescriptor sealedFile(const std::string& path);

}  // namespace kante
