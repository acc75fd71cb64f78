// The support bundle of a gateway that runs: what its own API says of it, its last log lines, and
// what can be seen of the machine.  Gathered on the control thread; redacted and packed on a thread
// of its own, one bundle at a time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "host/base/result.h"
#include "host/cli/support_files.h"

namespace kante {
class Log;
class Router;
}  // namespace kante

namespace kante::cli {

class GatewaySupport {
 public:
  // All borrowed; they outlive it.
  struct Parts {
    boost::asio::io_context& control;
    const Log& log;
    const Router& router;
    const Config& config;
    std::function<std::vector<std::string>()> secrets;  // Of modules.
  };
  explicit GatewaySupport(Parts parts);
  ~GatewaySupport();

  struct Wish {
    std::string checks = {};  // JSON of `kante check`; empty: those that need no network.
    std::size_t bytes_max = SupportArchive::kBytesMax;  // Before it is packed.
  };
  // The tar.zst, on the control thread.  kState: another one is being made.
  using Done = std::function<void(Result<std::string>)>;
  void make(Wish wish, Done done);

 private:
  std::vector<SupportFile> gather() const;
  void gatherLogs(std::vector<SupportFile>& files) const;
  std::string ask(const std::string& target) const;

  const Parts parts_;
  std::thread worker_;
  bool busy_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();  // What comes late sees it gone.
};

}  // namespace kante::cli
