#include <CLI/CLI.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/bundle/signing_key.h"
#include "host/cli/command.h"

namespace kante::cli {

namespace {

struct InitOptions {
  std::string use = "bundles";
  std::string dir;
  std::string name;
};

std::string defaultDirectory() {
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && *config == '/') {
    return std::string(config) + "/kante/keys";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.config/kante/keys";
}

std::string defaultName(const std::string& use) {
  char host[65] = {};
  (void)::gethostname(host, sizeof host - 1);
  const char* user = std::getenv("USER");
  return std::string(user != nullptr && *user != '\0' ? user : "root") + "@" + host + " (" + use +
         ")";
}

Status writeNew(int dir_fd, const std::string& name, const std::string& text, mode_t mode) {
  auto file = openAt(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (file.has_error()) return file.error();
  KANTE_CHECK(writeAll(file->get(), text));
  if (::fsync(file->get()) != 0) return failErrno(name);
  return {};
}

Status initKey(const InitOptions& options) {
  const SignerUse use = options.use == "bundles" ? SignerUse::kBundles : SignerUse::kDocuments;
  const std::string stem = options.use == "bundles"     ? "signer"
                           : options.use == "documents" ? "deployer"
                                                        : "root";
  const std::string dir = options.dir.empty() ? defaultDirectory() : options.dir;
  KANTE_TRY(folder, makeDirectory(dir));
  for (const char* ending : {".key", ".pem"}) {
    struct stat status {};
    if (::fstatat(folder.get(), (stem + ending).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      return fail(Errc::kConflict,
                  dir + "/" + stem + ending +
                      " exists and is not overwritten; choose another --dir or move it away");
    }
  }
  const SystemClock clock;
  const std::string name = options.name.empty() ? defaultName(options.use) : options.name;
  KANTE_TRY(made, makeSigningKey(use, name, clock.wallNs() / 1'000'000'000));
  KANTE_CHECK(writeNew(folder.get(), stem + ".key", made.key_pem, 0600));
  KANTE_CHECK(writeNew(folder.get(), stem + ".pem", made.certificate_pem, 0644));
  std::printf("%s/%s.key\n%s/%s.pem\n", dir.c_str(), stem.c_str(), dir.c_str(), stem.c_str());
  std::fprintf(stderr,
               "A key for signing %s and its certificate. Keep the .key secret; gateways trust "
               "what it signs\n"
               "once the .pem is named in [trust] %ss.\n",
               options.use == "trust" ? "documents of kind trust" : options.use.c_str(),
               stem.c_str());
  return {};
}

}  // namespace

void addKeyCommands(CLI::App& app, Context& context) {
  CLI::App* key = app.add_subcommand("key", "Keys that sign bundles and documents");
  key->require_subcommand(1);
  CLI::App* init = key->add_subcommand("init", "Make a key and its certificate");
  const auto options = std::make_shared<InitOptions>();
  init->add_option("--for", options->use, "What the key will sign")
      ->check(CLI::IsMember({"bundles", "documents", "trust"}))
      ->capture_default_str();
  init->add_option("--dir", options->dir,
                   "Folder to put both files into (default: ~/.config/kante/keys)");
  init->add_option("--name", options->name, "Common name in the certificate (default: USER@HOST)");
  init->callback([options, &context] {
    const Status done = initKey(*options);
    if (done.has_error()) context.exit_code = reportFailure("key init", done.error());
  });
}

}  // namespace kante::cli
