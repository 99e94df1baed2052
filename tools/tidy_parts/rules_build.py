"""Rules that need a compiler, clang's tools or a finished build."""
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from .source import C_SUFFIXES, Finding

PUBLIC_PREFIX = "glint_"
INTERNAL_PREFIX = "gi_"

# State that a process may share, by object file: set once, or a single atomic word.
MUTABLE_ALLOWED = {
    "src_base_alloc.c.o": {"alloc_count", "fail_at"},  # fault injection of the tests
    "src_base_log.c.o": {"log_level"},
}

C_FLAGS = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
CXX_FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def _workers():
    return len(os.sched_getaffinity(0))


def _first_message(stderr):
    lines = [line for line in stderr.splitlines() if "error:" in line or "warning:" in line]
    return (lines or stderr.splitlines() or ["the tool failed and said nothing"])[0]


def header_alone(root, files):
    """Each public header compiles alone, as C17 and as C++17."""
    headers = [f.path for f in files if f.path.startswith("include/") and f.path.endswith(".h")]
    c_compiler = shutil.which("gcc") or shutil.which("clang")
    cxx_compiler = shutil.which("g++") or shutil.which("clang++")
    if headers and not (c_compiler and cxx_compiler):
        yield Finding("include", 0, "header-alone", "no C and C++ compiler; run tools/setup")
        return
    jobs = [(path, language, compiler, flags) for path in headers
            for language, compiler, flags in (("c", c_compiler, C_FLAGS), ("c++", cxx_compiler, CXX_FLAGS))]

    def compile_one(job):
        path, language, compiler, flags = job
        probe = f'#include "{path[len("include/"):]}"\n' + (
            "int glint_probe;\n" if language == "c" else "extern int glint_probe;\n")
        return job, subprocess.run(
            [compiler, *flags, "-Iinclude", "-fsyntax-only", "-x", language, "-"],
            input=probe, cwd=root, capture_output=True, text=True)

    with ThreadPoolExecutor(_workers()) as pool:
        for (path, language, _, _), result in pool.map(compile_one, jobs):
            if result.returncode != 0:
                yield Finding(path, 1, "header-alone",
                              f"as {language}: {_first_message(result.stderr)}; "
                              f"include what it uses, guard C-only parts")


def vla_flag(root):
    """The build refuses variable-length arrays."""
    build = os.path.join(root, "meson.build")
    if os.path.exists(build):
        with open(build, encoding="utf-8") as handle:
            if not re.search(r"-W(error=)?vla\b", handle.read()):
                yield Finding("meson.build", 1, "vla-flag", "pass -Wvla: no variable-length array")


def _nm(path, *flags):
    return subprocess.run(["nm", "--defined-only", *flags, path],
                          check=True, capture_output=True, text=True).stdout


def symbols(build):
    """Prefixes of global symbols, and no mutable file-scope data, in the built library."""
    archive = os.path.join(build, "libglint.a")
    shared = [os.path.join(build, name) for name in os.listdir(build)
              if re.fullmatch(r"libglint\.so(\.\d+)*", name)
              and not os.path.islink(os.path.join(build, name))] if os.path.isdir(build) else []
    if not os.path.exists(archive) and not shared:
        yield Finding(build, 0, "symbol-prefix", "no libglint.a or libglint.so here; build first")
        return
    if os.path.exists(archive):
        for line in _nm(archive, "-g").splitlines():
            fields = line.split()
            if len(fields) == 3 and not fields[2].startswith((PUBLIC_PREFIX, INTERNAL_PREFIX)):
                yield Finding(archive, 0, "symbol-prefix",
                              f"{fields[2]}; make it static or name it gi_<module>_<verb>")
        yield from _mutable_data(archive)
    for library in shared:
        for line in _nm(library, "-D").splitlines():
            fields = line.split()
            name = fields[-1].split("@")[0]
            if not name.startswith(PUBLIC_PREFIX):
                yield Finding(library, 0, "symbol-prefix",
                              f"{name} is exported; only {PUBLIC_PREFIX} may be")


def _mutable_data(archive):
    listing = subprocess.run(["objdump", "-t", archive], check=True, capture_output=True, text=True)
    member = archive
    for line in listing.stdout.splitlines():
        heading = re.match(r"(\S+):\s+file format", line)
        if heading:
            member = heading.group(1)
        entry = re.match(r"[0-9a-f]+ (.{7}) (\S+)\t([0-9a-f]+)\s+(?:\.\w+ )?(\S+)", line)
        if not entry or entry.group(1)[6] != "O":
            continue
        section, size, name = entry.group(2), int(entry.group(3), 16), entry.group(4)
        mutable = section == "*COM*" or re.match(r"\.t?(data|bss)(?!\.rel\.ro)", section)
        if mutable and size and name not in MUTABLE_ALLOWED.get(member, ()):
            yield Finding(member, 0, "mutable-global",
                          f"{name} in {section}; put it into a struct that the caller owns")


def clang_format(root, files):
    """clang-format 14 would change nothing."""
    paths = [file.path for file in files if file.path.endswith(C_SUFFIXES)]
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if tool is None:
        yield Finding("clang-format", 0, "format", "not installed; run tools/setup --check")
        return
    if not paths:
        return
    result = subprocess.run([tool, "--dry-run", "-Werror", *paths], cwd=root,
                            capture_output=True, text=True)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: error", result.stderr, re.MULTILINE):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield Finding(match.group(1), int(match.group(2)), "format",
                          f"run: clang-format -i {match.group(1)}")
    if result.returncode != 0 and not seen:
        yield Finding("clang-format", 0, "format", _first_message(result.stderr))


def clang_tidy(root, build, paths):
    """clang-tidy, with the checks of .clang-tidy, over the compile commands of a clang build."""
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    database = os.path.join(build, "compile_commands.json")
    if tool is None or not os.path.exists(database):
        yield Finding(database, 0, "clang-tidy",
                      "needs clang-tidy and a build by clang: CC=clang meson setup " + build)
        return
    with open(database, encoding="utf-8") as handle:
        entries = json.load(handle)
    commands = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
        if path.endswith(".c") and path.startswith(("src/", "apps/")) and (not paths or path in paths):
            commands[path] = entry
    # One command a file: analysing a file twice in one process makes clang 14 forget va_start.
    database = os.path.join(build, "tidy")
    os.makedirs(database, exist_ok=True)
    with open(os.path.join(database, "compile_commands.json"), "w", encoding="utf-8") as handle:
        json.dump(list(commands.values()), handle)

    def tidy_one(path):
        return path, subprocess.run([tool, "--quiet", "-p", database, path], cwd=root,
                                    capture_output=True, text=True)

    seen = set()
    with ThreadPoolExecutor(_workers()) as pool:
        for path, result in pool.map(tidy_one, sorted(commands)):
            matches = re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error): (.*)$", result.stdout,
                                 re.MULTILINE)
            for where, line, message in matches:
                place = os.path.relpath(os.path.join(build, where), root)
                finding = Finding(place, int(line), "clang-tidy", message)
                if finding not in seen:
                    seen.add(finding)
                    yield finding
            if result.returncode != 0 and not matches:
                yield Finding(path, 1, "clang-tidy", _first_message(result.stderr))
