#include "host/hub/methods.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <map>
#include <utility>

#include "host/base/json.h"

namespace kante {
namespace {

constexpr JsonBounds kPayloadBounds{Methods::kPayloadBytesMax, 64};
constexpr int kBadAnswer = 500;

// The payload of our own statuses.
std::string message(const std::string& text) {
  return writeJson(boost::json::object{{"message", text}});
}

std::size_t characters(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

// Splits "a/b/c" at the front.
std::string_view nextPart(std::string_view& rest) {
  const auto slash = rest.find('/');
  const std::string_view part = rest.substr(0, slash);
  rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
  return part;
}

}  // namespace

bool grantCovers(std::string_view wide, std::string_view narrow) {
  if (wide == "*") return true;
  while (!wide.empty() && !narrow.empty()) {
    const std::string_view pattern = nextPart(wide);
    const std::string_view part = nextPart(narrow);
    if (pattern != "*" && pattern != part) return false;
  }
  return wide.empty() && narrow.empty();
}

bool methodGranted(const std::vector<std::string>& grants, std::string_view target,
                   std::string_view method) {
  // A method's name may hold anything, also a slash: it is compared as one part.
  for (const std::string& grant : grants) {
    if (grant == "*") return true;
    std::string_view rest = grant;
    std::string_view wanted = target;
    bool same = true;
    while (same && !wanted.empty() && !rest.empty()) {
      const std::string_view pattern = nextPart(rest);
      same = pattern == "*" ? !nextPart(wanted).empty() : pattern == nextPart(wanted);
    }
    if (same && wanted.empty() && (rest == "*" || rest == method)) return true;
  }
  return false;
}

struct Methods::State : std::enable_shared_from_this<Methods::State> {
  struct Target {
    std::uint64_t registration = 0;
    std::shared_ptr<Handler> handler;  // Shared with a call that is being handed over.
    std::size_t answer_bytes_max = kPayloadBytesMax;
  };
  struct Call {
    std::string target;
    std::uint64_t registration = 0;
    Answer answer;
    boost::asio::steady_timer deadline;
    std::size_t answer_bytes_max = kPayloadBytesMax;
  };

  // A call whose target is not there yet.
  struct Waiting {
    MethodRequest request;
    Answer answer;
    boost::asio::steady_timer deadline;
  };

  explicit State(boost::asio::io_context& io) : control(io) {}

  // Ends a call that is in the map.
  void end(std::map<std::uint64_t, Call>::iterator call, int status, std::string payload) {
    Answer answer = std::move(call->second.answer);
    if (--in_flight_of[call->second.target] == 0) in_flight_of.erase(call->second.target);
    calls.erase(call);
    later(std::move(answer), status, std::move(payload));
  }

  // Never from within invoke() or reply(), so that no caller is re-entered.
  void later(Answer answer, int status, std::string payload) {
    boost::asio::post(control, [weak = weak_from_this(), answer = std::move(answer), status,
                                payload = std::move(payload)]() mutable {
      if (weak.lock()) answer(status, std::move(payload));
    });
  }

  // The target may come until then.
  void waitFor(MethodRequest request, Answer answer) {
    const std::uint64_t id = next_id++;
    const auto connect_timeout = request.connect_timeout;
    auto& one = waiting
                    .emplace(id, Waiting{std::move(request), std::move(answer),
                                         boost::asio::steady_timer(control)})
                    .first->second;
    one.deadline.expires_after(connect_timeout);
    one.deadline.async_wait([weak = weak_from_this(), id](const auto& error) {
      const auto alive = weak.lock();
      if (error || !alive) return;
      const auto at = alive->waiting.find(id);
      if (at == alive->waiting.end()) return;
      Waiting alone = std::move(at->second);
      alive->waiting.erase(at);
      alive->later(std::move(alone.answer), kMethodNotFound,
                   message(alone.request.target + " is not there"));
    });
  }

  void unregister(const std::string& principal, std::uint64_t registration) {
    const auto found = targets.find(principal);
    if (found != targets.end() && found->second.registration == registration) targets.erase(found);
    for (auto call = calls.begin(); call != calls.end();) {
      const auto here = call++;
      if (here->second.registration == registration)
        end(here, kMethodNotFound, message(principal + " left before it answered"));
    }
  }

  boost::asio::io_context& control;
  std::map<std::string, Target> targets;
  std::map<std::uint64_t, Call> calls;
  std::map<std::string, std::size_t> in_flight_of;
  std::map<std::uint64_t, Waiting> waiting;
  std::uint64_t next_id = 1;
  std::uint64_t next_registration = 1;
  std::uint64_t late = 0;
  bool elsewhereServes(const std::string& principal) const {
    return elsewhere.serves && elsewhere.serves(principal);
  }

  Elsewhere elsewhere;
  std::string paused;    // Why; empty: it is not.
  std::string expected;  // Why somebody may come yet; empty: nobody is expected.
};

Methods::Methods(boost::asio::io_context& control) : state_(std::make_shared<State>(control)) {}
Methods::~Methods() = default;

Methods::Registration Methods::add(const std::string& principal, Handler handler,
                                   std::size_t answer_bytes_max) {
  const std::uint64_t registration = state_->next_registration++;
  state_->targets[principal] =
      State::Target{registration, std::make_shared<Handler>(std::move(handler)), answer_bytes_max};
  // Who waited for it is heard once the caller has its handle.
  boost::asio::post(state_->control, [this, principal, weak = std::weak_ptr(state_)] {
    const auto alive = weak.lock();
    if (!alive || !has(principal)) return;
    std::vector<State::Waiting> came;
    for (auto at = alive->waiting.begin(); at != alive->waiting.end();) {
      const auto here = at++;
      if (here->second.request.target != principal) continue;
      came.push_back(std::move(here->second));
      alive->waiting.erase(here);
    }
    for (State::Waiting& one : came) invoke(std::move(one.request), std::move(one.answer));
  });
  struct Handle {
    std::weak_ptr<State> state;
    std::string principal;
    std::uint64_t registration;
    ~Handle() {
      if (const auto alive = state.lock()) alive->unregister(principal, registration);
    }
  };
  return std::shared_ptr<Handle>(new Handle{state_, principal, registration});
}

void Methods::setElsewhere(Elsewhere elsewhere) { state_->elsewhere = std::move(elsewhere); }

bool Methods::has(const std::string& principal) const {
  return state_->targets.contains(principal);
}

void Methods::invoke(MethodRequest request, Answer answer) {
  State& state = *state_;
  const auto refuse = [&](int status, const std::string& why) {
    state.later(std::move(answer), status, message(why));
  };
  if (!state.paused.empty()) return refuse(kMethodUnavailable, state.paused);
  if (request.name.empty() || characters(request.name) > kNameCharsMax)
    return refuse(kMethodBadRequest,
                  "a method's name has 1 to " + std::to_string(kNameCharsMax) + " characters");
  if (request.timeout.count() <= 0 || request.timeout > kTimeoutMax)
    return refuse(kMethodBadRequest, "a method's timeout lies between 1 and " +
                                         std::to_string(kTimeoutMax.count()) + " ms");
  if (request.connect_timeout.count() < 0 || request.connect_timeout > kTimeoutMax)
    return refuse(kMethodBadRequest, "a connect timeout lies between 0 and " +
                                         std::to_string(kTimeoutMax.count()) + " ms");
  if (request.payload.empty()) request.payload = "null";
  if (const auto payload = parseJson(request.payload, kPayloadBounds); !payload)
    return refuse(kMethodBadRequest, "payload: " + payload.error().text);
  const auto target = state.targets.find(request.target);
  const bool here = target != state.targets.end();
  const bool missing = !here && !state.elsewhereServes(request.target);
  if (missing && !state.expected.empty())
    return refuse(kMethodUnavailable, request.target + " is not there yet: " + state.expected);
  if (missing && request.connect_timeout.count() > 0 && state.waiting.size() < kWaitingMax)
    return state.waitFor(std::move(request), std::move(answer));
  if (missing) return refuse(kMethodNotFound, request.target + " is not there");
  const auto waiting = state.in_flight_of.find(request.target);
  if (state.calls.size() >= kInFlightMax ||
      (waiting != state.in_flight_of.end() && waiting->second >= kInFlightPerTargetMax))
    return refuse(kMethodTooMany, request.target + " has too many calls waiting; try again later");

  const std::uint64_t id = state.next_id++;
  auto& call =
      state.calls
          .emplace(id, State::Call{request.target, here ? target->second.registration : 0,
                                   std::move(answer), boost::asio::steady_timer(state.control),
                                   here ? target->second.answer_bytes_max : kPayloadBytesMax})
          .first->second;
  ++state.in_flight_of[request.target];
  call.deadline.expires_after(request.timeout);
  call.deadline.async_wait([weak = std::weak_ptr(state_), id](const auto& error) {
    const auto alive = weak.lock();
    if (error || !alive) return;
    // An answer that came in the same moment has taken the call away already.
    const auto found = alive->calls.find(id);
    if (found == alive->calls.end()) return;
    const std::string who = found->second.target;
    alive->end(found, kMethodTimeout, message(who + " did not answer in time"));
  });
  MethodCall handed{id,
                    std::move(request.name),
                    std::move(request.payload),
                    std::move(request.caller),
                    std::move(request.target),
                    request.timeout};
  if (!here) return state.elsewhere.handler(std::move(handed));
  const auto handler = target->second.handler;  // It may drop its own registration.
  (*handler)(std::move(handed));
}

Status Methods::reply(std::uint64_t id, int status, std::string payload) {
  const auto call = state_->calls.find(id);
  if (call == state_->calls.end()) {
    if (id != 0 && id < state_->next_id) ++state_->late;
    return fail(Errc::kNotFound, "method call " + std::to_string(id) + ": nobody waits for it");
  }
  if (payload.empty()) payload = "null";
  const JsonBounds bounds{call->second.answer_bytes_max, kPayloadBounds.depth_max};
  if (const auto parsed = parseJson(payload, bounds); !parsed) {
    const std::string why = "the answer of " + call->second.target + ": " + parsed.error().text;
    state_->end(call, kBadAnswer, message(why));
    return fail(Errc::kInvalid, why);
  }
  state_->end(call, status, std::move(payload));
  return {};
}

void Methods::pause(const std::string& why) {
  state_->paused = why;
  auto& calls = state_->calls;
  while (!calls.empty()) state_->end(calls.begin(), kMethodUnavailable, message(why));
  for (auto& [id, one] : std::exchange(state_->waiting, {}))
    state_->later(std::move(one.answer), kMethodUnavailable, message(why));
}

void Methods::resume() { state_->paused.clear(); }

void Methods::expectMore(const std::string& why) { state_->expected = why; }
void Methods::everybodyCame() { state_->expected.clear(); }

bool Methods::answersFor(const std::string& principal) const {
  return has(principal) || state_->elsewhereServes(principal) || !state_->paused.empty() ||
         !state_->expected.empty();
}

std::size_t Methods::inFlight() const { return state_->calls.size(); }
std::uint64_t Methods::lateReplies() const { return state_->late; }

}  // namespace kante
