"""The benchmark as one SVG: events a second on a logarithmic scale, ours beside the peers', and growth with events."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cytomrd.bench.kernels import OURS
from cytomrd.bench.show import machine_line, short
from cytomrd.report.svg import Drawing
from cytomrd.report.words import power_of_ten

__all__ = ["draw_bench"]

WIDTH, LEFT, RIGHT = 960.0, 150.0, 250.0
BAR, GAP, GROUP_GAP = 9.0, 2.0, 9.0
GROWTH_HEIGHT = 260.0
STYLE = """
text{font:10px system-ui,sans-serif;fill:#333}
.title{font-size:15px;font-weight:600}.name{text-anchor:end;font-weight:600}.mid{text-anchor:middle}.end{text-anchor:end}
.ours{fill:#1f6f8b}.more{fill:#7fb2c4}.peer{fill:#b9b4ab}.paper{fill:#fff}
.grid{stroke:#e3e3e3;fill:none}.line{stroke:#7fb2c4;fill:none;stroke-width:1.5}.main{stroke:#1f6f8b;fill:none;stroke-width:2.5}
"""


def draw_bench(result: dict) -> str:
    """A file that needs nothing else: what `cytomrd bench --plot` writes."""
    groups = _groups(result["rows"])
    bars_height = sum(len(bars) * (BAR + GAP) + GROUP_GAP for _, bars in groups)
    growth = result["growth"]
    height = 100 + bars_height + (GROWTH_HEIGHT + 80 if growth else 0)
    drawing = Drawing(WIDTH, height, "cytomrd bench: events a second, and growth")
    drawing.rect(0, 0, WIDTH, height, "paper")
    drawing.text(16, 24, "Events a second, one thread unless said", "title")
    machine, _, installed = machine_line(result).partition(", cytomrd ")
    drawing.text(16, 41, machine, "small")
    drawing.text(16, 54, f"cytomrd {installed}", "small")
    if groups:
        _draw_bars(drawing, groups, 78.0, bars_height)
    if growth:
        _draw_growth(drawing, growth, 124.0 + bars_height)
    return _stand_alone(str(drawing.markup()))


def _stand_alone(markup: str) -> str:
    """The page's inline drawing as a file: its name space and its colours."""
    opening, rest = markup.split(">", 1)
    opening = opening.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opening}><style>{STYLE}</style>{rest}\n'


def _groups(rows: Sequence[dict]) -> list[tuple[str, list[dict]]]:
    """Bars by kernel: one of each implementation and number of threads."""
    groups: dict[str, dict[tuple, dict]] = {}
    for row in rows:
        if row["events_per_s"] and row["kernel"] != "memcpy":
            bars = groups.setdefault(row["kernel"], {})
            # the first row of an implementation carries its ratio to the first peer
            bars.setdefault((row["implementation"], row["threads"]), row)
    return [(kernel, sorted(bars.values(), key=_is_peer)) for kernel, bars in groups.items()]


def _is_peer(row: dict) -> bool:
    return not row["implementation"].startswith(OURS)


def _draw_bars(drawing: Drawing, groups, top: float, height: float) -> None:
    rates = [math.log10(row["events_per_s"]) for _, bars in groups for row in bars]
    low, high = math.floor(min(rates)), math.ceil(max(rates))
    low -= low == min(rates)  # the slowest still has a bar
    per_decade = (WIDTH - LEFT - RIGHT) / max(high - low, 1)
    for decade in range(low, high + 1):
        x = LEFT + (decade - low) * per_decade
        drawing.line(x, top, x, top + height, "grid")
        drawing.text(x, top - 4, power_of_ten(decade), "mid")
    y = top + GROUP_GAP / 2
    for kernel, bars in groups:
        drawing.text(LEFT - 8, y + BAR, kernel, "name")
        for row in bars:
            length = (math.log10(row["events_per_s"]) - low) * per_decade
            drawing.rect(LEFT, y, length, BAR, _colour(row))
            drawing.text(LEFT + length + 5, y + BAR, _label(row), "small")
            y += BAR + GAP
        y += GROUP_GAP


def _colour(row: dict) -> str:
    if row["implementation"] == OURS:
        return "ours" if row["threads"] in (1, None) else "more"
    return "peer" if _is_peer(row) else "more"


def _label(row: dict) -> str:
    threads = f", {row['threads']} threads" if (row["threads"] or 1) > 1 else ""
    speed = f" = {short(row['ratio'])} x {row['ratio_to']}" if row["ratio"] is not None else ""
    return f"{row['implementation']}{threads}: {short(row['events_per_s'] / 1e6)} M/s{speed}"


def _draw_growth(drawing: Drawing, growth: Sequence[dict], top: float) -> None:
    """Time an event: a flat line is growth in proportion."""
    drawing.text(16, top, "Time an event, by number of events (flat: in proportion)", "title")
    top += 24
    events = np.log10([n for g in growth for n in g["n_events"]])
    nanoseconds = np.log10([1e9 * s / n for g in growth for n, s in zip(g["n_events"], g["seconds"], strict=True)])
    x_low, x_high = math.floor(events.min()), math.ceil(events.max())
    y_low, y_high = math.floor(nanoseconds.min()), math.ceil(nanoseconds.max())
    x_step = (WIDTH - LEFT - RIGHT) / max(x_high - x_low, 1)
    y_step = GROWTH_HEIGHT / max(y_high - y_low, 1)
    for decade in range(x_low, x_high + 1):
        x = LEFT + (decade - x_low) * x_step
        drawing.line(x, top, x, top + GROWTH_HEIGHT, "grid")
        drawing.text(x, top + GROWTH_HEIGHT + 16, power_of_ten(decade), "mid")
    for decade in range(y_low, y_high + 1):
        y = top + (y_high - decade) * y_step
        drawing.line(LEFT, y, WIDTH - RIGHT, y, "grid")
        drawing.text(LEFT - 8, y + 4, f"{10.0**decade:g} ns", "end")
    ends = []
    for g in growth:
        x = LEFT + (np.log10(g["n_events"]) - x_low) * x_step
        y = top + (y_high - np.log10(1e9 * np.array(g["seconds"]) / np.array(g["n_events"]))) * y_step
        drawing.polyline(np.column_stack([x, y]), "main" if g["kernel"] == "pass" else "line")
        ends.append((float(y[-1]), f"{g['kernel']}, slope {g['slope']:.2f}"))
    for (_, label), y in zip(sorted(ends), _spread([y for y, _ in sorted(ends)], top + GROWTH_HEIGHT), strict=True):
        drawing.text(WIDTH - RIGHT + 8, y + 4, label, "small")


def _spread(places: Sequence[float], bottom: float, gap: float = 12.0) -> list[float]:
    """Rising places moved apart, so that labels do not lie on each other, and none below the bottom."""
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + gap) if spread else place)
    for i in range(len(spread) - 1, -1, -1):
        spread[i] = min(spread[i], bottom - gap * (len(spread) - 1 - i))
    return spread
