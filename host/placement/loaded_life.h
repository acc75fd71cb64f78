// The life of a module whose library is loaded into this process.
//
// Its callbacks run on the shard's own thread, noted in the shard's slot, so that a crash or a hang
// names the module.  Answers by returning; only an exception that leaves the module's code is
// turned into KANTE_E_INTERNAL with a text.
#pragma once

#include <memory>

#include "host/runtime/loaded_module.h"
#include "host/runtime/module_life.h"
#include "host/shard/callback_slot.h"

namespace kante {

class LoadedLife final : public ModuleLife {
 public:
  // crash_index: the instance's name in the crash page.
  LoadedLife(std::shared_ptr<const LoadedModule> library, CallbackSlot& slot,
             std::uint32_t crash_index);
  ~LoadedLife() override;

  const std::vector<std::string>& inputs() const override { return inputs_; }
  const std::vector<std::string>& outputs() const override { return outputs_; }
  kante_status create(const kante_host& host, LifeOwner& owner, kante_msg* config) override;
  kante_status onInput(const kante_event& event, std::uint8_t) override { return call(event); }
  kante_status onEvent(const kante_event& event) override { return call(event); }
  void destroy(std::function<void()> gone) override;
  int pid() const override;

 private:
  kante_status call(const kante_event& event);
  void explain(kante_str text) const;

  const std::shared_ptr<const LoadedModule> library_;
  const kante_entry& entry_;
  CallbackSlot& slot_;
  const std::uint32_t crash_index_;
  const std::vector<std::string> inputs_;
  const std::vector<std::string> outputs_;
  const kante_host* host_ = nullptr;
  kante_module* module_ = nullptr;
};

}  // namespace kante
