"""y = A·x: one iteration for each row."""

import numpy as np

import portapar as pp


def row(i, a, x, y):
    """One element of y; 64 sums side by side, which the compiler makes vectors of."""
    sums = np.zeros(64)
    for first in range(0, len(x), 64):
        for k in range(min(64, len(x) - first)):
            j = np.uint64(first + k)
            sums[np.uint64(k)] += a[np.uint64(i), j] * x[j]
    total = 0.0
    for k in range(64):
        total += sums[k]
    y[i] = total


def dense_gemv(policy, a, x, y):
    """Write the product of a matrix and a vector of doubles to y; returns y."""
    pp.for_each(policy, len(y), row, a, x, y)
    return y
