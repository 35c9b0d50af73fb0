"""What `portapar.algorithms.batched` does with matrices: kernels of blocks of them, for each dtype of results.

``lanes`` do `LANES` matrices at the same time, on private arrays; ``single`` ones do one after the other.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from portapar.few import fixed
from portapar.kernel.front import atomic

LANES: Final = 8  #: matrices at the same time
MOST: Final = 32  #: rows of those at most
SOLVED = 24  #: and where rows are exchanged: beyond, what has to be moved costs more than lanes bring
NARROW: Final = 30  #: elements of those that are read across, not one matrix after the other
ROWS: Final = 4  #: of a product that are found at the same time
TILE: Final = 16  #: and columns
HALF: Final = 4  #: or, of what is left, so many


@functools.cache
def element(dtype: np.dtype) -> Any:
    """An element of a product."""
    T = dtype.type

    def one(e: Any, i: Any, j: Any, a: Any, b: Any, c: Any) -> None:
        total = T(0)
        for k in range(a.shape[2]):
            total += T(a[e, i, np.uint64(k)]) * T(b[e, np.uint64(k), j])
        c[e, i, j] = total

    return fixed(one)


@functools.cache
def products(dtype: np.dtype) -> Any:
    T, one = dtype.type, element(dtype)

    def tile(e: Any, i: Any, j: Any, a: Any, b: Any, c: Any) -> None:
        sums = np.zeros((ROWS, TILE), T)
        for k in range(a.shape[2]):
            for r in range(ROWS):
                v = T(a[e, np.uint64(i + r), np.uint64(k)])
                for t in range(TILE):
                    sums[r, t] += v * T(b[e, np.uint64(k), np.uint64(j + t)])
        for r in range(ROWS):
            for t in range(TILE):
                c[e, np.uint64(i + r), np.uint64(j + t)] = sums[r, t]

    def half(e: Any, i: Any, j: Any, a: Any, b: Any, c: Any) -> None:
        sums = np.zeros((ROWS, HALF), T)
        for k in range(a.shape[2]):
            for r in range(ROWS):
                v = T(a[e, np.uint64(i + r), np.uint64(k)])
                for t in range(HALF):
                    sums[r, t] += v * T(b[e, np.uint64(k), np.uint64(j + t)])
        for r in range(ROWS):
            for t in range(HALF):
                c[e, np.uint64(i + r), np.uint64(j + t)] = sums[r, t]

    def product(block: Any, size: Any, a: Any, b: Any, c: Any) -> None:
        for s in range(block * size, min(len(a), block * size + size)):
            e, i = np.uint64(s), 0
            while i + ROWS <= c.shape[1]:
                j = 0
                while j + TILE <= c.shape[2]:
                    tile(e, i, j, a, b, c)
                    j += TILE
                while j + HALF <= c.shape[2]:
                    half(e, i, j, a, b, c)
                    j += HALF
                while j < c.shape[2]:
                    for r in range(ROWS):
                        one(e, np.uint64(i + r), np.uint64(j), a, b, c)
                    j += 1
                i += ROWS
            while i < c.shape[1]:
                for j in range(c.shape[2]):
                    one(e, np.uint64(i), np.uint64(j), a, b, c)
                i += 1

    return fixed(product)


def _plain_size(v: Any) -> Any:
    return abs(v)


def _complex_size(v: Any) -> Any:
    return abs(v.real) + abs(v.imag)


def _plain_conjugate(v: Any) -> Any:
    return v


def _conjugate(v: Any) -> Any:
    return np.conj(v)


@functools.cache
def _moves(dtype: np.dtype) -> tuple[Any, Any]:
    """How lanes come to ``w[LANES * q + t]``: element q of matrix t, of `each` that are `step` apart, and back."""
    T = dtype.type

    def load(g: Any, count: Any, each: Any, first: Any, step: Any, a: Any, w: Any) -> None:
        if each < NARROW:
            at = np.empty(LANES, np.int64)
            for t in range(LANES):  # the last matrix may be there several times
                at[t] = min(g * LANES + t, count - 1) * each * step + first
            for q in range(each):
                for t in range(LANES):
                    w[q * LANES + t] = T(a[np.uint64(at[t] + q * step)])
        else:
            for t in range(LANES):
                e = min(g * LANES + t, count - 1) * each * step + first
                for q in range(each):
                    w[q * LANES + t] = T(a[np.uint64(e + q * step)])

    def store(g: Any, count: Any, each: Any, first: Any, step: Any, w: Any, x: Any) -> None:
        if each < NARROW:
            at = np.empty(LANES, np.int64)
            for t in range(LANES):
                at[t] = min(g * LANES + t, count - 1) * each * step + first
            for q in range(each):
                for t in range(LANES):
                    x[np.uint64(at[t] + q * step)] = w[q * LANES + t]
        else:
            for t in range(LANES):
                e = min(g * LANES + t, count - 1) * each * step + first
                for q in range(each):
                    x[np.uint64(e + q * step)] = w[q * LANES + t]

    return load, store


@functools.cache
def solutions(dtype: np.dtype) -> tuple[Any, Any]:
    T, R, (load, store) = dtype.type, dtype.type(0).real.dtype.type, _moves(dtype)
    magnitude = _complex_size if dtype.kind == "c" else _plain_size

    def lanes(
        block: Any, size: Any, count: Any, n: Any, m: Any, a: Any, b: Any, x: Any, flags: Any
    ) -> None:  # fmt: skip
        w, u, y = np.empty(MOST * MOST * LANES, T), np.empty(MOST * LANES, T), np.empty(MOST * LANES, T)
        best, other, least = np.empty(LANES, R), np.empty(LANES, R), np.empty(LANES, R)
        place, swaps, f = np.empty(LANES, np.int64), np.empty(MOST * LANES, np.int64), np.empty(LANES, T)
        row = n * LANES
        for g in range(block * size, min(-(-count // LANES), block * size + size)):
            load(g, count, n * n, 0, 1, a, w)
            for t in range(LANES):
                least[t] = np.inf
            for k in range(n):
                d = k * row + k * LANES
                for t in range(LANES):
                    best[t] = magnitude(w[d + t])
                for t in range(LANES):
                    place[t] = k
                for i in range(k + 1, n):
                    for t in range(LANES):
                        other[t] = magnitude(w[i * row + k * LANES + t])
                    for t in range(LANES):
                        place[t] = i if other[t] > best[t] else place[t]
                    for t in range(LANES):
                        best[t] = other[t] if other[t] > best[t] else best[t]
                for t in range(LANES):
                    least[t] = best[t] if best[t] < least[t] else least[t]
                for t in range(LANES):
                    p = place[t]
                    swaps[k * LANES + t] = p
                    for j in range(k, n):
                        u[j * LANES + t] = w[p * row + j * LANES + t]
                        w[p * row + j * LANES + t] = w[k * row + j * LANES + t]
                for j in range(k, n):
                    for t in range(LANES):
                        w[k * row + j * LANES + t] = u[j * LANES + t]
                for i in range(k + 1, n):
                    s = i * row
                    for t in range(LANES):
                        f[t] = w[s + k * LANES + t] / u[k * LANES + t]
                    for t in range(LANES):
                        w[s + k * LANES + t] = f[t]
                    for j in range(k + 1, n):
                        for t in range(LANES):
                            w[s + j * LANES + t] -= f[t] * u[j * LANES + t]
            for t in range(LANES):
                if least[t] == 0:
                    atomic.max(flags, 0, count - min(g * LANES + t, count - 1))
            for c in range(m):
                load(g, count, n, c, m, b, y)
                for k in range(n):
                    for t in range(LANES):
                        p = swaps[k * LANES + t]
                        f[t] = y[p * LANES + t]
                        y[p * LANES + t] = y[k * LANES + t]
                        y[k * LANES + t] = f[t]
                    for i in range(k + 1, n):
                        for t in range(LANES):
                            y[i * LANES + t] -= w[i * row + k * LANES + t] * f[t]
                for q in range(n):
                    i = n - 1 - q
                    for t in range(LANES):
                        f[t] = y[i * LANES + t] / w[i * row + i * LANES + t]
                    for t in range(LANES):
                        y[i * LANES + t] = f[t]
                    for k in range(i):
                        for t in range(LANES):
                            y[k * LANES + t] -= w[k * row + i * LANES + t] * f[t]
                store(g, count, n, c, m, y, x)

    def single(
        block: Any, size: Any, count: Any, n: Any, m: Any, a: Any, b: Any, work: Any, x: Any, flags: Any
    ) -> None:  # fmt: skip
        for e in range(block * size, min(count, block * size + size)):
            w, y = e * n * n, e * n * m
            for q in range(n * n):
                work[np.uint64(w + q)] = T(a[np.uint64(w + q)])
            for q in range(n * m):
                x[np.uint64(y + q)] = T(b[np.uint64(y + q)])
            for k in range(n):
                p, best = k, magnitude(work[np.uint64(w + k * n + k)])
                for i in range(k + 1, n):
                    v = magnitude(work[np.uint64(w + i * n + k)])
                    if v > best:
                        p, best = i, v
                if best == 0:
                    atomic.max(flags, 0, count - e)
                if p != k:
                    for j in range(k, n):
                        kept = work[np.uint64(w + k * n + j)]
                        work[np.uint64(w + k * n + j)] = work[np.uint64(w + p * n + j)]
                        work[np.uint64(w + p * n + j)] = kept
                    for c in range(m):
                        other = x[np.uint64(y + k * m + c)]
                        x[np.uint64(y + k * m + c)] = x[np.uint64(y + p * m + c)]
                        x[np.uint64(y + p * m + c)] = other
                for i in range(k + 1, n):
                    f = work[np.uint64(w + i * n + k)] / work[np.uint64(w + k * n + k)]
                    for j in range(k + 1, n):
                        work[np.uint64(w + i * n + j)] -= f * work[np.uint64(w + k * n + j)]
                    for c in range(m):
                        x[np.uint64(y + i * m + c)] -= f * x[np.uint64(y + k * m + c)]
            for q in range(n):
                i = n - 1 - q
                for c in range(m):
                    x[np.uint64(y + i * m + c)] /= work[np.uint64(w + i * n + i)]
                for k in range(i):
                    f = work[np.uint64(w + k * n + i)]
                    for c in range(m):
                        x[np.uint64(y + k * m + c)] -= f * x[np.uint64(y + i * m + c)]

    return fixed(lanes), fixed(single)


@functools.cache
def factors(dtype: np.dtype) -> tuple[Any, Any]:
    T, R, (load, store) = dtype.type, dtype.type(0).real.dtype.type, _moves(dtype)
    conjugate = _conjugate if dtype.kind == "c" else _plain_conjugate

    def lanes(block: Any, size: Any, count: Any, n: Any, a: Any, x: Any, flags: Any) -> None:
        w, sums = np.empty(MOST * MOST * LANES, T), np.empty(LANES, T)
        d, bad = np.empty(LANES, R), np.empty(LANES, R)
        row = n * LANES
        for g in range(block * size, min(-(-count // LANES), block * size + size)):
            load(g, count, n * n, 0, 1, a, w)
            for t in range(LANES):
                bad[t] = 0
            for j in range(n):
                for i in range(j, n):
                    for t in range(LANES):
                        sums[t] = w[i * row + j * LANES + t]
                    for k in range(j):
                        for t in range(LANES):
                            sums[t] -= w[i * row + k * LANES + t] * conjugate(w[j * row + k * LANES + t])
                    if i == j:
                        for t in range(LANES):
                            bad[t] += 0 if sums[t].real > 0 else 1
                        for t in range(LANES):
                            d[t] = np.sqrt(sums[t].real)
                        for t in range(LANES):
                            w[i * row + j * LANES + t] = d[t]
                    else:
                        for t in range(LANES):
                            w[i * row + j * LANES + t] = sums[t] / d[t]
            for t in range(LANES):
                if bad[t] > 0:
                    atomic.max(flags, 0, count - min(g * LANES + t, count - 1))
            for i in range(n):
                for j in range(i + 1, n):
                    for t in range(LANES):
                        w[i * row + j * LANES + t] = T(0)
            store(g, count, n * n, 0, 1, w, x)

    def single(block: Any, size: Any, count: Any, n: Any, a: Any, x: Any, flags: Any) -> None:
        for s in range(block * size, min(count, block * size + size)):
            e = s * n * n
            for i in range(n):
                for j in range(n):
                    total = T(0)
                    if j <= i:
                        total = T(a[np.uint64(e + i * n + j)])
                        for k in range(j):
                            total -= x[np.uint64(e + i * n + k)] * conjugate(x[np.uint64(e + j * n + k)])
                        if j == i:
                            if not total.real > 0:
                                atomic.max(flags, 0, count - s)
                            total = T(np.sqrt(total.real))
                        else:
                            total /= x[np.uint64(e + j * n + j)].real
                    x[np.uint64(e + i * n + j)] = total

    return fixed(lanes), fixed(single)
