"""Events at the top of a channel, where the instrument could not measure higher."""

from __future__ import annotations

__all__ = ["upper_margin"]


def upper_margin(channel) -> float:
    """Scale value from which an event counts as lying at the top of a channel.

    Parameters
    ----------
    channel
        With ``range`` and ``gain``, as a channel of :func:`cytomrd.open_fcs`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from cytomrd.preprocess.margins import upper_margin
    >>> upper_margin(SimpleNamespace(range=1024, gain=1.0))
    1021.977
    """
    top = channel.range / channel.gain if channel.gain else channel.range
    return 0.999 * (top - 1)
