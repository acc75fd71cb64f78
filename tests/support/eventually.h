// Waiting in tests for something that another thread or process brings about.
#pragma once

#include <chrono>
#include <thread>

namespace kante {

// True as soon as condition() is; false when it is not by the deadline, which is generous because a
// loaded machine must not fail a test.  Prefer to wait on the event itself where there is one.
template <typename Condition>
bool eventually(Condition condition,
                std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace kante
