// The arguments of BrokeredEndpoint and MqttTopic in INTO.
#pragma once

#include <string_view>

#include "host/base/result.h"
#include "host/route/sink.h"

namespace kante::route_detail {

Result<Sink> moduleSink(std::string_view path);  // "/modules/NAME/inputs/INPUT"
Result<Sink> topicSink(std::string_view topic);

}  // namespace kante::route_detail
