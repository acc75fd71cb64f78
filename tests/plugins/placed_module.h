// The cases of a module of ours, each run in every placement: linked into the test, and in a real
// runner in the best tier that the machine gives.
//
//   KANTE_IN_EVERY_PLACEMENT(ThresholdFilterTest);
//   TEST_P(ThresholdFilterTest, Alerts) {
//     PlacedModule host;  // A kante::TestModule.
//     …
//   }
#pragma once

#include <kante/testing.hpp>

#include "tests/plugins/remote_module.h"

namespace kante {

enum class Where { kInProcess, kInRunner };

inline void PrintTo(Where where, std::ostream* out) {
  *out << (where == Where::kInProcess ? "in-process" : "sandbox");
}

class PlacedTest : public ::testing::TestWithParam<Where> {
 public:
  static Where where() { return *current(); }

 protected:
  PlacedTest() { current() = GetParam(); }

 private:
  static std::optional<Where>& current() {
    static std::optional<Where> where;
    return where;
  }
};

class PlacedModule : public TestModule {
 public:
  PlacedModule() : TestModule(entry()) {}

  // What leaves the module although its output has no credit, because it is on its way then.
  static std::size_t underWay() {
    return PlacedTest::where() == Where::kInRunner ? underWayMax() : 0;
  }
  // An input for which the module said KANTE_E_AGAIN is brought again by the host, or, where there
  // is one, by the runner, to whose host it is on its way until then.
  static Status whenAskedAgain() {
    return PlacedTest::where() == Where::kInRunner ? Status{KANTE_PENDING} : Status{KANTE_E_AGAIN};
  }
  void comesAgain(std::string_view input, const Draft& draft) {
    if (PlacedTest::where() == Where::kInProcess) {
      send(input, draft, {.durable = true, .redeliveries = 1});
    } else {
      EXPECT_TRUE(runUntil([&] { return settled(lastToken()).has_value(); }));
    }
  }

 private:
  static const kante_entry& entry() {
    static const kante_entry remote = entryInRunner(kante_module_entry, KANTE_MODULE_IN_TOLD_TIME);
    return PlacedTest::where() == Where::kInRunner ? remote : kante_module_entry;
  }
};

inline std::vector<Where> everyPlacement() {
  if (haveRunners()) return {Where::kInProcess, Where::kInRunner};
  return {Where::kInProcess};
}

}  // namespace kante

#define KANTE_IN_EVERY_PLACEMENT(Suite)                                                        \
  INSTANTIATE_TEST_SUITE_P(                                                                    \
      Placements, Suite, ::testing::ValuesIn(::kante::everyPlacement()), [](const auto& one) { \
        return one.param == ::kante::Where::kInProcess ? "InProcess" : "Sandbox";              \
      })
