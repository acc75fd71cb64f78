// The three readers of a message against each other: what the faster one accepts, the slower one
// accepts and reads with the very same values.
//
// First byte even: the rest is the message, as words.  Odd: a valid message (bits 1 to 3 choose
// which) to which the rest is applied as changes: two bytes word, one byte what to do, eight bytes
// operand.
//
// fuzz-links: kante_message
//
// fuzz-replay: 1000
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <message.capnp.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "host/message/general.h"
#include "host/message/layout.h"
#include "host/message/seal.h"

namespace {

using kante::MessageView;
using Words = std::vector<std::uint64_t>;

std::uint32_t sizeOf(const Words& words) { return static_cast<std::uint32_t>(words.size()); }

// The messages that mutations begin from, each of another shape.
const Words& seed(std::uint32_t which) {
  static const std::array<Words, 8> seeds = [] {
    std::array<Words, 8> all;
    const kante_property properties[] = {{kante::toStr("site"), kante::toStr("munich")},
                                         {kante::toStr("empty"), kante::toStr("")},
                                         {kante::toStr("größe"), kante::toStr("21,5 °C")}};
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      kante_message message{};
      message.content_type = kante::toStr((i & 1) != 0 ? "application/json" : "");
      message.content_encoding = kante::toStr((i & 1) != 0 ? "utf-8" : "");
      message.properties = properties;
      message.property_count = (i & 2) != 0 ? 3 : 0;
      message.system = properties;
      message.system_count = (i & 4) != 0 ? 1 : 0;
      message.body = kante::toStr(i == 0 ? "" : R"({"machine":{"temperature":21.5}})");
      all[i].resize(kante_message_words(&message));
      kante_message_write(&message, all[i].data(), sizeOf(all[i]));
    }
    return all;
  }();
  return seeds[which % seeds.size()];
}

Words wordsOf(const std::uint8_t* bytes, std::size_t size) {
  Words words(size / 8);
  if (!words.empty()) std::memcpy(words.data(), bytes, words.size() * 8);
  return words;
}

Words changed(Words words, const std::uint8_t* bytes, std::size_t size) {
  constexpr std::size_t kStep = 11;
  for (; size >= kStep; bytes += kStep, size -= kStep) {
    std::uint16_t at = 0;
    std::uint64_t operand = 0;
    std::memcpy(&at, bytes, 2);
    std::memcpy(&operand, bytes + 3, 8);
    std::uint64_t& word = words[at % words.size()];
    switch (bytes[2] % 6) {
      case 0: word ^= operand; break;
      case 1: word = operand; break;
      case 2: word += operand; break;
      case 3: word ^= std::uint64_t{1} << operand % 64; break;
      case 4:
        if (words.size() < 4096) words.insert(words.begin() + at % sizeOf(words), operand);
        break;
      default:
        if (words.size() > 1) words.erase(words.begin() + at % sizeOf(words));
    }
  }
  return words;
}

std::string textOf(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

// Everything that a reader can get at, joined with lengths so that equal texts mean equal fields.
struct Fields {
  std::string all;
  void add(std::uint64_t number) { all += std::to_string(number) + ';'; }
  void add(std::string_view text) {
    add(text.size());
    all += text;
  }
};

std::string fieldsOf(MessageView view) {
  Fields fields;
  for (const std::uint64_t number :
       {view.id().high, view.id().low, static_cast<std::uint64_t>(view.createdNs()),
        static_cast<std::uint64_t>(view.expiryNs()), view.trace().first, view.trace().second,
        view.schemaId()}) {
    fields.add(number);
  }
  fields.add(view.contentType());
  fields.add(view.contentEncoding());
  fields.add(view.propertyCount());
  for (std::uint32_t i = 0; i < view.propertyCount(); ++i) {
    fields.add(view.property(i).first);
    fields.add(view.property(i).second);
    (void)view.property(view.property(i).first);
  }
  fields.add(view.systemPropertyCount());
  for (std::uint32_t i = 0; i < view.systemPropertyCount(); ++i) {
    fields.add(view.systemProperty(i).first);
    fields.add(view.systemProperty(i).second);
  }
  fields.add(view.body());
  return fields.all;
}

// By the generated reader; empty when it throws.
std::string generalFields(const Words& words) {
  Fields fields;
  const auto failed = kj::runCatchingExceptions([&] {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = words.size() * 8 + 1024;
    const auto* begin = reinterpret_cast<const capnp::word*>(words.data());
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, words.size()), options);
    KJ_REQUIRE(reader.getEnd() == begin + words.size());
    const auto root = reader.getRoot<kante::proto::Message>();
    for (const std::uint64_t number :
         {root.getIdHigh(), root.getIdLow(), static_cast<std::uint64_t>(root.getCreatedNs()),
          static_cast<std::uint64_t>(root.getExpiryNs()), root.getTraceHigh(), root.getTraceLow(),
          root.getSchemaId()}) {
      fields.add(number);
    }
    fields.add(textOf(root.getContentType()));
    fields.add(textOf(root.getContentEncoding()));
    for (const auto& list : {root.getProperties(), root.getSystem()}) {
      fields.add(list.size());
      for (const auto property : list) {
        fields.add(textOf(property.getName()));
        fields.add(textOf(property.getValue()));
      }
    }
    const auto body = root.getBody();
    fields.add(std::string(reinterpret_cast<const char*>(body.begin()), body.size()));
  });
  return failed == nullptr ? fields.all : std::string();
}

bool walks(const std::uint64_t* words, std::uint32_t count, std::uint32_t* flags) {
  return kante_message_check(words, count, flags) == KANTE_CHECK_CANONICAL;
}

void checkCopy(const Words& words, bool accepted) {
  auto copy = kante::canonicalCopy(words.data(), sizeOf(words));
  if (copy.has_error()) {
    // The walk bounds a value only by the whole message.
    KANTE_ASSERT(!accepted || copy.error().code == kante::Errc::kLimit);
    return;
  }
  std::uint32_t flags = 0;
  const bool typed = copy->words()[KANTE_WORD_TYPED] != 0;
  KANTE_ASSERT(walks(copy->words(), copy->wordCount(), &flags) == !typed);
  KANTE_ASSERT(fieldsOf(copy->view()) == generalFields(words));
  const Words canonical(copy->words(), copy->words() + copy->wordCount());
  KANTE_ASSERT(generalFields(canonical) == generalFields(words));
  auto again = kante::canonicalCopy(canonical.data(), sizeOf(canonical));
  // Only a typed part that shares its pieces grows with each copy, until it is refused.
  if (again.has_error()) {
    KANTE_ASSERT(typed);
    return;
  }
  KANTE_ASSERT(Words(again->words(), again->words() + again->wordCount()) == canonical);
}

void checkSeal(const Words& words, bool accepted, std::uint32_t flags, kante::Layout& layout) {
  if (words.empty() || words.size() > KANTE_MESSAGE_WORDS_MAX) return;
  kante_msg* block = kante::allocateBlock(sizeOf(words));
  std::memcpy(block->data(), words.data(), words.size() * 8);
  kante::Stamp stamp{1, 0, 2};
  kante::SealCounters counters;
  kante_msg* sealed = nullptr;
  const kante_status status = kante::seal(block, sizeOf(words), layout, stamp, counters, &sealed);
  const bool reserved = (flags & KANTE_CHECK_FLAG_RESERVED) != 0;
  if (accepted) KANTE_ASSERT(status == (reserved ? KANTE_E_DENIED : KANTE_OK));
  if (status == KANTE_OK) {
    KANTE_ASSERT(counters.same.value() + counters.walk.value() + counters.general.value() == 1);
    KANTE_ASSERT((sealed == block) == accepted);
    const MessageView view(sealed->data(), sealed->words);
    KANTE_ASSERT(view.id() != kante::MessageId{} && view.createdNs() != 0);
    (void)fieldsOf(view);
    if (sealed != block) kante::MessageRef::release(sealed);
  } else {
    KANTE_ASSERT(block->words == 0);
  }
  kante::MessageRef::release(block);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t mode = bytes[0];
  const Words& from = seed(mode >> 1);
  const Words words =
      (mode & 1) == 0 ? wordsOf(bytes + 1, size - 1) : changed(from, bytes + 1, size - 1);
  kante::Layout layout;
  layout.learn(from.data(), sizeOf(from));
  std::uint32_t flags = 0;
  const bool accepted = walks(words.data(), sizeOf(words), &flags);
  if (layout.same(words.data(), sizeOf(words))) {
    KANTE_ASSERT(accepted && (flags & KANTE_CHECK_FLAG_RESERVED) == 0);
  }
  if (accepted) {
    KANTE_ASSERT(fieldsOf(MessageView(words.data(), sizeOf(words))) == generalFields(words));
  }
  checkCopy(words, accepted);
  checkSeal(words, accepted, flags, layout);
  return 0;
}
