// A condition as a stack program: flat, no recursion, no exception, and no allocation but for the
// texts it makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/route/evaluation.h"
#include "host/route/operand.h"
#include "host/route/syntax.h"

namespace kante::route_detail {

enum class Op : std::uint8_t {
  kNumber,  // a: of the pool
  kText,    // a: of the pool
  kBool,    // a
  kNull,
  kUndefined,
  kOperand,        // a: its number
  kOperandIsText,  // a: operand, b: text of the pool; the commonest condition in one step
  kNot,
  kNegate,
  kEqual,
  kNotEqual,
  kEqualNull,  // With the literal null, which every defined value may be compared with.
  kNotEqualNull,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAdd,
  kSubtract,
  kConcat,
  kMultiply,
  kDivide,
  kModulo,
  kAnd,
  kOr,
  kCoalesce,
  kCall,         // a: function, count: arguments
  kSkipIfFalse,  // a: instructions to go on; the value stays
  kSkipIfTrue,
  kSkipIfDefined,
  kRequire,  // Takes a value; unless it is true the program ends with false.
};

struct Instruction {
  Op op;
  std::uint8_t count = 0;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
};

// Where a program stands in its pool.
struct Program {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool empty() const { return begin == end; }
};

// The code of many programs, one behind the other.
class ProgramPool {
 public:
  // The value of node i.
  Program compile(const std::vector<Node>& nodes, std::uint32_t i, OperandTable& operands);
  // Whether all these nodes are true; stops at the first that is not.
  Program compileAll(const std::vector<Node>& nodes, std::span<const std::uint32_t> conjuncts,
                     OperandTable& operands);

  // The evaluation has begun on a message with the operands that compile() was given.
  Value run(const Program& program, Evaluation& evaluation) const;
  bool isTrue(const Program& program, Evaluation& evaluation) const {
    return run(program, evaluation).isTrue();
  }

 private:
  struct Text {
    std::size_t offset;
    std::uint32_t size;
  };

  void emit(const std::vector<Node>& nodes, std::uint32_t root, OperandTable& operands);
  void emitNode(const std::vector<Node>& nodes, std::uint32_t i, OperandTable& operands);
  bool fuse();
  std::uint32_t addText(const std::string& text);
  std::string_view text(std::uint32_t i) const {
    return {bytes_.data() + texts_[i].offset, texts_[i].size};
  }

  std::vector<Instruction> code_;
  std::vector<double> numbers_;
  std::vector<Text> texts_;
  std::string bytes_;
};

// The operators on two values, but for AND, OR and ??.
Value applyBinary(Op op, const Value& a, const Value& b, Arena& arena);

}  // namespace kante::route_detail
