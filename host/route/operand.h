// The values that conditions read from a message, each known by one number in a whole route set, so
// that a message is asked at most once for each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "host/route/body_plan.h"
#include "host/route/property_name.h"
#include "host/route/syntax.h"
#include "host/route/system_property.h"

namespace kante::route_detail {

struct Operand {
  enum class Kind : std::uint8_t { kProperty, kSystem, kBody, kTwinChange };
  Kind kind = Kind::kProperty;
  SystemProperty system = SystemProperty::kFromAuthor;
  PropertyName property;          // kProperty
  std::string name;               // kSystem
  std::uint32_t cell = 0;         // kBody, kTwinChange: of the body plan.
  std::uint32_t second_cell = 0;  // kTwinChange: the path without "properties.reported".
};

class OperandTable {
 public:
  // The number of what a leaf node reads; nodes that read the same have the same.
  std::uint32_t numberOf(const Node& leaf);
  // No more numbers; cells of the body get their places.
  void freeze();

  std::size_t size() const { return operands_.size(); }
  const Operand& operator[](std::uint32_t number) const { return operands_[number]; }
  const BodyPlan& body() const { return body_; }

 private:
  std::vector<Operand> operands_;
  std::map<std::string, std::uint32_t> numbers_;  // By canonical text.
  BodyPlan body_;
};

bool readsMessage(const Node& node);  // Whether the node is a leaf with an operand.

}  // namespace kante::route_detail
