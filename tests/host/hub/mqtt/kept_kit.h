// Engines over a store on disk, which may be left at any time for new ones.
#pragma once

#include <gmock/gmock.h>

#include "tests/host/hub/mqtt/engine_kit.h"
#include "tests/host/store/store_fixture.h"

namespace kante::hub {

class KeptWorld : public StoreTest {
 protected:
  ~KeptWorld() override { leave(); }
  // The process is no more; what it had on disk is.
  void leave() {
    clients_.clear();
    world_.reset();
    kept_.reset();
  }
  // A new one begins, `seconds` later.
  void begin(std::uint32_t engines = 1, double seconds = 0, SessionStore::Options options = {}) {
    leave();
    clock_.advance(static_cast<std::int64_t>(seconds * 1e9));
    open();
    kept_ = std::make_shared<SessionStore>(store_->keyValue(), log_, options);
    world_ = std::make_unique<World>(engines, limits_, nullptr, kept_.get(), desk_);
    for (const char* user : {"user", "other"}) world_->access.user(user);
    auto stored = kept_->load(world_->boot_ns);
    ASSERT_FALSE(stored.has_error()) << stored.error().text;
    world_->restore(std::move(*stored));
  }
  static Wish lasting(const std::string& id, Version version, bool clean = false) {
    Wish wish;
    wish.id = id;
    wish.clean = clean;
    if (version == Version::k5) wish.properties = mqtt::bytesOf({0x11, 0, 0, 1, 0});
    return wish;
  }
  // One whose session outlives it.
  Client& client(const std::string& id, Version version = Version::k5, std::uint32_t engine = 0) {
    clients_.push_back(std::make_unique<Client>(*world_, version, engine));
    hello_ = clients_.back()->connect(lasting(id, version));
    EXPECT_EQ(hello_.reason, Reason::kSuccess);
    return *clients_.back();
  }
  // One whose session ends with it.
  Client& guest(const std::string& id, Version version = Version::k5, std::uint32_t engine = 0) {
    clients_.push_back(std::make_unique<Client>(*world_, version, engine));
    Wish wish;
    wish.id = id;
    EXPECT_EQ(clients_.back()->connect(wish).reason, Reason::kSuccess);
    return *clients_.back();
  }
  // Says it, hears that it was taken, and where it is of QoS 2 ends the exchange.
  void say(Client& from, const std::string& topic, const std::string& payload, Qos qos,
           std::uint16_t id, unsigned flags = 0) {
    from.publish(topic, payload, qos, id, flags);
    const Said said = from.next();
    EXPECT_EQ(said.type, qos == Qos::k1 ? PacketType::kPuback : PacketType::kPubrec);
    EXPECT_LT(static_cast<unsigned>(said.reason), 0x80u);
    EXPECT_EQ(said.id, id);
    if (qos == Qos::k1) return;
    from.ack(PacketType::kPubrel, id);
    EXPECT_EQ(from.next().type, PacketType::kPubcomp);
  }
  // Takes the next message, to the end of its exchange.
  std::string hear(Client& to) {
    const Said said = to.next();
    EXPECT_EQ(said.type, PacketType::kPublish);
    if (said.qos == Qos::k1) to.ack(PacketType::kPuback, said.id);
    if (said.qos == Qos::k2) {
      to.ack(PacketType::kPubrec, said.id);
      const Said release = next(to, PacketType::kPubrel);
      EXPECT_EQ(release.id, said.id);
      to.ack(PacketType::kPubcomp, said.id);
    }
    return said.payload;
  }
  // Of this type; others that came before it are put aside.
  Said next(Client& to, PacketType type) {
    std::string aside;
    while (to.hasMore()) {
      const std::string before = to.wire().to_client;
      Said said = to.next();
      if (said.type == type) {
        to.wire().to_client = aside + to.wire().to_client;
        return said;
      }
      aside += before.substr(0, before.size() - to.wire().to_client.size());
    }
    ADD_FAILURE() << "it has not come";
    return {};
  }
  std::vector<std::string> hearAll(Client& to) {
    std::vector<std::string> out;
    while (to.hasMore()) out.push_back(hear(to));
    return out;
  }
  std::size_t rows(std::string_view area) {
    return store_->keyValue().scan(std::string(area))->size();
  }
  std::size_t allRows() {
    std::size_t count = 0;
    for (const std::string_view area : {kSessionRows, kFilterRows, kEntryRows, kPacketRows,
                                        kWillRows, kMessageRows, kRetainedRows})
      count += rows(area);
    return count;
  }

  Limits limits_;
  Desk* desk_ = nullptr;                // Of those that begin from now on.
  std::shared_ptr<SessionStore> kept_;  // Shared with what is on its way to the disk.
  std::unique_ptr<World> world_;
  std::vector<std::unique_ptr<Client>> clients_;
  Said hello_;
};

}  // namespace kante::hub
