// Which version of the host a keeper starts, and what became of the one on trial: the files of
// sandbox/wire/update.h as a keeper reads and writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kante::launcher {

class Versions {
 public:
  Versions() = default;  // None: there is nothing to update.
  explicit Versions(std::string data_dir);

  struct Trial {
    std::string folder;
    std::int64_t seconds = 0;
  };
  // None: there is no trial, or it is said in no form that this release knows.
  std::optional<Trial> trial() const;
  bool isCommitted(const std::string& folder) const;
  // This program lies in the folder that is on trial.
  bool isOnTrial() const;
  // Where it lies.
  std::string path(const std::string& folder) const { return data_dir_ + "/" + folder; }
  const std::string& dataDir() const { return data_dir_; }
  // From a version that is on trial: why it ends, unless it has said so.
  void giveUp(const std::string& reason) const;
  // The trial is over; what its host said of it goes with the reason.  Empty, or what went wrong.
  std::string fail(const std::string& folder, std::string& reason) const;

 private:
  std::string file(const char* name) const;

  std::string data_dir_;
};

}  // namespace kante::launcher
