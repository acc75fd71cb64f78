#include "host/placement/shard_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

namespace kante {

Result<Shard*> ShardPool::make() {
  const auto index = static_cast<std::uint32_t>(shards_.size());
  if (index == CrashPage::kSlots) {
    return fail(Errc::kLimit, fmt::format("more than {} shards: too many modules with execution "
                                          "\"dedicated\"",
                                          CrashPage::kSlots));
  }
  CallbackSlot* slot = page_.slot(index);
  shards_.push_back(std::make_shared<Shard>(index, slot));
  shards_.back()->start();
  shards_.back()->post([slot] { CrashPage::armThread(slot); });
  return shards_.back().get();
}

Status ShardPool::place(const std::vector<ModuleSpec>& modules,
                        const std::map<std::string, std::size_t>& groups,
                        std::map<std::string, Shard*>& homes) {
  std::map<std::size_t, std::vector<std::string>> members;
  std::map<std::size_t, Shard*> home_of_group;
  for (const ModuleSpec& module : modules) {
    if (const auto at = homes.find(module.name); at != homes.end()) {
      if (!isDedicated(*at->second)) home_of_group[groups.at(module.name)] = at->second;
      continue;
    }
    if (module.execution == Execution::kDedicated) {
      const auto idle = std::find_if(dedicated_.begin(), dedicated_.end(),
                                     [](const auto& entry) { return !entry.second; });
      Shard* shard = idle == dedicated_.end() ? nullptr : const_cast<Shard*>(idle->first);
      if (shard == nullptr) {
        KANTE_TRY(made, make());
        shard = made;
      }
      dedicated_[shard] = true;
      homes[module.name] = shard;
      continue;
    }
    members[groups.at(module.name)].push_back(module.name);
  }
  std::vector<std::size_t> order;
  for (const auto& [group, names] : members) order.push_back(group);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return members[a].size() > members[b].size();
  });
  for (const std::size_t group : order) {
    Shard* home = home_of_group.contains(group) ? home_of_group[group] : nullptr;
    if (home == nullptr && load_.size() < shared_max_) {
      KANTE_TRY(made, make());
      home = made;
    }
    if (home == nullptr) {
      home = const_cast<Shard*>(std::min_element(load_.begin(), load_.end(), [](auto& a, auto& b) {
                                  return a.second < b.second;
                                })->first);
    }
    load_[home] += members[group].size();
    for (const std::string& name : members[group]) homes[name] = home;
  }
  return {};
}

Result<std::vector<std::shared_ptr<Shard>>> ShardPool::shared() {
  while (load_.size() < shared_max_) {
    KANTE_TRY(made, make());
    load_[made] = 0;
  }
  std::vector<std::shared_ptr<Shard>> out;
  for (const auto& shard : shards_)
    if (load_.contains(shard.get())) out.push_back(shard);
  return out;
}

void ShardPool::releaseDedicated(Shard& shard) {
  if (const auto at = dedicated_.find(&shard); at != dedicated_.end()) {
    at->second = false;
  } else if (const auto shared = load_.find(&shard); shared != load_.end() && shared->second > 0) {
    --shared->second;
  }
}

bool ShardPool::isDedicated(const Shard& shard) const { return dedicated_.contains(&shard); }

void ShardPool::stop() {
  for (const auto& shard : shards_) {
    shard->post([] { CrashPage::disarmThread(); });
    shard->stop();
  }
}

void ShardPool::afterAll(const std::function<void(std::function<void()>)>& control,
                         std::function<void()> done) {
  const auto open = std::make_shared<std::atomic<std::size_t>>(shards_.size());
  if (shards_.empty()) return control(std::move(done));
  const auto shared_done = std::make_shared<std::function<void()>>(std::move(done));
  for (const auto& shard : shards_) {
    shard->post([open, control, shared_done] {
      if (open->fetch_sub(1) == 1) control(*shared_done);
    });
  }
}

}  // namespace kante
