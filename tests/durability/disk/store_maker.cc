// store_maker FOLDER, for store_making_test.cc: opens the store FOLDER/store, closes it, and exits
// 3 when a broken one had to be set aside first.
#include <cstdio>
#include <string>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/store/store.h"

int main(int count, char** words) {
  if (count != 2) return 2;
  kante::SystemClock clock;
  kante::Log log(kante::Log::Format::kSilent);
  kante::StoreOptions options;
  options.directory = std::string(words[1]) + "/store";
  options.max_bytes = 1u << 20;
  const auto store = kante::Store::open(options, clock, log);
  if (store.has_error()) {
    std::fprintf(stderr, "%s\n", store.error().text.c_str());
    return 1;
  }
  return (*store)->status().set_aside.empty() ? 0 : 3;
}
