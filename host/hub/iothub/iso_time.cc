#include "host/hub/iothub/iso_time.h"

#include <chrono>

namespace kante::hub {
namespace {

class Digits {
 public:
  explicit Digits(std::string_view text) : rest_(text) {}
  // Exactly `count` digits.
  int number(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (i >= rest_.size() || rest_[i] < '0' || rest_[i] > '9') return good_ = false, 0;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }
  void sign(std::string_view one_of) {
    if (rest_.empty() || one_of.find(rest_.front()) == std::string_view::npos) {
      good_ = false;
      return;
    }
    rest_.remove_prefix(1);
  }
  // Of a second, in ns; what is finer is cut.
  std::int64_t fraction() {
    std::int64_t ns = 0;
    std::int64_t unit = 100'000'000;
    if (rest_.empty() || rest_.front() != '.') return 0;
    rest_.remove_prefix(1);
    if (next() < '0' || next() > '9') good_ = false;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; unit /= 10) {
      ns += unit * (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return ns;
  }
  char next() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool done() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

std::optional<std::int64_t> parseIsoTime(std::string_view text) {
  using namespace std::chrono;
  Digits in(text);
  const int y = in.number(4);
  in.sign("-");
  const int m = in.number(2);
  in.sign("-");
  const int d = in.number(2);
  in.sign("Tt ");
  const int hour = in.number(2);
  in.sign(":");
  const int minute = in.number(2);
  in.sign(":");
  const int second = in.number(2);
  const std::int64_t fraction = in.fraction();
  int offset = 0;
  if (const char zone = in.next(); zone == '+' || zone == '-') {
    in.sign("+-");
    offset = in.number(2) * 60;
    in.sign(":");
    offset = (offset + in.number(2)) * (zone == '-' ? -1 : 1);
  } else if (zone != '\0') {
    in.sign("Zz");
  }
  const year_month_day date{year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d))};
  if (!in.done() || !date.ok() || y < 1970 || y > 2200 || hour > 23 || minute > 59 || second > 60 ||
      offset > 1439 || offset < -1439)
    return std::nullopt;
  const auto whole =
      sys_days(date).time_since_epoch() + hours(hour) + minutes(minute - offset) + seconds(second);
  return duration_cast<nanoseconds>(whole).count() + fraction;
}

}  // namespace kante::hub
