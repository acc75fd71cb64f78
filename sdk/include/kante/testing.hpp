// kante/testing.hpp - tests a module in GoogleTest without a gateway.
//
//   #include <kante/testing.hpp>
//
//   TEST(FilterTest, AlertsAboveTheThreshold) {
//     kante::TestModule host;
//     ASSERT_EQ(host.create({{"field", "value"}}), KANTE_OK) << host.explained();
//     host.send("in", kante::Draft::json({{"value", 31}}));
//     EXPECT_EQ(host.take("alert").size(), 1u);
//   }
//
// The module is linked into the test (kante_add_module_test does it) or loaded from its library by
// kante::TestLibrary.  KANTE_TEST_LOG=1 in the environment shows what the module logs.
#pragma once

#include <kante/test_host.hpp>
#include <kante/test_library.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

KANTE_SDK_BEGIN

// A TestHost whose test fails for every breach of the contract that is left at its end.
class TestModule : public TestHost {
 public:
  using TestHost::TestHost;
  ~TestModule() override {
    destroy();
    for (const std::string& violation : takeViolations())
      ADD_FAILURE() << "the module broke its contract: " << violation;
  }
};

KANTE_SDK_END
