// Opens for modules what their manifests ask for and the deployment grants: files, devices, peers,
// ports.
//
// The host opens, the module gets a descriptor; it never opens by itself (a sandboxed one cannot).
// Nobody gets what belongs to the gateway's own processes or lies below its data directory,
// whatever is granted.  Lives on the control thread, where answers come, once each.
#pragma once

#include <kante/module.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/fd.h"
#include "host/base/log.h"
#include "host/placement/device_grant.h"
#include "host/placement/disk_space.h"

namespace kante {

class DeviceOpener {
 public:
  static constexpr std::int64_t kConnectMs = 10'000;
  static constexpr std::size_t kConnectsMax = 16;   // Under way, of one instance.
  static constexpr std::size_t kListenersMax = 16;  // Of one instance.
  static constexpr std::size_t kAcceptsMax = 256;   // Waiting for peers, of one listener.
  static constexpr std::size_t kNamesMax = 4096;    // Of a directory that is listed.

  // private_dir: the gateway's data directory, of which a copy is kept; -1: none.  Fails where the
  // kernel does not tell its name, without which nothing could be kept out of it.
  static Result<std::unique_ptr<DeviceOpener>> make(boost::asio::io_context& control, Log& log,
                                                    int private_dir);

  // What one instance listens to, until it is ended; what still waits then is answered
  // KANTE_E_CANCELED.
  class Session;
  std::shared_ptr<Session> session(std::string module);
  static void end(Session& session);

  struct Opened {
    FileDescriptor fd;               // None for a list and for a disk's space.
    std::vector<std::string> names;  // Of a list.
    std::optional<DiskSpace> space = std::nullopt;
  };
  // A status below 0: `why` is a sentence.
  using Answer = std::function<void(kante_status status, Opened opened, const std::string& why)>;
  void open(const std::shared_ptr<Session>& session, const std::vector<DeviceGrant>& grants,
            const std::string& what, Answer answer);

 private:
  struct Refusal {
    kante_status status;
    std::string why;
  };
  DeviceOpener(boost::asio::io_context& control, Log& log) : control_(control), log_(log) {}
  bool isPrivate(const std::string& name) const;
  Result<FileDescriptor> openPath(const DeviceGrant& grant, const DeviceWish& wish) const;
  Result<FileDescriptor> makeFile(const DeviceGrant& grant, const DeviceWish& wish) const;
  void openFile(const DeviceGrant& grant, const DeviceWish& wish, const Answer& answer) const;

  boost::asio::io_context& control_;
  Log& log_;
  FileDescriptor private_dir_;
};

}  // namespace kante
