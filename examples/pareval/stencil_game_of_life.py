"""A step of Conway's game of life."""

import portapar as pp


def step(i, j, x, out):
    """What is outside is dead."""
    rows, columns = x.shape
    near = 0
    for p in range(max(i - 1, 0), min(i + 2, rows)):
        for q in range(max(j - 1, 0), min(j + 2, columns)):
            near += x[p, q]
    near -= x[i, j]
    out[i, j] = near == 3 or (near == 2 and x[i, j] == 1)


def stencil_game_of_life(policy, x, out):
    """Write the next generation of x to `out` (int32 matrices of 0 and 1); returns it."""
    pp.for_each(policy, x.shape, step, x, out)
    return out
