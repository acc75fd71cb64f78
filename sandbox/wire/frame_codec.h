// Frames (frames.h) over a ring: the one encoder and the one decoder, used by both ends.
//
// Writing makes no copy in between: head, text and message go straight into the ring.  Reading
// copies each word out once and judges only the copy.  What a frame may carry is a table; anything
// else is a breach, as is any breach of the ring: final, and broken() says which.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "host/message/message.h"
#include "sandbox/wire/frames.h"
#include "sandbox/wire/ring.h"

namespace kante {

// A frame to be written; everything is borrowed, see FrameWriter.
struct FrameOut {
  Frame kind = Frame::kPad;
  std::uint32_t id = 0;
  std::int32_t status = 0;
  std::uint64_t token = 0;
  std::uint64_t arg = 0;
  std::string_view text = {};            // At most kTextMax bytes.
  const std::uint64_t* words = nullptr;  // Of a message, or of a state (see stateFrame()).
  std::uint32_t word_count = 0;
};

// kRestore or kSaved with these bytes, which must be readable in whole words: up to 7 bytes beyond
// their end.
FrameOut stateFrame(Frame kind, std::uint64_t token, std::uint64_t format, const void* bytes,
                    std::size_t size);

class FrameWriter {
 public:
  enum class Wrote : std::uint8_t {
    kAll,
    kSome,     // The rest follows by resume(); until then `words` stay where they are.
    kNothing,  // There is no room for its first record, or the ring is broken.
  };

  explicit FrameWriter(RingWriter& ring) : ring_(ring) {}

  // Not while a frame is unfinished.  The caller keeps to the bounds of text and message.
  Wrote write(const FrameOut& frame);
  Wrote resume();
  bool unfinished() const { return rest_words_ != 0; }

  RingWriter& ring() { return ring_; }

 private:
  RingWriter& ring_;
  const std::uint64_t* rest_ = nullptr;
  std::uint32_t rest_words_ = 0;
};

// A frame that was read.
struct FrameIn {
  Frame kind = Frame::kPad;
  FrameHead head{};
  std::string_view text;  // Until the next call of next().
  // Of head.message_words, or null.  They are unjudged, so this is scratch: block->words is 0.
  MessageRef message;
  std::string state;  // The bytes of kRestore and kSaved.
};

class FrameReader {
 public:
  enum class From : std::uint8_t { kHost, kRunner };  // Whose frames these are.
  enum class Got : std::uint8_t {
    kFrame,
    kNothing,  // Or not all of a frame yet.
    kBroken,
  };

  FrameReader(RingReader& ring, From from) : ring_(ring), from_(from) {}
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;

  // Leaves `frame` undefined unless it is kFrame.
  Got next(FrameIn& frame);
  const std::optional<std::string>& broken() const { return broken_ ? broken_ : ring_.broken(); }

  RingReader& ring() { return ring_; }

 private:
  Got fail(std::string why);
  Got begin(const RingRecord& record, FrameIn& frame);
  Got goOn(const RingRecord& record, FrameIn& frame);
  void add(const std::uint64_t* words, std::uint32_t count);
  Got finish(FrameIn& frame);

  RingReader& ring_;
  const From from_;
  // The frame under way, while its parts come.
  Frame kind_ = Frame::kPad;
  FrameHead head_{};
  MessageRef message_;
  std::string state_;
  std::uint32_t have_words_ = 0;
  bool more_ = false;
  std::optional<std::string> broken_;
  char text_[kTextMax];
};

// "EMIT", for people; "frame 99" for what is none.
std::string nameOf(Frame kind);

}  // namespace kante
