#include <dlfcn.h>
#include <fcntl.h>
#include <kante/module.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "host/base/clock.h"
#include "host/base/fd.h"
#include "host/base/json.h"
#include "host/bundle/bundle_store.h"
#include "host/bundle/elf_lint.h"
#include "host/cli/command.h"
#include "host/cli/in_file.h"
#include "host/cli/module_kit.h"
#include "host/cli/module_sandbox_kit.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

constexpr int kTimeoutMs = 60'000;  // Of all checks together.
constexpr std::size_t kReportBytesMax = 1 << 20;

struct CheckOptions {
  std::string file;
  std::string trust;
  std::string config;
  bool as_json = false;
};

std::string ownCertificate() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = config != nullptr && *config == '/'
                               ? std::string(config)
                               : std::string(home != nullptr ? home : ".") + "/.config";
  return base + "/kante/keys/signer.pem";
}

// A folder of our own for as long as the bundle is looked at.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "kante-check-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Verified, linted and sealed, as a gateway loads it: there is no way around that here either.
Result<ModuleBytes> admitted(const CheckOptions& options, const ScratchFolder& folder) {
  KANTE_TRY(trust,
            TrustStore::load({options.trust.empty() ? ownCertificate() : options.trust}, {}));
  KANTE_TRY(file, openInFile(options.file));
  KANTE_TRY(directory, openAt(AT_FDCWD, folder.path(), O_RDONLY | O_DIRECTORY));
  KANTE_TRY(store, BundleStore::open(directory.get()));
  AdmissionPolicy policy;
  policy.trust = &trust;
  policy.time = judgementTime(SystemClock(), buildTimeS());
  KANTE_TRY(bundle, store.admit(file.get(), policy));
  return store.load(bundle.digest, LoadFor::kSandbox);
}

void writeLine(int fd, const json::object& line) {
  (void)writeAll(fd, json::serialize(line) + "\n");
}

// The child: foreign code runs from here on.
[[noreturn]] void runChecks(const ModuleBytes& module, const std::string& config, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string path = "/proc/self/fd/" + std::to_string(module.sealed.get());
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const auto* entry = library == nullptr
                          ? nullptr
                          : static_cast<const kante_entry*>(::dlsym(library, kModuleSymbol));
  if (entry == nullptr) {
    const char* why = ::dlerror();
    writeLine(report, {{"check", "loads"}, {"passed", false}, {"text", why != nullptr ? why : ""}});
    ::_exit(0);
  }
  const KitManifest manifest{module.manifest.id, module.manifest.version, module.manifest.inputs,
                             module.manifest.outputs};
  runModuleKit(
      *entry, manifest, config,
      [&](const std::string& check) {
        writeLine(report, {{"begin", check}});
      },
      [&](const KitFinding& finding) {
        writeLine(report,
                  {{"check", finding.check}, {"passed", finding.passed}, {"text", finding.text}});
      });
  ::_exit(0);
}

// Everything that the child said, until it ends or its time does.
Result<std::string> readReport(int fd, pid_t child) {
  std::string report;
  char buffer[4096];
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd waiting{fd, POLLIN, 0};
    const int ready = left.count() <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || report.size() > kReportBytesMax) {
      ::kill(child, SIGKILL);
      return report;
    }
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return report;
    report.append(buffer, static_cast<std::size_t>(n));
  }
}

std::string ending(int status) {
  if (!WIFSIGNALED(status))
    return "it ended the process with exit code " + std::to_string(WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGKILL)
    return "it did not end within " + std::to_string(kTimeoutMs / 1000) + " s";
  return std::string("it was killed by ") + ::strsignal(WTERMSIG(status));
}

// One finding a check; the one during which the child died is its own.
json::array findings(const std::string& report, int status) {
  json::array out;
  std::string open;
  for (std::size_t at = 0, end = 0; (end = report.find('\n', at)) != std::string::npos;
       at = end + 1) {
    boost::system::error_code failed;
    json::value line = json::parse(std::string_view(report).substr(at, end - at), failed);
    if (failed || !line.is_object()) {
      out.push_back({{"check", open}, {"passed", false}, {"text", "it disturbed the report"}});
      continue;
    }
    if (const json::value* begun = line.as_object().if_contains("begin")) {
      open = begun->as_string();
    } else {
      open.clear();
      out.push_back(std::move(line));
    }
  }
  const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!open.empty() || !ended_well) {
    out.push_back(
        {{"check", open.empty() ? "ends" : open}, {"passed", false}, {"text", ending(status)}});
  }
  return out;
}

Result<json::array> check(const CheckOptions& options) {
  std::string config = "{}";
  if (!options.config.empty()) {
    KANTE_TRY(text, readFile(options.config, kReportBytesMax));
    if (const auto given = parseJsonObject(text, {kReportBytesMax}); !given)
      return within("--config " + options.config, given.error());
    config = text;
  }
  const ScratchFolder folder;
  KANTE_TRY(module, admitted(options, folder));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failErrno("pipe");
  FileDescriptor reading(ends[0]);
  FileDescriptor writing(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return failErrno("fork");
  if (child == 0) runChecks(module, config, writing.get());
  writing = FileDescriptor();
  KANTE_TRY(report, readReport(reading.get(), child));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  json::array all = findings(report, status);
  runSandboxKit(module, config, [&](const SandboxFinding& finding) {
    all.push_back({{"check", finding.check}, {"passed", finding.passed}, {"text", finding.text}});
  });
  return all;
}

int show(const CheckOptions& options, const json::array& all) {
  bool good = !all.empty();
  for (const json::value& one : all) {
    const bool passed = one.at("passed").as_bool();
    const std::string text(one.at("text").as_string());
    good = good && passed;
    if (options.as_json) continue;
    std::printf("%s %s%s%s\n", passed ? "ok    " : "FAILED", one.at("check").as_string().c_str(),
                text.empty() ? "" : ": ", text.c_str());
  }
  if (options.as_json) {
    std::printf("%s\n", json::serialize(json::object{{"passed", good}, {"checks", all}}).c_str());
  }
  return good ? 0 : 1;
}

}  // namespace

void addModuleCheckCommand(CLI::App& module, Context& context) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = module.add_subcommand(
      "check", "Run a module through the contract, in a process of its own; it runs as you");
  command->add_option("file", options->file, "The bundle")->required()->type_name("F.kmod");
  command
      ->add_option("--trust", options->trust,
                   "PEM file of trusted certificates (default: your own signer.pem)")
      ->type_name("CA");
  command->add_option("--config", options->config, "JSON file with a configuration that it takes")
      ->type_name("F");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, &context] {
    const auto all = check(*options);
    context.exit_code = all.has_error()
                            ? reportFailure("module check", within(options->file, all.error()))
                            : show(*options, *all);
  });
}

}  // namespace kante::cli
