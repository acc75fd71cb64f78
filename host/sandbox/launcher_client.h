// The host's end of kante-launcher: asks it for runners and hears how they end.
//
// Behind it is the keeper that started this process ($KANTE_LAUNCHER_FD), or a helper that it
// starts itself where there is none (demo, `run --no-keeper`, tests); the service is the same.
// Lives on the control thread; everything is called there, and no callback comes from within a
// call.  Owned by main; whoever has runners through it goes first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "sandbox/wire/launch.h"

namespace boost::asio {
class io_context;
}

namespace kante {

class Log;

// What a runner is started with.  The descriptors are borrowed for the length of spawn().
struct SpawnOrder {
  std::string name;               // The module's, in the deployment.
  std::string module_file;        // "HASH.so"
  std::uint32_t tier = 0;         // Exactly this.
  std::uint32_t memory_mb = 0;    // 0: no limit.
  std::uint32_t cpu_percent = 0;  // Of one core; 0: no limit.
  std::uint32_t pids_max = 0;     // 0: kLaunchPidsDefault.
  std::uint32_t data_mb = 0;      // 0: no /data.
  bool writes_files = false;      // It may be handed files that it makes longer.
  int control_fd = -1;            // The runner's end of the SEQPACKET socket.
  int host_file_fd = -1;          // Opened read-only.
  int runner_file_fd = -1;
  int doorbell_fd = -1;
  int log_fd = -1;     // The write end of a pipe.
  int module_fd = -1;  // Sealed bytes.
};

// A runner that executes kante-runner, confined as its tier says.
struct SpawnedRunner {
  std::uint32_t id = 0;
  int pid = 0;
  FileDescriptor pidfd;
  LimitKind limits = LimitKind::kRlimit;
  std::array<std::uint64_t, 6> namespaces{};  // As in Spawned.
};

class LauncherClient {
 public:
  struct Options {
    Log* log = nullptr;
    // Where kante-launcher lies; empty: beside this executable.
    std::string launcher;
    // What it takes for kante-runner; empty: that beside itself.  Tests only: a keeper has its own.
    std::string runner;
    // The launcher is gone, and with it every runner: on_exited was called for each.  spawn() may
    // go on: it starts a new helper, and waits neither for that nor for the end of this one.  (A
    // keeper that is gone takes this process with it.)
    std::function<void(const std::string& why)> on_lost;
  };

  static constexpr std::size_t kRunnersMax = 256;

  // Connects and asks what the launcher can do, without waiting for the answer: settle() has to be
  // called before anything else.
  static Result<std::unique_ptr<LauncherClient>> begin(boost::asio::io_context& control,
                                                       Options options);
  // Waits for the answer: a few milliseconds after begin(), at most 10 s.
  Status settle();
  // Both.
  static Result<std::unique_ptr<LauncherClient>> open(boost::asio::io_context& control,
                                                      Options options);
  // Ends what still runs; nothing is called any more.
  ~LauncherClient();
  LauncherClient(const LauncherClient&) = delete;
  LauncherClient& operator=(const LauncherClient&) = delete;

  const Can& can() const;

  using OnSpawned = std::function<void(SpawnedRunner runner)>;
  // exit_code and signal are 0 and `text` says why for one that could not be started.
  using OnExited = std::function<void(const Exited& exited)>;

  // The id of a runner that is on its way.  on_exited comes exactly once, whatever happens;
  // on_spawned before it, unless it could not be started.
  std::uint32_t spawn(const SpawnOrder& order, OnSpawned on_spawned, OnExited on_exited);

  // SIGKILL to all of it; on_exited follows.  Nothing happens when it is gone already.
  void kill(std::uint32_t id);

 private:
  struct State;
  explicit LauncherClient(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // Shared with the operations under way.
};

// "cgroup2", "cgroup1", "rlimit"
const char* name(LimitKind limits);

}  // namespace kante
