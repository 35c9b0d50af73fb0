"""Mean of a cell and its four neighbours."""

import portapar as pp


def mean(i, j, x, out):
    """What is outside is 0."""
    rows, columns = x.shape
    total = x[i, j]
    total += x[i - 1, j] if i > 0 else 0.0
    total += x[i + 1, j] if i + 1 < rows else 0.0
    total += x[i, j - 1] if j > 0 else 0.0
    total += x[i, j + 1] if j + 1 < columns else 0.0
    out[i, j] = total / 5.0


def stencil_mean_2d(policy, x, out):
    """Write the mean of every element and its four neighbours to `out` (matrices of doubles); returns it."""
    pp.for_each(policy, x.shape, mean, x, out)
    return out
