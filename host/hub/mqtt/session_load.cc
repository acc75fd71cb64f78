// What a session store finds when it is opened.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "host/base/encoding.h"
#include "host/base/log.h"
#include "host/hub/mqtt/session_store.h"

namespace kante::hub {

// Rows in the making of sessions, and those that are to go.
struct SessionStore::Loading {
  SessionStore& store;
  std::map<std::uint64_t, StoredSession> sessions;
  std::unordered_map<std::uint64_t, PublicationRef> messages;
  std::map<std::string, PublicationRef> retained;  // By topic.
  std::vector<KeyValue::Write> gone;
  std::uint64_t orphans = 0;
  std::uint64_t bytes = 0;

  void drop(std::string_view area, std::string_view key) {
    gone.push_back({std::string(area), std::string(key), std::nullopt});
  }
  void damaged(std::string_view area, std::string_view key, const std::string& why) {
    store.damaged_.fetch_add(1, std::memory_order_relaxed);
    store.log_.error("hub", "a stored row of the broker is damaged, and left out",
                     {{"area", std::string(area)}, {"key", toHex(key)}, {"why", why}});
    drop(area, key);
  }
  void orphan(std::string_view area, std::string_view key) {
    ++orphans;
    drop(area, key);
  }
  StoredSession* sessionOf(const RowKey& key) {
    const auto at = sessions.find(key.first);
    return at == sessions.end() ? nullptr : &at->second;
  }
  // `read(key, value)`: false if it is no such row.
  template <typename Read>
  Status visit(std::string_view area, Read read) {
    return store.store_.visit(std::string(area),
                              [&](std::string_view key, const Result<std::string_view>& value) {
                                if (value.has_error())
                                  return damaged(area, key, value.error().text);
                                const auto parts = readKey(key);
                                bytes += area.size() + 1 + key.size() + 4 + value->size();
                                if (!parts || !read(*parts, key, *value))
                                  damaged(area, key, "not such a row");
                              });
  }
  // The same of what belongs to a session.
  template <typename Read>
  Status visitOwned(std::string_view area, Read read) {
    return visit(area, [&](const RowKey& parts, std::string_view key, std::string_view value) {
      StoredSession* session = sessionOf(parts);
      if (session != nullptr) return read(*session, parts, key, value);
      orphan(area, key);
      return true;
    });
  }

  Status readMessages();
  Status readSessions();
  Status readEntries();
  Status readRetained();
  void dropUnused();
};

Status SessionStore::Loading::readMessages() {
  return visit(kMessageRows, [&](const RowKey& key, std::string_view, std::string_view value) {
    PublicationRef publication = readPublication(value, store.clock_ns_);
    if (!publication) return false;
    publication->stored().id = key.first;
    store.last_message_ = std::max(store.last_message_, key.first);
    messages.emplace(key.first, std::move(publication));
    return true;
  });
}

Status SessionStore::Loading::readSessions() {
  KANTE_CHECK(visit(kSessionRows, [&](const RowKey& key, std::string_view, std::string_view value) {
    auto row = readSessionRow(value);
    if (!row) return false;
    StoredSession& session = sessions[key.first];
    session.id = key.first;
    session.row = std::move(*row);
    return true;
  }));
  KANTE_CHECK(visitOwned(kFilterRows, [&](StoredSession& session, const RowKey& key,
                                          std::string_view, std::string_view value) {
    auto row = readFilterRow(value);
    if (row) session.filters.push_back({key.second, std::move(*row)});
    return row.has_value();
  }));
  KANTE_CHECK(visitOwned(kPacketRows, [&](StoredSession& session, const RowKey& key,
                                          std::string_view, std::string_view) {
    if (key.second == 0 || key.second > 65'535) return false;
    session.packets.push_back(static_cast<std::uint16_t>(key.second));
    return true;
  }));
  return visitOwned(kWillRows, [&](StoredSession& session, const RowKey&, std::string_view,
                                   std::string_view value) {
    session.will = readWillRow(value);
    return session.will.has_value();
  });
}

Status SessionStore::Loading::readEntries() {
  return visitOwned(kEntryRows, [&](StoredSession& session, const RowKey& key,
                                    std::string_view full, std::string_view value) {
    auto row = readEntryRow(value);
    if (!row) return false;
    StoredSession::Entry entry{key.second, std::move(*row), {}};
    if (entry.row.message != 0) {
      const auto at = messages.find(entry.row.message);
      if (at == messages.end()) {  // Its row is damaged, or was never acknowledged.
        orphan(kEntryRows, full);
        return true;
      }
      entry.publication = at->second;
      ++entry.publication->stored().uses;
    }
    session.entries.push_back(std::move(entry));
    return true;
  });
}

Status SessionStore::Loading::readRetained() {
  return visit(kRetainedRows, [&](const RowKey& key, std::string_view full, std::string_view) {
    const auto at = messages.find(key.first);
    if (at == messages.end()) {
      orphan(kRetainedRows, full);
      return true;
    }
    PublicationRef& last = retained[std::string(at->second->topic())];
    if (last) {  // In order of keys: the later one counts.
      drop(kRetainedRows, rowKey(last->stored().id));
      --last->stored().uses;
    }
    last = at->second;
    ++last->stored().uses;
    return true;
  });
}

void SessionStore::Loading::dropUnused() {
  std::uint64_t used = 0;
  for (const auto& [id, publication] : messages) {
    if (publication->stored().uses == 0) {
      orphan(kMessageRows, rowKey(id));
    } else {
      ++used;
    }
  }
  store.messages_.store(used, std::memory_order_relaxed);
  store.bytes_.store(bytes, std::memory_order_relaxed);
}

Result<StoredBroker> SessionStore::load(std::int64_t boot_ns) {
  KANTE_TRY(now_ns, store_.nowNs());
  clock_ns_ = now_ns - boot_ns;
  Loading loading{*this, {}, {}, {}, {}};
  KANTE_CHECK(loading.readMessages());
  KANTE_CHECK(loading.readSessions());
  KANTE_CHECK(loading.readEntries());
  KANTE_CHECK(loading.readRetained());
  loading.dropUnused();
  if (loading.orphans != 0)
    log_.info("hub", "stored rows that nothing needs any more are removed",
              {{"rows", std::to_string(loading.orphans)}});
  // They are found again where they cannot be removed now.
  if (!loading.gone.empty()) (void)store_.apply(std::move(loading.gone));
  StoredBroker out;
  out.clock_ns = clock_ns_;
  constexpr std::uint64_t kOwn = (std::uint64_t{1} << 48) - 1;  // Without the engine.
  for (auto& [id, session] : loading.sessions) {
    out.ids = std::max(out.ids, id & kOwn);
    out.sessions.push_back(std::move(session));
  }
  for (auto& [topic, publication] : loading.retained) out.retained.push_back(publication);
  return out;
}

}  // namespace kante::hub
