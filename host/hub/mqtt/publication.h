// A message on its way through the broker: written once, then shared by count among all who get
// it, whatever their number, shard and version.
//
// One block: this header, topic, properties and payload, unless that is the body of a message of
// the bus, which is held then.  The properties are those that travel with a message (payload
// format, content type, response topic, correlation data, user properties) as they came; expiry,
// alias and subscription identifiers belong to a hop and are not among them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "host/hub/mqtt/receipt.h"
#include "host/message/message.h"
#include "host/mqtt/packet.h"

namespace kante::hub {

class PublicationRef;

class Publication {
 public:
  static constexpr std::int64_t kNever = INT64_MAX;
  struct Parts {
    std::string_view topic;
    std::string_view payload;
    mqtt::Qos qos = mqtt::Qos::k0;
    bool retain = false;
    std::uint64_t publisher = 0;  // Number of its session; 0: the broker itself.
    std::int64_t now_ns = 0;
    const mqtt::Properties* properties = nullptr;
    MessageRef message = {};  // Whose body is the payload; null: the payload is copied.
    // Of what only one session gets; shared with nobody, but publications are made from parts.
    std::shared_ptr<Receipt> receipt = {};
  };
  // Where a disk has it; the store's thread alone uses it.
  struct Stored {
    std::uint64_t id = 0;  // 0: nowhere.
    std::uint32_t uses = 0;
  };
  // At most the bytes of one packet each, so that their lengths fit.
  static PublicationRef make(const Parts& parts);

  // One that was kept on disk: `properties` are those of another one.
  struct Kept {
    std::string_view topic;
    std::string_view properties;
    std::string_view payload;
    mqtt::Qos qos = mqtt::Qos::k0;
    bool retain = false;
    std::uint64_t publisher = 0;
    std::int64_t expires_ns = kNever;
  };
  static PublicationRef make(const Kept& kept);
  // Whether these properties are such as travel with a message, and nothing else.
  static bool areOwn(std::string_view properties);

  // A copy that expires then.
  PublicationRef expiring(std::int64_t at_ns) const;

  std::string_view topic() const { return {bytes(), topic_bytes_}; }
  std::string_view properties() const { return {bytes() + topic_bytes_, properties_bytes_}; }
  std::string_view payload() const {
    if (message_) return message_.view().body();
    return {bytes() + topic_bytes_ + properties_bytes_, payload_bytes_};
  }
  // What it holds, for bounds.
  std::uint32_t size() const {
    return static_cast<std::uint32_t>(sizeof(Publication)) + topic_bytes_ + properties_bytes_ +
           payload_bytes_;
  }
  mqtt::Qos qos() const { return qos_; }
  Receipt* receipt() const { return receipt_.get(); }  // Null: nobody wants to know.
  bool retain() const { return retain_; }
  std::uint64_t publisher() const { return publisher_; }
  bool expires() const { return expires_ns_ != kNever; }
  bool expired(std::int64_t now_ns) const { return now_ns >= expires_ns_; }
  std::int64_t expiresNs() const { return expires_ns_; }
  // What of its expiry is left, in seconds, rounded up; at least 1.
  std::uint32_t remainingS(std::int64_t now_ns) const;

  Stored& stored() const { return stored_; }

  // Bytes of all publications of this process.  Any thread; as of a moment ago.
  static std::int64_t bytesAlive();

 private:
  friend class PublicationRef;
  Publication() = default;
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  void release();
  static Publication* allocate(std::size_t topic, std::size_t properties, std::size_t payload);

  std::atomic<std::uint32_t> references_{1};
  mqtt::Qos qos_ = mqtt::Qos::k0;
  bool retain_ = false;
  std::uint16_t topic_bytes_ = 0;
  std::uint32_t properties_bytes_ = 0;
  std::uint32_t payload_bytes_ = 0;
  std::uint64_t publisher_ = 0;
  std::int64_t expires_ns_ = kNever;
  MessageRef message_;
  std::shared_ptr<Receipt> receipt_;
  mutable Stored stored_;
};

class PublicationRef {
 public:
  PublicationRef() = default;
  PublicationRef(const PublicationRef& other) : to_(other.to_) {
    if (to_ != nullptr) to_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  PublicationRef(PublicationRef&& other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
  PublicationRef& operator=(PublicationRef other) noexcept {
    std::swap(to_, other.to_);
    return *this;
  }
  ~PublicationRef() {
    if (to_ != nullptr) to_->release();
  }
  explicit operator bool() const { return to_ != nullptr; }
  const Publication& operator*() const { return *to_; }
  const Publication* operator->() const { return to_; }
  void reset() { *this = PublicationRef(); }

 private:
  friend class Publication;
  explicit PublicationRef(Publication* to) : to_(to) {}
  Publication* to_ = nullptr;
};

}  // namespace kante::hub
