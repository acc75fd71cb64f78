// Deltas from anywhere ("KANTE…"): the head as it comes, then with what a mutation would break at
// once made right (sum, base, size of the file), so that parts and patches are reached.  Anything
// else is a text of differences, without the zstd frame in which mutations would die.
// fuzz-links: kante_bundle
// fuzz-replay: 300
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "host/base/encoding.h"
#include "host/base/fd.h"
#include "host/bundle/delta.h"
#include "host/bundle/differences.h"
#include "host/bundle/little_endian.h"
#include "host/bundle/tree.h"

namespace {

using namespace kante;

// What the seeds were made against.
constexpr std::string_view kBase =
    "{\"schema\":\"kante.module/1\",\"id\":\"com.example.fuzzed\",\"version\":\"1.0.0\"}\n"
    "the quick brown fox jumps over the lazy dog, and the lazy dog over the quick brown fox\n";
constexpr std::uint32_t kSegmentsMax = 3;  // Each may make 2 MiB of nothing.

class Base {
 public:
  Base() {
    KANTE_ASSERT(::mkdtemp(path_.data()) != nullptr);
    FileDescriptor folder = openDirectory(path_).value();
    KANTE_ASSERT(replaceFile(folder.get(), "manifest.json", kBase).has_value());
    form_ = std::make_unique<BaseForm>(BaseForm::open(std::move(folder),
                                                      "sha256:" + std::string(64, '0'), Manifest(),
                                                      hostMachine())
                                           .value());
  }
  ~Base() { (void)removeTree(AT_FDCWD, path_); }
  const BaseForm& form() const { return *form_; }

 private:
  std::string path_ = "/tmp/kante-fuzz-XXXXXX";
  std::unique_ptr<BaseForm> form_;
};

const BaseForm& base() {
  static const Base made;
  return made.form();
}

void apply(std::string_view bytes) {
  const FileDescriptor delta(::memfd_create("delta", MFD_CLOEXEC));
  const FileDescriptor made(::memfd_create("made", MFD_CLOEXEC));
  KANTE_ASSERT(writeAll(delta.get(), bytes).has_value());
  const Status applied = applyDelta(delta.get(), base(), made.get(), [] { return true; });
  struct stat status {};
  KANTE_ASSERT(::fstat(made.get(), &status) == 0);
  const auto head = readDelta(delta.get());
  KANTE_ASSERT(!head || static_cast<std::uint64_t>(status.st_size) <= head->bundle_bytes);
  KANTE_ASSERT(!applied || payloadDigest(made.get()).value() == head->digest);
}

void differences(std::string_view text) {
  if (text.size() < 4) return;
  const std::uint64_t steps = readLittle(text, 0, 4);
  const std::uint64_t before = 4 + steps * kDifferenceStepBytes;
  std::string made(before < text.size() ? text.size() - static_cast<std::size_t>(before) : 1, '\0');
  (void)applyDifferences(kBase, text, made);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  if (!input.starts_with("KANTE")) {
    differences(input);
    return 0;
  }
  if (size <= kDeltaHeadBytes) {
    (void)parseDeltaHead(input);
    return 0;
  }
  if (const auto head = parseDeltaHead(input); head && head->segments <= kSegmentsMax) apply(input);
  std::string summed(input);
  const Sha256 sum = sha256(input.substr(0, kDeltaHeadBytes - sizeof(Sha256)));
  std::copy(sum.begin(), sum.end(), summed.begin() + kDeltaHeadBytes - sizeof(Sha256));
  auto head = parseDeltaHead(summed);
  if (!head) return 0;
  head->segments = std::min(head->segments, kSegmentsMax);
  head->base = base().digest();
  head->base_bytes = base().bytes();
  head->machine = base().machine();
  head->zstd_version = zstdVersion();
  head->delta_bytes = size;
  apply(makeDeltaHead(*head) + summed.substr(kDeltaHeadBytes));
  return 0;
}
