// Gets one bundle after the other from where its deployment says it may be had.
//
// Sources are tried in their order, each again with a growing pause while it may still come; what
// has come stays in the folder for the next attempt, also of the next life of the process.  Where
// deltas are named whose base is here, a whole bundle that would cost traffic waits until they
// fail. Control thread only; the bytes come on a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/base/fd.h"
#include "host/base/result.h"
#include "host/fetch/download.h"
#include "host/fetch/source.h"

namespace kante {

class Log;

struct WantedBundle {
  std::string digest;  // "sha256:HEX" of its payload.
  std::vector<FetchSource> from;
  // By digest: those that deltas in `from` name and that are here.  They stay as long as this is
  // fetched; read on the fetcher's thread, which owns them together with who asked.
  std::map<std::string, std::shared_ptr<const BaseForm>> bases = {};
};

struct FetchProgress {
  std::string digest;  // Empty: nothing is fetched now.
  std::string source;  // As it may be shown; empty: none is being tried.
  std::uint64_t bytes = 0;
  std::uint64_t of = 0;          // 0: not known yet.
  std::string problem;           // What the last attempt ended with; empty: bytes come.
  std::string base = {};         // Of a delta: what it is applied to.
  std::uint64_t instead_of = 0;  // Of a delta: bytes of the whole bundle; 0: not known yet.
};

// How a bundle came.
struct FetchReport {
  std::string digest;
  std::string source;       // As it may be shown.
  std::string base;         // Empty: it came whole.
  std::uint64_t bytes = 0;  // Of the file that came.
  std::uint64_t saved = 0;  // How many the whole bundle has more.
  std::string problem;      // What other sources said before; empty: nothing.
};

struct FetchedBundle {
  FileDescriptor file;  // This very bundle, from its first byte on.
  FetchReport report;
};

struct FetchTimes {
  std::int64_t first_ms = 5'000;  // The pause after the first attempt; it doubles up to max_ms.
  std::int64_t max_ms = 600'000;
  std::int64_t file_ms = 10'000;  // Between looks for a file: somebody may bring the stick.
  std::int64_t few_ms = 1'000;    // As first_ms, for who does not wait.
};

class Fetcher {
 public:
  static constexpr int kFewTries = 3;  // Of each source.
  // So many attempts at a delta that bring no byte let the whole be tried beside it.
  static constexpr int kFruitlessMax = 3;
  static constexpr std::uint64_t kChunkBytes = 65'536;

  // Whether somebody stands by, or what is wanted comes when it can.
  enum class Patience { kFewTries, kUntilCancelled };

  struct Options {
    std::string folder;  // Made if it is not there.
    DownloadOptions download;
    FetchTimes times;
  };
  struct Host {
    Log& log;
    std::function<void(std::function<void()>)> post;  // Runs it later on the control thread.
    std::function<void()> changed = nullptr;          // progress() has something to say.
    // Piece n of a bundle, or of the delta against `base`, through the uplink: each has
    // kChunkBytes, the last one what is left.  Blocks, on the fetcher's thread; `goes_on` is asked
    // now and then. Null: there is no uplink.
    std::function<Result<std::string>(const std::string& digest, const std::string& base,
                                      std::uint32_t n, const std::function<bool()>& goes_on)>
        chunk = nullptr;
  };

  // An error names the option.
  static Result<std::unique_ptr<Fetcher>> make(Options options, Host host);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Or kNotFound, with what each source said.
  using Fetched = std::function<void(Result<FetchedBundle>)>;
  // One at a time: what is still fetched is given up.  Dropping the handle cancels; `fetched` is
  // not called then.
  [[nodiscard]] std::shared_ptr<void> fetch(WantedBundle wanted, Patience patience,
                                            Fetched fetched);
  // What has come of it is needed no more, because it was admitted.
  void forget(const std::string& digest);
  FetchProgress progress() const;

 private:
  struct State;
  explicit Fetcher(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace kante
