"""One block of events through a compiled program: columns, then the gate tree.

Buffers are allocated once and reused, so that a file of any length needs the same few megabytes. Rectangles are
held against linear values, costly scales come out of tables with a known error; the rare event that lies within
that error of a gate's edge is computed exactly, so membership is that of exact scales.
"""

from __future__ import annotations

import numpy as np

from cytomrd.gating.encode import EncodedProgram, new_buffers
from cytomrd.gating.program import Program
from cytomrd.kernels.block import run_block

__all__ = ["BlockEvaluator"]


class BlockEvaluator:
    """Buffers and the run over one block.

    Parameters
    ----------
    program
        From :func:`cytomrd.gating.program.compile_strategy`, with every extra axis already added.
    block_size
        Most events that a block holds.
    encoded
        The program as arrays (:func:`cytomrd.gating.encode.encode_program`), which several evaluators can share.
        Encoded to be exact, every position is computed exactly; else costly scales are looked up, which changes no
        membership and moves a position by at most ``errors``.

    Attributes
    ----------
    members
        uint8 (n_populations, block_size): 1 where the event is in the population.
    finite
        uint8 (block_size,): 1 where every channel that a gate uses is finite.
    linear, scaled
        float64 (n_sources, block_size) and (n_columns, block_size), as of the last block;
        ``scaled`` of the columns whose positions are needed.
    errors
        float64 (n_columns,): bound on the error of each column of ``scaled``.
    """

    def __init__(self, program: Program, block_size: int, encoded: EncodedProgram):
        self.program = program
        self._encoded = encoded
        self._buffers = new_buffers(program, block_size)
        self.errors = self._encoded.column_error
        self.finite, self.linear, self.scaled, self.members = self._buffers[:4]

    def run(self, values: np.ndarray) -> int:
        """Fill ``members`` for ``values`` float64 (n_channels, n); returns how many events are not finite."""
        return run_block(np.ascontiguousarray(values, dtype=np.float64), values.shape[1], self._encoded, self._buffers)
