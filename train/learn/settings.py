"""Sizes of a model as the config.json of a published checkpoint, and what stands beside it."""

from dataclasses import dataclass

from learn.vocabulary import Vocabulary

PATCH_PX, MERGE = 14, 2
TOKEN_PX = PATCH_PX * MERGE
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
PIXELS_MAX = 448 * 448

CHAT_TEMPLATE = (
    "[gMASK]<sop>{% for m in messages %}{% if m.role == 'system' %}<|system|>\n{{ m.content }}"
    "{% elif m.role == 'user' %}<|user|>\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' or 'image' in c or 'image_url' in c %}"
    "<|begin_of_image|><|image|><|end_of_image|>{% elif c.type == 'text' %}{{ c.text }}{% endif %}"
    "{% endfor %}{% endif %}{% elif m.role == 'assistant' %}<|assistant|>\n{{ m.content }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """What differs between the models of this recipe. Heads have 64 entries."""

    vocabulary: int
    text_hidden: int
    text_layers: int
    text_heads: int
    text_mlp: int
    vision_hidden: int
    vision_layers: int
    vision_mlp: int  # of the merger; that of the blocks is as wide as the text

    @property
    def vision_heads(self) -> int:
        return self.vision_hidden // 64


DEFAULT = Shape(6144, 384, 6, 6, 1024, 256, 8, 1024)  # models/default: 18.4 M parameters
TINY = Shape(4608, 128, 2, 2, 256, 64, 2, 256)  # shows that everything fits together


def config(shape: Shape, vocabulary: Vocabulary) -> dict:
    special = vocabulary.special
    ends = [special[name] for name in ("<|endoftext|>", "<|user|>", "<|observation|>")]
    common = {"eos_token_id": ends, "pad_token_id": special["<|endoftext|>"]}
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "dtype": "bfloat16",
        "image_start_token_id": special["<|begin_of_image|>"],
        "image_end_token_id": special["<|end_of_image|>"],
        "video_start_token_id": special["<|begin_of_video|>"],
        "video_end_token_id": special["<|end_of_video|>"],
        "image_token_id": special["<|image|>"],
        "video_token_id": special["<|video|>"],
        "tie_word_embeddings": True,
        **common,
        "text_config": {
            "model_type": "glm4v_text",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "hidden_size": shape.text_hidden,
            "initializer_range": 0.02,
            "intermediate_size": shape.text_mlp,
            "max_position_embeddings": 8192,
            "num_attention_heads": shape.text_heads,
            "num_hidden_layers": shape.text_layers,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-05,
            "dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": shape.vocabulary,
            "partial_rotary_factor": 0.5,
            "rope_theta": 10000.0,
            "rope_scaling": {"rope_type": "default", "mrope_section": [4, 6, 6]},
            "tie_word_embeddings": True,
            **common,
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "hidden_size": shape.vision_hidden,
            "depth": shape.vision_layers,
            "num_heads": shape.vision_heads,
            "attention_bias": False,
            "intermediate_size": shape.vision_mlp,
            "hidden_act": "silu",
            "hidden_dropout_prob": 0.0,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
            "image_size": 336,
            "patch_size": PATCH_PX,
            "out_hidden_size": shape.text_hidden,
            "rms_norm_eps": 1e-05,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "in_channels": 3,
        },
    }


def generation_config(model_config: dict) -> dict:
    return {
        "eos_token_id": model_config["eos_token_id"],
        "pad_token_id": model_config["pad_token_id"],
        "do_sample": False,
    }


def preprocessor_config() -> dict:
    """The bounds are of two frames: a picture has half of them."""
    return {
        "size": {"shortest_edge": 12544, "longest_edge": 2 * PIXELS_MAX},
        "do_rescale": True,
        "patch_size": PATCH_PX,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "image_processor_type": "Glm46VImageProcessor",
        "processor_class": "Glm46VProcessor",
    }
