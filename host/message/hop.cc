#include "host/message/hop.h"

namespace kante {

SourceTable& SourceTable::ofThisProcess() {
  static SourceTable* const table = new SourceTable;
  return *table;
}

const Source* SourceTable::intern(const Source& source) {
  const std::string key = source.telemetry_name + '\n' + source.path + '\n' + source.topic + '\n' +
                          source.connection_device_id + '\n' + source.origin_gateway + '\n' +
                          source.origin_epoch;
  const std::lock_guard lock(mutex_);
  auto& slot = sources_[key];
  if (!slot) slot = std::make_unique<const Source>(source);
  return slot.get();
}

const Source* SourceTable::moduleOutput(const std::string& gateway_id, const std::string& module,
                                        const std::string& output) {
  Source source;
  source.principal = "module/" + module;
  source.output = output;
  source.path = "/messages/modules/" + module + "/outputs/" + output;
  source.connection_device_id = gateway_id;
  source.connection_module_id = module;
  source.telemetry_name = "module/" + module + "/" + output;
  return intern(source);
}

}  // namespace kante
