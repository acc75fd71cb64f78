#include "host/bundle/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstring>
#include <set>

#include "host/base/json.h"
#include "host/base/json_schema.h"
#include "host/base/shown.h"

namespace kante {

namespace json = boost::json;

namespace {

constexpr const char* kSchema = "kante.module/1";
constexpr std::uint64_t kCounterMax =
    (std::uint64_t{1} << 53) - 1;  // What every JSON reader keeps exactly.
constexpr std::size_t kPortBytesMax = 128;
constexpr std::size_t kVersionBytesMax = 128;

const std::vector<std::string> kMembers = {
    "schema",    "id",        "version",     "counter",      "revokes", "abi",
    "kind",      "lib",       "files",       "inputs",       "outputs", "methods",
    "libraries", "execution", "permissions", "config_schema"};
const std::vector<std::string> kFileMembers = {"size", "sha256"};
const std::vector<std::string> kPermissions = {"methods", "files", "devices",
                                               "tcp",     "udp",   "listen"};
const std::vector<std::string> kFilePermissions = {"read", "write", "space"};

bool isAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool isDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Error wrong(const std::string& pointer, const std::string& text) {
  return fail(Errc::kInvalid, "manifest.json " + shown(pointer) + ": " + text);
}

Status checkMembers(const json::object& object, const std::string& at,
                    const std::vector<std::string>& known) {
  for (const auto& [key, value] : object) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest(key, known);
    return wrong(at + "/" + std::string(key),
                 "unknown member" + (near.empty() ? "" : ", did you mean \"" + near + "\"?"));
  }
  return {};
}

Result<json::object> parseObject(std::string_view text) {
  if (text.size() > kManifestBytesMax) {
    return fail(Errc::kLimit, "manifest.json is longer than 262144 bytes");
  }
  auto object = parseJsonObject(text, {kManifestBytesMax, kManifestDepthMax + 1});
  if (!object) return fail(Errc::kInvalid, "manifest.json: " + object.error().text);
  return object;
}

// Reads the members of one manifest; each function leaves its field alone when the member is
// missing.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  Result<std::string> text(const char* key) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return wrong(pointer(key), "is missing");
    if (!value->is_string()) return wrong(pointer(key), "must be a string");
    return std::string(value->get_string());
  }

  Status number(const char* key, std::uint64_t& into) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return {};
    boost::system::error_code error;
    const auto parsed = value->to_number<std::uint64_t>(error);
    if (error || parsed > kCounterMax)
      return wrong(pointer(key), "must be a whole number from 0 to 2^53 - 1");
    into = parsed;
    return {};
  }

  // One of `words`; their index goes to `into`.
  Status word(const char* key, const std::vector<std::string>& words, std::size_t& into) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return {};
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (value->is_string() && value->get_string() == words[i]) {
        into = i;
        return {};
      }
    }
    return wrong(pointer(key), fmt::format("must be \"{}\"", fmt::join(words, "\" or \"")));
  }

  Status names(const char* key, std::vector<std::string>& into) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return {};
    if (!value->is_array()) return wrong(pointer(key), "must be an array of names");
    if (value->get_array().size() > kPortsMax)
      return wrong(pointer(key), "has more than 256 names");
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < value->get_array().size(); ++i) {
      const json::value& name = value->get_array()[i];
      const std::string at = pointer(key) + "/" + std::to_string(i);
      if (!name.is_string() || !isPort(name.get_string())) {
        return wrong(at, "must be a name of 1 to 128 characters from A-Z a-z 0-9 . _ - +");
      }
      if (!seen.insert(name.get_string()).second) return wrong(at, "is listed twice");
      into.emplace_back(name.get_string());
    }
    return {};
  }

  bool has(const char* key) const { return object_.contains(key); }

  // nullptr when missing.
  Result<const json::object*> object(const char* key) const {
    const json::value* value = object_.if_contains(key);
    if (value == nullptr) return static_cast<const json::object*>(nullptr);
    if (!value->is_object()) return wrong(pointer(key), "must be an object");
    return &value->get_object();
  }

  static std::string pointer(const char* key) { return std::string("/") + key; }

 private:
  static bool isPort(std::string_view name) {  // '+' for sonames: libstdc++.so.6
    return !name.empty() && name.size() <= kPortBytesMax &&
           std::all_of(name.begin(), name.end(), [](char c) {
             return isAlnum(c) || c == '.' || c == '_' || c == '-' || c == '+';
           });
  }

  const json::object& object_;
};

std::string libraryName(Machine machine) {
  return std::string("lib/") + name(machine) + "/module.so";
}

Status readAbi(const Reader& reader, Manifest& manifest) {
  KANTE_TRY(abi, reader.text("abi"));
  const std::size_t dot = abi.find('.');
  const auto part = [&](std::string_view text, std::uint32_t& into) {
    if (!isDigits(text) || (text.size() > 1 && text[0] == '0')) return false;
    return std::from_chars(text.data(), text.data() + text.size(), into).ec == std::errc();
  };
  const std::string_view view = abi;
  if (dot == std::string::npos || !part(view.substr(0, dot), manifest.abi_major) ||
      !part(view.substr(dot + 1), manifest.abi_minor)) {
    return wrong("/abi", "must be MAJOR.MINOR, like \"1.0\"");
  }
  return {};
}

Status readLib(const Reader& reader, Manifest& manifest) {
  KANTE_TRY(lib, reader.object("lib"));
  if (lib != nullptr) {
    for (const auto& [key, value] : *lib) {
      const std::string at = "/lib/" + std::string(key);
      const auto machine = machineNamed(key);
      if (!machine)
        return wrong(at, "unknown architecture, known are amd64, arm64, armhf and riscv64");
      if (!value.is_string() || value.get_string() != libraryName(*machine)) {
        return wrong(at, "must be \"" + libraryName(*machine) + "\"");
      }
      manifest.lib.emplace(*machine, libraryName(*machine));
    }
  }
  if (manifest.lib.empty() && manifest.kind == Manifest::Kind::kModule) {
    return wrong("/lib", "must name the library of at least one architecture");
  }
  return {};
}

Status readFile(const std::string& file_name, const json::value& value, Manifest& manifest) {
  const std::string at = "/files/" + file_name;
  if (!isMemberName(file_name)) {
    return wrong(at,
                 "must be a relative name in [A-Za-z0-9._/-] without empty, \".\" or \"..\" parts");
  }
  const bool is_library = std::any_of(manifest.lib.begin(), manifest.lib.end(),
                                      [&](const auto& lib) { return lib.second == file_name; });
  if (!is_library && !file_name.starts_with("data/")) {
    return wrong(at, "must be a library named in /lib or lie in data/");
  }
  if (!value.is_object()) return wrong(at, "must be {\"size\", \"sha256\"}");
  KANTE_CHECK(checkMembers(value.get_object(), at, kFileMembers));
  const json::value* size = value.get_object().if_contains("size");
  const json::value* digest = value.get_object().if_contains("sha256");
  boost::system::error_code error;
  ManifestFile file;
  if (size != nullptr) file.bytes = size->to_number<std::uint64_t>(error);
  if (size == nullptr || error || file.bytes > kUnpackedBytesMax) {
    return wrong(at + "/size", "must be a whole number of bytes up to 2147483648");
  }
  const bool is_text =
      digest != nullptr && digest->is_string() && digest->get_string().size() == 64;
  const auto bytes =
      is_text ? fromHex(digest->get_string()) : Result<std::string>(fail(Errc::kInvalid, ""));
  if (bytes.has_error()) return wrong(at + "/sha256", "must be 64 hexadecimal digits");
  std::memcpy(file.sha256.data(), bytes->data(), file.sha256.size());
  manifest.files.emplace(file_name, file);
  return {};
}

Status readFiles(const Reader& reader, Manifest& manifest) {
  KANTE_TRY(files, reader.object("files"));
  if (files == nullptr) return wrong("/files", "is missing");
  if (files->size() > kBundleFilesMax) return wrong("/files", "lists more than 4096 files");
  std::uint64_t sum = 0;
  for (const auto& [file_name, value] : *files) {
    KANTE_CHECK(readFile(std::string(file_name), value, manifest));
    sum += manifest.files.at(std::string(file_name)).bytes;
  }
  if (sum > kUnpackedBytesMax) return wrong("/files", "unpacks to more than 2147483648 bytes");
  for (const auto& [machine, library] : manifest.lib) {
    if (!manifest.files.contains(library)) {
      return wrong(std::string("/lib/") + name(machine), "is not among /files");
    }
  }
  // A name that is also the folder of another could not be unpacked.
  for (const auto& [file_name, file] : manifest.files) {
    for (std::size_t at = file_name.find('/'); at != std::string::npos;
         at = file_name.find('/', at + 1)) {
      if (manifest.files.contains(file_name.substr(0, at))) {
        return wrong("/files/" + file_name, "lies below the file " + file_name.substr(0, at));
      }
    }
  }
  return {};
}

Status readIdentity(const Reader& reader, Manifest& manifest) {
  KANTE_TRY(schema, reader.text("schema"));
  if (schema != kSchema) return wrong("/schema", std::string("must be \"") + kSchema + "\"");
  KANTE_TRY(id, reader.text("id"));
  if (!isModuleId(id)) {
    return wrong(
        "/id",
        "must be a reverse-domain name like \"com.example.filter\" of at most 128 characters");
  }
  KANTE_TRY(version, reader.text("version"));
  if (!isSemanticVersion(version))
    return wrong("/version", "must be a semantic version like \"1.4.2\"");
  manifest.id = std::move(id);
  manifest.version = std::move(version);
  KANTE_CHECK(reader.number("counter", manifest.counter));
  KANTE_CHECK(reader.number("revokes", manifest.revokes));
  if (!reader.has("counter")) return wrong("/counter", "is missing");
  if (manifest.revokes > manifest.counter) {
    return wrong("/revokes", "is above /counter, so the bundle would revoke itself");
  }
  return {};
}

Status readPorts(const Reader& reader, Manifest& manifest) {
  KANTE_CHECK(reader.names("inputs", manifest.inputs));
  KANTE_CHECK(reader.names("outputs", manifest.outputs));
  KANTE_CHECK(reader.names("methods", manifest.methods));
  return reader.names("libraries", manifest.libraries);
}

// What each text says is judged where it is held against a grant.  Members that are not known ask
// for what a later host may give.
Status checkPermissions(const json::object& object, const std::string& at,
                        const std::vector<std::string>& known, std::vector<std::string>& unknown) {
  for (const auto& [key, value] : object) {
    const std::string pointer = at + "/" + std::string(key);
    if (std::find(known.begin(), known.end(), std::string(key)) == known.end()) {
      unknown.push_back(shown(pointer));
      continue;
    }
    if (key == "files" && value.is_object()) {
      KANTE_CHECK(checkPermissions(value.get_object(), pointer, kFilePermissions, unknown));
      continue;
    }
    if (key == "files") return wrong(pointer, "must be an object");
    const auto is_text = [](const json::value& one) { return one.is_string(); };
    if (!value.is_array() ||
        !std::all_of(value.get_array().begin(), value.get_array().end(), is_text))
      return wrong(pointer, "must be an array of strings");
  }
  return {};
}

Status readPolicies(const Reader& reader, Manifest& manifest) {
  std::size_t word = 0;
  KANTE_CHECK(reader.word("execution", {"shared", "dedicated"}, word));
  manifest.execution = static_cast<Manifest::Execution>(word);
  KANTE_TRY(permissions, reader.object("permissions"));
  if (permissions != nullptr) {
    KANTE_CHECK(
        checkPermissions(*permissions, "/permissions", kPermissions, manifest.unknown_permissions));
    manifest.permissions_json = json::serialize(*permissions);
  }
  KANTE_TRY(schema, reader.object("config_schema"));
  if (schema == nullptr) return {};
  const auto compiled = JsonSchema::compile(*schema);
  if (compiled.has_error())
    return wrong("/config_schema" + compiled.error().text, "is no usable schema");
  manifest.config_schema_json = json::serialize(*schema);
  return {};
}

Result<Manifest> readManifest(const json::object& object) {
  KANTE_CHECK(checkMembers(object, "", kMembers));
  const Reader reader(object);
  Manifest manifest;
  KANTE_CHECK(readIdentity(reader, manifest));
  KANTE_CHECK(readAbi(reader, manifest));
  std::size_t kind = 0;
  KANTE_CHECK(reader.word("kind", {"module", "host"}, kind));
  manifest.kind = static_cast<Manifest::Kind>(kind);
  KANTE_CHECK(readLib(reader, manifest));
  KANTE_CHECK(readFiles(reader, manifest));
  KANTE_CHECK(readPorts(reader, manifest));
  KANTE_CHECK(readPolicies(reader, manifest));
  return manifest;
}

}  // namespace

const std::string* Manifest::libFor(Machine machine) const {
  const auto at = lib.find(machine);
  return at == lib.end() ? nullptr : &at->second;
}

Result<Manifest> parseManifest(std::string_view text) {
  KANTE_TRY(object, parseObject(text));
  return readManifest(object);
}

Result<std::string> completeManifest(std::string_view text,
                                     const std::map<std::string, ManifestFile>& files) {
  KANTE_TRY(object, parseObject(text));
  KANTE_CHECK(checkMembers(object, "", kMembers));
  if (object.contains("files"))
    return wrong("/files", "is filled in when the bundle is packed, leave it out");
  const json::value* version = object.if_contains("version");
  const bool usable =
      version != nullptr && version->is_string() && isSemanticVersion(version->get_string());
  if (usable && !object.contains("counter")) {
    const auto counter = counterOf(version->get_string());
    if (!counter) return wrong("/counter", "cannot be made from this version, write one");
    object["counter"] = *counter;
  }
  if (!object.contains("lib")) {
    json::object& lib = object["lib"].emplace_object();
    for (const Machine machine :
         {Machine::kAmd64, Machine::kArm64, Machine::kArmhf, Machine::kRiscv64}) {
      if (files.contains(libraryName(machine))) lib[name(machine)] = libraryName(machine);
    }
  }
  json::object& listed = object["files"].emplace_object();
  for (const auto& [file_name, file] : files) {
    listed[file_name] = json::object{{"size", file.bytes}, {"sha256", toHex(file.sha256)}};
  }
  json::object ordered;
  for (const std::string& member : kMembers) {
    if (json::value* value = object.if_contains(member)) ordered.emplace(member, std::move(*value));
  }
  std::string complete = json::serialize(ordered) + "\n";
  KANTE_CHECK(parseManifest(complete));
  return complete;
}

bool isMemberName(std::string_view text) {
  if (text.empty() || text.size() > kMemberNameBytesMax) return false;
  std::size_t start = 0;
  for (;;) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    const std::string_view part = text.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    if (!std::all_of(part.begin(), part.end(),
                     [](char c) { return isAlnum(c) || c == '.' || c == '_' || c == '-'; })) {
      return false;
    }
    if (end == text.size()) return true;
    start = end + 1;
  }
}

bool isModuleId(std::string_view id) {
  if (id.empty() || id.size() > kModuleIdBytesMax || id.front() == '.' || id.back() == '.')
    return false;
  if (id.find("..") != std::string_view::npos) return false;
  return std::all_of(id.begin(), id.end(),
                     [](char c) { return isAlnum(c) || c == '.' || c == '-'; });
}

// MAJOR.MINOR.PATCH[-identifiers][+identifiers]; numbers without leading zeros.
bool isSemanticVersion(std::string_view version) {
  if (version.size() > kVersionBytesMax) return false;
  enum class Zeros { kAny, kNoneLeading };
  const auto identifiers = [](std::string_view text, Zeros zeros) {
    for (;;) {
      const std::size_t dot = std::min(text.find('.'), text.size());
      const std::string_view part = text.substr(0, dot);
      if (part.empty() ||
          !std::all_of(part.begin(), part.end(), [](char c) { return isAlnum(c) || c == '-'; })) {
        return false;
      }
      if (zeros == Zeros::kNoneLeading && part.size() > 1 && part[0] == '0' && isDigits(part))
        return false;
      if (dot == text.size()) return true;
      text.remove_prefix(dot + 1);
    }
  };
  const std::size_t plus = version.find('+');
  if (plus != std::string_view::npos) {
    if (!identifiers(version.substr(plus + 1), Zeros::kAny)) return false;
    version = version.substr(0, plus);
  }
  const std::size_t dash = version.find('-');
  if (dash != std::string_view::npos) {
    if (!identifiers(version.substr(dash + 1), Zeros::kNoneLeading)) return false;
    version = version.substr(0, dash);
  }
  for (int part = 0; part < 3; ++part) {
    const std::size_t dot = version.find('.');
    const std::string_view number = part < 2 ? version.substr(0, dot) : version;
    if (!isDigits(number) || (number.size() > 1 && number[0] == '0')) return false;
    if (part < 2) {
      if (dot == std::string_view::npos) return false;
      version.remove_prefix(dot + 1);
    }
  }
  return true;
}

std::optional<std::uint64_t> counterOf(std::string_view version) {
  if (!isSemanticVersion(version)) return std::nullopt;
  std::uint64_t counter = 0;
  const char* at = version.data();
  const char* end = at + version.size();
  for (int part = 0; part < 3; ++part) {
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(at, end, number);
    if (parsed.ec != std::errc() || number > 99'999) return std::nullopt;
    counter = counter * 100'000 + number;
    at = parsed.ptr + 1;
  }
  return counter;
}

}  // namespace kante
