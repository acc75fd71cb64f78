// Bundles that a document for somewhere else names by files that are here.
#pragma once

#include <boost/json/value.hpp>
#include <filesystem>

#include "host/agent/document.h"
#include "host/base/result.h"

namespace kante::cli {

// Far away there is no file beside the document: each bundle that `content` names by a path is
// named by its digest.  Paths begin at `base`.  Only deployments, layers and merge patches name
// any; an error has the pointer and the file.
Status nameDigests(DocumentKind kind, boost::json::value& content,
                   const std::filesystem::path& base);

}  // namespace kante::cli
