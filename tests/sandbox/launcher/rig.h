// A launcher with one runner that answers questions (probe_runner.c), for the tests of both.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/base/fd.h"
#include "host/sandbox/launcher_client.h"

namespace kante {

// A memory file with this in it, as the bytes of a module are.
FileDescriptor memoryFile(const std::string& text);
// KANTE_SANDBOX_MUST_WORK: what is not to be had is a failure, not a reason to pass.
bool sandboxMustWork();

class ProbeRunner {
 public:
  explicit ProbeRunner(boost::asio::io_context& control) : control_(control) {}
  // Descriptors that the order leaves out are made up here.
  void spawn(LauncherClient& client, SpawnOrder order);
  // Until it executes, or could not be started.  True: it runs.
  bool runs();
  std::string ask(const std::string& question);
  void tell(const std::string& question);
  const Exited& exited();  // Waits for it.
  const SpawnedRunner& spawned() const { return *spawned_; }
  std::uint32_t id() const { return id_; }
  bool hasExited() const { return exited_.has_value(); }
  // What it wrote to the log pipe.
  std::string log();

 private:
  bool turnUntil(const std::function<bool()>& done);

  boost::asio::io_context& control_;
  FileDescriptor socket_;
  FileDescriptor log_;
  std::uint32_t id_ = 0;
  std::optional<SpawnedRunner> spawned_;
  std::optional<Exited> exited_;
};

class LauncherTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void open(const std::string& runner);
  // The tier, or a reason to skip that is said.
  bool has(std::uint32_t tier) const;
  SpawnOrder order(std::uint32_t tier) const;

  boost::asio::io_context control;
  std::string lost;
  std::unique_ptr<LauncherClient> client;
};

}  // namespace kante
