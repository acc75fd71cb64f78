#include "host/bundle/manifest.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

namespace kante {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json::object good() {
  return json::parse(R"({
    "schema": "kante.module/1", "id": "com.example.filter", "version": "1.4.2", "counter": 12, "revokes": 3,
    "abi": "1.0", "kind": "module", "lib": {"amd64": "lib/amd64/module.so", "arm64": "lib/arm64/module.so"},
    "files": {
      "lib/amd64/module.so": {"size": 10, "sha256": "00000000000000000000000000000000000000000000000000000000000000aa"},
      "lib/arm64/module.so": {"size": 11, "sha256": "00000000000000000000000000000000000000000000000000000000000000bb"},
      "data/model.bin": {"size": 12, "sha256": "00000000000000000000000000000000000000000000000000000000000000cc"}},
    "inputs": ["in"], "outputs": ["out", "alert"], "methods": ["reset"], "libraries": ["libfoo++.so.1"],
    "execution": "dedicated", "permissions": {"tcp": ["*:502"]},
    "config_schema": {"type": "object", "properties": {"period_ms": {"type": "integer"}}}})")
      .as_object();
}

void expectRefused(const json::object& manifest, const std::string& because) {
  const auto parsed = parseManifest(json::serialize(manifest));
  ASSERT_TRUE(parsed.has_error()) << because;
  EXPECT_EQ(parsed.error().code, Errc::kInvalid);
  EXPECT_THAT(parsed.error().text, HasSubstr(because));
}

// A good manifest with one member replaced.
json::object with(const char* member, json::value value) {
  json::object manifest = good();
  manifest[member] = std::move(value);
  return manifest;
}

json::object without(const char* member) {
  json::object manifest = good();
  manifest.erase(member);
  return manifest;
}

TEST(ManifestTest, EveryMemberIsRead) {
  const auto manifest = parseManifest(json::serialize(good()));
  ASSERT_TRUE(manifest.has_value()) << manifest.error().text;
  EXPECT_EQ(manifest->id, "com.example.filter");
  EXPECT_EQ(manifest->version, "1.4.2");
  EXPECT_EQ(manifest->counter, 12u);
  EXPECT_EQ(manifest->revokes, 3u);
  EXPECT_EQ(manifest->abi_major, 1u);
  EXPECT_EQ(manifest->abi_minor, 0u);
  EXPECT_EQ(manifest->kind, Manifest::Kind::kModule);
  EXPECT_EQ(*manifest->libFor(Machine::kArm64), "lib/arm64/module.so");
  EXPECT_EQ(manifest->libFor(Machine::kRiscv64), nullptr);
  EXPECT_EQ(manifest->files.at("data/model.bin").bytes, 12u);
  EXPECT_EQ(manifest->files.at("data/model.bin").sha256[31], 0xcc);
  EXPECT_THAT(manifest->inputs, ElementsAre("in"));
  EXPECT_THAT(manifest->outputs, ElementsAre("out", "alert"));
  EXPECT_THAT(manifest->methods, ElementsAre("reset"));
  EXPECT_THAT(manifest->libraries, ElementsAre("libfoo++.so.1"));
  EXPECT_EQ(manifest->execution, Manifest::Execution::kDedicated);
  EXPECT_EQ(manifest->permissions_json, R"({"tcp":["*:502"]})");
  EXPECT_THAT(manifest->config_schema_json, HasSubstr("period_ms"));
}

TEST(ManifestTest, AnUnknownMemberIsNamedWithTheNearestKnownOne) {
  expectRefused(with("outptus", json::array()),
                "/outptus: unknown member, did you mean \"outputs\"?");
  expectRefused(with("colour", "red"), "/colour: unknown member");
  json::object manifest = good();
  manifest["files"].as_object()["data/model.bin"].as_object()["mode"] = 4;
  expectRefused(manifest, "/files/data/model.bin/mode: unknown member");
}

TEST(ManifestTest, RequiredMembersAreMissed) {
  for (const char* member : {"schema", "id", "version", "counter", "abi", "files"}) {
    expectRefused(without(member), std::string("/") + member + ": is missing");
  }
  expectRefused(without("lib"), "/lib: must name the library");
}

TEST(ManifestTest, PermissionsThatALaterHostMayGiveAreNamedAndRefuseNothing) {
  const auto manifest = parseManifest(json::serialize(
      with("permissions", json::parse(R"({"mehods":1,"files":{"raed":[]},"tcp":[]})"))));
  ASSERT_TRUE(manifest) << manifest.error().text;
  EXPECT_THAT(manifest->unknown_permissions,
              ElementsAre("/permissions/mehods", "/permissions/files/raed"));
}

TEST(ManifestTest, ValuesOfTheWrongShapeAreRefusedByTheirPointer) {
  expectRefused(with("schema", "kante.module/2"), "/schema: must be \"kante.module/1\"");
  expectRefused(with("id", "com..example"), "/id: must be a reverse-domain name");
  expectRefused(with("id", "com/example"), "/id");
  expectRefused(with("id", json::string(129, 'a')), "/id");
  expectRefused(with("version", "1.4"), "/version: must be a semantic version");
  expectRefused(with("counter", -1), "/counter: must be a whole number");
  expectRefused(with("counter", 1.5), "/counter");
  expectRefused(with("counter", std::uint64_t{1} << 53), "/counter");
  expectRefused(with("revokes", 13), "/revokes: is above /counter");
  expectRefused(with("abi", "1"), "/abi: must be MAJOR.MINOR");
  expectRefused(with("abi", "01.0"), "/abi");
  expectRefused(with("kind", "plugin"), "/kind: must be \"module\" or \"host\"");
  expectRefused(with("execution", 1), "/execution: must be \"shared\" or \"dedicated\"");
  expectRefused(with("inputs", "in"), "/inputs: must be an array of names");
  expectRefused(with("inputs", json::array{"in", "in"}), "/inputs/1: is listed twice");
  expectRefused(with("outputs", json::array{"a b"}), "/outputs/0: must be a name");
  expectRefused(with("outputs", json::array(257, json::value("a"))), "more than 256 names");
  expectRefused(with("permissions", json::array()), "/permissions: must be an object");
  for (const auto& [text, why] : std::initializer_list<std::pair<const char*, const char*>>{
           {R"({"methods":"a"})", "/permissions/methods: must be an array of strings"},
           {R"({"tcp":[502]})", "/permissions/tcp: must be an array of strings"},
           {R"({"files":["/"]})", "/permissions/files: must be an object"}})
    expectRefused(with("permissions", json::parse(text)), why);
  expectRefused(with("config_schema", json::parse(R"({"properties":{"a":{"typ":"integer"}}})")),
                "/config_schema/properties/a/typ: unknown schema keyword, did you mean \"type\"?");
}

TEST(ManifestTest, LibrariesHaveOnePlaceOnly) {
  json::object manifest = good();
  manifest["lib"].as_object()["sparc"] = "lib/sparc/module.so";
  expectRefused(manifest, "/lib/sparc: unknown architecture");
  manifest = good();
  manifest["lib"].as_object()["amd64"] = "data/module.so";
  expectRefused(manifest, "/lib/amd64: must be \"lib/amd64/module.so\"");
  manifest = good();
  manifest["lib"].as_object()["riscv64"] = "lib/riscv64/module.so";
  expectRefused(manifest, "/lib/riscv64: is not among /files");
}

TEST(ManifestTest, FilesStayInTheirFolders) {
  const auto file = json::parse(R"({"size":1,"sha256":")" + std::string(64, '0') + "\"}");
  const auto withFile = [&](const std::string& name) {
    json::object manifest = good();
    manifest["files"].as_object()[name] = file;
    return manifest;
  };
  for (const char* name :
       {"data/../x", "/etc/passwd", "data//x", "data/./x", "data/", "data/a b", "data/\x01"}) {
    expectRefused(withFile(name), "must be a relative name");
  }
  expectRefused(withFile("lib/riscv64/module.so"),
                "must be a library named in /lib or lie in data/");
  expectRefused(withFile("manifest.json"), "must be a library");
  expectRefused(withFile("data/model.bin/x"), "lies below the file data/model.bin");
  expectRefused(withFile("data/" + std::string(300, 'a')), "must be a relative name");
}

TEST(ManifestTest, SizesAndDigestsMustBeThatWhole) {
  const auto withFile = [&](const char* text) {
    json::object manifest = good();
    manifest["files"].as_object()["data/x"] = json::parse(text);
    return manifest;
  };
  expectRefused(withFile(R"({"size":1,"sha256":"abc"})"),
                "/files/data/x/sha256: must be 64 hexadecimal digits");
  expectRefused(withFile(R"({"size":1})"), "/sha256");
  expectRefused(withFile(R"({"sha256":""})"), "/size");
  expectRefused(withFile(R"({"size":-1,"sha256":""})"), "/size");
  expectRefused(withFile(R"({"size":2147483649,"sha256":""})"), "/size");
}

TEST(ManifestTest, WhatIsNoBoundedJsonObjectIsRefused) {
  EXPECT_THAT(parseManifest("nonsense").error().text, HasSubstr("not JSON"));
  EXPECT_THAT(parseManifest("[]").error().text, HasSubstr("an array"));
  EXPECT_EQ(parseManifest(std::string(kManifestBytesMax + 1, ' ')).error().code, Errc::kLimit);
  std::string deep = R"({"permissions":)";
  for (int i = 0; i < 40; ++i) deep += R"({"a":)";
  EXPECT_THAT(parseManifest(deep).error().text, HasSubstr("nested deeper than"));
}

TEST(ManifestTest, AMemberThatIsThereTwiceIsRefused) {
  const auto refused = parseManifest(R"({"id":"com.example.a","id":"com.example.b"})");
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_THAT(refused.error().text, HasSubstr("the member \"id\" is there twice"));
}

TEST(ManifestTest, ANameThatNobodyReadsIsNotRepeated) {
  const auto refused = parseManifest("{\"" + std::string(200'000, 'k') + "\":1}");
  EXPECT_LT(refused.error().text.size(), 400U);
  EXPECT_THAT(refused.error().text, HasSubstr("…: unknown member"));
}

TEST(ManifestTest, AHostBundleNeedsNoLibrary) {
  json::object manifest = with("kind", "host");
  manifest.erase("lib");
  manifest["files"] = json::object{};
  EXPECT_TRUE(parseManifest(json::serialize(manifest)).has_value());
}

TEST(ManifestTest, PackingFillsInWhatFollowsFromTheFiles) {
  json::object manifest = good();
  for (const char* member : {"files", "lib", "counter", "revokes"}) manifest.erase(member);
  const std::map<std::string, ManifestFile> files{{"lib/amd64/module.so", {10, {}}},
                                                  {"data/x", {1, {}}}};
  const auto text = completeManifest(json::serialize(manifest), files);
  ASSERT_TRUE(text.has_value()) << text.error().text;
  const auto complete = parseManifest(*text);
  ASSERT_TRUE(complete.has_value());
  EXPECT_EQ(complete->counter, 10'000'400'002u);
  EXPECT_EQ(complete->lib.size(), 1u);
  EXPECT_EQ(complete->files.size(), 2u);
  EXPECT_EQ(completeManifest(json::serialize(manifest), files).value(), *text);

  EXPECT_THAT(completeManifest(json::serialize(good()), files).error().text,
              HasSubstr("/files: is filled in"));
  manifest["version"] = "1.100000.0";
  EXPECT_THAT(completeManifest(json::serialize(manifest), files).error().text,
              HasSubstr("/counter"));
}

TEST(ManifestTest, ACounterMadeOfAVersionRisesWithIt) {
  EXPECT_EQ(counterOf("0.0.1"), 1u);
  EXPECT_EQ(counterOf("1.4.2-rc.1+b7"), 10'000'400'002u);
  EXPECT_LT(*counterOf("1.99999.99999"), *counterOf("2.0.0"));
  EXPECT_FALSE(counterOf("1.100000.0"));
  EXPECT_FALSE(counterOf("x"));
}

TEST(ManifestTest, SemanticVersionsAreThoseOfTheStandard) {
  for (const char* version : {"0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha.1", "1.0.0-0.3.7",
                              "1.0.0+20130313144700", "1.0.0-x-y-z.--", "1.0.0+001"}) {
    EXPECT_TRUE(isSemanticVersion(version)) << version;
  }
  for (const char* version : {"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.03", "1.2.3-", "1.2.3-01",
                              "1.2.3+", "a.b.c", "1.2.3-a..b", "1.2.3 ", "v1.2.3"}) {
    EXPECT_FALSE(isSemanticVersion(version)) << version;
  }
}

}  // namespace
}  // namespace kante
