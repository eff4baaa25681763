"""Panels: the bundled ones are sound, and every mistake in one is explained with its line."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import PanelError
from cytomrd.panel import ROOT, BooleanSpec, Panel, PhenotypeSpec, parse_phenotype
from cytomrd.panel.library import check_panel, list_panels, panel_text, read_panel
from cytomrd.panel.lines import find_line, line_numbers

BUNDLED = ("car-nk-bcma", "duraclone-re-pc", "euroflow-mm-mrd", "mskcc-mm-mrd-10c", "tbnk")
# DOIs that the specification of the assays names; a panel may cite no other.
KNOWN_DOIS = {
    "10.1038/leu.2017.29",
    "10.1182/bloodadvances.2016003715",
    "10.1002/cyto.b.21228",
    "10.1055/s-0043-1761204",
    "10.1038/s41408-023-00951-2",
    "10.3324/haematol.2020.266841",
    "10.3390/ijms23020903",
    "10.3389/fimmu.2022.830773",
}

SMALL = """\
id = "small"
version = "1"
assay = "phenotype"

[[tubes]]
id = "1"

[[tubes.channels]]
marker = "FSC-A"
role = "scatter"

[[tubes.channels]]
marker = "CD3"

[[tubes.channels]]
marker = "CD56"

[[cuts]]
name = "CD3"
marker = "CD3"
on = "root"

[[cuts]]
name = "CD56"
marker = "CD56"
on = "t_cells"

[[populations]]
name = "t_cells"
gate = { kind = "phenotype", phenotype = "CD3+" }

[[populations]]
name = "nkt"
parent = "t_cells"
gate = { kind = "phenotype", phenotype = "CD56+" }
"""


def problems_of(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return check_panel(path)


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    return text.replace(old, new, 1)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_five_panels_are_bundled():
    assert list_panels() == BUNDLED


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_panel_is_sound(name):
    assert check_panel(name) == ()
    panel = read_panel(name)
    assert panel.id == name == panel.source
    assert panel.sha256 == hashlib.sha256(panel_text(name).encode()).hexdigest()
    assert panel.references and panel.title and panel.tissues
    cited = {r.doi for r in panel.references if r.doi} | set(re.findall(r"doi:(10\.[^\s;,\")]+)", panel_text(name)))
    assert cited <= KNOWN_DOIS


@pytest.mark.parametrize("name", BUNDLED)
def test_each_tube_can_find_every_cut_that_its_populations_use(name):
    panel = read_panel(name)
    for tube in panel.tubes:
        cuts = {c.name: c for c in panel.cuts_of(tube.id)}
        known = {ROOT}
        for population in panel.populations_of(tube.id):
            assert population.parent in known
            if isinstance(population.gate, PhenotypeSpec):
                for cut, _ in parse_phenotype(population.gate.phenotype):
                    assert cuts[cut].on in known, (population.name, cut)
            if isinstance(population.gate, BooleanSpec):
                assert {o.removeprefix("!") for o in population.gate.of} <= known
            known.add(population.name)


@pytest.mark.parametrize("name", [n for n in BUNDLED if n not in ("car-nk-bcma", "tbnk")])
def test_mrd_panel_never_asks_plasma_cells_for_cd45_or_small_size(name):
    """Clonal plasma cells are often CD45-negative and large; neither may cost one of them."""
    panel = read_panel(name)
    by_name = {p.name: p for p in panel.populations}
    here, on_the_way = panel.mrd.plasma_cells, []
    while here != ROOT:
        on_the_way.append(here)
        here = by_name[here].parent
    used = [
        (word, sign)
        for p in on_the_way
        if isinstance(by_name[p].gate, PhenotypeSpec)
        for word, sign in parse_phenotype(by_name[p].gate.phenotype)
    ]
    assert panel.mrd.nucleated in on_the_way
    assert not any(sign for word, sign in used if word.startswith("CD45"))
    assert all(sign for word, sign in used if word.startswith("FSC"))
    assert {a.marker for a in panel.mrd.antigens} >= {"CD19", "CD56", "CD27", "CD81", "CD45"}
    assert (panel.mrd.lod_events, panel.mrd.lloq_events, panel.mrd.evaluable_nucleated) == (20, 50, 3_000_000)


def test_euroflow_carries_the_published_frequencies_and_both_therapies():
    spec = read_panel("euroflow-mm-mrd").mrd
    cd19 = next(a for a in spec.antigens if a.marker == "CD19")
    assert (cd19.normal_fraction_positive, cd19.normal_range, cd19.clonal_fraction_positive) == (
        0.8,
        (0.52, 0.97),
        0.05,
    )
    assert spec.kappa_lambda_normal == (0.5, 4.0)
    anti_cd38, anti_bcma = spec.therapies
    assert anti_cd38.applies_to(("Daratumumab",)) and anti_cd38.applies_to(("ANTI-CD38",))
    assert not anti_cd38.applies_to(("lenalidomide",)) and not anti_cd38.applies_to(())
    assert anti_bcma.applies_to(("lenalidomide", "cilta-cel"))


def test_car_nk_leaves_myeloma_out_before_cd56():
    panel = read_panel("car-nk-bcma")
    by_name = {p.name: p for p in panel.populations}
    path, here = [], panel.car_nk.nk
    while here != ROOT:
        path.append(here)
        here = by_name[here].parent
    order = list(reversed(path))
    assert [p for p in order if p in ("viable", "leukocytes", "lineage_negative", "without_myeloma", "nk")] == [
        "viable",
        "leukocytes",
        "lineage_negative",
        "without_myeloma",
        "nk",
    ]
    assert "CD38" not in {c.name for c in panel.cuts}, "NK cells carry CD38; only bright CD38 may be left out"
    assert panel.tube("1").one_of == (("CD38", "CD138"),)
    assert next(c for c in panel.cuts if c.name == panel.car_nk.car_cut).method == "control"


def test_read_panel_by_path(tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text(SMALL)
    assert read_panel(tmp_path / "own.toml").id == "small"
    assert read_panel("own.toml", folder=tmp_path).source == "own.toml"
    monkeypatch.chdir(tmp_path)
    assert read_panel("own.toml").sha256 == hashlib.sha256(SMALL.encode()).hexdigest()


def test_unknown_panel_names_the_nearest():
    with pytest.raises(PanelError, match="did you mean 'euroflow-mm-mrd'"):
        read_panel("euroflow-mm-mdr")
    with pytest.raises(PanelError, match="neither a bundled id"):
        check_panel("../nowhere.toml")


def test_unknown_tube():
    with pytest.raises(PanelError, match=r"no tube '3'; it has \['1', '2'\]"):
        read_panel("euroflow-mm-mrd").tube("3")


MISTAKES = [
    ('marker = "CD56"\n\n', 'marker = "CD56"\nfluorochrom = "PE"\n\n', "fluorochrom", "did you mean 'fluorochrome'"),
    ('role = "scatter"', 'role = "scater"', "role =", "'scatter'"),
    ('marker = "FSC-A"', 'marker = "Forward"', 'marker = "Forward"', "use FSC or SSC"),
    ('on = "t_cells"', 'on = "t_cell"', "on = \"t_cell\"", "did you mean 't_cells'"),
    ('parent = "t_cells"', 'parent = "tcells"', 'parent = "tcells"', "did you mean 't_cells'"),
    ('phenotype = "CD56+"', 'phenotype = "CD65+"', "CD65+", "did you mean 'CD56'"),
    ('phenotype = "CD56+"', 'phenotype = "CD56"', 'phenotype = "CD56"', "followed by + or -"),
    ('phenotype = "CD56+"', 'phenotype = "CD3+ CD3-"', "CD3+ CD3-", "twice"),
    ('phenotype = "CD56+"', 'phenotype = ""', 'phenotype = ""', "empty phenotype"),
    ('marker = "CD56"\non', 'marker = "CD57"\non', 'marker = "CD57"', "did you mean 'CD56'"),
    ('name = "nkt"', 'name = "t_cells"', 'name = "t_cells"\nparent', "defined twice"),
    ('name = "nkt"', 'name = "root"', 'name = "root"', "not 'root'"),
    ('name = "nkt"', 'name = "_nkt"', 'name = "_nkt"', "not beginning with"),
    ('name = "CD56"\nmarker', 'marker', '[[cuts]]\nmarker', "'name' is missing"),
    ('on = "t_cells"', 'on = "t_cells"\nbounds = [0.9, 0.1]', "bounds", "must rise"),
    ('on = "t_cells"', 'on = "t_cells"\nbounds = [0.1, nan]', "bounds", "finite"),
    ('on = "t_cells"', 'on = "t_cells"\nmethod = "fixed"', "method =", "needs a value"),
    ('on = "t_cells"', 'on = "t_cells"\nfallback = "fixed"\nvalue = 0.99', "value =", "outside its bounds"),
    ('on = "t_cells"', 'on = "t_cells"\nwidth = 0', "width =", "greater than 0"),
    ('kind = "phenotype", phenotype = "CD56+"', 'kind = "tiem"', 'kind = "tiem"', "use singlets, cells, time"),
    ('kind = "phenotype", phenotype = "CD56+"', 'kind = "time"', 'kind = "time"', 'role = "time"'),
    ('kind = "phenotype", phenotype = "CD56+"', 'kind = "range", channel = "CD57"', "CD57", "did you mean 'CD56'"),
    ('kind = "phenotype", phenotype = "CD56+"', 'kind = "range", channel = "CD56"', 'kind = "range"', "minimum"),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "range", channel = "CD56", minimum = 0.6, maximum = 0.5',
        "minimum",
        "below maximum",
    ),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "singlets", channels = ["FSC-A", "FSC-A"]',
        "singlets",
        "two different channels",
    ),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "cells", channels = ["FSC-A", "CD3"], leukocytes = "CD57"',
        'kind = "cells"',
        "no cut 'CD57'",
    ),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "cells", channels = ["FSC-A", "CD3"], bounds = [0.0, 0.5]',
        'kind = "cells"',
        "positive and rise",
    ),
    ('on = "t_cells"', 'on = "t_cells"\nnegatives = "tcells"', "negatives", "did you mean 't_cells'"),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "boolean", operator = "not", of = ["t_cells", "t_cells"]',
        "boolean",
        "one operand",
    ),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "boolean", operator = "or", of = ["nkt"]',
        "boolean",
        "defined after it",
    ),
    (
        'kind = "phenotype", phenotype = "CD56+"',
        'kind = "polygon", channels = ["CD3", "CD56"], vertices = [[0, 0], [1, 1]]',
        "polygon",
        "at least 3",
    ),
    ('assay = "phenotype"', 'assay = "mrd"', "assay", "[mrd]"),
    ('assay = "phenotype"', 'assay = "mdr"', "assay", "'mrd'"),
    ('id = "small"', 'id = "sm all"', "id =", "use letters"),
    ('id = "small"', 'id = 3', "id =", "string"),
    ('id = "small"', 'id = "small"\nsha256 = "abc"', "sha256", "remove it"),
    ('marker = "CD56"\n\n', 'marker = "CD56"\nrequired = false\n\n', "CD56+", "optional = true"),
    ('marker = "CD56"\n\n', 'marker = "CD56"\naliases = ["cd 3"]\n\n', "aliases", "already names the channel of 'CD3'"),
    ('marker = "CD56"\n\n', 'marker = "CD3"\n\n', 'marker = "CD3"\n\n[[cuts', "already names"),
    ('marker = "CD56"\n\n', 'marker = "++"\n\n', 'marker = "++"', "no letter or digit"),
    ('id = "1"', 'id = "1"\none_of = [["CD3", "CD57"]]', "one_of", "CD57"),
    ('name = "nkt"', 'name = "nkt"\ntubes = ["2"]', 'tubes = ["2"]', "no tube '2'"),
    ('name = "nkt"', 'name = "nkt"\nplot = ["CD3", "CD4"]', "plot", "to plot"),
    ('version = "1"', 'version = "1"\n[car_nk]\n', "[car_nk]", "no population 'nk' for nk"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "part", "says"), MISTAKES, ids=[f"{m[1][:40]}" for m in MISTAKES])
def test_mistake_is_explained_with_its_line(tmp_path, old, new, part, says):
    text = changed(old, new)
    problems = problems_of(tmp_path, text)
    wanted = f"line {line_of(text, part)}: "
    assert any(p.startswith(wanted) and says in p for p in problems), problems


def test_small_panel_itself_is_sound(tmp_path):
    assert problems_of(tmp_path, SMALL) == ()


def test_every_mistake_is_listed_at_once_from_top_to_bottom(tmp_path):
    text = changed('role = "scatter"', 'role = "scater"')
    text = changed('on = "t_cells"', 'on = "nowhere"', text)
    text = changed('phenotype = "CD56+"', 'phenotype = "CD4+"', text)
    text = changed('assay = "phenotype"', 'assay = "phenotype"\ncolour = "red"', text)
    problems = problems_of(tmp_path, text)
    lines = [int(re.match(r"line (\d+): ", p)[1]) for p in problems]
    parts = ("colour", 'role = "scater"', 'on = "nowhere"', "CD4+")
    assert lines == sorted(lines) and set(lines) == {line_of(text, p) for p in parts}
    with pytest.raises(PanelError) as caught:
        read_panel(tmp_path / "own.toml")
    assert all(problem in str(caught.value) for problem in problems)


def test_population_needs_its_channels_in_each_of_its_tubes(tmp_path):
    text = changed("[[cuts]]", '[[tubes]]\nid = "2"\n[[tubes.channels]]\nmarker = "CD3"\n\n[[cuts]]')
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith(f"line {line_of(text, 'CD56+')}: ") and "tube '2' has no channel 'CD56'" in problem
    limited = changed('name = "nkt"', 'name = "nkt"\ntubes = ["1"]', text)
    assert problems_of(tmp_path, limited) == ()
    below = (
        limited + '\n[[populations]]\nname = "x"\nparent = "nkt"\ngate = { kind = "phenotype", phenotype = "CD3-" }\n'
    )
    (problem,) = problems_of(tmp_path, below)
    assert "parent 'nkt' is not gated in tube 2" in problem


def test_broken_text_is_explained(tmp_path):
    (problem,) = problems_of(tmp_path, changed('id = "1"', 'id = "1'))
    assert "line 6" in problem
    (tmp_path / "own.toml").write_bytes(SMALL.encode().replace(b"small", b"sm\xe4ll"))
    assert check_panel(tmp_path / "own.toml") == ("line 1: byte 0xe4 is not UTF-8; save the file as UTF-8",)
    (tmp_path / "own.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert check_panel(tmp_path / "own.toml") == ()


@pytest.mark.parametrize("key", ["tubes", "cuts", "populations", "mrd", "car_nk", "qc", "references"])
@pytest.mark.parametrize("value", ["3", '"x"', "[1, 2]", "[[1]]", "{ a = 1 }", "[{ name = [] }]"])
def test_wrong_types_are_problems_and_never_crashes(tmp_path, key, value):
    data = tomllib.loads(SMALL)
    data.pop(key, None)
    text = f"{key} = {value}\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in data.items())
    problems = problems_of(tmp_path, text)
    assert problems and all(p.startswith("line ") for p in problems)


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("panels")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_line_removed_from_a_panel_is_sound_or_explained(scratch, data):
    """Whatever a slip of the editor takes away, reading says where, and nothing but PanelError is raised."""
    name = data.draw(st.sampled_from(BUNDLED))
    lines = panel_text(name).split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    n = data.draw(st.integers(1, 3))
    text = "\n".join(lines[:at] + lines[at + n :])
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    path = scratch / "own.toml"
    path.write_text(text, "utf-8")
    problems = check_panel(path)
    if problems:
        assert all(re.match(r"line \d+: |panel: ", p) for p in problems), problems
    else:
        assert isinstance(read_panel(path), Panel) and loaded["id"]


# ---------------------------------------------------------------- lines


def paths_in(value, path=()):
    """Every path of a parsed TOML, with its value."""
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*path, key))


NASTY = '''# comment with [brackets] and "quotes"
title = "a # not a comment"   # a comment
"quoted key" = 1
dotted.key."with dot.in" = 2
text = """
[not.a.header]
key = "not a key"
""\\""""
literal = \'\'\'
[[nor.this]] = ''\'\'\'
array = [ # comment ]
  1, "two, ]", { three = 3, deep = [
    4 ] },
  [5,
   6],
]
empty = []
none = {}
[table]
a = 1
[table.sub]
b = 2
[[things]]
name = 'x'
[[things.parts]]
n = 1
[[things.parts]]
n = 2
[things.parts.inner]
m = 3
[[things]]
[[things.parts]]
n = 4
when = 2024-05-31T09:30:00Z
'''


@pytest.mark.parametrize("text", [NASTY, *(panel_text(n) for n in BUNDLED)], ids=["nasty", *BUNDLED])
def test_lines_cover_every_path_and_no_other(text):
    lines = line_numbers(text)
    expected = {path for path, _ in paths_in(tomllib.loads(text))}
    assert expected == set(lines)
    rows = text.split("\n")
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in rows[line - 1], (path, line)


def test_lines_of_nasty_text():
    lines = line_numbers(NASTY)
    rows = NASTY.split("\n")
    assert rows[lines["things", 0, "parts", 1, "inner", "m"] - 1] == "m = 3"
    assert rows[lines["things", 1, "parts", 0, "n"] - 1] == "n = 4"
    assert rows[lines["array", 2, "deep", 0] - 1] == "    4 ] },"
    assert rows[lines["array", 3, 1] - 1] == "   6],"
    assert find_line(lines, ("things", 1, "parts", 0, "absent")) == lines["things", 1, "parts", 0]
    assert find_line(lines, ("nothing",)) is None


_values = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text("ab#[]{},=\"'\\ \n", max_size=6)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("ab.# ", min_size=1, max_size=4), _values, max_size=6), st.integers(0, 3))
def test_lines_of_any_key_at_the_top(document, blank):
    """The scanner meets what any writer may write; the line of a top key is the line it was written on."""
    text, expected = "", {}
    for key, value in document.items():
        text += "\n" * blank + "# note\n"
        expected[(key,)] = text.count("\n") + 1
        text += f"{json.dumps(key)} = {_toml(value)}\n"
    assert {path for path, _ in paths_in(tomllib.loads(text))} == set(line_numbers(text))
    assert {path: line for path, line in line_numbers(text).items() if len(path) == 1} == expected
