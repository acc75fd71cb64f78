// Says that the machine's network changed: an address or a route came or went.  A link that returns
// is used at once, and one whose own address went is given up at once.
#pragma once

#include "host/base/fd.h"

namespace kante {

// One thread at a time.
class NetworkWatch {
 public:
  // Watches the network that the calling thread sees.  Without the rights to, there are no changes.
  void open();

  int fd() const { return socket_.get(); }  // Readable when something happened; -1: no watch.
  // Empties the socket; whether what happened may make a difference to a connection.
  bool takeChange();

 private:
  FileDescriptor socket_;
};

// Whether this machine still has the address that a connected socket uses on its own side.
bool ownAddressIsThere(int socket_fd);

}  // namespace kante
