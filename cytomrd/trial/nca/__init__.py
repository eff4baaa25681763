"""Non-compartmental analysis: profiles, parameters, summaries, dose proportionality."""

from cytomrd.trial.nca.analysis import NcaResult, nca

__all__ = ["NcaResult", "nca"]
