#include "host/container/engine.h"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <utility>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/container/engine_call.h"
#include "host/container/json_lines.h"

namespace kante {
namespace {

namespace json = boost::json;

// Slashes stay: repositories have them, and so do the engine's paths.
std::string pathOf(const std::string& name) {
  std::string out;
  std::size_t from = 0;
  for (;;) {
    const std::size_t slash = name.find('/', from);
    out += percentEncode(std::string_view(name).substr(from, slash - from));
    if (slash == std::string::npos) return out;
    out += '/';
    from = slash + 1;
  }
}

std::string filters(const std::string& label, const char* type = nullptr) {
  json::object out;
  if (!label.empty()) out["label"] = json::array{json::string(label)};
  if (type != nullptr) out["type"] = json::array{json::string(type)};
  return "filters=" + percentEncode(writeJson(out));
}

// Without a tag the engine would pull all that there are.
std::string pullQuery(const std::string& image) {
  const std::size_t name = image.rfind('/') == std::string::npos ? 0 : image.rfind('/');
  const bool is_exact =
      image.find('@') != std::string::npos || image.find(':', name) != std::string::npos;
  return "fromImage=" + percentEncode(image) + (is_exact ? "" : "&tag=latest");
}

// base64 with the letters of RFC 4648's section 5.
std::string authOf(const RegistryLogin& login) {
  std::string out = toBase64(writeJson(json::object{{"username", login.username},
                                                    {"password", login.password},
                                                    {"serveraddress", login.server}}));
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string secondsText(std::int64_t ns) {
  const std::string rest = std::to_string(ns % 1'000'000'000);
  return std::to_string(ns / 1'000'000'000) + "." + std::string(9 - rest.size(), '0') + rest;
}

}  // namespace

std::string registryOf(const std::string& image) {
  const auto slash = image.find('/');
  const std::string first = image.substr(0, slash);
  const bool is_host = slash != std::string::npos &&
                       (first == "localhost" || first.find_first_of(".:") != std::string::npos);
  return is_host ? first : "docker.io";
}

Result<std::optional<RegistryLogin>> loginFor(const LoginFor& asked, const std::string& image) {
  if (!asked) return std::optional<RegistryLogin>();
  auto login = asked(image);
  if (!login) return within("pull image " + image, std::move(login).error());
  return login;
}

Engine::Engine(boost::asio::io_context& control, std::string socket)
    : Engine(control, std::move(socket), Times{}) {}
Engine::Engine(boost::asio::io_context& control, std::string socket, Times times)
    : control_(control),
      socket_(std::move(socket)),
      times_(times),
      version_(std::make_shared<ApiVersion>(kApiVersion)) {}
Engine::~Engine() = default;

EngineOrder Engine::order(const char* what, const std::string& subject, const char* method,
                          const std::string& path) const {
  EngineOrder out;
  out.socket = socket_;
  out.what = subject.empty() ? what : what + (" " + subject);
  out.method = method;
  out.target = "/v" + version_->text() + path;
  out.deadline = times_.answer;
  return out;
}

Engine::Call Engine::ask(EngineOrder order, Then<void> then) {
  order.done = [then = std::move(then)](const Result<EngineAnswer>& answer) {
    then(answer ? Status() : Status(answer.error()));
  };
  return startEngineCall(control_, std::move(order));
}

template <typename T>
Engine::Call Engine::ask(EngineOrder order, Result<T> (*read)(std::string_view), Then<T> then) {
  order.done = [what = order.what, read,
                then = std::move(then)](const Result<EngineAnswer>& answer) {
    if (!answer) return then(answer.error());
    auto facts = read(answer->body);
    if (!facts) return then(within(what, std::move(facts).error()));
    then(std::move(facts));
  };
  return startEngineCall(control_, std::move(order));
}

Engine::Call Engine::connect(Then<EngineFacts> then) {
  EngineOrder asked = order("container engine", "", "GET", "");
  asked.target = "/version";
  return ask<EngineFacts>(
      std::move(asked), readEngineFacts,
      [version = version_, socket = socket_, then = std::move(then)](Result<EngineFacts> facts) {
        if (facts && facts->newest < kApiVersion)
          return then(fail(Errc::kUnsupported,
                           "container engine: " + facts->version + " at " + socket +
                               " speaks its API up to " + facts->newest.text() + "; at least " +
                               kApiVersion.text() + " is needed, so update it"));
        if (facts) *version = std::max(kApiVersion, facts->oldest);
        then(std::move(facts));
      });
}

// ---- images ----------------------------------------------------------------------------------

Engine::Call Engine::runsOn(Then<bool> then) {
  return ask<bool>(order("ask what it is", "", "GET", "/info"), readRunsOn, std::move(then));
}

Engine::Call Engine::inspectImage(const std::string& image, Then<ImageFacts> then) {
  return ask<ImageFacts>(order("inspect image", image, "GET", "/images/" + pathOf(image) + "/json"),
                         readImageFacts, std::move(then));
}

Engine::Call Engine::pullImage(const std::string& image, const RegistryLogin* login,
                               OnProgress progress, Then<void> then) {
  EngineOrder pull = order("pull image", image, "POST", "/images/create?" + pullQuery(image));
  if (login != nullptr) pull.registry_auth = authOf(*login);
  pull.deadline = pull.silence = times_.pull_silence;
  const auto lines = std::make_shared<JsonLines>(
      [dropped = pull.dropped, progress = std::move(progress)](std::string_view line) -> Status {
        KANTE_TRY(step, readPullProgress(line));
        if (!*dropped) progress(step);
        return {};
      });
  pull.opened = [] {};
  pull.took = [lines](std::string_view bytes) { return lines->take(bytes); };
  return ask(std::move(pull), [lines, what = pull.what, then = std::move(then)](Status status) {
    if (status) {
      status = lines->finish();
      if (!status) status = within(what, status.error());
    }
    then(std::move(status));
  });
}

Engine::Call Engine::removeImage(const std::string& image, Then<void> then) {
  return ask(order("remove image", image, "DELETE", "/images/" + pathOf(image)), std::move(then));
}

Engine::Call Engine::listImages(const std::string& label, Then<std::vector<ImageFacts>> then) {
  return ask<std::vector<ImageFacts>>(
      order("list images", label, "GET", "/images/json?" + filters(label)), readImageList,
      std::move(then));
}

// ---- containers ------------------------------------------------------------------------------

Engine::Call Engine::listContainers(const std::string& label,
                                    Then<std::vector<ContainerEntry>> then) {
  return ask<std::vector<ContainerEntry>>(
      order("list containers", label, "GET", "/containers/json?all=1&" + filters(label)),
      readContainerList, std::move(then));
}

Engine::Call Engine::inspect(const std::string& container, Then<ContainerFacts> then) {
  return ask<ContainerFacts>(
      order("inspect container", container, "GET", "/containers/" + pathOf(container) + "/json"),
      readContainerFacts, std::move(then));
}

Engine::Call Engine::create(const std::string& name, std::string body, Then<std::string> then) {
  EngineOrder make =
      order("create container", name, "POST", "/containers/create?name=" + percentEncode(name));
  make.body = std::move(body);
  return ask<std::string>(std::move(make), readCreated, std::move(then));
}

Engine::Call Engine::gatewayOf(const std::string& network, Then<std::string> then) {
  return ask<std::string>(
      order("inspect network", network, "GET", "/networks/" + percentEncode(network)), readGateway,
      std::move(then));
}

Engine::Call Engine::start(const std::string& container, Then<void> then) {
  return ask(
      order("start container", container, "POST", "/containers/" + pathOf(container) + "/start"),
      std::move(then));
}

Engine::Call Engine::stop(const std::string& container, std::uint32_t seconds, Then<void> then) {
  EngineOrder end =
      order("stop container", container, "POST",
            "/containers/" + pathOf(container) + "/stop?t=" + std::to_string(seconds));
  end.deadline += std::chrono::seconds(seconds);
  return ask(std::move(end), std::move(then));
}

Engine::Call Engine::kill(const std::string& container, const std::string& signal,
                          Then<void> then) {
  return ask(order("kill container", container, "POST",
                   "/containers/" + pathOf(container) + "/kill?signal=" + percentEncode(signal)),
             std::move(then));
}

Engine::Call Engine::restart(const std::string& container, std::uint32_t seconds, Then<void> then) {
  EngineOrder again =
      order("restart container", container, "POST",
            "/containers/" + pathOf(container) + "/restart?t=" + std::to_string(seconds));
  again.deadline += std::chrono::seconds(seconds);
  return ask(std::move(again), std::move(then));
}

Engine::Call Engine::remove(const std::string& container, Then<void> then) {
  return ask(order("remove container", container, "DELETE",
                   "/containers/" + pathOf(container) + "?force=1&v=1"),
             std::move(then));
}

Engine::Call Engine::wait(const std::string& container, Then<std::int64_t> then) {
  EngineOrder end =
      order("wait for container", container, "POST", "/containers/" + pathOf(container) + "/wait");
  end.deadline = {};
  return ask<std::int64_t>(std::move(end), readWaitEnd, std::move(then));
}

// ---- streams ---------------------------------------------------------------------------------

Engine::Call Engine::logs(const std::string& container, const LogOrder& wanted,
                          LogFrames::OnLine on_line, Then<void> then) {
  const bool follows = wanted.until == LogOrder::Until::kEnd;
  EngineOrder read =
      order("logs of container", container, "GET",
            "/containers/" + pathOf(container) +
                "/logs?stdout=1&stderr=1&timestamps=1&follow=" + (follows ? "1" : "0") +
                (wanted.since_ns > 0 ? "&since=" + secondsText(wanted.since_ns) : ""));
  if (!follows) read.silence = times_.answer;
  const auto frames = std::make_shared<LogFrames>(
      wanted.framing,
      [dropped = read.dropped, on_line = std::move(on_line)](const ContainerLine& line) {
        if (!*dropped) on_line(line);
      });
  read.opened = [] {};
  read.took = [frames](std::string_view bytes) { return frames->take(bytes); };
  return ask(std::move(read), [frames, then = std::move(then)](Status status) {
    frames->finish();
    then(std::move(status));
  });
}

Engine::Call Engine::events(const std::string& label, std::function<void()> opened,
                            OnEvent on_event, Then<void> then) {
  EngineOrder follow =
      order("events of containers", label, "GET", "/events?" + filters(label, "container"));
  const auto lines = std::make_shared<JsonLines>(
      [dropped = follow.dropped, on_event = std::move(on_event)](std::string_view line) -> Status {
        KANTE_TRY(event, readEvent(line));
        if (!*dropped) on_event(event);
        return {};
      });
  follow.opened = std::move(opened);
  follow.took = [lines](std::string_view bytes) { return lines->take(bytes); };
  return ask(std::move(follow), std::move(then));
}

}  // namespace kante
