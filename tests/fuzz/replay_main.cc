// Runs a fuzz target over its seeds as an ordinary test: `replay_NAME FOLDER [MUTATIONS_A_SEED]`.
//
// Each seed is given whole, cut short, and with single bits flipped; always the same inputs in the
// same order, so that what failed once fails again.  The target runs in a child, and the parent
// says which input it was however the child died (a sanitizer, a signal, an assertion).
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" __attribute__((weak)) int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Progress {
  char input[256];  // What the target was given last.
  std::size_t runs;
};

Bytes readFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void run(Progress& progress, const std::string& input, const std::uint8_t* bytes,
         std::size_t size) {
  const std::size_t kept = std::min(input.size(), sizeof progress.input - 1);
  std::memcpy(progress.input, input.data(), kept);
  progress.input[kept] = '\0';
  ++progress.runs;
  // A block of exactly this size, so that AddressSanitizer sees a read past its end.
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[size]);
  if (size != 0) std::memcpy(copy.get(), bytes, size);
  LLVMFuzzerTestOneInput(copy.get(), size);
}

// Up to count numbers below limit, evenly spread, the first and the last among them.
std::vector<std::size_t> spread(std::size_t limit, std::size_t count) {
  std::vector<std::size_t> numbers;
  if (limit <= count) {
    for (std::size_t i = 0; i < limit; ++i) numbers.push_back(i);
    return numbers;
  }
  for (std::size_t i = 0; i < count; ++i) {
    numbers.push_back(i * (limit - 1) / std::max<std::size_t>(count - 1, 1));
  }
  return numbers;
}

void replaySeed(Progress& progress, const std::filesystem::path& path, std::size_t mutations) {
  Bytes bytes = readFile(path);
  const std::string name = path.filename().string();
  run(progress, name, bytes.data(), bytes.size());
  for (const std::size_t size : spread(bytes.size(), mutations / 4)) {
    run(progress, name + " cut to " + std::to_string(size) + " bytes", bytes.data(), size);
  }
  for (const std::size_t bit : spread(bytes.size() * 8, mutations - mutations / 4)) {
    const auto mask = static_cast<std::uint8_t>(1u << bit % 8);
    bytes[bit / 8] ^= mask;
    run(progress, name + " with bit " + std::to_string(bit) + " flipped", bytes.data(),
        bytes.size());
    bytes[bit / 8] ^= mask;
  }
}

std::vector<std::filesystem::path> seedsIn(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> seeds;
  std::error_code ignored;  // A folder that is not there has no seeds, which main reports.
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.is_regular_file()) seeds.push_back(entry.path());
  }
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [MUTATIONS_A_SEED]\n", argv[0]);
    return 2;
  }
  const auto seeds = seedsIn(argv[1]);
  const std::size_t mutations = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 2000;
  if (seeds.empty()) {
    std::fprintf(stderr, "%s: no seeds\n", argv[1]);
    return 1;
  }
  void* shared =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* progress = new (shared) Progress{};

  const pid_t child = ::fork();
  if (child == 0) {
    if (LLVMFuzzerInitialize != nullptr) LLVMFuzzerInitialize(&argc, &argv);
    run(*progress, "no bytes at all", nullptr, 0);
    for (const auto& seed : seeds) replaySeed(*progress, seed, mutations);
    return 0;  // Through exit, so that leaks are looked for.
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return 1;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::fprintf(stderr, "died (wait status 0x%x) after %zu runs; the last input: %s\n",
                 static_cast<unsigned>(status), progress->runs, progress->input);
    return 1;
  }
  std::printf("%zu seeds, %zu runs\n", seeds.size(), progress->runs);
  return 0;
}
