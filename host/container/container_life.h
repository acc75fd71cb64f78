// One container by its name: what is wanted of it, what the engine says of it, and the one step at
// a time from that to this.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "host/container/container_modules.h"

namespace kante {

// What all lives of a gateway have in common; outlives them.
struct ContainerWorld {
  const ContainerModules::Options& options;
  std::function<void()> changed;
  std::function<void(const Error& error)> lost;  // The engine went away.
  const EngineFacts& engine;                     // As it was when it came last.
};

// Control thread.  Owned by ContainerModules; shared weakly with its timer.
class ContainerLife : public std::enable_shared_from_this<ContainerLife> {
 public:
  // As of modules in sandboxes.
  static constexpr std::uint32_t kBackoffFirstMs = 100;
  static constexpr std::uint32_t kBackoffLastMs = 30'000;
  static constexpr std::uint32_t kShortLivesMax = 20;
  static constexpr std::int64_t kLongLifeNs = 10'000'000'000;
  static constexpr std::uint32_t kLinesPerSecond = 100;

  ContainerLife(const ContainerWorld& world, std::string name)
      : world_(world), name_(std::move(name)) {}

  void want(std::optional<WantedContainer> wanted);
  void look();        // Asks the engine how it is, and takes the next step.
  void disconnect();  // Nothing is known any more, and nothing is asked.
  Status restart();
  void stop();  // Until something else is wanted.

  const std::optional<WantedContainer>& wanted() const { return wanted_; }
  bool isGone() const { return !wanted_ && known_ && !call_ && !isOurs(); }
  bool isResting() const;  // Known not to run.
  ContainerStatus status() const;

 private:
  bool isOurs() const;
  bool runs() const;
  bool isLeftAlone() const { return retry_ != nullptr || state_ == ContainerState::kFailed; }
  template <typename T>
  std::function<void(Result<T>)> then(void (ContainerLife::*next)(Result<T>));

  void step();
  void looked(Result<ContainerFacts> facts);
  void create();
  void hasImage(Result<ImageFacts> image);
  void pull();
  void pulled(Status status);
  void make();
  void foundGateway(Result<std::string> address);
  void makeOf(const std::string& body);
  void made(Result<std::string> id);
  void begin();
  void begun(Status status);
  void running();
  void ended();
  void end(void (ContainerLife::*next)(Status));
  void endedToRemove(Status status);
  void lookAfter(Status status);
  void followLogs();
  void line(const ContainerLine& line);

  enum class Count { kLife, kAttempt };
  void backOff(const Error& error, Count count);
  void set(ContainerState state);

  const ContainerWorld& world_;
  const std::string name_;
  std::optional<WantedContainer> wanted_;
  std::optional<ContainerFacts> facts_;  // Absent: there is none, once it is known.
  bool known_ = false;
  bool look_again_ = false;  // Something happened meanwhile.
  Engine::Call call_;
  Engine::Call logs_;
  std::unique_ptr<boost::asio::steady_timer> retry_;

  ContainerState state_ = ContainerState::kUnknown;
  bool due_ = false;               // One that ended is begun.
  bool restart_due_ = false;       // As soon as the engine has answered.
  bool has_begun_ = false;         // It ran since this object is there.
  std::int64_t judged_ns_ = 0;     // Begin of the life whose end was judged.
  std::uint32_t short_lives_ = 0;  // In a row.
  std::uint32_t attempts_ = 0;     // As many waits, which grow.
  std::uint32_t restarts_ = 0;
  std::uint32_t deaths_ = 0;
  std::uint32_t stop_s_ = WantedContainer().stop_s;  // As it was wanted last.
  std::string reason_;
  std::string image_id_;
  std::string progress_;
  std::int64_t last_line_ns_ = 0;
  std::uint64_t same_time_ = 0;    // Lines of that time.
  std::uint64_t known_lines_ = 0;  // Of those, which the stream that begins tells again.
  std::int64_t second_began_ns_ = 0;
  std::uint32_t lines_ = 0;  // In this second, as is left_out_.
  std::uint64_t left_out_ = 0;
};

}  // namespace kante
