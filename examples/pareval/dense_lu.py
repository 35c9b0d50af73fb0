"""LU in place: panels of 32 columns, then tiles of 4 × 8 elements of what is right of and below them."""

import numpy as np

import portapar as pp
from examples.pareval.dense_matmul import add_product


def diagonal(_, a, k, end):
    """Factor the block on the diagonal."""
    for p in range(k, end):
        for i in range(p + 1, end):
            a[i, p] /= a[p, p]
            for j in range(p + 1, end):
                a[i, j] -= a[i, p] * a[p, j]


def below(r, a, k, end):
    """One row of L below it."""
    i, width = np.uint64(end + r), end - k
    x = np.zeros(32)
    for p in range(width):
        x[p] = a[i, np.uint64(k + p)]
    for p in range(width):
        pivot = np.uint64(k + p)
        x[p] /= a[pivot, pivot]
        factor = x[p]
        for q in range(p + 1, width):
            x[np.uint64(q)] -= factor * a[pivot, np.uint64(k + q)]
    for p in range(width):
        a[i, np.uint64(k + p)] = x[p]


def right(c, a, k, end, packed):
    """Eight columns of U to the right of it; `packed` gets them as a tile of their own."""
    first, last = end + 8 * c, a.shape[1] - 1
    x = np.zeros(8)
    for i in range(k, end):
        for q in range(8):
            x[q] = a[i, min(first + q, last)]
        for p in range(k, i):
            factor = a[i, p]
            for q in range(8):
                x[np.uint64(q)] -= factor * packed[np.uint64(c), np.uint64(p - k), np.uint64(q)]
        for q in range(8):
            packed[c, i - k, q] = x[q]
            if first + q <= last:
                a[i, first + q] = x[q]


def rest(r, c, a, k, end, packed):
    """A tile of 4 × 8 elements of what remains: minus L·U."""
    x = np.zeros((4, 8))
    row, first = end + 4 * r, end + 8 * c
    add_product(x, a, row, k, end - k, packed, c)
    for i in range(4):
        for q in range(8):
            if row + i < a.shape[0] and first + q < a.shape[1]:
                a[row + i, first + q] -= x[np.uint64(i), np.uint64(q)]


def room(policy, a):
    """Space for the tiles right of a panel."""
    return pp.empty_like(policy, a, (-(-a.shape[1] // 8), 32, 8))


def dense_lu(policy, a):
    """Replace a matrix by its factors without pivoting: U on and above the diagonal, L (unit diagonal) below."""
    n, packed = a.shape[0], room(policy, a)
    for k in range(0, n, 32):
        end = min(k + 32, n)
        pp.for_each(policy, 1, diagonal, a, k, end)
        if end < n:
            tiles = -(-(n - end) // 8)
            pp.for_each(policy, n - end, below, a, k, end)
            pp.for_each(policy, tiles, right, a, k, end, packed)
            pp.for_each(policy, (-(-(n - end) // 4), tiles), rest, a, k, end, packed)
    return a
