#include "host/cli/bundle_delta.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <memory>

#include "host/base/fd.h"
#include "host/bundle/delta_make.h"
#include "host/cli/command.h"
#include "host/cli/host_command.h"
#include "host/cli/in_file.h"
#include "host/cli/out_file.h"
#include "host/cli/output.h"

namespace kante::cli {
namespace {

namespace json = boost::json;

struct DeltaOptions {
  DeltaFiles files;
  std::string out, machine;
  bool as_json = false;
};

double percentOf(const DeltaHead& head) {
  return 100.0 * static_cast<double>(head.delta_bytes) / static_cast<double>(head.bundle_bytes);
}

std::string sizesOf(const DeltaHead& head) {
  return fmt::format("{} instead of {}, {:.1f} %",
                     formatBytes(static_cast<double>(head.delta_bytes)),
                     formatBytes(static_cast<double>(head.bundle_bytes)), percentOf(head));
}

json::object headJson(const DeltaHead& head) {
  return {{"base", head.base},
          {"digest", head.digest},
          {"machine", name(head.machine)},
          {"coding", head.coding == PayloadCoding::kStored ? "stored" : "zstd"},
          {"zstd_version", head.zstd_version},
          {"bytes", head.delta_bytes},
          {"bundle_bytes", head.bundle_bytes},
          {"percent", percentOf(head)}};
}

// Appears as a whole, or not at all.
Result<MadeDelta> write(const DeltaOptions& options) {
  const std::string temporary = options.out + ".new-" + std::to_string(::getpid());
  auto made = [&]() -> Result<MadeDelta> {
    KANTE_TRY(file, openAt(AT_FDCWD, temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
    KANTE_TRY(delta, makeDelta(options.files, file.get()));
    if (::fsync(file.get()) != 0) return failErrno(options.out);
    if (::rename(temporary.c_str(), options.out.c_str()) != 0) return failErrno(options.out);
    return delta;
  }();
  if (!made) ::unlink(temporary.c_str());
  return made;
}

int make(DeltaOptions options) {
  if (!options.machine.empty()) options.files.machine = machineNamed(options.machine);
  options.files.scratch = scratchFolder();
  const auto made = write(options);
  if (!made) return reportFailure("bundle delta", made.error());
  const DeltaHead& head = made->head;
  if (options.as_json) {
    json::object out = headJson(head);
    out["file"] = options.out;
    out["id"] = made->id;
    out["from_version"] = made->from_version;
    out["to_version"] = made->to_version;
    out["without_base_bytes"] = made->without_base_bytes;
    printJson(json::serialize(out));
    return 0;
  }
  fmt::print("{}: {} {} to {} for {}, {}\nfrom {}\nto   {}\n", options.out, made->id,
             made->from_version, made->to_version, name(head.machine), sizesOf(head), head.base,
             head.digest);
  if (made->without_base_bytes > 0)
    fmt::print(stderr,
               "note: {} of it are for other machines, of which gateways keep nothing, and travel "
               "whole; with a bundle for each machine deltas are smaller\n",
               formatBytes(static_cast<double>(made->without_base_bytes)));
  if (head.delta_bytes >= head.bundle_bytes)
    fmt::print(stderr, "note: it is no smaller than the bundle itself\n");
  return 0;
}

}  // namespace

std::string scratchFolder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder == '/' ? folder : "/tmp";
}

int inspectDelta(const std::string& file, bool as_json) {
  const auto opened = openInFile(file);
  const auto head = opened ? readDelta(opened->get()) : Result<DeltaHead>(opened.error());
  if (!head) return reportFailure("bundle inspect", within(file, head.error()));
  if (as_json) {
    printJson(json::serialize(headJson(*head)));
    return 0;
  }
  fmt::print("{:<12} {}\n{:<12} {}\n{:<12} {}\n{:<12} {}\n", "delta from", head->base, "to",
             head->digest, "machine", name(head->machine), "size", sizesOf(*head));
  if (head->coding == PayloadCoding::kZstd)
    fmt::print("{:<12} {}\n", "libzstd", head->zstd_version);
  fmt::print("{:<12} nothing of a delta is signed; what it makes is\n", "verified");
  return 0;
}

void addBundleDelta(CLI::App& bundle, Context& context) {
  const auto options = std::make_shared<DeltaOptions>();
  CLI::App* command = bundle.add_subcommand(
      "delta",
      "Make a delta, which makes the second bundle of the first, for gateways that have it");
  command->add_option("OLD", options->files.from, "The bundle that gateways have")
      ->required()
      ->type_name("OLD.kmod");
  command->add_option("NEW", options->files.to, "The bundle that they shall get")
      ->required()
      ->type_name("NEW.kmod");
  command->add_option("-o,--output", options->out, "The delta to write")
      ->required()
      ->check(notAnOutputFile)
      ->type_name("F.kdelta");
  command
      ->add_option("--machine", options->machine, "Of the gateways (default: that of OLD or here)")
      ->check(CLI::IsMember({"amd64", "arm64", "armhf", "riscv64"}));
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, &context] { context.exit_code = make(*options); });
}

}  // namespace kante::cli
