"""How the figures look: one style sheet for the page and for a figure saved alone, in light, dark and print."""

from __future__ import annotations

import re

__all__ = ["DOSE_CLASSES", "LEVELS", "figure_css", "standalone"]

DOSE_CLASSES = ("dose1", "dose2", "dose3", "dose4", "dose5", "dose6")
"""Class of a dose level, the lowest first; each has its own colour and its own mark."""

LEVELS = ("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "NE")
"""Response levels, the best first."""

# Colour-blind safe (Okabe and Ito's set, darkened for white paper) and apart in grey.
_LIGHT = {
    "paper": "#fff", "ink": "#18222d", "soft": "#596776", "line": "#e2e7ec", "axis": "#a9b4be",
    "dose1": "#2f7fb8", "dose2": "#b5541c", "dose3": "#00624d", "dose4": "#85539b", "dose5": "#8a6a1f",
    "dose6": "#5b6671", "scr": "#00473a", "cr": "#0f7a63", "vgpr": "#4aa58c", "pr": "#8ccab4", "mr": "#d3c27a",
    "sd": "#b9c2ca", "pd": "#c2511d", "ne": "#8694a2", "clonal": "#b93a00",
}  # fmt: skip
_DARK = {
    "paper": "#11171d", "ink": "#e6ebf0", "soft": "#a3b0bc", "line": "#28323b", "axis": "#52606c",
    "dose1": "#6db6e8", "dose2": "#f0945a", "dose3": "#4fd1ad", "dose4": "#c79ad9", "dose5": "#d6b25e",
    "dose6": "#a3b0bc", "scr": "#a9f2dc", "cr": "#5fd6b6", "vgpr": "#3ba588", "pr": "#2b7563", "mr": "#9c8b3f",
    "sd": "#52606c", "pd": "#f0834f", "ne": "#6d7a87", "clonal": "#ff8f57",
}  # fmt: skip


def figure_css() -> str:
    """The style sheet; every colour is defined on the figure's own root, so that it needs no other sheet."""
    rules = [
        f".trial{{{_variables(_LIGHT)}}}",
        "@media screen and (prefers-color-scheme:dark){:root:not(.light) .trial,.trial.alone{"
        + _variables(_DARK)
        + "}}",
        ".trial text{font:11px 'Inter','Segoe UI',-apple-system,'Helvetica Neue',Arial,'Liberation Sans',sans-serif;"
        "fill:var(--t-soft);font-variant-numeric:tabular-nums}",
        ".trial .label{fill:var(--t-ink)}.trial .head{fill:var(--t-ink);font-weight:600;font-size:12px}",
        ".trial .mid{text-anchor:middle}.trial .end{text-anchor:end}",
        ".trial .area{fill:none}.trial .box{fill:none;stroke:var(--t-axis)}",
        ".trial .rule{stroke:var(--t-line);fill:none}.trial .major{stroke:var(--t-axis);fill:none}",
        ".trial .limit{stroke:var(--t-ink);stroke-dasharray:5 3;fill:none}",
        ".trial .infusion{stroke:var(--t-soft);stroke-dasharray:2 3;fill:none}",
        ".trial .infusion-mark{fill:var(--t-soft)}",
        ".trial .floor{fill:var(--t-ne);fill-opacity:.18}",
        ".trial .curve{fill:none;stroke-width:1.3;stroke-opacity:.75;stroke-linejoin:round}",
        ".trial .thin{stroke-width:.8;stroke-opacity:.45}",
        ".trial .mean{fill:none;stroke-width:2.2;stroke-linejoin:round}",
        ".trial .step{fill:none;stroke-width:1.8}.trial .censor{stroke-width:1.4;fill:none}",
        ".trial .whisker{fill:none;stroke-width:1.3}.trial .band{stroke:none;fill-opacity:.13}",
        ".trial .open{fill:var(--t-paper);stroke-width:1.4}.trial .arrow{fill:var(--t-ink)}",
        ".trial .before{fill:none;stroke:var(--t-axis)}",
        ".trial .mark{fill:var(--t-ink);stroke:var(--t-paper);stroke-width:1}",
        ".trial .hollow{fill:var(--t-paper);stroke:var(--t-ink);stroke-width:1.3}",
        ".trial .cross{stroke:var(--t-ink);stroke-width:1.6;fill:none}",
        ".trial .step.all,.trial .censor.all{stroke:var(--t-ink)}.trial .step.all{stroke-width:2.2}"
        ".trial .band.all{fill:var(--t-ink);fill-opacity:.08}",
        ".trial .whisker.clonal,.trial .curve.clonal{stroke:var(--t-clonal)}",
        ".trial .dot.clonal{fill:var(--t-clonal);stroke:var(--t-clonal)}.trial .dot.open.clonal{fill:var(--t-paper)}",
    ]
    for name in DOSE_CLASSES:
        rules.append(
            f".trial .{name}{{stroke:var(--t-{name})}}.trial .dot.{name},.trial .bar.{name},.trial .band.{name}"
            f"{{fill:var(--t-{name})}}.trial .dot.open.{name}{{fill:var(--t-paper)}}"
            f".trial .band.{name}{{stroke:none}}.trial text.{name}{{stroke:none;fill:var(--t-{name});font-weight:600}}"
        )
    for level in LEVELS:
        name = level.lower()
        rules.append(f".trial .{name}{{fill:var(--t-{name});stroke:var(--t-paper);stroke-width:.6}}")
    return "\n".join(rules)


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--t-{name}:{value};" for name, value in colours.items())


def standalone(svg: str) -> str:
    """A figure as a file of its own: name space, style sheet and a background that is there only in the dark."""
    head = re.match(r"<svg class=\"([^\"]*)\"", svg)
    if head is None:
        raise ValueError("a figure begins with its <svg> element")
    opened = f'<svg xmlns="http://www.w3.org/2000/svg" class="{head[1]} alone"' + svg[head.end() :]
    end = opened.index(">") + 1
    style = f"<style>{figure_css()}\n.alone .paper{{fill:var(--t-paper)}}</style>"
    paper = '<rect class="paper" width="100%" height="100%"/>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opened[:end]}{style}{paper}{opened[end:]}\n'
