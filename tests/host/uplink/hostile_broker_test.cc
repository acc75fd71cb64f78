// What a broker may say that is no MQTT: the connection ends, nothing else does.
#include "tests/host/uplink/stub_broker.h"
#include "tests/host/uplink/uplink_fixture.h"

namespace kante {
namespace {

class HostileBrokerTest : public UplinkTest {};

#if !defined( \
    __SANITIZE_ADDRESS__)  // The library loses 48 bytes on this way, which is the price of it.
// libmosquitto asserts here, so without the guard this program ends.
TEST_F(HostileBrokerTest, APropertyThatNobodyKnowsEndsTheConnectionOnly) {
  StubBroker broker([](const auto&) { return 0; }, std::string("\x02\x7f\x01", 3));
  startUplink(optionsFor(broker.url()));
  send(0, 5);
  ASSERT_TRUE(eventually([&] {
    return uplink_->status().reason.find("what is no MQTT") != std::string::npos;
  })) << uplink_->status().reason;
  EXPECT_EQ(uplink_->status().connects, 0u);
  EXPECT_EQ(queue().messages(), 5u) << "what was not acknowledged stays";
}
#endif

}  // namespace
}  // namespace kante
