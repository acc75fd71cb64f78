#include "host/route/parser.h"

#include <array>
#include <optional>
#include <utility>

#include "host/base/encoding.h"
#include "host/route/body_path.h"
#include "host/route/endpoint.h"
#include "host/route/lexer.h"
#include "host/route/route_set.h"
#include "host/route/types.h"

namespace kante::route_detail {
namespace {

struct Operator {
  TokenKind token;
  NodeKind node;
  int level;  // Binds tighter the higher.
};

constexpr std::array<Operator, 15> kOperators{{
    {TokenKind::kCoalesce, NodeKind::kCoalesce, 1},
    {TokenKind::kOr, NodeKind::kOr, 2},
    {TokenKind::kAnd, NodeKind::kAnd, 3},
    {TokenKind::kEqual, NodeKind::kEqual, 4},
    {TokenKind::kNotEqual, NodeKind::kNotEqual, 4},
    {TokenKind::kLess, NodeKind::kLess, 5},
    {TokenKind::kLessEqual, NodeKind::kLessEqual, 5},
    {TokenKind::kGreater, NodeKind::kGreater, 5},
    {TokenKind::kGreaterEqual, NodeKind::kGreaterEqual, 5},
    {TokenKind::kPlus, NodeKind::kAdd, 6},
    {TokenKind::kMinus, NodeKind::kSubtract, 6},
    {TokenKind::kConcat, NodeKind::kConcat, 6},
    {TokenKind::kStar, NodeKind::kMultiply, 7},
    {TokenKind::kSlash, NodeKind::kDivide, 7},
    {TokenKind::kPercent, NodeKind::kModulo, 7},
}};

const Operator* findOperator(TokenKind token) {
  for (const Operator& op : kOperators) {
    if (op.token == token) return &op;
  }
  return nullptr;
}

// What people write who know another language.
std::string hintFor(std::string_view found) {
  if (found.starts_with("&&")) return "; write AND";
  if (found.starts_with("!")) return "; write NOT (…)";
  if (sameIgnoringCase(found, "like")) return "; write starts_with, ends_with or contains";
  if (sameIgnoringCase(found, "in")) return "; write a = 'x' OR a = 'y'";
  if (sameIgnoringCase(found, "is")) return "; write is_defined(…) or is_null(…)";
  return "";
}

// The first characters of a text, for a message.
std::string beginningOf(std::string_view text) {
  constexpr std::size_t kBytes = 40;
  std::string beginning(text.substr(0, kBytes));
  while (!isUtf8(beginning)) beginning.pop_back();
  return beginning;
}

std::string noFunction(std::string_view name) {
  std::vector<std::string> names{std::string(kTwinChangeIncludes)};
  for (const Function& known : functions()) names.emplace_back(known.name);
  const std::string near = nearest(lowerAscii(name), names);
  return "there is no function " + beginningOf(name) +
         (name.starts_with('!') ? hintFor(name)
          : near.empty()        ? ""
                                : "; did you mean " + near + "?");
}

std::string wrongCount(const Function& function, std::size_t arguments) {
  std::string counts = std::to_string(function.arguments_min);
  if (function.arguments_max != function.arguments_min) {
    counts += " to " + std::to_string(function.arguments_max);
  }
  return std::string(function.name) + " takes " + counts +
         (counts == "1" ? " argument, not " : " arguments, not ") + std::to_string(arguments);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { syntax_.text = std::string(text); }

  RouteResult<RouteSyntax> route();

 private:
  // Where an expression stands, its parentheses included.
  struct Extent {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  using Parsed = RouteResult<Extent>;
  using Done = RouteResult<void>;

  Done advance();
  Done expect(TokenKind kind, const char* expected);
  RouteError unexpected(const std::string& expected) const;
  RouteError errorAt(std::size_t byte, std::string text) const {
    return lexer_.errorAt(byte, std::move(text));
  }

  Done head();
  Done source();
  Done path();
  Done condition();
  Done sink();
  // NAME "(" text ")", its text; NAME is the current token.
  RouteResult<Token> textArgument(const std::string& example);

  Parsed expression(int level);
  Parsed unary();
  Parsed negation();
  Parsed primary();
  Parsed parenthesised();
  Parsed call(const Token& name);
  Parsed twinChangeIncludes(const Token& name);
  Parsed systemName(const Token& token, Extent extent);
  Parsed braces();
  Parsed leaf(Node node, Extent extent);

  Node& add(NodeKind kind, std::uint32_t first, Extent extent);
  // Types the node just added; operator_byte: where its operator stands.
  Done finish(std::uint32_t operator_byte);
  Done deeper();
  std::uint32_t nodeCount() const { return static_cast<std::uint32_t>(syntax_.nodes.size()); }
  Extent extentOf(const Token& token) const {
    return {static_cast<std::uint32_t>(token.begin), static_cast<std::uint32_t>(token.end)};
  }

  Lexer lexer_;
  Token token_;  // The current one; what follows is not read yet.
  RouteSyntax syntax_;
  std::size_t depth_ = 0;
};

// ---- pieces
// ----------------------------------------------------------------------------------------------------

RouteResult<void> Parser::advance() {
  auto token = lexer_.next();
  if (token.has_error()) return token.error();
  token_ = std::move(*token);
  return {};
}

RouteError Parser::unexpected(const std::string& expected) const {
  if (token_.kind == TokenKind::kEnd) {
    return errorAt(token_.begin, "expected " + expected + ", but the route ends here");
  }
  const std::string found = beginningOf(lexer_.textOf(token_));
  std::string hint = hintFor(found);
  if (token_.kind == TokenKind::kNumber && found.starts_with('-')) {
    hint = "; write spaces around a minus sign: a - " + found.substr(1);
  }
  return errorAt(token_.begin, "expected " + expected + ", found " + found + hint);
}

RouteResult<void> Parser::expect(TokenKind kind, const char* expected) {
  if (token_.kind != kind) return unexpected(expected);
  return advance();
}

Node& Parser::add(NodeKind kind, std::uint32_t first, Extent extent) {
  Node& node = syntax_.nodes.emplace_back();
  node.kind = kind;
  node.first = first;
  node.begin = extent.begin;
  node.end = extent.end;
  return node;
}

RouteResult<void> Parser::finish(std::uint32_t operator_byte) {
  if (auto error = checkTypes(syntax_, operator_byte))
    return errorAt(error->byte, std::move(error->text));
  return {};
}

RouteResult<void> Parser::deeper() {
  if (++depth_ <= kRouteDepthMax) return {};
  return errorAt(token_.begin, "parentheses and calls are nested at most " +
                                   std::to_string(kRouteDepthMax) + " deep");
}

// ---- the frame
// -------------------------------------------------------------------------------------------------

RouteResult<RouteSyntax> Parser::route() {
  KANTE_CHECK(head());
  KANTE_CHECK(source());
  if (token_.kind == TokenKind::kWhere) {
    KANTE_CHECK(advance());
    KANTE_CHECK(condition());
  }
  if (token_.kind != TokenKind::kInto) {
    return unexpected("WHERE or INTO");
  }
  KANTE_CHECK(advance());
  KANTE_CHECK(sink());
  if (token_.kind != TokenKind::kEnd) return unexpected("the end of the route behind its sink");
  return std::move(syntax_);
}

RouteResult<void> Parser::head() {
  KANTE_CHECK(advance());
  if (token_.kind == TokenKind::kSelect) {
    KANTE_CHECK(advance());
    KANTE_CHECK(expect(TokenKind::kStar, "* behind SELECT: a route passes whole messages on"));
  }
  if (token_.kind != TokenKind::kFrom) return unexpected("FROM");
  KANTE_TRY(token, lexer_.nextOfSource());
  token_ = std::move(token);
  return {};
}

RouteResult<void> Parser::source() {
  const std::size_t begin = token_.begin;
  if (token_.kind == TokenKind::kSlash) {
    KANTE_CHECK(path());
  } else if (token_.kind == TokenKind::kName &&
             sameIgnoringCase(lexer_.textOf(token_), "MqttTopic")) {
    KANTE_TRY(argument, textArgument("MqttTopic(\"factory/+/temp\")"));
    auto pattern = SourcePattern::topic(argument.string);
    if (pattern.has_error()) return errorAt(argument.begin, pattern.error().text);
    syntax_.source = std::move(*pattern);
  } else {
    return unexpected(
        "a source: a path like /messages/modules/NAME/outputs/* or MqttTopic(\"FILTER\")");
  }
  const std::string_view text = std::string_view(syntax_.text).substr(begin, token_.begin - begin);
  syntax_.source_text = std::string(text.substr(0, text.find_last_not_of(" \t\r\n") + 1));
  return {};
}

RouteResult<void> Parser::path() {
  std::vector<std::string> segments;
  do {
    const Token part = lexer_.segment();
    const std::string_view name = lexer_.textOf(part);
    if (name.empty()) return errorAt(part.begin, "expected a name or * behind the slash");
    if (name != "*" && name.find('*') != std::string_view::npos) {
      return errorAt(part.begin, "a * stands for a whole part of a path: write /*");
    }
    segments.emplace_back(name);
  } while (lexer_.skipAt('/'));
  syntax_.source = SourcePattern::path(std::move(segments));
  return advance();
}

RouteResult<void> Parser::condition() {
  KANTE_TRY(extent, expression(1));
  (void)extent;
  if (token_.kind != TokenKind::kInto) return unexpected("an operator or INTO");
  if (auto error = checkCondition(syntax_)) return errorAt(error->byte, std::move(error->text));
  std::size_t waiting = 0;
  for (const Node& node : syntax_.nodes) {
    waiting = waiting + 1 - operandCount(node);
    if (waiting > kValuesMax)
      return errorAt(node.begin, "this condition is too complex: write several routes");
  }
  return {};
}

RouteResult<Token> Parser::textArgument(const std::string& example) {
  KANTE_CHECK(advance());
  const std::string expected = "as in " + example;
  if (token_.kind != TokenKind::kOpen) return unexpected("( " + expected);
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kText) return unexpected("a text in quotes " + expected);
  Token argument = token_;
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kClose) return unexpected(") " + expected);
  KANTE_CHECK(advance());
  return argument;
}

RouteResult<void> Parser::sink() {
  const std::string_view name = lexer_.textOf(token_);
  if (token_.kind == TokenKind::kSystemName && sameIgnoringCase(name, "$upstream")) {
    syntax_.sink.text = "$upstream";
    return advance();
  }
  const bool endpoint = sameIgnoringCase(name, "BrokeredEndpoint");
  if (token_.kind != TokenKind::kName || (!endpoint && !sameIgnoringCase(name, "MqttTopic"))) {
    return unexpected(
        "a sink: $upstream, BrokeredEndpoint(\"/modules/NAME/inputs/INPUT\") or "
        "MqttTopic(\"TOPIC\")");
  }
  KANTE_TRY(argument, textArgument(endpoint ? "BrokeredEndpoint(\"/modules/NAME/inputs/INPUT\")"
                                            : "MqttTopic(\"alerts/{$connectionDeviceId}\")"));
  auto sink = endpoint ? moduleSink(argument.string) : topicSink(argument.string);
  if (sink.has_error()) return errorAt(argument.begin, sink.error().text);
  syntax_.sink = std::move(*sink);
  return {};
}

// ---- expressions
// -----------------------------------------------------------------------------------------------

// Operators of this level and tighter, left to right.
RouteResult<Parser::Extent> Parser::expression(int level) {
  const std::uint32_t first = nodeCount();
  KANTE_TRY(extent, unary());
  for (;;) {
    const Operator* const op = findOperator(token_.kind);
    if (op == nullptr || op->level < level) return extent;
    const auto operator_byte = static_cast<std::uint32_t>(token_.begin);
    KANTE_CHECK(advance());
    KANTE_TRY(right, expression(op->level + 1));
    extent.end = right.end;
    add(op->node, first, extent);
    KANTE_CHECK(finish(operator_byte));
  }
}

RouteResult<Parser::Extent> Parser::unary() {
  const std::uint32_t first = nodeCount();
  std::vector<std::uint32_t> nots;
  while (token_.kind == TokenKind::kNot) {
    nots.push_back(static_cast<std::uint32_t>(token_.begin));
    KANTE_CHECK(advance());
  }
  KANTE_TRY(extent, negation());
  for (; !nots.empty(); nots.pop_back()) {
    extent.begin = nots.back();
    add(NodeKind::kNot, first, extent);
    KANTE_CHECK(finish(extent.begin));
  }
  return extent;
}

RouteResult<Parser::Extent> Parser::negation() {
  const std::uint32_t first = nodeCount();
  std::vector<std::uint32_t> signs;
  while (token_.kind == TokenKind::kMinus) {
    signs.push_back(static_cast<std::uint32_t>(token_.begin));
    KANTE_CHECK(advance());
  }
  KANTE_TRY(extent, primary());
  for (; !signs.empty(); signs.pop_back()) {
    extent.begin = signs.back();
    add(NodeKind::kNegate, first, extent);
    KANTE_CHECK(finish(extent.begin));
  }
  return extent;
}

RouteResult<Parser::Extent> Parser::leaf(Node node, Extent extent) {
  node.first = nodeCount();
  node.begin = extent.begin;
  node.end = extent.end;
  syntax_.nodes.push_back(std::move(node));
  KANTE_CHECK(finish(extent.begin));
  return extent;
}

RouteResult<Parser::Extent> Parser::primary() {
  Node node;
  switch (token_.kind) {
    case TokenKind::kOpen: return parenthesised();
    case TokenKind::kOpenBrace: return braces();
    case TokenKind::kSystemName: {
      const Token name = token_;
      KANTE_CHECK(advance());
      return systemName(name, extentOf(name));
    }
    case TokenKind::kName:
      node.kind = NodeKind::kProperty;
      node.text = std::string(lexer_.textOf(token_));
      break;
    case TokenKind::kNumber:
      node.kind = NodeKind::kNumber;
      node.number = token_.number;
      break;
    case TokenKind::kText:
      node.kind = NodeKind::kText;
      node.text = token_.string;
      break;
    case TokenKind::kTrue:
    case TokenKind::kFalse:
      node.kind = NodeKind::kBool;
      node.truth = token_.kind == TokenKind::kTrue;
      break;
    case TokenKind::kNull: node.kind = NodeKind::kNull; break;
    case TokenKind::kUndefined: node.kind = NodeKind::kUndefined; break;
    default:
      return unexpected(
          "a value: a property, $system property, $body path, literal, function or (");
  }
  const Token token = token_;
  KANTE_CHECK(advance());
  if (token.kind == TokenKind::kName && token_.kind == TokenKind::kOpen) return call(token);
  return leaf(std::move(node), extentOf(token));
}

RouteResult<Parser::Extent> Parser::parenthesised() {
  Extent extent = extentOf(token_);
  KANTE_CHECK(deeper());
  KANTE_CHECK(advance());
  KANTE_TRY(inner, expression(1));
  (void)inner;
  if (token_.kind != TokenKind::kClose) return unexpected("an operator or )");
  extent.end = static_cast<std::uint32_t>(token_.end);
  --depth_;
  KANTE_CHECK(advance());
  return extent;
}

RouteResult<Parser::Extent> Parser::braces() {
  Extent extent = extentOf(token_);
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kSystemName)
    return unexpected("a $system property or $body path, as in {$name}");
  const Token name = token_;
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kCloseBrace) return unexpected("}");
  extent.end = static_cast<std::uint32_t>(token_.end);
  KANTE_CHECK(advance());
  return systemName(name, extent);
}

RouteResult<Parser::Extent> Parser::systemName(const Token& token, Extent extent) {
  const std::string_view name = lexer_.textOf(token).substr(1);
  Node node;
  if (sameIgnoringCase(name.substr(0, 4), "twin") && (name.size() == 4 || name[4] == '.')) {
    return errorAt(token.begin,
                   "twins cannot be asked in a route of a gateway; only properties and $body can");
  }
  if (sameIgnoringCase(name.substr(0, 4), "body")) {
    if (name.size() < 6 || name[4] != '.') {
      return errorAt(token.begin, "expected a path behind $body, like $body.list[0].value");
    }
    auto path = parseBodyPath(name.substr(5));
    if (path.has_error())
      return errorAt(token.begin + 6 + path.error().position, path.error().text);
    node.kind = NodeKind::kBody;
    node.path = std::move(*path);
  } else {
    const std::size_t bracket = name.find_first_of("[]");
    if (bracket != std::string_view::npos) {
      return errorAt(token.begin + 1 + bracket, "only $body paths have elements in brackets");
    }
    node.kind = NodeKind::kSystem;
    node.text = std::string(name);
  }
  return leaf(std::move(node), extent);
}

// The current token is the ( behind the name.
RouteResult<Parser::Extent> Parser::call(const Token& name) {
  const std::uint32_t first = nodeCount();
  Extent extent = extentOf(name);
  const std::string_view text = lexer_.textOf(name);
  if (sameIgnoringCase(text, kTwinChangeIncludes)) return twinChangeIncludes(name);
  const Function* const function = findFunction(text);
  if (function == nullptr) return errorAt(name.begin, noFunction(text));
  KANTE_CHECK(deeper());
  KANTE_CHECK(advance());
  std::size_t arguments = 0;
  while (token_.kind != TokenKind::kClose || arguments > 0) {
    KANTE_TRY(argument, expression(1));
    (void)argument;
    ++arguments;
    if (token_.kind == TokenKind::kClose) break;
    if (token_.kind != TokenKind::kComma) return unexpected("an operator, a comma or )");
    KANTE_CHECK(advance());
  }
  if (arguments < function->arguments_min || arguments > function->arguments_max) {
    return errorAt(name.begin, wrongCount(*function, arguments));
  }
  extent.end = static_cast<std::uint32_t>(token_.end);
  --depth_;
  Node& node = add(NodeKind::kCall, first, extent);
  node.function = function;
  node.arguments = static_cast<std::uint8_t>(arguments);
  KANTE_CHECK(finish(extent.begin));
  KANTE_CHECK(advance());
  return extent;
}

// Its argument is written as a name (properties.reported.speed) or as a text.
RouteResult<Parser::Extent> Parser::twinChangeIncludes(const Token& name) {
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kName && token_.kind != TokenKind::kText) {
    return unexpected("a path like properties.reported.speed");
  }
  const bool quoted = token_.kind == TokenKind::kText;
  auto path = parseBodyPath(quoted ? std::string_view(token_.string) : lexer_.textOf(token_));
  if (path.has_error()) return errorAt(token_.begin, path.error().text);
  Node node;
  node.kind = NodeKind::kTwinPath;
  node.path = std::move(*path);
  KANTE_CHECK(advance());
  if (token_.kind != TokenKind::kClose) return unexpected(") behind the path");
  Extent extent = extentOf(name);
  extent.end = static_cast<std::uint32_t>(token_.end);
  KANTE_CHECK(advance());
  return leaf(std::move(node), extent);
}

}  // namespace

RouteResult<RouteSyntax> parseRoute(std::string_view text) {
  if (!isUtf8(text) || text.find('\0') != std::string_view::npos) {
    std::size_t good = 0;
    for (std::size_t step = 1; good < text.size() && text[good] != '\0'; good += step) {
      for (step = 1; step <= 4 && !isUtf8(text.substr(good, step)); ++step) continue;
      if (step > 4) break;
    }
    return RouteError("a route is UTF-8 text without U+0000", charactersIn(text.substr(0, good)));
  }
  if (charactersIn(text) > kRouteCharactersMax) {
    return RouteError("a route has at most " + std::to_string(kRouteCharactersMax) + " characters",
                      kRouteCharactersMax);
  }
  return Parser(text).route();
}

}  // namespace kante::route_detail
