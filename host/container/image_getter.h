// Gets images before anything of a deployment changes, as often as it takes.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "host/base/result.h"
#include "host/container/engine.h"

namespace kante {

class Log;

struct ImageProgress {
  std::string image;  // Empty: none is got now.
  std::string registry;
  std::uint64_t bytes = 0;  // Of all layers that have begun to come.
  std::uint64_t of = 0;     // 0: not known yet.
  std::string problem;      // What the last attempt ended with; empty: it is under way.
};

// Control thread.  One at a time: progress() is that of the image that was begun last.
class ImageGetter {
 public:
  static constexpr std::uint32_t kFewTries = 3;

  // Whether somebody stands by, or it comes when it can.
  enum class Patience { kFewTries, kUntilDropped };

  struct Times {
    std::chrono::milliseconds few{1'000};    // Between tries, where somebody stands by.
    std::chrono::milliseconds first{5'000};  // Where nobody does; it doubles up to `last`.
    std::chrono::milliseconds last{600'000};
    // The longest after so many tries, the first of which is 0.
    std::chrono::milliseconds longestAfter(std::uint32_t tries) const;
  };
  // All borrowed; they outlive this, and this outlives its handles.
  struct Options {
    boost::asio::io_context& control;
    Engine& engine;
    Log& log;
    LoginFor login;
    std::function<void(const std::string& image)> on_pulled;
    std::function<void()> changed;  // progress() has news worth telling.  May be null.
    Times times = {};
  };

  explicit ImageGetter(Options options);
  ~ImageGetter();
  ImageGetter(const ImageGetter&) = delete;
  ImageGetter& operator=(const ImageGetter&) = delete;

  // Done when the engine has it; with an error, that of the last try.  Dropping the handle ends it,
  // and `then` is not called.
  using Then = std::function<void(Status)>;
  [[nodiscard]] std::shared_ptr<void> get(const std::string& image, Patience patience, Then then);
  ImageProgress progress() const;

 private:
  struct Job;
  const Options options_;
  std::minstd_rand jitter_{std::random_device{}()};
  std::weak_ptr<Job> last_;
};

}  // namespace kante
