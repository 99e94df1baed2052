"""Rules about any text file and about commit subjects."""
import os
import re
import subprocess
import unicodedata

from .source import Finding

# Folders of data: their bytes are the point, whoever made them.
DATA_FOLDERS = ("models/", "tests/golden/", "fuzz/corpus/", "third_party/")
DATA_FOLDER_NAMES = ("data", "golden", "corpus", "vectors")
TABS_BELONG = ("Makefile", ".mk", ".gitmodules", ".tsv")
MAY_LACK_NEWLINE = (".svg", ".json", ".ipynb")

_UNFINISHED = re.compile(r"\b(" + "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK")) + r")\b")
_HOME_PATH = re.compile(
    r"(?<![\w.~$}/-])/(?:home/[a-z]|Users/[A-Za-z]|root/|work/|mnt/[a-z]/)[\w./-]*|\b[A-Z]:\\Users\\"
)
_SUBJECT = re.compile(r"[a-z0-9][a-z0-9_/.,+ -]{0,29}: \S.*[^.\s]")
SUBJECT_MAX = 60


def is_data(path):
    return path.startswith(DATA_FOLDERS) or any(
        part in DATA_FOLDER_NAMES for part in path.split("/")[:-1]
    )


def trailing_space(file):
    """No space at the end of a line, no carriage return, one newline at the end of the file."""
    for number, line in enumerate(file.lines, 1):
        if line != line.rstrip(" \t\r"):
            yield Finding(file.path, number, "trailing-space", "delete the space before the newline")
    if file.text and not file.path.endswith(MAY_LACK_NEWLINE):
        if not file.text.endswith("\n"):
            yield Finding(file.path, len(file.lines), "trailing-space", "end the file with a newline")
        elif file.text.endswith("\n\n"):
            yield Finding(file.path, len(file.lines), "trailing-space", "delete the empty last lines")


def tab(file):
    """Spaces, not tabs."""
    if file.path.endswith(TABS_BELONG):
        return
    for number, line in enumerate(file.lines, 1):
        if "\t" in line:
            yield Finding(file.path, number, "tab", r"indent with 4 spaces; write \t in a string")


def invisible_character(file):
    """No character that a reviewer cannot see: bidi marks, zero width, odd spaces, controls."""
    if file.text.isascii() and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", file.text):
        return
    for number, line in enumerate(file.lines, 1):
        for char in line:
            if char in "\t\r" or " " <= char <= "~":
                continue
            odd = unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn", "Zl", "Zp")
            if odd or char in "\u00a0\u00ad\u115f\u3164\ufffd":
                yield Finding(file.path, number, "invisible-character",
                              f"U+{ord(char):04X}; write it as an escape, or delete it")


def unfinished_mark(file):
    """No mark of unfinished work in the tree."""
    for number, line in enumerate(file.lines, 1):
        match = _UNFINISHED.search(line)
        if match:
            yield Finding(file.path, number, "unfinished-mark",
                          f"{match.group()}; finish it, or say in the design note what is refused")


def home_path(file):
    """No path of one person's machine."""
    for number, line in enumerate(file.lines, 1):
        match = _HOME_PATH.search(line)
        if match:
            yield Finding(file.path, number, "home-path",
                          f"{match.group()}; use a path relative to the tree, or a setting")


_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_NAMED_PATH = re.compile(
    r"`((?:apps|bench|deploy|docs|fuzz|include|models|notebooks|reference|src|templates|tests|tools|train|web)"
    r"/[\w./-]*)`"
)


def dead_path(root, files):
    """A path that a document names is in the tree."""
    for file in files:
        if not file.path.endswith(".md") or is_data(file.path):
            continue
        folder = os.path.dirname(file.path)
        for number, line in enumerate(file.lines, 1):
            links = [os.path.join(folder, target) for target in _LINK.findall(line)
                     if not re.match(r"[a-z]+:", target)]
            for path in links + _NAMED_PATH.findall(line):
                if not os.path.exists(os.path.join(root, path)):
                    yield Finding(file.path, number, "dead-path",
                                  f"{path} does not exist; name what does")


def commit_subject(root, commits):
    """`area: what`, at most 60 characters, no full stop."""
    result = subprocess.run(
        ["git", "-C", root, "log", "--no-merges", "--format=%h %s", *commits],
        capture_output=True, text=True,
    )
    if result.returncode != 0:
        yield Finding("git", 0, "commit-subject", f"cannot read {' '.join(commits)}; name a range")
        return
    for entry in result.stdout.splitlines():
        commit, _, subject = entry.partition(" ")
        yield from subject_findings(commit, subject)


def subject_findings(commit, subject):
    if len(subject) > SUBJECT_MAX:
        yield Finding(f"commit {commit}", 0, "commit-subject",
                      f"{len(subject)} characters, at most {SUBJECT_MAX}; the why goes in the body")
    elif not _SUBJECT.fullmatch(subject):
        yield Finding(f"commit {commit}", 0, "commit-subject",
                      f"`{subject}`; write `area: what changed`, no full stop")


PER_FILE = [trailing_space, tab, invisible_character, unfinished_mark, home_path]
