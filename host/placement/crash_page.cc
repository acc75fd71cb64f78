#include "host/placement/crash_page.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>

#include "host/base/fd.h"

namespace kante {

namespace {

constexpr std::uint64_t kMagic = 0x3230475041524b4bu;  // Changes with the layout below.
constexpr std::array<int, 5> kDeadly{SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

thread_local constinit CallbackSlot* t_slot = nullptr;
thread_local constinit void* t_stack = nullptr;

// Async-signal-safe: plain stores to mapped memory.
void mark(CallbackSlot& slot, int signal_number, std::uint64_t address) {
  slot.signal = static_cast<std::uint32_t>(signal_number);
  slot.address = address;
  slot.dead_module = slot.module.load(std::memory_order_relaxed);
  slot.dead_event = slot.event.load(std::memory_order_relaxed);
  slot.dead_words = 0;
  slot.mark.store(1, std::memory_order_release);
  // Last, because it may fault: the message may be what the module destroyed.
  const std::uint32_t count = slot.word_count.load(std::memory_order_relaxed);
  const std::uint64_t* words = slot.words.load(std::memory_order_relaxed);
  if (words == nullptr || count > kCrashMessageWordsMax) return;
  for (std::uint32_t i = 0; i < count; ++i) slot.message[i] = words[i];
  slot.dead_words = count;
}

void onDeadlySignal(int signal_number, siginfo_t* info, void*) {
  CallbackSlot* slot = t_slot;
  // Default action first: a fault inside mark() then simply kills.
  ::signal(signal_number, SIG_DFL);
  ::signal(SIGSEGV, SIG_DFL);
  ::signal(SIGBUS, SIG_DFL);
  if (slot != nullptr && (slot->sequence.load(std::memory_order_relaxed) & 1) != 0 &&
      slot->mark.load(std::memory_order_relaxed) == 0) {
    mark(*slot, signal_number, reinterpret_cast<std::uint64_t>(info->si_addr));
  }
  ::raise(signal_number);
}

const char* eventName(std::uint32_t event) {
  static constexpr const char* kNames[] = {
      "create or destroy", "INPUT", "METHOD", "DESIRED", "TIMER",  "DONE",
      "WRITABLE",          "DRAIN", "HEALTH", "SAVE",    "RESTORE"};
  return event < std::size(kNames) ? kNames[event] : "unknown";
}

}  // namespace

struct CrashPage::Page {
  std::uint64_t magic;
  char modules[kModules][kNameBytes];
  CallbackSlot slots[kSlots];
};

Result<std::unique_ptr<CrashPage>> CrashPage::open(int data_dir_fd) {
  KANTE_TRY(file, openAt(data_dir_fd, "crash.page", O_RDWR | O_CREAT | O_NOFOLLOW));
  const off_t old_size = ::lseek(file.get(), 0, SEEK_END);
  if (::ftruncate(file.get(), sizeof(Page)) != 0) return failErrno("crash.page");
  // Allocated for real: on a full disk a store to a hole would be a SIGBUS.
  if (const int error = ::posix_fallocate(file.get(), 0, sizeof(Page)); error != 0) {
    return failErrno("crash.page", error);
  }
  void* memory = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return failErrno("crash.page");
  std::unique_ptr<CrashPage> page(new CrashPage(static_cast<Page*>(memory)));
  if (old_size == sizeof(Page) && page->page_->magic == kMagic) {
    page->readBlame();
    page->readInterrupted();
  }
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    CallbackSlot& slot = page->page_->slots[i];
    slot.mark.store(0);
    slot.queue.store(0);
    slot.sequence.store(0);
  }
  for (auto& module : page->page_->modules) module[0] = 0;
  page->page_->magic = kMagic;
  return page;
}

std::unique_ptr<CrashPage> CrashPage::inMemory() {
  void* memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  KANTE_ASSERT(memory != MAP_FAILED);
  return std::unique_ptr<CrashPage>(new CrashPage(static_cast<Page*>(memory)));
}

CrashPage::~CrashPage() { ::munmap(page_, sizeof(Page)); }

void CrashPage::readBlame() {
  for (std::uint32_t i = 0; i < kSlots && !blame_; ++i) {
    CallbackSlot& slot = page_->slots[i];
    const std::uint32_t kind = slot.mark.load();
    if (kind == 0 || slot.dead_module == 0 || slot.dead_module >= kModules) continue;
    const std::string named = moduleName(slot.dead_module);
    const std::size_t space = named.find(' ');
    if (space == std::string::npos) continue;
    Blame blame;
    blame.module = named.substr(0, space);
    blame.digest = named.substr(space + 1);
    if (kind == 1) {
      const char* signal_name = ::sigabbrev_np(static_cast<int>(slot.signal));
      blame.reason =
          fmt::format("SIG{} at {:#x} in event {}", signal_name == nullptr ? "?" : signal_name,
                      slot.address, eventName(slot.dead_event));
    } else {
      blame.reason =
          fmt::format("a callback over the hard limit in event {}", eventName(slot.dead_event));
    }
    const std::uint32_t words = std::min(slot.dead_words, kCrashMessageWordsMax);
    blame.message.assign(slot.message.begin(), slot.message.begin() + words);
    blame_ = std::move(blame);
  }
}

void CrashPage::readInterrupted() {
  for (const CallbackSlot& slot : page_->slots) {
    const bool marked = slot.mark.load() != 0;
    const std::uint32_t queue = slot.queue.load();
    if (queue == 0 || (!marked && slot.sequence.load() % 2 == 0)) continue;
    const std::string named = moduleName(marked ? slot.dead_module : slot.module.load());
    InterruptedDelivery& delivery = interrupted_.emplace_back();
    delivery.module = named.substr(0, named.find(' '));
    delivery.queue = queue;
    delivery.priority = static_cast<std::uint8_t>(slot.priority.load());
    delivery.position = slot.position.load();
    delivery.id_high = slot.id_high.load();
    delivery.id_low = slot.id_low.load();
    delivery.by = marked ? InterruptedDelivery::By::kModule : InterruptedDelivery::By::kOther;
  }
}

CallbackSlot* CrashPage::slot(std::uint32_t shard) {
  KANTE_ASSERT(shard < kSlots);
  return &page_->slots[shard];
}

Result<std::uint32_t> CrashPage::addModule(const std::string& name, const std::string& digest) {
  for (std::uint32_t i = 1; i < kModules; ++i) {
    if (page_->modules[i][0] != 0) continue;
    const std::string text = (name + " " + digest).substr(0, kNameBytes - 1);
    std::memcpy(page_->modules[i], text.c_str(), text.size() + 1);
    return i;
  }
  return fail(Errc::kLimit, fmt::format("more than {} module instances at once", kModules - 1));
}

void CrashPage::removeModule(std::uint32_t index) { page_->modules[index][0] = 0; }

std::string CrashPage::moduleName(std::uint32_t index) const {
  if (index == 0 || index >= kModules) return {};
  return {page_->modules[index], ::strnlen(page_->modules[index], kNameBytes)};
}

void CrashPage::installHandlers() {
  struct sigaction action {};
  action.sa_sigaction = onDeadlySignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : kDeadly) ::sigaction(signal_number, &action, nullptr);
}

void CrashPage::armThread(CallbackSlot* slot) {
  t_slot = slot;
  constexpr std::size_t kStackBytes = 16384;
  t_stack = std::malloc(kStackBytes);
  stack_t stack{};
  stack.ss_sp = t_stack;
  stack.ss_size = kStackBytes;
  if (t_stack != nullptr) ::sigaltstack(&stack, nullptr);
}

void CrashPage::disarmThread() {
  t_slot = nullptr;
  stack_t off{};
  off.ss_flags = SS_DISABLE;
  ::sigaltstack(&off, nullptr);
  std::free(std::exchange(t_stack, nullptr));
}

}  // namespace kante
