// A module that misbehaves in the way that its configuration names, {"act":"segv"}, from its first
// tick on: 100 ms after it was created, or 3 s where the configuration says "late", 20 s where it
// says "20s".  "at-once" is before that, "unready" never becomes ready.
#include <pthread.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "tests/kits/modules/kit_module.h"

namespace {

using namespace kante;

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"out", nullptr};

constexpr std::size_t kPage = 4096;

// The kernel writes there if anybody may, and says so if nobody may.
bool scribble(std::uint64_t address) {
  bool any = false;
  for (std::size_t at = 0; at < 65'536; at += 256)
    any = ::getrandom(reinterpret_cast<void*>(address + at), 256, 0) == 256 || any;
  return any;
}

// Every page whose address lies somewhere in the host's objects: the mapped files are among them.
std::set<std::uint64_t> pagesIn(const void* object, std::size_t bytes) {
  std::set<std::uint64_t> pages;
  std::vector<std::uint64_t> words(bytes / 8);
  std::memcpy(words.data(), object, bytes);
  for (const std::uint64_t word : words) {
    if (word > 1u << 20 && word < 1ull << 47 && word % kPage == 0) pages.insert(word);
  }
  return pages;
}

class Hostile : public kit::Module {
 public:
  Hostile(const kante_host* host, kante_msg* config) : Module(host, config) {
    if (has("at-once")) *null_ = 1;
    if (has("unready")) (void)extension<kante_lifecycle_v1>(KANTE_EXT_LIFECYCLE);
    timers_ = extension<kante_timers_v1>(KANTE_EXT_TIMERS);
    const std::int64_t after_ms = has("20s") ? 20'000 : has("late") ? 3'000 : 100;
    timers_->set(host_, 0, after_ms * 1'000'000, 10'000'000);
  }

  kante_status event(const kante_event& event) override {
    if (event.type == KANTE_EVENT_INPUT) return KANTE_OK;
    if (event.type != KANTE_EVENT_TIMER) return KANTE_E_UNSUPPORTED;
    act();
    return KANTE_OK;
  }

 private:
  void act() {
    if (has("segv")) *null_ = 1;
    if (has("loop")) {
      for (;;) spun_ = spun_ + 1;
    }
    if (has("allocate")) allocate();
    if (has("threads")) threads();
    if (has("fork")) (void)::fork();
    if (has("socket")) (void)::socket(AF_INET, SOCK_STREAM, 0);
    if (has("exit")) ::_exit(7);
    if (has("close")) {
      for (int fd = 0; fd < 64; ++fd) ::close(fd);
    }
    if (has("scribble")) {
      for (const std::uint64_t page : pagesIn(host_->ctx, 512)) (void)scribble(page);
      for (int i = 0; i < 100; ++i) (void)publish(0, "{}", 0);
    }
    if (has("change")) change();
    if (has("flood")) flood();
  }

  void allocate() {
    for (;;) {
      auto* block = static_cast<volatile char*>(std::malloc(1u << 20));
      if (block == nullptr) std::abort();
      for (std::size_t at = 0; at < 1u << 20; at += kPage) block[at] = 1;
    }
  }

  // As many as there may be.
  void threads() {
    const auto sleep = [](void*) -> void* {
      for (;;) ::pause();
    };
    pthread_t thread;
    while (::pthread_create(&thread, nullptr, sleep, nullptr) == 0) continue;
    ::_exit(8);
  }

  // Sends without end, and writes over what is on its way.
  void change() {
    if (changing_) {
      for (int i = 0; i < 1000; ++i) (void)publish(0, "{\"as\":\"sent\"}", 0);
      return;
    }
    changing_ = true;
    pages_ = pagesIn(host_->ctx, 512);
    pthread_t thread;
    (void)::pthread_create(
        &thread, nullptr,
        [](void* raw) -> void* {
          auto& self = *static_cast<Hostile*>(raw);
          for (;;) {
            for (const std::uint64_t page : self.pages_) {
              for (std::size_t at = 2 * kPage; at < 16 * kPage; at += 64)
                (void)::getrandom(reinterpret_cast<void*>(page + at), 8, 0);
            }
          }
        },
        this);
  }

  void flood() {
    const std::string line(200, 'f');
    for (int i = 0; i < 20'000; ++i) {
      log(line.c_str());
      if (::write(1, (line + "\n").data(), line.size() + 1) < 0) return;
    }
  }

  const kante_timers_v1* timers_ = nullptr;
  volatile int* volatile null_ = nullptr;
  volatile std::uint64_t spun_ = 0;
  bool changing_ = false;
  std::set<std::uint64_t> pages_;
};

}  // namespace

KIT_MODULE(Hostile, "e2e-hostile", kit::create<Hostile>);
