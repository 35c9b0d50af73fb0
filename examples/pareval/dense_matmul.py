"""C += A·B: every iteration computes a tile of 4 × 8 elements of C in a small private array, which is registers."""

import numpy as np

import portapar as pp


def pack(t, k, b, packed):
    """A row of a tile of eight columns of B, with zeros beyond the last column."""
    for q in range(8):
        j = 8 * t + q
        packed[t, k, q] = b[k, j] if j < b.shape[1] else 0.0


def add_product(x, a, row, column, depth, packed, t):
    """X += four rows of A, from a place on, times a packed tile; beyond the last row that row again."""
    for k in range(depth):
        for p in range(4):
            left = a[np.uint64(min(row + p, a.shape[0] - 1)), np.uint64(column + k)]
            for q in range(8):
                x[np.uint64(p), np.uint64(q)] += left * packed[np.uint64(t), np.uint64(k), np.uint64(q)]


def tile(t, i, a, packed, c):
    """A tile of C."""
    x = np.zeros((4, 8))
    add_product(x, a, 4 * i, 0, a.shape[1], packed, t)
    for p in range(4):
        for q in range(8):
            if 4 * i + p < c.shape[0] and 8 * t + q < c.shape[1]:
                c[4 * i + p, 8 * t + q] += x[np.uint64(p), np.uint64(q)]


def dense_matmul(policy, a, b, c):
    """Add the product of two matrices of doubles to a third, C += A·B; returns C."""
    rows, columns = c.shape
    tiles = -(-columns // 8)
    packed = pp.empty_like(policy, b, (tiles, len(b), 8))
    pp.for_each(policy, (tiles, len(b)), pack, b, packed)
    pp.for_each(policy, (tiles, -(-rows // 4)), tile, a, packed, c)
    return c
