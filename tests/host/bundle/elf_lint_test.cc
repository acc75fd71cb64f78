#include "host/bundle/elf_lint.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>

#include "host/bundle/lint_file.h"
#include "tests/host/bundle/bundle_kit.h"

namespace kante {
namespace {

using test::sampleElf;
using ::testing::HasSubstr;

Result<ElfFacts> lint(const std::string& bytes, const LintPolicy& policy = {}) {
  return lintElf({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, policy);
}

void expectRefused(const std::string& sample, Errc code, const std::string& because) {
  const auto facts = lint(sampleElf(sample));
  ASSERT_TRUE(facts.has_error()) << sample;
  EXPECT_EQ(facts.error().code, code) << facts.error().text;
  EXPECT_THAT(facts.error().text, HasSubstr(because)) << sample;
}

TEST(ElfLintTest, AModuleLinkedByTheBookPasses) {
  const auto facts = lint(sampleElf("good"));
  ASSERT_TRUE(facts.has_value()) << facts.error().text;
  EXPECT_THAT(facts->needed, ::testing::ElementsAre("libc.so.6"));
  EXPECT_FALSE(facts->note.present);
  EXPECT_TRUE(lint(sampleElf("classic_hash")).has_value());
}

TEST(ElfLintTest, ASecondExportedSymbolIsRefusedByName) {
  expectRefused("second_export", Errc::kDenied, "exports");
  expectRefused("both_hashes", Errc::kDenied, "besides kante_module_entry");
  expectRefused("version_node", Errc::kDenied, "exports KANTE_1");
}

TEST(ElfLintTest, TheEntryMustBeThereAndBeData) {
  expectRefused("no_entry", Errc::kDenied, "exports something_else");
  expectRefused("entry_function", Errc::kDenied, "not as a data object");
}

TEST(ElfLintTest, AUniqueSymbolIsRefused) {
  expectRefused("unique_symbol", Errc::kDenied, "unique symbol unique_symbol");
}

TEST(ElfLintTest, LazyBindingIsRefused) {
  expectRefused("lazy", Errc::kDenied, "binds symbols lazily");
}

TEST(ElfLintTest, WritableRelocationsAreRefused) {
  expectRefused("no_relro", Errc::kDenied, "no read-only relocations");
}

TEST(ElfLintTest, AnExecutableStackIsRefused) {
  expectRefused("executable_stack", Errc::kDenied, "executable stack");
}

TEST(ElfLintTest, SearchPathsAreRefused) {
  expectRefused("rpath", Errc::kDenied, "has an RPATH");
  expectRefused("runpath", Errc::kDenied, "has a RUNPATH");
}

TEST(ElfLintTest, TextRelocationsAreRefused) {
  expectRefused("text_relocations", Errc::kDenied, "text relocations");
}

TEST(ElfLintTest, FilterLibrariesAreRefused) {
  expectRefused("filter", Errc::kDenied, "auxiliary filter");
}

TEST(ElfLintTest, ASystemLibrarysNameIsRefused) {
  expectRefused("system_soname", Errc::kDenied, "calls itself libm.so.6");
}

TEST(ElfLintTest, ANeededLibraryOffTheListIsRefusedUnlessGranted) {
  expectRefused("other_library", Errc::kDenied, "needs the library libgood.so");
  EXPECT_TRUE(lint(sampleElf("other_library"), {hostMachine(), {"libgood.so"}}).has_value());
}

// The tests below change a good library where no linker would.
struct Patch {
  std::string bytes;
  Elf64_Ehdr header{};

  explicit Patch(const std::string& sample) : bytes(sampleElf(sample)) {
    std::memcpy(&header, bytes.data(), sizeof header);
  }
  template <typename Change>
  void eachSegment(Change change) {
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      Elf64_Phdr segment;
      char* at = bytes.data() + header.e_phoff + i * sizeof segment;
      std::memcpy(&segment, at, sizeof segment);
      change(segment);
      std::memcpy(at, &segment, sizeof segment);
    }
  }
  template <typename Change>
  void eachDynamic(Change change) {
    Elf64_Phdr dynamic{};
    eachSegment([&](const Elf64_Phdr& segment) {
      if (segment.p_type == PT_DYNAMIC) dynamic = segment;
    });
    for (std::size_t at = dynamic.p_offset; at < dynamic.p_offset + dynamic.p_filesz;
         at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      std::memcpy(&entry, bytes.data() + at, sizeof entry);
      change(entry);
      std::memcpy(bytes.data() + at, &entry, sizeof entry);
    }
  }
  void expectRefused(const std::string& because) const {
    const auto facts = lint(bytes);
    ASSERT_TRUE(facts.has_error()) << because;
    EXPECT_THAT(facts.error().text, HasSubstr(because));
  }
};

TEST(ElfLintTest, TextRelocationsThatTheFlagsDenyAreStillFound) {
  Patch patch("text_relocations");
  patch.eachDynamic([](Elf64_Dyn& entry) {
    if (entry.d_tag == DT_TEXTREL) entry.d_tag = DT_DEBUG;
    if (entry.d_tag == DT_FLAGS) entry.d_un.d_val &= ~std::uint64_t{DF_TEXTREL};
  });
  patch.expectRefused("text relocations");
}

TEST(ElfLintTest, ALibraryThatDoesNotSpeakOfItsStackIsRefused) {
  Patch patch("good");
  patch.eachSegment([](Elf64_Phdr& segment) {
    if (segment.p_type == PT_GNU_STACK) segment.p_type = PT_NULL;
  });
  patch.expectRefused("does not say that its stack");
}

TEST(ElfLintTest, WritableCodeIsRefused) {
  Patch patch("good");
  patch.eachSegment([](Elf64_Phdr& segment) {
    if (segment.p_type == PT_LOAD) segment.p_flags |= PF_W | PF_X;
  });
  patch.expectRefused("writable and executable");
}

TEST(ElfLintTest, SegmentsThatShareAPageAreRefused) {
  // The loader would map the second one over the tables that were read in the first.
  Patch patch("good");
  std::uint64_t end = 0;
  patch.eachSegment([&](Elf64_Phdr& segment) {
    if (segment.p_type != PT_LOAD) return;
    if (end != 0 && end % 4096 != 0) segment.p_vaddr = end;
    end = segment.p_vaddr + segment.p_memsz;
  });
  patch.expectRefused("segments overlap");
}

TEST(ElfLintTest, AnotherMachinesLibraryIsRefusedByItsName) {
  Patch patch("good");
  patch.bytes[18] = static_cast<char>(EM_AARCH64);
  patch.bytes[19] = 0;
  const auto facts = lint(patch.bytes, {Machine::kAmd64, {}});
  ASSERT_TRUE(facts.has_error());
  EXPECT_EQ(facts.error().code, Errc::kUnsupported);
  EXPECT_EQ(facts.error().text, "made for arm64, not for amd64");
}

TEST(ElfLintTest, ProgramsAndOtherFilesAreNoLibraries) {
  Patch patch("good");
  patch.bytes[16] = ET_EXEC;
  patch.expectRefused("instead of ET_DYN");
  EXPECT_EQ(lint("").error().code, Errc::kCorrupt);
  EXPECT_EQ(lint(std::string(4096, 'x')).error().code, Errc::kCorrupt);
}

#if defined(__x86_64__)
TEST(ElfLintTest, A32BitLibraryIsReadInItsOwnLayout) {
  std::string bytes = sampleElf("small32");
  bytes[18] = EM_ARM;
  const auto facts = lint(bytes, {Machine::kArmhf, {}});
  ASSERT_TRUE(facts.has_value()) << facts.error().text;
  EXPECT_TRUE(lint(bytes, {Machine::kAmd64, {}}).has_error());
}
#endif

TEST(ElfLintTest, EveryTruncationIsRefusedOrHarmless) {
  const std::string bytes = sampleElf("good");
  Elf64_Phdr last{};
  Patch("good").eachSegment([&](const Elf64_Phdr& segment) {
    if (segment.p_type == PT_LOAD) last = segment;
  });
  for (std::size_t length = 0; length < last.p_offset + last.p_filesz; length += 7) {
    EXPECT_TRUE(lint(bytes.substr(0, length)).has_error()) << length;
  }
}

TEST(ElfLintTest, DamagedTablesNeverReachOutsideTheFile) {
  // What the sanitizers watch; whether a flipped bit is refused depends on what it meant.
  std::string bytes = sampleElf("note");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char before = bytes[at];
    for (const int value : {0, 0xff, before ^ 0x80}) {
      bytes[at] = static_cast<char>(value);
      (void)lint(bytes);
    }
    bytes[at] = before;
    if (at == 0x1000) at = 0x1fff;  // Code, which the lint does not read.
  }
}

Status lintAs(const std::string& sample, const std::string& id) {
  const FileDescriptor file = test::fileOf(sampleElf(sample));
  Manifest manifest;
  manifest.id = id;
  manifest.abi_major = 1;
  return lintFile(file.get(), "module.so", manifest, {});
}

TEST(ElfLintTest, ANoteMustAgreeWithTheManifest) {
  const auto facts = lint(sampleElf("note"));
  ASSERT_TRUE(facts.has_value()) << facts.error().text;
  EXPECT_TRUE(facts->note.present);
  EXPECT_THAT(facts->note.requires_extensions,
              ::testing::ElementsAre("kante.timers/1", "kante.twin/1"));

  EXPECT_TRUE(lintAs("note", "com.example.test").has_value());
  EXPECT_TRUE(lintAs("good", "com.example.test").has_value());
  EXPECT_THAT(lintAs("note_other_id", "com.example.test").error().text,
              HasSubstr("says id com.example.other"));
  EXPECT_THAT(lintAs("note_other_abi", "com.example.test").error().text, HasSubstr("says abi 2.0"));
  EXPECT_THAT(lintAs("note_garbage", "com.example.test").error().text,
              HasSubstr("malformed .note.kante"));
}

TEST(ElfLintTest, AnEmptyFileIsNoLibrary) {
  const FileDescriptor file = test::fileOf("");
  EXPECT_EQ(lintFile(file.get(), "module.so", {}, {}).error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace kante
