#include "host/agent/gateway_section.h"

#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kHandoverKey[] = "handover";
constexpr JsonBounds kRecordBounds{16u << 20, kDeploymentDepthMax + 8};

std::string entryKey(const std::string& n) {
  return "entry/" + std::string(n.size() < 8 ? 8 - n.size() : 0, '0') + n;
}

Result<json::object> recordAt(const std::map<std::string, std::string>& journal,
                              const std::string& key) {
  const auto found = journal.find(key);
  if (found == journal.end()) return fail(Errc::kNotFound, key);
  return parseJsonObject(found->second, kRecordBounds);
}

std::string sectionOf(const std::map<std::string, std::string>& journal, const std::string& n) {
  const auto entry = recordAt(journal, entryKey(n));
  const auto* text = entry ? entry->if_contains("document") : nullptr;
  if (text == nullptr || !text->is_string()) return "{}";
  const auto document =
      parseJsonObject(std::string(text->get_string()), {kDeploymentBytesMax, kDeploymentDepthMax});
  const auto* section = document ? document->if_contains("gateway") : nullptr;
  if (section == nullptr || !section->is_object()) return "{}";
  return writeJson(section->get_object(), MemberOrder::kSorted);
}

}  // namespace

GatewaySection gatewaySectionIn(const std::map<std::string, std::string>& journal) {
  const auto current = journal.find("current");
  const std::string now = current == journal.end() ? "" : current->second;
  GatewaySection section{sectionOf(journal, now), false};
  const auto handover = recordAt(journal, kHandoverKey);
  if (!handover) return section;
  try {
    const json::value* tried = handover->if_contains("tried");
    const std::string n = std::to_string(handover->at("n").to_number<std::uint64_t>());
    if (handover->at("update").as_bool() || handover->at("lives").to_number<int>() != 0 ||
        (tried != nullptr && tried->as_bool()) || n == now || !journal.contains(entryKey(n)))
      return section;
    std::string next = sectionOf(journal, n);
    if (next != section.patch) section = {std::move(next), true};
  } catch (const std::exception&) {
    // The journal says so when it is opened.
  }
  return section;
}

Result<JournalWrite> noteTrial(const std::map<std::string, std::string>& journal,
                               const std::string& reason) {
  KANTE_TRY(handover, recordAt(journal, kHandoverKey));
  handover["tried"] = true;
  handover["reason"] = reason;
  return JournalWrite{kHandoverKey, writeJson(handover)};
}

}  // namespace kante
