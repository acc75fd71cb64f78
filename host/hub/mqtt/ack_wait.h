// An answer to a client that waits until what it promises is kept.
//
// Whoever takes durably what a client asks for holds a share of the answer (Engine::holdAck(),
// while the engine handles it) and gives it back from whatever thread, with what became of it. When
// all are back the engine of that client says the answer, in the client's order, or the reason of
// the refusal; a client that is gone is found gone.  Where nobody holds a share nothing is
// allocated and the answer is said at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace kante::hub {

class AckInbox;
class Connection;
struct Change;

// Worse ones are greater: of several shares the worst counts.
enum class Kept : std::uint8_t {
  kYes,          // On disk; or whoever was to have it has it.
  kNotRetained,  // Beyond the bound of retained messages.
  kNoRoom,       // Not taken: full.
  kFailed,       // Not taken: the disk fails, or whoever held the share has gone.
};

// Which answer it is.
struct AckAddress {
  const Connection* connection = nullptr;
  std::uint64_t number = 0;  // The connection's, because its place in memory may be another's.
  std::uint64_t answer = 0;  // Of all that this connection ever owed.
  // A message of QoS 2: its session and identifier, which are kept together with all that the
  // message becomes, or a crash between the two loses or doubles it.
  std::uint64_t session = 0;
  std::uint16_t packet = 0;
  bool written = false;  // This waits for that.
};

class AckWait {
 public:
  const AckAddress& address() const { return address_; }
  Kept kept() const { return kept_.load(std::memory_order_relaxed); }
  // Calls with each Change that was added, in no order.
  template <typename Call>
  void takeChanges(Call&& call) {
    while (Node* node = changes_.load(std::memory_order_relaxed)) {
      changes_.store(node->next, std::memory_order_relaxed);
      call(*node->change);
      delete node;
    }
  }

 private:
  struct Node {
    std::unique_ptr<Change> change;
    Node* next = nullptr;
  };
  friend class AckShare;
  friend class AckInbox;
  AckWait(AckAddress address, std::shared_ptr<AckInbox> inbox)
      : address_(address), inbox_(std::move(inbox)) {}
  void add(Change change);

  const AckAddress address_;
  std::shared_ptr<AckInbox> inbox_;  // Shared with its engine, which may be gone before.
  std::atomic<std::uint32_t> shares_{1};
  std::atomic<Kept> kept_{Kept::kYes};
  std::atomic<Node*> changes_{nullptr};
  AckWait* next_ = nullptr;

 public:
  ~AckWait();
};

// Moves, and is given back once.  One that is dropped says kFailed.
class AckShare {
 public:
  AckShare() = default;
  AckShare(AckAddress address, std::shared_ptr<AckInbox> inbox)
      : wait_(new AckWait(address, std::move(inbox))) {}
  AckShare(AckShare&& other) noexcept : wait_(std::exchange(other.wait_, nullptr)) {}
  AckShare& operator=(AckShare&& other) noexcept {
    release(Kept::kFailed);
    wait_ = std::exchange(other.wait_, nullptr);
    return *this;
  }
  ~AckShare() { release(Kept::kFailed); }

  explicit operator bool() const { return wait_ != nullptr; }
  // One more of the same answer; of none, none.
  AckShare another() const;
  // The answer is to a message of QoS 2.
  bool isOfPacket() const { return wait_ != nullptr && wait_->address().packet != 0; }
  // What is to be kept together with the identifier of that message, once all shares are back.
  void add(Change change) const;
  // Afterwards it holds nothing.
  void release(Kept kept);

 private:
  AckWait* wait_ = nullptr;
};

// Where an engine finds the answers for which nothing is waited any more.
class AckInbox {
 public:
  // `wake`: from any thread, when there is something and was nothing before.
  explicit AckInbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~AckInbox();
  AckInbox(const AckInbox&) = delete;
  AckInbox& operator=(const AckInbox&) = delete;

  bool empty() const { return last_.load(std::memory_order_relaxed) == nullptr; }
  // The engine's thread: calls with each AckWait, in the order in which they came.
  template <typename Call>
  void takeAll(Call&& call) {
    for (AckWait* one = takeChain(); one != nullptr;) {
      const std::unique_ptr<AckWait> owned(std::exchange(one, one->next_));
      call(*owned);
    }
  }

 private:
  friend class AckShare;
  void put(AckWait* wait);
  AckWait* takeChain();

  const std::function<void()> wake_;
  std::atomic<AckWait*> last_{nullptr};  // Last in first out; reversed when taken.
};

}  // namespace kante::hub
