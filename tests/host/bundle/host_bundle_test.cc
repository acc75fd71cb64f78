#include "host/bundle/host_bundle.h"

#include <gmock/gmock.h>

namespace kante {
namespace {

using ::testing::HasSubstr;

Manifest manifestOf(const std::vector<std::string>& files) {
  Manifest out;
  out.id = "dev.kante.host";
  out.kind = Manifest::Kind::kHost;
  for (const std::string& each : files) out.files[each] = {};
  return out;
}

const std::vector<std::string> kAmd64 = {"data/bin/amd64/kante", "data/bin/amd64/kante-launcher",
                                         "data/bin/amd64/kante-runner"};

TEST(HostBundleTest, HoldsAllThreeProgramsOfEachArchitectureThatItIsFor) {
  EXPECT_TRUE(checkHostBundle(manifestOf(kAmd64)));
  EXPECT_THAT(checkHostBundle(manifestOf({"data/readme"})).error().text,
              HasSubstr("holds data/bin/ARCH/kante, kante-launcher and kante-runner"));
  std::vector<std::string> half = kAmd64;
  half.push_back("data/bin/arm64/kante");
  EXPECT_THAT(checkHostBundle(manifestOf(half)).error().text,
              HasSubstr("data/bin/arm64/kante-launcher is missing"));
}

TEST(HostBundleTest, IsRefusedForAnotherMachineWithThoseThatItIsFor) {
  EXPECT_TRUE(checkHostMachine(manifestOf(kAmd64), Machine::kAmd64));
  const Status refused = checkHostMachine(manifestOf(kAmd64), Machine::kRiscv64);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_EQ(refused.error().text,
            "bundle of dev.kante.host has no host for riscv64, but for amd64");
}

}  // namespace
}  // namespace kante
