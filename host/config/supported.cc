// What the configuration knows and this build does not do.  A capability that arrives takes its
// lines away here.
#include "host/config/config.h"

namespace kante {
namespace {

struct Wish {
  const char* key;  // As in Config::set_at.
  bool asked;       // Beyond what "off" means for it.
  const char* what;
};

}  // namespace

Status supported(const Config& config) {
  const UplinkConfig& uplink = config.uplink;
  const Wish kWishes[] = {
      {"uplink.kind", uplink.kind == UplinkKind::kIothub, "this kind of uplink"},
      {"uplink.proxy", !uplink.proxy.empty(), "an uplink through a proxy"},
  };
  for (const Wish& wish : kWishes) {
    const auto set = config.set_at.find(wish.key);
    if (set == config.set_at.end() || !wish.asked) continue;
    const std::string key = wish.key;
    const auto dot = key.rfind('.');
    return fail(Errc::kUnsupported, config.file + ":" + std::to_string(set->second) + ": [" +
                                        key.substr(0, dot) + "] " + key.substr(dot + 1) + ": " +
                                        wish.what +
                                        " is not part of this build; leave the key out");
  }
  return {};
}

}  // namespace kante
