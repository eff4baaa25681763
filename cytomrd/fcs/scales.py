"""From channel values to scale values: logarithmic amplifiers, gains and the time step."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np

from cytomrd.fcs.channels import Channel

__all__ = ["Scale", "scale_of"]

MAX_TABLE = 1 << 16
Scale = Callable[[np.ndarray], object]


def scale_of(channel: Channel, timestep: float | None, n_values: int, kernels: ModuleType) -> Scale | None:
    """The function that turns channel values (n,) float64 into scale values in place; None where they are equal.

    Logarithmic amplifiers give ``10 ** (decades * x / range) * offset`` (FCS 3.1, section 3.2.20), linear ones
    ``x / gain``, the time channel ``x * timestep`` seconds. ``n_values`` will be turned in all; ``kernels`` has
    ``antilog`` and ``look_up``.
    """
    if channel.decades > 0:
        return _log_scale(channel, n_values, kernels)
    if channel.is_time and timestep is not None:
        return lambda values: np.multiply(values, timestep, out=values)
    if channel.gain != 1:
        return lambda values: np.divide(values, channel.gain, out=values)
    return None


def _log_scale(channel: Channel, n_values: int, kernels: ModuleType) -> Scale:
    amplifier = (channel.decades, channel.range, channel.offset)
    if channel.mask is None or channel.mask + 1 > min(MAX_TABLE, n_values):
        return lambda values: kernels.antilog(values, *amplifier)
    # Fewer powers to work out than events: one for each value that can occur.
    table = np.arange(channel.mask + 1.0)
    kernels.antilog(table, *amplifier)
    return lambda values: kernels.look_up(values, table)
