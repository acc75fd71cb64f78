#include "tests/bench/gateway_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

extern char** environ;

namespace kante::bench {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "kante-bench: %s\n", text.c_str());
  std::exit(1);
}

pid_t spawn(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) {
    die("cannot start " + words[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

void end(pid_t& pid, int signal_number) {
  if (pid < 0) return;
  ::kill(pid, signal_number);
  ::waitpid(pid, nullptr, 0);
  pid = -1;
}

double msSince(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string beacon(const std::string& modules, const std::string& pipe) {
  return fmt::format(
      R"({{"bundle":"{}/bench-beacon.kmod","placement":"in-process","config":{{"pipe":"{}"}}}})",
      modules, pipe);
}

}  // namespace

std::string freshFolder() {
  // On a disk, where /tmp may be memory.
  const char* given = std::getenv("KANTE_BENCH_DIR");
  const std::string parent = given != nullptr ? given : "/var/tmp";
  std::string name = parent + "/kante-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    die("no folder below " + parent + "; KANTE_BENCH_DIR names another one");
  return name;
}

double pssKib(pid_t pid) {
  std::ifstream rollup(fmt::format("/proc/{}/smaps_rollup", pid));
  for (std::string word; rollup >> word;) {
    double kib = 0;
    if (word == "Pss:" && rollup >> kib) return kib;
  }
  die("no PSS of " + std::to_string(pid));
}

GatewayProcess::GatewayProcess(std::string kante, int extra)
    : kante_(std::move(kante)), folder_(freshFolder()) {
  const std::string build = std::filesystem::path(kante_).parent_path().parent_path().string();
  const std::string modules = build + "/modules";
  if (::mkfifo((folder_ + "/pipe").c_str(), 0600) != 0) die("no pipe in " + folder_);
  write(
      folder_ + "/gateway.toml",
      fmt::format("[gateway]\nid = \"bench\"\ndata_dir = \"{0}/data\"\n[trust]\nsigners = "
                  "[\"{1}/dev-keys/signer.pem\"]\n[api]\nsocket = \"{0}/api.sock\"\nhttp = \"\"\n",
                  folder_, build));
  std::string more;
  for (int i = 0; i < extra; ++i) more += fmt::format(",\"beacon-{}\":{}", i, beacon(modules, ""));
  write(folder_ + "/deployment.json",
        fmt::format(R"json({{"schema":"kante.deployment/1","id":"bench","version":1,
"modules":{{
 "sensor":{{"bundle":"{0}/simulated-sensor.kmod","placement":"in-process","config":{{"period_ms":1000}}}},
 "filter":{{"bundle":"{0}/threshold-filter.kmod","placement":"in-process","config":{{"field":"machine.temperature","threshold":-1000}}}},
 "beacon":{1}{2}}},
"routes":{{
 "in":"FROM /messages/modules/sensor/outputs/* INTO BrokeredEndpoint(\"/modules/filter/inputs/in\")",
 "out":"FROM /messages/modules/filter/outputs/* INTO BrokeredEndpoint(\"/modules/beacon/inputs/in\")"}}}})json",
                    modules, beacon(modules, folder_ + "/pipe"), more));
}

GatewayProcess::~GatewayProcess() {
  stop();
  std::filesystem::remove_all(folder_);
}

double GatewayProcess::start() {
  const int pipe = ::open((folder_ + "/pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto began = Clock::now();
  pid_ = spawn({kante_, "run", "--config", folder_ + "/gateway.toml", "--deployment",
                folder_ + "/deployment.json"},
               folder_ + "/log");
  pollfd wait{pipe, POLLIN, 0};
  for (;;) {
    if (::poll(&wait, 1, 20'000) <= 0) {
      std::ifstream log(folder_ + "/log");
      die("no message came: " + std::string(std::istreambuf_iterator<char>(log), {}));
    }
    char byte = 0;
    if ((wait.revents & POLLIN) != 0 && ::read(pipe, &byte, 1) == 1) break;
  }
  const double ms = msSince(began);
  ::close(pipe);
  return ms;
}

void GatewayProcess::stop() { end(pid_, SIGTERM); }

// Of the keeper and the host, its child.
double GatewayProcess::pssKib() const {
  double kib = bench::pssKib(pid_);
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", pid_));
  for (pid_t child = 0; children >> child;) kib += bench::pssKib(child);
  return kib;
}

BrokerFigures measureMosquitto() {
  const std::string folder = freshFolder();
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ::bind(probe, reinterpret_cast<sockaddr*>(&at), size);
  ::getsockname(probe, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(probe);
  write(folder + "/m.conf", fmt::format("listener {} 127.0.0.1\nallow_anonymous true\nuser root\n",
                                        ntohs(at.sin_port)));
  const auto began = Clock::now();
  pid_t pid = spawn({"/usr/sbin/mosquitto", "-c", folder + "/m.conf"}, folder + "/log");
  BrokerFigures figures;
  static constexpr unsigned char kConnect[] = {0x10, 13, 0, 4,  'M', 'Q', 'T', 'T',
                                               4,    2,  0, 60, 0,   1,   'b'};
  while (figures.start_ms == 0) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[4] = {};
    if (::connect(client, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
        ::write(client, kConnect, sizeof kConnect) == sizeof kConnect &&
        ::read(client, answer, 4) == 4) {
      figures.start_ms = msSince(began);
    }
    ::close(client);
    if (msSince(began) > 10'000) die("mosquitto does not start");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  figures.pss_kib = pssKib(pid);
  end(pid, SIGTERM);
  std::filesystem::remove_all(folder);
  return figures;
}

}  // namespace kante::bench
