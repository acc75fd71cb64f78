// What a module can ask of its host, as one interface: the in-process placement answers it
// directly, the sandbox's runner will answer it over its rings.  The C table that the module sees
// is made from it.
//
// Functions marked [any] may be called by any thread of the module, [strand] only inside its
// callbacks. Every kante_str and kante_msg is borrowed for the call.
#pragma once

#include <kante/module.h>

#include <cstdint>
#include <string_view>

namespace kante {

class ModulePort {
 public:
  virtual ~ModulePort() = default;

  virtual kante_status sealMessage(void* scratch, std::uint32_t used_words,
                                   kante_msg** out) = 0;  // [any]
  virtual kante_status emit(std::uint32_t output, kante_msg* message,
                            std::uint64_t token) = 0;  // [any]
  // Owns the scratch on KANTE_OK only.
  virtual kante_status publish(std::uint32_t output, void* scratch, std::uint32_t used_words,
                               std::uint64_t token) = 0;                      // [any]
  virtual kante_status settle(std::uint64_t token, kante_status status) = 0;  // [any]
  virtual void drained() = 0;                                                 // [any]
  virtual void log(std::uint32_t level, std::string_view text) = 0;           // [any]
  virtual void explain(kante_status code, std::string_view text) = 0;         // [strand]

  virtual kante_status report(kante_msg* patch, std::uint64_t token) = 0;
  virtual kante_status reply(std::uint64_t token, std::int32_t code, kante_msg* result) = 0;

  virtual std::uint64_t nowNs() = 0;
  virtual kante_status setTimer(std::uint32_t id, std::uint64_t first_ns,
                                std::uint64_t period_ns) = 0;
  virtual kante_status cancelTimer(std::uint32_t id) = 0;

  virtual kante_status defineMetric(std::string_view name, std::uint32_t kind,
                                    std::uint32_t* id) = 0;
  virtual void addMetric(std::uint32_t id, std::int64_t delta) = 0;
  virtual void recordMetric(std::uint32_t id, double value) = 0;

  virtual kante_status storageGet(std::string_view key, std::uint64_t token) = 0;
  virtual kante_status storagePut(std::string_view key, kante_msg* value, std::uint64_t token) = 0;
  virtual kante_status storageErase(std::string_view key, std::uint64_t token) = 0;

  virtual kante_status saveState(std::uint64_t token, std::uint64_t format, const void* data,
                                 std::size_t size) = 0;
  virtual void ready() = 0;
  virtual kante_status defer(std::uint32_t ms) = 0;
  virtual kante_status invoke(std::string_view target, std::string_view name, kante_msg* arguments,
                              std::uint32_t timeout_ms, std::uint64_t token) = 0;
  // What there is not everywhere: KANTE_E_UNSUPPORTED.
  virtual kante_status open(std::string_view, std::uint64_t) { return KANTE_E_UNSUPPORTED; }
  // Asked for kante.lifecycle/1 inside create(): it promises ready().
  virtual void promisedReady() = 0;  // [strand]
};

// The table for one instance; `port` must outlive it.  ctx is the port.
kante_host makeHostTable(ModulePort& port);

}  // namespace kante
