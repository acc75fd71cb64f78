#include "host/hub/anonymous_access.h"

namespace kante::hub {
namespace {

bool isOpen(std::string_view topic) {
  return !topic.starts_with('$') && !topic.starts_with("kante/");
}

class Anonymous final : public Principal {
 public:
  const std::string& name() const override { return name_; }
  bool isShared() const override { return true; }
  bool mayPublish(std::string_view topic) const override { return isOpen(topic); }
  bool maySubscribe(std::string_view filter) const override { return isOpen(filter); }
  bool checksDeliveries() const override { return true; }  // "#" is theirs, but not all behind it.
  bool mayReceive(std::string_view topic) const override { return isOpen(topic); }

 private:
  const std::string name_ = "anonymous";
};

}  // namespace

Admission AnonymousAccess::authenticate(const Credentials& credentials) const {
  const bool nameless = !credentials.user_name && credentials.peer.certificate.empty();
  const bool welcome =
      from_ == From::kAnywhere || (from_ == From::kLoopback && credentials.peer.loopback);
  if (nameless && welcome) return {std::make_shared<Anonymous>()};
  if (registered_ != nullptr) return registered_->authenticate(credentials);
  if (nameless) return {nullptr, mqtt::Reason::kNotAuthorized, "it has no user name"};
  return {nullptr, mqtt::Reason::kBadUserNameOrPassword, "no device is registered here"};
}

std::shared_ptr<const Principal> AnonymousAccess::current(const Principal& principal) const {
  if (principal.name() == "anonymous") return std::make_shared<Anonymous>();
  return registered_ == nullptr ? nullptr : registered_->current(principal);
}

std::shared_ptr<const Principal> AnonymousAccess::find(std::string_view name) const {
  return registered_ == nullptr ? nullptr : registered_->find(name);
}

}  // namespace kante::hub
