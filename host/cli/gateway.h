// The whole gateway of one process, wired from its configuration: store, bundles, twins, modules,
// uplink, agent, API.  Lives on the control io_context, which the caller runs.
//
//   open()   takes the data directory and opens what is on it; nothing runs yet, and a failure says
//   in one
//            sentence what is wrong where
//   start()  API, uplink, then the stored deployment or the one that was given
//   stop()   API, modules (drained), uplink (flushed for a bounded time); the store commits what it
//   has
//            when the gateway is destroyed
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "host/base/result.h"
#include "host/config/config.h"

namespace boost::asio {
class io_context;
}

namespace kante {
class Agent;
class EventLog;
class Log;
class Methods;
class ModuleHost;
class Store;
class Twins;
class Uplink;
class UplinkClient;
struct StatusParts;
}  // namespace kante

namespace kante::cli {

class Gateway {
 public:
  struct Options {
    Config config;
    bool log_level_given = false;  // By hand, so that no deployment changes it.
    std::string deployment_file;   // Taken if none is stored, or if it is a newer version of that.
    std::string trust_pem;         // Signers besides those of [trust]; the demo's own key.
    // What speaks MQTT instead of libmosquitto: the demo's embedded cloud.
    std::function<std::unique_ptr<UplinkClient>()> uplink_client;
    // Everything has stopped so that another life of this process goes on with it.  Empty: there is
    // none, and what would need one is refused.
    std::function<void()> next_life;
    // Everything has stopped so that this process ends with that code, for its keeper.  Empty: it
    // has none.
    std::function<void(int exit_code)> end;
  };

  static Result<std::unique_ptr<Gateway>> open(boost::asio::io_context& control, Log& log,
                                               Options options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // `ready` is called once, when the deployment runs or could not be started (which is no reason to
  // end: the API is there to mend it).  An error here is one of API or uplink.
  Status start(std::function<void(Status deployment)> ready);
  // `done` once, after at most about 40 s; start() must have succeeded.
  void stop(std::function<void()> done);

  Agent& agent();
  ModuleHost& modules();
  Methods& methods();
  Twins& twins();
  EventLog& events();
  Store& store();
  Uplink* uplink();  // Null: kind "none".
  const StatusParts& statusParts() const;

 private:
  struct State;
  explicit Gateway(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kante::cli
