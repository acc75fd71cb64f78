// What a session costs that is connected and says nothing: memory of the broker, plain and over
// TLS, beside mosquitto, and its CPU while all are idle.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "tests/bench/bench.h"
#include "tests/bench/gateway_process.h"
#include "tests/bench/mqtt_load.h"

namespace kante::bench {

namespace {

constexpr std::size_t kSessions = 10'000;
constexpr std::size_t kFilesSpare = 200;
constexpr unsigned kIdleSeconds = 3;
constexpr unsigned kSettledSeconds = 3;

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "kante-bench sessions: %s\n", text.c_str());
  std::exit(1);
}

// As many as this machine lets a process have files; children inherit the limit.
std::size_t sessionsThatFit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  return std::min<std::size_t>(kSessions, files.rlim_cur - std::min(files.rlim_cur, kFilesSpare));
}

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

// A key and a certificate for it that it signed itself: cert.pem and key.pem in the folder.
void makeCertificate(const std::string& folder) {
  const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
  const std::unique_ptr<X509, Freed<X509_free>> cert(X509_new());
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86'400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  X509_set_pubkey(cert.get(), key.get());
  const auto file = [&folder](const char* name) {
    std::FILE* opened = std::fopen((folder + name).c_str(), "w");
    if (opened == nullptr) die("cannot write to " + folder);
    return std::unique_ptr<std::FILE, Freed<std::fclose>>(opened);
  };
  if (X509_sign(cert.get(), key.get(), EVP_sha256()) == 0 ||
      PEM_write_X509(file("/cert.pem").get(), cert.get()) == 0 ||
      PEM_write_PrivateKey(file("/key.pem").get(), key.get(), nullptr, nullptr, 0, nullptr,
                           nullptr) == 0) {
    die("cannot make a certificate");
  }
}

class Sessions {
 public:
  enum class Over { kTcp, kTls };
  Sessions(std::uint16_t port, Over over, std::size_t count)
      : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_mode(context_.get(), SSL_MODE_RELEASE_BUFFERS);
    for (std::size_t i = 0; i < count; ++i) connect(port, over, i);
  }
  ~Sessions() {
    tls_.clear();
    for (const int socket : sockets_) ::close(socket);
  }
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

 private:
  void connect(std::uint16_t port, Over over, std::size_t number) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (socket < 0 || ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      die(fmt::format("no connection for session {}", number));
    sockets_.push_back(socket);
    const std::string id = fmt::format("s-{:05}", number);
    std::string hello("\x10\x13\0\4MQTT\4\2\x02\x58\0\7", 14);
    hello += id;
    char answer[4] = {};
    bool is_in = false;
    if (over == Over::kTcp) {
      is_in = ::write(socket, hello.data(), hello.size()) == static_cast<ssize_t>(hello.size()) &&
              ::recv(socket, answer, sizeof answer, MSG_WAITALL) == 4;
    } else {
      SSL* tls = tls_.emplace_back(SSL_new(context_.get())).get();
      SSL_set_fd(tls, socket);
      is_in = SSL_connect(tls) == 1 && SSL_write(tls, hello.data(), int(hello.size())) > 0 &&
              SSL_read(tls, answer, sizeof answer) == 4;
    }
    if (!is_in || answer[3] != 0) die(fmt::format("session {} is refused", number));
  }

  std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>> context_;
  std::vector<int> sockets_;
  std::vector<std::unique_ptr<SSL, Freed<SSL_free>>> tls_;
};

struct Cost {
  double bytes = 0;     // Of the broker, for each.
  double cpu_ms_s = 0;  // Of the broker, while all are idle.
};

Cost costOf(const BrokerProcess& broker, Sessions::Over over, std::size_t count) {
  const std::uint16_t port = over == Sessions::Over::kTcp ? broker.port() : broker.tlsPort();
  { const Sessions first(port, over, 100); }
  ::sleep(
      kSettledSeconds);  // What a broker still does after its first client is not the sessions'.
  const double before = pssKib(broker.pid());
  const Sessions sessions(port, over, count);
  Cost cost;
  cost.bytes = (pssKib(broker.pid()) - before) * 1024 / static_cast<double>(count);
  const double cpu = cpuSeconds(broker.pid());
  ::sleep(kIdleSeconds);
  cost.cpu_ms_s = (cpuSeconds(broker.pid()) - cpu) * 1000 / kIdleSeconds;
  return cost;
}

}  // namespace

std::vector<Figure> benchSessions(const std::string& kante) {
  const std::size_t count = sessionsThatFit();
  const std::string folder = freshFolder();
  makeCertificate(folder);
  std::vector<Figure> figures;
  using enum Figure::Better;
  for (const auto over : {Sessions::Over::kTcp, Sessions::Over::kTls}) {
    Cost ours, theirs;
    {
      const BrokerProcess broker(kante, folder);
      ours = costOf(broker, over, count);
    }
    {
      const BrokerProcess broker("", folder);
      theirs = costOf(broker, over, count);
    }
    const char* name = over == Sessions::Over::kTcp ? "plain" : "TLS";
    figures.push_back({fmt::format("{} idle sessions, {}: memory each", count, name), "bytes",
                       ours.bytes, "mosquitto", theirs.bytes, 0, kLower});
    figures.push_back({fmt::format("the same, {}: broker CPU", name), "ms/s", ours.cpu_ms_s,
                       "mosquitto", theirs.cpu_ms_s, 0, kLower});
  }
  std::filesystem::remove_all(folder);
  return figures;
}

}  // namespace kante::bench
