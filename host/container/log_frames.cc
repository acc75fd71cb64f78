#include "host/container/log_frames.h"

#include <algorithm>
#include <utility>

#include "host/container/engine_facts.h"

namespace kante {

namespace {
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kTimeBytesMax = 40;
}  // namespace

Status LogFrames::take(std::string_view bytes) {
  if (framing_ == Framing::kRaw) {
    add(streams_[0], bytes);
    return {};
  }
  while (!bytes.empty()) {
    if (left_ == 0) {
      const std::size_t size = std::min(kHeaderBytes - header_.size(), bytes.size());
      header_ += bytes.substr(0, size);
      bytes.remove_prefix(size);
      if (header_.size() == kHeaderBytes) KANTE_CHECK(beginFrame());
      continue;
    }
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    add(streams_[current_], bytes.substr(0, size));
    bytes.remove_prefix(size);
    left_ -= size;
  }
  return {};
}

Status LogFrames::beginFrame() {
  const auto byte = [this](std::size_t i) { return static_cast<std::uint8_t>(header_[i]); };
  // 0 and 1 are output; 3 is what the engine itself has to say about the log.
  if (byte(0) > 3 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0)
    return fail(Errc::kCorrupt, "the engine's log stream has a frame that is none");
  current_ = byte(0) >= 2 ? 1 : 0;
  left_ = 0;
  for (std::size_t i = 4; i < kHeaderBytes; ++i) left_ = left_ << 8 | byte(i);
  header_.clear();
  streams_[current_].in_time = left_ > 0;
  streams_[current_].time.clear();
  return {};
}

void LogFrames::add(Stream& stream, std::string_view bytes) {
  while (!bytes.empty()) {
    if (framing_ == Framing::kRaw && std::exchange(stream.begins, false)) stream.in_time = true;
    if (stream.in_time) {
      bytes = takeTime(stream, bytes);
      continue;
    }
    const std::size_t end = bytes.find('\n');
    append(stream, bytes.substr(0, end));
    if (end == std::string_view::npos) return;
    emit(stream);
    stream.cutting = false;
    stream.begins = true;
    stream.time.clear();
    bytes.remove_prefix(end + 1);
  }
}

// What is no time is text.
std::string_view LogFrames::takeTime(Stream& stream, std::string_view bytes) {
  const std::size_t end = bytes.find_first_of(" \n");
  const std::size_t size = std::min(end, bytes.size());
  if (stream.time.size() + size > kTimeBytesMax ||
      (end != std::string_view::npos && bytes[end] == '\n')) {
    stream.in_time = false;
    append(stream, stream.time);
    return bytes;
  }
  stream.time += bytes.substr(0, size);
  if (end == std::string_view::npos) return {};
  stream.in_time = false;
  if (const auto time = parseEngineTime(stream.time)) {
    stream.wall_ns = *time;
    return bytes.substr(end + 1);
  }
  append(stream, stream.time);
  return bytes.substr(end);
}

void LogFrames::append(Stream& stream, std::string_view text) {
  if (stream.cutting) return;
  stream.text += text.substr(0, kLineMax - stream.text.size());
  if (stream.text.size() < kLineMax) return;
  stream.text += "…";
  emit(stream);
  stream.cutting = true;
}

void LogFrames::emit(Stream& stream) {
  ContainerLine line;
  line.from = &stream == &streams_[1] ? ContainerLine::From::kError : ContainerLine::From::kOutput;
  line.wall_ns = stream.wall_ns;
  line.text = std::exchange(stream.text, {});
  if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
  if (!line.text.empty()) on_line_(line);
}

void LogFrames::finish() {
  for (Stream& stream : streams_) {
    if (stream.in_time) append(stream, stream.time);
    stream.in_time = false;
    emit(stream);
    stream.cutting = false;
  }
}

}  // namespace kante
