#include "host/store/key_value.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>

#include "host/store/area_table.h"
#include "host/store/store_core.h"

namespace kante {
namespace {

std::uint64_t sizeOf(const std::vector<KeyValue::Write>& writes) {
  std::uint64_t bytes = 0;
  for (const KeyValue::Write& write : writes) {
    bytes += write.area.size() + write.key.size() + (write.value ? write.value->size() : 0);
  }
  return bytes;
}

// Runs an asynchronous form and waits for its answer.
template <typename Answer, typename Start>
Answer await(Start start) {
  const auto promise = std::make_shared<std::promise<Answer>>();
  std::future<Answer> answer = promise->get_future();
  start([promise](Answer value) { promise->set_value(std::move(value)); });
  return answer.get();
}

}  // namespace

void KeyValue::apply(std::vector<Write> writes, OnStatus done) {
  for (const Write& write : writes) {
    const Status checked = AreaTable::check(write);
    if (checked.has_error()) return done(checked);
  }
  struct Work {
    std::vector<Write> writes;
    Status inside;
  };
  const auto work = std::make_shared<Work>();
  work->writes = std::move(writes);
  StoreCore::Operation operation;
  operation.bytes = sizeOf(work->writes);
  operation.apply = [this, work](Transaction& txn) {
    work->inside = core_.applyWrites(txn, work->writes);
  };
  operation.done = [work, done = std::move(done)](const Status& status) {
    done(status.has_error() ? status : work->inside);
  };
  core_.post(std::move(operation));
}

void KeyValue::get(std::string area, std::string key, OnValue done) {
  const auto value =
      std::make_shared<Result<std::optional<std::string>>>(std::optional<std::string>());
  StoreCore::Operation operation;
  operation.apply = [this, value, area = std::move(area), key = std::move(key)](Transaction& txn) {
    *value = core_.areas().get(txn, area, key);
  };
  operation.done = [value, done = std::move(done)](const Status& status) {
    if (status.has_error()) return done(status.error());
    done(std::move(*value));
  };
  core_.post(std::move(operation));
}

void KeyValue::scan(std::string area, OnPairs done) {
  const auto pairs = std::make_shared<Result<Pairs>>(Pairs());
  StoreCore::Operation operation;
  operation.apply = [this, pairs, area = std::move(area)](Transaction& txn) {
    *pairs = core_.areas().scan(txn, area);
  };
  operation.done = [pairs, done = std::move(done)](const Status& status) {
    if (status.has_error()) return done(status.error());
    done(std::move(*pairs));
  };
  core_.post(std::move(operation));
}

Status KeyValue::apply(std::vector<Write> writes) {
  return await<Status>([&](OnStatus done) { apply(std::move(writes), std::move(done)); });
}

Status KeyValue::put(std::string area, std::string key, std::string value) {
  std::vector<Write> writes;
  writes.push_back({std::move(area), std::move(key), std::move(value)});
  return apply(std::move(writes));
}

Status KeyValue::erase(std::string area, std::string key) {
  std::vector<Write> writes;
  writes.push_back({std::move(area), std::move(key), std::nullopt});
  return apply(std::move(writes));
}

Result<std::optional<std::string>> KeyValue::get(std::string area, std::string key) {
  return await<Result<std::optional<std::string>>>(
      [&](OnValue done) { get(std::move(area), std::move(key), std::move(done)); });
}

Result<KeyValue::Pairs> KeyValue::scan(std::string area) {
  return await<Result<Pairs>>([&](OnPairs done) { scan(std::move(area), std::move(done)); });
}

void KeyValue::transact(std::uint64_t bytes, std::function<void(AreaWriter&)> apply,
                        OnStatus done) {
  StoreCore::Operation operation;
  operation.bytes = bytes;
  operation.apply = [this, apply = std::move(apply)](Transaction& txn) {
    AreaWriter writer(core_.areas(), txn);
    apply(writer);
  };
  operation.done = std::move(done);
  core_.post(std::move(operation));
}

Status KeyValue::visit(const std::string& area, const OnRow& row) {
  return core_.perform([&](Transaction& txn) { return core_.areas().visit(txn, area, row); });
}

Result<std::int64_t> KeyValue::nowNs() {
  std::int64_t now_ns = 0;
  KANTE_CHECK(core_.perform([&](Transaction&) -> Status {
    now_ns = core_.now().store_ns;
    return {};
  }));
  return now_ns;
}

// ---- StoreMap ----

// The first failure since the last sync is what that sync reports.
// A failure is told to every sync that was asked for before it was first told, and to none that
// comes later.
struct StoreMap::State {
  static constexpr std::uint64_t kUntold = ~std::uint64_t{0};
  std::mutex mutex;
  Status failure;
  std::uint64_t syncs = 0;             // Asked for.
  std::uint64_t told_until = kUntold;  // The last of them that hears of the failure.
};

StoreMap::StoreMap(KeyValue& store, std::string area, Post post)
    : store_(store),
      area_(std::move(area)),
      post_(std::move(post)),
      state_(std::make_shared<State>()) {}

StoreMap::~StoreMap() = default;

Result<std::map<std::string, std::string>> StoreMap::readAll() {
  KANTE_TRY(pairs, store_.scan(area_));
  std::map<std::string, std::string> values;
  for (auto& [key, value] : pairs) values.emplace(std::move(key), std::move(value));
  return values;
}

Status StoreMap::put(const std::string& key, const std::string& value) {
  KeyValue::Write write{area_, key, value};
  KANTE_CHECK(AreaTable::check(write));
  return later(std::move(write));
}

Status StoreMap::erase(const std::string& key) {
  KeyValue::Write write{area_, key, std::nullopt};
  KANTE_CHECK(AreaTable::check(write));
  return later(std::move(write));
}

Status StoreMap::later(KeyValue::Write write) {
  std::vector<KeyValue::Write> writes;
  writes.push_back(std::move(write));
  store_.apply(std::move(writes), [state = state_](Status status) {
    if (!status.has_error()) return;
    const std::lock_guard lock(state->mutex);
    state->failure = status;
    state->told_until = State::kUntold;
  });
  return {};
}

void StoreMap::sync(std::function<void(Status)> done) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(state_->mutex);
    number = ++state_->syncs;
  }
  const auto tell = [state = state_, done = std::move(done)](const Status& status) {
    if (status.has_error()) {
      const std::lock_guard lock(state->mutex);
      state->told_until = std::min(state->told_until, state->syncs);
    }
    done(status);
  };
  // An empty write follows all that came before it into the same or a later group.
  store_.apply(std::vector<KeyValue::Write>(),
               [state = state_, post = post_, number, tell](Status status) {
                 {
                   const std::lock_guard lock(state->mutex);
                   if (!status.has_error() && number <= state->told_until) status = state->failure;
                 }
                 post([status, tell] { tell(status); });
               });
}

}  // namespace kante
