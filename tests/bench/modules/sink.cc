// Counts what it gets, checks that the numbers rise by one, and (config {"answer":true}) answers
// each.  With {"report_at":N} it sends what it counted by the N-th message from its output
// "answer", because nobody can look at it in a runner.
#include <cstdio>
#include <ctime>
#include <new>

#include "bench_module.h"

namespace {

using namespace kante;

BenchFigures g_figures;  // Read from outside through get_extension.

struct Sink {
  const kante_host* host = nullptr;
  MessageTemplate shape{"", ""};
  std::uint64_t next = 0;
  bool answer = false;
  std::uint64_t report_at = 0;
  std::uint64_t received = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t first_ns = 0;
};

std::uint64_t monotonicNs() {
  timespec at{};
  ::clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(at.tv_nsec);
}

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  auto* sink = new (std::nothrow) Sink;
  if (sink == nullptr) return KANTE_E_LIMIT;
  sink->host = host;
  const std::string_view json = toView(kante_message_body(host->msg_words(config, nullptr)));
  sink->answer = json.find("\"answer\":true") != std::string_view::npos;
  sink->report_at = benchNumberIn(json, "report_at", 0);
  g_figures.received.store(0);
  g_figures.out_of_order.store(0);
  g_figures.samples.store(0);
  *out = reinterpret_cast<kante_module*>(sink);
  return KANTE_OK;
}

void send(Sink& sink, std::string_view body) {
  void* scratch = nullptr;
  const std::uint32_t words = sink.shape.words(body.size());
  if (sink.host->msg_alloc(sink.host, words, 0, &scratch) != KANTE_OK) return;
  sink.shape.write(scratch, body);
  if (sink.host->publish(sink.host, 0, scratch, words, 0) != KANTE_OK) {
    sink.host->msg_abandon(sink.host, scratch);
  }
}

void report(Sink& sink) {
  char text[256];
  const std::uint64_t now = monotonicNs();
  std::snprintf(text, sizeof text,
                "{\"received\":%llu,\"out_of_order\":%llu,\"first_ns\":%llu,\"last_ns\":%llu}",
                static_cast<unsigned long long>(sink.received),
                static_cast<unsigned long long>(sink.out_of_order),
                static_cast<unsigned long long>(sink.first_ns),
                static_cast<unsigned long long>(now));
  send(sink, text);
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  if (event->type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
  auto& sink = *reinterpret_cast<Sink*>(module);
  BenchBody head;
  std::memcpy(&head, toView(kante_message_body(event->words)).data(), sizeof head);
  if (head.number != sink.next) {
    g_figures.out_of_order.store(g_figures.out_of_order.load(std::memory_order_relaxed) + 1,
                                 std::memory_order_relaxed);
  }
  if (head.number != sink.next) ++sink.out_of_order;
  sink.next = head.number + 1;
  if (sink.report_at != 0) {
    if (sink.received++ == 0) sink.first_ns = monotonicNs();
    if (sink.received == sink.report_at) report(sink);
    return KANTE_OK;
  }
  if (sink.answer) {
    const std::uint32_t at = g_figures.samples.load(std::memory_order_relaxed);
    if (at < BenchFigures::kSamplesMax) {
      g_figures.sample_ticks[at] = static_cast<std::uint32_t>(benchTicks() - head.sent_ticks);
      g_figures.samples.store(at + 1, std::memory_order_relaxed);
    }
    send(sink, {});
  }
  g_figures.received.store(g_figures.received.load(std::memory_order_relaxed) + 1,
                           std::memory_order_release);
  return KANTE_OK;
}

void destroy(kante_module* module) { delete reinterpret_cast<Sink*>(module); }

const void* extension(const char* id) {
  return std::string_view(id) == "bench.figures/1" ? &g_figures : nullptr;
}

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {"answer", nullptr};

}  // namespace

extern "C" const kante_entry kante_module_entry{sizeof(kante_entry),
                                                KANTE_MAGIC,
                                                KANTE_ABI_MAJOR,
                                                KANTE_ABI_MINOR,
                                                "dev.kante.bench-sink",
                                                "1.0.0",
                                                kInputs,
                                                kOutputs,
                                                create,
                                                onEvent,
                                                destroy,
                                                extension};
