// A task for later on the control thread, for those who know nothing of event loops.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace kante::cli {

// Dropping the handle ends it, also from within the task.  `control` outlives the handle.
inline std::shared_ptr<void> runLater(boost::asio::io_context& control,
                                      std::chrono::milliseconds delay, std::function<void()> task) {
  const auto timer = std::make_shared<boost::asio::steady_timer>(control, delay);
  timer->async_wait([task = std::move(task)](const boost::system::error_code& stopped) {
    if (!stopped) task();
  });
  return timer;
}

}  // namespace kante::cli
