// What a principal may do, deny by default: a list of grants, compiled.
//
//   publish:FILTER   subscribe:FILTER   method:PRINCIPAL/NAME   twin:PRINCIPAL on-behalf:PRINCIPAL
//   default          what every principal of its kind gets, unless the list leaves it out
//
// "{id}" and "{module}" stand for the caller's own.  Immutable and without a caller in it, so one
// serves all who have the same list: the registry and the sessions own it together, on any thread.
// Asking allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/identity/grant_pattern.h"
#include "host/identity/principal_name.h"

namespace kante {

class Grants;
using GrantsPtr = std::shared_ptr<const Grants>;

class Grants {
 public:
  static constexpr std::size_t kGrantsMax = 64;
  enum class Action : std::uint8_t { kPublish, kSubscribe, kMethod, kTwin, kOnBehalf };

  // kInvalid or kLimit name the grant that is wrong.
  static Result<GrantsPtr> compile(PrincipalName::Kind kind, const std::vector<std::string>& texts);
  // What "default" stands for.
  static std::vector<std::string> defaults(PrincipalName::Kind kind);

  // As they were given.
  const std::vector<std::string>& texts() const { return texts_; }

  bool mayPublish(std::string_view topic, const Caller& caller) const;
  // One grant must cover the whole filter; of "$share/GROUP/FILTER" it is FILTER.
  bool maySubscribe(std::string_view filter, const Caller& caller) const;
  bool mayCall(std::string_view principal, std::string_view method, const Caller& caller) const;
  bool mayUseTwin(std::string_view principal, const Caller& caller) const;
  // Who may act for a device, or a gateway, may act for its modules.
  bool mayActFor(std::string_view principal, const Caller& caller) const;

  struct Explanation {
    bool allowed = false;
    std::string grant;    // The one that decided, as it is written; empty when none did.
    std::string because;  // A sentence.
  };
  // `subject`: topic, filter, PRINCIPAL/METHOD or principal.
  Explanation explain(Action action, std::string_view subject, const Caller& caller) const;

 private:
  struct Grant {
    Action action;
    // The last bytes of what begins whatever it matches, and where they are: grants that begin
    // alike differ there, so most are told apart at once.
    std::uint16_t at;
    std::uint64_t bytes, mask;
    GrantPattern pattern;
  };
  Status add(std::string_view text);
  bool allows(const Grant& grant, std::string_view subject, const Caller& caller) const;
  const Grant* deciding(Action action, std::string_view subject, const Caller& caller) const;

  std::vector<std::string> texts_;
  std::vector<Grant> grants_;  // "default" replaced by what it stands for.
};

const char* name(Grants::Action action);  // "publish", "subscribe", "method", "twin", "on-behalf"

}  // namespace kante
