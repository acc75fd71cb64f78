#include "host/uplink/link_text.h"

#include <fmt/format.h>
#include <mosquitto.h>

#include <algorithm>
#include <array>

namespace kante {
namespace {

struct Hint {
  std::uint8_t code;
  const char* text;
};

constexpr std::array kHints = {
    Hint{0x84, "set [uplink] protocol to what it speaks"},
    Hint{0x85, "it does not take the client id, which is made of [gateway] id"},
    Hint{0x86, "mend [uplink] username and password_file"},
    Hint{0x87,
         "its access control does not let this gateway in: look at [uplink] username, cert "
         "and the broker's own lists"},
    Hint{0x88, "it is asked again"},
    Hint{0x89, "it is asked again"},
    Hint{0x8a, "it has banned this gateway: ask its operator"},
    Hint{0x8c, "it wants another way of authentication than name, password or certificate"},
    Hint{0x8e,
         "another client came with the same client id: are there two gateways with one "
         "[gateway] id?"},
    Hint{0x95, "a packet was larger than it takes"},
    Hint{0x97, "it is asked again"},
    Hint{0x9a, "it takes no retained messages, and the gateway's state is one"},
    Hint{0x9b, "it takes QoS 0 only, and nothing is safe with that"},
    Hint{0x9f, "it is asked again"},
};

std::string withHint(std::string text, std::uint8_t code) {
  const auto* hint =
      std::find_if(kHints.begin(), kHints.end(), [&](const Hint& h) { return h.code == code; });
  if (hint != kHints.end()) text += std::string(": ") + hint->text;
  return text;
}

// MQTT 3.1.1 counts its refusals from 1.
std::uint8_t as5(std::uint8_t code) {
  constexpr std::array<std::uint8_t, 6> kCodes = {0x80, 0x84, 0x85, 0x88, 0x86, 0x87};
  return code < kCodes.size() ? kCodes[code] : 0x80;
}

std::string printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, 40)) {
    if (c == '\r' || c == '\n') break;
    text += c >= 0x20 && c < 0x7f && c != '"' ? c : '.';
  }
  return text;
}

}  // namespace

std::string refusedText(MqttForm form, std::uint8_t code, std::string_view added,
                        std::string_view certificate) {
  const std::uint8_t code5 = form == MqttForm::k5 ? code : as5(code);
  std::string text = fmt::format("the broker refuses the connection: {} (0x{:02x})",
                                 mosquitto_reason_string(code5), code);
  if (!added.empty()) text += fmt::format(", \"{}\"", printable(added));
  if (!certificate.empty() && (code5 == 0x86 || code5 == 0x87))
    return fmt::format("{}: it does not let in who has {}", text, certificate);
  return withHint(std::move(text), code5);
}

std::string closedText(std::uint8_t code) {
  return withHint(fmt::format("the broker closes the connection: {} (0x{:02x})",
                              mosquitto_reason_string(code), code),
                  code);
}

bool isBusy(MqttForm form, std::uint8_t code) {
  const std::uint8_t code5 = form == MqttForm::k5 ? code : as5(code);
  return code5 == 0x88 || code5 == 0x89 || code5 == 0x97 || code5 == 0x9f;
}

std::string foreignText(Wire wire, std::string_view first) {
  if (first.empty()) return {};
  const auto byte = static_cast<std::uint8_t>(first[0]);
  if (wire == Wire::kTls) {
    if (byte >= 0x14 && byte <= 0x17) return {};  // TLS records.
  } else if (byte == 0x20 || byte == 0xe0 || byte == 0xf0) {
    return {};  // CONNACK, DISCONNECT, AUTH.
  }
  return fmt::format(
      "something else than a broker answers there (\"{}\"): is this a captive portal, or the "
      "wrong port in [uplink] url?",
      printable(first));
}

}  // namespace kante
