#include "host/cli/fleet_put.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdio>
#include <memory>

#include "host/base/fd.h"
#include "host/bundle/delta_make.h"
#include "host/bundle/tree.h"
#include "host/cli/bundle_delta.h"
#include "host/cli/command.h"
#include "host/cli/host_command.h"
#include "host/cli/in_file.h"
#include "host/cli/output.h"
#include "host/uplink/bundle_chunks.h"

namespace kante::cli {
namespace {

struct PutOptions {
  BrokerOptions broker;
  std::string file;
  std::string delta_from;  // A bundle: the delta from there is made and put.
  bool removes = false;
  bool as_json = false;
};

Result<std::string> pieceOf(int fd, std::uint32_t n) {
  std::string piece(BundleChunks::kBytes, '\0');
  std::size_t have = 0;
  while (have < piece.size()) {
    const auto at = static_cast<off_t>(std::uint64_t{n} * BundleChunks::kBytes + have);
    const ssize_t got = ::pread(fd, piece.data() + have, piece.size() - have, at);
    if (got < 0) return failErrno("read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  piece.resize(have);
  return piece;
}

// What is put: a bundle, or a delta that makes one.
struct Parcel {
  FileDescriptor file;
  std::string digest;  // Of the bundle.
  std::string base;    // Empty: it is whole.
  std::uint32_t pieces = 0;
};

void tell(const PutOptions& options, const Parcel& parcel) {
  if (options.as_json) {
    boost::json::object out{
        {"bundle", parcel.digest}, {"pieces", parcel.pieces}, {"removed", options.removes}};
    if (!parcel.base.empty()) out["base"] = parcel.base;
    return printJson(boost::json::serialize(out));
  }
  const std::string what =
      parcel.digest + (parcel.base.empty() ? "" : " as a delta from " + parcel.base);
  if (options.removes) {
    std::printf("%s is at the broker no more\n", what.c_str());
    return;
  }
  const std::string source = parcel.base.empty()
                                 ? "\"uplink:\""
                                 : R"({"delta": "uplink:", "base": ")" + parcel.base + "\"}";
  std::printf("%s is at the broker, in %u piece%s; a deployment says \"from\": [%s]\n",
              what.c_str(), parcel.pieces, parcel.pieces == 1 ? "" : "s", source.c_str());
}

Result<Parcel> parcelOf(const PutOptions& options) {
  Parcel parcel;
  KANTE_TRY(file, openInFile(options.file));
  parcel.file = std::move(file);
  if (!options.delta_from.empty()) {
    KANTE_TRY(made, unnamedFile(AT_FDCWD, scratchFolder()));
    KANTE_CHECK(
        makeDelta({options.delta_from, options.file, scratchFolder(), std::nullopt}, made.get()));
    parcel.file = std::move(made);
  }
  if (isDelta(parcel.file.get())) {
    const auto head = readDelta(parcel.file.get());
    if (!head) return within(options.file, head.error());
    parcel.digest = head->digest;
    parcel.base = head->base;
  } else {
    auto digest = payloadDigest(parcel.file.get());
    if (!digest) return within(options.file, digest.error());
    parcel.digest = std::move(*digest);
  }
  struct stat status {};
  if (::fstat(parcel.file.get(), &status) != 0) return failErrno(options.file);
  parcel.pieces = static_cast<std::uint32_t>(
      (static_cast<std::uint64_t>(status.st_size) + BundleChunks::kBytes - 1) /
      BundleChunks::kBytes);
  return parcel;
}

Result<int> put(const PutOptions& options) {
  KANTE_TRY(parcel, parcelOf(options));
  KANTE_TRY(link, FleetLink::connect(options.broker, {}));
  const bool shows = ::isatty(STDERR_FILENO) != 0 && !options.as_json;
  for (std::uint32_t n = 0; n < parcel.pieces; ++n) {
    std::string piece;
    if (!options.removes) {
      KANTE_TRY(read, pieceOf(parcel.file.get(), n));
      piece = std::move(read);
    }
    KANTE_CHECK(link->publish(BundleChunks::topic(parcel.digest, parcel.base, n), piece,
                              "application/octet-stream"));
    if (shows) std::fprintf(stderr, "\r%3u %%", (n + 1) * 100 / parcel.pieces);
  }
  if (shows) std::fprintf(stderr, "\r     \r");
  tell(options, parcel);
  return 0;
}

}  // namespace

void addBrokerOptions(CLI::App& command, BrokerOptions& broker) {
  command.add_option("--broker", broker.url, "mqtts://HOST[:PORT], or mqtt:// on this machine")
      ->required()
      ->type_name("URL");
  command.add_option("--ca", broker.ca, "PEM file with what signed the broker's certificate");
  command.add_option("--client-cert", broker.cert, "PEM file: who this is to the broker");
  command.add_option("--client-key", broker.key, "Its key");
  command.add_option("--username", broker.username, "Who this is to the broker");
  command.add_option("--password-file", broker.password_file, "Its first line is the password");
}

void addFleetPut(CLI::App& fleet, Context& context) {
  const auto options = std::make_shared<PutOptions>();
  CLI::App* command = fleet.add_subcommand(
      "put", "Put a bundle at the broker, for deployments that say \"from\": [\"uplink:\"]");
  command->add_option("FILE", options->file, "A bundle (*.kmod), or a delta (*.kdelta)")
      ->required();
  command
      ->add_option("--delta-from", options->delta_from,
                   "A bundle that gateways have: puts what makes FILE of it, instead of FILE")
      ->type_name("OLD.kmod");
  addBrokerOptions(*command, options->broker);
  command->add_flag("--remove", options->removes, "Take its pieces away again");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, &context] {
    const auto done = put(*options);
    context.exit_code = done ? *done : reportFailure("fleet put", done.error());
  });
}

}  // namespace kante::cli
