#!/usr/bin/env python3
"""The pieces of training: tokenizer, labels, tensors, taking a run up again.

What needs torch is skipped where it is not installed (train/requirements.txt: 5 GB); the rest needs
numpy, Pillow and tokenizers alone.
"""

import json
import os
import struct
import subprocess
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
    from learn.rows import IGNORED, PADDING, conversation, make_row, shared_opening, visual_labels
    from world.scene import draw_scene
    from world.stage import MARKS, Glyph, Mark, Placed, Question, Scene
except ImportError as error:
    print(f"SKIPPED: {error}; tools/setup test installs what is needed")
    sys.exit(77)

from test_scenes import stage

try:
    import torch

    from learn import export
    from learn.feed import Drawn, Source, batches_of
    from learn.learner import Learner, grown
    from learn.model import Glm4v, what_tokens_see
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


def scene_of(questions, glyphs=(), placed=(), marks=()):
    picture = np.zeros((84, 112, 3), np.uint8)
    return Scene("lines", picture, questions, list(glyphs), list(placed), list(marks))


class Rows(unittest.TestCase):
    ASKS = [Question("ocr", "图片里写了什么？", "新品上架"), Question("color", "背景？", "白色")]

    def row(self, questions, seed=1, only=None):
        return make_row(DEFAULT, scene_of(questions), Random(seed), names(), only)

    def talks(self, row):
        """(tokens, labels) of every conversation."""
        numbers = sorted(set(row.talks.tolist()) - {0, PADDING})
        return [(row.ids[row.talks == n].tolist(), row.labels[row.talks == n].tolist())
                for n in numbers]  # fmt: skip

    def test_only_answers_are_predicted(self):
        end = DEFAULT.special["<|user|>"]
        row = self.row(self.ASKS, only=self.ASKS[0])
        wanted = [*DEFAULT.encode(self.ASKS[0].answer), end]
        places = np.flatnonzero(row.labels != IGNORED)
        self.assertEqual(row.labels[places].tolist(), wanted)
        self.assertEqual(row.ids[places + 1].tolist(), wanted)
        np.testing.assert_array_equal(row.weights > 0, row.labels != IGNORED)

    def test_answers_weigh_the_root_of_their_length(self):
        row = self.row(self.ASKS, only=self.ASKS[0])
        length = (row.labels != IGNORED).sum()
        self.assertAlmostEqual(float(row.weights.sum()), length**0.5, 5)

    def test_the_prompt_is_the_servers(self):
        """One question: what the reference's tokenizer puts together."""
        (question, _), *_ = conversation(DEFAULT, self.ASKS[:1])
        s = DEFAULT.special
        image = [s["<|begin_of_image|>"], s["<|image|>"], s["<|image|>"]]
        self.assertEqual(
            [*shared_opening(DEFAULT, 2), *question],
            [s["[gMASK]"], s["<sop>"], s["<|user|>"], *DEFAULT.newline, *image,
             s["<|end_of_image|>"], *DEFAULT.encode(self.ASKS[0].prompt), s["<|assistant|>"],
             *DEFAULT.newline],
        )  # fmt: skip

    def test_questions_stand_side_by_side_as_if_alone(self):
        for seed in range(30):
            row = self.row(self.ASKS, seed)
            talks = self.talks(row)
            if len(talks) < 2:
                continue  # a dialogue
            alone = [self.talks(self.row(self.ASKS, only=ask))[0] for ask in self.ASKS]
            self.assertCountEqual(talks, alone)
            for number in (1, 2):
                places = row.places[row.talks == number]
                self.assertEqual(places.tolist(), list(range(len(places))))

    def test_some_go_on_as_a_dialogue(self):
        shapes = {len(self.talks(self.row(self.ASKS, seed))) for seed in range(60)}
        self.assertEqual(shapes, {1, 2})

    def test_what_does_not_fit_is_left_out_whole(self):
        long = Question("ocr", "?", "违" * 500)
        row = self.row([long, self.ASKS[0]], 3)
        answer = DEFAULT.encode("新品上架")
        self.assertEqual((row.labels != IGNORED).sum(), len(answer) + 1)
        self.assertIsNone(self.row([long]))

    def test_visual_tokens_are_labelled_by_place(self):
        glyphs = [Glyph(30, 10, "品"), Glyph(40, 12, "违"), Glyph(500, 10, "规")]
        marks = [Mark(70, 70, "object"), Mark(1, 1, "lowest"), Mark(-1, 1, "highest")]
        scene = scene_of([], glyphs, [Placed(70, 70, 28, "香蕉")], marks)
        seen = visual_labels(DEFAULT, scene, names())
        self.assertEqual({i: int(c) for i, c in enumerate(seen["glyphs"]) if c != IGNORED},
                         {1: DEFAULT.encode("品")[0]})  # fmt: skip
        banana = names()["香蕉"]
        self.assertEqual([i for i, t in enumerate(seen["objects"]) if t == banana], [10])
        self.assertEqual(set(seen["objects"]), {banana, len(names())})
        self.assertEqual({i: int(m) for i, m in enumerate(seen["marks"]) if m},
                         {0: MARKS["lowest"], 10: MARKS["object"]})  # fmt: skip

    def test_rows_have_one_length_for_a_size(self):
        lengths = {}
        for i in range(40):
            row = make_row(DEFAULT, draw_scene(stage(), 4, i), Random(i), names())
            lengths.setdefault(row.picture.shape, set()).add((len(row.ids), len(row.glyphs)))
        self.assertTrue(all(len(found) == 1 for found in lengths.values()), lengths)
        self.assertTrue(all(length % 8 == 0 for found in lengths.values() for length, _ in found))


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

    def test_a_grown_model_computes_the_same(self):
        torch.manual_seed(2)
        config = settings.config(SMALL, DEFAULT)
        model = Glm4v(config)
        larger, larger_config = grown(model, config)
        self.assertEqual(larger_config["text_config"]["num_hidden_layers"], 2)
        [batch] = batches_of([Source(stage(), DEFAULT, 1, 0.0).row(0)], torch.device("cpu"))
        with torch.no_grad():
            of_one, of_other = (
                each(batch.pictures, batch.ids, batch.talks, batch.places)[0]
                for each in (model, larger)
            )
        self.assertTrue(torch.equal(of_one, of_other))

    def test_a_conversation_is_as_if_alone(self):
        """Logits beside another one and by itself."""
        torch.manual_seed(3)
        model = Glm4v(settings.config(SMALL, DEFAULT))
        scene = draw_scene(stage(), 4, 1)
        alone = make_row(DEFAULT, scene, Random(1), names(), only=scene.questions[0])
        for seed in range(20):
            beside = make_row(DEFAULT, scene, Random(seed), names())
            asked = alone.ids[alone.talks == 1]
            there = [n for n in set(beside.talks.tolist()) - {0, PADDING}
                     if beside.ids[beside.talks == n].tolist() == asked.tolist()]  # fmt: skip
            if there and there[0] > 1:
                break
        hidden = []
        with torch.no_grad():
            for row, number in ((alone, 1), (beside, there[0])):
                [batch] = batches_of([row], torch.device("cpu"))
                out, _ = model(batch.pictures, batch.ids, batch.talks, batch.places)
                hidden.append(out[batch.talks == number])
        torch.testing.assert_close(hidden[0], hidden[1][: len(hidden[0])], atol=1e-4, rtol=1e-4)

    def test_what_tokens_see(self):
        seen = what_tokens_see(torch.tensor([[0, 0, 1, 1, 2, PADDING]], dtype=torch.uint8))[0, 0]
        self.assertEqual(seen.int().tolist(), [
            [1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1],
        ])  # fmt: skip

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

    def test_the_mean_of_checkpoints(self):
        config = settings.config(SMALL, DEFAULT)
        models = [Glm4v(config), Glm4v(config)]
        with tempfile.TemporaryDirectory() as folder:
            folders = [os.path.join(folder, name) for name in ("one", "other", "mean")]
            for where, model in zip(folders, models, strict=False):
                export.write(where, model, config, DEFAULT)
            command = [sys.executable, os.path.join(ROOT, "train", "mean"), "--out", folders[2]]
            subprocess.run([*command, *folders[:2]], check=True)
            one, other, mean = (export.read(where)[0].state_dict() for where in folders)
        for name, weight in mean.items():
            wanted = ((one[name] + other[name]) / 2).bfloat16().float()
            self.assertTrue(torch.equal(weight, wanted), name)

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
        scene = Scene("listing", picture[0].numpy(), [ask], [], [], [])
        [batch] = batches_of([make_row(words, scene, Random(1), {})], torch.device("cpu"))
        with torch.no_grad():
            hidden, _ = model(batch.pictures, batch.ids, batch.talks, batch.places)
        said = model.logits(hidden[batch.labels != IGNORED]).argmax(-1)
        self.assertEqual(words.decode(said.tolist()), ask.answer)


@needs_torch
class Training(unittest.TestCase):
    def trainer(self, folder, with_teacher=False):
        torch.manual_seed(1)
        config, device = settings.config(SMALL, DEFAULT), torch.device("cpu")
        models = {"model": Glm4v(config)}
        if with_teacher:
            models |= {"teacher": Glm4v(config), "taught": Glm4v(config)}
        plan = Plan(8, warm_up=2, save_every=100, report_every=1)
        learners = {name: Learner(model, len(names()), True, device)
                    for name, model in models.items()}  # fmt: skip
        trainer = Trainer(learners, plan, folder, lambda: None)
        source = Source(stage(), DEFAULT, 1, 0.0)
        return trainer, Drawn(source, 2, device)

    def losses(self, trainer, feed, count):
        found = []
        for _ in range(count):
            losses = trainer.learn(feed.batches(trainer.step))
            found.append(float(losses["model"][0]))
        return found

    def test_a_student_follows_its_teacher(self):
        """On the same batches the opinion moves it nearer than the right answers alone do."""
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            trainer, feed = self.trainer(folder, with_teacher=True)
            batch = feed.batches(0)[0]
            plain, teacher, taught = trainer.learners.values()
            taught.model.load_state_dict(plain.model.state_dict())
            for _ in range(4):
                losses, _ = plain.losses(batch)
                losses.total(0).backward()
                plain.step(0.3)
                with torch.no_grad():
                    _, opinion = teacher.losses(batch)
                losses, _ = taught.losses(batch, opinion)
                losses.total(0).backward()
                taught.step(0.3)
            with torch.no_grad():
                _, wanted = teacher.losses(batch)
                apart = [
                    torch.nn.functional.kl_div(each.losses(batch)[1].log_softmax(-1),
                                               wanted.log_softmax(-1), log_target=True).item()
                    for each in (plain, taught)
                ]  # fmt: skip
        self.assertLess(apart[1], apart[0])

    def test_right_answers_are_counted_by_kind(self):
        with tempfile.TemporaryDirectory() as folder:
            trainer, _ = self.trainer(folder)
            unseen = Source(stage(), DEFAULT, 1, 0.0).unseen(3)
            right = trainer.evaluate(trainer.learners["model"], unseen)
        self.assertEqual(set(right), {kind for kind, _ in unseen})
        self.assertTrue(all(0 <= share <= 1 for share in right.values()))

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
        rates = [plan.rate_at(step, step / 100) for step in range(101)]
        self.assertAlmostEqual(rates[0], 0.05)
        self.assertEqual(set(rates[10:40]), {0.5})
        self.assertEqual(rates[10:], sorted(rates[10:], reverse=True))
        self.assertAlmostEqual(rates[100], 0)


if __name__ == "__main__":
    unittest.main()
