// A hostile module in a real runner, started by the real launcher and held by the host's own code
// (RunnerProcess); only the frames are the test's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/log.h"
#include "host/sandbox/launcher_client.h"
#include "host/sandbox/runner_process.h"
#include "host/sandbox/runner_source.h"
#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/ring.h"

namespace kante::testing {

class EscapeRig {
 public:
  EscapeRig();
  const Can& can() const { return launcher_->can(); }
  // The best tier, and those that take a layer from it.
  bool has(std::uint32_t tier) const;
  boost::asio::io_context& control() { return control_; }
  RunnerSource& source() { return *source_; }
  // Lets things happen until `holds`, or a minute has passed.
  bool until(const std::function<bool()>& holds);

 private:
  boost::asio::io_context control_;
  Log log_;
  std::unique_ptr<LauncherClient> launcher_;
  std::unique_ptr<LaunchedRunners> source_;
};

struct EscapeOrder {
  std::string module;  // "escape-attempts"
  std::uint32_t tier = 3;
  std::uint32_t memory_mb = 0;
  std::uint32_t pids_max = 0;
  std::uint32_t data_mb = 0;
};

class EscapeRunner {
 public:
  EscapeRunner(EscapeRig& rig, const EscapeOrder& order);
  ~EscapeRunner();
  EscapeRunner(const EscapeRunner&) = delete;
  EscapeRunner& operator=(const EscapeRunner&) = delete;

  // True once the module is loaded and created; false when it ended before.
  bool create();
  // An input with this body.
  void send(const std::string& body);
  void kill(const std::string& why) { process_->kill(why); }
  // Waits for a line that begins so; the rest of it, or nothing when the runner ended without.
  std::optional<std::string> line(const std::string& begin);
  bool waitForEnd();

  bool ended() const { return exited_.has_value(); }
  const Exited& exited() const { return *exited_; }
  // Why the host killed it, or why it refused to go on.
  const std::string& why() const { return killed_for_; }
  const RunnerPage& page() const { return channel_->files.runnerPage(); }
  int pid() const { return loaded_ ? loaded_->pid : 0; }
  LimitKind limits() const { return loaded_ ? loaded_->limits : LimitKind::kRlimit; }
  const std::vector<std::string>& lines() const { return lines_; }
  std::string text() const;
  const SeenRunner& seen() const { return *seen_; }

 private:
  class Watched;
  void write(Frame kind, const std::string& body);

  EscapeRig& rig_;
  std::shared_ptr<RunnerChannel> channel_;
  std::unique_ptr<Watched> source_;
  std::shared_ptr<RunnerProcess> process_;
  std::optional<PeerSleep> sleep_;
  std::optional<RingWriter> ring_;
  std::optional<FrameWriter> writer_;
  std::optional<LoadedRunner> loaded_;
  std::optional<SeenRunner> seen_;
  std::optional<Exited> exited_;
  std::string killed_for_;
  std::vector<std::string> lines_;
};

// Whether this test must not skip what this machine cannot do (KANTE_SANDBOX_MUST_WORK=1).
bool mustWork();

}  // namespace kante::testing
