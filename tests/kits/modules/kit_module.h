// What the modules of the kits share: the bare C interface with a thin skin, so that a test decides
// every status and every call itself.
#pragma once

#include <kante/message.hpp>

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace kit {

using namespace kante;

class Module {
 public:
  Module(const kante_host* host, kante_msg* config)
      : host_(host), config_(toView(kante_message_body(host->msg_words(config, nullptr)))) {}
  virtual ~Module() = default;
  virtual kante_status event(const kante_event& event) = 0;

 protected:
  template <typename Table>
  const Table* extension(const char* id) const {
    return static_cast<const Table*>(host_->get_extension(host_, id));
  }
  // A number of the configuration, which is a flat object written without spaces.
  long long number(const std::string& name, long long otherwise = 0) const {
    const std::size_t at = config_.find("\"" + name + "\":");
    return at == std::string::npos ? otherwise : std::atoll(config_.c_str() + at + name.size() + 3);
  }
  std::string text(const std::string& name) const {
    const std::size_t at = config_.find("\"" + name + "\":\"");
    if (at == std::string::npos) return "";
    const std::size_t from = at + name.size() + 4;
    return config_.substr(from, config_.find('"', from) - from);
  }
  bool has(const std::string& name) const {
    return config_.find("\"" + name + "\"") != std::string::npos;
  }

  void log(const std::string& text) const { host_->log(host_, 2, toStr(text)); }
  kante_status explain(kante_status status, const std::string& text) const {
    host_->explain(host_, status, toStr(text));
    return status;
  }
  // A message with this body; null when there is no memory for it.
  kante_msg* make(std::string_view body) const {
    void* scratch = nullptr;
    kante_msg* message = nullptr;
    const std::uint32_t words = prepare(body, &scratch);
    if (words == 0) return nullptr;
    if (host_->msg_seal(host_, scratch, words, &message) == KANTE_OK) return message;
    host_->msg_abandon(host_, scratch);
    return nullptr;
  }
  kante_status publish(std::uint32_t output, std::string_view body, std::uint64_t token = 0) const {
    void* scratch = nullptr;
    const std::uint32_t words = prepare(body, &scratch);
    if (words == 0) return KANTE_E_LIMIT;
    const kante_status status = host_->publish(host_, output, scratch, words, token);
    if (status != KANTE_OK) host_->msg_abandon(host_, scratch);
    return status;
  }
  static std::string bodyOf(const kante_event& event) {
    return event.words == nullptr ? "" : std::string(toView(kante_message_body(event.words)));
  }

  const kante_host* const host_;

 private:
  std::uint32_t prepare(std::string_view body, void** scratch) const {
    kante_message message{};
    message.content_type = toStr("application/json");
    message.content_encoding = toStr("utf-8");
    message.body = toStr(body);
    const std::uint32_t words = kante_message_words(&message);
    if (words == 0 || host_->msg_alloc(host_, words, 0, scratch) != KANTE_OK) return 0;
    kante_message_write(&message, *scratch, words);
    return words;
  }

  const std::string config_;
};

template <typename Derived>
kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  *out = reinterpret_cast<kante_module*>(static_cast<Module*>(new Derived(host, config)));
  return KANTE_OK;
}
inline kante_status onEvent(kante_module* module, const kante_event* event) {
  return reinterpret_cast<Module*>(module)->event(*event);
}
inline void destroy(kante_module* module) { delete reinterpret_cast<Module*>(module); }

}  // namespace kit

#define KIT_MODULE(Derived, name, create_function)                         \
  extern "C" KANTE_EXPORT const kante_entry kante_module_entry = {         \
      sizeof(kante_entry), KANTE_MAGIC,  KANTE_ABI_MAJOR, KANTE_ABI_MINOR, \
      "dev.kante." name,   "1.0.0",      kInputs,         kOutputs,        \
      create_function,     kit::onEvent, kit::destroy,    nullptr}
