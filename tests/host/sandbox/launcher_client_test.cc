// The host's end of the launcher, against a helper that does what a script says.
#include "host/sandbox/launcher_client.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <filesystem>
#include <fstream>

#include "tests/support/eventually.h"

namespace kante {
namespace {

using ::testing::HasSubstr;

// Every life writes its number and pid to "lives".  The first one says what it can do, and then
// hangs up without an end, unless it is told to; the others say nothing until there is "go", then
// what they can do, and that no runner can be started.
constexpr const char* kHelper = R"(#!/usr/bin/env python3
import os, signal, socket, struct, sys, time
folder = os.environ["KANTE_TEST_FOLDER"]
host = socket.socket(fileno=3)
with open(folder + "/lives", "a") as lives:
    lives.write(f"{os.getpid()}\n")
first = len(open(folder + "/lives").readlines()) == 1
signal.signal(signal.SIGTERM, signal.SIG_DFL)
can = struct.pack("<6I1024x", 2, 3, 1, 7, 1, 1)
while True:
    asked = host.recv(65536)
    if not asked:
        sys.exit()
    kind, number = struct.unpack_from("<2I", asked)
    if not first:
        while not os.path.exists(folder + "/go"):
            os.sched_yield()
    if kind == 1:
        host.send(can)
        if first:
            host.close()
            signal.pause()
    else:
        host.send(struct.pack("<2I2i4I2Q512s", 6, number, 0, 0, 0, 0, 0, 0, 0, 0, b"as the helper said"))
)";
static_assert(sizeof(Can) == 6 * 4 + 1024 && sizeof(Exited) == 8 * 4 + 16 + 512);

class LauncherClientTest : public ::testing::Test {
 protected:
  LauncherClientTest() {
    char name[] = "/tmp/launcher-client-XXXXXX";
    dir_ = ::mkdtemp(name);
    std::ofstream(dir_ + "/helper") << kHelper;
    ::chmod((dir_ + "/helper").c_str(), 0700);
    ::setenv("KANTE_TEST_FOLDER", dir_.c_str(), 1);
    ::unsetenv("KANTE_KEEPER");
  }
  ~LauncherClientTest() override { std::filesystem::remove_all(dir_); }

  bool turnUntil(const std::function<bool()>& done) {
    return eventually([&] {
      control_.restart();
      control_.poll();
      return done();
    });
  }
  // Its text, once it has ended.
  std::shared_ptr<std::string> spawn(LauncherClient& client) {
    SpawnOrder order;
    order.name = "guest";
    order.tier = 3;
    for (int* fd : {&order.control_fd, &order.host_file_fd, &order.runner_file_fd,
                    &order.doorbell_fd, &order.log_fd, &order.module_fd})
      *fd = 0;
    auto text = std::make_shared<std::string>();
    client.spawn(
        order, [](SpawnedRunner) {}, [text](const Exited& exited) { *text = exited.text; });
    EXPECT_EQ(*text, "") << "not from within the call";
    return text;
  }
  std::vector<pid_t> lives() const {
    std::vector<pid_t> out;
    std::ifstream file(dir_ + "/lives");
    for (pid_t pid = 0; file >> pid;) out.push_back(pid);
    return out;
  }

  boost::asio::io_context control_;
  std::string dir_;
};

// The control thread has more to do than to wait for it.
TEST_F(LauncherClientTest, WaitsNeitherForALostHelperToEndNorForTheNextToBegin) {
  std::string lost;
  LauncherClient::Options options;
  options.launcher = dir_ + "/helper";
  options.on_lost = [&](const std::string& why) { lost = why; };
  auto client = LauncherClient::open(control_, std::move(options));
  ASSERT_TRUE(client.has_value()) << client.error().text;
  EXPECT_EQ((*client)->can().tier, 3u);
  ASSERT_TRUE(turnUntil([&] { return !lost.empty(); }));
  EXPECT_EQ(lost, "kante-launcher ended");
  ASSERT_EQ(lives().size(), 1u);
  EXPECT_EQ(::kill(lives()[0], 0), 0) << "it is still there";
  std::shared_ptr<std::string> text;
  ASSERT_TRUE(turnUntil([&] {  // Not sooner than a second after the one before.
    if (!text || *text == "kante-launcher ended") text = spawn(**client);
    return lives().size() == 2;
  }));
  EXPECT_EQ(*text, "");
  std::ofstream(dir_ + "/go") << "go";
  ASSERT_TRUE(turnUntil([&] { return !text->empty(); }));
  EXPECT_EQ(*text, "as the helper said");
  // The lost one is made to end, and is not left behind.
  EXPECT_TRUE(turnUntil([&] { return ::kill(lives()[0], 0) != 0; }));
}

}  // namespace
}  // namespace kante
