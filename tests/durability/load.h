// What the load module writes and the rig expects: the ledger's records and the messages' bodies.
// Header only and without a dependency: the module includes it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace kante::durability {

// One acknowledged message.  A run is one life of one instance of the module; its sources (one an
// output) number their messages from 1.
struct LedgerRecord {
  std::uint64_t run = 0;
  std::uint64_t number = 0;
  std::uint32_t source = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(LedgerRecord) == 24);

struct BodyName {
  std::uint64_t run = 0;
  std::uint32_t source = 0;
  std::uint64_t number = 0;
};

// "RUN SOURCE NUMBER BYTES " and up to BYTES letters that follow from these, so that a receiver can
// tell a body that was changed.
inline std::string bodyOf(const BodyName& name, std::uint32_t bytes_max) {
  char head[80];
  const int written = std::snprintf(head, sizeof head, "%llu %u %llu %u ",
                                    static_cast<unsigned long long>(name.run), name.source,
                                    static_cast<unsigned long long>(name.number), bytes_max);
  std::string body(head, static_cast<std::size_t>(written));
  std::uint64_t state = name.run ^ (name.number * 0x9e3779b97f4a7c15u) ^ name.source;
  const auto next = [&state] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33);
  };
  const std::uint32_t length = bytes_max == 0 ? 0 : next() % bytes_max;
  for (std::uint32_t i = 0; i < length; ++i) body += static_cast<char>('a' + next() % 26);
  return body;
}

// False for what is no such body, whole and unchanged.
inline bool parseBody(std::string_view body, BodyName& name) {
  unsigned long long run = 0, number = 0;
  unsigned bytes_max = 0;
  const std::string head(body.substr(0, 80));
  if (std::sscanf(head.c_str(), "%llu %u %llu %u ", &run, &name.source, &number, &bytes_max) != 4) {
    return false;
  }
  name.run = run;
  name.number = number;
  return bytes_max <= 1u << 20 && bodyOf(name, bytes_max) == body;
}

}  // namespace kante::durability
