// What a container engine sends without end: log frames (first byte even) or lines of events and
// pulls (odd).  In one piece or in many it is the same, and every line keeps its bound.
//
// fuzz-links: kante_container
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "host/container/engine_facts.h"
#include "host/container/json_lines.h"
#include "host/container/log_frames.h"

namespace {

using namespace kante;

void require(bool holds) {
  if (!holds) std::abort();
}

// All that was understood, as one text.
std::string readLog(std::string_view bytes, std::size_t step, LogFrames::Framing framing) {
  std::string out;
  LogFrames frames(framing, [&out](const ContainerLine& line) {
    require(!line.text.empty() && line.text.size() <= LogFrames::kLineMax + 3);
    require(line.text.find('\n') == std::string::npos);
    out += std::to_string(line.wall_ns) + (line.from == ContainerLine::From::kError ? "!" : " ") +
           line.text + "\n";
  });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size())))
    if (!frames.take(bytes.substr(0, step))) return out + "broken";
  frames.finish();
  return out;
}

std::string readLines(std::string_view bytes, std::size_t step) {
  std::string out;
  JsonLines lines([&out](std::string_view line) -> Status {
    require(!line.empty() && line.size() <= JsonLines::kLineBytesMax);
    if (const auto event = readEvent(line)) out += event->action + event->id + event->name;
    KANTE_TRY(progress, readPullProgress(line));
    out += progress.layer + progress.text;
    return {};
  });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size())))
    if (!lines.take(bytes.substr(0, step))) return out + "broken";
  return out + (lines.finish() ? "" : "broken");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t whole = size;
  for (const std::size_t step : {1, 7}) {
    if (data[0] % 2 == 1) {
      require(readLines(bytes, whole) == readLines(bytes, step));
      continue;
    }
    for (const auto framing : {LogFrames::Framing::kFrames, LogFrames::Framing::kRaw})
      require(readLog(bytes, whole, framing) == readLog(bytes, step, framing));
  }
  (void)readContainerFacts(bytes);
  (void)readContainerList(bytes);
  (void)readImageList(bytes);
  (void)readEngineFacts(bytes);
  (void)readWaitEnd(bytes);
  (void)readGateway(bytes);
  return 0;
}
