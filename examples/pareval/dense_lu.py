"""LU in place: panels of 32 columns, and tiles of what is right of and below them."""

import numpy as np

import portapar as pp


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
    """64 columns of U to the right of it; `packed` gets them as a tile of their own."""
    first, width = end + 64 * c, min(64, a.shape[1] - end - 64 * c)
    for i in range(k, end):
        for p in range(k, i):
            factor = a[i, p]
            for q in range(width):
                u = np.uint64(first + q)
                a[np.uint64(i), u] -= factor * a[np.uint64(p), u]
        for q in range(width):
            packed[np.uint64(c), np.uint64(i - k), np.uint64(q)] = a[np.uint64(i), np.uint64(first + q)]


def rest(c, r, a, k, end, packed):
    """Two rows of 64 elements of what remains: minus L·U."""
    t, first, width = np.uint64(c), np.uint64(end + 64 * c), min(64, a.shape[1] - end - 64 * c)
    r0, r1 = np.uint64(end + 2 * r), np.uint64(min(end + 2 * r + 1, a.shape[0] - 1))
    x0, x1 = np.zeros(64), np.zeros(64)
    for p in range(0, end - k, 4):
        p0, p1, p2, p3 = np.uint64(p), np.uint64(p + 1), np.uint64(p + 2), np.uint64(p + 3)
        k0, k1, k2, k3 = np.uint64(k + p), np.uint64(k + p + 1), np.uint64(k + p + 2), np.uint64(k + p + 3)
        for q in range(width):
            v = np.uint64(q)
            b0, b1, b2, b3 = packed[t, p0, v], packed[t, p1, v], packed[t, p2, v], packed[t, p3, v]
            x0[v] += a[r0, k0] * b0 + a[r0, k1] * b1 + a[r0, k2] * b2 + a[r0, k3] * b3
            x1[v] += a[r1, k0] * b0 + a[r1, k1] * b1 + a[r1, k2] * b2 + a[r1, k3] * b3
    for q in range(width):
        a[r0, first + np.uint64(q)] -= x0[q]
    if r1 > r0:
        for q in range(width):
            a[r1, first + np.uint64(q)] -= x1[q]


def room(policy, a):
    """Space for the tiles right of a panel."""
    return pp.empty_like(policy, a, (-(-a.shape[1] // 64), 32, 64))


def dense_lu(policy, a):
    """Replace a matrix by its factors without pivoting: U on and above the diagonal, L (unit diagonal) below."""
    n, packed = a.shape[0], room(policy, a)
    for k in range(0, n, 32):
        end = min(k + 32, n)
        pp.for_each(policy, 1, diagonal, a, k, end)
        if end < n:
            tiles = -(-(n - end) // 64)
            pp.for_each(policy, n - end, below, a, k, end)
            pp.for_each(policy, tiles, right, a, k, end, packed)
            pp.for_each(policy, (tiles, -(-(n - end) // 2)), rest, a, k, end, packed)
    return a
