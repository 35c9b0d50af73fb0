"""A step of Conway's game of life."""

import numpy as np

import portapar as pp


def step(x, i, j):
    """Whether a cell lives on, or comes to life."""
    near = x[i - 1, j - 1] + x[i - 1, j] + x[i - 1, j + 1] + x[i, j - 1]
    near += x[i, j + 1] + x[i + 1, j - 1] + x[i + 1, j] + x[i + 1, j + 1]
    return np.int32(near == 3 or (near == 2 and x[i, j] == 1))


def stencil_game_of_life(policy, x, out):
    """Write the next generation of x to `out` (int32 matrices of 0 and 1), dead beyond the border; returns it."""
    return pp.stencil(policy, x, step, out=out)
