"""What time QC took from each population is in the results."""

import csv

import numpy as np
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.simulate import CLONES, LAWS, Clog, draw_donor, simulate_marrow_tube


def test_events_removed_by_time_qc_are_told_by_population(tmp_path):
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(
        law, draw_donor(law, 11), 80_000, 0.01, clone=CLONES["typical"], n_clonal=200, tube="2",
        clogs=[Clog(0.4, 0.05, signal=0.6)], random_state=5,
    )  # fmt: skip
    write_tube(tmp_path / "BM.fcs", tube)
    write_samplesheet(
        tmp_path,
        [{"file": "BM.fcs", "sample_id": "BM", "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2"}],
    )
    result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path)])
    assert result.exit_code == 0, result.output
    with (tmp_path / "results" / "populations.csv").open(newline="") as file:
        removed = {row["population"]: int(row["n_removed_by_time_qc"]) for row in csv.DictReader(file)}
    names = np.array(tube.label_names)[tube.labels]
    plasma = np.isin(names, ("plasma_cell", "clonal_plasma_cell")) & tube.in_clog
    assert removed["time"] >= 0.9 * tube.in_clog.sum()
    assert 0 < removed["plasma_cells"] <= 1.5 * plasma.sum()
    assert removed["nucleated"] <= removed["singlets"] <= removed["time"]
