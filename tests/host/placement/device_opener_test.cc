#include "host/placement/device_opener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <termios.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "host/placement/device_sockets.h"

namespace kante {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DeviceOpenerTest : public ::testing::Test {
 protected:
  struct Outcome {
    kante_status status = KANTE_PENDING;
    DeviceOpener::Opened opened;
    std::string why;
  };
  DeviceOpenerTest() {
    char name[] = "/tmp/device-opener-XXXXXX";
    dir_ = ::mkdtemp(name);
    std::filesystem::create_directories(dir_ + "/granted/sub");
    std::filesystem::create_directories(dir_ + "/private");
    write("granted/a.txt", "inside");
    write("outside.txt", "outside");
    write("private/key", "secret");
    opener_ =
        std::move(*DeviceOpener::make(control_, log_, openDirectory(dir_ + "/private")->get()));
    session_ = opener_->session("m");
  }
  ~DeviceOpenerTest() override { std::filesystem::remove_all(dir_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ + "/" + name) << text;
  }
  std::shared_ptr<Outcome> begin(const std::vector<DeviceGrant>& grants, const std::string& what) {
    auto outcome = std::make_shared<Outcome>();
    opener_->open(
        session_, grants, what,
        [outcome](kante_status status, DeviceOpener::Opened opened, const std::string& why) {
          *outcome = {status, std::move(opened), why};
        });
    return outcome;
  }
  Outcome open(const std::vector<DeviceGrant>& grants, const std::string& what) {
    const auto outcome = begin(grants, what);
    finish(*outcome);
    return std::move(*outcome);
  }
  void finish(const Outcome& outcome) {
    control_.restart();
    while (outcome.status == KANTE_PENDING) control_.run_one();
  }
  std::vector<DeviceGrant> folder(DeviceKind kind) const { return {{kind, dir_ + "/granted"}}; }
  static std::string readAll(int fd) {
    char text[64] = {};
    const ssize_t size = ::read(fd, text, sizeof text);
    return {text, size < 0 ? 0 : static_cast<std::size_t>(size)};
  }

  boost::asio::io_context control_;
  Log log_{Log::Format::kSilent, LogLevel::kDebug};
  std::string dir_;
  std::unique_ptr<DeviceOpener> opener_;
  std::shared_ptr<DeviceOpener::Session> session_;
};

TEST_F(DeviceOpenerTest, OpensWhatIsGrantedAndNothingElse) {
  const auto read = open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/a.txt");
  ASSERT_EQ(read.status, KANTE_OK) << read.why;
  EXPECT_EQ(readAll(read.opened.fd.get()), "inside");
  EXPECT_EQ(::write(read.opened.fd.get(), "x", 1), -1);
  const auto other = open(folder(DeviceKind::kRead), "read:" + dir_ + "/outside.txt");
  EXPECT_EQ(other.status, KANTE_E_DENIED);
  EXPECT_THAT(other.why, HasSubstr("(grants, files.read)"));
  EXPECT_EQ(open(folder(DeviceKind::kRead), "write:" + dir_ + "/granted/a.txt").status,
            KANTE_E_DENIED);
  EXPECT_EQ(open({}, "read:" + dir_ + "/granted/a.txt").status, KANTE_E_DENIED);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/none").status,
            KANTE_E_NOT_FOUND);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/sub").status,
            KANTE_E_INVALID);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "nonsense").status, KANTE_E_INVALID);
}

TEST_F(DeviceOpenerTest, WritesAppendsAndLists) {
  const std::string path = dir_ + "/granted/new.txt";
  auto made = open(folder(DeviceKind::kWrite), "write:" + path);
  ASSERT_EQ(made.status, KANTE_OK) << made.why;
  ASSERT_EQ(::write(made.opened.fd.get(), "one", 3), 3);
  auto more = open(folder(DeviceKind::kWrite), "append:" + path);
  ASSERT_EQ(more.status, KANTE_OK) << more.why;
  ASSERT_EQ(::write(more.opened.fd.get(), "two", 3), 3);
  EXPECT_EQ(std::filesystem::file_size(path), 6u);
  const auto listed = open(folder(DeviceKind::kRead), "list:" + dir_ + "/granted");
  EXPECT_THAT(listed.opened.names, ElementsAre("a.txt", "new.txt", "sub"));
}

TEST_F(DeviceOpenerTest, TellsTheSpaceOfADiskAndOpensNothingForIt) {
  struct statvfs disk {};
  ASSERT_EQ(::statvfs(dir_.c_str(), &disk), 0);
  const auto told = open(folder(DeviceKind::kSpace), "space:" + dir_ + "/granted/sub");
  ASSERT_EQ(told.status, KANTE_OK) << told.why;
  ASSERT_TRUE(told.opened.space);
  EXPECT_EQ(told.opened.space->total_bytes, disk.f_blocks * disk.f_frsize);
  EXPECT_GE(told.opened.space->free_bytes, told.opened.space->available_bytes);
  EXPECT_FALSE(told.opened.fd);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "space:" + dir_ + "/granted").status, KANTE_E_DENIED);
  EXPECT_EQ(open(folder(DeviceKind::kSpace), "read:" + dir_ + "/granted/a.txt").status,
            KANTE_E_DENIED);
  EXPECT_EQ(open(folder(DeviceKind::kSpace), "space:" + dir_ + "/granted/none").status,
            KANTE_E_NOT_FOUND);
}

// A file system over a network may never answer, and would hold the whole host.
TEST_F(DeviceOpenerTest, AsksOnlyDisksOfThisMachineForTheirSpace) {
  const auto told = open({{DeviceKind::kSpace, "/proc"}}, "space:/proc");
  EXPECT_EQ(told.status, KANTE_E_DENIED);
  EXPECT_THAT(told.why, HasSubstr("/proc is on no disk of this machine"));
}

TEST_F(DeviceOpenerTest, NoLinkLeadsOutOfWhatIsGranted) {
  std::filesystem::create_symlink(dir_ + "/outside.txt", dir_ + "/granted/absolute");
  std::filesystem::create_symlink("../outside.txt", dir_ + "/granted/relative");
  std::filesystem::create_symlink("a.txt", dir_ + "/granted/inner");
  for (const char* link : {"absolute", "relative"}) {
    const auto out = open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/" + link);
    EXPECT_EQ(out.status, KANTE_E_DENIED) << link;
    EXPECT_THAT(out.why, HasSubstr("leads out of"));
  }
  EXPECT_EQ(open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/inner").status, KANTE_OK);
}

TEST_F(DeviceOpenerTest, GivesNothingThatBelongsToTheGatewayWhateverIsGranted) {
  const std::vector<DeviceGrant> all{{DeviceKind::kRead, "/"}};
  EXPECT_EQ(open(all, "read:" + dir_ + "/private/key").status, KANTE_E_DENIED);
  std::filesystem::create_symlink(dir_ + "/private/key", dir_ + "/granted/key");
  EXPECT_EQ(
      open({{DeviceKind::kRead, dir_ + "/granted/key"}}, "read:" + dir_ + "/granted/key").status,
      KANTE_E_DENIED);
  for (const std::string path :
       {"/proc/self/mem", "/proc/self/environ", "/proc/thread-self/environ", "/proc/kcore"})
    EXPECT_EQ(open(all, "read:" + path).status, KANTE_E_DENIED) << path;
  EXPECT_EQ(open(all, "read:/proc/" + std::to_string(::getpid()) + "/environ").status,
            KANTE_E_DENIED);
  const std::vector<DeviceGrant> proc{{DeviceKind::kRead, "/proc"}};
  EXPECT_EQ(open(proc, "read:/proc/meminfo").status, KANTE_OK);
  EXPECT_EQ(open(proc, "read:/proc/mounts").status, KANTE_OK) << "of the machine, by way of self";
  EXPECT_EQ(open(proc, "read:/proc/net/dev").status, KANTE_OK);
  EXPECT_EQ(open(proc, "list:/proc/net").status, KANTE_OK);
  EXPECT_EQ(open(proc, "list:/proc/self").status, KANTE_E_DENIED);
  EXPECT_NE(open(proc, "read:/proc/net/../environ").status, KANTE_OK);
  EXPECT_EQ(open({{DeviceKind::kWrite, "/proc"}}, "write:/proc/mounts").status, KANTE_E_DENIED);
}

TEST_F(DeviceOpenerTest, ChangesNothingThatItDoesNotGive) {
  const std::vector<DeviceGrant> all{{DeviceKind::kWrite, "/"}};
  const std::string key = dir_ + "/private/key";
  for (const char* how : {"write:", "append:"}) {
    EXPECT_EQ(open(all, how + key).status, KANTE_E_DENIED);
    EXPECT_EQ(open({{DeviceKind::kWrite, key}}, how + key).status, KANTE_E_DENIED);
    EXPECT_EQ(open(all, how + dir_ + "/private/new").status, KANTE_E_DENIED);
    const std::string only = dir_ + "/private/other";
    EXPECT_EQ(open({{DeviceKind::kWrite, only}}, how + only).status, KANTE_E_DENIED);
  }
  EXPECT_EQ(std::filesystem::file_size(key), 6u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_ + "/private"), {}), 1);
  // A link that leads nowhere makes nothing where it leads.
  std::filesystem::create_symlink(dir_ + "/made", dir_ + "/granted/nowhere");
  EXPECT_NE(open(folder(DeviceKind::kWrite), "write:" + dir_ + "/granted/nowhere").status,
            KANTE_OK);
  EXPECT_NE(
      open({{DeviceKind::kWrite, dir_ + "/granted/nowhere"}}, "write:" + dir_ + "/granted/nowhere")
          .status,
      KANTE_OK);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/made"));
  EXPECT_NE(open(folder(DeviceKind::kWrite), "write:" + dir_ + "/granted/new/").status, KANTE_OK);
}

TEST_F(DeviceOpenerTest, TruncatesWhatItGivesToWriteAndMakesWhatIsGrantedByName) {
  const auto again = open(folder(DeviceKind::kWrite), "write:" + dir_ + "/granted/a.txt");
  ASSERT_EQ(again.status, KANTE_OK) << again.why;
  EXPECT_EQ(std::filesystem::file_size(dir_ + "/granted/a.txt"), 0u);
  const std::string only = dir_ + "/granted/sub/only.txt";
  EXPECT_EQ(open({{DeviceKind::kWrite, only}}, "write:" + only).status, KANTE_OK);
  EXPECT_TRUE(std::filesystem::exists(only));
  EXPECT_EQ(open(folder(DeviceKind::kWrite), "write:" + dir_ + "/granted/none/x").status,
            KANTE_E_NOT_FOUND);
}

// The other end of a pipe would see that somebody opened it.
TEST_F(DeviceOpenerTest, OpensNothingToSeeWhatItIs) {
  const std::string path = dir_ + "/granted/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "read:" + path).status, KANTE_E_INVALID);
  const FileDescriptor reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(open(folder(DeviceKind::kWrite), "write:" + path).status, KANTE_E_INVALID);
  pollfd seen{reader.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&seen, 1, 0), 0) << "no writer has come and gone";
}

TEST_F(DeviceOpenerTest, DoesNotBeginWhereItCouldNotKeepModulesOutOfTheGatewaysOwn) {
  const auto made = DeviceOpener::make(control_, log_, 9999);
  ASSERT_TRUE(made.has_error());
  EXPECT_THAT(made.error().text, HasSubstr("the data directory"));
}

TEST_F(DeviceOpenerTest, TakesNoDeviceForAFileNorAFileForADevice) {
  EXPECT_EQ(open({{DeviceKind::kRead, "/dev/zero"}}, "read:/dev/zero").status, KANTE_E_INVALID);
  const auto file =
      open({{DeviceKind::kDevice, dir_ + "/outside.txt"}}, "device:" + dir_ + "/outside.txt");
  EXPECT_EQ(file.status, KANTE_E_INVALID);
  EXPECT_THAT(file.why, HasSubstr("is no device"));
  EXPECT_EQ(open({{DeviceKind::kDevice, "/dev/zero"}}, "device:/dev/zero").status, KANTE_OK);
  ASSERT_EQ(::mkfifo((dir_ + "/granted/pipe").c_str(), 0600), 0);
  EXPECT_EQ(open(folder(DeviceKind::kRead), "read:" + dir_ + "/granted/pipe").status,
            KANTE_E_INVALID)
      << "and does not wait for its other end";
}

TEST_F(DeviceOpenerTest, SetsASerialLineUp) {
  int master = -1, slave = -1;
  char name[128] = {};
  ASSERT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
  const FileDescriptor one(master), two(slave);
  const std::string path = name;
  const auto line = open({{DeviceKind::kDevice, path}}, "device:" + path + "?baud=19200&stop=2");
  ASSERT_EQ(line.status, KANTE_OK) << line.why;
  termios set{};
  ASSERT_EQ(::tcgetattr(line.opened.fd.get(), &set), 0);
  EXPECT_EQ(::cfgetospeed(&set), static_cast<speed_t>(B19200));
  EXPECT_NE(set.c_cflag & CSTOPB, 0u);
  EXPECT_EQ(set.c_lflag & (ICANON | ECHO), 0u);
  EXPECT_EQ(::fcntl(line.opened.fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(open({{DeviceKind::kDevice, path}}, "device:" + path + "?baud=19201").status,
            KANTE_E_INVALID);
}

TEST_F(DeviceOpenerTest, ConnectsToSoManyAtATime) {
  const std::vector<DeviceGrant> grants{{DeviceKind::kTcp, "127.0.0.1:*"}};
  std::vector<std::shared_ptr<Outcome>> under_way;
  for (std::size_t n = 0; n < DeviceOpener::kConnectsMax; ++n)
    under_way.push_back(begin(grants, "tcp:127.0.0.1:1"));
  EXPECT_EQ(under_way.back()->status, KANTE_PENDING);
  const auto more = begin(grants, "tcp:127.0.0.1:1");
  EXPECT_EQ(more->status, KANTE_E_LIMIT);
  EXPECT_THAT(more->why, HasSubstr("16 connections are under way already"));
  for (const auto& outcome : under_way) finish(*outcome);
  EXPECT_EQ(open(grants, "tcp:127.0.0.1:1").status, KANTE_E_STATE);
}

TEST_F(DeviceOpenerTest, ConnectsAndListens) {
  const std::vector<DeviceGrant> grants{{DeviceKind::kListen, "127.0.0.1:*"},
                                        {DeviceKind::kTcp, "127.0.0.1:*"}};
  int free_port = 0;
  {
    const FileDescriptor probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    free_port = ntohs(address.sin_port);
  }
  const std::string at = "127.0.0.1:" + std::to_string(free_port);
  const auto refused = open(grants, "tcp:" + at);
  EXPECT_EQ(refused.status, KANTE_E_STATE);
  EXPECT_THAT(refused.why, HasSubstr("cannot connect to " + at));
  const auto peer = begin(grants, "listen:" + at);
  const auto mine = open(grants, "tcp:" + at);
  ASSERT_EQ(mine.status, KANTE_OK) << mine.why;
  finish(*peer);
  ASSERT_EQ(peer->status, KANTE_OK) << peer->why;
  ASSERT_EQ(::write(mine.opened.fd.get(), "hello", 5), 5);
  EXPECT_EQ(readAll(peer->opened.fd.get()), "hello");
  const auto waiting = begin(grants, "listen:" + at);
  DeviceOpener::end(*session_);
  EXPECT_EQ(waiting->status, KANTE_E_CANCELED);
  EXPECT_EQ(open(grants, "listen:" + at).status, KANTE_E_CANCELED);
  session_ = opener_->session("m");
  const auto next = begin(grants, "listen:" + at);
  EXPECT_EQ(next->status, KANTE_PENDING) << next->why;  // The port is free at once.
  session_.reset();
  finish(*next);
  EXPECT_EQ(next->status, KANTE_E_CANCELED);
}

}  // namespace
}  // namespace kante
