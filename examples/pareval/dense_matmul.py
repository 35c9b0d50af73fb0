"""C += A·B: every iteration computes a tile of 4 × 8 elements of C in a small private array, which is registers."""

import numpy as np

import portapar as pp


def pack(t, k, b, packed):
    """A row of a tile of eight columns of B, with zeros beyond the last column."""
    for q in range(8):
        j = 8 * t + q
        packed[t, k, q] = b[k, j] if j < b.shape[1] else 0.0


def tile(t, i, a, packed, c):
    """A tile of C."""
    x = np.zeros((4, 8))
    rows, columns = c.shape
    for k in range(a.shape[1]):
        for p in range(4):
            left = a[np.uint64(min(4 * i + p, rows - 1)), np.uint64(k)]
            for q in range(8):
                x[np.uint64(p), np.uint64(q)] += left * packed[np.uint64(t), np.uint64(k), np.uint64(q)]
    for p in range(4):
        for q in range(8):
            if 4 * i + p < rows and 8 * t + q < columns:
                c[4 * i + p, 8 * t + q] += x[np.uint64(p), np.uint64(q)]


def dense_matmul(policy, a, b, c):
    """Add the product of two matrices of doubles to a third, C += A·B; returns C."""
    rows, columns = c.shape
    tiles = -(-columns // 8)
    packed = pp.empty_like(policy, b, (tiles, len(b), 8))
    pp.for_each(policy, (tiles, len(b)), pack, b, packed)
    pp.for_each(policy, (tiles, -(-rows // 4)), tile, a, packed, c)
    return c
