// Direct methods: a call to a principal, by name, with JSON in and JSON out and a deadline.
//
// Who may call whom is decided before (methodGranted); here a call finds its target, is counted
// against the bounds, and ends exactly once: with the answer, or with one of the statuses below.
// Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace boost::asio {
class io_context;
}

namespace kante {

// True when one of the grants ("module/NAME/METHOD", "device/ID/METHOD"; a part that is `*` stands
// for any one part, `*` alone for everything) covers the method of the target principal.
bool methodGranted(const std::vector<std::string>& grants, std::string_view target,
                   std::string_view method);
// Whether everything that `narrow` covers is covered by `wide`.
bool grantCovers(std::string_view wide, std::string_view narrow);

struct MethodRequest {
  std::string target;  // Principal: "module/filter", "device/ID".
  std::string name;
  std::string payload = "null";  // JSON text.
  std::string caller = {};       // Principal, for logs and for the target.
  std::chrono::milliseconds timeout{30'000};
  // How long to wait for a target that is not there; its timeout begins when it is.
  std::chrono::milliseconds connect_timeout{0};
};

// What a target is handed.
struct MethodCall {
  std::uint64_t id = 0;  // For Methods::reply.
  std::string name;
  std::string payload;
  std::string caller;
  std::string target = {};
  std::chrono::milliseconds timeout{0};
};

// Statuses that are ours; any other comes from the target.
inline constexpr int kMethodBadRequest = 400;  // Name, payload or timeout break a rule.
inline constexpr int kMethodNotFound = 404;  // The target is not there, or left before it answered.
inline constexpr int kMethodTooMany = 429;   // A bound on calls in flight is reached.
inline constexpr int kMethodUnavailable = 503;  // Nobody answers for now; see pause().
inline constexpr int kMethodTimeout = 504;      // No answer before the deadline.

class Methods {
 public:
  static constexpr std::size_t kNameCharsMax = 100;
  static constexpr std::size_t kPayloadBytesMax = 128 * 1024;
  static constexpr std::size_t kInFlightMax = 1024;
  static constexpr std::size_t kInFlightPerTargetMax = 64;
  static constexpr std::chrono::milliseconds kTimeoutMax{300'000};  // As IoT Hub.
  static constexpr std::size_t kWaitingMax = 256;  // Calls whose target is not there yet.

  explicit Methods(boost::asio::io_context& control);
  // Drops the calls in flight without calling back.
  ~Methods();
  Methods(const Methods&) = delete;
  Methods& operator=(const Methods&) = delete;

  // Told of each call; answers with reply(), at once or later.
  using Handler = std::function<void(MethodCall call)>;
  // One handler a principal; a later one takes over (hot upgrade), and calls that the earlier one
  // has stay its own.  Dropping the handle ends it: its open calls end with 404.
  using Registration = std::shared_ptr<void>;
  // `answer_bytes_max`: more than a principal's for what the gateway itself answers.
  [[nodiscard]] Registration add(const std::string& principal, Handler handler,
                                 std::size_t answer_bytes_max = kPayloadBytesMax);
  bool has(const std::string& principal) const;

  // Who is asked for principals that nobody here answers for, if it `serves` them.  Empty: nobody.
  struct Elsewhere {
    std::function<bool(const std::string& principal)> serves;
    Handler handler;
  };
  void setElsewhere(Elsewhere elsewhere);

  // payload: JSON text, of the answer or {"message": "…"} for our own statuses.
  using Answer = std::function<void(int status, std::string payload)>;
  // `answer` is called once, never before invoke() returned.
  void invoke(MethodRequest request, Answer answer);

  // kNotFound: unknown, answered already, or too late; kInvalid: not JSON or over the bound (the
  // caller then gets 500).  An empty payload is null.
  Status reply(std::uint64_t id, int status, std::string payload);

  // Until resume() every call ends with 503 and this text at once, those in flight first.
  void pause(const std::string& why);
  void resume();
  // Until everybodyCame() who is not there may come yet: calls of him end with 503 and this text.
  void expectMore(const std::string& why);
  void everybodyCame();
  // He is there, or a call of him says when to try again.
  bool answersFor(const std::string& principal) const;

  std::size_t inFlight() const;
  std::uint64_t lateReplies() const;  // Dropped since start.

 private:
  struct State;
  std::shared_ptr<State> state_;  // Shared weakly with timers and registrations.
};

}  // namespace kante
