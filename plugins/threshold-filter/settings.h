// What a threshold-filter is told: by its configuration, and on top of that by its desired
// properties.
#pragma once

#include <kante/fields.hpp>

enum class Direction { kRising, kFalling };
enum class Mode { kEvery, kChange };

struct Settings {
  std::string field = "machine.temperature";
  std::optional<double> threshold;  // None: nothing is an alert yet.
  double hysteresis = 0;
  Direction direction = Direction::kRising;
  Mode mode = Mode::kEvery;
  bool pass_normal = false;

  // The members that configuration and desired properties share; what is missing stays as in base.
  static Settings parse(kante::Fields& fields, const Settings& base) {
    Settings settings = base;
    settings.field = fields.string("field", base.field);
    if (settings.field.empty()) fields.refuse("field", "should name a field of the body");
    if (const auto threshold = fields.optionalNumber("threshold")) settings.threshold = threshold;
    settings.hysteresis =
        fields.number("hysteresis", base.hysteresis, {0, kante::Fields::kAnyNumber.max});
    if (fields.has("direction")) {
      settings.direction = fields.oneOf("direction", {"rising", "falling"}) == 0
                               ? Direction::kRising
                               : Direction::kFalling;
    }
    if (fields.has("mode")) {
      settings.mode = fields.oneOf("mode", {"every", "change"}) == 0 ? Mode::kEvery : Mode::kChange;
    }
    settings.pass_normal = fields.boolean("pass_normal", base.pass_normal);
    return settings;
  }

  kante::json::Value toJson() const {
    return {{"field", field},
            {"threshold", threshold ? kante::json::Value(*threshold) : kante::json::Value()},
            {"hysteresis", hysteresis},
            {"direction", direction == Direction::kRising ? "rising" : "falling"},
            {"mode", mode == Mode::kEvery ? "every" : "change"},
            {"pass_normal", pass_normal}};
  }

  // Whether a value is an alert, given whether the last one was: between threshold and threshold
  // minus (falling: plus) hysteresis nothing changes.
  bool isAlert(double value, bool was_alert) const {
    if (!threshold) return false;
    const bool rising = direction == Direction::kRising;
    const double limit = was_alert ? *threshold + (rising ? -hysteresis : hysteresis) : *threshold;
    if (was_alert && hysteresis > 0) return rising ? value > limit : value < limit;
    return rising ? value >= limit : value <= limit;
  }
};
