// The C face of ModulePort: argument checks that protect the host, then one call.
#include <cmath>
#include <cstring>

#include "host/message/message.h"
#include "host/runtime/module_port.h"

namespace kante {

namespace {

ModulePort& port(const kante_host* host) { return *static_cast<ModulePort*>(host->ctx); }

std::string_view view(kante_str text) {
  return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
}

// Something to send, store or answer with: there, and sealed.
bool isMessage(const kante_msg* message) { return message != nullptr && message->words != 0; }

// ---- messages ----

kante_status msgAlloc(const kante_host*, std::uint32_t words, std::uint32_t flags, void** scratch) {
  if (scratch == nullptr || words == 0) return KANTE_E_INVALID;
  if (words > KANTE_MESSAGE_WORDS_MAX) return KANTE_E_LIMIT;
  kante_msg* block = allocateBlock(words);
  if (block == nullptr) return KANTE_E_LIMIT;
  if ((flags & KANTE_MSG_ZEROED) != 0) std::memset(block->data(), 0, std::size_t{words} * 8);
  *scratch = block->data();
  return KANTE_OK;
}

kante_status msgSeal(const kante_host* host, void* scratch, std::uint32_t used_words,
                     kante_msg** out) {
  if (scratch == nullptr || out == nullptr) return KANTE_E_INVALID;
  return port(host).sealMessage(scratch, used_words, out);
}

void msgAbandon(const kante_host*, void* scratch) {
  if (scratch != nullptr) MessageRef::release(kante_msg::ofData(scratch));
}

const void* msgWords(const kante_msg* message, std::uint32_t* words) {
  if (message == nullptr) {
    if (words != nullptr) *words = 0;
    return nullptr;
  }
  if (words != nullptr) *words = message->words;
  return message->data();
}

void msgRetain(kante_msg* message) {
  if (message != nullptr) message->references.fetch_add(1, std::memory_order_relaxed);
}

void msgRelease(kante_msg* message) {
  if (message != nullptr) MessageRef::release(message);
}

// ---- frame ----

kante_status emit(const kante_host* host, std::uint32_t output, kante_msg* message,
                  std::uint64_t token) {
  return !isMessage(message) ? KANTE_E_INVALID : port(host).emit(output, message, token);
}

kante_status publish(const kante_host* host, std::uint32_t output, void* scratch,
                     std::uint32_t used_words, std::uint64_t token) {
  return scratch == nullptr ? KANTE_E_INVALID
                            : port(host).publish(output, scratch, used_words, token);
}

kante_status settle(const kante_host* host, std::uint64_t token, kante_status status) {
  return port(host).settle(token, status);
}

void drained(const kante_host* host) { port(host).drained(); }
void log(const kante_host* host, std::uint32_t level, kante_str text) {
  port(host).log(level, view(text));
}
void explain(const kante_host* host, kante_status code, kante_str text) {
  port(host).explain(code, view(text));
}

// ---- extensions ----

kante_status report(const kante_host* host, kante_msg* patch, std::uint64_t token) {
  return !isMessage(patch) ? KANTE_E_INVALID : port(host).report(patch, token);
}
kante_status reply(const kante_host* host, std::uint64_t token, std::int32_t code,
                   kante_msg* result) {
  if (result != nullptr && !isMessage(result)) return KANTE_E_INVALID;
  return port(host).reply(token, code, result);
}

std::uint64_t nowNs(const kante_host* host) { return port(host).nowNs(); }
kante_status setTimer(const kante_host* host, std::uint32_t id, std::uint64_t first,
                      std::uint64_t period) {
  return port(host).setTimer(id, first, period);
}
kante_status cancelTimer(const kante_host* host, std::uint32_t id) {
  return port(host).cancelTimer(id);
}

kante_status defineMetric(const kante_host* host, kante_str name, std::uint32_t kind,
                          std::uint32_t* id) {
  if (id == nullptr || kind > 2) return KANTE_E_INVALID;
  return port(host).defineMetric(view(name), kind, id);
}
void addMetric(const kante_host* host, std::uint32_t id, std::int64_t delta) {
  port(host).addMetric(id, delta);
}
void recordMetric(const kante_host* host, std::uint32_t id, double value) {
  if (std::isfinite(value)) port(host).recordMetric(id, value);
}

bool isKey(kante_str key) { return key.data != nullptr && key.size >= 1 && key.size <= 256; }
kante_status storageGet(const kante_host* host, kante_str key, std::uint64_t token) {
  return isKey(key) ? port(host).storageGet(view(key), token) : KANTE_E_INVALID;
}
kante_status storagePut(const kante_host* host, kante_str key, kante_msg* value,
                        std::uint64_t token) {
  return isKey(key) && isMessage(value) ? port(host).storagePut(view(key), value, token)
                                        : KANTE_E_INVALID;
}
kante_status storageErase(const kante_host* host, kante_str key, std::uint64_t token) {
  return isKey(key) ? port(host).storageErase(view(key), token) : KANTE_E_INVALID;
}

kante_status saveState(const kante_host* host, std::uint64_t token, std::uint64_t format,
                       const void* data, std::size_t size) {
  if (data == nullptr && size != 0) return KANTE_E_INVALID;
  if (size > KANTE_STATE_BYTES_MAX) return KANTE_E_LIMIT;
  return port(host).saveState(token, format, data, size);
}

void ready(const kante_host* host) { port(host).ready(); }
kante_status defer(const kante_host* host, std::uint32_t ms) { return port(host).defer(ms); }

kante_status invoke(const kante_host* host, kante_str target, kante_str name, kante_msg* arguments,
                    std::uint32_t timeout_ms, std::uint64_t token) {
  if (token == 0 || !isMessage(arguments)) return KANTE_E_INVALID;
  return port(host).invoke(view(target), view(name), arguments, timeout_ms, token);
}

kante_status open(const kante_host* host, kante_str what, std::uint64_t token) {
  constexpr std::size_t kWhatMax = 4096;
  if (token == 0 || what.data == nullptr || what.size == 0 || what.size > kWhatMax)
    return KANTE_E_INVALID;
  return port(host).open(view(what), token);
}

constexpr kante_twin_v1 kTwin{sizeof(kante_twin_v1), 0, report, reply};
constexpr kante_timers_v1 kTimers{sizeof(kante_timers_v1), 0, nowNs, setTimer, cancelTimer};
constexpr kante_metrics_v1 kMetrics{sizeof(kante_metrics_v1), 0, defineMetric, addMetric,
                                    recordMetric};
constexpr kante_storage_v1 kStorage{sizeof(kante_storage_v1), 0, storageGet, storagePut,
                                    storageErase};
constexpr kante_state_v1 kState{sizeof(kante_state_v1), 0, saveState};
constexpr kante_lifecycle_v1 kLifecycle{sizeof(kante_lifecycle_v1), 0, ready, defer};
constexpr kante_invoke_v1 kInvoke{sizeof(kante_invoke_v1), 0, invoke};
constexpr kante_device_v1 kDevice{sizeof(kante_device_v1), 0, open};

const void* getExtension(const kante_host* host, const char* id) {
  if (id == nullptr) return nullptr;
  const std::string_view wanted(id);
  if (wanted == KANTE_EXT_TWIN) return &kTwin;
  if (wanted == KANTE_EXT_TIMERS) return &kTimers;
  if (wanted == KANTE_EXT_METRICS) return &kMetrics;
  if (wanted == KANTE_EXT_STORAGE) return &kStorage;
  if (wanted == KANTE_EXT_STATE) return &kState;
  if (wanted == KANTE_EXT_INVOKE) return &kInvoke;
  if (wanted == KANTE_EXT_DEVICE) return &kDevice;
  if (wanted == KANTE_EXT_LIFECYCLE) {
    port(host).promisedReady();
    return &kLifecycle;
  }
  return nullptr;
}

}  // namespace

kante_host makeHostTable(ModulePort& port) {
  kante_host host{};
  host.struct_size = sizeof(kante_host);
  host.abi_major = KANTE_ABI_MAJOR;
  host.abi_minor = KANTE_ABI_MINOR;
  host.ctx = &port;
  host.get_extension = getExtension;
  host.log = log;
  host.explain = explain;
  host.msg_alloc = msgAlloc;
  host.msg_seal = msgSeal;
  host.msg_abandon = msgAbandon;
  host.msg_words = msgWords;
  host.msg_retain = msgRetain;
  host.msg_release = msgRelease;
  host.emit = emit;
  host.publish = publish;
  host.settle = settle;
  host.drained = drained;
  return host;
}

}  // namespace kante
