"""The samplesheet: read whole, or refused with every problem at once, each with its row and remedy."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import FcsError, PanelError, SamplesheetError
from cytomrd.panel.library import panel_text, read_panel
from cytomrd.samplesheet import (
    SAMPLESHEET_NAME,
    SampleRow,
    find_fcs_files,
    format_samplesheet,
    load_samplesheet,
    read_samplesheet,
)
from cytomrd.samplesheet.draft import draft_samplesheet

# The columns are a contract: other programs write them.
COLUMNS = [
    *("file", "sample_id", "subject_id", "visit", "day", "collected_at", "acquired_at", "matrix", "panel", "tube"),
    *("role", "stain", "prior_therapy", "pull", "beads_per_tube", "bead_lot", "sample_volume_ul", "dilution"),
    *("wbc_10e9_per_l", "cbc_at"),
]


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.fcs", "b.fcs", "c.LMD", "deep/d.fcs"):
        (folder / name).write_bytes(name.encode())
    return folder


def write(folder: Path, text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / SAMPLESHEET_NAME).write_bytes(raw)


def problems_of(folder: Path, text: str | bytes) -> tuple[str, ...]:
    write(folder, text)
    with pytest.raises(SamplesheetError) as caught:
        read_samplesheet(folder)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def sheet(**cells: str) -> str:
    """A samplesheet of one row."""
    cells = {"file": "a.fcs", "sample_id": "S1", **cells}
    quoted = [f'"{c}"' if "," in c else c for c in cells.values()]
    return ",".join(cells) + "\n" + ",".join(quoted) + "\n"


def test_every_column_is_read_with_its_type(run):
    write(
        run,
        ",".join(COLUMNS) + "\n"
        "deep/d.fcs,S1,P-01,C1D28,28,2024-05-31T08:00,2024-05-31T10:30,PB,car-nk-bcma,1,sample,,anti-CD38;anti-BCMA,1,"
        "51000,L7,100,2,7.5,2024-05-31T07:00\n",
    )
    (row,) = read_samplesheet(run)
    assert row == SampleRow(
        file="deep/d.fcs",
        sample_id="S1",
        subject_id="P-01",
        visit="C1D28",
        day=28.0,
        collected_at=datetime(2024, 5, 31, 8),
        acquired_at=datetime(2024, 5, 31, 10, 30),
        matrix="PB",
        panel="car-nk-bcma",
        tube="1",
        role="sample",
        prior_therapy=("anti-CD38", "anti-BCMA"),
        pull=1,
        beads_per_tube=51000.0,
        bead_lot="L7",
        sample_volume_ul=100.0,
        dilution=2.0,
        wbc_10e9_per_l=7.5,
        cbc_at=datetime(2024, 5, 31, 7),
        row=2,
    )


def test_what_is_not_given_has_a_default(run):
    write(run, "sample_id,file\nS1,./a.fcs\n")
    assert read_samplesheet(run) == (SampleRow(file="a.fcs", sample_id="S1", role="sample", row=2),)


def test_no_samplesheet(run):
    with pytest.raises(SamplesheetError, match=r"missing; `cytomrd samplesheet .*` writes a draft"):
        read_samplesheet(run)


def test_everything_wrong_is_listed_at_once_by_row(run):
    text = (
        "file,sample_id,Subjct_id,day,matrix,role,tube,panel\n"
        "a.fcs,S1,,0,BM,,3,euroflow-mm-mrd\n"
        "a.fcs,S1,,0,BM,,3,euroflow-mm-mrd\n"
        "./a.fcs,S1,,x,marrow,contrl,1,euroflw\n"
        "\n"
        "nowhere.fcs,,,,,,,\n"
    )
    problems = problems_of(run, text)
    rows = [int(re.match(r"row (\d+)", p)[1]) for p in problems]
    assert rows == sorted(rows)
    for row, says in [
        (1, "unknown column 'Subjct_id'; did you mean 'subject_id'?"),
        (2, "no tube '3'; it has 1, 2"),
        (3, "repeats row 2"),
        (4, "file of row 2 already"),
        (4, "'x' is not a number"),
        (4, "'marrow' is not one of BM, PB"),
        (4, "role: 'contrl' is not one of"),
        (4, "did you mean 'euroflow-mm-mrd'"),
        (6, "there is no file 'nowhere.fcs'"),
        (6, "sample_id: is empty"),
    ]:
        assert any(p.startswith(f"row {row}") and says in p for p in problems), (row, says, problems)
    assert len(problems) == 10


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("wbc_10e9_per_l", "7000", "10^9 cells per litre"),
        ("wbc_10e9_per_l", "0", "above 0"),
        ("wbc_10e9_per_l", "-3", "above 0"),
        ("wbc_10e9_per_l", "7,5", "decimal point"),
        ("wbc_10e9_per_l", "7.0 G/L", "no unit"),
        ("wbc_10e9_per_l", "nan", "not a number"),
        ("wbc_10e9_per_l", "1e999", "too large"),
        ("wbc_10e9_per_l", "<0.1", "not a number"),
        ("sample_volume_ul", "-100", "at least 1"),
        ("sample_volume_ul", "0.1", "0.1 mL is 100"),
        ("sample_volume_ul", "100000", "not nanolitres"),
        ("dilution", "0.5", "write the factor"),
        ("beads_per_tube", "-1", "at least"),
        ("beads_per_tube", "50_000", "not a number"),
        ("pull", "1.5", "whole number"),
        ("pull", "0", "1 is the first pull"),
        ("day", "28d", "not a number"),
        ("day", "inf", "not a number"),
        ("day", "٢٨", "not a number"),
        ("collected_at", "03/04/2024", "ISO 8601"),
        ("collected_at", "2024-13-01", "ISO 8601"),
        ("collected_at", "31.05.2024 08:00", "ISO 8601"),
        ("collected_at", "45352", "ISO 8601"),
        ("collected_at", "0202-05-31", "years 1990 to 2100"),
        ("matrix", "blood", "BM, PB"),
        ("role", "preinfusion", "did you mean 'pre_infusion'"),
        ("panel", "tbnkk", "did you mean 'tbnk'"),
        ("panel", "own.toml", "neither a bundled id"),
        ("sample_id", "../S1", "holds '/'"),
        ("sample_id", "S\\1", "holds '\\\\'"),
        ("sample_id", ".S1", "no '.' at either end"),
        ("sample_id", "S" * 101, "at most 100"),
        ("subject_id", "a\x07b", "control character"),
        ("file", "../a.fcs", "leaves the run folder"),
        ("file", "deep/../../run/a.fcs", "leaves the run folder"),
        ("file", "/etc/hostname", "not relative"),
        ("file", "C:/a.fcs", "not relative"),
        ("file", "deep\\d.fcs", "backslash"),
        ("file", "d.fcs", "did you mean 'deep/d.fcs'"),
        ("file", "A.FCS", "did you mean 'a.fcs'"),
        ("file", "deep", "not a file"),
        ("file", "x" * 5000, "file"),
        ("stain", "CD38", "for role single_stain"),
        ("role", "single_stain", "needs the marker"),
        ("role", "pre_infusion", "control of one subject"),
        ("tube", "1", "without a panel"),
        ("beads_per_tube", "51000", "only with the volume"),
        ("bead_lot", "L7", "write the count"),
        ("cbc_at", "2024-05-31T08:00", "write the count"),
    ],
)
def test_bad_cell(run, column, value, says):
    problems = problems_of(run, sheet(**{column: value}))
    assert any(p.startswith("row 2") and says in p for p in problems), problems


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("wbc_10e9_per_l", "0.05", 0.05),
        ("wbc_10e9_per_l", "250", 250.0),
        ("day", "-14", -14.0),
        ("day", "+7", 7.0),
        ("day", "1e1", 10.0),
        ("matrix", "bm", "BM"),
        ("role", "Pre-Infusion", "pre_infusion"),
        ("prior_therapy", "anti-CD38; anti-BCMA ;", ("anti-CD38", "anti-BCMA")),
        ("collected_at", "2024-05-31 08:15", datetime(2024, 5, 31, 8, 15)),
        ("collected_at", "2024-05-31T08:15Z", datetime(2024, 5, 31, 8, 15, tzinfo=timezone.utc)),  # noqa: UP017
        ("collected_at", "2024-05-31T08:15+02:00", datetime(2024, 5, 31, 8, 15, tzinfo=timezone(timedelta(hours=2)))),
        ("sample_id", "Müller 7", "Müller 7"),
    ],
)
def test_good_cell(run, column, value, expected):
    write(run, sheet(**{"subject_id": "P1", column: value}))
    assert getattr(read_samplesheet(run)[0], column) == expected


def test_times_must_be_comparable_and_in_order(run):
    assert "mix times" in problems_of(run, sheet(collected_at="2024-05-31T08:00", acquired_at="2024-05-31T09:00Z"))[0]
    late = sheet(collected_at="2024-05-31T08:00", acquired_at="2024-05-31T07:00")
    assert "is before collected_at" in problems_of(run, late)[0]


@pytest.mark.parametrize("target", ["outside.fcs", "outside"])
def test_links_that_lead_out_are_refused(run, target):
    outside = run.parent / "outside"
    outside.mkdir()
    (outside / "x.fcs").write_bytes(b"x")
    (run.parent / "outside.fcs").write_bytes(b"x")
    (run / ("link.fcs" if target.endswith(".fcs") else "link")).symlink_to(run.parent / target)
    name = "link.fcs" if target.endswith(".fcs") else "link/x.fcs"
    (problem,) = problems_of(run, sheet(file=name))
    assert "leads out of the run folder" in problem
    assert name not in find_fcs_files(run)


def test_a_link_within_the_folder_is_its_target(run):
    (run / "same.fcs").symlink_to(run / "a.fcs")
    (run / "ring.fcs").symlink_to(run / "ring.fcs")
    write(run, sheet(file="same.fcs"))
    assert read_samplesheet(run)[0].file == "same.fcs"
    (problem,) = problems_of(run, "file,sample_id\na.fcs,S1\nsame.fcs,S2\n")
    assert problem.startswith("row 3, file: 'same.fcs' is the file of row 2 already")
    assert problems_of(run, sheet(file="ring.fcs"))


def test_header_problems(run):
    assert any("column 'file' is missing" in p for p in problems_of(run, "fil,sample_id\na.fcs,S1\n"))
    assert any("stands twice" in p for p in problems_of(run, "file,sample_id,file\na.fcs,S1,b.fcs\n"))
    assert any("has no name but holds" in p for p in problems_of(run, "file,sample_id,\na.fcs,S1,left over\n"))
    assert problems_of(run, "file,sample_id\n") == ("there is no row below the header; write one row a file",)
    write(run, "File, SAMPLE_ID ,,\na.fcs,S1,,\n")
    assert read_samplesheet(run)[0].sample_id == "S1"


def test_row_with_too_many_cells(run):
    (problem,) = problems_of(run, "file,sample_id\na.fcs,S1,anti-CD38,1\n")
    assert problem.startswith("row 2: 4 cells under 2 columns")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_spreadsheets_of_all_countries(run, encoding, delimiter, end):
    decimal = "7.5" if delimiter == "," else "7,5"
    rows = [["file", "sample_id", "visit", "wbc_10e9_per_l"], ["a.fcs", "Süd", "", decimal], ["", "", "", ""]]
    write(run, end.join(delimiter.join(r) for r in rows).encode(encoding))
    (row,) = read_samplesheet(run)
    assert (row.sample_id, row.wbc_10e9_per_l, row.row) == ("Süd", 7.5, 2)


def test_announced_delimiter_and_quoted_line_breaks(run):
    write(run, 'sep=;\nfile;sample_id;visit\na.fcs;S1;"day; 1"\n')
    (row,) = read_samplesheet(run)
    assert (row.visit, row.row) == ("day; 1", 3)
    assert "line break" in problems_of(run, 'file,sample_id,visit\na.fcs,S1,"a\nb"\n')[0]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"\n\n,,\n", "empty"),
        ("file,sample_id\na.fcs,S\xfcd\n".encode("latin-1"), "line 2: byte 0xfc is not UTF-8; save the sheet as"),
        (b"PK\x03\x04 workbook", "workbook"),
        (b"file,sample_id\na\0.fcs,S1\n", "not a text"),
        (b'file,sample_id\n"a.fcs,S1\n', "quotation marks"),
        (b"file;sample_id;wbc_10e9_per_l\na.fcs;S1;7,000\n", "write 7.000 or 7000"),
    ],
)
def test_unreadable_sheet(run, raw, says):
    problems = problems_of(run, raw)
    assert any(says in p for p in problems), problems


def test_too_large_a_sheet_is_not_read(run):
    (problem,) = problems_of(run, b"x" * 10_000_001)
    assert "too many" in problem


# ---------------------------------------------------------------- panel, tube, specimen


def test_panel_by_path_and_the_only_tube(run):
    (run / "own.toml").write_text(panel_text("tbnk"))
    write(run, sheet(panel="own.toml"))
    assert read_samplesheet(run)[0].tube == "1"
    write(run, sheet(panel="euroflow-mm-mrd"))
    assert read_samplesheet(run)[0].tube == ""


def test_a_wrong_panel_is_told_once_with_its_lines(run):
    (run / "own.toml").write_text(panel_text("tbnk").replace('assay = "phenotype"', 'assay = "x"'))
    problems = problems_of(run, "file,sample_id,panel\na.fcs,S1,own.toml\nb.fcs,S2,own.toml\n")
    assert len(problems) == 1 and re.search(
        r"row 2, panel: panel own.toml has a mistake:\s+line \d+: assay", problems[0]
    )


def test_rows_of_one_specimen_must_agree(run):
    head = "file,sample_id,matrix,day,panel,tube\n"
    (problem,) = problems_of(run, head + "a.fcs,S1,BM,28,euroflow-mm-mrd,1\nb.fcs,S1,PB,28,euroflow-mm-mrd,2\n")
    assert problem.startswith("row 3, matrix: 'PB' differs from 'BM' of row 2")
    write(run, head + "a.fcs,S1,BM,28,euroflow-mm-mrd,1\nb.fcs,S1,,,euroflow-mm-mrd,2\n")
    loaded = load_samplesheet(run)
    assert [(r.matrix, r.day) for r in loaded.rows] == [("BM", 28.0), ("BM", 28.0)]
    assert "row 3: day, matrix taken from another row of the same sample" in loaded.notes
    assert "differs from 'S1'" in problems_of(run, "file,sample_id\na.fcs,S1\nb.fcs,s1\n")[0]


def test_notes(run):
    write(
        run,
        "file,sample_id,subject_id,matrix,panel,tube,role,day,collected_at\n"
        "a.fcs,S1,P1,PB,euroflow-mm-mrd,1,sample,0,2024-05-31\n"
        "b.fcs,S1,P1,PB,euroflow-mm-mrd,1,sample,0,2024-05-31\n"
        "deep/d.fcs,S2,P1,PB,car-nk-bcma,1,pre_infusion,7,\n",
    )
    notes = "\n".join(load_samplesheet(run).notes)
    assert "2024-05-31 has no time of day" in notes
    assert "row 2: matrix PB, but panel euroflow-mm-mrd is meant for BM" in notes
    assert "rows 2 and 3: two files of sample S1, tube 1" in notes
    assert "row 4: a pre_infusion sample of day 7" in notes
    assert "in the folder but not in samplesheet.csv: c.LMD" in notes


def test_find_fcs_files(run):
    (run / ".hidden").mkdir()
    for name in ("._a.fcs", ".hidden/e.fcs", "notes.txt", "fcs"):
        (run / name).write_bytes(b"")
    assert find_fcs_files(run) == ("a.fcs", "b.fcs", "c.LMD", "deep/d.fcs")


# ---------------------------------------------------------------- writing and drafting


_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12).map(str.strip)
_times = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))
_row = st.fixed_dictionaries(
    {
        "visit": _text,
        "subject_id": _text,
        "day": st.none() | st.floats(-1000, 1000, allow_nan=False).map(float),
        "collected_at": st.none() | _times,
        "matrix": st.sampled_from(["", "BM", "PB"]),
        "prior_therapy": st.lists(st.sampled_from(["anti-CD38", "anti-BCMA", "IMiD"]), max_size=3).map(tuple),
        "pull": st.none() | st.integers(1, 20),
        "wbc_10e9_per_l": st.none() | st.floats(1e-3, 500),
        "dilution": st.none() | st.floats(1, 100),
        "sample_volume_ul": st.none() | st.floats(1, 1000),
    }
)


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("round_trip")
    (folder / "a.fcs").write_bytes(b"")
    return folder


@settings(max_examples=60, deadline=None)
@given(values=_row, bom=st.booleans())
def test_written_and_read_again_is_the_same(round_trip, values, bom):
    row = SampleRow(file="a.fcs", sample_id="S1", row=2, **values)
    write(round_trip, format_samplesheet([row]).encode("utf-8-sig" if bom else "utf-8"))
    assert read_samplesheet(round_trip) == (row,)


@settings(max_examples=60, deadline=None)
@given(raw=st.binary(max_size=80) | st.text('file,sample_id;\t\n"ab.cs', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(round_trip, raw):
    write(round_trip, raw)
    try:
        rows = read_samplesheet(round_trip)
    except SamplesheetError as error:
        assert error.problems
    else:
        assert [r.file for r in rows] == ["a.fcs"]


def test_format_has_all_columns_in_order():
    assert format_samplesheet([]) == ",".join(COLUMNS) + "\n"


def labels_by_panel(assigned: dict[str, tuple[str, str]]):
    """A reader of headers: each file has the channels of a bundled tube, or cannot be read."""

    def labels_of(path: Path):
        if path.name not in assigned:
            raise FcsError("not an FCS file")
        panel, tube = assigned[path.name]
        markers = [c.marker for c in read_panel(panel).tube(tube).channels if c.role not in ("scatter", "time")]
        return ["FSC-A", "SSC-A", *(f"D{i}-A" for i in range(len(markers)))], ["", "", *markers]

    return labels_of


def test_draft(tmp_path):
    for name in ("BM7_tube1.fcs", "BM7_tube2.fcs", "PB7.fcs", "broken.fcs"):
        (tmp_path / name).write_bytes(name.encode())
    draft = draft_samplesheet(
        tmp_path,
        labels_by_panel(
            {
                "BM7_tube1.fcs": ("euroflow-mm-mrd", "1"),
                "BM7_tube2.fcs": ("euroflow-mm-mrd", "2"),
                "PB7.fcs": ("car-nk-bcma", "1"),
            }
        ),
    )
    assert [(r.file, r.sample_id, r.panel, r.tube, r.matrix) for r in draft.rows] == [
        ("BM7_tube1.fcs", "BM7", "euroflow-mm-mrd", "1", "BM"),
        ("BM7_tube2.fcs", "BM7", "euroflow-mm-mrd", "2", "BM"),
        ("PB7.fcs", "PB7", "car-nk-bcma", "1", ""),
        ("broken.fcs", "broken", "", "", ""),
    ]
    assert any("broken.fcs: panel left empty: not an FCS file" in note for note in draft.notes)
    (tmp_path / SAMPLESHEET_NAME).write_text(draft.text)
    assert read_samplesheet(tmp_path) == draft.rows


def test_draft_keeps_apart_what_only_looks_the_same(tmp_path):
    for name in ("x-1.fcs", "x_1.fcs", "deep/x.fcs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    one = ("euroflow-mm-mrd", "1")
    draft = draft_samplesheet(tmp_path, labels_by_panel({"x-1.fcs": one, "x_1.fcs": one, "x.fcs": ("tbnk", "1")}))
    assert [r.sample_id for r in draft.rows] == ["deep_x", "x", "x_4"]
    (tmp_path / SAMPLESHEET_NAME).write_text(draft.text)
    assert read_samplesheet(tmp_path) == draft.rows


def test_draft_without_files(tmp_path):
    with pytest.raises(SamplesheetError, match="no FCS file"):
        draft_samplesheet(tmp_path, labels_by_panel({}))


def test_draft_of_given_panels_only(run):
    labels = labels_by_panel({"a.fcs": ("tbnk", "1")})
    draft = draft_samplesheet(run, labels, panels=[read_panel("car-nk-bcma")], files=["a.fcs"])
    assert draft.rows[0].panel == "" and "no panel fits" in draft.notes[0]
    with pytest.raises(PanelError):
        read_panel("a.fcs", folder=run)
