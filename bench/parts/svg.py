"""Charts as SVG text: curves over tokens, load or time, distributions, reliability, bars of ratios."""
import math
from html import escape

WIDTH, FONT = 760, "font-family='sans-serif' font-size='13' fill='#222'"
OURS, PEER, GRID = "#1f6feb", "#b0540a", "#ddd"
COLOURS = (OURS, PEER, "#2a8a3e", "#8250df", "#bf3989", "#57606a")


def _text(x, y, text, anchor="start", extra=""):
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {FONT} {extra}>{escape(text)}</text>"


def _page(height, parts):
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'>"
    return "\n".join([head, f"<rect width='{WIDTH}' height='{height}' fill='white'/>", *parts, "</svg>"]) + "\n"


def _steps(most):
    """Round steps up to `most`, four to nine of them."""
    step = 10.0 ** -6
    for factor in _factors():
        step = 1e-6 * factor
        if most / step <= 9:
            break
    return [step * i for i in range(int(most / step) + 2)]


def _factors():
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def _number(value):
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def _grid(left, right, bottom, height, steps):
    """Lines and numbers of the vertical axis; returns the function from value to y."""
    def y_of(value):
        return bottom - height * value / steps[-1]

    parts = []
    for step in steps:
        y = y_of(step)
        parts.append(f"<line x1='{left}' y1='{y:.1f}' x2='{right}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(_text(left - 8, y + 4, _number(step), "end"))
    return parts, y_of


def _panel(top, title, x_name, y_name, lines, x_ticks, dots=True, most_y=None, mark=None, marks=()):
    """lines: [(name, colour, [(x, y)])], or with "4 3" behind: dashed so; x_ticks: [(x, label)].
    Names are put apart at the right. Above most_y, lines are cut; `mark` is a value with a line of
    its own; marks: [(x, label)], dashed from top to bottom."""
    left, right, height = 80, WIDTH - 150, 320
    bottom = top + height
    most_x = max(x for x, _ in x_ticks)
    steps = _steps(most_y or max(y for _, _, points, *_ in lines for _, y in points))
    if most_y:
        steps = [step for step in steps if step <= most_y]
    grid, y_of = _grid(left, right, bottom, height, steps)
    parts = [_text(left, top - 22, title, extra="font-weight='bold'"), *grid]

    def x_of(x):
        return left + (right - left) * x / most_x

    parts += [_text(x_of(x), bottom + 20, label, "middle") for x, label in x_ticks]
    for i, (x, label) in enumerate(marks):
        parts.append(f"<line x1='{x_of(x):.1f}' y1='{top}' x2='{x_of(x):.1f}' y2='{bottom}' stroke='#222' stroke-dasharray='4 3'/>")
        parts.append(_text(x_of(x) + 4, top + 12 + 16 * i, label))
    if mark:
        parts.append(f"<line x1='{left}' y1='{y_of(mark):.1f}' x2='{right}' y2='{y_of(mark):.1f}' stroke='#222'/>")
    clip = f"c{top:.0f}"
    parts.append(f"<clipPath id='{clip}'><rect x='{left}' y='{top}' width='{right - left + 4}' "
                 f"height='{height + 4}'/></clipPath>")
    ends = []
    for name, colour, values, *dash in lines:
        points = [(x_of(x), y_of(y)) for x, y in values]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        stroke = f"stroke='{colour}' stroke-width='2'" + (f" stroke-dasharray='{dash[0]}'" if dash else "")
        parts.append(f"<polyline points='{path}' fill='none' {stroke} clip-path='url(#{clip})'/>")
        if dots:
            parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>" for x, y in points if y >= top]
        ends.append((max(points[-1][1], top), name, colour))
    lowest = None
    for y, name, colour in sorted(ends, reverse=True):
        y = y if lowest is None else min(y, lowest - 16)
        lowest = y
        parts.append(_text(right + 10, y + 4, name, extra=f"style='fill:{colour}'"))
    parts.append(_text((left + right) / 2, bottom + 44, x_name, "middle"))
    parts.append(_text(left - 8, top - 10, y_name, "end"))
    return parts


def curves(title, x_name, y_name, x, lines):
    """lines: [(name, colour, [y of each x])]"""
    named = [(name, colour, list(zip(x, ys))) for name, colour, ys in lines]
    ticks = [(value, str(value)) for value in x]
    return _page(430, _panel(50, title, x_name, y_name, named, ticks))


def _load_name(load):
    if "rate_per_s" in load:
        return f"{load['rate_per_s']:g}/s"
    return f"{load['clients']} client{'s' if load['clients'] > 1 else ''}"


def _distribution(points):
    """[(share, ms)] -> [(nines, ms)]: 0.9 lies at 1, 0.99 at 2, so that the tail has room."""
    return [(-math.log10(max(1 - share, 5e-4)), ms) for share, ms in points]


def serve(report):
    """Latency over load, for two loads of a kind or more, above the distribution of each load."""
    loads = [load for load in report["loads"] if load["latency_ms"]]
    if not loads:
        raise KeyError("no load has an answer")
    parts, top = [], 60
    for key, x_name in (("rate_per_s", "requests per second"), ("clients", "clients")):
        of_kind = sorted((load for load in loads if key in load), key=lambda load: load[key])
        if len(of_kind) < 2:
            continue
        lines = [(name, colour, [(load[key], load["latency_ms"][p]) for load in of_kind])
                 for name, p, colour in (("P50", "p50", COLOURS[0]), ("P90", "p90", COLOURS[2]),
                                         ("P99", "p99", COLOURS[1]))]
        ticks = [(load[key], f"{load[key]:g}") for load in of_kind]
        parts += _panel(top, f"Latency under load, {report['route']}", x_name, "ms", lines, ticks)
        top += 420
    lines = [(_load_name(load), COLOURS[i % len(COLOURS)], _distribution(load["latency_cdf"]))
             for i, load in enumerate(loads)]
    parts += _panel(top, "Distribution of latencies", "share of requests answered in that time", "ms",
                    lines, NINES, dots=False)
    return _page(top + 380, parts)


LOADS_MOST_MS, LOADS_BAR_MS = 700, 300


def loads(panels):
    """Median and P99 over the offered rate. panels: {title: [(name, report of glint bench serve)]};
    what lies above LOADS_MOST_MS is cut off, LOADS_BAR_MS is marked."""
    parts, top = [], 60
    for title, reports in panels.items():
        lines = []
        for (name, report), colour in zip(reports, COLOURS):
            of_kind = sorted((load for load in report["loads"] if load["latency_ms"] and "rate_per_s" in load),
                             key=lambda load: load["rate_per_s"])
            for p, dash in (("p99", ()), ("p50", ("5 4",))):
                lines.append((f"{name}, {p.upper()}", colour,
                              [(load["rate_per_s"], load["latency_ms"][p]) for load in of_kind], *dash))
        ticks = [(x, _number(x)) for x in _steps(max(x for _, _, points, *_ in lines for x, _ in points))]
        parts += _panel(top, title, "requests per second, offered", "ms", lines, ticks,
                        most_y=LOADS_MOST_MS, mark=LOADS_BAR_MS)
        top += 430
    return _page(top - 40, parts)


def distributions(panels):
    """Distributions of latencies. panels: {title: [(name, one load of a report)]}"""
    parts, top = [], 60
    for title, named in panels.items():
        lines = [(name, colour, _distribution(load["latency_cdf"])) for (name, load), colour in zip(named, COLOURS)]
        parts += _panel(top, title, "share of requests answered in that time", "ms", lines, NINES, dots=False,
                        most_y=LOADS_MOST_MS, mark=LOADS_BAR_MS)
        top += 430
    return _page(top - 40, parts)


def _nines(share):
    return -math.log10(1 - share)


NINES = [(0, "0 %"), (_nines(0.5), "50 %"), (1, "90 %"), (2, "99 %"), (3, "99.9 %"), (_nines(0.9995), "")]


def quality(report):
    """Reliability: the share of right answers of those with a confidence, beside what it should be."""
    side, gap, top = 280, 90, 60
    parts = [_text(60, 28, "How often an answer with that confidence is right", extra="font-weight='bold'")]
    named = (("verdicts", report["verdict_calibration"]), ("texts", report["text_calibration"]))
    for column, (name, calibration) in enumerate(named):
        left = 60 + column * (side + gap)
        if calibration:
            parts += _reliability(left, top, side, name, calibration)
    return _page(top + side + 70, parts)


def _reliability(left, top, side, name, calibration):
    """One diagram; circles grow with the number of answers."""
    bottom = top + side
    grid, y_of = _grid(left, left + side, bottom, side, [0, 0.2, 0.4, 0.6, 0.8, 1.0])

    def x_of(share):
        return left + side * share

    answers = sum(b["answers"] for b in calibration["bins"])
    title = f"{name}: {answers} answers, calibration error {calibration['ece']:.3f}"
    parts = [_text(left, top - 12, title), *grid,
             f"<line x1='{left}' y1='{bottom}' x2='{left + side}' y2='{top}' stroke='#222' stroke-dasharray='4 3'/>"]
    parts += [_text(x_of(tick / 5), bottom + 20, _number(tick / 5), "middle") for tick in range(6)]
    parts.append(_text(left + side / 2, bottom + 44, "confidence", "middle"))
    points = [(x_of(b["confidence"]), y_of(b["right"]), b["answers"]) for b in calibration["bins"]]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    parts.append(f"<polyline points='{path}' fill='none' stroke='{OURS}' stroke-width='2'/>")
    return parts + [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{3 + 9 * math.sqrt(n / answers):.1f}' "
                    f"fill='{OURS}' fill-opacity='0.6'/>" for x, y, n in points]


def soak(report):
    """Latency of good clients and memory over the minutes of a run."""
    good, hostile, redis = report["good"], report["hostile"], report["redis"]
    minutes = report["seconds"] / 60
    ticks = [(x, f"{x:g}") for x in _steps(minutes) if x <= minutes]
    ticks.append((minutes, ""))
    marks = [(redis[key] / 60, label) for key, label in (("killed_at_s", "Redis killed"), ("back_at_s", "Redis back"))
             if redis[key] is not None]
    windows = good["latency_ms"]["windows"]
    title = f"{good['requests']} good requests, {good['errors']} errors, beside {hostile['acts']} hostile acts"
    lines = [(name, colour, [(w["s"] / 60, w[p]) for w in windows])
             for name, p, colour in (("P50", "p50", COLOURS[0]), ("P99", "p99", COLOURS[1]))]
    parts = _panel(60, title, "minutes; each point the ten seconds around it", "ms", lines, ticks, False, marks=marks)
    lines = [(name, colour, [(p["s"] / 60, p[key] / 2**20) for p in report["samples"]])
             for name, key, colour in (("server", "rss_bytes", COLOURS[0]), ("decoders", "decoders_rss_bytes", COLOURS[2]),
                                       ("Redis", "redis_rss_bytes", COLOURS[1]))]
    parts += _panel(490, "Memory", "minutes", "MiB", lines, ticks, False, marks=marks)
    return _page(870, parts)


def training(curve):
    """Losses over steps."""
    steps = [point["step"] for point in curve]
    lines = [(name, colour, [(p["step"], p[key]) for p in curve])
             for (key, name), colour in zip((("answer", "answers"), ("glyph", "characters"),
                                             ("object", "objects")), COLOURS)]
    ticks = [(0, "0"), (steps[-1] / 2, f"{steps[-1] / 2:g}"), (steps[-1], str(steps[-1]))]
    return _page(430, _panel(50, "Training", "step", "loss", lines, ticks, dots=False))


def ratio_bars(title, rows, note):
    """rows: [(name, ratio)]; a line marks 1, where both sides are equal."""
    left, top, row_px, right = 330, 60, 26, WIDTH - 60
    most = max([r for _, r in rows] + [1.0])
    parts = [_text(16, 28, title, extra="font-weight='bold'"), _text(16, 46, note)]
    bottom = top + row_px * len(rows)
    for i, (name, ratio) in enumerate(rows):
        y, end = top + i * row_px, left + (right - left) * ratio / most
        parts.append(_text(left - 8, y + 17, name, "end"))
        parts.append(f"<rect x='{left}' y='{y + 4}' width='{end - left:.1f}' height='{row_px - 8}' "
                     f"fill='{OURS if ratio >= 1 else PEER}'/>")
        parts.append(_text(end + 6, y + 17, f"{ratio:.2f}x"))
    one = left + (right - left) / most
    parts.append(f"<line x1='{one:.1f}' y1='{top}' x2='{one:.1f}' y2='{bottom}' stroke='#222' stroke-dasharray='4 3'/>")
    return _page(bottom + 20, parts)


def draw(report):
    """The chart of a report, by its kind."""
    if report["kind"] == "kv":
        points = report["points"]
        lines = [("cache off", PEER, [p["off_ms"]["median"] / 1e3 for p in points]),
                 ("cache on", OURS, [p["on_ms"]["median"] / 1e3 for p in points])]
        title = f"Generating with the KV cache on and off, prompt of {report['prompt_tokens']} tokens"
        return curves(title, "tokens generated", "seconds", [p["tokens"] for p in points], lines)
    if report["kind"] == "serve":
        return serve(report)
    if report["kind"] == "soak":
        return soak(report)
    if report["kind"] == "training":
        return training(report["curve"])
    if report["kind"] == "quality":
        return quality(report)
    if report["kind"] == "versus":
        rows = [(r["name"], r["ratio"]) for r in report["rows"] if r["ratio"] and r["unit"] != "%"]
        note = f"{report['model']}; {report['card']['cpu']}, {report['threads']} threads, medians of {report['rounds']} rounds"
        return ratio_bars("How many times faster than llama.cpp", rows, note)
    raise KeyError(f"no chart for a report of kind {report['kind']!r}")
