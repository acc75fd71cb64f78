#include "sandbox/wire/frame_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace kante {

namespace {

constexpr std::uint32_t kHeadWords = sizeof(FrameHead) / 8;
constexpr std::uint32_t kStateWordsMax = KANTE_STATE_BYTES_MAX / 8;

enum class Payload : std::uint8_t { kNone, kMaybe, kMessage, kState };

enum Uses : std::uint8_t { kId = 1, kStatus = 2, kToken = 4, kArg = 8, kText = 16 };

struct Kind {
  Frame frame;
  const char* name;
  std::uint8_t uses;
  Payload payload;
};

constexpr Kind kFromHost[] = {
    {Frame::kInput, "INPUT", kId | kStatus | kToken | kArg | kText, Payload::kMessage},
    {Frame::kMethod, "METHOD", kToken | kText, Payload::kMaybe},
    {Frame::kDesired, "DESIRED", kArg, Payload::kMessage},
    {Frame::kDone, "DONE", kToken | kStatus | kArg, Payload::kMaybe},
    {Frame::kDrain, "DRAIN", 0, Payload::kNone},
    {Frame::kHealth, "HEALTH", 0, Payload::kNone},
    {Frame::kSave, "SAVE", kToken, Payload::kNone},
    {Frame::kRestore, "RESTORE", kStatus | kArg, Payload::kState},
    {Frame::kCreate, "CREATE", kArg, Payload::kMessage},
    {Frame::kResume, "RESUME", kId, Payload::kNone},
    {Frame::kDestroy, "DESTROY", 0, Payload::kNone},
};

constexpr Kind kFromRunner[] = {
    {Frame::kEmit, "EMIT", kId | kToken | kArg, Payload::kMessage},
    {Frame::kSettle, "SETTLE", kId | kToken | kStatus | kText, Payload::kNone},
    {Frame::kDrained, "DRAINED", 0, Payload::kNone},
    {Frame::kLog, "LOG", kId | kText, Payload::kNone},
    {Frame::kReport, "REPORT", kToken, Payload::kMessage},
    {Frame::kReply, "REPLY", kToken | kStatus, Payload::kMaybe},
    {Frame::kDefineMetric, "DEFINE_METRIC", kId | kArg | kText, Payload::kNone},
    {Frame::kAddMetric, "ADD_METRIC", kId | kArg, Payload::kNone},
    {Frame::kRecordMetric, "RECORD_METRIC", kId | kArg, Payload::kNone},
    {Frame::kStorageGet, "STORAGE_GET", kToken | kText, Payload::kNone},
    {Frame::kStoragePut, "STORAGE_PUT", kToken | kText, Payload::kMessage},
    {Frame::kStorageErase, "STORAGE_ERASE", kToken | kText, Payload::kNone},
    {Frame::kInvoke, "INVOKE", kToken | kArg | kText, Payload::kMessage},
    {Frame::kOpen, "OPEN", kToken | kText, Payload::kNone},
    {Frame::kReady, "READY", 0, Payload::kNone},
    {Frame::kDefer, "DEFER", kArg, Payload::kNone},
    {Frame::kCreated, "CREATED", kId | kStatus | kText, Payload::kNone},
    {Frame::kRestored, "RESTORED", kStatus | kText, Payload::kNone},
    {Frame::kEventEnded, "EVENT_ENDED", kId | kToken | kStatus | kText, Payload::kNone},
    {Frame::kSaved, "SAVED", kToken | kStatus | kArg, Payload::kState},
};

constexpr auto kFirstOfHost = static_cast<std::uint16_t>(Frame::kInput);
constexpr auto kFirstOfRunner = static_cast<std::uint16_t>(Frame::kEmit);

template <std::size_t kCount>
constexpr bool isInOrder(const Kind (&kinds)[kCount], std::uint16_t first) {
  for (std::size_t i = 0; i < kCount; ++i) {
    if (static_cast<std::uint16_t>(kinds[i].frame) != first + i) return false;
  }
  return true;
}
static_assert(isInOrder(kFromHost, kFirstOfHost) && isInOrder(kFromRunner, kFirstOfRunner));

template <std::size_t kCount>
const Kind* find(const Kind (&kinds)[kCount], std::uint16_t first, std::uint16_t kind) {
  return kind >= first && kind - first < static_cast<int>(kCount) ? &kinds[kind - first] : nullptr;
}

const Kind* kindOf(FrameReader::From from, std::uint16_t kind) {
  return from == FrameReader::From::kHost ? find(kFromHost, kFirstOfHost, kind)
                                          : find(kFromRunner, kFirstOfRunner, kind);
}

std::uint32_t textWords(std::size_t bytes) { return static_cast<std::uint32_t>((bytes + 7) / 8); }

void putHeader(std::uint64_t* to, std::uint32_t words, Frame kind, std::uint16_t flags) {
  const RecordHead head{words, static_cast<std::uint16_t>(kind), flags};
  std::memcpy(to, &head, sizeof head);
}

// As words: a FrameHead on the stack would be read back before its halves have been stored.
void putHead(std::uint64_t* to, const FrameOut& frame) {
  const auto pair = [](std::uint32_t low, std::uint32_t high) {
    return std::uint64_t{high} << 32 | low;
  };
  to[0] = pair(frame.id, static_cast<std::uint32_t>(frame.status));
  to[1] = frame.token;
  to[2] = frame.arg;
  to[3] = pair(static_cast<std::uint32_t>(frame.text.size()), frame.word_count);
}
static_assert(std::endian::native == std::endian::little && sizeof(FrameHead) == 4 * 8);

// Whether a head certainly has what its kind has and no more: most heads, at little cost.
bool isSound(const Kind& kind, const FrameHead& head) {
  const auto given = [](bool is_set, Uses field) { return is_set ? unsigned{field} : 0u; };
  const unsigned fields = given(head.id != 0, kId) | given(head.status != 0, kStatus) |
                          given(head.token != 0, kToken) | given(head.arg != 0, kArg) |
                          given(head.text_bytes != 0, kText);
  const bool words_fit = kind.payload == Payload::kNone
                             ? head.message_words == 0
                             : head.message_words - 1 < KANTE_MESSAGE_WORDS_MAX;
  return (fields & ~kind.uses) == 0 && head.text_bytes <= kTextMax && words_fit &&
         kind.payload != Payload::kState;
}

// What is wrong with a head, which is a copy; nothing in the usual case.
std::optional<std::string> faultOf(const Kind& kind, const FrameHead& head) {
  const auto lacks = [&kind](Uses field) { return (kind.uses & field) == 0; };
  if ((head.id != 0 && lacks(kId)) || (head.status != 0 && lacks(kStatus)) ||
      (head.token != 0 && lacks(kToken)) || (head.arg != 0 && lacks(kArg)) ||
      (head.text_bytes != 0 && lacks(kText))) {
    return kind.name + std::string(" with a field that it does not have");
  }
  if (head.text_bytes > kTextMax) {
    return kind.name + std::string(" with a text of ") + std::to_string(head.text_bytes) +
           " bytes, of at most " + std::to_string(kTextMax);
  }
  const bool is_state = kind.payload == Payload::kState;
  std::uint32_t words_max = is_state ? kStateWordsMax : KANTE_MESSAGE_WORDS_MAX;
  if (kind.payload == Payload::kNone) words_max = 0;
  if (head.message_words > words_max) {
    return kind.name + std::string(" with a message of ") + std::to_string(head.message_words) +
           " words, of at most " + std::to_string(words_max);
  }
  if (kind.payload == Payload::kMessage && head.message_words == 0)
    return kind.name + std::string(" without a message");
  const bool has_bytes = head.status >= 1 && head.status <= 8;
  if (is_state && (head.message_words != 0 ? !has_bytes : head.status != 0)) {
    return kind.name + std::string(" of ") + std::to_string(head.message_words) +
           " words whose last word has " + std::to_string(head.status) + " bytes";
  }
  return std::nullopt;
}

}  // namespace

std::string nameOf(Frame kind) {
  if (kind == Frame::kPad) return "PAD";
  if (kind == Frame::kPart) return "PART";
  for (const FrameReader::From from : {FrameReader::From::kHost, FrameReader::From::kRunner}) {
    const Kind* known = kindOf(from, static_cast<std::uint16_t>(kind));
    if (known != nullptr) return known->name;
  }
  return "frame " + std::to_string(static_cast<unsigned>(kind));
}

FrameOut stateFrame(Frame kind, std::uint64_t token, std::uint64_t format, const void* bytes,
                    std::size_t size) {
  FrameOut frame;
  frame.kind = kind;
  frame.token = token;
  frame.arg = format;
  frame.words = static_cast<const std::uint64_t*>(bytes);
  frame.word_count = textWords(size);
  frame.status = size == 0 ? 0 : static_cast<std::int32_t>((size - 1) % 8 + 1);
  return frame;
}

// ---- writer

FrameWriter::Wrote FrameWriter::write(const FrameOut& frame) {
  KANTE_ASSERT(!unfinished() && frame.text.size() <= kTextMax);
  const std::uint32_t text_words = textWords(frame.text.size());
  const std::uint32_t fixed = 1 + kHeadWords + text_words;
  const std::uint32_t here = std::min(frame.word_count, ring_.shape().recordWordsMax() - fixed);
  std::uint64_t* to = ring_.reserve(fixed + here);
  if (to == nullptr) return Wrote::kNothing;
  putHeader(to, fixed + here, frame.kind, here < frame.word_count ? kMore : 0);
  putHead(to + 1, frame);
  if (text_words != 0) {
    to[fixed - 1] = 0;  // What pads the text.
    std::memcpy(to + 1 + kHeadWords, frame.text.data(), frame.text.size());
  }
  if (here != 0) std::memcpy(to + fixed, frame.words, std::size_t{here} * 8);
  ring_.commit();
  rest_ = frame.words + here;
  rest_words_ = frame.word_count - here;
  return unfinished() ? resume() : Wrote::kAll;
}

FrameWriter::Wrote FrameWriter::resume() {
  while (unfinished()) {
    const std::uint32_t here = std::min(rest_words_, ring_.shape().recordWordsMax() - 1);
    std::uint64_t* to = ring_.reserve(1 + here);
    if (to == nullptr) return Wrote::kSome;
    putHeader(to, 1 + here, Frame::kPart, here < rest_words_ ? kMore : 0);
    std::memcpy(to + 1, rest_, std::size_t{here} * 8);
    ring_.commit();
    rest_ += here;
    rest_words_ -= here;
  }
  return Wrote::kAll;
}

// ---- reader

FrameReader::Got FrameReader::fail(std::string why) {
  broken_ = std::move(why);
  message_ = MessageRef();
  state_ = {};
  return Got::kBroken;
}

FrameReader::Got FrameReader::next(FrameIn& frame) {
  while (true) {
    if (broken_) return Got::kBroken;
    const auto record = ring_.next();
    if (!record) return ring_.broken() ? fail(*ring_.broken()) : Got::kNothing;
    const Got got = more_ ? goOn(*record, frame) : begin(*record, frame);
    if (got == Got::kBroken) return got;
    ring_.take(*record);
    if (got == Got::kFrame) return got;
  }
}

FrameReader::Got FrameReader::begin(const RingRecord& record, FrameIn& frame) {
  const Frame kind = static_cast<Frame>(record.head.kind);
  if (kind == Frame::kPart) return fail("a PART with no record before it that has more");
  if ((record.head.flags & ~kMore) != 0) return fail(nameOf(kind) + " with unknown flags");
  if (record.body_words < kHeadWords) return fail(nameOf(kind) + " without its head");
  const Kind* known = kindOf(from_, record.head.kind);
  if (known == nullptr) {
    return fail(nameOf(kind) + (from_ == From::kHost ? " from a host" : " from a runner"));
  }
  std::memcpy(static_cast<void*>(&head_), record.body, sizeof head_);
  if (!isSound(*known, head_)) {
    if (auto fault = faultOf(*known, head_)) return fail(std::move(*fault));
  }
  const std::uint32_t text_words = textWords(head_.text_bytes);
  if (record.body_words < kHeadWords + text_words) return fail(nameOf(kind) + " with half a text");
  const std::uint32_t here = record.body_words - kHeadWords - text_words;
  more_ = (record.head.flags & kMore) != 0;
  if (more_ ? here >= head_.message_words : here != head_.message_words) {
    return fail(nameOf(kind) + " of " + std::to_string(head_.message_words) +
                " words of message has " + std::to_string(here) +
                (more_ ? " and says that there is more" : ""));
  }
  kind_ = kind;
  if (head_.text_bytes != 0) std::memcpy(text_, record.body + kHeadWords, head_.text_bytes);
  have_words_ = 0;
  if (known->payload != Payload::kState && head_.message_words != 0) {
    message_ = MessageRef::adopt(allocateBlock(head_.message_words));
    if (!message_) {
      return fail("no memory for a message of " + std::to_string(head_.message_words) + " words");
    }
  }
  add(record.body + kHeadWords + text_words, here);
  return more_ ? Got::kNothing : finish(frame);
}

FrameReader::Got FrameReader::goOn(const RingRecord& record, FrameIn& frame) {
  const Frame kind = static_cast<Frame>(record.head.kind);
  if (kind != Frame::kPart) return fail(nameOf(kind) + " amid the parts of " + nameOf(kind_));
  if ((record.head.flags & ~kMore) != 0) return fail("a PART with unknown flags");
  more_ = (record.head.flags & kMore) != 0;
  const std::uint32_t left = head_.message_words - have_words_;
  if (record.body_words == 0 || (more_ ? record.body_words >= left : record.body_words != left)) {
    return fail("a PART of " + std::to_string(record.body_words) + " words where " +
                std::to_string(left) + " are left of " + nameOf(kind_));
  }
  add(record.body, record.body_words);
  return more_ ? Got::kNothing : finish(frame);
}

void FrameReader::add(const std::uint64_t* words, std::uint32_t count) {
  if (count == 0) return;
  if (message_) {
    std::memcpy(message_.get()->data() + have_words_, words, std::size_t{count} * 8);
  } else {
    // Grows with what has come, not with what was announced.
    state_.append(reinterpret_cast<const char*>(words), std::size_t{count} * 8);
  }
  have_words_ += count;
}

FrameReader::Got FrameReader::finish(FrameIn& frame) {
  frame.kind = kind_;
  frame.head = head_;
  frame.text = {text_, head_.text_bytes};
  frame.message = std::move(message_);
  if (!state_.empty()) {
    state_.resize(state_.size() - 8 + static_cast<std::size_t>(head_.status));
    frame.state = std::exchange(state_, {});
  } else if (!frame.state.empty()) {
    frame.state.clear();
  }
  return Got::kFrame;
}

}  // namespace kante
