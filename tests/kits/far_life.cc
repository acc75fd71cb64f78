#include "tests/kits/far_life.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

#include "host/base/fd.h"

namespace kante {

namespace {
constexpr std::chrono::milliseconds kPutOff{5};
constexpr std::uint32_t kResume = 0xffff;  // A letter of our own.
std::atomic<int> last_pid{1'000'000};
}  // namespace

FarLife::FarLife(std::shared_ptr<const LoadedModule> library, Shard& shard)
    : shard_(shard), life_(std::move(library), shard.slot(), 0), pid_(++last_pid) {}

FarLife::~FarLife() = default;

void FarLife::later(std::function<void()> task) {
  shard_.post([self = shared_from_this(), task = std::move(task)] { task(); });
}

void FarLife::explained(const kante_host* host, kante_status code, kante_str text) {
  FarLife& life = *reinterpret_cast<const Table*>(host)->life;
  if (code < 0 && life.shard_.onThisThread()) life.text_.assign(text.data, text.size);
}

const void* FarLife::extension(const kante_host* host, const char* id) {
  FarLife& life = *reinterpret_cast<const Table*>(host)->life;
  if (life.creating_ && id != nullptr && std::string_view(id) == KANTE_EXT_LIFECYCLE)
    life.promised_ = true;
  return life.real_->get_extension(host, id);
}

kante_status FarLife::create(const kante_host& host, LifeOwner& owner, kante_msg* config) {
  owner_ = &owner;
  real_ = &host;
  table_ = {host, this};
  table_.host.explain = explained;
  table_.host.get_extension = extension;
  later([this, message = MessageRef::retain(config)] {
    if (dead_) return;
    creating_ = true;
    text_.clear();
    const kante_status status = life_.create(table_.host, *owner_, message.get());
    creating_ = false;
    if (status != KANTE_OK) dead_ = true;
    owner_->createEnded(status, std::string(text_), promised_);
  });
  return KANTE_PENDING;
}

kante_status FarLife::take(const kante_event& event, std::uint8_t hops) {
  Letter letter;
  letter.event = event;
  letter.name.assign(event.name.data == nullptr ? "" : event.name.data, event.name.size);
  letter.message = MessageRef::retain(event.msg);
  letter.hops = hops;
  letters_.push_back(std::move(letter));
  schedule();
  const bool answers = event.type == KANTE_EVENT_INPUT || event.type == KANTE_EVENT_METHOD ||
                       event.type == KANTE_EVENT_HEALTH || event.type == KANTE_EVENT_SAVE ||
                       event.type == KANTE_EVENT_RESTORE;
  return answers ? KANTE_PENDING : KANTE_OK;
}

kante_status FarLife::onInput(const kante_event& event, std::uint8_t hops) {
  if (inputs_waiting_ >= kInputs || dead_) {
    refused_ = true;
    return KANTE_E_AGAIN;
  }
  ++inputs_waiting_;
  return take(event, hops);
}

// The other side has a copy, as over a socket.
kante_status FarLife::onOpened(const kante_event& event, int fd) {
  FileDescriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  kante_event with = event;
  with.arg = static_cast<std::uint64_t>(copy.get());
  const kante_status status = onEvent(with);
  if (status >= KANTE_OK) (void)copy.release();
  return status;
}

kante_status FarLife::onEvent(const kante_event& event) {
  if (letters_.size() - inputs_waiting_ >= kEvents || dead_) {
    refused_ = true;
    return KANTE_E_AGAIN;
  }
  return take(event, 0);
}

void FarLife::schedule() {
  if (scheduled_ || stuck_ || dead_) return;
  scheduled_ = true;
  later([this] {
    scheduled_ = false;
    run();
  });
}

void FarLife::run() {
  for (int n = 0; n < 4 && !stuck_ && !dead_; ++n) {
    const auto next = std::find_if(letters_.begin(), letters_.end(), [this](const Letter& one) {
      if (one.event.type == KANTE_EVENT_WRITABLE && saved_ && !draining_) return false;
      return !put_off_ || one.event.type != KANTE_EVENT_INPUT;
    });
    if (next == letters_.end()) break;
    Letter letter = std::move(*next);
    letters_.erase(next);
    if (handle(letter)) continue;
    // It comes again before the other inputs.
    letters_.push_front(std::move(letter));
    put_off_ = true;
    again_.set(kPutOff, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->put_off_ = false;
      self->schedule();
    });
  }
  if (dead_ || owner_ == nullptr) return;
  if (refused_ && inputs_waiting_ <= kInputs / 2 && letters_.size() - inputs_waiting_ == 0) {
    refused_ = false;
    owner_->roomAgain();
  }
  const bool all_wait = std::all_of(letters_.begin(), letters_.end(), [this](const Letter& one) {
    return (put_off_ && one.event.type == KANTE_EVENT_INPUT) ||
           (saved_ && !draining_ && one.event.type == KANTE_EVENT_WRITABLE);
  });
  if (!all_wait) schedule();
}

// False: it is put off.
bool FarLife::handle(Letter& letter) {
  kante_event event = letter.event;
  event.name = {letter.name.data(), letter.name.size()};
  event.msg = letter.message.get();
  if (letter.message) event.words = letter.message.words();
  text_.clear();
  if (event.type == KANTE_EVENT_SAVE) saved_ = true;
  if (event.type == KANTE_EVENT_INPUT) {
    if (saved_) return true;  // Given back.
    const kante_status status = life_.onInput(event, letter.hops);
    if (status == KANTE_E_AGAIN) {
      if (event.token != 0) ++letter.event.arg;
      return false;
    }
    --inputs_waiting_;
    if (event.token != 0 && status <= KANTE_OK) {
      if (status < 0) real_->explain(real_, status, {text_.data(), text_.size()});
      (void)real_->settle(real_, event.token, status);
      owner_->inputsHandled(1);
      if (status < 0) {
        giveInputsBack();
        owner_->inputsRecalled();
      }
      return true;
    } else if (event.token == 0 && status < KANTE_OK) {
      owner_->eventEnded(event.type, 0, status, letter.name + "\n" + text_);
    }
    owner_->inputsHandled(1);
    return true;
  }
  if (event.type == KANTE_EVENT_DRAIN) {
    saved_ = draining_ = true;
    giveInputsBack();
  }
  if (event.type == kResume) {
    saved_ = false;
    return true;
  }
  const kante_status status = life_.onEvent(event);
  switch (event.type) {
    case KANTE_EVENT_SAVE:  // What was put off is given back.
      giveInputsBack();
      [[fallthrough]];
    case KANTE_EVENT_METHOD:
    case KANTE_EVENT_HEALTH:
    case KANTE_EVENT_RESTORE: owner_->eventEnded(event.type, event.token, status, text_); break;
    case KANTE_EVENT_DRAIN:
      if (status != KANTE_OK) real_->drained(real_);
      break;
    default:
      if (status < KANTE_OK && status != KANTE_E_UNSUPPORTED)
        owner_->eventEnded(event.type, event.token, status, text_);
  }
  return true;
}

void FarLife::giveInputsBack() {
  std::erase_if(letters_, [](const Letter& one) { return one.event.type == KANTE_EVENT_INPUT; });
  inputs_waiting_ = 0;
}

void FarLife::resume() {  // Behind the SAVE that may still be on its way.
  Letter letter;
  letter.event.type = kResume;
  letters_.push_back(std::move(letter));
  schedule();
}

void FarLife::destroy(std::function<void()> gone) {
  later([this, gone = std::move(gone)] {
    while (!dead_ && !letters_.empty()) {
      Letter letter = std::move(letters_.front());
      letters_.pop_front();
      if (!handle(letter)) break;
    }
    letters_.clear();
    dead_ = true;
    again_.cancel();
    if (real_ == nullptr) return gone();
    life_.destroy(gone);
  });
}

void FarLife::kill(const std::string& reason) { die({reason, LifeEnd::By::kItself, false}); }

void FarLife::die(const LifeEnd& end) {
  later([this, end] {
    if (std::exchange(dead_, true)) return;
    again_.cancel();
    letters_.clear();
    owner_->died(end);
  });
}

void FarLife::stick() {
  later([this] { stuck_ = true; });
}

void FarLife::go() {
  later([this] {
    stuck_ = false;
    schedule();
  });
}

std::shared_ptr<FarLife> FarLives::make(const std::string& module,
                                        std::shared_ptr<const LoadedModule> library, Shard& shard) {
  auto life = std::make_shared<FarLife>(std::move(library), shard);
  const std::lock_guard lock(mutex_);
  lives_[module] = life;
  ++made_[module];
  return life;
}

std::shared_ptr<FarLife> FarLives::of(const std::string& module) const {
  const std::lock_guard lock(mutex_);
  const auto at = lives_.find(module);
  return at == lives_.end() ? nullptr : at->second.lock();
}

std::size_t FarLives::made(const std::string& module) const {
  const std::lock_guard lock(mutex_);
  const auto at = made_.find(module);
  return at == made_.end() ? 0 : at->second;
}

}  // namespace kante
