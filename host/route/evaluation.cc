#include "host/route/evaluation.h"

#include "host/route/lexer.h"

namespace kante {

MatchScratch::MatchScratch() : evaluation_(std::make_unique<route_detail::Evaluation>()) {}
MatchScratch::~MatchScratch() = default;
MatchScratch::MatchScratch(MatchScratch&&) noexcept = default;
MatchScratch& MatchScratch::operator=(MatchScratch&&) noexcept = default;

namespace route_detail {
Value Evaluation::read(const Operand& operand) {
  if (operand.kind == Operand::Kind::kSystem) {
    const std::string_view text =
        readSystemProperty(operand.system, operand.name, *input_, system_text_);
    return text.data() == nullptr ? Value::undefined() : Value::of(text);
  }
  if (operand.kind == Operand::Kind::kTwinChange) return twinChange(operand);
  (void)bodyState();
  return body_.cell(operand.cell);
}

// Whether the patch says anything at that path, a null that removes included.
Value Evaluation::twinChange(const Operand& operand) {
  const bool by_path = sameIgnoringCase(input_->source->path, "/twinChangeNotifications");
  if (!by_path || bodyState() != BodyState::kRead) return Value::undefined();
  const auto present = [&](std::uint32_t cell) {
    const Value& value = body_.cell(cell);
    return value.kind != ValueKind::kUndefined || isComposite(value);
  };
  return Value::of(present(operand.cell) || present(operand.second_cell));
}

BodyState Evaluation::bodyState() {
  if (!body_is_read_) {
    body_is_read_ = true;
    const MessageView& message = input_->message;
    body_state_ = body_.read(operands_->body(), message.contentType(), message.contentEncoding(),
                             message.body());
  }
  return body_state_;
}

// Once in 2^32 messages the generation comes round.
void Evaluation::forget() {
  for (Cell& cell : cells_) cell.generation = 0;
  generation_ = 1;
}

}  // namespace route_detail
}  // namespace kante
