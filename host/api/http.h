// A request as the endpoints see it, and the ways to answer one; no HTTP library shows through.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/base/fd.h"

namespace kante {

enum class HttpMethod { kGet, kPut, kPatch, kPost, kDelete };
const char* name(HttpMethod method);

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::vector<std::string> path;  // Decoded segments: "/v1/modules" → {"v1", "modules"}.
  std::map<std::string, std::string> query;   // Decoded; the last one of a name.
  std::map<std::string, std::string> params;  // What the route's pattern captured.
  std::string content_type;                   // Lower case, without parameters.
  std::string if_match;                       // If-Match as it came.
  std::string last_event_id;  // Last-Event-ID: where a reader of events was cut off.
  std::string body;
  FileDescriptor file;  // Instead of body, for routes that take a file; at its beginning.
  std::string caller;   // "operator/USER"; empty: came over the read-only listener.

  // The parameter of that name, or empty.
  const std::string& param(const std::string& key) const;
  const std::string& queryValue(const std::string& key) const;
};

struct HttpResponse {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
};

// An answer without an end: events, a log that is followed.  Control thread only.
class ResponseStream {
 public:
  // What may wait for a slow reader; beyond it write() takes nothing.
  static constexpr std::size_t kPendingBytesMax = 256 * 1024;

  virtual ~ResponseStream() = default;
  // False when nothing was taken: the reader is slow, or gone.
  virtual bool write(std::string bytes) = 0;
  // Sends what waits, then ends the answer.
  virtual void close() = 0;
  // Kept until the stream ends: the subscription that feeds it.
  virtual void keep(std::shared_ptr<void> source) = 0;
};

// One request waiting for its one answer, now or later, on the control thread.  Dropped without one
// it answers 500.  The reader may be gone by then; nobody needs to know.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual HttpRequest& request() = 0;
  virtual void respond(HttpResponse response) = 0;
  // `pulse` is written when nothing else was for 15 s, so that a dead reader is noticed.
  virtual std::shared_ptr<ResponseStream> stream(std::string content_type, std::string pulse) = 0;
};
using ExchangePtr = std::shared_ptr<Exchange>;

}  // namespace kante
