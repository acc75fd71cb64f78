// Who wants to know whether a client has acknowledged a publication, which only that client gets.
#pragma once

namespace kante::hub {

class Receipt {
 public:
  virtual ~Receipt() = default;  // Not settled by then: it was dropped, or its session is gone.
  // On the shard of the session.
  virtual void settled() = 0;
};

}  // namespace kante::hub
