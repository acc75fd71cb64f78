// One runner as a process: asked of the launcher, spoken to over its control socket until its
// module is loaded, listened to on its log pipe, and reported once when it has ended.
//
// The conversation is that of start.h.  Before the runner may load its module, what it says of its
// confinement is held against what is seen from outside; a layer that its tier promises and that is
// missing ends it.  Every wait has a deadline, and what a runner says out of turn ends it too.
// Lives on the control thread.  Shared owners: the link, and the operations under way.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/sandbox/facts.h"
#include "host/sandbox/log_pipe.h"
#include "host/sandbox/runner_source.h"
#include "sandbox/wire/shared_file.h"
#include "sandbox/wire/start.h"

namespace kante {

// What runs in a runner, and within which limits.
struct RunnerOrder {
  std::string name;  // The module's, in the deployment.
  std::string module_id;
  std::string module_file;                             // "HASH.so"
  std::shared_ptr<const FileDescriptor> module_bytes;  // Sealed; shared with the next lives.
  std::uint32_t tier = kTierNoNamespaces;
  std::uint32_t memory_mb = 0;  // 0: no limit; so are the others.
  std::uint32_t cpu_percent = 0;
  std::uint32_t pids_max = 0;
  std::uint32_t data_mb = 0;  // 0: no /data.
  bool writes_files = false;  // Some are granted to it.
  std::uint32_t ring_bytes = kRingBytesDefault;
  std::uint32_t defer_max_s = 0;  // As in ModuleSpec: the runner has to answer at once.
};

// The memory and the doorbell between this host and one runner.  Shared by its process and its
// link: whichever goes last unmaps it.
struct RunnerChannel {
  HostFiles files;
  FileDescriptor doorbell;  // eventfd; never read.
  FileDescriptor control;   // The host's end of the control socket, for descriptors.
  // Sends a copy of the descriptor; false: the runner takes none.  Any thread, once it is loaded.
  bool pass(int fd, std::uint64_t token) const;
  static Result<std::shared_ptr<RunnerChannel>> make(const std::string& name,
                                                     std::uint32_t ring_bytes);
};

// A runner whose module is loaded.
struct LoadedRunner {
  int pid = 0;
  LimitKind limits = LimitKind::kRlimit;
  std::string version;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

class RunnerProcess : public std::enable_shared_from_this<RunnerProcess> {
 public:
  static constexpr std::chrono::seconds kConfinedWithin{15};  // From spawn() to Facts.
  static constexpr std::chrono::seconds kLoadedWithin{30};    // From Load to Loaded.
  static constexpr std::chrono::seconds kEndWithin{1};        // From a closed socket to the exit.

  struct Callbacks {
    std::function<void(LoadedRunner)> loaded;
    std::function<void(std::string_view line)> log;
    // Once, after everything else; killed_for is empty where the host did not end it.
    std::function<void(const Exited& exited, const std::string& killed_for)> ended;
  };

  RunnerProcess(boost::asio::io_context& control, RunnerSource& source, RunnerOrder order,
                std::shared_ptr<RunnerChannel> channel);
  ~RunnerProcess();

  // What can be said at once is said by ended() all the same.
  void start(Callbacks callbacks);
  // The first reason is the one that counts.
  void kill(const std::string& reason);
  // It is asked to end by other means: a closed socket is no surprise any more.
  void expectEnd() { expects_end_ = true; }

  const RunnerOrder& order() const { return order_; }

 private:
  Status spawn();
  void listen();
  void receive();
  void spoke(const char* bytes, std::size_t size);
  void hello(const Hello& said);
  void compare();
  void loaded(const Loaded& said);
  void socketClosed();
  void within(std::chrono::seconds time, std::string what);
  void hearLastWords();
  void exited(const Exited& exited);
  template <typename Struct>
  void send(const Struct& said);

  const RunnerOrder order_;
  RunnerSource& source_;
  const std::shared_ptr<RunnerChannel> channel_;
  boost::asio::posix::stream_descriptor control_;
  boost::asio::steady_timer deadline_;
  LogPipe log_;
  Callbacks callbacks_;
  enum class Stage : std::uint8_t { kNew, kSpawned, kStarted, kConfined, kLoaded, kEnded };
  Stage stage_ = Stage::kNew;
  bool expects_end_ = false;
  std::uint32_t id_ = 0;  // The launcher's; 0: none.
  std::optional<SpawnedRunner> spawned_;
  std::optional<Facts> facts_;
  std::string killed_for_;
};

}  // namespace kante
