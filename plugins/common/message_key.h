// By what a module tells messages apart that it must not mix: the sender, a property, a field of
// the body.
#pragma once

#include <kante/module.hpp>

class MessageKey {
 public:
  static constexpr std::size_t kBytesMax = 256;

  // The member `key` of a configuration: "none" (the default), "sender", {"property": NAME} or
  // {"field": PATH}.  Throws kante::Failure.
  static MessageKey parse(kante::Fields& fields) {
    MessageKey key;
    const kante::json::Value* member = fields.value("key");
    if (member == nullptr) return key;
    if (member->isString()) {
      key.source_ = fields.oneOf("key", {"none", "sender"}) == 0 ? Source::kNone : Source::kSender;
      return key;
    }
    kante::Fields object = fields.object("key");
    if (object.has("property") == object.has("field")) {
      fields.refuse("key",
                    "should be \"none\", \"sender\", {\"property\": NAME} or {\"field\": PATH}");
    }
    key.source_ = object.has("property") ? Source::kProperty : Source::kField;
    key.name_ = object.string(key.source_ == Source::kProperty ? "property" : "field");
    object.end();
    return key;
  }

  // Empty when the message has none, or one above kBytesMax.
  std::string of(const kante::Input& input, const kante::json::Value& body) const {
    std::string key;
    switch (source_) {
      case Source::kNone: break;
      case Source::kSender: key = input.sender(); break;
      case Source::kProperty: key = input.property(name_); break;
      case Source::kField:
        if (const kante::json::Value* field = body.find(name_)) {
          key = field->isString() ? *field->string() : field->dump();
        }
        break;
    }
    return key.size() <= kBytesMax ? key : std::string();
  }

 private:
  enum class Source { kNone, kSender, kProperty, kField };
  Source source_ = Source::kNone;
  std::string name_;
};
