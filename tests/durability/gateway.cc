#include "tests/durability/gateway.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

extern char** environ;

namespace kante::durability {
namespace {

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "durability: gateway: %s\n", what.c_str());
  std::exit(1);
}

constexpr char kIntoModule[] = R"json(,"a-b":{"durable":true,
"route":"FROM /messages/modules/a/outputs/high INTO BrokeredEndpoint(\"/modules/b/inputs/in\")"})json";

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

pid_t spawn(const std::vector<std::string>& words, const std::vector<std::string>& environment,
            const std::string& log) {
  std::vector<char*> argv, envp;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  for (const std::string& one : environment) envp.push_back(const_cast<char*>(one.c_str()));
  for (char** one = environ; *one != nullptr; ++one) envp.push_back(*one);
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  if (::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data()) != 0) {
    die("cannot start " + words[0]);
  }
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

std::string get(const std::string& socket_path, const std::string& target) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path.c_str());
  const timeval wait{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  std::string answer;
  const std::string request =
      "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    char part[4096];
    for (ssize_t got = 0; (got = ::recv(fd, part, sizeof part, 0)) > 0;) {
      answer.append(part, static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return answer;
}

// What follows `"name":` in JSON; up to the next comma or brace, without quotes.
std::string member(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const std::size_t at = json.find(key);
  if (at == std::string::npos) return {};
  const std::size_t end = json.find_first_of(",}", at + key.size());
  std::string value = json.substr(at + key.size(), end - at - key.size());
  std::erase(value, '"');
  return value;
}

}  // namespace

Gateway::Gateway(Programs programs, std::string folder, std::string id, std::string broker_url)
    : programs_(std::move(programs)),
      folder_(std::move(folder)),
      id_(std::move(id)),
      broker_url_(std::move(broker_url)) {
  std::filesystem::create_directories(bookFolder());
}

Gateway::~Gateway() { reap(); }

void Gateway::configure(const GatewaySetting& setting) {
  setting_ = setting;
  write(folder_ + "/gateway.toml",
        fmt::format("[gateway]\nid = \"{0}\"\ndata_dir = \"{1}\"\nshards = {2}\n"
                    "[trust]\nsigners = [\"{3}/signer.pem\"]\n"
                    "[api]\nsocket = \"{4}/api.sock\"\nhttp = \"\"\n"
                    "[uplink]\nkind = \"mqtt\"\nurl = \"{5}\"\norder = \"{6}\"\nwindow = {7}\n"
                    "[store]\nmax_bytes = {8}\nfull = \"{9}\"\nsync = \"{10}\"\nsync_ms = 10\n",
                    id_, dataDir(), setting.shards, programs_.keys, folder_, broker_url_,
                    setting.order, setting.window, setting.max_bytes, setting.full, setting.sync));
  writeDeployment();
}

void Gateway::writeDeployment() {
  const auto load = [this](int first) {
    return fmt::format(
        R"({{"bundle":"{}/durability-load.kmod","placement":"{}","stop_ms":100,)"
        R"("grants":{{"files":{{"read":["{}"],"write":["{}"]}}}},)"
        R"("config":{{"first":{},"burst":{},"period_us":{},"bytes":{},"count":{},"folder":"{}"}}}})",
        programs_.modules, setting_.placement, bookFolder(), bookFolder(), first, setting_.burst,
        setting_.period_us, setting_.bytes, setting_.count, bookFolder());
  };
  const auto route = [](const char* module, const char* output, int priority) {
    return fmt::format(R"({{"route":"FROM /messages/modules/{}/outputs/{} INTO $upstream",)"
                       R"("priority":{}}})",
                       module, output, priority);
  };
  write(folder_ + "/deployment.json",
        fmt::format(R"({{"schema":"kante.deployment/1","id":"durability","version":{},)"
                    R"("modules":{{"a":{},"b":{}}},)"
                    R"("routes":{{"a-high":{},"a-low":{},"b-high":{},"b-low":{}{}}}}})",
                    ++version_, load(0), load(2), route("a", "high", 0), route("a", "low", 9),
                    route("b", "high", 5), route("b", "low", 9),
                    setting_.into_module ? kIntoModule : ""));
}

void Gateway::start(const std::vector<std::string>& environment, const std::string& orders) {
  reap();
  write(bookFolder() + "/orders", orders);
  std::error_code ignored;
  std::filesystem::remove(folder_ + "/api.sock", ignored);
  pid_ = spawn({programs_.kante, "run", "--no-keeper", "--config", folder_ + "/gateway.toml",
                "--deployment", folder_ + "/deployment.json"},
               environment, folder_ + "/log");
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd_ < 0) die("pidfd_open fails");
}

void Gateway::switchDeployment() {
  if (switcher_ > 0) return;
  writeDeployment();
  switcher_ = spawn({programs_.kante, "deploy", "apply", folder_ + "/deployment.json", "--no-wait",
                     "--socket", folder_ + "/api.sock"},
                    {}, folder_ + "/switch.log");
}

bool Gateway::waitForEnd(std::chrono::microseconds at_most) {
  if (pid_ < 0) return true;
  const auto count = std::max<std::int64_t>(at_most.count(), 0);
  const timespec wait{static_cast<time_t>(count / 1'000'000),
                      static_cast<long>(count % 1'000'000 * 1000)};
  pollfd end{pidfd_, POLLIN, 0};
  return ::ppoll(&end, 1, &wait, nullptr) == 1;
}

void Gateway::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}

int Gateway::reap() {
  int status = 0;
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    ::close(pidfd_);
  }
  pid_ = pidfd_ = -1;
  if (switcher_ > 0) {
    ::kill(switcher_, SIGKILL);
    ::waitpid(switcher_, nullptr, 0);
  }
  switcher_ = -1;
  return status;
}

void Gateway::forget() {
  std::error_code ignored;
  std::filesystem::remove_all(dataDir(), ignored);
}

UplinkState Gateway::uplink() const {
  UplinkState state;
  const std::string answer = get(folder_ + "/api.sock", "/v1/status");
  const std::string_view running = "\"state\":\"running\"";
  const std::size_t first = answer.find(running);
  const std::size_t second =
      first == std::string::npos ? first : answer.find(running, first + running.size());
  state.modules_run = second != std::string::npos;  // Both.
  const std::size_t at = answer.find("\"uplink\":");
  if (at == std::string::npos) return state;
  const std::string json = answer.substr(at);
  state.answered = true;
  state.connected = member(json, "state") == "connected";
  state.epoch = member(json, "epoch");
  state.seq = std::strtoull(member(json, "seq").c_str(), nullptr, 10);
  state.backlog = std::strtoull(member(json, "backlog_messages").c_str(), nullptr, 10);
  return state;
}

std::uint64_t Gateway::waitingForModule() const {
  const std::string answer = get(folder_ + "/api.sock", "/v1/queues");
  const std::size_t at = answer.find("\"module/b/in\"");
  if (at == std::string::npos) return 0;
  return std::strtoull(member(answer.substr(at), "messages").c_str(), nullptr, 10);
}

std::uint64_t Gateway::takeSetAside() {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dataDir(), ignored)) {
    if (entry.path().filename().string().starts_with("store.broken-"))
      found.push_back(entry.path());
  }
  for (const auto& path : found) {
    std::filesystem::rename(path, fmt::format("{}/set-aside-{}", folder_, ++set_aside_), ignored);
  }
  return found.size();
}

std::string Gateway::log() const {
  std::ifstream in(folder_ + "/log");
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace kante::durability
