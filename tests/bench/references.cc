// The peers, used as their users use them: one thread sends, one receives, 256 bytes each.
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <zmq.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "tests/bench/bench.h"

namespace kante::bench {

namespace {

using Clock = std::chrono::steady_clock;

double perSecond(std::uint64_t messages, Clock::time_point began) {
  return static_cast<double>(messages) /
         std::chrono::duration<double>(Clock::now() - began).count();
}

void mustBe(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "kante-bench: reference %s failed\n", what);
  std::exit(1);
}

}  // namespace

double zmqInproc(std::uint64_t messages) {
  void* context = zmq_ctx_new();
  void* receiver = zmq_socket(context, ZMQ_PULL);
  mustBe(zmq_bind(receiver, "inproc://bench") == 0, "zmq_bind");
  const auto began = Clock::now();
  std::thread sender([&] {
    void* socket = zmq_socket(context, ZMQ_PUSH);
    mustBe(zmq_connect(socket, "inproc://bench") == 0, "zmq_connect");
    char body[256] = {};
    for (std::uint64_t i = 0; i < messages; ++i) {
      std::memcpy(body, &i, sizeof i);
      mustBe(zmq_send(socket, body, sizeof body, 0) == sizeof body, "zmq_send");
    }
    zmq_close(socket);
  });
  for (std::uint64_t i = 0; i < messages; ++i) {
    char body[256];
    mustBe(zmq_recv(receiver, body, sizeof body, 0) == sizeof body, "zmq_recv");
    std::uint64_t number = 0;
    std::memcpy(&number, body, sizeof number);
    mustBe(number == i, "zmq order");
  }
  const double result = perSecond(messages, began);
  sender.join();
  zmq_close(receiver);
  zmq_ctx_term(context);
  return result;
}

double nngInproc(std::uint64_t messages) {
  static int run = 0;
  const std::string url = "inproc://bench-" + std::to_string(run++);
  nng_socket receiver{};
  nng_socket socket{};
  mustBe(nng_pair0_open(&receiver) == 0 && nng_pair0_open(&socket) == 0, "nng_pair0_open");
  nng_socket_set_int(receiver, NNG_OPT_RECVBUF, 1024);
  nng_socket_set_int(socket, NNG_OPT_SENDBUF, 1024);
  mustBe(nng_listen(receiver, url.c_str(), nullptr, 0) == 0, "nng_listen");
  mustBe(nng_dial(socket, url.c_str(), nullptr, 0) == 0, "nng_dial");
  const auto began = Clock::now();
  std::thread sender([&] {
    char body[256] = {};
    for (std::uint64_t i = 0; i < messages; ++i) {
      std::memcpy(body, &i, sizeof i);
      mustBe(nng_send(socket, body, sizeof body, 0) == 0, "nng_send");
    }
  });
  for (std::uint64_t i = 0; i < messages; ++i) {
    char body[256];
    std::size_t size = sizeof body;
    mustBe(nng_recv(receiver, body, &size, 0) == 0, "nng_recv");
    std::uint64_t number = 0;
    std::memcpy(&number, body, sizeof number);
    mustBe(number == i, "nng order");
  }
  const double result = perSecond(messages, began);
  sender.join();
  nng_close(socket);
  nng_close(receiver);
  return result;
}

}  // namespace kante::bench
