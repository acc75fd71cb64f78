#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/json.h"
#include "host/base/log.h"
#include "host/placement/module_host.h"

namespace kante {
namespace {

constexpr JsonBounds kMoveBounds{1024, 2};

namespace json = boost::json;

bool isModule(const ModuleHost& modules, const std::string& name) {
  const auto all = modules.modules();
  return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.name == name; });
}

// Carries the lines that a module logs, on whatever thread, to one reader; a flood is cut, and said
// so.
class LogFeed : public std::enable_shared_from_this<LogFeed> {
 public:
  static constexpr std::size_t kPostedMax = 256;  // Lines on their way to the control thread.

  LogFeed(boost::asio::io_context& control, std::string who, std::weak_ptr<ResponseStream> stream)
      : control_(control), who_(std::move(who)), stream_(std::move(stream)) {}

  void begin(Log& log) {
    handle_ = log.follow([weak = weak_from_this()](const LogLine& line) {
      if (const auto self = weak.lock()) self->onLine(line);
    });
  }

 private:
  void onLine(const LogLine& line) {  // Any thread.
    if (line.who != who_) return;
    if (posted_.fetch_add(1) >= kPostedMax) {
      --posted_;
      ++lost_;
      return;
    }
    boost::asio::post(control_, [weak = weak_from_this(), text = formatJson(line) + '\n'] {
      if (const auto self = weak.lock()) self->deliver(text);
    });
  }
  void deliver(const std::string& text) {
    --posted_;
    const auto stream = stream_.lock();
    if (!stream) return;
    if (const std::uint64_t lost = lost_.exchange(0); lost > 0) {
      stream->write("{\"lost\":" + std::to_string(lost) + "}\n");
    }
    if (!stream->write(text)) ++lost_;
  }

  boost::asio::io_context& control_;
  const std::string who_;
  const std::weak_ptr<ResponseStream> stream_;
  std::atomic<std::size_t> posted_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::shared_ptr<void> handle_;
};

// The kept lines, at most `tail` of them; then, with `follow`, each new one.
void serveLogs(const ExchangePtr& exchange, ModuleHost& modules, Log& log,
               boost::asio::io_context& control) {
  const std::string& module = exchange->request().param("name");
  const std::string who = "module/" + module;
  auto lines = log.kept(who);
  if (lines.empty() && !isModule(modules, module)) {
    return exchange->respond(errorReply(fail(Errc::kNotFound, "There is no module " + module)));
  }
  const std::string& tail = exchange->request().queryValue("tail");
  const std::size_t most = tail.empty() ? lines.size() : std::strtoul(tail.c_str(), nullptr, 10);
  const std::size_t skip = lines.size() - std::min(lines.size(), most);
  std::string text;
  for (std::size_t i = skip; i < lines.size(); ++i) text += formatJson(lines[i]) + '\n';
  const std::string& follow = exchange->request().queryValue("follow");
  if (follow.empty() || follow == "0") {
    HttpResponse response;
    response.content_type = "application/x-ndjson";
    response.body = std::move(text);
    return exchange->respond(std::move(response));
  }
  const auto stream = exchange->stream("application/x-ndjson", "\n");
  stream->write(std::move(text));
  const auto feed = std::make_shared<LogFeed>(control, who, stream);
  feed->begin(log);
  stream->keep(
      std::make_shared<std::pair<std::shared_ptr<LogFeed>, std::shared_ptr<void>>>(feed, stream));
}

// The module as it is now, or what went wrong.
ModuleHost::Done answerWith(const ExchangePtr& exchange, const ModuleHost& modules) {
  return [exchange, module = exchange->request().param("name"), &modules](const Status& done) {
    if (!done) return exchange->respond(errorReply(done.error()));
    for (const auto& each : modules.modules()) {
      if (each.name == module) return exchange->respond(jsonReply(toJson(each)));
    }
    exchange->respond(jsonReply(json::object{{"name", module}}));
  };
}

void act(const ExchangePtr& exchange, ModuleHost& modules,
         void (ModuleHost::*what)(const std::string&, ModuleHost::Done)) {
  (modules.*what)(exchange->request().param("name"), answerWith(exchange, modules));
}

// {"placement": "sandbox"}, or {"reset": true}.
Result<std::optional<Placement>> readMove(const std::string& text) {
  const Error wanted{Errc::kInvalid,
                     R"(expected {"placement": "in-process"}, {"placement": "sandbox"} or )"
                     R"({"reset": true})"};
  const auto body = parseJsonObject(text, kMoveBounds);
  if (!body) return body.error();
  if (body->size() != 1) return wanted;
  if (const json::value* reset = body->if_contains("reset"))
    return reset->is_bool() && reset->get_bool() ? Result<std::optional<Placement>>(std::nullopt)
                                                 : wanted;
  const json::value* placement = body->if_contains("placement");
  if (placement == nullptr || !placement->is_string()) return wanted;
  for (const Placement one : {Placement::kInProcess, Placement::kSandbox}) {
    if (placement->get_string() == name(one)) return std::optional(one);
  }
  return wanted;
}

}  // namespace

void addModuleEndpoints(Router& router, ModuleHost& modules, Log& log,
                        boost::asio::io_context& control) {
  router.add(HttpMethod::kGet, "/v1/modules", Audience::kReaders, BodyRule::none(),
             [&modules](const ExchangePtr& exchange) {
               json::array out;
               for (const auto& each : modules.modules()) out.push_back(toJson(each));
               exchange->respond(jsonReply(out));
             });
  router.add(HttpMethod::kGet, "/v1/modules/{name}/logs", Audience::kOperators, BodyRule::none(),
             [&modules, &log, &control](const ExchangePtr& exchange) {
               serveLogs(exchange, modules, log, control);
             });
  using Action = void (ModuleHost::*)(const std::string&, ModuleHost::Done);
  for (const auto& [verb, action] :
       {std::pair<const char*, Action>{"restart", &ModuleHost::restart},
        {"stop", &ModuleHost::stop},
        {"start", &ModuleHost::start}}) {
    const auto what = action;
    const std::string verb_name = verb;
    router.add(HttpMethod::kPost, "/v1/modules/{name}/" + verb_name, Audience::kOperators,
               BodyRule::none(), [&modules, &log, what, verb_name](const ExchangePtr& exchange) {
                 log.info("api", verb_name + " asked for",
                          {{"module", exchange->request().param("name")},
                           {"who", exchange->request().caller}});
                 act(exchange, modules, what);
               });
  }
  router.add(HttpMethod::kGet, "/v1/routes", Audience::kReaders, BodyRule::none(),
             [&modules](const ExchangePtr& exchange) {
               json::array out;
               for (const auto& each : modules.routes()) out.push_back(toJson(each));
               exchange->respond(jsonReply(out));
             });
}

void addMoveEndpoint(Router& router, ModuleHost& modules, MoveModule move) {
  router.add(HttpMethod::kPost, "/v1/modules/{name}/move", Audience::kOperators,
             BodyRule::text(kMoveBounds.bytes_max),
             [&modules, move = std::move(move)](const ExchangePtr& exchange) {
               const HttpRequest& request = exchange->request();
               const auto placement = readMove(request.body);
               if (!placement) return exchange->respond(errorReply(placement.error()));
               move(request.param("name"), *placement, request.caller,
                    answerWith(exchange, modules));
             });
}

}  // namespace kante
