"""Rows of two sides, their medians and ratio, as text and JSON."""
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """One line: samples of both sides, in one unit."""

    name: str
    unit: str
    more_is_better: bool
    ours: list = field(default_factory=list)
    peer: list = field(default_factory=list)

    def ratio(self):
        """How many times better glint is; None without samples of both."""
        if not self.ours or not self.peer:
            return None
        ours, peer = median(self.ours), median(self.peer)
        above, below = (ours, peer) if self.more_is_better else (peer, ours)
        return above / below if below else None


def _figure(values, unit):
    return f"{median(values):.{2 if unit == 'times' else 1}f}"


class Table:
    """Rows in the order in which they first appeared."""

    def __init__(self):
        self.rows = {}

    def add(self, side, name, unit, more_is_better, values):
        """Add samples of `side` ("ours" or "peer")."""
        row = self.rows.setdefault(name, Row(name, unit, more_is_better))
        getattr(row, side).extend(values)

    def text(self):
        """For people: medians, and their ratio."""
        width = max([len(r.name) for r in self.rows.values()] + [4])
        lines = [f"{'':{width}}  {'glint':>10}  {'llama.cpp':>10}  {'':10}  {'ratio':>6}"]
        for row in self.rows.values():
            ours = _figure(row.ours, row.unit) if row.ours else "-"
            peer = _figure(row.peer, row.unit) if row.peer else "-"
            ratio = f"{row.ratio():.2f}x" if row.ratio() else "-"
            lines.append(f"{row.name:{width}}  {ours:>10}  {peer:>10}  {row.unit:10}  {ratio:>6}")
        return "\n".join(lines)

    def markdown(self):
        """For documents: the same figures."""
        lines = ["| work | glint | llama.cpp | unit | ratio |", "|---|---:|---:|---|---:|"]
        for row in self.rows.values():
            ours, peer = (_figure(v, row.unit) if v else "" for v in (row.ours, row.peer))
            ratio = f"{row.ratio():.2f}x" if row.ratio() else ""
            lines.append(f"| {row.name} | {ours} | {peer} | {row.unit} | {ratio} |")
        return "\n".join(lines)

    def json(self):
        """For programs: every sample."""
        out = []
        for row in self.rows.values():
            entry = {"name": row.name, "unit": row.unit, "more_is_better": row.more_is_better}
            for side in ("ours", "peer"):
                values = getattr(row, side)
                entry[side] = {"median": median(values), "runs": values} if values else None
            out.append(entry | {"ratio": row.ratio()})
        return out
