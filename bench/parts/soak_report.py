"""What bench/soak counts, which promises were broken, and how that reads."""
import json
from collections import Counter, defaultdict

from .audits import percentile
from .soak_world import slope

MEMORY_SETTLES_SHARE = 0.4   # of a run: caches and pools are full by then
MEMORY_JUDGED_FROM_S = 300   # shorter runs say nothing about memory
MEMORY_GROWTH_MAX = 0.02     # of the resident memory, over the rest of a run
FDS_MORE_MAX = 8             # after the load, above those before it: connections to Redis
WINDOW_S = 10
EXAMPLES_MAX = 20


class Tally:
    """Counts while the load runs."""

    def __init__(self):
        self.good = Counter()                 # (kind, status)
        self.good_errors, self.hostile_faults = [], []
        self.latencies = []                   # (second of the run, ms)
        self.hostile = defaultdict(Counter)   # kind -> status -> n
        self.acts, self.samples = Counter(), []
        self.answers, self.same = {}, {}      # request id -> status; question -> answer
        self.late_ms = 0.0

    def heard(self, reply):
        """An answer that was read whole."""
        if reply.request_id:
            self.answers.setdefault(reply.request_id, []).append(reply.status)

    def good_error(self, number, kind, what):
        self.good_errors.append(f"{kind} (request {number}): {what}")

    def differs(self, same, answer):
        """Whether another request with this question had another answer."""
        return same is not None and self.same.setdefault(same, answer) != answer


def audit_faults(answers, path):
    """(lines, [what is wrong]): each answer has one line that says its status; no line is broken."""
    faults, seen = [], Counter()
    status_of = {}
    with open(path, encoding="utf-8") as f:
        for i, line in enumerate(f, 1):
            try:
                entry = json.loads(line)
                seen[entry["id"]] += 1
                status_of[entry["id"]] = entry["status"]
            except (ValueError, KeyError) as e:
                faults.append(f"line {i}: {e!r}")
    for request_id, statuses in answers.items():
        if seen[request_id] != len(statuses):
            faults.append(f"{request_id}: {len(statuses)} answers {statuses}, {seen[request_id]} lines")
        elif len(statuses) == 1 and status_of[request_id] != statuses[0]:
            faults.append(f"{request_id}: answered {statuses[0]}, its line says {status_of[request_id]}")
    twice = [request_id for request_id, n in seen.items() if n > 1 and request_id not in answers]
    faults += [f"{request_id}: {seen[request_id]} lines" for request_id in twice]
    return sum(seen.values()), faults


def memory(samples):
    """Of the samples after the settling time: slope in bytes an hour, growth as a share, or None."""
    if not samples:
        return None
    last = samples[-1]["s"]
    points = [(p["s"], p["rss_bytes"]) for p in samples if p["s"] >= MEMORY_SETTLES_SHARE * last]
    mean = sum(y for _, y in points) / len(points)
    per_s = slope(points)
    return {"bytes_per_hour": 3600 * per_s, "from_s": points[0][0],
            "growth": per_s * (points[-1][0] - points[0][0]) / mean if mean else 0.0,
            "first_bytes": samples[0]["rss_bytes"], "mean_bytes": mean,
            "most_bytes": max(p["rss_bytes"] for p in samples),
            "fds_slope_per_hour": 3600 * slope([(p["s"], p["fds"]) for p in samples
                                                if p["s"] >= MEMORY_SETTLES_SHARE * last])}


def latency(latencies):
    """Percentiles of all and of each window."""
    if not latencies:
        return None
    windows = defaultdict(list)
    for s, ms in latencies:
        windows[int(s // WINDOW_S)].append(ms)
    every = [ms for _, ms in latencies]
    return {"p50": percentile(every, 0.5), "p90": percentile(every, 0.9), "p99": percentile(every, 0.99),
            "most": max(every),
            "windows": [{"s": (i + 0.5) * WINDOW_S, "p50": percentile(w, 0.5), "p99": percentile(w, 0.99)}
                        for i, w in sorted(windows.items())]}


def make(tally, facts):
    """The report. `facts`: what the run found besides: exit, drain, redis, audit, metrics, ..."""
    report = {
        "kind": "soak", **facts,
        "good": {"requests": sum(tally.good.values()), "errors": len(tally.good_errors),
                 "by_kind": table(tally.good), "examples": tally.good_errors[:EXAMPLES_MAX],
                 "latency_ms": latency(tally.latencies), "late_ms": tally.late_ms},
        "hostile": {"acts": sum(tally.acts.values()), "faults": len(tally.hostile_faults),
                    "answers": sum(sum(c.values()) for c in tally.hostile.values()),
                    "by_kind": {kind: {"acts": tally.acts[kind],
                                       "answers": {str(s): n for s, n in sorted(c.items(), key=str)}}
                                for kind, c in sorted(tally.hostile.items())},
                    "examples": tally.hostile_faults[:EXAMPLES_MAX]},
        "memory": memory(tally.samples), "samples": tally.samples,
    }
    report["broken"] = broken(report)
    return report


def table(counter):
    out = defaultdict(dict)
    for (kind, status), n in sorted(counter.items(), key=str):
        out[kind][str(status)] = n
    return dict(out)


def broken(report):
    """The promises that were not kept, each in a line."""
    out = []
    good, hostile, end = report["good"], report["hostile"], report["end"]
    if good["errors"]:
        out.append(f"{good['errors']} errors to good clients, the first: {good['examples'][0]}")
    if hostile["faults"]:
        out.append(f"{hostile['faults']} wrong answers to hostile clients, the first: {hostile['examples'][0]}")
    if end["died"]:
        out.append(f"the server died: {end['died']}")
    if end["exit"] != 0:
        out.append(f"drained with exit status {end['exit']}")
    if end["drain_errors"]:
        out.append(f"while it drained: {end['drain_errors'][0]}")
    if report["witnessed"]:
        out.append(f"{report['witnessed']} connections to a place that is not allowed")
    audit = report["audit"]
    if audit["faults"]:
        out.append(f"audit log: {len(audit['faults'])} faults, the first: {audit['faults'][0]}")
    if audit["expected"] is not None and audit["lines"] < audit["expected"]:
        out.append(f"audit log: {audit['lines']} lines for {audit['expected']} requests")
    found = report["memory"]
    if found and report["seconds"] >= MEMORY_JUDGED_FROM_S and found["growth"] > MEMORY_GROWTH_MAX:
        out.append(f"memory grew by {100 * found['growth']:.1f} % after {found['from_s']:.0f} s")
    if report["fds"]["after"] > report["fds"]["before"] + FDS_MORE_MAX:
        out.append(f"{report['fds']['after']} open descriptors after the load, {report['fds']['before']} before it")
    redis = report["redis"]
    if redis["killed_at_s"] is not None and not (redis["noticed"] and redis["back"]):
        out.append("Redis: not used again after its return" if redis["noticed"] else "Redis: its end was not noticed")
    return out


def text(report):
    good, hostile, audit = report["good"], report["hostile"], report["audit"]
    lines = [f"{report['seconds']:.0f} s, {report['rate']:g} a second, {100 * report['hostile_share']:.0f} % of them "
             f"hostile, seed {report['seed']}", ""]
    lines.append(f"good      {good['requests']} requests, {good['errors']} errors")
    for kind, statuses in good["by_kind"].items():
        lines.append(f"  {kind:20} " + ", ".join(f"{n} x {s}" for s, n in statuses.items()))
    times = good["latency_ms"]
    if times:
        lines.append(f"  latency P50 {times['p50']:.0f}, P90 {times['p90']:.0f}, P99 {times['p99']:.0f}, "
                     f"most {times['most']:.0f} ms; the generator was at most {good['late_ms']:.0f} ms late")
    lines += ["", f"hostile   {hostile['acts']} acts, {hostile['answers']} answers, {hostile['faults']} wrong"]
    for kind, found in hostile["by_kind"].items():
        answers = ", ".join(f"{n} x {s}" for s, n in found["answers"].items())
        lines.append(f"  {kind:20} {found['acts']:5}  {answers}")
    found = report["memory"]
    if found:
        first, mean, most = (found[f"{name}_bytes"] / 2**20 for name in ("first", "mean", "most"))
        lines += ["", f"memory    {first:.1f} MiB at first, {mean:.1f} after {found['from_s']:.0f} s, at most {most:.1f}; "
                      f"slope {found['bytes_per_hour'] / 2**20:+.2f} MiB/h "
                      f"({100 * found['growth']:+.2f} % over the rest)"]
    fds = report["fds"]
    lines.append(f"files     {fds['before']} before, at most {fds['most']}, {fds['after']} after")
    redis = report["redis"]
    if redis["killed_at_s"] is not None:
        lines.append(f"Redis     killed after {redis['killed_at_s']:.0f} s, back after {redis['back_at_s']:.0f} s; "
                     f"noticed: {redis['noticed']}, used again: {redis['back']}")
    lines.append(f"audit     {audit['lines']} lines, {audit['answers']} answers with an id; "
                 f"{len(audit['faults'])} faults")
    lines.append(f"drain     {report['end']['drain_s']:.1f} s, exit status {report['end']['exit']}, "
                 f"{report['end']['drain_answers']}")
    lines += ["", *(f"BROKEN: {what}" for what in report["broken"])] if report["broken"] else ["", "every promise kept"]
    return "\n".join(lines)
