#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/bundle/admission.h"
#include "host/bundle/delta_make.h"
#include "host/bundle/pack.h"
#include "host/bundle/staging.h"
#include "host/cli/bundle_delta.h"
#include "host/cli/command.h"
#include "host/cli/in_file.h"
#include "host/cli/out_file.h"

namespace kante::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t kPemBytesMax = 1 << 20;

struct PackOptions {
  std::string dir, out, key, certificate;
  bool stored = false;
  bool as_json = false;
};

struct LookOptions {
  std::string file, base;
  std::vector<std::string> trust, revoked;
  bool as_json = false;
};

// What is known of a bundle, whether or not it is good.
struct Look {
  AdmittedBundle bundle;
  std::string manifest_text;
};

// Of a delta: what it makes.
Result<FileDescriptor> openBundle(const LookOptions& options) {
  KANTE_TRY(file, openInFile(options.file));
  if (!isDelta(file.get())) return file;
  if (options.base.empty())
    return fail(Errc::kInvalid,
                "a delta is judged by what it makes; say --base and the bundle it is made against");
  return bundleOf(file.get(), options.base, scratchFolder());
}

Result<Look> verified(const LookOptions& options) {
  KANTE_TRY(trust, TrustStore::load(options.trust, options.revoked));
  KANTE_TRY(file, openBundle(options));
  KANTE_TRY(scratch, ScratchSink::open(scratchFolder()));
  AdmissionPolicy policy;
  policy.trust = &trust;
  policy.time = judgementTime(SystemClock(), buildTimeS());
  KANTE_TRY(bundle, verifyBundle(file.get(), policy, scratch));
  return Look{std::move(bundle), scratch.manifestText()};
}

// Everything but trust: the parts fit each other, and the claimed certificate made the signature.
Result<Look> unverified(const LookOptions& options) {
  KANTE_TRY(file, openInFile(options.file));
  KANTE_TRY(scratch, ScratchSink::open(scratchFolder()));
  KANTE_TRY(frame, readFrame(FrameKind::kBundle, file.get()));
  KANTE_TRY(signature, Signature::parse(frame.signature));
  const FileRange payload{file.get(), frame.payload_offset, frame.payload_bytes};
  KANTE_TRY(digest, signature.verify(payload));
  KANTE_TRY(manifest, unpackPayload(payload, digest, scratch));
  Look look;
  look.bundle.digest = "sha256:" + toHex(digest);
  look.bundle.manifest = std::move(manifest);
  look.bundle.signer = signature.claimed();
  look.bundle.payload_bytes = frame.payload_bytes;
  look.manifest_text = scratch.manifestText();
  return look;
}

json::object signerJson(const Signer& signer) {
  json::object out{{"subject", signer.subject},
                   {"fingerprint", signer.fingerprint},
                   {"not_before", formatUtc(signer.not_before_s * 1'000'000'000)},
                   {"not_after", formatUtc(signer.not_after_s * 1'000'000'000)}};
  if (!signer.ca_fingerprint.empty()) {
    out["ca_subject"] = signer.ca_subject;
    out["ca_fingerprint"] = signer.ca_fingerprint;
  }
  return out;
}

json::object lookJson(const Look& look) {
  return {{"digest", look.bundle.digest},
          {"id", look.bundle.manifest.id},
          {"version", look.bundle.manifest.version},
          {"counter", look.bundle.manifest.counter},
          {"payload_bytes", look.bundle.payload_bytes},
          {"signer", signerJson(look.bundle.signer)},
          {"manifest", json::parse(look.manifest_text)}};
}

void printJson(const json::object& object) { std::printf("%s\n", json::serialize(object).c_str()); }

void row(const char* label, const std::string& value) {
  if (!value.empty()) fmt::print("{:<12} {}\n", label, value);
}

std::string listed(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string size(std::uint64_t bytes) {
  if (bytes < 10'240) return fmt::format("{} B", bytes);
  if (bytes < (10u << 20)) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

void printLook(const Look& look) {
  const Manifest& manifest = look.bundle.manifest;
  row("module", manifest.id + " " + manifest.version);
  row("counter",
      std::to_string(manifest.counter) +
          (manifest.revokes > 0 ? fmt::format(" (revokes those below {})", manifest.revokes) : ""));
  row("kind", manifest.kind == Manifest::Kind::kHost ? "host" : "module");
  row("abi", fmt::format("{}.{}", manifest.abi_major, manifest.abi_minor));
  row("inputs", listed(manifest.inputs));
  row("outputs", listed(manifest.outputs));
  row("methods", listed(manifest.methods));
  row("libraries", listed(manifest.libraries));
  if (manifest.permissions_json != "{}") row("permissions", manifest.permissions_json);
  row("digest", look.bundle.digest);
  row("payload", size(look.bundle.payload_bytes));
  row("signed by", look.bundle.signer.subject);
  row("", "certificate " + look.bundle.signer.fingerprint);
  row("", "valid until " + formatUtc(look.bundle.signer.not_after_s * 1'000'000'000));
  row("trusted by", look.bundle.signer.ca_subject);
  const char* label = "files";
  for (const auto& [name, file] : manifest.files) {
    row(label, fmt::format("{:>10}  {}", size(file.bytes), name));
    label = "";
  }
}

int pack(const PackOptions& options) {
  const auto packed = [&]() -> Result<PackedBundle> {
    KANTE_TRY(key, readFile(options.key, kPemBytesMax));
    KANTE_TRY(certificate, readFile(options.certificate, kPemBytesMax));
    return packBundle(options.dir, options.out, key, certificate,
                      options.stored ? PayloadCoding::kStored : PayloadCoding::kZstd);
  }();
  if (packed.has_error()) return reportFailure("bundle pack", packed.error());
  const Manifest& manifest = packed->manifest;
  for (const std::string& pointer : manifest.unknown_permissions)
    fmt::print(stderr, "note: {} is no permission that this version knows\n", pointer);
  if (options.as_json) {
    printJson({{"file", options.out},
               {"digest", packed->digest},
               {"id", manifest.id},
               {"version", manifest.version},
               {"counter", manifest.counter},
               {"bytes", packed->bytes}});
  } else {
    fmt::print("{}: {} {}, counter {}, {}\n{}\n", options.out, manifest.id, manifest.version,
               manifest.counter, size(packed->bytes), packed->digest);
  }
  return 0;
}

// What opens files names them; what judges the bundle does not.
Error withFile(const LookOptions& options, const Error& error) {
  const auto isNamed = [&error](const std::string& path) {
    return !path.empty() && error.text.starts_with(path + ": ");
  };
  const bool is_named = isNamed(options.file) || isNamed(options.base) ||
                        std::any_of(options.trust.begin(), options.trust.end(), isNamed) ||
                        std::any_of(options.revoked.begin(), options.revoked.end(), isNamed);
  return is_named ? error : within(options.file, error);
}

int verify(const LookOptions& options) {
  const auto look = verified(options);
  if (look.has_error()) {
    if (options.as_json) {
      printJson(
          {{"valid", false}, {"code", name(look.error().code)}, {"error", look.error().text}});
    }
    return reportFailure("bundle verify", withFile(options, look.error()));
  }
  if (options.as_json) {
    json::object out = lookJson(*look);
    out["valid"] = true;
    printJson(out);
  } else {
    const Manifest& manifest = look->bundle.manifest;
    fmt::print("{}: good\n{} {}, counter {}\n{}\nsigned by {}\n", options.file, manifest.id,
               manifest.version, manifest.counter, look->bundle.digest,
               look->bundle.signer.subject);
  }
  const Manifest& manifest = look->bundle.manifest;
  if (manifest.kind == Manifest::Kind::kModule && manifest.libFor(hostMachine()) == nullptr) {
    fmt::print(stderr, "note: it has no library for this machine ({})\n", name(hostMachine()));
  }
  return 0;
}

int inspect(const LookOptions& options) {
  const auto file = openInFile(options.file);
  if (file && isDelta(file->get())) return inspectDelta(options.file, options.as_json);
  const auto look = unverified(options);
  if (look.has_error()) {
    if (options.as_json) {
      printJson(
          {{"verified", false}, {"code", name(look.error().code)}, {"error", look.error().text}});
    }
    return reportFailure("bundle inspect", withFile(options, look.error()));
  }
  std::string reason = "no --trust was given, so anyone may have signed it";
  auto judged =
      options.trust.empty() ? Result<Look>(fail(Errc::kUntrusted, reason)) : verified(options);
  const bool good = judged.has_value();
  if (!good) reason = judged.error().text;
  const Look& best = good ? *judged : *look;
  if (options.as_json) {
    json::object out = lookJson(best);
    out["verified"] = good;
    if (!good) out["reason"] = reason;
    printJson(out);
  } else {
    row("verified", good ? "yes" : "NO: " + reason);
    printLook(best);
  }
  return good || options.trust.empty() ? 0 : 1;
}

void addLookOptions(CLI::App& command, LookOptions& options) {
  command.add_option("file", options.file, "The bundle, or a delta")
      ->required()
      ->type_name("F.kmod");
  command.add_option("--revoked", options.revoked, "PEM file of revocation lists")
      ->type_name("CRL");
  command.add_flag("--json", options.as_json, "Print one JSON object");
}

}  // namespace

void addBundleCommands(CLI::App& app, Context& context) {
  CLI::App* family = app.add_subcommand(
      "bundle", "Pack, verify and inspect bundles (*.kmod), make deltas (*.kdelta)");
  family->require_subcommand(1);

  const auto packing = std::make_shared<PackOptions>();
  CLI::App* command = family->add_subcommand("pack", "Make a signed bundle of a folder");
  command->add_option("dir", packing->dir, "manifest.json, lib/ARCH/module.so, data/")
      ->required()
      ->type_name("DIR");
  command->add_option("-o,--output", packing->out, "The bundle to write")
      ->required()
      ->check(notAnOutputFile)
      ->type_name("F.kmod");
  command->add_option("--key", packing->key, "The signing key, PEM")->required()->type_name("K");
  command->add_option("--cert", packing->certificate, "Its certificate, PEM; issuers may follow")
      ->required()
      ->type_name("C");
  command->add_flag("--stored", packing->stored,
                    "Do not compress it, so that every version of libzstd can apply deltas to it");
  command->add_flag("--json", packing->as_json, "Print one JSON object");
  command->callback([packing, &context] { context.exit_code = pack(*packing); });

  const auto verifying = std::make_shared<LookOptions>();
  command = family->add_subcommand("verify", "Judge a bundle as a gateway would that trusts CA");
  addLookOptions(*command, *verifying);
  command->add_option("--trust", verifying->trust, "PEM file of trusted certificates")
      ->required()
      ->type_name("CA");
  command->add_option("--base", verifying->base, "Of a delta: the bundle that it is made against")
      ->type_name("OLD.kmod");
  command->callback([verifying, &context] { context.exit_code = verify(*verifying); });

  addBundleDelta(*family, context);

  const auto inspecting = std::make_shared<LookOptions>();
  command = family->add_subcommand("inspect", "Show what a bundle says about itself");
  addLookOptions(*command, *inspecting);
  command->add_option("--trust", inspecting->trust, "PEM file of trusted certificates")
      ->type_name("CA");
  command->callback([inspecting, &context] { context.exit_code = inspect(*inspecting); });
}

}  // namespace kante::cli
