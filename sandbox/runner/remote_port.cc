// Messages, settlement, and what the loop needs; the extensions are in port_extensions.cc.
#include "sandbox/runner/remote_port.h"

#include <sys/random.h>

#include "host/base/clock.h"
#include "sandbox/runner/port_call.h"

namespace kante {

RemotePort::RemotePort(const RunnerFiles& files, PeerSleep& host_sleep, int doorbell, Waker& waker,
                       std::uint32_t outputs)
    : host_page_(files.hostPage()),
      waker_(waker),
      strand_(::pthread_self()),
      outbox_(files, host_sleep, doorbell),
      outputs_(outputs) {
  // Ids must differ from those of every other author.
  KANTE_ASSERT(::getrandom(&stamp_.id_high, sizeof stamp_.id_high, 0) == sizeof stamp_.id_high);
}

// ---- messages

// As seal() of host/message, but that a layout which only the general reader could judge is left to
// the host, which judges every message again anyway.
kante_status RemotePort::seal(kante_msg* block, std::uint32_t used_words, Layout& layout) {
  if (used_words == 0 || used_words > block->capacity_words || block->words != 0) {
    return KANTE_E_INVALID;
  }
  std::uint64_t* words = block->data();
  if (!layout.same(words, used_words)) {
    std::uint32_t flags = 0;
    if (kante_message_check(words, used_words, &flags) != KANTE_CHECK_CANONICAL) {
      block->words = used_words;
      return KANTE_OK;
    }
    if ((flags & KANTE_CHECK_FLAG_RESERVED) != 0) return KANTE_E_DENIED;
    layout.learn(words, used_words);
  }
  if ((words[KANTE_WORD_ID_HIGH] | words[KANTE_WORD_ID_LOW]) == 0) {
    words[KANTE_WORD_ID_HIGH] = stamp_.id_high;
    words[KANTE_WORD_ID_LOW] = ++stamp_.id_low;
  }
  if (words[KANTE_WORD_CREATED] == 0) {
    if (!stamp_is_fresh_) {
      stamp_.now_ns = SystemClock().wallNs();
      stamp_is_fresh_ = onStrand();
    }
    words[KANTE_WORD_CREATED] = static_cast<std::uint64_t>(stamp_.now_ns);
  }
  block->words = used_words;
  return KANTE_OK;
}

kante_status RemotePort::sealMessage(void* scratch, std::uint32_t used_words, kante_msg** out) {
  kante_msg* block = kante_msg::ofData(scratch);
  const Call call(*this);
  const kante_status status = seal(block, used_words, layout_);
  if (status == KANTE_OK) *out = block;
  return status;
}

kante_status RemotePort::publish(std::uint32_t output, void* scratch, std::uint32_t used_words,
                                 std::uint64_t token) {
  kante_msg* block = kante_msg::ofData(scratch);
  if (output >= outputs_.size()) return KANTE_E_NOT_FOUND;
  kante_status status = KANTE_OK;
  {
    Call call(*this);
    status = seal(block, used_words, outputs_[output].layout);
    if (status != KANTE_OK) return status;
    status = send(output, block, 1, token);
    if (status == KANTE_E_AGAIN) call.kickLoop();
  }
  if (status == KANTE_OK) {
    MessageRef::release(block);
  } else {
    block->words = 0;  // Scratch again, and still the module's.
  }
  return status;
}

kante_status RemotePort::emit(std::uint32_t output, kante_msg* message, std::uint64_t token) {
  if (message->words == 0) return KANTE_E_INVALID;  // Scratch that was never sealed.
  if (output >= outputs_.size()) return KANTE_E_NOT_FOUND;
  Call call(*this);
  const auto hops = static_cast<std::uint8_t>(message->ways.hopsOf(kReceiver) + 1);
  const kante_status status = send(output, message, hops, token);
  if (status == KANTE_E_AGAIN) call.kickLoop();
  return status;
}

kante_status RemotePort::send(std::uint32_t index, kante_msg* message, std::uint8_t hops,
                              std::uint64_t token) {
  Output& output = outputs_[index];
  const bool has_credit = creditUsed(index) < kOutputCredit;
  if (has_credit && outbox_.offer({.kind = Frame::kEmit,
                                   .id = index,
                                   .token = token,
                                   .arg = hops,
                                   .words = message->data(),
                                   .word_count = message->words},
                                  message)) [[likely]] {
    ++output.emitted;
    return KANTE_OK;
  }
  outbox_.publish();
  output.blocked = has_credit ? Output::Blocked::kByRoom : Output::Blocked::kByCredit;
  any_blocked_.store(true, std::memory_order_relaxed);
  return KANTE_E_AGAIN;
}

// Of a blocked output, where the ring has room.  Credit is worth going on for from half of it.
bool RemotePort::isWritable(std::uint32_t index) const {
  const std::uint32_t used = creditUsed(index);
  switch (outputs_[index].blocked) {
    case Output::Blocked::kByCredit: return used <= kOutputCredit / 2;
    case Output::Blocked::kByRoom: return used < kOutputCredit;
    default: return false;
  }
}

std::optional<std::uint32_t> RemotePort::takeWritable() {
  if (!any_blocked_.load(std::memory_order_relaxed)) return std::nullopt;
  const Call call(*this);
  outbox_.flush();
  if (!outbox_.isClear()) return std::nullopt;
  bool left = false;
  for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
    if (isWritable(i)) {
      outputs_[i].blocked = Output::Blocked::kNo;
      return i;
    }
    left = left || outputs_[i].blocked != Output::Blocked::kNo;
  }
  any_blocked_.store(left, std::memory_order_relaxed);
  return std::nullopt;
}

// ---- durable inputs

void RemotePort::beginInput(std::uint64_t token) {
  const Call call(*this);
  current_token_ = token;
}

RemotePort::Ended RemotePort::endInput(std::uint64_t token, kante_status status) {
  const Call call(*this);
  if (std::exchange(current_token_, 0) != token) return Ended::kDone;
  if (status == KANTE_E_AGAIN) return Ended::kPutOff;
  if (status > KANTE_OK) {
    open_tokens_.insert(token);
    return Ended::kDone;
  }
  outbox_.put({.kind = Frame::kSettle,
               .id = status < KANTE_OK ? 1u : 0u,
               .status = status,
               .token = token,
               .text = status < KANTE_OK ? std::string_view(explanation_) : std::string_view()});
  return status < KANTE_OK ? Ended::kFailed : Ended::kDone;
}

bool RemotePort::claim(std::uint64_t token) {
  if (token == current_token_) {
    current_token_ = 0;
    return true;
  }
  return open_tokens_.erase(token) > 0;
}

kante_status RemotePort::settle(std::uint64_t token, kante_status status) {
  if (status > KANTE_OK) return KANTE_E_INVALID;
  if (token == 0) return KANTE_E_NOT_FOUND;
  const Call call(*this);
  if (!claim(token)) return KANTE_E_NOT_FOUND;
  const bool explains = status < KANTE_OK && status != KANTE_E_AGAIN && !call.isForeign();
  outbox_.put({.kind = Frame::kSettle,
               .status = status,
               .token = token,
               .text = explains ? std::string_view(explanation_) : std::string_view()});
  return KANTE_OK;
}

// ---- how events end

void RemotePort::tellEnd(std::uint32_t type, std::uint64_t token, kante_status status,
                         std::string_view text) {
  const Call call(*this);
  const bool is_owed =
      type == KANTE_EVENT_METHOD || type == KANTE_EVENT_HEALTH || type == KANTE_EVENT_SAVE;
  if (!is_owed && outbox_.kept() >= kKeptMax) return;  // A line in the log, no more.
  outbox_.put({.kind = Frame::kEventEnded,
               .id = type,
               .status = status,
               .token = token,
               .text = text.substr(0, kTextMax)});
}

void RemotePort::beginMethod(std::uint64_t token) {
  const Call call(*this);
  open_calls_.insert(token);
}

void RemotePort::endMethod(std::uint64_t token, kante_status status) {
  if (status < KANTE_OK) {
    const Call call(*this);
    open_calls_.erase(token);
  }
  tellEnd(KANTE_EVENT_METHOD, token, status, explanation_);
}

void RemotePort::endCreate(kante_status status) {
  creating_ = false;
  const Call call(*this);
  outbox_.put({.kind = Frame::kCreated,
               .id = promised_ready_ ? 1u : 0u,
               .status = status,
               .text = explanation_});
}

void RemotePort::tellRestored(kante_status status) {
  const Call call(*this);
  outbox_.put({.kind = Frame::kRestored, .status = status, .text = explanation_});
}

void RemotePort::beginSave(std::uint64_t token) {
  const Call call(*this);
  save_token_ = token;
}

void RemotePort::endSave(std::uint64_t token, kante_status status) {
  if (status != KANTE_OK) cancelSave();
  tellEnd(KANTE_EVENT_SAVE, token, status, explanation_);
}

void RemotePort::cancelSave() {
  const Call call(*this);
  save_token_ = 0;
}

void RemotePort::beginDrain() {
  const Call call(*this);
  drain_ = Drain::kSent;
}

bool RemotePort::requestDone(std::uint64_t token) {
  const Call call(*this);
  const auto at = requests_.find(token);
  if (at != requests_.end()) {
    request_bytes_ -= at->second;
    requests_.erase(at);
  }
  const auto open = opens_.find(token);
  if (open == opens_.end()) return false;
  opens_.erase(open);
  return true;
}

// ---- turns and sleep

std::optional<Timers::Expired> RemotePort::takeTimer() {
  if (nextTimerNs() == Timers::kNever) return std::nullopt;
  const std::int64_t now_ns = SystemClock().bootNs();
  if (now_ns < nextTimerNs()) return std::nullopt;
  const Call call(*this);
  const auto expired = timers_.take(now_ns);
  timersChanged();
  return expired;
}

void RemotePort::clearTimers() {
  const Call call(*this);
  timers_.clear();
  timersChanged();
}

void RemotePort::endTurn() {
  const Call call(*this);
  stamp_is_fresh_ = false;
  tellMetrics();
  outbox_.flush();
  outbox_.publish();
}

std::uint64_t RemotePort::wants(Events events) {
  const Call call(*this);
  std::uint64_t wants = kWantsData;
  if (outbox_.wantsSpace()) wants |= kWantsSpace;
  if (events == Events::kTaken && any_blocked_.load(std::memory_order_relaxed))
    wants |= kWantsCredit;
  return wants;
}

bool RemotePort::hasNews(Events events) {
  const Call call(*this);
  if (outbox_.keepsFrames() && outbox_.hasRoom()) return true;
  if (events == Events::kHeld || !any_blocked_.load(std::memory_order_relaxed) ||
      !outbox_.isClear())
    return false;
  for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
    if (isWritable(i)) return true;
  }
  return false;
}

bool RemotePort::keepsFrames() {
  const Call call(*this);
  return outbox_.keepsFrames();
}

void RemotePort::ringHost() {
  const Call call(*this);
  outbox_.ring();
}

std::optional<std::string> RemotePort::broken() {
  const Call call(*this);
  return outbox_.broken();
}

}  // namespace kante
