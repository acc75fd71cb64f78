#include "host/cli/kept.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <optional>

#include "host/cli/host_versions.h"

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

Error becomeKeeper(const std::vector<std::string>& arguments, const std::string& data_dir,
                   const std::function<void(const Error&)>& on_lesser) {
  auto host = self();
  if (!host) return host.error();
  const auto updated =
      data_dir.empty() ? Result<std::optional<HostVersion>>(std::nullopt) : committedHost(data_dir);
  if (updated.has_error())
    on_lesser(within("the version that an update brought cannot run, so that of the system does",
                     updated.error()));
  if (updated && *updated) *host = data_dir + "/" + (*updated)->folder + "/kante";
  std::string launcher = host->substr(0, host->rfind('/') + 1) + "kante-launcher";
  std::string versions = "--versions";
  std::string where = data_dir;
  std::string keep = "--keep";
  std::vector<std::string> given = arguments;
  std::vector<char*> words = {launcher.data(), versions.data(), where.data(), keep.data(),
                              host->data()};
  for (std::string& each : given) words.push_back(each.data());
  words.push_back(nullptr);
  ::execv(launcher.c_str(), words.data());
  return within("cannot start the keeper; install it beside kante, or say --no-keeper",
                failErrno(launcher));
}

}  // namespace kante::cli
