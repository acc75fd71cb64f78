// Sinks for the members of a bundle: a folder that becomes the bundle's place in the store, and a
// scratch file for those who only look.
#pragma once

#include <set>
#include <string>

#include "host/base/fd.h"
#include "host/bundle/machine.h"
#include "host/bundle/payload.h"

namespace kante {

// Writes manifest.json, data/… and the library of one machine into an empty folder; the libraries
// of other machines are checked on their way and dropped, flash is dear.  After sync() it is all on
// disk.
class StagingSink final : public MemberSink {
 public:
  StagingSink(int folder_fd, Machine machine) : folder_fd_(folder_fd), machine_(machine) {}

  Status manifest(const Manifest& manifest, std::string_view text) override;
  Status begin(const std::string& name, const ManifestFile& file) override;
  Status write(std::string_view bytes) override;
  Result<int> end() override;
  Status sync();

 private:
  Status makeFolders(const std::string& name);

  int folder_fd_;
  Machine machine_;
  std::set<std::string> dropped_;
  std::set<std::string> folders_;
  std::string name_;
  FileDescriptor file_;  // Being written; none while a member is dropped.
  FileDescriptor kept_;  // The last one that was complete, for who reads it back.
};

// Keeps nothing but the library that is passing, in one unnamed file, so that it can be linted.
class ScratchSink final : public MemberSink {
 public:
  static Result<ScratchSink> open(const std::string& folder);

  Status manifest(const Manifest& manifest, std::string_view text) override;
  Status begin(const std::string& name, const ManifestFile& file) override;
  Status write(std::string_view bytes) override;
  Result<int> end() override;

  const std::string& manifestText() const { return manifest_text_; }

 private:
  explicit ScratchSink(FileDescriptor file) : file_(std::move(file)) {}

  FileDescriptor file_;
  std::set<std::string> libraries_;
  std::string manifest_text_;
  bool keeping_ = false;
};

}  // namespace kante
