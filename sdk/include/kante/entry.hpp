// kante/entry.hpp - what stands between a kante::Module and the C ABI: dispatch of events, the
// fence that no exception passes, KANTE_MODULE (include kante/module.hpp).
#pragma once

#include <kante/handles.hpp>

KANTE_SDK_BEGIN

// ---- dispatch
// ------------------------------------------------------------------------------------

inline Status Module::handle(const kante_event& event) {
  const MessageView message(event.words, event.word_count);
  switch (event.type) {
    case KANTE_EVENT_INPUT: return onInput(Input(host_, entry_, event));
    case KANTE_EVENT_METHOD: return handleMethod(event);
    case KANTE_EVENT_DESIRED: return onDesired(Desired(message, event.arg));
    case KANTE_EVENT_TIMER: {
      Timer* timer = event.id < kTimersMax ? timer_slots_[event.id] : nullptr;
      if (timer == nullptr) return onEvent(event);
      timer->expirations_ = event.arg;
      timer->call_();
      return KANTE_OK;
    }
    case KANTE_EVENT_DONE: {
      const Callback done = takeRequest(event.token);
      if (!done) return onEvent(event);
      done(Done(host_, event));
      return KANTE_OK;
    }
    case KANTE_EVENT_WRITABLE: writable(event.id); return KANTE_OK;
    case KANTE_EVENT_DRAIN: onDrain(); return KANTE_OK;
    case KANTE_EVENT_HEALTH: return onHealth();
    case KANTE_EVENT_SAVE: return handleSave(event);
    case KANTE_EVENT_RESTORE: {
      return onRestore(State{event.arg, std::string(toView(event.name))});
    }
    default: return onEvent(event);
  }
}

inline Status Module::handleMethod(const kante_event& event) {
  if (twin_ == nullptr) return KANTE_E_UNSUPPORTED;
  try {
    return onMethod(Method(host_, twin_, event.token, std::string(toView(event.name)),
                           Message::share(host_, event.msg)));
  } catch (const std::exception& error) {
    const auto* failure = dynamic_cast<const Failure*>(&error);
    const int code = failure != nullptr && failure->status() == KANTE_E_INVALID ? 400 : 500;
    // If the handler had answered before it threw, this one is refused as the second.
    Method(host_, twin_, event.token, {}, {}).reply(code, json::Value{{"error", error.what()}});
    throw;
  }
}

inline Status Module::handleSave(const kante_event& event) {
  const auto* table = extension<kante_state_v1>(KANTE_EXT_STATE);
  const std::optional<State> state = table == nullptr ? std::nullopt : onSave();
  if (!state) return KANTE_E_UNSUPPORTED;
  return table->save(host_, event.token, state->format, state->bytes.data(), state->bytes.size());
}

inline void Module::writable(std::uint32_t output) {
  for (Outbox* outbox : outboxes_) {
    if (outbox->output() == output) outbox->flush();
  }
  onWritable(output);
  tellDrained();
}

inline void Module::tellDrained() {
  if (!draining_) return;
  for (const Outbox* outbox : outboxes_) {
    if (!outbox->empty()) return;
  }
  draining_ = false;
  host_->drained(host_);
}

// ---- the fence
// -----------------------------------------------------------------------------------

// Runs call() and turns what it throws into a status, with its text attached for the host's log.
template <typename Call>
Status fence(const kante_host* host, Call&& call) noexcept {
  const auto explained = [host](Status status, const char* text) {
    host->explain(host, status, kante_str{text, std::strlen(text)});
    return status;
  };
  try {
    return call();
  } catch (const Failure& failure) {
    return explained(failure.status(), failure.what());
  } catch (const std::bad_alloc&) {
    return explained(KANTE_E_LIMIT, "out of memory");
  } catch (const std::exception& error) {
    return explained(KANTE_E_INTERNAL, error.what());
  } catch (...) {
    return explained(KANTE_E_INTERNAL, "an exception that is no std::exception");
  }
}

// The four functions of the entry, for one class of module.
template <typename Class, const kante_entry& Entry>
struct EntryOf {
  static kante_status create(const kante_host* host, kante_msg* config,
                             kante_module** out) noexcept {
    return fence(host, [&] {
      Start start(host, Entry, config);
      Module* module = new Class(start);
      *out = reinterpret_cast<kante_module*>(module);
      return KANTE_OK;
    });
  }
  static kante_status onEvent(kante_module* module, const kante_event* event) noexcept {
    auto* self = reinterpret_cast<Module*>(module);
    return fence(self->host(), [&]() -> Status {
      if (event->struct_size >= sizeof(kante_event)) return self->handle(*event);
      kante_event whole{};  // A host that knows fewer fields: those count as zero.
      std::memcpy(&whole, event, event->struct_size);
      return self->handle(whole);
    });
  }
  static void destroy(kante_module* module) noexcept { delete reinterpret_cast<Module*>(module); }
};

// What tools read without running the module: id and ABI, as docs/formats/bundle.md describes.
template <std::size_t N>
struct ElfNote {
  std::uint32_t name_bytes;
  std::uint32_t text_bytes;
  std::uint32_t type;
  char name[8];
  char text[(N + 2) / 4 * 4];  // N counts the NUL, which is not written; rounded up to words.
};
template <std::size_t N>
constexpr ElfNote<N> elfNote(const char (&text)[N]) {
  ElfNote<N> note{6, N - 1, 1, {'K', 'a', 'n', 't', 'e'}, {}};
  for (std::size_t i = 0; i + 1 < N; ++i) note.text[i] = text[i];
  return note;
}

KANTE_SDK_END

#define KANTE_INPUTS(...) __VA_ARGS__ __VA_OPT__(, )
#define KANTE_OUTPUTS(...) __VA_ARGS__ __VA_OPT__(, )

#define KANTE_DETAIL_JOIN2(a, b) a##b
#define KANTE_DETAIL_JOIN(a, b) KANTE_DETAIL_JOIN2(a, b)

// In a static build every module needs a symbol of its own: -DKANTE_STATIC_NAME=filter makes it
// kante_module_entry_filter.
#ifdef KANTE_STATIC_NAME
#define KANTE_ENTRY_SYMBOL KANTE_DETAIL_JOIN(kante_module_entry_, KANTE_STATIC_NAME)
#define KANTE_DETAIL_NOTE(id)
extern "C" const kante_entry KANTE_ENTRY_SYMBOL;
#else
#define KANTE_ENTRY_SYMBOL kante_module_entry
#define KANTE_DETAIL_NOTE(id)                                           \
  __attribute__((used, section(".note.kante"),                          \
                 aligned(4))) static constexpr auto kante_detail_note = \
      ::kante::elfNote("id=" id "\nabi=1.0\n");
#endif

// KANTE_MODULE(Class, "id", "version", KANTE_INPUTS("a", …), KANTE_OUTPUTS("b", …)), once a module,
// outside of every namespace.  id and names as in the manifest; an input's place is its number.
#define KANTE_MODULE(Class, id, version, inputs, outputs)              \
  static const char* const kante_detail_inputs[] = {inputs nullptr};   \
  static const char* const kante_detail_outputs[] = {outputs nullptr}; \
  KANTE_DETAIL_NOTE(id)                                                \
  extern "C" KANTE_EXPORT const kante_entry KANTE_ENTRY_SYMBOL = {     \
      sizeof(kante_entry),                                             \
      KANTE_MAGIC,                                                     \
      KANTE_ABI_MAJOR,                                                 \
      KANTE_ABI_MINOR,                                                 \
      id,                                                              \
      version,                                                         \
      kante_detail_inputs,                                             \
      kante_detail_outputs,                                            \
      &::kante::EntryOf<Class, KANTE_ENTRY_SYMBOL>::create,            \
      &::kante::EntryOf<Class, KANTE_ENTRY_SYMBOL>::onEvent,           \
      &::kante::EntryOf<Class, KANTE_ENTRY_SYMBOL>::destroy,           \
      nullptr};
