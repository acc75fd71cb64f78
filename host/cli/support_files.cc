#include "host/cli/support_files.h"

#include <boost/json.hpp>
#include <utility>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/bundle/trust.h"
#include "host/config/toml_value.h"
#include "host/support/machine.h"
#include "host/support/redactor.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr JsonBounds kFileBounds{64u << 20, 64};
constexpr std::size_t kPasswordBytesMax = 64 * 1024;
// Of [uplink] and [hub.tls]: paths, which one wants to see.
constexpr std::string_view kKeyPath = "key";

json::value toJson(const TomlValue& value) {
  switch (value.kind) {
    case TomlValue::Kind::kBoolean: return value.boolean;
    case TomlValue::Kind::kInteger: return value.integer;
    case TomlValue::Kind::kArray: {
      json::array out;
      for (const TomlValue& element : value.elements) out.push_back(toJson(element));
      return out;
    }
    case TomlValue::Kind::kTable: {
      json::object out;
      for (const TomlMember& member : value.members) {
        const bool is_path = member.name == kKeyPath && member.value.text.starts_with('/');
        out[is_path ? "key_file" : member.name] = toJson(member.value);
      }
      return out;
    }
    default: return json::string(value.text);
  }
}

// What the files hold that the configuration names.
void learnSecrets(const Config& config, Redactor& redactor) {
  if (config.uplink.password_file.empty()) return;
  const auto password = readFile(config.uplink.password_file, kPasswordBytesMax);
  if (password) redactor.learn(std::string_view(*password).substr(0, password->find('\n')));
}

std::string cleanJson(Redactor& redactor, const std::string& text) {
  auto value = parseJson(text, kFileBounds);
  if (!value) return text;  // Cleaned as a text.
  redactor.json(*value);
  return writeJson(*value) + "\n";
}

std::string cleanLines(Redactor& redactor, const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out += cleanJson(redactor, text.substr(at, end - at));
    if (!out.ends_with('\n')) out += '\n';
    at = end + 1;
  }
  return out;
}

}  // namespace

SupportFile checkFile(const CheckResults& results) {
  json::array checks;
  for (const CheckResult& each : results)
    checks.push_back({{"name", each.name},
                      {"verdict", name(each.verdict)},
                      {"text", each.text},
                      {"hint", each.hint}});
  return {SupportFile::Kind::kJson, "check.json", writeJson(json::object{{"checks", checks}})};
}

SupportFile aboutFile(const std::string& gateway, const std::string& host) {
  return {SupportFile::Kind::kJson, "about.json",
          writeJson(json::object{{"gateway", gateway},
                                 {"version", KANTE_VERSION},
                                 {"built", formatUtc(buildTimeS() * 1'000'000'000)},
                                 {"compiler", __VERSION__},
                                 {"made", formatUtc(SystemClock().wallNs())},
                                 {"host", host}})};
}

SupportFile configFile(const std::string& path) {
  SupportFile out{SupportFile::Kind::kJson, "config.json", {}};
  const auto text = readFile(path, kConfigBytesMax);
  const auto parsed =
      text ? parseToml(*text, path, kConfigDepthMax) : Result<TomlValue>(text.error());
  out.text = writeJson(parsed ? json::object{{"file", path}, {"settings", toJson(*parsed)}}
                              : json::object{{"file", path}, {"error", parsed.error().text}});
  return out;
}

Result<std::string> packSupport(SupportSource source, std::string_view head) {
  Redactor redactor;
  learnSecrets(source.config, redactor);
  for (const std::string& secret : source.secrets) redactor.learn(secret);
  const std::string& data_dir = source.config.gateway.data_dir;
  const std::size_t after_about = source.files.empty() ? 0 : 1;
  source.files.insert(
      source.files.begin() + static_cast<std::ptrdiff_t>(after_about),
      {SupportFile::Kind::kJson, "machine.json", writeJson(machineFacts(data_dir))});
  // All structure first: what is a secret there may stand in a text of any other.
  for (SupportFile& file : source.files) {
    if (file.kind == SupportFile::Kind::kJson) file.text = cleanJson(redactor, file.text);
    if (file.kind == SupportFile::Kind::kJsonLines) file.text = cleanLines(redactor, file.text);
  }
  SupportArchive archive(source.bytes_max);
  for (SupportFile& file : source.files) {
    const bool is_log = file.kind == SupportFile::Kind::kJsonLines;
    archive.add(file.name, redactor.text(std::exchange(file.text, {})),
                is_log ? SupportArchive::Keep::kEnd : SupportArchive::Keep::kBeginning);
  }
  return archive.pack(head);
}

}  // namespace kante::cli
