"""glint inspect: what it reports, and how it names what is wrong with a checkpoint."""
import json
import os
import unittest

from glint_cli import MODEL, CliTest, edit_header, edit_json


class Inspect(CliTest):
    def report(self, *args):
        return json.loads(self.succeed("inspect", "--json", *args))

    def test_default_model(self):
        report = self.report()
        self.assertEqual(os.path.realpath(report["directory"]), os.path.realpath(MODEL))
        self.assertEqual(report["architecture"], "Glm4vForConditionalGeneration")
        self.assertEqual((report["files"], report["tensors"]), (3, 149))
        parts = report["parameters"]
        self.assertEqual(parts.pop("total"), sum(parts.values()))
        self.assertEqual(sum(parts.values()), 18441216)
        with open(os.path.join(MODEL, "model.safetensors.index.json"), encoding="utf-8") as index:
            self.assertEqual(report["bytes"]["total"], json.load(index)["metadata"]["total_size"])
        self.assertEqual(report["bytes"]["bf16"], report["bytes"]["total"])
        self.assertEqual(report["decoder"]["mrope_section"], [4, 6, 6])
        self.assertEqual((report["vision"]["tokens_min"], report["vision"]["tokens_max"]), (8, 256))

    def test_memory_formula(self):
        one = self.report("--seqs", "1", "--tokens", "1")["memory"]
        many = self.report("--seqs", "16", "--tokens", "500")["memory"]
        # 2 (keys, values) x 6 layers x 2 KV heads x 64 dimensions x 4 bytes
        self.assertEqual(one["kv_bytes"], 2 * 6 * 2 * 64 * 4)
        self.assertEqual(many["kv_bytes"], 16 * 500 * one["kv_bytes"])
        self.assertGreaterEqual(many["total_bytes"], many["kv_bytes"] + many["weight_bytes"])
        self.assertTrue(one["enough"])
        self.assertGreater(one["available_bytes"], 1 << 20)
        huge = self.report("--seqs", "4096", "--tokens", "1048576")["memory"]
        self.assertFalse(huge["enough"])
        self.assertIn("NOT ENOUGH",
                      self.succeed("inspect", "--seqs", "4096", "--tokens", "1048576"))

    def test_text(self):
        text = self.succeed("inspect", MODEL)
        self.assertIn("18.44 M parameters, 35.2 MiB in 149 tensors and 3 files", text)
        self.assertRegex(text, r"total +18,441,216 +100\.0 %")
        self.assertIn("a picture becomes 8 to 256 tokens", text)

    def test_where_the_model_is_found(self):
        self.copy_model("models/default")
        self.assertEqual(self.report("models/default")["directory"], "models/default")
        self.assertEqual(self.report("--model", "models/default")["directory"], "models/default")
        self.assertIn("nowhere/config.json", self.refuse(4, "inspect", "nowhere"))

    def test_broken_checkpoints(self):
        last = "model-00003-of-00003.safetensors"
        name = "model.visual.downsample.bias"

        def shape(header):
            header[name]["shape"] = [192, 2]

        def offsets(header):
            header[name]["data_offsets"][1] += 1 << 40

        def rename(header):
            header["model.visual.mystery"] = header.pop(name)

        rows = [
            (lambda d: edit_json(d + "/config.json", lambda c: c["text_config"].pop("vocab_size")),
             'config.json: text_config: "vocab_size" is missing'),
            (lambda d: edit_json(d + "/config.json", lambda c: c.update(model_type="glm_ocr")),
             'architecture "Glm4vForConditionalGeneration" (model_type "glm_ocr") is not supported'),
            (lambda d: edit_header(f"{d}/{last}", shape),
             f'{last}: "{name}" has shape [192, 2], expected [384]'),
            (lambda d: edit_header(f"{d}/{last}", offsets), f'tensor "{name}": bytes '),
            (lambda d: edit_header(f"{d}/{last}", rename),
             f'places "{name}" in {last}, found it nowhere'),
            (lambda d: os.truncate(f"{d}/{last}", 1000000), f'{last}: tensor "'),
            (lambda d: os.truncate(f"{d}/{last}", 0), "too short for a safetensors file"),
            (lambda d: os.remove(f"{d}/{last}"), f"{last}: No such file or directory"),
            (lambda d: os.remove(f"{d}/model.safetensors.index.json"),
             "neither model.safetensors nor model.safetensors.index.json is there"),
            (lambda d: os.remove(f"{d}/preprocessor_config.json"),
             "preprocessor_config.json is missing"),
        ]
        for i, (spoil, message) in enumerate(rows):
            model = self.copy_model(f"m{i}")
            spoil(model)
            self.assertIn(message, self.refuse(4, "inspect", model))


if __name__ == "__main__":
    unittest.main()
