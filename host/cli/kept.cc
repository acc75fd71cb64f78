#include "host/cli/kept.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace kante::cli {
namespace {

constexpr const char* kKeeper = "KANTE_KEEPER";

Result<std::string> self() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return failErrno("/proc/self/exe");
  return std::string(path, static_cast<std::size_t>(size));
}

}  // namespace

bool isKept() {
  const char* keeper = std::getenv(kKeeper);
  return keeper != nullptr && std::atoi(keeper) == ::getppid();
}

Error becomeKeeper(const std::vector<std::string>& arguments) {
  auto host = self();
  if (!host) return host.error();
  std::string launcher = host->substr(0, host->rfind('/') + 1) + "kante-launcher";
  std::string keep = "--keep";
  std::vector<std::string> given = arguments;
  std::vector<char*> words = {launcher.data(), keep.data(), host->data()};
  for (std::string& each : given) words.push_back(each.data());
  words.push_back(nullptr);
  ::execv(launcher.c_str(), words.data());
  return within("cannot start the keeper; install it beside kante, or say --no-keeper",
                failErrno(launcher));
}

}  // namespace kante::cli
