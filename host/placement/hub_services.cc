#include "host/placement/hub_services.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>

#include "host/base/json.h"
#include "host/hub/twin_secrets.h"

namespace kante {

namespace {

kante_status statusOf(const Error& error) {
  switch (error.code) {
    case Errc::kNotFound: return KANTE_E_NOT_FOUND;
    case Errc::kLimit: return KANTE_E_LIMIT;
    case Errc::kDenied: return KANTE_E_DENIED;
    case Errc::kState: return KANTE_E_STATE;
    case Errc::kCorrupt: return KANTE_E_CORRUPT;
    case Errc::kInvalid: return KANTE_E_INVALID;
    default: return KANTE_E_INTERNAL;
  }
}

std::string areaOf(const std::string& module) { return "module/" + module; }

std::string bytesOf(const MessageRef& message) {
  return {reinterpret_cast<const char*>(message.words()), message.bytes()};
}

Result<MessageRef> messageOf(const std::string& bytes) {
  std::vector<std::uint64_t> words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), words.size() * 8);
  return messageFromWords(words.data(), static_cast<std::uint32_t>(words.size()));
}

}  // namespace

void HubServices::report(const std::string& module, const MessageRef& patch, Answer answer) {
  auto reported = twins_.patchReported("module/" + module, patch.view().body());
  if (reported.has_error()) return answer(statusOf(reported.error()), MessageRef(), 0);
  twins_.sync([answer = std::move(answer), version = *reported](const Status& status) {
    answer(status.has_error() ? statusOf(status.error()) : KANTE_OK, MessageRef(), version);
  });
}

void HubServices::storageGet(const std::string& module, const std::string& key, Answer answer) {
  values_.get(areaOf(module), key, [post = post_, answer = std::move(answer)](auto got) {
    post([answer, got = std::move(got)] {
      if (got.has_error()) return answer(statusOf(got.error()), MessageRef(), 0);
      if (!got->has_value()) return answer(KANTE_E_NOT_FOUND, MessageRef(), 0);
      auto message = messageOf(**got);
      if (message.has_error()) return answer(KANTE_E_CORRUPT, MessageRef(), 0);
      answer(KANTE_OK, *message, 0);
    });
  });
}

void HubServices::storagePut(const std::string& module, const std::string& key,
                             const MessageRef& value, Answer answer) {
  values_.apply({{areaOf(module), key, bytesOf(value)}}, [post = post_, answer = std::move(answer)](
                                                             Status status) {
    post([answer, status] {
      answer(status.has_error() ? statusOf(status.error()) : KANTE_OK, MessageRef(), 0);
    });
  });
}

void HubServices::storageErase(const std::string& module, const std::string& key, Answer answer) {
  values_.apply({{areaOf(module), key, std::nullopt}}, [post = post_,
                                                        answer = std::move(answer)](Status status) {
    post([answer, status] {
      answer(status.has_error() ? statusOf(status.error()) : KANTE_OK, MessageRef(), 0);
    });
  });
}

void HubServices::invoke(const std::string& module, const std::string& target,
                         const std::string& name, const MessageRef& arguments,
                         std::uint32_t timeout_ms, Answer answer) {
  MethodRequest request;
  request.target = target;
  request.name = name;
  request.payload = std::string(arguments.view().body());
  request.caller = "module/" + module;
  if (timeout_ms != 0) request.timeout = std::chrono::milliseconds(timeout_ms);
  methods_.invoke(std::move(request),
                  [answer = std::move(answer)](int status, const std::string& payload) {
                    auto result = jsonMessage(payload);
                    kante_status outcome = KANTE_OK;
                    if (status == kMethodNotFound) outcome = KANTE_E_NOT_FOUND;
                    if (status == kMethodTimeout) outcome = KANTE_E_CANCELED;
                    if (status == kMethodTooMany) outcome = KANTE_E_LIMIT;
                    answer(outcome, result.has_value() ? *result : MessageRef(),
                           static_cast<std::uint64_t>(status));
                  });
}

void HubServices::reply(std::uint64_t call, int status, const MessageRef& result) {
  // Too late or answered: counted by Methods.
  (void)methods_.reply(call, status, result ? std::string(result.view().body()) : std::string());
}

std::pair<MessageRef, std::uint64_t> HubServices::desiredAtStart(const std::string& module) {
  const TwinSection section = withSecrets(twins_.desiredAtStart("module/" + module), secrets_);
  if (section.version == 0) return {MessageRef(), 0};
  auto message = jsonMessage(withVersion(section));
  return {message.has_value() ? *message : MessageRef(), section.version};
}

std::shared_ptr<void> HubServices::subscribeDesired(const std::string& module,
                                                    OnDesired on_desired) {
  return twins_.subscribeDesired(
      "module/" + module,
      [on_desired = std::move(on_desired), secrets = secrets_](const TwinSection& section) {
        auto message = jsonMessage(withVersion(withSecrets(section, secrets)));
        if (message.has_value()) on_desired(*message, section.version);
      });
}

std::shared_ptr<void> HubServices::serveMethods(const std::string& module, OnMethod on_method) {
  return methods_.add("module/" + module, [this,
                                           on_method = std::move(on_method)](MethodCall call) {
    auto message = jsonMessage(call.payload);
    if (message.has_error()) {
      (void)methods_.reply(call.id, kMethodBadRequest, R"({"message":"the payload is no text"})");
      return;
    }
    on_method(call.id, call.name, *message);
  });
}

}  // namespace kante
