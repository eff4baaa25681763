"""The limit of blank from a run's own negatives."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.run.blanks import Blank, find_limit
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

SAMPLE = Blank("BM", "S1", "Canto 7", 30, 3_000_000)


def negative(k, donor="", *, instrument="Canto 7", n=3_000_000, held=False):
    name = f"N{donor or k}"
    return Blank(name, donor or name, instrument, k, n, held)


def codes(limit):
    return {flag.partition(":")[0] for flag in limit.flags}


def test_without_negatives_it_is_assumed_and_said():
    limit = find_limit(SAMPLE, [])
    assert (limit.lob_events, limit.n_donors, limit.high_events) == (0, 0, None)
    assert codes(limit) == {"LOB_ASSUMED_0"}


def test_run_toml_goes_first():
    limit = find_limit(SAMPLE, [negative(50)], given=7)
    assert (limit.lob_events, limit.source, limit.flags) == (7, "run.toml", ())


def test_five_donors_alike_are_the_laboratory_s():
    limit = find_limit(SAMPLE, [negative(2, f"D{i}") for i in range(5)])
    assert (limit.lob_events, limit.n_donors) == (5, 5)
    assert limit.flags == ()


def test_few_donors_only_raise_and_are_called_provisional():
    low, high = find_limit(SAMPLE, [negative(0)]), find_limit(SAMPLE, [negative(40)])
    assert codes(low) == {"LOB_PROVISIONAL"}
    assert codes(high) == {"LOB_PROVISIONAL", "LOB_RAISED"}
    assert high.lob_events > 40
    assert "N40" in " ".join(high.flags)


@pytest.mark.parametrize(
    "other", [negative(90, instrument="Lyric 3"), negative(90, donor="S1"), negative(90, held=True), negative(0, n=0)]
)
def test_other_instruments_own_donor_and_held_files_do_not_count(other):
    limit = find_limit(SAMPLE, [other, *(negative(0, f"D{i}") for i in range(5))])
    assert (limit.lob_events, limit.n_donors) == (0, 5)


def test_negatives_of_another_instrument_are_named():
    limit = find_limit(SAMPLE, [negative(3, instrument="Lyric 3")])
    assert codes(limit) == {"LOB_ASSUMED_0"}
    assert "Lyric 3" in limit.flags[0]


def test_two_samples_of_one_donor_are_one_donor():
    limit = find_limit(SAMPLE, [negative(1, "D1"), Blank("again", "D1", "Canto 7", 5, 3_000_000)])
    assert limit.n_donors == 1


def test_small_negatives_leave_the_limit_unsure():
    limit = find_limit(SAMPLE, [negative(0, f"D{i}", n=50_000) for i in range(6)])
    assert limit.lob_events == 0
    assert codes(limit) == {"LOB_UNSURE"}


def test_a_run_s_negatives_set_the_threshold(tmp_path):
    law, rows = LAWS["clinical"], []
    for name, role, seed, n_clonal in (("BM", "sample", 1, 25), ("N1", "negative", 2, 60), ("N2", "negative", 3, 0)):
        clone = CLONES["typical"] if n_clonal else None
        tube = simulate_marrow_tube(
            law, draw_donor(law, seed), 40_000, 0.006, clone=clone, n_clonal=n_clonal or None, tube="2", clogs=(),
            random_state=seed,
        )  # fmt: skip
        write_tube(tmp_path / f"{name}.fcs", tube)
        rows.append({"file": f"{name}.fcs", "sample_id": name, "subject_id": name, "matrix": "BM", "role": role,
                     "panel": "euroflow-mm-mrd", "tube": "2"})  # fmt: skip
    write_samplesheet(tmp_path, rows)
    result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path)])
    assert result.exit_code == 0, result.output
    with (tmp_path / "results" / "mrd.csv").open(newline="") as file:
        found = {row["sample_id"]: row for row in csv.DictReader(file)}
    assert {r["lob_donors"] for r in found.values()} == {"1", "2"}
    # The negative with a clone is judged by the other one, and hides nothing of itself.
    assert found["N1"]["status"].startswith("POSITIVE")
    assert "NEGATIVE_WITH_CLONE" in found["N1"]["flags"]
    # The sample is not called positive on fewer events than a "negative" shows.
    assert int(found["BM"]["lob_events"]) > 40
    assert not found["BM"]["status"].startswith("POSITIVE")
    assert "LOB_RAISED" in found["BM"]["flags"]
    assert "limit of blank" in (tmp_path / "results" / "report.html").read_text("utf-8").lower()
