// Something at a UNIX socket that says what a test wants, as an engine would or would not.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kante {

class StubEngine {
 public:
  explicit StubEngine(boost::asio::io_context& io) {
    char name[] = "/tmp/kante-engine-XXXXXX";
    directory_ = ::mkdtemp(name);
    acceptor_.emplace(io, Protocol::endpoint(socket()));
    accept();
  }
  ~StubEngine() {
    acceptor_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  std::string socket() const { return directory_ + "/s"; }
  // To every request from now on; whole, with head.  Then the connection is kept or cut.
  enum class Then { kKeep, kCut };
  void answer(std::string bytes, Then then = Then::kCut) {
    answer_ = std::move(bytes);
    then_ = then;
  }
  void answerJson(unsigned status, const std::string& json) {
    answer("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" +
           "Content-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json);
  }
  // To requests with that in their target, whatever answer() says.
  void always(const std::string& target, const std::string& json) {
    always_ = {target, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(json.size()) +
                           "\r\n\r\n" + json};
  }
  // Heads of what was asked.
  const std::vector<std::string>& asked() const { return asked_; }
  void cutAll() { kept_.clear(); }

 private:
  using Protocol = boost::asio::local::stream_protocol;
  struct Peer {
    explicit Peer(Protocol::socket from) : socket(std::move(from)) {}
    Protocol::socket socket;
    boost::asio::streambuf in;
    std::string out;
  };

  void accept() {
    acceptor_->async_accept([this](boost::system::error_code failed, Protocol::socket socket) {
      if (failed) return;
      serve(std::make_shared<Peer>(std::move(socket)));
      accept();
    });
  }
  void serve(const std::shared_ptr<Peer>& peer) {
    boost::asio::async_read_until(
        peer->socket, peer->in, "\r\n\r\n",
        [this, peer](boost::system::error_code failed, std::size_t size) {
          if (failed) return;
          asked_.emplace_back(static_cast<const char*>(peer->in.data().data()), size);
          const bool is_always =
              !always_.first.empty() && asked_.back().find(always_.first) != std::string::npos;
          peer->out = is_always ? always_.second : answer_;
          boost::asio::async_write(peer->socket, boost::asio::buffer(peer->out),
                                   [this, peer](boost::system::error_code, std::size_t) {
                                     if (then_ == Then::kKeep) kept_.push_back(peer);
                                   });
        });
  }

  std::string directory_;
  std::optional<Protocol::acceptor> acceptor_;
  std::string answer_;
  std::pair<std::string, std::string> always_;  // Part of the target, whole answer.
  Then then_ = Then::kCut;
  std::vector<std::string> asked_;
  std::vector<std::shared_ptr<Peer>> kept_;
};

}  // namespace kante
