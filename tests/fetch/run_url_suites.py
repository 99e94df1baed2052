"""Outside suites of URLs against src/fetch's parser and table of addresses. What it accepts must
mean what the URL Standard says; what the Standard refuses must be refused; what it refuses beyond
that is counted. No packet is sent."""
import ipaddress
import json
import os
import sys

from probe import Probe, as_hex

SUITES = os.environ["GLINT_SUITES"]


def load(name):
    with open(os.path.join(SUITES, name), encoding="utf-8") as file:
        return json.load(file)


def same_host(ours, theirs):
    if ours.startswith("["):
        return theirs.startswith("[") and (ipaddress.ip_address(ours[1:-1]) == ipaddress.ip_address(theirs[1:-1]))
    return ours == theirs


def wpt(probe, name):
    """Each case of urltestdata.json: (number, accepted, stricter, faults)."""
    n = n_accepted = n_stricter = 0
    faults = []
    for case in load(name):
        if not isinstance(case, dict) or "input" not in case:
            continue
        n += 1
        base, text = case.get("base"), case["input"]
        if base and base.startswith("http"):
            answer = probe.ask("resolve", as_hex(base), as_hex(text))
        else:
            answer = probe.ask("parse", as_hex(text))
        is_good = not case.get("failure") and case.get("protocol") in ("http:", "https:")
        if answer[0] == "refused":
            n_stricter += is_good
            continue
        n_accepted += 1
        scheme, host, port, path, query = answer
        default = {"http": "80", "https": "443"}[scheme]
        if not is_good or (f"{scheme}:", port, path, query.removeprefix("?")) != (
                case["protocol"], case["port"] or default, case["pathname"], case["search"][1:]) \
                or not same_host(host, case["hostname"]):
            faults.append(f"{name}: {text!r} on {base!r}: {answer}, expected {case.get('href', 'failure')}")
    return n, n_accepted, n_stricter, faults


def toascii(probe):
    """Hosts: what is accepted must be the Standard's ASCII form already."""
    n = n_accepted = n_stricter = 0
    faults = []
    for case in load("url-wpt/toascii.json"):
        if not isinstance(case, dict):
            continue
        n += 1
        answer = probe.ask("parse", as_hex(f"https://{case['input']}/x"))
        if answer[0] == "refused":
            n_stricter += case["output"] is not None
            continue
        n_accepted += 1
        if answer[1] != case["output"]:
            faults.append(f"toascii: {case['input']!r}: {answer[1]}, expected {case['output']}")
    return n, n_accepted, n_stricter, faults


def data_urls(probe):
    """data: URIs through what reads the `image` field. It takes data:image/...;base64, and nothing
    else; what it takes must be the bytes the Standard says."""
    n = n_accepted = n_stricter = 0
    faults = []
    rows = [(text, bytes(rest[-1]) if rest[0] is not None else None)
            for text, *rest in load("url-dataurl/data-url__tests__data-urls.json")]
    rows += [("data:image/png;base64," + text, None if want is None else bytes(want))
             for text, want in load("url-dataurl/data-url__tests__base64.json")]
    for name in ("mime-types", "generated-mime-types"):
        for row in load(f"url-dataurl/data-url__tests__{name}.json"):
            if isinstance(row, dict):
                rows.append((f"data:{row['input']};base64,WA==", b"X"))
    for text, want in rows:
        n += 1
        answer = probe.ask("ref", as_hex(text))[0]
        if answer == "refused":
            n_stricter += want is not None
            continue
        n_accepted += 1
        if answer == "url" or bytes.fromhex(answer) != want or not text.lower().startswith("data:image/"):
            faults.append(f"data: {text!r}: {answer}, expected {want}")
    return n, n_accepted, n_stricter, faults


def ip_classes(probe):
    """ip-classes.tsv: nothing it blocks may be public. We block more: all that is not in 2000::/3, the
    whole of 2001::/23."""
    n = n_stricter = 0
    faults = []
    with open(os.path.join(SUITES, "ssrf-urls/ip-classes.tsv"), encoding="utf-8") as file:
        rows = [line.split("\t") for line in file.read().splitlines() if line and line[0] != "#"]
    for address, expect, _ in rows:
        n += 1
        answer = probe.ask("class", address)
        if (answer[0] == "public") == (expect == "allow"):
            continue
        ip = ipaddress.ip_address(address)
        ours = ip.version == 6 and (ip not in ipaddress.ip_network("2000::/3")
                                    or ip in ipaddress.ip_network("2001::/23"))
        if expect == "allow" and ours:
            n_stricter += 1
        else:
            faults.append(f"ip-classes: {address} is {answer}, expected {expect}")
    return n, n - n_stricter, n_stricter, faults


def main():
    if not os.path.isdir(SUITES):
        print(f"SKIPPED: no outside suites at {SUITES}")
        return 77
    n_passed = n_failed = 0
    with Probe() as probe:
        for name, run in (("url-wpt/urltestdata", lambda p: wpt(p, "url-wpt/urltestdata.json")),
                          ("url-wpt/ada_extra", lambda p: wpt(p, "url-wpt/ada_extra_urltestdata.json")),
                          ("url-wpt/toascii", toascii), ("url-dataurl", data_urls), ("ssrf-urls/ip-classes", ip_classes)):
            n, n_accepted, n_stricter, faults = run(probe)
            for line in faults:
                print(f"FAULT {line}")
            print(f"{name}: {n} cases, {n_accepted} accepted, {n_stricter} refused that the "
                  f"suite takes, {len(faults)} with another meaning")
            n_passed += n - len(faults)
            n_failed += len(faults)
    print(f"{n_passed} passed, {n_failed} failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
