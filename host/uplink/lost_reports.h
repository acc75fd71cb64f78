// Numbers whose message will never arrive, told to the cloud at least once.
//
// A report is on disk before its message leaves the queue, and it is removed when the broker has
// acknowledged it; whatever ends in between, the receiver hears of the hole.  Lives on the client's
// thread; bounded by kReportsMax, beyond that the oldest is given up and that is logged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "host/base/result.h"

namespace kante {

class KeyValue;
class Log;

class LostReports {
 public:
  static constexpr std::size_t kReportsMax = 10'000;
  // Handed to the client and not yet answered; its queue has no bound.
  static constexpr std::size_t kInFlightMax = 16;
  static constexpr char kArea[] = "uplink/lost";

  struct Host {
    KeyValue& store;
    Log& log;
    // Runs it on the client's thread; any thread.
    std::function<void(std::function<void()>)> post;
    // Hands a report to the client; its answer goes to answered().
    std::function<Status(std::uint64_t number, const std::string& report)> publish;
  };
  explicit LostReports(Host host);
  ~LostReports();
  LostReports(const LostReports&) = delete;
  LostReports& operator=(const LostReports&) = delete;

  // What an earlier life left.  Control thread, before anything else.
  Status load();
  // `kept` runs when the report is on disk.
  void add(std::uint64_t number, std::string report, std::function<void()> kept);
  // It arrived after all.
  void withdraw(std::uint64_t number);
  void linkUp();
  // The client forgot what it had not finished.
  void forgotten();
  void answered(std::uint64_t number, std::uint8_t reason_code);
  // Tries again what the disk did not take.
  void turn();
  // No answer of the store comes any more.  Any thread.
  void close();

 private:
  struct Report {
    std::string text;
    bool kept = false;     // On disk.
    bool keeping = false;  // The store was asked.
    bool sent = false;     // The client has it.
    bool refused = false;  // Until the next connection.
    std::function<void()> then;
  };
  struct Gate {
    std::mutex mutex;
    LostReports* self = nullptr;
  };
  void keep(std::uint64_t number, Report& report);
  void wasKept(std::uint64_t number, const Status& status);
  void send();
  void erase(std::uint64_t number);

  const Host host_;
  std::map<std::uint64_t, Report> reports_;
  std::size_t sent_ = 0;
  bool failed_ = false;         // Some are to be kept again.
  std::shared_ptr<Gate> gate_;  // Shared with answers of the store on their way.
};

}  // namespace kante
