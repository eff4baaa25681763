"""Values that several commands take."""

from __future__ import annotations

import re

import click

__all__ = ["memory_mb"]

_UNITS = {"K": 1e-3, "M": 1.0, "G": 1e3, "T": 1e6}


def memory_mb(ctx, param, value: str | None) -> float | None:
    """A size such as ``4G`` or ``800M`` in MB."""
    if value is None:
        return None
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])i?B?\s*", value, re.IGNORECASE | re.ASCII)
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{value!r} is not a size; write a number and a unit, such as 4G or 800M")
    return float(found[1]) * _UNITS[found[2].upper()]
