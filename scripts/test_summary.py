#!/usr/bin/env python3
"""Counts what scripts/test ran: `test_summary.py [--broken-stages N] build/PRESET/test-results…`

A folder holds ctest.xml, one entry a test program, and cases/, where the GoogleTest programs among
them wrote one file each. A program that wrote its cases counts as that many tests; one that died
before it could, or is none of GoogleTest's, counts as one. Failures are named on stderr; the last line,
on stdout, is "N passed, N failed". Exit 0 when nothing failed and something ran.
"""

import argparse
import pathlib
import sys
import xml.etree.ElementTree as xml


def count_cases(file):
    """(passed, skipped, [names of failed]) of one GoogleTest result file."""
    passed, skipped, failed = 0, 0, []
    for case in xml.parse(file).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.get("result") in ("skipped", "suppressed") or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, skipped, failed


def count_folder(folder):
    passed, skipped, failed = 0, 0, []
    for program in xml.parse(folder / "ctest.xml").getroot().iter("testcase"):
        name, status = program.get("name"), program.get("status")
        counted = (0, 0, [])
        for cases in (folder / "cases" / f"{name}.xml", folder / "cases" / f"test_{name}.xml"):
            if not cases.exists():
                continue
            try:
                counted = count_cases(cases)
            except xml.ParseError:
                pass  # It died while it wrote: counts as one.
        passed += counted[0]
        skipped += counted[1]
        failed += [f"{name}: {case}" for case in counted[2]]
        if status == "fail" and not counted[2]:
            failed.append(name)
        elif status in ("notrun", "disabled"):
            skipped += 1
        elif status == "run" and counted == (0, 0, []):
            passed += 1
    return passed, skipped, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken-stages", type=int, default=0)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    all_passed, all_failed = 0, arguments.broken_stages
    for folder in arguments.folders:
        if not (folder / "ctest.xml").exists():
            continue
        passed, skipped, failed = count_folder(folder)
        all_passed += passed
        all_failed += len(failed)
        print(f"{folder.parent.name}: {passed} passed, {len(failed)} failed, {skipped} skipped", file=sys.stderr)
        for name in failed:
            print(f"  FAILED {name}", file=sys.stderr)
    sys.stderr.flush()
    print(f"{all_passed} passed, {all_failed} failed")
    return 0 if all_failed == 0 and all_passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
