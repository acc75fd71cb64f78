// One message under evaluation: what was read from it so far, and the room to compute in.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "host/route/arena.h"
#include "host/route/body_reader.h"
#include "host/route/operand.h"
#include "host/route/parser.h"
#include "host/route/route_input.h"
#include "host/route/value.h"

namespace kante::route_detail {

class Evaluation {
 public:
  Evaluation() : arena_(kEvaluationBytesMax) {}

  // Both outlive the evaluation of this message.
  void begin(const OperandTable& operands, const RouteInput& input) {
    operands_ = &operands;
    input_ = &input;
    body_is_read_ = false;
    if (cells_.size() < operands.size()) cells_.resize(operands.size());
    if (++generation_ == 0) forget();
  }

  // Asks the message at most once.
  const Value& operand(std::uint32_t number) {
    Cell& cell = cells_[number];
    if (cell.generation != generation_) {
      const Operand& wanted = (*operands_)[number];
      if (wanted.kind == Operand::Kind::kProperty) {
        const std::string_view text = wanted.property.findIn(input_->message);
        cell.value = text.data() == nullptr ? Value::undefined() : Value::of(text);
      } else {
        cell.value = read(wanted);
      }
      cell.generation = generation_;
    }
    return cell.value;
  }

  const OperandTable& operands() const { return *operands_; }
  BodyState bodyState();  // Reads the body if nobody did yet.

  Value* values() { return values_.data(); }
  Arena& arena() { return arena_; }
  std::vector<std::uint32_t>& matched() { return matched_; }

 private:
  struct Cell {
    Value value = Value::undefined();
    std::uint32_t generation = 0;
  };

  Value read(const Operand& operand);  // Anything but a property.
  Value twinChange(const Operand& operand);
  void forget();

  const OperandTable* operands_ = nullptr;
  const RouteInput* input_ = nullptr;
  std::vector<Cell> cells_;
  std::uint32_t generation_ = 0;  // Of the message; a cell of another one is stale.
  bool body_is_read_ = false;
  BodyState body_state_ = BodyState::kMalformed;
  std::vector<std::uint32_t> matched_;
  SystemText system_text_;
  std::array<Value, kValuesMax> values_;
  Arena arena_;  // Of one condition.
  BodyReader body_;
};

}  // namespace kante::route_detail
