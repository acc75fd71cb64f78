#include "tests/support/file_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kante::testing {
namespace {

// False: the test is over.
bool readable(int fd, int stop) {
  pollfd both[] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
  while (::poll(both, 2, -1) < 0 && errno == EINTR) {
  }
  return both[1].revents == 0;
}

void sendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

FileServer::FileServer(Serve serve) : serve_(std::move(serve)) {
  listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  stop_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  KANTE_ASSERT(::bind(listener_.get(), generic, bytes) == 0);
  KANTE_ASSERT(::listen(listener_.get(), 16) == 0);
  KANTE_ASSERT(::getsockname(listener_.get(), generic, &bytes) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

FileServer::~FileServer() {
  const std::uint64_t one = 1;
  KANTE_ASSERT(::write(stop_.get(), &one, sizeof one) == sizeof one);
  thread_.join();
}

std::string FileServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<FileServer::Request> FileServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

FileServer::Answer FileServer::rangeOf(const std::string& bytes, const Request& request) {
  if (!request.from) return {200, bytes};
  if (*request.from >= bytes.size()) return {416, "no such range"};
  const std::string range = "Content-Range: bytes " + std::to_string(*request.from) + "-" +
                            std::to_string(bytes.size() - 1) + "/" + std::to_string(bytes.size());
  return {206, bytes.substr(static_cast<std::size_t>(*request.from)), range + "\r\n"};
}

void FileServer::run() {
  while (readable(listener_.get(), stop_.get())) {
    const FileDescriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) converse(client.get());
  }
}

void FileServer::converse(int client) {
  std::string head;
  char bytes[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    if (!readable(client, stop_.get())) return;
    const ssize_t n = ::recv(client, bytes, sizeof bytes, 0);
    if (n <= 0) return;
    head.append(bytes, static_cast<std::size_t>(n));
  }
  Request request;
  request.path = head.substr(4, head.find(' ', 4) - 4);
  const std::string range = "Range: bytes=";
  const std::size_t at = head.find(range);
  if (at != std::string::npos) request.from = std::stoull(head.substr(at + range.size()));
  {
    const std::lock_guard lock(mutex_);
    request.number = requests_.size();
    requests_.push_back(request);
  }
  const Answer answer = serve_(request);
  sendAll(client, "HTTP/1.1 " + std::to_string(answer.status) + " .\r\nConnection: close\r\n" +
                      "Content-Length: " + std::to_string(answer.body.size()) + "\r\n" +
                      answer.headers + "\r\n");
  sendAll(client,
          std::string_view(answer.body).substr(0, answer.cut_after.value_or(answer.body.size())));
  if (answer.stalls && readable(client, stop_.get())) (void)::recv(client, bytes, sizeof bytes, 0);
}

}  // namespace kante::testing
