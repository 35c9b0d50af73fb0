"""Cells with exactly one neighbour."""

import numpy as np

import portapar as pp


def one_neighbour(x, i, j):
    """Whether exactly one of the four neighbours is 1: an odd number of them, and not three."""
    up, down, left, right = x[i - 1, j] == 1, x[i + 1, j] == 1, x[i, j - 1] == 1, x[i, j + 1] == 1
    return np.int32((up ^ down ^ left ^ right) & (not up & down) & (not left & right))


def stencil_edges(policy, x, out):
    """Write 1 to `out` where exactly one of the four neighbours is 1, else 0 (int32 matrices); returns it."""
    return pp.stencil(policy, x, one_neighbour, out=out)
