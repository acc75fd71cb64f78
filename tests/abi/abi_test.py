"""The gates of the module ABI: abi_test.py SOURCE_DIR LIBRARY…

Compiles the header in every language and compiler that modules may use, holds it against the frozen
assertions and the dump of the last release, shows that both see a planted break, and looks at the exports
and hardening of every LIBRARY (a module's shared library).
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv[1])
LIBRARIES = sys.argv[2:]
HEADER = os.path.join(SOURCE, "sdk/include/kante/module.h")
DUMP = os.path.join(SOURCE, "abi/kante-1.0.abi")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]


def run(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Header(unittest.TestCase):
    def compile(self, compiler, *options, include):
        if shutil.which(compiler) is None:
            self.skipTest(compiler + " is not installed")
        return run(compiler, *options, *STRICT, "-I", os.path.join(SOURCE, "sdk/include"), "-",
                   text="#include <%s>\n" % include)

    def test_compiles_in_every_language_and_compiler(self):
        for c, cxx in (("gcc", "g++"), ("clang-14", "clang++-14")):
            for compiler, language, standards in ((c, "c", ("c11", "c17")), (cxx, "c++", ("c++17", "c++20"))):
                for standard in standards:
                    for include in ("kante/module.h", "kante/message.h"):
                        with self.subTest(compiler=compiler, standard=standard, include=include):
                            done = self.compile(compiler, "-x", language, "-std=" + standard, include=include)
                            self.assertEqual(done.stderr, "")

    def test_compiles_for_32_bits(self):
        done = self.compile("clang-14", "-m32", "-ffreestanding", "-x", "c", "-std=c11", include="kante/module.h")
        self.assertEqual(done.stderr, "")

    def test_is_that_of_the_release_but_for_what_was_appended(self):
        """While the minor version is that of the frozen copy, not a line but comments may differ."""
        def code(path):
            return re.sub(r"/\*.*?\*/|\s+", "", read(path), flags=re.S)
        self.assertEqual(code(HEADER), code(os.path.join(SOURCE, "abi/1.0/kante/module.h")))


class Gates(unittest.TestCase):
    """Each gate passes today's header and sees a break planted into a copy of it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.makedirs(os.path.join(self.folder.name, "kante"))

    def tearDown(self):
        self.folder.cleanup()

    def plant(self, old, new):
        text = read(HEADER)
        self.assertIn(old, text)
        with open(os.path.join(self.folder.name, "kante/module.h"), "w") as out:
            out.write(text.replace(old, new, 1))

    def golden(self):
        return run("gcc", "-std=c11", "-fsyntax-only", "-I", self.folder.name,
                   os.path.join(SOURCE, "tests/abi/golden_v1.c")).returncode

    def abidiff(self):
        if shutil.which("abidiff") is None:
            self.skipTest("abidiff is not installed (Debian: abigail-tools)")
        probe = os.path.join(self.folder.name, "libkante-probe.so")
        subprocess.check_call(["gcc", "-std=c11", "-g", "-shared", "-fPIC", "-I", self.folder.name,
                               os.path.join(SOURCE, "tests/abi/probe.c"), "-o", probe])
        return run("abidiff", DUMP, probe)

    def test_todays_header_passes_both(self):
        self.plant("KANTE_MAGIC", "KANTE_MAGIC")
        self.assertEqual(self.golden(), 0)
        done = self.abidiff()
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_an_inserted_field_is_seen_by_both(self):
        self.plant("  uint64_t token;            /*", "  uint64_t inserted;\n  uint64_t token;            /*")
        self.assertNotEqual(self.golden(), 0)
        done = self.abidiff()
        self.assertEqual(done.returncode & 4, 4, done.stdout)
        self.assertIn("inserted", done.stdout)

    def test_an_inserted_function_in_an_extension_is_seen_by_both(self):
        self.plant("  kante_status (*cancel)(", "  kante_status (*pause)(const kante_host *, uint32_t id);\n"
                   "  kante_status (*cancel)(")
        self.assertNotEqual(self.golden(), 0)
        self.assertEqual(self.abidiff().returncode & 4, 4)

    def test_a_changed_parameter_is_seen_by_both(self):
        self.plant("uint32_t id, int64_t delta);", "uint32_t id, uint64_t delta);")
        self.assertNotEqual(self.golden(), 0)
        self.assertEqual(self.abidiff().returncode & 4, 4)

    def test_a_renumbered_code_is_seen_by_the_assertions(self):
        self.plant("KANTE_E_STATE = -7", "KANTE_E_STATE = -17")
        self.assertNotEqual(self.golden(), 0)

    def test_a_renamed_extension_is_seen_by_the_assertions(self):
        self.plant('"kante.storage/1"', '"kante.store/1"')
        self.assertNotEqual(self.golden(), 0)


class Libraries(unittest.TestCase):
    def test_export_one_symbol_and_are_hardened(self):
        self.assertTrue(LIBRARIES, "no library was named")
        for library in LIBRARIES:
            with self.subTest(library=os.path.basename(library)):
                symbols = run("nm", "-D", "--defined-only", library).stdout.split()
                self.assertEqual(symbols[2:], ["kante_module_entry"])
                dynamic = run("readelf", "-dW", library).stdout
                self.assertIn("NOW", dynamic)
                self.assertNotRegex(dynamic, r"TEXTREL|RPATH|RUNPATH")
                segments = run("readelf", "-lW", library).stdout
                self.assertIn("GNU_RELRO", segments)
                self.assertRegex(segments, r"GNU_STACK.* RW +0x")
                needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
                allowed = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6"}
                extra = {name for name in needed - allowed if not re.match(r"ld-linux|lib(a|ub|t)san\.so", name)}
                self.assertEqual(extra, set())

    def test_say_their_id_in_a_note(self):
        for library in LIBRARIES:
            if "counter" in library:
                continue  # Written in C, which need not say it.
            with self.subTest(library=os.path.basename(library)):
                note = run("readelf", "-p", ".note.kante", library).stdout
                self.assertIn("id=dev.kante." + os.path.basename(library)[:-3], note)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
