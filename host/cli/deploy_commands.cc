#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <thread>

#include "host/agent/agent.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/bundle/document_file.h"
#include "host/cli/command.h"
#include "host/cli/fetch_view.h"
#include "host/cli/host_command.h"
#include "host/cli/in_file.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr JsonBounds kDocumentBounds{4 << 20, 32};
constexpr char kSignedType[] = "application/vnd.kante.document";
constexpr std::chrono::milliseconds kNextLifeLook{20};
constexpr std::chrono::seconds kNextLifePatience{60};  // Without a host that answers.
constexpr int kApplyTimeoutMs =
    0;  // The host ends a change; how long it may take is in the document.

struct Change {
  std::string file;
  std::string type = "merge";
  bool dry_run = false;
  bool no_wait = false;
  bool rebind = false;
  std::uint64_t n = 0;
  std::uint64_t base = 0;
  bool effective = false;
  bool layers = false;

  std::string query() const {
    std::string out = dry_run ? "?dry_run=1" : "?dry_run=0";
    if (no_wait) out += "&wait=0";
    if (rebind) out += "&rebind=1";
    if (base != 0) out += "&base=" + std::to_string(base);
    return out;
  }
};

// "-" is standard input.
Result<std::string> readDocument(const std::string& file) {
  return readInput(file, kDocumentFileBytesMax);
}

Client::Progress showProgress(const std::string& name) {
  if (::isatty(STDERR_FILENO) != 1) return [](std::uint64_t, std::uint64_t) {};
  return [name, last = -1](std::uint64_t sent, std::uint64_t total) mutable {
    const int percent = total == 0 ? 100 : static_cast<int>(sent * 100 / total);
    if (percent == last) return;
    last = percent;
    std::fprintf(stderr, "\r\x1b[K%s  %d %%%s", name.c_str(), percent, percent == 100 ? "\n" : "");
  };
}

// Sends one bundle; its digest.
Result<std::string> uploadBundle(Client& client, const std::string& path, const Change& change) {
  KANTE_TRY(file, openInFile(path));
  const std::string name = std::filesystem::path(path).filename();
  const auto body = client.upload(change.rebind ? "/v1/bundles?rebind=1" : "/v1/bundles",
                                  file.get(), showProgress(name));
  if (!body) return within(path, body.error());
  KANTE_TRY(bundle, parseReply(*body));
  return textOf(bundle, "digest");
}

// Every bundle that the document names by a path, relative to it, goes to the host; the document
// that is sent names what arrived.
Result<std::string> withUploads(Client& client, const std::string& text, const Change& change) {
  KANTE_TRY(document, parseJsonObject(text, kDocumentBounds));
  json::value* modules = document.if_contains("modules");
  if (modules == nullptr || !modules->is_object()) return text;
  const std::filesystem::path base =
      change.file == "-" ? "." : std::filesystem::path(change.file).parent_path();
  std::map<std::string, std::string> sent;
  for (auto& [name, module] : modules->as_object()) {
    json::value* bundle = module.is_object() ? module.as_object().if_contains("bundle") : nullptr;
    if (bundle == nullptr || !bundle->is_string()) continue;
    const std::string given(bundle->get_string());
    // What names no file is for the host to refuse.
    if (given.empty() || given.find('\0') != std::string::npos) continue;
    if (given.starts_with("sha256:")) continue;
    if (!sent.contains(given)) {
      auto digest = uploadBundle(client, base / given, change);
      if (!digest) {
        return within(
            jsonPointer("/modules", std::string_view(name.data(), name.size())) + "/bundle",
            digest.error());
      }
      sent[given] = std::move(*digest);
    }
    *bundle = sent[given];
  }
  return writeJson(document);
}

void printList(const json::value& reply, const char* what, const char* mark) {
  const json::value& items = member(reply, what);
  if (!items.is_array()) return;
  for (const json::value& item : items.as_array()) {
    std::fprintf(stderr, "  %s %s\n", mark, printable(asText(item)).c_str());
  }
}

// The host ends one life and begins the next; how that went is in its history.
Result<std::string> afterHandover(const HostOptions& options, const json::value& reply) {
  std::fprintf(
      stderr,
      "the host ends one life for it and begins a new one; modules go on from their states\n");
  const std::string poll = textOf(reply, "poll");
  auto heard = std::chrono::steady_clock::now();
  for (;;) {
    auto client = options.connect();
    const auto body = client ? client->get(poll) : Result<std::string>(client.error());
    if (body) {
      heard = std::chrono::steady_clock::now();
      KANTE_TRY(entry, parseReply(*body));
      if (textOf(entry, "state") == "rolled-back")
        return fail(Errc::kState, "rolled back: " + textOf(entry, "reason"));
      if (textOf(entry, "state") == "committed") break;
    } else if (body.error().code == Errc::kNotFound) {
      return body;
    } else if (std::chrono::steady_clock::now() - heard > kNextLifePatience) {
      return fail(Errc::kTimeout,
                  "the host did not come back; once it has, kante deploy history "
                  "says whether it runs this deployment");
    }
    std::this_thread::sleep_for(kNextLifeLook);
  }
  json::object done = reply.as_object();
  done["result"] = "committed";
  done["handover"] = true;
  done.erase("poll");
  return writeJson(done);
}

Result<int> report(const HostOptions& options, std::string body) {
  KANTE_TRY(first, parseReply(body));
  if (textOf(first, "result") == "handover") {
    KANTE_TRY(done, afterHandover(options, first));
    body = std::move(done);
  }
  KANTE_TRY(reply, parseReply(body));
  if (options.json) {
    printJson(body);
    return 0;
  }
  const std::string result = textOf(reply, "result");
  const std::string what =
      fmt::format("{} version {}", textOf(reply, "id"), textOf(reply, "version"));
  if (result == "taken") {
    std::fprintf(stderr, "the document is taken\n");
    if (const json::value& payload = member(reply, "payload"); !payload.is_null())
      std::fprintf(stderr, "  %s\n", printable(asText(payload)).c_str());
  } else if (result == "waiting") {
    std::fprintf(stderr, "the document waits until another change is over\n");
  } else if (result == "unchanged") {
    std::fprintf(stderr, "%s runs already, nothing changed\n", what.c_str());
  } else if (result == "dry-run") {
    std::fprintf(stderr, "%s would be applied:\n", what.c_str());
    printList(reply, "plan", "·");
  } else if (result == "committed") {
    std::fprintf(stderr, "%s is committed\n", what.c_str());
    printList(reply, "plan", "·");
  } else {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), result.c_str());
  }
  printList(reply, "warnings", "!");
  return 0;
}

// Nobody shall wonder why it takes so long.
void sayWindow(const std::string& text, const Change& change) {
  const auto document = parseJsonObject(text, kDocumentBounds);
  if (!document || change.dry_run || change.no_wait) return;
  std::string window_s = textOf(member(*document, "health"), "window_s");
  if (window_s.empty() && document->contains("gateway"))
    window_s = std::to_string(Agent::kSectionWindowS);
  if (window_s.empty() || window_s == "0") return;
  std::fprintf(stderr,
               "once it runs it is watched for %s s before it is committed; kante status shows it, "
               "kante deploy rollback ends it\n",
               printable(window_s).c_str());
}

std::unique_ptr<FetchView> viewOf(const HostOptions& options, const Change& change) {
  if (change.dry_run || change.no_wait) return nullptr;
  return std::make_unique<FetchView>(options);
}

Result<int> apply(const HostOptions& options, const Change& change) {
  KANTE_TRY(text, readDocument(change.file));
  sayWindow(text, change);
  KANTE_TRY(client, options.connect());
  const bool is_signed = text.starts_with("KANTEDC1");
  const auto document = is_signed ? Result<std::string>(text) : withUploads(client, text, change);
  if (!document) return within(change.file, document.error());
  std::unique_ptr<FetchView> view = viewOf(options, change);
  const auto body = client.send("PUT", "/v1/deployment" + change.query(), *document,
                                is_signed ? kSignedType : "application/json", kApplyTimeoutMs);
  view.reset();
  if (!body) return within(change.file, body.error());
  return report(options, *body);
}

Result<int> patch(const HostOptions& options, const Change& change) {
  KANTE_TRY(text, readDocument(change.file));
  sayWindow(text, change);
  KANTE_TRY(client, options.connect());
  std::string document = text;
  if (change.type == "merge") {
    auto uploaded = withUploads(client, text, change);
    if (!uploaded) return within(change.file, uploaded.error());
    document = std::move(*uploaded);
  }
  std::unique_ptr<FetchView> view = viewOf(options, change);
  const auto body = client.send("PATCH", "/v1/deployment" + change.query(), document,
                                "application/" + change.type + "-patch+json", kApplyTimeoutMs);
  view.reset();
  if (!body) return within(change.file, body.error());
  return report(options, *body);
}

Result<int> rollback(const HostOptions& options, const Change& change) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.send("POST", "/v1/deployment/rollback" + change.query(),
                              change.n == 0 ? "{}" : fmt::format("{{\"n\":{}}}", change.n),
                              "application/json", kApplyTimeoutMs));
  return report(options, body);
}

Result<int> show(const HostOptions& options, const Change& change) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get(change.layers      ? "/v1/deployment?view=layers"
                             : change.effective ? "/v1/deployment?view=effective"
                                                : "/v1/deployment"));
  KANTE_TRY(document, parseReply(body));
  if (document.is_null()) return fail(Errc::kNotFound, "nothing is deployed yet");
  printJson(options.json ? body : prettyJson(document));
  if (change.layers) return 0;
  KANTE_TRY(layers_body, client.get("/v1/deployment?view=layers"));
  KANTE_TRY(layers, parseReply(layers_body));
  if (!change.effective && layers.is_array() && !layers.as_array().empty())
    std::fprintf(stderr, "%zu layers lie on it: --layers shows them, --effective what runs\n",
                 layers.as_array().size());
  // What does not run where the document says; not part of it.
  KANTE_TRY(modules_body, client.get("/v1/modules"));
  KANTE_TRY(modules, parseReply(modules_body));
  if (!modules.is_array()) return 0;
  for (const json::value& each : modules.as_array()) {
    const std::string why = textOf(each, "override");
    if (why.empty()) continue;
    std::fprintf(stderr, "%s is not run as deployed (%s): %s\n",
                 printable(textOf(each, "name")).c_str(), textOf(each, "placement").c_str(),
                 printable(why).c_str());
  }
  return 0;
}

std::string listed(const json::value& texts) {
  std::string list;
  if (texts.is_array())
    for (const json::value& text : texts.as_array())
      list += (list.empty() ? "" : ", ") + asText(text);
  return list;
}

Result<int> history(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get("/v1/deployment/history"));
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(entries, parseReply(body));
  using enum Table::Align;
  Table table({{"N", kRight},
               {"DEPLOYMENT"},
               {"VERSION", kRight},
               {"STATE"},
               {"WHEN"},
               {"WHO"},
               {"CHANGED"}});
  if (!entries.is_array()) return 0;
  for (const json::value& entry : entries.as_array()) {
    const json::value& changed = member(entry, "changed");
    const std::size_t count = changed.is_array() ? changed.as_array().size() : 0;
    std::string what = count == 0 ? "" : printable(asText(changed.as_array()[0]));
    if (count > 1) what += fmt::format(" and {} more", count - 1);
    if (const std::string reason = textOf(entry, "reason"); !reason.empty())
      what = printable(reason);
    if (const std::string layers = listed(member(entry, "layers")); !layers.empty())
      what = printable(layers) + ": " + what;
    table.add({textOf(entry, "n"), printable(textOf(entry, "id")), textOf(entry, "version"),
               paintState(textOf(entry, "state")), textOf(entry, "when").substr(0, 19),
               printable(textOf(entry, "who")), cut(what, 60)});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

void addChangeOptions(CLI::App& command, const std::shared_ptr<Change>& change) {
  command.add_flag("--dry-run", change->dry_run, "Say what would change, change nothing");
  command.add_flag("--no-wait", change->no_wait, "Do not wait until it is committed or refused");
  command.add_flag("--rebind", change->rebind, "Let a module id come from another signer's CA");
  command.add_option("--base", change->base, "Only if this version is deployed")
      ->check(CLI::PositiveNumber);
}

}  // namespace

void addDeployCommands(CLI::App& app, Context& context) {
  CLI::App* deploy =
      app.add_subcommand("deploy", "What runs here: apply, show, history, roll back");
  deploy->require_subcommand(1);
  const auto change = std::make_shared<Change>();
  CLI::App* put = addHostCommand(
      *deploy, context, "apply",
      "Make the host run what a document says; sends the bundles it names", Prints::kData,
      [change](const HostOptions& options) { return apply(options, *change); });
  put->add_option("FILE", change->file,
                  "Deployment (JSON), or a signed document; - is standard input")
      ->required();
  addChangeOptions(*put, change);
  CLI::App* part =
      addHostCommand(*deploy, context, "patch", "Change the deployment that runs", Prints::kData,
                     [change](const HostOptions& options) { return patch(options, *change); });
  part->add_option("FILE", change->file, "Patch (JSON); - is standard input")->required();
  part->add_option("--type", change->type, "merge (RFC 7386) or json (RFC 6902)")
      ->check(CLI::IsMember({"merge", "json"}))
      ->capture_default_str();
  addChangeOptions(*part, change);
  CLI::App* shown =
      addHostCommand(*deploy, context, "show", "What is deployed, bundles by digest", Prints::kData,
                     [change](const HostOptions& options) { return show(options, *change); });
  CLI::Option* effective =
      shown->add_flag("--effective", change->effective, "With the layers on it: what runs");
  shown->add_flag("--layers", change->layers, "The layers")->excludes(effective);
  addHostCommand(*deploy, context, "history", "The last deployments, newest first", Prints::kData,
                 history);
  CLI::App* back = addHostCommand(
      *deploy, context, "rollback", "Bring an earlier deployment back", Prints::kData,
      [change](const HostOptions& options) { return rollback(options, *change); });
  back->add_option("N", change->n, "Entry of the history (the one before this)");
  back->add_flag("--no-wait", change->no_wait, "Do not wait until it is committed or refused");
  addDocumentCommands(*deploy, context);
}

}  // namespace kante::cli
