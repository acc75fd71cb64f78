// Durable inputs: what comes with a token, and how it ends.
#include <algorithm>

#include "host/placement/instance.h"
#include "host/runtime/event_name.h"

namespace kante {

// Strand.  Inputs that no route names any more hand over what they have and take nothing more.
void Instance::openIntakes(const std::vector<std::string>& inputs) {
  const auto* queues = table_->inputsOf(parts_.spec.name);
  for (std::size_t i = 0; i < intakes_.size() && i < inputs.size(); ++i) {
    std::shared_ptr<InputQueue> queue;
    for (std::size_t k = 0; queues != nullptr && k < queues->size(); ++k) {
      if ((*queues)[k]->input() == inputs[i]) queue = (*queues)[k];
    }
    if (!queue) {
      if (intakes_[i]) intakes_[i]->stop();
      continue;
    }
    if (!intakes_[i]) {
      intakes_[i] = std::make_shared<Intake>(
          Intake::Parts{queue, shard(), *this, parts_.sources, static_cast<std::uint32_t>(i)});
      intake_at_[i].store(intakes_[i].get(), std::memory_order_release);
    }
    door_ = &queue->door();
    intakes_[i]->start();
  }
}

std::optional<kante_status> Instance::receive(const Intake::Arrival& arrival) {
  kante_msg* message = arrival.message.get();
  message->ways.arrived(receiver_, arrival.hop.hops, Ways::Holders::kOne);
  kante_event event{};
  event.struct_size = sizeof event;
  event.type = KANTE_EVENT_INPUT;
  event.id = arrival.input;
  event.token = arrival.token;
  event.arg = arrival.earlier;
  event.name = toStr(arrival.hop.source->telemetry_name);
  event.msg = message;
  event.words = message->data();
  event.word_count = message->words;
  const kante_status status = callInput(event, arrival.hop.hops);
  if (!is_here_) {
    if (status == KANTE_E_AGAIN) {
      no_room_ = true;
      return std::nullopt;
    }
    if (status == KANTE_PENDING) sent_.push({Delivery(), arrival.token});
  }
  if (status != KANTE_E_AGAIN) {
    messages_in_.store(messages_in_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  return status;
}

kante_status Instance::settle(std::uint64_t token, kante_status status) {
  if (status > KANTE_OK) return KANTE_E_INVALID;
  const std::uint32_t input = TokenTable::inputOf(token);
  if (token == 0 || input >= intake_at_.size()) return KANTE_E_NOT_FOUND;
  Intake* intake = intake_at_[input].load(std::memory_order_acquire);
  if (intake == nullptr || !intake->claim(token)) return KANTE_E_NOT_FOUND;
  if (onStrand()) {
    settleInOrder(token, status);
  } else {
    settleLater(token, status, "");
  }
  return KANTE_OK;
}

// Strand.  What the module's own threads emitted before has to be on its way first.
void Instance::settleInOrder(std::uint64_t token, kante_status status) {
  std::string reason;
  if (status < KANTE_OK && status != KANTE_E_AGAIN) reason = explanation_;
  if (has_foreign_.load(std::memory_order_acquire)) {
    settleLater(token, status, std::move(reason));
  } else {
    settleNow(token, status, reason);
  }
}

// Bounded by the unsettled deliveries that there are.
void Instance::settleLater(std::uint64_t token, kante_status status, std::string reason) {
  {
    const std::lock_guard lock(foreign_mutex_);
    foreign_.push_back({kSettlement, MessageRef(), 0, token, status, std::move(reason)});
    if (has_foreign_.exchange(true, std::memory_order_acq_rel)) return;
  }
  onShard([this] {
    if (phase_ != Phase::kEnded) shard().runLater(*this);
  });
}

void Instance::settleNow(std::uint64_t token, kante_status status, const std::string& reason) {
  Intake& intake = *intakes_[TokenTable::inputOf(token)];
  if (status >= KANTE_OK || status == KANTE_E_AGAIN) return intake.settled(token, status, reason);
  errors_.fetch_add(1, std::memory_order_relaxed);
  const std::string text = statusName(status) + (reason.empty() ? "" : ": " + reason);
  log(3, "an input of " + intake.queue()->input() + " answered " + text);
  intake.settled(token, status, who_ + " answered " + text);
}

void Instance::unsettledFull(const std::string& input) {
  const std::string text = "input " + input + " has " +
                           std::to_string(Intake::kUnsettledMessagesMax) + " messages or " +
                           std::to_string(Intake::kUnsettledBytesMax >> 20) +
                           " MiB unsettled and gets no more until the module settles some";
  log(3, text);
  parts_.control(
      [self = shared_from_this(), text] { self->parts_.event("module.unsettled", text); });
}

void Instance::quarantined(const std::string& input, const std::string& reason) {
  const std::string text = "a message of input " + input + " went to quarantine: " + reason;
  log(3, text);
  parts_.control(
      [self = shared_from_this(), text] { self->parts_.event("message.quarantined", text); });
}

}  // namespace kante
