"""``cytomrd compensation``: from a folder of controls to a matrix that ``gate`` uses."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from naive_fcs import build_fcs, channel_keywords
from simulated_stains import BEADS, CALIBUR, DETECTORS, TRUE, draw_set, draw_tube

import cytomrd as cm
from cytomrd.cli.main import cytomrd
from cytomrd.errors import CompensationError, RunError
from cytomrd.preprocess.compensation import read_spillover_csv
from cytomrd.run.compensation import fit_compensation
from cytomrd.run.single_stains import plan_controls

ALL = ("FSC-A", "SSC-A", *DETECTORS, "Time")
N = 3_000


def write_tube(path, tube, *, markers=None, keywords=None, detectors=ALL):
    events = np.column_stack([tube.scatter, tube.values, np.arange(len(tube.values))])
    columns = [ALL.index(d) for d in detectors]
    markers = {**dict.fromkeys(detectors, ""), **(markers or {})}
    cm.write_fcs(path, events[:, columns], detectors, markers=[markers[d] for d in detectors], keywords=keywords)


def write_sheet(folder, rows):
    lines = ["file,sample_id,role,stain", *(",".join(row) for row in rows)]
    (folder / "samplesheet.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def controls(tmp_path_factory):
    """Bead controls with a samplesheet that names stains by detector, fluorochrome and marker."""
    folder = tmp_path_factory.mktemp("controls") / "run"
    folder.mkdir()
    stains, unstained = draw_set(BEADS, N, seed=1)
    said = ["FITC", "PE-A", "CD138", "PC7", "AF647", "APC-H7", "BV421", "V500"]
    rows = [("blank.fcs", "c0", "unstained", "")]
    write_tube(folder / "blank.fcs", unstained)
    for k, (tube, stain) in enumerate(zip(stains, said, strict=True)):
        write_tube(folder / f"t{k}.fcs", tube, markers={DETECTORS[2]: "CD138 PerCP-Cy5.5"})
        rows.append((f"t{k}.fcs", f"c{k + 1}", "single_stain", stain))
    write_sheet(folder, rows)
    return folder


@pytest.fixture
def own_controls(controls, tmp_path):
    return shutil.copytree(controls, tmp_path / "run")


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments], catch_exceptions=False)


def test_the_matrix_is_written_with_its_evidence_and_page(controls, tmp_path):
    out = tmp_path / "out"
    result = run("compensation", controls, "-o", out)
    assert result.exit_code == 0, result.output
    spillover = read_spillover_csv(out / "spillover.csv")
    assert spillover.detectors == DETECTORS
    assert np.abs(spillover.matrix - TRUE).max() < 0.002
    np.testing.assert_array_equal(spillover.matrix, fit_compensation(controls).fit.spillover.matrix)
    with (out / "spillover_pairs.csv").open(newline="") as file:
        pairs = list(csv.DictReader(file))
    assert len(pairs) == 56
    first = pairs[0]
    assert (first["file"], first["stain"], first["detector"], first["spill_detector"]) == (
        "t0.fcs", "FITC", "FITC-A", "PE-A",
    )  # fmt: skip
    assert float(first["ci_low"]) < 0.22 < float(first["ci_high"])
    assert "(1) FITC-A, (2) PE-A" in result.output
    assert re.search(r"^FITC-A +- +22\.\d ", result.output, re.MULTILINE)
    assert "ok: condition number" in result.output


def test_the_page_stands_alone_and_escapes_what_files_say(own_controls, tmp_path):
    (own_controls / "t0.fcs").rename(own_controls / "<img src=x>&.fcs")
    sheet = own_controls / "samplesheet.csv"
    sheet.write_text(sheet.read_text().replace("t0.fcs", "<img src=x>&.fcs"))
    run("compensation", own_controls, "-o", tmp_path / "out")
    page = (tmp_path / "out" / "compensation.html").read_text("utf-8")
    assert "&lt;img src=x&gt;&amp;.fcs" in page
    assert "<img" not in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert 'content="default-src &#39;none&#39;' in page
    assert page.count('class="heat ') == 2 * 64
    assert "style=" not in page.replace("<style", "")


def test_the_same_controls_give_the_same_bytes(controls, tmp_path):
    for name in ("a", "b"):
        run("compensation", controls, "-o", tmp_path / name, "-q")
    for name in ("spillover.csv", "spillover_pairs.csv", "compensation.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_other_files_of_the_folder_stay(controls, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    assert run("compensation", controls, "-o", tmp_path, "-q").output == ""
    assert (tmp_path / "kept.txt").read_text() == "mine"
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".") and p.suffix != ".lock"]


def test_the_matrix_lies_where_gate_finds_it_again(own_controls):
    output = run("compensation", own_controls).output
    assert f'write into {own_controls / "run.toml"}: spillover = "compensation/spillover.csv"' in output
    result = run("compensation", own_controls, "-o", own_controls / "results" / "compensation")
    assert result.exit_code == 2
    assert "which `gate` replaces whole" in result.output
    assert not (own_controls / "results").exists()


def test_files_are_recognised_without_a_samplesheet(own_controls):
    (own_controls / "samplesheet.csv").unlink()
    (own_controls / "t2.fcs").unlink()  # all are labelled CD138, so that labels would tell one stain alone
    names = ["Comp FITC stain", "Compensation_PE", "", "x_PE-Cy7_001", "APC comp", "Apc-Fire 750", "V450", "BV510"]
    stains, unstained = draw_set(BEADS, N, seed=1)
    for k, name in enumerate(names):
        (own_controls / f"t{k}.fcs").unlink(missing_ok=True)
        if name:
            write_tube(own_controls / f"{name}.fcs", stains[k])
    write_tube(own_controls / "single stain 7.fcs", stains[2])
    write_tube(own_controls / "patient 12.fcs", unstained)
    plan = plan_controls(own_controls)
    assert {c.name: c.detector for c in plan.stains} == {
        **{f"{n}.fcs": d for n, d in zip(names, DETECTORS, strict=True) if n},
        "single stain 7.fcs": DETECTORS[2],
    }
    assert [c.name for c in plan.unstained] == ["blank.fcs"]
    said = "\n".join(plan.notes)
    assert "single stain 7.fcs: its name says no stain; taken for that of PerCP-Cy5-5-A, where it is brightest" in said
    assert "not taken for controls: patient 12.fcs" in said


def test_one_labelled_channel_tells_the_stain(tmp_path):
    write_tube(tmp_path / "017.fcs", draw_tube(BEADS, 1, N), markers={"PE-A": "CD38"})
    write_tube(tmp_path / "018 PE.fcs", draw_tube(BEADS, 0, N), markers={"FITC-A": "CD45 FITC"})
    assert [c.detector for c in plan_controls(tmp_path).stains] == ["PE-A", "FITC-A"]


def test_a_marker_is_looked_up_in_the_samples_where_controls_carry_none(tmp_path):
    write_tube(tmp_path / "c.fcs", draw_tube(BEADS, 4, N))
    labels = {"PE-A": "CD38", "APC-A": "CD319", "FITC-A": "CD45"}
    write_tube(tmp_path / "s.fcs", draw_tube(BEADS, None, N), markers=labels)
    write_sheet(tmp_path, [("c.fcs", "c", "single_stain", "CD319"), ("s.fcs", "s", "sample", "")])
    plan = plan_controls(tmp_path)
    assert [c.detector for c in plan.stains] == ["APC-A"]
    assert plan.notes == ("c.fcs: CD319 is APC-A, as s.fcs labels it",)


def test_log_amplified_files_are_linearised(tmp_path):
    rows = []
    stains, unstained = draw_set(replace(CALIBUR, stained=1.0), N, seed=1)
    names = ("FSC-H", "SSC-H", *(d.replace("-A", "-H") for d in DETECTORS))
    for k, tube in enumerate([unstained, *stains]):
        channel = np.round(256 * np.log10(tube.values))
        data = np.column_stack([tube.scatter, channel]).astype(">u2")
        keywords = channel_keywords(
            [16] * 10, [1024] * 10, names=names, n_events=N, datatype="I", byte_order="4,3,2,1",
            amplification=["0,0"] * 2 + ["4,0"] * 8,
        )  # fmt: skip
        omitted = dict.fromkeys(("$BEGINSTEXT", "$ENDSTEXT", "$BEGINDATA", "$ENDDATA"), "@OMIT")
        omitted |= dict.fromkeys(("$BEGINANALYSIS", "$ENDANALYSIS"), "@OMIT")
        (tmp_path / f"{k}.fcs").write_bytes(build_fcs(data.tobytes(), keywords, version="FCS2.0", base=omitted))
        role = ("single_stain", names[k + 1]) if k else ("unstained", "")
        rows.append((f"{k}.fcs", f"c{k}", *role))
    write_sheet(tmp_path, rows)
    result = fit_compensation(tmp_path)
    assert {s.method for s in result.fit.stains} == {"medians"}
    assert np.abs(result.fit.spillover.matrix - TRUE).max() < 0.005


def test_gate_compensates_with_the_matrix_that_run_toml_names(small_run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(small_run[0] / "PB-1.fcs", folder)
    matrix = cm.open_fcs(folder / "PB-1.fcs").spillover
    (folder / "compensation").mkdir()
    changed = matrix.matrix + 0.03 * (1 - np.eye(len(matrix.detectors)))
    lines = [",".join(["", *matrix.detectors])]
    lines += [",".join([d, *map(repr, row)]) for d, row in zip(matrix.detectors, changed.tolist(), strict=True)]
    (folder / "compensation" / "spillover.csv").write_text("\n".join(lines))

    def condition():
        assert run("gate", folder, "-q").exit_code in (0, 5)
        with (folder / "results" / "qc.csv").open(newline="") as file:
            return float(next(csv.DictReader(file))["spillover_condition"])

    assert condition() == pytest.approx(matrix.condition_number)
    (folder / "run.toml").write_text('spillover = "compensation/spillover.csv"\n')
    assert condition() == pytest.approx(np.linalg.cond(changed))
    # The results were replaced; the matrix beside them is still there for the next time.
    assert (folder / "compensation" / "spillover.csv").exists()


def refused(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "cytomrd", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, ""), done.stdout + done.stderr
    return done.stderr


def test_a_refusal_lists_every_tube_on_a_line_of_its_own_and_writes_nothing(own_controls):
    sheet = own_controls / "samplesheet.csv"
    swapped = sheet.read_text().replace(",FITC\n", ",?\n").replace(",PE-A\n", ",FITC\n").replace(",?\n", ",PE-A\n")
    sheet.write_text(swapped)
    lines = refused("compensation", own_controls).splitlines()
    assert lines[0] == "refused: 2 of 8 single stains cannot be used:"
    assert "t0.fcs: claims PE-A but is brighter in FITC-A" in lines[1]
    assert "t1.fcs: claims FITC-A but is brighter in PE-A" in lines[2]
    assert not (own_controls / "compensation" / "spillover.csv").exists()


def test_a_stain_that_fits_no_detector_is_refused(own_controls):
    sheet = own_controls / "samplesheet.csv"
    sheet.write_text(sheet.read_text().replace(",PC7", ",CD999"))
    with pytest.raises(CompensationError, match=r"row 6, stain: 'CD999' fits no detector of t3\.fcs, which has FITC-A"):
        plan_controls(own_controls)


def test_a_folder_without_controls_is_refused(tmp_path):
    with pytest.raises(RunError, match="labelled or named as a single stain"):
        plan_controls(tmp_path)
    write_tube(tmp_path / "a.fcs", draw_tube(BEADS, None, 500))
    write_sheet(tmp_path, [("a.fcs", "s1", "sample", "")])
    with pytest.raises(RunError, match="has no row of role single_stain"):
        plan_controls(tmp_path)
    with pytest.raises(RunError, match="is not a folder"):
        plan_controls(tmp_path / "absent")


def test_a_missing_detector_is_refused(own_controls):
    write_tube(own_controls / "t1.fcs", draw_tube(BEADS, 1, N), detectors=[d for d in ALL if d != "APC-A"])
    with pytest.raises(CompensationError, match=r"t1\.fcs: lacks APC-A"):
        plan_controls(own_controls)


def test_other_voltages_are_refused(own_controls):
    for name, volts in (("t0.fcs", "450"), ("t1.fcs", "480")):
        tube = draw_tube(BEADS, int(name[1]), N)
        write_tube(own_controls / name, tube, keywords={"$P4V": volts})
    with pytest.raises(CompensationError, match=r"PE-A: the voltage differs between the controls \(450 in .*480 in"):
        plan_controls(own_controls)


def test_the_facscalibur_set_through_the_command(shared_data, tmp_path):
    source = shared_data / "compensation-facscalibur"
    shutil.copytree(source / "data", tmp_path / "run")
    stains = {"002": "FITC", "003": "PE", "004": "APC", "005": "7AAD"}
    rows = [("060909.001", "c1", "unstained", "")]
    rows += [(f"060909.{n}", f"c{n}", "single_stain", s) for n, s in stains.items()]
    (tmp_path / "run").chmod(0o755)
    write_sheet(tmp_path / "run", rows)
    result = run("compensation", tmp_path / "run")
    assert result.exit_code == 0
    spillover = read_spillover_csv(tmp_path / "run" / "compensation" / "spillover.csv")
    reference = np.loadtxt(source / "compref", skiprows=1, usecols=(1, 2, 3, 4))
    assert spillover.detectors == ("FL1-H", "FL2-H", "FL3-H", "FL4-H")
    assert np.abs(spillover.matrix - reference).max() < 1e-4


def test_the_lsrii_set_is_recognised_by_its_names(shared_data):
    plan = plan_controls(shared_data / "compensation-lsrii")
    with (shared_data / "compensation-lsrii" / "Compensation-Channels.csv").open(newline="") as file:
        truth = {row["name"]: row["channel"] for row in csv.DictReader(file)}
    assert [c.name for c in plan.unstained] == [n for n, c in truth.items() if c == "Unstained"]
    assert {c.name: c.detector for c in plan.stains} == {n: c for n, c in truth.items() if c != "Unstained"}


def test_doublets_of_stained_and_unstained_cells_are_left_out(tmp_path):
    """Two cells in a pulse have the light of both: where the partner is bright of itself, a slope is not the dye's."""
    law = replace(BEADS, kinds=((1.0, 60_000, 20_000, 80.0),), stained=0.4, spread=0.4)
    rows = [("blank.fcs", "c0", "unstained", "")]
    fits = {}
    for pulses in (("FSC-A", "FSC-H"), ("FSC-A",)):
        folder = tmp_path / "_".join(pulses)
        folder.mkdir()
        for own in (None, 0, 1):
            tube = draw_tube(law, own, 6_000, seed=3)
            rng = np.random.default_rng([9, own or 7])
            height, n = tube.scatter[:, 0] * rng.lognormal(0, 0.02, 6_000), 900
            tube.scatter[:n, 0] *= 2.0
            tube.values[:n] += 4_000.0 * np.abs(rng.normal(1.0, 0.3, (n, 1))) * (np.arange(len(DETECTORS)) < 3)
            events = np.column_stack([tube.scatter[:, 0], height, tube.scatter[:, 1], tube.values])
            names = ("FSC-A", "FSC-H", "SSC-A", *DETECTORS)
            keep = [i for i, name in enumerate(names) if not name.startswith("FSC") or name in pulses]
            file = "blank.fcs" if own is None else f"t{own}.fcs"
            cm.write_fcs(folder / file, events[:, keep], [names[i] for i in keep])
            if own is not None and len(rows) < 3:
                rows.append((file, f"c{own + 1}", "single_stain", DETECTORS[own]))
        write_sheet(folder, rows)
        result = CliRunner().invoke(cytomrd, ["compensation", str(folder)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        fits[pulses] = fit_compensation(folder)
    gated, whole = fits["FSC-A", "FSC-H"], fits["FSC-A",]
    for fit in gated.fit.stains:
        assert any("15.0% of the events are doublets by FSC-A and FSC-H" in note for note in fit.notes)
    wrong = [np.abs(f.fit.spillover.matrix[:2, :4] - TRUE[:2, :4]).max() for f in (gated, whole)]
    assert wrong[0] < 0.02
    assert wrong[0] < wrong[1]
