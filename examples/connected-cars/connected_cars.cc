// Drives all the cars: connects them over TLS, lets one after the other raise a hazard, and
// measures until the last of the others has it.  One thread, one epoll, one libmosquitto client a
// car.
#include <mosquitto.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kChurnEvery{20};
constexpr int kKeepAliveS = 60;

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "connected-cars: %s\n", text.c_str());
  std::exit(1);
}

struct Options {
  int port = 0;
  std::string ca;
  std::string keys;  // A line a car: its id, a space, its key.
  std::size_t steady = 0;
  std::size_t hazards = 0;
  bool json = false;
};

class Fleet;

struct Car {
  Fleet* fleet = nullptr;
  std::string id, key;
  struct mosquitto* client = nullptr;
  bool is_in = false;            // Its subscription is confirmed.
  bool is_steady = false;        // Stays all the time.
  std::uint64_t last_heard = 0;  // Number of the hazard.
};

class Fleet {
 public:
  explicit Fleet(const Options& options)
      : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    std::ifstream keys(options.keys);
    for (std::string id, key; keys >> id >> key;) {
      cars_.push_back(std::make_unique<Car>());
      cars_.back()->fleet = this;
      cars_.back()->id = id;
      cars_.back()->key = key;
      cars_.back()->is_steady = cars_.size() <= options.steady;
    }
    if (cars_.size() < options.steady || options.steady < 2)
      die(options.keys + " has too few cars");
  }

  void run() {
    const auto began = Clock::now();
    for (std::size_t i = 0; i < options_.steady; ++i) join(*cars_[i]);
    waitFor([this] {
      return std::all_of(cars_.begin(), cars_.begin() + std::ptrdiff_t(options_.steady),
                         [](const auto& car) { return car->is_in; });
    });
    connected_s_ = std::chrono::duration<double>(Clock::now() - began).count();
    for (std::uint64_t hazard = 1; hazard <= options_.hazards; ++hazard) raise(hazard);
    for (const auto& car : cars_) leave(*car);
  }

  void tell() {
    std::sort(ms_.begin(), ms_.end());
    const auto at = [this](double part) {
      return ms_[std::min(ms_.size() - 1, static_cast<std::size_t>(part * double(ms_.size())))];
    };
    const char* form =
        options_.json
            ? "{\"cars\":%zu,\"hazards\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,"
              "\"missed\":%zu,\"joined\":%zu,\"left\":%zu,\"connected_s\":%.1f}\n"
            : "%zu cars, %zu hazards: the last car has it after %.2f ms (p50), %.2f ms (p99), %.2f "
              "ms at most\n"
              "missed %zu; meanwhile %zu cars joined and %zu left; all were connected after %.1f "
              "s\n";
    std::printf(form, options_.steady, options_.hazards, at(0.5), at(0.99), ms_.back(), missed_,
                joined_, left_, connected_s_);
  }
  bool isComplete() const { return missed_ == 0; }

 private:
  void join(Car& car) {
    car.client = mosquitto_new(("mqtt-" + car.id).c_str(), true, &car);
    if (car.client == nullptr) die("no memory for another car");
    mosquitto_connect_callback_set(car.client, [](struct mosquitto* client, void* of, int code) {
      if (code != 0)
        die(static_cast<Car*>(of)->id + " is refused: " + mosquitto_connack_string(code));
      (void)mosquitto_subscribe(client, nullptr, "hazards/#", 1);
    });
    mosquitto_subscribe_callback_set(
        car.client, [](struct mosquitto*, void* of, int, int count, const int* granted) {
          Car& to = *static_cast<Car*>(of);
          if (count != 1 || granted[0] > 2) die(to.id + " may not hear hazards");
          to.is_in = true;
        });
    mosquitto_message_callback_set(car.client, [](struct mosquitto*, void* of,
                                                  const mosquitto_message* message) {
      Car& to = *static_cast<Car*>(of);
      to.fleet->heard(to, std::strtoull(static_cast<const char*>(message->payload), nullptr, 10));
    });
    (void)mosquitto_username_pw_set(car.client, car.id.c_str(), car.key.c_str());
    int code =
        mosquitto_tls_set(car.client, options_.ca.c_str(), nullptr, nullptr, nullptr, nullptr);
    if (code == 0) code = mosquitto_connect(car.client, "localhost", options_.port, kKeepAliveS);
    if (code != 0) die(car.id + " cannot connect: " + mosquitto_strerror(code));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &car;
    (void)::epoll_ctl(epoll_, EPOLL_CTL_ADD, mosquitto_socket(car.client), &event);
  }

  void leave(Car& car) {
    if (car.client == nullptr) return;
    (void)mosquitto_disconnect(car.client);
    mosquitto_destroy(car.client);  // Closes its socket, so the epoll forgets it.
    car.client = nullptr;
    car.is_in = false;
  }

  void heard(Car& car, std::uint64_t hazard) {
    if (hazard != hazard_ || car.last_heard == hazard) return;
    car.last_heard = hazard;
    if (&car != raiser_ && car.is_steady) ++heard_;
  }

  void raise(std::uint64_t hazard) {
    raiser_ = cars_[random_() % options_.steady].get();
    hazard_ = hazard;
    heard_ = 0;
    const std::string body = std::to_string(hazard) + " ice on the road, 48.1371 N 11.5754 E";
    const auto began = Clock::now();
    const int code = mosquitto_publish(raiser_->client, nullptr, ("hazards/" + raiser_->id).c_str(),
                                       static_cast<int>(body.size() + 1), body.c_str(), 1, false);
    if (code != 0) die(raiser_->id + " cannot publish: " + mosquitto_strerror(code));
    if (mosquitto_want_write(raiser_->client)) (void)mosquitto_loop_write(raiser_->client, 1);
    const std::size_t others = options_.steady - 1;
    if (!waitFor([this, others] { return heard_ == others; })) missed_ += others - heard_;
    ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
  }

  // Cars beyond the steady ones come and go.
  void churn() {
    const std::size_t more = cars_.size() - options_.steady;
    if (more == 0 || Clock::now() < next_churn_ || hazard_ == 0) return;
    next_churn_ = Clock::now() + kChurnEvery;
    Car& car = *cars_[options_.steady + random_() % more];
    if (car.client == nullptr) {
      join(car);
      ++joined_;
    } else if (car.is_in) {
      leave(car);
      ++left_;
    }
  }

  template <typename Condition>
  bool waitFor(Condition&& is_met) {
    const auto end = Clock::now() + kPatience;
    while (!is_met()) {
      if (Clock::now() > end) return false;
      epoll_event events[64];
      const int count = ::epoll_wait(epoll_, events, 64, 10);
      for (int i = 0; i < count; ++i) serve(*static_cast<Car*>(events[i].data.ptr));
      churn();
    }
    return true;
  }

  void serve(Car& car) {
    if (car.client == nullptr) return;
    const int code = mosquitto_loop_read(car.client, 1);
    if (code != 0) die(car.id + " lost its connection: " + mosquitto_strerror(code));
    if (mosquitto_want_write(car.client)) (void)mosquitto_loop_write(car.client, 1);
    (void)mosquitto_loop_misc(car.client);
  }

  const Options options_;
  const int epoll_;
  std::vector<std::unique_ptr<Car>> cars_;
  std::mt19937 random_{7};
  Car* raiser_ = nullptr;
  std::uint64_t hazard_ = 0;
  std::size_t heard_ = 0;
  std::vector<double> ms_;
  std::size_t missed_ = 0, joined_ = 0, left_ = 0;
  double connected_s_ = 0;
  Clock::time_point next_churn_{};
};

}  // namespace

// PORT CA KEYS STEADY HAZARDS [--json]; see the script `run`.
int main(int argc, char** argv) {
  if (argc < 6) die("PORT CA KEYS STEADY HAZARDS [--json]; examples/connected-cars/run says them");
  Options options;
  options.port = std::atoi(argv[1]);
  options.ca = argv[2];
  options.keys = argv[3];
  options.steady = std::strtoull(argv[4], nullptr, 10);
  options.hazards = std::max(1ull, std::strtoull(argv[5], nullptr, 10));
  options.json = argc > 6 && std::strcmp(argv[6], "--json") == 0;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  mosquitto_lib_init();
  Fleet fleet(options);
  fleet.run();
  fleet.tell();
  return fleet.isComplete() ? 0 : 1;
}
