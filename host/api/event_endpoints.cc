#include <algorithm>
#include <cstdlib>

#include "host/api/endpoints.h"
#include "host/api/router.h"
#include "host/base/events.h"

namespace kante {
namespace {

std::string serverSent(const Event& event) {
  return "id: " + std::to_string(event.id) + "\ndata: " + formatJson(event) + "\n\n";
}

std::uint64_t numberOf(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

// `after`: the last one that the reader has; `last`: at most so many old ones; `follow=0`: a JSON
// array.
void serveEvents(const ExchangePtr& exchange, EventLog& events) {
  const HttpRequest& request = exchange->request();
  const std::string& after = request.queryValue("after");
  auto old = events.since(numberOf(request.last_event_id.empty() ? after : request.last_event_id));
  const std::string& last = request.queryValue("last");
  if (!last.empty()) {
    const auto most =
        static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(numberOf(last), old.size()));
    old.erase(old.begin(), old.end() - most);
  }
  if (request.queryValue("follow") == "0") {
    HttpResponse response;
    response.body = "[";
    for (const Event& event : old) {
      response.body += (response.body.size() > 1 ? ",\n" : "") + formatJson(event);
    }
    response.body += "]\n";
    return exchange->respond(std::move(response));
  }
  const auto stream = exchange->stream("text/event-stream", ": still here\n\n");
  for (const Event& event : old) stream->write(serverSent(event));
  // A reader so slow that an event finds no room is cut off; it comes again with Last-Event-ID.
  stream->keep(events.follow([stream](const Event& event) {
    if (!stream->write(serverSent(event))) stream->close();
  }));
}

}  // namespace

void addEventEndpoints(Router& router, EventLog& events) {
  router.add(HttpMethod::kGet, "/v1/events", Audience::kReaders, BodyRule::none(),
             [&events](const ExchangePtr& exchange) { serveEvents(exchange, events); });
}

}  // namespace kante
