// A machine that is not there: sends what the simulated temperature sensor of Azure IoT Edge sends.
#include <kante/module.hpp>
#include <kante/time.hpp>

#include <cmath>
#include <cstdio>
#include <random>

namespace {

using kante::Status;
using kante::json::Value;
using std::chrono::milliseconds;

// Of a burst that found no credit, so much is made up for; more is skipped and counted.
constexpr std::uint64_t kOwedMax = 10'000;
// In one callback, so that a burst keeps within the time that a callback may take.
constexpr std::uint64_t kSendsPerTurnMax = 1'000;
constexpr std::uint64_t kStateFormat = 1;

struct Span {
  double min;
  double max;
};

struct Config {
  milliseconds period{1000};
  std::uint64_t burst = 1;  // Messages a tick.
  std::uint64_t count = 0;  // Messages in all; 0: no end.
  Span temperature{21, 100};
  Span pressure{1, 10};
  double ambient_temperature = 21;
  std::int64_t humidity = 25;
  std::uint64_t seed = 0;

  static Config parse(const Value& json) {
    Config config;
    kante::Fields fields(json);
    config.period = milliseconds(fields.integer("period_ms", 1000, {1, 86'400'000}));
    config.burst = static_cast<std::uint64_t>(fields.integer("burst", 1, {1, 1'000}));
    config.count = static_cast<std::uint64_t>(fields.integer("count", 0, {0, 1'000'000'000'000}));
    config.temperature = parseSpan(fields.object("temperature"), config.temperature);
    config.pressure = parseSpan(fields.object("pressure"), config.pressure);
    kante::Fields ambient = fields.object("ambient");
    config.ambient_temperature = ambient.number("temperature", 21, {-100, 200});
    config.humidity = ambient.integer("humidity", 25, {0, 100});
    ambient.end();
    config.seed = fields.has("seed")
                      ? static_cast<std::uint64_t>(fields.integer("seed", 0, {0, INT64_MAX}))
                      : (std::uint64_t{std::random_device()()} << 32 | std::random_device()());
    fields.end();
    return config;
  }

  static Span parseSpan(kante::Fields fields, Span otherwise) {
    const Span span{fields.number("min", otherwise.min), fields.number("max", otherwise.max)};
    if (span.min >= span.max) fields.refuse("max", "should be above min");
    fields.end();
    return span;
  }
};

class SimulatedSensor : public kante::Module {
 public:
  explicit SimulatedSensor(kante::Start& start)
      : Module(start),
        config_(Config::parse(start.config())),
        random_(config_.seed),
        batch_id_(randomUuid()),
        temperature_(config_.temperature.min),
        interval_(config_.period) {
    schedule(milliseconds(0));
  }

  Status onInput(const kante::Input& input) override {
    const Value body = input.json();
    const kante::json::Array* commands = body.array();
    if (commands == nullptr) {
      obey(body);
    } else {
      for (const Value& command : *commands) obey(command);
    }
    return KANTE_OK;
  }

  Status onMethod(kante::Method method) override {
    if (method.name() != "reset") return Module::onMethod(std::move(method));
    reset();
    return method.reply(200, {{"sequenceNumber", sequence_}, {"temperature", temperature_}});
  }

  // SendData: false pauses.  SendInterval: seconds between ticks, instead of the configured period.
  Status onDesired(const kante::Desired& desired) override {
    try {
      kante::Fields fields(desired.properties());
      const bool send_data = fields.boolean("SendData", true);
      const auto seconds = fields.optionalNumber("SendInterval", {0.001, 86'400});
      fields.end();
      const milliseconds interval =
          seconds ? milliseconds(std::llround(*seconds * 1000)) : config_.period;
      const bool changed = send_data != send_data_ || interval != interval_;
      send_data_ = send_data;
      interval_ = interval;
      if (changed) schedule(interval_);
      reportState(desired.version(), nullptr);
      return KANTE_OK;
    } catch (const kante::Failure& failure) {
      reportState(desired.version(), failure.what());
      throw;
    }
  }

  void onWritable(std::uint32_t) override { send(); }

  void onDrain() override {
    tick_.cancel();
    owed_ = 0;
    drained();
  }

  std::optional<kante::State> onSave() override {
    const Value state{
        {"sequence", sequence_}, {"batchId", batch_id_}, {"temperature", temperature_}};
    return kante::State{kStateFormat, state.dump()};
  }

  Status onRestore(const kante::State& state) override {
    if (state.format != kStateFormat) throw kante::Failure("state of an unknown format");
    const Value json = kante::json::parse(state.bytes);
    kante::Fields fields(json);
    sequence_ = static_cast<std::uint64_t>(fields.integer("sequence", {0, INT64_MAX}));
    batch_id_ = fields.string("batchId");
    temperature_ = fields.number("temperature");
    return KANTE_OK;
  }

 private:
  void obey(const Value& command) {
    const Value* name = command.get("command");
    if (name == nullptr || *name != "reset") {
      throw kante::Failure("a control message should be {\"command\":\"reset\"}, is " +
                           command.dump());
    }
    reset();
  }

  void reset() {
    temperature_ = config_.temperature.min;
    info("reset to ", temperature_, " degrees");
  }

  void schedule(milliseconds first) {
    if (send_data_) {
      tick_.every(interval_, first);
    } else {
      tick_.cancel();
      owed_ = 0;
    }
  }

  void tick() {
    const std::uint64_t due = owed_ + config_.burst * tick_.expirations();
    owed_ = std::min(due, std::max(kOwedMax, config_.burst));
    if (due > owed_) skipped_.add(static_cast<std::int64_t>(due - owed_));
    send();
  }

  // What finds no credit stays owed: the sequence never has a gap.
  void send() {
    for (std::uint64_t i = 0; i < kSendsPerTurnMax && owed_ > 0 && !finished(); ++i) {
      const double before = temperature_;
      const Status status = output_.emit(nextMessage());
      if (status != KANTE_OK) {
        temperature_ = before;
        if (status != KANTE_E_AGAIN) warn("a message was refused: ", kante::statusName(status));
        return;
      }
      ++sequence_;
      --owed_;
      sent_.add();
    }
    if (!finished()) return;
    tick_.cancel();
    owed_ = 0;
    info("sent the ", config_.count, " messages of the configuration");
  }

  bool finished() const { return config_.count != 0 && sequence_ >= config_.count; }

  // A walk upwards that wavers about the maximum, with a pressure that follows the temperature.
  kante::Draft nextMessage() {
    temperature_ +=
        temperature_ > config_.temperature.max ? uniform(-0.5, 0.5) : uniform(-0.25, 1.25);
    const double rise = (temperature_ - config_.temperature.min) /
                        (config_.temperature.max - config_.temperature.min);
    const double pressure =
        config_.pressure.min + rise * (config_.pressure.max - config_.pressure.min);
    const Value body{
        {"machine", {{"temperature", rounded(temperature_)}, {"pressure", rounded(pressure)}}},
        {"ambient",
         {{"temperature", rounded(config_.ambient_temperature + uniform(-0.5, 0.5))},
          {"humidity", config_.humidity + static_cast<std::int64_t>(uniform(-1, 2))}}},
        {"timeCreated", kante::isoTime(std::chrono::system_clock::now())},
    };
    kante::Draft draft = kante::Draft::json(body);
    draft.property("sequenceNumber", std::to_string(sequence_ + 1)).property("batchId", batch_id_);
    return draft;
  }

  void reportState(std::uint64_t version, const char* error) {
    report({{"SendData", send_data_},
            {"SendInterval", static_cast<double>(interval_.count()) / 1000},
            {"desiredVersion", version},
            {"error", error == nullptr ? Value() : Value(error)}});
  }

  double uniform(double min, double max) {
    return std::uniform_real_distribution(min, max)(random_);
  }
  static double rounded(double value) { return std::round(value * 1000) / 1000; }

  std::string randomUuid() {
    char text[40];
    const std::uint64_t a = random_(), b = random_();
    std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(a >> 32),
                  static_cast<unsigned>(a >> 16) & 0xffff, static_cast<unsigned>(a) & 0xfff,
                  0x8000u | (static_cast<unsigned>(b >> 48) & 0x3fff),
                  static_cast<unsigned long long>(b & 0xffff'ffff'ffffu));
    return text;
  }

  Config config_;
  std::mt19937_64 random_;
  std::string batch_id_;
  double temperature_;
  milliseconds interval_;
  bool send_data_ = true;
  std::uint64_t sequence_ = 0;  // Of the last message sent.
  std::uint64_t owed_ = 0;

  kante::Output output_{*this, "temperatureOutput"};
  kante::Timer tick_{*this, [this] { tick(); }};
  kante::Counter sent_{*this, "messages_sent"};
  kante::Counter skipped_{*this, "messages_skipped"};
};

}  // namespace

KANTE_MODULE(SimulatedSensor, "dev.kante.simulated-sensor", "1.0.0", KANTE_INPUTS("control"),
             KANTE_OUTPUTS("temperatureOutput"))
