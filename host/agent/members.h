// Reads one JSON object member by member; every error begins with the JSON pointer of what is
// wrong.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/result.h"

namespace kante {

// "/modules/x: text"
Error failAt(const std::string& pointer, Errc code, const std::string& text);

// Borrows the object.
class Members {
 public:
  Members(const boost::json::object& object, std::string pointer)
      : object_(object), pointer_(std::move(pointer)) {}

  // kInvalid for a member that is none of these, with the nearest of them.
  Status allow(std::initializer_list<std::string_view> known) const;

  const boost::json::value* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const std::string& pointer() const { return pointer_; }
  std::string at(std::string_view name) const;  // Its pointer.
  Error fail(std::string_view name, const std::string& text, Errc code = Errc::kInvalid) const;

  // Absent: `fallback`.  A null is a wrong type, not an absence.
  Result<std::string> text(std::string_view name, std::string fallback = {}) const;
  Result<std::uint64_t> number(std::string_view name, std::uint64_t fallback, std::uint64_t from,
                               std::uint64_t to) const;
  Result<std::size_t> word(std::string_view name, std::span<const char* const> words,
                           std::size_t fallback) const;
  Result<std::vector<std::string>> texts(std::string_view name) const;
  // Null when absent.
  Result<const boost::json::object*> object(std::string_view name) const;

 private:
  const boost::json::object& object_;
  std::string pointer_;
};

}  // namespace kante
