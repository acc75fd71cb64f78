// The codec of kante/message.h against the frozen golden files, against Cap'n Proto's own reader
// and writer, and at its limits.
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <kante/message.hpp>

#include <fstream>
#include <iterator>

#include "message.capnp.h"

namespace {

using kante::toStr;
using Words = std::vector<std::uint64_t>;
using Texts = std::vector<std::pair<std::string, std::string>>;

struct Sample {
  const char* file;
  kante_message fixed;  // All but texts.
  std::string content_type, content_encoding;
  Texts properties, system;
  std::string body;
};

std::vector<Sample> samples() {
  kante_message ids{};
  ids.id_high = 0x0123456789abcdef;
  ids.id_low = 0xfedcba9876543210;
  ids.created_ns = 1'767'225'600'000'000'000;
  kante_message all = ids;
  all.expiry_ns = 1'767'312'000'000'000'000;
  all.trace_high = 0x4bf92f3577b34da6;
  all.trace_low = 0xa3ce929d0e0e4736;
  return {
      {"message-1.0-empty.bin", {}, "", "", {}, {}, ""},
      {"message-1.0-json.bin",
       ids,
       "application/json",
       "utf-8",
       {{"alert", "high"}, {"n", ""}},
       {},
       R"({"t":21.5})"},
      {"message-1.0-full.bin",
       all,
       "text/plain",
       "utf-8",
       {{"seven77", "eight888"}, {"Straße", "München 😀"}, {"x", std::string(100, 'y')}},
       {{"messageId", "m-1"}, {"cid", "c"}},
       std::string("\0\1\2\377 bytes", 10)},
  };
}

Words write(const Sample& sample) {
  const auto point = [](const Texts& texts) {
    std::vector<kante_property> out;
    for (const auto& [name, value] : texts) out.push_back({toStr(name), toStr(value)});
    return out;
  };
  const auto properties = point(sample.properties);
  const auto system = point(sample.system);
  kante_message message = sample.fixed;
  message.content_type = toStr(sample.content_type);
  message.content_encoding = toStr(sample.content_encoding);
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = system.data();
  message.system_count = static_cast<std::uint32_t>(system.size());
  message.body = toStr(sample.body);
  Words words(kante_message_words(&message), 0xaaaaaaaaaaaaaaaa);
  if (!words.empty())
    kante_message_write(&message, words.data(), static_cast<std::uint32_t>(words.size()));
  return words;
}

// The same message by Cap'n Proto's own builder, as a flat array.
Words writeByCapnp(const Sample& sample) {
  capnp::MallocMessageBuilder builder(1 << 16);
  auto root = builder.initRoot<kante::proto::Message>();
  root.setIdHigh(sample.fixed.id_high);
  root.setIdLow(sample.fixed.id_low);
  root.setCreatedNs(sample.fixed.created_ns);
  root.setExpiryNs(sample.fixed.expiry_ns);
  root.setTraceHigh(sample.fixed.trace_high);
  root.setTraceLow(sample.fixed.trace_low);
  const auto text = [](const std::string& from) {
    return capnp::Text::Reader(from.data(), from.size());
  };
  if (!sample.content_type.empty()) root.setContentType(text(sample.content_type));
  if (!sample.content_encoding.empty()) root.setContentEncoding(text(sample.content_encoding));
  const auto fill = [&](capnp::List<kante::proto::Property>::Builder list, const Texts& texts) {
    for (unsigned i = 0; i < texts.size(); ++i) {
      list[i].setName(text(texts[i].first));
      if (!texts[i].second.empty()) list[i].setValue(text(texts[i].second));
    }
  };
  const auto size = [](const Texts& texts) { return static_cast<unsigned>(texts.size()); };
  if (!sample.properties.empty())
    fill(root.initProperties(size(sample.properties)), sample.properties);
  if (!sample.system.empty()) fill(root.initSystem(size(sample.system)), sample.system);
  if (!sample.body.empty()) {
    root.setBody(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(sample.body.data()),
                                     sample.body.size()));
  }
  const kj::Array<capnp::word> flat = capnp::messageToFlatArray(builder);
  Words words(flat.size());
  std::memcpy(words.data(), flat.begin(), flat.size() * 8);
  return words;
}

Words readFile(const std::string& name) {
  std::ifstream file(std::string(KANTE_SOURCE_DIR "/tests/golden/") + name, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  Words words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), words.size() * 8);
  return words;
}

kante::MessageView view(const Words& words) {
  return {words.data(), static_cast<std::uint32_t>(words.size())};
}

int check(const Words& words) {
  std::uint32_t flags = 0;
  return kante_message_check(words.data(), static_cast<std::uint32_t>(words.size()), &flags);
}

TEST(MessageGoldenTest, WritesTheFrozenBytes) {
  for (const Sample& sample : samples()) {
    const Words golden = readFile(sample.file);
    ASSERT_FALSE(golden.empty()) << sample.file;
    EXPECT_EQ(write(sample), golden) << sample.file << ": the canonical layout is frozen";
    EXPECT_EQ(check(golden), KANTE_CHECK_CANONICAL) << sample.file;
  }
}

TEST(MessageGoldenTest, ReadsTheFrozenBytes) {
  for (const Sample& sample : samples()) {
    const Words golden = readFile(sample.file);
    const kante::MessageView message = view(golden);
    EXPECT_EQ(message.id(), (kante::MessageId{sample.fixed.id_high, sample.fixed.id_low}));
    EXPECT_EQ(message.createdNs(), sample.fixed.created_ns);
    EXPECT_EQ(message.expiryNs(), sample.fixed.expiry_ns);
    EXPECT_EQ(message.contentType(), sample.content_type);
    EXPECT_EQ(message.contentEncoding(), sample.content_encoding);
    EXPECT_EQ(message.body(), sample.body);
    ASSERT_EQ(message.propertyCount(), sample.properties.size());
    for (std::uint32_t i = 0; i < message.propertyCount(); ++i) {
      EXPECT_EQ(message.property(i).first, sample.properties[i].first);
      EXPECT_EQ(message.property(i).second, sample.properties[i].second);
    }
    ASSERT_EQ(message.systemPropertyCount(), sample.system.size());
  }
}

TEST(MessageCapnpTest, WritesWhatCapnProtoWouldWrite) {
  for (const Sample& sample : samples())
    EXPECT_EQ(write(sample), writeByCapnp(sample)) << sample.file;
}

TEST(MessageCapnpTest, IsReadByCapnProtosOwnReader) {
  for (const Sample& sample : samples()) {
    const Words words = write(sample);
    capnp::FlatArrayMessageReader reader(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(words.data()), words.size()));
    EXPECT_EQ(reinterpret_cast<const std::uint64_t*>(reader.getEnd()), words.data() + words.size());
    const auto root = reader.getRoot<kante::proto::Message>();
    EXPECT_EQ(root.getIdHigh(), sample.fixed.id_high);
    EXPECT_EQ(root.getCreatedNs(), sample.fixed.created_ns);
    EXPECT_EQ(root.getTraceLow(), sample.fixed.trace_low);
    EXPECT_STREQ(root.getContentType().cStr(), sample.content_type.c_str());
    ASSERT_EQ(root.getProperties().size(), sample.properties.size());
    for (unsigned i = 0; i < sample.properties.size(); ++i) {
      EXPECT_STREQ(root.getProperties()[i].getName().cStr(), sample.properties[i].first.c_str());
      EXPECT_STREQ(root.getProperties()[i].getValue().cStr(), sample.properties[i].second.c_str());
    }
    EXPECT_EQ(root.getBody().size(), sample.body.size());
    EXPECT_FALSE(root.hasTyped());
  }
}

TEST(MessageCodecTest, PadsEveryLengthWithZeros) {
  for (std::size_t n = 0; n <= 17; ++n) {
    const Sample sample{"",
                        {},
                        std::string(n, 't'),
                        "",
                        {{std::string(n + 1, 'n'), std::string(n, 'v')}},
                        {},
                        std::string(n, 'b')};
    const Words words = write(sample);
    EXPECT_EQ(words, writeByCapnp(sample)) << n;
    EXPECT_EQ(check(words), KANTE_CHECK_CANONICAL) << n;
    EXPECT_EQ(view(words).body(), sample.body);
  }
}

TEST(MessageCodecTest, RefusesWhatBreaksALimit) {
  const auto takes = [](const Sample& sample) { return !write(sample).empty(); };
  const auto withProperties = [](std::size_t count, const std::string& name,
                                 const std::string& value) {
    return Sample{"", {}, "", "", Texts(count, {name, value}), {}, ""};
  };
  EXPECT_TRUE(takes(withProperties(64, "n", "v")));
  EXPECT_FALSE(takes(withProperties(65, "n", "v")));
  EXPECT_FALSE(takes(withProperties(1, "", "v")));
  EXPECT_TRUE(takes(withProperties(1, std::string(1024, 'n'), "v")));
  EXPECT_FALSE(takes(withProperties(1, std::string(1025, 'n'), "v")));
  EXPECT_FALSE(takes(withProperties(1, "n", "\xff")));
  EXPECT_FALSE(takes(withProperties(1, "n", std::string("a\0b", 3))));
  EXPECT_FALSE(takes(withProperties(2, "n", std::string(600'000, 'v'))));
  EXPECT_FALSE(takes(Sample{"", {}, std::string(1025, 't'), "", {}, {}, ""}));
  EXPECT_FALSE(takes(Sample{"", {}, "", "", {}, Texts(17, {"n", "v"}), ""}));
  EXPECT_TRUE(takes(Sample{"", {}, "", "", {}, {}, std::string(KANTE_BODY_BYTES_MAX, 'b')}));
  EXPECT_FALSE(takes(Sample{"", {}, "", "", {}, {}, std::string(KANTE_BODY_BYTES_MAX + 1, 'b')}));
}

TEST(MessageCodecTest, ChecksEveryBitThatTheReadersFollow) {
  // Any bit may be flipped: what the check still takes must be readable without leaving the words,
  // and a structural word (table, pointers, tags) must not be taken changed.
  for (const Sample& sample : samples()) {
    const Words good = write(sample);
    for (std::size_t bit = 0; bit < good.size() * 64; ++bit) {
      Words bad = good;
      bad[bit / 64] ^= std::uint64_t{1} << (bit % 64);
      const bool taken = check(bad) == KANTE_CHECK_CANONICAL;
      const std::size_t word = bit / 64;
      // A body of another length in as many words is just another body.
      const bool is_body_length = word == KANTE_WORD_BODY && bit % 64 >= 35;
      if (is_body_length) continue;
      if (word < KANTE_WORD_ID_HIGH || (word > KANTE_WORD_SCHEMA && word < KANTE_WORD_CONTENT)) {
        EXPECT_FALSE(taken) << sample.file << " bit " << bit;
      }
      if (!taken) continue;
      const kante::MessageView message = view(bad);
      std::size_t sum = message.body().size() + message.contentType().size();
      for (std::uint32_t i = 0; i < message.propertyCount(); ++i)
        sum += message.property(i).second.size();
      EXPECT_LE(sum, bad.size() * 8);
    }
    for (std::size_t n = 0; n < good.size(); ++n) {
      EXPECT_EQ(check(Words(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n))),
                KANTE_CHECK_REJECT);
    }
    Words longer = good;
    longer.push_back(0);
    EXPECT_EQ(check(longer), KANTE_CHECK_REJECT);
  }
}

TEST(MessageCodecTest, TellsNamesThatAreTheHosts) {
  for (const char* name : {"$x", "$", "kante-seq", "Kante-Seq", "KANTE-"}) {
    EXPECT_TRUE(kante_name_reserved(toStr(name))) << name;
    std::uint32_t flags = 0;
    const Words words = write({"", {}, "", "", {{name, "v"}}, {}, ""});
    EXPECT_EQ(kante_message_check(words.data(), static_cast<std::uint32_t>(words.size()), &flags),
              KANTE_CHECK_CANONICAL);
    EXPECT_EQ(flags, KANTE_CHECK_FLAG_RESERVED) << name;
  }
  for (const char* name : {"x$", "kante", "kant", "my-kante-x", ""})
    EXPECT_FALSE(kante_name_reserved(toStr(name)));
}

TEST(MessageCodecTest, KnowsUtf8) {
  const auto valid = [](const std::string& text) {
    return kante_text_valid(text.data(), text.size()) != 0;
  };
  for (const char* text :
       {"", "plain ascii text", "ä", "€", "😀", "12345678ä", "\xf4\x8f\xbf\xbf", "\xee\x80\x80"}) {
    EXPECT_TRUE(valid(text)) << text;
  }
  for (const std::string& text :
       {std::string("\x80"), std::string("\xc3"), std::string("\xc0\x80"), std::string("\xc1\xbf"),
        std::string("\xe0\x9f\xbf"), std::string("\xed\xa0\x80"), std::string("\xf0\x8f\xbf\xbf"),
        std::string("\xf4\x90\x80\x80"), std::string("\xf5\x80\x80\x80"),
        std::string("12345678\xff"), std::string("1234567\0", 8), std::string("\xe2\x82"),
        std::string("a\0b", 3)}) {
    EXPECT_FALSE(valid(text)) << text;
  }
}

TEST(MessageTemplateTest, WritesWhatTheGeneralWriterWrites) {
  const Sample sample = samples()[1];
  const kante::MessageTemplate shape(sample.content_type, sample.content_encoding,
                                     {{"alert", "high"}, {"n", ""}});
  Words words(shape.words(sample.body.size()), 0xaaaaaaaaaaaaaaaa);
  shape.write(words.data(), sample.body, {sample.fixed.id_high, sample.fixed.id_low},
              sample.fixed.created_ns);
  EXPECT_EQ(words, write(sample));
  EXPECT_EQ(shape.words(KANTE_BODY_BYTES_MAX + 1), 0u);
  EXPECT_FALSE(kante::MessageTemplate("\xff", "").valid());
  EXPECT_EQ(kante::MessageTemplate("\xff", "").words(1), 0u);
}

TEST(MessageViewTest, FindsPropertiesWithoutCase) {
  const Words words = write(samples()[1]);
  EXPECT_EQ(view(words).property("ALERT"), "high");
  EXPECT_NE(view(words).property("n").data(), nullptr);
  EXPECT_EQ(view(words).property("missing").data(), nullptr);
}

}  // namespace
