#include "host/uplink/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <future>

#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::optional<Result<Addresses>> wait(Resolver& resolver) {
  pollfd fd{resolver.fd(), POLLIN, 0};
  return ::poll(&fd, 1, 20'000) == 1 ? resolver.take() : std::nullopt;
}

TEST(ResolverTest, AnswersNumericAddressesAtOnceAndNamesInTime) {
  Resolver resolver;
  ASSERT_FALSE(resolver.ask("2001:db8::1").has_error());
  EXPECT_THAT(**resolver.take(), ElementsAre("2001:db8::1"));
  EXPECT_FALSE(resolver.take()) << "once";
  ASSERT_FALSE(resolver.ask("localhost").has_error());
  const auto answer = wait(resolver);
  ASSERT_TRUE(answer && !answer->has_error());
  EXPECT_THAT(**answer, ::testing::Contains("127.0.0.1"));
}

TEST(ResolverTest, SaysThatANameIsUnknown) {
  Resolver resolver;
  ASSERT_FALSE(resolver.ask("no such name").has_error());
  const auto answer = wait(resolver);
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->error().text, HasSubstr("no such name"));
}

TEST(ResolverTest, ALookupThatHangsHoldsNeitherTheResolverNorItsEnd) {
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  const auto calls = std::make_shared<std::atomic<int>>(0);
  const auto hang = [released, calls](const std::string& host) -> Result<Addresses> {
    ++*calls;
    released.wait();
    return Addresses{host};
  };
  {
    Resolver resolver(hang);
    ASSERT_FALSE(resolver.ask("a").has_error());
    ASSERT_FALSE(resolver.ask("a").has_error()) << "the same question is asked once";
    EXPECT_FALSE(resolver.take());
    ASSERT_FALSE(resolver.ask("b").has_error());
    ASSERT_FALSE(resolver.ask("c").has_error());
    EXPECT_THAT(resolver.ask("d").error().text, HasSubstr("does not answer"));
    EXPECT_TRUE(eventually([&] { return *calls == 3; }));
  }
  release.set_value();
}

}  // namespace
}  // namespace kante
