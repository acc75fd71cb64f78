// gateway.toml as a plain value: every key of the configuration with its default, and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/log.h"
#include "host/base/result.h"

namespace kante {

inline constexpr std::size_t kConfigBytesMax = 256 * 1024;
inline constexpr std::size_t kConfigDepthMax = 16;  // Nested arrays and inline tables.

struct GatewayConfig {
  std::string id;  // Required; a name.
  std::map<std::string, std::string> tags;
  std::string data_dir = "/var/lib/kante";
  std::uint32_t shards = 0;  // 0: one per core, at most 4.
};

// What `[[trust.rule]]` narrows a signer to; a list that is absent narrows nothing.
struct TrustRule {
  std::string signer;  // A subject, or a SHA-256 fingerprint in hexadecimal.
  std::optional<std::vector<std::string>> ids;  // "*" ends one that stands for more than itself.
  std::optional<std::vector<std::string>> permissions;
};

enum class OnRevoked { kReport, kStop };

struct TrustConfig {
  std::vector<std::string> signers = {"/etc/kante/signers.pem"};
  std::vector<std::string> deployers;  // Empty: nothing from afar is obeyed.
  std::vector<std::string> roots;
  std::vector<std::string> revoked;
  OnRevoked on_revoked = OnRevoked::kReport;
  std::vector<TrustRule> rules;
};

struct ApiConfig {
  std::string socket = "/run/kante/api.sock";
  std::string group = "kante";
  std::string http = "127.0.0.1:9180";  // Off when empty.
};

struct RuntimeConfig {
  std::uint32_t in_process_loads_max = 64;
};

struct HubMqttConfig {
  std::vector<std::string> listen = {"127.0.0.1:1883"};
  std::vector<std::string> tls_listen = {"0.0.0.0:8883"};
  bool anonymous = false;
  bool insecure_plain_text = false;
};

// Requests of devices, and MQTT over WebSocket.
struct HubHttpConfig {
  std::vector<std::string> listen;  // Plain text, loopback only.
};

struct HubHttpsConfig {
  std::vector<std::string> listen;
};

struct HubTlsConfig {
  std::string cert;  // Empty: issued by the gateway's own CA.
  std::string key;
  std::string client_ca;
};

// What one client, and all of them, may take of the hub.
struct HubLimitsConfig {
  std::uint32_t connections = 20'000;
  std::uint32_t connections_per_s = 200;     // Of one address; twice as many at once.
  std::uint32_t sessions = 50'000;           // With those that nobody is connected to.
  std::uint64_t message_bytes = 256u << 20;  // Of all messages that wait for clients.
  std::uint32_t retained_messages = 50'000;
  std::uint64_t retained_bytes = 64u << 20;
  std::uint32_t connect_timeout_ms = 10'000;
  std::uint32_t packet_bytes = (1u << 20) + (64u << 10);
  std::uint32_t inflight = 1024;   // Of QoS 1 and 2, of one client in one direction.
  std::uint32_t keep_alive_s = 0;  // The longest; 0: any, and none.
  std::uint32_t session_expiry_s = 7 * 86'400;
  std::uint32_t subscriptions = 1024;  // Of one session, as what follows.
  std::uint32_t queue_messages = 16'384;
  std::uint64_t queue_bytes = 16u << 20;
};

struct HubConfig {
  std::string hostname;  // Default: gateway.id + ".local".
  HubMqttConfig mqtt;
  HubLimitsConfig limits;
  HubHttpConfig http;
  HubHttpsConfig https;
  HubTlsConfig tls;
};

enum class UplinkKind { kNone, kMqtt, kIothub, kKante };
enum class UplinkOrder { kLiveFirst, kFifo };
enum class UplinkProtocol { kAuto, k5, k311 };
enum class AtBudget { kHold, kDropLowest };
enum class Compress { kNone, kZstd };
enum class Commands { kSigned, kBroker };

const char* name(UplinkKind kind);

struct UplinkConfig {
  UplinkKind kind = UplinkKind::kNone;
  std::string url;  // mqtt://HOST[:PORT] (loopback only) or mqtts://HOST[:PORT]
  std::string ca;
  std::string cert;
  std::string key;
  std::string username;
  std::string password_file;
  std::string proxy;
  std::string topic = "kante/v1/{gateway}/telemetry/{source}";
  UplinkProtocol protocol = UplinkProtocol::kAuto;  // Of MQTT.
  UplinkOrder order = UplinkOrder::kLiveFirst;
  std::uint32_t window = 64;
  std::uint32_t backlog_per_s = 0;
  std::uint64_t messages_per_day = 0;
  std::uint32_t meter_bytes = 4096;
  std::uint64_t bytes_per_day = 0;
  AtBudget at_budget = AtBudget::kHold;
  bool pack = false;
  std::uint32_t pack_bytes = 4096;
  std::uint32_t pack_ms = 1000;
  Compress compress = Compress::kNone;
  Commands commands = Commands::kSigned;
};

enum class StoreFull { kDropLowest, kRefuse };
enum class StoreSync { kAlways, kInterval };

struct StoreConfig {
  std::uint64_t max_bytes = 268'435'456;
  StoreFull full = StoreFull::kDropLowest;
  StoreSync sync = StoreSync::kAlways;
  std::uint32_t sync_ms = 200;
};

// How bundles are fetched that a deployment names with "from".
struct FetchConfig {
  std::string ca;                 // PEM file; empty: what this machine trusts.
  std::string proxy;              // http://HOST:PORT, https://… or socks5h://…
  std::uint64_t bytes_per_s = 0;  // 0: as fast as they come.
};

// `[[image]]`: of manifests of IoT Edge, which images are bundles here.
struct ImageConfig {
  std::string name;    // "*" ends one that stands for more than itself.
  std::string bundle;  // A digest or an absolute path.
  std::vector<std::string> from;
  std::string placement;  // Empty, "sandbox" or "in-process".
};

// `[[containers.registry]]`: how to log in where images come from.
struct ImageRegistryConfig {
  std::string server;  // "registry.example:5000", as in names of images; "docker.io".
  std::string username;
  std::string password_file;
};

struct ContainersConfig {
  std::string engine = "/run/docker.sock";  // Docker's socket, or Podman's.
  std::string network = "bridge";           // Of containers that name none.
  std::vector<ImageRegistryConfig> registries;
};

struct LogConfig {
  LogLevel level = LogLevel::kInfo;
};

struct SandboxConfig {
  std::uint32_t minimum_tier = 2;
};

struct Config {
  GatewayConfig gateway;
  TrustConfig trust;
  ApiConfig api;
  RuntimeConfig runtime;
  HubConfig hub;
  UplinkConfig uplink;
  StoreConfig store;
  FetchConfig fetch;
  std::vector<ImageConfig> images;
  SandboxConfig sandbox;
  LogConfig log;
  ContainersConfig containers;

  // Keys that the file itself set ("hub.mqtt.listen"), with the line: to tell a wish from a
  // default.
  std::map<std::string, std::uint32_t> set_at;
  std::string file;  // Its name in errors; empty: no file.
  std::string text;  // As it was read.
  // What [uplink], [hub], [store] and [log] set, with what a deployment changed, as JSON.
  std::string shown = "{}";
};

// HOST and PORT of "host:port", "[v6]:port"; used for every address of the configuration.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  bool isLoopback() const;  // localhost, 127.0.0.0/8, ::1.
};
Result<Endpoint> parseEndpoint(std::string_view text);

struct UplinkUrl {
  enum class Scheme { kMqtt, kMqtts } scheme = Scheme::kMqtts;
  Endpoint endpoint;  // Port 1883 or 8883 unless said.
};
Result<UplinkUrl> parseUplinkUrl(std::string_view url);

// `file` names the text in errors: "gateway.toml:12: [uplink] windw: unknown key; did you mean
// window".
Result<Config> parseConfig(std::string_view toml, const std::string& file);
// The same configuration with what the "gateway" section of a deployment changes, a JSON merge
// patch over [uplink], [hub], [store] and [log] that names no files.  Errors begin with the JSON
// pointer,
// "/gateway/uplink/window: …".
Result<Config> withGatewaySection(const Config& config, std::string_view patch);
// Reads and parses; at most kConfigBytesMax.
Result<Config> loadConfig(const std::string& path);

// Refuses, by name, what the configuration asks for and this build does not serve, so that nothing
// is ignored in silence; `kante run` calls it before it starts anything.  Defaults are no wish.
Status supported(const Config& config);

// What a gateway without a file runs with (`kante demo`): data in `data_dir`, no HTTP, no hub, no
// uplink.
Config defaultConfig(const std::string& data_dir);

}  // namespace kante
