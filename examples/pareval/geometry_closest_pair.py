"""Smallest distance of two of n numbers."""

import math

import portapar as pp


def gap(i, x):
    """From one element of a sorted array to the next."""
    return x[i + 1] - x[i]


def geometry_closest_pair(policy, x):
    """The smallest |x[i] - x[j]| with i ≠ j of a vector of doubles; inf for less than two."""
    near = pp.sort(policy, x)
    return pp.transform_reduce(
        policy, pp.range(len(x) - 1), transform=lambda i: gap(i, near), op=pp.minimum, init=math.inf
    )
