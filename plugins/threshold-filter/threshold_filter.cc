// Lets through what crosses a threshold, with hysteresis, for each device (or any other key) by
// itself.
#include <kante/module.hpp>

#include "alert_states.h"
#include "plugins/common/message_key.h"
#include "settings.h"

namespace {

using kante::Status;
using kante::json::Value;

constexpr std::uint64_t kStateFormat = 1;

class ThresholdFilter : public kante::Module {
 public:
  explicit ThresholdFilter(kante::Start& start)
      : ThresholdFilter(start, kante::Fields(start.config())) {}

  Status onInput(const kante::Input& input) override {
    messages_in_.add();
    const Value body = input.json();
    const Value* field = body.find(settings_.field);
    const std::optional<double> value = field == nullptr ? std::nullopt : field->number();
    if (!value) {
      without_field_.add();
      return passNormal(input);
    }
    const std::string key = key_.of(input, body);
    const bool was_alert = states_.isAlert(key);
    const bool is_alert = settings_.isAlert(*value, was_alert);
    const bool tells = settings_.mode == Mode::kEvery ? is_alert : is_alert != was_alert;
    const Status status =
        tells ? alert_.answer(input, alertFrom(input, is_alert)) : passNormal(input);
    if (status == KANTE_E_AGAIN) {
      refused_.add();
      return status;  // A durable message comes again and must find the state that it found now.
    }
    if (is_alert != was_alert) (is_alert ? raised_ : cleared_).add();
    evicted_.add(static_cast<std::int64_t>(states_.set(key, is_alert)));
    keys_.set(static_cast<double>(states_.size()));
    return status;
  }

  Status onDesired(const kante::Desired& desired) override {
    try {
      kante::Fields fields(desired.properties());
      const Settings settings = Settings::parse(fields, configured_);
      fields.end();
      settings_ = settings;
      reportSettings(desired.version(), nullptr);
      return KANTE_OK;
    } catch (const kante::Failure& failure) {
      reportSettings(desired.version(), failure.what());
      throw;
    }
  }

  std::optional<kante::State> onSave() override {
    return kante::State{kStateFormat, Value{{"keys", states_.toJson()}}.dump()};
  }

  Status onRestore(const kante::State& state) override {
    if (state.format != kStateFormat) throw kante::Failure("state of an unknown format");
    const kante::json::Limits limits{KANTE_STATE_BYTES_MAX, 8, 1u << 20};
    const Value json = kante::json::parse(state.bytes, limits);
    const Value* keys = json.get("keys");
    states_.restore(keys == nullptr ? Value() : *keys);
    return KANTE_OK;
  }

 private:
  ThresholdFilter(kante::Start& start, kante::Fields fields)
      : Module(start),
        configured_(Settings::parse(fields, {})),
        settings_(configured_),
        key_(MessageKey::parse(fields)),
        states_(static_cast<std::size_t>(fields.integer("keys_max", 1'000, {1, 100'000}))) {
    fields.end();
  }

  Status passNormal(const kante::Input& input) {
    return settings_.pass_normal ? normal_.forward(input) : KANTE_OK;
  }

  kante::Draft alertFrom(const kante::Input& input, bool is_alert) const {
    const char* kind = settings_.direction == Direction::kRising ? "high" : "low";
    kante::Draft draft = kante::Draft::from(input.message());
    draft.property("alert", is_alert ? kind : "cleared");
    draft.property("threshold", Value(settings_.threshold.value_or(0)).dump());
    return draft;
  }

  void reportSettings(std::uint64_t version, const char* error) {
    Value patch = settings_.toJson();
    patch["desiredVersion"] = version;
    patch["error"] = error == nullptr ? Value() : Value(error);
    report(patch);
  }

  const Settings configured_;
  Settings settings_;
  const MessageKey key_;
  AlertStates states_;

  kante::Outbox alert_{*this, "alert"};
  kante::Outbox normal_{*this, "normal"};
  kante::Counter messages_in_{*this, "messages_in"};
  kante::Counter without_field_{*this, "messages_without_field"};
  kante::Counter refused_{*this, "messages_refused"};
  kante::Counter raised_{*this, "alerts_raised"};
  kante::Counter cleared_{*this, "alerts_cleared"};
  kante::Counter evicted_{*this, "keys_evicted"};
  kante::Gauge keys_{*this, "keys"};
};

}  // namespace

KANTE_MODULE(ThresholdFilter, "dev.kante.threshold-filter", "1.0.0", KANTE_INPUTS("in"),
             KANTE_OUTPUTS("alert", "normal"))
