#!/usr/bin/env python3
"""scripts/test_summary.py must not lose a failure, whatever way a test program ended."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SUMMARY = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "test_summary.py"


class SummaryTest(unittest.TestCase):
    def last_line(self, programs, cases, *options):
        """(exit code, last line) for {program: ctest status} and {file: content}."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "cases").mkdir()
            entries = "".join(f'<testcase name="{name}" status="{status}"/>' for name, status in programs.items())
            (folder / "ctest.xml").write_text(f"<testsuite>{entries}</testsuite>")
            for file, content in cases.items():
                (folder / "cases" / file).write_text(f"<testsuites><testsuite>{content}</testsuite></testsuites>")
            run = subprocess.run([sys.executable, SUMMARY, *options, folder], capture_output=True, text=True)
            return run.returncode, run.stdout.splitlines()[-1]

    def test_cases_are_counted_and_programs_without_cases_count_as_one(self):
        cases = {"test_base.xml": '<testcase result="completed"/><testcase result="completed"/><testcase result="skipped"/>'}
        self.assertEqual(self.last_line({"base": "run", "tidy": "run"}, cases), (0, "3 passed, 0 failed"))

    def test_a_failed_case_is_a_failure(self):
        cases = {"base.xml": '<testcase result="completed"/><testcase classname="A" name="b"><failure/></testcase>'}
        self.assertEqual(self.last_line({"base": "fail"}, cases), (1, "1 passed, 1 failed"))

    def test_a_program_that_died_is_a_failure_whatever_it_wrote(self):
        self.assertEqual(self.last_line({"base": "fail"}, {}), (1, "0 passed, 1 failed"))
        self.assertEqual(self.last_line({"base": "fail"}, {"test_base.xml": "<oops"}), (1, "0 passed, 1 failed"))
        whole = {"test_base.xml": '<testcase result="completed"/>'}  # Died after its last case, say of a leak.
        self.assertEqual(self.last_line({"base": "fail"}, whole), (1, "1 passed, 1 failed"))

    def test_a_stage_that_broke_is_a_failure_and_so_is_an_empty_run(self):
        self.assertEqual(self.last_line({"tidy": "run"}, {}, "--broken-stages", "1"), (1, "1 passed, 1 failed"))
        self.assertEqual(self.last_line({}, {}), (1, "0 passed, 0 failed"))


if __name__ == "__main__":
    unittest.main()
