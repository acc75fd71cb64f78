// Messages and sources for the tests of routes.
#pragma once

#include <kante/message.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "host/base/result.h"
#include "host/message/hop.h"
#include "host/route/route_input.h"

namespace kante::route_testing {

using Properties = std::vector<std::pair<std::string, std::string>>;

// Owns the words of one canonical message.
class TestMessage {
 public:
  Properties properties;
  Properties system;
  std::string content_type = "application/json";
  std::string content_encoding = "utf-8";
  std::string body = "{}";
  MessageId id{0x0011223344556677u, 0x8899aabbccddeeffu};
  std::int64_t created_ns = 1'700'000'000'123'000'000;
  std::int64_t expiry_ns = 0;

  MessageView view() {
    const auto list = [](const Properties& from) {
      std::vector<kante_property> to;
      for (const auto& [name, value] : from) to.push_back({toStr(name), toStr(value)});
      return to;
    };
    const auto all = list(properties);
    const auto system_list = list(system);
    kante_message message{};
    message.id_high = id.high;
    message.id_low = id.low;
    message.created_ns = created_ns;
    message.expiry_ns = expiry_ns;
    message.content_type = toStr(content_type);
    message.content_encoding = toStr(content_encoding);
    message.properties = all.data();
    message.property_count = static_cast<std::uint32_t>(all.size());
    message.system = system_list.data();
    message.system_count = static_cast<std::uint32_t>(system_list.size());
    message.body = toStr(body);
    const std::uint32_t words = kante_message_words(&message);
    KANTE_ASSERT(words != 0);
    words_.assign(words, 0);
    kante_message_write(&message, words_.data(), words);
    return {words_.data(), words};
  }

 private:
  std::vector<std::uint64_t> words_;
};

inline Source moduleSource(const std::string& module, const std::string& output = "") {
  Source source;
  source.principal = "module/" + module;
  source.output = output;
  source.path = "/messages/modules/" + module + (output.empty() ? "" : "/outputs/" + output);
  source.connection_device_id = "edge-1";
  source.connection_module_id = module;
  source.telemetry_name = "module/" + module + (output.empty() ? "" : "/" + output);
  return source;
}

inline Source deviceSource(const std::string& device) {
  Source source;
  source.principal = "device/" + device;
  source.path = "/messages";
  source.connection_device_id = device;
  source.telemetry_name = "device/" + device;
  return source;
}

inline Source topicSource(const std::string& device, const std::string& topic) {
  Source source = deviceSource(device);
  source.path.clear();
  source.topic = topic;
  return source;
}

inline Source twinChangeSource() {
  Source source;
  source.principal = "gateway";
  source.path = "/twinChangeNotifications";
  source.connection_device_id = "edge-1";
  source.connection_module_id = "$edgeHub";
  return source;
}

}  // namespace kante::route_testing
