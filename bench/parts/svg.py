"""Charts as SVG text, two kinds: curves of time over tokens, and bars of ratios."""
from html import escape

WIDTH, FONT = 760, "font-family='sans-serif' font-size='13' fill='#222'"
OURS, PEER, GRID = "#1f6feb", "#b0540a", "#ddd"


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


def curves(title, x_name, y_name, x, lines):
    """lines: [(name, colour, [y of each x])]"""
    left, top, right, bottom = 80, 50, WIDTH - 150, 370
    steps = _steps(max(max(y) for _, _, y in lines))
    parts = [_text(left, 28, title, extra="font-weight='bold'")]

    def at(value, y):
        return (left + (right - left) * value / max(x), bottom - (bottom - top) * y / steps[-1])

    for step in steps:
        _, y = at(0, step)
        parts.append(f"<line x1='{left}' y1='{y:.1f}' x2='{right}' y2='{y:.1f}' stroke='{GRID}'/>")
        parts.append(_text(left - 8, y + 4, _number(step), "end"))
    for value in x:
        parts.append(_text(at(value, 0)[0], bottom + 20, str(value), "middle"))
    for name, colour, ys in lines:
        points = [at(value, y) for value, y in zip(x, ys)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += [f"<circle cx='{px:.1f}' cy='{py:.1f}' r='3.5' fill='{colour}'/>" for px, py in points]
        parts.append(_text(points[-1][0] + 10, points[-1][1] + 4, name))
    parts.append(_text((left + right) / 2, bottom + 44, x_name, "middle"))
    parts.append(_text(left - 8, top - 10, y_name, "end"))
    return _page(430, parts)


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
    if report["kind"] == "versus":
        rows = [(r["name"], r["ratio"]) for r in report["rows"] if r["ratio"] and r["unit"] != "%"]
        note = f"{report['model']}; {report['card']['cpu']}, {report['threads']} threads, medians of {report['rounds']} rounds"
        return ratio_bars("How many times faster than llama.cpp", rows, note)
    raise KeyError(f"no chart for a report of kind {report['kind']!r}")
