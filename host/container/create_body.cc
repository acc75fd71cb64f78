#include "host/container/create_body.h"

#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/container/create_options.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr JsonBounds kBodyBounds{4u << 20, 40};

Error at(const std::string& pointer, Errc code, const std::string& text) {
  return fail(code, pointer + ": " + text);
}

class Maker {
 public:
  Maker(const CreateOrder& order, json::object body)
      : order_(order),
        options_at_(jsonPointer(order.pointer, "create_options")),
        body_(std::move(body)) {}

  Result<CreateBody> make();

 private:
  json::object& host() { return body_["HostConfig"].as_object(); }
  std::string hostAt(const char* name) const {
    return jsonPointer(jsonPointer(options_at_, "HostConfig"), name);
  }
  Status image();
  Status environment();
  Status limit(const char* name, std::uint64_t value, const char* limit);
  void logs();
  void network();
  Status hosts();

  const CreateOrder& order_;
  const std::string options_at_;
  json::object body_;
};

Status Maker::image() {
  const auto* image = body_.if_contains("Image");
  if (image != nullptr && *image != json::string(order_.image))
    return at(jsonPointer(options_at_, "Image"), Errc::kInvalid,
              "is not the module's \"image\"; take one of them out");
  body_["Image"] = order_.image;
  return {};
}

// The options', over them the deployment's, and with them the gateway's.
Status Maker::environment() {
  std::map<std::string, std::string> out;  // Name to "NAME=value" or, as Docker has it, "NAME".
  const auto add = [&](const std::string& name, const std::string& entry,
                       const std::string& pointer) -> Status {
    if (name.empty() || entry.find('\0') != std::string::npos)
      return at(pointer, Errc::kInvalid, "expected NAME=VALUE without a zero byte");
    if (order_.environment.contains(name))
      return at(pointer, Errc::kUnsupported, name + " is set by Kante; take it out");
    out[name] = entry;
    return {};
  };
  if (const auto* given = body_.if_contains("Env")) {
    const std::string pointer = jsonPointer(options_at_, "Env");
    if (!given->is_array()) return at(pointer, Errc::kInvalid, "expected a list of strings");
    for (std::size_t i = 0; i < given->as_array().size(); ++i) {
      const auto& one = given->as_array()[i];
      const std::string here = jsonPointer(pointer, i);
      if (!one.is_string()) return at(here, Errc::kInvalid, "expected a string");
      const std::string entry(one.as_string());
      KANTE_CHECK(add(entry.substr(0, entry.find('=')), entry, here));
    }
  }
  for (const auto& [name, value] : order_.env) {
    const std::string here = jsonPointer(jsonPointer(order_.pointer, "env"), name);
    if (name.find('=') != std::string::npos) return at(here, Errc::kInvalid, "a name has no \"=\"");
    KANTE_CHECK(add(name, name + "=" + value, here));
  }
  for (const auto& [name, value] : order_.environment) out[name] = name + "=" + value;
  json::array list;
  for (const auto& [name, entry] : out) list.emplace_back(entry);
  body_["Env"] = std::move(list);
  return {};
}

Status Maker::limit(const char* name, std::uint64_t value, const char* limit) {
  if (value == 0) return {};
  const auto* given = host().if_contains(name);
  const bool is_zero = given == nullptr || (given->is_int64() && given->as_int64() == 0);
  if (!is_zero)
    return at(hostAt(name), Errc::kInvalid,
              std::string("is also said by \"limits\": \"") + limit + "\"; take one of them out");
  host()[name] = value;
  return {};
}

// Logs that nobody bounds fill the disk.
void Maker::logs() {
  json::value& log = host()["LogConfig"];
  if (!log.is_object()) log = json::object();
  json::object& options = log.as_object();
  options.emplace("Type", "json-file");
  options.emplace("Config", json::object());  // Before anything of it is held: it may move.
  json::value& type = options.at("Type");
  json::value& config = options.at("Config");
  if (type == "") type = "json-file";
  if (type == "json-file" && config.as_object().empty())
    config = json::object{{"max-size", "10m"}, {"max-file", "3"}};
}

void Maker::network() {
  auto& networking = body_["NetworkingConfig"].as_object();
  auto* endpoints = networking.if_contains("EndpointsConfig");
  if (!host().contains("NetworkMode")) {
    const bool one = endpoints != nullptr && endpoints->as_object().size() == 1;
    host()["NetworkMode"] = one ? json::string(endpoints->as_object().begin()->key())
                            : order_.network.empty() ? json::string("none")
                                                     : json::string(order_.network);
    // Others find it by the module's name; the engine's own networks have no names.
    const bool has_names = !order_.network.empty() && order_.network != "bridge" &&
                           order_.network != "host" && order_.network != "none" &&
                           order_.network != "default";
    if (has_names && endpoints == nullptr)
      networking["EndpointsConfig"] = json::object{
          {order_.network, json::object{{"Aliases", json::array{json::string(order_.module)}}}}};
  }
  if (networking.empty()) body_.erase("NetworkingConfig");
}

Status Maker::hosts() {
  if (order_.hosts.empty()) return {};
  json::value& hosts = host()["ExtraHosts"];
  if (hosts.is_null()) hosts = json::array();
  if (!hosts.is_array())
    return at(hostAt("ExtraHosts"), Errc::kInvalid, "expected a list of \"NAME:ADDRESS\"");
  for (const std::string& one : order_.hosts) hosts.as_array().emplace_back(one);
  return {};
}

Result<CreateBody> Maker::make() {
  KANTE_CHECK(image());
  KANTE_CHECK(environment());
  KANTE_CHECK(limit("Memory", std::uint64_t{order_.memory_mb} << 20, "memory_mb"));
  KANTE_CHECK(limit("NanoCpus", std::uint64_t{order_.cpu_percent} * 10'000'000, "cpu_percent"));
  KANTE_CHECK(limit("PidsLimit", order_.threads, "threads"));
  // A limit with as much swap again is none.
  if (order_.memory_mb != 0 && !host().contains("MemorySwap"))
    host()["MemorySwap"] = std::uint64_t{order_.memory_mb} << 20;
  logs();
  network();
  host()["RestartPolicy"] = json::object{{"Name", "no"}};
  if (!order_.binds.empty()) {
    json::value& binds = host()["Binds"];
    if (binds.is_null()) binds = json::array();
    for (const std::string& bind : order_.binds) binds.as_array().emplace_back(bind);
  }
  KANTE_CHECK(hosts());
  json::value& labels = body_["Labels"];
  if (labels.is_null()) labels = json::object();
  labels.as_object()[kGatewayLabel] = order_.gateway;
  labels.as_object()[kModuleLabel] = order_.module;

  CreateBody out;
  out.spec = toHex(sha256(writeJson(body_, MemberOrder::kSorted)));
  labels.as_object()[kSpecLabel] = out.spec;
  out.json = writeJson(body_, MemberOrder::kSorted);
  return out;
}

}  // namespace

Result<CreateBody> makeCreateBody(const CreateOrder& order) {
  KANTE_TRY(grants,
            ContainerGrants::parse(order.grants,
                                   jsonPointer(jsonPointer(order.pointer, "grants"), "container")));
  KANTE_TRY(body, checkCreateOptions(order.create_options, grants,
                                     jsonPointer(order.pointer, "create_options")));
  return Maker(order, std::move(body)).make();
}

namespace {

constexpr std::string_view kToHost = ":host-gateway";

json::object* hostConfigOf(json::object& body) {
  json::value* host = body.if_contains("HostConfig");
  return host != nullptr && host->is_object() ? &host->get_object() : nullptr;
}

// Calls that with each of its hosts.
template <typename Each>
void eachHost(json::object& host_config, Each each) {
  json::value* hosts = host_config.if_contains("ExtraHosts");
  if (hosts == nullptr || !hosts->is_array()) return;
  for (json::value& one : hosts->get_array())
    if (one.is_string()) each(one.get_string());
}

}  // namespace

std::string networkToResolve(const std::string& body) {
  auto parsed = parseJsonObject(body, kBodyBounds);
  json::object* host = parsed ? hostConfigOf(*parsed) : nullptr;
  if (host == nullptr) return {};
  bool leads_here = false;
  eachHost(*host, [&](const json::string& one) {
    leads_here = leads_here || std::string_view(one).ends_with(kToHost);
  });
  const json::value* network = host->if_contains("NetworkMode");
  if (!leads_here || network == nullptr || !network->is_string()) return {};
  return std::string(network->get_string());
}

std::string withGateway(const std::string& body, const std::string& address) {
  auto parsed = parseJsonObject(body, kBodyBounds);
  json::object* host = parsed ? hostConfigOf(*parsed) : nullptr;
  if (host == nullptr || address.empty()) return body;
  eachHost(*host, [&](json::string& one) {
    const std::string_view text(one);
    if (text.ends_with(kToHost))
      one = std::string(text.substr(0, text.size() - kToHost.size())) + ":" + address;
  });
  return writeJson(*parsed);
}

}  // namespace kante
