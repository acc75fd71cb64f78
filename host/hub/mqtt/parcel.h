// What engines say to each other.  Between two of them everything arrives in order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "host/hub/access.h"
#include "host/hub/iothub/desk.h"
#include "host/hub/mqtt/ack_wait.h"
#include "host/hub/mqtt/homes.h"
#include "host/hub/mqtt/publication.h"
#include "host/hub/mqtt/topic_tree.h"
#include "host/hub/mqtt/transport.h"

namespace kante::hub {

// A message for the receiver's own subscribers.
struct Fanout {
  PublicationRef publication;
  AckShare ack = {};
};
// For one member of a group there; handed on when there is none any more.
struct ShareFanout {
  PublicationRef publication;
  std::string key;
  std::uint32_t hops = 0;
  AckShare ack = {};
};
// How many members the sender has for a filter; answered by Seen with the same ticket.
struct Interest {
  std::uint32_t from = 0;
  std::string filter;
  std::uint32_t members = 0;
  std::uint64_t ticket = 0;
};
struct Seen {
  std::uint32_t from = 0;
  std::uint64_t ticket = 0;
};
// To the keeper of retained messages: this is the last of its topic, or, empty, there is none.
struct Retain {
  PublicationRef publication;
  AckShare ack = {};
  Kept beyond_bound = Kept::kYes;  // What its answer says then.
};
// An entry of QoS 2 of a session there was written, or could not be.
struct EntryKept {
  std::uint64_t session = 0;
  std::uint64_t place = 0;
  Kept kept = Kept::kYes;
  PublicationRef publication;
};
// Which of them match?  Answered with Kept.
struct RetainedWanted {
  std::uint32_t from = 0;
  std::string session;  // Its key.
  std::string filter;
  SubscriptionOptions options;
};
struct RetainedFound {
  RetainedWanted wanted;
  std::vector<PublicationRef> publications;
};
// A connection whose session belongs to the receiver, with what it has said so far: a CONNECT that
// was admitted, and perhaps more.
struct Arrival {
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Peer> peer;
  std::string bytes;
  Admission admission;
  std::string assigned_id;  // Empty: the client has its own.
  Homes::Claim claim;       // To the session there.
};
// Grants changed, or a principal is gone: every session of it is looked at again.  kEnd: what it
// proved itself with counts no more, so its connections end in any case.
enum class Connections : bool { kKeep, kEnd };
struct Reconsider {
  std::string principal;
  Connections connections = Connections::kKeep;
};

// For one session alone, by those of its filters that match; nobody else's matter.
struct ToSession {
  SessionRef session;
  PublicationRef publication;
};

using Parcel = std::variant<Fanout, ShareFanout, Interest, Seen, Retain, RetainedWanted,
                            std::unique_ptr<RetainedFound>, std::unique_ptr<Arrival>, Reconsider,
                            ToSession, EntryKept>;

}  // namespace kante::hub
