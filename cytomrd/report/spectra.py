"""The page of reference spectra: checks first, then the spectra, and how well they are told apart."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from cytomrd import __version__
from cytomrd.report.compensation import check_groups, write_files
from cytomrd.report.compensation_plots import draw_matrix
from cytomrd.report.page import asset, environment, last_part, policy
from cytomrd.report.tables import data_uri
from cytomrd.report.words import count_words, number_words, percent_words, plural
from cytomrd.run.unmixing import SpectralResult, spectral_tables

__all__ = ["SPECTRA_PAGE", "publish_spectra", "render_spectra"]

SPECTRA_PAGE = "spectra.html"


def publish_spectra(result: SpectralResult, out: Path) -> None:
    """Write spectra and page into ``out``, each file whole or not at all; other files there stay."""
    write_files(out, {**spectral_tables(result), SPECTRA_PAGE: render_spectra(result)})


def render_spectra(result: SpectralResult) -> str:
    """The page as one HTML text that needs nothing else; the same for the same controls, byte for byte."""
    fit, reference = result.fit, result.fit.reference
    style = asset("report.css") + asset("compensation.css")
    names, stained = reference.names, [s.stain for s in fit.stains]
    rows = [
        (s.stain, s.tube, s.detector, count_words(s.n_used), count_words(s.n_negative), percent_words(float(left)))
        for s, left in zip(fit.stains, fit.residual, strict=True)
    ]
    return (
        environment()
        .get_template("spectra.html.j2")
        .render(
            csp=policy(style, ""),
            style=Markup(style),
            title=last_part(result.folder) or "run",
            folder=result.folder,
            version=__version__,
            size=f"{plural(len(names), 'spectrum', 'spectra')} over {plural(len(reference.detectors), 'detector')}, "
            f"condition number {number_words(reference.condition_number)}",
            checks=check_groups(result.checks),
            assumed=list(result.plan.notes),
            spectra=draw_matrix(names, reference.detectors, reference.spectra, title="spectra in percent"),
            similarity=draw_matrix(names, names, reference.similarity, title="similarity in percent"),
            crosstalk=draw_matrix(stained, names, fit.crosstalk, title="crosstalk in percent"),
            stains=rows,
            downloads=[(name, data_uri(text)) for name, text in spectral_tables(result).items()],
        )
    )
