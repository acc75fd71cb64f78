// The descriptors that the host opened for the module, as they come over the control socket.
#pragma once

#include <cstdint>
#include <map>

namespace kante {

// The loop's thread.
class Descriptors {
 public:
  static constexpr std::size_t kKeptMax = 1024;

  explicit Descriptors(int control) : control_(control) {}
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // That of this request, which the host has sent before it said DONE; the caller's to close.  -1:
  // it is not there.
  int take(std::uint64_t token);

 private:
  bool receive();

  const int control_;
  std::map<std::uint64_t, int> waiting_;  // Came before their DONE was read.
};

}  // namespace kante
