#include "host/agent/anchors.h"

#include <algorithm>
#include <boost/json.hpp>

#include "host/agent/members.h"
#include "host/base/json.h"
#include "host/base/openssl.h"

namespace kante {
namespace {

namespace json = boost::json;

constexpr std::array<const char*, kAnchorKinds> kNames = {"signers", "deployers", "roots",
                                                          "revoked", "heirs"};
constexpr std::array kKinds = {AnchorKind::kSigners, AnchorKind::kDeployers, AnchorKind::kRoots,
                               AnchorKind::kRevoked, AnchorKind::kHeirs};
constexpr JsonBounds kRecordBounds{16u << 20, 8};
constexpr JsonBounds kHeirsBounds{1 << 20, 2};

bool isFingerprint(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// How many certificates, or revocation lists, are in the text.
Result<std::size_t> countIn(AnchorKind kind, const std::string& pem) {
  if (kind == AnchorKind::kRevoked) {
    KANTE_TRY(lists, readRevocations(pem));
    return lists.size();
  }
  KANTE_TRY(certificates, readCertificates(pem));
  return certificates.size();
}

Result<std::string> readPems(const Members& content, AnchorKind kind) {
  KANTE_TRY(texts, content.texts(name(kind)));
  std::string all;
  std::size_t count = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string pointer = jsonPointer(content.at(name(kind)), i);
    const auto found = countIn(kind, texts[i]);
    if (!found) return within(pointer, found.error());
    if (*found == 0)
      return failAt(pointer, Errc::kInvalid,
                    kind == AnchorKind::kRevoked ? "no revocation list in PEM form in it"
                                                 : "no certificate in PEM form in it");
    count += *found;
    all += texts[i] + "\n";
  }
  if (count > TrustStore::kCertificatesMax)
    return content.fail(name(kind), "at most " + std::to_string(TrustStore::kCertificatesMax),
                        Errc::kLimit);
  return all;
}

Result<std::string> readHeirs(const Members& content) {
  KANTE_TRY(heirs, content.object("heirs"));
  if (heirs->size() > TrustStore::kCertificatesMax)
    return content.fail("heirs", "at most " + std::to_string(TrustStore::kCertificatesMax),
                        Errc::kLimit);
  for (const auto& member : *heirs) {
    const bool good = isFingerprint(member.key()) && member.value().is_string() &&
                      isFingerprint(member.value().get_string());
    if (!good)
      return failAt(
          jsonPointer(content.at("heirs"), member.key()), Errc::kInvalid,
          "a CA and the one that takes over its module ids are SHA-256 fingerprints of 64 "
          "lower-case hexadecimal digits");
  }
  return writeJson(*heirs, MemberOrder::kSorted);
}

Result<Anchors::Stores> storesOf(const Anchors::Texts& texts) {
  const auto text = [&texts](AnchorKind kind) -> const std::string& {
    return texts[static_cast<std::size_t>(kind)];
  };
  const std::string& revoked = text(AnchorKind::kRevoked);
  KANTE_TRY(signers, TrustStore::fromPem(text(AnchorKind::kSigners), revoked));
  KANTE_TRY(deployers, TrustStore::fromPem(text(AnchorKind::kDeployers), revoked));
  KANTE_TRY(roots, TrustStore::fromPem(text(AnchorKind::kRoots), revoked));
  Heirs heirs;
  if (const std::string& given = text(AnchorKind::kHeirs); !given.empty()) {
    KANTE_TRY(object, parseJsonObject(given, kHeirsBounds));
    for (const auto& member : object) heirs[member.key()] = member.value().as_string();
  }
  return Anchors::Stores{std::move(signers), std::move(deployers), std::move(roots),
                         std::move(heirs)};
}

json::object encode(const Anchors::Held& held) {
  json::object out;
  for (std::size_t i = 0; i < kAnchorKinds; ++i) {
    if (!held.from[i]) continue;
    const Anchors::Origin& from = *held.from[i];
    out[kNames[i]] = json::object{{"text", held.texts[i]},
                                  {"series", from.mark.series},
                                  {"counter", from.mark.counter},
                                  {"document", from.mark.digest},
                                  {"who", from.who},
                                  {"taken_s", from.taken_s}};
  }
  return out;
}

// What the record has in the place of the files.
Status decode(const std::string& record, Anchors::Held& held) {
  KANTE_TRY(object, parseJsonObject(record, kRecordBounds));
  try {
    for (std::size_t i = 0; i < kAnchorKinds; ++i) {
      const json::value* found = object.if_contains(kNames[i]);
      if (found == nullptr) continue;
      const json::object& one = found->as_object();
      Anchors::Origin from;
      from.mark.series = one.at("series").as_string();
      from.mark.counter = one.at("counter").to_number<std::uint64_t>();
      from.mark.digest = one.at("document").as_string();
      from.who = one.at("who").as_string();
      from.taken_s = one.at("taken_s").to_number<std::int64_t>();
      held.texts[i] = one.at("text").as_string();
      held.from[i] = std::move(from);
    }
  } catch (const std::exception&) {
    return fail(Errc::kCorrupt, "it is not as this build writes it");
  }
  return {};
}

}  // namespace

const char* name(AnchorKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

Result<TrustChange> parseTrust(const json::object& content, const std::string& pointer) {
  const Members members(content, pointer);
  KANTE_CHECK(members.allow({"signers", "deployers", "roots", "revoked", "heirs"}));
  if (content.empty())
    return failAt(pointer, Errc::kInvalid,
                  "it changes nothing; give \"signers\", \"deployers\", \"roots\", \"revoked\" or "
                  "\"heirs\"");
  TrustChange change;
  for (const AnchorKind kind : kKinds) {
    if (!members.has(name(kind))) continue;
    KANTE_TRY(text, kind == AnchorKind::kHeirs ? readHeirs(members) : readPems(members, kind));
    change[static_cast<std::size_t>(kind)] = std::move(text);
  }
  return change;
}

Result<std::unique_ptr<Anchors>> Anchors::open(Texts files, DurableMap& map, std::string& damage) {
  KANTE_TRY(configured, storesOf(files));
  Next next{{files, {}}, std::move(configured)};
  KANTE_TRY(all, map.readAll());
  if (const auto record = all.find(kRecordKey); record != all.end()) {
    Held held{files, {}};
    const Status read = decode(record->second, held);
    auto stores = read ? storesOf(held.texts) : Result<Stores>(read.error());
    if (stores) {
      next = {std::move(held), std::move(*stores)};
    } else {
      damage = stores.error().text;
    }
  }
  return std::unique_ptr<Anchors>(new Anchors(std::move(files), map, std::move(next)));
}

std::vector<Anchors::Shown> Anchors::shown(AnchorKind kind) const {
  std::vector<Shown> out;
  const std::string& text = held_.texts[at(kind)];
  if (kind == AnchorKind::kRevoked) {
    const auto lists = readRevocations(text);
    if (!lists) return out;
    for (const CrlPtr& list : *lists)
      out.push_back({nameOf(X509_CRL_get_issuer(list.get())), "", 0});
    return out;
  }
  const auto certificates = readCertificates(text);
  if (!certificates) return out;
  for (const X509Ptr& one : *certificates)
    out.push_back(
        {subjectOf(one.get()), fingerprintOf(one.get()), secondsOf(X509_get0_notAfter(one.get()))});
  return out;
}

std::vector<DocumentMark> Anchors::marks() const {
  std::vector<DocumentMark> out;
  for (const auto& from : held_.from)
    if (from) out.push_back(from->mark);
  return out;
}

Result<Anchors::Next> Anchors::with(const TrustChange& change, const Origin& origin,
                                    const JudgementTime& now) const {
  Held held = held_;
  for (std::size_t i = 0; i < kAnchorKinds; ++i) {
    if (!change[i]) continue;
    held.texts[i] = *change[i];
    held.from[i] = origin;
  }
  KANTE_TRY(stores, storesOf(held.texts));
  if (stores.deployers.usable(now) == 0 && stores.roots.usable(now) == 0)
    return fail(
        Errc::kInvalid,
        "/content: would lock out everybody: no deployer and no root would be left that has "
        "not ended and is not revoked");
  return Next{std::move(held), std::move(stores)};
}

Status Anchors::write(const Held& held) {
  const json::object record = encode(held);
  return record.empty() ? map_.erase(kRecordKey) : map_.put(kRecordKey, writeJson(record));
}

void Anchors::adopt(Next next) {
  held_ = std::move(next.held);
  stores_ = std::move(next.stores);
}

Result<Anchors::Next> Anchors::fromFiles() const {
  KANTE_TRY(stores, storesOf(files_));
  return Next{{files_, {}}, std::move(stores)};
}

}  // namespace kante
