"""Spectral unmixing against a slow oracle, and spectra of simulated single stains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_spectra import AF, DETECTORS, N_DETECTORS, NAMES, PEAKS, TRUE, draw_spectral

from cytomrd.errors import CompensationError
from cytomrd.preprocess.spectra import AUTOFLUORESCENCE, check_spectra, fit_spectra
from cytomrd.preprocess.unmixing import (
    SpectralReference,
    format_spectra_csv,
    photon_weights,
    read_spectra_csv,
    unmix,
)


@pytest.fixture(scope="module")
def fit():
    return fit_spectra([draw_spectral(k) for k in range(len(PEAKS))], DETECTORS, draw_spectral(None))


def test_spectra_of_single_stains_are_recovered(fit):
    assert fit.reference.names == (*NAMES, AUTOFLUORESCENCE)
    assert np.abs(fit.reference.spectra[:-1] - TRUE).max() < 0.005
    assert np.abs(fit.reference.spectra[-1] - AF).max() < 0.03
    assert [s.detector for s in fit.stains] == [DETECTORS[p] for p in PEAKS]
    assert np.abs(fit.crosstalk).max() < 0.01
    assert fit.residual.max() < 0.03
    assert {c.level for c in check_spectra(fit)} <= {"ok", "note"}


def test_mixtures_are_unmixed_without_bias(fit):
    rng = np.random.default_rng(5)
    amounts = np.column_stack([rng.choice([0.0, 2_000.0, 15_000.0], (3_000, 6)), rng.lognormal(5, 0.4, 3_000)])
    signal = amounts @ np.vstack([TRUE, AF])
    events = signal + rng.normal(0, 1, signal.shape) * np.sqrt(20.0**2 + 2.0 * signal)
    for weights in (None, photon_weights(events, np.full(N_DETECTORS, 20.0))):
        found = unmix(events, fit.reference, weights=weights)
        off = found.abundances[:, :6] - amounts[:, :6]
        assert np.abs(np.median(off, axis=0)).max() < 60.0
        assert found.residual_rms.shape == (3_000,)
    plain = unmix(events, fit.reference).abundances[:, :6]
    weighted = unmix(events, fit.reference, weights=weights).abundances[:, :6]
    assert (weighted - amounts[:, :6]).std() < (plain - amounts[:, :6]).std()


def test_without_unstained_cells_the_negative_fraction_serves():
    fit = fit_spectra([draw_spectral(k) for k in range(3)], DETECTORS)
    assert fit.reference.names == NAMES[:3]
    assert np.abs(fit.reference.spectra - TRUE[:3]).max() < 0.01
    assert any("autofluorescence is not one of the spectra" in c.text for c in check_spectra(fit))


@pytest.mark.parametrize("kind", ["none", "detectors", "events"])
def test_unmixing_is_least_squares_event_by_event(kind):
    rng = np.random.default_rng(1)
    reference = SpectralReference(("a", "b", "c"), tuple("12345"), rng.random((3, 5)))
    events = rng.normal(0, 100, (9_000, 5))
    weights = {"none": None, "detectors": rng.random(5), "events": rng.random((9_000, 5))}[kind]
    found = unmix(events, reference, weights=weights)
    for k in (0, 1, 8_191, 8_192, 8_999):
        root = np.ones(5) if weights is None else np.sqrt(weights if kind == "detectors" else weights[k])
        slow = np.linalg.lstsq((reference.spectra * root).T, events[k] * root, rcond=None)[0]
        np.testing.assert_allclose(found.abundances[k], slow, rtol=1e-7, atol=1e-7)
        left = events[k] - slow @ reference.spectra
        assert found.residual_rms[k] == pytest.approx(np.sqrt(np.mean(left**2)))


def test_as_many_detectors_as_spectra_is_compensation():
    matrix = np.array([[1, 0.2, 0.01], [0.05, 1, 0.3], [0, 0.1, 1]])
    events = np.random.default_rng(0).normal(0, 10, (50, 3))
    found = unmix(events, SpectralReference(("a", "b", "c"), ("A", "B", "C"), matrix))
    np.testing.assert_allclose(found.abundances, events @ np.linalg.inv(matrix))
    np.testing.assert_allclose(found.residual_rms, 0, atol=1e-10)


@pytest.mark.parametrize(
    ("names", "spectra", "match"),
    [
        (("a", "a"), [[1, 0, 0], [0, 1, 0]], "named twice"),
        (("a", "b"), [[1, 0], [0, 1]], "but an array"),
        (("a", "b", "c", "d"), np.eye(4)[:, :3], "at least as many detectors"),
        (("a", "b"), [[1, 0, 0], [0, np.nan, 0]], "not finite"),
        (("a", "b"), [[1, 0, 0], [0, 0, 0]], "a spectrum is zero"),
        (("a", "b"), [[1, 0.5, 0], [2, 1, 0]], "most alike: a and b, cosine 1.0000"),
    ],
)
def test_spectra_that_cannot_be_used_are_refused(names, spectra, match):
    with pytest.raises(CompensationError, match=match):
        SpectralReference(names, ("A", "B", "C"), np.array(spectra, dtype=float))


def test_what_does_not_fit_is_refused():
    reference = SpectralReference(("a", "b"), ("A", "B", "C"), [[1, 0, 0.1], [0, 1, 0.1]])
    with pytest.raises(CompensationError, match="do not have the 3 detectors"):
        unmix(np.zeros((5, 2)), reference)
    with pytest.raises(CompensationError, match="fit neither"):
        unmix(np.zeros((5, 3)), reference, weights=np.ones(4))
    with pytest.raises(CompensationError, match="below 0"):
        unmix(np.zeros((5, 3)), reference, weights=np.array([1, -1, 1]))
    with pytest.raises(CompensationError, match="1 detectors have a weight above 0, 2 spectra"):
        unmix(np.zeros((5, 3)), reference, weights=np.array([1, 0, 0]))
    blind = SpectralReference(("a", "b"), ("A", "B", "C"), [[1, 0, 0], [0, 1, 0]])
    with pytest.raises(CompensationError, match="cannot be told apart by the detectors that have a weight"):
        unmix(np.ones((5, 3)), blind, weights=np.tile([1.0, 0.0, 1.0], (5, 1)))


def test_no_events_are_no_trouble():
    reference = SpectralReference(("a", "b"), ("A", "B", "C"), [[1, 0, 0.1], [0, 1, 0.1]])
    for weights in (None, np.ones((0, 3))):
        assert unmix(np.zeros((0, 3)), reference, weights=weights).abundances.shape == (0, 2)


def test_spectra_go_through_csv_exactly(fit, tmp_path):
    path = tmp_path / "spectra.csv"
    path.write_text(format_spectra_csv(fit.reference))
    again = read_spectra_csv(path)
    assert (again.names, again.detectors, again.source) == (fit.reference.names, DETECTORS, "spectra.csv")
    np.testing.assert_array_equal(again.spectra, fit.reference.spectra)


@pytest.mark.parametrize("text", ["", "x", ",A,B\na,1\n", ",A,B\na,1,x\n", ",A,B\na,1,inf\n"])
def test_a_file_that_holds_no_spectra_is_refused(tmp_path, text):
    path = tmp_path / "spectra.csv"
    path.write_text(text)
    with pytest.raises(CompensationError, match="spectra"):
        read_spectra_csv(path)


def test_alike_spectra_and_unstained_tubes_are_told():
    with pytest.raises(CompensationError, match=r"dye 1\.fcs: no positives"):
        fit_spectra([draw_spectral(0, stained=0.0)], DETECTORS, draw_spectral(None))
    twice = [draw_spectral(0), replace(draw_spectral(0, seed=1), stain="dye 1 again", name="again.fcs")]
    first = check_spectra(fit_spectra(twice, DETECTORS, draw_spectral(None)))[0]
    assert first.level == "warning"
    assert "most alike are dye 1 and dye 1 again (cosine 1.000)" in first.text
    with pytest.raises(CompensationError, match="a name of its own"):
        fit_spectra([draw_spectral(0), draw_spectral(0)], DETECTORS, draw_spectral(None))
