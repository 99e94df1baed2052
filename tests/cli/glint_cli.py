"""Runs the glint program for the tests in this folder."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

GLINT = os.environ["GLINT"]
ROOT = os.environ["GLINT_SOURCE_ROOT"]
MODEL = os.path.join(ROOT, "models", "default")


class CliTest(unittest.TestCase):
    """A test with a scratch folder and a clean environment."""

    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="glint-cli-")
        self.addCleanup(shutil.rmtree, self.dir)

    def run_glint(self, *args, env=None, stdin=b"", cwd=None, timeout=120):
        """The finished process, output as text."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GLINT")}
        done = subprocess.run(
            [GLINT, *args], input=stdin, capture_output=True, timeout=timeout,
            cwd=cwd or self.dir, env={**clean, **(env or {})}, check=False)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        return done

    def succeed(self, *args, **kwargs):
        done = self.run_glint(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refuse(self, code, *args, **kwargs):
        """Fails with `code`, nothing on stdout, and one line on stderr, which is returned."""
        done = self.run_glint(*args, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertRegex(done.stderr, r"^glint[^:]*: ")
        return done.stderr.rstrip("\n")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as handle:
            handle.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def copy_model(self, name="model"):
        shutil.copytree(MODEL, self.path(name))
        return self.path(name)


def edit_json(path, change):
    """Rewrites a JSON file after change(value)."""
    with open(path, encoding="utf-8") as handle:
        value = json.load(handle)
    change(value)
    with open(path, "w", encoding="utf-8") as handle:
        json.dump(value, handle)


def edit_header(path, change):
    """Rewrites a safetensors header after change(dict), padded to its old length or more."""
    with open(path, "rb") as handle:
        data = handle.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (max(size - len(text), -len(text) % 8))
    with open(path, "wb") as handle:
        handle.write(struct.pack("<Q", len(text)) + text + data[8 + size :])
