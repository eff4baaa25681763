"""A ladder from a laboratory's own files: clones of its samples in its negatives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cytomrd.errors import RunError
from cytomrd.mrd.ladder import Mixture
from cytomrd.panel import Panel
from cytomrd.run.finish import analyse_marrow
from cytomrd.run.ladder_plan import LadderPlan, LadderSettings, PlannedMixture
from cytomrd.run.mixtures import OwnMixture, OwnTube, clonal_positions, draw_pools
from cytomrd.run.model import SampleResult
from cytomrd.run.plan import PlannedFile, PlannedSample, RunPlan, plan_run
from cytomrd.run.settings import RunSettings, read_settings
from cytomrd.run.workers import Failed, Pool, Task, run_tasks

__all__ = ["plan_own_ladder"]


@dataclass(frozen=True, eq=False)
class _OwnMarrow:
    """One gated marrow of the run: its result and its planned files by tube."""

    sample: SampleResult
    files: dict[str, PlannedFile]

    @property
    def donor(self) -> str:
        return self.sample.rows[0].subject_id or self.sample.sample_id

    def n_nucleated(self, population: str) -> dict[str, int]:
        return {f.tube: f.count(population) for f in self.sample.files}


def plan_own_ladder(folder: Path, settings: LadderSettings, *, pool: Pool) -> LadderPlan:
    """Plan a ladder from a run folder: clones of its samples put into its negatives (role negative).

    The run's marrows are gated first; one that cannot be gated is left out and named. Its negatives must be of one
    panel; the clones come from samples of other donors that are called positive.

    Raises
    ------
    RunError
        If there is no negative, no clone of another donor, or nothing that is large enough.
    """
    run_settings = read_settings(folder)
    plan = plan_run(folder, strict=run_settings.strict)
    plan = replace(plan, samples=tuple(s for s in plan.samples if s.assay == "mrd"))
    marrows, failed = _own_marrows(plan, run_settings, pool)
    blanks = [m for m in marrows if m.sample.rows[0].role == "negative"]
    panels = {m.sample.panel.id for m in blanks}
    if len(panels) != 1:
        raise RunError(
            f"{folder}: negatives of {len(panels)} MRD panels ({', '.join(sorted(panels)) or 'none'}); a validation "
            "needs negative marrows (role negative in the samplesheet) of one panel"
        )
    panel, tubes = blanks[0].sample.panel, set(blanks[0].files)
    partial = [m.sample.sample_id for m in marrows if m.sample.panel.id == panel.id and set(m.files) != tubes]
    marrows = [m for m in marrows if m.sample.sample_id not in partial]
    blanks = [m for m in blanks if m in marrows]
    clones = [m for m in marrows if m not in blanks and m.sample.panel.id == panel.id and _is_positive(m)]
    own = _OwnLadder(folder, settings, panel, blanks, clones)
    if partial:
        own.notes.append(f"{', '.join(partial)}: other tubes than {blanks[0].sample.sample_id}, left out")
    mixtures = tuple(m for n in settings.n_nucleated for level in settings.levels for m in own.rung(n, level))
    if not mixtures:
        raise RunError(f"{folder}: no mixture can be made: {'; '.join(dict.fromkeys(own.notes))}")
    used = [f for m in (*blanks, *clones) for f in m.sample.files]
    return LadderPlan(
        settings, run_settings, panel, mixtures, folder, tuple((f.row.file, f.sha256) for f in used),
        (
            "own files: clonal events, as this software called them at their own level, in place of events of "
            "negatives of other donors; what the call missed there is missing here too",
            *failed,
            *dict.fromkeys(own.notes),
        ),
    )  # fmt: skip


def _own_marrows(plan: RunPlan, settings: RunSettings, pool: Pool) -> tuple[list[_OwnMarrow], list[str]]:
    """Every marrow of the run by itself, in the order of the plan, and what was left out."""
    found: dict[str, SampleResult | Failed] = {}
    tasks = []
    for sample in plan.samples:
        errors = tuple(f"{f.row.file}: {f.error}" for f in sample.files if f.error)
        if errors:
            found[sample.sample_id] = Failed(errors)
            continue
        panel = plan.panels[sample.files[0].panel_id]
        tasks.append(Task(sample.sample_id, _analyse, (sample, panel, settings, plan.folder)))
    run_tasks(tasks, pool, lambda task, result: found.update({task.key: result}))
    marrows, left_out = [], []
    for sample in plan.samples:
        result = found[sample.sample_id]
        if isinstance(result, Failed):
            left_out.append(f"{sample.sample_id} is left out: {result}")
        elif result.status != "done":
            left_out.append(f"{sample.sample_id} is left out: {result.status}")
        else:
            marrows.append(_OwnMarrow(result, {f.tube: f for f in sample.files}))
    return marrows, left_out


def _analyse(sample: PlannedSample, panel: Panel, settings: RunSettings, folder: Path) -> SampleResult:
    return analyse_marrow(sample, panel, settings, folder=folder)


def _is_positive(marrow: _OwnMarrow) -> bool:
    return marrow.sample.mrd.status.startswith("POSITIVE")


@dataclass(eq=False)
class _OwnLadder:
    folder: Path
    settings: LadderSettings
    panel: Panel
    blanks: list[_OwnMarrow]
    clones: list[_OwnMarrow]
    notes: list[str] = field(default_factory=list)

    def rung(self, n_wanted: int, level: float) -> list[PlannedMixture]:
        """Mixtures of one level: blanks and clones take turns; each blank once at level 0."""
        n_tubes = len(self.blanks[0].files)
        blanks = [b for b in self.blanks if self._is_large_enough(b, n_wanted / n_tubes)]
        if not blanks:
            self.notes.append(f"no negative has {n_wanted:,} nucleated cells")
            return []
        if level == 0:
            if self.settings.n_blanks > len(blanks):
                self.notes.append(f"{len(blanks)} negatives of {n_wanted:,} nucleated cells: each stands once")
            chosen = blanks[: self.settings.n_blanks]
            return [self._mixture(b, None, {}, n_wanted, 0.0, i) for i, b in enumerate(chosen)]
        drawn = self._clonal_events(n_wanted / n_tubes, level)
        if not drawn:
            self.notes.append(f"no clone has the events for {level:.3g} of {n_wanted:,} nucleated cells")
            return []
        made, taken = [], dict.fromkeys(range(len(drawn)), 0)
        for seed in range(self.settings.n_seeds):
            at = seed % len(drawn)
            clone, of_seeds = drawn[at]
            others = [b for b in blanks if b.donor != clone.donor]
            if not others:
                self.notes.append(f"{clone.sample.sample_id}: no negative of another donor")
                continue
            made.append(self._mixture(others[seed % len(others)], clone, of_seeds[taken[at]], n_wanted, level, seed))
            taken[at] += 1
        return made

    def _is_large_enough(self, blank: _OwnMarrow, n_tube: float) -> bool:
        return all(n >= n_tube for n in blank.n_nucleated(self.panel.mrd.nucleated).values())

    def _clonal_events(self, n_tube: float, level: float) -> list[tuple[_OwnMarrow, list]]:
        found = []
        for i, clone in enumerate(self.clones):
            entropy = (self.settings.random_state, i, round(n_tube), round(level * 1e12))
            rng = np.random.default_rng(np.random.SeedSequence(entropy))
            pools = {
                f.tube: np.concatenate([clonal_positions(c.labels, c.events) for c in f.rare] or [np.empty(0, int)])
                for f in clone.sample.files
            }
            try:
                drawn, again = draw_pools(pools, dict.fromkeys(pools, level * n_tube), self.settings.n_seeds, rng)
            except RunError as error:
                self.notes.append(f"{clone.sample.sample_id} is left out at {level:.3g}: {error}")
                continue
            if again:
                self.notes.append(
                    f"{clone.sample.sample_id} at {level:.3g}: its clonal events come back in other mixtures, "
                    f"{again + 1} rounds"
                )
            found.append((clone, drawn))
        return found

    def _mixture(self, blank, clone, events: dict, n_wanted: int, level: float, seed: int) -> PlannedMixture:
        nucleated = blank.n_nucleated(self.panel.mrd.nucleated)
        tubes = []
        for file in blank.sample.files:
            planned = blank.files[file.tube]
            share = n_wanted / len(nucleated) / nucleated[file.tube]
            tubes.append(
                OwnTube(
                    row=replace(planned.row, panel=planned.panel_id, tube=file.tube),
                    blank=planned.path,
                    n_events=min(planned.n_events, round(share * planned.n_events)),
                    donor=clone.files[file.tube].path if clone is not None else None,
                    clonal=events.get(file.tube, np.empty(0, dtype=np.int64)),
                )
            )
        entropy = (self.settings.random_state, n_wanted, round(level * 1e12), seed)
        name = clone.sample.sample_id if clone is not None else ""
        described = Mixture("own files", level, n_wanted, seed, blank.sample.sample_id, name, 0)
        return PlannedMixture(described, OwnMixture(self.folder, tuple(tubes), entropy))
