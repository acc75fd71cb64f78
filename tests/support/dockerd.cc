#include "tests/support/dockerd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace kante::testing {
namespace {

namespace fs = std::filesystem;
constexpr auto kDeadline = std::chrono::seconds(60);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "test dockerd: %s\n", what.c_str());
  std::abort();
}

std::string readAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Output and errors go to that file.  It dies with the thread that began it.
pid_t run(std::vector<std::string> words, const std::string& output) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

bool succeeds(const std::vector<std::string>& words, const std::string& output) {
  int status = 0;
  const pid_t pid = run(words, output);
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool isThere(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/local/bin/"})
    if (::access((folder + program).c_str(), X_OK) == 0) return true;
  return false;
}

bool accepts(const std::string& socket) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return ok;
}

std::string whatIsMissing() {
  if (::geteuid() != 0) return "an engine needs root";
  if (isPodman() && !isThere("podman")) return "podman is not installed";
  for (const char* program :
       {isPodman() ? "conmon" : "dockerd", isPodman() ? "podman" : "containerd", "runc", "docker",
        "busybox", "tar"})
    if (!isThere(program)) return std::string(program) + " is not installed (scripts/setup)";
  char name[] = "/tmp/kante-dockerd-XXXXXX";
  const std::string folder = ::mkdtemp(name);
  // What every container begins with.
  const bool can =
      succeeds({"unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", folder},
               folder + "/out");
  fs::remove_all(folder);
  return can ? "" : "this machine gives no namespaces to containers";
}

std::vector<std::string> dockerdWords(const std::string& folder, const std::string& socket) {
  return {"dockerd",           "--data-root",          folder + "/root",
          "--exec-root",       folder + "/exec",       "-H",
          "unix://" + socket,  "--storage-driver=vfs", "--iptables=false",
          "--ip6tables=false", "--ip-forward=false",   "--ip-masq=false",
          "--bridge=none",     "--live-restore",       "-p",
          folder + "/pid"};
}

std::vector<std::string> podmanWords(const std::string& folder, const std::string& socket) {
  // Its own limits may be beyond what this machine lets anybody raise.
  std::ofstream(folder + "/containers.conf")
      << "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n[engine]\n"
      << "cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n"
      << "tmp_dir = \"" << folder << "/tmp\"\nstatic_dir = \"" << folder << "/static\"\n"
      << "volume_path = \"" << folder << "/volumes\"\n";
  return {"env",
          "CONTAINERS_CONF=" + folder + "/containers.conf",
          "podman",
          "--root",
          folder + "/root",
          "--runroot",
          folder + "/run",
          "--storage-driver=vfs",
          "--cgroup-manager=cgroupfs",
          "system",
          "service",
          "--time=0",
          "unix://" + socket};
}

}  // namespace

bool isPodman() {
  const char* engine = std::getenv("KANTE_TEST_ENGINE");
  return engine != nullptr && std::string_view(engine) == "podman";
}

std::string Dockerd::missing() {
  static const std::string why = whatIsMissing();
  const bool may_be_missing = isPodman() && !isThere("podman");
  if (!why.empty() && !may_be_missing && std::getenv("KANTE_DOCKER_MUST_WORK") != nullptr) die(why);
  return why;
}

Dockerd::Dockerd() {
  char name[] = "/tmp/kante-dockerd-XXXXXX";
  directory_ = ::mkdtemp(name);
  start();
}

Dockerd::~Dockerd() {
  if (pid_ <= 0) start();
  const std::string all = docker({"ps", "-aq"});
  std::vector<std::string> remove{"rm", "-fv"};
  for (std::size_t from = 0; from < all.size();) {
    const std::size_t end = std::min(all.find('\n', from), all.size());
    remove.push_back(all.substr(from, end - from));
    from = end + 1;
  }
  if (remove.size() > 2) docker(remove);
  stop();
  const std::string root = directory_ + "/root";
  for (const std::string& mounted : {root + "/vfs", root})  // Podman's, dockerd's.
    ::umount2(mounted.c_str(), MNT_DETACH);
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

void Dockerd::start() {
  std::error_code ignored;
  fs::remove(directory_ + "/pid", ignored);
  // Where nobody reaps what was killed, the new one would take the old containerd for alive.
  fs::remove(directory_ + "/exec/containerd/containerd.pid", ignored);
  fs::remove(socket(), ignored);
  pid_ = run(isPodman() ? podmanWords(directory_, socket()) : dockerdWords(directory_, socket()),
             directory_ + "/log");
  const auto end_at = std::chrono::steady_clock::now() + kDeadline;
  while (!accepts(socket())) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_ || std::chrono::steady_clock::now() > end_at)
      die("it does not start:\n" + log());
    ::poll(nullptr, 0, 10);
  }
}

void Dockerd::end(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void Dockerd::stop() { end(SIGTERM); }
void Dockerd::kill() { end(SIGKILL); }
std::string Dockerd::log() const { return readAll(directory_ + "/log"); }

std::string Dockerd::docker(const std::vector<std::string>& arguments) const {
  const std::string output = directory_ + "/out";
  std::error_code ignored;
  fs::remove(output, ignored);
  std::vector<std::string> words{"docker", "-H", "unix://" + socket()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const bool ok = succeeds(words, output);
  std::string said = readAll(output);
  if (!ok) die("docker " + arguments.front() + " failed: " + said);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  return said;
}

void Dockerd::makeImage(const std::string& name) const {
  const std::string root = directory_ + "/image";
  if (!fs::exists(root)) {
    fs::create_directories(root + "/bin");
    fs::create_directories(root + "/tmp");
    fs::copy_file(fs::exists("/bin/busybox") ? "/bin/busybox" : "/usr/bin/busybox",
                  root + "/bin/busybox");
    for (const char* applet : {"sh", "sleep", "cat", "echo", "kill", "true", "dd", "printf"})
      fs::create_symlink("busybox", root + "/bin/" + applet);
    if (!succeeds({"tar", "-C", root, "-cf", directory_ + "/image.tar", "."}, directory_ + "/out"))
      die("tar failed");
  }
  docker({"import", directory_ + "/image.tar", name});
}

Dockerd& sharedDockerd() {
  static Dockerd dockerd;
  if (!dockerd.running()) dockerd.start();
  if (!fs::exists(dockerd.directory() + "/image.tar")) dockerd.makeImage("kante-test:1");
  return dockerd;
}

}  // namespace kante::testing
