// kante device …, kante identity …: who may connect to the hub, and who the gateway is.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <utility>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/base/openssl.h"
#include "host/cli/host_command.h"
#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kCertificateBytesMax = 64 * 1024;
constexpr std::size_t kPage = 1000;

std::string deviceTarget(const std::string& id, const char* more = "") {
  return "/v1/devices/" + percentEncode(id) + more;
}

// Shown as JSON, or by `view`.
template <typename View>
Result<int> shown(const HostOptions& options, const std::string& body, View view) {
  if (options.json) {
    printJson(body);
    return 0;
  }
  KANTE_TRY(value, parseReply(body));
  view(value);
  return 0;
}

std::string listed(const json::value& texts) {
  std::string out;
  if (!texts.is_array()) return out;
  for (const json::value& each : texts.as_array())
    out += (out.empty() ? "" : " ") + printable(asText(each));
  return out.empty() ? "none" : out;
}

// What the gateway below writes into its configuration; the key goes into a file of its own.
void printUplink(const json::value& device) {
  const std::string url = textOf(device, "url");
  const bool by_key = textOf(member(device, "authentication"), "type") == "sas";
  std::fprintf(stderr, "\n# gateway.toml of %s%s\n[uplink]\nkind = \"kante\"\nurl = \"%s\"\n",
               textOf(device, "principal").substr(8).c_str(),
               by_key ? "; the key above is the only line of password_file" : "",
               url.empty() ? "mqtts://HOST:8883" : url.c_str());
  if (!url.starts_with("mqtt://"))
    std::fputs("ca = \"/etc/kante/parent-ca.pem\"  # kante identity show --ca, here\n", stderr);
  std::fputs(by_key ? "password_file = \"/etc/kante/uplink.key\"\n"
                    : "cert = \"/etc/kante/uplink.pem\"\nkey = \"/etc/kante/uplink.key\"\n",
             stderr);
}

// The one line that a script wants goes to stdout, the rest to people.
void printCredentials(const json::value& device) {
  const json::value& authentication = member(device, "authentication");
  const std::string connection = textOf(device, "connection_string");
  const std::string key = textOf(member(authentication, "symmetricKey"), "primaryKey");
  if (!connection.empty()) {
    std::printf("%s\n", connection.c_str());
  } else if (!key.empty()) {
    std::printf("%s\n", key.c_str());
  }
  std::fprintf(stderr, "%s %s, grants: %s\n", textOf(device, "principal").c_str(),
               textOf(device, "status").c_str(), listed(member(device, "grants")).c_str());
  if (textOf(device, "principal").starts_with("gateway/")) printUplink(device);
}

void printDevice(const json::value& device) {
  const json::value& authentication = member(device, "authentication");
  std::printf("%s  %s  %s\n", paint(Colour::kBold, textOf(device, "principal")).c_str(),
              textOf(device, "status").c_str(), textOf(authentication, "type").c_str());
  const auto line = [](const char* name, const std::string& text) {
    if (!text.empty()) std::printf("  %-12s %s\n", name, printable(text).c_str());
  };
  const json::value& keys = member(authentication, "symmetricKey");
  const json::value& thumbprints = member(authentication, "x509Thumbprint");
  line("primary", textOf(keys, "primaryKey") + textOf(thumbprints, "primaryThumbprint"));
  line("secondary", textOf(keys, "secondaryKey") + textOf(thumbprints, "secondaryThumbprint"));
  line("connection", textOf(device, "connection_string"));
  line("parent", textOf(device, "parent"));
  line("grants", listed(member(device, "grants")));
  line("generation", textOf(device, "generationId"));
  line("created", textOf(device, "created"));
  line("updated", textOf(device, "updated"));
}

struct AddOptions {
  std::string id;
  bool sas = false, ca = false, disabled = false, no_default = false;
  std::string x509, x509_secondary, key, secondary_key, parent;
  std::vector<std::string> grants, on_behalf;
};

// A thumbprint as it is, or that of the first certificate of a PEM file.
Result<std::string> thumbprintOf(const std::string& given) {
  std::string digits = given;
  std::erase(digits, ':');
  const bool is_hex = digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (is_hex && (digits.size() == 40 || digits.size() == 64)) return digits;
  auto pem = readFile(given, kCertificateBytesMax);
  if (!pem)
    return fail(pem.error().code, "\"" + given +
                                      "\" is neither a thumbprint of 40 or 64 hexadecimal digits "
                                      "nor a file: " +
                                      pem.error().text);
  const auto certificates = readCertificates(*pem);
  if (!certificates || certificates->empty())
    return fail(Errc::kInvalid, given + ": no certificate in PEM" +
                                    (certificates ? "" : ": " + certificates.error().text));
  return fingerprintOf(certificates->front().get());
}

Result<json::object> authenticationOf(const AddOptions& what) {
  if (what.ca) return json::object{{"type", "certificateAuthority"}};
  if (!what.x509.empty()) {
    KANTE_TRY(primary, thumbprintOf(what.x509));
    json::object thumbprints{{"primaryThumbprint", primary}};
    if (!what.x509_secondary.empty()) {
      KANTE_TRY(secondary, thumbprintOf(what.x509_secondary));
      thumbprints["secondaryThumbprint"] = secondary;
    }
    return json::object{{"type", "selfSigned"}, {"x509Thumbprint", std::move(thumbprints)}};
  }
  json::object out{{"type", "sas"}};
  if (what.key.empty()) return out;
  json::object keys{{"primaryKey", what.key}};
  if (!what.secondary_key.empty()) keys["secondaryKey"] = what.secondary_key;
  out["symmetricKey"] = std::move(keys);
  return out;
}

Result<int> addDevice(const HostOptions& options, const AddOptions& what) {
  json::array grants;
  if (!what.no_default) grants.emplace_back("default");
  for (const std::string& grant : what.grants)
    if (grant != "default" || what.no_default) grants.emplace_back(grant);
  for (const std::string& other : what.on_behalf) grants.emplace_back("on-behalf:" + other);
  KANTE_TRY(authentication, authenticationOf(what));
  json::object body{{"id", what.id},
                    {"authentication", std::move(authentication)},
                    {"grants", std::move(grants)},
                    {"status", what.disabled ? "disabled" : "enabled"}};
  if (!what.parent.empty()) body["parent"] = what.parent;
  KANTE_TRY(client, options.connect());
  KANTE_TRY(reply, client.send("POST", "/v1/devices", json::serialize(body)));
  return shown(options, reply, printCredentials);
}

Result<int> listDevices(const HostOptions& options) {
  KANTE_TRY(client, options.connect());
  json::array all;
  for (std::string after;;) {
    KANTE_TRY(body, client.get("/v1/devices?max=" + std::to_string(kPage) +
                               "&after=" + percentEncode(after)));
    KANTE_TRY(page, parseReply(body));
    if (!page.is_array() || page.as_array().empty()) break;
    for (json::value& each : page.as_array()) all.push_back(std::move(each));
    after = textOf(all.back(), "principal");
    if (page.as_array().size() < kPage) break;
  }
  if (options.json) {
    printJson(json::serialize(all));
    return 0;
  }
  Table table({{"DEVICE"}, {"STATUS"}, {"PROVES ITSELF BY"}, {"GRANTS"}});
  for (const json::value& each : all)
    table.add({printable(textOf(each, "principal")), textOf(each, "status"),
               textOf(member(each, "authentication"), "type"),
               cut(listed(member(each, "grants")), 60)});
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> patchDevice(const HostOptions& options, const std::string& id,
                        const json::object& change) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.send("PATCH", deviceTarget(id), json::serialize(change)));
  return shown(options, body, printDevice);
}

struct GrantOptions {
  std::string id, explain;
  std::vector<std::string> add, remove, set;
};

void printGrants(const json::value& device) {
  const json::value& grants = member(device, "grants");
  if (!grants.is_array() || grants.as_array().empty()) std::puts("no grants: nothing is allowed");
  if (!grants.is_array()) return;
  for (const json::value& each : grants.as_array()) {
    std::printf("%s\n", printable(asText(each)).c_str());
    if (asText(each) != "default") continue;
    for (const json::value& one : member(device, "default_grants").as_array())
      std::printf("  %s\n", paint(Colour::kDim, printable(asText(one))).c_str());
  }
}

// Exit 1 when nothing of what was asked for is allowed.
Result<int> explainGrants(const HostOptions& options, const GrantOptions& what) {
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get(deviceTarget(what.id) + "?explain=" + percentEncode(what.explain)));
  KANTE_TRY(device, parseReply(body));
  const json::value& explained = member(device, "explained");
  if (options.json) {
    printJson(json::serialize(explained));
  }
  bool allowed = false;
  if (!explained.is_array()) return 1;
  for (const json::value& each : explained.as_array()) {
    const bool yes = textOf(each, "allowed") == "true";
    allowed = allowed || yes;
    if (options.json) continue;
    std::printf("%s  %s\n", paint(yes ? Colour::kGreen : Colour::kRed, yes ? "yes" : "no ").c_str(),
                printable(textOf(each, "because")).c_str());
  }
  return allowed ? 0 : 1;
}

Result<int> grants(const HostOptions& options, const GrantOptions& what) {
  if (!what.explain.empty()) return explainGrants(options, what);
  KANTE_TRY(client, options.connect());
  KANTE_TRY(body, client.get(deviceTarget(what.id)));
  if (what.add.empty() && what.remove.empty() && what.set.empty())
    return shown(options, body, printGrants);
  KANTE_TRY(device, parseReply(body));
  std::vector<std::string> next = what.set;
  if (next.empty() && member(device, "grants").is_array()) {
    for (const json::value& each : member(device, "grants").as_array())
      next.push_back(asText(each));
  }
  for (const std::string& gone : what.remove) {
    if (std::erase(next, gone) == 0)
      return fail(Errc::kNotFound, what.id + " has no grant \"" + gone +
                                       "\"; it has: " + listed(member(device, "grants")));
  }
  for (const std::string& grant : what.add)
    if (std::find(next.begin(), next.end(), grant) == next.end()) next.push_back(grant);
  const json::object change{{"grants", json::array(next.begin(), next.end())}};
  KANTE_TRY(changed, client.send("PATCH", deviceTarget(what.id), json::serialize(change)));
  return shown(options, changed, printGrants);
}

void addAdd(CLI::App& device, Context& context) {
  const auto what = std::make_shared<AddOptions>();
  CLI::App* add = addHostCommand(
      device, context, "add", "Register a device; prints what it connects with", Prints::kData,
      [what](const HostOptions& options) { return addDevice(options, *what); });
  add->add_option("ID", what->id, "ID, ID/module/NAME or gateway/ID")->required();
  auto* how = add->add_option_group("proof", "How it proves who it is");
  how->add_flag("--sas", what->sas, "By tokens, signed with a key that is made here (default)");
  CLI::Option* x509 = how->add_option("--x509", what->x509,
                                      "By this certificate: a PEM file, or its SHA-1 or SHA-256");
  how->add_flag("--ca", what->ca, "By any certificate for ID from a CA of [hub.tls] client_ca");
  how->require_option(0, 1);
  add->add_option("--x509-secondary", what->x509_secondary, "A second certificate, for a change")
      ->needs(x509);
  CLI::Option* key =
      add->add_option("--key", what->key, "Primary key in base64 instead of a new one");
  add->add_option("--secondary-key", what->secondary_key, "Secondary key in base64")->needs(key);
  add->add_option("--grant", what->grants,
                  "publish:FILTER, subscribe:FILTER, method:PRINCIPAL/NAME, twin:PRINCIPAL, "
                  "besides the default; {id} is its own");
  add->add_option("--on-behalf", what->on_behalf,
                  "Of a gateway: whom it speaks for, as 'device/*' and 'gateway/*'");
  add->add_option("--parent", what->parent,
                  "Of a device: the gateway/ID that it is behind, and no other");
  add->add_flag("--no-default-grants", what->no_default, "Only what --grant says");
  add->add_flag("--disabled", what->disabled, "Let nobody in by it yet");
}

CLI::App* addOne(CLI::App& device, Context& context, const char* name, const char* description,
                 std::function<Result<int>(const HostOptions&, const std::string& id)> body) {
  const auto id = std::make_shared<std::string>();
  CLI::App* command = addHostCommand(
      device, context, name, description, Prints::kData,
      [id, body = std::move(body)](const HostOptions& options) { return body(options, *id); });
  command->add_option("ID", *id, "ID, ID/module/NAME or gateway/ID")->required();
  return command;
}

void addKeys(CLI::App& device, Context& context) {
  const auto ttl = std::make_shared<std::int64_t>(3600);
  CLI::App* sas =
      addOne(device, context, "sas", "Make a token that the device is let in with",
             [ttl](const HostOptions& options, const std::string& id) -> Result<int> {
               KANTE_TRY(client, options.connect());
               KANTE_TRY(body, client.send("POST", deviceTarget(id, "/sas"),
                                           json::serialize(json::object{{"ttl_s", *ttl}})));
               return shown(options, body, [](const json::value& reply) {
                 std::printf("%s\n", textOf(reply, "token").c_str());
                 std::fprintf(stderr, "expires %s\n", textOf(reply, "expires").c_str());
               });
             });
  sas->alias("token");
  sas->add_option("--ttl", *ttl, "Seconds until it expires")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{315'360'000}))
      ->capture_default_str();
  const auto which = std::make_shared<std::string>("primary");
  const auto end = std::make_shared<bool>(false);
  CLI::App* rotate = addOne(
      device, context, "rotate", "Make its key new; the one before serves until the next time",
      [which, end](const HostOptions& options, const std::string& id) -> Result<int> {
        KANTE_TRY(client, options.connect());
        const json::object change{{"which", *which}, {"sessions", *end ? "end" : "keep"}};
        KANTE_TRY(body, client.send("POST", deviceTarget(id, "/keys"), json::serialize(change)));
        return shown(options, body, printCredentials);
      });
  rotate->add_option("--which", *which, "primary: the old one becomes the secondary; or both")
      ->check(CLI::IsMember({"primary", "secondary", "both"}))
      ->capture_default_str();
  rotate->add_flag("--end-sessions", *end, "Its sessions end now, instead of with their tokens");
}

void addGrants(CLI::App& device, Context& context) {
  const auto what = std::make_shared<GrantOptions>();
  CLI::App* command = addHostCommand(
      device, context, "grants", "Show, explain or change what it may do", Prints::kData,
      [what](const HostOptions& options) { return grants(options, *what); });
  command->add_option("ID", what->id, "ID, ID/module/NAME or gateway/ID")->required();
  CLI::Option* explain = command->add_option(
      "--explain", what->explain,
      "A topic or filter, method:PRINCIPAL/NAME or twin:PRINCIPAL: which grant decides");
  CLI::Option* add = command->add_option("--add", what->add, "One more")->excludes(explain);
  CLI::Option* remove =
      command->add_option("--remove", what->remove, "One less")->excludes(explain);
  command->add_option("--set", what->set, "These and no others")
      ->excludes(explain)
      ->excludes(add)
      ->excludes(remove);
}

}  // namespace

void addDeviceCommands(CLI::App& app, Context& context) {
  CLI::App* device = app.add_subcommand("device", "Who may connect to the hub");
  device->require_subcommand(1);
  addAdd(*device, context);
  addHostCommand(*device, context, "list", "Who is registered", Prints::kData, listDevices);
  const auto keys = std::make_shared<bool>(false);
  addOne(*device, context, "show", "One device",
         [keys](const HostOptions& options, const std::string& id) -> Result<int> {
           KANTE_TRY(client, options.connect());
           KANTE_TRY(body, client.get(deviceTarget(id, *keys ? "?keys=1" : "")));
           return shown(options, body, printDevice);
         })
      ->add_flag("--keys", *keys, "With its keys and connection string");
  addOne(*device, context, "remove", "Forget a device and its modules; its sessions end",
         [](const HostOptions& options, const std::string& id) -> Result<int> {
           KANTE_TRY(client, options.connect());
           KANTE_TRY(body, client.send("DELETE", deviceTarget(id), {}));
           return shown(options, body, [](const json::value& reply) {
             std::fprintf(stderr, "%s is removed\n", textOf(reply, "removed").c_str());
           });
         });
  addOne(*device, context, "disable", "Let it in no more; its sessions end",
         [](const HostOptions& options, const std::string& id) {
           return patchDevice(options, id, {{"status", "disabled"}});
         });
  addOne(*device, context, "enable", "Let it in again",
         [](const HostOptions& options, const std::string& id) {
           return patchDevice(options, id, {{"status", "enabled"}});
         });
  addKeys(*device, context);
  addGrants(*device, context);
}

void addIdentityCommands(CLI::App& app, Context& context) {
  CLI::App* identity = app.add_subcommand("identity", "Who this gateway is");
  identity->require_subcommand(1);
  const auto ca = std::make_shared<bool>(false);
  const auto for_secrets = std::make_shared<bool>(false);
  CLI::App* show = addHostCommand(
      *identity, context, "show", "Its names and certificates", Prints::kData,
      [ca, for_secrets](const HostOptions& options) -> Result<int> {
        KANTE_TRY(client, options.connect());
        KANTE_TRY(body, client.get("/v1/identity"));
        return shown(options, body, [&](const json::value& own) {
          const auto line = [&](const char* name, const json::value& of) {
            if (of.is_null()) return;
            std::printf("%-8s SHA-256 %s, until %s\n", name, textOf(of, "fingerprint").c_str(),
                        textOf(of, "not_after").c_str());
          };
          if (*ca || *for_secrets) {
            const char* which = *ca ? "ca" : "secrets";
            std::fputs(textOf(member(own, which), "pem").c_str(), stdout);
            return;
          }
          std::printf("%-8s %s\n%-8s %s\n", "gateway", textOf(own, "gateway").c_str(), "names",
                      listed(member(own, "names")).c_str());
          line("ca", member(own, "ca"));
          line("hub", member(own, "hub"));
          line("secrets", member(own, "secrets"));
        });
      });
  show->add_flag("--ca", *ca, "The certificate that clients trust the hub by, in PEM");
  show->add_flag("--public", *for_secrets,
                 "The certificate that secrets are encrypted to (deploy sign --recipient), in PEM")
      ->excludes("--ca");
}

}  // namespace kante::cli
