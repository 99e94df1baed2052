"""tools/tidy fires: one bad sample per rule, and its near miss that must stay silent.

A sample is a tree in a temporary folder, given as {path: text}. Odd characters are written as
escapes here, so that this file itself passes tidy.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIDY = os.path.join(ROOT, "tools", "tidy")

HEADER = "include/glint/sample.h"


def function_of(lines):
    return "int f(void)\n{\n" + "    work();\n" * (lines - 3) + "    return 0;\n}\n"


# rule -> list of (bad tree, good tree). The bad one must give this rule and no other.
SAMPLES = {
    "upward-include": [
        ({"src/base/a.c": '#include "kv/b.h"\n'}, {"src/kv/a.c": '#include "base/b.h"\n'}),
        ({"src/image/a.c": '#include "text/b.h"\n'}, {"src/model/a.c": '#include "text/b.h"\n'}),
        ({"src/fetch/a.c": '#include "store/b.h"\n'}, {"src/server/a.c": '#include "store/b.h"\n'}),
        ({"src/server/a.c": '#include "model/b.h"\n'}, {"src/engine/a.c": '#include "model/b.h"\n'}),
        ({"src/server/a.c": '#include "apps/glint/b.h"\n'}, {"apps/glint/a.c": '#include "apps/glint/b.h"\n'}),
        ({"src/nowhere/a.c": "int gi_x;\n"}, {"src/base/a.c": "int gi_x;\n"}),
        ({HEADER: '#include "base/b.h"\n', "include/base/b.h": ""}, {HEADER: "#include <stdint.h>\n"}),
        ({"src/base/a.c": '#include "kv/b.h" // used\n'}, {"src/base/a.c": '// #include "kv/b.h"\n'}),
    ],
    "include-path": [
        ({"src/base/a.c": '#include "b.h"\n'}, {"src/base/a.c": '#include "base/b.h"\n'}),
        ({"src/base/a.c": '#include "../base/b.h"\n'}, {"src/base/a.c": "#include <stddef.h>\n"}),
    ],
    "file-length": [
        ({"src/base/a.c": "int gi_f(void);\n" * 801}, {"src/base/a.c": "int gi_f(void);\n" * 800}),
    ],
    "function-length": [
        ({"src/base/a.c": function_of(71)}, {"src/base/a.c": function_of(70)}),
        ({"src/kernels/a.c": function_of(151)}, {"src/kernels/a.c": function_of(150)}),
        (
            {"src/base/a.h": 'extern "C" {\n__attribute__((cold)) ' + function_of(71) + "}\n"},
            {"src/base/a.c": "static const int x[] = {\n" + "    1,\n" * 80 + "};\n"},
        ),
        ({"src/base/a.c": "int f(void)\n{\n"}, {"src/base/a.c": '#define OPEN "{" /* { */\n'}),
    ],
    "banned-call": [
        ({"src/base/a.c": "void f(void) { strcpy(a, b); }\n"}, {"src/base/a.c": "// strcpy(a, b)\n"}),
        ({"apps/glint/a.c": "void f(void) { free (p); }\n"}, {"src/base/alloc.c": "void f(void) { free(p); }\n"}),
        ({"src/kv/a.c": "void f(void) { strtol(p, 0, 0); }\n"}, {"src/base/a.c": "void f(void) { strtol(p, 0, 0); }\n"}),
        ({"tests/unit/a.c": "void f(void) { rand(); }\n"}, {"tests/unit/a.c": "void f(void) { free(p); }\n"}),
        ({"src/kv/a.c": "void f(void) { exit(1); }\n"}, {"apps/glint/a.c": "void f(void) { exit(1); }\n"}),
        ({"src/kv/a.c": "void f(void) { getenv(p); }\n"}, {"src/kv/a.c": 'const char *m = "getenv(p)";\n'}),
        ({"src/kv/a.c": "void f(void) { alloca(4); }\n"}, {"src/kv/a.c": "void f(void) { x->free(p); y.exit(0); }\n"}),
        ({"src/kv/a.c": "#define F(x) atoi(x)\n"}, {"src/kv/a.c": "void f(void) { gi_free(p); my_atoi(p); }\n"}),
    ],
    "undocumented-public": [
        ({HEADER: "int glint_f(void);\n"}, {HEADER: "/** Says f. */\nint glint_f(void);\n"}),
        ({HEADER: "/** Lost. */\n\nint glint_f(void);\n"}, {HEADER: "/**\n * Says f.\n */\nint glint_f(int a,\n            int b);\n"}),
        ({HEADER: "/* no doc */\nint glint_f(void);\n"}, {HEADER: "/** A thing. */\ntypedef struct glint_x {\n    int a;\n} glint_x;\n"}),
        ({HEADER: "/** One. */\nint glint_f(void);\nint glint_g(void);\n"}, {HEADER: "#define GLINT_A 1\n"}),
        (
            {HEADER: '#ifdef __cplusplus\nextern "C" {\n#endif\ntypedef int glint_x;\n#ifdef __cplusplus\n}\n#endif\n'},
            {HEADER: '#ifdef __cplusplus\nextern "C" {\n#endif\n/** A count. */\ntypedef int glint_x;\n#ifdef __cplusplus\n}\n#endif\n'},
        ),
    ],
    "header-alone": [
        ({HEADER: "/** Needs stdint.h. */\nuint32_t glint_f(void);\n"}, {HEADER: "#include <stdint.h>\n/** F. */\nuint32_t glint_f(void);\n"}),
        ({HEADER: "/** Not C++. */\nvoid glint_f(int *restrict p);\n"}, {HEADER: "/** Both. */\nvoid glint_f(int *p);\n"}),
    ],
    "unique-name": [
        ({"src/base/a.c": "", "src/kv/a.c": ""}, {"src/base/a.c": "", "src/base/a.h": "", "src/kv/meson.build": "", "src/base/meson.build": ""}),
    ],
    "vla-flag": [({"meson.build": "x\n"}, {"meson.build": "add('-Wvla')\n"})],
    "trailing-space": [
        ({"a.md": "word \n"}, {"a.md": "word\n"}),
        ({"a.md": "word\r\n"}, {"tests/golden/a.md": "word\r\n"}),
        ({"a.md": "word"}, {"a.json": "{}"}),
    ],
    "tab": [({"a.py": "\tx\n"}, {"Makefile": "a:\n\tb\n"})],
    "invisible-character": [
        ({"a.md": "a\u202eb\n"}, {"a.md": "\u4f60\u597d \u00e9 \U0001f600\n"}),
        ({"a.md": "a\u200bb\n"}, {"tests/unit/data/a.md": "a\u200bb\n"}),
        ({"a.md": "\ufeffa\n"}, {"a.bin": "\0\u202e\n"}),
    ],
    "unfinished-mark": [
        ({"src/base/a.c": "// TO" "DO: later\n"}, {"src/base/a.c": "// a mastodon\n"}),
        ({"a.md": "FIX" "ME\n"}, {"a.md": "fixed\n"}),
    ],
    "dead-path": [
        ({"a.md": "see `src/kv/pool.c`\n"}, {"a.md": "see `src/kv/pool.c`, `src/<any>/`\n", "src/kv/pool.c": ""}),
        ({"docs/a.md": "[b](b.md)\n"}, {"docs/a.md": "[b](b.md#top) [c](https://a.example)\n", "docs/b.md": ""}),
    ],
    "home-path": [
        ({"a.md": "see /home" "/jo/x\n"}, {"a.md": "see ~/x and docs/home/page and https://a.example/home/b\n"}),
        ({"a.py": "p = '/wo" "rk/x'\n"}, {"a.py": "p = './work/x'\n"}),
    ],
}

SUBJECTS_GOOD = ["kv: release blocks of cancelled requests", "sched, engine: one step budget"]
SUBJECTS_BAD = ["Fixed stuff", "kv: ends with a stop.", "kv: ", "kv:no space", "kv: " + "x" * 60]

OBJECTS_GOOD = {
    "a": "int glint_a(void) { return 1; }\nint gi_kv_b(void) { return 2; }\n"
         "static const char *const names[] = {\"a\"};\n"
         "const char *gi_name(int i) { return names[i]; }\n",
}
OBJECTS_BAD = {
    "symbol-prefix": {"a": "int helper(void) { return 1; }\n"},
    "mutable-global": {"a": "int gi_count(void) { static int n; return ++n; }\n"},
}


def write_tree(folder, tree):
    for path, text in tree.items():
        full = os.path.join(folder, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8", newline="") as handle:
            handle.write(text)


def run_tidy(folder, *arguments):
    result = subprocess.run([sys.executable, TIDY, "--root", folder, *arguments],
                            capture_output=True, text=True)
    rules = set(re.findall(r"^[^:\n]+(?::\d+)?: ([a-z-]+): ", result.stdout, re.MULTILINE))
    return result.returncode, rules, result.stdout + result.stderr


class Samples(unittest.TestCase):
    def check_tree(self, tree, expected, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            write_tree(folder, tree)
            code, rules, output = run_tidy(folder, *arguments)
            self.assertEqual(rules, expected, f"{tree}\n{output}")
            self.assertEqual(code, 1 if expected else 0, output)

    def test_every_rule_has_a_sample(self):
        listed = subprocess.run([sys.executable, TIDY, "--list"], check=True,
                                capture_output=True, text=True).stdout
        names = {line.split()[0] for line in listed.splitlines()}
        elsewhere = {"symbols", "commit-subject", "clang-format", "clang-tidy"}
        self.assertEqual(names - elsewhere, set(SAMPLES) - {"include-path"})


def add_sample_tests():
    """One test method per rule, so that a failure names the rule."""
    for rule, pairs in SAMPLES.items():
        def test(self, rule=rule, pairs=pairs):
            for bad, good in pairs:
                self.check_tree(bad, {rule})
                self.check_tree(good, set())
        setattr(Samples, "test_" + rule.replace("-", "_"), test)


add_sample_tests()


class Commits(unittest.TestCase):
    def test_commit_subject(self):
        with tempfile.TemporaryDirectory() as folder:
            def git(*arguments):
                subprocess.run(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@t",
                                *arguments], check=True, capture_output=True)
            git("init", "-q")
            for subject in SUBJECTS_GOOD:
                git("commit", "-q", "--allow-empty", "-m", subject)
            self.assertEqual(run_tidy(folder, "--commits", "HEAD")[:2], (0, set()))
            for subject in SUBJECTS_BAD:
                git("commit", "-q", "--allow-empty", "-m", subject)
            code, rules, output = run_tidy(folder, "--commits", "HEAD")
            self.assertEqual((code, rules), (1, {"commit-subject"}))
            self.assertEqual(output.count("commit-subject:"), len(SUBJECTS_BAD), output)


class Built(unittest.TestCase):
    def build(self, folder, objects):
        paths = []
        for name, text in objects.items():
            paths.append(os.path.join(folder, name + ".o"))
            subprocess.run(["cc", "-fPIC", "-x", "c", "-c", "-", "-o", paths[-1]],
                           input=text, text=True, check=True)
        subprocess.run(["ar", "rcs", os.path.join(folder, "libglint.a"), *paths], check=True)

    def test_archive(self):
        for expected, objects in [(None, OBJECTS_GOOD), *OBJECTS_BAD.items()]:
            with tempfile.TemporaryDirectory() as folder:
                self.build(folder, objects)
                _, rules, output = run_tidy(folder, "--symbols", folder)
                self.assertEqual(rules, {expected} if expected else set(), output)

    def test_shared_library_exports_public_names_only(self):
        with tempfile.TemporaryDirectory() as folder:
            self.build(folder, OBJECTS_GOOD)
            subprocess.run(["cc", "-shared", "-o", os.path.join(folder, "libglint.so"),
                            os.path.join(folder, "a.o")], check=True)
            _, rules, output = run_tidy(folder, "--symbols", folder)
            self.assertEqual(rules, {"symbol-prefix"}, output)
            self.assertIn("gi_kv_b is exported", output)

    def test_missing_library_is_a_finding(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run_tidy(folder, "--symbols", folder)[:2], (1, {"symbol-prefix"}))


class ClangTools(unittest.TestCase):
    def setUp(self):
        for tool in ("clang-format", "clang-tidy"):
            if subprocess.run(["which", tool], capture_output=True).returncode != 0:
                self.skipTest(f"{tool} is not installed")

    def test_format(self):
        with tempfile.TemporaryDirectory() as folder:
            write_tree(folder, {".clang-format": "BasedOnStyle: LLVM\n", "a.c": "int f(void);\n"})
            self.assertEqual(run_tidy(folder, "--format")[:2], (0, set()))
            write_tree(folder, {"a.c": "int  f( void );\n"})
            self.assertEqual(run_tidy(folder, "--format")[:2], (1, {"format"}))

    def test_clang_tidy(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(ROOT, ".clang-tidy"), encoding="utf-8") as handle:
                checks = handle.read()
            source = os.path.join(folder, "src/base/a.c")
            entry = f'[{{"directory": "{folder}", "command": "cc -c {source}", "file": "{source}"}}]'
            write_tree(folder, {".clang-tidy": checks, "build/compile_commands.json": entry,
                                "src/base/a.c": "int gi_f(int a)\n{\n    return a;\n}\n"})
            build = os.path.join(folder, "build")
            self.assertEqual(run_tidy(folder, "--clang-tidy", build)[:2], (0, set()))
            write_tree(folder, {"src/base/a.c": "int gi_f(void)\n{\n    int *p = 0;\n    return *p;\n}\n"})
            self.assertEqual(run_tidy(folder, "--clang-tidy", build)[:2], (1, {"clang-tidy"}))


if __name__ == "__main__":
    unittest.main()
