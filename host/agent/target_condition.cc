#include "host/agent/target_condition.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/members.h"
#include "host/base/encoding.h"
#include "host/base/json.h"

namespace kante {
namespace {

namespace json = boost::json;
using Kind = TargetCondition::Kind;

constexpr const char* kForms[] = {"tag", "tags", "gateway", "all", "any", "not"};

class Reader {
 public:
  Result<TargetCondition> read(const json::object& object, const std::string& pointer) {
    if (++parts_ > kTargetPartsMax) return failAt(pointer, Errc::kLimit, "has too many parts");
    if (depth_ == kTargetDepthMax) return failAt(pointer, Errc::kLimit, "is nested too deep");
    const Members members(object, pointer);
    KANTE_CHECK(members.allow({"tag", "tags", "gateway", "all", "any", "not"}));
    if (object.size() != 1)
      return failAt(pointer, Errc::kInvalid,
                    "needs one of \"tag\", \"tags\", \"gateway\", \"all\", \"any\" and \"not\"");
    ++depth_;
    auto condition = readForm(members);
    --depth_;
    return condition;
  }

 private:
  Result<TargetCondition> readForm(const Members& members) {
    const auto form = std::find_if(std::begin(kForms), std::end(kForms),
                                   [&members](const char* name) { return members.has(name); });
    const std::string_view name = *form;
    if (name == "tag") {
      KANTE_TRY(tag, members.text("tag"));
      return tagOf(members, std::move(tag));
    }
    if (name == "tags") return tagsOf(members);
    if (name == "gateway") {
      KANTE_TRY(id, members.text("gateway"));
      if (!isName(id)) return members.fail("gateway", "\"" + id + "\" is no id of a gateway");
      return gatewayCondition(std::move(id));
    }
    if (name == "not") {
      KANTE_TRY(inner, members.object("not"));
      KANTE_TRY(condition, read(*inner, members.at("not")));
      return notCondition(std::move(condition));
    }
    return listOf(members, name);
  }

  Result<TargetCondition> tagOf(const Members& members, std::string tag) {
    if (tag.empty() || tag.front() == '=' || tag.size() > kDocumentNameBytesMax)
      return failAt(members.pointer(), Errc::kInvalid, "a tag is \"KEY=VALUE\" or \"KEY\"");
    return tagCondition(std::move(tag));
  }

  Result<TargetCondition> tagsOf(const Members& members) {
    KANTE_TRY(tags, members.texts("tags"));
    if (tags.size() > kTargetTagsMax)
      return members.fail("tags", "at most 32 of them", Errc::kLimit);
    TargetCondition all;
    parts_ += tags.size();
    if (parts_ > kTargetPartsMax)
      return failAt(members.pointer(), Errc::kLimit, "has too many parts");
    for (std::string& tag : tags) {
      KANTE_TRY(one, tagOf(members, std::move(tag)));
      all.of.push_back(std::move(one));
    }
    return all;
  }

  Result<TargetCondition> listOf(const Members& members, std::string_view name) {
    const json::value* list = members.find(name);
    if (!list->is_array() || list->get_array().empty())
      return members.fail(name, "expected an array of conditions, at least one");
    TargetCondition condition{name == "all" ? Kind::kAll : Kind::kAny, {}, {}};
    const json::array& array = list->get_array();
    for (std::size_t i = 0; i < array.size(); ++i) {
      const std::string pointer = jsonPointer(members.at(name), i);
      if (!array[i].is_object())
        return failAt(pointer, Errc::kInvalid,
                      std::string("expected an object, not ") + jsonKindName(array[i]));
      KANTE_TRY(one, read(array[i].get_object(), pointer));
      condition.of.push_back(std::move(one));
    }
    return condition;
  }

  std::size_t parts_ = 0;
  std::size_t depth_ = 0;
};

bool fits(const TargetCondition& condition, std::size_t depth, std::size_t& parts) {
  if (++parts > kTargetPartsMax || depth == kTargetDepthMax) return false;
  return std::all_of(condition.of.begin(), condition.of.end(),
                     [&](const TargetCondition& one) { return fits(one, depth + 1, parts); });
}

}  // namespace

Result<TargetCondition> parseTarget(const json::object& object, const std::string& pointer) {
  return Reader().read(object, pointer);
}

json::object toJson(const TargetCondition& condition) {
  const auto is_tag = [](const TargetCondition& one) { return one.kind == Kind::kTag; };
  switch (condition.kind) {
    case Kind::kTag: return {{"tag", condition.text}};
    case Kind::kGateway: return {{"gateway", condition.text}};
    case Kind::kNot: return {{"not", toJson(condition.of.front())}};
    case Kind::kAll:
      if (condition.of.size() <= kTargetTagsMax &&
          std::all_of(condition.of.begin(), condition.of.end(), is_tag)) {
        json::array tags;
        for (const TargetCondition& one : condition.of) tags.emplace_back(one.text);
        return {{"tags", std::move(tags)}};
      }
      break;
    case Kind::kAny: break;
  }
  json::array list;
  for (const TargetCondition& one : condition.of) list.push_back(toJson(one));
  return {{condition.kind == Kind::kAll ? "all" : "any", std::move(list)}};
}

TargetCondition tagCondition(std::string tag) { return {Kind::kTag, std::move(tag), {}}; }

TargetCondition gatewayCondition(std::string id) { return {Kind::kGateway, std::move(id), {}}; }

TargetCondition notCondition(TargetCondition condition) {
  TargetCondition out{Kind::kNot, {}, {}};
  out.of.push_back(std::move(condition));
  return out;
}

bool isAlways(const TargetCondition& condition) {
  return condition.kind == Kind::kAll && condition.of.empty();
}

bool holds(const TargetCondition& condition, const Place& place) {
  const auto here = [&place](const TargetCondition& one) { return holds(one, place); };
  const auto& of = condition.of;
  switch (condition.kind) {
    case Kind::kAll: return std::all_of(of.begin(), of.end(), here);
    case Kind::kAny: return std::any_of(of.begin(), of.end(), here);
    case Kind::kNot: return !here(of.front());
    case Kind::kTag: return hasTag(place.tags, condition.text);
    case Kind::kGateway: return condition.text == place.gateway;
  }
  return false;
}

Status checkSize(const TargetCondition& condition) {
  std::size_t parts = 0;
  if (fits(condition, 0, parts)) return {};
  return fail(Errc::kLimit, "a condition has at most 256 parts, nested at most 16 deep");
}

}  // namespace kante
