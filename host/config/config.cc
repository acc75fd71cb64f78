#include "host/config/config.h"

#include <array>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/base/shown.h"
#include "host/config/gateway_section.h"
#include "host/config/section.h"

namespace kante {
namespace {

// In the order of the enumerations.
constexpr std::array kOnRevokedNames = {"report", "stop"};
constexpr std::array kUplinkKindNames = {"none", "mqtt", "iothub", "kante"};
constexpr std::array kUplinkProtocolNames = {"auto", "5", "3.1.1"};
constexpr std::array kUplinkOrderNames = {"live-first", "fifo"};
constexpr std::array kAtBudgetNames = {"hold", "drop-lowest"};
constexpr std::array kCompressNames = {"none", "zstd"};
constexpr std::array kCommandsNames = {"signed", "broker"};
constexpr std::array kStoreFullNames = {"drop-lowest", "refuse"};
constexpr std::array kLogLevelNames = {"trace", "debug", "info", "warn", "error"};
constexpr std::array kStoreSyncNames = {"always", "interval"};

constexpr std::size_t kTopicBytesMax = 1024;
constexpr std::size_t kTagBytesMax = 256;
constexpr std::size_t kSocketPathBytesMax = 107;  // sockaddr_un

Status checkName(const std::string& text) {
  if (isName(text)) return {};
  return fail(Errc::kInvalid,
              "\"" + text +
                  "\" is no name: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit");
}

Status checkTag(const std::string& text) {
  if (text.size() <= kTagBytesMax) return {};
  return fail(Errc::kInvalid,
              "a tag's value has at most " + std::to_string(kTagBytesMax) + " bytes");
}

Status checkEndpoint(const std::string& text) {
  const auto parsed = parseEndpoint(text);
  if (!parsed) return parsed.error();
  return {};
}

// Between two dots: 1 to 63 characters, no hyphen at either end.
bool isLabel(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789-") == std::string_view::npos;
}

// What no client would find in a certificate is none.
Status checkHostname(const std::string& text) {
  bool fits = text.size() <= 253;
  for (std::string_view rest = text; fits;) {
    const auto dot = rest.find('.');
    fits = isLabel(rest.substr(0, dot));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (fits) return {};
  return fail(Errc::kInvalid, "\"" + text + "\" is no host name");
}

Status checkUplinkTopic(const std::string& topic) {
  if (topic.empty() || topic.size() > kTopicBytesMax || topic[0] == '$' ||
      topic.find_first_of("+#") != std::string::npos)
    return fail(Errc::kInvalid, "a topic has 1 to " + std::to_string(kTopicBytesMax) +
                                    " bytes, no + or # and no $ at its beginning");
  for (std::size_t at = 0; (at = topic.find_first_of("{}", at)) != std::string::npos;) {
    const auto close = topic.find('}', at);
    const std::string placeholder =
        topic.substr(at, close == std::string::npos ? close : close + 1 - at);
    if (placeholder != "{gateway}" && placeholder != "{source}")
      return fail(Errc::kInvalid,
                  "\"" + placeholder + "\" is not a placeholder; there are {gateway} and {source}");
    at = close + 1;
  }
  const auto source = topic.find("{source}");
  if (source == std::string::npos || source != topic.rfind("{source}"))
    return fail(Errc::kInvalid, "{source} has to be there once, or all sources are mixed");
  if (shown(topic, kTopicBytesMax) != topic)
    return fail(Errc::kInvalid, "a topic has no control characters; brokers end the connection");
  return {};
}

void readGateway(Section section, GatewayConfig& out) {
  section.text("id", out.id, checkName);
  if (!section.has("id")) section.fault("id", "is missing; say what this gateway is called");
  section.texts("tags", out.tags, checkName, checkTag);
  section.path("data_dir", out.data_dir);
  if (out.data_dir.empty()) section.fault("data_dir", "is empty");
  section.number("shards", out.shards, 0, 64);
}

void readTrust(ConfigReader& reader, const TomlValue* table, TrustConfig& out) {
  Section section(reader, table, "trust");
  section.paths("signers", out.signers);
  section.paths("deployers", out.deployers);
  section.paths("roots", out.roots);
  section.paths("revoked", out.revoked);
  section.word("on_revoked", out.on_revoked, kOnRevokedNames);
  for (const TomlValue& element : section.tables("rule")) {
    Section rule(reader, &element, "trust.rule");
    TrustRule& read = out.rules.emplace_back();
    rule.text("signer", read.signer);
    if (!rule.has("signer"))
      rule.fault("signer", "is missing; name a subject or a SHA-256 fingerprint");
    for (auto* const list : {&read.ids, &read.permissions}) {
      const char* const key = list == &read.ids ? "ids" : "permissions";
      std::vector<std::string> patterns;
      rule.texts(key, patterns);  // Read in any case: what is not read is no known key.
      if (!rule.has(key)) continue;
      *list = std::move(patterns);
      for (const std::string& pattern : **list) {
        if (pattern.empty() || pattern.find('*') < pattern.size() - 1)
          rule.fault(key, "\"" + pattern + "\": a name, or its beginning and \"*\"");
      }
    }
    if (rule.has("signer") && read.signer.empty()) rule.fault("signer", "is empty");
    if (!read.ids && !read.permissions)
      rule.fault("signer", "is narrowed to nothing; say \"ids\", \"permissions\" or both");
  }
}

void readApi(Section section, ApiConfig& out) {
  section.path("socket", out.socket);
  if (out.socket.empty() || out.socket.size() > kSocketPathBytesMax)
    section.fault("socket",
                  "a socket's path has 1 to " + std::to_string(kSocketPathBytesMax) + " bytes");
  section.text("group", out.group);
  section.text("http", out.http, [](const std::string& text) -> Status {
    return text.empty() ? Status() : checkEndpoint(text);
  });
}

void checkLoopback(Section& section, const std::vector<std::string>& listen,
                   const std::string& instead) {
  for (const std::string& one : listen) {
    const auto endpoint = parseEndpoint(one);
    if (endpoint && !endpoint->isLoopback())
      section.fault("listen", "\"" + one + "\" is plain text beyond loopback; " + instead);
  }
}

void readHubLimits(ConfigReader& reader, const TomlValue* table, HubLimitsConfig& out) {
  Section section(reader, table, "hub.limits");
  section.number("connections", out.connections, 1, 1'000'000);
  section.number("connections_per_s", out.connections_per_s, 1, 1'000'000);
  section.number("sessions", out.sessions, 1, 10'000'000);
  section.number("message_bytes", out.message_bytes, 1 << 20, std::int64_t{1} << 40);
  section.number("retained_messages", out.retained_messages, 0, 100'000'000);
  section.number("retained_bytes", out.retained_bytes, 0, std::int64_t{1} << 40);
  section.number("connect_timeout_ms", out.connect_timeout_ms, 100, 600'000);
  section.number("packet_bytes", out.packet_bytes, 1024, 268'435'460);
  section.number("inflight", out.inflight, 1, 32'768);
  section.number("keep_alive_s", out.keep_alive_s, 0, 65'535);
  section.number("session_expiry_s", out.session_expiry_s, 0, 0xffff'ffff);
  section.number("subscriptions", out.subscriptions, 1, 1'000'000);
  section.number("queue_messages", out.queue_messages, 1, 10'000'000);
  section.number("queue_bytes", out.queue_bytes, 1024, std::int64_t{1} << 40);
}

void readHub(ConfigReader& reader, const TomlValue* table, HubConfig& out) {
  Section section(reader, table, "hub");
  section.text("hostname", out.hostname, checkHostname);
  {
    Section mqtt(reader, section.table("mqtt"), "hub.mqtt");
    mqtt.texts("listen", out.mqtt.listen, checkEndpoint);
    mqtt.texts("tls_listen", out.mqtt.tls_listen, checkEndpoint);
    mqtt.boolean("anonymous", out.mqtt.anonymous);
    mqtt.boolean("insecure_plain_text", out.mqtt.insecure_plain_text);
    if (!out.mqtt.insecure_plain_text)
      checkLoopback(mqtt, out.mqtt.listen, "use tls_listen, or set insecure_plain_text = true");
  }
  readHubLimits(reader, section.table("limits"), out.limits);
  {
    Section http(reader, section.table("http"), "hub.http");
    http.texts("listen", out.http.listen, checkEndpoint);
    checkLoopback(http, out.http.listen, "use [hub.https] listen");
  }
  Section(reader, section.table("https"), "hub.https")
      .texts("listen", out.https.listen, checkEndpoint);
  Section tls(reader, section.table("tls"), "hub.tls");
  tls.path("cert", out.tls.cert);
  tls.path("key", out.tls.key);
  tls.path("client_ca", out.tls.client_ca);
  if (out.tls.cert.empty() != out.tls.key.empty())
    tls.fault(out.tls.cert.empty() ? "cert" : "key", "cert and key are set together");
}

void checkUplink(Section& section, const UplinkConfig& uplink) {
  if (uplink.cert.empty() != uplink.key.empty())
    section.fault(uplink.cert.empty() ? "cert" : "key", "cert and key are set together");
  const bool to_gateway = uplink.kind == UplinkKind::kKante;
  if (!uplink.password_file.empty() && uplink.username.empty() && !to_gateway)
    section.fault("username", "is missing beside password_file");
  if (uplink.kind == UplinkKind::kNone) return;
  if (uplink.url.empty())
    return section.fault(
        "url", std::string("is missing; kind \"") + name(uplink.kind) + "\" connects to it");
  if (uplink.kind != UplinkKind::kMqtt && !to_gateway) return;
  // What a gateway and the one above it have agreed upon.
  for (const char* key : {"username", "topic", "protocol", "pack", "compress", "commands"})
    if (to_gateway && section.has(key))
      section.fault(key, "is settled between gateways; leave it out with kind \"kante\"");
  const auto url = parseUplinkUrl(uplink.url);
  if (!url) return section.fault("url", url.error().text);
  if (url->scheme == UplinkUrl::Scheme::kMqtt && !url->endpoint.isLoopback())
    section.fault("url", "\"" + uplink.url + "\" is plain text beyond loopback; use mqtts://");
}

void readUplink(Section section, UplinkConfig& out) {
  section.word("kind", out.kind, kUplinkKindNames);
  section.text("url", out.url);
  section.path("ca", out.ca);
  section.path("cert", out.cert);
  section.path("key", out.key);
  section.text("username", out.username);
  section.path("password_file", out.password_file);
  section.text("proxy", out.proxy);
  section.text("topic", out.topic, checkUplinkTopic);
  section.word("protocol", out.protocol, kUplinkProtocolNames);
  section.word("order", out.order, kUplinkOrderNames);
  section.number("window", out.window, 1, 4096);
  section.number("backlog_per_s", out.backlog_per_s, 0, 1'000'000);
  section.number("messages_per_day", out.messages_per_day, 0, 1'000'000'000'000);
  section.number("meter_bytes", out.meter_bytes, 1, 1 << 20);
  section.number("bytes_per_day", out.bytes_per_day, 0, std::int64_t{1} << 50);
  section.word("at_budget", out.at_budget, kAtBudgetNames);
  section.boolean("pack", out.pack);
  section.number("pack_bytes", out.pack_bytes, 512, 262'144);
  section.number("pack_ms", out.pack_ms, 0, 60'000);
  section.word("compress", out.compress, kCompressNames);
  section.word("commands", out.commands, kCommandsNames);
  checkUplink(section, out);
}

void readStore(Section section, StoreConfig& out) {
  section.number("max_bytes", out.max_bytes, 1 << 20, std::int64_t{1} << 40);
  section.word("full", out.full, kStoreFullNames);
  section.word("sync", out.sync, kStoreSyncNames);
  section.number("sync_ms", out.sync_ms, 1, 60'000);
}

void readFetch(Section section, FetchConfig& out) {
  section.path("ca", out.ca);
  section.text("proxy", out.proxy);
  section.number("bytes_per_s", out.bytes_per_s, 0, std::int64_t{1} << 40);
  const auto begins = [&out](const char* scheme) { return out.proxy.starts_with(scheme); };
  if (!out.proxy.empty() && !begins("http://") && !begins("https://") && !begins("socks5h://"))
    section.fault("proxy", "expected http://HOST:PORT, https://HOST:PORT or socks5h://HOST:PORT");
}

void readContainers(ConfigReader& reader, const TomlValue* table, ContainersConfig& out) {
  Section section(reader, table, "containers");
  section.path("engine", out.engine);
  if (out.engine.empty() || out.engine.size() > kSocketPathBytesMax)
    section.fault("engine",
                  "a socket's path has 1 to " + std::to_string(kSocketPathBytesMax) + " bytes");
  section.text("network", out.network);
  for (const TomlValue& element : section.tables("registry")) {
    Section registry(reader, &element, "containers.registry");
    ImageRegistryConfig& read = out.registries.emplace_back();
    registry.text("server", read.server);
    registry.text("username", read.username);
    registry.path("password_file", read.password_file);
    for (const char* key : {"server", "username", "password_file"})
      if (!registry.has(key)) registry.fault(key, "is missing");
  }
}

void readImages(ConfigReader& reader, Section& root, std::vector<ImageConfig>& out) {
  for (const TomlValue& element : root.tables("image")) {
    Section image(reader, &element, "image");
    ImageConfig& read = out.emplace_back();
    image.text("name", read.name);
    image.text("bundle", read.bundle);
    image.texts("from", read.from);
    image.text("placement", read.placement);
    if (read.name.empty()) image.fault("name", "is missing; name an image, or its beginning and *");
    if (!read.bundle.starts_with("sha256:") && !read.bundle.starts_with('/'))
      image.fault("bundle", "expected \"sha256:…\" or the absolute path of a bundle");
    if (!read.placement.empty() && read.placement != "sandbox" && read.placement != "in-process")
      image.fault("placement", "expected \"sandbox\" or \"in-process\"");
  }
}

Result<Config> readConfig(const TomlValue& document, ConfigReader& reader) {
  Config config;
  {
    Section root(reader, &document, "");
    readGateway(Section(reader, root.table("gateway"), "gateway"), config.gateway);
    readTrust(reader, root.table("trust"), config.trust);
    readApi(Section(reader, root.table("api"), "api"), config.api);
    Section(reader, root.table("runtime"), "runtime")
        .number("in_process_loads_max", config.runtime.in_process_loads_max, 1, 4096);
    readHub(reader, root.table("hub"), config.hub);
    readUplink(Section(reader, root.table("uplink"), "uplink"), config.uplink);
    readStore(Section(reader, root.table("store"), "store"), config.store);
    readImages(reader, root, config.images);
    readFetch(Section(reader, root.table("fetch"), "fetch"), config.fetch);
    readContainers(reader, root.table("containers"), config.containers);
    Section(reader, root.table("sandbox"), "sandbox")
        .number("minimum_tier", config.sandbox.minimum_tier, 1, 3);
    Section(reader, root.table("log"), "log").word("level", config.log.level, kLogLevelNames);
  }
  KANTE_CHECK(reader.result());
  if (config.hub.hostname.empty()) config.hub.hostname = config.gateway.id + ".local";
  config.set_at = reader.takeSetAt();
  config.shown = shownSections(document);
  return config;
}

std::string directoryOf(const std::string& file) {
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash);
}

}  // namespace

const char* name(UplinkKind kind) { return kUplinkKindNames[static_cast<std::size_t>(kind)]; }

Result<Config> parseConfig(std::string_view toml, const std::string& file) {
  if (toml.size() > kConfigBytesMax)
    return fail(Errc::kLimit,
                file + ": the file has more than " + std::to_string(kConfigBytesMax) + " bytes");
  KANTE_TRY(document, parseToml(toml, file, kConfigDepthMax));
  ConfigReader reader(file, directoryOf(file));
  KANTE_TRY(config, readConfig(document, reader));
  config.file = file;
  config.text = toml;
  return config;
}

Result<Config> withGatewaySection(const Config& config, std::string_view patch) {
  KANTE_TRY(document, parseToml(config.text, config.file, kConfigDepthMax));
  KANTE_CHECK(mergeGatewaySection(patch, document));
  ConfigReader reader("", directoryOf(config.file));
  auto merged = readConfig(document, reader);
  if (!merged) return asPointer(merged.error());
  merged->file = config.file;
  merged->text = config.text;
  return merged;
}

Result<Config> loadConfig(const std::string& path) {
  auto text = readFile(path, kConfigBytesMax);
  if (!text) return within("configuration", text.error());
  return parseConfig(*text, path);
}

Config defaultConfig(const std::string& data_dir) {
  Config config;
  config.gateway.id = "demo";
  config.gateway.data_dir = data_dir;
  config.trust.signers.clear();
  config.api.socket = data_dir + "/api.sock";
  config.api.group.clear();
  config.api.http.clear();
  config.hub.hostname = "demo.local";
  config.hub.mqtt.listen.clear();
  config.hub.mqtt.tls_listen.clear();
  return config;
}

}  // namespace kante
