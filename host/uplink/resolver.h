// Names to addresses, on a thread of its own: a name server that does not answer holds
// getaddrinfo() for ten seconds and more, and nothing can call it back.
//
// The one place where a thread is detached: it owns what it works on together with the resolver
// that asked, and answers into it whether or not that still waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/result.h"

namespace kante {

// Numeric, without a port.
using Addresses = std::vector<std::string>;

// One thread at a time.
class Resolver {
 public:
  static constexpr std::size_t kAddressesMax = 8;
  // Threads that may hang in a name server at once.
  static constexpr int kHangingMax = 3;
  using Lookup = std::function<Result<Addresses>(const std::string& host)>;

  // Tests bring their own lookup.
  explicit Resolver(Lookup lookup = ofThisMachine());
  ~Resolver();
  static Lookup ofThisMachine();

  // Begins to look a name up, or goes on waiting for the same one.  kUnavailable: kHangingMax
  // lookups of other names hang.  A numeric address is answered at once.
  Status ask(const std::string& host);
  // Readable when take() has an answer; -1 when nothing was asked.
  int fd() const;
  // The answer, once; nothing as long as there is none.
  std::optional<Result<Addresses>> take();

 private:
  struct Question;
  const Lookup lookup_;
  std::shared_ptr<int> hanging_;  // Its use count, less one, is the number of threads.
  std::shared_ptr<Question> question_;
};

}  // namespace kante
