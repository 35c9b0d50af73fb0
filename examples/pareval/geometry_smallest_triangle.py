"""Smallest area of a triangle of three of n points."""

import math

import numpy as np

import portapar as pp


def smallest_with(i, x, y, best):
    """Twice the smallest area of the triangles whose first corner is i; 64 third corners side by side."""
    least = np.full(64, math.inf)
    for j in range(i + 1, len(x)):
        dx, dy = x[j] - x[i], y[j] - y[i]
        for first in range(j + 1, len(x), 64):
            for k in range(min(64, len(x) - first)):
                u, v = np.uint64(first + k), np.uint64(k)
                area = abs(dx * (y[u] - y[i]) - dy * (x[u] - x[i]))
                least[v] = area if area < least[v] else least[v]
    for k in range(1, 64):
        least[0] = min(least[0], least[k])
    best[i] = least[0]


def geometry_smallest_triangle(policy, x, y):
    """The smallest area of a triangle of three of the points (x[i], y[i]); inf for less than three points."""
    best = pp.empty_like(policy, x)
    pp.for_each(policy.with_(schedule="dynamic", chunk_size=4), len(x), smallest_with, x, y, best)
    return pp.reduce(policy, best, op=pp.minimum, init=math.inf) / 2
