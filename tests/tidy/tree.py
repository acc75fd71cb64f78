"""The files that the rules look at: those of a checkout, or a few made up by a test."""

import dataclasses
import pathlib
import subprocess


@dataclasses.dataclass(frozen=True)
class File:
    path: str  # relative to the root, with /
    text: str
    executable: bool = False

    @property
    def lines(self):
        return self.text.split("\n")

    @property
    def suffix(self):
        return pathlib.PurePosixPath(self.path).suffix

    def below(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int  # from 1; 0: the file as a whole
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Tree:
    def __init__(self, files):
        self.files = {file.path: file for file in files}

    def __iter__(self):
        return iter(self.files.values())

    def __contains__(self, path):
        return path in self.files

    def having(self, *suffixes):
        return [file for file in self if file.suffix in suffixes]

    def cpp(self):
        return self.having(".c", ".cc", ".h", ".hpp")


def _listed(root):
    """What git knows or would add; without git, everything outside build/."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=root, capture_output=True, check=True).stdout
        return [name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return [path.as_posix() for path in paths if path.parts[0] not in (".git", "build")]


def read_tree(root):
    """(the tree, findings about files that are no text)"""
    files, findings = [], []
    for name in sorted(_listed(root)):
        path = root / name
        if not path.is_file() or path.is_symlink():
            continue  # Deleted but not committed yet, or a link.
        executable = path.stat().st_mode & 0o111 != 0
        if name.startswith("tests/") and "/corpus/" in name or "/golden/" in name:
            files.append(File(name, "", executable))  # Bytes on purpose.
            continue
        try:
            files.append(File(name, path.read_bytes().decode("utf-8"), executable))
        except UnicodeDecodeError:
            findings.append(Finding(name, 0, "is not UTF-8 text; golden files belong in golden/ or corpus/"))
    return Tree(files), findings
