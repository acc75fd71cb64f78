// Plain TCP.
#pragma once

#include "host/base/fd.h"
#include "host/hub/mqtt/transport.h"

namespace kante::hub {

class SocketTransport final : public Transport {
 public:
  // Connected and non-blocking.
  explicit SocketTransport(FileDescriptor socket) : socket_(std::move(socket)) {}
  Moved read(std::span<char> into) override;
  Moved write(std::span<const iovec> parts) override;
  int descriptor() const override { return socket_.get(); }
  void shutDown() override;

 private:
  FileDescriptor socket_;
};

}  // namespace kante::hub
