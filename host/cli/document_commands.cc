// Signed documents without a host: `kante deploy sign | verify | inspect`.
#include <fmt/format.h>

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>

#include "host/agent/deployment.h"
#include "host/agent/document.h"
#include "host/agent/iotedge_layer.h"
#include "host/agent/iotedge_manifest.h"
#include "host/agent/layers.h"
#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/bundle/document_file.h"
#include "host/cli/command.h"
#include "host/cli/in_file.h"
#include "host/cli/named_bundles.h"
#include "host/cli/out_file.h"
#include "host/cli/output.h"
#include "host/identity/secret_box.h"
#include "host/identity/secret_store.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kPemBytesMax = 1 << 20;
constexpr JsonBounds kContentBounds{kDocumentPayloadBytesMax, kDocumentDepthMax};
// Within the 5 minutes that a gateway takes, with room for a clock that differs.
constexpr std::int64_t kCommandSeconds = 240;

struct SignOptions {
  std::string file, out, key, certificate, gateway, tag, kind, name, not_after;
  std::vector<std::string> recipients;
  std::optional<std::uint32_t> priority;
  std::optional<std::string> condition;
  std::uint64_t base = 0, counter = 0;
  bool as_json = false;
};

struct LookOptions {
  std::string file;
  std::vector<std::string> trust, revoked;
  bool as_json = false;
};

// "5m" from now on, or a moment.
Result<std::int64_t> momentOf(const std::string& text, std::int64_t now_s) {
  std::int64_t count = 0;
  const auto end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, count);
  const bool relative = error == std::errc() && unit + 1 == end && count > 0 && count < 1'000'000;
  if (relative && *unit == 's') return now_s + count;
  if (relative && *unit == 'm') return now_s + count * 60;
  if (relative && *unit == 'h') return now_s + count * 3600;
  if (relative && *unit == 'd') return now_s + count * 86'400;
  auto moment = parseUtcSeconds(text);
  if (moment) return moment;
  return fail(Errc::kInvalid, "--not-after \"" + text +
                                  "\": expected \"2026-11-26T12:00:00Z\" or from now on: "
                                  "\"300s\", \"5m\", \"12h\", \"30d\"");
}

// What a file of that content is, as far as it says so itself.
Result<DocumentKind> kindOf(const SignOptions& options, const json::value& content) {
  if (!options.kind.empty()) return *documentKindOf(options.kind);
  if (content.is_array()) return DocumentKind::kJsonPatch;
  const json::value* schema =
      content.is_object() ? content.get_object().if_contains("schema") : nullptr;
  if (schema != nullptr && *schema == "kante.deployment/1") return DocumentKind::kDeployment;
  if (isIotEdgeManifest(content))
    return isLayeredManifest(content) ? DocumentKind::kLayer : DocumentKind::kDeployment;
  if (schema != nullptr && *schema == "kante.layer/1") return DocumentKind::kLayer;
  return fail(Errc::kInvalid, "it does not say what it is: give --kind");
}

Result<std::string> readContent(const std::string& file) {
  return readInput(file, kDocumentPayloadBytesMax);
}

// The document is at fault, unless the text names what it was to be signed with.
Error ofSigning(const SignOptions& options, const Error& error) {
  for (const std::string& path : {options.key, options.certificate, options.out})
    if (error.text.starts_with(path + ": ")) return error;
  return within(options.file, error);
}

// What is in the file becomes what only its recipients read.
Status encrypt(const SignOptions& options, DocumentKind kind, json::value& content) {
  if (kind != DocumentKind::kSecrets) {
    if (options.recipients.empty()) return {};
    return fail(Errc::kInvalid, "--recipient is for documents of kind secrets");
  }
  const std::string text = writeJson(content);
  const auto changes = SecretStore::parse(text, "");
  if (!changes) return changes.error();
  if (options.recipients.empty())
    return fail(Errc::kInvalid,
                "--recipient is missing: what kante identity show --public prints on the gateway");
  std::string pem;
  for (const std::string& file : options.recipients) {
    KANTE_TRY(read, readFile(file, kPemBytesMax));
    pem += read + "\n";
  }
  KANTE_TRY(cms, encryptFor(pem, text));
  content = json::object{{"cms", toBase64(cms)}};
  return {};
}

// Which images are bundles only the gateway knows: what else has no counterpart.
Status checkManifest(DocumentKind kind, const json::value& content,
                     std::vector<std::string>& report) {
  if (kind == DocumentKind::kLayer) {
    KANTE_TRY(layer, translateLayer(content, {}, "null"));
    report = std::move(layer.report);
  } else {
    KANTE_TRY(deployment, translateManifest(content, {}, "null"));
    report = std::move(deployment.report);
  }
  return {};
}

Result<Document> composeDocument(const SignOptions& options, json::value content,
                                 std::vector<std::string>& report) {
  const std::int64_t now_ms = SystemClock().wallNs() / 1'000'000;
  Document document;
  KANTE_TRY(kind, kindOf(options, content));
  document.kind = kind;
  document.name = options.name;
  const bool is_manifest = isIotEdgeManifest(content);
  const bool is_layer = is_manifest && kind == DocumentKind::kLayer;
  if (is_layer && options.name.empty()) document.name = configurationId(content);
  if (!is_layer && (options.priority || options.condition))
    return fail(Errc::kInvalid,
                "--priority and --condition are for layered manifests of IoT Edge; a kante.layer/1 "
                "says both itself");
  KANTE_TRY(targeted, withTarget(std::move(content), options.priority, options.condition));
  content = std::move(targeted);
  document.gateway = options.gateway;
  document.tag = options.tag;
  document.counter = options.counter != 0 ? options.counter : static_cast<std::uint64_t>(now_ms);
  if (!options.not_after.empty()) {
    KANTE_TRY(moment, momentOf(options.not_after, now_ms / 1000));
    document.not_after_s = moment;
  } else if (kind == DocumentKind::kCommand) {
    document.not_after_s = now_ms / 1000 + kCommandSeconds;
  }
  if (options.base != 0) document.base = options.base;
  const auto base = options.file == "-" ? std::filesystem::path(".")
                                        : std::filesystem::path(options.file).parent_path();
  KANTE_CHECK(nameDigests(kind, content, base));
  KANTE_CHECK(encrypt(options, kind, content));
  document.content = writeJson(content, MemberOrder::kSorted);
  if (is_manifest && (is_layer || kind == DocumentKind::kDeployment)) {
    KANTE_CHECK(checkManifest(kind, content, report));
  } else if (kind == DocumentKind::kDeployment) {
    const auto deployment = parseDeployment(document.content);
    if (!deployment) return deployment.error();
  }
  return document;
}

// "layer munich for tag site=muc, counter 7".
std::string titleOf(const Document& document) {
  return fmt::format(
      "{}{}{} for {}, counter {}", name(document.kind), document.name.empty() ? "" : " ",
      document.name,
      document.gateway.empty() ? "tag " + document.tag : "gateway " + document.gateway,
      document.counter);
}

json::object documentJson(const Document& document, const std::string& digest) {
  auto out = parseJsonObject(writeDocument(document), kContentBounds).value();
  out.erase("schema");
  out.erase("content");
  out["digest"] = digest;
  return out;
}

int signFile(const SignOptions& options) {
  struct Made {
    Document document;
    std::string digest;
    std::vector<std::string> report;
  };
  const auto made = [&]() -> Result<Made> {
    KANTE_TRY(text, readContent(options.file));
    KANTE_TRY(content, parseJson(text, kContentBounds));
    std::vector<std::string> report;
    KANTE_TRY(document, composeDocument(options, std::move(content), report));
    const std::string payload = writeDocument(document);
    // As a gateway will read it.
    const auto checked = parseDocument(payload);
    if (!checked) return checked.error();
    KANTE_TRY(key, readFile(options.key, kPemBytesMax));
    KANTE_TRY(certificate, readFile(options.certificate, kPemBytesMax));
    KANTE_TRY(file, signDocument(payload, key, certificate));
    KANTE_CHECK(replaceFile(AT_FDCWD, options.out, file, 0644));
    return Made{std::move(document), documentDigest(file), std::move(report)};
  }();
  if (made.has_error()) return reportFailure("deploy sign", ofSigning(options, made.error()));
  const Document& document = made->document;
  if (options.as_json) {
    json::object out = documentJson(document, made->digest);
    out["warnings"] = json::array(made->report.begin(), made->report.end());
    out["file"] = options.out;
    fmt::print("{}\n", writeJson(out));
    return 0;
  }
  fmt::print("{}: {}\n{}\n", options.out, titleOf(document), made->digest);
  for (const std::string& line : made->report) fmt::print(stderr, "  ! {}\n", printable(line));
  return 0;
}

struct Look {
  DocumentFile file;
  Document document;
};

Result<Look> look(const LookOptions& options, const TrustStore* trust) {
  KANTE_TRY(bytes, readFile(options.file, kDocumentFileBytesMax));
  const JudgementTime now = judgementTime(SystemClock(), buildTimeS());
  KANTE_TRY(file, trust != nullptr ? openDocument(bytes, *trust, now) : lookAtDocument(bytes));
  KANTE_TRY(document, parseDocument(file.payload));
  if (trust != nullptr && document.not_after_s && *document.not_after_s < now.at_s)
    return fail(Errc::kExpired,
                "the document was good until " + formatUtcSeconds(*document.not_after_s));
  return Look{std::move(file), std::move(document)};
}

json::object lookJson(const Look& look) {
  json::object out = documentJson(look.document, look.file.digest);
  out["content"] = parseJson(look.document.content, kContentBounds).value();
  out["signer"] =
      json::object{{"subject", look.file.signer.subject},
                   {"fingerprint", look.file.signer.fingerprint},
                   {"not_after", formatUtc(look.file.signer.not_after_s * 1'000'000'000)}};
  if (!look.file.signer.ca_subject.empty())
    out["signer"].as_object()["ca_subject"] = look.file.signer.ca_subject;
  return out;
}

int verify(const LookOptions& options) {
  const auto judged = [&]() -> Result<Look> {
    KANTE_TRY(trust, TrustStore::load(options.trust, options.revoked));
    return look(options, &trust);
  }();
  if (judged.has_error()) {
    if (options.as_json)
      fmt::print("{}\n", writeJson(json::object{{"valid", false},
                                                {"code", name(judged.error().code)},
                                                {"error", judged.error().text}}));
    return reportFailure("deploy verify", within(options.file, judged.error()));
  }
  if (options.as_json) {
    json::object out = lookJson(*judged);
    out["valid"] = true;
    fmt::print("{}\n", writeJson(out));
    return 0;
  }
  fmt::print("{}: good\n{}\n{}\nsigned by {}\n", options.file, titleOf(judged->document),
             judged->file.digest, judged->file.signer.subject);
  return 0;
}

int inspect(const LookOptions& options) {
  const auto seen = look(options, nullptr);
  if (seen.has_error()) return reportFailure("deploy inspect", within(options.file, seen.error()));
  json::object out = lookJson(*seen);
  out["verified"] = false;
  if (!options.as_json)
    fmt::print(stderr, "not verified: anyone may have signed it; kante deploy verify judges it\n");
  fmt::print("{}\n", writeJson(out));
  return 0;
}

void addSign(CLI::App& deploy, Context& context) {
  const auto options = std::make_shared<SignOptions>();
  CLI::App* sign =
      deploy.add_subcommand("sign", "Make a signed document (*.kdoc) that gateways take from afar");
  sign->add_option("FILE", options->file, "Its content (JSON); - is standard input")->required();
  sign->add_option("--key", options->key, "The deployer's key, PEM")->required()->type_name("K");
  sign->add_option("--cert", options->certificate, "Its certificate, PEM; issuers may follow")
      ->required()
      ->type_name("C");
  CLI::Option_group* target = sign->add_option_group("whom it is for");
  target->add_option("--gateway", options->gateway, "The gateway with this id")->type_name("ID");
  target->add_option("--tag", options->tag, "Gateways with this tag: KEY=VALUE or KEY")
      ->type_name("T");
  target->require_option(1);
  sign->add_option("--kind", options->kind, "What it is, unless the content says so")
      ->check(CLI::IsMember({"deployment", "layer", "merge-patch", "json-patch", "desired",
                             "command", "secrets", "trust"}));
  sign->add_option("--name", options->name, "Of a layer; whose desired properties; the method");
  sign->add_option("--priority", options->priority, "Of a layered manifest of IoT Edge")
      ->type_name("N");
  sign->add_option("--condition", options->condition,
                   "Likewise, as IoT Hub's targetCondition: tags.site='muc' AND NOT deviceId='x'")
      ->type_name("C");
  sign->add_option("--recipient", options->recipients,
                   "Of secrets: the gateway's certificate (kante identity show --public), PEM")
      ->type_name("GATEWAY.pem");
  sign->add_option("--base", options->base, "The version that must be deployed")
      ->check(CLI::PositiveNumber);
  sign->add_option("--not-after", options->not_after, "A moment in UTC, or 300s, 5m, 12h, 30d");
  sign->add_option("--counter", options->counter, "Above the one before; default: now in ms")
      ->check(CLI::PositiveNumber);
  sign->add_option("-o,--output", options->out, "The document to write")
      ->required()
      ->check(notAnOutputFile)
      ->type_name("F.kdoc");
  sign->add_flag("--json", options->as_json, "Print one JSON object");
  sign->callback([options, &context] { context.exit_code = signFile(*options); });
}

}  // namespace

void addDocumentCommands(CLI::App& deploy, Context& context) {
  addSign(deploy, context);
  const auto add = [&deploy, &context](const char* name, const char* what,
                                       int (*run)(const LookOptions&)) {
    const auto options = std::make_shared<LookOptions>();
    CLI::App* command = deploy.add_subcommand(name, what);
    command->add_option("FILE", options->file, "The document")->required()->type_name("F.kdoc");
    command->add_flag("--json", options->as_json, "Print one JSON object");
    command->callback([options, run, &context] { context.exit_code = run(*options); });
    return std::pair(command, options);
  };
  const auto [judge, options] =
      add("verify", "Judge a document as a gateway would that trusts CA", verify);
  judge->add_option("--trust", options->trust, "PEM file of trusted certificates")
      ->required()
      ->type_name("CA");
  judge->add_option("--revoked", options->revoked, "PEM file of revocation lists")
      ->type_name("CRL");
  add("inspect", "Show what a document says, whoever signed it", inspect);
}

}  // namespace kante::cli
