#include "host/cli/gateway_support.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "host/api/router.h"
#include "host/api/target.h"
#include "host/base/log.h"

namespace kante::cli {
namespace {

constexpr const char* kHead =
    "Support bundle of a Kante gateway whose host runs. Secrets are replaced by ***, as far as "
    "their "
    "names and forms tell;\nlook through it before you pass it on. Message bodies are not in it.\n";
constexpr std::size_t kLogBytesMax = 256 * 1024;  // Of one speaker.

// One request of our own; endpoints that show something answer at once.
class OwnRequest : public Exchange {
 public:
  HttpRequest& request() override { return request_; }
  void respond(HttpResponse response) override { response_ = std::move(response); }
  std::shared_ptr<ResponseStream> stream(std::string, std::string) override { return nullptr; }
  const HttpResponse& response() const { return response_; }

 private:
  HttpRequest request_;
  HttpResponse response_;
};

// Quick, and without a word to anybody else: the keeper's launcher and the broker are in status.
SupportFile localChecks(const Config& config) {
  CheckResults results;
  checkClock(results);
  checkCertificates(config, results);
  checkDataDirectory(config, results);
  checkKernel(results);
  checkLimits(results);
  return checkFile(results);
}

}  // namespace

GatewaySupport::GatewaySupport(Parts parts) : parts_(parts) {}

GatewaySupport::~GatewaySupport() {
  if (worker_.joinable()) worker_.join();  // It waits for nobody.
}

std::string GatewaySupport::ask(const std::string& target) const {
  auto parsed = parseTarget(target);
  if (!parsed) return {};
  const Router::Match match = parts_.router.find(HttpMethod::kGet, parsed->path);
  if (match.route == nullptr) return {};
  const auto exchange = std::make_shared<OwnRequest>();
  exchange->request().path = std::move(parsed->path);
  exchange->request().query = std::move(parsed->query);
  exchange->request().params = match.params;
  exchange->request().caller = "gateway";
  match.route->handler(exchange);
  return exchange->response().body;
}

void GatewaySupport::gatherLogs(std::vector<SupportFile>& files) const {
  for (const std::string& who : parts_.log.speakers()) {
    std::string text;
    for (const LogLine& line : parts_.log.kept(who)) text += formatJson(line) + "\n";
    if (text.size() > kLogBytesMax) text.erase(0, text.find('\n', text.size() - kLogBytesMax) + 1);
    files.push_back({SupportFile::Kind::kJsonLines, "log/" + who + ".ndjson", std::move(text)});
  }
}

std::vector<SupportFile> GatewaySupport::gather() const {
  std::vector<SupportFile> files;
  for (const auto& [name, target] : {std::pair{"status", "/v1/status"},
                                     {"health", "/v1/health"},
                                     {"deployment", "/v1/deployment"},
                                     {"deployment-effective", "/v1/deployment?view=effective"},
                                     {"layers", "/v1/deployment?view=layers"},
                                     {"history", "/v1/deployment/history"},
                                     {"modules", "/v1/modules"},
                                     {"routes", "/v1/routes"},
                                     {"queues", "/v1/queues"},
                                     {"bundles", "/v1/bundles"},
                                     {"trust", "/v1/trust"},
                                     {"events", "/v1/events?follow=0"}})
    files.push_back({SupportFile::Kind::kJson, std::string(name) + ".json", ask(target)});
  files.push_back({SupportFile::Kind::kText, "metrics.txt", ask("/metrics")});
  gatherLogs(files);
  return files;
}

void GatewaySupport::make(Wish wish, Done done) {
  if (busy_) return done(fail(Errc::kState, "another support bundle is being made"));
  if (worker_.joinable()) worker_.join();
  busy_ = true;
  SupportSource source{parts_.config, gather(), wish.bytes_max, parts_.secrets()};
  worker_ = std::thread([this, source = std::move(source), checks = std::move(wish.checks),
                         done = std::move(done), alive = std::weak_ptr(alive_)]() mutable {
    std::vector<SupportFile> first = {
        aboutFile(source.config.gateway.id, "it runs"), configFile(source.config.file),
        checks.empty() ? localChecks(source.config)
                       : SupportFile{SupportFile::Kind::kJson, "check.json", std::move(checks)}};
    source.files.insert(source.files.begin(), std::make_move_iterator(first.begin()),
                        std::make_move_iterator(first.end()));
    auto packed = packSupport(std::move(source), kHead);
    boost::asio::post(parts_.control,
                      [this, alive, done = std::move(done), packed = std::move(packed)]() mutable {
                        if (alive.expired()) return;
                        busy_ = false;
                        done(std::move(packed));
                      });
  });
}

}  // namespace kante::cli
