#include "host/route/sample_message.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "host/base/encoding.h"
#include "host/route/lexer.h"

namespace kante {
namespace {

namespace json = boost::json;
using route_detail::sameIgnoringCase;
using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kGateway = "gateway";  // Stands for this gateway's id.
constexpr std::string_view kDevice = "device";

const std::vector<std::string>& memberNames() {
  static const std::vector<std::string> names{"source", "topic",        "properties",
                                              "system", "content_type", "content_encoding",
                                              "body",   "body_base64"};
  return names;
}

Error wrong(const std::string& pointer, const std::string& text) {
  return fail(Errc::kInvalid, pointer + ": " + text);
}

// RFC 6901.
std::string pointerTo(const std::string& parent, std::string_view member) {
  std::string pointer = parent + "/";
  for (const char c : member) {
    if (c == '~' || c == '/') {
      pointer += c == '~' ? "~0" : "~1";
    } else {
      pointer.push_back(c);
    }
  }
  return pointer;
}

// What the file says, as texts; then the sender that follows from it.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  Status read();
  Source source() const;

  Pairs properties;
  Pairs system;
  std::string content_type;
  std::string content_encoding;
  std::string body;

 private:
  Status readText(const char* name, std::string& into) const;
  Status readTexts(const char* name, Pairs& into) const;
  Status readBody();
  void takeFromSystem(const char* name, std::string& into);

  const json::object& object_;
  std::string path_;
  std::string topic_;
  std::string device_;
  std::string module_;
  std::string output_;
};

Status Reader::readText(const char* name, std::string& into) const {
  const json::value* const value = object_.if_contains(name);
  if (value == nullptr) return {};
  if (!value->is_string()) return wrong(pointerTo("", name), "must be a text");
  into = std::string(value->get_string());
  return {};
}

Status Reader::readTexts(const char* name, Pairs& into) const {
  const json::value* const value = object_.if_contains(name);
  if (value == nullptr) return {};
  const std::string pointer = pointerTo("", name);
  if (!value->is_object()) return wrong(pointer, "must be an object of names and texts");
  for (const auto& [key, text] : value->get_object()) {
    const std::string member = pointerTo(pointer, key);
    if (!text.is_string()) {
      return wrong(member, "must be a text, as every property of a message is: write \"" +
                               json::serialize(text) + "\"");
    }
    if (key.empty() || key.size() > KANTE_PROPERTY_NAME_BYTES_MAX) {
      return wrong(member,
                   "a name has 1 to " + std::to_string(KANTE_PROPERTY_NAME_BYTES_MAX) + " bytes");
    }
    if (std::string_view(key).find('\0') != std::string_view::npos ||
        std::string_view(text.get_string()).find('\0') != std::string_view::npos) {
      return wrong(member, "must not contain U+0000");
    }
    into.emplace_back(key, text.get_string());
  }
  return {};
}

Status Reader::readBody() {
  const json::value* const value = object_.if_contains("body");
  if (value != nullptr) {
    if (object_.contains("body_base64"))
      return wrong("/body_base64", "a message has one body: leave /body out");
    body = value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
  } else {
    std::string base64;
    KANTE_CHECK(readText("body_base64", base64));
    auto bytes = fromBase64(base64);
    if (bytes.has_error()) return wrong("/body_base64", bytes.error().text);
    body = std::move(*bytes);
  }
  if (body.size() <= KANTE_BODY_BYTES_MAX) return {};
  return wrong("/body", "a body has at most " + std::to_string(KANTE_BODY_BYTES_MAX) + " bytes");
}

void Reader::takeFromSystem(const char* name, std::string& into) {
  for (auto at = system.begin(); at != system.end(); ++at) {
    if (!sameIgnoringCase(at->first, name)) continue;
    into = at->second;
    system.erase(at);
    return;
  }
}

Status Reader::read() {
  for (const auto& [key, value] : object_) {
    bool known = false;
    for (const std::string& name : memberNames()) known = known || name == std::string_view(key);
    if (known) continue;
    const std::string near = nearest(key, memberNames());
    return wrong(pointerTo("", key), "is no member of a message" +
                                         (near.empty() ? "" : "; did you mean " + near + "?"));
  }
  KANTE_CHECK(readText("source", path_));
  KANTE_CHECK(readText("topic", topic_));
  if (path_.empty() && topic_.empty()) {
    return wrong("/source",
                 "is missing: where the message comes from, like /messages/modules/a/outputs/x");
  }
  if (!path_.empty() && !path_.starts_with('/')) return wrong("/source", "must begin with a slash");
  KANTE_CHECK(readTexts("properties", properties));
  KANTE_CHECK(readTexts("system", system));
  KANTE_CHECK(readText("content_type", content_type));
  KANTE_CHECK(readText("content_encoding", content_encoding));
  takeFromSystem("contentType", content_type);
  takeFromSystem("contentEncoding", content_encoding);
  takeFromSystem("connectionDeviceId", device_);
  takeFromSystem("connectionModuleId", module_);
  takeFromSystem("outputName", output_);
  if (properties.size() > KANTE_PROPERTIES_MAX) {
    return wrong("/properties",
                 "has more than " + std::to_string(KANTE_PROPERTIES_MAX) + " members");
  }
  if (system.size() > KANTE_SYSTEM_PROPERTIES_MAX) {
    return wrong("/system",
                 "has more than " + std::to_string(KANTE_SYSTEM_PROPERTIES_MAX) + " members");
  }
  return readBody();
}

// The sender as the host would know it.
Source Reader::source() const {
  Source source;
  source.topic = topic_;
  source.path = path_;
  while (source.path.size() > 1 && source.path.back() == '/') source.path.pop_back();
  std::vector<std::string> parts;
  std::string_view rest(source.path);
  while (rest.starts_with('/')) {
    rest.remove_prefix(1);
    parts.emplace_back(rest.substr(0, rest.find('/')));
    rest.remove_prefix(parts.back().size());
  }
  const auto is = [&](std::size_t i, std::string_view name) {
    return i < parts.size() && sameIgnoringCase(parts[i], name);
  };
  source.connection_device_id = device_;
  source.connection_module_id = module_;
  source.output = output_;
  const bool from_module = is(0, "messages") && is(1, "modules") && parts.size() > 2;
  if (from_module) {
    if (module_.empty()) source.connection_module_id = parts[2];
    if (is(3, "outputs") && parts.size() > 4 && output_.empty()) source.output = parts[4];
  }
  const bool inside = from_module || is(0, "twinChangeNotifications");
  if (is(0, "twinChangeNotifications") && module_.empty()) source.connection_module_id = "$edgeHub";
  if (device_.empty()) source.connection_device_id = inside ? kGateway : kDevice;
  source.principal = from_module ? "module/" + parts[2]
                     : inside    ? "gateway"
                                 : "device/" + source.connection_device_id;
  source.telemetry_name = source.principal + (source.output.empty() ? "" : "/" + source.output);
  return source;
}

std::vector<kante_property> propertyList(const Pairs& pairs) {
  std::vector<kante_property> list;
  for (const auto& [name, value] : pairs) list.push_back({toStr(name), toStr(value)});
  return list;
}

}  // namespace

Result<SampleMessage> SampleMessage::parse(std::string_view text) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 100;
  const json::value value =
      json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return fail(Errc::kInvalid, "is no JSON: " + error.message());
  if (!value.is_object())
    return fail(Errc::kInvalid, "must be a JSON object with source, properties, body …");
  Reader reader(value.get_object());
  KANTE_CHECK(reader.read());
  const auto properties = propertyList(reader.properties);
  const auto system = propertyList(reader.system);
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  kante_message message{};
  message.id_low = 1;
  message.created_ns = now;
  message.content_type = toStr(reader.content_type);
  message.content_encoding = toStr(reader.content_encoding);
  message.properties = properties.data();
  message.property_count = static_cast<std::uint32_t>(properties.size());
  message.system = system.data();
  message.system_count = static_cast<std::uint32_t>(system.size());
  message.body = toStr(reader.body);
  const std::uint32_t words = kante_message_words(&message);
  if (words == 0) return fail(Errc::kInvalid, "/: the message is larger than 1 MiB and 64 KiB");
  SampleMessage sample;
  sample.words_.assign(words, 0);
  kante_message_write(&message, sample.words_.data(), words);
  sample.source_ = reader.source();
  sample.arrived_ns_ = now;
  return sample;
}

RouteInput SampleMessage::input() const {
  return {MessageView(words_.data(), static_cast<std::uint32_t>(words_.size())), &source_,
          arrived_ns_};
}

}  // namespace kante
