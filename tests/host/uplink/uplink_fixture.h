// A gateway's uplink with everything real around it: a store on disk, a broker, a cloud that
// collects.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "host/base/trusted_clock.h"
#include "host/hub/methods.h"
#include "host/hub/twins.h"
#include "host/uplink/mqtt_uplink.h"
#include "tests/host/store/store_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/mosquitto.h"
#include "tests/support/tls_material.h"

namespace kante {

using testing::BrokerOptions;
using testing::Mosquitto;
using testing::MqttPeer;
using testing::PeerOptions;
using testing::Received;
using testing::TlsMaterial;

class UplinkTest : public ::testing::Test {
 protected:
  UplinkTest() : work_(control_.get_executor()), control_thread_([this] { control_.run(); }) {
    openStore();
  }
  ~UplinkTest() override {
    stopUplink();
    onControl([this] {
      twins_.reset();
      methods_.reset();
    });
    work_.reset();
    control_.stop();
    control_thread_.join();
  }

  void openStore() {
    StoreOptions options;
    options.directory = temp_.path() + "/store";
    options.max_bytes = 32u << 20;
    store_.reset();
    auto store = Store::open(options, clock_, log_);
    ASSERT_FALSE(store.has_error()) << store.error().text;
    store_ = std::move(*store);
  }

  MqttUplinkOptions optionsFor(const std::string& url) {
    MqttUplinkOptions options;
    options.gateway_id = "edge-1";
    options.version = "1.2.3";
    options.url = url;
    return options;
  }
  Result<std::unique_ptr<MqttUplink>> make(MqttUplinkOptions options) {
    MqttUplink::Host host{*store_,
                          clock_,
                          log_,
                          [this](std::function<void()> work) { boost::asio::post(control_, std::move(work)); },
                          twins_.get(),
                          methods_.get(),
                          nullptr,
                          wall_.get()};
    host.document = take_document_;
    return MqttUplink::make(std::move(options), std::move(host));
  }
  void startUplink(MqttUplinkOptions options) {
    stopUplink();
    onControl([&] {
      auto uplink = make(std::move(options));
      ASSERT_FALSE(uplink.has_error()) << uplink.error().text;
      uplink_ = std::move(*uplink);
      ASSERT_FALSE(uplink_->start().has_error());
    });
  }
  void stopUplink() {
    onControl([this] { uplink_.reset(); });
  }
  void onControl(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(control_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  DurableQueue& queue() { return **store_->queue("upstream", spec_); }
  void send(int from, int to) {
    DurableQueue& upstream = queue();
    Answers answers;
    for (int i = from; i < to; ++i) {
      Entry entry = entryOf(std::to_string(i));
      while (upstream.offer(entry, &answers, static_cast<std::uint64_t>(i)) == Offer::kBusy) {
      }
    }
    ASSERT_TRUE(answers.wait(static_cast<std::size_t>(to - from)));
  }
  void put(const std::string& body) {
    Answers answers;
    Entry entry = entryOf(body);
    ASSERT_EQ(queue().offer(entry, &answers, 1), Offer::kTaken);
    ASSERT_TRUE(answers.wait(1));
  }
  bool eventuallyState(const std::string& state) {
    return eventually([&] { return uplink_->status().state == state; });
  }
  bool eventuallyReason(const std::string& part) {
    return eventually([&] { return uplink_->status().reason.find(part) != std::string::npos; });
  }
  // In the log, where it stays: a reason goes with the next attempt.
  bool eventuallySaid(const std::string& part) {
    return eventually([&] {
      for (const LogLine& line : log_.kept("uplink"))
        for (const auto& [key, value] : line.fields)
          if (value.find(part) != std::string::npos) return true;
      return false;
    });
  }
  bool eventuallyEmpty() {
    DurableQueue& upstream = queue();
    return eventually([&] { return upstream.messages() == 0; });
  }
  static std::vector<std::string> payloads(const std::vector<Received>& received) {
    std::vector<std::string> payloads;
    for (const Received& message : received) payloads.push_back(message.payload);
    return payloads;
  }
  // Waits until `count` different numbers came.
  static bool waitForNumbers(MqttPeer& cloud, std::size_t count) {
    return cloud.waitUntil([count](const std::vector<Received>& all) {
      std::set<std::string> numbers;
      for (const Received& message : all) numbers.insert(message.property("kante-seq"));
      return numbers.size() >= count;
    });
  }
  // Numbers 1 … count, each once and in order.
  static ::testing::AssertionResult gapless(const std::vector<Received>& received,
                                            std::size_t count) {
    std::uint64_t expected = 0;
    for (const Received& message : received) {
      const std::uint64_t seq = std::stoull(message.property("kante-seq"));
      if (seq <= expected) continue;  // Sent again.
      if (seq != expected + 1) {
        return ::testing::AssertionFailure() << "after " << expected << " came " << seq;
      }
      expected = seq;
    }
    if (expected != count)
      return ::testing::AssertionFailure() << "the last number is " << expected;
    return ::testing::AssertionSuccess();
  }

  static constexpr char kTopic[] = "kante/v1/edge-1/telemetry/module/a/out";

  TempDirectory temp_;
  SystemClock clock_;
  Log log_{Log::Format::kSilent};
  QueueSpec spec_;
  std::unique_ptr<TrustedClock> wall_;  // Null: the wall clock is believed.
  boost::asio::io_context control_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread control_thread_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<StoreMap> map_;
  std::unique_ptr<Twins> twins_;
  std::unique_ptr<Methods> methods_;
  TakeDocument take_document_;
  std::unique_ptr<MqttUplink> uplink_;
};

}  // namespace kante
