/* kante/message.h - reads and writes a Kante message in place.  ISO C11, header only, no library.
 *
 * A message is one Cap'n Proto struct (proto/message.capnp) as a flat array of 64-bit little-endian
 * words, in the *canonical layout* that docs/formats/message.md freezes:
 *
 *   word  0   segment table: one segment, its size in words
 *         1   root pointer: 7 data words, 6 pointers
 *      2..8   id (high, low), created, expiry, trace (high, low), schema id
 *     9..14   pointers: contentType, contentEncoding, properties, system, typed, body
 *       15..  what they point to, without gaps, in the order contentType, contentEncoding,
 * properties (tag, a pointer pair each, then name and value of each), system (likewise), body,
 * typed
 *
 * Empty texts, lists and bodies are null pointers.  Every message that a host hands to a module has
 * this layout, so the readers below follow pointers without checking; kante_message_check() is for
 * bytes that come from elsewhere, and it is the same code that the host runs at its border. */
#ifndef KANTE_MESSAGE_H
#define KANTE_MESSAGE_H
#include <kante/module.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

enum {
  KANTE_WORD_TABLE = 0,
  KANTE_WORD_ROOT = 1,
  KANTE_WORD_ID_HIGH = 2,
  KANTE_WORD_ID_LOW = 3,
  KANTE_WORD_CREATED = 4,
  KANTE_WORD_EXPIRY = 5,
  KANTE_WORD_TRACE_HIGH = 6,
  KANTE_WORD_TRACE_LOW = 7,
  KANTE_WORD_SCHEMA = 8,
  KANTE_WORD_CONTENT_TYPE = 9,
  KANTE_WORD_CONTENT_ENCODING = 10,
  KANTE_WORD_PROPERTIES = 11,
  KANTE_WORD_SYSTEM = 12,
  KANTE_WORD_TYPED = 13,
  KANTE_WORD_BODY = 14,
  KANTE_WORD_CONTENT = 15
};

#define KANTE_BODY_BYTES_MAX 1048576u   /* 1 MiB                                            */
#define KANTE_MESSAGE_WORDS_MAX 139264u /* 1 MiB body + 64 KiB, in words                    */
#define KANTE_PROPERTIES_MAX 64u
#define KANTE_SYSTEM_PROPERTIES_MAX 16u
#define KANTE_PROPERTY_NAME_BYTES_MAX 1024u
/* 7 data words, 6 pointers, no offset. */
#define KANTE_ROOT_POINTER (((uint64_t)7u << 32) | ((uint64_t)6u << 48))

typedef struct {
  kante_str name;
  kante_str value;
} kante_property;

/* What an author says.  Zero means "not said"; the host stamps id and created_ns when they are
 * zero. Texts are UTF-8 without U+0000; times are nanoseconds since 1970, UTC. */
typedef struct {
  uint64_t id_high, id_low;
  int64_t created_ns, expiry_ns;
  uint64_t trace_high, trace_low, schema_id;
  kante_str content_type, content_encoding;
  const kante_property* properties;
  uint32_t property_count;
  const kante_property* system;
  uint32_t system_count;
  kante_str body;
} kante_message;

/* ---- pieces ------------------------------------------------------------------------------------
 */

static inline uint32_t kante_detail_words(size_t bytes) { return (uint32_t)((bytes + 7) / 8); }
/* A text of n > 0 bytes takes its NUL too. */
static inline uint32_t kante_detail_text_words(size_t n) {
  return n == 0 ? 0 : kante_detail_words(n + 1);
}
/* A list pointer standing in word `at` for an object that begins in word `to`. */
static inline uint64_t kante_detail_list_pointer(uint32_t at, uint32_t to, uint32_t size_code,
                                                 uint32_t count) {
  return 1u | ((uint64_t)(to - at - 1u) << 2) | ((uint64_t)(size_code | (count << 3)) << 32);
}
static inline uint32_t kante_detail_target(const uint64_t* words, uint32_t at) {
  return at + 1u + ((uint32_t)words[at] >> 2);
}
static inline uint32_t kante_detail_count(uint64_t pointer) { return (uint32_t)(pointer >> 35); }

static inline int kante_detail_utf8(const unsigned char* p, size_t n) {
  size_t i = 0;
  while (i < n) {
    unsigned c = p[i];
    uint32_t point;
    size_t more, k;
    if (c == 0) return 0;
    if (c < 0x80) {
      ++i;
      continue;
    }
    if (c >= 0xc2 && c <= 0xdf) {
      more = 1;
      point = c & 0x1fu;
    } else if (c >= 0xe0 && c <= 0xef) {
      more = 2;
      point = c & 0x0fu;
    } else if (c >= 0xf0 && c <= 0xf4) {
      more = 3;
      point = c & 0x07u;
    } else {
      return 0;
    }
    if (n - i <= more) return 0;
    for (k = 1; k <= more; ++k) {
      if ((p[i + k] & 0xc0u) != 0x80u) return 0;
      point = (point << 6) | (p[i + k] & 0x3fu);
    }
    if ((more == 2 && point < 0x800u) || (more == 3 && point < 0x10000u)) return 0;
    if (point > 0x10ffffu || (point >= 0xd800u && point <= 0xdfffu)) return 0;
    i += more + 1;
  }
  return 1;
}

/* Whether n bytes are UTF-8 without U+0000. */
static inline int kante_text_valid(const char* text, size_t n) {
  const uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t w;
    memcpy(&w, text + i, 8);
    /* A byte is zero or above 0x7f.  (w - low) & ~w & high may cry wolf only beside a real one. */
    if (((w | ((w - low) & ~w)) & high) != 0) break;
  }
  for (; i < n; ++i) {
    unsigned char c = (unsigned char)text[i];
    if (c == 0 || c > 0x7f) return kante_detail_utf8((const unsigned char*)text + i, n - i);
  }
  return 1;
}

/* Names that a module or plain client may not use: they are the host's to say. */
static inline int kante_name_reserved(kante_str name) {
  static const char prefix[] = "kante-";
  size_t i;
  if (name.size > 0 && name.data[0] == '$') return 1;
  if (name.size < 6) return 0;
  for (i = 0; i < 6; ++i) {
    char c = name.data[i];
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    if (c != prefix[i]) return 0;
  }
  return 1;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* Words that the message takes, segment table included; 0 when it breaks a limit or a text is no
 * UTF-8. */
static inline uint32_t kante_message_words(const kante_message* m) {
  uint64_t words = KANTE_WORD_CONTENT;
  uint32_t i;
  int list;
  if (m->body.size > KANTE_BODY_BYTES_MAX || m->content_type.size > KANTE_PROPERTY_NAME_BYTES_MAX ||
      m->content_encoding.size > KANTE_PROPERTY_NAME_BYTES_MAX ||
      m->property_count > KANTE_PROPERTIES_MAX || m->system_count > KANTE_SYSTEM_PROPERTIES_MAX)
    return 0;
  if (!kante_text_valid(m->content_type.data, m->content_type.size) ||
      !kante_text_valid(m->content_encoding.data, m->content_encoding.size))
    return 0;
  words += kante_detail_text_words(m->content_type.size);
  words += kante_detail_text_words(m->content_encoding.size);
  for (list = 0; list < 2; ++list) {
    const kante_property* p = list == 0 ? m->properties : m->system;
    const uint32_t count = list == 0 ? m->property_count : m->system_count;
    if (count > 0) words += 1u + 2u * (uint64_t)count;
    for (i = 0; i < count; ++i) {
      if (p[i].name.size == 0 || p[i].name.size > KANTE_PROPERTY_NAME_BYTES_MAX ||
          p[i].value.size > KANTE_BODY_BYTES_MAX)
        return 0;
      if (!kante_text_valid(p[i].name.data, p[i].name.size) ||
          !kante_text_valid(p[i].value.data, p[i].value.size))
        return 0;
      words += kante_detail_text_words(p[i].name.size);
      words += kante_detail_text_words(p[i].value.size);
    }
  }
  words += kante_detail_words(m->body.size);
  return words > KANTE_MESSAGE_WORDS_MAX ? 0 : (uint32_t)words;
}

/* Writes n bytes (and, for a text, its NUL) at word `to`, the rest of the last word zero. */
static inline uint32_t kante_detail_put(uint64_t* words, uint32_t to, kante_str bytes,
                                        int is_text) {
  const uint32_t n = is_text ? kante_detail_text_words(bytes.size) : kante_detail_words(bytes.size);
  if (n == 0) return to;
  words[to + n - 1] = 0;
  memcpy(words + to, bytes.data, bytes.size);
  return to + n;
}

static inline uint32_t kante_detail_put_text(uint64_t* words, uint32_t pointer, uint32_t to,
                                             kante_str text) {
  words[pointer] =
      text.size == 0 ? 0 : kante_detail_list_pointer(pointer, to, 2, (uint32_t)text.size + 1u);
  return kante_detail_put(words, to, text, 1);
}

static inline uint32_t kante_detail_put_list(uint64_t* words, uint32_t pointer, uint32_t to,
                                             const kante_property* p, uint32_t count) {
  const uint32_t tag = to;
  uint32_t i;
  words[pointer] = 0;
  if (count == 0) return to;
  words[tag] = ((uint64_t)count << 2) | ((uint64_t)2u << 48);
  to = tag + 1u + 2u * count;
  for (i = 0; i < count; ++i) {
    to = kante_detail_put_text(words, tag + 1u + 2u * i, to, p[i].name);
    to = kante_detail_put_text(words, tag + 2u + 2u * i, to, p[i].value);
  }
  words[pointer] = kante_detail_list_pointer(pointer, tag, 7, 2u * count);
  return to;
}

/* Writes m, for which kante_message_words() gave `count` > 0, into that many words. */
static inline void kante_message_write(const kante_message* m, void* scratch, uint32_t count) {
  uint64_t* words = (uint64_t*)scratch;
  uint32_t to = KANTE_WORD_CONTENT;
  words[KANTE_WORD_TABLE] = (uint64_t)(count - 1u) << 32;
  words[KANTE_WORD_ROOT] = KANTE_ROOT_POINTER;
  words[KANTE_WORD_ID_HIGH] = m->id_high;
  words[KANTE_WORD_ID_LOW] = m->id_low;
  words[KANTE_WORD_CREATED] = (uint64_t)m->created_ns;
  words[KANTE_WORD_EXPIRY] = (uint64_t)m->expiry_ns;
  words[KANTE_WORD_TRACE_HIGH] = m->trace_high;
  words[KANTE_WORD_TRACE_LOW] = m->trace_low;
  words[KANTE_WORD_SCHEMA] = m->schema_id;
  words[KANTE_WORD_TYPED] = 0;
  to = kante_detail_put_text(words, KANTE_WORD_CONTENT_TYPE, to, m->content_type);
  to = kante_detail_put_text(words, KANTE_WORD_CONTENT_ENCODING, to, m->content_encoding);
  to = kante_detail_put_list(words, KANTE_WORD_PROPERTIES, to, m->properties, m->property_count);
  to = kante_detail_put_list(words, KANTE_WORD_SYSTEM, to, m->system, m->system_count);
  words[KANTE_WORD_BODY] =
      m->body.size == 0 ? 0
                        : kante_detail_list_pointer(KANTE_WORD_BODY, to, 2, (uint32_t)m->body.size);
  (void)kante_detail_put(words, to, m->body, 0);
}

/* ---- reading a message that was checked ---------------------------------------------------------
 */

static inline kante_str kante_detail_text(const uint64_t* words, uint32_t pointer) {
  kante_str none = {"", 0};
  kante_str text;
  if (words[pointer] == 0) return none;
  text.data = (const char*)(words + kante_detail_target(words, pointer));
  text.size = kante_detail_count(words[pointer]) - 1u;
  return text;
}

static inline uint64_t kante_message_word(const void* message, uint32_t index) {
  return ((const uint64_t*)message)[index];
}
static inline kante_str kante_message_content_type(const void* message) {
  return kante_detail_text((const uint64_t*)message, KANTE_WORD_CONTENT_TYPE);
}
static inline kante_str kante_message_content_encoding(const void* message) {
  return kante_detail_text((const uint64_t*)message, KANTE_WORD_CONTENT_ENCODING);
}
static inline kante_str kante_message_body(const void* message) {
  const uint64_t* words = (const uint64_t*)message;
  kante_str body = {"", 0};
  if (words[KANTE_WORD_BODY] == 0) return body;
  body.data = (const char*)(words + kante_detail_target(words, KANTE_WORD_BODY));
  body.size = kante_detail_count(words[KANTE_WORD_BODY]);
  return body;
}
/* list: KANTE_WORD_PROPERTIES or KANTE_WORD_SYSTEM. */
static inline uint32_t kante_message_property_count(const void* message, uint32_t list) {
  const uint64_t* words = (const uint64_t*)message;
  if (words[list] == 0) return 0;
  return (uint32_t)words[kante_detail_target(words, list)] >> 2;
}
static inline kante_property kante_message_property(const void* message, uint32_t list,
                                                    uint32_t i) {
  const uint64_t* words = (const uint64_t*)message;
  const uint32_t pair = kante_detail_target(words, list) + 1u + 2u * i;
  kante_property property;
  property.name = kante_detail_text(words, pair);
  property.value = kante_detail_text(words, pair + 1u);
  return property;
}

/* ---- checking ----------------------------------------------------------------------------------
 */

enum {
  KANTE_CHECK_REJECT = 0,   /* Not this layout.  A host may still try the general reader.   */
  KANTE_CHECK_CANONICAL = 1 /* Canonical, without a typed part: every reader above is safe. */
};
#define KANTE_CHECK_FLAG_RESERVED 1u /* A property name is one that only the host may say. */

/* A text at pointer word `at` must begin in word *to; moves *to behind it.  limit: words in all. */
static inline int kante_detail_check_text(const uint64_t* words, uint32_t limit, uint32_t at,
                                          uint32_t* to, int may_be_empty) {
  const uint64_t pointer = words[at];
  uint32_t count, end;
  const char* text;
  if (pointer == 0) return may_be_empty;
  count = kante_detail_count(pointer);
  if ((uint32_t)pointer != (1u | ((*to - at - 1u) << 2)) || ((pointer >> 32) & 7u) != 2u ||
      count < 2)
    return 0;
  end = *to + kante_detail_words(count);
  if (end > limit) return 0;
  text = (const char*)(words + *to);
  if (text[count - 1u] != 0 || !kante_text_valid(text, count - 1u)) return 0;
  *to = end;
  return 1;
}

static inline int kante_detail_check_list(const uint64_t* words, uint32_t limit, uint32_t at,
                                          uint32_t* to, uint32_t count_max, uint32_t* flags) {
  const uint64_t pointer = words[at];
  uint32_t tag, count, i;
  if (pointer == 0) return 1;
  tag = *to;
  if (tag >= limit || (uint32_t)pointer != (1u | ((tag - at - 1u) << 2)) ||
      ((pointer >> 32) & 7u) != 7u)
    return 0;
  count = (uint32_t)words[tag] >> 2;
  if (count == 0 || count > count_max ||
      words[tag] != (((uint64_t)count << 2) | ((uint64_t)2u << 48)))
    return 0;
  *to = tag + 1u + 2u * count;
  if (*to > limit) return 0;
  for (i = 0; i < count; ++i) {
    const uint32_t pair = tag + 1u + 2u * i;
    if (!kante_detail_check_text(words, limit, pair, to, 0) ||
        kante_detail_count(words[pair]) > KANTE_PROPERTY_NAME_BYTES_MAX + 1u ||
        !kante_detail_check_text(words, limit, pair + 1u, to, 1))
      return 0;
    if (kante_name_reserved(kante_detail_text(words, pair))) *flags |= KANTE_CHECK_FLAG_RESERVED;
  }
  /* Cap'n Proto counts the pairs alone, neither tag nor texts. */
  return kante_detail_count(pointer) == 2u * count;
}

/* The bounded walk: reads each word at most once, never beyond count, makes no call. */
static inline int kante_message_check(const void* message, uint32_t count, uint32_t* flags) {
  const uint64_t* words = (const uint64_t*)message;
  uint32_t to = KANTE_WORD_CONTENT;
  uint64_t body;
  *flags = 0;
  if (count < KANTE_WORD_CONTENT || count > KANTE_MESSAGE_WORDS_MAX ||
      words[KANTE_WORD_TABLE] != (uint64_t)(count - 1u) << 32 ||
      words[KANTE_WORD_ROOT] != KANTE_ROOT_POINTER || words[KANTE_WORD_TYPED] != 0)
    return KANTE_CHECK_REJECT;
  if (!kante_detail_check_text(words, count, KANTE_WORD_CONTENT_TYPE, &to, 1) ||
      !kante_detail_check_text(words, count, KANTE_WORD_CONTENT_ENCODING, &to, 1) ||
      kante_detail_count(words[KANTE_WORD_CONTENT_TYPE]) > KANTE_PROPERTY_NAME_BYTES_MAX + 1u ||
      kante_detail_count(words[KANTE_WORD_CONTENT_ENCODING]) > KANTE_PROPERTY_NAME_BYTES_MAX + 1u ||
      !kante_detail_check_list(words, count, KANTE_WORD_PROPERTIES, &to, KANTE_PROPERTIES_MAX,
                               flags))
    return KANTE_CHECK_REJECT;
  {
    uint32_t unused = 0;
    if (!kante_detail_check_list(words, count, KANTE_WORD_SYSTEM, &to, KANTE_SYSTEM_PROPERTIES_MAX,
                                 &unused))
      return KANTE_CHECK_REJECT;
  }
  body = words[KANTE_WORD_BODY];
  if (body == 0) return to == count ? KANTE_CHECK_CANONICAL : KANTE_CHECK_REJECT;
  if ((uint32_t)body != (1u | ((to - KANTE_WORD_BODY - 1u) << 2)) || ((body >> 32) & 7u) != 2u ||
      kante_detail_count(body) == 0 || kante_detail_count(body) > KANTE_BODY_BYTES_MAX)
    return KANTE_CHECK_REJECT;
  return to + kante_detail_words(kante_detail_count(body)) == count ? KANTE_CHECK_CANONICAL
                                                                    : KANTE_CHECK_REJECT;
}

#ifdef __cplusplus
}
#endif
#endif
