// How long the uplink's client waits for what.  The defaults are what a gateway uses; tests shorten
// them.
#pragma once

#include <cstdint>

namespace kante {

struct LinkTimes {
  // MQTT keep-alive: a quiet link is asked for a sign of life this often; a broker may set its own.
  int keep_alive_s = 15;
  // What the broker may take to answer that.  Nothing read for keep-alive and this long: the link
  // is dead.
  std::int64_t answer_ms = 9'000;
  // Data that the other side's kernel did not acknowledge for so long: the link is dead.
  unsigned user_timeout_ms = 20'000;
  // From the first packet to CONNACK.
  std::int64_t connect_ms = 20'000;
  // For the name server; then the addresses that it gave last are tried.
  std::int64_t resolve_ms = 10'000;
  std::int64_t backoff_first_ms = 250;
  std::int64_t backoff_max_ms = 30'000;
  // Where nobody answers at all, nobody needs to be spared, and the attempt itself takes long.
  std::int64_t backoff_unreached_max_ms = 5'000;
  // A connection that lived this long resets the back-off.
  std::int64_t steady_ms = 10'000;
  // Everything was handed to the broker and it acknowledged nothing for so long: it gets all of it
  // again over a new connection.  Doubles up to the second as long as that does not help.
  std::int64_t puback_ms = 60'000;
  std::int64_t puback_max_ms = 1'800'000;
  // Between two looks at the certificates on disk.
  std::int64_t files_ms = 60'000;
  // For what is queued when the client is stopped.
  std::int64_t goodbye_ms = 2'000;
};

}  // namespace kante
