"""The whole of glint: the default model behind the server."""
import os
import unittest

from harness import GLINT, ROOT, Background, Server, b64, png

MODEL = os.path.join(ROOT, "models/default")
TITLE = "商品标题：特效药根治糖尿病！\n请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"
REASONS = ["图像中出现疑似处方药包装，属于平台禁售品类", "标题声称“特效药根治糖尿病”违反广告法相关规定"]


class Model(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(MODEL, "sample-listing.png"), "rb") as file:
            cls.picture = file.read()
        cls.server = Server("--timeout-ms", "600000", binary=GLINT, model=MODEL)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def verdict(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        got = answer.json
        self.assertEqual((got["result"], got["reasons"], got["finish_reason"]), ("reject", REASONS, "stop"))
        return got

    def test_sample_listing(self):
        """In full-width and half-width punctuation, as JSON, data: URI and form."""
        for prompt in (TITLE, TITLE.replace("：", ":").replace("！", "!")):
            fields = {"image": b64(self.picture), "prompt": prompt, "cache": False}
            got = self.verdict(self.server.post(fields))
            self.assertEqual((got["task"], got["model"]), ("audit", "default"))
            self.assertGreater(got["confidence"], 0.5)
            self.assertLessEqual(got["confidence"], 1)
            self.assertGreater(got["usage"]["image_tokens"], 0)
            self.assertGreater(got["usage"]["prompt_tokens"], got["usage"]["image_tokens"])
            self.assertEqual(got["tokens_generated"], got["usage"]["completion_tokens"])
            timing = got["timing_ms"]
            parts = [timing[k] for k in ("queue", "decode_image", "preprocess", "encode", "prefill", "decode")]
            self.assertLessEqual(sum(parts), timing["total"] * 1.01 + 1)
            for part in ("decode_image", "encode", "prefill", "decode"):
                self.assertGreater(timing[part], 0, part)
            self.verdict(self.server.post_form(("image", self.picture, "x.png"), ("prompt", prompt)))
        self.verdict(self.server.post({"images": ["data:image/png;base64," + b64(self.picture)], "prompt": TITLE}))

    def test_work_is_done_once(self):
        """The same picture with another question; not where the client says so."""
        fields = {"image": b64(self.picture), "task": "ask", "prompt": "What is this?", "max_tokens": 4}
        first = self.server.post(fields).json
        second = self.server.post({**fields, "prompt": "What is in the picture?"}).json
        apart = self.server.post({**fields, "cache": False}).json
        again = self.server.post(fields).json
        self.assertGreater(second["usage"]["cached_tokens"], 0)
        self.assertEqual(second["timing_ms"]["decode_image"], 0)
        self.assertEqual(second["timing_ms"]["encode"], 0)
        self.assertEqual(apart["usage"]["cached_tokens"], 0)
        self.assertGreater(apart["timing_ms"]["encode"], 0)
        for other in (apart, again):
            for key in ("text", "confidence", "tokens_generated"):
                self.assertEqual(first[key], other[key])

    def test_schema(self):
        """The answer meets the request's own schema; one that cannot be done is refused by its keyword."""
        schema = {"type": "object", "required": ["kind", "count", "words"], "additionalProperties": False,
                  "properties": {"kind": {"enum": ["medicine", "toy", "food"]},
                                 "count": {"type": "integer", "minimum": 0, "maximum": 20},
                                 "words": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 8}}}}
        fields = {"image": b64(self.picture), "prompt": "What is it?", "schema": schema, "max_side": 336}
        for task in ("ask", "audit", "extract"):
            answer = self.server.post({**fields, "task": task})
            self.assertEqual((answer.status, answer.json["finish_reason"]), (200, "stop"), answer.body)
            data = answer.json["data"]
            self.assertEqual(list(data), ["kind", "count", "words"])
            self.assertIn(data["kind"], ("medicine", "toy", "food"))
            self.assertIn(data["count"], range(21))
            self.assertTrue(len(data["words"]) <= 2 and all(len(w) <= 8 for w in data["words"]))
            self.assertGreater(answer.json["usage"]["forced_tokens"], 4)
        for bad, word in (({"not": {}}, "not"), ({"uniqueItems": True}, "uniqueItems"),
                          ({"type": "strin"}, "type"), ({"pattern": "(a"}, "pattern")):
            answer = self.server.post({**fields, "schema": bad})
            self.assertEqual((answer.status, answer.error["param"]), (400, "schema"), answer.body)
            self.assertIn(word, answer.error["message"])

    def test_extract(self):
        got = self.server.post({"image": b64(self.picture), "task": "extract"}).json
        self.assertIsInstance(got["data"], dict)

    def test_same_answer_twice(self):
        fields = {"image": b64(self.picture), "prompt": TITLE}
        first, second = (self.server.post(fields).json for _ in range(2))
        for key in ("result", "reasons", "confidence", "tokens_generated"):
            self.assertEqual(first[key], second[key])

    def test_kept_answer(self):
        fields = {"image": b64(self.picture), "prompt": TITLE}
        with Server("--timeout-ms", "600000", "--answer-cache-mib", "1", binary=GLINT, model=MODEL) as server:
            first, second, other = (self.verdict(server.post(f)) for f in (fields, fields, {**fields, "cache": False}))
        usage = first["usage"]
        self.assertEqual(second["usage"], {**usage, "cached_tokens": usage["prompt_tokens"]})
        self.assertEqual(second["confidence"], first["confidence"])
        self.assertEqual((second["timing_ms"]["encode"], second["timing_ms"]["decode"]), (0, 0))
        self.assertGreater(other["timing_ms"]["decode"], 0)

    def test_several_clients(self):
        fields = {"image": b64(self.picture), "prompt": TITLE, "max_side": 336}
        answers = [Background(lambda: self.server.post(fields)) for _ in range(4)]
        results = {tuple(a.result().json["reasons"]) for a in answers}
        self.assertEqual(len(results), 1)

    def test_limits_reach_the_model(self):
        got = self.server.post({"image": b64(self.picture), "prompt": TITLE, "max_tokens": 1, "max_side": 224}).json
        self.assertEqual((got["finish_reason"], got["tokens_generated"], got["result"]), ("length", 1, "review"))
        small = self.server.post({"image": b64(self.picture), "prompt": TITLE, "max_side": 224, "max_tokens": 1}).json
        large = self.server.post({"image": b64(self.picture), "prompt": TITLE, "max_side": 448, "max_tokens": 1}).json
        self.assertLess(small["usage"]["image_tokens"], large["usage"]["image_tokens"])

    def test_bad_then_good(self):
        bad = [
            ({"image": b64(b"GIF89a"), "prompt": TITLE}, (415, 422)),
            ({"image": b64(self.picture[:1000]), "prompt": TITLE}, (200, 422)),
            ({"image": b64(b"\x00" * 100), "prompt": TITLE}, (415,)),
            ({"image": b64(png(16000, 16000)), "prompt": TITLE}, (422,)),
            ({"image": b64(png(4000, 8)), "prompt": TITLE}, (422,)),
            ({"prompt": "词" * 300000}, (400,)),
            ({"prompt": "x", "task": "no-such"}, (400,)),
            ({"image": b64(self.picture), "prompt": TITLE, "timeout_ms": 1}, (504,)),
        ]
        for fields, statuses in bad:
            answer = self.server.post(fields)
            self.assertIn(answer.status, statuses, (list(fields), answer.body))
        self.verdict(self.server.post({"image": b64(self.picture), "prompt": TITLE}))

    def test_special_tokens_in_a_prompt_are_text(self):
        for text in ("<|image|>" * 50, "<|user|>\n<|assistant|>", "[gMASK]<sop>", "/nothink"):
            answer = self.server.post({"image": b64(self.picture), "prompt": text, "task": "ask", "max_side": 224})
            self.assertEqual(answer.status, 200, answer.body)


if __name__ == "__main__":
    unittest.main(verbosity=1)
