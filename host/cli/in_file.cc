#include "host/cli/in_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace kante::cli {

Result<FileDescriptor> openInFile(const std::string& path) {
  KANTE_TRY(file, openAt(AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return failErrno(path);
  if (!S_ISREG(facts.st_mode)) return fail(Errc::kInvalid, path + ": is not a regular file");
  return file;
}

Result<std::string> readInput(const std::string& path, std::size_t bytes_max) {
  if (path != "-") return readFile(path, bytes_max);
  std::string text;
  char chunk[16384];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failErrno("standard input");
    if (n == 0) return text;
    text.append(chunk, static_cast<std::size_t>(n));
    if (text.size() > bytes_max)
      return fail(Errc::kLimit,
                  "standard input: longer than " + std::to_string(bytes_max) + " bytes");
  }
}

}  // namespace kante::cli
