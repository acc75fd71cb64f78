// What an instance and its host table are told by a life, in order, as text.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "host/runtime/module_life.h"
#include "host/runtime/module_port.h"

namespace kante {

class Told final : public LifeOwner, public ModulePort {
 public:
  bool has(const std::string& text) { return count(text) > 0; }
  std::size_t count(const std::string& text) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count(told_.begin(), told_.end(), text));
  }
  // The first that begins so; empty: none.
  std::string find(const std::string& begin) {
    const std::lock_guard lock(mutex_);
    for (const std::string& text : told_) {
      if (text.starts_with(begin)) return text;
    }
    return {};
  }
  // Where it is in the order; npos: not at all.
  std::size_t at(const std::string& text) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(told_.begin(), told_.end(), text);
    return found == told_.end() ? std::string::npos
                                : static_cast<std::size_t>(found - told_.begin());
  }

  std::atomic<bool> no_room{false};             // For what is emitted.
  std::atomic<kante_status> answer{KANTE_OK};   // To every request …
  std::atomic<kante_status> settled{KANTE_OK};  // … and settlement.
  std::atomic<std::uint64_t> handled{0};

  // ---- LifeOwner ----
  void createEnded(kante_status status, const std::string& text, bool promised_ready) override {
    tell("created " + std::to_string(status) + " " + text + (promised_ready ? "promised" : ""));
  }
  void startFailed(Error error) override { tell("start failed: " + error.text); }
  void roomAgain() override { tell("room"); }
  void inputsHandled(std::uint32_t count) override { handled += count; }
  void inputsRecalled() override { tell("recalled"); }
  kante_status emitted(std::uint32_t output, MessageRef& message, std::uint8_t hops,
                       std::uint64_t token) override {
    if (no_room) return KANTE_E_AGAIN;
    const std::string body(message.view().body());
    tell("emit " + std::to_string(output) + " " +
         (body.size() > 100 ? std::to_string(body.size()) + " bytes" : body) + " hops " +
         std::to_string(hops) + " token " + std::to_string(token));
    return KANTE_OK;
  }
  void lost(std::uint32_t output, const MessageRef& message) override {
    tell("lost " + std::to_string(output) + " " + std::string(message.view().body()));
  }
  void together(const std::function<void()>& work) override { work(); }
  void eventEnded(std::uint32_t type, std::uint64_t token, kante_status status,
                  const std::string& text) override {
    tell("ended " + std::to_string(type) + " " + std::to_string(token) + " " +
         std::to_string(status) + " " + text);
  }
  void violated(const std::string& what) override { tell("violated: " + what); }
  void died(const LifeEnd& end) override {
    tell(std::string("died") + (end.by == LifeEnd::By::kOutside ? " from outside" : "") +
         (end.in_input ? " in input" : "") + ": " + end.reason);
  }

  // ---- ModulePort ----
  kante_status sealMessage(void*, std::uint32_t, kante_msg**) override { return KANTE_E_STATE; }
  kante_status emit(std::uint32_t, kante_msg*, std::uint64_t) override { return KANTE_E_STATE; }
  kante_status publish(std::uint32_t, void*, std::uint32_t, std::uint64_t) override {
    return KANTE_E_STATE;
  }
  kante_status settle(std::uint64_t token, kante_status status) override {
    tell("settle " + std::to_string(token) + " " + std::to_string(status));
    return settled;
  }
  void drained() override { tell("drained"); }
  void log(std::uint32_t level, std::string_view text) override {
    tell("log " + std::to_string(level) + " " + std::string(text));
  }
  void explain(kante_status code, std::string_view text) override {
    tell("explain " + std::to_string(code) + " " + std::string(text));
  }
  kante_status report(kante_msg*, std::uint64_t token) override { return asked("report", token); }
  kante_status reply(std::uint64_t token, std::int32_t code, kante_msg*) override {
    return asked("reply " + std::to_string(code), token);
  }
  std::uint64_t nowNs() override { return 0; }
  kante_status setTimer(std::uint32_t, std::uint64_t, std::uint64_t) override { return KANTE_OK; }
  kante_status cancelTimer(std::uint32_t) override { return KANTE_OK; }
  kante_status defineMetric(std::string_view name, std::uint32_t kind, std::uint32_t* id) override {
    *id = 7;
    tell("metric " + std::string(name) + " " + std::to_string(kind));
    return KANTE_OK;
  }
  void addMetric(std::uint32_t id, std::int64_t delta) override {
    tell("add " + std::to_string(id) + " " + std::to_string(delta));
  }
  void recordMetric(std::uint32_t id, double value) override {
    tell("record " + std::to_string(id) + " " + std::to_string(value));
  }
  kante_status storageGet(std::string_view key, std::uint64_t token) override {
    return asked("get " + std::string(key), token);
  }
  kante_status storagePut(std::string_view key, kante_msg*, std::uint64_t token) override {
    return asked("put " + std::string(key), token);
  }
  kante_status storageErase(std::string_view key, std::uint64_t token) override {
    return asked("erase " + std::string(key), token);
  }
  kante_status saveState(std::uint64_t token, std::uint64_t format, const void* data,
                         std::size_t size) override {
    tell("saved " + std::to_string(token) + " " + std::to_string(format) + " " +
         std::string(static_cast<const char*>(data), size));
    return KANTE_OK;
  }
  void ready() override { tell("ready"); }
  kante_status defer(std::uint32_t ms) override { return asked("defer", ms); }
  kante_status invoke(std::string_view target, std::string_view name, kante_msg*,
                      std::uint32_t timeout_ms, std::uint64_t token) override {
    return asked("invoke " + std::string(target) + " " + std::string(name) + " " +
                     std::to_string(timeout_ms),
                 token);
  }
  void promisedReady() override {}

 private:
  kante_status asked(const std::string& what, std::uint64_t token) {
    tell(what + " token " + std::to_string(token));
    return answer;
  }
  void tell(std::string text) {
    const std::lock_guard lock(mutex_);
    told_.push_back(std::move(text));
  }
  std::mutex mutex_;
  std::vector<std::string> told_;
};

}  // namespace kante
