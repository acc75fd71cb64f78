// What a signed document says (kante.document/1): a kind, whom it is for, until when, after which
// others, and its content.  Who signed it is host/bundle/document_file.h; whether it is obeyed,
// documents.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "host/base/result.h"

namespace kante {

enum class DocumentKind {
  kDeployment,
  kLayer,
  kMergePatch,
  kJsonPatch,
  kDesired,
  kCommand,
  kSecrets,
  kTrust,
};
const char* name(DocumentKind kind);  // As in the document: "deployment", "merge-patch", …
std::optional<DocumentKind> documentKindOf(std::string_view name);

inline constexpr std::size_t kDocumentDepthMax = 36;  // A deployment within a layer within it.
inline constexpr std::size_t kDocumentNameBytesMax = 256;
inline constexpr std::uint64_t kDocumentNumberMax = (std::uint64_t{1} << 53) - 1;

using Tags = std::map<std::string, std::string>;

struct Document {
  DocumentKind kind = DocumentKind::kDeployment;
  // Layer: its name; desired: the principal; command: the principal, '/' and the method.  Of the
  // others: what tells series of documents apart, may be empty.
  std::string name;
  std::string gateway;  // Either the id of one, or
  std::string tag;      // "site=muc" or "site": those that have it.
  std::uint64_t counter = 0;
  std::optional<std::int64_t> not_after_s;  // Since 1970, UTC.
  std::optional<std::uint64_t> base;        // The version that must be deployed.
  std::string content;                      // JSON text, members sorted; "null" removes a layer.
};

// Strict: kInvalid and kLimit begin with the JSON pointer.  What kinds hold is checked as far as it
// can be without what it changes.
Result<Document> parseDocument(std::string_view payload);
std::string writeDocument(const Document& document);

// "site=muc": the tag has that value; "site": it has any.
bool hasTag(const Tags& tags, std::string_view wanted);
bool isFor(const Document& document, const std::string& gateway, const Tags& tags);

// "2026-11-26T12:00:00Z", fractions of a second are cut off.
Result<std::int64_t> parseUtcSeconds(std::string_view text);
std::string formatUtcSeconds(std::int64_t seconds);  // What it reads, whatever the year.

}  // namespace kante
