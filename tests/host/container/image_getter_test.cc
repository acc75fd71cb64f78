#include "host/container/image_getter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "host/base/log.h"
#include "tests/host/container/loop.h"
#include "tests/host/container/stub_engine.h"

namespace kante {
namespace {

using ::testing::HasSubstr;
using Patience = ImageGetter::Patience;

constexpr const char* kImage = R"({"Id":"sha256:1","RepoTags":["r.example:5/line:1"]})";

class ImageGetterTest : public ::testing::Test {
 protected:
  ImageGetterTest() {
    stub.always("/version", R"({"Version":"20.10","ApiVersion":"1.41","MinAPIVersion":"1.12"})");
  }
  std::shared_ptr<void> get(Patience patience) {
    return getter.get("r.example:5/line:1", patience,
                      [this](Status status) { got.push_back(std::move(status)); });
  }
  std::size_t pulls() const {
    return static_cast<std::size_t>(
        std::count_if(stub.asked().begin(), stub.asked().end(),
                      [](const std::string& head) { return head.starts_with("POST "); }));
  }

  Loop loop;
  StubEngine stub{loop.io};
  Engine engine{loop.io, stub.socket()};
  Log log{Log::Format::kSilent};
  Result<std::optional<RegistryLogin>> login = std::optional<RegistryLogin>();
  std::vector<std::string> pulled;
  int changes = 0;
  ImageGetter getter{
      {loop.io,
       engine,
       log,
       [this](const std::string&) { return login; },
       [this](const std::string& image) { pulled.push_back(image); },
       [this] { ++changes; },
       {std::chrono::milliseconds(1), std::chrono::milliseconds(2), std::chrono::milliseconds(4)}}};
  std::vector<Status> got;
};

TEST_F(ImageGetterTest, WhatIsThereIsNotPulled) {
  stub.answerJson(200, kImage);
  const auto handle = get(Patience::kFewTries);
  ASSERT_TRUE(loop.until([&] { return !got.empty(); }));
  EXPECT_TRUE(got.front());
  EXPECT_EQ(pulls(), 0u);
  EXPECT_TRUE(pulled.empty());
}

TEST_F(ImageGetterTest, WhoStandsByIsToldAfterAFewTries) {
  stub.answerJson(404, R"({"message":"pull access denied"})");
  login = std::optional(RegistryLogin{"r.example:5", "u", "secret"});
  const auto handle = get(Patience::kFewTries);
  ASSERT_TRUE(loop.until([&] { return !got.empty(); }));
  ASSERT_FALSE(got.front());
  EXPECT_EQ(got.front().error().text,
            "pull image r.example:5/line:1: the engine says: pull access denied");
  EXPECT_EQ(pulls(), ImageGetter::kFewTries);
  EXPECT_THAT(stub.asked().at(2), HasSubstr("X-Registry-Auth: "));
  EXPECT_EQ(changes, 2) << "that it is pulled is news, and the same problem is once";
}

TEST_F(ImageGetterTest, WhereNobodyStandsByItGoesOnUntilItIsThere) {
  stub.answerJson(500, R"({"message":"no such host"})");
  const auto handle = get(Patience::kUntilDropped);
  ASSERT_TRUE(loop.until([&] { return stub.asked().size() > 6; }));
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(getter.progress().registry, "r.example:5");
  EXPECT_THAT(getter.progress().problem, HasSubstr("no such host"));
  stub.answerJson(200, kImage);
  ASSERT_TRUE(loop.until([&] { return !got.empty(); }));
  EXPECT_TRUE(got.front());
}

TEST(ImageGetterTimes, GrowToTenMinutes) {
  using std::chrono::seconds;
  const ImageGetter::Times times;
  EXPECT_EQ(times.longestAfter(0), seconds(5));
  EXPECT_EQ(times.longestAfter(1), seconds(10));
  EXPECT_EQ(times.longestAfter(6), seconds(320));
  EXPECT_EQ(times.longestAfter(7), seconds(600));
  EXPECT_EQ(times.longestAfter(4'000'000'000), seconds(600));
}

TEST_F(ImageGetterTest, APasswordThatCannotBeReadIsAProblemOfThePullAlone) {
  stub.answerJson(404, R"({"message":"no such image"})");
  login = fail(Errc::kNotFound, "/etc/password: No such file");
  const auto handle = get(Patience::kFewTries);
  ASSERT_TRUE(loop.until([&] { return !got.empty(); }));
  EXPECT_EQ(got.front().error().text, "pull image r.example:5/line:1: /etc/password: No such file");
  EXPECT_EQ(pulls(), 0u);
}

TEST_F(ImageGetterTest, DroppingTheHandleEndsIt) {
  stub.answerJson(500, R"({"message":"no such host"})");
  auto handle = get(Patience::kUntilDropped);
  ASSERT_TRUE(loop.until([&] { return stub.asked().size() > 2; }));
  handle.reset();
  EXPECT_EQ(getter.progress().image, "");
  const std::size_t before = stub.asked().size();
  const auto other =
      loop.result<ImageFacts>([this](auto then) { return engine.inspectImage("x", then); });
  EXPECT_FALSE(other);
  EXPECT_LE(stub.asked().size(), before + 2);
  EXPECT_TRUE(got.empty());
}

TEST(RegistryOf, IsTheFirstPartThatIsAHost) {
  EXPECT_EQ(registryOf("registry:5000/factory/opc:3"), "registry:5000");
  EXPECT_EQ(registryOf("r.example/opc@sha256:12"), "r.example");
  EXPECT_EQ(registryOf("localhost/opc"), "localhost");
  EXPECT_EQ(registryOf("factory/opc:3"), "docker.io");
  EXPECT_EQ(registryOf("opc:3"), "docker.io");
}

}  // namespace
}  // namespace kante
