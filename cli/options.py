"""Values that several commands take."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

__all__ = ["events_from", "memory_mb", "numbers_from"]

_UNITS = {"K": 1e-3, "M": 1.0, "G": 1e3, "T": 1e6}


def memory_mb(ctx, param, value: str | None) -> float | None:
    """A size such as ``4G`` or ``800M`` in MB."""
    if value is None:
        return None
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])i?B?\s*", value, re.IGNORECASE | re.ASCII)
    if found is None or float(found[1]) <= 0:
        raise click.BadParameter(f"{value!r} is not a size; write a number and a unit, such as 4G or 800M")
    return float(found[1]) * _UNITS[found[2].upper()]


def events_from(least: str, *, example: str) -> Callable:
    """The callback of an option that takes a number of events such as ``1e7``, from ``least`` to 1e9."""

    def events(ctx, param, value: str | None) -> int | None:
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a number; try {example}") from None
        if not float(least) <= number <= 1e9 or number != int(number):
            raise click.BadParameter(f"{value} events; allowed is a whole number from {least} to 1e9")
        return int(number)

    return events


def numbers_from(least: float, most: float, *, whole: bool = False) -> Callable:
    """The callback of an option that takes numbers parted by commas, each from ``least`` to ``most``, once."""

    def numbers(ctx, param, value: str | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        found = []
        for text in value.split(","):
            try:
                number = float(text)
            except ValueError:
                raise click.BadParameter(f"{text!r} is not a number; write such as 1e-4,1e-5") from None
            if not least <= number <= most or (whole and number != int(number)):
                kind = "whole number" if whole else "number"
                raise click.BadParameter(f"{text!r}; allowed is a {kind} from {least:g} to {most:g}")
            found.append(int(number) if whole else number)
        return tuple(dict.fromkeys(found))

    return numbers
