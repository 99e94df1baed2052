"""glint inspect: what it reports, and how it names what is wrong with a checkpoint."""
import json
import os
import shutil
import struct
import subprocess
import unittest

from glint_cli import GLINT, MODEL, CliTest, edit_header, edit_json


def published_config():
    """config.json of GLM-4.6V-Flash."""
    return {
        "architectures": ["Glm4vForConditionalGeneration"], "model_type": "glm4v",
        "image_start_token_id": 151339, "image_end_token_id": 151340, "image_token_id": 151363,
        "tie_word_embeddings": False,
        "text_config": {
            "model_type": "glm4v_text", "hidden_size": 4096, "num_hidden_layers": 40,
            "num_attention_heads": 32, "num_key_value_heads": 2, "intermediate_size": 13696,
            "vocab_size": 151552, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
            "attention_bias": True, "hidden_act": "silu", "eos_token_id": [151329, 151336, 151338],
            "rope_parameters": {"rope_theta": 500000, "rope_type": "default",
                                "partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]}},
        "vision_config": {
            "hidden_size": 1536, "depth": 24, "num_heads": 12, "out_hidden_size": 4096,
            "intermediate_size": 13696, "image_size": 336, "patch_size": 14, "hidden_act": "silu",
            "attention_bias": False, "rms_norm_eps": 1e-5, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "in_channels": 3}}


def published_tensors():
    """Names and shapes of GLM-4.6V-Flash, as published."""
    text, vision = "model.language_model.", "model.visual."
    yield text + "embed_tokens.weight", [151552, 4096]
    for i in range(40):
        layer = f"{text}layers.{i}."
        for norm in ("input", "post_self_attn", "post_attention", "post_mlp"):
            yield f"{layer}{norm}_layernorm.weight", [4096]
        for name, rows in (("q", 4096), ("k", 256), ("v", 256)):
            yield f"{layer}self_attn.{name}_proj.weight", [rows, 4096]
            yield f"{layer}self_attn.{name}_proj.bias", [rows]
        yield layer + "self_attn.o_proj.weight", [4096, 4096]
        yield layer + "mlp.gate_up_proj.weight", [27392, 4096]
        yield layer + "mlp.down_proj.weight", [4096, 13696]
    yield text + "norm.weight", [4096]
    yield "lm_head.weight", [151552, 4096]
    yield vision + "patch_embed.proj.weight", [1536, 3, 2, 14, 14]
    yield vision + "patch_embed.proj.bias", [1536]
    yield vision + "post_conv_layernorm.weight", [1536]
    yield vision + "embeddings.position_embedding.weight", [576, 1536]
    for i in range(24):
        block = f"{vision}blocks.{i}."
        yield block + "norm1.weight", [1536]
        yield block + "norm2.weight", [1536]
        yield block + "attn.qkv.weight", [4608, 1536]
        yield block + "attn.proj.weight", [1536, 1536]
        yield block + "mlp.gate_proj.weight", [4096, 1536]
        yield block + "mlp.up_proj.weight", [4096, 1536]
        yield block + "mlp.down_proj.weight", [1536, 4096]
    yield vision + "post_layernorm.weight", [1536]
    yield vision + "downsample.weight", [4096, 1536, 2, 2]
    yield vision + "downsample.bias", [4096]
    yield vision + "merger.proj.weight", [4096, 4096]
    yield vision + "merger.post_projection_norm.weight", [4096]
    yield vision + "merger.post_projection_norm.bias", [4096]
    yield vision + "merger.gate_proj.weight", [13696, 4096]
    yield vision + "merger.up_proj.weight", [13696, 4096]
    yield vision + "merger.down_proj.weight", [4096, 13696]


def write_hollow_shards(folder, tensors, n_shards):
    """Shards and index with real headers and no data: holes that take no room on the disk."""
    weight_map, per_shard = {}, -(-len(tensors) // n_shards)
    for shard in range(n_shards):
        name = f"model-{shard + 1:05d}-of-{n_shards:05d}.safetensors"
        header, end = {"__metadata__": {"format": "pt"}}, 0
        for tensor, shape in tensors[shard * per_shard : (shard + 1) * per_shard]:
            begin, size = end, 2
            for n in shape:
                size *= n
            end += size
            header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
            weight_map[tensor] = name
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, name), "wb") as handle:
            handle.write(struct.pack("<Q", len(text)) + text)
            handle.truncate(8 + len(text) + end)
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as index:
        json.dump({"metadata": {}, "weight_map": weight_map}, index)


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
        # 2 (keys, values) x 6 layers x 2 KV heads x 64 dimensions x 2 or 4 bytes
        self.assertEqual(one["kv_bytes"], 2 * 6 * 2 * 64 * 2)
        reference = self.report("--seqs", "1", "--tokens", "1", "--dtype", "f32")["memory"]
        self.assertEqual(reference["kv_bytes"], 2 * one["kv_bytes"])
        self.assertEqual(reference["weight_bytes"], 36882432)  # left in the files
        small = self.report("--dtype", "int8")["memory"]
        self.assertLess(small["weight_bytes"], one["weight_bytes"])
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

    def test_default_model_of_an_installation(self):
        def directory(cwd):
            done = subprocess.run([self.path("bin/glint"), "inspect", "--json"], cwd=cwd,
                                  capture_output=True, check=False)
            return json.loads(done.stdout)["directory"] if done.returncode == 0 else done.stderr
        os.mkdir(self.path("bin"))
        shutil.copy(GLINT, self.path("bin/glint"))
        self.assertIn(b"no model beside the program or in models/default", directory("/"))
        self.copy_model("here/models/default")
        self.assertEqual(directory(self.path("here")), "models/default")
        installed = self.copy_model("share/glint/models/default")
        self.assertEqual(directory(self.path("here")), os.path.realpath(installed))

    def test_published_model(self):
        """The shapes of GLM-4.6V-Flash, 20.6 GB, without its bytes."""
        tensors = list(published_tensors())
        write_hollow_shards(self.dir, tensors, 4)
        self.write("config.json", json.dumps(published_config()))
        self.write("preprocessor_config.json", json.dumps(
            {"image_processor_type": "Glm46VImageProcessor",
             "size": {"shortest_edge": 12544, "longest_edge": 9633792}}))
        report = self.report(self.dir, "--seqs", "1", "--tokens", "1024")
        parts = report["parameters"]
        self.assertEqual(parts["embedding"] + parts["decoder"] + parts["head"], 9400279040)
        self.assertEqual(parts["vision"] + parts["merger"], 892498432)
        self.assertEqual(report["bytes"]["total"], 2 * 10292777472)
        self.assertEqual((report["tensors"], report["files"]), (len(tensors), 4))
        self.assertEqual(report["vision"]["tokens_max"], 6144)
        self.assertIn("10.29 G parameters", self.succeed("inspect", self.dir))

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
