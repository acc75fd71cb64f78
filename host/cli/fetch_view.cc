#include "host/cli/fetch_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdio>

#include "host/cli/json_view.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kLook{1};
constexpr std::size_t kDigestShown = 15;  // "sha256:" and eight digits.

}  // namespace

FetchView::FetchView(HostOptions options)
    : options_(std::move(options)),
      terminal_(::isatty(STDERR_FILENO) == 1),
      thread_([this] { run(); }) {}

FetchView::~FetchView() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    wake_.notify_all();
  }
  thread_.join();
  if (terminal_ && !shown_.empty()) std::fprintf(stderr, "\r\x1b[K");
}

void FetchView::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return over_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void FetchView::look() {
  auto client = options_.connect();
  if (!client) return;
  const auto body = client->get("/v1/status");
  const auto status = body ? parseReply(*body) : Result<boost::json::value>(body.error());
  if (!status) return;
  const boost::json::value& now = member(member(*status, "deployment"), "fetching");
  if (!now.is_object()) return;
  const std::string problem = printable(textOf(now, "problem"));
  const double of = real(now, "of");
  const std::string what = textOf(now, "bundle");
  std::string line =
      "fetching " +
      (what.starts_with("sha256:") ? what.substr(0, kDigestShown) + "…" : printable(what)) +
      " from " + printable(textOf(now, "source"));
  if (!textOf(now, "base").empty()) line += ", a delta";
  if (!problem.empty()) line += ": " + problem;
  if (!terminal_) {
    if (line != shown_) std::fprintf(stderr, "%s\n", line.c_str());
  } else {
    if (of > 0)
      line += fmt::format("  {} of {}, {:.0f} %", formatBytes(real(now, "bytes")), formatBytes(of),
                          real(now, "bytes") * 100 / of);
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  }
  shown_ = line;
}

}  // namespace kante::cli
