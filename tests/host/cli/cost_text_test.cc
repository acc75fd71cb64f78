#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "host/cli/status_text.h"

namespace kante::cli {
namespace {

std::string waiting(const char* uplink) {
  return waitingLine({{"uplink", boost::json::parse(uplink)}});
}

TEST(WaitingLine, WhatIsOnItsWayIsNoBacklog) {
  EXPECT_EQ(waiting(R"({"kind":"mqtt","state":"connected","backlog_messages":1,"oldest_s":0})"),
            "");
  EXPECT_EQ(waiting(R"({"kind":"mqtt","state":"connected","backlog_messages":9,"oldest_s":3})"),
            "9 messages, the oldest since 3 s");
  EXPECT_EQ(waiting(R"({"kind":"mqtt","state":"connected","backlog_messages":9,"oldest_s":0,
                        "budget":{}})"),
            "9 messages, the oldest since 0 s")
      << "a day's budget may hold them";
}

TEST(WaitingLine, ABacklogSaysHowLongItTakes) {
  EXPECT_EQ(waiting(R"({"kind":"mqtt","state":"connected","backlog_messages":900,"oldest_s":40,
                        "drain_s":7})"),
            "900 messages, the oldest since 40 s, sent in 7 s");
  EXPECT_THAT(
      waiting(R"({"kind":"mqtt","state":"connected","backlog_messages":900,"oldest_s":40})"),
      testing::HasSubstr("more comes than goes"));
  EXPECT_EQ(waiting(R"({"kind":"mqtt","state":"connecting","backlog_messages":1,"oldest_s":0})"),
            "1 message, the oldest since 0 s");
}

}  // namespace
}  // namespace kante::cli
