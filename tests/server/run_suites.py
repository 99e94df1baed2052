"""Outside test suites, thrown at a running server: no crash, no hang, no 5xx, no second answer to
one request, and the verdict the suite expects. Where glint judges otherwise, suites_known.json says
so case by case; a new disagreement fails, and so does one on the list that is gone.

    run_suites.py [SUITE...]        default: all
"""
import collections
import json
import os
import re
import signal
import sys

from harness import ROUTE, Server

SUITES = os.environ["GLINT_SUITES"]
KNOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "suites_known.json")
# What says "this is not HTTP I take", as opposed to "there is nothing here".
REFUSALS = {400, 408, 411, 413, 414, 417, 431, 501, 505}
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)


def files(folder):
    for where, _, names in sorted(os.walk(os.path.join(SUITES, folder))):
        for name in sorted(names):
            path = os.path.join(where, name)
            yield os.path.relpath(path, os.path.join(SUITES, folder)), path


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Run:
    """One suite against one server: what was wrong (faults) and where verdicts differ."""

    def __init__(self, suite, server):
        self.suite, self.server = suite, server
        self.n, self.faults, self.differ = 0, [], {}
        self.on_purpose = collections.Counter()  # refusals that are a rule of glint, by rule

    def fault(self, case, what):
        self.faults.append(f"{self.suite}/{case}: {what}")

    def raw(self, case, data):
        """Send bytes; the statuses of the answers, or None when the case already failed."""
        self.n += 1
        try:
            out = self.server.raw(data)
        except OSError as error:
            self.fault(case, f"no end: {error}")
            return None
        return self.check(case, [int(status) for status in STATUS.findall(out)])

    def post(self, case, body, content_type):
        """POST a body; its Answer, or None when the case already failed."""
        self.n += 1
        try:
            answer = self.server.request("POST", ROUTE, body, {"Content-Type": content_type})
        except Exception as error:  # whatever it is, it is a fault of the server here
            self.fault(case, f"no answer: {error!r}")
            return None
        return answer if self.check(case, [answer.status]) else None

    def check(self, case, statuses):
        if self.server.process.poll() is not None:
            raise SystemExit(f"{self.suite}/{case}: the server died: {self.server.lines[-20:]}")
        if [s for s in statuses if s >= 500 and s != 505]:
            self.fault(case, f"status {statuses}")
            return None
        return statuses

    def expect(self, case, accepted, want_accepted, detail):
        if accepted != want_accepted:
            word = "accepted" if accepted else "refused"
            self.differ[case] = f"{word}, {detail}"


def run_http(run, case, data, verdict, n_complete):
    """verdict: True (a valid request), False, or None (no expectation beyond safety)."""
    statuses = run.raw(case, data)
    if statuses is None:
        return
    served = [s for s in statuses if s not in REFUSALS and s != 100]
    refused = [s for s in statuses if s in REFUSALS]
    if len(refused) > 1:
        run.differ[case] = f"refused more than once, answers {statuses}"
    elif verdict is False and len(served) > n_complete:
        run.expect(case, True, False, f"answers {statuses}")
    elif verdict is True:
        run.expect(case, bool(served) and not refused, True, f"answers {statuses}")


def some_server_takes(anchors, case):
    """Whether nginx or Node answered the case; some are cut short, or HTTP/1.1 without Host."""
    return any(status.isdigit() and int(status) not in REFUSALS
               for statuses in anchors.get(case, {}).values() for status in statuses[:1])


def http_llhttp(run):
    expected = json.loads(read(os.path.join(SUITES, "http-llhttp/expected.json")))
    anchors = json.loads(read(os.path.join(SUITES, "http-llhttp/ANCHORS.json")))
    for case, want in sorted(expected.items()):
        if not case.startswith("request/"):
            continue
        verdict, n_complete = {"ok": True, "error": False}.get(want["expect"]), want["messages_complete"]
        if want["mode"] != "request":
            # Right only for a parser told to be lenient; Node, which is not, says what is strict.
            is_refused = anchors.get(case, {}).get("node20", [])[:1] == ["400"]
            verdict, n_complete = (False, 0) if is_refused else (None, 0)
        elif verdict and not some_server_takes(anchors, case):
            verdict = None
        run_http(run, case, read(os.path.join(SUITES, "http-llhttp", case)), verdict, n_complete)


def http_gunicorn(run):
    expected = json.loads(read(os.path.join(SUITES, "http-gunicorn/expected.json")))
    anchors = json.loads(read(os.path.join(SUITES, "http-gunicorn/ANCHORS.json")))
    for case, want in sorted(expected.items()):
        # Some verdicts hold under settings of that server only.
        verdict = None if want.get("needs_gunicorn_config") else want["expect"] == "accept"
        if verdict and not some_server_takes(anchors, case):
            verdict = None
        run_http(run, case, read(os.path.join(SUITES, "http-gunicorn", case)), verdict, 0)


def http_gofuzz_req(run):
    for case, path in files("http-gofuzz-req"):
        run_http(run, case, read(path), None, 0)


def stricter(data):
    """The rule by which glint refuses text that RFC 8259 lets pass, or None. Each is a place where
    two programs read different values from the same text."""
    found = []

    def pairs(items):
        keys = [key for key, _ in items]
        if len(set(keys)) != len(keys):
            found.append("a key given twice")
        if any("\0" in key for key in keys):
            found.append("a zero byte in a key")
        walk(keys)
        return dict(items)

    def walk(value):
        if isinstance(value, str):
            if any(0xD800 <= ord(c) < 0xE000 for c in value):
                found.append("half a surrogate pair")
        elif isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                walk(item)
        elif isinstance(value, int) and not -2**63 <= value < 2**63:
            found.append("an integer beyond 64 bits")
        elif isinstance(value, float) and abs(value) == float("inf"):
            found.append("a number beyond a double")

    try:
        walk(json.loads(data.decode(), object_pairs_hook=pairs))
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None


def run_json(run, suite, verdict_of):
    oracle = {}
    for line in read(os.path.join(SUITES, suite, "ORACLE-json.tsv")).decode().splitlines():
        if not line.startswith("#"):
            path, verdict = line.rsplit("\t", 1)
            oracle[path] = verdict == "accept"
    for case, path in files(suite):
        if case.endswith(".tsv"):
            continue
        data = read(path)
        answer = run.post(case, data, "application/json")
        verdict = verdict_of(case, oracle.get(case))
        if verdict and stricter(data):
            run.on_purpose[stricter(data)] += 1
            verdict = False
        if answer is None or verdict is None:
            continue
        is_json = answer.status == 200 or answer.error["code"] != "invalid_json"
        run.expect(case, is_json, verdict, "as JSON")
        if not verdict and answer.status != 400 and is_json:
            run.fault(case, f"status {answer.status}")


def json_nst(run):
    def verdict(case, oracle):
        first = os.path.basename(case)[0]
        return {"y": True, "n": False}.get(first) if "test_parsing" in case else oracle

    run_json(run, "json-nst", verdict)


def json_jsonchecker(run):
    run_json(run, "json-jsonchecker", lambda case, oracle: oracle)


def json_gofuzz(run):
    run_json(run, "json-gofuzz", lambda case, oracle: oracle)


def multipart_python(run):
    for case, path in files("multipart-python"):
        if not case.endswith(".http"):
            continue
        text = read(path[:-5] + ".yaml").decode()
        boundary = re.search(r"^boundary: (.*)$", text, re.MULTILINE).group(1)
        answer = run.post(case, read(path), f"multipart/form-data; boundary={boundary}")
        if answer is not None:
            # Their parts are no fields of ours: "unknown_field" is a form that was understood.
            run.expect(case, answer.status == 200 or answer.error["code"] != "invalid_multipart",
                       "error:" not in text, "as a form")


def multipart_gofuzz(run):
    for case, path in files("multipart-gofuzz"):
        data = read(path)
        boundary = data.split(b"\n")[0].strip()[2:].decode("latin-1")
        if not re.fullmatch(r"[0-9A-Za-z'()+_,./:=? -]{1,70}", boundary):
            boundary = "x"
        run.post(case, data, f'multipart/form-data; boundary="{boundary}"')


ALL = {
    "http-llhttp": http_llhttp, "http-gunicorn": http_gunicorn, "http-gofuzz-req": http_gofuzz_req,
    "json-nst": json_nst, "json-jsonchecker": json_jsonchecker, "json-gofuzz": json_gofuzz,
    "multipart-python": multipart_python, "multipart-gofuzz": multipart_gofuzz,
}


def main():
    if not os.path.isdir(SUITES):
        print(f"SKIPPED: no outside suites at {SUITES}")
        return 77
    with open(KNOWN, encoding="utf-8") as file:
        known = json.load(file)
    n_passed = n_failed = 0
    # Many cases are requests that never end; what they wait for is the server's patience.
    server = Server("--header-timeout-ms", "500", "--body-timeout-ms", "1000", "--idle-timeout-ms", "500")
    for suite in [name for name in sys.argv[1:] if name in ALL] or ALL:
        run = Run(suite, server)
        ALL[suite](run)
        reasons = known.get(suite, {})
        new = {case: what for case, what in run.differ.items() if case not in reasons}
        # "sometimes": which comes first, the end of the client or the answer, is not for us to say.
        gone = [case for case, why in reasons.items() if case not in run.differ and not why.startswith("sometimes")]
        if server.post({"prompt": "x"}).status != 200:
            run.fault("-", "does not serve after the suite")
        for line in run.faults:
            print(f"FAULT {line}")
        for case, what in new.items():
            print(f"DIFFERS {suite}/{case}: {what}")
        for case in gone:
            print(f"GONE {suite}/{case}: agrees now; take it off suites_known.json")
        bad = len({line.split(":")[0] for line in run.faults}) + len(new) + len(gone)
        print(f"{suite}: {run.n} cases, {len(run.differ)} disagreements ({len(run.differ) - len(new)} known), "
              f"{len(run.faults)} faults")
        for rule, n in run.on_purpose.most_common():
            print(f"    stricter on purpose: {n} with {rule}")
        n_passed += run.n - bad
        n_failed += bad
    code = server.stop(signal.SIGTERM)
    print(f"{n_passed} passed, {n_failed} failed")
    return 1 if n_failed or code else 0


if __name__ == "__main__":
    sys.exit(main())
