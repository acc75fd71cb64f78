#include "host/message/seal.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <message.capnp.h>

#include <cstring>

#include "host/message/layout.h"
#include "tests/host/message/words.h"

namespace kante {
namespace {

// One output of a module with what its host remembers.
struct Sealer {
  Layout layout;
  Stamp stamp{0xabc, 0, 1'700'000'000'000'000'000};
  SealCounters counters;
  kante_msg* block = nullptr;   // The last scratch; released by the sealer.
  kante_msg* sealed = nullptr;  // What became of it.

  ~Sealer() { drop(); }
  void drop() {
    if (sealed != nullptr && sealed != block) MessageRef::release(sealed);
    if (block != nullptr) MessageRef::release(block);
    block = sealed = nullptr;
  }
  kante_status seal(const Words& words) {
    drop();
    block = allocateBlock(sizeOf(words));
    std::memcpy(block->data(), words.data(), words.size() * 8);
    return kante::seal(block, sizeOf(words), layout, stamp, counters, &sealed);
  }
};

Content withValue(const std::string& value) {
  Content content;
  content.properties = {{"site", value}};
  return content;
}

TEST(Seal, WalksTheFirstOfAShapeAndComparesTheRest) {
  Sealer sealer;
  for (int i = 0; i < 5; ++i) {
    Content content = withValue("mu" + std::to_string(i));
    content.body = std::string(static_cast<std::size_t>(10 + i), 'x');
    ASSERT_EQ(sealer.seal(wordsOf(content)), KANTE_OK);
    EXPECT_EQ(sealer.sealed, sealer.block);
  }
  EXPECT_EQ(sealer.counters.walk.value(), 1u);
  EXPECT_EQ(sealer.counters.same.value(), 4u);
  EXPECT_EQ(sealer.counters.general.value(), 0u);
}

TEST(Seal, StampsOnlyWhatTheAuthorLeftOut) {
  Sealer sealer;
  ASSERT_EQ(sealer.seal(wordsOf(withValue("a"))), KANTE_OK);
  const MessageView first(sealer.sealed->data(), sealer.sealed->words);
  EXPECT_EQ(first.id(), (MessageId{0xabc, 1}));
  EXPECT_EQ(first.createdNs(), sealer.stamp.now_ns);
  Content own = withValue("b");
  own.id = {1, 2};
  own.created_ns = 77;
  ASSERT_EQ(sealer.seal(wordsOf(own)), KANTE_OK);
  const MessageView second(sealer.sealed->data(), sealer.sealed->words);
  EXPECT_EQ(second.id(), (MessageId{1, 2}));
  EXPECT_EQ(second.createdNs(), 77);
  EXPECT_EQ(sealer.stamp.id_low, 1u);
}

TEST(Seal, RefusesNamesThatAreTheHosts) {
  for (const std::string name : {"$system", "$", "kante-seq", "KANTE-Seq", "Kante-"}) {
    Sealer sealer;
    Content content;
    content.properties = {{"site", "a"}, {name, "b"}};
    EXPECT_EQ(sealer.seal(wordsOf(content)), KANTE_E_DENIED) << name;
    EXPECT_EQ(sealer.counters.refused.value(), 1u);
    EXPECT_EQ(sealer.block->words, 0u) << "still scratch";
  }
  Sealer sealer;
  Content fine;
  fine.properties = {{"kante", "a"}, {"skante-", "b"}, {"a$", "c"}};
  EXPECT_EQ(sealer.seal(wordsOf(fine)), KANTE_OK);
}

TEST(Seal, RefusesAReservedNameThatTakesThePlaceOfALearnedOne) {
  Sealer sealer;
  Content content;
  content.properties = {{"aante-x", "1"}};
  ASSERT_EQ(sealer.seal(wordsOf(content)), KANTE_OK);
  content.properties = {{"kante-x", "1"}};
  EXPECT_EQ(sealer.seal(wordsOf(content)), KANTE_E_DENIED);
}

TEST(Seal, RefusesMoreThanItsScratchHoldsNothingAndASecondTime) {
  Sealer sealer;
  const Words words = wordsOf({});
  sealer.block = allocateBlock(sizeOf(words));
  std::memcpy(sealer.block->data(), words.data(), words.size() * 8);
  const auto seal = [&](std::uint32_t used) {
    return kante::seal(sealer.block, used, sealer.layout, sealer.stamp, sealer.counters,
                       &sealer.sealed);
  };
  EXPECT_EQ(seal(0), KANTE_E_INVALID);
  EXPECT_EQ(seal(sealer.block->capacity_words + 1), KANTE_E_INVALID);
  EXPECT_EQ(seal(UINT32_MAX), KANTE_E_INVALID);
  ASSERT_EQ(seal(sizeOf(words)), KANTE_OK);
  EXPECT_EQ(seal(sizeOf(words)), KANTE_E_INVALID);
  EXPECT_EQ(sealer.counters.refused.value(), 4u);
}

TEST(Seal, RefusesWhatIsNoMessage) {
  Sealer sealer;
  EXPECT_EQ(sealer.seal(Words(40, 0xffff'ffff'ffff'ffffu)), KANTE_E_CORRUPT);
  EXPECT_EQ(sealer.seal(Words(1, 0)), KANTE_E_CORRUPT);
  Words cut = wordsOf({});
  cut.pop_back();
  EXPECT_EQ(sealer.seal(cut), KANTE_E_CORRUPT);
  Words longer = wordsOf({});
  longer.push_back(0);
  EXPECT_EQ(sealer.seal(longer), KANTE_E_CORRUPT);
}

Words asWords(capnp::MessageBuilder& builder) {
  const auto flat = capnp::messageToFlatArray(builder);
  Words words(flat.size());
  std::memcpy(words.data(), flat.begin(), flat.size() * sizeof(capnp::word));
  return words;
}

TEST(Seal, WritesAnOddLayoutAnewAndKeepsTheScratchForItsOwner) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<proto::Message>();
  const std::string body = "reordered";
  root.setBody(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(body.data()), body.size()));
  root.setContentType("text/plain");
  Sealer sealer;
  ASSERT_EQ(sealer.seal(asWords(builder)), KANTE_OK);
  EXPECT_EQ(sealer.counters.general.value(), 1u);
  EXPECT_NE(sealer.sealed, sealer.block);
  const MessageView view(sealer.sealed->data(), sealer.sealed->words);
  EXPECT_EQ(view.body(), body);
  EXPECT_EQ(view.contentType(), "text/plain");
  EXPECT_NE(view.id(), MessageId{});
}

TEST(Seal, RefusesAReservedNameInAnOddLayout) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<proto::Message>();
  auto properties = root.initProperties(1);
  properties[0].setValue("v");
  properties[0].setName("kante-seq");
  root.setContentType("text/plain");
  Sealer sealer;
  EXPECT_EQ(sealer.seal(asWords(builder)), KANTE_E_DENIED);
}

TEST(Seal, TellsABrokenBoundFromBrokenBytes) {
  capnp::MallocMessageBuilder builder;
  auto root = builder.initRoot<proto::Message>();
  root.initBody(KANTE_BODY_BYTES_MAX + 1);
  Sealer sealer;
  EXPECT_EQ(sealer.seal(asWords(builder)), KANTE_E_LIMIT);
  capnp::MallocMessageBuilder many;
  many.initRoot<proto::Message>().initProperties(KANTE_PROPERTIES_MAX + 1);
  EXPECT_EQ(sealer.seal(asWords(many)), KANTE_E_LIMIT);
  capnp::MallocMessageBuilder named;
  auto properties = named.initRoot<proto::Message>().initProperties(1);
  properties[0].setName(std::string(KANTE_PROPERTY_NAME_BYTES_MAX + 1, 'n'));
  EXPECT_EQ(sealer.seal(asWords(named)), KANTE_E_LIMIT);
  capnp::MallocMessageBuilder nameless;
  nameless.initRoot<proto::Message>().initProperties(1);
  EXPECT_EQ(sealer.seal(asWords(nameless)), KANTE_E_CORRUPT);
}

// ---- the fast comparison ----

TEST(Layout, SaysNoToEveryFlippedBitThatTheWalkRefuses) {
  Content content = withValue("munich");
  content.system = {{"messageId", "1"}};
  const Words good = wordsOf(content);
  Layout layout;
  EXPECT_FALSE(layout.same(good.data(), sizeOf(good))) << "nothing is learned yet";
  layout.learn(good.data(), sizeOf(good));
  ASSERT_TRUE(layout.same(good.data(), sizeOf(good)));
  for (std::size_t bit = 0; bit < good.size() * 64; ++bit) {
    Words bad = good;
    bad[bit / 64] ^= std::uint64_t{1} << bit % 64;
    if (layout.same(bad.data(), sizeOf(bad))) {
      ASSERT_TRUE(walks(bad)) << "bit " << bit;
    }
  }
}

TEST(Layout, SaysNoToOtherSizesThatReadBeyond) {
  const Words good = wordsOf(withValue("munich"));
  Layout layout;
  layout.learn(good.data(), sizeOf(good));
  for (std::uint32_t count = 1; count < sizeOf(good); ++count) {
    Words cut(good.begin(), good.begin() + count);
    cut[0] = std::uint64_t{count - 1} << 32;
    EXPECT_FALSE(layout.same(cut.data(), count));
  }
}

TEST(Layout, ForgetsWhatIsTooLongOrHasTooManyValuesOrNoBody) {
  Layout layout;
  Content many;
  for (int i = 0; i < 17; ++i) many.properties.emplace_back("p" + std::to_string(i), "v");
  Content wide;
  wide.properties = {{"p", std::string(1000, 'v')}};
  Content empty;
  empty.body.clear();
  for (const Content& content : {many, wide, empty}) {
    const Words fine = wordsOf({});
    layout.learn(fine.data(), sizeOf(fine));
    ASSERT_TRUE(layout.same(fine.data(), sizeOf(fine)));
    const Words words = wordsOf(content);
    ASSERT_TRUE(walks(words));
    layout.learn(words.data(), sizeOf(words));
    EXPECT_FALSE(layout.same(words.data(), sizeOf(words)));
    EXPECT_FALSE(layout.same(fine.data(), sizeOf(fine)));
  }
}

}  // namespace
}  // namespace kante
