// A module in a container, as small as one can be: static, with MQTT 3.1.1 over plain text to this
// machine and the workload API for its token.  It says of each input on "echo" what it was, counts
// them in its twin, and knows the methods "add" and "crash".
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace {

using std::string;

[[noreturn]] void die(const string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(3);
}

string env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) die(string(name) + " is not set");
  return value;
}

void sendAll(int fd, const string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (n <= 0) die("the hub is gone");
    at += static_cast<std::size_t>(n);
  }
}

string base64(const string& bytes) {
  static const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j)
      three = three << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j)
      out += i + j > bytes.size() ? '=' : kDigits[three >> (18 - 6 * j) & 63];
  }
  return out;
}

string percent(const string& text) {
  string out;
  char code[4];
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_') {
      out += c;
    } else {
      std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c));
      out += code;
    }
  }
  return out;
}

// The value of a member that is a text without escapes.
string textIn(const string& json, const string& member) {
  const auto at = json.find('"' + member + "\":\"");
  if (at == string::npos) die("no " + member + " in " + json);
  const auto from = at + member.size() + 4;
  return json.substr(from, json.find('"', from) - from);
}

string ask(const string& method, const string& path, const string& body) {
  const string uri = env("IOTEDGE_WORKLOADURI");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  uri.copy(address.sun_path, sizeof address.sun_path - 1, sizeof "unix://" - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    die("nobody answers at " + uri);
  sendAll(fd, method + " " + path +
                  "?api-version=2018-06-28 HTTP/1.1\r\nHost: workload\r\nConnection: close\r\n" +
                  "Content-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body);
  string answer;
  char piece[4096];
  for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) > 0;)
    answer.append(piece, static_cast<std::size_t>(n));
  ::close(fd);
  return answer;
}

string token(const string& resource) {
  const string signed_text = resource + "\n" + std::to_string(std::time(nullptr) + 3600);
  const string answer =
      ask("POST",
          "/modules/" + env("IOTEDGE_MODULEID") + "/genid/" + env("IOTEDGE_MODULEGENERATIONID") +
              "/sign",
          R"({"keyId":"primary","algo":"HMACSHA256","data":")" + base64(signed_text) + "\"}");
  return "SharedAccessSignature sr=" + resource + "&sig=" + percent(textIn(answer, "digest")) +
         "&se=" + signed_text.substr(resource.size() + 1);
}

string field(const string& text) {
  return string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 255)} + text;
}

string packet(char type, const string& rest) {
  string out(1, type);
  std::size_t size = rest.size();
  do {
    const char digit = static_cast<char>(size % 128);
    size /= 128;
    out += static_cast<char>(size > 0 ? digit | 128 : digit);
  } while (size > 0);
  return out + rest;
}

class Client {
 public:
  Client() {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(env("HUB_PORT").c_str())));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      die("no hub");
    const string device = env("IOTEDGE_DEVICEID"), module = env("IOTEDGE_MODULEID");
    own_ = "devices/" + device + "/modules/" + module;
    const string host = env("IOTEDGE_IOTHUBHOSTNAME");
    const string user = host + "/" + device + "/" + module + "/?api-version=2018-06-30";
    // Keeps its session, so that what comes meanwhile is there.
    sendAll(fd_, packet(0x10, field("MQTT") + string("\x04\xc0\x00\x3c", 4) +
                                  field(device + "/" + module) + field(user) +
                                  field(token(percent(host + "/" + own_)))));
    const string answer = read();
    if (answer.size() != 4 || answer[3] != 0) die("the hub refuses");
    string filters;
    for (const string& filter :
         {own_ + "/inputs/#", string("$iothub/methods/POST/#"), string("$iothub/twin/res/#"),
          string("$iothub/twin/PATCH/properties/desired/#")})
      filters += field(filter) + string(1, filter[0] == 'd' ? 1 : 0);
    sendAll(fd_, packet(static_cast<char>(0x82), string("\0\1", 2) + filters));
  }

  void publish(const string& topic, const string& body) {
    sendAll(fd_, packet(0x30, field(topic) + body));
  }

  [[noreturn]] void serve() {
    publish("$iothub/twin/GET/?$rid=1", "");
    std::printf("serving as %s\n", own_.c_str());
    std::fflush(stdout);
    for (;;) take(read());
  }

 private:
  string read() {
    string out;
    get(out, 1);
    std::size_t size = 0;
    for (int shift = 0;; shift += 7) {
      get(out, 1);
      size |= static_cast<std::size_t>(out.back() & 127) << shift;
      if ((out.back() & 128) == 0) break;
    }
    header_ = out.size();
    get(out, size);
    return out;
  }
  void get(string& out, std::size_t count) {
    for (char c; count > 0; --count) {
      if (::read(fd_, &c, 1) != 1) die("the hub is gone");
      out += c;
    }
  }

  void take(const string& bytes) {
    if ((bytes[0] & 0xf0) != 0x30) return;
    std::size_t at = header_ + 2;
    const std::size_t topic_size = static_cast<unsigned char>(bytes[header_]) * 256u +
                                   static_cast<unsigned char>(bytes[header_ + 1]);
    const string topic = bytes.substr(at, topic_size);
    at += topic_size;
    if ((bytes[0] & 6) != 0) {
      sendAll(fd_, packet(0x40, bytes.substr(at, 2)));
      at += 2;
    }
    const string body = bytes.substr(at);
    if (topic.rfind(own_ + "/inputs/", 0) == 0) {
      publish(own_ + "/messages/events/%24.on=echo", "{\"got\":" + body + "}");
      publish("$iothub/twin/PATCH/properties/reported/?$rid=2",
              "{\"count\":" + std::to_string(++count_) + "}");
    } else if (topic.rfind("$iothub/methods/POST/crash/", 0) == 0) {
      die("as it was told");
    } else if (topic.rfind("$iothub/methods/POST/", 0) == 0) {
      const string rid = topic.substr(topic.find("$rid=") + 5);
      publish("$iothub/methods/res/200/?$rid=" + rid,
              "{\"module\":\"" + own_ + "\",\"asked\":" + body + "}");
    } else if (topic.rfind("$iothub/twin/PATCH/properties/desired/", 0) == 0 ||
               topic.rfind("$iothub/twin/res/200/?$rid=1", 0) == 0) {
      publish("$iothub/twin/PATCH/properties/reported/?$rid=3",
              "{\"heard\":" + base64Text(body) + "}");
    }
  }
  static string base64Text(const string& body) { return "\"" + base64(body) + "\""; }

  int fd_ = -1;
  std::size_t header_ = 0;
  string own_;
  int count_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  // What another module's socket would say: `container_client ask PATH`.
  if (argc == 3) {
    std::printf("%s\n", ask("GET", argv[2], "").c_str());
    return 0;
  }
  Client().serve();
}
