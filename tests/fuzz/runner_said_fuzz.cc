// What a hostile runner says of itself, and the reports and ends that come with it: what the host
// makes of it are names that are names and texts that can be shown.
//
// First byte: which of them.  The rest are its bytes, zeroes where there are not enough.
//
// fuzz-links: kante_sandbox
//
// fuzz-replay: 500
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "host/base/encoding.h"
#include "host/runtime/loaded_module.h"
#include "host/sandbox/exit_reason.h"
#include "host/sandbox/facts.h"
#include "host/sandbox/said.h"

namespace {

using namespace kante;

void check(bool condition) {
  if (!condition) std::abort();
}

void checkText(const std::string& text) {
  check(isUtf8(text));
  for (const char c : text) check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

class Input {
 public:
  Input(const std::uint8_t* bytes, std::size_t size) : at_(bytes), left_(size) {}
  template <typename T>
  void fill(T& out) {
    const std::size_t bytes = std::min(left_, sizeof(T));
    if (bytes > 0) std::memcpy(static_cast<void*>(&out), at_, bytes);
    at_ += bytes;
    left_ -= bytes;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

void loaded(Input input) {
  const auto said = std::make_unique<Loaded>();
  input.fill(*said);
  const auto names = namesIn(*said);
  if (!names) return checkText(names.error().text);
  checkText(names->version);
  check(names->inputs.size() == said->inputs && names->outputs.size() == said->outputs);
  for (const auto* list : {&names->inputs, &names->outputs}) {
    check(list->size() <= kWireOutputsMax);
    for (const std::string& each : *list) check(isName(each));
  }
}

void refused(Input input) {
  Refused said;
  input.fill(said);
  checkText(saidText(said.text, sizeof said.text));
}

// A promise is kept only when every layer of its tier is there, whoever says what.
void facts(Input input) {
  Facts said;
  SeenRunner seen;
  std::uint8_t tier = 0;
  input.fill(tier);
  input.fill(seen.no_new_privs);
  input.fill(seen.seccomp_mode);
  input.fill(seen.capabilities);
  input.fill(seen.namespaces);
  input.fill(said);
  const Namespaces own = {1, 2, 3, 4, 5, 6};
  const std::uint32_t wanted = tier % 3 + 1;
  const Status held = checkFacts(wanted, said, seen, own);
  if (!held) return checkText(held.error().text);
  check(seen.no_new_privs == 1 && seen.seccomp_mode == 2 && seen.capabilities == 0);
  check(said.dumpable == 0 && said.tried != 0 && said.tried == said.refused);
  check(!hasLandlock(wanted) || said.landlock_abi != 0);
  for (std::size_t n = 0; hasNamespaces(wanted) && n < own.size(); ++n)
    check(seen.namespaces[n] != 0 && seen.namespaces[n] != own[n]);
}

void ended(Input input) {
  const auto page = std::make_unique<RunnerPage>();
  Exited exited;
  std::uint8_t was_killed = 0;
  input.fill(was_killed);
  input.fill(exited);
  std::uint64_t words[5] = {};
  std::uint32_t halves[5] = {};
  input.fill(words);
  input.fill(halves);
  page->sequence = words[0];
  page->address = words[1];
  page->fault_address = words[2];
  page->event = halves[0];
  page->violations = halves[1];
  page->syscall = halves[2];
  page->architecture = halves[3];
  page->signal = halves[4];
  const RunnerReport report = reportOf(*page);
  checkText(violationText(report));
  const LifeEnd end = endOf(exited, report, 32, was_killed % 2 == 1 ? "was killed" : "");
  check(!end.reason.empty());
  checkText(end.reason);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const Input input(bytes + 1, size - 1);
  switch (bytes[0] % 4) {
    case 0: loaded(input); break;
    case 1: refused(input); break;
    case 2: facts(input); break;
    default: ended(input);
  }
  return 0;
}
