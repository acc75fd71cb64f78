// kante-bench store: messages a second that are on disk, through the store's own interface, beside
// raw LMDB and a file that is appended to and synced; and what that writes to a disk.
#include <fmt/format.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/message/message.h"
#include "host/store/store.h"
#include "tests/bench/bench.h"
#include "tests/bench/store_bench.h"

namespace kante::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kStoreBytes = 512u << 20;
constexpr std::uint64_t kFileBytes = 2 * kStoreBytes + (8u << 20);
constexpr double kRequired = 150'000;  // Messages a second of 256 bytes, in full groups.

constexpr int kPaced = 10;  // Messages, a hundred milliseconds apart.

class Directory {
 public:
  Directory() {
    // On a disk, where /tmp may be memory.
    const char* parent = std::getenv("KANTE_BENCH_DIR");
    path_ = std::string(parent != nullptr ? parent : "/var/tmp") + "/kante-bench-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) {
      std::fprintf(stderr, "bench: %s cannot be made; KANTE_BENCH_DIR names another folder\n",
                   path_.c_str());
      std::exit(1);
    }
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string make(const std::string& name) const {
    std::filesystem::create_directory(path_ + "/" + name);
    return path_ + "/" + name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

double secondsSince(SteadyClock::time_point began) {
  return std::chrono::duration<double>(SteadyClock::now() - began).count();
}

const Source& source() {
  static const Source source{"module/filter",
                             "alert",
                             "/messages/modules/filter/outputs/alert",
                             "",
                             "edge-1",
                             "filter",
                             "module/filter/alert"};
  return source;
}

std::vector<MessageRef> makeMessages(std::size_t body_bytes) {
  std::vector<MessageRef> messages;
  for (std::uint64_t i = 0; i < 1024; ++i) {
    const std::string body(body_bytes, static_cast<char>('a' + i % 26));
    kante_property properties[2] = {{{"temperature", 11}, {"21.5", 4}}, {{"unit", 4}, {"C", 1}}};
    kante_message message{};
    message.id_high = 1;
    message.id_low = i;
    message.properties = properties;
    message.property_count = 2;
    message.body = {body.data(), body.size()};
    messages.push_back(*buildMessage(message));
  }
  return messages;
}

// Keeps `group` messages on their way for a while: what was committed is offered again from the
// answer, so that each group of the store has as many.
class Feeder final : public CommitSink {
 public:
  Feeder(DurableQueue& queue, const std::vector<MessageRef>& messages)
      : queue_(queue), messages_(messages) {}

  double run(std::size_t group, double seconds) {
    const auto began = SteadyClock::now();
    end_ = began + std::chrono::duration_cast<SteadyClock::duration>(
                       std::chrono::duration<double>(seconds));
    {
      const std::lock_guard lock(mutex_);
      open_ = group;
      done_ = 0;
    }
    for (std::size_t i = 0; i < group; ++i) offer();
    wait();
    return static_cast<double>(done_) / secondsSince(began);
  }
  // One message, without waiting for it.
  void one() {
    {
      const std::lock_guard lock(mutex_);
      ++open_;
    }
    offer();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return open_ == 0; });
  }
  void onCommitted(std::span<const Done> done) override {
    for (const Done& one : done) {
      if (one.result != CommitResult::kCommitted) {
        std::fprintf(stderr, "bench: the store refused a message\n");
        std::exit(1);
      }
    }
    const bool more = SteadyClock::now() < end_;
    if (more) {
      for (std::size_t i = 0; i < done.size(); ++i) offer();
    }
    const std::lock_guard lock(mutex_);
    done_ += done.size();
    if (more) return;
    open_ -= done.size();
    if (open_ == 0) ended_.notify_all();
  }

 private:
  void offer() {
    Entry entry{messages_[next_++ % messages_.size()], Hop{&source(), 1, 1}, 9, 0};
    while (queue_.offer(entry, this, 0) != Offer::kTaken) std::this_thread::yield();
  }

  DurableQueue& queue_;
  const std::vector<MessageRef>& messages_;
  std::size_t next_ = 0;
  SteadyClock::time_point end_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t open_ = 0;
  std::uint64_t done_ = 0;
};

// Takes and acknowledges until the queue is empty, as a consumer does: the acknowledgement and the
// next take go into one group.
class Drainer {
 public:
  Drainer(DurableQueue& queue, TakeRequest request) : queue_(queue), request_(request) {}

  double run(std::uint64_t messages) {
    const auto began = SteadyClock::now();
    start(messages);
    wait();
    return static_cast<double>(messages) / secondsSince(began);
  }
  void start(std::uint64_t messages) {
    left_ = messages;
    take();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return empty_; });
  }

 private:
  void take() {
    queue_.take(request_, [this](Result<TakenBatch> batch) {
      std::vector<QueueToken> tokens;
      tokens.reserve(batch->messages.size());
      for (const TakenMessage& message : batch->messages) tokens.push_back(message.token);
      left_ -= tokens.size();
      queue_.acknowledge(std::move(tokens));
      if (left_ > 0) return take();
      queue_.stats([this](const QueueStats&) {  // After the last acknowledgement.
        const std::lock_guard lock(mutex_);
        empty_ = true;
        ended_.notify_all();
      });
    });
  }

  DurableQueue& queue_;
  const TakeRequest request_;
  std::uint64_t left_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool empty_ = false;
};

// A store in a directory of its own.
class KanteStore final : public Keeper {
 public:
  KanteStore(const std::string& directory, SyncPolicy sync) {
    StoreOptions options;
    options.directory = directory;
    options.max_bytes = kStoreBytes;
    options.sync = sync;
    auto store = Store::open(options, clock_, log_);
    auto queue = store ? (*store)->queue("upstream") : Result<DurableQueue*>(store.error());
    if (!queue) {
      std::fprintf(stderr, "bench: %s\n", queue.error().text.c_str());
      std::exit(1);
    }
    store_ = std::move(*store);
    queue_ = *queue;
  }
  void setMessages(std::size_t body_bytes) { messages_ = makeMessages(body_bytes); }
  std::size_t recordBytes() {
    one(0);
    const std::size_t bytes = queue_->bytes();
    drain(64, Numbering::kNone);
    return bytes - 13;
  }

  Rates round(std::size_t group, std::size_t) override {
    Rates rates;
    rates.in = Feeder(*queue_, messages_).run(group, kRoundSeconds);
    rates.out = drain(group, Numbering::kNone);
    return rates;
  }
  Rates numberedRound(std::size_t group) {
    Rates rates;
    rates.in = Feeder(*queue_, messages_).run(group, kRoundSeconds);
    rates.out = drain(group, Numbering::kNumbers);
    return rates;
  }
  void one(std::size_t) override { Feeder(*queue_, messages_).run(1, 0); }
  using Pace = std::function<void(const std::function<void()>&)>;
  // Messages at a pace, with nobody who takes them; returns when they are on disk.
  void keep(const Pace& pace) {
    Feeder feeder(*queue_, messages_);
    pace([&] { feeder.one(); });
    feeder.wait();
  }
  // The same, each one taken with its number and acknowledged as soon as it is there.
  void send(const Pace& pace) {
    Drainer reader(*queue_, {.messages_max = 64, .numbering = Numbering::kNumbers});
    Feeder feeder(*queue_, messages_);
    reader.start(kPaced);
    pace([&] { feeder.one(); });
    feeder.wait();
    reader.wait();
  }
  double drain(std::size_t group, Numbering numbering) {
    TakeRequest request;
    request.messages_max = static_cast<std::uint32_t>(group);
    request.numbering = numbering;
    return Drainer(*queue_, request).run(queue_->messages());
  }

 private:
  SystemClock clock_;
  Log log_{Log::Format::kText, LogLevel::kWarn};
  std::vector<MessageRef> messages_;
  std::unique_ptr<Store> store_;
  DurableQueue* queue_ = nullptr;
};

struct Medians {
  std::vector<double> in, out;
  void add(const Rates& rates) {
    in.push_back(rates.in);
    out.push_back(rates.out);
  }
};

void speed(std::size_t body, std::size_t group, KanteStore& store, Keeper& lmdb, Keeper& file,
           std::vector<Figure>& figures) {
  using enum Figure::Better;
  store.setMessages(body);
  const std::size_t record = store.recordBytes();
  Medians ours, theirs, bare;
  for (int round = 0; round < kRounds; ++round) {
    ours.add(store.round(group, body));
    theirs.add(lmdb.round(group, record));
    bare.add(file.round(group, record));
  }
  const std::string what = fmt::format("{} B, {} in flight", body, group);
  const double in = median(ours.in), out = median(ours.out);
  const bool full = body == 256 && group == Store::kGroupMessages;
  if (full) {
    figures.push_back({"durable, " + what, "msg/s", in, "required", kRequired, 1, kHigher});
    figures.push_back(
        {"taken, acknowledged, " + what, "msg/s", out, "required", kRequired, 1, kHigher});
  }
  figures.push_back({"durable, " + what, "msg/s", in, "raw LMDB", median(theirs.in), 0, kHigher});
  figures.push_back(
      {"durable, " + what, "msg/s", in, "append+fdatasync", median(bare.in), 0, kHigher});
  figures.push_back(
      {"taken, acknowledged, " + what, "msg/s", out, "raw LMDB", median(theirs.out), 0, kHigher});
  if (!full) return;
  Medians numbers;
  for (int round = 0; round < kRounds; ++round) numbers.add(store.numberedRound(group));
  figures.push_back({"taken with numbers, acknowledged, " + what, "msg/s", median(numbers.out),
                     "required", kRequired, 1, kHigher});
}

double writtenPerMessage(const std::function<void()>& run) {
  const std::uint64_t before = writtenBytes();
  run();
  return static_cast<double>(writtenBytes() - before) / kPaced;
}

void paced(const std::function<void()>& one) {
  const auto began = SteadyClock::now();
  for (int i = 0; i < kPaced; ++i) {
    std::this_thread::sleep_until(began + i * std::chrono::milliseconds(100));
    one();
  }
}

// New stores: what a large backlog leaves behind, LMDB's list of free pages, costs more a commit.
void wear(const Directory& directory, Keeper& file, std::vector<Figure>& figures) {
  using enum Figure::Better;
  KanteStore always(directory.make("always"), SyncPolicy::kAlways);
  KanteStore interval(directory.make("interval"), SyncPolicy::kInterval);
  always.setMessages(256);
  interval.setMessages(256);
  const std::size_t record = always.recordBytes();
  std::vector<double> kept, kept_slow, sent, sent_slow, bare;
  for (int round = 0; round < kRounds; ++round) {
    for (auto* store : {&always, &interval}) {
      auto& figure = store == &always ? kept : kept_slow;
      figure.push_back(writtenPerMessage([&] { store->keep(paced); }));
      store->drain(64, Numbering::kNone);
      auto& with_reader = store == &always ? sent : sent_slow;
      with_reader.push_back(writtenPerMessage([&] { store->send(paced); }));
    }
    bare.push_back(writtenPerMessage([&] { paced([&] { file.one(record); }); }));
  }
  const auto add = [&](const char* name, const std::vector<double>& values) {
    figures.push_back({name, "B/msg", median(values), "append+fdatasync", median(bare), 0, kLower});
  };
  add("written at 10/s, 256 B, kept, sync always", kept);
  add("written at 10/s, 256 B, kept, sync interval", kept_slow);
  add("written at 10/s, 256 B, kept and sent, sync always", sent);
  add("written at 10/s, 256 B, kept and sent, sync interval", sent_slow);
}

}  // namespace

std::vector<Figure> benchStore() {
  const Directory directory;
  std::vector<Figure> figures;
  KanteStore store(directory.make("store"), SyncPolicy::kAlways);
  const auto lmdb = rawLmdb(directory.make("lmdb"), kFileBytes);
  const auto file = appendedFile(directory.path(), kFileBytes);
  for (const std::size_t body : {64u, 256u, 4096u}) {
    for (const std::size_t group : {1u, 10u, 100u, 1000u}) {
      speed(body, group, store, *lmdb, *file, figures);
    }
  }
  wear(directory, *file, figures);
  return figures;
}

}  // namespace kante::bench
