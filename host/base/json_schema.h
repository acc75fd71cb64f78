// A subset of JSON Schema: what a module's `config_schema` may say, and the judgement of a value by
// it.
//
// type, enum, const; properties, required, additionalProperties (true, false or a schema); items,
// minItems, maxItems; minimum, maximum, exclusiveMinimum, exclusiveMaximum; minLength, maxLength
// (code points), pattern; default; and the annotations title, description, examples, format,
// $schema, $id, $comment. Any other keyword is refused when the schema is compiled, so that nobody
// believes in a check that is not made.  Depth and size are bounded; patterns give up instead of
// running away.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <memory>

#include "host/base/result.h"

namespace kante {

// Immutable; copies share the compiled form.  Any thread.
class JsonSchema {
 public:
  static constexpr std::size_t kDepthMax = 16;
  static constexpr std::size_t kNodesMax = 4'096;
  static constexpr std::size_t kPatternBytesMax = 256;
  static constexpr std::size_t kPatternSubjectBytesMax = 4'096;

  // kInvalid or kLimit; the text names the pointer into the schema.
  static Result<JsonSchema> compile(const boost::json::value& schema);

  // kInvalid; the text begins with the JSON pointer into the value ("/period_ms: …"; the root is
  // "/").
  Status validate(const boost::json::value& value) const;

  // The value with the `default` of every property that is missing, at every depth.
  boost::json::value withDefaults(const boost::json::value& value) const;

 private:
  struct Node;
  struct Compiler;
  explicit JsonSchema(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;  // Shared by copies; nobody changes it.
};

}  // namespace kante
