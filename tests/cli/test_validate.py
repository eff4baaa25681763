"""``cytomrd validate``: from mixtures to the page that a laboratory signs."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil

import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

TABLES = ("mixtures.csv", "levels.csv", "ladders.csv", "targets.csv")


def validate(*arguments):
    result = CliRunner().invoke(cytomrd, ["validate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A positive marrow and two negatives, one tube each."""
    folder, law, rows = tmp_path_factory.mktemp("own"), LAWS["clinical"], []
    for name, role, n_clonal in (("BM", "sample", 400), ("N1", "negative", None), ("N2", "negative", None)):
        tube = simulate_marrow_tube(
            law, draw_donor(law, len(rows)), 115_000, 0.005, clone=CLONES["typical"] if n_clonal else None,
            n_clonal=n_clonal, tube="2", clogs=(), random_state=len(rows),
        )  # fmt: skip
        write_tube(folder / f"{name}.fcs", tube)
        rows.append({"file": f"{name}.fcs", "sample_id": name, "subject_id": name, "matrix": "BM", "role": role,
                     "panel": "euroflow-mm-mrd", "tube": "2"})  # fmt: skip
    write_samplesheet(folder, rows)
    return folder


def test_a_ladder_of_own_files(own_run, tmp_path):
    out = tmp_path / "validation"
    said = validate(own_run, "-o", out, "--levels", "1e-3,0", "-n", "1e5", "--seeds", 2, "--blanks", 5)
    mixtures = table(out / "mixtures.csv")
    assert [(m["level"], m["blank"], m["clone"]) for m in mixtures] == [
        ("0.001", "N1", "BM"), ("0.001", "N2", "BM"), ("0", "N1", ""), ("0", "N2", ""),
    ]  # fmt: skip
    for m in mixtures:
        assert m["error"] == ""
        assert int(m["n_nucleated"]) == pytest.approx(100_000, rel=0.03)
        n_true, n_right = int(m["n_true"]), int(m["n_right"])
        assert 0.8 * n_true <= n_right <= n_true
        assert int(m["n_clonal"]) - n_right < 20
    assert {int(m["n_true"]) > 60 for m in mixtures[:2]} == {True}
    page = (out / "validation.html").read_text("utf-8")
    assert page.count("In silico; not clinical concordance.") >= 5
    assert "Signature" in page
    assert "not clinical concordance" in said
    known = json.loads((out / "provenance.json").read_text())
    assert set(known["input SHA-256"]) == {"BM.fcs", "N1.fcs", "N2.fcs"}
    assert 'lob_events = { "euroflow-mm-mrd" = ' in said
    assert known["table SHA-256"]["mixtures.csv"] == hashlib.sha256((out / "mixtures.csv").read_bytes()).hexdigest()
    for text in (*known["input SHA-256"].values(), known["panel SHA-256"], known["versions"]["numpy"]):
        assert text in page
    assert not re.search(r"\bnan\b|\bNone\b|\d\.\d{7}", re.sub(r"<svg.*?</svg>|data:[^\"]*", "", page))


def test_a_simulated_ladder_is_the_same_for_any_number_of_jobs_and_when_it_goes_on(tmp_path):
    common = ("--levels", "1e-3,0", "-n", "1e5", "--seeds", 1, "--blanks", 1, "--law", "clinical", "--seed", 5)
    for jobs in (1, 2):
        validate("-o", tmp_path / str(jobs), "-j", jobs, *common)
    for name in TABLES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    # A ladder goes on from its finished mixtures; one that was damaged is made again.
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / ".2.samples").glob("*/manifest.json")}
    damaged, kept = made
    damaged.write_bytes(damaged.read_bytes().replace(b"n_clonal", b"n_klonal"))
    shutil.rmtree(tmp_path / "2")
    validate("-o", tmp_path / "2", *common)
    assert damaged.stat().st_mtime_ns > made[damaged]
    assert kept.stat().st_mtime_ns == made[kept]
    for name in TABLES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_run_without_negatives_is_refused(small_run, tmp_path):
    folder, _ = small_run
    result = CliRunner().invoke(cytomrd, ["validate", str(folder), "-o", str(tmp_path / "v")])
    assert result.exit_code != 0
    assert "negative" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--levels", "1e-4,many"], "is not a number"),
        (["-n", "100"], "allowed is a whole number"),
        (["--seeds", "0"], "not in the range"),
    ],
)
def test_wrong_options_are_explained(arguments, said):
    result = CliRunner().invoke(cytomrd, ["validate", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_the_plan_is_shown_without_work():
    assert "300 mixtures" in validate("--law", "dim", "--dry-run", "--blanks", 160)
    assert "20 mixtures" in validate("--law", "dim", "--quick", "--dry-run")
