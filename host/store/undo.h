// What takes back a change in memory; there is one a message, so it allocates nothing of its own.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

namespace kante {

class Undo {
 public:
  template <typename Function>
  explicit Undo(Function function)
      : run_([](void* with) { (*std::launder(static_cast<Function*>(with)))(); }) {
    static_assert(sizeof(Function) <= kBytes && std::is_trivially_copyable_v<Function>);
    ::new (static_cast<void*>(with_)) Function(function);
  }
  void operator()() { run_(with_); }

 private:
  static constexpr std::size_t kBytes = 96;
  void (*run_)(void*);
  alignas(8) std::byte with_[kBytes];
};

}  // namespace kante
