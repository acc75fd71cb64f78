#include "host/base/trusted_clock.h"

#include <sys/timex.h>

#include <algorithm>
#include <boost/json.hpp>

#include "host/base/json.h"

namespace kante {

namespace {

constexpr std::size_t kFileBytesMax = 4096;
// Past the year 9999 nothing that prints or parses dates goes.
constexpr std::int64_t kLastS = 253'402'300'799;

constexpr const char* kFloorSources[] = {"when this build was made", "the time saved last",
                                         "when an accepted certificate begins"};

Result<std::int64_t> secondsIn(const boost::json::object& object, const char* member) {
  const auto* value = object.if_contains(member);
  if (value == nullptr || !value->is_int64() || value->get_int64() < 0 ||
      value->get_int64() > kLastS) {
    return fail(Errc::kCorrupt, std::string(TrustedClock::kFileName) + ": " + member +
                                    " is no number of seconds since 1970");
  }
  return value->get_int64();
}

void raise(std::atomic<std::int64_t>& floor, std::int64_t to) {
  std::int64_t before = floor.load();
  while (before < to && !floor.compare_exchange_weak(before, to)) {
  }
}

void lowerTo(std::atomic<std::int64_t>& floor, std::int64_t to) {
  std::int64_t before = floor.load();
  while (before > to && !floor.compare_exchange_weak(before, to)) {
  }
}

}  // namespace

const char* name(FloorFrom from) {
  static constexpr const char* kNames[] = {"build", "saved", "certificate"};
  return kNames[static_cast<int>(from)];
}

std::string ClockReading::reason() const {
  if (trusted) return {};
  return "the clock says " + formatUtc(wall_ns) + ", which is before " +
         formatUtc(floor_s * 1'000'000'000) + ", " + kFloorSources[static_cast<int>(floor_from)];
}

bool kernelSynchronised() {
  timex state{};
  return ::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

TrustedClock::TrustedClock(const Clock& clock, std::int64_t build_s, Synchronised synchronised)
    : clock_(clock), build_s_(build_s), synchronised_(std::move(synchronised)) {}

Status TrustedClock::keepIn(int dir_fd) {
  dir_fd_ = dir_fd;
  const auto text = readFile(dir_fd, kFileName, kFileBytesMax);
  if (!text && text.error().code == Errc::kNotFound) return {};
  const auto read = [&]() -> Status {
    KANTE_CHECK(text);
    auto object = parseJsonObject(*text, {kFileBytesMax, 4});
    if (!object) return within(kFileName, fail(Errc::kCorrupt, object.error().text));
    KANTE_TRY(saved_s, secondsIn(*object, "saved_s"));
    KANTE_TRY(certificate_s, secondsIn(*object, "certificate_s"));
    on_disk_saved_s_ = saved_s;
    on_disk_certificate_s_ = certificate_s;
    return {};
  }();
  on_disk_bad_ = read.has_error();
  raise(saved_s_, on_disk_saved_s_);
  raise(certificate_s_, on_disk_certificate_s_);
  return read;
}

std::int64_t TrustedClock::floorS() const {
  return std::max({build_s_, saved_s_.load(), certificate_s_.load()});
}

// The kernel is asked only by a clock that is behind, so that the usual answer costs no call.
bool TrustedClock::trusted() const {
  const std::int64_t now_s = wallS();
  return now_s >= floorS() || (now_s >= build_s_ && synchronised_());
}

JudgementTime TrustedClock::judgement() const {
  const std::int64_t now_s = wallS();
  const std::int64_t floor_s = floorS();
  if (now_s >= floor_s || (now_s >= build_s_ && synchronised_()))
    return {now_s, JudgementTime::Clock::kTrusted};
  return {floor_s, JudgementTime::Clock::kUntrusted};
}

ClockReading TrustedClock::read() const {
  ClockReading out;
  out.wall_ns = clock_.wallNs();
  out.synchronised = synchronised_();
  const std::int64_t now_s = out.wall_ns / 1'000'000'000;
  const std::int64_t saved_s = saved_s_.load();
  const std::int64_t certificate_s = certificate_s_.load();
  out.floor_s = std::max({build_s_, saved_s, certificate_s});
  out.floor_from = out.floor_s == build_s_  ? FloorFrom::kBuild
                   : out.floor_s == saved_s ? FloorFrom::kSaved
                                            : FloorFrom::kCertificate;
  if (now_s < out.floor_s && now_s >= build_s_ && out.synchronised) out.floor_s = now_s;
  out.trusted = now_s >= out.floor_s;
  return out;
}

void TrustedClock::accepted(std::int64_t not_before_s) {
  raise(certificate_s_, std::min(not_before_s, kLastS));
}

void TrustedClock::lower(std::int64_t now_s) {
  lowerTo(saved_s_, now_s);
  lowerTo(certificate_s_, now_s);
}

Status TrustedClock::tick() {
  const std::int64_t now_s = std::min(wallS(), kLastS);
  if (now_s >= build_s_ && now_s < floorS() && synchronised_()) lower(now_s);
  if (now_s >= floorS() && now_s - saved_s_.load() >= kSaveEveryS) raise(saved_s_, now_s);
  const std::int64_t saved_s = saved_s_.load();
  const std::int64_t certificate_s = certificate_s_.load();
  const bool same = saved_s == on_disk_saved_s_ && certificate_s == on_disk_certificate_s_;
  if (dir_fd_ < 0 || (same && !on_disk_bad_)) return {};
  const std::int64_t boot_ns = clock_.bootNs();
  if (boot_ns < retry_at_ns_) return {};
  const boost::json::object object{{"saved_s", saved_s}, {"certificate_s", certificate_s}};
  if (Status written = replaceFile(dir_fd_, kFileName, writeJson(object) + "\n"); !written) {
    retry_at_ns_ = boot_ns + kRetryNs;
    return within("the time cannot be saved", written.error());
  }
  on_disk_saved_s_ = saved_s;
  on_disk_certificate_s_ = certificate_s;
  on_disk_bad_ = false;
  return {};
}

}  // namespace kante
