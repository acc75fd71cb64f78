// Which "gateway" section of a deployment the next life of the host begins with: read from the
// journal before anything else is, because what everything else is made of may be in it.
//
// A deployment with another section is tried in a life of its own.  That it is tried is on disk
// before that life uses the section, so whatever ends it brings the section before back.
#pragma once

#include <map>
#include <string>

#include "host/base/result.h"

namespace kante {

struct GatewaySection {
  std::string patch = "{}";  // Canonical.
  // It is not committed, and another than the committed one.
  bool is_trial = false;
};

// What is to be written over a value of the journal, and on disk, before the section is used.
struct JournalWrite {
  std::string key;
  std::string value;
};

// `journal`: all of its values.
GatewaySection gatewaySectionIn(const std::map<std::string, std::string>& journal);
// Of a trial: that it began; with a reason: that it came to nothing.
Result<JournalWrite> noteTrial(const std::map<std::string, std::string>& journal,
                               const std::string& reason = {});

}  // namespace kante
