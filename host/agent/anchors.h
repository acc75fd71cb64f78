// Whom this gateway believes: what the files of [trust] name, and what documents of kind "trust"
// put in their place.  What holds is one record on disk, with the counter of the document that it
// came by, so that a crash leaves both or neither.
//
// Its stores stay where they are as long as it lives, and change with adopt() and reset() alone.
// Control thread only.
#pragma once

#include <array>
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/agent/agent.h"
#include "host/base/durable_map.h"
#include "host/bundle/admission.h"
#include "host/bundle/trust.h"

namespace kante {

enum class AnchorKind : std::uint8_t { kSigners, kDeployers, kRoots, kRevoked, kHeirs };
inline constexpr std::size_t kAnchorKinds = 5;
const char* name(AnchorKind kind);  // As in [trust] and in a document: "signers", …

// What a trust document says of each kind: PEM texts, one behind the other, or of heirs compact
// JSON; nothing: it stays as it is.
using TrustChange = std::array<std::optional<std::string>, kAnchorKinds>;

// The content of a trust document.  Errors begin with the JSON pointer, below `pointer`.
Result<TrustChange> parseTrust(const boost::json::object& content, const std::string& pointer);

class Anchors {
 public:
  using Texts = std::array<std::string, kAnchorKinds>;  // Of heirs: always empty in files.
  static constexpr char kRecordKey[] = "trust";

  // The document by which a kind is as it is.
  struct Origin {
    DocumentMark mark;  // Without a digest: the files of [trust].
    std::string who;
    std::int64_t taken_s = 0;  // Since 1970.
  };
  // For people.
  struct Shown {
    std::string subject;  // Of a revocation list: who issued it.
    // Of a revocation list: empty and 0.
    std::string fingerprint;  // SHA-256.
    std::int64_t not_after_s = 0;
  };

  // `map` outlives it and may hold other keys.  `damage`: why the record cannot be read, so that
  // the files hold; empty: it can.
  static Result<std::unique_ptr<Anchors>> open(Texts files, DurableMap& map, std::string& damage);

  const TrustStore& signers() const { return stores_.signers; }
  const TrustStore& deployers() const { return stores_.deployers; }
  const TrustStore& roots() const { return stores_.roots; }
  const Heirs& heirs() const { return stores_.heirs; }
  const std::optional<Origin>& origin(AnchorKind kind) const { return held_.from[at(kind)]; }
  std::vector<Shown> shown(AnchorKind kind) const;  // Not of heirs.
  std::vector<DocumentMark> marks() const;          // Of the documents that hold.

  struct Stores {
    TrustStore signers, deployers, roots;
    Heirs heirs;
  };
  struct Held {
    Texts texts;
    std::array<std::optional<Origin>, kAnchorKinds> from;  // Nothing: the files.
  };
  struct Next {
    Held held;
    Stores stores;
  };
  // What would hold with that change.  kInvalid: nobody could change anything from afar any more.
  Result<Next> with(const TrustChange& change, const Origin& origin,
                    const JudgementTime& now) const;
  // On the map; it is for the caller to sync it, then to adopt() it or to write() what was before.
  Status write(const Held& held);
  const Held& held() const { return held_; }
  void adopt(Next next);
  // The files hold again; the same order.
  Result<Next> fromFiles() const;

 private:
  Anchors(Texts files, DurableMap& map, Next next)
      : files_(std::move(files)),
        map_(map),
        held_(std::move(next.held)),
        stores_(std::move(next.stores)) {}
  static std::size_t at(AnchorKind kind) { return static_cast<std::size_t>(kind); }

  const Texts files_;
  DurableMap& map_;
  Held held_;
  Stores stores_;
};

}  // namespace kante
