#include "host/uplink/library_guard.h"

#include <dlfcn.h>

#include <csetjmp>
#include <cstdlib>

namespace {

thread_local sigjmp_buf* guard = nullptr;

}  // namespace

// Stands in glibc's place for the whole process, libraries and modules included.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is glibc's.
extern "C" [[noreturn]] void __assert_fail(const char* assertion, const char* file, unsigned line,
                                           const char* function) noexcept {
  if (guard != nullptr) siglongjmp(*guard, 1);
  using Fail = void (*)(const char*, const char*, unsigned, const char*);
  if (const auto fail = reinterpret_cast<Fail>(::dlsym(RTLD_NEXT, "__assert_fail")))
    fail(assertion, file, line, function);
  std::abort();
}

namespace kante {

int LibraryGuard::run(Call call, void* argument, int otherwise) {
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) {
    guard = nullptr;
    return otherwise;
  }
  guard = &here;
  const int result = call(argument);
  guard = nullptr;
  return result;
}

LibraryGuard::Pause::Pause() : guard_(guard) { guard = nullptr; }
LibraryGuard::Pause::~Pause() { guard = static_cast<sigjmp_buf*>(guard_); }

}  // namespace kante
