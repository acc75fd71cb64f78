// The control socket, as the runner uses it until its module is loaded (start.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "sandbox/wire/start.h"

namespace kante {

class Control {
 public:
  explicit Control(int fd) : fd_(fd) {}

  // False when the host is gone.
  template <typename Struct>
  bool send(const Struct& said) const {
    return sendBytes(&said, sizeof said);
  }
  // False when the host is gone or says something else.
  template <typename Struct>
  bool receive(Struct& heard) const {
    const StartKind expected = heard.kind;
    return receiveBytes(&heard, sizeof heard) && heard.kind == expected;
  }
  // The last word: why no module will run here.
  void refuse(std::string_view why) const {
    Refused refused;
    std::memcpy(refused.text, why.data(), std::min(why.size(), sizeof refused.text - 1));
    (void)send(refused);
  }

 private:
  bool sendBytes(const void* bytes, std::size_t size) const;
  // Exactly so many.
  bool receiveBytes(void* bytes, std::size_t size) const;

  const int fd_;
};

}  // namespace kante
