// A link on a shard of its own, with a test in the place of its runner and another in that of its
// instance.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "host/sandbox/runner_link.h"
#include "tests/host/sandbox/played_runner.h"
#include "tests/host/sandbox/told.h"

namespace kante {

class LinkFixture : public ::testing::Test {
 protected:
  LinkFixture() { shard_->start(); }
  ~LinkFixture() override {
    if (link_) end();
    link_.reset();
    on([] {});
    shard_->stop();
    work_.reset();
    control_.stop();
    control_thread_.join();
  }

  // create(); what comes back is the runner.
  PlayedRunner& begin(std::uint32_t tier = kTierFull) {
    RunnerOrder order;
    order.name = "guest";
    order.module_id = "dev.kante.guest";
    order.module_file = "00.so";
    order.module_bytes = std::make_shared<const FileDescriptor>(::dup(0));
    order.tier = tier;
    order.memory_mb = 32;
    order.cpu_percent = cpu_percent_;
    auto made = RunnerLink::make({control_, source_, shard_, order});
    EXPECT_FALSE(made.has_error());
    link_ = *made;
    auto runner = source_.runner.get_future();
    on([&] {
      const auto config = *jsonMessage("{}");
      EXPECT_EQ(link_->create(host_, told_, config.get()), KANTE_PENDING);
    });
    runner_ = runner.get();
    return *runner_;
  }
  // A runner with a module in it, and routes.
  PlayedRunner& beginActive() {
    begin();
    runner_->converse();
    runner_->created();
    EXPECT_TRUE(eventually([&] { return told_.has("created 0 "); }));
    on([&] { link_->routesAreThere(); });
    return *runner_;
  }
  void exit(const Exited& exited) {
    boost::asio::post(control_, [this, exited] { source_.end(exited); });
  }
  void end() {
    std::promise<void> gone;
    on([&] { link_->destroy([&] { gone.set_value(); }); });
    exit({});
    gone.get_future().wait();
  }

  void on(const std::function<void()>& task) {
    const auto done = std::make_shared<std::promise<void>>();
    shard_->post([&task, done] {
      task();
      done->set_value();
    });
    done->get_future().wait();
  }
  kante_status input(const MessageRef& message, std::uint64_t token = 0) {
    kante_status status = KANTE_OK;
    on([&] {
      kante_event event{};
      event.struct_size = sizeof event;
      event.type = KANTE_EVENT_INPUT;
      event.token = token;
      event.name = {"module/a/b", 10};
      event.msg = message.get();
      event.words = message.words();
      event.word_count = message.wordCount();
      status = link_->onInput(event, 3);
    });
    return status;
  }
  kante_status input(const std::string& json, std::uint64_t token = 0) {
    return input(*jsonMessage(json), token);
  }
  kante_status event(std::uint32_t type, std::uint32_t id = 0, std::uint64_t token = 0,
                     const std::string& name = "", std::uint64_t arg = 0) {
    kante_status status = KANTE_OK;
    on([&] {
      kante_event raw{};
      raw.struct_size = sizeof raw;
      raw.type = type;
      raw.id = id;
      raw.token = token;
      raw.arg = arg;
      raw.name = {name.data(), name.size()};
      status = link_->onEvent(raw);
    });
    return status;
  }
  void expectTold(const std::string& text) {
    EXPECT_TRUE(eventually([&] { return told_.has(text); })) << text;
  }
  // How it ended is said so.
  void expectEnd(const std::string& begin, const std::string& reason) {
    EXPECT_TRUE(eventually([&] { return !told_.find(begin).empty(); })) << reason;
    EXPECT_NE(told_.find(begin).find(reason), std::string::npos) << told_.find(begin);
  }

  std::uint32_t cpu_percent_ = 0;
  boost::asio::io_context control_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      control_.get_executor()};
  std::thread control_thread_{[this] { control_.run(); }};
  CallbackSlot slot_;
  std::shared_ptr<Shard> shard_ = std::make_shared<Shard>(0, &slot_);
  PlayedSource source_{control_};
  Told told_;
  kante_host host_ = makeHostTable(told_);
  std::shared_ptr<RunnerLink> link_;
  std::unique_ptr<PlayedRunner> runner_;
};

}  // namespace kante
