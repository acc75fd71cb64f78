#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>

#include "host/api/endpoints.h"
#include "host/api/error_reply.h"
#include "host/api/router.h"
#include "host/api/views.h"
#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/store/store.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kInspectDefault = 20;
constexpr std::uint32_t kInspectMax = 1000;

json::object toJson(const QueueStats& queue) {
  json::object dropped;
  for (std::size_t i = 0; i < kStoreDrops; ++i) {
    if (queue.dropped[i] > 0) dropped[name(static_cast<StoreDrop>(i))] = queue.dropped[i];
  }
  return {{"name", queue.name},         {"messages", queue.messages},
          {"bytes", queue.bytes},       {"oldest_s", queue.oldest_ns / 1'000'000'000},
          {"detached", queue.detached}, {"dropped", std::move(dropped)}};
}

json::object toJson(const InspectedMessage& message) {
  json::object properties;
  for (const auto& [key, value] : message.properties) properties[key] = value;
  return {{"id", message.id},
          {"enqueued", timeJson(message.enqueued_wall_ns)},
          {"attempts", message.attempts},
          {"reason", textOrNull(message.reason)},
          {"origin", textOrNull(message.origin)},
          {"source", message.source},
          {"properties", std::move(properties)},
          {"body_base64", toBase64(message.body)},
          {"content_type", textOrNull(message.content_type)},
          {"priority", message.token.priority},
          {"number", message.number}};
}

// It is made by the first message that comes into it.
bool isEmptyQuarantine(const std::string& name, const Error& not_found) {
  return name == kQuarantineQueue && not_found.code == Errc::kNotFound;
}

void inspect(const ExchangePtr& exchange, Store& store, boost::asio::io_context& control) {
  const std::string& wanted = exchange->request().param("name");
  const auto queue = store.find(wanted);
  if (!queue && isEmptyQuarantine(wanted, queue.error()))
    return exchange->respond(jsonReply(json::array()));
  if (!queue) return exchange->respond(errorReply(queue.error()));
  const std::string& given = exchange->request().queryValue("max");
  const auto most = given.empty() ? kInspectDefault
                                  : static_cast<std::uint32_t>(std::min<unsigned long>(
                                        std::strtoul(given.c_str(), nullptr, 10), kInspectMax));
  (*queue)->inspect(most, [exchange, &control](Result<std::vector<InspectedMessage>> messages) {
    json::array out;
    if (messages) {
      for (const auto& each : *messages) out.push_back(toJson(each));
    }
    auto reply = messages ? jsonReply(out) : errorReply(messages.error());
    boost::asio::post(control, [exchange, reply = std::move(reply)]() mutable {
      exchange->respond(std::move(reply));
    });
  });
}

void purge(const ExchangePtr& exchange, Store& store, Log& log, boost::asio::io_context& control) {
  const std::string& wanted = exchange->request().param("name");
  const auto queue = store.find(wanted);
  if (!queue && isEmptyQuarantine(wanted, queue.error()))
    return exchange->respond(jsonReply(json::object{{"purged", 0}}));
  if (!queue) return exchange->respond(errorReply(queue.error()));
  log.warn("api", "queue purged", {{"queue", wanted}, {"who", exchange->request().caller}});
  (*queue)->purge([exchange, &control](Result<std::uint64_t> purged) {
    auto reply = purged ? jsonReply(json::object{{"purged", *purged}}) : errorReply(purged.error());
    boost::asio::post(control, [exchange, reply = std::move(reply)]() mutable {
      exchange->respond(std::move(reply));
    });
  });
}

void requeue(const ExchangePtr& exchange, Store& store, Log& log) {
  const std::string& id = exchange->request().param("id");
  const auto origin = store.requeue(id);
  if (!origin) return exchange->respond(errorReply(origin.error()));
  log.info("api", "message put back into its queue",
           {{"id", id}, {"queue", *origin}, {"who", exchange->request().caller}});
  exchange->respond(jsonReply(json::object{{"requeued", 1}, {"id", id}, {"queue", *origin}}));
}

}  // namespace

void addQueueEndpoints(Router& router, Store& store, Log& log, boost::asio::io_context& control) {
  router.add(HttpMethod::kGet, "/v1/queues", Audience::kReaders, BodyRule::none(),
             [&store](const ExchangePtr& exchange) {
               const auto queues = store.queues();
               if (!queues) return exchange->respond(errorReply(queues.error()));
               json::array out;
               for (const auto& each : *queues) out.push_back(toJson(each));
               exchange->respond(jsonReply(out));
             });
  router.add(
      HttpMethod::kGet, "/v1/queues/{name...}", Audience::kOperators, BodyRule::none(),
      [&store, &control](const ExchangePtr& exchange) { inspect(exchange, store, control); });
  router.add(HttpMethod::kPost, "/v1/queues/quarantine/requeue/{id}", Audience::kOperators,
             BodyRule::none(),
             [&store, &log](const ExchangePtr& exchange) { requeue(exchange, store, log); });
  router.add(HttpMethod::kDelete, "/v1/queues/{name...}", Audience::kOperators, BodyRule::none(),
             [&store, &log, &control](const ExchangePtr& exchange) {
               purge(exchange, store, log, control);
             });
}

}  // namespace kante
