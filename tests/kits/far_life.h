// A life that behaves as one in another process does, without one: everything is answered later, it
// has room for a few inputs only, and it can die alone.
//
// The module's code runs on its shard all the same, from a queue between the host and itself.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "host/message/message.h"
#include "host/placement/loaded_life.h"
#include "host/placement/module_spec.h"
#include "host/shard/shard.h"

namespace kante {

class FarLife final : public ModuleLife, public std::enable_shared_from_this<FarLife> {
 public:
  static constexpr std::size_t kInputs = 8;  // On their way at once.
  static constexpr std::size_t kEvents = 4;

  FarLife(std::shared_ptr<const LoadedModule> library, Shard& shard);
  ~FarLife() override;

  const std::vector<std::string>& inputs() const override { return life_.inputs(); }
  const std::vector<std::string>& outputs() const override { return life_.outputs(); }
  kante_status create(const kante_host& host, LifeOwner& owner, kante_msg* config) override;
  kante_status onInput(const kante_event& event, std::uint8_t hops) override;
  kante_status onEvent(const kante_event& event) override;
  kante_status onOpened(const kante_event& event, int fd) override;
  void resume() override;
  void destroy(std::function<void()> gone) override;
  int pid() const override { return pid_; }
  void kill(const std::string& reason) override;

  // ---- any thread ----
  void die(const LifeEnd& end);
  // Handles nothing until go(): what comes waits.
  void stick();
  void go();

 private:
  struct Letter {
    kante_event event{};
    std::string name;
    MessageRef message;
    std::uint8_t hops = 0;
  };
  struct Table {  // What the module gets; the first member is what it sees.
    kante_host host;
    FarLife* life;
  };
  kante_status take(const kante_event& event, std::uint8_t hops);
  void schedule();
  void run();
  bool handle(Letter& letter);
  void giveInputsBack();
  void later(std::function<void()> task);
  static void explained(const kante_host* host, kante_status code, kante_str text);
  static const void* extension(const kante_host* host, const char* id);

  Shard& shard_;
  LoadedLife life_;
  const int pid_;
  Table table_{};
  const kante_host* real_ = nullptr;
  LifeOwner* owner_ = nullptr;
  std::deque<Letter> letters_;
  std::size_t inputs_waiting_ = 0;
  bool refused_ = false;  // roomAgain() is owed.
  bool scheduled_ = false;
  bool stuck_ = false;
  bool put_off_ = false;  // The first input is.
  Timer again_{shard_.reactor()};
  bool saved_ = false;  // Until resume().
  bool draining_ = false;
  bool dead_ = false;
  bool creating_ = false;
  bool promised_ = false;
  std::string text_;
};

// The lives of one host, by module; the newest of each name.  Any thread.
class FarLives {
 public:
  std::shared_ptr<FarLife> make(const std::string& module,
                                std::shared_ptr<const LoadedModule> library, Shard& shard);
  std::shared_ptr<FarLife> of(const std::string& module) const;
  std::size_t made(const std::string& module) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<FarLife>> lives_;
  std::map<std::string, std::size_t> made_;
};

}  // namespace kante
