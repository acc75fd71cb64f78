// The module host of this process: shards, lanes, instances, the watchdog and the crash page.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/base/log.h"
#include "host/placement/crash_page.h"
#include "host/placement/device_opener.h"
#include "host/placement/durable_sink.h"
#include "host/placement/module_host.h"
#include "host/placement/module_services.h"
#include "host/placement/store_door.h"
#include "host/runtime/loaded_module.h"
#include "host/runtime/module_life.h"
#include "host/shard/shard.h"

namespace boost::asio {
class io_context;
}

namespace kante {

struct ModuleHostOptions {
  std::string gateway_id;
  std::uint32_t shards = 0;      // 0: one a core, at most 4.
  std::uint32_t loads_max = 64;  // Distinct digests in one process's life.
  std::uint32_t callback_warn_ms = 10;
  std::uint32_t callback_limit_ms = 5000;  // On a shared shard; the host ends itself, marked.
  std::uint32_t health_ms = 30'000;        // How often modules are asked how they are.

  boost::asio::io_context* control = nullptr;
  Log* log = nullptr;
  ModuleServices* services = nullptr;
  CrashPage* crash_page = nullptr;
  DeviceOpener* devices = nullptr;  // Null: modules have nothing opened.
  DurableSink* upstream = nullptr;  // Null: no uplink.
  // Whether a module of this gateway comes as a client of the hub; control thread.  Null: none
  // does.
  std::function<bool(const std::string& module)> elsewhere;
  // Null, both: no durable routes into modules.  The door is the one that `upstream` leads through.
  Store* store = nullptr;
  std::shared_ptr<StoreDoor> door;
  // The library of an admitted bundle; control thread.  Called once a digest.
  std::function<Result<std::shared_ptr<const LoadedModule>>(const std::string& digest,
                                                            const std::string& id)>
      load;
  // A life for a module with placement "sandbox", on this shard; control thread.  Null: this host
  // has no sandbox, and modules that ask for it are refused with `sandbox_missing`, a sentence that
  // says why and what to do.
  std::function<Result<std::shared_ptr<ModuleLife>>(const ModuleSpec& spec, Shard& shard)> sandbox;
  std::string sandbox_missing;
  // Something happened that people want to know: kind ("module.started", "module.failed", …),
  // module, text.
  std::function<void(const std::string& kind, const std::string& module, const std::string& text)>
      event;
};

// Everything that the options point to outlives it.
std::unique_ptr<ModuleHost> makeModuleHost(ModuleHostOptions options);

}  // namespace kante
