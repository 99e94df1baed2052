"""glint ask: answers, and one clear line with the right exit code for everything that is wrong."""
import json
import os
import pty
import re
import signal
import struct
import subprocess
import threading
import time
import unittest
import zlib

from glint_cli import GLINT, ROOT, CliTest, edit_json

GOLDEN = os.path.join(ROOT, "tests", "golden", "default")
SMALL = os.path.join(GOLDEN, "text_90x60.png")
LISTING = os.path.join(GOLDEN, "listing_150.png")
AUDIT = "审核该商品。"


def golden(name):
    """(pictures, question, answer) of a golden case."""
    with open(os.path.join(GOLDEN, "cases.json"), encoding="utf-8") as handle:
        case = next(c for c in json.load(handle)["cases"] if c["name"] == name)
    question = next(p["text"] for p in case["turns"][0]["parts"] if "text" in p)
    return [os.path.join(GOLDEN, p) for p in case["pictures"]], question, case["text"]


def grey_png(width, height):
    """A black picture of one bit a pixel."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = bytes(height * (1 + (width + 7) // 8))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Answers(CliTest):
    def test_golden_answers(self):
        for name in ("listing_150", "text_90x60", "tiny_picture"):
            pictures, question, answer = golden(name)
            with self.subTest(name):
                done = self.run_glint("ask", *pictures, question)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(done.stdout, answer.rstrip("\n") + "\n")

    def test_where_memory_may_not_hold_programs(self):
        """The sysctl belongs to a process namespace, so one of its own can have it."""
        forbid = "echo 2 >/proc/sys/vm/memfd_noexec && "
        here = ["unshare", "-rmpf", "--mount-proc", "sh", "-c"]
        if subprocess.run([*here, forbid + "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no namespaces, or a kernel without vm.memfd_noexec")
        ask = '"$GLINT" ask --task describe "$PICTURE"'
        env = {**os.environ, "PICTURE": SMALL, "GLINT": GLINT}
        plain = self.succeed("ask", "--task", "describe", SMALL)
        done = subprocess.run([*here, forbid + ask], capture_output=True, text=True, env=env, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, plain), done.stderr)
        hide = "".join(f"mount -t tmpfs -o noexec none {path} && " for path in ("/dev/shm", "/var/tmp", "/tmp"))
        if os.path.realpath(GLINT).startswith(("/tmp/", "/var/tmp/")):
            return  # nothing would be left to run
        done = subprocess.run([*here, forbid + hide + ask], capture_output=True, text=True, env=env, check=False)
        self.assertEqual((done.returncode, done.stdout), (4, ""), done.stderr)
        self.assertIn("vm.memfd_noexec to 1", done.stderr)

    def test_json(self):
        pictures, question, answer = golden("listing_150")
        reply = json.loads(self.succeed("ask", "--task", "audit", "--json", *pictures, question))
        self.assertEqual({k: reply[k] for k in ("result", "reasons")}, json.loads(answer))
        self.assertTrue(0 < reply["confidence"] <= 1)
        self.assertEqual((reply["task"], reply["finish_reason"]), ("audit", "stop"))
        self.assertEqual(reply["usage"]["image_tokens"], 25)
        self.assertEqual(reply["usage"]["prompt_tokens"], 42)
        self.assertEqual(reply["tokens_generated"], reply["usage"]["completion_tokens"])
        self.assertGreater(reply["timing_ms"]["total"], reply["timing_ms"]["encode"])

    def test_where_pictures_come_from(self):
        with open(SMALL, "rb") as handle:
            data = handle.read()
        question = golden("text_90x60")[1]
        answer = self.succeed("ask", SMALL, question)
        self.assertEqual(self.succeed("ask", "-", question, stdin=data), answer)
        self.write("no extension", data)
        self.assertEqual(self.succeed("ask", "no extension", question), answer)
        self.assertEqual(self.succeed("ask", "--prompt", question, SMALL), answer)
        os.mkfifo(self.path("pipe"))
        feeder = threading.Thread(target=self.write, args=("pipe", data))
        feeder.start()
        self.assertEqual(self.succeed("ask", "pipe", question), answer)
        feeder.join()
        self.assertNotEqual(self.succeed("ask", SMALL, LISTING, question), answer)

    def test_questions(self):
        self.assertTrue(self.succeed("ask", SMALL).strip())  # describe
        self.assertTrue(self.succeed("ask", SMALL, "is a.png nicer?").strip())  # no path: a space
        self.succeed("ask", "--prompt", "你好")  # no picture
        self.succeed("ask", SMALL, "--", "-n")

    def test_limits_and_sampling(self):
        done = self.run_glint("ask", LISTING, AUDIT, "-n", "2")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "glint ask: cut off after 2 tokens; --max-tokens allows more\n")
        reply = json.loads(self.succeed("ask", LISTING, AUDIT, "-n2", "-j"))
        self.assertEqual((reply["finish_reason"], reply["tokens_generated"]), ("length", 2))
        hot = ("ask", LISTING, AUDIT, "--temperature", "2", "-n", "24")
        first = [self.run_glint(*hot, "--seed", str(seed)).stdout for seed in (1, 2, 3)]
        again = [self.run_glint(*hot, "--seed", str(seed)).stdout for seed in (1, 2, 3)]
        self.assertEqual(first, again)
        self.assertGreater(len(set(first)), 1)
        self.assertEqual(self.succeed("ask", LISTING, AUDIT, "--stop", "pass"), '{"result":"\n')

    def test_timings(self):
        done = self.run_glint("ask", SMALL, "--timings")
        for name in ("load", "decode image", "preprocess", "encode", "prefill", "decode", "total"):
            self.assertRegex(done.stderr, rf"(?m)^  {name} +[\d.]+ ms")
        self.assertEqual(done.stdout, self.succeed("ask", SMALL))

    def test_progress_only_on_a_terminal(self):
        master, slave = pty.openpty()
        with subprocess.Popen([GLINT, "ask", SMALL], stdout=subprocess.PIPE, stderr=slave) as process:
            answer = process.stdout.read().decode()
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 4096):
                shown += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(master)
        self.assertEqual(answer, self.succeed("ask", SMALL))
        self.assertRegex(shown.decode(), r"\d %  [a-z ]+")
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)


class Refusals(CliTest):
    def test_pictures(self):
        text = self.write("notes.png", "hello\n")
        bomb = self.write("bomb.png", grey_png(8000, 7500))
        long = self.write("long.png", grey_png(6030, 28))
        with open(SMALL, "rb") as handle:
            cut = self.write("cut.png", handle.read()[:200])
        large = self.write("large.png", bytes(11 << 20))
        self.write("empty.jpg", b"")
        rows = [
            (["missing.png"], "missing.png: No such file or directory"),
            (["./missing"], "./missing: No such file or directory"),
            (["misspelt", SMALL, "what?"], "misspelt: no such file (the question goes last, in quotes)"),
            (["--prompt", "what?", "misspelt"], "misspelt: no such file"),
            ([self.dir], f"{self.dir}: Is a directory"),
            ([text], f"{text}: not a JPEG, PNG, WebP or GIF picture"),
            ([SMALL, text, "what?"], f"{text}: not a JPEG, PNG, WebP or GIF picture"),
            (["empty.jpg"], "empty.jpg: empty"),
            ([large], f"{large}: larger than 10485760 bytes"),
            (["-"], "standard input: empty"),
            ([SMALL] * 9, "9 pictures; at most 8 fit one question"),
        ]
        for args, message in rows:
            with self.subTest(message):
                self.assertEqual(self.refuse(3, "ask", *args), "glint ask: " + message)
        for name, pattern in ((bomb, "60000000|40000000|pixel"), (long, "aspect|side|long"),
                              (cut, "broken|cut|damaged|end|not")):
            message = self.refuse(3, "ask", name)
            self.assertTrue(message.startswith(f"glint ask: {name}: "), message)
            self.assertRegex(message.lower(), pattern)

    def test_questions(self):
        self.assertIn("no picture given", self.refuse(2, "ask"))
        self.assertIn("no picture given", self.refuse(2, "ask", "what?"))
        self.assertIn("--prompt", self.refuse(2, "ask", "what?"))
        self.assertEqual(self.refuse(2, "ask", SMALL, "--task", "audti"),
                         'glint ask: no task is called "audti"; there are audit, ask, describe, ocr, extract')
        self.assertIn("UTF-8", self.refuse(3, "ask", SMALL, b"\xff\xfe"))
        self.assertIn("context holds 16", self.refuse(3, "ask", SMALL, "--context", "16"))

    def test_numbers(self):
        for args in (["-n", "0"], ["-n", "4097"], ["--temperature", "2.1"], ["--temperature", "nan"],
                     ["--top-p", "0"], ["--top-k", "-1"], ["--seed", "-1"], ["--threads", "0"],
                     ["--max-side", "27"], ["--max-side", "16385"], ["--dtype", "int4"],
                     ["--cpu-mask", "z80"]):
            with self.subTest(args):
                self.refuse(2, "ask", SMALL, *args)

    def test_models(self):
        self.assertIn("nowhere/config.json", self.refuse(4, "ask", SMALL, "--model", "nowhere"))
        self.assertIn("/none", self.refuse(4, "ask", SMALL, "--templates", "/none"))
        model = self.copy_model()
        edit_json(model + "/config.json", lambda c: c["text_config"].update(num_hidden_layers=5))
        self.assertIn("layers.5.", self.refuse(4, "ask", SMALL, "-m", model))
        os.remove(model + "/tokenizer.json")
        edit_json(model + "/config.json", lambda c: c["text_config"].update(num_hidden_layers=6))
        self.assertIn("tokenizer.json", self.refuse(4, "ask", SMALL, "-m", model))

    def test_time(self):
        self.assertEqual(self.refuse(6, "ask", SMALL, "--timeout", "1"),
                         "glint ask: the deadline passed")

    def test_closed_output(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for args in ([], ["--json"]):
                done = subprocess.run([GLINT, "ask", SMALL, *args], stdout=full,
                                      stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)


class Signals(CliTest):
    # Slow enough to be interrupted: eight pictures through the plain C kernels.
    ARGS = [GLINT, "ask", "--cpu-mask", "ref", "--threads", "1", *[os.path.join(GOLDEN, "listing.png")] * 8]

    def interrupt(self, number, times):
        def reset():  # a shell that runs tests in the background ignores SIGINT
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        # pylint: disable-next=subprocess-popen-preexec-fn
        with subprocess.Popen(self.ARGS, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              preexec_fn=reset) as process:
            time.sleep(0.5)
            for _ in range(times):
                process.send_signal(number)
                time.sleep(0.2)
            out, err = process.communicate(timeout=120)
            return process.returncode, out, err

    def test_signals_stop_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.assertEqual(self.interrupt(number, 1), (130, b"", b""))

    def test_second_signal_does_not_wait(self):
        start = time.monotonic()
        self.assertEqual(self.interrupt(signal.SIGINT, 2), (130, b"", b""))
        self.assertLess(time.monotonic() - start, 5)


if __name__ == "__main__":
    unittest.main()
