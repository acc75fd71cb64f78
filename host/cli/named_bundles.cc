#include "host/cli/named_bundles.h"

#include <boost/json.hpp>

#include "host/base/encoding.h"
#include "host/base/json.h"
#include "host/bundle/frame.h"
#include "host/bundle/signature.h"
#include "host/cli/in_file.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

Result<std::string> bundleDigest(const std::string& path) {
  KANTE_TRY(file, openInFile(path));
  KANTE_TRY(frame, readFrame(FrameKind::kBundle, file.get()));
  KANTE_TRY(signature, Signature::parse(frame.signature));
  KANTE_TRY(digest, signature.verify({file.get(), frame.payload_offset, frame.payload_bytes}));
  return "sha256:" + toHex(digest);
}

Status nameModules(json::value& content, const std::filesystem::path& base) {
  auto* object = content.if_object();
  auto* modules = object != nullptr ? object->if_contains("modules") : nullptr;
  if (modules == nullptr || !modules->is_object()) return {};
  for (auto& member : modules->get_object()) {
    auto* module = member.value().if_object();
    json::value* bundle = module != nullptr ? module->if_contains("bundle") : nullptr;
    if (bundle == nullptr || !bundle->is_string()) continue;
    const std::string given(bundle->get_string());
    if (given.empty() || given.starts_with("sha256:")) continue;
    const std::string path = base / given;
    auto digest = bundleDigest(path);
    if (!digest) {
      Error why = digest.error();
      if (why.text.starts_with(path + ": ")) why.text.erase(0, path.size() + 2);
      return within(jsonPointer("/modules", member.key()) + "/bundle: " + given, std::move(why));
    }
    *bundle = *digest;
  }
  return {};
}

}  // namespace

Status nameDigests(DocumentKind kind, json::value& content, const std::filesystem::path& base) {
  if (kind == DocumentKind::kDeployment || kind == DocumentKind::kMergePatch)
    return nameModules(content, base);
  auto* layer = kind == DocumentKind::kLayer ? content.if_object() : nullptr;
  json::value* patch = layer != nullptr ? layer->if_contains("content") : nullptr;
  return patch != nullptr ? nameModules(*patch, base) : Status();
}

}  // namespace kante::cli
