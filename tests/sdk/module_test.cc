// The C++ face of a module (kante/module.hpp) in the test host: dispatch, the fence, handles, and
// what the test host finds.
#include <kante/testing.hpp>

#include <thread>

namespace {

using kante::Draft;
using kante::Status;
using kante::TestModule;
using kante::json::Array;
using kante::json::Value;
using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Does what the body of an input says.
class Probe : public kante::Module {
 public:
  explicit Probe(kante::Start& start) : Module(start) {
    kante::Fields config(start.config());
    if (config.boolean("refuse", false)) throw kante::Failure(KANTE_E_DENIED, "told to refuse");
    if (config.boolean("no_output", false)) kante::Output(*this, "nowhere");
    if (config.boolean("timers", false)) {
      for (int i = 0; i < 65; ++i) timers_.push_back(std::make_unique<kante::Timer>(*this, [] {}));
    }
    config.end();
  }
  ~Probe() override {
    if (thread_.joinable()) thread_.join();
  }

  Status onInput(const kante::Input& input) override {
    if (input.name() == "forward") return box_.forward(input);
    const Value body = input.json();
    const std::string what = body.isString() ? *body.string() : "";
    if (what == "failure") throw kante::Failure(KANTE_E_STATE, "a failure");
    if (what == "exception") throw std::runtime_error("an exception");
    if (what == "memory") throw std::bad_alloc();
    if (what == "int") throw 5;
    if (what == "explain") return explain(KANTE_E_LIMIT, "explained");
    if (what == "keep") kept_.push_back(input.keep());
    if (what == "sender") info(input.sender(), " ", input.redeliveries());
    if (what == "pending") return input.isDurable() ? KANTE_PENDING : KANTE_OK;
    if (what == "settle") return settle(last_pending_ = input.token()), KANTE_OK;
    if (what == "leak") host()->msg_retain(input.raw());
    if (what == "overrelease") host()->msg_release(input.raw());
    if (what == "scratch") leakScratch();
    if (what == "reserved") return out_.emit(Draft().property("kante-x", "y"));
    if (what == "many") return manyProperties();
    if (what == "done")
      return out_.emit(input, [this](const kante::Done& done) { info("done ", done.ok()); });
    if (what == "thread") thread_ = std::thread([this] { work(); });
    if (what == "storage") useStorage();
    if (what == "invoke") useInvoke();
    return KANTE_OK;
  }
  Status onMethod(kante::Method method) override {
    if (method.name() == "later") return later_.emplace_back(std::move(method)), KANTE_OK;
    if (method.name() == "answer") return later_.at(0).reply(201, {{"late", true}});
    if (method.name() == "forget") return KANTE_OK;
    if (method.name() == "invalid") throw kante::Failure("bad arguments");
    if (method.name() == "broken") throw std::runtime_error("broken");
    if (method.name() == "twice") {
      method.reply(200);
      return method.reply(200);
    }
    return Module::onMethod(std::move(method));
  }
  Status onHealth() override {
    if (!kept_.empty()) throw kante::Failure(KANTE_E_LIMIT, "keeps too much");
    return KANTE_OK;
  }
  void onWritable(std::uint32_t output) override { info("writable ", output); }

 private:
  void leakScratch() {
    void* scratch = nullptr;
    host()->msg_alloc(host(), 20, KANTE_MSG_ZEROED, &scratch);
    if (*static_cast<std::uint64_t*>(scratch) == 0) info("zeroed");
  }
  Status manyProperties() {
    Draft draft;
    for (int i = 0; i < 65; ++i) draft.property(std::to_string(i), "");
    return out_.emit(draft);
  }
  // What a thread of the module may do.
  void work() {
    count_.add(5);
    storage_.put("from thread", Draft().body("x"), [this](const kante::Done&) { info("stored"); });
    out_.emit(Draft::json("from thread"));
  }
  void useStorage() {
    storage_.get(
        "k", [this](const kante::Done& done) { info("first ", kante::statusName(done.status())); });
    storage_.put("k", Draft().body("v1"));
    storage_.get("k", [this](const kante::Done& done) { info("second ", done.body()); });
    storage_.erase("k", [this](const kante::Done& done) { info("erased ", done.ok()); });
    info("bad key ", kante::statusName(storage_.get("", [](const kante::Done&) {})));
  }
  void useInvoke() {
    const Status status =
        invoke("module/other", "add", {{"a", 1}}, 1s, [this](const kante::Done& done) {
          info("invoked ", kante::statusName(done.status()), " ", done.arg(), " ", done.json());
        });
    info("invoke ", kante::statusName(status));
  }

  std::vector<std::unique_ptr<kante::Timer>> timers_;
  kante::Output out_{*this, "out"};
  kante::Outbox box_{*this, "box", {.messages_max = 3, .bytes_max = 1 << 16}};
  kante::Counter count_{*this, "count"};
  kante::Storage storage_{*this};
  std::vector<kante::Message> kept_;
  std::vector<kante::Method> later_;
  std::uint64_t last_pending_ = 0;
  std::thread thread_;
};

}  // namespace

KANTE_MODULE(Probe, "dev.kante.test.probe", "1.2.3", KANTE_INPUTS("in", "forward"),
             KANTE_OUTPUTS("out", "box"))

namespace {

class ModuleTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(host.create(), KANTE_OK) << host.explained(); }
  Status tell(const char* what, const kante::TestHost::Route& route = {}) {
    return host.send("in", Draft::json(what), route);
  }
  TestModule host;
};

TEST(ModuleEntryTest, SaysWhatTheMacroWasTold) {
  EXPECT_STREQ(kante_module_entry.id, "dev.kante.test.probe");
  EXPECT_STREQ(kante_module_entry.version, "1.2.3");
  EXPECT_STREQ(kante_module_entry.inputs[1], "forward");
  EXPECT_EQ(kante_module_entry.outputs[2], nullptr);
  EXPECT_EQ(kante_module_entry.struct_size, sizeof(kante_entry));
}

TEST(ModuleCreateTest, TurnsARefusalIntoAStatusAndALeakIntoNone) {
  const std::tuple<Value, Status, const char*> cases[] = {
      {{{"refuse", true}}, KANTE_E_DENIED, "told to refuse"},
      {{{"no_output", true}}, KANTE_E_INVALID, "KANTE_MODULE names no output \"nowhere\""},
      {{{"timers", true}}, KANTE_E_LIMIT, "more than 64 timers"},
      {{{"refuze", true}}, KANTE_E_INVALID, "did you mean \"refuse\""},
      {Array{1}, KANTE_E_INVALID, "the document should be an object, is an array"},
  };
  for (const auto& [config, status, text] : cases) {
    TestModule host;
    EXPECT_EQ(host.create(config), status);
    EXPECT_THAT(host.explained(), HasSubstr(text));
    EXPECT_FALSE(host.alive());
  }
  TestModule host;
  EXPECT_EQ(host.createFrom(Draft("text/plain", "{")), KANTE_E_INVALID);
  TestModule empty;
  EXPECT_EQ(empty.createFrom(Draft()), KANTE_OK) << "no configuration is an empty one";
}

TEST(ModuleCreateTest, SaysWhichExtensionItCannotDoWithout) {
  TestModule host;
  host.without(KANTE_EXT_STORAGE);
  EXPECT_EQ(host.create(), KANTE_E_UNSUPPORTED);
  EXPECT_THAT(host.explained(), HasSubstr("kante.storage/1"));
  TestModule other;
  for (const char* id : {KANTE_EXT_METRICS, KANTE_EXT_TWIN, KANTE_EXT_STATE}) other.without(id);
  EXPECT_EQ(other.create(), KANTE_OK);
  EXPECT_EQ(other.call("later").status, KANTE_E_UNSUPPORTED);
  EXPECT_FALSE(other.save());
}

TEST_F(ModuleTest, StopsEveryExceptionAtTheFence) {
  const std::tuple<const char*, Status, const char*> cases[] = {
      {"failure", KANTE_E_STATE, "STATE: a failure"},
      {"exception", KANTE_E_INTERNAL, "INTERNAL: an exception"},
      {"memory", KANTE_E_LIMIT, "LIMIT: out of memory"},
      {"int", KANTE_E_INTERNAL, "INTERNAL: an exception that is no std::exception"},
      {"explain", KANTE_E_LIMIT, "LIMIT: explained"},
  };
  for (const auto& [what, status, text] : cases) {
    EXPECT_EQ(tell(what), status);
    EXPECT_EQ(host.explained(), text);
  }
}

TEST_F(ModuleTest, DeclinesWhatItDoesNotHandle) {
  EXPECT_EQ(host.desire({{"a", 1}}), KANTE_E_UNSUPPORTED);
  EXPECT_FALSE(host.save());
  EXPECT_EQ(host.restore({1, "x"}), KANTE_E_UNSUPPORTED);
  EXPECT_EQ(host.call("unknown").status, KANTE_E_UNSUPPORTED);
  EXPECT_FALSE(host.call("unknown").code);
}

TEST_F(ModuleTest, DeclinesEventsOfALaterHost) {
  kante_event event{};
  event.struct_size = sizeof event;
  event.type = 4711;
  TestModule other;
  ASSERT_EQ(other.create(), KANTE_OK);
  EXPECT_EQ(other.raw(event), KANTE_E_UNSUPPORTED);
  event.type = KANTE_EVENT_HEALTH;
  event.struct_size = offsetof(kante_event, name);  // Of a host that knew fewer fields.
  EXPECT_EQ(other.raw(event), KANTE_OK);
  event.type = KANTE_EVENT_TIMER;
  event.id = 63;
  EXPECT_EQ(other.raw(event), KANTE_E_UNSUPPORTED);
}

TEST_F(ModuleTest, AnswersMethodsNowLaterOrByItself) {
  const auto open = host.call("later");
  EXPECT_EQ(open.status, KANTE_OK);
  EXPECT_FALSE(open.code);
  EXPECT_EQ(host.call("answer").code, 500) << "a method that forgets to answer is answered";
  EXPECT_EQ(host.answered(open.token)->code, 201);
  EXPECT_EQ(host.call("forget").code, 500);
  const auto invalid = host.call("invalid");
  EXPECT_EQ(invalid.code, 400);
  EXPECT_EQ(invalid.result.dump(), R"({"error":"bad arguments"})");
  EXPECT_EQ(host.call("broken").code, 500);
  const auto twice = host.call("twice");
  EXPECT_EQ(twice.code, 200);
  EXPECT_EQ(twice.status, KANTE_E_STATE);
}

TEST_F(ModuleTest, TellsWhoSentAndHowOften) {
  tell("sender", {.sender = "device/car-7", .redeliveries = 2});
  EXPECT_TRUE(host.logged("device/car-7 2"));
}

TEST_F(ModuleTest, KeepsMessagesAndReportsItsHealth) {
  EXPECT_EQ(host.health(), KANTE_OK);
  tell("keep");
  EXPECT_EQ(host.health(), KANTE_E_LIMIT);
  EXPECT_EQ(host.explained(), "LIMIT: keeps too much");
}

TEST_F(ModuleTest, CallsBackWhenAnEmitIsDone) {
  EXPECT_EQ(tell("done"), KANTE_OK);
  EXPECT_TRUE(host.logged("done true"));
  EXPECT_EQ(host.take("out").at(0).json(), "done");
  host.setCredit("out", 0);
  EXPECT_EQ(tell("done"), KANTE_E_AGAIN);
  host.grant("out");
  EXPECT_TRUE(host.logged("writable 0"));
}

TEST_F(ModuleTest, IsRefusedWhatTheHostRefuses) {
  EXPECT_EQ(tell("reserved"), KANTE_E_DENIED);
  EXPECT_EQ(tell("many"), KANTE_E_LIMIT);
}

TEST_F(ModuleTest, UsesStorageWithCallbacks) {
  tell("storage");
  for (const char* line : {"first NOT_FOUND", "second v1", "erased true", "bad key INVALID"}) {
    EXPECT_TRUE(host.logged(line)) << line;
  }
}

TEST_F(ModuleTest, InvokesOthers) {
  tell("invoke");
  EXPECT_TRUE(host.logged("invoked NOT_FOUND"));
  host.on_invoke = [](std::string_view target, std::string_view name, const Value& arguments) {
    EXPECT_EQ(target, "module/other");
    EXPECT_EQ(name, "add");
    return kante::TestHost::Answer{.code = 200, .result = {{"b", *arguments.get("a")}}};
  };
  tell("invoke");
  EXPECT_TRUE(host.logged(R"(invoked OK 200 {"b":1})"));
}

TEST_F(ModuleTest, MayHaveThreadsOfItsOwn) {
  tell("thread");
  EXPECT_TRUE(host.runUntil([&] { return host.logged("stored") && host.count("out") == 1; }));
  EXPECT_EQ(host.metric("count"), 5);
  EXPECT_EQ(host.storage().at("from thread"), "x");
}

TEST_F(ModuleTest, OutboxKeepsOrderBoundAndSettlement) {
  host.setCredit("box", 1);
  std::vector<std::uint64_t> tokens;
  std::vector<Status> statuses;
  for (int i = 0; i < 5; ++i) {
    statuses.push_back(host.send("forward", Draft::json(i), {.durable = true}));
    tokens.push_back(host.lastToken());
  }
  EXPECT_THAT(statuses,
              ElementsAre(KANTE_OK, KANTE_PENDING, KANTE_PENDING, KANTE_PENDING, KANTE_E_AGAIN));
  EXPECT_FALSE(host.settled(tokens[1]));
  EXPECT_EQ(host.settled(tokens[4]), KANTE_E_AGAIN);
  EXPECT_FALSE(host.drain());
  host.grant("box", 2);
  EXPECT_EQ(host.settled(tokens[2]), KANTE_OK);
  EXPECT_FALSE(host.settled(tokens[3]));
  host.grant("box");
  EXPECT_TRUE(host.drained());
  std::vector<Value> bodies;
  for (const auto& message : host.take("box")) bodies.push_back(message.json());
  EXPECT_THAT(bodies, ElementsAre(0, 1, 2, 3));
}

TEST_F(ModuleTest, OutboxAnswersMemoryInputsWithoutPending) {
  host.setCredit("box", 0);
  EXPECT_EQ(host.send("forward", Draft::json(1)), KANTE_OK);
  host.destroy();
  EXPECT_THAT(host.takeViolations(), ElementsAre()) << "what waits is given back";
}

// Breaches of the contract that the test host finds.  The host is no TestModule here, which would
// fail the test.
std::vector<std::string> breachesOf(const char* what, const kante::TestHost::Route& route = {}) {
  kante::TestHost host;
  EXPECT_EQ(host.create(), KANTE_OK);
  host.send("in", Draft::json(what), route);
  host.destroy();
  return host.takeViolations();
}

TEST(TestHostTest, FindsBreachesOfTheContract) {
  EXPECT_THAT(breachesOf("keep"), ElementsAre());
  EXPECT_THAT(breachesOf("leak"),
              Contains(HasSubstr("leaked 1 reference(s) to the message with body \"\"leak\"\"")));
  EXPECT_THAT(breachesOf("overrelease"),
              Contains(HasSubstr("msg_release() of a message that the module does not hold")));
  EXPECT_THAT(breachesOf("scratch"), Contains(HasSubstr("leaked 1 scratch buffer(s)")));
  EXPECT_THAT(breachesOf("settle", {.durable = true}),
              Contains(HasSubstr("settled and its status is not")));
  EXPECT_THAT(breachesOf("pending", {.durable = true}), ElementsAre());
}

TEST(TestHostTest, RefusesAnEntryThatIsNone) {
  kante_entry entry = kante_module_entry;
  entry.magic = 5;
  EXPECT_THROW(kante::TestHost{entry}, kante::Failure);
  entry = kante_module_entry;
  entry.abi_major = 2;
  EXPECT_THROW(kante::TestHost{entry}, kante::Failure);
  entry = kante_module_entry;
  entry.on_event = nullptr;
  EXPECT_THROW(kante::TestHost{entry}, kante::Failure);
  EXPECT_THROW(kante::TestLibrary("/not/there.so"), kante::Failure);
}

TEST(DraftTest, IsMadeFromAMessageWithoutWhatIsTheHosts) {
  TestModule host;
  ASSERT_EQ(host.create(), KANTE_OK);
  host.send("forward", Draft::json({{"a", 1}})
                           .property("kante-time", "untrusted")
                           .property("A", "1")
                           .systemProperty("messageId", "m")
                           .expiryNs(99));
  const auto message = host.take("box").at(0);
  Draft copy = Draft::from(message.view());
  copy.property("a", "2").property("b", "3");
  EXPECT_EQ(copy.lay([](const kante_message& laid) {
    EXPECT_EQ(laid.property_count, 2u);
    EXPECT_EQ(kante::toView(laid.properties[0].value), "2");
    EXPECT_EQ(laid.system_count, 1u);
    EXPECT_EQ(laid.expiry_ns, 99);
    EXPECT_EQ(laid.id_low, 0u);
    EXPECT_EQ(kante::toView(laid.content_type), "application/json");
    return KANTE_OK;
  }),
            KANTE_OK);
}

}  // namespace
