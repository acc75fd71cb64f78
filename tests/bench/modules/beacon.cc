// Writes one byte to the named pipe of its configuration when its first message comes.
#include <fcntl.h>
#include <unistd.h>

#include <kante/message.hpp>
#include <new>
#include <string>

namespace {

using namespace kante;

struct Beacon {
  std::string path;
  bool lit = false;
};

kante_status create(const kante_host* host, kante_msg* config, kante_module** out) {
  auto* beacon = new (std::nothrow) Beacon;
  if (beacon == nullptr) return KANTE_E_LIMIT;
  const std::string_view json = toView(kante_message_body(host->msg_words(config, nullptr)));
  constexpr std::string_view kKey = "\"pipe\":\"";
  if (const auto at = json.find(kKey); at != std::string_view::npos) {
    const std::string_view rest = json.substr(at + kKey.size());
    beacon->path = rest.substr(0, rest.find('"'));
  }
  *out = reinterpret_cast<kante_module*>(beacon);
  return KANTE_OK;
}

kante_status onEvent(kante_module* module, const kante_event* event) {
  if (event->type != KANTE_EVENT_INPUT) return KANTE_E_UNSUPPORTED;
  auto& beacon = *reinterpret_cast<Beacon*>(module);
  if (beacon.lit || beacon.path.empty()) return KANTE_OK;
  beacon.lit = true;
  const int pipe = ::open(beacon.path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (pipe < 0) return KANTE_OK;
  const ssize_t written = ::write(pipe, "!", 1);
  ::close(pipe);
  return written == 1 ? KANTE_OK : KANTE_E_INTERNAL;
}

void destroy(kante_module* module) { delete reinterpret_cast<Beacon*>(module); }

const char* const kInputs[] = {"in", nullptr};
const char* const kOutputs[] = {nullptr};

}  // namespace

extern "C" const kante_entry kante_module_entry{sizeof(kante_entry),
                                                KANTE_MAGIC,
                                                KANTE_ABI_MAJOR,
                                                KANTE_ABI_MINOR,
                                                "dev.kante.bench-beacon",
                                                "1.0.0",
                                                kInputs,
                                                kOutputs,
                                                create,
                                                onEvent,
                                                destroy,
                                                nullptr};
