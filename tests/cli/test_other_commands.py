"""The smaller commands: what they print, and their exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import cytomrd as cm
from cytomrd.cli.main import cytomrd


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments])


def exit_code(*arguments) -> tuple[int, str, str]:
    """Through the real entry point, which turns errors into exit codes."""
    command = [sys.executable, "-m", "cytomrd", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_info_shows_channels_and_findings(small_run):
    output = run("info", small_run[0] / "BM_1.fcs").output
    assert "CD38" in output
    assert "FITC-A" in output
    assert "spillover" in output


def test_info_of_what_is_no_fcs_file_says_why_and_names_it(tmp_path):
    bad = tmp_path / "bad.fcs"
    bad.write_bytes(b"no FCS file")
    code, stdout, stderr = exit_code("info", bad)
    assert (code, stdout) == (3, "")
    reason, name = stderr.splitlines()
    assert reason.startswith("refused: HEADER at byte 0: seen 'no FCS'")
    assert name.strip() == f"file: {bad}"


def test_info_lists_keywords(small_run):
    assert "$TOT = 60000" in run("info", small_run[0] / "BM_1.fcs", "--keywords").output


def test_check_is_quiet_when_all_is_well(small_run):
    result = run("check", small_run[0] / "BM_1.fcs", small_run[0] / "PB1.fcs")
    assert (result.exit_code, result.output) == (0, "")


def test_check_names_what_is_refused(small_run, tmp_path):
    bad = tmp_path / "bad.fcs"
    bad.write_bytes((small_run[0] / "BM_1.fcs").read_bytes()[:5000])
    result = run("check", small_run[0] / "BM_1.fcs", bad)
    assert result.exit_code == 3
    assert "bad.fcs" in result.output
    assert "BM_1" not in result.output


def test_check_tells_files_readable_only_with_repairs_from_refused_ones(small_run, tmp_path):
    repaired = tmp_path / "repaired.fcs"
    repaired.write_bytes((small_run[0] / "PB1.fcs").read_bytes().replace(b"$NEXTDATA|0|", b"$NEXTDATA| |"))
    code, stdout, _ = exit_code("check", repaired)
    assert (code, stdout.count("\n")) == (4, 1)
    assert "$NEXTDATA" in stdout
    assert exit_code("check", "--strict", repaired)[0] == 3


def test_samplesheet_draft_can_be_read_back(small_run, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    refused = run("samplesheet", folder)
    assert refused.exit_code == 2
    assert "--force" in refused.output
    assert run("samplesheet", folder, "--force").exit_code == 0
    from cytomrd.samplesheet import read_samplesheet

    rows = {r.file: r for r in read_samplesheet(folder)}
    assert rows["BM_2.fcs"].panel == "euroflow-mm-mrd"
    assert rows["BM_2.fcs"].tube == "2"
    assert rows["PB1.fcs"].panel == "car-nk-bcma"


def test_panels_list_show_and_check(tmp_path):
    listed = run("panels", "list").output
    for name in cm.list_panels():
        assert name in listed
    shown = run("panels", "show", "tbnk").output
    own = tmp_path / "own.toml"
    own.write_text(shown)
    assert run("panels", "check", own).exit_code == 0
    own.write_text(shown.replace('parent = "', 'parent = "no_', 1))
    wrong = run("panels", "check", own)
    assert wrong.exit_code == 3
    assert "line" in wrong.output


@pytest.mark.parametrize("form", ["fcs", "h5ad"])
def test_export_writes_the_population(gated_run, tmp_path, form):
    import csv

    folder, out, _ = gated_run
    done = run("export", folder, "-r", out, "-o", tmp_path, "-f", form, "-p", "nucleated")
    # blood files have no population of that name
    assert isinstance(done.exception, cm.errors.GateError)
    with (out / "populations.csv").open(newline="") as file:
        counts = {r["tube"]: int(r["n_events"]) for r in csv.DictReader(file) if r["population"] == "nucleated"}
    if form == "fcs":
        assert cm.open_fcs(tmp_path / "BM_tube2_nucleated.fcs").n_events == counts["2"]
    else:
        import anndata

        assert anndata.read_h5ad(tmp_path / "BM_tube2_nucleated.h5ad").n_obs == counts["2"]


def test_export_gates_that_flowkit_reads(gated_run, tmp_path):
    import flowkit as fk

    folder, out, _ = gated_run
    assert run("export", folder, "-r", out, "-o", tmp_path).exit_code == 0
    strategy = fk.parse_gating_xml(str(tmp_path / "BM_tube1_gates.xml"))
    assert "plasma_cells" in {name for name, _ in strategy.get_gate_ids()}


def test_export_flowjo_workspaces_that_are_read_back_and_compared(gated_run, tmp_path):
    import csv

    from cytomrd.gating.apply import apply_gates
    from cytomrd.gating.flowjo import read_flowjo_workspace

    folder, out, _ = gated_run
    done = run("export", folder, "-r", out, "-o", tmp_path, "-f", "wsp")
    assert done.exit_code == 0
    assert "BM_tube1_gates.wsp: population pc_plasmablast stands there in 3 steps" in done.stderr
    with (out / "populations.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["file"] == "BM_2.fcs"]
    workspace = tmp_path / "BM_tube2_gates.wsp"
    gated = apply_gates(cm.open_fcs(folder / "BM_2.fcs"), read_flowjo_workspace(workspace, "BM_2.fcs").strategy)
    assert {r["population"]: gated.count(r["population"]) for r in rows} == {
        r["population"]: int(r["n_events"]) for r in rows
    }
    # The workspace tells FlowJo where the file is, from the folder that it lies in.
    assert f"{os.path.relpath(folder, tmp_path)}/BM_2.fcs" in workspace.read_text("utf-8")
    compared = run("check", folder / "BM_2.fcs", "--flowjo", workspace)
    assert compared.exit_code == 0
    assert "plasma_cells: FlowJo stored no count" in compared.stdout
    workspace.write_text(workspace.read_text("utf-8").replace('count="-1"', 'count="7"'), "utf-8")
    compared = run("check", folder / "BM_2.fcs", "--flowjo", workspace)
    assert compared.exit_code == 4
    assert "nucleated: unexplained" in compared.stdout
    refused = run("check", folder / "BM_1.fcs", "--flowjo", workspace)
    assert refused.exit_code == 3
    assert "sample 'BM_1.fcs' is there 0 times" in refused.stderr


def test_exit_codes_of_the_entry_point(tmp_path):
    assert exit_code("--help")[0] == 0
    assert exit_code("no-such-command")[0] == 2
    code, _, stderr = exit_code("gate", tmp_path)
    assert code == 3
    assert "no FCS file" in stderr
    assert exit_code("info", tmp_path / "absent.fcs")[0] == 3
