#include "host/container/create_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/container/container_grants.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace json = boost::json;

CreateOrder orderOf(const std::string& options, std::vector<std::string> grants = {}) {
  CreateOrder order;
  order.gateway = "g";
  order.module = "opc";
  order.image = "factory/opc:3";
  order.create_options = json::parse(options).as_object();
  order.grants = std::move(grants);
  order.pointer = "/modules/opc";
  return order;
}

json::object bodyOf(const CreateOrder& order) {
  const auto body = makeCreateBody(order);
  EXPECT_TRUE(body) << body.error().text;
  return body ? json::parse(body->json).as_object() : json::object();
}

json::value hostOf(const std::string& options, std::vector<std::string> grants = {}) {
  const auto body = bodyOf(orderOf(options, std::move(grants)));
  return body.contains("HostConfig") ? body.at("HostConfig") : json::value();
}

Error errorOf(const CreateOrder& order) {
  const auto body = makeCreateBody(order);
  EXPECT_FALSE(body) << body->json;
  return body ? Error() : body.error();
}

TEST(CreateBody, IsWhatAModuleGetsThatAsksForNothing) {
  const auto body = makeCreateBody(orderOf("{}"));
  ASSERT_TRUE(body) << body.error().text;
  EXPECT_EQ(json::parse(body->json), json::parse(R"({
    "Image": "factory/opc:3", "Env": [],
    "Labels": {"dev.kante.gateway": "g", "dev.kante.module": "opc",
               "dev.kante.spec": ")" + body->spec +
                                                 R"("},
    "HostConfig": {"NetworkMode": "none", "RestartPolicy": {"Name": "no"},
                   "LogConfig": {"Type": "json-file",
                                 "Config": {"max-size": "10m", "max-file": "3"}}}})"));
}

TEST(CreateBody, HasASpecThatChangesWithAnythingButTheOrderOfMembers) {
  const auto specOf = [](const CreateOrder& order) { return makeCreateBody(order)->spec; };
  const auto base = orderOf(R"({"Hostname":"a","User":"b"})");
  EXPECT_EQ(specOf(base).size(), 64u);
  EXPECT_EQ(specOf(base), specOf(orderOf(R"({"user":"b","Hostname":"a","Cmd":null})")));
  EXPECT_NE(specOf(base), specOf(orderOf(R"({"Hostname":"a","User":"c"})")));
  auto other = base;
  other.image = "factory/opc:4";
  EXPECT_NE(specOf(base), specOf(other));
  other = base;
  other.environment["IOTEDGE_MODULEID"] = "x";
  EXPECT_NE(specOf(base), specOf(other));
}

TEST(CreateBody, PassesOnWhatIsHarmlessUnderItsOwnName) {
  const auto body = bodyOf(orderOf(R"({"hostname":"h","Cmd":["a","b"],"HostConfig":null,
      "hostConfig":{"PORTBINDINGS":{"443/tcp":[{"HostPort":"443"}]},"Tmpfs":{"/t":""}}})"));
  EXPECT_EQ(body.at("Hostname"), "h");
  EXPECT_EQ(body.at("Cmd").as_array().size(), 2u);
  EXPECT_EQ(body.at("HostConfig").at("PortBindings").at("443/tcp").at(0).at("HostPort"), "443");
  EXPECT_FALSE(body.contains("hostConfig"));
}

TEST(CreateBody, TakesLimitsFromTheDeploymentOrFromTheOptions) {
  auto order = orderOf("{}");
  order.memory_mb = 32;
  order.cpu_percent = 50;
  auto host = bodyOf(order).at("HostConfig");
  EXPECT_EQ(host.at("Memory"), 32 << 20);
  EXPECT_EQ(host.at("MemorySwap"), 32 << 20);
  EXPECT_EQ(host.at("NanoCpus"), 500'000'000);
  EXPECT_EQ(hostOf(R"({"HostConfig":{"Memory":7}})").at("Memory"), 7);
  order.create_options = json::parse(R"({"HostConfig":{"Memory":7}})").as_object();
  EXPECT_THAT(errorOf(order).text,
              HasSubstr("/modules/opc/create_options/HostConfig/Memory: is also said by"));
}

TEST(CreateBody, KeepsTheLogsThatTheOptionsChoose) {
  EXPECT_EQ(hostOf(R"({"HostConfig":{"LogConfig":{"type":"journald"}}})").at("LogConfig"),
            json::parse(R"({"Type":"journald","Config":{}})"));
  EXPECT_EQ(hostOf(R"({"HostConfig":{"LogConfig":{"Type":"","Config":{"max-size":"1m"}}}})")
                .at("LogConfig"),
            json::parse(R"({"Type":"json-file","Config":{"max-size":"1m"}})"));
}

TEST(CreateBody, HasTheEnvironmentOfAllThree) {
  auto order = orderOf(R"({"Env":["A=1","B=2","C"]})");
  order.env = {{"B", "3"}, {"D", "x=y"}};
  order.environment = {{"IOTEDGE_DEVICEID", "g"}};
  std::vector<std::string> env;
  const auto body = bodyOf(order);
  for (const auto& one : body.at("Env").as_array()) env.emplace_back(one.as_string());
  EXPECT_THAT(env, ElementsAre("A=1", "B=3", "C", "D=x=y", "IOTEDGE_DEVICEID=g"));

  order.env["IOTEDGE_DEVICEID"] = "other";
  EXPECT_THAT(errorOf(order).text, HasSubstr("/modules/opc/env/IOTEDGE_DEVICEID: "));
  order.env = {{"a=b", "c"}};
  EXPECT_THAT(errorOf(order).text, HasSubstr("/modules/opc/env/a=b: "));
  order = orderOf(R"({"Env":["A=1","IOTEDGE_DEVICEID=g"]})");
  order.environment = {{"IOTEDGE_DEVICEID", "g"}};
  EXPECT_THAT(errorOf(order).text,
              HasSubstr("/modules/opc/create_options/Env/1: IOTEDGE_DEVICEID is set by Kante"));
  EXPECT_THAT(errorOf(orderOf(R"({"Env":["=1"]})")).text, HasSubstr("/Env/0: expected NAME="));
}

TEST(CreateBody, IsInTheGatewaysNetworkUnlessTheOptionsNameOne) {
  auto order = orderOf("{}");
  order.network = "factory";
  order.binds = {"/run/a:/b"};
  const auto body = bodyOf(order);
  EXPECT_EQ(body.at("HostConfig").at("NetworkMode"), "factory");
  EXPECT_EQ(body.at("HostConfig").at("Binds").at(0), "/run/a:/b");
  EXPECT_EQ(body.at("NetworkingConfig").at("EndpointsConfig").at("factory").at("Aliases").at(0),
            "opc");
  order.network = "bridge";
  EXPECT_FALSE(bodyOf(order).contains("NetworkingConfig"));
  EXPECT_EQ(hostOf(R"({"HostConfig":{"NetworkMode":"own"}})").at("NetworkMode"), "own");
  EXPECT_EQ(hostOf(R"({"NetworkingConfig":{"EndpointsConfig":{"own":{}}}})").at("NetworkMode"),
            "own");
}

struct Refusal {
  const char* options;
  const char* pointer;  // Below create_options.
  const char* grant;    // What lets it pass; null: nothing does.
};

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, UnlessItIsGranted) {
  const Refusal& one = GetParam();
  const Error error = errorOf(orderOf(one.options));
  EXPECT_THAT(error.text,
              HasSubstr("/modules/opc/create_options" + std::string(one.pointer) + ": "));
  if (one.grant == nullptr) {
    EXPECT_NE(error.code, Errc::kDenied);
    EXPECT_FALSE(makeCreateBody(orderOf(one.options, {"privileged"}))) << one.options;
    return;
  }
  EXPECT_THAT(error.text, HasSubstr(one.grant));
  EXPECT_THAT(error.text, HasSubstr("/modules/opc/grants/container"));
  const auto granted = makeCreateBody(orderOf(one.options, {one.grant}));
  EXPECT_TRUE(granted) << granted.error().text;
  EXPECT_TRUE(makeCreateBody(orderOf(one.options, {"privileged"}))) << one.options;
}

INSTANTIATE_TEST_SUITE_P(
    CreateBody, Refused,
    ::testing::Values(
        Refusal{R"({"HostConfig":{"Privileged":true}})", "/HostConfig/Privileged", "privileged"},
        // In any case, as the engine reads it; at the top, where it once stood.
        Refusal{R"({"hostconfig":{"PRIVILEGED":true}})", "/HostConfig/Privileged", "privileged"},
        Refusal{R"({"Privileged":true})", "/Privileged", "privileged"},
        Refusal{R"({"Binds":["/:/h"]})", "/Binds", "privileged"},
        Refusal{R"({"HostConfig":{"Binds":["v:/v","/data:/d"]}})", "/HostConfig/Binds/1",
                "bind:/data"},
        Refusal{R"({"HostConfig":{"Binds":["/data:/d:z,ro"]}})", "/HostConfig/Binds/0",
                "bind:/data"},
        Refusal{R"({"HostConfig":{"Mounts":[{"type":"bind","source":"/data","Target":"/d"}]}})",
                "/HostConfig/Mounts/0/Source", "bind:/data"},
        Refusal{R"({"HostConfig":{"Mounts":[{"Type":"volume","Target":"/d","VolumeOptions":
                {"driverconfig":{"Options":{"o":"bind","device":"/"}}}}]}})",
                "/HostConfig/Mounts/0/VolumeOptions/DriverConfig", "privileged"},
        Refusal{R"({"HostConfig":{"Mounts":[{"Type":"npipe"}]}})", "/HostConfig/Mounts/0/Type",
                "privileged"},
        Refusal{R"({"HostConfig":{"CapAdd":["cap_net_admin"]}})", "/HostConfig/CapAdd/0",
                "cap:NET_ADMIN"},
        Refusal{R"({"HostConfig":{"CapAdd":["ALL"]}})", "/HostConfig/CapAdd/0", "cap:ALL"},
        Refusal{R"({"HostConfig":{"Devices":[{"PathOnHost":"/dev/ttyUSB0"}]}})",
                "/HostConfig/Devices/0/PathOnHost", "device:/dev/ttyUSB0"},
        Refusal{R"({"HostConfig":{"NetworkMode":"host"}})", "/HostConfig/NetworkMode",
                "network:host"},
        Refusal{R"({"HostConfig":{"NetworkMode":"container:x"}})", "/HostConfig/NetworkMode",
                "network:container:x"},
        Refusal{R"({"NetworkingConfig":{"EndpointsConfig":{"host":{}}}})",
                "/NetworkingConfig/EndpointsConfig/host", "network:host"},
        Refusal{R"({"HostConfig":{"PidMode":"host"}})", "/HostConfig/PidMode", "pid:host"},
        Refusal{R"({"HostConfig":{"IpcMode":"host"}})", "/HostConfig/IpcMode", "ipc:host"},
        Refusal{R"({"HostConfig":{"UTSMode":"host"}})", "/HostConfig/UTSMode", "uts:host"},
        Refusal{R"({"HostConfig":{"UsernsMode":"host"}})", "/HostConfig/UsernsMode", "userns:host"},
        Refusal{R"({"HostConfig":{"CgroupnsMode":"host"}})", "/HostConfig/CgroupnsMode",
                "cgroupns:host"},
        Refusal{R"({"HostConfig":{"SecurityOpt":["seccomp=unconfined"]}})",
                "/HostConfig/SecurityOpt/0", "privileged"},
        Refusal{R"({"HostConfig":{"VolumesFrom":["x"]}})", "/HostConfig/VolumesFrom", "privileged"},
        Refusal{R"({"HostConfig":{"DeviceRequests":[{"Count":-1}]}})", "/HostConfig/DeviceRequests",
                "privileged"},
        Refusal{R"({"HostConfig":{"Runtime":"x"}})", "/HostConfig/Runtime", "privileged"},
        Refusal{R"({"HostConfig":{"OomScoreAdj":-5}})", "/HostConfig/OomScoreAdj", "privileged"},
        Refusal{R"({"HostConfig":{"Unheard":1}})", "/HostConfig/Unheard", "privileged"},
        Refusal{R"({"HostConfig":{"Binds":["/a/../etc:/d"]}})", "/HostConfig/Binds/0", nullptr},
        Refusal{R"({"HostConfig":{"Binds":["../etc:/d"]}})", "/HostConfig/Binds/0", nullptr},
        Refusal{R"({"HostConfig":{"Binds":["/etc"]}})", "/HostConfig/Binds/0", nullptr},
        Refusal{R"({"HostConfig":{"Binds":"/:/"}})", "/HostConfig/Binds", nullptr},
        Refusal{R"({"HostConfig":{"Mounts":[{"Target":"/d"}]}})", "/HostConfig/Mounts/0/Type",
                nullptr},
        Refusal{R"({"HostConfig":{"Privileged":1}})", "/HostConfig/Privileged", nullptr},
        Refusal{R"({"HostConfig":{"AutoRemove":true}})", "/HostConfig/AutoRemove", nullptr},
        Refusal{R"({"HostConfig":{"RestartPolicy":{"name":"always"}}})",
                "/HostConfig/RestartPolicy/Name", nullptr},
        Refusal{R"({"HostConfig":{"LogConfig":{"Type":1}}})", "/HostConfig/LogConfig/Type",
                nullptr},
        Refusal{R"({"HostConfig":[]})", "/HostConfig", nullptr},
        Refusal{R"({"User":"a","user":"b"})", "/user", nullptr},
        Refusal{R"({"Image":"other"})", "/Image", nullptr},
        Refusal{R"({"Labels":{"Dev.Kante.spec":"x"}})", "/Labels/Dev.Kante.spec", nullptr},
        Refusal{R"({"Labels":["x"]})", "/Labels", nullptr}));

TEST(CreateBody, TakesWhatAsksForNothingForWhatIsNotThere) {
  EXPECT_TRUE(makeCreateBody(orderOf(R"({"HostConfig":{"Privileged":false,"Binds":null,"CapAdd":[],
      "Devices":[],"PidMode":"","RestartPolicy":{"Name":"no"},"AutoRemove":false,
      "SecurityOpt":["no-new-privileges"],"IpcMode":"private","OomScoreAdj":5}})")));
}

TEST(ContainerGrants, LetReadOnlyPass) {
  const std::vector<std::string> only_reads{"bind:/data:ro"};
  EXPECT_TRUE(makeCreateBody(orderOf(R"({"HostConfig":{"Binds":["/data:/d:ro"]}})", only_reads)));
  EXPECT_EQ(errorOf(orderOf(R"({"HostConfig":{"Binds":["/data:/d"]}})", only_reads)).code,
            Errc::kDenied);
  EXPECT_EQ(errorOf(orderOf(R"({"HostConfig":{"Binds":["/data/x:/d:ro"]}})", only_reads)).code,
            Errc::kDenied);
}

TEST(ContainerGrants, ThatAreNoneAreNamed) {
  for (const char* wrong : {"", "root", "bind", "bind:", "bind:data", "bind:/a/../b", "bind:/a//b",
                            "cap:net_admin", "cap:CAP_SYS_ADMIN", "device:tty", "socket:/x"}) {
    const Error error = errorOf(orderOf("{}", {"privileged", wrong}));
    EXPECT_EQ(error.code, Errc::kInvalid);
    EXPECT_THAT(error.text, HasSubstr("/modules/opc/grants/container/1: ")) << wrong;
  }
  EXPECT_EQ(errorOf(orderOf("{}", std::vector<std::string>(257, "privileged"))).code, Errc::kLimit);
}

TEST(HostGateway, IsPutInForEnginesThatDoNotKnowIt) {
  const std::string body =
      R"({"Env":["A=b:host-gateway"],"HostConfig":{"ExtraHosts":["hub:host-gateway","x:10.0.0.1"],"NetworkMode":"bridge"}})";
  EXPECT_EQ(networkToResolve(body), "bridge");
  EXPECT_EQ(
      withGateway(body, "10.88.0.1"),
      R"({"Env":["A=b:host-gateway"],"HostConfig":{"ExtraHosts":["hub:10.88.0.1","x:10.0.0.1"],"NetworkMode":"bridge"}})");
  EXPECT_EQ(withGateway(body, ""), body);
  EXPECT_EQ(
      networkToResolve(R"({"HostConfig":{"ExtraHosts":["x:10.0.0.1"],"NetworkMode":"bridge"}})"),
      "");
  EXPECT_EQ(networkToResolve(R"({"HostConfig":{"NetworkMode":"bridge"}})"), "");
  EXPECT_EQ(networkToResolve("{}"), "");
}

}  // namespace
}  // namespace kante
