#include "host/agent/document.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <ctime>

#include "host/agent/anchors.h"
#include "host/agent/iotedge_layer.h"
#include "host/agent/layers.h"
#include "host/agent/members.h"
#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/bundle/frame.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr char kSchema[] = "kante.document/1";
// In the order of the enumeration.
constexpr std::array kKindNames = {"deployment", "layer",   "merge-patch", "json-patch",
                                   "desired",    "command", "secrets",     "trust"};

bool isPatch(DocumentKind kind) {
  return kind == DocumentKind::kMergePatch || kind == DocumentKind::kJsonPatch;
}

bool hasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::string> readText(const Members& members, const char* member) {
  KANTE_TRY(text, members.text(member));
  if (text.empty() || text.size() > kDocumentNameBytesMax || hasControl(text))
    return members.fail(member, "expected 1 to 256 bytes without control characters");
  return text;
}

Status readTarget(const Members& root, Document& document) {
  KANTE_TRY(object, root.object("target"));
  if (object == nullptr)
    return root.fail("target", "missing; say {\"gateway\": ID} or {\"tag\": \"KEY=VALUE\"}");
  const Members target(*object, root.at("target"));
  KANTE_CHECK(target.allow({"gateway", "tag"}));
  if (target.has("gateway") == target.has("tag"))
    return root.fail("target", "needs one of \"gateway\" and \"tag\"");
  KANTE_TRY(text, readText(target, target.has("gateway") ? "gateway" : "tag"));
  if (target.has("gateway") && !isName(text))
    return target.fail("gateway", "\"" + text + "\" is no id of a gateway");
  (target.has("gateway") ? document.gateway : document.tag) = std::move(text);
  return {};
}

Status readNotAfter(const Members& root, Document& document) {
  if (!root.has("not_after")) {
    if (document.kind != DocumentKind::kCommand) return {};
    return root.fail("not_after", "missing; a command is good for at most 5 minutes");
  }
  KANTE_TRY(text, root.text("not_after"));
  const auto seconds = parseUtcSeconds(text);
  if (!seconds) return root.fail("not_after", seconds.error().text);
  document.not_after_s = *seconds;
  return {};
}

Status readBase(const Members& root, Document& document) {
  if (!root.has("base")) {
    if (!isPatch(document.kind)) return {};
    return root.fail("base", "missing; a patch names the version that it is for");
  }
  if (document.kind > DocumentKind::kJsonPatch)
    return root.fail("base", "means nothing for this kind");
  KANTE_TRY(base, root.number("base", 0, 1, kDocumentNumberMax));
  document.base = base;
  return {};
}

Status checkName(const Members& root, const Document& document) {
  if (document.kind == DocumentKind::kLayer && !isName(document.name))
    return root.fail("name",
                     "a layer has one: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a "
                     "letter or digit");
  if (document.kind == DocumentKind::kTrust && !document.name.empty())
    return root.fail("name", "means nothing for this kind: a gateway has one trust");
  const auto slashes = std::count(document.name.begin(), document.name.end(), '/');
  const bool known = document.name.starts_with("module/") || document.name.starts_with("device/");
  if (document.kind == DocumentKind::kDesired && (!known || slashes < 1))
    return root.fail("name", "whose desired properties: \"module/NAME\" or \"device/ID\"");
  const bool own = document.name.starts_with("gateway/") && slashes == 1;
  if (document.kind == DocumentKind::kCommand && !own && (!known || slashes < 2))
    return root.fail("name",
                     "expected \"module/NAME/METHOD\", \"device/ID/METHOD\" or "
                     "\"gateway/METHOD\"");
  return {};
}

Status checkContent(const Members& root, const Document& document) {
  const json::value* content = root.find("content");
  if (content == nullptr) return root.fail("content", "missing");
  switch (document.kind) {
    case DocumentKind::kCommand: return {};
    case DocumentKind::kJsonPatch:
      if (content->is_array()) return {};
      return root.fail("content", std::string("expected an array, not ") + jsonKindName(*content));
    case DocumentKind::kLayer: {
      if (content->is_null()) return {};
      if (isIotEdgeManifest(*content)) {
        // Which images are bundles, and what it lies on, the gateway knows.
        const auto translated = translateLayer(*content, {}, "null", root.at("content"));
        return translated ? Status() : Status(translated.error());
      }
      auto layer = parseLayer(*content, root.at("content"));
      if (layer.has_error()) return layer.error();
      return {};
    }
    case DocumentKind::kSecrets: {
      KANTE_TRY(object, root.object("content"));
      const Members members(*object, root.at("content"));
      KANTE_CHECK(members.allow({"cms"}));
      KANTE_TRY(text, members.text("cms"));
      const auto cms = fromBase64(text);
      if (cms && !cms->empty()) return {};
      return members.fail("cms", "expected a CMS message in base64; kante deploy sign makes it");
    }
    case DocumentKind::kTrust: {
      KANTE_TRY(object, root.object("content"));
      const auto change = parseTrust(*object, root.at("content"));
      return change ? Status() : Status(change.error());
    }
    default: return root.object("content").has_error() ? root.object("content").error() : Status();
  }
}

}  // namespace

const char* name(DocumentKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<DocumentKind> documentKindOf(std::string_view name) {
  const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (found == kKindNames.end()) return {};
  return static_cast<DocumentKind>(found - kKindNames.begin());
}

Result<Document> parseDocument(std::string_view payload) {
  auto parsed = parseJsonObject(payload, {kDocumentPayloadBytesMax, kDocumentDepthMax});
  if (!parsed) return within("document", parsed.error());
  const Members root(*parsed, "");
  KANTE_CHECK(
      root.allow({"schema", "kind", "name", "target", "counter", "not_after", "base", "content"}));
  KANTE_TRY(schema, root.text("schema"));
  if (schema != kSchema)
    return root.fail("schema", std::string("expected \"") + kSchema + "\"" +
                                   (schema.empty() ? "" : ", not \"" + schema + "\""));
  Document document;
  if (!root.has("kind")) return root.fail("kind", "missing");
  KANTE_TRY(kind, root.word("kind", kKindNames, 0));
  document.kind = static_cast<DocumentKind>(kind);
  if (root.has("name")) {
    KANTE_TRY(given, readText(root, "name"));
    document.name = std::move(given);
  }
  KANTE_CHECK(checkName(root, document));
  KANTE_CHECK(readTarget(root, document));
  if (!root.has("counter")) return root.fail("counter", "missing; a whole number that rises");
  KANTE_TRY(counter, root.number("counter", 0, 1, kDocumentNumberMax));
  document.counter = counter;
  KANTE_CHECK(readNotAfter(root, document));
  KANTE_CHECK(readBase(root, document));
  KANTE_CHECK(checkContent(root, document));
  document.content = writeJson(*root.find("content"), MemberOrder::kSorted);
  return document;
}

std::string writeDocument(const Document& document) {
  json::object out{{"schema", kSchema}, {"kind", name(document.kind)}};
  if (!document.name.empty()) out["name"] = document.name;
  out["target"] = document.gateway.empty() ? json::object{{"tag", document.tag}}
                                           : json::object{{"gateway", document.gateway}};
  out["counter"] = document.counter;
  if (document.not_after_s) out["not_after"] = formatUtcSeconds(*document.not_after_s);
  if (document.base) out["base"] = *document.base;
  auto content = parseJson(document.content, {kDocumentPayloadBytesMax, kDocumentDepthMax});
  KANTE_ASSERT(content.has_value());  // A Document holds JSON.
  out["content"] = std::move(*content);
  return writeJson(out);
}

bool hasTag(const Tags& tags, std::string_view wanted) {
  const std::size_t equals = wanted.find('=');
  const auto found = tags.find(std::string(wanted.substr(0, equals)));
  if (found == tags.end()) return false;
  return equals == std::string_view::npos || found->second == wanted.substr(equals + 1);
}

bool isFor(const Document& document, const std::string& gateway, const Tags& tags) {
  return document.gateway.empty() ? hasTag(tags, document.tag) : document.gateway == gateway;
}

Result<std::int64_t> parseUtcSeconds(std::string_view text) {
  const auto bad = fail(Errc::kInvalid, "expected a moment in UTC as \"2026-11-26T12:00:00Z\"");
  const auto digits = [&text](std::size_t at, std::size_t count, int& out) {
    out = 0;
    for (std::size_t i = at; i < at + count; ++i) {
      if (text[i] < '0' || text[i] > '9') return false;
      out = out * 10 + (text[i] - '0');
    }
    return true;
  };
  if (text.size() < 20 || text.size() > 30 || text.back() != 'Z') return bad;
  for (const auto& [at, mark] : {std::pair{4, '-'}, {7, '-'}, {10, 'T'}, {13, ':'}, {16, ':'}})
    if (text[static_cast<std::size_t>(at)] != mark) return bad;
  std::tm utc{};
  if (!digits(0, 4, utc.tm_year) || !digits(5, 2, utc.tm_mon) || !digits(8, 2, utc.tm_mday) ||
      !digits(11, 2, utc.tm_hour) || !digits(14, 2, utc.tm_min) || !digits(17, 2, utc.tm_sec))
    return bad;
  const std::string_view fraction = text.substr(19, text.size() - 20);
  if (!fraction.empty() && (fraction[0] != '.' || fraction.size() < 2 ||
                            fraction.find_first_not_of("0123456789", 1) != std::string_view::npos))
    return bad;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  const std::tm said = utc;
  const std::time_t seconds = ::timegm(&utc);
  // A day that there is not would be another one now.
  if (said.tm_year < 70 || utc.tm_mon != said.tm_mon || utc.tm_mday != said.tm_mday ||
      utc.tm_hour != said.tm_hour || utc.tm_min != said.tm_min || utc.tm_sec != said.tm_sec)
    return bad;
  return static_cast<std::int64_t>(seconds);
}

std::string formatUtcSeconds(std::int64_t seconds) {
  const std::time_t at = seconds;
  std::tm utc{};
  ::gmtime_r(&at, &utc);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

}  // namespace kante
