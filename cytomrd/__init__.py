"""From flow-cytometry files to trial results: myeloma MRD at 1e-5 and CAR+ NK cells per microlitre.

Public names are imported on first use, so that ``import cytomrd`` stays fast. ``cytomrd.pp`` holds
preprocessing on AnnData, step by step.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_HOME = {
    "gate": "cytomrd.gating.gate",
    "list_panels": "cytomrd.panel.library",
    "mrd_limits": "cytomrd.mrd.limits",
    "nca": "cytomrd.trial.nca",
    "open_fcs": "cytomrd.fcs.dataset",
    "quantify_car_nk": "cytomrd.car_nk.quantify",
    "quantify_mrd": "cytomrd.mrd.quantify",
    "read_fcs": "cytomrd.fcs.dataset",
    "read_panel": "cytomrd.panel.library",
    "respond": "cytomrd.trial.response.respond",
    "write_fcs": "cytomrd.fcs.writer",
}

__all__ = [
    "__version__",
    "gate",
    "list_panels",
    "mrd_limits",
    "nca",
    "open_fcs",
    "quantify_car_nk",
    "quantify_mrd",
    "read_fcs",
    "read_panel",
    "respond",
    "write_fcs",
]


def __getattr__(name: str):
    if name == "pp":
        return import_module("cytomrd.pp")
    if name not in _HOME:
        raise AttributeError(f"module 'cytomrd' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__():
    return sorted([*__all__, "pp"])
