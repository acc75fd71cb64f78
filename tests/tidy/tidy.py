#!/usr/bin/env python3
"""Holds the tree against the house's rules (rules.py): `tidy.py [ROOT]`. One finding a line; exit 1 if any."""

import pathlib
import sys

import rules
from tree import read_tree


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    tree, findings = read_tree(root.resolve())
    findings += rules.check(tree)
    for finding in findings:
        print(finding)
    print(f"{len(tree.files)} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
