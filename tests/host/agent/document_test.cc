#include "host/agent/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/clock.h"

namespace kante {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A good document of this kind, with these members more.
std::string documentOf(const std::string& kind, const std::string& more,
                       const std::string& content) {
  return R"({"schema":"kante.document/1","kind":")" + kind +
         R"(","target":{"gateway":"edge-1"},"counter":7,)" + more + R"("content":)" + content + "}";
}

std::string refused(const std::string& text) {
  const auto document = parseDocument(text);
  return document ? "taken" : document.error().text;
}

TEST(DocumentTest, IsReadWholeAndWrittenAsItWas) {
  const auto document = parseDocument(
      R"({"schema":"kante.document/1","kind":"merge-patch","name":"hot-fix","target":{"tag":"site=muc"},)"
      R"("counter":1764150000123,"not_after":"2026-11-26T12:00:00.999Z","base":12,"content":{"b":1,"a":null}})");
  ASSERT_TRUE(document) << document.error().text;
  EXPECT_EQ(document->kind, DocumentKind::kMergePatch);
  EXPECT_EQ(document->name, "hot-fix");
  EXPECT_EQ(document->tag, "site=muc");
  EXPECT_EQ(document->gateway, "");
  EXPECT_EQ(document->counter, 1764150000123u);
  EXPECT_EQ(document->not_after_s, 1'795'694'400);
  EXPECT_EQ(document->base, 12u);
  EXPECT_EQ(document->content, R"({"a":null,"b":1})");
  const std::string text = writeDocument(*document);
  EXPECT_EQ(writeDocument(parseDocument(text).value()), text);
}

TEST(DocumentTest, EachMistakeIsRefusedWithItsPointer) {
  EXPECT_THAT(refused("[]"), StartsWith("document: "));
  EXPECT_THAT(refused("{"), StartsWith("document: "));
  EXPECT_THAT(refused(R"({"schema":"kante.document/2"})"), StartsWith("/schema: expected"));
  EXPECT_THAT(refused(documentOf("deployment", R"("not_befor":1,)", "{}")),
              StartsWith("/not_befor: unknown member"));
  EXPECT_THAT(refused(R"({"schema":"kante.document/1"})"), StartsWith("/kind: missing"));
  EXPECT_THAT(refused(documentOf("deploymnt", "", "{}")), StartsWith("/kind: \"deploymnt\""));
  EXPECT_THAT(refused(documentOf("deployment", R"("name":"",)", "{}")), StartsWith("/name: "));
  EXPECT_THAT(refused(documentOf("deployment", R"("name":"a\nb",)", "{}")), StartsWith("/name: "));
  EXPECT_THAT(refused(documentOf("deployment", "", "[]")), StartsWith("/content: expected"));
  EXPECT_THAT(refused(documentOf("json-patch", R"("base":1,)", "{}")), StartsWith("/content: "));
  EXPECT_THAT(refused(documentOf("merge-patch", "", "{}")), StartsWith("/base: missing"));
  EXPECT_THAT(refused(documentOf("desired", R"("name":"module/x","base":1,)", "{}")),
              StartsWith("/base: means nothing"));
  EXPECT_THAT(refused(documentOf("deployment", R"("not_after":"tomorrow",)", "{}")),
              StartsWith("/not_after: expected a moment"));
  EXPECT_THAT(refused(documentOf("layer", "", "null")), StartsWith("/name: a layer has one"));
  EXPECT_THAT(refused(documentOf("layer", R"("name":"x",)", R"({"schema":"kante.layer/1"})")),
              StartsWith("/content/content: missing"));
  EXPECT_THAT(refused(documentOf("desired", R"("name":"filter",)", "{}")), StartsWith("/name: "));
  EXPECT_THAT(refused(documentOf("command", R"("name":"module/x",)", "{}")), StartsWith("/name: "));
  for (const char* name : {"module/x/reset", "gateway/ping"})
    EXPECT_THAT(refused(documentOf("command", "\"name\":\"" + std::string(name) + "\",", "{}")),
                StartsWith("/not_after: missing"));
  EXPECT_THAT(refused(documentOf("command", R"("name":"gateway/a/ping",)", "{}")),
              StartsWith("/name: "));
  const std::string head = R"({"schema":"kante.document/1","kind":"deployment",)";
  EXPECT_THAT(refused(head + R"("counter":1,"content":{}})"), StartsWith("/target: missing"));
  EXPECT_THAT(refused(head + R"("target":{},"counter":1,"content":{}})"),
              StartsWith("/target: needs one of"));
  EXPECT_THAT(refused(head + R"("target":{"gateway":"a","tag":"b"},"counter":1,"content":{}})"),
              StartsWith("/target: needs one of"));
  EXPECT_THAT(refused(head + R"("target":{"gateway":"a b"},"counter":1,"content":{}})"),
              StartsWith("/target/gateway: "));
  EXPECT_THAT(refused(head + R"("target":{"tag":"t"},"content":{}})"),
              StartsWith("/counter: missing"));
  EXPECT_THAT(refused(head + R"("target":{"tag":"t"},"counter":0,"content":{}})"),
              StartsWith("/counter: expected a whole number"));
  EXPECT_THAT(refused(head + R"("target":{"tag":"t"},"counter":9007199254740992,"content":{}})"),
              StartsWith("/counter: expected a whole number"));
  EXPECT_THAT(refused(head + R"("target":{"tag":"t"},"counter":1})"),
              StartsWith("/content: missing"));
}

TEST(DocumentTest, ALayerMayBeNothingWhichRemovesIt) {
  const auto document = parseDocument(documentOf("layer", R"("name":"munich",)", "null"));
  ASSERT_TRUE(document) << document.error().text;
  EXPECT_EQ(document->content, "null");
}

TEST(DocumentTest, IsForOneGatewayOrForThoseWithATag) {
  Document document;
  document.gateway = "edge-1";
  EXPECT_TRUE(isFor(document, "edge-1", {}));
  EXPECT_FALSE(isFor(document, "edge-2", {{"site", "edge-1"}}));
  document.gateway.clear();
  document.tag = "site=muc";
  EXPECT_TRUE(isFor(document, "edge-1", {{"line", "4"}, {"site", "muc"}}));
  EXPECT_FALSE(isFor(document, "edge-1", {{"site", "ber"}}));
  EXPECT_FALSE(isFor(document, "edge-1", {}));
  document.tag = "site";
  EXPECT_TRUE(isFor(document, "edge-1", {{"site", "ber"}}));
  document.tag = "site=";
  EXPECT_FALSE(isFor(document, "edge-1", {{"site", "ber"}}));
}

TEST(DocumentTest, MomentsAreReadStrictly) {
  EXPECT_EQ(parseUtcSeconds("1970-01-01T00:00:00Z").value(), 0);
  EXPECT_EQ(parseUtcSeconds("2028-02-29T23:59:59Z").value() % 60, 59);
  const std::int64_t now = 1'795'694'401;
  EXPECT_EQ(parseUtcSeconds(formatUtc(now * 1'000'000'000)).value(), now);
  EXPECT_EQ(formatUtcSeconds(parseUtcSeconds("9026-11-26T12:00:00Z").value()),
            "9026-11-26T12:00:00Z");
  for (const char* bad :
       {"", "2026-11-26", "2026-11-26T12:00:00", "2026-11-26 12:00:00Z", "2026-13-26T12:00:00Z",
        "2027-02-29T12:00:00Z", "2026-11-26T24:00:00Z", "2026-11-26T12:00:00.Z",
        "2026-11-26T12:00:00.1x3Z", "2026-11-26T12:00:00+01:00", "1969-12-31T23:59:59Z",
        "-026-11-26T12:00:00Z", "2026-11-26T12:00:00.123456789012Z"})
    EXPECT_TRUE(parseUtcSeconds(bad).has_error()) << bad;
}

}  // namespace
}  // namespace kante
