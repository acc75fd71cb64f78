#include "host/message/message.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <message.capnp.h>

#include <cstring>
#include <string>

#include "host/message/general.h"
#include "tests/host/message/words.h"

namespace kante {
namespace {

Words asWords(capnp::MessageBuilder& builder) {
  const auto flat = capnp::messageToFlatArray(builder);
  Words words(flat.size());
  std::memcpy(words.data(), flat.begin(), flat.size() * sizeof(capnp::word));
  return words;
}

Words wordsOf(const MessageRef& message) {
  return {message.words(), message.words() + message.wordCount()};
}

capnp::Data::Reader bytes(const std::string& text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}

void fill(proto::Message::Builder root) {
  root.setBody(bytes("the body"));
  auto properties = root.initProperties(2);
  properties[1].setValue("zwei");
  properties[1].setName("b");
  properties[0].setName("a");
  root.initSystem(1)[0].setName("messageId");
  root.setContentEncoding("utf-8");
  root.setContentType("text/plain");
  root.setIdHigh(1);
  root.setIdLow(2);
  root.setCreatedNs(-3);
  root.setExpiryNs(4);
  root.setTraceHigh(5);
  root.setTraceLow(6);
  root.setSchemaId(7);
}

void expectFilled(MessageView view) {
  EXPECT_EQ(view.body(), "the body");
  EXPECT_EQ(propertiesOf(view), (Pairs{{"a", ""}, {"b", "zwei"}}));
  EXPECT_EQ(view.systemPropertyCount(), 1u);
  EXPECT_EQ(view.systemProperty(0).first, "messageId");
  EXPECT_EQ(view.contentType(), "text/plain");
  EXPECT_EQ(view.contentEncoding(), "utf-8");
  EXPECT_EQ(view.id(), (MessageId{1, 2}));
  EXPECT_EQ(view.createdNs(), -3);
  EXPECT_EQ(view.expiryNs(), 4);
  EXPECT_EQ(view.trace(), (std::pair<std::uint64_t, std::uint64_t>(5, 6)));
  EXPECT_EQ(view.schemaId(), 7u);
}

// ---- building ----

TEST(BuildMessage, TakesEveryFieldAtItsBoundAndRefusesOneMore) {
  Content content;
  content.body.assign(KANTE_BODY_BYTES_MAX, 'b');
  EXPECT_FALSE(wordsOf(content).empty());
  content.body += 'b';
  EXPECT_TRUE(wordsOf(content).empty());

  kante_message message{};
  const std::string text(KANTE_PROPERTY_NAME_BYTES_MAX, 't');
  message.content_type = toStr(text);
  message.body = toStr("");
  EXPECT_TRUE(buildMessage(message).has_value());
  const std::string longer = text + 't';
  message.content_type = toStr(longer);
  const auto refused = buildMessage(message);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, Errc::kInvalid);

  Content named;
  named.properties.assign(KANTE_PROPERTIES_MAX, {text, "v"});
  EXPECT_FALSE(wordsOf(named).empty());
  named.properties.emplace_back("one", "more");
  EXPECT_TRUE(wordsOf(named).empty());
  named.properties = {{longer, "v"}};
  EXPECT_TRUE(wordsOf(named).empty());
  named.properties = {{"", "v"}};
  EXPECT_TRUE(wordsOf(named).empty());
  named.properties = {};
  named.system.assign(KANTE_SYSTEM_PROPERTIES_MAX + 1, {"n", "v"});
  EXPECT_TRUE(wordsOf(named).empty());
}

TEST(BuildMessage, RefusesTextThatIsNoUtf8OrHasANul) {
  for (const std::string& text : {std::string("a\0b", 3), std::string("\xc3"), std::string("\xff"),
                                  std::string("\xed\xa0\x80"), std::string("\xc0\x80"),
                                  std::string("\xf4\x90\x80\x80"), std::string("12345678\x80")}) {
    Content content;
    content.properties = {{"p", text}};
    EXPECT_TRUE(wordsOf(content).empty());
    content.properties = {{text, "v"}};
    EXPECT_TRUE(wordsOf(content).empty());
  }
  Content fine;
  fine.properties = {{"größe", "\xf0\x9f\x8c\xa1 21,5 °C"}};
  EXPECT_FALSE(wordsOf(fine).empty());
}

TEST(BuildMessage, WritesWhatTheGeneratedReaderReads) {
  Content content;
  content.properties = {{"a", ""}, {"b", "zwei"}};
  content.system = {{"messageId", "17"}};
  content.id = {11, 12};
  const Words words = wordsOf(content);
  const auto* begin = reinterpret_cast<const capnp::word*>(words.data());
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, words.size()));
  EXPECT_EQ(reader.getEnd(), begin + words.size());
  const auto root = reader.getRoot<proto::Message>();
  EXPECT_EQ(root.getIdHigh(), 11u);
  EXPECT_EQ(root.getContentType(), content.content_type.c_str());
  ASSERT_EQ(root.getProperties().size(), 2u);
  EXPECT_EQ(root.getProperties()[1].getValue(), "zwei");
  EXPECT_EQ(root.getSystem()[0].getName(), "messageId");
  EXPECT_EQ(root.getBody().size(), content.body.size());
  EXPECT_FALSE(root.hasTyped());
}

// ---- the general reader ----

TEST(CanonicalCopy, ReordersWhatAnotherWriterLaidOut) {
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<proto::Message>());
  const Words odd = asWords(builder);
  EXPECT_FALSE(walks(odd));
  auto copy = canonicalCopy(odd.data(), sizeOf(odd));
  ASSERT_TRUE(copy.has_value());
  expectFilled(copy->view());
  EXPECT_TRUE(walks(wordsOf(*copy)));
}

TEST(CanonicalCopy, JoinsManySegments) {
  capnp::MallocMessageBuilder builder(1, capnp::AllocationStrategy::FIXED_SIZE);
  fill(builder.initRoot<proto::Message>());
  ASSERT_GT(builder.getSegmentsForOutput().size(), 3u);
  const Words odd = asWords(builder);
  auto copy = canonicalCopy(odd.data(), sizeOf(odd));
  ASSERT_TRUE(copy.has_value());
  expectFilled(copy->view());
  EXPECT_TRUE(walks(wordsOf(*copy)));
}

TEST(CanonicalCopy, LeavesACanonicalMessageAsItIs) {
  Content content;
  content.properties = {{"a", "b"}, {"c", ""}};
  content.system = {{"ack", "full"}};
  const Words words = kante::wordsOf(content);
  auto copy = canonicalCopy(words.data(), sizeOf(words));
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(wordsOf(*copy), words);
}

TEST(CanonicalCopy, CarriesATypedPartBehindTheBody) {
  capnp::MallocMessageBuilder builder(1, capnp::AllocationStrategy::FIXED_SIZE);
  auto root = builder.initRoot<proto::Message>();
  // Any struct does; this one has texts and a list inside.
  auto typed = root.getTyped().initAs<proto::Message>();
  fill(typed);
  fill(root);
  const Words odd = asWords(builder);
  auto copy = canonicalCopy(odd.data(), sizeOf(odd));
  ASSERT_TRUE(copy.has_value());
  expectFilled(copy->view());
  const Words words = wordsOf(*copy);
  EXPECT_FALSE(walks(words)) << "typed parts are for the general reader";
  const auto* begin = reinterpret_cast<const capnp::word*>(words.data());
  capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, words.size()));
  EXPECT_EQ(reader.getEnd(), begin + words.size());
  const auto inner = reader.getRoot<proto::Message>().getTyped().getAs<proto::Message>();
  EXPECT_EQ(inner.getProperties()[1].getValue(), "zwei");
  EXPECT_EQ(inner.getCreatedNs(), -3);
  // Once canonical, always the same.
  auto again = canonicalCopy(words.data(), sizeOf(words));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(wordsOf(*again), words);
}

TEST(CanonicalCopy, CarriesAnEmptyTypedStructAndAList) {
  for (const bool list : {false, true}) {
    capnp::MallocMessageBuilder builder;
    auto root = builder.initRoot<proto::Message>();
    if (list) {
      root.getTyped().initAs<capnp::List<std::uint16_t>>(3).set(2, 77);
    } else {
      root.getTyped().initAsAnyStruct(0, 0);
    }
    fill(root);
    const Words odd = asWords(builder);
    auto copy = canonicalCopy(odd.data(), sizeOf(odd));
    ASSERT_TRUE(copy.has_value());
    const Words words = wordsOf(*copy);
    const auto* begin = reinterpret_cast<const capnp::word*>(words.data());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, words.size()));
    const auto typed = reader.getRoot<proto::Message>().getTyped();
    EXPECT_FALSE(typed.isNull());
    if (list) {
      EXPECT_EQ(typed.getAs<capnp::List<std::uint16_t>>()[2], 77);
    }
    auto again = canonicalCopy(words.data(), sizeOf(words));
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(wordsOf(*again), words);
  }
}

TEST(CanonicalCopy, RefusesWhatPointsElsewhere) {
  const Words good = kante::wordsOf(Content{});
  for (const std::uint32_t at : {1u, 9u, 14u}) {
    for (const std::uint64_t pointer :
         {std::uint64_t{0x0000'0008'7fff'fffdu}, std::uint64_t{0x0000'0002'ffff'fffau},
          std::uint64_t{0xffff'ffff'0000'0001u}, std::uint64_t{3}}) {
      Words bad = good;
      bad[at] = pointer;
      auto copy = canonicalCopy(bad.data(), sizeOf(bad));
      if (copy.has_error()) {
        EXPECT_EQ(copy.error().code, Errc::kCorrupt);
      } else {
        EXPECT_TRUE(walks(wordsOf(*copy)));
      }
    }
  }
}

TEST(CanonicalCopy, RefusesALoopAndAnAmplification) {
  // A typed struct that points to itself.
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<proto::Message>();
  root.getTyped().initAsAnyStruct(0, 1);
  Words loop = asWords(builder);
  ASSERT_TRUE(canonicalCopy(loop.data(), sizeOf(loop)).has_value());
  loop.back() = 0x0001'0000'ffff'fffcu;
  EXPECT_TRUE(canonicalCopy(loop.data(), sizeOf(loop)).has_error());

  // 62 properties that share one long text.
  Content content;
  content.properties = {{"n", std::string(300'000, 'v')}, {"m", "v"}};
  for (int i = 0; i < 60; ++i) content.properties.emplace_back("m" + std::to_string(i), "v");
  Words shared = kante::wordsOf(content);
  const std::uint32_t tag = kante_detail_target(shared.data(), KANTE_WORD_PROPERTIES);
  const std::uint32_t first = tag + 2;
  const std::uint32_t text = kante_detail_target(shared.data(), first);
  for (std::uint32_t i = 1; i < 62; ++i) {
    const std::uint32_t value = tag + 2 + 2 * i;
    shared[value] = kante_detail_list_pointer(value, text, 2, 300'001);
  }
  EXPECT_TRUE(canonicalCopy(shared.data(), sizeOf(shared)).has_error());
}

TEST(CanonicalCopy, RefusesEmptyAndOversizedInput) {
  const Words words(KANTE_MESSAGE_WORDS_MAX + 1);
  EXPECT_EQ(canonicalCopy(words.data(), 0).error().code, Errc::kLimit);
  EXPECT_EQ(canonicalCopy(words.data(), sizeOf(words)).error().code, Errc::kLimit);
}

TEST(MessageFromWords, CopiesTheCanonicalAndRewritesTheOdd) {
  const Words words = kante::wordsOf(Content{});
  auto copy = messageFromWords(words.data(), sizeOf(words));
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(wordsOf(*copy), words);
  capnp::MallocMessageBuilder builder;
  fill(builder.initRoot<proto::Message>());
  const Words odd = asWords(builder);
  auto rewritten = messageFromWords(odd.data(), sizeOf(odd));
  ASSERT_TRUE(rewritten.has_value());
  expectFilled(rewritten->view());
  const Words bad(20, 0x5555'5555'5555'5555u);
  EXPECT_EQ(messageFromWords(bad.data(), sizeOf(bad)).error().code, Errc::kCorrupt);
}

TEST(JsonMessage, SaysWhatItsBodyIs) {
  auto message = jsonMessage(R"({"a":1})");
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->view().contentType(), "application/json");
  EXPECT_EQ(message->view().body(), R"({"a":1})");
}

TEST(FormatId, Writes32Digits) {
  EXPECT_EQ(formatId({0x1, 0xabcdef}), "00000000000000010000000000abcdef");
}

}  // namespace
}  // namespace kante
