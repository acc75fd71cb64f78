#include "host/placement/loaded_life.h"

#include <unistd.h>

#include <utility>

#include "host/shard/wake_policy.h"

namespace kante {

namespace {

std::vector<std::string> namesOf(const char* const* names) {
  std::vector<std::string> out;
  for (; *names != nullptr; ++names) out.emplace_back(*names);
  return out;
}

template <std::size_t kSize>
kante_str literal(const char (&text)[kSize]) {
  return {text, kSize - 1};
}

}  // namespace

LoadedLife::LoadedLife(std::shared_ptr<const LoadedModule> library, CallbackSlot& slot,
                       std::uint32_t crash_index)
    : library_(std::move(library)),
      entry_(library_->entry()),
      slot_(slot),
      crash_index_(crash_index),
      inputs_(namesOf(entry_.inputs)),
      outputs_(namesOf(entry_.outputs)) {}

LoadedLife::~LoadedLife() { KANTE_ASSERT(module_ == nullptr); }

void LoadedLife::explain(kante_str text) const { host_->explain(host_, KANTE_E_INTERNAL, text); }

kante_status LoadedLife::create(const kante_host& host, LifeOwner&, kante_msg* config) {
  host_ = &host;
  kante_status status = KANTE_E_INTERNAL;
  const WakePolicy::Ordinary for_its_threads;
  slot_.enter(crash_index_, 0, nullptr, 0);
  try {
    status = entry_.create(host_, config, &module_);
  } catch (...) {
    explain(literal("an exception left create()"));
  }
  slot_.leave();
  if (status == KANTE_OK && module_ == nullptr) {
    explain(literal("create() made no module"));
    return KANTE_E_INTERNAL;
  }
  if (status != KANTE_OK) module_ = nullptr;  // destroy() is not called for what create() refused.
  return status;
}

kante_status LoadedLife::call(const kante_event& event) {
  kante_status status = KANTE_E_INTERNAL;
  slot_.enter(crash_index_, event.type, event.words, event.word_count);
  try {
    status = entry_.on_event(module_, &event);
  } catch (...) {
    explain(literal("an exception left on_event()"));
  }
  slot_.leave();
  return status;
}

void LoadedLife::destroy(std::function<void()> gone) {
  if (module_ != nullptr) {
    slot_.enter(crash_index_, 0, nullptr, 0);
    try {
      entry_.destroy(std::exchange(module_, nullptr));
    } catch (...) {
      host_->log(host_, 4, literal("an exception left destroy()"));
    }
    slot_.leave();
  }
  gone();
}

int LoadedLife::pid() const { return ::getpid(); }

}  // namespace kante
