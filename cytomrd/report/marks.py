"""The shapes that tell a status apart without colour."""

from __future__ import annotations

from markupsafe import Markup

__all__ = ["status_mark"]

_SHAPES = {
    "failed": '<path class="solid" d="M1.5 1.5h13v13h-13z"/><path class="hole" d="M5 5l6 6M11 5l-6 6"/>',
    "held": '<path class="solid" d="M8 1l7.3 13.4H.7z"/><path class="hole" d="M8 5.6v4.2M8 11.6v1.3"/>',
    "not-evaluable": '<circle class="hollow" cx="8" cy="8" r="6.2" stroke-dasharray="2.4 2.4"/>',
    "indeterminate": '<path class="hollow" d="M8 1l7 7-7 7-7-7z"/><path class="solid" d="M8 1v14L1 8z"/>',
    "positive": '<path class="solid" d="M8 .8L15.2 8 8 15.2.8 8z"/>',
    "quantified": '<rect class="solid" x="2" y="2" width="12" height="12"/>',
    "negative": '<circle class="hollow" cx="8" cy="8" r="6.2"/><path class="hollow" d="M5 8h6"/>',
    "other": '<circle class="solid" cx="8" cy="8" r="3"/>',
}


def status_mark(need: str, assay: str = "mrd") -> Markup:
    """A small drawing for a status; the word beside it says the same. CAR+ NK cells keep their square."""
    if need == "positive" and assay == "car_nk":
        need = "quantified"
    return Markup(
        f'<svg class="mark" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">{_SHAPES[need]}</svg>'
    )
