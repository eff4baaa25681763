"""Channels of files against markers of panels: labels in every spelling, and refusal where two would fit."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import CytomrdError, PanelError
from cytomrd.panel import ChannelSpec, TubeSpec
from cytomrd.panel.library import list_panels, read_panel
from cytomrd.panel.matching import match_channels, recognise_panel
from cytomrd.panel.names import canonical, is_decoration, name_fits

SCATTER = [f"{signal}-{pulse}" for signal in ("FSC", "SSC") for pulse in "AHW"]
EUROFLOW_2 = {
    "CD138": "BV421",
    "CD27": "BV510",
    "CD38": "FITC",
    "CD56": "PE",
    "CD45": "PerCP-Cy5.5",
    "CD19": "PE-Cy7",
    "CyIgKappa": "APC",
    "CyIgLambda": "APC-C750",
}
DETECTORS = ["V450-A", "V500-A", "B530-A", "B585-A", "B695-A", "B780-A", "R660-A", "R780-A"]


def tube_of(*channels: ChannelSpec | str) -> TubeSpec:
    specs = [ChannelSpec(marker=c) if isinstance(c, str) else c for c in channels]
    return TubeSpec(id="1", channels=tuple(specs))


def scatter_tube() -> TubeSpec:
    clock = ChannelSpec(marker="Time", role="time", required=False)
    return tube_of(clock, *(ChannelSpec(marker=m, role="scatter", required=False) for m in SCATTER))


def found(tube: TubeSpec, *labels: tuple[str, str]) -> dict[str, str]:
    return dict(match_channels(tube, [d for d, _ in labels], [m for _, m in labels]).detector_of)


@pytest.mark.parametrize(
    "label",
    [
        "CD38", "cd38", "CD 38", "CD-38", "cd_38", " CD38 ", "CD38 FITC", "FITC CD38", "CD38-FITC", "FITC-CD38",
        "CD38-FITC-A", "CD38 FITC-H", "FITC-A :: CD38", "CD38FITC", "CD38:FITC", "CD38 (FITC)", "CD38 BV421",
        "CD38 PerCP-Cy5.5", "PerCP-Cy5-5 CD38", "CD38 PE-Cy7-A", "CD38 APC-H7", "CD38 Alexa Fluor 700",
        "CD38 Pacific Blue", "CD38-PC5.5", "CD38 KrO", "167-CD38", "CD38_167Er", "CD38(Er167)Di", "BUV395 CD38",
    ],
)  # fmt: skip
def test_label_is_cd38(label):
    assert name_fits("CD38", label)
    assert found(tube_of("CD38"), ("X1-A", label)) == {"CD38": "X1-A"}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("CD38", "CD3"), ("CD3", "CD38"), ("CD38", "CD138"), ("CD3", "CD3 8"), ("CD38", "CD3 8"), ("CD38", "CD3/8"),
        ("CD45", "CD45RA"), ("CD45", "CD45RO APC"), ("CD16", "CD16+56"), ("CD16", "CD16/CD56"), ("CD19", "CD14+CD19"),
        ("CD8", "CD8 B PE"), ("CD38", "CD38 CD56"), ("CD138", "CD138 CD117"), ("CD11", "CD11a"), ("CD3", "CD37AAD"),
        ("CD38", "FITC"), ("CD38", ""), ("CD38", "anti-CD38 therapy"), ("CAR", "CARD11"), ("Lambda", "CyIgLambdaX"),
    ],
)  # fmt: skip
def test_label_is_something_else(name, label):
    assert name_fits(name, label) == 0
    assert match_channels(tube_of(name), ["X1-A"], [label]).missing == (name,)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 371), st.integers(1, 371), st.sampled_from(["", " ", "-", "_", "/", "."]), st.data())
def test_a_cd_number_never_matches_another(a, b, gap, data):
    fluorochrome = data.draw(st.sampled_from(["", "FITC", "PE", "BV421", "7-AAD", "PerCP-Cy5.5", "V450"]))
    words = [f"CD{gap}{b}", fluorochrome]
    label = " ".join(data.draw(st.permutations(words))).swapcase()
    assert bool(name_fits(f"CD{a}", label)) == (a == b)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_a_label(name, label):
    """Labels come from files of strangers: whatever they hold, comparing them ends, and is the same each way round."""
    assert name_fits(name, label) in (0, 1, 2)
    assert is_decoration(label) in (True, False)
    assert (name_fits(name, label) == 2) >= (canonical(name) == canonical(label) != "")


def test_a_hostile_label_does_not_stall():
    start = time.perf_counter()
    for label in ("pe cy7 " * 5000 + "!x", "pe cy7 " * 13 + "q CD38", "apc " * 24 + "CD38 q", "CD38 " * 3000):
        assert name_fits("CD38", label) == 0
        is_decoration(label)
    assert time.perf_counter() - start < 2


def test_panel_words_may_decorate():
    channel = ChannelSpec(marker="CD38", fluorochrome="NewDye 99", clone="HIT2", lot="B7")
    for label in ("CD38 HIT2", "NewDye99 CD38", "HIT2 CD38 FITC B7", "CD38 FITC HIT2"):
        expected = {"CD38": "X"} if label != "NewDye99 CD38" else {}
        assert found(tube_of(channel), ("X", label)) == expected, label
    assert found(tube_of(channel), ("X", "NewDye 99 CD38")) == {"CD38": "X"}
    assert found(tube_of("CD38"), ("X", "CD38 HIT2")) == {}


@pytest.mark.parametrize("form", ["{m}", "{m} {f}", "{f} {m}", "{m}-{f}-A", "{f}-A :: {m}"])
@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_euroflow_tube_2_in_every_spelling(form, case):
    tube = read_panel("euroflow-mm-mrd").tube("2")
    labels = ["", "", "", "", *(case(form.format(m=m, f=f)) for m, f in EUROFLOW_2.items())]
    match = match_channels(tube, ["Time", "FSC-A", "FSC-H", "SSC-A", *DETECTORS], labels).require()
    assert [match.detector_of[m] for m in EUROFLOW_2] == DETECTORS
    assert match.absent == ()
    assert all(any(n.startswith(f"{m} is {d}") for n in match.notes) for m, d in match.detector_of.items())


@pytest.mark.parametrize(
    ("marker", "labels"),
    [
        ("CyIgKappa", ["CyIgKappa", "cyIgK", "CyKappa", "Kappa", "Cy Ig κ", "cKappa APC"]),
        ("CyIgLambda", ["CyIgLambda", "cyIgL", "CyLambda", "Lambda", "λ"]),
    ],
)
def test_light_chain_aliases(marker, labels):
    spec = read_panel("euroflow-mm-mrd").tube("2").channel(marker)
    for label in labels:
        assert found(tube_of(spec), ("R660-A", label)) == {marker: "R660-A"}


@pytest.mark.parametrize(
    ("marker", "labels"),
    [
        ("CD14/CD19", ["CD14+CD19", "CD14/CD19", "Dump", "dump FITC", "CD19 CD14"]),
        ("Viability", ["Viability", "Live/Dead", "LIVE-DEAD", "FVS780", "Viability FVS780", "L/D"]),
        ("CAR", ["CAR", "BCMA-CAR", "CAR PE", "anti-BCMA CAR"]),
    ],
)
def test_car_nk_aliases(marker, labels):
    spec = read_panel("car-nk-bcma").tube("1").channel(marker)
    for label in labels:
        assert found(tube_of(spec), ("X-A", label)) == {marker: "X-A"}


def test_two_channels_for_one_marker_are_refused_and_both_named():
    with pytest.raises(PanelError, match=r"CD38 FITC \(B530-A\) and CD38 \(R660-A\)"):
        match_channels(tube_of("CD38"), ["B530-A", "R660-A"], ["CD38 FITC", "CD38"])


def test_the_panel_can_name_the_detector_of_two():
    channel = ChannelSpec(marker="CD3", detectors=("Cd(110,111,112,114)",))
    labels = [("Cd(113.903)-Dual", "114-CD3"), ("Cd(110,111,112,114)", "110_114-CD3")]
    assert found(tube_of(channel), *labels) == {"CD3": "Cd(110,111,112,114)"}


def test_one_channel_for_two_markers_is_refused():
    other = ChannelSpec(marker="IgKappa", aliases=("KappaLight",))
    with pytest.raises(PanelError, match="fits CyIgKappa and IgKappa"):
        match_channels(
            tube_of(ChannelSpec(marker="CyIgKappa", aliases=("Kappa Light",)), other), ["X-A"], ["Kappa Light APC"]
        )


def test_own_name_goes_before_an_alias():
    spec = read_panel("euroflow-mm-mrd").tube("2").channel("CyIgKappa")
    match = match_channels(tube_of(spec), ["A1-A", "A2-A"], ["Kappa", "CyIgKappa APC"])
    assert match.detector_of == {"CyIgKappa": "A2-A"}
    assert any("Kappa (A1-A) left aside" in note for note in match.notes)


def test_area_before_height_and_never_width():
    labels = [("B530-H", "CD38"), ("B530-A", "CD38"), ("B530-W", "CD38")]
    assert found(tube_of("CD38"), *labels) == {"CD38": "B530-A"}
    assert found(tube_of("CD38"), labels[0], labels[2]) == {"CD38": "B530-H"}
    assert found(tube_of("CD38"), labels[2]) == {}


def test_pns_is_asked_before_pnn_and_detectors_last():
    channel = ChannelSpec(marker="CD38", detectors=("FITC",))
    assert found(tube_of(channel), ("CD38-A", ""), ("B-A", "CD38")) == {"CD38": "B-A"}
    assert found(tube_of(channel), ("FITC-A", ""), ("CD38-A", "")) == {"CD38": "CD38-A"}
    assert found(tube_of(channel), ("FITC-A", "")) == {"CD38": "FITC-A"}
    assert found(tube_of(channel), ("FITC-A", "FITC-A")) == {"CD38": "FITC-A"}
    # A label that names another marker is believed: this detector was stained with CD20.
    assert found(tube_of(channel), ("FITC-A", "CD20")) == {}
    assert found(tube_of(channel), ("CD38-A", "CD20")) == {}


def test_missing_markers_are_listed_with_what_was_there():
    tube = read_panel("euroflow-mm-mrd").tube("1")
    match = match_channels(tube, ["FSC-A", "SSC-A", "B530-A", "B585-A"], ["", "", "CD38", "CD20 PE"])
    assert set(match.missing) == {"CD138", "CD27", "CD56", "CD45", "CD19", "CD117", "CD81"}
    assert set(match.absent) == {"Time", "FSC-H"}
    assert "not used by the panel: CD20 PE (B585-A)" in match.notes
    with pytest.raises(PanelError, match=r"CD138.*it has FSC-A, SSC-A, CD38 \(B530-A\), CD20 PE \(B585-A\)"):
        match.require("tube 1")


def test_one_of_a_group_is_enough():
    tube = read_panel("car-nk-bcma").tube("1")
    markers = [c.marker for c in tube.channels if c.role not in ("scatter", "time")]
    for left_out, missing in (((), ()), (("CD38",), ()), (("CD138",), ()), (("CD38", "CD138"), ("CD38 or CD138",))):
        stained = [m for m in markers if m not in left_out]
        detectors = ["FSC-A", "SSC-A", *(f"D{i}-A" for i in range(len(stained)))]
        assert match_channels(tube, detectors, ["", "", *stained]).missing == missing


def test_duplicate_detectors_are_refused_only_where_they_matter():
    labels = [("FL7-A", "CD38"), ("X-A", "CD3"), ("X-A", "CD4")]
    assert found(tube_of("CD38"), *labels) == {"CD38": "FL7-A"}
    with pytest.raises(PanelError, match="2 channels called 'X-A'"):
        found(tube_of("CD3"), *labels)


def test_labels_must_pair_with_detectors():
    with pytest.raises(PanelError, match="2 detectors but 1 markers"):
        match_channels(tube_of("CD3"), ["a", "b"], ["CD3"])


# ---------------------------------------------------------------- scatter and time


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([("FSC-A", ""), ("FSC-H", ""), ("SSC-W", "")], {"FSC-A": "FSC-A", "FSC-H": "FSC-H", "SSC-W": "SSC-W"}),
        ([("FS Lin", "FS"), ("SS Log", "SS"), ("SS Lin", "SS")], {"FSC-A": "FS Lin", "SSC-A": "SS Lin"}),
        ([("FS INT LIN", ""), ("FS PEAK LIN", "")], {"FSC-A": "FS INT LIN", "FSC-H": "FS PEAK LIN"}),
        ([("FSC-H", "FSC-Height"), ("SSC-H", "Side Scatter")], {"FSC-A": "FSC-H", "SSC-A": "SSC-H"}),
        ([("FSC-Area", "FSC"), ("FSC-Height", "FSC"), ("FSC-Log_Area", "FSC")],
         {"FSC-A": "FSC-Area", "FSC-H": "FSC-Height"}),
        ([("SSC-A", ""), ("SSC-B-A", "")], {"SSC-A": "SSC-A"}),
        ([("SSC1-Area", "405-SSC"), ("SSC2-Area", "488-SSC")], {"SSC-A": "SSC2-Area"}),
        ([("TIME", "Time (10.24 sec.)")], {"Time": "TIME"}),
        ([("HDR-T", "HDR-T")], {"Time": "HDR-T"}),
        ([("TIME", "Time LSW"), ("TIME2", "Time MSW")], {}),
        ([("FSC-W", "")], {"FSC-W": "FSC-W"}),
    ],
)  # fmt: skip
def test_scatter_and_time_in_any_mix(labels, expected):
    assert found(scatter_tube(), *labels) == expected


def test_height_cannot_be_area_and_height_at_once():
    match = match_channels(scatter_tube(), ["FSC-H"], [""])
    assert match.detector_of == {"FSC-A": "FSC-H"} and "FSC-H" in match.absent
    assert any("FSC-A is taken from FSC-H" in note for note in match.notes)


def test_scatter_of_an_unusual_name():
    channel = ChannelSpec(marker="FSC-A", role="scatter", aliases=("LALS",), detectors=("P1",))
    assert found(tube_of(channel), ("P7", "lals")) == {"FSC-A": "P7"}
    assert found(tube_of(channel), ("P7", ""), ("P1", "anything")) == {"FSC-A": "P1"}


def test_two_plain_scatters_are_refused():
    with pytest.raises(PanelError, match="SSC1-A and SSC2-A"):
        found(scatter_tube(), ("SSC1-A", ""), ("SSC2-A", ""))


# ---------------------------------------------------------------- which panel


def stained(panel: str, tube: str, *, without: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    channels = read_panel(panel).tube(tube).channels
    markers = [c.marker for c in channels if c.role not in ("scatter", "time") and c.marker not in without]
    return ["Time", "FSC-A", "FSC-H", "SSC-A", *(f"D{i}-A" for i in range(len(markers)))], [""] * 4 + markers


def all_panels():
    return [read_panel(name) for name in list_panels()]


@pytest.mark.parametrize(("panel", "tube"), [(p, t.id) for p in list_panels() for t in read_panel(p).tubes])
def test_each_bundled_tube_is_recognised_among_all(panel, tube):
    best, best_tube, match = recognise_panel(all_panels(), *stained(panel, tube))
    assert (best.id, best_tube.id, match.missing) == (panel, tube, ())


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_recognition_does_not_depend_on_the_order_of_channels(data):
    panel, tube = data.draw(st.sampled_from([("euroflow-mm-mrd", "1"), ("mskcc-mm-mrd-10c", "1"), ("tbnk", "1")]))
    pairs = data.draw(st.permutations(list(zip(*stained(panel, tube), strict=True))))
    detectors, markers = zip(*pairs, strict=True)
    best, best_tube, match = recognise_panel(data.draw(st.permutations(all_panels())), detectors, markers)
    assert (best.id, best_tube.id) == (panel, tube)
    assert set(match.detector_of.items()) >= {(m, d) for d, m in pairs if m}


def test_a_tube_that_lacks_a_marker_fits_nothing_and_the_nearest_is_named():
    with pytest.raises(PanelError, match=r"no panel fits.*it has .*CD138.*tube 2 lacks CyIgLambda"):
        recognise_panel(all_panels(), *stained("euroflow-mm-mrd", "2", without=("CyIgLambda",)))


def test_two_tubes_that_fit_equally_are_refused():
    with pytest.raises(PanelError, match="euroflow-mm-mrd tube 1 and euroflow-mm-mrd tube 2 equally well"):
        recognise_panel([read_panel("euroflow-mm-mrd")], *stained("mskcc-mm-mrd-10c", "1"))


def test_no_panel_at_all():
    with pytest.raises(PanelError, match="no panel was given"):
        recognise_panel([], ["FSC-A"], [""])


# ---------------------------------------------------------------- real files


REAL = {
    "instruments/Applied Biosystems - Attune.fcs": {m: m for m in ("Time", *SCATTER)},
    "instruments/Beckman Coulter - Cyan.fcs": {"FSC-A": "FS Lin", "SSC-A": "SS Lin"},
    "instruments/Beckman Coulter - MoFlo XDP.fcs": {
        "FSC-A": "FSC-Area", "FSC-H": "FSC-Height", "FSC-W": "FSC-Width",
        "SSC-A": "SSC-Area", "SSC-H": "SSC-Height", "SSC-W": "SSC-Width",
    },
    "instruments/Miltenyi Biotec - MACSQuant Analyzer.fcs": {"Time": "HDR-TM", "FSC-A": "FSC-A", "SSC-A": "SSC-A"},
    "instruments/iCyt - Eclipse.lmd": {
        "Time": "TIME", "FSC-A": "FS-Lin", "FSC-H": "FS-Peak-Lin", "SSC-A": "SS-Lin", "SSC-H": "SS-Peak-Lin",
    },
    "instruments/cyflow_cube_8.fcs": {"Time": "TIME", "FSC-A": "FSC", "SSC-A": "SSC"},
    "flowjo-aurora/CellCounts4L-NY071-1.fcs": {m: m for m in ("Time", "FSC-A", "FSC-H", "SSC-A", "SSC-H")},
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_scatter_and_time_of_real_files(shared_data, name):
    fcs = pytest.importorskip("cytomrd.fcs.dataset")
    dataset = fcs.open_fcs(shared_data / name)
    assert dict(match_channels(scatter_tube(), dataset.detectors, dataset.markers).detector_of) == REAL[name]


def test_markers_of_real_files(shared_data):
    fcs = pytest.importorskip("cytomrd.fcs.dataset")
    for name, expected in {
        "instruments/data1.fcs": {"CD4": "FL1-H", "CD3": "FL3-H", "CD8": "FL4-H"},
        "instruments/Miltenyi Biotec - MACSQuant Analyzer.fcs": {
            "CD45": "FL1-A", "CD8": "FL2-A", "CD3": "FL3-A", "CD4": "FL6-A",
        },
        "instruments/100715.fcs": {
            "CD3": "R780-A", "CD8": "V800-A", "CD4": "V655-A", "CD19": "G710-A", "CD27": "G660-A",
        },
        "flowjo-spleen/68983.fcs": {
            "CD45": "Alexa Fluor 700-A", "CD4": "PE-Texas Red-A", "CD19": "PE-Cy5-A", "CD3": "PE-Cy7-A",
            "CD8": "Pacific Blue-A",
        },
    }.items():  # fmt: skip
        dataset = fcs.open_fcs(shared_data / name)
        tube = tube_of(*(ChannelSpec(marker=m, required=False) for m in ("CD45", "CD3", "CD4", "CD8", "CD19", "CD27")))
        assert dict(match_channels(tube, dataset.detectors, dataset.markers).detector_of) == expected, name


def test_mass_cytometry_of_five_cd3_channels(shared_data):
    """Four isotopes of one antibody and their sum: refused, until the panel names one."""
    fcs = pytest.importorskip("cytomrd.fcs.dataset")
    dataset = fcs.open_fcs(next((shared_data / "marrow-cytof").glob("*Plasma*")))
    with pytest.raises(PanelError, match="CD3: 5 channels could be it"):
        match_channels(tube_of("CD3"), dataset.detectors, dataset.markers)
    channel = ChannelSpec(marker="CD3", detectors=("Cd(110,111,112,114)-Dual", "Cd(110,111,112,114)"))
    match = match_channels(tube_of(channel, "CD38", "CD19", "CD20", "CD45"), dataset.detectors, dataset.markers)
    assert match.require().detector_of["CD3"] == "Cd(110,111,112,114)"
    assert match.detector_of["CD38"] == "Er(166.932)-Dual"


def test_every_real_file_is_matched_or_refused_with_a_reason(shared_data):
    """No file of any instrument fits a clinical panel by accident."""
    fcs = pytest.importorskip("cytomrd.fcs.dataset")
    panels, tried = all_panels(), 0
    for path in sorted((shared_data / "instruments").iterdir()):
        if path.suffix.lower() not in (".fcs", ".lmd", ".001"):
            continue
        try:
            dataset = fcs.open_fcs(path)
        except CytomrdError:
            continue
        tried += 1
        with pytest.raises(PanelError, match="no panel fits the file; it has"):
            recognise_panel(panels, dataset.detectors, dataset.markers)
    assert tried > 20
