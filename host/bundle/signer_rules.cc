#include "host/bundle/signer_rules.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kPermissionBounds{kManifestBytesMax, kManifestDepthMax + 1};

// "AB:CD" and "abcd" are the same fingerprint; anything else comes out as what no fingerprint is.
std::string fingerprintOf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ':') continue;
    out += c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

bool names(const SignerRule& rule, const Signer& signer) {
  if (rule.signer == signer.subject || rule.signer == signer.ca_subject) return true;
  const std::string wanted = fingerprintOf(rule.signer);
  return wanted == fingerprintOf(signer.fingerprint) ||
         wanted == fingerprintOf(signer.ca_fingerprint);
}

bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.ends_with('*')) return text.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == text;
}

bool coversPermission(std::string_view pattern, std::string_view asked) {
  return matches(pattern, asked) || (asked.size() > pattern.size() && asked.starts_with(pattern) &&
                                     asked[pattern.size()] == '.');
}

bool allowsId(const SignerRule& rule, const std::string& id) {
  return !rule.ids || std::any_of(rule.ids->begin(), rule.ids->end(),
                                  [&](const auto& pattern) { return matches(pattern, id); });
}

// The first thing asked for that the rule does not allow; null: it allows all.
const std::string* refusedBy(const SignerRule& rule, const std::vector<std::string>& asked) {
  if (!rule.permissions) return nullptr;
  for (const std::string& one : asked) {
    const bool covered =
        std::any_of(rule.permissions->begin(), rule.permissions->end(),
                    [&](const auto& pattern) { return coversPermission(pattern, one); });
    if (!covered) return &one;
  }
  return nullptr;
}

bool asksForNothing(const json::value& value) {
  return value.is_null() || (value.is_bool() && !value.get_bool()) ||
         (value.is_array() && value.get_array().empty());
}

void collect(const json::object& from, const std::string& at, std::vector<std::string>& out) {
  for (const auto& member : from) {
    const std::string name =
        at.empty() ? std::string(member.key()) : at + "." + std::string(member.key());
    if (member.value().is_object()) {
      collect(member.value().get_object(), name, out);
    } else if (!asksForNothing(member.value())) {
      out.push_back(name);
    }
  }
}

std::string listOf(const std::vector<std::string>& patterns) {
  std::string out;
  for (const std::string& pattern : patterns) out += (out.empty() ? "" : ", ") + pattern;
  return out.empty() ? "nothing" : out;
}

}  // namespace

std::vector<std::string> permissionsAskedFor(const Manifest& manifest) {
  std::vector<std::string> asked;
  const auto object = parseJsonObject(manifest.permissions_json, kPermissionBounds);
  if (object) {
    collect(*object, "", asked);
  } else {
    asked.push_back("(what cannot be read)");  // So a rule that names permissions refuses it.
  }
  std::sort(asked.begin(), asked.end());
  return asked;
}

Status SignerRules::check(const Signer& signer, const Manifest& manifest) const {
  const std::vector<std::string> asked = permissionsAskedFor(manifest);
  const auto refuse = [&](const SignerRule& rule, const std::string& what,
                          const std::vector<std::string>& allowed) {
    return fail(Errc::kDenied, "bundle of " + manifest.id + " " + manifest.version +
                                   ": its signer " + signer.subject + " may not bring " + what +
                                   "; the [[trust.rule]] for \"" + rule.signer + "\" allows " +
                                   listOf(allowed));
  };
  Status refusal;
  bool refused_late = false;  // For a permission, which says more than for the id.
  for (const SignerRule& rule : rules_) {
    if (!names(rule, signer)) continue;
    if (!allowsId(rule, manifest.id)) {
      if (!refusal.has_error()) refusal = refuse(rule, "this module id", *rule.ids);
      continue;
    }
    const std::string* permission = refusedBy(rule, asked);
    if (permission == nullptr) return {};
    if (!refused_late) refusal = refuse(rule, "the permission " + *permission, *rule.permissions);
    refused_late = true;
  }
  return refusal;
}

}  // namespace kante
