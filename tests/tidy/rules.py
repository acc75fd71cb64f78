"""What no compiler checks: one function a rule, each from a Tree to findings."""

import pathlib
import posixpath
import re

import cpp
from tree import Finding

FILE_LINES, FILE_LINES_NEVER, FUNCTION_LINES = 600, 1000, 70
LONG_BECAUSE = re.compile(r"(//|#) Long because: \S+")

SOURCES = (".c", ".cc", ".h", ".hpp", ".py", ".cmake", ".sh", ".capnp")
TEXTS = SOURCES + (".md", ".txt", ".json", ".toml", ".in", "")

# Libraries that stay behind one room.
BORDERS = {
    "capnp/": ("host/message", "proto"), "kj/": ("host/message", "proto"),
    "lmdb.h": ("host/store",), "CLI/": ("host/cli",), "toml": ("host/config",),
}


def file_length(tree):
    for file in tree.having(*SOURCES):
        count = file.text.count("\n")
        if count > FILE_LINES_NEVER:
            yield Finding(file.path, 0, f"has {count} lines; over {FILE_LINES_NEVER} is never right: split it")
        elif count > FILE_LINES and not any(LONG_BECAUSE.search(line) for line in file.lines[:12]):
            yield Finding(file.path, 0, f"has {count} lines: split it, or begin it with '// Long because: …'")


def function_length(tree):
    for file in tree.cpp():
        quoted = cpp.quoted_lines(file.text)
        for first, last in cpp.functions(file.text):
            count = sum(line not in quoted for line in range(first, last + 1))
            above = file.lines[max(0, first - 4):first - 1]
            if count > FUNCTION_LINES and not any(LONG_BECAUSE.search(line) for line in above):
                yield Finding(file.path, first, f"a function of {count} lines; at most {FUNCTION_LINES}")


def rooms(tree):
    """{room: (CMake file, rooms it may use)}"""
    found = {}
    for path, file in tree.files.items():
        match = re.fullmatch(r"host/([^/]+)/CMakeLists\.txt", path)
        if not match:
            continue
        call = re.search(r"kante_room\(\s*(\S+)\s+([^)]*)\)", re.sub(r"#.*", "", file.text) + " kante_room(")
        words = call.group(2).split() if call else []
        listed = words[words.index("ROOMS") + 1:] if "ROOMS" in words else []
        found[match.group(1)] = (path, listed[:listed.index("LIBS")] if "LIBS" in listed else listed)
    return found


def dependencies(tree):
    """Includes between rooms are those that the rooms declare, and the declarations have no cycle."""
    declared = rooms(tree)
    for file in tree.cpp():
        parts = file.path.split("/")
        for line, _, path in cpp.includes(file.lines):
            match = re.match(r"host/([^/]+)/", path)
            if not match:
                continue
            if parts[0] in ("sdk", "plugins"):
                yield Finding(file.path, line, f"{parts[0]}/ includes nothing of host/, this is {path}")
            elif parts[0] == "host" and parts[1] not in (match.group(1), "cli"):
                if match.group(1) not in declared.get(parts[1], ("", []))[1]:
                    yield Finding(file.path, line, f"room '{parts[1]}' does not name '{match.group(1)}' in its ROOMS")
    settled = set()
    while True:
        ready = {room for room, (_, uses) in declared.items() if room not in settled and settled >= set(uses)}
        if not ready:
            break
        settled |= ready
    for room, (path, uses) in declared.items():
        for used in uses:
            if used not in declared:
                yield Finding(path, 0, f"names the room '{used}', which is not there")
            elif room not in settled and used not in settled:
                yield Finding(path, 0, f"'{room}' uses '{used}' on a way back to itself: rooms must have no cycle")


def borders(tree):
    for file in tree.cpp():
        for line, mark, path in cpp.includes(file.lines):
            for prefix, homes in BORDERS.items():
                if path.startswith(prefix) and mark == "<" and not file.below("tests", *homes):
                    yield Finding(file.path, line, f"<{path}> is used only in {homes[0]}")
            local = "/" not in path and not path.endswith(".capnp.h") or path.startswith(".")
            if mark == '"' and local and file.below("host", "sandbox"):
                yield Finding(file.path, line, f'"{path}" is written from the root: "host/ROOM/FILE"')


def readmes(tree):
    folders = {"/".join(file.path.split("/")[:2]) for file in tree.cpp() if file.below("host", "plugins")}
    folders |= {file.path.split("/")[0] for file in tree.cpp() if file.below("sdk", "sandbox")}
    for folder in sorted(folders):
        readme = f"{folder}/README.md"
        if folder.count("/") == 0 and folder in ("host", "plugins"):
            continue
        if readme not in tree or not tree.files[readme].text.strip():
            yield Finding(readme, 0, "is missing: purpose and the classes to read first, in ten lines")


def headers(tree):
    for file in tree.having(".h", ".hpp"):
        if "#pragma once" not in file.lines and not (file.below("sdk", "abi") and "#ifndef KANTE_" in file.text):
            yield Finding(file.path, 0, "has no '#pragma once'")
        if not file.text.startswith(("//", "/*")):
            yield Finding(file.path, 1, "begins with a comment that says what it is for")


def names(tree):
    for file in tree.cpp():
        if re.fullmatch(r"(util|utils|helper|helpers|manager|misc|common)\.(h|hpp|cc|c)",
                        pathlib.PurePosixPath(file.path).name):
            yield Finding(file.path, 0, "says nothing in its name")
        code = cpp.without_comments_and_literals(file.text).split("\n")
        for number, line in enumerate(code, 1):
            if re.search(r"\b(class|struct)\s+(Manager|Helper|Util|Utils)\b", line):
                yield Finding(file.path, number, "Manager, Helper and Util are no names")


def leftovers(tree):
    for file in tree.having(*TEXTS):
        if file.below("tests/tidy") or file.path == "LICENSE":
            continue
        for number, line in enumerate(file.lines, 1):
            if re.search(r"\bTODO\b(?!\((limit|test)\))", line):
                yield Finding(file.path, number, "a TODO has a kind: TODO(limit) or TODO(test)")
            if re.search(r"\b(FIXME|XXX|HACK)\b", line):
                yield Finding(file.path, number, "a leftover")
            if re.search(r"\bNOLINT(NEXTLINE|BEGIN|END)?\b(?!\()", line):
                yield Finding(file.path, number, "NOLINT names the check that it silences")
            if re.search(r"\bDISABLED_", line):
                yield Finding(file.path, number, "a test is mended or deleted, not disabled")
            if re.search(r"(^|[^\w.])/(work|home|root|Users)/\w", line):
                yield Finding(file.path, number, "a path of one machine")


def debug_output(tree):
    quiet = re.compile(r"\bstd::(cout|cerr|clog)\b|(?<![\w.>])(std::)?(printf|puts|putchar|perror)\s*\("
                       r"|\bfprintf\s*\(\s*std(out|err)\b")
    for file in tree.cpp():
        if not file.below("host", "plugins", "sdk/include") or file.below("host/cli"):
            continue
        if file.path == "host/base/result.cc" or file.path.startswith("sdk/include/kante/test"):
            continue  # KANTE_ASSERT's last words; what a test says to the author of a module.
        for number, line in enumerate(cpp.without_comments_and_literals(file.text).split("\n"), 1):
            if quiet.search(line):
                yield Finding(file.path, number, "prints: only the command line does; log instead")


def waiting(tree):
    sleeping = re.compile(r"\bsleep_(for|until)\b|\b(u|nano)?sleep\s*\(")
    for file in tree.cpp():
        if not file.below("tests") or file.below("tests/bench", "tests/support"):
            continue
        for number, line in enumerate(cpp.without_comments_and_literals(file.text).split("\n"), 1):
            if sleeping.search(line):
                yield Finding(file.path, number, "a test waits for what happens (tests/support/eventually.h), not for time")


def descriptors(tree):
    """No descriptor leaks into a child, no command goes through a shell."""
    opening = re.compile(r"(?<!\w)::(open|openat|openat2|socket|accept4|pipe2|eventfd|memfd_create|epoll_create1"
                         r"|timerfd_create|signalfd|inotify_init1|mkostemp|dup3)\s*\(([^;]*);")
    never = re.compile(r"(?<![\w.>])(?:std::|::)?(system|popen)\s*\(|(?<!\w)::(accept|pipe|dup|epoll_create|mkstemp|creat)\s*\(")
    for file in tree.cpp():
        if not file.below("host", "sandbox") or file.below("sandbox/escape"):  # Which tries what is forbidden.
            continue
        code = cpp.without_comments_and_literals(file.text)
        for match in opening.finditer(code):
            if "CLOEXEC" not in match.group(2):
                yield Finding(file.path, code.count("\n", 0, match.start()) + 1, f"{match.group(1)} without CLOEXEC")
        for match in never.finditer(code):
            yield Finding(file.path, code.count("\n", 0, match.start()) + 1,
                          f"{match.group(1) or match.group(2)}: use the call with CLOEXEC, and no shell")


def layout(tree):
    for file in tree.having(*TEXTS):
        if not file.text or file.path == "LICENSE":
            continue
        if not file.text.endswith("\n") or file.text.endswith("\n\n"):
            yield Finding(file.path, len(file.lines), "ends with exactly one line feed")
        for number, line in enumerate(file.lines, 1):
            if "\t" in line:
                yield Finding(file.path, number, "a tab")
            if line != line.rstrip():
                yield Finding(file.path, number, "white space at the end of the line")


def links(tree):
    """Links between documents lead somewhere."""
    folders = {str(parent) for path in tree.files for parent in pathlib.PurePosixPath(path).parents}
    for file in tree.having(".md"):
        for number, line in enumerate(file.lines, 1):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if re.match(r"\w+:", target):
                    continue
                path = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), target))
                if path not in tree and path not in folders:
                    yield Finding(file.path, number, f"links to {target}, which is not there")


def modes(tree):
    for file in tree:
        script = file.text.startswith("#!")
        if script != file.executable:
            yield Finding(file.path, 0, "begins with #! but is not executable" if script
                          else "is executable but does not begin with #!")


def fuzz_corpora(tree):
    targets = {match.group(1) for match in (re.fullmatch(r"tests/fuzz/(\w+)_fuzz\.cc", path) for path in tree.files)
               if match}
    corpora = {match.group(1) for match in (re.match(r"tests/fuzz/corpus/([^/]+)/", path) for path in tree.files)
               if match}
    for name in sorted(targets - corpora):
        yield Finding(f"tests/fuzz/{name}_fuzz.cc", 0, f"has no seeds in tests/fuzz/corpus/{name}/")
    for name in sorted(corpora - targets):
        yield Finding(f"tests/fuzz/corpus/{name}", 0, f"has no target tests/fuzz/{name}_fuzz.cc")


# The numbers of MQTT 5.0, appendix B, by their section: how many there are. Its first of 2.2.1 was never given.
MQTT5 = {"1.5.4": 3, "1.5.5": 1, "1.5.7": 1, "2.1.3": 1, "2.2.1": 6, "2.2.2": 1, "3.1.0": 2, "3.1.2": 30, "3.1.3": 12,
         "3.1.4": 6, "3.2.0": 2, "3.2.2": 22, "3.3.1": 13, "3.3.2": 20, "3.3.4": 10, "3.4.2": 3, "3.5.2": 3, "3.6.1": 1,
         "3.6.2": 3, "3.7.2": 3, "3.8.1": 1, "3.8.3": 5, "3.8.4": 8, "3.9.2": 2, "3.9.3": 2, "3.10.1": 1, "3.10.3": 2,
         "3.10.4": 6, "3.11.2": 2, "3.11.3": 2, "3.12.4": 1, "3.14.0": 1, "3.14.1": 1, "3.14.2": 4, "3.14.4": 3,
         "3.15.1": 1, "3.15.2": 3, "4.1.0": 2, "4.2.0": 1, "4.3.1": 1, "4.3.2": 5, "4.3.3": 13, "4.4.0": 2, "4.5.0": 2,
         "4.6.0": 6, "4.7.0": 1, "4.7.1": 2, "4.7.2": 1, "4.7.3": 4, "4.8.2": 6, "4.9.0": 3, "4.12.0": 7, "4.12.1": 2,
         "4.13.1": 1, "4.13.2": 1, "6.0.0": 4}


def conformance(tree):
    """docs/conformance-mqtt5.md has every numbered statement of MQTT 5.0 once, and the tests that it names are there."""
    path = "docs/conformance-mqtt5.md"
    if path not in tree:
        return
    wanted = {f"{section}-{n}" for section, count in MQTT5.items() for n in range(1, count + 1)} - {"2.2.1-1"}
    seen = []
    for number, line in enumerate(tree.files[path].lines, 1):
        row = re.match(r"\| (\d[\d.]*-\d+) \|", line)
        seen += [row.group(1)] if row else []
        if line.startswith("Only clients: "):
            seen += re.findall(r"\d[\d.]*-\d+", line)
        tests = re.findall(r"`([\w/]+\.cc): (\w+(?:, \w+)*)`", line)
        if row and not tests:
            yield Finding(path, number, f"{row.group(1)} names no test")
        for file, names_ in tests:
            at = next((at for at in (f"tests/host/hub/mqtt/{file}", f"tests/host/{file}") if at in tree), None)
            for name in names_.split(", "):
                if at is None or not re.search(rf"\bTEST(_F|_P)?\(\w+, {name}\)", tree.files[at].text):
                    yield Finding(path, number, f"names {file}: {name}, which is not there")
    for one in sorted(wanted.symmetric_difference(seen) | {one for one in seen if seen.count(one) > 1}):
        yield Finding(path, 0, f"has MQTT-{one} {seen.count(one)} times, and should {1 if one in wanted else 0}")


def metrics(tree):
    """Each metric of the host stands in the table of docs/operations.md."""
    path = "docs/operations.md"
    if path not in tree:
        return
    told = set(re.findall(r"`((?:kante|process)_\w+)[`{]", tree.files[path].text))
    for file in tree.cpp():
        if not file.below("host"):
            continue
        for match in re.finditer(r'\b(?:counter|gauge|histogram|collect)\(\s*(?:out,\s*)?"((?:kante|process)_\w+)"', file.text):
            if match.group(1) not in told:
                yield Finding(file.path, file.text[:match.start()].count("\n") + 1, f"{match.group(1)} is not in {path}")


ALL = (file_length, function_length, dependencies, borders, readmes, headers, names, leftovers, debug_output,
       waiting, descriptors, layout, links, modes, fuzz_corpora, conformance, metrics)


def check(tree):
    return sorted(finding for rule in ALL for finding in rule(tree))
