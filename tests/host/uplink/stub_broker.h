// A broker that misbehaves on purpose: takes one MQTT 5 connection after the other and answers each
// QoS 1 PUBLISH as it is told.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/base/fd.h"

namespace kante {

class StubBroker {
 public:
  struct Publish {
    std::string topic;
    std::string rest;  // Properties and payload.
    bool dup = false;
  };
  // The reason code for the PUBACK; nothing: no answer.
  using Judge = std::function<std::optional<std::uint8_t>(const Publish&)>;

  explicit StubBroker(Judge judge, std::string connack_properties = std::string(1, '\0'))
      : judge_(std::move(judge)), connack_(std::move(connack_properties)) {
    listener_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size);
    ::listen(listener_.get(), 4);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    stop_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
    thread_ = std::thread([this] { run(); });
  }
  ~StubBroker() {
    const std::uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof one) < 0) std::abort();
    thread_.join();
  }

  std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }
  // What came below .../telemetry/ and .../lost.
  std::vector<Publish> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  // Never answers what is published to a topic with this end.
  void swallow(const std::string& topic_end) {
    const std::lock_guard lock(mutex_);
    swallowed_ = topic_end;
  }
  // Ends the present connection at its next packet.
  void hangUp() { hang_up_ = true; }

 private:
  void run() {
    while (wait(listener_.get())) {
      const FileDescriptor peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::uint8_t type = 0;
      std::string body;
      while (readPacket(peer.get(), type, body) && !hang_up_.exchange(false))
        answer(peer.get(), type, body);
    }
  }
  bool wait(int fd) {
    pollfd fds[2] = {{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(fds, 2, -1);
    return fds[1].revents == 0;
  }
  bool readAll(int fd, void* to, std::size_t size) {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      if (!wait(fd)) return false;
      const ssize_t n = ::read(fd, at, size);
      if (n <= 0) return false;
      at += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }
  bool readPacket(int fd, std::uint8_t& type, std::string& body) {
    if (!readAll(fd, &type, 1)) return false;
    std::uint32_t size = 0;
    for (int shift = 0; shift < 28; shift += 7) {
      std::uint8_t byte = 0;
      if (!readAll(fd, &byte, 1)) return false;
      size |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) break;
    }
    body.resize(size);
    return readAll(fd, body.data(), size);
  }
  void send(int fd, std::string packet) {
    packet.insert(packet.begin() + 1, static_cast<char>(packet.size() - 1));
    if (::write(fd, packet.data(), packet.size()) < 0) return;
  }
  void answer(int fd, std::uint8_t type, const std::string& body) {
    switch (type >> 4) {
      case 1: return send(fd, std::string("\x20\0\0", 3) + connack_);
      case 8: return send(fd, std::string("\x90", 1) + body.substr(0, 2) + std::string("\0\1", 2));
      case 12: return send(fd, "\xd0");
      case 3: break;
      default: return;
    }
    const std::size_t topic_size =
        static_cast<std::uint8_t>(body[1]) | static_cast<std::uint8_t>(body[0]) << 8;
    Publish publish{body.substr(2, topic_size), body.substr(4 + topic_size), (type & 8) != 0};
    const std::string packet_id = body.substr(2 + topic_size, 2);
    std::optional<std::uint8_t> reason = 0;
    if (!publish.topic.ends_with("/state")) {
      reason = publish.topic.ends_with("/lost") ? 0 : judge_(publish);
      const std::lock_guard lock(mutex_);
      seen_.push_back(publish);
      if (!swallowed_.empty() && publish.topic.ends_with(swallowed_)) reason.reset();
    }
    if (reason)
      send(fd,
           std::string("\x40", 1) + packet_id + static_cast<char>(*reason) + std::string(1, '\0'));
  }

  const Judge judge_;
  const std::string connack_;  // Properties, with their length.
  FileDescriptor listener_;
  FileDescriptor stop_;
  std::uint16_t port_ = 0;
  std::atomic<bool> hang_up_{false};
  std::mutex mutex_;
  std::vector<Publish> seen_;
  std::string swallowed_;
  std::thread thread_;
};

}  // namespace kante
