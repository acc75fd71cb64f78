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
#include "host/cli/command.h"
#include "host/cli/host_command.h"
#include "host/cli/output.h"
#include "host/fetch/part_file.h"
#include "host/uplink/bundle_chunks.h"

namespace kante::cli {
namespace {

struct PutOptions {
  BrokerOptions broker;
  std::string file;
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

void tell(const PutOptions& options, const std::string& digest, std::uint32_t pieces) {
  if (options.as_json)
    return printJson(boost::json::serialize(
        boost::json::object{{"bundle", digest}, {"pieces", pieces}, {"removed", options.removes}}));
  if (options.removes) {
    std::printf("%s is at the broker no more\n", digest.c_str());
  } else {
    std::printf("%s is at the broker, in %u pieces; a deployment says \"from\": [\"uplink:\"]\n",
                digest.c_str(), pieces);
  }
}

Result<int> put(const PutOptions& options) {
  auto file = openAt(AT_FDCWD, options.file, O_RDONLY);
  if (!file) return file.error();
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return failErrno(options.file);
  const auto digest = payloadDigest(file->get());
  if (!digest) return within(options.file, digest.error());
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const auto pieces =
      static_cast<std::uint32_t>((bytes + BundleChunks::kBytes - 1) / BundleChunks::kBytes);
  KANTE_TRY(link, FleetLink::connect(options.broker, {}));
  const bool shows = ::isatty(STDERR_FILENO) != 0 && !options.as_json;
  for (std::uint32_t n = 0; n < pieces; ++n) {
    std::string piece;
    if (!options.removes) {
      KANTE_TRY(read, pieceOf(file->get(), n));
      piece = std::move(read);
    }
    KANTE_CHECK(link->publish(BundleChunks::topic(*digest, n), piece, "application/octet-stream"));
    if (shows) std::fprintf(stderr, "\r%3u %%", (n + 1) * 100 / pieces);
  }
  if (shows) std::fprintf(stderr, "\r     \r");
  tell(options, *digest, pieces);
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
  command->add_option("FILE", options->file, "A bundle (*.kmod)")->required();
  addBrokerOptions(*command, options->broker);
  command->add_flag("--remove", options->removes, "Take its pieces away again");
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, &context] {
    const auto done = put(*options);
    context.exit_code = done ? *done : reportFailure("fleet put", done.error());
  });
}

}  // namespace kante::cli
