"""Panels: what a tube's channels mean, how populations follow from each other, and the assay's limits.

A panel is a TOML file that a lab can write without touching Python. This module
declares its fields; reading one checks every field and every reference.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cytomrd.errors import PanelError
from cytomrd.panel.checks import DEFAULT_BOUNDS, ROOT, PanelInconsistency, find_problems, parse_phenotype

__all__ = [
    "AntigenSpec",
    "BooleanSpec",
    "CarNkSpec",
    "CellsSpec",
    "ChannelSpec",
    "CutSpec",
    "EllipseSpec",
    "HemodilutionSpec",
    "MrdSpec",
    "Panel",
    "PhenotypeSpec",
    "PolygonSpec",
    "PopulationSpec",
    "QcSpec",
    "RangeSpec",
    "Reference",
    "SingletsSpec",
    "TherapySpec",
    "TimeSpec",
    "TransformSpec",
    "TubeSpec",
    "parse_phenotype",
]

Fraction = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Interval = tuple[Finite, Finite]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reference(_Spec):
    """A source: a citation and, where there is one, its DOI."""

    text: str
    doi: str | None = None


class TransformSpec(_Spec):
    """The scale of a channel. A parameter left out is taken from the file (T from ``$PnR``, W from the data)."""

    kind: Literal["logicle", "hyperlog", "asinh", "linear", "log"] = "logicle"
    T: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    W: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    M: float = Field(default=4.5, gt=0, allow_inf_nan=False)
    A: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class ChannelSpec(_Spec):
    """One channel of a tube.

    ``marker`` is the name by which gates refer to it (``"CD38"``, ``"FSC-A"``, ``"Time"``);
    a file's ``$PnS`` is matched against it and its ``aliases``, then ``$PnN`` against ``detectors``.
    """

    marker: str
    aliases: tuple[str, ...] = ()
    fluorochrome: str = ""
    clone: str = ""
    lot: str = ""
    detectors: tuple[str, ...] = ()
    location: Literal["surface", "cytoplasmic", "none"] = "surface"
    role: Literal["gate", "aberrancy", "light_chain", "viability", "car", "bead", "scatter", "time"] = "gate"
    transform: TransformSpec | None = None
    required: bool = True
    target_median: Finite | None = None

    @property
    def scale(self) -> TransformSpec:
        """The transform as given, else linear for scatter and time and logicle for fluorescence."""
        return self.transform or TransformSpec(kind="linear" if self.role in ("scatter", "time") else "logicle")


class TubeSpec(_Spec):
    """One tube: its id in the samplesheet, and its channels.

    ``one_of`` lists groups of markers of which a file must have at least one, such as
    ``[["CD38", "CD138"]]``; each of them is ``required = false`` by itself.
    """

    id: str
    title: str = ""
    channels: tuple[ChannelSpec, ...] = Field(min_length=1)
    one_of: tuple[tuple[str, ...], ...] = ()

    def channel(self, marker: str) -> ChannelSpec | None:
        """The channel of that marker, or None."""
        return next((c for c in self.channels if c.marker == marker), None)


class CutSpec(_Spec):
    """Where negative ends and positive begins on one marker, found once and used by many populations.

    Methods: ``valley`` (lowest density between two peaks), ``tail`` (``width`` robust SDs beyond the
    main peak, on ``side``), ``quantile`` (of the population ``on``), ``control`` (``quantile`` of the
    population in the control sample, or ``width`` robust SDs above its main peak where that is nearer), ``fixed``
    (``value``). ``bounds`` and ``value`` are on the transformed scale, 0 to 1. ``fallback`` says what to do without
    evidence, with ``value`` (where given) as the last resort; ``none`` is no call. ``mixture`` is the place where a
    second population outweighs the flank of the main peak, else the tail: it keeps cells that the tail would lose, at
    the price of strangers where other cells make up the second population. ``negatives`` names a population above
    whose main peak is negative: where the events of ``on`` lie beyond its tail, they are the positives, and the cut is
    that tail. ``one_kind`` says that ``on`` holds cells of one kind, so that a tail is measured from their main peak
    wherever it lies, and never from a valley between other cells. ``borrow = false`` forbids that a cut with weak
    evidence is drawn to where the other samples of the run have it.
    """

    name: str
    marker: str
    on: str
    method: Literal["valley", "tail", "quantile", "control", "fixed"] = "valley"
    bounds: Interval = DEFAULT_BOUNDS
    side: Literal["upper", "lower"] = "upper"
    width: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    quantile: Fraction = 0.999
    value: Finite | None = None
    fallback: Literal["tail", "mixture", "quantile", "fixed", "none"] = "tail"
    negatives: str | None = None
    min_events: int = Field(default=50, ge=1)
    one_kind: bool = False
    borrow: bool = True
    description: str = ""


class SingletsSpec(_Spec):
    """A band along the ridge of two pulse measures of one scatter signal; doublets lie off it."""

    kind: Literal["singlets"]
    channels: tuple[str, str]
    width: float = Field(default=4.0, gt=0, allow_inf_nan=False)


class CellsSpec(_Spec):
    """Events beyond debris on forward and side scatter together.

    The boundary is a valley of both. ``bounds`` and ``value``, which is used where there is no valley, are multiples of
    the forward scatter of lymphocytes. ``leukocytes`` names a cut, such as one on CD45 found on the parent: its
    brightest events are the lymphocytes, and its positive ones tell how many of the cells are sure.
    """

    kind: Literal["cells"]
    channels: tuple[str, str]
    leukocytes: str | None = None
    bounds: Interval = (0.12, 0.75)
    value: float = Field(default=0.30, gt=0, allow_inf_nan=False)


class TimeSpec(_Spec):
    """Stretches of steady acquisition; what drifts, clogs or bursts is left out."""

    kind: Literal["time"]


class PhenotypeSpec(_Spec):
    """Signs on cuts: ``"CD3- CD19- CD56+"``. A sign is the last character of each word."""

    kind: Literal["phenotype"]
    phenotype: str


class RangeSpec(_Spec):
    """A fixed interval on one channel's transformed scale."""

    kind: Literal["range"]
    channel: str
    minimum: Finite | None = None
    maximum: Finite | None = None


class PolygonSpec(_Spec):
    """A fixed polygon on two channels' transformed scales."""

    kind: Literal["polygon"]
    channels: tuple[str, str]
    vertices: tuple[tuple[Finite, Finite], ...] = Field(min_length=3)


class EllipseSpec(_Spec):
    """A fitted ellipse that holds ``coverage`` of the main cluster on two channels.

    A cluster whose SD is above ``max_sd`` on either channel (transformed scale) is not what the panel seeks, and
    leaves the population out: counting beads are far tighter than cells.
    """

    kind: Literal["ellipse"]
    channels: tuple[str, str]
    coverage: Fraction = 0.99
    max_sd: float | None = Field(default=None, gt=0)


class BooleanSpec(_Spec):
    """``and``, ``or`` or ``not`` of other populations; a leading ``!`` is the complement."""

    kind: Literal["boolean"]
    operator: Literal["and", "or", "not"]
    of: tuple[str, ...] = Field(min_length=1)


GateSpec = Annotated[
    SingletsSpec | CellsSpec | TimeSpec | PhenotypeSpec | RangeSpec | PolygonSpec | EllipseSpec | BooleanSpec,
    Field(discriminator="kind"),
]


class PopulationSpec(_Spec):
    """A population, its parent, its gate, and the two axes on which people look at it.

    ``tubes`` limits it to some tubes. With ``optional`` a population whose channels a file lacks
    passes every event of its parent (singlets on an instrument without FSC-H), and says so.
    """

    name: str
    parent: str = ROOT
    gate: GateSpec
    title: str = ""
    tubes: tuple[str, ...] = ()
    plot: tuple[str, str] | None = None
    optional: bool = False


class AntigenSpec(_Spec):
    """What is normal for an antigen on the cells that are judged, and which departure counts as an aberrancy."""

    marker: str
    normal: Literal["+", "-", "+/-"]
    abnormal: tuple[Literal["reduced", "increased"], ...] = Field(min_length=1)
    normal_fraction_positive: Fraction | None = None
    normal_range: Interval | None = None
    clonal_fraction_positive: Fraction | None = None
    reference: str = ""


class TherapySpec(_Spec):
    """A prior therapy that changes what the panel sees; matched against ``prior_therapy``.

    ``aliases`` are the drugs of that class, as a samplesheet may name them. ``markers`` may name
    markers that no tube carries: the warning holds then too.
    """

    therapy: str
    aliases: tuple[str, ...] = ()
    markers: tuple[str, ...]
    warning: str

    def applies_to(self, prior_therapy: tuple[str, ...]) -> bool:
        """Whether one of a sample's prior therapies is this one, by class or by drug, in any case."""
        given = {t.strip().casefold() for t in prior_therapy}
        return any(name.casefold() in given for name in (self.therapy, *self.aliases))


class HemodilutionSpec(_Spec):
    """Marrow-only populations and the fraction of nucleated cells below which blood is suspected."""

    population: str
    expected_range: Interval
    reference: str = ""


class MrdSpec(_Spec):
    """The MRD assay: which populations are what, the limits, and the rules of the call.

    ``plasma_cells`` names the compartment that is judged, and ``cell`` what one of its cells is called in words:
    another disease has another (B precursors among which leukaemic blasts are sought). Without the two light-chain
    markers in any tube the phenotype decides alone.
    """

    nucleated: str = "nucleated"
    plasma_cells: str = "plasma_cells"
    cell: str = Field(default="plasma cell", min_length=1)
    lod_events: int = Field(default=20, ge=1)
    lloq_events: int = Field(default=50, ge=1)
    evaluable_nucleated: int = Field(default=3_000_000, ge=2_000_000)
    min_light_chain_events: int = Field(default=20, ge=1)
    kappa_lambda_normal: Interval = (0.5, 4.0)
    restriction_posterior: Fraction = 0.99
    kappa_marker: str = "CyIgKappa"
    lambda_marker: str = "CyIgLambda"
    antigens: tuple[AntigenSpec, ...] = ()
    therapies: tuple[TherapySpec, ...] = ()
    hemodilution: tuple[HemodilutionSpec, ...] = ()


class CarNkSpec(_Spec):
    """The CAR+ NK assay: which populations are what, the reagent's usual background, and the limits.

    ``nk_before`` and ``nk_after`` are NK cells that nothing else resembles, before and after myeloma and granulocytes
    are left out: a cut that takes NK cells with them shows there. ``nk_unsure`` holds cells near the NK gate that may
    be NK cells or not; they are not counted, and said where they are many.
    """

    leukocytes: str = "leukocytes"
    nk: str = "nk"
    t_cells: str = "t_cells"
    car_nk: str = "car_nk"
    car_t: str = "car_t"
    nk_before: str | None = None
    nk_after: str | None = None
    nk_unsure: str | None = None
    beads: str | None = "beads"
    car_cut: str = "CAR"
    reagent: str = ""
    usual_background: Interval = (0.0, 0.01)
    reference_background: Fraction | None = None
    lod_events: int = Field(default=20, ge=1)
    lloq_events: int = Field(default=50, ge=1)
    min_nk_events: int = Field(default=10_000, ge=1)
    max_storage_h: float = Field(default=24.0, gt=0)
    max_cbc_age_h: float = Field(default=24.0, gt=0)


class QcSpec(_Spec):
    """Limits beyond which a file is marked for a person to look at."""

    max_time_removed: Fraction = 0.25
    max_doublets: Fraction = 0.40
    max_debris: Fraction = 0.80
    max_spill_condition: float = 1e4
    max_drift: float = 0.10


class Panel(_Spec):
    """A panel as read from TOML. ``sha256`` is the hash of the file's bytes."""

    id: str
    version: str
    title: str = ""
    assay: Literal["mrd", "car_nk", "phenotype"]
    tissues: tuple[Literal["BM", "PB"], ...] = ()
    references: tuple[Reference, ...] = ()
    tubes: tuple[TubeSpec, ...] = Field(min_length=1)
    cuts: tuple[CutSpec, ...] = ()
    populations: tuple[PopulationSpec, ...] = Field(min_length=1)
    mrd: MrdSpec | None = None
    car_nk: CarNkSpec | None = None
    qc: QcSpec = QcSpec()
    source: str = ""
    sha256: str = ""

    def tube(self, tube_id: str) -> TubeSpec:
        """The tube of that id."""
        found = next((t for t in self.tubes if t.id == tube_id), None)
        if found is None:
            raise PanelError(f"panel {self.id} has no tube {tube_id!r}; it has {[t.id for t in self.tubes]}")
        return found

    def populations_of(self, tube_id: str) -> tuple[PopulationSpec, ...]:
        """The populations gated in one tube, in the panel's order."""
        return tuple(p for p in self.populations if not p.tubes or tube_id in p.tubes)

    def cuts_of(self, tube_id: str) -> tuple[CutSpec, ...]:
        """The cuts that can be found in one tube: it carries their marker and gates what they are found on."""
        tube = self.tube(tube_id)
        gated = {ROOT, *(p.name for p in self.populations_of(tube_id))}
        return tuple(c for c in self.cuts if tube.channel(c.marker) is not None and c.on in gated)

    @model_validator(mode="after")
    def _references_hold(self):
        problems = find_problems(self.model_dump())
        if problems:
            raise PanelInconsistency(problems)
        return self
