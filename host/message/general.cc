#include "host/message/general.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/debug.h>
#include <kj/exception.h>

#include <cstring>
#include <vector>

#include "message.capnp.h"

namespace kante {

namespace {

kante_str text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

using Properties = capnp::List<proto::Property>::Reader;

std::vector<kante_property> propertiesOf(Properties list) {
  std::vector<kante_property> out;
  out.reserve(list.size());
  for (const auto property : list)
    out.push_back({text(property.getName()), text(property.getValue())});
  return out;
}

kante_message fieldsOf(proto::Message::Reader root, const std::vector<kante_property>& properties,
                       const std::vector<kante_property>& system) {
  kante_message message{};
  message.id_high = root.getIdHigh();
  message.id_low = root.getIdLow();
  message.created_ns = root.getCreatedNs();
  message.expiry_ns = root.getExpiryNs();
  message.trace_high = root.getTraceHigh();
  message.trace_low = root.getTraceLow();
  message.schema_id = root.getSchemaId();
  message.content_type = text(root.getContentType());
  message.content_encoding = text(root.getContentEncoding());
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = system.data();
  message.system_count = static_cast<std::uint32_t>(system.size());
  const auto body = root.getBody();
  message.body = {reinterpret_cast<const char*>(body.begin()), body.size()};
  return message;
}

// The typed part of `root` as words that follow a canonical message without one.
std::vector<std::uint64_t> typedPart(proto::Message::Reader root) {
  const auto size = root.getTyped().targetSize();
  capnp::MallocMessageBuilder builder(static_cast<unsigned>(size.wordCount) + 2,
                                      capnp::AllocationStrategy::FIXED_SIZE);
  builder.setRoot(root.getTyped());
  const auto segments = builder.getSegmentsForOutput();
  KJ_REQUIRE(segments.size() == 1);  // Its size was known: the first segment holds it.
  std::vector<std::uint64_t> words(segments[0].size());
  std::memcpy(words.data(), segments[0].begin(), words.size() * 8);
  return words;
}

bool overBounds(const kante_message& message) {
  std::uint64_t bytes = message.body.size;
  const auto over = [&bytes](kante_str text, std::uint64_t bytes_max) {
    bytes += text.size;
    return text.size > bytes_max;
  };
  if (over(message.content_type, KANTE_PROPERTY_NAME_BYTES_MAX) ||
      over(message.content_encoding, KANTE_PROPERTY_NAME_BYTES_MAX)) {
    return true;
  }
  for (const auto& [list, count] : {std::pair(message.properties, message.property_count),
                                    std::pair(message.system, message.system_count)}) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (over(list[i].name, KANTE_PROPERTY_NAME_BYTES_MAX) ||
          over(list[i].value, KANTE_BODY_BYTES_MAX)) {
        return true;
      }
    }
  }
  // Several pointers may share one text, so the sum may be far above what came in.
  return message.body.size > KANTE_BODY_BYTES_MAX || bytes > KANTE_MESSAGE_WORDS_MAX * 8u;
}

Result<MessageRef> assemble(const kante_message& message, const std::vector<std::uint64_t>& typed) {
  if (overBounds(message)) {
    return fail(Errc::kLimit, "message: a text, the body or the whole is over its bound");
  }
  auto built = buildMessage(message);
  if (built.has_error()) {
    return fail(Errc::kCorrupt, "message: a text is no UTF-8, or a property has no name");
  }
  MessageRef plain = std::move(*built);
  if (typed.empty()) return plain;
  // typed[0] is a near pointer to the object that follows it; seen from the message's own pointer
  // word the same object lies further off by the words between.
  const std::uint32_t head = plain.wordCount();
  const auto rest = static_cast<std::uint32_t>(typed.size() - 1);
  kante_msg* block = allocateBlock(head + rest);
  if (block == nullptr) return fail(Errc::kLimit, "message: longer than 1 MiB and 64 KiB");
  std::memcpy(block->data(), plain.words(), std::size_t{head} * 8);
  std::memcpy(block->data() + head, typed.data() + 1, std::size_t{rest} * 8);
  const std::uint64_t pointer = typed[0];
  const auto offset = static_cast<std::uint32_t>(static_cast<std::int32_t>(pointer) >> 2);
  const std::uint32_t moved = offset + (head - KANTE_WORD_TYPED - 1);
  block->data()[KANTE_WORD_TYPED] = (pointer & 0xffffffff00000003u) | std::uint64_t{moved << 2};
  block->data()[KANTE_WORD_TABLE] = std::uint64_t{head + rest - 1} << 32;
  block->words = head + rest;
  return MessageRef::adopt(block);
}

}  // namespace

Result<MessageRef> canonicalCopy(const std::uint64_t* words, std::uint32_t word_count) {
  if (word_count == 0 || word_count > KANTE_MESSAGE_WORDS_MAX) {
    return fail(Errc::kLimit, fmt::format("message: {} words, of at most {}", word_count,
                                          KANTE_MESSAGE_WORDS_MAX));
  }
  Result<MessageRef> out = fail(Errc::kCorrupt, "message: not a well-formed Cap'n Proto message");
  // KJ throws on malformed input; nothing of it leaves this function.
  const auto failed = kj::runCatchingExceptions([&]() {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = std::uint64_t{word_count} * 8 + 1024;
    options.nestingLimit = 32;
    const auto* begin = reinterpret_cast<const capnp::word*>(words);
    capnp::FlatArrayMessageReader reader(kj::arrayPtr(begin, word_count), options);
    if (reader.getEnd() != begin + word_count) return;
    const auto root = reader.getRoot<proto::Message>();
    if (root.getProperties().size() > KANTE_PROPERTIES_MAX ||
        root.getSystem().size() > KANTE_SYSTEM_PROPERTIES_MAX) {
      out =
          fail(Errc::kLimit, fmt::format("message: more than {} properties or {} system properties",
                                         KANTE_PROPERTIES_MAX, KANTE_SYSTEM_PROPERTIES_MAX));
      return;
    }
    const auto properties = propertiesOf(root.getProperties());
    const auto system = propertiesOf(root.getSystem());
    const auto message = fieldsOf(root, properties, system);
    out = assemble(message, root.hasTyped() ? typedPart(root) : std::vector<std::uint64_t>());
  });
  if (failed != nullptr)
    return fail(Errc::kCorrupt, "message: not a well-formed Cap'n Proto message");
  return out;
}

}  // namespace kante
