#include "host/hub/iothub/cloud_messages.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <utility>
#include <vector>

#include "host/base/clock.h"
#include "host/base/encoding.h"
#include "host/hub/iothub/device_message.h"

namespace kante::hub {
namespace {

QueueSpec specOf() {
  QueueSpec spec;
  spec.messages_max = DeviceApi::kCloudMessagesMax;
  spec.full = QueueSpec::Full::kRefuse;
  return spec;
}

// Tells one sender what became of its message.
class SendTicket final : public CommitSink {
 public:
  using Told = std::function<void(CommitResult)>;
  explicit SendTicket(Told told) : told_(std::move(told)) {}
  void onCommitted(std::span<const Done> done) override {
    told_(done.front().result);
    delete this;
  }

 private:
  const Told told_;
};

Status statusOf(const std::string& device, CommitResult result) {
  switch (result) {
    case CommitResult::kCommitted: return {};
    case CommitResult::kFull:
      return fail(Errc::kLimit, device + ": " + std::to_string(DeviceApi::kCloudMessagesMax) +
                                    " messages wait for it already, or the store is full");
    case CommitResult::kFailed: break;
  }
  return fail(Errc::kIo, device + ": the message could not be stored");
}

}  // namespace

// What is open of one device.
struct CloudMessages::Box {
  struct Lock {
    QueueToken token;
    std::unique_ptr<boost::asio::steady_timer> ends;
  };
  DurableQueue* queue = nullptr;
  Deliver deliver;                 // Null: nobody listens.
  bool taking = false;             // take() is under way.
  std::set<QueueToken> unsettled;  // With sessions.
  std::uint32_t sending = 0;       // On their way to the disk.
  std::uint32_t looking = 0;       // Requests that ask whether there is any.
  bool cancelling = false;
  bool removing = false;  // What comes from take() is of a device that is gone.
  std::uint32_t purging = 0;
  std::unique_ptr<boost::asio::steady_timer> retry;
  std::map<std::string, Lock> locks;          // By their tokens.
  std::deque<DeviceApi::Received> receivers;  // Requests that a take() is for.
};

// With a session; ends itself when nobody has it any more.
class CloudMessages::Delivery final : public Receipt {
 public:
  Delivery(CloudMessages& messages, std::string device, QueueToken token)
      : control_(messages.control_),
        alive_(messages.alive_),
        device_(std::move(device)),
        token_(token) {}
  ~Delivery() override {
    boost::asio::post(control_,
                      [alive = alive_, device = device_, token = token_, settled = settled_] {
                        if (*alive != nullptr) (*alive)->ended(device, token, settled);
                      });
  }
  void settled() override { settled_ = true; }

 private:
  boost::asio::io_context& control_;
  const std::shared_ptr<CloudMessages*> alive_;
  const std::string device_;
  const QueueToken token_;
  bool settled_ = false;
};

CloudMessages::CloudMessages(boost::asio::io_context& control, Store& store)
    : control_(control), store_(store), alive_(std::make_shared<CloudMessages*>(this)) {
  const std::string random = randomBytes(sizeof stamp_.id_high);
  std::copy(random.begin(), random.end(), reinterpret_cast<char*>(&stamp_.id_high));
  source_.principal = source_.telemetry_name = "cloud";
}

CloudMessages::~CloudMessages() { *alive_ = nullptr; }

Result<std::unique_ptr<CloudMessages>> CloudMessages::open(boost::asio::io_context& control,
                                                           Store& store) {
  std::unique_ptr<CloudMessages> out(new CloudMessages(control, store));
  KANTE_TRY(queues, store.queues());
  for (const QueueStats& queue : queues)
    if (queue.name.starts_with("device/")) out->stored_.insert(queue.name);
  return out;
}

Result<CloudMessages::Box*> CloudMessages::open(const std::string& device) {
  auto& box = boxes_[device];
  if (!box) box = std::make_unique<Box>();
  if (box->queue != nullptr) return box.get();
  auto queue = store_.queue(device, specOf());
  if (!queue) return queue.error();
  box->queue = *queue;
  stored_.erase(device);
  return box.get();
}

// A device that nobody has anything to do with takes no memory and no handle.
void CloudMessages::release(const std::string& device) {
  const auto at = boxes_.find(device);
  if (at == boxes_.end()) return;
  Box& box = *at->second;
  if (!box.unsettled.empty() || box.sending != 0 || box.looking != 0 || !box.locks.empty() ||
      !box.receivers.empty() || box.cancelling || box.purging != 0)
    return;
  if (box.taking) {
    if (!box.deliver) cancelTake(device);
    return;
  }
  if (box.queue != nullptr && (!box.deliver || box.queue->messages() == 0)) {
    if (box.queue->messages() != 0) stored_.insert(device);
    store_.detach(*box.queue);
    box.queue = nullptr;
  }
  if (!box.deliver) boxes_.erase(at);
}

// Nothing may be handed out any more when the queue is let go.
void CloudMessages::cancelTake(const std::string& device) {
  Box& box = *boxes_.at(device);
  box.cancelling = true;
  // On the store's thread, which may end after this.
  box.queue->cancelTake([&control = control_, alive = alive_, device] {
    boost::asio::post(control, [alive, device] {
      if (*alive != nullptr) (*alive)->cancelled(device);
    });
  });
}

void CloudMessages::cancelled(const std::string& device) {
  Box& box = *boxes_.at(device);
  box.cancelling = box.taking = box.removing = false;
  take(device);
  release(device);
}

void CloudMessages::send(const std::string& device, const DeviceMessage& message,
                         DeviceApi::Done done) {
  const auto later = [this, done](const Status& status) {
    boost::asio::post(control_, [done, status] { done(status); });
  };
  stamp_.now_ns = SystemClock().wallNs();
  auto made = messageOf(message, message.body, stamp_);
  if (!made) return later(made.error());
  auto box = open(device);
  if (!box) {
    release(device);
    return later(box.error());
  }
  Entry entry;
  entry.message = std::move(*made);
  entry.hop = {&source_, stamp_.now_ns, 1};
  if (message.expiry_ns == 0) entry.ttl_ns = std::int64_t{kTtlS} * 1'000'000'000;
  auto* ticket =
      new SendTicket([&control = control_, alive = alive_, device, done](CommitResult result) {
        boost::asio::post(control, [alive, device, done, result] {
          if (*alive == nullptr) return;
          CloudMessages& self = **alive;
          --self.boxes_.at(device)->sending;
          self.take(device);
          self.release(device);
          done(statusOf(device, result));
        });
      });
  ++(*box)->sending;
  const Offer offered = (*box)->queue->offer(entry, ticket);
  if (offered == Offer::kTaken) return;
  delete ticket;
  --(*box)->sending;
  release(device);
  later(offered == Offer::kBusy ? fail(Errc::kUnavailable, "the store is behind; try again")
                                : statusOf(device, CommitResult::kFull));
}

// ---- over MQTT

void CloudMessages::listen(const std::string& device, Deliver deliver) {
  auto& box = boxes_[device];
  if (!box) box = std::make_unique<Box>();
  box->deliver = std::move(deliver);
  if (box->queue == nullptr && stored_.contains(device)) (void)open(device);
  take(device);
}

void CloudMessages::unlisten(const std::string& device) {
  const auto at = boxes_.find(device);
  if (at == boxes_.end()) return;
  at->second->deliver = nullptr;
  release(device);
}

// As long as somebody wants them and has room.
void CloudMessages::take(const std::string& device) {
  Box& box = *boxes_.at(device);
  const bool wanted =
      !box.receivers.empty() || (box.deliver && box.unsettled.empty() && !box.retry);
  if (box.queue == nullptr || box.taking || box.cancelling || !wanted || box.queue->messages() == 0)
    return;
  box.taking = true;
  TakeRequest request;
  request.messages_max = box.receivers.empty() ? kWindow : 1;
  request.handing = Handing::kRemembered;
  box.queue->take(request, [&control = control_, alive = alive_, device](Result<TakenBatch> batch) {
    if (!batch) return;  // The store has closed.
    // Shared because a task is copied about.
    auto shared = std::make_shared<TakenBatch>(std::move(*batch));
    boost::asio::post(control, [alive, device, shared] {
      if (*alive != nullptr) (*alive)->taken(device, shared);
    });
  });
}

void CloudMessages::taken(const std::string& device, const std::shared_ptr<TakenBatch>& batch) {
  Box& box = *boxes_.at(device);
  box.taking = false;
  std::vector<QueueToken> unwanted;
  std::vector<QueueToken> gone;
  for (const TakenMessage& one : batch->messages) {
    const MessageView& view = one.record.message;
    auto message = messageFromWords(view.words(), view.wordCount());
    if (!message || box.removing) {
      gone.push_back(one.token);
    } else if (!box.receivers.empty()) {
      DeviceApi::CloudMessage out;
      out.message = std::move(*message);
      out.lock_token = toHex(randomBytes(16));
      out.delivered = std::uint32_t{one.record.attempts} + one.record.deliveries;
      out.enqueued_ns = one.record.arrived_ns;
      auto ends = std::make_unique<boost::asio::steady_timer>(control_, DeviceApi::kLock);
      ends->async_wait([this, alive = alive_, device, token = out.lock_token](const auto& error) {
        if (error || *alive == nullptr) return;
        settle(device, token, DeviceApi::Settlement::kAbandon, [](const Status&) {});
      });
      box.locks[out.lock_token] = {one.token, std::move(ends)};
      const auto receiver = std::move(box.receivers.front());
      box.receivers.pop_front();
      ++delivered_;
      receiver(std::optional(std::move(out)));
    } else if (box.deliver) {
      box.unsettled.insert(one.token);
      ++delivered_;
      box.deliver(*message, std::make_shared<Delivery>(*this, device, one.token));
    } else {
      unwanted.push_back(one.token);
    }
  }
  if (!unwanted.empty()) box.queue->giveBack(std::move(unwanted), Return::kUntouched);
  if (!gone.empty()) box.queue->acknowledge(std::move(gone));
  take(device);
  release(device);
}

void CloudMessages::ended(const std::string& device, QueueToken token, bool settled) {
  const auto at = boxes_.find(device);
  if (at == boxes_.end()) return;
  Box& box = *at->second;
  if (box.unsettled.erase(token) == 0) return;  // Its device was removed.
  if (settled) {
    box.queue->acknowledge({token});
  } else {
    ++returned_;
    box.queue->giveBack({token}, Return::kDelivered);
    if (box.deliver && !box.retry) takeAgain(device);
  }
  take(device);
  release(device);
}

// A session that drops what it gets would be asked again and again.
void CloudMessages::takeAgain(const std::string& device) {
  Box& box = *boxes_.at(device);
  box.retry = std::make_unique<boost::asio::steady_timer>(control_, kRetry);
  box.retry->async_wait([this, alive = alive_, device](const auto& error) {
    if (error || *alive == nullptr) return;
    const auto at = boxes_.find(device);
    if (at == boxes_.end()) return;
    at->second->retry.reset();
    take(device);
    release(device);
  });
}

// ---- over HTTPS

void CloudMessages::receive(const std::string& device, DeviceApi::Received received) {
  const auto nothing = [this, received] {
    boost::asio::post(control_, [received] { received(std::optional<DeviceApi::CloudMessage>()); });
  };
  const auto at = boxes_.find(device);
  const bool open_already = at != boxes_.end() && at->second->queue != nullptr;
  if (!open_already && !stored_.contains(device)) return nothing();
  auto box = open(device);
  if (!box) {
    release(device);
    return boost::asio::post(control_, [received, error = box.error()] { received(error); });
  }
  // Asked behind all that was acknowledged, so that nobody waits for what is gone.
  ++(*box)->looking;
  (*box)->queue->stats(
      [&control = control_, alive = alive_, device, received](const QueueStats& stats) {
        boost::asio::post(control, [alive, device, received, there = stats.messages] {
          if (*alive != nullptr) (*alive)->looked(device, there, received);
        });
      });
}

void CloudMessages::looked(const std::string& device, std::uint64_t there,
                           const DeviceApi::Received& received) {
  Box& box = *boxes_.at(device);
  --box.looking;
  // What a session listens to comes to the session; of a device that is gone nothing is left.
  if (box.deliver || box.purging != 0 || there <= box.locks.size() + box.receivers.size()) {
    received(std::optional<DeviceApi::CloudMessage>());
  } else {
    box.receivers.push_back(received);
    take(device);
  }
  release(device);
}

void CloudMessages::settle(const std::string& device, const std::string& lock_token,
                           DeviceApi::Settlement how, DeviceApi::Done done) {
  Status status;
  const auto box = boxes_.find(device);
  if (box == boxes_.end() || !box->second->locks.contains(lock_token)) {
    status = fail(Errc::kNotFound, "no message is locked by this token");
  } else {
    const auto lock = box->second->locks.extract(lock_token);
    if (how == DeviceApi::Settlement::kAbandon) {
      ++returned_;
      box->second->queue->giveBack({lock.mapped().token}, Return::kDelivered);
    } else {
      box->second->queue->acknowledge({lock.mapped().token});
    }
    take(device);
    release(device);
  }
  boost::asio::post(control_, [done = std::move(done), status] { done(status); });
}

// ---- devices that are gone

void CloudMessages::remove(const std::string& device) {
  if (!boxes_.contains(device) && !stored_.contains(device)) return;
  auto opened = open(device);
  if (!opened) return release(device);  // The store has closed; what is there ends by its age.
  Box& box = **opened;
  std::vector<QueueToken> taken(box.unsettled.begin(), box.unsettled.end());
  for (const auto& [text, lock] : box.locks) taken.push_back(lock.token);
  box.unsettled.clear();
  box.locks.clear();
  if (!taken.empty()) box.queue->acknowledge(std::move(taken));
  if (box.taking) {
    box.removing = true;
    if (!box.cancelling) cancelTake(device);
  }
  for (const auto& receiver : std::exchange(box.receivers, {}))
    boost::asio::post(control_, [receiver] { receiver(std::optional<DeviceApi::CloudMessage>()); });
  ++box.purging;
  box.queue->purge([&control = control_, alive = alive_, device](const Result<std::uint64_t>&) {
    boost::asio::post(control, [alive, device] {
      if (*alive == nullptr) return;
      --(*alive)->boxes_.at(device)->purging;
      (*alive)->release(device);
    });
  });
}

}  // namespace kante::hub
