"""A·x = b from coordinate form: elimination with partial pivoting on the matrix with b as one more column."""

import math

import numpy as np

import portapar as pp
from examples.pareval.dense_lu import rest, right, room
from examples.pareval.sparse_lu import dense


def panel(_, a, k, end, pivots):
    """Factor columns k to end - 1, exchanging rows within them; the next pivot is looked for on the way."""
    n = a.shape[0]
    pivot = k
    for i in range(k + 1, n):
        if abs(a[i, k]) > abs(a[pivot, k]):
            pivot = i
    for p in range(k, end):
        pivots[p] = pivot
        for j in range(k, end):
            a[p, j], a[pivot, j] = a[pivot, j], a[p, j]
        pivot = p + 1
        largest = -1.0
        for i in range(p + 1, n):
            factor = a[i, p] / a[p, p]
            a[i, p] = factor
            for j in range(p + 1, end):
                a[np.uint64(i), np.uint64(j)] -= factor * a[np.uint64(p), np.uint64(j)]
            if p + 1 < end and abs(a[i, p + 1]) > largest:
                pivot, largest = i, abs(a[i, p + 1])


def exchange(c, a, k, end, pivots):
    """The same exchanges in 64 columns right of the panel."""
    first = end + 64 * c
    for p in range(k, end):
        for j in range(first, min(first + 64, a.shape[1])):
            a[p, j], a[pivots[p], j] = a[pivots[p], j], a[p, j]


def substitute(_, a, x):
    """Solve with U from the last row up."""
    n = len(x)
    for i in range(n - 1, -1, -1):
        total = a[i, n]
        for j in range(i + 1, n):
            total -= a[i, j] * x[j]
        x[i] = total / a[i, i]


def last_column(i, a, b):
    """The right-hand side."""
    a[i, a.shape[1] - 1] = b[i]


def sparse_solve(policy, row, column, value, b, x):
    """Write the solution of A·x = b (doubles) to x; of entries of A at one place the last one counts."""
    n = len(b)
    a = dense(policy, row, column, value, (n, n + 1))
    pp.for_each(policy, n, last_column, a, b)
    pivots, packed = pp.empty_like(policy, row, n, np.int64), room(policy, a)
    for k in range(0, n, 32):
        end = min(k + 32, n)
        tiles = math.ceil((n + 1 - end) / 8)
        pp.for_each(policy, 1, panel, a, k, end, pivots)
        pp.for_each(policy, math.ceil((n + 1 - end) / 64), exchange, a, k, end, pivots)
        pp.for_each(policy, tiles, right, a, k, end, packed)
        if end < n:
            pp.for_each(policy, (math.ceil((n - end) / 4), tiles), rest, a, k, end, packed)
    pp.for_each(policy, 1, substitute, a, x)
    return x
