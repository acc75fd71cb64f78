// The strand of a module in a runner: takes what the host sends, calls the module, and sleeps.
//
// One turn takes a slice of frames, then timers, outputs with room and inputs that were put off,
// and shows the host at its end what came of it.  Without work it yields for the price of a wake,
// as long as that pays, and then sleeps until the host, a timer or a thread of the module wakes it.
#pragma once

#include <kante/module.h>

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/runner/descriptors.h"
#include "sandbox/runner/remote_port.h"
#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_file.h"

namespace kante {

class Loop {
 public:
  static constexpr int kSlice = 64;                      // Frames a turn.
  static constexpr std::uint32_t kAgainFirstMs = 100;    // Rest after KANTE_E_AGAIN from an INPUT,
  static constexpr std::uint32_t kAgainLastMs = 30'000;  // doubling up to this.
  static constexpr std::int64_t kSpinNs = 20'000;        // What a wake costs.
  static constexpr std::uint32_t kVainMax = 4;           // Spins in vain, in a row, after which …
  static constexpr std::uint32_t kSkip = 16;             // … one in so many is tried.

  // `entry` has been checked; `control` brings descriptors.
  Loop(const RunnerFiles& files, const kante_entry& entry, int doorbell, int control);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until DESTROY; the module is gone then.  What broke, if anything.
  std::optional<std::string> run();

 private:
  // A kante_event, as far as it is not the same for all.
  struct Event {
    std::uint32_t type = 0;
    std::uint32_t id = 0;
    kante_status status = KANTE_OK;
    std::uint64_t token = 0;
    std::uint64_t arg = 0;
    std::string_view name = {};
    kante_msg* message = nullptr;
  };
  struct Input {
    Event event;  // Its name is `sender`.
    std::uint8_t hops;
    std::string sender;
    MessageRef message;
  };
  enum class Took : std::uint8_t { kHandled, kPutOff };

  enum class Turn : std::uint8_t { kNothing, kAll, kSome };  // What it did of what there was.
  Turn turn();
  void takeFrame();
  void done();
  void sleep();
  bool spin();
  // Of those that are made here: timers and room.
  bool takesEvents() const { return module_ != nullptr && !holding_; }
  RemotePort::Events events() const {
    return takesEvents() ? RemotePort::Events::kTaken : RemotePort::Events::kHeld;
  }

  void create();
  void destroy();
  void restore();
  void input();
  Took deliver(const Event& input, std::uint8_t hops);
  bool deliverPutOff();
  void rest();
  void method();
  void save();
  void drain();
  void tell(const Event& event);
  kante_status call(const Event& event);
  kante_msg* frameMessage();

  const RunnerFiles& files_;
  const kante_entry& entry_;
  const int control_;
  Descriptors descriptors_;
  Waker waker_;
  PeerSleep host_sleep_;
  OwnSleep own_sleep_;
  RingReader ring_;
  FrameReader reader_;
  RemotePort port_;
  kante_host host_;
  kante_module* module_ = nullptr;
  FrameIn frame_;

  bool over_ = false;
  bool holding_ = false;       // Events wait: from SAVE to RESUME or DRAIN.
  bool recalled_ = false;      // Inputs go back, because one before them failed: until RESUME.
  bool takes_inputs_ = true;   // Until DRAIN; those that wait go back to the host.
  std::deque<Input> put_off_;  // The first said KANTE_E_AGAIN; bounded by kInputCredit.
  std::uint32_t again_ms_ = 0;
  std::int64_t rests_until_ns_ = 0;  // 0: it does not rest.
  std::uint32_t vain_ = 0;
  std::uint32_t skipped_ = 0;
};

}  // namespace kante
