"""A model as a Hugging Face checkpoint, and back: shards, index, settings, tokenizer."""

import glob
import json
import os

import torch
from safetensors.torch import load_file, save_file

from learn import settings
from learn.model import Glm4v
from learn.vocabulary import Vocabulary

SHARD_BYTES_MAX = 15_500_000


def _write_json(folder: str, name: str, value: dict) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def _shards(tensors: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name in sorted(tensors):
        n_bytes = tensors[name].numel() * tensors[name].element_size()
        if shards[-1] and size + n_bytes > SHARD_BYTES_MAX:
            shards.append({})
            size = 0
        shards[-1][name] = tensors[name]
        size += n_bytes
    return shards


def write(folder: str, model: Glm4v, config: dict, vocabulary: Vocabulary) -> None:
    os.makedirs(folder, exist_ok=True)
    for stale in glob.glob(os.path.join(folder, "model-*.safetensors")):
        os.unlink(stale)
    tensors = {
        name: weight.detach().to("cpu", torch.bfloat16).contiguous().clone()
        for name, weight in model.state_dict().items()
    }
    shards, weight_map = _shards(tensors), {}
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, os.path.join(folder, name), {"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    _write_json(folder, "model.safetensors.index.json", index)
    _write_json(folder, "config.json", config)
    _write_json(folder, "generation_config.json", settings.generation_config(config))
    _write_json(folder, "preprocessor_config.json", settings.preprocessor_config())
    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(settings.CHAT_TEMPLATE)
    vocabulary.save(folder)


def read(folder: str) -> tuple[Glm4v, dict, Vocabulary]:
    """Of a checkpoint that `write` wrote, or one laid out like it. Every tensor must be there."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    model = Glm4v(config)
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        tensors |= load_file(path)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model, config, Vocabulary.load(folder)
