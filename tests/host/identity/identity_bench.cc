// What identities cost: a check of a grant, a CONNECT, and memory each.  A tool for people who
// change host/identity: build/release/bin/identity_bench [IDENTITIES]
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "host/base/clock.h"
#include "host/base/trusted_clock.h"
#include "host/identity/registered_access.h"
#include "host/identity/sas_token.h"

namespace {

using namespace kante;

// Of this thread, so that a busy machine does not count.
double cpuNs() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// The best of a few rounds, in ns a call.
template <typename Call>
void measure(const char* name, int calls, Call call) {
  double best = 1e18;
  for (int round = 0; round < 21; ++round) {
    const double start = cpuNs();
    for (int i = 0; i < calls; ++i) call();
    best = std::min(best, (cpuNs() - start) / calls);
  }
  std::printf("%-52s %10.1f ns\n", name, best);
}

volatile bool sink = false;

void grants() {
  const Caller car{"car-0042"};
  const std::string own = "devices/car-0042/messages/events/%24.ct=application%2Fjson&site=muc";
  const auto device = *Grants::compile(PrincipalName::Kind::kDevice, {"default"});
  measure("publish, own topic, default grants", 1'000'000,
          [&] { sink = device->mayPublish(own, car); });
  std::vector<std::string> many;
  for (int i = 0; i < 63; ++i)
    many.push_back("publish:factory/hall-" + std::to_string(i) + "/+/temp");
  many.push_back("publish:devices/{id}/#");
  const auto last = *Grants::compile(PrincipalName::Kind::kDevice, many);
  measure("publish, the last of 64 grants decides", 200'000,
          [&] { sink = last->mayPublish(own, car); });
  measure("publish, none of 64 grants allows it", 200'000,
          [&] { sink = last->mayPublish("factory/hall-x/machine/temp", car); });
}

void connects(std::size_t identities) {
  MemoryMap map;
  SystemClock clock;
  const TrustedClock trusted(clock, 0, [] { return true; });
  const auto registry = std::move(*Registry::open(map, Seal::random(), clock));
  const std::size_t before = ::mallinfo2().uordblks;
  const double start = cpuNs();
  for (std::size_t i = 0; i < identities; ++i)
    if (!registry->add(*PrincipalName::device("car-" + std::to_string(i)),
                       {Verifier::randomKeys()}))
      std::abort();
  const double add_ns = (cpuNs() - start) / static_cast<double>(identities);
  std::size_t kept = 0;  // By the map that stands for the store.
  const auto records = *map.readAll();
  for (const auto& [name, record] : records)
    kept += ::malloc_usable_size(const_cast<char*>(record.data())) + 8 + 112 +
            (name.size() > 15 ? name.size() + 9 : 0);
  const std::size_t after = ::mallinfo2().uordblks;
  const double in_map = static_cast<double>(kept);
  const double both = static_cast<double>(after - before) - in_map;  // `records` is a second copy.
  std::printf("%zu identities: %.0f bytes each in memory, %.1f us to add one\n", identities,
              (both - in_map) / static_cast<double>(identities), add_ns / 1000);
  const RegisteredAccess access(*registry, trusted, {"edge-1.local"});
  const auto name = *PrincipalName::device("car-42");
  const std::string token =
      makeSasToken("edge-1.local/devices/car-42", registry->find(name)->verifier.primary.view(),
                   clock.wallNs() / 1'000'000'000 + 3600);
  const hub::Peer peer;
  const hub::Credentials credentials{peer, "car-42", "edge-1.local/car-42/?api-version=2021-04-12",
                                     token};
  measure("CONNECT by token", 20'000,
          [&] { sink = access.authenticate(credentials).principal != nullptr; });
  const auto admitted = access.authenticate(credentials).principal;
  measure("publish through a session's principal", 1'000'000,
          [&] { sink = admitted->mayPublish("devices/car-42/messages/events/"); });
}

}  // namespace

int main(int argc, char** argv) {
  grants();
  connects(argc > 1 ? static_cast<std::size_t>(std::atol(argv[1])) : 100'000);
  return 0;
}
