"""Fast Fourier transform of 2^k elements: Stockham's method, which needs no permutation, two steps of four at a time.

P. N. Swarztrauber, "FFT algorithms for vector computers", 1984.
"""

import math

import numpy as np

import portapar as pp


def root_of_unity(p, turn, n):
    """e^(±2πi·p/n)."""
    angle = turn * 2.0 * math.pi * p / n
    return complex(math.cos(angle), math.sin(angle))


def roots_of_unity(policy, x, turn):
    """The first quarter of the n-th roots: each the product of one of 256 and of a multiple of 256."""
    n, count = len(x), max(len(x) // 4, 1)
    fine, coarse = pp.empty_like(policy, x, 256), pp.empty_like(policy, x, count // 256 + 1)
    pp.transform(policy, pp.range(256), turn, n, out=fine, op=root_of_unity)
    pp.transform(policy, pp.range(len(coarse)), turn, n / 256, out=coarse, op=root_of_unity)
    out = pp.empty_like(policy, x, count)
    return pp.transform(policy, pp.range(count), out=out, op=lambda p: coarse[p >> 8] * fine[p & 255])


def butterfly(a, b, c, d, turn, w1):
    """The transform of four elements, times powers of a root."""
    w2 = w1 * w1
    t = complex(turn * (d.imag - b.imag), turn * (b.real - d.real))
    return (a + c) + (b + d), w1 * ((a - c) + t), w2 * ((a + c) - (b + d)), w1 * w2 * ((a - c) - t)


def scaled(v, re, im):
    """The two parts of a number, each times a number."""
    return complex(v.real * re, v.imag * im)


def quadruple(x, k, u, re, im):
    """Four elements, u apart, scaled."""
    a, b = scaled(x[k], re, im), scaled(x[k + u], re, im)
    return a, b, scaled(x[k + u + u], re, im), scaled(x[k + u + u + u], re, im)


def row(x, i, apart, y, o, step, w1, turn, re, im, count):
    """Butterflies of four side by side: of x from i on, `apart`, to y from o on, a `step` apart."""
    u, v = np.uint64(apart), np.uint64(step)
    for q in range(count):
        k, t = np.uint64(i + q), np.uint64(o + q)
        a, b, c, d = quadruple(x, k, u, re, im)
        y[t], y[t + v], y[t + v + v], y[t + v + v + v] = butterfly(a, b, c, d, turn, w1)


def first(block, x, y, roots, turn, re, im):
    """The first two steps of four, the second one in place, for 32 p."""
    m, start = len(x) // 16, 32 * block
    u, end = np.uint64(4 * m), min(start + 32, m)
    for j in range(4):
        for p in range(start, end):
            i, o = np.uint64(p + j * m), np.uint64(16 * p + 4 * j)
            a, b, c, d = quadruple(x, i, u, re, im)
            y[o], y[o + np.uint64(1)], y[o + np.uint64(2)], y[o + np.uint64(3)] = butterfly(a, b, c, d, turn, roots[i])
    for p in range(start, end):
        row(y, 16 * p, 4, y, 16 * p, 4, roots[4 * p], turn, 1.0, 1.0, 4)


def sixteen(p, block, x, y, roots, s, turn):
    """Two later ones; s transforms are interleaved, of which this does 64."""
    m, q = len(x) // 16, 64 * block
    count = min(64, s - q)
    for j in range(4):
        o, w1 = s * (16 * p + 4 * j) + q, roots[p * s + j * m]
        row(x, s * p + j * m + q, 4 * m, y, o, s, w1, turn, 1.0, 1.0, count)
    for k in range(4):
        o = s * (16 * p + k) + q
        row(y, o, 4 * s, y, o, 4 * s, roots[4 * p * s], turn, 1.0, 1.0, count)


def four(p, block, x, y, roots, s, turn, re, im):
    """One step of four, for 256 of s interleaved transforms."""
    q = 256 * block
    row(x, s * p + q, len(x) // 4, y, 4 * s * p + q, s, roots[p * s], turn, re, im, min(256, s - q))


def two(q, x, y, s, re, im):
    """A butterfly of two."""
    a, b = scaled(x[q], re, im), scaled(x[q + s], re, im)
    y[q] = a + b
    y[q + s] = a - b


def fft(policy, x, out, turn, re=1.0, im=1.0):
    """Write the transform, with e^(turn·2πi·jk/n), of re·Re(x) + i·im·Im(x) to `out`, which may be x."""
    n, s = len(x), 1
    if n == 1:
        return pp.transform(policy, x, re, im, out=out, op=scaled)
    work = pp.empty_like(policy, x)
    roots = roots_of_unity(policy, x, turn)
    while s < n:
        left = n // s
        radix = 16 if left > 16 or (left == 16 and x is not out) else 4 if left >= 4 else 2
        y = work if x is out and radix < left else out  # the last step, if not of 16, may run in place
        if radix == 2:
            pp.for_each(policy, s, two, x, y, s, re, im)
        elif radix == 4:
            pp.for_each(policy, (n // s // 4, -(-s // 256)), four, x, y, roots, s, turn, re, im)
        elif s == 1:
            pp.for_each(policy, -(-n // 512), first, x, y, roots, turn, re, im)
        else:
            pp.for_each(policy, (n // s // 16, -(-s // 64)), sixteen, x, y, roots, s, turn)
        x, s, re, im = y, s * radix, 1.0, 1.0
    return out


def fft_forward(policy, x, out):
    """Write the Fourier transform of x (complex128, 2^k elements) to `out`; returns it."""
    return fft(policy, x, out, -1.0)
