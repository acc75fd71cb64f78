// A host for one runner, played by the thread of a test: starts the real program with its
// descriptors, speaks to it over control socket and rings, and sleeps and rings as a host does.
#pragma once

#include <sys/types.h>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_file.h"
#include "sandbox/wire/start.h"

namespace kante {

class TestHost {
 public:
  // A frame that the runner sent.
  struct Said {
    Frame kind;
    FrameHead head;
    std::string text;
    MessageRef message;  // As scratch, with `words` set.
    std::string state;
    std::string body() const;
  };
  struct Options {
    std::uint32_t ring_bytes = kRingBytesMin;
    std::uint32_t tier = 2;
    std::string module_id;  // Empty: the library's own, "dev.kante.LIBRARY".
    bool routes = true;     // Gives credit for each emit that it has read.
    std::string program;    // Empty: kante-runner.
  };

  // A library of tests/kits/modules, "kit-source"; it is started and, if it can be, loaded.
  explicit TestHost(const std::string& library) : TestHost(library, Options{}) {}
  TestHost(const std::string& library, const Options& options);
  ~TestHost();  // Kills it, if it still runs.
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;

  // Why it is not loaded; empty: it is.
  const std::string& refused() const { return refused_; }
  const Facts& facts() const { return facts_; }
  const Loaded& loaded() const { return loaded_; }
  std::vector<std::string> names() const;
  pid_t pid() const { return pid_; }

  // Waits for room; shows it to the runner and wakes it.
  void send(const FrameOut& frame);
  void send(Frame kind, const std::string& json);
  void create(const std::string& config = "{}") { send(Frame::kCreate, config); }
  void input(const std::string& body, std::uint64_t token = 0, int hops = 1);
  void method(const std::string& name, std::uint64_t token, const std::string& arguments = "null");
  // From now on emits have credit.
  void activate();
  void giveCredit(std::uint32_t output, std::uint32_t count);

  // Reads what is there; true when there was something.
  bool pump();
  // Pumps until it holds; false when it does not in time.
  bool until(const std::function<bool()>& condition);
  // The first frame of this kind that was not taken yet, when it comes.
  std::optional<Said> next(Frame kind);
  // A log line that has this in it, when it comes.
  bool logged(const std::string& text);
  std::size_t countLogged(const std::string& text) const;
  std::vector<std::string> bodies() const;  // Of all emits.
  const std::deque<Said>& said() const { return said_; }
  std::uint64_t handled() const { return files_->runnerPage().handled.load(); }
  const RunnerPage& page() const { return files_->runnerPage(); }
  bool isBroken() const { return reader_->broken().has_value(); }
  std::string sendBroken() const { return out_->broken().value_or(""); }
  std::string broken() const { return reader_->broken().value_or(""); }

  void closeControl() { control_.reset(); }
  // Waits until it has ended; its exit code, or minus the signal.
  static constexpr int kStillRuns = 1000;
  int exitCode();
  // What it wrote to its standard output and error.
  std::string output() const;

 private:
  void spawn(const std::string& program, int module_fd, int read_only_fd, int runner_fd);
  void greet(const Options& options, const std::string& id);
  template <typename Struct>
  bool hear(Struct& heard);
  void wake(std::uint64_t wants);
  void publish();
  enum class For : std::uint8_t { kNews, kRoom };
  bool waitForBell(std::int64_t until_ns, For waits);

  std::optional<HostFiles> files_;
  FileDescriptor control_;
  FileDescriptor doorbell_;
  FileDescriptor output_;
  std::unique_ptr<PeerSleep> runner_sleep_;
  std::unique_ptr<OwnSleep> own_sleep_;
  std::unique_ptr<RingWriter> out_;
  std::unique_ptr<RingReader> in_;
  std::unique_ptr<FrameWriter> writer_;
  std::unique_ptr<FrameReader> reader_;
  bool routes_;
  bool is_active_ = false;
  std::array<std::uint32_t, kWireOutputsMax> emitted_{};
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  std::string refused_;
  Facts facts_;
  Loaded loaded_;
  std::deque<Said> said_;
  std::vector<bool> taken_;
};

// What a host builds of JSON text.
MessageRef bodyMessage(const std::string& body);

}  // namespace kante
