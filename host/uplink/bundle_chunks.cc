#include "host/uplink/bundle_chunks.h"

namespace kante {
namespace {

constexpr std::string_view kPrefix = "kante/v1/$bundles/";
constexpr std::chrono::milliseconds kLook{250};

}  // namespace

std::string BundleChunks::topic(std::string_view digest, std::string_view base, std::uint32_t n) {
  const auto hex = [](std::string_view of) { return std::string(of.substr(of.find(':') + 1)); };
  return std::string(kPrefix) + hex(digest) + (base.empty() ? "" : "/from/" + hex(base)) + "/" +
         std::to_string(n);
}

Result<std::string> BundleChunks::get(const std::string& digest, const std::string& base,
                                      std::uint32_t n, const std::function<bool()>& goes_on) {
  const std::string topic = BundleChunks::topic(digest, base, n);
  if (client_.state() != LinkState::kConnected)
    return fail(Errc::kUnavailable, "the uplink is not connected");
  {
    const std::lock_guard lock(mutex_);
    wanted_ = topic;
    piece_.reset();
  }
  client_.post([this, topic] { (void)client_.subscribe(topic); });
  auto piece = await(n, goes_on);
  client_.post([this, topic] { (void)client_.unsubscribe(topic); });
  return piece;
}

Result<std::string> BundleChunks::await(std::uint32_t n, const std::function<bool()>& goes_on) {
  const auto deadline = std::chrono::steady_clock::now() + kSilence;
  std::unique_lock lock(mutex_);
  Status end;
  while (end && !came_.wait_for(lock, kLook, [this] { return piece_.has_value(); })) {
    if (!goes_on()) {
      end = fail(Errc::kCancelled, "given up");
    } else if (client_.state() != LinkState::kConnected) {
      end = fail(Errc::kUnavailable, "the uplink is not connected any more");
    } else if (std::chrono::steady_clock::now() > deadline) {
      end = fail(Errc::kTimeout, "the broker holds no piece " + std::to_string(n) +
                                     " of it; kante fleet put brings it there");
    }
  }
  wanted_.clear();
  if (!end) return end.error();
  return std::move(*piece_);
}

bool BundleChunks::arrived(const Arrival& arrival) {
  if (!arrival.topic.starts_with(kPrefix)) return false;
  const std::lock_guard lock(mutex_);
  if (arrival.topic != wanted_ || arrival.payload.empty() || arrival.payload.size() > kBytes)
    return true;
  piece_ = std::string(arrival.payload);
  came_.notify_all();
  return true;
}

}  // namespace kante
