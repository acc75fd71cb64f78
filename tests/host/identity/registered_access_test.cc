#include "host/identity/registered_access.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "host/base/encoding.h"
#include "host/identity/sas_token.h"
#include "tests/host/identity/clock_kit.h"

namespace kante {
namespace {

using mqtt::Reason;
using testing::ClockKit;
using testing::issue;
using testing::Issued;
using testing::kDayS;
using testing::kNowS;
using testing::Role;
using Refusal = RegisteredAccess::Refusal;
using Keys = Registry::Keys;
using Sessions = Registry::Sessions;

constexpr const char* kIot = "edge-1.local/car-7/?api-version=2021-04-12";

class RegisteredAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry = std::move(*Registry::open(map, seal, time.clock));
    access.emplace(*registry, time.trusted, std::vector<std::string>{"edge-1.local", "localhost"});
    add("car-7");
    add("car-8");
    add("car-7/module/m");
  }
  void add(std::string_view name) {
    ASSERT_TRUE(registry->add(*PrincipalName::parse(name), {Verifier::randomKeys()}));
  }
  void add(std::string_view name, Verifier::Kind kind, std::string_view thumbprint = {}) {
    Registry::Registration registration;
    registration.verifier.kind = kind;
    registration.verifier.primary = *Secret::of(thumbprint);
    ASSERT_TRUE(registry->add(*PrincipalName::parse(name), registration));
  }
  std::string key(std::string_view name) {
    return std::string(registry->find(*PrincipalName::parse(name))->verifier.primary.view());
  }
  std::string token(std::string_view of, const std::string& resource,
                    std::int64_t expires_s = kNowS + 3600) {
    return makeSasToken(resource, key(of), expires_s);
  }
  hub::Admission connect(std::optional<std::string_view> user, std::string_view password,
                         std::string_view client_id = "car-7") {
    return access->authenticate({peer, client_id, user, password});
  }
  // Why it was refused, by the counters; empty: it was let in.
  std::string refusal(const hub::Admission& admission) {
    std::string out;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Refusal::kCount); ++i) {
      const auto why = static_cast<Refusal>(i);
      if (access->refused(why) == seen[i]) continue;
      seen[i] = access->refused(why);
      out += name(why);
    }
    EXPECT_EQ(out.empty(), admission.principal != nullptr) << admission.why;
    EXPECT_EQ(out.empty(), admission.reason == Reason::kSuccess);
    return out;
  }

  ClockKit time;
  MemoryMap map;
  Seal seal = Seal::random();
  std::unique_ptr<Registry> registry;
  std::optional<RegisteredAccess> access;
  hub::Peer peer;
  std::array<std::uint64_t, static_cast<std::size_t>(Refusal::kCount)> seen{};
};

TEST_F(RegisteredAccessTest, ADeviceComesInByItsToken) {
  const auto in = connect(kIot, token("car-7", "edge-1.local/devices/car-7"));
  EXPECT_EQ(refusal(in), "");
  EXPECT_EQ(in.principal->name(), "device/car-7");
  EXPECT_TRUE(in.principal->mayPublish("devices/car-7/messages/events/"));
  EXPECT_FALSE(in.principal->mayPublish("devices/car-8/messages/events/"));
  EXPECT_TRUE(in.principal->maySubscribe("$iothub/methods/POST/#"));
  EXPECT_TRUE(in.principal->mayUseTwin("device/car-7"));
  EXPECT_FALSE(in.principal->mayCall("module/a", "b"));
  EXPECT_FALSE(in.principal->mayActFor("device/car-7"));
  EXPECT_EQ(in.expires_wall_ns, (kNowS + 3600 + 300) * 1'000'000'000);
  EXPECT_EQ(refusal(connect("car-7", token("car-7", "LOCALHOST/devices/car-7"), "any")), "");
}

TEST_F(RegisteredAccessTest, AModuleComesInByItsOwnTokenOrItsDevices) {
  const char* user = "edge-1.local/car-7/m/?api-version=2021-04-12";
  const std::string own = "edge-1.local/devices/car-7/modules/m";
  EXPECT_EQ(refusal(connect(user, token("car-7/module/m", own), "car-7/m")), "");
  EXPECT_EQ(refusal(connect(user, token("car-7", "edge-1.local/devices/car-7"), "car-7/m")), "");
  EXPECT_EQ(refusal(connect(user, token("car-7", own), "car-7/m")), "signature");
  EXPECT_EQ(
      refusal(connect(user, token("car-7/module/m", "edge-1.local/devices/car-7"), "car-7/m")),
      "signature");
  // And a module is never its device.
  EXPECT_EQ(refusal(connect(kIot, token("car-7/module/m", own))), "audience");
}

TEST_F(RegisteredAccessTest, AGatewayIsNotBelowItself) {
  ASSERT_TRUE(registry->add(*PrincipalName::parse("gateway/edge-1"), {Verifier::randomKeys()}));
  RegisteredAccess own(*registry, time.trusted, {"edge-1.local"}, "edge-1");
  hub::Peer here;
  here.loopback = true;
  const std::string key =
      toBase64(registry->find(*PrincipalName::parse("gateway/edge-1"))->verifier.primary.view());
  const auto in = own.authenticate({here, "c", "gateway/edge-1", key});
  EXPECT_EQ(in.principal, nullptr);
  EXPECT_NE(in.why.find("this gateway's own id"), std::string::npos) << in.why;
}

TEST_F(RegisteredAccessTest, NobodySpeaksAsAnother) {
  const std::string resource = "edge-1.local/devices/car-7";
  EXPECT_EQ(refusal(connect(kIot, token("car-8", resource))), "signature");
  EXPECT_EQ(refusal(connect(kIot, token("car-8", "edge-1.local/devices/car-8"))), "audience");
  EXPECT_EQ(refusal(connect(kIot, token("car-7", "edge-2.local/devices/car-7"))), "audience");
  EXPECT_EQ(refusal(connect(kIot, token("car-7", "edge-1.local"))), "audience");
  EXPECT_EQ(refusal(connect(kIot, token("car-7", resource), "car-8")), "name");
  EXPECT_EQ(
      refusal(connect("edge-1.local/CAR-7/?api-version=1", token("car-7", resource), "CAR-7")),
      "unknown");
  EXPECT_EQ(refusal(connect("nobody", token("car-7", resource))), "unknown");
  EXPECT_EQ(refusal(connect("h/a/?api-version=1&auth-chain=a%3Bb", token("car-7", resource), "a")),
            "name");
}

TEST_F(RegisteredAccessTest, RefusalsAreAnsweredAlikeInEachContract) {
  const auto reason = [&](const char* user, const std::string& password) {
    return connect(user, password).reason;
  };
  EXPECT_EQ(reason(kIot, "SharedAccessSignature x"), Reason::kNotAuthorized);
  EXPECT_EQ(reason(kIot, ""), Reason::kNotAuthorized);
  EXPECT_EQ(reason("h/nobody/?api-version=1", "x"), Reason::kNotAuthorized);
  EXPECT_EQ(reason("h/car-7/?", "x"), Reason::kServerUnavailable);
  EXPECT_EQ(reason("car-7", "x"), Reason::kBadUserNameOrPassword);
  EXPECT_EQ(reason("nobody", "x"), Reason::kBadUserNameOrPassword);
  EXPECT_EQ(reason("a b", "x"), Reason::kBadUserNameOrPassword);
  EXPECT_EQ(access->authenticate({peer, "x", std::nullopt, std::nullopt}).reason,
            Reason::kNotAuthorized);
  const auto refused = connect("car-7", token("car-8", "edge-1.local/devices/car-7"));
  EXPECT_EQ(refused.why, "device/car-7: its token is not signed by its key");
}

TEST_F(RegisteredAccessTest, ATokenEndsFiveMinutesAfterItsExpiry) {
  const std::string short_lived = token("car-7", "edge-1.local/devices/car-7", kNowS + 60);
  EXPECT_EQ(refusal(connect(kIot, short_lived)), "");
  time.stepTo(kNowS + 60 + 300);
  EXPECT_EQ(refusal(connect(kIot, short_lived)), "");
  time.stepTo(kNowS + 60 + 301);
  EXPECT_EQ(refusal(connect(kIot, short_lived)), "expired");
  EXPECT_EQ(refusal(connect(
                kIot, token("car-7", "edge-1.local/devices/car-7", 9'000'000'000'000'000'000))),
            "");
}

// A gateway that woke up in 1970 judges at the latest moment that it knows has been.
TEST_F(RegisteredAccessTest, WithoutATrustedClockExpiryIsJudgedAtTheFloor) {
  const std::string resource = "edge-1.local/devices/car-7";
  time.stepTo(1000);
  ASSERT_FALSE(time.trusted.trusted());
  EXPECT_EQ(refusal(connect(kIot, token("car-7", resource, 1000))), "expired");
  EXPECT_EQ(refusal(connect(kIot, token("car-7", resource, kNowS - 2 * kDayS))), "expired");
  const auto in = connect(kIot, token("car-7", resource, kNowS - kDayS + 50));
  EXPECT_EQ(refusal(in), "");
  EXPECT_EQ(in.expires_wall_ns, (1000 + 50 + 300) * 1'000'000'000LL);
}

TEST_F(RegisteredAccessTest, AKeyIsAPasswordWhereNobodyListens) {
  const std::string password = toBase64(key("car-7"));
  EXPECT_EQ(refusal(connect("car-7", password)), "channel");
  peer.tls = true;
  const auto in = connect("car-7", password);
  EXPECT_EQ(refusal(in), "");
  EXPECT_EQ(in.expires_wall_ns, 0);
  peer.tls = false;
  peer.loopback = true;
  EXPECT_EQ(refusal(connect("car-7", password)), "");
  EXPECT_EQ(refusal(connect("car-8", password)), "signature");
  EXPECT_EQ(refusal(connect("car-7", password.substr(4))), "signature");
  EXPECT_EQ(refusal(connect("car-7", "not base64")), "signature");
}

TEST_F(RegisteredAccessTest, AfterARotationTheOldKeyServesOnceMore) {
  const std::string resource = "edge-1.local/devices/car-7";
  const PrincipalName car = *PrincipalName::parse("car-7");
  const std::string old = token("car-7", resource);
  const auto session = connect(kIot, old);
  ASSERT_TRUE(registry->rotate(car, Keys::kPrimary, Sessions::kKeep));
  EXPECT_EQ(refusal(connect(kIot, old)), "");
  EXPECT_EQ(refusal(connect(kIot, token("car-7", resource))), "");
  EXPECT_NE(access->current(*session.principal), nullptr);
  ASSERT_TRUE(registry->rotate(car, Keys::kPrimary, Sessions::kEnd));
  EXPECT_EQ(refusal(connect(kIot, old)), "signature");
  EXPECT_EQ(access->current(*session.principal), nullptr);
  const auto later = connect(kIot, token("car-7", resource));
  EXPECT_NE(access->current(*later.principal), nullptr);
}

TEST_F(RegisteredAccessTest, SessionsFollowTheirIdentity) {
  const PrincipalName car = *PrincipalName::parse("car-7");
  const std::string resource = "edge-1.local/devices/car-7";
  const auto device = connect(kIot, token("car-7", resource));
  const auto module = connect("car-7/module/m", token("car-7", resource));
  ASSERT_TRUE(registry->setGrants(car, {"publish:factory/#"}));
  EXPECT_FALSE(device.principal->mayPublish("factory/a"));
  const auto now = access->current(*device.principal);
  ASSERT_NE(now, nullptr);
  EXPECT_TRUE(now->mayPublish("factory/a"));
  EXPECT_FALSE(now->mayPublish("devices/car-7/messages/events/"));
  ASSERT_NE(access->find("device/car-7"), nullptr);
  EXPECT_EQ(access->find("device/car-7")->name(), "device/car-7");
  EXPECT_EQ(access->find("device/nobody"), nullptr);
  ASSERT_TRUE(registry->setState(car, Identity::State::kDisabled));
  EXPECT_EQ(access->find("device/car-7"), nullptr);
  EXPECT_EQ(access->current(*device.principal), nullptr);
  EXPECT_EQ(access->current(*module.principal), nullptr);
  EXPECT_EQ(refusal(connect(kIot, token("car-7", resource))), "disabled");
  EXPECT_EQ(refusal(connect("car-7/module/m", token("car-7", resource))), "disabled");
  ASSERT_TRUE(registry->setState(car, Identity::State::kEnabled));
}

TEST_F(RegisteredAccessTest, AnotherOneUnderTheSameNameHasNoneOfItsSessions) {
  const auto in = connect("car-8", token("car-8", "edge-1.local/devices/car-8"));
  EXPECT_NE(access->current(*in.principal), nullptr);
  ASSERT_TRUE(registry->remove(*PrincipalName::parse("car-8")));
  EXPECT_EQ(access->current(*in.principal), nullptr);
  add("car-8");
  EXPECT_EQ(access->current(*in.principal), nullptr);
}

TEST_F(RegisteredAccessTest, ASelfSignedCertificateCountsByItsThumbprintAlone) {
  const Issued mine = issue("car-9", Role::kClient), other = issue("car-9", Role::kClient);
  add("car-9", Verifier::Kind::kThumbprint, *fromHex(fingerprintOf(mine.certificate.get())));
  add("car-10", Verifier::Kind::kAuthority);
  peer.tls = true;
  peer.certificate = mine.der();
  const auto in = connect("car-9", "");
  EXPECT_EQ(refusal(in), "");
  EXPECT_EQ(in.expires_wall_ns, (kNowS + 10 * kDayS) * 1'000'000'000);
  EXPECT_EQ(refusal(access->authenticate({peer, "x", std::nullopt, std::nullopt})), "");
  peer.certificate = other.der();
  EXPECT_EQ(refusal(connect("car-9", "")), "certificate");
  peer.certificate = issue("car-10", Role::kClient).der();
  EXPECT_EQ(refusal(connect("car-10", "")), "certificate");
  EXPECT_EQ(refusal(connect("car-7", "")), "kind");
  peer.certificate = "no certificate";
  EXPECT_EQ(refusal(connect("car-9", "")), "certificate");
  EXPECT_EQ(refusal(access->authenticate({peer, "x", std::nullopt, std::nullopt})), "name");
}

TEST_F(RegisteredAccessTest, ThumbprintsMayBeSha1AndThereAreTwo) {
  const Issued first = issue("car-9", Role::kClient), second = issue("car-9", Role::kClient);
  unsigned char sha1[20];
  ASSERT_EQ(X509_digest(first.certificate.get(), EVP_sha1(), sha1, nullptr), 1);
  Registry::Registration registration;
  registration.verifier.kind = Verifier::Kind::kThumbprint;
  registration.verifier.primary = *Secret::of({reinterpret_cast<char*>(sha1), 20});
  registration.verifier.secondary = *Secret::of(*fromHex(fingerprintOf(second.certificate.get())));
  ASSERT_TRUE(registry->add(*PrincipalName::parse("car-9"), registration));
  for (const Issued* each : {&first, &second}) {
    peer.certificate = each->der();
    EXPECT_EQ(refusal(connect("car-9", "")), "");
  }
}

TEST_F(RegisteredAccessTest, ACertificateOfACaIsForItsCommonName) {
  const Issued ca = issue("fleet", Role::kCa);
  add("car-9", Verifier::Kind::kAuthority);
  add("car-9/module/m", Verifier::Kind::kAuthority);
  peer.certificate = issue("car-9", Role::kClient, &ca).der();
  EXPECT_EQ(refusal(connect("car-9", "")), "certificate");  // Until TLS has verified it.
  peer.chain_verified = true;
  EXPECT_EQ(refusal(connect("car-9", "")), "");
  EXPECT_EQ(refusal(access->authenticate({peer, "x", std::nullopt, std::nullopt})), "");
  EXPECT_EQ(refusal(connect("car-9/module/m", "")), "certificate");
  peer.certificate = issue("car-9/m", Role::kClient, &ca).der();
  EXPECT_EQ(refusal(connect("car-9/module/m", "")), "");
  EXPECT_EQ(refusal(access->authenticate({peer, "x", std::nullopt, std::nullopt})), "");
  peer.certificate = issue("CAR-9", Role::kClient, &ca).der();
  EXPECT_EQ(refusal(connect("car-9", "")), "certificate");
  peer.certificate = issue("car-9", Role::kCa, &ca).der();
  EXPECT_EQ(refusal(connect("car-9", "")), "certificate");
}

TEST_F(RegisteredAccessTest, CertificatesAreJudgedAtTheTrustedTime) {
  const Issued device = issue("car-9", Role::kClient);
  const Issued future = issue("car-11", Role::kClient, nullptr, 10, kNowS + kDayS);
  add("car-9", Verifier::Kind::kThumbprint, *fromHex(fingerprintOf(device.certificate.get())));
  add("car-11", Verifier::Kind::kThumbprint, *fromHex(fingerprintOf(future.certificate.get())));
  peer.certificate = future.der();
  EXPECT_EQ(refusal(connect("car-11", "")), "expired");
  time.stepTo(1000);  // Nobody knows: "not yet" is no reason.
  EXPECT_EQ(refusal(connect("car-11", "")), "");
  // And a certificate that a device made itself does not move the gateway's idea of the time.
  EXPECT_EQ(time.trusted.judgement().at_s, kNowS - kDayS);
  time.stepTo(kNowS + 11 * kDayS);
  peer.certificate = device.der();
  EXPECT_EQ(refusal(connect("car-9", "")), "expired");
}

// For the thread sanitizer: shards ask while the control thread changes what they ask for.
TEST_F(RegisteredAccessTest, ShardsAskWhileIdentitiesChange) {
  const PrincipalName car = *PrincipalName::parse("car-7");
  const std::string password = token("car-8", "edge-1.local/devices/car-8");
  std::atomic<bool> done{false};
  std::atomic<int> let_in{0};
  std::thread shard([&] {
    const hub::Peer nobody;
    const hub::Credentials other{nobody, "car-8", "x/car-8/?api-version=1", password};
    const auto mine = access->authenticate(other).principal;
    while (!done) {
      let_in += access->authenticate(other).principal != nullptr;
      let_in += mine != nullptr && access->current(*mine) != nullptr;
      (void)access->authenticate({nobody, "car-7", kIot, password});
    }
  });
  for (int i = 0; i < 200 || let_in < 100; ++i) {
    EXPECT_TRUE(registry->setGrants(car, {"publish:" + std::to_string(i)}));
    EXPECT_TRUE(registry->rotate(car, Keys::kPrimary, Sessions::kEnd));
    const std::string fresh = "new-" + std::to_string(i);
    add(fresh);
    EXPECT_TRUE(registry->remove(*PrincipalName::parse(fresh)));
  }
  done = true;
  shard.join();
}

TEST_F(RegisteredAccessTest, ARequestIsForItsResourceOrMore) {
  const hub::Peer nobody;
  const auto ask = [&](const std::string& who, const std::string& text, const char* resource) {
    return refusal(access->verify({nobody, who, text, resource}));
  };
  const std::string narrow = token("car-7", "edge-1.local/devices/car-7/messages/events");
  EXPECT_EQ(ask("device/car-7", narrow, "devices/car-7/messages/events"), "");
  EXPECT_EQ(ask("device/car-7", narrow, "devices/car-7/messages/deviceBound"), "audience");
  EXPECT_EQ(refusal(connect(kIot, narrow)), "audience");
  EXPECT_EQ(ask("device/car-7", "x", "devices/car-7"), "token");
  EXPECT_EQ(ask("device/car-7", "", "devices/car-7"), "token");
  EXPECT_EQ(ask("device/car 8", narrow, "devices/car 8"), "name");
}

}  // namespace
}  // namespace kante
