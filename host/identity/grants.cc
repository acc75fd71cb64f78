#include "host/identity/grants.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "host/base/encoding.h"
#include "host/mqtt/topic.h"

namespace kante {
namespace {

constexpr std::array kActionNames = {"publish", "subscribe", "method", "twin", "on-behalf"};
constexpr std::string_view kDefault = "default";

constexpr std::string_view kDevice[] = {"publish:devices/{id}/#", "subscribe:devices/{id}/#",
                                        "publish:$iothub/#", "subscribe:$iothub/#",
                                        "twin:device/{id}"};
constexpr std::string_view kDeviceModule[] = {
    "publish:devices/{id}/modules/{module}/#", "subscribe:devices/{id}/modules/{module}/#",
    "publish:$iothub/#", "subscribe:$iothub/#", "twin:device/{id}/module/{module}"};
// What it says to the gateway above it, and hears of it.
constexpr std::string_view kGateway[] = {"publish:kante/v1/{id}/telemetry/#",
                                         "publish:kante/v1/{id}/state",
                                         "publish:kante/v1/{id}/lost",
                                         "publish:kante/v1/{id}/deployment/reported",
                                         "publish:kante/v1/{id}/twin/+/reported",
                                         "publish:kante/v1/{id}/twin/+/+/reported",
                                         "publish:kante/v1/{id}/twin/+/+/+/+/reported",
                                         "publish:kante/v1/{id}/methods/response/+",
                                         "publish:kante/v1/{id}/c2d/response/+",
                                         "subscribe:kante/v1/$bundles/+/+",
                                         "subscribe:kante/v1/{id}/deployment/set",
                                         "subscribe:kante/v1/{id}/deployment/layer/+",
                                         "subscribe:kante/v1/{id}/deployment/trust",
                                         "subscribe:kante/v1/{id}/deployment/secrets",
                                         "subscribe:kante/v1/{id}/deployment/patch",
                                         "subscribe:kante/v1/{id}/twin/+/desired",
                                         "subscribe:kante/v1/{id}/twin/+/+/desired",
                                         "subscribe:kante/v1/{id}/twin/+/+/+/+/desired",
                                         "subscribe:kante/v1/{id}/methods/gateway/+/+",
                                         "subscribe:kante/v1/{id}/methods/+/+/+/+",
                                         "subscribe:kante/v1/{id}/methods/+/+/+/+/+/+",
                                         "subscribe:kante/v1/{id}/c2d/+/+/+"};

std::span<const std::string_view> defaultsOf(PrincipalName::Kind kind) {
  switch (kind) {
    case PrincipalName::Kind::kDevice: return kDevice;
    case PrincipalName::Kind::kDeviceModule: return kDeviceModule;
    case PrincipalName::Kind::kGateway: return kGateway;
  }
  return {};
}

// The device of "device/ID/module/NAME", the gateway of "gateway/ID/module/NAME", else nothing.
std::string_view ownerOf(std::string_view principal) {
  if (!principal.starts_with("device/") && !principal.starts_with("gateway/")) return {};
  const auto end = principal.find('/', principal.find('/') + 1);
  return end == std::string_view::npos ? std::string_view() : principal.substr(0, end);
}

constexpr std::size_t kWord = sizeof(std::uint64_t);

// Eight bytes from `at` on, or fewer and zeros.
std::uint64_t wordAt(std::string_view text, std::size_t at) {
  std::uint64_t word = 0;
  if (text.size() >= at + kWord) {
    std::memcpy(&word, text.data() + at, kWord);
  } else if (text.size() > at) {
    std::memcpy(&word, text.data() + at, text.size() - at);
  }
  return word;
}

// What a subscription is about; an ill-formed shared one is about nothing.
std::string_view filterOf(std::string_view filter) {
  if (!mqtt::isShared(filter)) return filter;
  const auto shared = mqtt::sharedFilter(filter);
  return shared ? shared->filter : std::string_view();
}

}  // namespace

const char* name(Grants::Action action) { return kActionNames[static_cast<std::size_t>(action)]; }

std::vector<std::string> Grants::defaults(PrincipalName::Kind kind) {
  const auto all = defaultsOf(kind);
  return {all.begin(), all.end()};
}

Status Grants::add(std::string_view text) {
  const std::string_view word = text.substr(0, text.find(':'));
  const auto action = std::find(kActionNames.begin(), kActionNames.end(), word);
  if (action == kActionNames.end() || word.size() == text.size()) {
    std::string known;
    for (const char* each : kActionNames) known += std::string(each) + ":…, ";
    const std::string near = nearest(word, kActionNames);
    return fail(Errc::kInvalid,
                "grant \"" + std::string(text) + "\": there are " + known + "and default" +
                    (near.empty() || near == word ? "" : "; did you mean " + near + ":?"));
  }
  const auto which = static_cast<Action>(action - kActionNames.begin());
  const auto syntax =
      which <= Action::kSubscribe ? GrantPattern::Syntax::kTopic : GrantPattern::Syntax::kPrincipal;
  auto pattern = GrantPattern::parse(syntax, text.substr(word.size() + 1));
  if (!pattern) return within("grant " + std::string(word), pattern.error());
  const std::string_view literal = pattern->literal();
  const auto at = static_cast<std::uint16_t>(literal.size() - std::min(literal.size(), kWord));
  const std::uint64_t mask = wordAt(std::string(literal.size() - at, '\xff'), 0);
  grants_.push_back({which, at, wordAt(literal, at), mask, std::move(*pattern)});
  return {};
}

Result<GrantsPtr> Grants::compile(PrincipalName::Kind kind, const std::vector<std::string>& texts) {
  if (texts.size() > kGrantsMax)
    return fail(Errc::kLimit, std::to_string(texts.size()) + " grants; one principal has at most " +
                                  std::to_string(kGrantsMax) + ", use + and # in filters");
  const auto made = std::make_shared<Grants>();
  made->texts_ = texts;
  for (const std::string& text : texts) {
    if (std::count(texts.begin(), texts.end(), text) > 1)
      return fail(Errc::kInvalid, "grant \"" + text + "\" is there twice");
    if (text != kDefault) {
      KANTE_CHECK(made->add(text));
      continue;
    }
    for (const std::string_view each : defaultsOf(kind)) KANTE_CHECK(made->add(each));
  }
  made->grants_.shrink_to_fit();
  return GrantsPtr(made);
}

bool Grants::allows(const Grant& grant, std::string_view subject, const Caller& caller) const {
  if (grant.action == Action::kSubscribe) return grant.pattern.covers(subject, caller);
  if (grant.pattern.matches(subject, caller)) return true;
  const std::string_view owner =
      grant.action == Action::kOnBehalf ? ownerOf(subject) : std::string_view();
  return !owner.empty() && grant.pattern.matches(owner, caller);
}

const Grants::Grant* Grants::deciding(Action action, std::string_view subject,
                                      const Caller& caller) const {
  if (action == Action::kSubscribe) subject = filterOf(subject);
  if (subject.empty()) return nullptr;
  for (const Grant& grant : grants_) {
    if (grant.action != action || (wordAt(subject, grant.at) & grant.mask) != grant.bytes) continue;
    if (allows(grant, subject, caller)) return &grant;
  }
  return nullptr;
}

bool Grants::mayPublish(std::string_view topic, const Caller& caller) const {
  return deciding(Action::kPublish, topic, caller) != nullptr;
}

bool Grants::maySubscribe(std::string_view filter, const Caller& caller) const {
  return deciding(Action::kSubscribe, filter, caller) != nullptr;
}

// Apart from the others, because a method's name is one part whatever it contains.
bool Grants::mayCall(std::string_view principal, std::string_view method,
                     const Caller& caller) const {
  return !method.empty() && std::any_of(grants_.begin(), grants_.end(), [&](const Grant& grant) {
    return grant.action == Action::kMethod && grant.pattern.matches(principal, caller, method);
  });
}

bool Grants::mayUseTwin(std::string_view principal, const Caller& caller) const {
  return deciding(Action::kTwin, principal, caller) != nullptr;
}

bool Grants::mayActFor(std::string_view principal, const Caller& caller) const {
  return deciding(Action::kOnBehalf, principal, caller) != nullptr;
}

Grants::Explanation Grants::explain(Action action, std::string_view subject,
                                    const Caller& caller) const {
  Explanation out;
  const std::string what = std::string(name(action)) + " " + std::string(subject);
  if (const Grant* grant = deciding(action, subject, caller)) {
    out.allowed = true;
    out.grant = std::string(name(action)) + ":" + grant->pattern.text();
    out.because = what + " is allowed by " + out.grant;
    return out;
  }
  const bool any = std::any_of(grants_.begin(), grants_.end(),
                               [&](const Grant& grant) { return grant.action == action; });
  out.because = what + " is denied: " +
                (any ? std::string("no ") + name(action) + " grant covers it"
                     : std::string("there is no ") + name(action) + " grant");
  if (caller.id.find_first_of("+#") != std::string_view::npos)
    out.because += "; an id with + or # in it fills no {id}";
  return out;
}

}  // namespace kante
