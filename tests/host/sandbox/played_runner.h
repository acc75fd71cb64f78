// A runner whose part a test plays: the same descriptors, the same rings, and no process.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "host/sandbox/runner_source.h"
#include "sandbox/wire/frame_codec.h"
#include "sandbox/wire/shared_file.h"
#include "sandbox/wire/start.h"
#include "tests/support/eventually.h"

namespace kante {

class PlayedRunner {
 public:
  explicit PlayedRunner(const SpawnOrder& order)
      : order_(order),
        control_(::dup(order.control_fd)),
        log_(::dup(order.log_fd)),
        doorbell_(::dup(order.doorbell_fd)),
        host_file_(::dup(order.host_file_fd)),
        runner_file_(::dup(order.runner_file_fd)) {}

  const SpawnOrder& order() const { return order_; }
  void closeControl() { control_.reset(); }

  // ---- the conversation ----
  template <typename Struct>
  void say(const Struct& said) const {
    ASSERT_EQ(::send(control_.get(), &said, sizeof said, MSG_NOSIGNAL),
              static_cast<ssize_t>(sizeof said));
  }
  template <typename Struct>
  Struct hear() const {
    Struct heard{};
    EXPECT_EQ(::recv(control_.get(), &heard, sizeof heard, 0), static_cast<ssize_t>(sizeof heard));
    return heard;
  }
  static Hello hello() {
    Hello said;
    said.wire_version = kWireVersion;
    said.pid = 1;
    return said;
  }
  static Facts facts() {
    Facts said;
    said.landlock_abi = 7;
    said.no_new_privs = 1;
    said.seccomp_mode = 2;
    said.refused = said.tried = 10;
    return said;
  }
  static std::unique_ptr<Loaded> loaded() {
    auto said = std::make_unique<Loaded>();
    said->has_filter2 = 1;
    said->inputs = 1;
    said->outputs = 2;
    const char names[] = "in\0out\0alert";
    std::memcpy(said->names, names, sizeof names);
    return said;
  }
  Start converse() {
    say(hello());
    const auto start = hear<Start>();
    say(facts());
    (void)hear<Load>();
    map();
    say(*loaded());
    return start;
  }
  void print(const std::string& text) const {
    ASSERT_EQ(::write(log_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  // ---- the rings ----
  void map() {
    auto files = RunnerFiles::map(host_file_.get(), runner_file_.get(), kRingBytesDefault);
    ASSERT_FALSE(files.has_error()) << files.error().text;
    files_ = std::make_unique<RunnerFiles>(std::move(*files));
    peer_sleep_ = std::make_unique<PeerSleep>(files_->hostPage().end);
    ring_out_ = std::make_unique<RingWriter>(files_->ringToHost(), kRingBytesDefault, page().end,
                                             files_->hostPage().end, *peer_sleep_);
    ring_in_ = std::make_unique<RingReader>(files_->ringFromHost(), kRingBytesDefault, page().end,
                                            files_->hostPage().end, *peer_sleep_);
    writer_ = std::make_unique<FrameWriter>(*ring_out_);
    reader_ = std::make_unique<FrameReader>(*ring_in_, FrameReader::From::kHost);
  }
  RunnerPage& page() { return files_->page(); }
  const HostPage& hostPage() const { return files_->hostPage(); }
  std::byte* ring() { return files_->ringToHost(); }
  void ringDoorbell() const { (void)!::write(doorbell_.get(), "\1\0\0\0\0\0\0", 8); }

  void write(const FrameOut& frame) {
    FrameWriter::Wrote wrote = FrameWriter::Wrote::kNothing;
    ASSERT_TRUE(eventually([&] {
      wrote = wrote == FrameWriter::Wrote::kSome ? writer_->resume() : writer_->write(frame);
      ring_out_->publish();
      ringDoorbell();
      return wrote == FrameWriter::Wrote::kAll;
    }));
  }
  void write(Frame kind, std::uint64_t token = 0, std::int32_t status = 0,
             std::string_view text = {}, std::uint32_t id = 0, std::uint64_t arg = 0) {
    FrameOut frame;
    frame.kind = kind;
    frame.token = token;
    frame.status = status;
    frame.text = text;
    frame.id = id;
    frame.arg = arg;
    write(frame);
  }
  void write(Frame kind, const MessageRef& message, std::uint64_t token = 0,
             std::string_view text = {}, std::uint64_t arg = 0, std::uint32_t id = 0) {
    FrameOut frame;
    frame.kind = kind;
    frame.id = id;
    frame.token = token;
    frame.text = text;
    frame.arg = arg;
    frame.words = message.words();
    frame.word_count = message.wordCount();
    write(frame);
  }
  void emit(std::uint32_t output, const std::string& json, std::uint64_t token = 0) {
    write(Frame::kEmit, *jsonMessage(json), token, {}, 1, output);
  }
  // The next frame of the host.
  FrameIn read() {
    FrameIn frame;
    EXPECT_TRUE(eventually([&] {
      const bool got = reader_->next(frame) == FrameReader::Got::kFrame;
      ring_in_->giveBack(RingReader::Returning::kEverything);
      if (!got) ringDoorbell();
      return got;
    }));
    return frame;
  }
  // Whether there is none.
  bool hears() {
    FrameIn frame;
    return reader_->next(frame) == FrameReader::Got::kFrame;
  }
  void created() {
    EXPECT_EQ(read().kind, Frame::kCreate);
    write(Frame::kCreated);
  }
  void handled(std::uint64_t count) {
    page().handled.store(count, std::memory_order_release);
    ringDoorbell();
  }

 private:
  SpawnOrder order_;
  FileDescriptor control_, log_, doorbell_, host_file_, runner_file_;
  std::unique_ptr<RunnerFiles> files_;
  std::unique_ptr<PeerSleep> peer_sleep_;
  std::unique_ptr<RingWriter> ring_out_;
  std::unique_ptr<RingReader> ring_in_;
  std::unique_ptr<FrameWriter> writer_;
  std::unique_ptr<FrameReader> reader_;
};

// Hands a test its runners.  What look() finds is what a tier promises, unless changed.
class PlayedSource final : public RunnerSource {
 public:
  explicit PlayedSource(boost::asio::io_context& io) : io_(io) {
    seen.no_new_privs = 1;
    seen.seccomp_mode = 2;
    seen.namespaces = {1, 2, 3, 4, 5, 6};
  }
  std::uint32_t spawn(const SpawnOrder& order, LauncherClient::OnSpawned on_spawned,
                      LauncherClient::OnExited on_exited) override {
    exit_ = std::move(on_exited);
    boost::asio::post(io_, [on_spawned = std::move(on_spawned)] {
      SpawnedRunner spawned;
      spawned.id = 1;
      spawned.pid = 4711;
      on_spawned(std::move(spawned));
    });
    runner.set_value(std::make_unique<PlayedRunner>(order));
    return 1;
  }
  void kill(std::uint32_t) override {
    Exited exited;
    exited.signal = SIGKILL;
    exited.asked = 1;
    end(exited);
  }
  Result<SeenRunner> look(const SpawnedRunner&) override { return seen; }
  // Control thread.
  void end(const Exited& exited) {
    if (const auto exit = std::exchange(exit_, nullptr); exit)
      boost::asio::post(io_, [exit, exited] { exit(exited); });
  }
  // Before anything else that waits there.
  void endAtOnce(const Exited& exited) {
    if (const auto exit = std::exchange(exit_, nullptr); exit) exit(exited);
  }

  SeenRunner seen;
  std::promise<std::unique_ptr<PlayedRunner>> runner;

 private:
  boost::asio::io_context& io_;
  LauncherClient::OnExited exit_;
};

}  // namespace kante
