"""Rules about C sources: layers, sizes, banned calls, documentation, names of files."""
import os
import re
from collections import defaultdict

from .source import CODE_SUFFIXES, Finding

# Layers, low to high. Modules on one line are peers: they may not include each other.
LAYERS = [
    ["base"],
    ["kernels"],
    ["device"],
    ["image", "text"],
    ["kv"],
    ["model"],
    ["grammar"],
    ["engine"],
    ["sched"],
    ["fetch", "store"],
    ["server"],
]
RANK = {module: rank for rank, modules in enumerate(LAYERS) for module in modules}

# Downward, but over the head of the engine: the server never sees a tensor.
SKIPS = {"server": {"kernels", "device", "kv", "model"}}

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
KERNEL_FUNCTION_LINES_MAX = 150

_BUF = "gi_buf, which is born with a maximum"
_PARSE = "the checked parsers of src/base, which see overflow and trailing text"
_ALLOC = "gi_alloc/gi_calloc/gi_realloc/gi_free (base/alloc.h), which tests can make fail"
_RANDOM = "a seeded generator passed down by the caller"
_REENTRANT = "its _r twin; this one shares a static buffer between threads"
_FAIL = "gi_fail() and a status; the library neither prints nor exits"

# call -> (what to use instead, where it is banned, files where it is allowed)
EVERYWHERE = ("src/", "apps/", "tests/", "fuzz/", "bench/", "include/")
PRODUCT = ("src/", "apps/")
LIBRARY = ("src/",)


def _ban(names, instead, where=EVERYWHERE, allowed=()):
    return {name: (instead, where, allowed) for name in names.split()}


BANNED = {
    **_ban("strcpy stpcpy strcat strncat strncpy", "memcpy with a checked length, or " + _BUF),
    **_ban("sprintf vsprintf", "snprintf, or " + _BUF),
    **_ban("asprintf vasprintf strdup strndup", _BUF, PRODUCT),
    **_ban("gets", "fgets"),
    **_ban("strtok", "a span and memchr; strtok keeps hidden state"),
    **_ban("atoi atol atoll atof", _PARSE),
    **_ban("strtol strtoul strtoll strtoull strtoimax strtoumax strtod strtof strtold", _PARSE,
           PRODUCT, ("src/base/",)),
    **_ban("scanf sscanf fscanf vscanf vsscanf vfscanf", _PARSE),
    **_ban("alloca", "a buffer of fixed size, an arena, or gi_alloc"),
    **_ban("malloc calloc realloc reallocarray aligned_alloc posix_memalign memalign free", _ALLOC,
           PRODUCT, ("src/base/alloc.",)),
    **_ban("rand srand random srandom drand48 lrand48", _RANDOM),
    **_ban("system popen", "posix_spawn or fork and exec with an argument vector"),
    **_ban("tmpnam tempnam mktemp", "mkstemp"),
    **_ban("localtime gmtime ctime asctime", _REENTRANT, PRODUCT),
    **_ban("printf vprintf puts putchar perror exit abort quick_exit", _FAIL, LIBRARY,
           ("src/base/",)),
    **_ban("getenv secure_getenv", "a field of the config; variables are read in apps/ alone",
           LIBRARY),
}

_CALL = re.compile(r"(?<![\w.>])(" + "|".join(sorted(BANNED)) + r")\s*\(")
_MEMBER = re.compile(r"(?:->|\.)\s*$")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)


def _module_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def upward_include(file):
    """Includes go down the layers only; peers do not include each other."""
    if not file.is_c:
        return
    module, is_public = _module_of(file.path), file.path.startswith("include/")
    if module is None and not is_public:
        return
    if module is not None and module not in RANK:
        yield Finding(file.path, 1, "upward-include",
                      f"src/{module} has no layer; give it a rank in tools/tidy_parts/rules_c.py")
        return
    for match in _INCLUDE.finditer(file.without_comments):
        line, quoted = file.line_of(match.start(1) if match.group(1) else match.start(2)), match.group(1)
        if quoted is None:
            continue
        target = quoted.split("/")[0]
        if is_public:
            yield Finding(file.path, line, "upward-include",
                          f'"{quoted}" in a public header; public headers know <glint/...> only')
        elif target == "apps":
            yield Finding(file.path, line, "upward-include", f'"{quoted}": apps/ is above src/')
        elif target not in RANK or "/" not in quoted:
            yield Finding(file.path, line, "include-path",
                          f'"{quoted}"; write it from the source root: "{module}/{quoted}"')
        elif target != module and RANK[target] >= RANK[module]:
            how = "beside" if RANK[target] == RANK[module] else "above"
            yield Finding(file.path, line, "upward-include",
                          f"src/{target} is {how} src/{module}; pass what you need down as a "
                          f"value or a function pointer, or move it to a lower layer")
        elif target in SKIPS.get(module, ()):
            yield Finding(file.path, line, "upward-include",
                          f"src/{module} does not see src/{target}; go through the engine's header")


def file_length(file):
    """A source file is at most 800 lines."""
    count = len(file.lines) - 1
    if file.path.endswith(CODE_SUFFIXES) and count > FILE_LINES_MAX:
        yield Finding(file.path, FILE_LINES_MAX + 1, "file-length",
                      f"{count} lines, at most {FILE_LINES_MAX}; split by noun, not by line count")


def function_length(file):
    """A function is at most 70 lines from brace to brace; 150 in src/kernels."""
    if not file.is_c:
        return
    most = KERNEL_FUNCTION_LINES_MAX if file.path.startswith("src/kernels/") else FUNCTION_LINES_MAX
    for function in file.functions:
        count = function.last_line - function.first_line + 1
        if count > most:
            yield Finding(file.path, function.first_line, "function-length",
                          f"{function.name}() has {count} lines, at most {most}; "
                          f"name its parts and make them functions")
    if not file.is_balanced:
        yield Finding(file.path, 1, "function-length",
                      "braces do not balance outside of directives; keep #if branches whole")


def banned_call(file):
    """Calls with a safer or testable replacement."""
    if not file.is_c:
        return
    for match in _CALL.finditer(file.code):
        name = match.group(1)
        instead, where, allowed = BANNED[name]
        if not file.path.startswith(where) or file.path.startswith(allowed or ("\0",)):
            continue
        if _MEMBER.search(file.code[max(0, match.start() - 8) : match.start()]):
            continue
        yield Finding(file.path, file.line_of(match.start()), "banned-call",
                      f"{name}(); use {instead}")


def undocumented_public(file):
    """Every declaration of a public header has a /** */ comment directly above it."""
    if not (file.path.startswith("include/") and file.path.endswith(".h")):
        return
    for chunk in file.chunks:
        offset = chunk.offset
        lone_macro = re.match(r"[A-Z][A-Z0-9_]*\n\s*", chunk.text)
        if lone_macro:
            offset += lone_macro.end()
        above = file.text[:offset].rstrip(" ")
        comment = above[above.rfind("/*") :] if above.endswith("*/\n") else ""
        if not comment.startswith("/**"):
            what = " ".join(chunk.text.split())[:60]
            yield Finding(file.path, file.line_of(offset), "undocumented-public",
                          f"`{what}`; put a /** */ comment directly above: what, units, "
                          f"ownership, errors, threads")


def unique_name(files):
    """A base name names one file in the whole tree."""
    places = defaultdict(list)
    for file in files:
        name = os.path.basename(file.path)
        if name.endswith(CODE_SUFFIXES) and name not in ("__init__.py", "conftest.py"):
            places[name].append(file.path)
    for name, paths in sorted(places.items()):
        for path in paths[1:]:
            yield Finding(path, 1, "unique-name",
                          f"{paths[0]} has the same base name; put the module into the name")


PER_FILE = [
    upward_include, file_length, function_length, banned_call, undocumented_public,
]
PER_TREE = [unique_name]
