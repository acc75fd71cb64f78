#include "host/cli/fleet_link.h"

#include <unistd.h>

#include "host/base/encoding.h"
#include "host/uplink/broker_url.h"
#include "host/uplink/mosquitto_client.h"

namespace kante::cli {
namespace {

constexpr std::chrono::seconds kAnswerMax{30};
constexpr int kForgotten = 0x100;

}  // namespace

Result<std::unique_ptr<FleetLink>> FleetLink::connect(const BrokerOptions& options,
                                                      const std::vector<std::string>& filters) {
  KANTE_TRY(url, parseBrokerUrl("--broker", options.url));
  MosquittoOptions given;
  given.host = url.host;
  given.port = url.port;
  given.client_id = "kante-fleet-" + toHex(randomBytes(6));
  given.username = options.username;
  given.password_file = options.password_file;
  if (url.tls) {
    if (options.ca.empty())
      return fail(Errc::kInvalid, "--ca: mqtts:// needs what signed the broker's certificate");
    if (options.cert.empty() != options.key.empty())
      return fail(Errc::kInvalid, "--client-cert, --client-key: one without the other");
    KANTE_TRY(tls, TlsContext::make({options.ca, options.cert, options.key}, url.host));
    given.tls = std::move(tls);
  } else if (!url.isLoopback()) {
    return fail(Errc::kDenied, "--broker " + options.url + ": only mqtts:// leaves this machine");
  }
  KANTE_TRY(client, MosquittoClient::make(std::move(given)));
  std::unique_ptr<FleetLink> link(new FleetLink());
  link->client_ = std::move(client);
  for (const std::string& filter : filters) KANTE_CHECK(link->client_->subscribe(filter));
  KANTE_CHECK(link->client_->start(*link));
  std::unique_lock lock(link->mutex_);
  if (!link->changed_.wait_for(lock, kConnectMax, [&link] { return link->connected_; }))
    return fail(Errc::kUnavailable,
                "--broker " + options.url + ": " +
                    (link->reason_.empty() ? "it does not answer" : link->reason_));
  const auto end = std::chrono::steady_clock::now() + kGatherMax;
  link->arrived_ = std::chrono::steady_clock::now();
  for (auto quiet = link->arrived_ + kQuiet;
       std::chrono::steady_clock::now() < std::min(quiet, end); quiet = link->arrived_ + kQuiet)
    link->changed_.wait_until(lock, std::min(quiet, end));
  return link;
}

FleetLink::~FleetLink() {
  if (client_) client_->stop();
}

Status FleetLink::publish(const std::string& topic, const std::string& payload,
                          const char* content_type) {
  std::unique_lock lock(mutex_);
  answer_ = -1;
  const std::uint64_t token = ++token_;
  client_->post([this, topic, payload, token, content_type] {
    Publication publication;
    publication.topic = topic;
    publication.payload = payload;
    publication.content_type = content_type;
    publication.retain = Retain::kYes;
    const Status status = client_->publish(publication, token);
    if (status.has_error()) onForgotten();
  });
  if (!changed_.wait_for(lock, kAnswerMax, [this] { return answer_ >= 0; }))
    return fail(Errc::kTimeout, topic + ": the broker did not answer");
  if (answer_ == kForgotten) return fail(Errc::kUnavailable, topic + ": the broker went away");
  if (answer_ >= 0x80)
    return fail(Errc::kDenied,
                topic + ": the broker refuses it, reason " + std::to_string(answer_));
  return {};
}

FleetLink::Messages FleetLink::messages() const {
  const std::lock_guard lock(mutex_);
  return messages_;
}

std::uint64_t FleetLink::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

bool FleetLink::waitFor(std::chrono::steady_clock::time_point deadline,
                        const std::function<bool(const Messages&)>& done) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [this, &done] { return done(messages_); });
}

void FleetLink::onConnected() {
  const std::lock_guard lock(mutex_);
  connected_ = true;
  changed_.notify_all();
}

void FleetLink::onForgotten() {
  const std::lock_guard lock(mutex_);
  if (answer_ < 0) answer_ = kForgotten;
  changed_.notify_all();
}

void FleetLink::onDisconnected(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  reason_ = reason;
}

void FleetLink::onArrival(const Arrival& arrival) {
  const std::lock_guard lock(mutex_);
  arrived_ = std::chrono::steady_clock::now();
  ++count_;
  const std::string topic(arrival.topic);
  if (arrival.payload.empty()) {
    messages_.erase(topic);
  } else {
    messages_[topic] = {std::string(arrival.payload), count_};
  }
  changed_.notify_all();
}

void FleetLink::onPublished(std::uint64_t token, std::uint8_t reason_code) {
  const std::lock_guard lock(mutex_);
  if (token != token_) return;
  answer_ = reason_code;
  changed_.notify_all();
}

}  // namespace kante::cli
