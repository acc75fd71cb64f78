#include "host/fetch/fetcher.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "host/base/log.h"
#include "host/bundle/tree.h"
#include "host/fetch/part_file.h"

namespace kante {
namespace {

using Kind = DownloadEnd::Kind;
using Time = std::chrono::steady_clock::time_point;

constexpr const char* kWho = "fetch";
constexpr std::size_t kToldMax = 64;

struct Job {
  WantedBundle wanted;
  Fetcher::Patience patience;
  Fetcher::Fetched fetched;
  std::atomic<bool> cancelled{false};
  std::set<std::string> told;  // Sources with their problems; the fetcher's thread only.
};

struct Attempt {
  Attempt(DownloadEnd given, FileDescriptor of = {}) : end(std::move(given)), file(std::move(of)) {}
  Attempt(Kind kind, std::string why) : end{kind, std::move(why), 0} {}

  DownloadEnd end;
  FileDescriptor file;      // Where the end is kWhole; and below.
  std::uint64_t bytes = 0;  // That came for it.
  std::uint64_t saved = 0;
  bool brought_any = false;  // Something came, wherever it ended.
};

struct Candidate {
  const FetchSource* source;
  std::int64_t pause_ms;
  Time due = {};
  int tries = 0;
  int fruitless = 0;  // In a row.
  bool refused = false;
  std::string why = {};

  bool isFile() const { return source->kind == FetchSource::Kind::kFile; }
  bool isDelta() const { return !source->base.empty(); }
  // A broken link is no reason for more traffic.
  bool holdsWholesBack() const {
    return isDelta() && !isFile() && !refused && fruitless < Fetcher::kFruitlessMax;
  }
};

Result<FileDescriptor> bundleIn(int fd, int scratch_fd, const std::string& digest,
                                const BaseForm* base, const std::function<bool()>& goes_on) {
  if (base == nullptr) {
    KANTE_TRY(found, payloadDigest(fd));
    if (found != digest) return fail(Errc::kConflict, "it is another bundle: " + found);
    return FileDescriptor();
  }
  KANTE_TRY(head, readDelta(fd));
  if (Status fits = checkDelta(head, *base, digest); !fits)
    return fail(Errc::kConflict, fits.error().text);
  KANTE_TRY(made, unnamedFile(scratch_fd, "."));
  KANTE_CHECK(applyDelta(fd, *base, made.get(), goes_on));
  return made;
}

Attempt openFile(const FetchSource& source, int scratch_fd, const std::string& digest,
                 const BaseForm* base, const std::function<bool()>& goes_on) {
  auto file = openAt(AT_FDCWD, source.target, O_RDONLY | O_NONBLOCK);
  if (!file) return {Kind::kAgain, file.error().text};
  struct stat status {};
  if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode))
    return {Kind::kRefused, source.target + " is not a file"};
  auto made = bundleIn(file->get(), scratch_fd, digest, base, goes_on);
  if (!goes_on()) return {Kind::kCancelled, {}};
  if (!made) {
    // Else it may still be being copied.
    const bool other = made.error().code == Errc::kConflict;
    return {other ? Kind::kRefused : Kind::kAgain, made.error().text};
  }
  Attempt whole(DownloadEnd{Kind::kWhole, {}, 0},
                base == nullptr ? std::move(*file) : std::move(*made));
  whole.bytes = static_cast<std::uint64_t>(status.st_size);
  return whole;
}

std::string saidBy(const std::vector<Candidate>& candidates) {
  std::string text;
  for (const Candidate& one : candidates)
    if (!one.why.empty()) text += (text.empty() ? "" : "; ") + one.source->shown + ": " + one.why;
  return text;
}

}  // namespace

struct Fetcher::State {
  State(Options given, Host of, FileDescriptor into)
      : options(std::move(given)), host(std::move(of)), folder(std::move(into)) {}

  void run();
  std::vector<Candidate> candidatesOf(const Job& job) const;
  Result<FetchedBundle> work(Job& job);
  Attempt attempt(Job& job, const FetchSource& source);
  Attempt download(Job& job, const FetchSource& source, PartFile& part);
  Attempt gather(Job& job, const FetchSource& source, PartFile& part);
  Attempt taken(Job& job, PartFile& part, bool resumed) const;
  void settle(Job& job, Candidate& candidate, const Attempt& attempt);
  FetchProgress progressOf(const Job& job, const FetchSource& source, const PartFile& part) const;
  bool wait(const Job& job, Time until);
  void show(Job& job, FetchProgress now, bool telling = true);

  const Options options;
  const Host host;
  const FileDescriptor folder;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::atomic<bool> ending{false};
  std::shared_ptr<Job> next;     // And below: under the mutex.
  std::shared_ptr<Job> current;  // Who asked last.
  FetchProgress progress;
  std::minstd_rand jitter{std::random_device()()};  // The thread's own.
  std::thread thread;
};

void Fetcher::State::run() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return ending || next; });
      if (ending) return;
      job = std::exchange(next, nullptr);
    }
    auto result = std::make_shared<Result<FetchedBundle>>(work(*job));
    show(*job, {});
    if (job->cancelled) continue;
    host.post([job, result] {
      if (!job->cancelled.exchange(true)) job->fetched(std::move(*result));
    });
  }
}

std::vector<Candidate> Fetcher::State::candidatesOf(const Job& job) const {
  std::vector<Candidate> candidates;
  for (const FetchSource& source : job.wanted.from) {
    const FetchTimes& times = options.times;
    const bool file = source.kind == FetchSource::Kind::kFile;
    Candidate candidate{&source, job.patience == Patience::kFewTries ? times.few_ms
                                 : file                              ? times.file_ms
                                                                     : times.first_ms};
    if (candidate.isDelta() && !job.wanted.bases.contains(source.base)) {
      candidate.refused = true;
      candidate.why = "its base is not here: " + source.base;
      host.log.info(
          kWho, "no use for a delta",
          {{"bundle", job.wanted.digest}, {"source", source.shown}, {"why", candidate.why}});
    }
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

Result<FetchedBundle> Fetcher::State::work(Job& job) {
  if (Status clean = PartFile::removeAllBut(folder.get(), job.wanted.digest); !clean)
    host.log.warn(kWho, "cannot tidy up: " + clean.error().text);
  std::vector<Candidate> candidates = candidatesOf(job);
  for (;;) {
    const bool held = std::any_of(candidates.begin(), candidates.end(),
                                  [](const Candidate& one) { return one.holdsWholesBack(); });
    Candidate* first = nullptr;
    for (Candidate& one : candidates) {
      const bool waits = held && !one.isDelta() && !one.isFile();
      if (!one.refused && !waits && (first == nullptr || one.due < first->due)) first = &one;
    }
    if (first == nullptr) break;
    if (!wait(job, first->due)) return fail(Errc::kState, "given up");
    const FetchSource& source = *first->source;
    Attempt attempt = this->attempt(job, source);
    if (attempt.end.kind == Kind::kWhole)
      return FetchedBundle{std::move(attempt.file),
                           {job.wanted.digest, source.shown, source.base, attempt.bytes,
                            attempt.saved, saidBy(candidates)}};
    if (attempt.end.kind == Kind::kCancelled) return fail(Errc::kState, "given up");
    settle(job, *first, attempt);
  }
  return fail(Errc::kNotFound, job.wanted.digest + " cannot be had: " + saidBy(candidates));
}

Attempt Fetcher::State::attempt(Job& job, const FetchSource& source) {
  show(job, {job.wanted.digest, source.shown, 0, 0, {}, source.base});
  const BaseForm* base = source.base.empty() ? nullptr : job.wanted.bases.at(source.base).get();
  if (source.kind == FetchSource::Kind::kFile) {
    return openFile(source, folder.get(), job.wanted.digest, base,
                    [&job, this] { return !job.cancelled && !ending; });
  }
  if (source.kind == FetchSource::Kind::kUplink && !host.chunk)
    return {Kind::kRefused, "this gateway has no uplink"};
  auto part = PartFile::open(folder.get(), job.wanted.digest, base);
  if (!part) return {Kind::kAgain, part.error().text};
  const std::uint64_t before = part->bytes();
  Attempt attempt = source.kind == FetchSource::Kind::kHttp ? download(job, source, *part)
                                                            : gather(job, source, *part);
  attempt.brought_any = part->bytes() > before;
  attempt.bytes = part->bytes();
  if (part->bytesInstead() > part->bytes()) attempt.saved = part->bytesInstead() - part->bytes();
  return attempt;
}

FetchProgress Fetcher::State::progressOf(const Job& job, const FetchSource& source,
                                         const PartFile& part) const {
  return {job.wanted.digest, source.shown,       part.bytes(), part.bytesOfAll(), {},
          source.base,       part.bytesInstead()};
}

// Goes on amid a piece if another source left off there.
Attempt Fetcher::State::gather(Job& job, const FetchSource& source, PartFile& part) {
  const bool resumed = part.bytes() != 0;
  const auto goes_on = [&job, this] { return !job.cancelled && !ending; };
  while (!part.isWhole()) {
    const auto began = std::chrono::steady_clock::now();
    const auto n = static_cast<std::uint32_t>(part.bytes() / kChunkBytes);
    const std::uint64_t from = part.bytes() % kChunkBytes;
    const auto piece = host.chunk(job.wanted.digest, source.base, n, goes_on);
    if (!goes_on()) return {Kind::kCancelled, {}};
    if (!piece) return {Kind::kAgain, piece.error().text};
    // A short one is the last, which the file's own head says.
    const Status added =
        piece->size() > from
            ? part.append(std::string_view(*piece).substr(from))
            : Status(fail(Errc::kCorrupt, "piece " + std::to_string(n) + " is too short"));
    const bool ends_early =
        added && piece->size() < kChunkBytes && part.bytesOfAll() != part.bytes();
    if (!added || ends_early) {
      if (added || added.error().code != Errc::kIo) (void)part.restart();
      const bool useless = !added && added.error().code == Errc::kUnsupported;
      return {useless ? Kind::kRefused : Kind::kAgain,
              added ? "piece " + std::to_string(n) + " is too short" : added.error().text};
    }
    const std::uint64_t of = part.bytesOfAll();
    show(job, progressOf(job, source, part),
         of != 0 && part.bytes() * 10 / of != (part.bytes() - piece->size()) * 10 / of);
    if (const std::uint64_t rate = options.download.bytes_per_s; rate != 0)
      if (!wait(job, began + std::chrono::milliseconds(piece->size() * 1000 / rate)))
        return {Kind::kCancelled, {}};
  }
  return taken(job, part, resumed);
}

Attempt Fetcher::State::download(Job& job, const FetchSource& source, PartFile& part) {
  const bool resumed = part.bytes() != 0;
  std::uint64_t tenth = ~std::uint64_t{0};
  const DownloadEnd end =
      kante::download(source, part, options.download, [&](std::uint64_t bytes, std::uint64_t of) {
        const std::uint64_t now = of == 0 ? 0 : bytes * 10 / of;
        const bool telling = std::exchange(tenth, now) != now;
        show(job, progressOf(job, source, part), telling);
        return !job.cancelled && !ending;
      });
  if (end.kind != Kind::kWhole) return end;
  return taken(job, part, resumed);
}

Attempt Fetcher::State::taken(Job& job, PartFile& part, bool resumed) const {
  const auto goes_on = [&job, this] { return !job.cancelled && !ending; };
  auto file = part.take(goes_on);
  if (file) return {DownloadEnd{Kind::kWhole, {}, 0}, std::move(*file)};
  if (file.error().code == Errc::kCancelled) return {Kind::kCancelled, {}};
  if (file.error().code == Errc::kIo) return {Kind::kAgain, file.error().text};
  if (Status empty = part.restart(); !empty) return {Kind::kAgain, empty.error().text};
  // What was there before may have been the wrong part.
  return {resumed ? Kind::kAgain : Kind::kRefused, file.error().text};
}

void Fetcher::State::settle(Job& job, Candidate& candidate, const Attempt& attempt) {
  const DownloadEnd& end = attempt.end;
  const bool news = std::exchange(candidate.why, end.why) != end.why;
  candidate.fruitless = attempt.brought_any ? 0 : candidate.fruitless + 1;
  const bool enough = job.patience == Patience::kFewTries && ++candidate.tries >= kFewTries;
  candidate.refused = end.kind == Kind::kRefused || enough;
  if (news || candidate.refused)  // It may be tried for days.
    host.log.warn(
        kWho, candidate.refused ? "not from there" : "not yet from there",
        {{"bundle", job.wanted.digest}, {"source", candidate.source->shown}, {"why", end.why}});
  show(job, {job.wanted.digest, candidate.source->shown, 0, 0, end.why, candidate.source->base});
  // Somewhere in the upper half, so that a fleet does not return in one moment.
  const std::int64_t most = candidate.pause_ms;
  std::int64_t pause_ms = std::uniform_int_distribution<std::int64_t>(most / 2, most)(jitter);
  if (job.patience == Patience::kUntilCancelled) pause_ms = std::max(pause_ms, end.after_s * 1'000);
  candidate.due = std::chrono::steady_clock::now() + std::chrono::milliseconds(pause_ms);
  if (candidate.source->kind == FetchSource::Kind::kHttp)
    candidate.pause_ms = std::min(candidate.pause_ms * 2, options.times.max_ms);
}

bool Fetcher::State::wait(const Job& job, Time until) {
  std::unique_lock lock(mutex);
  wake.wait_until(lock, until, [&] { return ending || job.cancelled; });
  return !ending && !job.cancelled;
}

void Fetcher::State::show(Job& job, FetchProgress now, bool telling) {
  // Once is enough where nothing comes: each time there is a report, maybe over a metered link.
  if (telling && now.bytes == 0 && !now.digest.empty())
    telling = job.told.size() < kToldMax && job.told.insert(now.source + "\n" + now.problem).second;
  {
    const std::lock_guard lock(mutex);
    if (job.cancelled) return;  // Another one has it now, or nobody.
    progress = std::move(now);
  }
  if (telling && host.changed) host.post(host.changed);
}

Result<std::unique_ptr<Fetcher>> Fetcher::make(Options options, Host host) {
  if (!options.download.ca.empty()) {
    const auto ca = openAt(AT_FDCWD, options.download.ca, O_RDONLY);
    if (!ca) return within("ca", ca.error());
  }
  KANTE_TRY(folder, makeDirectory(options.folder));
  auto state = std::make_shared<State>(std::move(options), std::move(host), std::move(folder));
  state->thread = std::thread([raw = state.get()] { raw->run(); });
  return std::unique_ptr<Fetcher>(new Fetcher(std::move(state)));
}

Fetcher::Fetcher(std::shared_ptr<State> state) : state_(std::move(state)) {}

Fetcher::~Fetcher() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->ending = true;
    state_->wake.notify_all();
  }
  state_->thread.join();
}

std::shared_ptr<void> Fetcher::fetch(WantedBundle wanted, Patience patience, Fetched fetched) {
  auto job = std::make_shared<Job>();
  job->wanted = std::move(wanted);
  job->patience = patience;
  job->fetched = std::move(fetched);
  const auto cancel = [weak = std::weak_ptr(state_), job] {
    job->cancelled = true;
    const auto state = weak.lock();
    if (!state) return;
    const std::lock_guard lock(state->mutex);
    if (state->current == job) {
      state->next = state->current = nullptr;
      state->progress = {};
    }
    state->wake.notify_all();
  };
  const std::lock_guard lock(state_->mutex);
  if (state_->current) state_->current->cancelled = true;
  state_->next = state_->current = job;
  state_->progress = {job->wanted.digest, {}, 0, 0, {}};
  state_->wake.notify_all();
  return {nullptr, [cancel](void*) { cancel(); }};
}

void Fetcher::forget(const std::string& digest) {
  if (Status gone = PartFile::remove(state_->folder.get(), digest); !gone)
    state_->host.log.warn(kWho, "cannot tidy up: " + gone.error().text);
}

FetchProgress Fetcher::progress() const {
  const std::lock_guard lock(state_->mutex);
  return state_->progress;
}

}  // namespace kante
