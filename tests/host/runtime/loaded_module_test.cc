#include "host/runtime/loaded_module.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "tests/kits/module_kit.h"

namespace kante {
namespace {

Error refusal(const std::string& library, const std::string& id = "dev.kante.kit-bad") {
  auto loaded = LoadedModule::load(sealedLibrary(library), id);
  EXPECT_TRUE(loaded.has_error()) << library;
  return loaded.has_error() ? loaded.error() : Error{};
}

TEST(LoadedModule, LoadsWhatSpeaksOurAbi) {
  auto loaded = LoadedModule::load(sealedLibrary("kit-relay"), "dev.kante.kit-relay");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  EXPECT_STREQ((*loaded)->entry().inputs[0], "in");
  EXPECT_EQ((*loaded)->extension("kante.unknown/1"), nullptr);
}

TEST(LoadedModule, LoadsAnEntryOfALaterMinorVersion) {
  auto loaded = LoadedModule::load(sealedLibrary("kit-bad-8"), "dev.kante.kit-bad");
  EXPECT_TRUE(loaded.has_value());
}

TEST(LoadedModule, RefusesBytesThatAreNoLibrary) {
  FileDescriptor memory(::memfd_create("text", MFD_CLOEXEC));
  ASSERT_EQ(::write(memory.get(), "no library", 10), 10);
  auto loaded = LoadedModule::load(std::move(memory), "x");
  ASSERT_TRUE(loaded.has_error());
  EXPECT_EQ(loaded.error().code, Errc::kCorrupt);
  EXPECT_NE(loaded.error().text.find("does not load"), std::string::npos);
}

TEST(LoadedModule, RefusesALibraryWithoutTheSymbol) {
  const Error error = refusal("kit-bad-0");
  EXPECT_EQ(error.code, Errc::kCorrupt);
  EXPECT_NE(error.text.find("kante_module_entry"), std::string::npos);
}

TEST(LoadedModule, RefusesAnEntryThatIsNotOurs) {
  EXPECT_NE(refusal("kit-bad-1").text.find("magic"), std::string::npos);
  const Error major = refusal("kit-bad-2");
  EXPECT_EQ(major.code, Errc::kUnsupported);
  EXPECT_NE(major.text.find("ABI 2.0"), std::string::npos);
  EXPECT_NE(refusal("kit-bad-3").text.find("smaller"), std::string::npos);
}

TEST(LoadedModule, RefusesNamesAndFunctionsThatAreNotThere) {
  const Error odd = refusal("kit-bad-4");
  EXPECT_EQ(odd.code, Errc::kInvalid);
  EXPECT_NE(odd.text.find("'not a name'"), std::string::npos);
  EXPECT_NE(refusal("kit-bad-5").text.find("no list of inputs"), std::string::npos);
  EXPECT_NE(refusal("kit-bad-6").text.find("null"), std::string::npos);
  EXPECT_NE(refusal("kit-bad-7").text.find("null"), std::string::npos);
}

TEST(LoadedModule, RefusesAnotherIdThanTheManifests) {
  const Error error = refusal("kit-relay", "dev.kante.other");
  EXPECT_EQ(error.code, Errc::kCorrupt);
  EXPECT_NE(error.text.find("dev.kante.kit-relay"), std::string::npos);
  EXPECT_NE(error.text.find("dev.kante.other"), std::string::npos);
}

// The dynamic linker knows libraries by /proc/self/fd/N: a number that came back would bring the
// earlier one.
TEST(LoadedModule, NeverGivesTheNumberOfADescriptorBack) {
  for (const char* library : {"kit-relay", "kit-bad-0", "kit-bad-1", "kit-life"}) {
    FileDescriptor sealed = sealedLibrary(library);
    const int number = sealed.get();
    { const auto loaded = LoadedModule::load(std::move(sealed), ""); }
    EXPECT_GE(::fcntl(number, F_GETFD), 0) << library;
  }
  auto life = LoadedModule::load(sealedLibrary("kit-life"), "dev.kante.kit-life");
  EXPECT_TRUE(life.has_value());
}

TEST(LoadedModule, TakesAnEntryThatIsLinkedIn) {
  static const char* const kNone[] = {nullptr};
  kante_entry entry{};
  entry.struct_size = sizeof entry;
  entry.magic = KANTE_MAGIC;
  entry.abi_major = KANTE_ABI_MAJOR;
  entry.id = "linked";
  entry.version = "1";
  entry.inputs = kNone;
  entry.outputs = kNone;
  entry.create = [](const kante_host*, kante_msg*, kante_module**) { return kante_status{0}; };
  entry.on_event = [](kante_module*, const kante_event*) { return kante_status{0}; };
  entry.destroy = [](kante_module*) {};
  EXPECT_TRUE(LoadedModule::ofEntry(entry).has_value());
  entry.magic = 1;
  EXPECT_TRUE(LoadedModule::ofEntry(entry).has_error());
}

}  // namespace
}  // namespace kante
