// Shards that run, lanes on them, and a way to do something there and wait for it.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "host/shard/lane.h"

namespace kante {

class ShardFixture : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kShards = 3;

  ShardFixture() {
    for (std::uint32_t i = 0; i < kShards; ++i) {
      shards_.push_back(std::make_shared<Shard>(i, &slots_[i]));
      shards_.back()->start();
    }
  }
  ~ShardFixture() override {
    for (const auto& [lane, shard] : lanes_) {
      on(*shard, [&lane = lane] { lane->close(); });
    }
    for (const auto& shard : shards_) shard->stop();
  }

  // Runs it on the shard and returns when it has run.
  static void on(Shard& shard, const std::function<void()>& task) {
    // Shared: set_value() may still be at work when wait() returns.
    const auto done = std::make_shared<std::promise<void>>();
    shard.post([&task, done] {
      task();
      done->set_value();
    });
    done->get_future().wait();
  }

  // What was sent from any shard has arrived where it goes: a turn hands over at its end.
  void handOver() {
    for (int round = 0; round < 2; ++round) {
      for (const auto& shard : shards_) on(*shard, [] {});
    }
  }

  std::shared_ptr<Lane> lane(std::uint32_t shard, const std::string& name = "lane") {
    auto made = std::make_shared<Lane>(name, shards_[shard]);
    lanes_.emplace_back(made, shards_[shard]);
    return made;
  }

  std::shared_ptr<Link> link(const std::shared_ptr<Lane>& lane, LinkLimits limits = {},
                             WhenFull when_full = WhenFull::kBlock,
                             Link::Crossing crossing = Link::Crossing::kYes,
                             std::uint8_t priority = 9) {
    LinkPlan plan;
    plan.lane = lane;
    plan.priority = priority;
    plan.when_full = when_full;
    plan.limits = limits;
    plan.counts = std::make_shared<RouteCounts>();
    return std::make_shared<Link>(plan, crossing);
  }

  static MessageRef message(std::uint64_t number) {
    auto made = jsonMessage(std::to_string(number));
    return *made;
  }
  static std::uint64_t numberOf(const Delivery& delivery) {
    return std::stoull(std::string(delivery.message.view().body()));
  }
  // As an instance does it: on the sending shard's thread.
  static void send(Shard& from, Link& link, std::uint64_t number) {
    MessageRef sent = message(number);
    link.queued(static_cast<std::uint32_t>(sent.bytes()));
    link.lane->offer(from, {std::move(sent), Hop{}, from.bootNs(), &link});
  }
  static std::uint64_t drops(const Link& link, DropReason reason) {
    return link.dropped[static_cast<std::size_t>(reason)].load();
  }

  std::array<CallbackSlot, kShards> slots_;
  std::vector<std::shared_ptr<Shard>> shards_;
  std::vector<std::pair<std::shared_ptr<Lane>, std::shared_ptr<Shard>>> lanes_;
};

// Notes what it gets.
struct Collector : Consumer {
  Outcome consume(Delivery& delivery) override {
    if (before) before(delivery);
    if (again > 0) {
      --again;
      return Outcome::kAgain;
    }
    numbers.push_back(std::stoull(std::string(delivery.message.view().body())));
    count.store(numbers.size());
    return Outcome::kDone;
  }
  std::function<void(const Delivery&)> before;
  int again = 0;
  std::vector<std::uint64_t> numbers;  // The lane's shard only.
  std::atomic<std::size_t> count{0};
};

}  // namespace kante
