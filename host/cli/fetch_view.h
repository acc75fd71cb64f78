// While somebody waits for a deployment: says which bundles it waits for, and how far they are.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "host/cli/host_command.h"

namespace kante::cli {

// Looks every second until it is destroyed, and writes to stderr: one line that changes on a
// terminal, else a line whenever source or problem is another one.
class FetchView {
 public:
  explicit FetchView(HostOptions options);
  ~FetchView();
  FetchView(const FetchView&) = delete;
  FetchView& operator=(const FetchView&) = delete;

 private:
  void run();
  void look();

  const HostOptions options_;
  const bool terminal_;
  std::string shown_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace kante::cli
