#include "host/route/transcode.h"

#include <cstdint>

namespace kante::route_detail {
namespace {

enum class Order { kLittle, kBig };

std::uint32_t unitAt(std::string_view bytes, std::size_t at, std::size_t width, Order order) {
  std::uint32_t unit = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t byte = order == Order::kBig ? at + i : at + width - 1 - i;
    unit = (unit << 8) | static_cast<unsigned char>(bytes[byte]);
  }
  return unit;
}

Order orderOf(std::string_view& bytes, std::size_t width) {
  constexpr std::uint32_t kMark = 0xfeff;
  if (bytes.size() < width) return Order::kLittle;
  for (const Order order : {Order::kLittle, Order::kBig}) {
    if (unitAt(bytes, 0, width, order) != kMark) continue;
    bytes.remove_prefix(width);
    return order;
  }
  return Order::kLittle;
}

bool isSurrogate(std::uint32_t unit) { return unit >= 0xd800 && unit < 0xe000; }

}  // namespace

void appendUtf8(std::string& out, char32_t point) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xc0 | (point >> 6));
  } else {
    if (point < 0x10000) {
      put(0xe0 | (point >> 12));
    } else {
      put(0xf0 | (point >> 18));
      put(0x80 | ((point >> 12) & 0x3f));
    }
    put(0x80 | ((point >> 6) & 0x3f));
  }
  put(0x80 | (point & 0x3f));
}

bool fromUtf16(std::string_view bytes, std::string& out) {
  out.clear();
  if (bytes.size() % 2 != 0) return false;
  const Order order = orderOf(bytes, 2);
  for (std::size_t at = 0; at < bytes.size(); at += 2) {
    std::uint32_t unit = unitAt(bytes, at, 2, order);
    if (isSurrogate(unit)) {
      if (unit >= 0xdc00 || at + 4 > bytes.size()) return false;
      const std::uint32_t low = unitAt(bytes, at += 2, 2, order);
      if (low < 0xdc00 || low >= 0xe000) return false;
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    appendUtf8(out, unit);
  }
  return true;
}

bool fromUtf32(std::string_view bytes, std::string& out) {
  out.clear();
  if (bytes.size() % 4 != 0) return false;
  const Order order = orderOf(bytes, 4);
  for (std::size_t at = 0; at < bytes.size(); at += 4) {
    const std::uint32_t point = unitAt(bytes, at, 4, order);
    if (point > 0x10ffff || isSurrogate(point)) return false;
    appendUtf8(out, point);
  }
  return true;
}

}  // namespace kante::route_detail
