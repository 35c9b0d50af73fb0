"""Cells with exactly one neighbour."""

import numpy as np

import portapar as pp


def one_neighbour(x, i, j):
    """Whether exactly one of the four neighbours is 1."""
    count = (x[i - 1, j] == 1) + (x[i + 1, j] == 1) + (x[i, j - 1] == 1) + (x[i, j + 1] == 1)
    return np.int32(np.int32(count) == 1)


def stencil_edges(policy, x, out):
    """Write 1 to `out` where exactly one of the four neighbours is 1, else 0 (int32 matrices); returns it."""
    return pp.stencil(policy, x, one_neighbour, out=out)
