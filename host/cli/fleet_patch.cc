#include "host/cli/fleet_patch.h"

#include <boost/json.hpp>

#include "host/agent/deployment.h"
#include "host/base/json.h"
#include "host/base/json_patch.h"
#include "host/bundle/document_file.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr JsonBounds kContentBounds{kDocumentPayloadBytesMax, kDocumentDepthMax};

std::string whose(const Document& document) {
  return document.gateway.empty() ? "tag " + document.tag : "gateway " + document.gateway;
}

std::string titleIn(const json::value& object) {
  return printable(textOf(object, "id")) + " version " + printable(textOf(object, "version"));
}

Status mayBePatched(const Document& document, const FleetGateway& gateway) {
  const std::string ends = "; apply a complete one";
  if (document.kind != DocumentKind::kDeployment)
    return fail(Errc::kConflict, "what is retained on deployment/set is a document of kind " +
                                     std::string(name(document.kind)) + ends);
  if (!isFor(document, gateway.id, tagsIn(gateway.reported)))
    return fail(Errc::kConflict, "what is retained for it is for " + whose(document) + ends);
  if (document.not_after_s && *document.not_after_s < gateway.now_s)
    return fail(Errc::kExpired, "what is retained was good until " +
                                    formatUtcSeconds(*document.not_after_s) + ends);
  if (!gateway.reported.is_object())
    return fail(Errc::kNotFound, "it has not reported what it runs" + ends);
  return {};
}

}  // namespace

Tags tagsIn(const json::value& reported) {
  Tags tags;
  const json::value& said = member(reported, "tags");
  if (said.is_object())
    for (const auto& tag : said.get_object()) tags[tag.key()] = asText(tag.value());
  return tags;
}

Status checkTarget(const Document& document, const std::string& gateway,
                   const json::value& reported) {
  if (isFor(document, gateway, tagsIn(reported))) return {};
  return fail(Errc::kConflict, "the document is for " + whose(document) +
                                   (document.gateway.empty() ? ", which it does not report" : "") +
                                   "; sign one for it");
}

Result<Document> retainedThatRuns(std::string_view payload, const FleetGateway& gateway) {
  KANTE_TRY(document, parseDocument(payload));
  KANTE_CHECK(mayBePatched(document, gateway));
  KANTE_TRY(content, parseJson(document.content, kContentBounds));
  for (const char* same : {"id", "version"})
    if (textOf(content, same) != textOf(gateway.reported, same))
      return fail(Errc::kConflict, "it runs " + titleIn(gateway.reported) + ", and " +
                                       titleIn(content) +
                                       " is retained: somebody changed it; apply a complete one");
  document.base.reset();  // What it was to replace runs no more.
  return document;
}

Result<Document> patchRetained(std::string_view payload, const json::value& patch,
                               DocumentKind kind, const FleetGateway& gateway) {
  KANTE_TRY(document, retainedThatRuns(payload, gateway));
  KANTE_TRY(content, parseJson(document.content, kContentBounds));
  const json::value old_version = member(content, "version");
  if (kind == DocumentKind::kMergePatch) {
    mergePatch(content, patch);
  } else {
    KANTE_CHECK(jsonPatch(content, patch));
  }
  json::object* object = content.if_object();
  if (object != nullptr && old_version.is_int64() && member(content, "version") == old_version)
    (*object)["version"] = old_version.get_int64() + 1;
  const auto deployment = parseDeployment(writeJson(content));
  if (!deployment) return deployment.error();
  Document next;
  next.name = document.name;
  next.gateway = gateway.id;
  next.content = deployment->json;
  return next;
}

}  // namespace kante::cli
