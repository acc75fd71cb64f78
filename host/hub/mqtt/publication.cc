#include "host/hub/mqtt/publication.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace kante::hub {
namespace {

// One counter for each of a few threads, so that none waits for another's cache line.
struct alignas(64) Alive {
  std::atomic<std::int64_t> bytes{0};
};
constexpr std::size_t kSlots = 16;
std::array<Alive, kSlots>& slots() {
  static std::array<Alive, kSlots> all;
  return all;
}
void add(std::int64_t bytes) {
  static std::atomic<std::size_t> next{0};
  static thread_local Alive& mine = slots()[next.fetch_add(1, std::memory_order_relaxed) % kSlots];
  mine.bytes.fetch_add(bytes, std::memory_order_relaxed);
}

bool travels(mqtt::PropertyId id) {
  switch (id) {
    case mqtt::PropertyId::kPayloadFormat:
    case mqtt::PropertyId::kContentType:
    case mqtt::PropertyId::kResponseTopic:
    case mqtt::PropertyId::kCorrelationData:
    case mqtt::PropertyId::kUserProperty: return true;
    default: return false;
  }
}

// Calls with the bytes of each property that travels.
template <typename Call>
void forEachTravelling(std::string_view bytes, Call&& call) {
  while (!bytes.empty()) {
    const std::string_view before = bytes;
    const mqtt::RawProperty one = mqtt::nextProperty(bytes);
    if (travels(one.id)) call(before.substr(0, before.size() - bytes.size()));
  }
}

char* append(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

}  // namespace

bool Publication::areOwn(std::string_view properties) {
  mqtt::Properties parsed;
  mqtt::Fault fault;
  if (!mqtt::parseProperties(properties, mqtt::PropertySet::kPublish, parsed, fault)) return false;
  std::size_t travelling = 0;
  forEachTravelling(properties, [&](std::string_view one) { travelling += one.size(); });
  return travelling == properties.size();
}

Publication* Publication::allocate(std::size_t topic, std::size_t properties, std::size_t payload) {
  auto* made = new (::operator new(sizeof(Publication) + topic + properties + payload)) Publication;
  made->topic_bytes_ = static_cast<std::uint16_t>(topic);
  made->properties_bytes_ = static_cast<std::uint32_t>(properties);
  made->payload_bytes_ = static_cast<std::uint32_t>(payload);
  add(made->size());
  return made;
}

PublicationRef Publication::make(const Parts& parts) {
  const std::string_view properties =
      parts.properties == nullptr ? std::string_view() : parts.properties->bytes;
  std::size_t travelling = 0;
  forEachTravelling(properties, [&](std::string_view one) { travelling += one.size(); });
  const std::size_t copied = parts.message ? 0 : parts.payload.size();
  Publication* made = allocate(parts.topic.size(), travelling, copied);
  if (parts.message) {
    made->message_ = parts.message;
    made->payload_bytes_ = static_cast<std::uint32_t>(parts.message.view().body().size());
    add(made->payload_bytes_);
  }
  made->qos_ = parts.qos;
  made->retain_ = parts.retain;
  made->publisher_ = parts.publisher;
  made->receipt_ = parts.receipt;
  if (parts.properties != nullptr && parts.properties->message_expiry_s)
    made->expires_ns_ =
        parts.now_ns + std::int64_t{*parts.properties->message_expiry_s} * 1'000'000'000;
  char* to = append(reinterpret_cast<char*>(made + 1), parts.topic);
  forEachTravelling(properties, [&](std::string_view one) { to = append(to, one); });
  if (!parts.message) (void)append(to, parts.payload);
  return PublicationRef(made);
}

PublicationRef Publication::make(const Kept& kept) {
  Publication* made = allocate(kept.topic.size(), kept.properties.size(), kept.payload.size());
  made->qos_ = kept.qos;
  made->retain_ = kept.retain;
  made->publisher_ = kept.publisher;
  made->expires_ns_ = kept.expires_ns;
  char* to = append(reinterpret_cast<char*>(made + 1), kept.topic);
  to = append(to, kept.properties);
  (void)append(to, kept.payload);
  return PublicationRef(made);
}

PublicationRef Publication::expiring(std::int64_t at_ns) const {
  Publication* made = allocate(topic_bytes_, properties_bytes_, payload_bytes_);
  made->qos_ = qos_;
  made->retain_ = retain_;
  made->publisher_ = publisher_;
  made->expires_ns_ = at_ns;
  char* const to = append(reinterpret_cast<char*>(made + 1),
                          {bytes(), std::size_t{topic_bytes_} + properties_bytes_});
  (void)append(to, payload());
  return PublicationRef(made);
}

void Publication::release() {
  if (references_.load(std::memory_order_acquire) != 1 &&
      references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  add(-std::int64_t{size()});
  this->~Publication();
  ::operator delete(this);
}

std::uint32_t Publication::remainingS(std::int64_t now_ns) const {
  std::int64_t left = 0;  // Ns. A row of the store may hold any moment.
  if (__builtin_sub_overflow(expires_ns_, now_ns, &left)) left = INT64_MAX;
  const std::int64_t seconds = left / 1'000'000'000 + (left % 1'000'000'000 > 0 ? 1 : 0);
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(seconds, 1, UINT32_MAX));
}

std::int64_t Publication::bytesAlive() {
  std::int64_t total = 0;
  for (const Alive& one : slots()) total += one.bytes.load(std::memory_order_relaxed);
  return total;
}

}  // namespace kante::hub
