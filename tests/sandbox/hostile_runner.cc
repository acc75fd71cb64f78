// A runner that keeps no rule: started as kante-runner is, it greets in order and then does what
// the last part of the module's id says ("dev.kante.hostile.head-back").  It is not confined, so it
// can do more harm than any module.
//
// With its CREATE it begins to do:
//   head-back, head-odd, head-ahead, tail-back, tail-ahead, tail-odd     indices
//   words-none, words-many, words-beyond, pad-short, pad-alone           record headers
//   kind, flags, field, text, message, without, part, parts              frames
//   parts-never      a state of 16 MiB of which only the first part ever comes
//   changing         orderly emits that a thread changes while they are read
//   scribble         random bytes all over its file, and the doorbell all the time
//   bell             the doorbell all the time, and nothing else
//   asleep           a new sleep each time somebody looks
//   block-bell       a doorbell on which its other readers and writers would block
//   handled-ahead, handled-back                                          counters
//   credit           emits without end, whatever the credit
//   log              log lines without end
//   strangers        answers, settlements and metrics that nobody asked for, all well-formed
//   hole             its file becomes a hole under the host's eyes
//   writes-host      tries to write the host's file; ends with 0 if it can, else 1
//   silent           nothing
//   exit, crash      ends
// Before that: mute (not even a greeting), version, names (a LOADED of garbage), babble (random
// messages on the control socket), descriptors (files that nobody asked for, with the greeting).
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_file.h"
#include "sandbox/wire/start.h"

namespace {

using namespace kante;
using Words = std::vector<std::uint64_t>;

std::uint64_t header(std::uint32_t words, std::uint16_t kind, std::uint16_t flags = 0) {
  return words | std::uint64_t{kind} << 32 | std::uint64_t{flags} << 48;
}

Words frame(Frame kind, const FrameHead& head, std::size_t more = 0, std::uint16_t flags = 0) {
  Words words(5 + more);
  words[0] =
      header(static_cast<std::uint32_t>(words.size()), static_cast<std::uint16_t>(kind), flags);
  std::memcpy(&words[1], &head, sizeof head);
  return words;
}

Words message(const std::string& body) {
  kante_message said{};
  said.body = {body.data(), body.size()};
  Words words(kante_message_words(&said));
  kante_message_write(&said, words.data(), static_cast<std::uint32_t>(words.size()));
  return words;
}

class Hostile {
 public:
  explicit Hostile(RunnerFiles& files) : files_(files), page_(files.page()) {
    const std::string body(200, 'x');
    message_ = message(body);
  }

  int act(const std::string& what) {
    const auto at = acts().find(what);
    if (at == acts().end()) return 9;
    at->second(*this);
    return stay();
  }

 private:
  using Act = std::function<void(Hostile&)>;
  static const std::map<std::string, Act>& acts();

  std::uint64_t* ring() { return reinterpret_cast<std::uint64_t*>(files_.ringToHost()); }
  std::uint64_t ringWords() const { return files_.ringBytes() / 8; }
  void bell() {
    const std::uint64_t one = 1;
    (void)!::write(kRunnerDoorbellFd, &one, sizeof one);
  }
  void head(std::uint64_t value) {
    page_.end.head.store(value);
    bell();
  }
  // Whatever these words are, they are at the head now.
  void say(const Words& words) {
    const std::uint64_t place = at_ / 8 % ringWords();
    for (std::size_t i = 0; i < words.size(); ++i) ring()[(place + i) % ringWords()] = words[i];
    at_ += words.size() * 8;
    head(at_);
  }
  void emit(std::uint32_t output = 0, std::uint64_t hops = 1) {
    Words words = frame(
        Frame::kEmit,
        {.id = output, .arg = hops, .message_words = static_cast<std::uint32_t>(message_.size())},
        message_.size());
    std::copy(message_.begin(), message_.end(), words.begin() + 5);
    orderly(words);
  }
  void log(const std::string& text) {
    Words words =
        frame(Frame::kLog, {.id = 2, .text_bytes = static_cast<std::uint32_t>(text.size())},
              (text.size() + 7) / 8);
    std::memcpy(&words[5], text.data(), text.size());
    orderly(words);
  }
  // As the rules want it: with room, and a PAD at the end.
  void orderly(const Words& words) {
    const std::uint64_t bytes = words.size() * 8;
    const std::uint64_t to_end = files_.ringBytes() - at_ % files_.ringBytes();
    const std::uint64_t pad = bytes > to_end ? to_end : 0;
    while (at_ + pad + bytes - files_.hostPage().end.tail.load() > files_.ringBytes())
      ::sched_yield();
    if (pad != 0) {
      ring()[at_ / 8 % ringWords()] = header(static_cast<std::uint32_t>(pad / 8), 0);
      at_ += pad;
    }
    say(words);
  }
  void created() { orderly(frame(Frame::kCreated, {})); }
  void untilTaken() {
    while (files_.hostPage().end.tail.load() != at_) ::sched_yield();
  }
  [[noreturn]] int stay() {
    for (;;) ::pause();
  }

  void changing();
  void scribble();
  void strangers();
  void hole();
  void blockBell();

  RunnerFiles& files_;
  RunnerPage& page_;
  Words message_;
  std::uint64_t at_ = 0;
  std::mt19937_64 random_{1};
};

// Each is well-formed when it is published; a thread changes words of the ring all the time.
void Hostile::changing() {
  created();
  std::thread([this] {
    std::mt19937_64 random(2);
    for (;;) {
      const std::uint64_t place = random() % ringWords();
      std::atomic_ref<std::uint64_t> word(ring()[place]);
      const std::uint64_t was = word.load(std::memory_order_relaxed);
      word.store(random(), std::memory_order_relaxed);
      word.store(was, std::memory_order_relaxed);
    }
  }).detach();
  for (;;) emit();
}

void Hostile::scribble() {
  auto* words = reinterpret_cast<std::uint64_t*>(&page_);
  const std::size_t count = (kSharedPageBytes + files_.ringBytes()) / 8;
  for (;;) {
    for (int i = 0; i < 1000; ++i) words[random_() % count] = random_();
    // Its indices in particular, for they are few among many.
    page_.end.head.store(random_() % 4096 * 8);
    bell();
  }
}

void Hostile::strangers() {
  created();
  orderly(frame(Frame::kSettle, {.status = -1, .token = 77}));
  orderly(frame(Frame::kSettle, {.token = ~0ull}));
  orderly(frame(Frame::kSettle, {.status = 5, .token = 1}));
  orderly(frame(Frame::kReply, {.status = 200, .token = 12345}));
  orderly(frame(Frame::kEventEnded, {.id = KANTE_EVENT_METHOD, .status = -1, .token = 99}));
  orderly(frame(Frame::kEventEnded, {.id = KANTE_EVENT_SAVE, .token = 99}));
  orderly(frame(Frame::kEventEnded, {.id = 4'000'000'000, .status = -1}));
  orderly(frame(Frame::kSaved, {.token = 4}));
  orderly(frame(Frame::kRestored, {}));
  orderly(frame(Frame::kDrained, {}));
  orderly(frame(Frame::kReady, {}));
  orderly(frame(Frame::kAddMetric, {.id = 4'000'000'000, .arg = 1}));
  orderly(frame(Frame::kRecordMetric, {.id = 1, .arg = 0x7ff8000000000000}));
  orderly(frame(Frame::kDefineMetric, {.id = 63, .arg = 99}));
  orderly(frame(Frame::kDefer, {.arg = ~0ull}));
  orderly(frame(Frame::kLog, {.id = 4'000'000'000}));
  emit(4'000'000'000);
  emit(0, ~0ull);
  orderly(frame(Frame::kCreated, {}));
}

void Hostile::hole() {
  created();
  emit();
  // The ring only: the page of counters goes on being used.
  void* at = &page_;
  (void)::madvise(static_cast<std::byte*>(at) + kSharedPageBytes, files_.ringBytes(), MADV_REMOVE);
  at_ += 4096;
  head(at_);
}

void Hostile::blockBell() {
  created();
  const int flags = ::fcntl(kRunnerDoorbellFd, F_GETFL);
  (void)::fcntl(kRunnerDoorbellFd, F_SETFL, flags & ~O_NONBLOCK);
  const std::uint64_t most = UINT64_MAX - 1;
  std::thread([most] { (void)!::write(kRunnerDoorbellFd, &most, sizeof most); }).detach();
  for (;;) emit();
}

// Long because: a list, one act after the other.
const std::map<std::string, Hostile::Act>& Hostile::acts() {
  using H = Hostile;
  static const std::map<std::string, Act> all = {
      {"head-back", [](H& h) { h.created(), h.untilTaken(), h.head(8); }},
      {"head-odd", [](H& h) { h.head(41); }},
      {"head-ahead", [](H& h) { h.head(UINT64_MAX - 7); }},
      {"tail-back", [](H& h) { h.created(), h.page_.end.tail.store(UINT64_MAX), h.bell(); }},
      {"tail-ahead", [](H& h) { h.created(), h.page_.end.tail.store(1ull << 40), h.bell(); }},
      {"tail-odd", [](H& h) { h.created(), h.page_.end.tail.store(9), h.bell(); }},
      {"words-none",
       [](H& h) {
         h.say({header(0, 67), 0});
       }},
      {"words-many",
       [](H& h) {
         h.say({header(UINT32_MAX, 67), 0});
       }},
      {"words-beyond",
       [](H& h) {
         h.say({header(3, 67), 0});
       }},
      {"pad-short",
       [](H& h) {
         h.say({header(2, 0), 0});
       }},
      {"pad-alone",
       [](H& h) {
         // Up to 64 words before the end, and then only a PAD.
         const std::uint64_t end = h.files_.ringBytes() / 8 - 64;
         while (h.at_ / 8 + 1029 <= end)
           h.orderly(frame(Frame::kLog, {.id = 0, .text_bytes = 8192}, 1024));
         while (h.at_ / 8 + 5 <= end) h.orderly(frame(Frame::kReady, {}));
         const std::uint64_t left = h.files_.ringBytes() / 8 - h.at_ / 8;
         Words pad(left);
         pad[0] = header(static_cast<std::uint32_t>(left), 0);
         h.say(pad);
       }},
      {"kind", [](H& h) { h.say(frame(static_cast<Frame>(999), {})); }},
      {"flags", [](H& h) { h.say(frame(Frame::kDrained, {}, 0, 0x8000)); }},
      {"field", [](H& h) { h.say(frame(Frame::kDrained, {.token = 1})); }},
      {"text", [](H& h) { h.say(frame(Frame::kLog, {.text_bytes = UINT32_MAX}, 2)); }},
      {"message",
       [](H& h) { h.say(frame(Frame::kEmit, {.message_words = UINT32_MAX}, 2, kMore)); }},
      {"without", [](H& h) { h.say(frame(Frame::kEmit, {})); }},
      {"part",
       [](H& h) {
         h.say({header(2, 1), 0});
       }},
      {"parts",
       [](H& h) {
         h.say(frame(Frame::kEmit, {.message_words = 9}, 2, kMore));
         h.say(frame(Frame::kDrained, {}));
       }},
      {"parts-never",
       [](H& h) {
         h.created();
         h.say(frame(Frame::kSaved, {.status = 8, .message_words = 2'097'152}, 8, kMore));
       }},
      {"changing", [](H& h) { h.changing(); }},
      {"scribble", [](H& h) { h.scribble(); }},
      {"bell",
       [](H& h) {
         h.created();
         for (;;) h.bell();
       }},
      {"asleep",
       [](H& h) {
         h.created();
         for (std::uint64_t epoch = 1;; ++epoch)
           h.page_.end.sleep.store(epoch << kWantsBits | kWantsData | kWantsSpace | kWantsCredit);
       }},
      {"block-bell", [](H& h) { h.blockBell(); }},
      {"handled-ahead", [](H& h) { h.created(), h.page_.handled.store(1ull << 60), h.bell(); }},
      {"handled-back",
       [](H& h) {
         h.created();
         h.page_.handled.store(UINT64_MAX);
         h.bell();
       }},
      {"credit",
       [](H& h) {
         h.created();
         for (;;) h.emit();
       }},
      {"log",
       [](H& h) {
         h.created();
         for (;;) h.log("the same line over and over, \xff\xfe\x01 which is no text either");
       }},
      {"strangers", [](H& h) { h.strangers(); }},
      {"hole", [](H& h) { h.hole(); }},
      {"silent", [](H&) {}},
      {"exit",
       [](H& h) {
         h.created();
         ::_exit(0);
       }},
      {"crash",
       [](H& h) {
         h.created();
         (void)::raise(SIGSEGV);
         ::_exit(1);
       }},
  };
  return all;
}

// Whether the host's file can be changed by any means that this knows; before the mappings are
// made.
bool canWriteHostFile() {
  struct stat facts {};
  (void)::fstat(kRunnerHostFileFd, &facts);
  const auto bytes = static_cast<std::size_t>(facts.st_size);
  bool can = false;
  void* map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kRunnerHostFileFd, 0);
  can = can || map != MAP_FAILED;
  map = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, kRunnerHostFileFd, 0);
  can = can || ::mprotect(map, bytes, PROT_READ | PROT_WRITE) == 0;
  can = can || ::ftruncate(kRunnerHostFileFd, 0) == 0;
  can = can || ::pwrite(kRunnerHostFileFd, "x", 1, 0) == 1;
  const std::string path = "/proc/self/fd/" + std::to_string(kRunnerHostFileFd);
  const int again = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  can = can || (again >= 0 && ::pwrite(again, "x", 1, 0) == 1);
  map = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
  return can || map != MAP_FAILED;
}

template <typename Struct>
void send(const Struct& said) {
  (void)::send(kRunnerControlFd, &said, sizeof said, MSG_NOSIGNAL);
}

template <typename Struct>
bool receive(Struct& heard) {
  return ::recv(kRunnerControlFd, &heard, sizeof heard, 0) == sizeof heard;
}

void babble() {
  std::mt19937_64 random(3);
  for (;;) {
    std::uint64_t words[64];
    for (auto& word : words) word = random();
    words[0] = random() % 8;  // A kind, now and then.
    (void)::send(kRunnerControlFd, words, random() % sizeof words, MSG_NOSIGNAL);
  }
}

void sendDescriptors(const Hello& hello) {
  Hello said = hello;
  iovec place{&said, sizeof said};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int) * 100)] = {};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int) * 100);
  for (int i = 0; i < 100; ++i) std::memcpy(CMSG_DATA(head) + i * 4, "\0\0\0\0", 4);
  (void)::sendmsg(kRunnerControlFd, &message, MSG_NOSIGNAL);
}

// What it is to be is known only after the greeting; so the bad greetings are told by the program's
// name: hostile-runner is also run by links named "mute", "version", "babble" and "descriptors".
bool greet(const std::string& name) {
  Hello hello;
  hello.wire_version = kWireVersion;
  hello.pid = ::getpid();
  if (name == "mute") {
    for (;;) ::pause();
  }
  if (name == "babble") babble();
  if (name == "version") hello.wire_version = kWireVersion + 1;
  if (name == "descriptors") {
    sendDescriptors(hello);
  } else {
    send(hello);
  }
  return true;
}

}  // namespace

int main(int, char** argv) {
  const std::string path = argv[0];
  (void)greet(path.substr(path.rfind('/') + 1));
  Start start;
  if (!receive(start)) return 5;
  const std::string id(start.module_id, ::strnlen(start.module_id, sizeof start.module_id));
  const std::string what = id.substr(id.rfind('.') + 1);
  if (what == "writes-host") return canWriteHostFile() ? 0 : 1;
  auto files = RunnerFiles::map(kRunnerHostFileFd, kRunnerRunnerFileFd, start.ring_bytes);
  if (files.has_error()) return 6;
  Facts facts;  // As good as they get; what is seen from outside does not agree.
  facts.landlock_abi = 7;
  facts.no_new_privs = 1;
  facts.seccomp_mode = 2;
  facts.refused = facts.tried = 10;
  send(facts);
  Load load;
  if (!receive(load)) return 5;
  Loaded loaded;
  std::memcpy(loaded.names, "in\0out", 7);
  loaded.inputs = loaded.outputs = loaded.has_filter2 = 1;
  std::memcpy(loaded.version, "1.0.0", 5);
  if (what == "names") {
    loaded.inputs = 4'000'000'000;
    std::memset(loaded.names, 'n', sizeof loaded.names);
    std::memset(loaded.version, 'v', sizeof loaded.version);
  }
  send(loaded);
  while (files->hostPage().end.head.load() == 0) ::sched_yield();  // CREATE.
  return Hostile(*files).act(what);
}
