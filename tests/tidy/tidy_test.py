#!/usr/bin/env python3
"""Feeds each rule what it must refuse and what it must leave alone."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import cpp
import rules
from tree import File, Tree, read_tree


def found(rule, *files):
    return [str(finding) for finding in rule(Tree([file if isinstance(file, File) else File(*file) for file in files]))]


def room(name, uses=""):
    return (f"host/{name}/CMakeLists.txt", f"# kante_room(not this)\nkante_room({name} ROOMS {uses}\n  LIBS x)\n")


class RulesTest(unittest.TestCase):
    def refused(self, rule, *files, by=""):
        findings = found(rule, *files)
        self.assertEqual(len(findings), 1, findings)
        self.assertIn(by, findings[0])

    def accepted(self, rule, *files):
        self.assertEqual(found(rule, *files), [])

    def test_a_long_file_needs_a_reason_and_a_very_long_one_is_never_right(self):
        self.accepted(rules.file_length, ("a.cc", "x\n" * 600))
        self.refused(rules.file_length, ("a.cc", "x\n" * 601))
        self.accepted(rules.file_length, ("a.cc", "// Long because: one table\n" + "x\n" * 700))
        self.refused(rules.file_length, ("a.cc", "// Long because: one table\n" + "x\n" * 1001))
        self.accepted(rules.file_length, ("docs/a.md", "x\n" * 2000))

    def test_a_function_has_at_most_70_lines(self):
        for header in ("int f() {", "Result<int> A::b(int x)\n    const {", "TEST(A, B) {",
                       "A::A(int x) : a_{x}, b_(1) {", "A::A(int x)\n    : a_(x), b_{1} {",
                       "class A {\n  int f() const override {", "auto f() -> std::map<int, int> {"):
            short = header + "\n" + "  g();\n" * 60 + "}\n"
            long = header + "\n" + "  if (x) {\n    g(\"{\", '{', 1'000);\n  }\n" * 24 + "}\n"
            self.accepted(rules.function_length, ("a.cc", short))
            self.refused(rules.function_length, ("a.cc", "namespace k {\n" + long + "}\n"), by="a function of 7")
            self.accepted(rules.function_length, ("a.cc", "// Long because: a table.\n" + long))

    def test_what_is_no_function_may_be_long(self):
        body = "  1,\n" * 100
        for header in ("namespace a {", "enum class A {", "constexpr int kAll[] = {", "struct A {", 'extern "C" {',
                       "const std::map<int, int> kAll{", "class A final : public B<int(int)> {"):
            self.accepted(rules.function_length, ("a.cc", header + "\n" + body + "};\n"))
        self.accepted(rules.function_length, ("a.cc", "#define F(x) \\\n" + "  { \\\n" * 100 + "  x\n"))

    def test_text_that_a_function_quotes_is_not_counted(self):
        self.accepted(rules.function_length, ("a.cc", 'void f() {\n  g(R"(\n' + "x {\n" * 100 + ')");\n}\n'))
        self.refused(rules.function_length, ("a.cc", 'void f() {\n  g(R"(\n' + "x\n" * 9 + ')");\n' + "g();\n" * 70 + "}\n"))

    def test_functions_are_found_where_they_are(self):
        text = "struct A {\n  int f() { return 1; }\n\n  int g() {\n    return 2;\n  }\n};\nvoid h() {\n}\n"
        self.assertEqual(cpp.functions(text), [(2, 2), (4, 6), (8, 9)])

    def test_a_room_includes_only_the_rooms_that_it_names(self):
        base, hub = room("base"), room("hub", "base")
        self.accepted(rules.dependencies, base, hub, ("host/hub/a.cc", '#include "host/base/b.h"\n'))
        self.refused(rules.dependencies, base, hub, ("host/base/a.cc", '#include "host/hub/b.h"\n'), by="'hub'")
        self.accepted(rules.dependencies, base, hub, ("host/cli/a.cc", '#include "host/hub/b.h"\n'))
        self.accepted(rules.dependencies, base, hub, ("tests/a.cc", '#include "host/hub/b.h"\n'))
        for outside in ("sdk/include/kante/a.h", "plugins/sensor/a.cc"):
            self.refused(rules.dependencies, base, (outside, '#include "host/base/b.h"\n'), by="nothing of host/")

    def test_rooms_have_no_cycle_and_name_only_rooms(self):
        self.accepted(rules.dependencies, room("a", "b c"), room("b", "c"), room("c"))
        self.assertEqual(len(found(rules.dependencies, room("a", "b"), room("b", "a"), room("c"))), 2)
        self.refused(rules.dependencies, room("a", "nowhere"), by="nowhere")

    def test_libraries_stay_behind_their_room(self):
        self.accepted(rules.borders, ("host/store/a.cc", "#include <lmdb.h>\n"))
        self.refused(rules.borders, ("host/hub/a.cc", "#include <lmdb.h>\n"), by="host/store")
        self.refused(rules.borders, ("host/hub/a.h", "#include <kj/array.h>\n"), by="host/message")
        self.refused(rules.borders, ("host/hub/a.h", '#include "b.h"\n'), by="from the root")
        self.refused(rules.borders, ("host/hub/a.h", '#include "../b.h"\n'), by="from the root")

    def test_each_room_has_a_readme(self):
        self.refused(rules.readmes, ("host/hub/a.cc", ""), by="host/hub/README.md")
        self.refused(rules.readmes, ("sdk/include/kante/a.h", ""), by="sdk/README.md")
        self.accepted(rules.readmes, ("host/hub/a.cc", ""), ("host/hub/README.md", "# hub\n"))

    def test_a_header_is_included_once_and_says_what_it_is_for(self):
        self.accepted(rules.headers, ("host/a/b.h", "// Frames.\n#pragma once\n"))
        self.refused(rules.headers, ("host/a/b.h", "// Frames.\nint x;\n"), by="pragma")
        self.refused(rules.headers, ("host/a/b.h", "#pragma once\n"), by="comment")

    def test_names_say_something(self):
        self.refused(rules.names, ("host/a/util.h", ""))
        self.refused(rules.names, ("host/a/b.h", "class Manager {\n"))
        self.accepted(rules.names, ("host/a/bundle_store.h", "class SessionManagerless {  // Manager\n"))

    def test_leftovers_are_refused(self):
        for line in ("// TODO: later", "// TODO(me) later", "// FIXME", "// XXX", "foo();  // NOLINT", "TEST(A, DISABLED_B)",
                     '"/work/' + 'x"', "/home/" + "me"):
            self.refused(rules.leftovers, ("host/a/b.cc", line + "\n"))
        for line in ("// TODO(limit): name it", "foo();  // NOLINT(bugprone-x): why", "build/work/x", "frame/root/"):
            self.accepted(rules.leftovers, ("host/a/b.cc", line + "\n"))

    def test_only_the_command_line_prints(self):
        for line in ("std::cout << 1;", 'printf("x");', 'std::printf("x");', 'std::fprintf(stderr, "x");', "std::puts(x);"):
            self.refused(rules.debug_output, ("host/hub/a.cc", line + "\n"))
            self.accepted(rules.debug_output, ("host/cli/a.cc", line + "\n"))
        for line in ("std::snprintf(b, 1, x);", "std::fprintf(file, x);", "log.puts(x);", '"std::cout"', "// printf(x)"):
            self.accepted(rules.debug_output, ("host/hub/a.cc", line + "\n"))

    def test_tests_do_not_sleep(self):
        for line in ("std::this_thread::sleep_for(1ms);", "usleep(1);", "sleep(1);", "::nanosleep(&t, 0);"):
            self.refused(rules.waiting, ("tests/host/a/b_test.cc", line + "\n"))
        self.accepted(rules.waiting, ("tests/host/a/b_test.cc", "// sleep(1)\nfallAsleep(1);\n"))

    def test_descriptors_do_not_leak_and_nothing_goes_through_a_shell(self):
        for line in ("::open(path,\n  O_RDONLY);", "::socket(1, 2, 3);", "::eventfd(0, 0);", "::pipe(p);", "std::system(x);",
                     "popen(x, 1);", "::dup(fd);", "::accept(fd, a, b);"):
            self.refused(rules.descriptors, ("host/a/b.cc", line + "\n"))
        for line in ("::open(path, O_RDONLY |\n  O_CLOEXEC);", "::eventfd(0, EFD_CLOEXEC);", "boost::system::x();",
                     "store.open(x);", "void A::accept(int x) {", "Key::open(x);", "// ::pipe(x);"):
            self.accepted(rules.descriptors, ("host/a/b.cc", line + "\n"))

    def test_white_space_is_as_it_should_be(self):
        self.accepted(rules.layout, ("a.cc", "x\n"))
        for text in ("x", "x\n\n", "x \n", "\tx\n", "x\r\n"):
            self.refused(rules.layout, ("a.cc", text))

    def test_links_between_documents_lead_somewhere(self):
        page = ("docs/a.md", "[b](b.md#part), [c](https://example.org/x), [d](../host), `f(x)[1](2)`\n")
        self.accepted(rules.links, page, ("docs/b.md", ""), ("host/c.cc", ""), ("docs/2", ""))
        self.refused(rules.links, page, ("host/c.cc", ""), ("docs/2", ""), by="b.md")

    def test_scripts_and_only_scripts_are_executable(self):
        self.accepted(rules.modes, File("scripts/a", "#!/bin/sh\n", True), File("a.cc", "x\n", False))
        self.refused(rules.modes, File("scripts/a", "#!/bin/sh\n", False))
        self.refused(rules.modes, File("a.cc", "x\n", True))

    def test_each_fuzz_target_has_seeds(self):
        target, seed = ("tests/fuzz/a_fuzz.cc", ""), ("tests/fuzz/corpus/a/1", "")
        self.accepted(rules.fuzz_corpora, target, seed)
        self.refused(rules.fuzz_corpora, target, by="no seeds")
        self.refused(rules.fuzz_corpora, seed, by="no target")

    def test_the_statements_of_mqtt_have_their_tests(self):
        numbers = [f"{section}-{n}" for section, count in rules.MQTT5.items() for n in range(1, count + 1)]
        numbers.remove("2.2.1-1")
        self.assertEqual(len(numbers), 251)
        tests = ("tests/host/hub/mqtt/a_test.cc", "TEST_F(A, One) {\n}\nTEST(A, Two) {\n}\n")
        rows = [f"| {number} | text | `a_test.cc: One, Two` |" for number in numbers[3:]]
        clients = "Only clients: " + " ".join(numbers[:3])

        def page(*lines):
            return "docs/conformance-mqtt5.md", "\n".join(lines) + "\n"

        self.accepted(rules.conformance, tests)
        self.accepted(rules.conformance, tests, page(clients, *rows))
        self.refused(rules.conformance, tests, page(clients, *rows[1:]), by="has MQTT-1.5.5-1 0 times")
        self.refused(rules.conformance, tests, page(clients, *rows, rows[0]), by="has MQTT-1.5.5-1 2 times")
        self.refused(rules.conformance, tests, page(clients + " 9.9.9-1", *rows), by="should 0")
        self.refused(rules.conformance, tests, page(clients, "| 1.5.5-1 | text | |", *rows[1:]), by="names no test")
        for wrong in ("`a_test.cc: One, Three`", "`b_test.cc: One`"):
            self.refused(rules.conformance, tests, page(clients, *rows, wrong), by="is not there")

    def test_a_metric_is_in_the_table(self):
        code = ("host/hub/a.cc", 'out.counter("kante_a_total", "A", {}, 1);\n  out.gauge(\n      "kante_b", "B", {}, 1);\n')
        table = "docs/operations.md"
        self.accepted(rules.metrics, code)
        self.accepted(rules.metrics, code, (table, "| `kante_a_total{x}`, `kante_b` | two |\n"))
        self.refused(rules.metrics, code, (table, "| `kante_a_total` | one |\n"), by="kante_b is not in")

    def test_every_rule_is_run(self):
        written = {name for name, value in vars(rules).items()
                   if callable(value) and getattr(value, "__module__", "") == "rules" and name not in ("check", "rooms")}
        self.assertEqual(written, {rule.__name__ for rule in rules.ALL})


class ProgramTest(unittest.TestCase):
    def test_a_bad_tree_is_named_and_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "host" / "hub").mkdir(parents=True)
            (root / "host" / "hub" / "a.cc").write_text("// FIXME\n")
            (root / "bytes.txt").write_bytes(b"\xff\xfe")
            tidy = pathlib.Path(__file__).with_name("tidy.py")
            run = subprocess.run([sys.executable, tidy, root], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)
            self.assertIn("host/hub/a.cc:1: a leftover", run.stdout)
            self.assertIn("bytes.txt:0: is not UTF-8", run.stdout)

    def test_the_files_of_this_tree_are_found(self):
        tree, _ = read_tree(pathlib.Path(__file__).resolve().parents[2])
        self.assertIn("tests/tidy/tidy.py", tree)
        self.assertTrue(rules.rooms(tree)["message"][1])


if __name__ == "__main__":
    unittest.main()
