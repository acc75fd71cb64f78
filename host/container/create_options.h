// The options of a deployment for a container, checked against what it is granted.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "host/base/result.h"
#include "host/container/container_grants.h"

namespace kante {

// Docker's create body, as IoT Edge's manifests have it.  The engine reads names of members in any
// case, and knows members that nobody thought of here; so what comes out has the names that it
// documents, nothing that is null, and only members that are known to be harmless or are granted.
// kDenied says what to grant; kUnsupported: not known, or Kante's own business.
Result<boost::json::object> checkCreateOptions(const boost::json::object& options,
                                               const ContainerGrants& grants,
                                               const std::string& pointer);

}  // namespace kante
