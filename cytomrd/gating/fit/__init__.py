"""Data-driven gates: a panel and a sample in, plain geometric gates with their evidence out."""

from cytomrd.gating.fit.borrow import BorrowedCut, CutEvidence, cut_evidence, pool_cuts
from cytomrd.gating.fit.controls import fit_control_cut, negative_peak
from cytomrd.gating.fit.cuts import ControlCut, CutDecision, fit_cut
from cytomrd.gating.fit.density import Counts, count_events, find_valley, main_peak
from cytomrd.gating.fit.ellipse import fit_ellipse
from cytomrd.gating.fit.result import FittedGates
from cytomrd.gating.fit.singlets import fit_singlets
from cytomrd.gating.fit.tree import fit_gates, read_scales
from cytomrd.gating.fit.widths import logicle_width

__all__ = [
    "BorrowedCut",
    "ControlCut",
    "Counts",
    "CutDecision",
    "CutEvidence",
    "FittedGates",
    "count_events",
    "cut_evidence",
    "find_valley",
    "fit_control_cut",
    "fit_cut",
    "fit_ellipse",
    "fit_gates",
    "fit_singlets",
    "logicle_width",
    "main_peak",
    "negative_peak",
    "pool_cuts",
    "read_scales",
]
