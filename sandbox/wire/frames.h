// The records that travel through the rings between a host and a runner.
//
// A record is one header word, then `words` - 1 words of this layout, by kind:
//
//   RecordHead   u32 words (whole record, header included, at least 1) | u16 kind | u16 flags
//
// Most kinds continue with a FrameHead (4 words: id, status, token, arg, text length), then the
// text padded to whole words, then the words of one message, flat, to the end of the record.  A
// kind uses of it what the table says and leaves the rest zero.  Whatever is longer than a quarter
// of the ring is cut into records with kMore set in all but the last: the first has everything up
// to as much of the message as fits, the others (kind kPart) go on with its words.  The receiver
// bounds the whole by KANTE_MESSAGE_WORDS_MAX (states: KANTE_STATE_BYTES_MAX) and text by kTextMax.
//
// Host and runner are shipped together and compare kWireVersion in the first message of the control
// socket, so this may change freely.  The host copies a record out of shared memory before it looks
// at it, reads the header word once, and takes any breach as final.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kante {

enum class Frame : std::uint16_t {
  kPad = 0,   // Fills the end of the ring; words up to the end, nothing else.
  kPart = 1,  // More of the message of the record before.

  // ---- host to runner: what kante_event has ----
  // id = input, token (0: a memory route), arg = earlier deliveries, status = hops that it has
  // behind it, text = sender, message.
  kInput = 16,
  kMethod,   // token, text = name, message = arguments.
  kDesired,  // arg = version, message.
  kDone,     // token, status, arg, message or none.
  kDrain,
  kHealth,
  kSave,     // token.  Inputs that came before and are still put off are given back: see kSaved.
  kRestore,  // arg = format; the message's place has the state's bytes, status = bytes in its last
             // word. Only between kCreate and the first other frame.
  kCreate,   // message = configuration, arg = most ms of a DEFER.  The first frame.
  kResume,  // id = 0: after kSave events go on, this instance stays.  1: inputs go on, see kSettle.
  kDestroy,  // destroy(), then the process ends with 0.  The last frame.

  // ---- runner to host: what a module calls ----
  kEmit =
      64,  // id = output, token, message; arg = hops that the message has behind it with this one.
  // token, status, text = explanation.  id = 1: an error of the callback itself; what is behind
  // that input is not delivered, so that it does not overtake it: all inputs not in `handled` come
  // back, until the kResume of the same id.
  kSettle,
  kDrained,
  kLog,           // id = level, text.
  kReport,        // token, message.
  kReply,         // token, status = the method's code, message or none.
  kDefineMetric,  // id, arg = kind, text = name.
  kAddMetric,     // id, arg = delta.
  kRecordMetric,  // id, arg = the double's bits.
  kStorageGet,    // token, text = key.
  kStoragePut,    // token, text = key, message.
  kStorageErase,  // token, text = key.
  kInvoke,  // token, arg = timeout_ms | target length << 32, text = target then name, message.
  kOpen,    // token, text = what, as kante_device_v1 has it.  Its DONE with arg = 1: the descriptor
            // is on the control socket (start.h, PassedDescriptor).
  kReady,
  kDefer,  // arg = ms.

  // ---- runner to host: how an event ended ----
  kCreated,     // status, text = explanation; id = 1: it promised ready().
  kRestored,    // status, text.
  kEventEnded,  // id = KANTE_EVENT_*, token, status, text: for METHOD, HEALTH, SAVE always, for
                // others on an error that is not KANTE_E_UNSUPPORTED.  For an INPUT without a
                // token, text is the sender, a line feed and the explanation.
  kSaved,       // token, arg = format, bytes as kRestore has them; all inputs not in `handled` come
                // back.
};

inline constexpr std::uint16_t kMore = 1;  // In flags.

struct RecordHead {
  std::uint32_t words;
  std::uint16_t kind;
  std::uint16_t flags;
};
static_assert(sizeof(RecordHead) == 8);

struct FrameHead {
  std::uint32_t id = 0;
  std::int32_t status = 0;
  std::uint64_t token = 0;
  std::uint64_t arg = 0;
  std::uint32_t text_bytes = 0;
  std::uint32_t message_words = 0;  // Of the whole message, over all its parts.
};
static_assert(sizeof(FrameHead) == 32);

inline constexpr std::uint32_t kTextMax = 8192;  // Bytes.

// Credit, the same on both sides.
inline constexpr std::uint32_t kInputCredit = 512;  // Inputs that a runner has and has not handled.
inline constexpr std::size_t kInputBytesCredit =
    4u << 20;  // Of their messages; beyond it there is one alone.
inline constexpr std::uint32_t kOutputCredit = 512;  // Emits of one output that are not routed yet.
inline constexpr std::uint32_t kRequestCredit = 1024;  // Tokens of extensions that wait for DONE.
inline constexpr std::size_t kRequestBytesCredit = 16u << 20;  // Of what they sent along.

}  // namespace kante
