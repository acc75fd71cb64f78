// A gateway's uplink, a bad link, a real broker and an independent receiver.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/host/uplink/uplink_fixture.h"
#include "tests/support/toxic_proxy.h"

namespace kante {

using testing::ToxicProxy;

class LinkTest : public UplinkTest {
 protected:
  // Short waits, so that a test sees in a second what a gateway sees in a minute.
  static LinkTimes quick() {
    LinkTimes times;
    times.keep_alive_s = 5;  // The library takes no less.
    times.answer_ms = 1'000;
    times.user_timeout_ms = 3'000;
    times.connect_ms = 1'500;
    times.backoff_first_ms = 20;
    times.backoff_max_ms = 200;
    times.backoff_unreached_max_ms = 100;
    times.steady_ms = 500;
    times.puback_ms = 700;
    times.puback_max_ms = 5'000;
    times.files_ms = 50;
    return times;
  }
  MqttUplinkOptions quickTo(const std::string& url) {
    MqttUplinkOptions options = optionsFor(url);
    options.times = quick();
    options.plain_text = PlainText::kAnywhere;
    return options;
  }
  bool eventuallyAlarm(const std::string& part) {
    return eventually([&] { return uplink_->status().alarm.find(part) != std::string::npos; });
  }

  // By (epoch, seq): none missing, in order of first arrival, one number one message, and no more
  // repeated than `windows` times the window.
  ::testing::AssertionResult allCame(MqttPeer& cloud, std::size_t count, std::size_t windows) {
    if (!waitForNumbers(cloud, count)) {
      return ::testing::AssertionFailure()
             << "numbers are missing, status: " << uplink_->status().reason;
    }
    const std::vector<Received> all = cloud.messages(kTelemetry);
    std::map<std::pair<std::string, std::string>, std::string> seen;
    for (const Received& message : all) {
      const auto key = std::pair(message.property("kante-epoch"), message.property("kante-seq"));
      const auto [it, fresh] = seen.emplace(key, message.payload);
      if (!fresh && it->second != message.payload)
        return ::testing::AssertionFailure() << "two messages have the number " << key.second;
    }
    const std::size_t repeated = all.size() - seen.size();
    if (repeated > windows * 64)
      return ::testing::AssertionFailure() << repeated << " are repeated";
    return gapless(all, count);
  }

  static constexpr char kTelemetry[] = "kante/v1/+/telemetry/#";
};

}  // namespace kante
