// kante/test_messages.hpp - the message memory of kante::TestHost: counts what the module holds and
// finds what it holds too long, gives back twice or never sealed.
#pragma once

#include <kante/module.hpp>

#include <map>
#include <memory>

KANTE_SDK_BEGIN

using Words = std::vector<std::uint64_t>;

// A message that a module emitted, with words of its own.
class TestMessage {
 public:
  explicit TestMessage(std::shared_ptr<const Words> words) : words_(std::move(words)) {}
  MessageView view() const { return {words_->data(), static_cast<std::uint32_t>(words_->size())}; }
  std::string_view body() const { return view().body(); }
  std::string_view property(std::string_view name) const { return view().property(name); }
  json::Value json() const { return json::parse(body()); }
  const std::shared_ptr<const Words>& words() const { return words_; }

 private:
  std::shared_ptr<const Words> words_;
};

// Not thread-safe by itself: the host's lock is held around every call.
class TestMessages {
 public:
  // What a kante_msg is here.  A record is kept after its last release (its words are not), so that
  // a use after that is found, not executed.
  struct Record {
    void* owner;
    std::shared_ptr<const Words> words;
    std::uint32_t held = 0;  // References of the module.
    bool lent = false;       // Borrowed for the running event.
  };
  static constexpr std::size_t kGravesMax = 4096;
  static constexpr std::size_t kLeaksTold = 8;

  explicit TestMessages(void* owner) : owner_(owner) {}

  static Record* record(const kante_msg* msg) {
    return const_cast<Record*>(reinterpret_cast<const Record*>(msg));
  }
  static kante_msg* handle(Record* record) { return reinterpret_cast<kante_msg*>(record); }

  Record* add(std::shared_ptr<const Words> words, std::uint32_t held) {
    auto made = std::make_unique<Record>(Record{owner_, std::move(words), held});
    Record* at = made.get();
    live_.emplace(at, std::move(made));
    return at;
  }
  bool usable(const Record* record) const { return record->held > 0 || record->lent; }
  bool release(Record* record) {
    if (record->held == 0) return false;
    --record->held;
    bury(record);
    return true;
  }
  void endLoan(Record* record) {
    record->lent = false;
    bury(record);
  }

  // Fresh scratch is full of 0xaa: what a module forgets to write shows.
  void* allocate(std::uint32_t words, std::uint32_t flags) {
    const std::uint64_t fill = (flags & KANTE_MSG_ZEROED) != 0 ? 0 : 0xaaaaaaaaaaaaaaaau;
    auto scratch = std::make_unique<Words>(words, fill);
    void* at = scratch->data();
    scratch_.emplace(at, std::move(scratch));
    return at;
  }
  bool abandon(void* scratch) { return scratch_.erase(scratch) != 0; }

  // As the real host: what it says is the status; the scratch stays the module's unless KANTE_OK.
  Status seal(void* scratch, std::uint32_t used_words, std::uint64_t now_ns,
              std::shared_ptr<const Words>& out, std::string& why) {
    const auto at = scratch_.find(scratch);
    if (at == scratch_.end())
      return why = "a scratch that the module does not own", KANTE_E_INVALID;
    Words& words = *at->second;
    if (used_words == 0 || used_words > words.size()) {
      return why = "used_words is 0 or above what was allocated", KANTE_E_INVALID;
    }
    std::uint32_t flags = 0;
    if (kante_message_check(words.data(), used_words, &flags) != KANTE_CHECK_CANONICAL) {
      return why = "no message in the canonical layout", KANTE_E_CORRUPT;
    }
    if ((flags & KANTE_CHECK_FLAG_RESERVED) != 0) {
      return why = "a property name that begins with \"$\" or \"kante-\"", KANTE_E_DENIED;
    }
    if (words[KANTE_WORD_ID_HIGH] == 0 && words[KANTE_WORD_ID_LOW] == 0)
      words[KANTE_WORD_ID_LOW] = ++last_id_;
    if (words[KANTE_WORD_CREATED] == 0) words[KANTE_WORD_CREATED] = now_ns;
    words.resize(used_words);
    out = std::shared_ptr<const Words>(std::move(at->second));
    scratch_.erase(at);
    return KANTE_OK;
  }

  // One sentence a leak, of many the first kLeaksTold and how many more there are.
  std::vector<std::string> leaks() const {
    std::vector<std::string> out;
    std::size_t untold = 0;
    for (const auto& [at, record] : live_) {
      if (record->held == 0) continue;
      if (out.size() == kLeaksTold) {
        ++untold;
        continue;
      }
      const MessageView view(record->words->data(),
                             static_cast<std::uint32_t>(record->words->size()));
      out.push_back("leaked " + std::to_string(record->held) +
                    " reference(s) to the message with body \"" + beginning(view.body()) + "\"");
    }
    if (untold > 0) out.push_back("leaked " + std::to_string(untold) + " more messages");
    if (!scratch_.empty()) {
      out.push_back("leaked " + std::to_string(scratch_.size()) +
                    " scratch buffer(s), neither sealed nor abandoned");
    }
    return out;
  }

 private:
  // For a sentence: 60 bytes, printable.
  static std::string beginning(std::string_view body) {
    std::string out(body.substr(0, 60));
    for (char& c : out) {
      if (c < 0x20 || c > 0x7e) c = '?';
    }
    return out;
  }
  void bury(Record* record) {
    if (usable(record)) return;
    const auto at = live_.find(record);
    record->words.reset();
    graves_.push_back(std::move(at->second));
    live_.erase(at);
    if (graves_.size() > kGravesMax) graves_.pop_front();
  }

  void* owner_;
  std::uint64_t last_id_ = 0;
  std::map<Record*, std::unique_ptr<Record>> live_;
  std::deque<std::unique_ptr<Record>> graves_;
  std::map<void*, std::unique_ptr<Words>> scratch_;
};

KANTE_SDK_END
