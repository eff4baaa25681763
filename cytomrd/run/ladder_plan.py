"""Which mixtures a validation is made of: levels, sizes, seeds; here those that are simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cytomrd.errors import RunError
from cytomrd.mrd.ladder import LEVELS, Mixture
from cytomrd.panel import Panel
from cytomrd.panel.library import read_panel
from cytomrd.run.mixtures import SIMULATED_PANEL, OwnMixture, SimulatedMixture
from cytomrd.run.settings import RunSettings
from cytomrd.simulate import CLONES, LAWS

__all__ = ["LadderPlan", "LadderSettings", "PlannedMixture", "plan_simulated_ladder"]


@dataclass(frozen=True)
class LadderSettings:
    """Choices of a validation.

    Attributes
    ----------
    levels
        Clonal cells of nucleated cells; 0 is the blank.
    n_nucleated
        Nucleated cells of a marrow, over its tubes; each number is a ladder of its own.
    n_seeds, n_blanks
        Mixtures of each level, and of level 0.
    random_state
        Seed of all draws.
    laws, clones
        Of the simulation; ``clones`` take turns.
    """

    levels: tuple[float, ...] = LEVELS
    n_nucleated: tuple[int, ...] = (3_000_000,)
    n_seeds: int = 20
    n_blanks: int = 60
    random_state: int = 0
    laws: tuple[str, ...] = ("clinical", "varied", "dim")
    clones: tuple[str, ...] = tuple(CLONES)


@dataclass(frozen=True, eq=False)
class PlannedMixture:
    """A mixture before it exists: what it will be called, and what writes it."""

    described: Mixture
    source: SimulatedMixture | OwnMixture


@dataclass(frozen=True, eq=False)
class LadderPlan:
    """All mixtures of a validation, what they are made of, and how.

    ``inputs`` are (file, SHA-256) of own files; ``folder`` is None for a simulated ladder.
    """

    settings: LadderSettings
    run_settings: RunSettings
    panel: Panel
    mixtures: tuple[PlannedMixture, ...]
    folder: Path | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_nucleated(self) -> int:
        """Nucleated cells over all mixtures."""
        return sum(m.described.n_wanted for m in self.mixtures)


def plan_simulated_ladder(settings: LadderSettings, *, run_settings: RunSettings | None = None) -> LadderPlan:
    """Plan a ladder of simulated marrows; donors, cells and files are drawn afresh for every mixture.

    Raises
    ------
    RunError
        If a law or clone is unknown.
    """
    for kind, names, known in (("law", settings.laws, LAWS), ("clone", settings.clones, CLONES)):
        unknown = [n for n in names if n not in known]
        if unknown:
            raise RunError(f"no {kind} {', '.join(unknown)}; there are {', '.join(known)}")
    planned = []
    for law in settings.laws:
        for n_wanted in settings.n_nucleated:
            for level in settings.levels:
                for seed in range(settings.n_seeds if level else settings.n_blanks):
                    clone = settings.clones[seed % len(settings.clones)] if level else ""
                    # By name and value, not by place: a level keeps its marrows when others are added.
                    entropy = (settings.random_state, _number(law), n_wanted, round(level * 1e12), seed)
                    described = Mixture(law, level, n_wanted, seed, f"donor {seed + 1}", clone, 0)
                    source = SimulatedMixture(LAWS[law], level, n_wanted, clone, entropy)
                    planned.append(PlannedMixture(described, source))
    notes = (
        "simulated: donors, cells and files are drawn afresh for every mixture, so none is used twice",
        "normal plasma cells of 0.02 to 0.5 % of nucleated cells (0.02 to 2 % in blanks), drawn evenly on a log scale",
    )
    run_settings = run_settings or RunSettings()
    return LadderPlan(settings, run_settings, read_panel(SIMULATED_PANEL), tuple(planned), notes=notes)


def _number(name: str) -> int:
    return int.from_bytes(name.encode()[:8], "little")
