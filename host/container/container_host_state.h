// What ContainerHost is made of: what is wanted, and the change that is under way.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/container/container_host.h"

namespace kante {

// A container module: as it was ordered, and what its container is to be.
struct ContainerWish {
  ModuleSpec spec;
  WantedContainer wanted;
};
using ContainerWishes = std::map<std::string, ContainerWish>;  // By module.

// Of a target: the modules that are containers, or the others with what they wait for among them.
std::vector<ModuleSpec> containersOf(const RuntimeTarget& target);
RuntimeTarget othersOf(RuntimeTarget target);
// The containers that wait for one of the others.  kUnsupported: which of the others would wait for
// one of those again.
Result<std::set<std::string>> lateContainers(const RuntimeTarget& target);

struct ContainerHost::State : std::enable_shared_from_this<State> {
  struct Change {
    explicit Change(boost::asio::io_context& control) : deadline(control), settle(control) {}

    RuntimeTarget others;
    Applied applied;
    ContainerWishes wishes;
    std::map<std::string, std::pair<ModuleSpec, std::string>> refused;
    std::set<std::string> late;
    std::set<std::string> entered;    // Not in the wishes before.
    std::vector<std::string> images;  // Modules whose image may have to be got.
    std::string progress;             // Of that of the last of them, while it is pulled.
    Engine::Call call;
    std::set<std::string> waiting;  // Modules whose container is to run.
    void (State::*then)() = nullptr;
    std::map<std::string, std::int64_t> running_since_ns;  // Of those; boot time.
    boost::asio::steady_timer deadline;
    boost::asio::steady_timer settle;  // Looks again at those that have just begun to run.
    ApplyReport report;
  };
  // What a person asked of one container, until it is so.
  struct Request {
    std::string module;
    ContainerState until;
    Done done;
    std::unique_ptr<boost::asio::steady_timer> deadline;
  };

  explicit State(Options given);

  // container_change.cc
  void apply(RuntimeTarget target, Applied applied);
  void applyOthers(RuntimeTarget target, Applied applied);
  void keepOthers(RuntimeTarget applied);
  Status prepare(const RuntimeTarget& target);
  Status takeIn(const ModuleSpec& spec);
  Result<ContainerWish> wishFor(const ModuleSpec& spec);
  bool isNew(const std::string& module) const;
  bool mayBackOff(const std::string& module) const;
  void connect();
  void getImages();
  void gotImage(const std::string& module, const Status& got);
  void firstContainers();
  void switchOthers();
  void lastContainers();
  void wantAll(const std::set<std::string>& not_yet, const ContainerWishes& wishes);
  void waitFor(const std::set<std::string>& modules, void (State::*then)());
  void lookAtWaiting();
  bool hasSettled(const ContainerStatus& now);
  void goBack(const Error& why);
  void takeBack(const Error& why);
  void finish();
  void end(Result<ApplyReport> result);

  // container_host.cc
  void changed();
  void lookAtRequests();
  void lookAtLeaving();
  void tellEvents();
  void setDesire(const std::string& module, Desire desire, Done done);
  void await(const std::string& module, ContainerState until, Done done);
  ModuleStatus moduleStatus(const ContainerWish& wish, const ContainerStatus* now) const;

  const Options options;
  ContainerModules containers;
  ContainerWishes wishes;
  RuntimeTarget others;  // As it was applied last.
  std::unique_ptr<Change> change;
  std::uint64_t change_n = 0;
  std::list<Request> requests;
  std::set<std::string> leaving;
  // Of the deployment that runs, but for these there can be no container; with why.
  std::map<std::string, std::pair<ModuleSpec, std::string>> refused;
  bool asked = false;  // Containers were wanted, so that there may be some.
  struct Told {
    ContainerState state = ContainerState::kUnknown;
    std::uint32_t deaths = 0;
  };
  std::map<std::string, Told> told;
  bool rested = false;  // The next life goes on with them.
  bool over = false;
};

}  // namespace kante
