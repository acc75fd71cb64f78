#!/usr/bin/env python3
"""scripts/sandbox_escapes.py [--check]

Writes docs/sandbox-escapes.md from the table of attempts, sandbox/escape/attempts.inc. With --check it only
says whether the page is what the table makes of it, and whether every test that the table names is there;
exit 1 if not.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLE = ROOT / "sandbox/escape/attempts.inc"
PAGE = ROOT / "docs/sandbox-escapes.md"
TESTS = ROOT / "tests/sandbox/escape/escapes_test.cc"

KINDS = {"ATTEMPT": 5, "GRANTED": 5, "DEADLY": 4, "LOAD": 4, "LIMIT": 4, "OUTSIDE": 4, "ELSEWHERE": 4}

HEAD = """# What a module cannot do

Every way out of the sandbox that the tests try, and what comes of it. This page is made by
`scripts/sandbox_escapes.py` from `sandbox/escape/attempts.inc`; the test `escape` starts real runners in the tiers
3, 2 and 1, as root and as an ordinary user, and holds their answers against the same table. What the tiers are is
in [sandbox.md](sandbox.md).

An answer is what the call gets: an errno, or *works* where it must or may. **Reported** means that the refusal is
counted as a violation of the module and named in `kante status` and in the events. *Loading* is in a constructor,
under the first filter; *running* is in an event, under both.
"""


def entries():
    """(kind, fields) of each line of the table, in its order."""
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if not line or line.startswith("//"):
            continue
        match = re.fullmatch(r"([A-Z]+)\((\w+), (.*)\)", line)
        if not match or match.group(1) not in KINDS:
            sys.exit(f"{TABLE}:{number}: not an entry: {line}")
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(3))
        if len(texts) + 1 != KINDS[match.group(1)]:
            sys.exit(f"{TABLE}:{number}: {match.group(1)} has {KINDS[match.group(1)]} fields")
        yield match.group(1), [match.group(2)] + texts


def tiers(expected):
    """The answer in tier 3, 2 and 1."""
    if not re.match(r"\d=", expected):
        return [expected] * 3
    by_tier = dict(part.split("=", 1) for part in expected.split())
    return [by_tier[tier] for tier in "321"]


def answer(expected):
    reported = expected.endswith("!")
    text = expected.rstrip("!").replace("|", " or ")
    return f"{text}, reported" if reported else text


def row(cells):
    return "| " + " | ".join(cells) + " |"


def page():
    table = list(entries())
    groups = list(dict.fromkeys(fields[1] for _, fields in table))
    lines = [HEAD]
    for group in groups:
        here = [(kind, fields) for kind, fields in table if fields[1] == group]
        lines += [f"## {group[0].upper()}{group[1:]}", ""]
        attempts = [fields for kind, fields in here if kind == "ATTEMPT"]
        if attempts:
            lines += [row(["Attempt", "", "Tier 3", "Tier 2", "Tier 1"]), row(["---"] * 5)]
            for name, _, what, loading, running in attempts:
                phases = [("loading", tiers(loading)), ("running", tiers(running))]
                if phases[0][1] == phases[1][1]:
                    phases = [("always", phases[0][1])]
                for at, (phase, answers) in enumerate(phases):
                    lines.append(row([what if at == 0 else "", phase] + [answer(each) for each in answers]))
            lines.append("")
        granted = [fields for kind, fields in here if kind == "GRANTED"]
        if granted:
            lines += [row(["With `/data` granted (tiers 3 and 1)", "Loading", "Running"]), row(["---"] * 3)]
            lines += [row([what, answer(loading), answer(running)]) for _, _, what, loading, running in granted]
            lines.append("")
        others = [(kind, fields) for kind, fields in here if kind not in ("ATTEMPT", "GRANTED", "ELSEWHERE")]
        if others:
            lines += [row(["Tried in a process of its own", "What comes of it"]), row(["---"] * 2)]
            for kind, (name, _, what, comes) in others:
                lines.append(row([what, f"does not load: \u201c{comes}\u201d" if kind == "LOAD" else comes]))
            lines.append("")
        elsewhere = [fields for kind, fields in here if kind == "ELSEWHERE"]
        if elsewhere:
            lines += ["Tested elsewhere:", ""]
            lines += [f"- {what}: {test if ' ' in test else f'`{test}`'}" for _, _, what, test in elsewhere]
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def missing_tests():
    there = set(re.findall(r"TEST_P\(Escapes, (\w+)\)", TESTS.read_text()))
    for kind, fields in entries():
        if kind in ("LIMIT", "OUTSIDE") and fields[0] not in there:
            yield f"{TABLE}: {fields[0]} has no test Escapes.{fields[0]}"
        if kind == "ELSEWHERE" and "/" in fields[3] and not (ROOT / fields[3]).exists():
            yield f"{TABLE}: {fields[0]} names {fields[3]}, which is not there"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = page()
    if not sys.argv[1:]:
        PAGE.write_text(text)
        return 0
    wrong = list(missing_tests())
    if not PAGE.exists() or PAGE.read_text() != text:
        wrong.append(f"{PAGE} is not what the table says: run scripts/sandbox_escapes.py")
    for each in wrong:
        print(each)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
