"""Finished mixtures of a validation on disk, so that a ladder of hours that was interrupted goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cytomrd import __version__
from cytomrd.mrd.ladder import Mixture
from cytomrd.run.gate_draws import spillover_files
from cytomrd.run.gate_sample import content_of
from cytomrd.run.ladder_plan import LadderPlan, PlannedMixture
from cytomrd.run.sealed import canonical, clear_unsealed, find_sealed, seal_sample

__all__ = ["KeptMixtures"]


class KeptMixtures:
    """The mixtures of a ladder that are finished, each sealed with what it was made from.

    Parameters
    ----------
    store
        Their folder; None keeps nothing.
    plan
        The ladder.
    """

    def __init__(self, store: Path | None, plan: LadderPlan):
        self._store, self._plan = store, plan
        self._contents: dict[Path, str] = {}
        self._kept: set[Path] = set()

    def found(self) -> Iterator[tuple[int, Mixture]]:
        """Place in the plan and result of each mixture that is there, made from the same."""
        if self._store is None:
            return
        clear_unsealed(self._store)
        sealed = find_sealed(self._store)
        for index, planned in enumerate(self._plan.mixtures):
            origin = self._made_from(planned)
            for mixture in sealed.get(_name(planned), ()):
                if mixture.made_from == origin:
                    self._kept.add(mixture.folder)
                    yield index, Mixture(**mixture.summary["mixture"])
                    break

    def keep(self, index: int, mixture: Mixture) -> None:
        """Seal a finished mixture; one without a result is made again the next time."""
        if self._store is None or mixture.error:
            return
        planned = self._plan.mixtures[index]
        summary = {"mixture": {name: _plain(value) for name, value in asdict(mixture).items()}}
        sealed = seal_sample(self._store, _name(planned), self._made_from(planned), lambda folder: summary)
        self._kept.add(sealed.folder)

    def clear_others(self) -> None:
        """Remove what is no part of this ladder."""
        if self._store is not None:
            clear_unsealed(self._store, keep=self._kept)

    def _made_from(self, planned: PlannedMixture) -> dict[str, object]:
        """All that decides what a mixture gives."""
        plan = self._plan
        matrix = spillover_files(plan.run_settings, plan.folder) if plan.folder is not None else []
        return {
            "cytomrd": __version__,
            "settings": plan.run_settings.model_dump(exclude={"spillover"}),
            "spillover": [self._content_of(path) for path in matrix],
            "panel": plan.panel.sha256,
            "described": repr(planned.described),
            "source": hashlib.sha256(canonical(planned.source.made_from(self._content_of))).hexdigest(),
        }

    def _content_of(self, path: Path) -> str:
        """SHA-256 of a file, which is read once, however many mixtures it is part of."""
        if path not in self._contents:
            self._contents[path] = content_of(path)
        return self._contents[path]


def _name(planned: PlannedMixture) -> str:
    m = planned.described
    return f"{m.group} {m.level!r} {m.n_wanted} {m.seed}"


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value
