"""The page at `/` as people use it: a real browser and, where timing is not the point, the real
model."""
import base64
import hashlib
import json
import os
import re
import shlex
import struct
import subprocess
import tempfile
import unittest
import zlib

from browser import MODEL, SAMPLE, BrowserTest, read
from harness import FAKE, GLINT, ROOT, Server

TITLE = "商品标题：特效药根治糖尿病！\n请判断该商品是否存在违规内容，包括但不限于违禁品展示、虚假宣传等。"
REASONS = ["图像中出现疑似处方药包装，属于平台禁售品类", "标题声称“特效药根治糖尿病”违反广告法相关规定"]
# Makes a File of base64 and gives it to the page as an event would.
TRANSFER = """([type, name, text]) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    const event = type === "paste" ? new ClipboardEvent(type, { ...options, clipboardData: data })
        : new DragEvent(type, { ...options, dataTransfer: data });
    return document.querySelector("#prompt").dispatchEvent(event);
}"""
# Notes every text the answer's place shows while it is written.
WATCH = """() => {
    window.seen = [];
    new MutationObserver(() => {
        const card = document.querySelector("#answer .is-writing");
        if (card && seen.at(-1) !== card.innerText) seen.push(card.innerText);
    }).observe(document.querySelector("#answer-body"), { childList: true, subtree: true });
}"""


def noise_png(side):
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def file(name, data):
    return {"name": name, "mimeType": "image/png", "buffer": data}


class Asking(BrowserTest):
    def transfer(self, page, kind):
        page.evaluate(TRANSFER, [kind, f"{kind}.png", base64.b64encode(read(SAMPLE)).decode()])
        page.wait_for_selector(f'#pictures figcaption[title="{kind}.png"]')

    def test_sample_in_one_click(self):
        page = self.ready()
        self.accessible(page)
        page.click("#sample")
        text = self.answer(page)
        for words in ("Reject", "This breaks the rules.", *REASONS, "Confidence", "Where the time went", "Preparing",
                      "Reading the question", "Writing the answer"):
            self.assertIn(words, text)
        self.assertEqual(page.get_attribute("#answer .card", "data-is"), "reject")
        self.assertEqual(page.get_attribute("#answer .badge use", "href"), "#i-reject")
        self.assertIn("Answer: Reject", page.text_content("#news"))
        parts = page.evaluate("[...document.querySelectorAll('.bar > i')].map((i) => i.getBoundingClientRect().width)")
        self.assertGreaterEqual(len(parts), 4)
        self.assertGreater(min(parts), 1)
        self.accessible(page)

    def test_partial_answers_are_seen(self):
        """Of the real model, whose answer takes few frames, and on a busy machine perhaps none: several tries."""
        page = self.ready()
        page.evaluate(WATCH)
        page.click("#sample")
        whole = self.answer(page)
        for _ in range(20):
            if page.evaluate("seen.length"):
                break
            self.ask(page)
            page.wait_for_selector('#ask[aria-disabled="false"]')
        for partial in page.evaluate("seen"):
            self.assertTrue(partial.startswith("Reject"))
            self.assertIn(partial.split("\n")[-1], whole)
        self.assertTrue(page.evaluate("seen"))

    def test_upload_paste_drop_and_remove(self):
        page = self.ready()
        page.set_input_files("#files", SAMPLE)
        self.transfer(page, "paste")
        self.transfer(page, "drop")
        self.assertEqual(page.locator("#pictures img").count(), 3)
        page.click('#pictures button[aria-label="Remove paste.png"]')
        page.click('#pictures button[aria-label="Remove drop.png"]')
        self.assertEqual(page.evaluate("document.activeElement.ariaLabel"), "Remove sample-listing.png")
        self.ask(page, TITLE)
        self.assertIn(REASONS[1], self.answer(page))
        self.ask(page, "图中有什么？", "ask")
        page.wait_for_selector('#answer .card[data-is="text"]')
        self.assertEqual(page.locator("#visit-list button").count(), 2)
        page.click("#visit-list li:last-child button")
        self.assertIn(REASONS[1], self.answer(page))
        page.click("#visit-clear")
        self.assertFalse(page.is_visible("#visit"))

    def test_line_ends_of_a_prompt(self):
        """The model reads what was written, not what forms make of line ends."""
        page = self.ready()
        bodies = self.bodies(page)
        self.ask(page, "一\n二", "ask")
        self.answer(page)
        self.assertIn('name="prompt"\r\n\r\n一\n二\r\n--', bodies()[0])

    def test_extract_to_a_schema(self):
        page = self.ready()
        page.set_input_files("#files", SAMPLE)
        page.check('input[value="extract"]', force=True)
        page.fill("#schema", '{"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}')
        page.click("#ask")
        self.answer(page)
        self.assertRegex(page.inner_text("#answer .said"), r'^\{\s*"price": -?[0-9.e+-]+\s*\}$')

    def test_photograph(self):
        page = self.ready()
        page.click("#photograph")
        page.wait_for_selector("#camera-take:enabled")
        page.click("#camera-take")
        page.wait_for_selector('#pictures figcaption[title="photo.jpg"]')
        self.assertFalse(page.is_visible("#camera"))
        self.assertIsNone(page.evaluate("document.querySelector('#camera-video').srcObject"))
        self.ask(page, "图中有什么？", "ask")
        self.answer(page)

    def test_what_is_no_picture(self):
        page = self.ready()
        page.set_input_files("#files", [file("notes.png", b"just words"), file("broken.png", read(SAMPLE)[:300])])
        page.wait_for_selector("#pictures li")
        self.assertIn("notes.png is not a JPEG", page.inner_text("#pictures-problem"))
        self.ask(page)
        text = self.failure(page)
        self.assertIn("damaged or incomplete", text)
        self.assertRegex(text, r"broken_image · Request [0-9a-f]{16,}")
        self.accessible(page)

    def test_nothing_to_ask(self):
        page = self.ready()
        self.ask(page, "", "ask")
        self.assertIn("Add a picture or write a question first.", self.failure(page))

    def test_as_a_command(self):
        page = self.ready()
        page.click("#sample")
        result = json.loads(self.command(page, MODEL))
        self.assertEqual((result["result"], result["reasons"]), ("reject", REASONS))
        nasty, prompt = "it's \"a\", b;c\\.png", "it's @x <y; $HOME `ls` \\ \"q\"\n--二 &"
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, nasty), "wb") as out:
                out.write(read(SAMPLE))
            page.click("#pictures button")
            page.set_input_files("#files", os.path.join(folder, nasty))
            page.wait_for_selector("#pictures li")
            self.ask(page, prompt, "ask")
            page.wait_for_selector('#answer .card[data-is="text"]')
            self.assertEqual(json.loads(self.command(page, folder))["finish_reason"], "stop")
        words = shlex.split(page.inner_text("#answer pre >> nth=0").replace("\\\n", ""))
        self.assertIn(f"prompt={prompt}", words)

    def command(self, page, folder):
        self.answer(page)
        page.click("#answer summary >> nth=0")
        page.click("#answer details >> nth=0 >> text=Copy")
        page.wait_for_selector("#answer details >> nth=0 >> text=Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        self.assertEqual(copied, page.text_content("#answer pre >> nth=0"))
        done = subprocess.run(["sh", "-c", copied], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    def test_keyboard_alone(self):
        page = self.ready()
        page.on("filechooser", lambda chooser: chooser.set_files(SAMPLE))
        stops = []
        for _ in range(40):
            page.keyboard.press("Tab")
            stop, has_outline = page.evaluate("""() => {
                const at = document.activeElement, style = getComputedStyle(at.closest(".pill") ?? at);
                return [at.id || at.name || at.tagName, style.outlineStyle !== "none"];
            }""")
            if stop == "BODY" or (stops and stop == stops[0]):
                break
            self.assertTrue(has_outline, stop)
            stops.append(stop)
        self.assertEqual(stops, ["A", "language", "theme", "choose", "photograph", "task", "prompt", "ask", "as-is",
                                 "sample"])
        page.focus("#choose")
        page.keyboard.press("Enter")
        page.wait_for_selector("#pictures li")
        page.focus('input[name="task"]:checked')
        page.keyboard.press("ArrowRight")
        self.assertEqual(page.evaluate("document.activeElement.value"), "ask")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(TITLE)
        page.keyboard.press("Control+Enter")
        self.assertIn(REASONS[0], self.answer(page))
        self.assertEqual(page.evaluate("document.activeElement.id"), "prompt")


class Looks(BrowserTest):
    def test_phone(self):
        for width in (320, 375):
            with self.subTest(width):
                page = self.ready(width=width, height=700, has_touch=True, is_mobile=True, locale="zh-CN",
                                  color_scheme="dark")
                self.no_side_scroll(page)
                page.click("#sample")
                self.assertIn("不通过", self.answer(page))
                self.no_side_scroll(page)
                page.wait_for_function("document.querySelector('#answer').getBoundingClientRect().top < 100")
                page.click("#answer summary >> nth=0")
                page.set_input_files("#files", [SAMPLE, SAMPLE])
                page.wait_for_selector("#pictures li:nth-child(3)")
                self.no_side_scroll(page)
                small = page.evaluate("""[...document.querySelectorAll("button, .pill")].filter((node) =>
                    node.getClientRects().length && node.getBoundingClientRect().height < 36).map((node) => node.outerHTML)""")
                self.assertEqual(small, [])

    def test_themes(self):
        ground = "getComputedStyle(document.body).backgroundColor"
        light, dark = self.ready(), self.ready(color_scheme="dark")
        bright, dim = light.evaluate(ground), dark.evaluate(ground)
        self.assertNotEqual(bright, dim)
        dark.click("#sample")
        self.answer(dark)
        self.accessible(dark)
        light.click("#theme")
        self.assertEqual(light.evaluate(ground), dim)
        light.reload()
        self.assertEqual(light.evaluate(ground), dim)
        self.assertEqual(light.get_attribute("#theme", "aria-pressed"), "true")
        dark.click("#theme")
        self.assertEqual(dark.evaluate(ground), bright)

    def test_languages(self):
        page = self.ready(locale="zh-CN")
        self.assertEqual(page.get_attribute("html", "lang"), "zh-CN")
        self.assertEqual(page.inner_text("#ask"), "提问")
        page.click("#sample")
        self.assertIn("不通过", self.answer(page))
        page.click("#language")
        self.assertEqual(page.get_attribute("html", "lang"), "en")
        self.assertIn("Reject", page.inner_text("#answer-body"))
        self.assertNotRegex(page.inner_text("#compose label, #tasks"), r"[\u4e00-\u9fff]")
        page.reload()
        self.assertEqual(page.inner_text("#ask"), "Ask")
        self.accessible(page)

    def test_tasks_in_chinese(self):
        page = self.ready(locale="zh-CN")
        for name in page.eval_on_selector_all('input[name="task"]', "all => all.map((one) => one.value)"):
            page.check(f'input[value="{name}"]', force=True)
            self.assertRegex(page.inner_text("#task-hint"), r"[\u4e00-\u9fff]", name)

    def test_one_table_of_words(self):
        """The same keys and slots in each language, words for every error, no key that is not there."""
        page = self.open()
        words = page.evaluate("import('/page/words.js').then((module) => module.WORDS)")
        self.assertEqual(list(words["en"]), list(words["zh"]))
        for key, text in words["en"].items():
            self.assertEqual(sorted(re.findall(r"\{\w+\}", text)), sorted(re.findall(r"\{\w+\}", words["zh"][key])), key)
        table = read(os.path.join(ROOT, "src/server/api_error.c")).decode()
        codes = re.findall(r'\{\d{3},\s*(?:INVALID|"\w+"),\s*"(\w+)"', table)
        self.assertGreater(len(codes), 35)
        self.assertEqual([code for code in codes if f"error_{code}" not in words["en"]], [])
        source = "".join(read(os.path.join(ROOT, "web", name)).decode() for name in os.listdir(os.path.join(ROOT, "web"))
                         if name != "words.js")
        used = re.findall(r'\bsay\("(\w+)"', source) + re.findall(r'data-word(?:-[a-z-]+)?="(\w+)"', source)
        self.assertEqual([key for key in used if key not in words["en"]], [])


class Moments(BrowserTest):
    """With an engine that does what the prompt says, when it says so."""

    def test_stream_and_stop(self):
        with Server(binary=FAKE) as server:
            page = self.ready(server)
            page.evaluate(WATCH)
            self.ask(page, "say=word ;times=10;piece=5;every_ms=30", "ask")
            self.answer(page)
            seen = page.evaluate("seen")
            self.assertGreaterEqual(len(seen), 3)
            self.assertEqual(sorted(map(len, seen)), list(map(len, seen)))
            self.ask(page, "say=word ;times=2000;piece=5;every_ms=30")
            page.wait_for_selector("#answer .is-writing .said")
            self.assertEqual(page.get_attribute("#ask", "aria-disabled"), "true")
            self.accessible(page)
            page.click("#stop")
            self.assertIn("You stopped this answer", self.failure(page))
            self.assertIn("word word", page.inner_text("#answer .said"))
            self.assertEqual(page.evaluate("document.activeElement.id"), "ask")
            self.ask(page, "say=after")
            self.assertIn("after", self.answer(page))

    def test_verdicts(self):
        with Server(binary=FAKE) as server:
            page = self.ready(server)
            self.ask(page, "finish=invalid;say=no idea")
            self.assertIn("Review", self.answer(page))
            self.assertIn("no clear verdict", page.inner_text("#answer .card"))
            self.assertEqual(page.get_attribute("#answer .card", "data-is"), "review")
            self.accessible(page)

    def test_errors(self):
        with Server(binary=FAKE) as server:
            page = self.ready(server)
            self.ask(page, "run=internal")
            self.assertRegex(self.failure(page), r"The server failed\.[^·]*internal · Request \w+")
            page.route("**/v1/multimodal/inference", lambda route: route.fulfill(
                status=429, headers={"Retry-After": "7", "X-Request-Id": "abc", "Content-Type": "application/json"},
                body=json.dumps({"error": {"type": "rate_limit_error", "code": "rate_limited", "message": "m",
                                           "param": None, "request_id": "abc"}})))
            self.ask(page)
            page.wait_for_selector("text=as often as you may")
            self.assertIn("Try again in 7 s at the earliest.", self.failure(page))
            page.unroute("**/v1/multimodal/inference")
            page.route("**/v1/multimodal/inference", lambda route: route.fulfill(
                status=200, content_type="text/event-stream", body='data: {"delta":"half"}\n\n'))
            page.click("#answer .failure button")
            page.wait_for_selector("text=broke off before its end")
            page.unroute("**/v1/multimodal/inference")
            page.fill("#prompt", "say=fine")
            page.click("#answer .failure button")
            self.assertIn("fine", self.answer(page))

    def test_server_goes_and_comes(self):
        with Server(binary=FAKE) as server:
            page = self.ready(server)
            port = server.port
            server.stop()
            self.ask(page, "say=x")
            self.assertIn("cannot be reached", self.failure(page))
            self.assertEqual(page.get_attribute("#state", "data-is"), "away")
        with Server(binary=FAKE, listen=f"127.0.0.1:{port}"):
            page.wait_for_selector('#state[data-is="ready"]')
            page.click("#answer .failure button")
            self.answer(page)

    def test_loading(self):
        with Server(binary=FAKE, model="load_ms=1500", wait=False) as server:
            page = self.open(server)
            page.wait_for_selector("text=Loading the model")
            page.wait_for_selector('#state[data-is="ready"]')

    def test_too_large(self):
        with Server("--body-max-mib", "1", "--max-side", "256", binary=FAKE) as server:
            page = self.ready(server)
            asked = []
            page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
            page.set_input_files("#files", file("large.png", noise_png(800)))
            page.wait_for_selector("text=the server takes 1 MB")
            page.click("#ask", force=True)
            self.assertEqual(asked, [])
            page.uncheck("#as-is")
            page.wait_for_selector('#ask[aria-disabled="false"]')
            self.assertRegex(page.inner_text("#pictures"), r"1\.\d MB → \d+ KB")
            self.ask(page, "say=ok")
            self.assertIn("ok", self.answer(page))
            page.set_input_files("#files", [SAMPLE] * 9)
            page.wait_for_selector("text=at most 8 pictures")
            self.assertEqual(page.locator("#pictures li").count(), 8)

    def test_schema(self):
        with Server(binary=FAKE) as server:
            page = self.ready(server)
            page.check('input[value="extract"]', force=True)
            page.fill("#schema", "{nonsense")
            self.ask(page, "say=x")
            page.wait_for_selector("text=This is not a JSON object")
            self.assertEqual(page.evaluate("document.activeElement.id"), "schema")
            page.fill("#schema", '{"type": "object"}')
            bodies = self.bodies(page)
            page.click("#ask")
            page.wait_for_selector("#answer .facts, #answer .failure")
            self.assertIn('name="schema"\r\n\r\n{"type": "object"}\r\n', bodies()[0])


class Tokens(BrowserTest):
    def test_token(self):
        key = "gk_" + base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()
        with tempfile.NamedTemporaryFile("w", suffix=".json") as keys:
            json.dump({"keys": [{"id": "a", "sha256": hashlib.sha256(key.encode()).hexdigest(), "tenant": "shop",
                                 "scopes": ["infer"]}]}, keys)
            keys.flush()
            with Server("--api-keys", keys.name, "--timeout-ms", "600000", binary=GLINT, model=MODEL) as server:
                self.visit(server, key)

    def visit(self, server, key):
        page = self.open(server)
        page.wait_for_selector("#token-text:focus")
        self.accessible(page)
        for wrong, words in (("", "Enter a token"), ("钥匙", "English keyboards"), ("gk_wrong", "does not accept")):
            page.fill("#token-text", wrong)
            page.keyboard.press("Enter")
            page.wait_for_selector(f"#token-problem:has-text('{words}')")
        page.set_input_files("#files", SAMPLE)
        page.click("#ask")
        page.fill("#token-text", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#answer .facts")  # what was asked before goes on
        self.assertFalse(page.is_visible("#token"))
        self.ask(page, TITLE)
        self.assertIn(REASONS[0], self.answer(page))
        self.assertIn('-H "Authorization: Bearer $GLINT_TOKEN"', page.text_content("#answer pre >> nth=0"))
        self.assertNotIn(key, page.content())
        self.assertNotIn(key, page.evaluate("JSON.stringify({...localStorage}) + document.cookie"))
        self.assertIn(key, page.evaluate("JSON.stringify({...sessionStorage})"))
        page.click("#token-forget")
        page.wait_for_selector("#token-text:focus")
        self.assertEqual(page.evaluate("sessionStorage.length"), 0)


class Pieces(BrowserTest):
    """The page's pure functions, in the browser that runs them."""

    def test_partial_json(self):
        page = self.open()
        whole = '{"result": "rej\\"ect", "reasons": ["a\\u4e2db\\\\", "c, {d"], "n": [1.5, true, {"x": null}]}'
        got = page.evaluate("""async (whole) => {
            const { readPartial } = await import("/page/partial.js");
            return Array.from({ length: whole.length + 1 }, (_, n) => readPartial(whole.slice(0, n)) ?? null);
        }""", whole)
        self.assertEqual(got[-1], json.loads(whole))
        read_so_far = [value for value in got if value is not None]
        self.assertGreater(len(read_so_far), len(whole) * 0.5)
        for value in read_so_far:
            self.assertTrue(json.loads(whole)["result"].startswith(value.get("result", "")))
            for i, reason in enumerate(value.get("reasons", [])):
                self.assertTrue(json.loads(whole)["reasons"][i].startswith(reason), reason)

    def test_events_in_any_pieces(self):
        page = self.open()
        text = "\ufeff: hi\r\n\r\ndata: a\r\ndata: 中\r\n\r\nevent: error\ndata:b\n\ndata\r\rid: 1\n\ndata: lost"
        got = page.evaluate("""async (text) => {
            const { readEvents } = await import("/page/api.js");
            const bytes = new TextEncoder().encode(text), results = [];
            for (const size of [1, 2, 3, 7, bytes.length]) {
                const events = [];
                const stream = new ReadableStream({ start(to) {
                    for (let i = 0; i < bytes.length; i += size) to.enqueue(bytes.slice(i, i + size));
                    to.close();
                } });
                for await (const event of readEvents(stream)) events.push([event.name, event.data]);
                results.push(events);
            }
            return results;
        }""", text)
        for events in got:
            self.assertEqual(events, [["", "a\n中"], ["error", "b"], ["", ""]])


if __name__ == "__main__":
    unittest.main(verbosity=1)
