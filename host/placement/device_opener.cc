#include "host/placement/device_opener.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <utility>

#include "host/placement/device_sockets.h"

namespace kante {
namespace {

using How = DeviceWish::How;

// Entries of /proc that are about one process, or all of memory.
bool isOfAProcess(std::string_view path) {
  constexpr std::string_view kProc = "/proc/";
  if (!path.starts_with(kProc)) return false;
  std::string_view first = path.substr(kProc.size());
  first = first.substr(0, first.find('/'));
  return first == "self" || first == "thread-self" || first == "kcore" || first == "kmem" ||
         (!first.empty() && first.find_first_not_of("0123456789") == std::string_view::npos);
}

// What /proc/mounts and /proc/net lead to: the machine's, though the kernel keeps it with each
// process.  `name` is what the kernel calls what lies at `asked`.
bool isOfTheMachine(How how, std::string_view asked, std::string_view name) {
  if (how != How::kRead && how != How::kList) return false;
  std::error_code error;
  const std::string own = "/proc/" + std::filesystem::read_symlink("/proc/self", error).string();
  if (error || !name.starts_with(own)) return false;
  const std::string_view rest = name.substr(own.size());
  if (asked == "/proc/mounts") return rest == "/mounts";
  return (asked == "/proc/net" && rest == "/net") ||
         (asked.starts_with("/proc/net/") && rest.starts_with("/net/"));
}

int flagsOf(How how) {
  constexpr int kAll = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  switch (how) {
    case How::kWrite: return kAll | O_WRONLY | O_TRUNC;
    case How::kAppend: return kAll | O_WRONLY | O_APPEND;
    case How::kList: return kAll | O_RDONLY | O_DIRECTORY;
    case How::kDevice: return kAll | O_RDWR;
    default: return kAll | O_RDONLY;
  }
}

bool isRight(How how, mode_t mode) {
  if (how == How::kList) return S_ISDIR(mode);
  if (how == How::kDevice) return S_ISCHR(mode) || S_ISBLK(mode);
  return S_ISREG(mode);
}

const char* wantedKind(How how) {
  if (how == How::kList) return "is no directory";
  return how == How::kDevice ? "is no device" : "is no file; a device is asked for by device:";
}

speed_t speedOf(std::uint32_t baud) {
  constexpr std::array<std::pair<std::uint32_t, speed_t>, 12> kSpeeds{{{1200, B1200},
                                                                       {2400, B2400},
                                                                       {4800, B4800},
                                                                       {9600, B9600},
                                                                       {19200, B19200},
                                                                       {38400, B38400},
                                                                       {57600, B57600},
                                                                       {115200, B115200},
                                                                       {230400, B230400},
                                                                       {460800, B460800},
                                                                       {921600, B921600},
                                                                       {1000000, B1000000}}};
  for (const auto& [rate, speed] : kSpeeds)
    if (rate == baud) return speed;
  return B0;
}

// A serial line passes bytes as they are; eight bits.
Status setLine(int fd, const DeviceWish& wish) {
  termios line{};
  if (::tcgetattr(fd, &line) != 0) {
    if (wish.baud == 0) return {};
    return fail(Errc::kInvalid, wish.grant.target + " is no serial line and has no baud rate");
  }
  ::cfmakeraw(&line);
  line.c_cflag |= CLOCAL | CREAD;
  line.c_cflag &= ~static_cast<tcflag_t>(PARENB | PARODD | CSTOPB);
  if (wish.parity != 'n') line.c_cflag |= PARENB;
  if (wish.parity == 'o') line.c_cflag |= PARODD;
  if (wish.stop_bits == 2) line.c_cflag |= CSTOPB;
  line.c_cc[VMIN] = 1;
  line.c_cc[VTIME] = 0;
  if (wish.baud != 0) {
    const speed_t speed = speedOf(wish.baud);
    if (speed == B0)
      return fail(Errc::kInvalid, "a serial line has no rate of " + std::to_string(wish.baud));
    ::cfsetispeed(&line, speed);
    ::cfsetospeed(&line, speed);
  }
  if (::tcsetattr(fd, TCSANOW, &line) != 0) return failErrno(wish.grant.target);
  return {};
}

Result<std::vector<std::string>> namesIn(FileDescriptor fd, const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd.get()), ::closedir);
  if (!folder) return failErrno(path);
  (void)fd.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view one = entry->d_name;
    if (one == "." || one == "..") continue;
    if (names.size() == DeviceOpener::kNamesMax)
      return fail(Errc::kLimit,
                  path + " holds more than " + std::to_string(DeviceOpener::kNamesMax) + " names");
    names.emplace_back(one);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string nameInKernel(int fd) {
  std::array<char, PATH_MAX> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
  return size <= 0 ? std::string() : std::string(name.data(), static_cast<std::size_t>(size));
}

kante_status statusOf(const Error& error) {
  switch (error.code) {
    case Errc::kNotFound: return KANTE_E_NOT_FOUND;
    case Errc::kDenied: return KANTE_E_DENIED;
    case Errc::kInvalid: return KANTE_E_INVALID;
    case Errc::kLimit: return KANTE_E_LIMIT;
    default: return KANTE_E_STATE;
  }
}

}  // namespace

Result<std::unique_ptr<DeviceOpener>> DeviceOpener::make(boost::asio::io_context& control, Log& log,
                                                         int private_dir) {
  std::unique_ptr<DeviceOpener> out(new DeviceOpener(control, log));
  if (private_dir < 0) return out;
  out->private_dir_ = FileDescriptor(::fcntl(private_dir, F_DUPFD_CLOEXEC, 0));
  if (!out->private_dir_) return failErrno("the data directory");
  if (nameInKernel(out->private_dir_.get()).empty())
    return fail(Errc::kUnavailable,
                "the name of the data directory cannot be read from /proc/self/fd, so modules "
                "could not be kept out of it: mount /proc");
  return out;
}

bool DeviceOpener::isPrivate(const std::string& name) const {
  if (!private_dir_) return false;
  const DeviceGrant own{DeviceKind::kRead, nameInKernel(private_dir_.get())};
  return name.empty() || own.target.empty() || covers(own, {own.kind, name});
}

std::shared_ptr<DeviceOpener::Session> DeviceOpener::session(std::string module) {
  return std::make_shared<Session>(control_, std::move(module));
}

void DeviceOpener::end(Session& session) { session.end(); }

void DeviceOpener::open(const std::shared_ptr<Session>& session,
                        const std::vector<DeviceGrant>& grants, const std::string& what,
                        Answer answer) {
  const auto refuse = [&](kante_status status, const std::string& why) {
    log_.warn("module/" + session->module(), why);
    answer(status, {}, why);
  };
  std::string fault;
  const auto wish = parseDeviceWish(what, fault);
  if (!wish) return refuse(KANTE_E_INVALID, "cannot open \"" + what + "\": it " + fault);
  const auto grant = std::find_if(grants.begin(), grants.end(),
                                  [&](const DeviceGrant& one) { return covers(one, wish->grant); });
  if (grant == grants.end())
    return refuse(KANTE_E_DENIED, "may not open \"" + what +
                                      "\": its manifest does not ask for it, or the deployment "
                                      "does not grant it (grants, " +
                                      name(wish->grant.kind) + ")");
  switch (wish->how) {
    case How::kTcp:
    case How::kUdp: return session->connect(*wish, kConnectMs, std::move(answer));
    case How::kListen: return session->accept(*wish, std::move(answer));
    default: return openFile(*grant, *wish, answer);
  }
}

namespace {

// What lies at `path`, not opened yet.  Below what is granted no link leads out of it; to what is
// granted itself one may lead.
Result<FileDescriptor> find(const DeviceGrant& grant, const std::string& path, int flags) {
  if (path == grant.target) return openAt(AT_FDCWD, path, flags | O_PATH);
  KANTE_TRY(base, openAt(AT_FDCWD, grant.target, O_PATH | O_DIRECTORY));
  std::size_t from = grant.target.size();
  while (from < path.size() && path[from] == '/') ++from;
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const std::string rest = from < path.size() ? path.substr(from) : ".";
  const long fd = ::syscall(SYS_openat2, base.get(), rest.c_str(), &how, sizeof how);
  if (fd >= 0) return FileDescriptor(static_cast<int>(fd));
  if (errno == EXDEV || errno == ELOOP)
    return fail(Errc::kDenied, path + " leads out of " + grant.target + ", which is granted");
  return failErrno(path);
}

Error isOfOneProcess(const std::string& path) {
  return {Errc::kDenied, path + " is about one process: not granted"};
}

Error isTheGateways(const std::string& path) {
  return {Errc::kDenied, path + " belongs to the gateway: not granted"};
}

}  // namespace

// Opening may change it (a file loses what it holds, a device moves), so it is looked at first.
Result<FileDescriptor> DeviceOpener::openPath(const DeviceGrant& grant,
                                              const DeviceWish& wish) const {
  const std::string& path = wish.grant.target;
  if (isOfAProcess(path)) return isOfOneProcess(path);
  auto found = find(grant, path, 0);
  const bool may_make = wish.how == How::kWrite || wish.how == How::kAppend;
  if (!found && found.error().code == Errc::kNotFound && may_make) return makeFile(grant, wish);
  if (!found) return found.error();
  const std::string name = nameInKernel(found->get());
  if (isOfAProcess(name) && !isOfTheMachine(wish.how, path, name)) return isOfOneProcess(path);
  if (isPrivate(name)) return isTheGateways(path);
  if (wish.how == How::kSpace) return found;  // Not opened, only asked of.
  struct stat facts {};
  if (::fstat(found->get(), &facts) != 0) return failErrno(path);
  if (!isRight(wish.how, facts.st_mode))
    return fail(Errc::kInvalid, path + " " + wantedKind(wish.how));
  const std::string same = "/proc/self/fd/" + std::to_string(found->get());
  FileDescriptor fd(::open(same.c_str(), flagsOf(wish.how) | O_CLOEXEC));
  if (!fd) return failErrno(path);
  return fd;
}

// What is not there: a link that leads nowhere is, so it is not followed.
Result<FileDescriptor> DeviceOpener::makeFile(const DeviceGrant& grant,
                                              const DeviceWish& wish) const {
  const std::string& path = wish.grant.target;
  const std::size_t last = path.rfind('/') + 1;
  if (last == path.size()) return fail(Errc::kNotFound, path + ": there is no such directory");
  const std::string parent = last == 1 ? "/" : path.substr(0, last - 1);
  const bool is_below = covers(grant, {grant.kind, parent});
  KANTE_TRY(folder, find(is_below ? grant : DeviceGrant{grant.kind, parent}, parent, O_DIRECTORY));
  const std::string name = nameInKernel(folder.get());
  if (isOfAProcess(name)) return isOfOneProcess(path);
  if (isPrivate(name)) return isTheGateways(path);
  constexpr mode_t kMode = 0640;
  FileDescriptor fd(::openat(folder.get(), path.c_str() + last,
                             flagsOf(wish.how) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode));
  if (!fd) return failErrno(path);
  return fd;
}

void DeviceOpener::openFile(const DeviceGrant& grant, const DeviceWish& wish,
                            const Answer& answer) const {
  const auto refuse = [&](const Error& error) { answer(statusOf(error), {}, error.text); };
  auto fd = openPath(grant, wish);
  if (!fd) return refuse(fd.error());
  const std::string& path = wish.grant.target;
  if (wish.how == How::kSpace) {
    const auto space = diskSpace(fd->get(), path);
    if (!space) return refuse(space.error());
    return answer(KANTE_OK, {{}, {}, *space}, {});
  }
  if (wish.how == How::kList) {
    auto names = namesIn(std::move(*fd), path);
    if (!names) return refuse(names.error());
    return answer(KANTE_OK, {{}, std::move(*names)}, {});
  }
  if (wish.how == How::kDevice) {
    if (const Status set = setLine(fd->get(), wish); !set) return refuse(set.error());
  }
  const int flags = ::fcntl(fd->get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd->get(), F_SETFL, flags & ~O_NONBLOCK) != 0)
    return refuse(failErrno(path));
  answer(KANTE_OK, {std::move(*fd), {}}, {});
}

}  // namespace kante
