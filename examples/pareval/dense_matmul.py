"""C += A·B: every iteration computes a tile of two rows of C in small private arrays."""

import numpy as np

import portapar as pp


def tile(j, i, a, b, c):
    """Two rows of 64 elements; the columns of A are taken four at a time."""
    first = np.uint64(64 * j)
    r0, r1 = np.uint64(2 * i), np.uint64(min(2 * i + 1, c.shape[0] - 1))
    width, depth = min(64, c.shape[1] - 64 * j), a.shape[1]
    x0, x1 = np.zeros(64), np.zeros(64)
    for k in range(0, depth - 3, 4):
        k0, k1, k2, k3 = np.uint64(k), np.uint64(k + 1), np.uint64(k + 2), np.uint64(k + 3)
        for q in range(width):
            u, v = first + np.uint64(q), np.uint64(q)
            x0[v] += a[r0, k0] * b[k0, u] + a[r0, k1] * b[k1, u] + a[r0, k2] * b[k2, u] + a[r0, k3] * b[k3, u]
            x1[v] += a[r1, k0] * b[k0, u] + a[r1, k1] * b[k1, u] + a[r1, k2] * b[k2, u] + a[r1, k3] * b[k3, u]
    for k in range(depth - depth % 4, depth):
        for q in range(width):
            x0[q] += a[r0, k] * b[k, first + np.uint64(q)]
            x1[q] += a[r1, k] * b[k, first + np.uint64(q)]
    for q in range(width):
        c[r0, first + np.uint64(q)] += x0[q]
    if r1 > r0:
        for q in range(width):
            c[r1, first + np.uint64(q)] += x1[q]


def dense_matmul(policy, a, b, c):
    """Add the product of two matrices of doubles to a third, C += A·B; returns C."""
    rows, columns = c.shape
    pp.for_each(policy, (-(-columns // 64), -(-rows // 2)), tile, a, b, c)
    return c
