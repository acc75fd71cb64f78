// Sends numbered messages as fast as credit allows, or (config {"paced":true}) one for each answer,
// {"pause_us":N} after it; how long each answer took is in its figures.
#include <new>
#include <string>

#include "bench_module.h"

namespace {

using namespace kante;

BenchFigures g_figures;  // Of the round trips, read from outside through get_extension.

struct Source {
  const kante_host* host = nullptr;
  MessageTemplate shape;
  std::string body;
  std::uint64_t count = 0;  // To send in all.
  std::uint64_t sent = 0;
  bool paced = false;
  std::uint64_t pause_us = 0;
  std::uint64_t sent_ticks = 0;
  const kante_timers_v1* timers = nullptr;

  kante_status sendOne() {
    sent_ticks = benchTicks();
    const BenchBody head{sent, sent_ticks};
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

  void answered() {
    const std::uint32_t at = g_figures.samples.load(std::memory_order_relaxed);
    if (at < BenchFigures::kSamplesMax) {
      g_figures.sample_ticks[at] = static_cast<std::uint32_t>(benchTicks() - sent_ticks);
      g_figures.samples.store(at + 1, std::memory_order_relaxed);
    }
    g_figures.received.store(g_figures.received.load(std::memory_order_relaxed) + 1,
                             std::memory_order_release);
    if (sent >= count) return;
    if (pause_us == 0) {
      (void)sendOne();
    } else {
      timers->set(host, 0, pause_us * 1000, 0);
    }
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
  source->count = benchNumberIn(json, "count", 1000);
  source->paced = json.find("\"paced\":true") != std::string_view::npos;
  source->body.assign(benchNumberIn(json, "bytes", 256), 'x');
  if (benchNumberIn(json, "properties", 2) == 2) {
    source->shape =
        MessageTemplate("application/octet-stream", "", {{"level", "high"}, {"site", "muc"}});
  } else {
    source->shape = MessageTemplate("application/octet-stream", "");
  }
  source->pause_us = benchNumberIn(json, "pause_us", 0);
  g_figures.received.store(0);
  g_figures.samples.store(0);
  source->timers = static_cast<const kante_timers_v1*>(host->get_extension(host, KANTE_EXT_TIMERS));
  source->timers->set(host, 0, 0, 0);
  *out = reinterpret_cast<kante_module*>(source);
  return KANTE_OK;
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  auto& source = *reinterpret_cast<Source*>(module);
  switch (event->type) {
    case KANTE_EVENT_INPUT:
      if (source.paced) source.answered();
      return KANTE_OK;
    case KANTE_EVENT_TIMER:
    case KANTE_EVENT_WRITABLE:
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

const void* extension(const char* id) {
  return std::string_view(id) == "bench.figures/1" ? &g_figures : nullptr;
}

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
                                                extension};
