"""As much of C++ as the rules need: text without comments and literals, includes, function lengths.

This is no parser. It relies on clang-format's layout and errs on the side of silence.
"""

import re

_TOKENS = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<mark>[^ ()\\\t\n]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+'",  # Not the ' of 1'000.
    re.DOTALL)

_INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def _blank(match):
    """Spaces as long as what they replace, so that positions and lines stay; quotes are kept."""
    text = match.group(0)
    kept = re.sub(r"[^\n]", " ", text)
    if text.startswith("/"):
        return kept
    return text[0] + kept[1:-1] + text[-1]


def without_comments_and_literals(text):
    return _TOKENS.sub(_blank, text)


def quoted_lines(text):
    """The lines that lie within a raw string: text that a function quotes, not what it does."""
    lines = set()
    for match in _TOKENS.finditer(text):
        if match.group(0).startswith("R"):
            first = text.count("\n", 0, match.start()) + 1
            lines.update(range(first + 1, first + match.group(0).count("\n")))
    return lines


def includes(lines):
    """(line number, '"' or '<', path) of each include."""
    for number, line in enumerate(lines, 1):
        match = _INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def _without_preprocessor(code):
    lines, continued = [], False
    for line in code.split("\n"):
        skip = continued or line.lstrip().startswith("#")
        continued = skip and line.endswith("\\")
        lines.append("" if skip else line)
    return "\n".join(lines)


def _opens_function(header):
    """Whether a brace after this text, in a namespace or class, begins a function's body."""
    if re.search(r"\b(namespace|enum)\b|\bextern\s+\"", header):
        return False
    if re.search(r"\b(class|struct|union)\b", header) and not header.rstrip().endswith(")"):
        return False
    return ")" in header and not header.rstrip().endswith(("=", ",", "(", "return"))


def functions(text):
    """(first line, last line) of each function that is not inside another one."""
    code = _without_preprocessor(without_comments_and_literals(text))
    found = []
    scopes = []  # True: inside a function, which began at `first`.
    header, line, header_line, first = "", 1, 1, 0
    for char in code:
        if char == "{":
            inside = bool(scopes) and scopes[-1]
            # After the last `member_{value}` of a constructor, the body's brace has nothing before it.
            opens = not inside and (_opens_function(header) or not header.strip() and bool(found))
            if opens:
                first = header_line if header.strip() else found.pop()[0]
            scopes.append(inside or opens)
            header = ""
        elif char == "}":
            if scopes:
                was = scopes.pop()
                if was and not (scopes and scopes[-1]):
                    found.append((first, line))
            header = ""
        elif char == ";":
            header = ""
        else:
            if not header.strip():
                header_line = line
            header += char
        if char == "\n":
            line += 1
    return found
