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


def right(c, a, k, end):
    """64 columns of U to the right of it."""
    first = end + 64 * c
    for i in range(k + 1, end):
        for p in range(k, i):
            factor = a[i, p]
            for j in range(first, min(first + 64, a.shape[1])):
                a[np.uint64(i), np.uint64(j)] -= factor * a[np.uint64(p), np.uint64(j)]


def rest(r, c, a, k, end):
    """Two rows of 64 elements of what remains: minus L·U."""
    first, width = np.uint64(end + 64 * c), min(64, a.shape[1] - end - 64 * c)
    r0, r1 = np.uint64(end + 2 * r), np.uint64(min(end + 2 * r + 1, a.shape[0] - 1))
    x0, x1 = np.zeros(64), np.zeros(64)
    for p in range(k, end, 4):
        k0, k1, k2, k3 = np.uint64(p), np.uint64(p + 1), np.uint64(p + 2), np.uint64(p + 3)
        for q in range(width):
            u, v = first + np.uint64(q), np.uint64(q)
            x0[v] += a[r0, k0] * a[k0, u] + a[r0, k1] * a[k1, u] + a[r0, k2] * a[k2, u] + a[r0, k3] * a[k3, u]
            x1[v] += a[r1, k0] * a[k0, u] + a[r1, k1] * a[k1, u] + a[r1, k2] * a[k2, u] + a[r1, k3] * a[k3, u]
    for q in range(width):
        a[r0, first + np.uint64(q)] -= x0[q]
    if r1 > r0:
        for q in range(width):
            a[r1, first + np.uint64(q)] -= x1[q]


def dense_lu(policy, a):
    """Replace a matrix by its factors without pivoting: U on and above the diagonal, L (unit diagonal) below."""
    n = a.shape[0]
    for k in range(0, n, 32):
        end = min(k + 32, n)
        pp.for_each(policy, 1, diagonal, a, k, end)
        if end < n:
            pp.for_each(policy, n - end, below, a, k, end)
            pp.for_each(policy, -(-(n - end) // 64), right, a, k, end)
            pp.for_each(policy, (-(-(n - end) // 2), -(-(n - end) // 64)), rest, a, k, end)
    return a
