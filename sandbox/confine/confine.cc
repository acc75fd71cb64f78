#include "sandbox/confine/confine.h"

namespace kante {

void installReports(RunnerPage&) {}

std::string confine(const Start&, Facts& facts) {
  facts = Facts{};
  return {};
}

std::string afterLoad(const Start&) { return {}; }

int probeLandlock() { return 0; }

const char* systemCallName(unsigned, unsigned) { return nullptr; }

std::string printFilters() { return {}; }

}  // namespace kante
