// What the store's tests share: a directory of their own, a quiet log, messages, and waiting.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <string>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/message/message.h"
#include "host/store/store.h"

namespace kante {

class TempDirectory {
 public:
  explicit TempDirectory(const std::string& parent = "/tmp")
      : path_(parent + "/kante-test-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Remembers what became of each ticket.
class Answers final : public CommitSink {
 public:
  void onCommitted(std::span<const Done> done) override {
    const std::lock_guard lock(mutex_);
    for (const Done& one : done) results_[one.ticket] = one.result;
    changed_
        .notify_all();  // Under the lock: whoever waits may end this object as soon as it has it.
  }
  // Waits until `count` tickets were answered.
  bool wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return results_.size() >= count; });
  }
  std::map<std::uint64_t, CommitResult> results() {
    const std::lock_guard lock(mutex_);
    return results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, CommitResult> results_;
};

inline MessageRef textMessage(const std::string& body, std::int64_t expiry_ns = 0) {
  kante_property property{{"kind", 4}, {"test", 4}};
  kante_message message{};
  message.id_high = 1;
  message.id_low = 2;
  message.properties = &property;
  message.property_count = 1;
  message.expiry_ns = expiry_ns;
  message.body = {body.data(), body.size()};
  return *buildMessage(message);
}

inline const Source& testSource() {
  static const Source source{
      "module/a", "out", "/messages/modules/a/outputs/out", "", "edge-1", "a", "module/a/out"};
  return source;
}

inline Entry entryOf(const std::string& body, std::uint8_t priority = 9, std::int64_t ttl_ns = 0) {
  Entry entry;
  entry.message = textMessage(body);
  entry.hop.source = &testSource();
  entry.hop.arrived_ns = 77;
  entry.hop.hops = 3;
  entry.priority = priority;
  entry.ttl_ns = ttl_ns;
  return entry;
}

class StoreTest : public ::testing::Test {
 protected:
  explicit StoreTest(const std::string& parent = "/tmp") : temp_(parent) {}

  void open(StoreOptions options = {}) {
    store_.reset();
    options.directory = directory();
    if (options.max_bytes == StoreOptions().max_bytes) options.max_bytes = 4u << 20;
    auto store = Store::open(options, clock_, log_);
    ASSERT_FALSE(store.has_error()) << store.error().text;
    store_ = std::move(*store);
  }
  std::string directory() const { return temp_.path() + "/store"; }

  DurableQueue& queue(const std::string& name = "upstream", QueueSpec spec = {}) {
    auto queue = store_->queue(name, spec);
    EXPECT_FALSE(queue.has_error()) << queue.error().text;
    return **queue;
  }
  // Offers and waits for the commit.
  CommitResult put(DurableQueue& queue, Entry entry) {
    Answers answers;
    while (true) {
      const Offer offer = queue.offer(entry, &answers, 1);
      if (offer == Offer::kFull) return CommitResult::kFull;
      if (offer == Offer::kTaken) break;
    }
    EXPECT_TRUE(answers.wait(1));
    return answers.results()[1];
  }
  TakenBatch take(DurableQueue& queue, TakeRequest request = {}) {
    auto promise = std::make_shared<std::promise<TakenBatch>>();
    auto batch = promise->get_future();
    queue.take(request, [promise](Result<TakenBatch> taken) {
      promise->set_value(taken.has_error() ? TakenBatch() : std::move(*taken));
    });
    if (batch.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
      ADD_FAILURE() << "nothing was handed out";
      return {};
    }
    return batch.get();
  }
  QueueStats stats(DurableQueue& queue) {
    std::promise<QueueStats> promise;
    queue.stats([&](QueueStats stats) { promise.set_value(std::move(stats)); });
    return promise.get_future().get();
  }
  static std::vector<std::string> bodies(const TakenBatch& batch) {
    std::vector<std::string> bodies;
    for (const TakenMessage& message : batch.messages) {
      bodies.emplace_back(message.record.message.body());
    }
    return bodies;
  }
  static std::vector<QueueToken> tokens(const TakenBatch& batch) {
    std::vector<QueueToken> tokens;
    for (const TakenMessage& message : batch.messages) tokens.push_back(message.token);
    return tokens;
  }

  TempDirectory temp_;
  ManualClock clock_;
  SystemClock real_clock_;  // For what waits by itself.
  Log log_{Log::Format::kSilent};
  std::unique_ptr<Store> store_;
};

inline TakeRequest numbered(std::uint32_t messages_max = 64) {
  TakeRequest request;
  request.messages_max = messages_max;
  request.numbering = Numbering::kNumbers;
  return request;
}

}  // namespace kante
