// The control plane that modules see: twins and methods of the hub, their private values in the
// store.
#pragma once

#include <functional>
#include <memory>

#include "host/base/secret_references.h"
#include "host/hub/methods.h"
#include "host/hub/twins.h"
#include "host/placement/module_services.h"
#include "host/store/key_value.h"

namespace kante {

class HubServices final : public ModuleServices {
 public:
  using Post = std::function<void(std::function<void()>)>;
  // All outlive it; `post` runs a task on the control thread.  Desired properties are told with
  // their secrets, and nobody else sees those.
  HubServices(Twins& twins, Methods& methods, KeyValue& values, Post post,
              Secrets secrets = nullptr)
      : twins_(twins),
        methods_(methods),
        values_(values),
        post_(std::move(post)),
        secrets_(std::move(secrets)) {}

  void report(const std::string& module, const MessageRef& patch, Answer answer) override;
  void storageGet(const std::string& module, const std::string& key, Answer answer) override;
  void storagePut(const std::string& module, const std::string& key, const MessageRef& value,
                  Answer answer) override;
  void storageErase(const std::string& module, const std::string& key, Answer answer) override;
  void invoke(const std::string& module, const std::string& target, const std::string& name,
              const MessageRef& arguments, std::uint32_t timeout_ms, Answer answer) override;
  void reply(std::uint64_t call, int status, const MessageRef& result) override;
  std::pair<MessageRef, std::uint64_t> desiredAtStart(const std::string& module) override;
  std::shared_ptr<void> subscribeDesired(const std::string& module, OnDesired on_desired) override;
  std::shared_ptr<void> serveMethods(const std::string& module, OnMethod on_method) override;

 private:
  Twins& twins_;
  Methods& methods_;
  KeyValue& values_;
  Post post_;
  Secrets secrets_;
};

}  // namespace kante
