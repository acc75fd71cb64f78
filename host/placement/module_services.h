// What a module's extensions need from the control plane: twins, methods, storage.
//
// Called on the control thread only; answers come there too, once each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "host/message/message.h"

namespace kante {

class ModuleServices {
 public:
  virtual ~ModuleServices() = default;

  // status, result (may be null), and what the request's function says beside it.
  using Answer = std::function<void(kante_status status, MessageRef result, std::uint64_t arg)>;

  virtual void report(const std::string& module, const MessageRef& patch, Answer answer) = 0;
  virtual void storageGet(const std::string& module, const std::string& key, Answer answer) = 0;
  virtual void storagePut(const std::string& module, const std::string& key,
                          const MessageRef& value, Answer answer) = 0;
  virtual void storageErase(const std::string& module, const std::string& key, Answer answer) = 0;
  virtual void invoke(const std::string& module, const std::string& target, const std::string& name,
                      const MessageRef& arguments, std::uint32_t timeout_ms, Answer answer) = 0;
  // Answers a METHOD event; false: nobody waits any more.
  virtual void reply(std::uint64_t call, int status, const MessageRef& result) = 0;

  // Desired properties: what an instance begins with, and what changes later.
  virtual std::pair<MessageRef, std::uint64_t> desiredAtStart(const std::string& module) = 0;
  using OnDesired = std::function<void(MessageRef document, std::uint64_t version)>;
  virtual std::shared_ptr<void> subscribeDesired(const std::string& module,
                                                 OnDesired on_desired) = 0;
  // Direct methods of a module: `handler` gets call id, name and arguments.
  using OnMethod = std::function<void(std::uint64_t call, std::string name, MessageRef arguments)>;
  virtual std::shared_ptr<void> serveMethods(const std::string& module, OnMethod on_method) = 0;
};

}  // namespace kante
