// Device twins: for every principal a desired section (what it should be) and a reported one (what
// it says it is), each with a version that rises by one with every change.
//
// The desired section has a base, which comes from the deployment, and patches on top; a new base
// replaces the section, the same base again changes nothing.  Sections are JSON objects without
// $version; texts are compact with members in the order of their first appearance.  Everything
// lives in memory and is written behind to a DurableMap.  Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/durable_map.h"
#include "host/base/result.h"

namespace kante {

struct TwinSection {
  std::string json = "{}";    // An object without $version.
  std::uint64_t version = 0;  // 0: never set.
};

// The section as clients see it: with "$version" as its last member.
std::string withVersion(const TwinSection& section);

class Twins {
 public:
  // The limits of IoT Hub, so that what is accepted here is accepted there.
  static constexpr std::size_t kSectionBytesMax = 32 * 1024;
  static constexpr std::size_t kDepthMax = 10;
  static constexpr std::size_t kStringBytesMax = 4096;
  static constexpr std::size_t kKeyBytesMax = 1024;
  static constexpr std::int64_t kIntegerMax = std::int64_t{1} << 52;
  static constexpr std::size_t kPrincipalsMax = 10'000;

  // Reads what the store has; `store` outlives the twins.
  static Result<std::unique_ptr<Twins>> open(DurableMap& store);
  ~Twins();
  Twins(const Twins&) = delete;
  Twins& operator=(const Twins&) = delete;

  // An unknown principal has two empty sections.
  TwinSection desired(const std::string& principal) const;
  TwinSection reported(const std::string& principal) const;
  std::vector<std::string> principals() const;
  // Of those, `place` and what is below it: "device/ID", "device/ID/module/NAME".
  std::vector<std::string> principalsOf(const std::string& place) const;
  // Whose record the store had and open() could not read; they begin anew.  For the log.
  std::vector<std::string> damaged() const;

  // JSON merge patches; the version after it.  kInvalid and kLimit name the member; nothing changed
  // then.  A patch raises the version even if it changes no value.
  Result<std::uint64_t> patchDesired(const std::string& principal, std::string_view patch);
  Result<std::uint64_t> patchReported(const std::string& principal, std::string_view patch);
  // The whole section, as a cloud side sends it after a gap.  Equal to what is there: no new
  // version.
  Result<std::uint64_t> replaceDesired(const std::string& principal, std::string_view section);
  Result<std::uint64_t> replaceReported(const std::string& principal, std::string_view section);
  Status remove(const std::string& principal);

  // "Everything up to now is on disk": what an acknowledgement waits for.
  void sync(std::function<void(Status)> done);

  // A deployment's bases, one a module principal; "{}" where it names none.  stage() checks them
  // and keeps them aside: only desiredAtStart() sees them, so that an instance that is being
  // started beside the running one begins with what it will have.  commit() makes them current and
  // tells subscribers, discardStaged() forgets them.  A base equal to the one before leaves the
  // section alone, so that staging and committing the same bases again is harmless.
  //
  // tryStaged() makes them current in memory alone, and tells subscribers: until commitStaged() the
  // store has the sections from before, with whatever is patched meanwhile, and discardStaged()
  // brings those back, under a version of their own.
  Status stage(const std::map<std::string, std::string>& bases);
  void tryStaged();
  Status commitStaged();
  void discardStaged();
  TwinSection desiredAtStart(const std::string& principal) const;

  // Callbacks come on the control thread, after the change, in order; they may call anything here.
  // Dropping the handle ends it, also from within a callback.
  using Subscription = std::shared_ptr<void>;
  // The full section at each change; not called for what is there already.
  using OnDesired = std::function<void(const TwinSection& section)>;
  [[nodiscard]] Subscription subscribeDesired(const std::string& principal, OnDesired on_desired);
  // Every change of any principal; `patch` as it was accepted, with its nulls, or what a section
  // that was replaced differs in.
  struct Change {
    const std::string& principal;
    const std::string& patch;
    const TwinSection& section;
  };
  using OnChange = std::function<void(const Change& change)>;
  [[nodiscard]] Subscription observeReported(OnChange on_change);
  [[nodiscard]] Subscription observeDesired(OnChange on_change);

 private:
  struct State;
  explicit Twins(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kante
