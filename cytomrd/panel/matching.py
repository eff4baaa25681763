"""Which channel of a file carries which marker of a panel.

``$PnS`` is asked first, then ``$PnN``, then the detectors that the panel names.
Two channels for one marker are refused: a guess here would move every number
behind it without a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cytomrd.errors import PanelError
from cytomrd.panel.model import ChannelSpec, Panel, TubeSpec
from cytomrd.panel.names import canonical, compact, is_decoration, name_fits, pulse_of, scatter_signal

__all__ = ["ChannelMatch", "match_channels", "recognise_panel"]

_NOT_STAINED = ("scatter", "time")
_TIME = re.compile(r"(?:hdr )?(?:time|tm|t)(?: \d+(?: \d+)? (?:sec|ms|s))?")


@dataclass(frozen=True)
class ChannelMatch:
    """The channels of a file as a tube of a panel sees them.

    Attributes
    ----------
    detector_of
        Marker to detector (``$PnN``), in the panel's order.
    notes
        How each marker was found, one line each, and what was left aside.
    missing
        Markers that the tube requires and the file lacks; ``"CD38 or CD138"`` for a group.
    absent
        Markers that the tube may carry (``required = false``) and the file lacks.
    present
        What the file has, as ``"marker (detector)"``.
    """

    detector_of: Mapping[str, str]
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    present: tuple[str, ...] = field(default=(), repr=False)

    def require(self, what: str = "the panel") -> ChannelMatch:
        """This match, if nothing that the tube requires is missing.

        Raises
        ------
        PanelError
            Listing what is missing and what the file has.
        """
        if self.missing:
            raise PanelError(
                f"{what} needs {', '.join(self.missing)}, which the file lacks; it has {', '.join(self.present)}. "
                "Choose the panel that was stained, or add the label of this file as an alias of the marker"
            )
        return self


@dataclass(frozen=True)
class _Column:
    """One channel of the file: its position, ``$PnN`` and ``$PnS``."""

    index: int
    detector: str
    marker: str

    def __str__(self) -> str:
        marker = self.marker.strip()
        return f"{marker} ({self.detector})" if marker and marker != self.detector else self.detector


def match_channels(tube: TubeSpec, detectors: Sequence[str], markers: Sequence[str]) -> ChannelMatch:
    """Find the channel of each marker of a tube.

    Parameters
    ----------
    tube
        The tube as the panel defines it.
    detectors, markers
        ``$PnN`` and ``$PnS`` of the file's channels, in order and of equal length; an absent ``$PnS`` is ``""``.

    Returns
    -------
    ChannelMatch
        ``missing`` is not an error yet: ``.require()`` makes it one.

    Raises
    ------
    PanelError
        If two channels could be the same marker, or one channel two markers.

    Examples
    --------
    >>> from cytomrd.panel.matching import match_channels
    >>> from cytomrd.panel.library import read_panel
    >>> tube = read_panel("tbnk").tube("1")
    >>> match = match_channels(tube, ["FSC-A", "SSC-A", "FL1-A"], ["", "", "CD3 FITC"])
    >>> match.detector_of["CD3"], match.missing
    ('FL1-A', ('CD16/CD56', 'CD45', 'CD4', 'CD19', 'CD8'))
    """
    if len(detectors) != len(markers):
        raise PanelError(f"{len(detectors)} detectors but {len(markers)} markers; give one of each per channel")
    columns = _columns(detectors, markers)
    notes: list[str] = []
    found = _match_scatter([c for c in tube.channels if c.role == "scatter"], columns, notes)
    for channel in tube.channels:
        clock = _match_time(channel, columns, notes) if channel.role == "time" else None
        if clock is not None:
            found[channel.marker] = clock
    left = [c for c in columns if c not in set(found.values()) and _scatter_of(c) is None]
    found |= _match_stained([c for c in tube.channels if c.role not in _NOT_STAINED], left, notes)
    _refuse_doubles(found, columns)
    return _result(tube, found, columns, notes)


def _columns(detectors: Sequence[str], markers: Sequence[str]) -> list[_Column]:
    return [_Column(i, d, m or "") for i, (d, m) in enumerate(zip(detectors, markers, strict=True))]


def _result(tube: TubeSpec, found: Mapping[str, _Column], columns: Sequence[_Column], notes: list[str]) -> ChannelMatch:
    missing = [c.marker for c in tube.channels if c.required and c.marker not in found]
    missing += [" or ".join(group) for group in tube.one_of if not any(m in found for m in group)]
    used = set(found.values())
    unused = [
        str(c) for c in columns if c not in used and not is_decoration(c.marker) and scatter_signal(c.marker) is None
    ]
    unused = [u for u in unused if _TIME.fullmatch(canonical(u.split(" (")[0])) is None]
    if unused:
        notes.append(f"not used by the panel: {', '.join(unused)}")
    return ChannelMatch(
        detector_of={c.marker: found[c.marker].detector for c in tube.channels if c.marker in found},
        notes=tuple(notes),
        missing=tuple(missing),
        absent=tuple(c.marker for c in tube.channels if not c.required and c.marker not in found),
        present=tuple(str(c) for c in columns),
    )


def _refuse_doubles(found: Mapping[str, _Column], columns: Sequence[_Column]) -> None:
    by_column: dict[_Column, list[str]] = {}
    for marker, column in found.items():
        by_column.setdefault(column, []).append(marker)
        same = [c for c in columns if c.detector == column.detector]
        if len(same) > 1:
            raise PanelError(
                f"{marker}: the file has {len(same)} channels called {column.detector!r}, so it is unclear which "
                "one is meant; $PnN must differ"
            )
    for column, markers in by_column.items():
        if len(markers) > 1:
            named = " and ".join(markers)
            raise PanelError(f"the channel {column} fits {named}; rename it, or take the alias out of the panel")


# ---------------------------------------------------------------- fluorescence


def _match_stained(channels: Sequence[ChannelSpec], left: list[_Column], notes: list[str]) -> dict[str, _Column]:
    """``$PnS`` of all channels first, then ``$PnN``, then the detectors that the panel names."""
    found: dict[str, _Column] = {}
    for stage in ("$PnS", "$PnN", "detector"):
        waiting = [c for c in channels if c.marker not in found]
        for channel in waiting:
            best = _choose(channel, _candidates(channel, left, stage), notes)
            if best is not None:
                found[channel.marker] = best
                label = best.marker if stage == "$PnS" else best.detector
                notes.append(f"{channel.marker} is {best.detector}, by {stage} {label!r}")
        left = [c for c in left if c not in set(found.values())]
    return found


def _candidates(channel: ChannelSpec, columns: Iterable[_Column], stage: str) -> list[tuple[int, _Column]]:
    """Columns that may be this marker, each with how well: 3 its own name alone, 2 an alias, 1 decorated."""
    hits = []
    for column in columns:
        if stage == "detector":
            fits = any(_same_detector(d, column.detector) for d in channel.detectors)
            rank = 3 if fits and _says_nothing(column) else 0
        else:
            rank = _rank(channel, column.marker if stage == "$PnS" else column.detector, column)
            if stage == "$PnN" and not _says_nothing(column):
                rank = 0  # $PnS names something else, and it is the label that people wrote
        if rank:
            hits.append((rank, column))
    return hits


def _rank(channel: ChannelSpec, label: str, column: _Column) -> int:
    decorations = (channel.fluorochrome, channel.clone, channel.lot, *channel.detectors)
    if label != column.detector:
        decorations = (*decorations, column.detector)
    own = name_fits(channel.marker, label, decorations)
    if own:
        return own + 1
    return 1 if any(name_fits(a, label, decorations) for a in channel.aliases) else 0


def _says_nothing(column: _Column) -> bool:
    """Whether ``$PnS`` names no marker: absent, a fluorochrome, or a copy of ``$PnN``."""
    return is_decoration(column.marker) or canonical(column.marker) == canonical(column.detector)


def _same_detector(named: str, detector: str) -> bool:
    if canonical(named) == canonical(detector):
        return True
    base, pulse, _ = pulse_of(detector)
    return pulse in ("", "A", "H") and canonical(named) == base


def _choose(channel: ChannelSpec, hits: list[tuple[int, _Column]], notes: list[str]) -> _Column | None:
    """The one channel meant: the marker's own name before an alias, area before height, never width."""
    if not hits:
        return None
    # The bare and the decorated name are equally the marker's own; an alias yields to both.
    own = [c for rank, c in hits if rank > 1]
    columns = own or [c for _, c in hits]
    aside = [c for _, c in hits if c not in columns]
    if aside:
        listed = ", ".join(map(str, aside))
        notes.append(f"{channel.marker}: {listed} left aside, an alias beside the marker's own name")
    measures = {c: pulse_of(c.detector) for c in columns}
    usable = [c for c in columns if measures[c][1] != "W"]
    if len({measures[c][0] for c in usable}) > 1:
        named = [c for c in usable if any(_same_detector(d, c.detector) for d in channel.detectors)]
        usable = named if len({measures[c][0] for c in named}) == 1 else usable
    if not usable:
        return None
    usable.sort(key=lambda c: (("A", "", "H").index(measures[c][1]), ("", "lin", "log").index(measures[c][2]), c.index))
    bases = {measures[c][0] for c in usable}
    if len(bases) > 1 or (len(usable) > 1 and measures[usable[0]] == measures[usable[1]]):
        listed = " and ".join(str(c) for c in sorted(usable, key=lambda c: c.index))
        raise PanelError(
            f"{channel.marker}: {len(usable)} channels could be it: {listed}; correct the wrong label, or name the "
            f"right one in the panel: detectors = [{usable[0].detector!r}]"
        )
    if len(columns) > 1:
        notes.append(f"{channel.marker}: {usable[0].detector} taken of {', '.join(c.detector for c in columns)}")
    return usable[0]


# ---------------------------------------------------------------- scatter and time


def _scatter_of(column: _Column) -> tuple[str, str, str, str] | None:
    """As :func:`_signal_of`, from both labels of a channel: what one leaves open the other may say."""
    by_marker, by_detector = scatter_signal(column.marker), scatter_signal(column.detector)
    if by_marker is None and (not _says_nothing(column) or by_detector is None):
        return None
    if by_marker is None or by_detector is None:
        return by_marker or by_detector
    return tuple(m or d for m, d in zip(by_marker, by_detector, strict=True))


def _match_scatter(channels: Sequence[ChannelSpec], columns: Sequence[_Column], notes: list[str]) -> dict[str, _Column]:
    """Scatter in any mix of area, height and width: an area that is not there is taken from the height."""
    found = {c.marker: column for c in channels if (column := _named_scatter(c, columns)) is not None}
    measures = {c: s for c in columns if (s := _scatter_of(c)) is not None and c not in set(found.values())}
    signal_of = {c.marker: scatter_signal(c.marker) for c in channels if c.marker not in found}
    signal_of = {marker: signal for marker, signal in signal_of.items() if signal is not None}
    for marker, (signal, pulse, *_) in signal_of.items():
        column = _pick_scatter(marker, (signal, pulse), measures, notes)
        if column is not None:
            found[marker] = column
    for marker, (signal, pulse, *_) in signal_of.items():
        if marker in found or pulse != "A":
            continue
        tried = (_pick_scatter(marker, (signal, other), measures, notes) for other in ("", "H"))
        column = next((c for c in tried if c is not None), None)
        if column is not None:
            found = {m: c for m, c in found.items() if c != column}  # one channel cannot be both area and height
            found[marker] = column
            notes.append(f"{marker} is taken from {column.detector}: the file has no area of it")
    notes.extend(f"{c.marker} is {found[c.marker].detector}" for c in channels if c.marker in found)
    return found


def _named_scatter(channel: ChannelSpec, columns: Sequence[_Column]) -> _Column | None:
    """The one channel that the panel names by a detector, else by an alias."""
    for names in (channel.detectors, channel.aliases):
        wanted = {compact(name) for name in names}
        hits = [c for c in columns if compact(c.detector) in wanted]
        hits = hits or [c for c in columns if names is channel.aliases and compact(c.marker) in wanted]
        if len(hits) == 1:
            return hits[0]
    return None


def _pick_scatter(
    marker: str, wanted: tuple[str, str], measures: Mapping[_Column, tuple[str, str, str, str]], notes: list[str]
) -> _Column | None:
    """One of several channels of the same scatter signal: linear before log, plain or 488 nm before other lasers."""
    columns = [c for c, measure in measures.items() if measure[:2] == wanted]
    if not columns:
        return None

    def preference(column: _Column) -> tuple[int, int]:
        _, _, scale, laser = measures[column]
        return (0 if laser == "" else 1 if laser in ("488", "b") else 2, ("", "lin", "log").index(scale))

    columns = sorted(columns, key=lambda c: (preference(c), c.index))
    if len(columns) > 1 and preference(columns[0]) == preference(columns[1]):
        raise PanelError(f"{marker}: {columns[0]} and {columns[1]} could both be it; correct $PnN or $PnS")
    if len(columns) > 1:
        notes.append(f"{marker}: {columns[0].detector} taken of {', '.join(c.detector for c in columns)}")
    return columns[0]


def _match_time(channel: ChannelSpec, columns: Sequence[_Column], notes: list[str]) -> _Column | None:
    names = {canonical(n) for n in (channel.marker, *channel.aliases, *channel.detectors)}
    labelled = [c for c in columns if _TIME.fullmatch(canonical(c.detector)) or canonical(c.detector) in names]
    labelled += [c for c in columns if c not in labelled and _TIME.fullmatch(canonical(c.marker))]
    plain = [c for c in labelled if _says_nothing(c) or _TIME.fullmatch(canonical(c.marker))]
    if len(plain) == 1:
        notes.append(f"{channel.marker} is {plain[0].detector}")
        return plain[0]
    if labelled:
        listed = ", ".join(map(str, labelled))
        notes.append(f"{channel.marker}: {listed} is not one clock that runs on; time is not used")
    return None


# ---------------------------------------------------------------- which panel


def recognise_panel(
    panels: Iterable[Panel], detectors: Sequence[str], markers: Sequence[str]
) -> tuple[Panel, TubeSpec, ChannelMatch]:
    """The panel and tube that a file was stained with, where its markers leave no doubt.

    A tube fits when the file carries all that it requires; of several that fit, the one
    that explains the most channels wins.

    Parameters
    ----------
    panels
        The panels to choose from.
    detectors, markers
        ``$PnN`` and ``$PnS`` of the file's channels.

    Raises
    ------
    PanelError
        If none fits, or two fit equally well; the message lists what the file has.

    Examples
    --------
    >>> from cytomrd.panel.matching import recognise_panel
    >>> from cytomrd.panel.library import list_panels, read_panel
    >>> labels = ["CD3", "CD16+CD56", "CD45", "CD4", "CD19", "CD8"]
    >>> detectors = ["FSC-A", "SSC-A", *(f"FL{i}-A" for i in range(1, 7))]
    >>> panel, tube, match = recognise_panel(map(read_panel, list_panels()), detectors, ["", "", *labels])
    >>> panel.id, tube.id
    ('tbnk', '1')
    """
    fits: list[tuple[int, Panel, TubeSpec, ChannelMatch]] = []
    short: list[tuple[int, str]] = []
    for panel in panels:
        for tube in panel.tubes:
            name = f"panel {panel.id}, tube {tube.id}"
            try:
                match = match_channels(tube, detectors, markers)
            except PanelError as error:
                short.append((0, f"{name}: {error}"))
                continue
            stained = sum(c.role not in _NOT_STAINED and c.marker in match.detector_of for c in tube.channels)
            if match.missing:
                short.append((len(match.missing), f"{name} lacks {', '.join(match.missing)}"))
            else:
                fits.append((stained, panel, tube, match))
    has = ", ".join(map(str, _columns(detectors, markers)))
    if not fits:
        raise _nothing_fits(short, has)
    best = max(stained for stained, *_ in fits)
    leaders = [f for f in fits if f[0] == best]
    if len(leaders) > 1:
        named = " and ".join(f"{panel.id} tube {tube.id}" for _, panel, tube, _ in leaders)
        raise PanelError(f"the file fits {named} equally well; it has {has}. Name panel and tube in the samplesheet")
    return leaders[0][1:]


def _nothing_fits(short: list[tuple[int, str]], has: str) -> PanelError:
    """The error for a file that fits no panel; ``short`` says of each tube how much it lacks, and what."""
    nearest = "; ".join(reason for _, reason in sorted(short, key=lambda s: s[0])[:3])
    return PanelError(
        f"no panel fits the file; it has {has}. Nearest: {nearest or 'no panel was given'}. "
        "Name panel and tube in the samplesheet, or write a panel for this tube"
    )
