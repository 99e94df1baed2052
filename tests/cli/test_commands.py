"""glint itself: help, version, unknown words; and the options that all commands share."""
import json
import re
import subprocess
import unittest

from glint_cli import GLINT, MODEL, CliTest


class Commands(CliTest):
    def test_bare_call_explains_on_stderr(self):
        done = self.run_glint()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("Usage: glint COMMAND", done.stderr)

    def test_help(self):
        texts = {self.succeed(*words) for words in (["--help"], ["-h"], ["help"])}
        self.assertEqual(len(texts), 1)
        self.assertRegex(texts.pop(), r"(?m)^  inspect +\S")

    def test_every_command_explains_itself(self):
        listed = re.findall(r"(?m)^  ([a-z]+) ", self.succeed("--help").split("Commands:")[1])
        self.assertIn("inspect", listed)
        for command in listed:
            with self.subTest(command):
                text = self.succeed(command, "--help")
                self.assertIn(f"Usage: glint {command} ", text)
                self.assertRegex(text, "(?m)^Exit status:|`glint [a-z]+ [A-Z]+ --help`")
                self.assertLessEqual(max(map(len, text.split("\n"))), 100)
                self.assertEqual(self.succeed("help", command), text)
                self.assertEqual(self.succeed(command, "-h"), text)

    def test_unknown_kinds(self):
        for command, noun, near in (("bench", "measurement", ("machin", "machine")),
                                    ("token", "kind", ("jw", "jwt"))):
            bare = self.run_glint(command)
            self.assertEqual((bare.returncode, bare.stdout), (2, ""))
            self.assertEqual(bare.stderr, self.succeed(command, "--help"))
            self.assertEqual(self.refuse(2, command, near[0]),
                             f'glint {command}: unknown {noun} "{near[0]}"; did you mean "{near[1]}"?')
            self.assertEqual(self.refuse(2, command, "frobnicate"),
                             f'glint {command}: unknown {noun} "frobnicate"; see glint {command} --help')

    def test_version(self):
        self.assertRegex(self.succeed("--version"), r"^glint \d+\.\d+\.\d+\n$")
        self.assertEqual(self.succeed("-V"), self.succeed("--version"))

    def test_unknown_command(self):
        for word, near in (("inspekt", "inspect"), ("insp", "inspect"), ("nispect", "inspect")):
            self.assertEqual(self.refuse(2, word),
                             f'glint: unknown command "{word}"; did you mean "{near}"?')
        self.assertEqual(self.refuse(2, "frobnicate"),
                         'glint: unknown command "frobnicate"; see glint --help')
        self.assertIn("unknown command", self.refuse(2, "help", "nothing"))
        self.assertIn("unknown command", self.refuse(2, ""))
        self.assertNotIn("\x1b", self.refuse(2, "\x1b[31mred"))

    def test_full_disk_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for args in (["--help"], ["--version"], ["inspect", "--help"], ["inspect"],
                         ["inspect", "--json"], ["bench", "--help"], ["token", "--help"],
                         ["token", "api-key", "--tenant", "a"], ["serve", "--list", "limits"],
                         ["quantize", MODEL, self.path("int8")],
                         ["ask", "--json", "--max-tokens", "1", "--prompt", "Who?"],
                         ["ask", "--max-tokens", "1", "--prompt", "Who?"]):
                done = subprocess.run([GLINT, *args], stdout=full, stderr=subprocess.DEVNULL,
                                      check=False)
                self.assertEqual(done.returncode, 1, args)


class Options(CliTest):
    def memory(self, *args, **kwargs):
        """[sequences, tokens] as inspect understood them."""
        text = self.succeed("inspect", *args, **kwargs)
        words = re.search(r"Memory to serve (\d+) sequences? of ([\d,]+) tokens", text)
        return [int(word.replace(",", "")) for word in words.groups()]

    def test_spellings(self):
        self.assertEqual(self.memory(), [8, 2048])
        self.assertEqual(self.memory("--seqs", "3", "--tokens=77"), [3, 77])
        self.assertEqual(self.memory("--seqs=3", "--seqs=4"), [4, 2048])
        self.assertIn('"sequences": 8', self.succeed("inspect", "-j"))
        self.assertIn('"sequences": 8', self.succeed("inspect", "--json=true"))
        self.assertIn("Memory", self.succeed("inspect", "-j", "--json=false"))

    def test_variables_and_their_rank(self):
        env = {"GLINT_SEQS": "5", "GLINT_TOKENS": "", "GLINT_UNKNOWN": "x"}
        self.assertEqual(self.memory(env=env), [5, 2048])
        self.assertEqual(self.memory("--seqs", "6", env=env), [6, 2048])
        self.assertEqual(self.refuse(2, "inspect", env={"GLINT_SEQS": "many"}),
                         'glint inspect: GLINT_SEQS: "many" is not a whole number')
        self.assertEqual(self.refuse(4, "inspect", env={"GLINT_MODEL": "/none"}),
                         "glint inspect: /none/config.json: No such file or directory")

    def test_refusals(self):
        rows = {
            ("--sqs", "3"): "unknown option --sqs; did you mean --seqs?",
            ("--frobnicate",): "unknown option --frobnicate; see glint inspect --help",
            ("-x",): "unknown option -x; see glint inspect --help",
            ("--seqs",): "--seqs needs a value: --seqs N",
            ("-m",): "-m needs a value: -m DIR",
            ("--seqs", "0"): "--seqs is 0, must be 1 to 4096",
            ("--seqs", "-1"): "--seqs is -1, must be 1 to 4096",
            ("--seqs", "1.5"): '--seqs: "1.5" is not a whole number',
            ("--seqs", ""): '--seqs: "" is not a whole number',
            ("--seqs", "99999999999999999999"): '--seqs: "99999999999999999999" is not a whole number',
            ("--json=maybe",): '--json: "maybe" is not true or false',
            ("a", "b"): "more than 1 argument",
        }
        for args, message in rows.items():
            self.assertEqual(self.refuse(2, "inspect", *args), "glint inspect: " + message)

    def test_long_names(self):
        for length in (39, 40, 41, 63, 64, 65, 70, 200):
            name = "x" * length
            self.assertEqual(self.refuse(2, "inspect", "--" + name),
                             f"glint inspect: unknown option --{name[:60]}; see glint inspect --help")
            config = self.write("settings.json", json.dumps({name: 1}))
            line = self.refuse(2, "serve", "--config", config)
            self.assertIn(f'unknown setting "{name[:80]}"', line)
            self.assertNotIn("did you mean", line)

    def test_help_wins(self):
        self.assertIn("Usage:", self.succeed("inspect", "--seqs", "0", "--help"))

    def test_double_dash(self):
        self.assertIn("--seqs/config.json", self.refuse(4, "inspect", "--", "--seqs"))


if __name__ == "__main__":
    unittest.main()
