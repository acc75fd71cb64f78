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
  DownloadEnd end;
  FileDescriptor file;  // Where the end is kWhole.
};

struct Candidate {
  const FetchSource* source;
  std::int64_t pause_ms;
  Time due = {};
  int tries = 0;
  bool refused = false;
  std::string why = {};
};

Attempt openFile(const FetchSource& source, const std::string& digest) {
  auto file = openAt(AT_FDCWD, source.target, O_RDONLY | O_NONBLOCK);
  if (!file) return {{Kind::kAgain, file.error().text, 0}, {}};
  struct stat status {};
  if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode))
    return {{Kind::kRefused, source.target + " is not a file", 0}, {}};
  const auto found = payloadDigest(file->get());
  // It may still be being copied.
  if (!found) return {{Kind::kAgain, found.error().text, 0}, {}};
  if (*found != digest) return {{Kind::kRefused, "it is another bundle: " + *found, 0}, {}};
  return {{Kind::kWhole, {}, 0}, std::move(*file)};
}

}  // namespace

struct Fetcher::State {
  State(Options given, Host of, FileDescriptor into)
      : options(std::move(given)), host(std::move(of)), folder(std::move(into)) {}

  void run();
  Result<FileDescriptor> work(Job& job);
  Attempt attempt(Job& job, const FetchSource& source);
  Attempt download(Job& job, const FetchSource& source);
  Attempt gather(Job& job, const FetchSource& source);
  Attempt taken(PartFile& part, bool resumed) const;
  void settle(Job& job, Candidate& candidate, const DownloadEnd& end);
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
    auto result = std::make_shared<Result<FileDescriptor>>(work(*job));
    show(*job, {});
    if (job->cancelled) continue;
    host.post([job, result] {
      if (!job->cancelled.exchange(true)) job->fetched(std::move(*result));
    });
  }
}

Result<FileDescriptor> Fetcher::State::work(Job& job) {
  if (Status clean = PartFile::removeAllBut(folder.get(), job.wanted.digest); !clean)
    host.log.warn(kWho, "cannot tidy up: " + clean.error().text);
  std::vector<Candidate> candidates;
  for (const FetchSource& source : job.wanted.from) {
    const FetchTimes& times = options.times;
    const bool file = source.kind == FetchSource::Kind::kFile;
    candidates.push_back({&source, job.patience == Patience::kFewTries ? times.few_ms
                                   : file                              ? times.file_ms
                                                                       : times.first_ms});
  }
  for (;;) {
    Candidate* first = nullptr;
    for (Candidate& one : candidates)
      if (!one.refused && (first == nullptr || one.due < first->due)) first = &one;
    if (first == nullptr) break;
    if (!wait(job, first->due)) return fail(Errc::kState, "given up");
    Attempt attempt = this->attempt(job, *first->source);
    if (attempt.end.kind == Kind::kWhole) return std::move(attempt.file);
    if (attempt.end.kind == Kind::kCancelled) return fail(Errc::kState, "given up");
    settle(job, *first, attempt.end);
  }
  std::string text = job.wanted.digest + " cannot be had";
  for (const Candidate& one : candidates)
    text += (&one == candidates.data() ? ": " : "; ") + one.source->shown + ": " + one.why;
  return fail(Errc::kNotFound, text);
}

Attempt Fetcher::State::attempt(Job& job, const FetchSource& source) {
  show(job, {job.wanted.digest, source.shown, 0, 0, {}});
  switch (source.kind) {
    case FetchSource::Kind::kFile: return openFile(source, job.wanted.digest);
    case FetchSource::Kind::kHttp: return download(job, source);
    case FetchSource::Kind::kUplink: break;
  }
  if (!host.chunk) return {{Kind::kRefused, "this gateway has no uplink", 0}, {}};
  return gather(job, source);
}

// Goes on amid a piece if another source left off there.
Attempt Fetcher::State::gather(Job& job, const FetchSource& source) {
  auto part = PartFile::open(folder.get(), job.wanted.digest);
  if (!part) return {{Kind::kAgain, part.error().text, 0}, {}};
  const bool resumed = part->bytes() != 0;
  const auto goes_on = [&job, this] { return !job.cancelled && !ending; };
  while (!part->isWhole()) {
    const auto began = std::chrono::steady_clock::now();
    const auto n = static_cast<std::uint32_t>(part->bytes() / kChunkBytes);
    const std::uint64_t from = part->bytes() % kChunkBytes;
    const auto piece = host.chunk(job.wanted.digest, n, goes_on);
    if (!goes_on()) return {{Kind::kCancelled, {}, 0}, {}};
    if (!piece) return {{Kind::kAgain, piece.error().text, 0}, {}};
    // A short one is the last, which the bundle's own head says.
    const Status added =
        piece->size() > from
            ? part->append(std::string_view(*piece).substr(from))
            : Status(fail(Errc::kCorrupt, "piece " + std::to_string(n) + " is too short"));
    const bool ends_early =
        added && piece->size() < kChunkBytes && part->bytesOfAll() != part->bytes();
    if (!added || ends_early) {
      if (added || added.error().code == Errc::kCorrupt) (void)part->restart();
      return {{Kind::kAgain,
               added ? "piece " + std::to_string(n) + " is too short" : added.error().text, 0},
              {}};
    }
    const std::uint64_t of = part->bytesOfAll();
    show(job, {job.wanted.digest, source.shown, part->bytes(), of, {}},
         of != 0 && part->bytes() * 10 / of != (part->bytes() - piece->size()) * 10 / of);
    if (const std::uint64_t rate = options.download.bytes_per_s; rate != 0)
      if (!wait(job, began + std::chrono::milliseconds(piece->size() * 1000 / rate)))
        return {{Kind::kCancelled, {}, 0}, {}};
  }
  return taken(*part, resumed);
}

Attempt Fetcher::State::download(Job& job, const FetchSource& source) {
  auto part = PartFile::open(folder.get(), job.wanted.digest);
  if (!part) return {{Kind::kAgain, part.error().text, 0}, {}};
  const bool resumed = part->bytes() != 0;
  std::uint64_t tenth = ~std::uint64_t{0};
  const DownloadEnd end =
      kante::download(source, *part, options.download, [&](std::uint64_t bytes, std::uint64_t of) {
        const std::uint64_t now = of == 0 ? 0 : bytes * 10 / of;
        const bool telling = std::exchange(tenth, now) != now;
        show(job, {job.wanted.digest, source.shown, bytes, of, {}}, telling);
        return !job.cancelled && !ending;
      });
  if (end.kind != Kind::kWhole) return {end, {}};
  return taken(*part, resumed);
}

Attempt Fetcher::State::taken(PartFile& part, bool resumed) const {
  auto file = part.take();
  if (file) return {{Kind::kWhole, {}, 0}, std::move(*file)};
  if (file.error().code != Errc::kCorrupt) return {{Kind::kAgain, file.error().text, 0}, {}};
  if (Status empty = part.restart(); !empty) return {{Kind::kAgain, empty.error().text, 0}, {}};
  // What was there before may have been the wrong part.
  return {{resumed ? Kind::kAgain : Kind::kRefused, file.error().text, 0}, {}};
}

void Fetcher::State::settle(Job& job, Candidate& candidate, const DownloadEnd& end) {
  const bool news = std::exchange(candidate.why, end.why) != end.why;
  const bool enough = job.patience == Patience::kFewTries && ++candidate.tries >= kFewTries;
  candidate.refused = end.kind == Kind::kRefused || enough;
  if (news || candidate.refused)  // It may be tried for days.
    host.log.warn(
        kWho, candidate.refused ? "not from there" : "not yet from there",
        {{"bundle", job.wanted.digest}, {"source", candidate.source->shown}, {"why", end.why}});
  show(job, {job.wanted.digest, candidate.source->shown, 0, 0, end.why});
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
