// Sends numbered messages as fast as credit allows, or (config {"paced":true}) one for each answer.
#include <cstdlib>
#include <new>
#include <string>

#include "bench_module.h"

namespace {

using namespace kante;

std::uint64_t numberIn(std::string_view json, std::string_view key, std::uint64_t otherwise) {
  const auto at = json.find("\"" + std::string(key) + "\":");
  if (at == std::string_view::npos) return otherwise;
  return std::strtoull(std::string(json.substr(at + key.size() + 3)).c_str(), nullptr, 10);
}

struct Source {
  const kante_host* host = nullptr;
  MessageTemplate shape;
  std::string body;
  std::uint64_t count = 0;  // To send in all.
  std::uint64_t sent = 0;
  bool paced = false;

  kante_status sendOne() {
    BenchBody head{sent, benchTicks()};
    std::memcpy(body.data(), &head, sizeof head);
    void* scratch = nullptr;
    const std::uint32_t words = shape.words(body.size());
    kante_status status = host->msg_alloc(host, words, 0, &scratch);
    if (status != KANTE_OK) return status;
    shape.write(scratch, body);
    status = host->publish(host, 0, scratch, words, 0);
    if (status != KANTE_OK) {
      host->msg_abandon(host, scratch);
      return status;
    }
    ++sent;
    return KANTE_OK;
  }

  void sendAll() {
    while (sent < count && sendOne() == KANTE_OK) {
    }
  }
};

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  auto* source = new (std::nothrow) Source;
  if (source == nullptr) return KANTE_E_LIMIT;
  source->host = host;
  const std::string_view json = toView(kante_message_body(host->msg_words(config, nullptr)));
  source->count = numberIn(json, "count", 1000);
  source->paced = json.find("\"paced\":true") != std::string_view::npos;
  source->body.assign(numberIn(json, "bytes", 256), 'x');
  if (numberIn(json, "properties", 2) == 2) {
    source->shape =
        MessageTemplate("application/octet-stream", "", {{"level", "high"}, {"site", "muc"}});
  } else {
    source->shape = MessageTemplate("application/octet-stream", "");
  }
  const auto* timers =
      static_cast<const kante_timers_v1*>(host->get_extension(host, KANTE_EXT_TIMERS));
  timers->set(host, 0, 0, 0);
  *out = reinterpret_cast<kante_module*>(source);
  return KANTE_OK;
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  auto& source = *reinterpret_cast<Source*>(module);
  switch (event->type) {
    case KANTE_EVENT_TIMER:
    case KANTE_EVENT_WRITABLE:
    case KANTE_EVENT_INPUT:
      if (source.paced) {
        if (source.sent < source.count) (void)source.sendOne();
      } else {
        source.sendAll();
      }
      return KANTE_OK;
    default: return KANTE_E_UNSUPPORTED;
  }
}

void destroy(kante_module* module) { delete reinterpret_cast<Source*>(module); }

const char* const kInputs[] = {"next", nullptr};
const char* const kOutputs[] = {"out", nullptr};

}  // namespace

extern "C" const kante_entry kante_module_entry{sizeof(kante_entry),
                                                KANTE_MAGIC,
                                                KANTE_ABI_MAJOR,
                                                KANTE_ABI_MINOR,
                                                "dev.kante.bench-source",
                                                "1.0.0",
                                                kInputs,
                                                kOutputs,
                                                create,
                                                onEvent,
                                                destroy,
                                                nullptr};
