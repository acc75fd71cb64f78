// A stored message as what the broker gets: topic, payload, properties.  docs/uplink.md lists them.
//
// MQTT 5 has user properties.  In MQTT 3.1.1 a last topic level carries the same names and values
// as IoT Hub's property bag: `key=value` joined by `&`, percent-encoded.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"
#include "host/store/durable_queue.h"
#include "host/uplink/client.h"
#include "host/uplink/topics.h"

namespace kante {

enum class TelemetryForm { kMqtt5, kMqtt311 };
// Whether the times in a message may be believed; those that may not carry
// `kante-time: untrusted`.
enum class WallTime { kTrusted, kUntrusted };

// About what it takes on the wire: topic, payload, names and values with their lengths.
std::uint64_t wireBytes(const Publication& publication);

class TelemetryWriter {
 public:
  // kSaid: a gateway is on the other side, which ends loops by the number of hops.
  enum class Hops : bool { kUnsaid, kSaid };
  TelemetryWriter(TelemetryTopic topic, std::string gateway, std::string epoch,
                  Hops hops = Hops::kUnsaid)
      : topic_(std::move(topic)),
        gateway_(std::move(gateway)),
        epoch_(std::move(epoch)),
        hops_(hops) {}

  // For what is written from now on.
  void setForm(TelemetryForm form) { form_ = form; }

  // Borrows from the message and from this writer until the next call.  kLimit: a property that
  // MQTT has no room for; such a message can never be sent.
  Result<Publication> write(const TakenMessage& message, WallTime worth = WallTime::kTrusted);
  // Of several in one, packed as `payload`: neighbours in number, of one source.
  Result<Publication> writePack(std::span<const TakenMessage> messages, std::string_view payload,
                                WallTime worth = WallTime::kTrusted);
  // What IoT Hub's meter counts of what was written last: body, names and values.
  std::uint64_t metered() const { return metered_; }
  // Says in what was written last that its payload is compressed, and takes it.
  Publication compressed(Publication publication, std::string_view payload);

 private:
  void add(std::string_view name, std::string_view value);
  std::string_view keep(std::string text);
  void addOwn(const MessageView& message);
  void addSystem(const MessageView& message);
  void begin(const TakenMessage& first);
  void addNumber(std::uint64_t number, std::uint64_t dropped);
  void addOrigin(const RecordView& record);
  Result<Publication> finish(WallTime worth, std::int64_t expiry_ns);
  void toBag(std::int64_t expiry_ns);

  const TelemetryTopic topic_;
  const std::string gateway_;
  const std::string epoch_;
  const Hops hops_;
  TelemetryForm form_ = TelemetryForm::kMqtt5;
  Publication publication_;
  std::vector<std::string> kept_;  // What the views point into; reserved, so that nothing moves.
  std::string encoded_names_;
  bool too_long_ = false;
  std::uint64_t metered_ = 0;
};

}  // namespace kante
