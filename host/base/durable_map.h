// Few, small texts by key that survive the process: what twins and the deployment journal are kept
// in.
//
// Written behind: a write changes what the process sees at once and is on disk only once a later
// sync() said so.  After a crash the map holds what some prefix of the calls made, never one write
// without those before it.  Control thread only.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "host/base/result.h"

namespace kante {

class DurableMap {
 public:
  virtual ~DurableMap() = default;
  virtual Result<std::map<std::string, std::string>> readAll() = 0;
  // kLimit when the store refuses the size; nothing changed then.
  virtual Status put(const std::string& key, const std::string& value) = 0;
  virtual Status erase(const std::string& key) = 0;
  // Calls `done` once, on the control thread, when all before it is on disk, or with what went
  // wrong. It may do so before it returns.
  virtual void sync(std::function<void(Status)> done) = 0;
};

// For tests and for a host that keeps nothing: gone with the process.
class MemoryMap final : public DurableMap {
 public:
  Result<std::map<std::string, std::string>> readAll() override { return values_; }
  Status put(const std::string& key, const std::string& value) override {
    values_[key] = value;
    return {};
  }
  Status erase(const std::string& key) override {
    values_.erase(key);
    return {};
  }
  void sync(std::function<void(Status)> done) override { done({}); }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace kante
