// Clients without a user name, where the configuration lets them in; everybody else is asked for
// elsewhere, or refused.
#pragma once

#include "host/hub/access.h"

namespace kante::hub {

class AnonymousAccess final : public Access {
 public:
  enum class From { kNowhere, kLoopback, kAnywhere };
  // `registered` decides about clients that have a name; null: nobody has one.  It outlives this.
  AnonymousAccess(From from, const Access* registered) : from_(from), registered_(registered) {}

  Admission authenticate(const Credentials& credentials) const override;
  Admission verify(const RequestCredentials& credentials) const override {
    return registered_ == nullptr ? Admission{} : registered_->verify(credentials);
  }
  std::shared_ptr<const Principal> current(const Principal& principal) const override;
  std::shared_ptr<const Principal> find(std::string_view name) const override;

 private:
  const From from_;
  const Access* const registered_;
};

}  // namespace kante::hub
