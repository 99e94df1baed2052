"""Files as the rules see them: the list of the tree, and C text with comments and strings blanked.

Everything here is text work without a C parser. That is enough because the tree is formatted by
clang-format and compiled with warnings as errors before a rule's answer matters.
"""
import os
import re
import subprocess
from collections import namedtuple
from functools import cached_property

Finding = namedtuple("Finding", "path line rule message")
Function = namedtuple("Function", "name first_line last_line")
Chunk = namedtuple("Chunk", "offset text")  # one file-scope declaration or definition

C_SUFFIXES = (".c", ".h")
CODE_SUFFIXES = C_SUFFIXES + (".py", ".sh", ".js")

_COMMENT_OR_LITERAL = re.compile(
    r"""/\*.*?\*/ | //(?:\\\n|[^\n])* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)
_DIRECTIVE = re.compile(r"^[ \t]*\#(?:\\\n|[^\n])*", re.MULTILINE)
_NOT_NEWLINE = re.compile(r"[^\n]")
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")


def _spaces(text):
    """The same text with every character but newlines turned into a space: offsets survive."""
    return _NOT_NEWLINE.sub(" ", text)


def _blank_comments(match):
    token = match.group()
    return _spaces(token) if token[0] == "/" else token


def _blank_comments_and_literals(match):
    token = match.group()
    return _spaces(token) if token[0] == "/" else token[0] + _spaces(token[1:-1]) + token[-1]


class SourceFile:
    """One text file of the tree; the blanked views are made when a rule first asks for them."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), "rb") as handle:
            self.data = handle.read()
        self.is_binary = b"\0" in self.data[:8192]

    @cached_property
    def text(self):
        return self.data.decode("utf-8", errors="replace")

    @cached_property
    def lines(self):
        return self.text.split("\n")

    @property
    def is_c(self):
        return self.path.endswith(C_SUFFIXES)

    @cached_property
    def without_comments(self):
        return _COMMENT_OR_LITERAL.sub(_blank_comments, self.text)

    @cached_property
    def code(self):
        """C text without comments, string contents and character constants."""
        return _COMMENT_OR_LITERAL.sub(_blank_comments_and_literals, self.text)

    @cached_property
    def code_without_directives(self):
        return _DIRECTIVE.sub(lambda match: _spaces(match.group()), self.code)

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def chunks(self):
        """File-scope declarations and definitions; `extern "C" { ... }` is looked through."""
        code = self.code_without_directives
        chunks, depth, wrappers, start = [], 0, 0, 0
        for match in re.finditer(r"[{};]", code):
            char, offset = match.group(), match.start()
            if char == "{":
                if depth == 0 and re.fullmatch(r'\s*extern\s*" *"\s*', code[start:offset]):
                    wrappers, start = wrappers + 1, offset + 1
                else:
                    depth += 1
                continue
            if char == "}" and depth == 0 and wrappers:
                wrappers, start = wrappers - 1, offset + 1
                continue
            if char == "}":
                depth -= 1
            ends = depth == 0 and (char == ";" or _is_function(code[start : offset + 1]))
            if ends:
                text = code[start : offset + 1]
                lead = len(text) - len(text.lstrip())
                chunks.append(Chunk(start + lead, text.lstrip()))
                start = offset + 1
        self.is_balanced = depth == 0 and wrappers == 0
        return chunks

    @property
    def functions(self):
        """Functions with a body: name, line of the opening brace, line of the closing one."""
        found = []
        for chunk in self.chunks:
            if not _is_function(chunk.text):
                continue
            head = _ATTRIBUTE.sub("", chunk.text[: chunk.text.index("{")])
            name = re.search(r"(\w+)\s*\(", head)
            opening = chunk.offset + chunk.text.index("{")
            closing = chunk.offset + len(chunk.text) - 1
            found.append(
                Function(name.group(1) if name else "?", self.line_of(opening), self.line_of(closing))
            )
        return found


def _is_function(chunk):
    """True for `int f(void) { ... }`; false for structs, enums and initialised objects."""
    brace = chunk.find("{")
    if brace < 0 or not chunk.endswith("}"):
        return False
    head = _ATTRIBUTE.sub(lambda match: _spaces(match.group()), chunk[:brace]).rstrip()
    return head.endswith(")")


def list_paths(root):
    """Tracked and not-ignored files of a checkout; every file of a folder that is no checkout."""
    if os.path.exists(os.path.join(root, ".git")):
        out = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"],
            check=True, capture_output=True,
        ).stdout.decode()
        paths = set(path for path in out.split("\0") if path)
    else:
        paths = set()
        for folder, subfolders, names in os.walk(root):
            subfolders[:] = [
                name for name in subfolders if not re.match(r"\.git$|\.venv$|build|__pycache__", name)
            ]
            paths.update(os.path.relpath(os.path.join(folder, name), root) for name in names)
    return sorted(path for path in paths if os.path.isfile(os.path.join(root, path)))
