#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "host/message/message.h"
#include "host/runtime/module_port.h"

namespace kante {
namespace {

// Counts what gets through the argument checks.
class Port final : public ModulePort {
 public:
  int calls = 0;
  std::string text;
  int promises = 0;
  kante_status called() {
    ++calls;
    return KANTE_OK;
  }
  kante_status sealMessage(void*, std::uint32_t, kante_msg**) override { return called(); }
  kante_status emit(std::uint32_t, kante_msg*, std::uint64_t) override { return called(); }
  kante_status publish(std::uint32_t, void*, std::uint32_t, std::uint64_t) override {
    return called();
  }
  kante_status settle(std::uint64_t, kante_status) override { return called(); }
  void drained() override { ++calls; }
  void log(std::uint32_t, std::string_view line) override { text = line; }
  void explain(kante_status, std::string_view line) override { text = line; }
  kante_status report(kante_msg*, std::uint64_t) override { return called(); }
  kante_status reply(std::uint64_t, std::int32_t, kante_msg*) override { return called(); }
  std::uint64_t nowNs() override { return 7; }
  kante_status setTimer(std::uint32_t, std::uint64_t, std::uint64_t) override { return called(); }
  kante_status cancelTimer(std::uint32_t) override { return called(); }
  kante_status defineMetric(std::string_view, std::uint32_t, std::uint32_t*) override {
    return called();
  }
  void addMetric(std::uint32_t, std::int64_t) override { ++calls; }
  void recordMetric(std::uint32_t, double) override { ++calls; }
  kante_status storageGet(std::string_view, std::uint64_t) override { return called(); }
  kante_status storagePut(std::string_view, kante_msg*, std::uint64_t) override { return called(); }
  kante_status storageErase(std::string_view, std::uint64_t) override { return called(); }
  kante_status saveState(std::uint64_t, std::uint64_t, const void*, std::size_t) override {
    return called();
  }
  void ready() override { ++calls; }
  kante_status defer(std::uint32_t) override { return called(); }
  kante_status invoke(std::string_view, std::string_view, kante_msg*, std::uint32_t,
                      std::uint64_t) override {
    return called();
  }
  void promisedReady() override { ++promises; }
};

class HostTable : public ::testing::Test {
 protected:
  template <typename Table>
  const Table& table(const char* id) {
    const auto* found = static_cast<const Table*>(host.get_extension(&host, id));
    EXPECT_NE(found, nullptr) << id;
    EXPECT_EQ(found->struct_size, sizeof(Table));
    return *found;
  }
  Port port;
  kante_host host = makeHostTable(port);
  MessageRef message = *jsonMessage("1");
  kante_str name{"name", 4};
  kante_str none{nullptr, 5};
};

TEST_F(HostTable, SaysWhatItIs) {
  EXPECT_EQ(host.struct_size, sizeof(kante_host));
  EXPECT_EQ(host.abi_major, KANTE_ABI_MAJOR);
  EXPECT_EQ(host.get_extension(&host, nullptr), nullptr);
  EXPECT_EQ(host.get_extension(&host, ""), nullptr);
  EXPECT_EQ(host.get_extension(&host, "kante.twin/2"), nullptr);
  EXPECT_EQ(port.promises, 0);
  (void)host.get_extension(&host, KANTE_EXT_LIFECYCLE);
  EXPECT_EQ(port.promises, 1);
}

TEST_F(HostTable, AllocatesWithinBounds) {
  void* scratch = nullptr;
  EXPECT_EQ(host.msg_alloc(&host, 10, 0, nullptr), KANTE_E_INVALID);
  EXPECT_EQ(host.msg_alloc(&host, 0, 0, &scratch), KANTE_E_INVALID);
  EXPECT_EQ(host.msg_alloc(&host, KANTE_MESSAGE_WORDS_MAX + 1, 0, &scratch), KANTE_E_LIMIT);
  EXPECT_EQ(host.msg_alloc(&host, UINT32_MAX, 0, &scratch), KANTE_E_LIMIT);
  ASSERT_EQ(host.msg_alloc(&host, 100, KANTE_MSG_ZEROED, &scratch), KANTE_OK);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scratch) % 8, 0u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(static_cast<std::uint64_t*>(scratch)[i], 0u);
  host.msg_abandon(&host, scratch);
  host.msg_abandon(&host, nullptr);
}

TEST_F(HostTable, ReadsAndCountsMessages) {
  std::uint32_t words = 1;
  EXPECT_EQ(host.msg_words(nullptr, &words), nullptr);
  EXPECT_EQ(words, 0u);
  EXPECT_EQ(host.msg_words(message.get(), &words), message.words());
  EXPECT_EQ(words, message.wordCount());
  EXPECT_EQ(host.msg_words(message.get(), nullptr), message.words());
  host.msg_retain(message.get());
  EXPECT_EQ(message.get()->references.load(), 2u);
  host.msg_release(message.get());
  host.msg_retain(nullptr);
  host.msg_release(nullptr);
}

TEST_F(HostTable, RefusesNullAndUnsealedMessages) {
  void* scratch = nullptr;
  ASSERT_EQ(host.msg_alloc(&host, 40, 0, &scratch), KANTE_OK);
  kante_msg* unsealed = kante_msg::ofData(scratch);
  const auto& twin = table<kante_twin_v1>(KANTE_EXT_TWIN);
  const auto& storage = table<kante_storage_v1>(KANTE_EXT_STORAGE);
  const auto& invoke = table<kante_invoke_v1>(KANTE_EXT_INVOKE);
  for (kante_msg* bad : {static_cast<kante_msg*>(nullptr), unsealed}) {
    EXPECT_EQ(host.emit(&host, 0, bad, 0), KANTE_E_INVALID);
    EXPECT_EQ(twin.report(&host, bad, 1), KANTE_E_INVALID);
    EXPECT_EQ(storage.put(&host, name, bad, 1), KANTE_E_INVALID);
    EXPECT_EQ(invoke.invoke(&host, name, name, bad, 0, 1), KANTE_E_INVALID);
  }
  EXPECT_EQ(twin.reply(&host, 1, 200, unsealed), KANTE_E_INVALID);
  EXPECT_EQ(host.publish(&host, 0, nullptr, 1, 0), KANTE_E_INVALID);
  kante_msg* out = nullptr;
  EXPECT_EQ(host.msg_seal(&host, nullptr, 1, &out), KANTE_E_INVALID);
  EXPECT_EQ(host.msg_seal(&host, scratch, 1, nullptr), KANTE_E_INVALID);
  EXPECT_EQ(port.calls, 0);
  EXPECT_EQ(twin.reply(&host, 1, 200, nullptr), KANTE_OK) << "an answer may be empty";
  host.msg_abandon(&host, scratch);
}

TEST_F(HostTable, RefusesKeysAndTokensThatAreNone) {
  const auto& storage = table<kante_storage_v1>(KANTE_EXT_STORAGE);
  const std::string longest(256, 'k');
  const std::string longer(257, 'k');
  const kante_str empty{"", 0};
  for (const kante_str bad : {none, empty, kante_str{longer.data(), longer.size()}}) {
    EXPECT_EQ(storage.get(&host, bad, 1), KANTE_E_INVALID);
    EXPECT_EQ(storage.put(&host, bad, message.get(), 1), KANTE_E_INVALID);
    EXPECT_EQ(storage.erase(&host, bad, 1), KANTE_E_INVALID);
  }
  EXPECT_EQ(port.calls, 0);
  EXPECT_EQ(storage.get(&host, {longest.data(), longest.size()}, 1), KANTE_OK);
  const auto& invoke = table<kante_invoke_v1>(KANTE_EXT_INVOKE);
  EXPECT_EQ(invoke.invoke(&host, name, name, message.get(), 0, 0), KANTE_E_INVALID);
}

TEST_F(HostTable, RefusesStatesThatAreTooLargeOrNotThere) {
  const auto& state = table<kante_state_v1>(KANTE_EXT_STATE);
  EXPECT_EQ(state.save(&host, 1, 1, nullptr, 1), KANTE_E_INVALID);
  EXPECT_EQ(state.save(&host, 1, 1, "", KANTE_STATE_BYTES_MAX + 1u), KANTE_E_LIMIT);
  EXPECT_EQ(state.save(&host, 1, 1, "", std::numeric_limits<std::size_t>::max()), KANTE_E_LIMIT);
  EXPECT_EQ(port.calls, 0);
  EXPECT_EQ(state.save(&host, 1, 1, nullptr, 0), KANTE_OK);
}

TEST_F(HostTable, RefusesMetricsThatAreNone) {
  const auto& metrics = table<kante_metrics_v1>(KANTE_EXT_METRICS);
  std::uint32_t id = 0;
  EXPECT_EQ(metrics.define(&host, name, 3, &id), KANTE_E_INVALID);
  EXPECT_EQ(metrics.define(&host, name, 0, nullptr), KANTE_E_INVALID);
  metrics.record(&host, 0, std::numeric_limits<double>::quiet_NaN());
  metrics.record(&host, 0, std::numeric_limits<double>::infinity());
  EXPECT_EQ(port.calls, 0);
  metrics.record(&host, 0, 1.5);
  EXPECT_EQ(port.calls, 1);
}

TEST_F(HostTable, TakesANullTextAsEmpty) {
  host.log(&host, 2, {"text", 4});
  EXPECT_EQ(port.text, "text");
  host.log(&host, 2, none);
  EXPECT_EQ(port.text, "");
  host.explain(&host, KANTE_E_INVALID, none);
  EXPECT_EQ(port.text, "");
}

}  // namespace
}  // namespace kante
