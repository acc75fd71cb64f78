#include "host/fetch/source.h"

#include <gmock/gmock.h>

namespace kante {
namespace {

using ::testing::HasSubstr;

TEST(FetchSource, TakesHttpsAndFiles) {
  const auto url = parseFetchSource("https://depot.example:8443/line/filter.kmod?v=3");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->kind, FetchSource::Kind::kHttp);
  EXPECT_EQ(url->target, "https://depot.example:8443/line/filter.kmod?v=3");
  const auto file = parseFetchSource("file:///media/stick/filter 2.kmod");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, FetchSource::Kind::kFile);
  EXPECT_EQ(file->target, "/media/stick/filter 2.kmod");
}

TEST(FetchSource, ShowsNoSecrets) {
  const auto url =
      parseFetchSource("https://joe:hidden@depot.example/filter.kmod?sig=hidden#hidden");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->shown, "https://depot.example/filter.kmod");
}

TEST(FetchSource, PlainHttpIsForThisMachine) {
  EXPECT_TRUE(parseFetchSource("http://127.0.0.1:8000/a.kmod"));
  EXPECT_TRUE(parseFetchSource("http://localhost/a.kmod"));
  EXPECT_TRUE(parseFetchSource("http://[::1]/a.kmod"));
  const auto far = parseFetchSource("http://depot.example/a.kmod");
  ASSERT_FALSE(far);
  EXPECT_THAT(far.error().text, HasSubstr("use https"));
  EXPECT_FALSE(parseFetchSource("http://127.0.0.1.depot.example/a.kmod"));
}

TEST(FetchSource, RefusesEverythingElse) {
  for (const char* text :
       {"", "filter.kmod", "ftp://depot.example/a", "file://stick/a", "file:", "https://",
        "https:///a.kmod", "https://depot.example/a b", "https://depot.example/\x01",
        "https://depot.example:99999/a", "HTTPS//depot.example"})
    EXPECT_FALSE(parseFetchSource(text)) << text;
  EXPECT_FALSE(parseFetchSource("https://depot.example/" + std::string(3000, 'x')));
}

}  // namespace
}  // namespace kante
