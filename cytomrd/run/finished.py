"""Which files of a run folder are finished while a cytometer still writes into it.

A file is judged by polling, which works on every file system, and never by one look: it is finished when two looks, an
interval apart, find the same size and time, and it parses whole. Times are compared with each other and with no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cytomrd.errors import CytomrdError, FcsError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.fcs.source import ByteSource
from cytomrd.panel.library import read_panel
from cytomrd.run.gate_sample import content_of
from cytomrd.run.plan import SKIPPED_ROLES, RunPlan, check_run_folder, is_control_of, list_rows, plan_rows
from cytomrd.run.settings import SETTINGS_NAME, RunSettings, read_settings
from cytomrd.samplesheet import SAMPLESHEET_NAME, SampleRow

__all__ = ["FolderWatch", "Look", "unfinished"]

NEW, CHANGED = "has just appeared", "is being written"
NOT_THERE, GONE = "is not there yet", "was there and is gone"
# Size and time (ns) of a file; of one that cannot be opened, why.
Stamp = tuple[int, int] | str


@dataclass(frozen=True, eq=False)
class Look:
    """A run folder at one moment.

    Attributes
    ----------
    rows
        Rows of the samples all of whose tubes, and listed controls, are finished.
    notes
        Notes on the samplesheet.
    waiting
        Sample id (or the name of a file that belongs to the whole run) to what it waits for, in words.
    settings
        The run's choices; None where something was not settled yet, and nothing can be planned.
    state
        What the results would be made from; equal states give equal results.
    moved
        Whether anything changed since the look before.
    """

    rows: tuple[SampleRow, ...] = ()
    notes: tuple[str, ...] = ()
    waiting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: RunSettings | None = None
    state: frozenset = frozenset()
    moved: bool = True


class FolderWatch:
    """Looks at a run folder again and again, and remembers what it saw.

    Parameters
    ----------
    folder
        The run folder.
    out
        Its results, whose FCS files are not the run's.
    overrides
        Choices of the command line, as for :func:`cytomrd.run.settings.read_settings`.

    Raises
    ------
    RunError
        If there is no such folder.
    """

    def __init__(self, folder: Path, out: Path, **overrides):
        check_run_folder(folder)
        self.folder, self.out = folder, out
        self._overrides = overrides
        self._before: dict[Path, Stamp] = {}
        self._now: dict[Path, Stamp] = {}
        self._verdicts: dict[Path, tuple[Stamp, str]] = {}
        self._contents: dict[Path, tuple[Stamp, str]] = {}
        self._had_sheet = False

    def look(self) -> Look:
        """See what is there, and what of it is finished.

        Raises
        ------
        CytomrdError
            If samplesheet or choices cannot be used as they are; a later look may find them mended.
        """
        self._before |= self._now
        self._now = {}
        sheet = self.folder / SAMPLESHEET_NAME
        unsettled = self._unsettled([sheet, self.folder / SETTINGS_NAME])
        if self._had_sheet and not sheet.exists():
            unsettled[SAMPLESHEET_NAME] = (GONE,)
        if not self._before:
            return Look()
        if unsettled:
            return Look(waiting=unsettled, moved=self._moved)
        settings = read_settings(self.folder, **self._overrides)
        rows, notes = list_rows(self.folder, exclude=self.out, missing_ok=True)
        self._had_sheet = sheet.exists()
        names = {settings.spillover, *(row.panel for row in rows)} - {None, ""}
        ours = sorted(path for name in names if (path := self.folder / name).is_file())
        if unsettled := self._unsettled(ours):
            return Look(waiting=unsettled, moved=self._moved)
        waiting = self._waiting(rows)
        ready = tuple(row for row in rows if row.sample_id not in waiting)
        gated = [self.folder / row.file for row in ready if row.role not in SKIPPED_ROLES]
        stamps = {(path.as_posix(), self._stamp(path)) for path in (sheet, self.folder / SETTINGS_NAME, *ours, *gated)}
        state = frozenset({repr(settings), *map(repr, ready), *stamps})
        return Look(ready, notes, waiting, settings, state, self._moved)

    def plan(self, look: Look) -> RunPlan:
        """The plan of what is finished; what is not is among its notes."""
        notes = [f"not gated when these results were written: {w}" for w in unfinished(look.waiting)]
        return plan_rows(self.folder, look.rows, [*look.notes, *notes], strict=look.settings.strict)

    def content_of(self, path: Path) -> str:
        """SHA-256 of a file, which is read again only where a look found it changed."""
        stamp = self._stamp(path)
        known = self._contents.get(path)
        if known is None or known[0] != stamp:
            known = self._contents[path] = (stamp, content_of(path))
        return known[1]

    @property
    def _moved(self) -> bool:
        return any(self._before.get(path) != stamp for path, stamp in self._now.items())

    def _stamp(self, path: Path) -> Stamp:
        if path not in self._now:
            self._now[path] = _stamp(path)
        return self._now[path]

    def _is_settled(self, path: Path) -> bool:
        return self._stamp(path) == self._before.get(path)

    def _unsettled(self, paths: Iterable[Path]) -> dict[str, tuple[str, ...]]:
        """What changed since the look before of what belongs to the whole run."""
        return {p.relative_to(self.folder).as_posix(): (self._change(p),) for p in paths if not self._is_settled(p)}

    def _change(self, path: Path) -> str:
        there = not isinstance(self._stamp(path), str)
        return GONE if not there else CHANGED if path in self._before else NEW

    def _waiting(self, rows: Sequence[SampleRow]) -> dict[str, tuple[str, ...]]:
        gated = [row for row in rows if row.role not in SKIPPED_ROLES]
        reasons = {row.file: reason for row in gated if (reason := self._reason(self.folder / row.file))}
        late = [row for row in gated if row.file in reasons]
        waiting: dict[str, list[str]] = {}
        for row in late:
            waiting.setdefault(row.sample_id, []).append(f"{row.file} {reasons[row.file]}")
        panels = self._car_panels({row.panel for row in late})
        controls = [row for row in late if row.panel in panels]
        for row in gated if controls else ():
            others = [c for c in controls if c.panel == row.panel and c.sample_id != row.sample_id]
            for words in (f"its control {c.file} {reasons[c.file]}" for c in others if is_control_of(c, row)):
                if words not in waiting.setdefault(row.sample_id, []):
                    waiting[row.sample_id].append(words)
        return {sample_id: tuple(words) for sample_id, words in waiting.items()}

    def _car_panels(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if name and read_panel(name, folder=self.folder).assay == "car_nk"}

    def _reason(self, path: Path) -> str:
        """Why a file is not finished, in words; nothing of one that is."""
        stamp = self._stamp(path)
        if isinstance(stamp, str):
            known = path in self._verdicts
            return f"cannot be read: {stamp}" if path.exists() else GONE if known else NOT_THERE
        if not self._is_settled(path):
            return self._change(path)
        known = self._verdicts.get(path)
        if known is None or known[0] != stamp:
            known = self._verdicts[path] = (stamp, _not_whole(path))
        return known[1]


def unfinished(waiting: Mapping[str, Sequence[str]]) -> list[str]:
    """``BM (BM_2.fcs is not there yet)``, for each sample that is waited for."""
    return [f"{sample_id} ({'; '.join(reasons)})" for sample_id, reasons in waiting.items()]


def _stamp(path: Path) -> Stamp:
    """The file is opened: of one that is not, network file systems tell what they remember.

    Its place on the disk is not part of it, since on some of them that differs between two looks.
    """
    try:
        with ByteSource(path) as source:
            return (source.size, source.fingerprint[-1])
    except FcsError as error:
        return str(error)


def _not_whole(path: Path) -> str:
    """What a file lacks that has stopped growing: a part of it, its events, or their content."""
    try:
        dataset = open_fcs(path)
        structure = dataset.structure
        if not dataset.n_events:
            return "has no events yet"
        size = structure.layout.row_bytes
        with ByteSource(path) as source:
            end = structure.header.base + structure.data.begin + size * dataset.n_events
            last = source.read(end - size, size)
    except CytomrdError as error:
        return f"is not whole: {error.args[0]}"
    # Some programs set the space aside first and fill it then.
    return "is not whole: its last event is all zeros" if size and not any(last) else ""
