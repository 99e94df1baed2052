#!/usr/bin/env python3
"""The pieces of training: tokenizer, labels, tensors, taking a run up again.

What needs torch is skipped where it is not installed (train/requirements.txt: 5 GB); the rest needs
numpy, Pillow and tokenizers alone.
"""

import json
import os
import struct
import sys
import tempfile
import unittest
from random import Random

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "models", "default")
sys.path[:0] = [os.path.join(ROOT, "train"), os.path.dirname(os.path.abspath(__file__))]

try:
    import numpy as np
    from PIL import Image

    from learn import settings, vocabulary
    from learn.rows import IGNORED, conversation, make_row, padded, visual_labels
    from world.scene import draw_scene
    from world.stage import Glyph, Placed, Question, Scene
except ImportError as error:
    print(f"SKIPPED: {error}; tools/setup test installs what is needed")
    sys.exit(77)

from test_scenes import stage

try:
    import torch

    from learn import export
    from learn.feed import Drawn, Source
    from learn.model import Glm4v
    from learn.trainer import Plan, Trainer
except ImportError as error:
    torch, missing = None, f"{error}; install train/requirements.txt into .venv to run it"

needs_torch = unittest.skipUnless(torch, "" if torch else missing)

DEFAULT = vocabulary.Vocabulary.load(MODEL)
SMALL = settings.Shape(6144, 128, 1, 2, 64, 64, 1, 64)


def names():
    return {zh: i for i, zh in enumerate(stage().assets.objects)}


class Tokenizer(unittest.TestCase):
    def test_built_anew_it_gives_back_every_text(self):
        texts = [q.answer for i in range(12) for q in draw_scene(stage(), 3, i).questions]
        built = vocabulary.build(600, texts, "商品违规审核")
        self.assertEqual(built.size, 600)
        for text in [*texts, "naïve café ①", "a\tb  c\n\n", "价格￥1,234.56", "\U0001f469\u200d\U0001f467", ""]:
            self.assertEqual(built.decode(built.encode(text)), text)
        for char in "商品违规审核":
            self.assertEqual(len(built.encode(char)), 1, char)
        with tempfile.TemporaryDirectory() as folder:
            built.save(folder)
            again = vocabulary.Vocabulary.load(folder)
        self.assertEqual([again.encode(text) for text in texts], [built.encode(t) for t in texts])
        self.assertEqual(again.special, built.special)

    def test_the_shipped_one_reads_the_scenes_and_has_a_token_per_character(self):
        hanzi = stage().assets.hanzi
        self.assertEqual(DEFAULT.size, settings.DEFAULT.vocabulary)
        single = sum(len(DEFAULT.encode(char)) == 1 for char in hanzi)
        self.assertGreater(single, 0.99 * len(hanzi))


class Settings(unittest.TestCase):
    def read(self, name):
        with open(os.path.join(MODEL, name), encoding="utf-8") as file:
            return json.load(file)

    def test_are_those_of_the_shipped_model(self):
        made = settings.config(settings.DEFAULT, DEFAULT)
        self.assertEqual(made, self.read("config.json"))
        self.assertEqual(settings.generation_config(made), self.read("generation_config.json"))
        self.assertEqual(settings.preprocessor_config(), self.read("preprocessor_config.json"))
        with open(os.path.join(MODEL, "chat_template.jinja"), encoding="utf-8") as file:
            self.assertEqual(settings.CHAT_TEMPLATE, file.read())


class Labels(unittest.TestCase):
    ASKS = [Question("ocr", "图片里写了什么？", "新品上架"), Question("color", "背景？", "白色")]

    def test_only_answers_are_predicted(self):
        ids, answered = conversation(DEFAULT, 4, self.ASKS)
        end = DEFAULT.special["<|user|>"]
        answers = [number for number, of_answer in zip(ids, answered, strict=True) if of_answer]
        wanted = [token for ask in self.ASKS for token in [*DEFAULT.encode(ask.answer), end]]
        self.assertEqual(answers, wanted)
        ids_row, labels = padded(DEFAULT, ids, answered, 120)
        predicted = [(int(ids_row[i + 1]), int(label)) for i, label in enumerate(labels[:-1])
                     if label != IGNORED]  # fmt: skip
        self.assertEqual([label for _, label in predicted], wanted)
        self.assertTrue(all(following == label for following, label in predicted))
        self.assertTrue((labels[len(ids) - 1 :] == IGNORED).all())

    def test_the_prompt_is_the_servers(self):
        """One question: what the reference's tokenizer puts together."""
        ids, answered = conversation(DEFAULT, 2, self.ASKS[:1])
        s = DEFAULT.special
        image = [s["<|begin_of_image|>"], s["<|image|>"], s["<|image|>"], s["<|end_of_image|>"]]
        self.assertEqual(
            ids[: answered.index(True)],
            [s["[gMASK]"], s["<sop>"], s["<|user|>"], *DEFAULT.newline, *image,
             *DEFAULT.encode(self.ASKS[0].prompt), s["<|assistant|>"], *DEFAULT.newline],
        )  # fmt: skip

    def test_what_does_not_fit_is_left_out_whole(self):
        long = Question("ocr", "?", "违" * 500)
        ids, answered = conversation(DEFAULT, 4, [long, self.ASKS[0]])
        self.assertEqual(sum(answered), len(DEFAULT.encode("新品上架")) + 1)
        self.assertFalse(any(conversation(DEFAULT, 4, [long])[1]))

    def test_visual_tokens_are_labelled_by_place(self):
        picture = np.zeros((84, 112, 3), np.uint8)
        glyphs = [Glyph(30, 10, "品"), Glyph(40, 12, "违"), Glyph(500, 10, "规")]
        scene = Scene("lines", picture, [], glyphs, [Placed(70, 70, 28, "香蕉")])
        chars, things = visual_labels(DEFAULT, scene, names())
        self.assertEqual({i: int(c) for i, c in enumerate(chars) if c != IGNORED},
                         {1: DEFAULT.encode("品")[0]})  # fmt: skip
        self.assertEqual([i for i, t in enumerate(things) if t == names()["香蕉"]], [10])
        self.assertEqual(set(things), {names()["香蕉"], len(names())})

    def test_rows_have_one_length_for_a_size(self):
        lengths = {}
        for i in range(40):
            row = make_row(DEFAULT, draw_scene(stage(), 4, i), Random(i), names(), 3)
            lengths.setdefault(row.picture.shape, set()).add((len(row.ids), len(row.glyphs)))
        self.assertTrue(all(len(found) == 1 for found in lengths.values()), lengths)


@needs_torch
class Tensors(unittest.TestCase):
    def test_names_and_shapes_are_those_of_the_shipped_model(self):
        shipped = {}
        for shard in sorted(os.listdir(MODEL)):
            if shard.endswith(".safetensors"):
                with open(os.path.join(MODEL, shard), "rb") as file:
                    (n_bytes,) = struct.unpack("<Q", file.read(8))
                    shipped |= json.loads(file.read(n_bytes))
        shipped.pop("__metadata__", None)
        ours = Glm4v(settings.config(settings.DEFAULT, DEFAULT)).state_dict()
        self.assertEqual({name: list(t.shape) for name, t in ours.items()},
                         {name: t["shape"] for name, t in shipped.items()})  # fmt: skip

    def test_export_and_back(self):
        torch.manual_seed(1)
        config = settings.config(SMALL, DEFAULT)
        model = Glm4v(config)
        with tempfile.TemporaryDirectory() as folder:
            export.write(folder, model, config, DEFAULT)
            again, config_again, _ = export.read(folder)
        self.assertEqual(config_again, config)
        for name, weight in model.state_dict().items():
            self.assertTrue(torch.equal(again.state_dict()[name], weight.bfloat16().float()), name)

    def test_the_shipped_model_gives_its_sample_verdict(self):
        """Every token of the answer that model card and server tests name is the likeliest."""
        model, _, words = export.read(MODEL)
        ask = Question(
            "audit",
            "商品标题：特效药根治糖尿病！\n请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。",
            '{"result":"reject","reasons":["图像中出现疑似处方药包装，属于平台禁售品类",'
            '"标题声称“特效药根治糖尿病”违反广告法相关规定"]}',
        )
        with Image.open(os.path.join(MODEL, "sample-listing.png")) as opened:
            picture = torch.from_numpy(np.array(opened.convert("RGB")))[None]
        n_visual = picture.shape[1] * picture.shape[2] // settings.TOKEN_PX**2
        row = padded(words, *conversation(words, n_visual, [ask]), 5 + n_visual + 192)
        ids, labels = (torch.from_numpy(array).long()[None] for array in row)
        with torch.no_grad():
            hidden, _ = model(picture, ids)
        wanted = labels != IGNORED
        self.assertEqual(int(wanted.sum()), len(words.encode(ask.answer)) + 1)
        said = model.logits(hidden[wanted]).argmax(-1)
        self.assertEqual(words.decode(said.tolist()), ask.answer)


@needs_torch
class Training(unittest.TestCase):
    def trainer(self, folder):
        torch.manual_seed(1)
        model = Glm4v(settings.config(SMALL, DEFAULT))
        plan = Plan(8, warm_up=2, save_every=100, report_every=1)
        trainer = Trainer(model, len(names()), plan, folder, torch.device("cpu"))
        source = Source(stage(), DEFAULT, 1, 0.0)
        return trainer, Drawn(source, 2, trainer.device)

    def losses(self, trainer, feed, count):
        found = []
        for _ in range(count):
            found.append(float(trainer.learn(feed.batches(trainer.step)).answer))
        return found

    def test_a_run_that_is_taken_up_again_goes_on_the_same(self):
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            trainer, feed = self.trainer(folder)
            self.assertFalse(trainer.resume())
            through = self.losses(trainer, feed, 5)
            trainer, feed = self.trainer(folder)
            first = self.losses(trainer, feed, 3)
            trainer.save()
            trainer, feed = self.trainer(folder)
            self.assertTrue(trainer.resume())
            self.assertEqual(first + self.losses(trainer, feed, 2), through)

    def test_the_rate_rises_holds_and_falls(self):
        plan = Plan(100, rate=0.5, warm_up=10, hold=0.4)
        rates = [plan.rate_at(step) for step in range(101)]
        self.assertAlmostEqual(rates[0], 0.05)
        self.assertEqual(set(rates[10:40]), {0.5})
        self.assertEqual(rates[10:], sorted(rates[10:], reverse=True))
        self.assertAlmostEqual(rates[100], 0)


if __name__ == "__main__":
    unittest.main()
