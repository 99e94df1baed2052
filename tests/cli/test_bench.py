"""glint bench: reports are complete and add up; no test looks at how fast anything was."""
import json
import os
import unittest

from glint_cli import ROOT, CliTest

TINY = os.path.join(ROOT, "tests", "golden", "tiny", "model")
TIERS = {"ref", "avx2", "avx512", "avx512vnni", "avx512bf16"}


def load_config():
    with open(os.path.join(TINY, "config.json"), encoding="utf-8") as f:
        return json.load(f)


class BenchTest(CliTest):
    def report(self, *args):
        return json.loads(self.succeed("bench", *args, "--json"))

    def check_card(self, card, threads):
        self.assertIn(card["tier"], TIERS)
        self.assertEqual(card["threads"], threads)
        self.assertTrue(1 <= card["cpus_usable"] <= card["cpus_online"])
        for key in ("cpu", "governor", "system", "compiler", "revision"):
            self.assertTrue(card[key], key)

    def check_series(self, series, rounds):
        self.assertEqual(len(series["runs"]), rounds)
        ranked = sorted(series["runs"])
        self.assertEqual((series["min"], series["max"]), (ranked[0], ranked[-1]))
        middle = (ranked[(rounds - 1) // 2] + ranked[rounds // 2]) / 2
        self.assertAlmostEqual(series["median"], middle, delta=1e-9 * middle)
        self.assertGreater(ranked[0], 0)


class MachineTest(BenchTest):
    def machine(self, *args):
        return self.report("machine", "--sample-ms", "1", "--read-mb", "16", "--rounds", "2", *args)

    def test_report(self):
        report = self.machine("--threads", "2")
        self.assertEqual(report["kind"], "machine")
        self.check_card(report["card"], 2)
        keys = {"avx2": 2, "avx512": 3, "avx512vnni": 4, "avx512bf16": 5}
        arithmetic = report["ceilings"]["arithmetic"]
        self.assertEqual(len(arithmetic), keys.get(report["card"]["tier"], 0))
        for entry in [*arithmetic, report["ceilings"]["read"]]:
            self.check_series(entry["one_thread"], 2)
            self.check_series(entry["all_threads"], 2)
        self.check_reading(report["ceilings"]["read"], report["card"]["tier"])

    def check_reading(self, read, tier):
        """The best of its patterns, for one thread and for all."""
        self.assertEqual(read["bytes"], 16 << 20)
        n_patterns = {"ref": 1, "avx2": 7}.get(tier, 13)
        self.assertEqual(len({p["key"] for p in read["patterns"]}), n_patterns)
        for threads in ("one_thread", "all_threads"):
            best = max(read["patterns"], key=lambda p: p[threads]["median"])
            self.assertEqual(read[f"{threads}_pattern"], best["key"])
            self.assertEqual(read[threads], best[threads])

    def test_tier_bounds_what_is_measured(self):
        report = self.machine("--cpu-mask", "ref")
        self.assertEqual(report["card"]["tier"], "ref")
        self.assertEqual(report["ceilings"]["arithmetic"], [])
        self.check_reading(report["ceilings"]["read"], "ref")

    def test_text(self):
        out = self.succeed("bench", "machine", "--sample-ms", "1", "--read-mb", "16", "--rounds", "1")
        self.assertIn("reading 16 MiB", out)
        self.assertIn("GB/s", out)


class ModelTest(BenchTest):
    def test_report(self):
        report = self.report("model", TINY, "--rounds", "2", "--threads", "1", "--dtype", "f32",
                             "--no-ceilings", "--prefill", "5", "--decode", "3", "--pixels", "56",
                             "--decode-past", "7", "--decode-tokens", "2")
        self.check_card(report["card"], 1)
        self.assertEqual(report["dtype"], "f32")
        items = {item["work"]: item for item in report["items"]}
        self.assertEqual(sorted(items), ["decode", "prefill", "vision"])
        for item in items.values():
            self.check_series(item["ms"], 2)
            per_s = item["tokens"] / item["ms"]["median"] * 1e3
            self.assertAlmostEqual(item["tokens_per_s"], per_s, delta=1e-6 * per_s)
        tokens = {work: item["tokens"] for work, item in items.items()}
        self.assertEqual(tokens, {"prefill": 5, "decode": 6, "vision": 4})

    def test_operations(self):
        """Counted a second time, from the shapes in config.json."""
        report = self.report("model", TINY, "--rounds", "1", "--no-ceilings", "--prefill", "5",
                             "--decode", "3", "--pixels", "56", "--decode-past", "7",
                             "--decode-tokens", "2")
        config = load_config()
        t, v = config["text_config"], config["vision_config"]
        hidden, ffn, heads = t["hidden_size"], t["intermediate_size"], t["num_attention_heads"]
        head = hidden // heads
        layer = hidden * head * (heads + 2 * t["num_key_value_heads"]) + heads * head * hidden
        layer += 3 * hidden * ffn

        def text(past, n, logits):
            pairs = sum(past + i + 1 for i in range(n))
            per_layer = 2 * layer * n + 2 * 2 * heads * head * pairs
            return t["num_hidden_layers"] * per_layer + 2 * logits * hidden * t["vocab_size"]

        e, m, out = v["hidden_size"], v["out_hidden_size"], v["out_hidden_size"]
        patches, tokens = 16, 4
        block = patches * 2 * (3 * e * e + e * e + 3 * e * m) + 2 * 2 * patches * patches * e
        merger = tokens * 2 * (4 * e * out + out * out + 3 * out * v["intermediate_size"])
        vision = patches * 2 * 3 * 14 * 14 * e + v["depth"] * block + merger
        want = {"prefill": text(0, 5, 1), "decode": 3 * text(7, 2, 2), "vision": vision}
        for item in report["items"]:
            ops = item["gops_per_s"] * item["ms"]["median"] * 1e6
            self.assertAlmostEqual(ops, want[item["work"]], delta=1e-6 * ops, msg=item["work"])

    def test_audit(self):
        picture = os.path.join(ROOT, "tests", "golden", "default", "listing_150.png")
        report = self.report("model", "--rounds", "1", "--no-ceilings", "--prefill", "0",
                             "--decode", "0", "--pixels", "0", "--picture", picture)
        self.assertEqual(report["items"], [])
        (audit,) = report["audits"]
        self.check_series(audit["ms"], 1)
        self.assertGreater(audit["usage"]["completion_tokens"], 0)
        parts = sum(audit["timing_ms"].values())
        self.assertLessEqual(parts, audit["ms"]["median"] * 1.01)

    def test_refusals(self):
        self.assertIn("no-such", self.refuse(4, "bench", "model", "no-such"))
        self.assertIn("--pixels", self.refuse(2, "bench", "model", TINY, "--pixels", "x"))
        self.assertIn("mmx", self.refuse(2, "bench", "model", TINY, "--cpu-mask", "mmx"))
        self.assertIn("positions", self.refuse(4, "bench", "model", TINY, "--prefill", "60000"))


class KvTest(BenchTest):
    def test_report(self):
        report = self.report("kv", TINY, "--rounds", "2", "--prompt", "9", "--tokens", "2",
                             "--tokens", "5")
        self.assertEqual([p["tokens"] for p in report["points"]], [2, 5])
        for point in report["points"]:
            self.check_series(point["on_ms"], 2)
            self.check_series(point["off_ms"], 2)
            saved = 1 - point["on_ms"]["median"] / point["off_ms"]["median"]
            self.assertAlmostEqual(point["saved"], saved)
        for mode in ("on_ms", "off_ms"):  # the longer answer contains the shorter one
            first, second = (p[mode]["runs"] for p in report["points"])
            self.assertTrue(all(a < b for a, b in zip(first, second)))

    def test_refusals(self):
        self.assertIn("rise", self.refuse(2, "bench", "kv", TINY, "--tokens", "5", "--tokens", "5"))
        self.assertIn("--tokens", self.refuse(2, "bench", "kv", TINY, "--tokens", "0"))


class LossTest(BenchTest):
    GOLDEN = os.path.join(ROOT, "tests", "golden", "default")

    def scenes(self, *lines):
        return self.write("scenes.tsv", "".join("\t".join(line) + "\n" for line in lines))

    def two_scenes(self):
        return self.scenes((os.path.join(self.GOLDEN, "listing_150.png"), "audit", "审核该商品。", "?"),
                           (os.path.join(self.GOLDEN, "text_90x60.png"), "ocr", "Read\\nthis.", "?"))

    def test_a_format_loses_nothing_against_itself(self):
        report = self.report("loss", "--scenes", self.two_scenes(), "--dtype", "bf16")
        self.assertEqual([report[key] for key in ("kind", "dtype", "against")], ["loss", "bf16", "bf16"])
        self.assertEqual([report[key] for key in ("scenes", "equal", "verdicts", "labels_equal")],
                         [2, 2, 1, 1])
        self.assertGreater(report["steps"], 2)
        self.assertTrue(0 <= report["mean_kl"] <= report["worst_kl"] < 1e-6)

    def test_another_format_loses_a_little(self):
        scenes = self.two_scenes()
        report = self.report("loss", "--scenes", scenes, "--dtype", "int8", "--against", "f32")
        self.assertTrue(1e-6 < report["mean_kl"] <= report["worst_kl"] < 1)
        text = self.succeed("bench", "loss", "--scenes", scenes, "--dtype", "int8", "--limit", "1")
        self.assertRegex(text, r"verdicts equal +\d of 1 ")

    def test_refusals(self):
        self.assertIn("--scenes", self.refuse(2, "bench", "loss"))
        self.assertIn("none.tsv", self.refuse(3, "bench", "loss", "--scenes", "none.tsv"))
        self.assertIn("four fields", self.refuse(3, "bench", "loss", "--scenes", self.scenes(("a", "b"))))
        self.assertIn("no scene", self.refuse(3, "bench", "loss", "--scenes", self.scenes()))


class BenchCommandTest(BenchTest):
    def test_help_and_unknown(self):
        self.assertIn("machine", self.succeed("bench", "--help"))
        self.assertIn("machine", self.refuse(2, "bench", "machin"))
        self.assertEqual(self.run_glint("bench").returncode, 2)


if __name__ == "__main__":
    unittest.main()
