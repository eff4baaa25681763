"""``cytomrd compensation --spectral``: spectra from single stains, and samples unmixed."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from simulated_spectra import AF, DETECTORS, NAMES, PEAKS, TRUE, draw_spectral

import cytomrd as cm
from cytomrd.cli.main import cytomrd
from cytomrd.errors import CompensationError, RunError
from cytomrd.preprocess.unmixing import read_spectra_csv
from cytomrd.run.single_stains import plan_controls
from cytomrd.run.unmixing import RESIDUAL, unmix_run, unmixed
from cytomrd.samplesheet import read_samplesheet

ALL = ("FSC-A", "SSC-A", *DETECTORS, "Time")
N = 2_000


def write(path, scatter, values, detectors=ALL):
    events = np.column_stack([scatter, values, np.arange(len(values))])
    events = events[:, [ALL.index(d) for d in detectors]]
    keywords = {"$CYT": "made up", "$P4V": "500", "$PROJ": "kept"}
    cm.write_fcs(path, events, detectors, ranges=[4_194_304] * len(detectors), keywords=keywords, timestep=0.01)


@pytest.fixture(scope="module")
def spectral_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spectral") / "run"
    (folder / "samples").mkdir(parents=True)
    lines = ["file,sample_id,subject_id,role,stain", "u.fcs,u,,unstained,"]
    unstained = draw_spectral(None, N)
    write(folder / "u.fcs", unstained.scatter, unstained.values)
    for k, name in enumerate(NAMES):
        tube = draw_spectral(k, N)
        write(folder / f"c{k}.fcs", tube.scatter, tube.values)
        lines.append(f"c{k}.fcs,c{k},,single_stain,{name}")
    rng = np.random.default_rng(3)
    amounts = np.column_stack([rng.choice([0.0, 9_000.0], (N, len(PEAKS))), np.full(N, 200.0)])
    signal = amounts @ np.vstack([TRUE, AF])
    write(folder / "samples" / "S1.LMD", unstained.scatter, signal + rng.normal(0, 20, signal.shape))
    lines.append("samples/S1.LMD,S1,P1,sample,")
    (folder / "samplesheet.csv").write_text("\n".join(lines) + "\n")
    return folder, amounts


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments], catch_exceptions=False)


def test_spectra_page_and_unmixed_samples_are_written(spectral_run, tmp_path):
    folder, amounts = spectral_run
    result = run("compensation", folder, "--spectral", "-o", tmp_path / "out", "--unmix", tmp_path / "unmixed")
    assert result.exit_code == 0, result.output
    assert f"dye 1: brightest in {DETECTORS[PEAKS[0]]}" in result.output
    reference = read_spectra_csv(tmp_path / "out" / "spectra.csv")
    assert np.abs(reference.spectra[:-1] - TRUE).max() < 0.01
    page = (tmp_path / "out" / "spectra.html").read_text("utf-8")
    assert "Spectra of run" in page
    assert not [part for part in ("<script", "http:", "https:") if part in page]
    tube = cm.open_fcs(tmp_path / "unmixed" / "samples" / "S1.fcs")
    assert tube.detectors == ("FSC-A", "SSC-A", "Time", *NAMES, "Autofluorescence", RESIDUAL)
    assert tube.markers[3:] == (*NAMES, "Autofluorescence", RESIDUAL)
    assert (tube.keywords["$CYT"], tube.keywords["$PROJ"]) == ("made up", "kept")
    assert "$P4V" not in tube.keywords
    found = tube.read_events(NAMES)
    assert np.abs(np.median(found - amounts[:, :-1], axis=0)).max() < 60
    source = cm.open_fcs(folder / "samples" / "S1.LMD")
    kept = ("FSC-A", "SSC-A", "Time")
    np.testing.assert_allclose(tube.read_events(kept), source.read_events(kept), rtol=1e-6)
    (row,) = read_samplesheet(tmp_path / "unmixed")
    assert (row.file, row.sample_id, row.subject_id) == ("samples/S1.fcs", "S1", "P1")


def test_a_file_is_unmixed_into_anndata(spectral_run, tmp_path):
    folder, amounts = spectral_run
    run("compensation", folder, "--spectral", "-o", tmp_path, "-q")
    data = unmixed(cm.open_fcs(folder / "samples" / "S1.LMD"), read_spectra_csv(tmp_path / "spectra.csv"))
    assert list(data.var_names) == [*NAMES, "Autofluorescence"]
    assert list(data.uns["scatter"]) == ["FSC-A", "SSC-A", "Time"]
    assert data.obsm["scatter"].shape == (N, 3)
    assert np.abs(np.median(data.X[:, :-1] - amounts[:, :-1], axis=0)).max() < 60
    assert 10 < np.median(data.obs["residual_rms"]) < 40


def test_what_cannot_be_unmixed_is_refused(spectral_run, tmp_path):
    folder, _ = spectral_run
    run("compensation", folder, "--spectral", "-o", tmp_path, "-q")
    reference = read_spectra_csv(tmp_path / "spectra.csv")
    with pytest.raises(RunError, match="lies inside the run"):
        unmix_run(folder, reference, folder / "unmixed")
    tube = draw_spectral(0, 200)
    write(tmp_path / "less.fcs", tube.scatter, tube.values, [d for d in ALL if d != "D5-A"])
    with pytest.raises(CompensationError, match=r"less\.fcs: lacks the detectors D5-A"):
        unmixed(cm.open_fcs(tmp_path / "less.fcs"), reference)
    with pytest.raises(RunError, match=r"samplesheet\.csv is missing"):
        plan_controls(tmp_path, spectral=True)
    assert run("compensation", folder, "--unmix", tmp_path / "x").exit_code == 2
    assert run("compensation", folder, "--spectral", "--method", "medians").exit_code == 2
