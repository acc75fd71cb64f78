#include "host/uplink/document_topics.h"

#include "host/base/encoding.h"

namespace kante {
namespace {

constexpr std::string_view kDeployment = "deployment/";
constexpr std::string_view kLayer = "deployment/layer/";

}  // namespace

std::vector<std::string> documentFilters(CommandTrust commands) {
  std::vector<std::string> filters = {"deployment/set", "deployment/patch", "deployment/layer/+",
                                      "deployment/trust", "deployment/secrets"};
  if (commands == CommandTrust::kSigned)
    for (const char* filter : {"twin/+/+/desired", "twin/+/+/+/+/desired", "methods/gateway/+/+",
                               "methods/+/+/+/+", "methods/+/+/+/+/+/+"})
      filters.emplace_back(filter);
  return filters;
}

bool isDeploymentTopic(std::string_view rest) { return rest.starts_with(kDeployment); }

Result<ArrivedDocument> parseDocumentTopic(std::string_view rest) {
  ArrivedDocument document;
  document.source = rest;
  if (rest == "deployment/set") return document;
  if (rest == "deployment/patch") {
    document.use = ArrivedDocument::For::kPatch;
    return document;
  }
  if (rest == "deployment/secrets") {
    document.use = ArrivedDocument::For::kSecrets;
    return document;
  }
  if (rest == "deployment/trust") {
    document.use = ArrivedDocument::For::kTrust;
    return document;
  }
  if (rest.starts_with(kLayer)) {
    KANTE_TRY(name, percentDecode(rest.substr(kLayer.size())));
    if (!isName(name)) return fail(Errc::kInvalid, "the topic names no layer");
    document.use = ArrivedDocument::For::kLayer;
    document.name = std::move(name);
    return document;
  }
  if (isDeploymentTopic(rest)) return fail(Errc::kInvalid, "no topic that this gateway serves");
  KANTE_TRY(topic, parseDownTopic(rest));
  document.use = ArrivedDocument::For::kDesired;
  document.name = topic.principal;
  if (topic.kind == DownTopic::Kind::kDesired) return document;
  if (topic.kind != DownTopic::Kind::kMethod)
    return fail(Errc::kInvalid, "nothing signed comes on this topic");
  document.use = ArrivedDocument::For::kCommand;
  document.name += "/" + topic.method;
  document.source = "methods/" + document.name;
  document.request_id = std::move(topic.request_id);
  return document;
}

DocumentRoom::Admission DocumentRoom::admit(const ArrivedDocument& document) {
  const std::size_t bytes = document.file.size();
  if (bytes_.fetch_add(bytes) + bytes <= kBytesMax) return Admission::kWhole;
  bytes_ -= bytes;
  ++dropped_;
  if (without_file_.fetch_add(1) < kDroppedMax) return Admission::kWithoutFile;
  --without_file_;
  return Admission::kNo;
}

void DocumentRoom::arrived(const ArrivedDocument& document) {
  if (document.file.empty()) {
    --without_file_;
  } else {
    bytes_ -= document.file.size();
  }
}

}  // namespace kante
