// A data file with one byte changed in any of its pages, or cut anywhere: the process lives, what
// comes back is whole, and a store that cannot be trusted is set aside.
#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "host/base/fd.h"
#include "host/store/page_check.h"
#include "tests/host/store/store_fixture.h"

namespace kante {
namespace {

constexpr std::size_t kPage = 4096;
constexpr int kMessages = 60;
#if defined(__SANITIZE_THREAD__)
constexpr int kPagesApart = 16;  // It makes each open slow, and looks for what no byte decides.
#else
constexpr int kPagesApart = 1;
#endif

class DamageTest : public StoreTest {
 protected:
  DamageTest() : StoreTest("/dev/shm") {}

  std::string dataFile() const { return directory() + "/data.mdb"; }
  void openSmall() {
    StoreOptions options;
    options.max_bytes = 256u << 10;
    open(options);
  }
  // A store with messages, numbers, expiries, values and free pages; its file's pages in use.
  std::string make() {
    openSmall();
    DurableQueue& upstream = queue();
    Answers answers;
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      Entry entry = entryOf("body " + std::to_string(i) + std::string(i % 3 == 0 ? 2500 : 200, 'x'),
                            static_cast<std::uint8_t>(i % 10), i % 2 == 0 ? 0 : 60'000'000'000);
      EXPECT_EQ(upstream.offer(entry, &answers, i), Offer::kTaken);
    }
    EXPECT_TRUE(answers.wait(kMessages));
    const TakenBatch batch = take(upstream, numbered(8));
    upstream.acknowledge({batch.messages[0].token, batch.messages[1].token});
    EXPECT_FALSE(store_->keyValue().put("twins", "module/a", "{}").has_error());
    put(queue("module/a/in"), entryOf("body of another"));
    store_.reset();
    auto bytes = readFile(dataFile(), 64u << 20);
    EXPECT_FALSE(bytes.has_error());
    std::size_t used = bytes->size() / kPage;
    while (used > 0 && bytes->find_first_not_of('\0', (used - 1) * kPage) == std::string::npos) {
      --used;
    }
    bytes->resize(used * kPage);
    return *bytes;
  }
  // Opens a store with this file; false: it was set aside.
  bool survives(const std::string& bytes) {
    store_.reset();
    std::filesystem::remove_all(temp_.path());
    std::filesystem::create_directories(directory());
    const int fd = ::open(dataFile().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ::close(fd);
    openSmall();
    if (store_ == nullptr) return false;
    EXPECT_EQ(put(queue(), entryOf("body after")), CommitResult::kCommitted);
    TakeRequest all;
    all.messages_max = 4096;
    for (const std::string& body : bodies(take(queue(), all))) {
      EXPECT_TRUE(body.starts_with("body ")) << body;
    }
    return store_->status().set_aside.empty();
  }
};

TEST_F(DamageTest, OneChangedByteInAnyPageEndsNothing) {
  const std::string good = make();
  ASSERT_GT(good.size() / kPage, 20u);
  EXPECT_TRUE(survives(good));
  int set_aside = 0;
  for (std::size_t page = 0; page < good.size() / kPage; page += kPagesApart) {
    for (const std::size_t at :
         {0u, 8u, 10u, 12u, 14u, 16u, 19u, 24u, 40u, 56u, 60u, 136u, 3000u}) {
      std::string bytes = good;
      char& byte = bytes[page * kPage + at];
      byte = static_cast<char>(byte ^ 0x55);
      SCOPED_TRACE("page " + std::to_string(page) + " byte " + std::to_string(at));
      if (!survives(bytes)) ++set_aside;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(set_aside, 40 / kPagesApart) << "the walk sees most of it";
}

TEST_F(DamageTest, AFileThatIsCutAnywhereEndsNothing) {
  const std::string good = make();
  for (std::size_t page = 1; page < good.size() / kPage; page += kPagesApart) {
    SCOPED_TRACE("cut to " + std::to_string(page) + " pages");
    survives(good.substr(0, page * kPage));
    survives(good.substr(0, page * kPage + 100));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace kante
