"""Chromium with the page in it. Whatever a test does, the page must keep to its own server, break
no rule of its Content-Security-Policy, and throw no error."""
import os
import unittest
import urllib.parse

import axe_playwright_python
from harness import GLINT, ROOT, Server
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
MODEL = os.path.join(ROOT, "models/default")
SAMPLE = os.path.join(MODEL, "sample-listing.png")
AXE = os.path.join(os.path.dirname(axe_playwright_python.__file__), "axe.min.js")
# A fake camera for the photograph; Chromium's own sandbox does not work for root.
ARGUMENTS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-gpu"]
PATIENCE_MS = 30000


def read(path):
    with open(path, "rb") as file:
        return file.read()


class BrowserTest(unittest.TestCase):
    browser = server = None

    @classmethod
    def setUpClass(cls):
        if BrowserTest.browser:
            return
        playwright = sync_playwright().start()
        unittest.addModuleCleanup(playwright.stop)
        BrowserTest.browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS + (["--no-sandbox"] if os.getuid() == 0 else []))
        unittest.addModuleCleanup(BrowserTest.browser.close)
        BrowserTest.server = Server("--timeout-ms", "600000", binary=GLINT, model=MODEL)
        unittest.addModuleCleanup(BrowserTest.server.stop)

    def setUp(self):
        self.troubles = []

    def tearDown(self):
        self.assertEqual(self.troubles, [])

    def open(self, server=None, width=1280, height=900, path="/", **options):
        """A new visitor; English and light unless told otherwise."""
        server = server or self.server
        origin = f"http://{server.host}:{server.port}"
        context = self.browser.new_context(
            **{"locale": "en-US", "color_scheme": "light", "reduced_motion": "reduce",
               "viewport": {"width": width, "height": height}, **options})
        self.addCleanup(context.close)
        context.grant_permissions(["clipboard-read", "clipboard-write", "camera"])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.blockedURI))")
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda message: self.troubles.append(message.text)
                if "CSP" in message.text or "Content Security Policy" in message.text else None)

        def check_request(request):
            url = urllib.parse.urlsplit(request.url)
            if url.scheme not in ("blob", "data") and f"{url.scheme}://{url.netloc}" != origin:
                self.troubles.append(f"asked for {request.url}")

        page.on("request", check_request)
        page.goto(origin + path)
        return page

    def ready(self, *args, **options):
        page = self.open(*args, **options)
        page.wait_for_selector('#state[data-is="ready"]')
        return page

    def ask(self, page, prompt=None, task=None):
        if task:
            page.check(f'input[name="task"][value="{task}"]', force=True)
        if prompt is not None:
            page.fill("#prompt", prompt)
        page.click("#ask")

    def bodies(self, page):
        """From now on the page's bodies are kept; a function that reads them. The browser does not tell."""
        page.evaluate("""() => {
            const send = window.fetch;
            window.sent = [];
            window.fetch = async (path, options) => {
                if (options?.body) sent.push(await options.body.text());
                return send(path, options);
            };
        }""")
        return lambda: page.evaluate("sent")

    def answer(self, page):
        """The text of the answer's place, once it is complete."""
        page.wait_for_selector("#answer .facts")
        return page.inner_text("#answer-body")

    def failure(self, page):
        page.wait_for_selector("#answer .failure")
        return page.inner_text("#answer .failure")

    def no_side_scroll(self, page):
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(wide, seen)

    def accessible(self, page):
        """No finding of axe-core by the rules of WCAG 2.2 A and AA and its best practices."""
        page.evaluate(read(AXE).decode())
        found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
        self.assertGreater(len(found["passes"]), 15)
        self.assertEqual([(each["id"], [node["html"] for node in each["nodes"]], each["nodes"][0]["failureSummary"])
                          for each in found["violations"]], [])
