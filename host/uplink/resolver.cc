#include "host/uplink/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "host/base/fd.h"

namespace kante {
namespace {

bool isNumeric(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

Result<Addresses> lookUp(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (rc != 0) return fail(Errc::kUnavailable, host + ": " + ::gai_strerror(rc));
  Addresses addresses;
  for (const addrinfo* at = found; at != nullptr && addresses.size() < Resolver::kAddressesMax;
       at = at->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
        0) {
      addresses.emplace_back(text);
    }
  }
  ::freeaddrinfo(found);
  return addresses;
}

}  // namespace

// Joint owners: the resolver that asked and the thread that works on it.
struct Resolver::Question {
  std::string host;
  FileDescriptor answered;
  std::mutex mutex;  // Around answer.
  std::optional<Result<Addresses>> answer;

  void give(Result<Addresses> given) {
    {
      const std::lock_guard lock(mutex);
      answer = std::move(given);
    }
    const std::uint64_t one = 1;
    if (::write(answered.get(), &one, sizeof one) < 0) return;  // It is full: readable already.
  }
};

Resolver::Resolver(Lookup lookup)
    : lookup_(std::move(lookup)), hanging_(std::make_shared<int>(0)) {}

Resolver::~Resolver() = default;

Resolver::Lookup Resolver::ofThisMachine() { return lookUp; }

Status Resolver::ask(const std::string& host) {
  if (question_ != nullptr && question_->host == host) return {};
  auto question = std::make_shared<Question>();
  question->host = host;
  question->answered = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!question->answered) return failErrno("eventfd");
  if (isNumeric(host)) {
    question->give(Addresses{host});
    question_ = std::move(question);
    return {};
  }
  if (hanging_.use_count() > kHangingMax)
    return fail(Errc::kUnavailable, host + ": the name server does not answer");
  try {
    std::thread([question, lookup = lookup_, counted = hanging_] {
      question->give(lookup(question->host));
    }).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::kUnavailable, host + ": " + error.what());
  }
  question_ = std::move(question);
  return {};
}

int Resolver::fd() const { return question_ != nullptr ? question_->answered.get() : -1; }

std::optional<Result<Addresses>> Resolver::take() {
  if (question_ == nullptr) return std::nullopt;
  std::optional<Result<Addresses>> answer;
  {
    const std::lock_guard lock(question_->mutex);
    answer = std::move(question_->answer);
  }
  if (answer) question_.reset();
  return answer;
}

}  // namespace kante
