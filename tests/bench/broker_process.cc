#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/bench/gateway_process.h"
#include "tests/bench/mqtt_load.h"

extern char** environ;

namespace kante::bench {

namespace {

int connectTo(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  ::close(fd);
  return result;
}

std::uint16_t anyPort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  (void)::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  (void)::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(fd);
  return ntohs(at.sin_port);
}

struct Ways {
  std::uint16_t port = 0;
  std::uint16_t tls_port = 0;  // 0: none.
  std::string tls_folder;
  bool saves = false;
};

std::vector<std::string> kanteCommand(const std::string& kante, const std::string& folder,
                                      const Ways& ways) {
  const std::string file = folder + "/gateway.toml";
  const std::string tls =
      ways.tls_port == 0
          ? ""
          : fmt::format(
                "tls_listen = [\"127.0.0.1:{0}\"]\n[hub.tls]\ncert = \"{1}/cert.pem\"\n"
                "key = \"{1}/key.pem\"\n",
                ways.tls_port, ways.tls_folder);
  std::ofstream(file) << "[gateway]\nid = \"bench\"\ndata_dir = \"" << folder << "/data\"\n"
                      << "[api]\nsocket = \"" << folder << "/api.sock\"\nhttp = \"\"\n"
                      << "[hub.mqtt]\nlisten = [\"127.0.0.1:" << ways.port
                      << "\"]\nanonymous = true\n"
                      << tls << "[hub.limits]\nconnections_per_s = 100000\n";
  return {kante, "run", "--config", file, "--no-keeper"};
}

std::vector<std::string> mosquittoCommand(const std::string& folder, const Ways& ways) {
  const std::string file = folder + "/mosquitto.conf";
  const std::string tls =
      ways.tls_port == 0
          ? ""
          : fmt::format("listener {0} 127.0.0.1\ncertfile {1}/cert.pem\nkeyfile {1}/key.pem\n",
                        ways.tls_port, ways.tls_folder);
  std::ofstream(file) << "user root\nlistener " << ways.port << " 127.0.0.1\n"
                      << tls << "allow_anonymous true\n"
                      << "max_queued_messages 0\nmax_inflight_messages 1000\nset_tcp_nodelay true\n"
                      << (ways.saves
                              ? "persistence true\nautosave_interval 1\npersistence_location " +
                                    folder + "/\n"
                              : std::string("persistence false\n"));
  const bool there = std::filesystem::exists("/usr/sbin/mosquitto");
  return {there ? "/usr/sbin/mosquitto" : "mosquitto", "-c", file};
}

}  // namespace

BrokerProcess::BrokerProcess(const std::string& kante, const std::string& tls_folder, Saves saves)
    : port_(anyPort()), tls_port_(tls_folder.empty() ? 0 : anyPort()) {
  folder_ = freshFolder();
  std::vector<std::string> words =
      kante.empty()
          ? mosquittoCommand(folder_, {port_, tls_port_, tls_folder, saves == Saves::kEachSecond})
          : kanteCommand(kante, folder_, {port_, tls_port_, tls_folder, false});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string log = folder_ + "/log";
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  if (::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) {
    std::perror(arguments[0]);
    std::exit(1);
  }
  posix_spawn_file_actions_destroy(&actions);
  for (int i = 0; connectTo(port_) != 0; ++i) {
    if (i == 2000 || ::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      std::fprintf(stderr, "%s does not listen; see %s\n", arguments[0], log.c_str());
      std::exit(1);
    }
    ::usleep(5000);
  }
}

BrokerProcess::~BrokerProcess() {
  ::kill(pid_, SIGTERM);
  (void)::waitpid(pid_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace kante::bench
