"""Cells with exactly one neighbour."""

import numpy as np

import portapar as pp


def one_neighbour(i, j, x, out):
    """Count the four neighbours, those outside as 0."""
    rows, columns = x.shape
    count = np.int32(i > 0 and x[i - 1, j] == 1) + np.int32(i + 1 < rows and x[i + 1, j] == 1)
    count += np.int32(j > 0 and x[i, j - 1] == 1) + np.int32(j + 1 < columns and x[i, j + 1] == 1)
    out[i, j] = count == 1


def stencil_edges(policy, x, out):
    """Write 1 to `out` where exactly one of the four neighbours is 1, else 0 (int32 matrices); returns it."""
    pp.for_each(policy, x.shape, one_neighbour, x, out)
    return out
