// The memory that tells the next start which module brought the host down.
//
// A file in data_dir, mapped and shared, so that what is written survives the process: the names of
// the modules and one CallbackSlot a shard.  The handler of SIGSEGV, SIGBUS, SIGILL, SIGFPE and
// SIGABRT marks the slot of the thread that dies inside a callback, then lets the signal kill.
// Without a mark (SIGKILL, power, out of memory) nobody is blamed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/base/result.h"
#include "host/shard/callback_slot.h"

namespace kante {

struct Blame {
  std::string module;  // Its name in the deployment.
  std::string digest;  // Of its bundle: another one under that name is not to blame.
  std::string reason;  // "SIGSEGV at 0x0 in event INPUT"
  std::vector<std::uint64_t>
      message;  // Words that it was handling; empty: none, or too long to keep.
};

// A message of a durable queue that a module was handling when the process ended.
struct InterruptedDelivery {
  std::string module;
  std::uint32_t queue = 0;  // DurableQueue::id()
  std::uint8_t priority = 0;
  std::uint64_t position = 0;
  std::uint64_t id_high = 0;
  std::uint64_t id_low = 0;
  // Whether the module ended the process with it; else something else did.
  enum class By : std::uint8_t { kModule, kOther } by = By::kOther;
};

class CrashPage {
 public:
  static constexpr std::uint32_t kSlots = 16;       // Shards.
  static constexpr std::uint32_t kModules = 256;    // Instances at once; index 0 is "none".
  static constexpr std::uint32_t kNameBytes = 192;  // "NAME DIGEST", cut.

  // Opens data_dir/crash.page; what an earlier life left in it is in blame(), and the page is
  // clean.
  static Result<std::unique_ptr<CrashPage>> open(int data_dir_fd);
  // One that is not kept, for tests and benchmarks.
  static std::unique_ptr<CrashPage> inMemory();
  ~CrashPage();
  CrashPage(const CrashPage&) = delete;
  CrashPage& operator=(const CrashPage&) = delete;

  const std::optional<Blame>& blame() const { return blame_; }
  const std::vector<InterruptedDelivery>& interrupted() const { return interrupted_; }
  CallbackSlot* slot(std::uint32_t shard);
  // An index to note in slots; control thread.  kLimit when all are taken.
  Result<std::uint32_t> addModule(const std::string& name, const std::string& digest);
  void removeModule(std::uint32_t index);
  std::string moduleName(std::uint32_t index) const;

  // Installs the handlers for this page; one page a process.  armThread() gives the calling thread
  // its own signal stack and slot; disarmThread() takes them back.
  void installHandlers();
  static void armThread(CallbackSlot* slot);
  static void disarmThread();

 private:
  struct Page;
  explicit CrashPage(Page* page) : page_(page) {}
  void readBlame();
  void readInterrupted();
  Page* page_;
  std::optional<Blame> blame_;
  std::vector<InterruptedDelivery> interrupted_;
};

}  // namespace kante
