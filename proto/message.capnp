@0xb7d3a1f0c95e2a44;
# What a message's author says.  What the host knows of it (who sent it, when it arrived, how far it
# came) is the hop and never stands here, so a module may pass a message on unchanged and nobody forges
# a sender.
#
# The *canonical layout* of this struct is frozen: docs/formats/message.md.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("kante::proto");

struct Message {
  idHigh @0 :UInt64;        # 128 bits, unique, stable through redelivery; both zero: the host stamps it.
  idLow @1 :UInt64;
  createdNs @2 :Int64;      # Nanoseconds since 1970, UTC; 0: the host stamps it.
  expiryNs @3 :Int64;       # Nanoseconds since 1970, UTC, after which nobody wants it; 0: never.
  traceHigh @4 :UInt64;     # W3C trace id; both zero: not traced.
  traceLow @5 :UInt64;
  schemaId @6 :UInt64;      # Cap'n Proto id of the struct in `typed`; 0: none.

  contentType @7 :Text;     # Media type of the body, e.g. "application/json"; empty: unknown.
  contentEncoding @8 :Text; # IoT Hub's sense: the character set, e.g. "utf-8"; empty: unknown.
  properties @9 :List(Property);  # At most 64.  Names beginning "$" or "kante-" are the host's.
  system @10 :List(Property);
  # System properties of IoT Hub that an author may set, by their internal name: messageId, cid, userId,
  # to, messageSchema, dt-subject, operation, iothub-interface-id, ack.  At most 16.
  typed @11 :AnyPointer;    # A struct of the author's schema; null in the canonical layout.
  body @12 :Data;           # At most 1 MiB.
}

struct Property {
  name @0 :Text;            # At most 1024 bytes, not empty; compared without case.
  value @1 :Text;
}
