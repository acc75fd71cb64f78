// Why there is no connection, in sentences that say what to do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/uplink/client.h"

namespace kante {

// The broker's answer to CONNECT (`code` as that form has it, not 0), with what it added.
// `certificate`: what the gateway came with instead of a password; empty: nothing.
std::string refusedText(MqttForm form, std::uint8_t code, std::string_view added,
                        std::string_view certificate = {});
// The broker's DISCONNECT.
std::string closedText(std::uint8_t code);
// Refusals that tell every client to come back later: a short wait would make it worse.
bool isBusy(MqttForm form, std::uint8_t code);

enum class Wire { kPlain, kTls };
// What the first bytes of a connection say when no broker sent them; empty when they are such as a
// broker sends.
std::string foreignText(Wire wire, std::string_view first);

}  // namespace kante
