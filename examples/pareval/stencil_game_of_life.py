"""A step of Conway's game of life."""

import numpy as np

import portapar as pp


def step(x, i, j):
    """Whether a cell lives on, or comes to life."""
    above = x[i - 1, j - 1] + x[i - 1, j] + x[i - 1, j + 1]
    below = x[i + 1, j - 1] + x[i + 1, j] + x[i + 1, j + 1]
    near = np.int32(above + x[i, j - 1] + x[i, j + 1] + below)
    return np.int32((near == 3) | ((near == 2) & (x[i, j] == 1)))


def stencil_game_of_life(policy, x, out):
    """Write the next generation of x to `out` (int32 matrices of 0 and 1), dead beyond the border; returns it."""
    return pp.stencil(policy, x, step, out=out)
