"""Σ min(x, y)."""

import portapar as pp


def reduce_sum_of_minimums(policy, x, y):
    """The sum of the smaller of x[i] and y[i], for vectors of doubles."""
    return pp.transform_reduce(policy, x, y, transform=lambda a, b: min(a, b), init=0.0)
