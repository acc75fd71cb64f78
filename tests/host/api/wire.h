// A client that says exactly the bytes it is told, and an API server on a thread, for the tests of
// this folder.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "host/api/router.h"
#include "host/api/server.h"
#include "host/base/fd.h"
#include "host/base/log.h"

namespace kante::testing {

inline constexpr int kPatienceMs = 20'000;

struct TempDir {
  TempDir() {
    char pattern[] = "/tmp/kante-api-XXXXXX";
    path = ::mkdtemp(pattern);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

// One connection; every read has a deadline.
class Wire {
 public:
  static Wire toSocket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    Wire wire(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    wire.connected_ =
        ::connect(wire.fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    return wire;
  }
  static Wire toPort(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    Wire wire(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    wire.connected_ =
        ::connect(wire.fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    return wire;
  }
  bool connected() const { return connected_; }
  // False: the other side heard only a part.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // More bytes, or "" at the end or after the deadline.
  std::string hear() {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) != 1) return {};
    char buffer[8192];
    const auto n = ::read(fd_.get(), buffer, sizeof buffer);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
  }
  // Everything until the other side closes.
  std::string hearAll() {
    std::string all;
    for (std::string more = hear(); !more.empty(); more = hear()) all += more;
    return all;
  }
  // Until `text` has come; everything so far.
  std::string hearUntil(const std::string& text) {
    while (heard_.find(text) == std::string::npos) {
      const std::string more = hear();
      if (more.empty()) break;
      heard_ += more;
    }
    return heard_;
  }
  void close() { fd_.reset(); }
  int fd() const { return fd_.get(); }

 private:
  explicit Wire(int fd) : fd_(fd) {}
  FileDescriptor fd_;
  bool connected_ = false;
  std::string heard_;
};

// A server with its control thread.  Routes are added to `router` before start().
class RunningApi {
 public:
  ~RunningApi() { stop(); }
  Status start(ApiServer::Options options) {
    upload_dir_ = *openDirectory(dir.path);
    options.upload_dir_fd = upload_dir_.get();
    server = std::make_unique<ApiServer>(control, router, log, std::move(options));
    KANTE_CHECK(server->start());
    thread_ = std::thread([this] { control.run(); });
    return {};
  }
  Status start() {
    ApiServer::Options options;
    options.socket = socket();
    options.http = "127.0.0.1:0";
    return start(std::move(options));
  }
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(control, [this] { server.reset(); });
    work_.reset();
    control.stop();
    thread_.join();
  }
  template <typename F>
  auto onControl(F work) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto done = task.get_future();
    boost::asio::post(control, [&task] { task(); });
    return done.get();
  }
  std::string socket() const { return dir.path + "/api.sock"; }
  std::string ask(const std::string& bytes) {
    Wire wire = Wire::toSocket(socket());
    wire.say(bytes);
    return wire.hearAll();
  }

  TempDir dir;
  boost::asio::io_context control{1};
  Log log{Log::Format::kSilent};
  Router router;
  std::unique_ptr<ApiServer> server;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      control.get_executor()};
  FileDescriptor upload_dir_;
  std::thread thread_;
};

}  // namespace kante::testing
