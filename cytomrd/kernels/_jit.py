"""The one place that calls numba: every kernel is declared with :func:`kernel`."""

from __future__ import annotations

import numba

__all__ = ["kernel"]


def kernel(function=None, **options):
    """Compile ``function`` on first call, without the GIL, cached on disk.

    NaN and infinities keep their IEEE meaning: no fast-math flag is ever set,
    since a membership decided on a reordered sum would depend on the machine. One kernel
    asks for "contract", fused multiplication and addition: its answers are certified.
    """
    settings = {"nogil": True, "cache": True, "error_model": "numpy", **options}
    decorate = numba.njit(**settings)
    return decorate if function is None else decorate(function)
