"""Fast Fourier transform of 2^k elements: Stockham's method, which needs no permutation, radix 4.

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


def four(p, q, x, y, roots, s, turn):
    """A butterfly of four; s transforms are interleaved."""
    w1 = roots[p * s]
    w2 = w1 * w1
    w3 = w1 * w2
    quarter, i, o = len(x) // 4, np.uint64(q + s * p), np.uint64(q + 4 * s * p)
    a, b, c, d = x[i], x[i + np.uint64(quarter)], x[i + np.uint64(2 * quarter)], x[i + np.uint64(3 * quarter)]
    t = b - d
    t = complex(-turn * t.imag, turn * t.real)
    y[o] = (a + c) + (b + d)
    y[o + np.uint64(s)] = w1 * ((a - c) + t)
    y[o + np.uint64(2 * s)] = w2 * ((a + c) - (b + d))
    y[o + np.uint64(3 * s)] = w3 * ((a - c) - t)


def two(q, x, y, s):
    """A butterfly of two."""
    a, b = x[q], x[q + s]
    y[q] = a + b
    y[q + s] = a - b


def fft(policy, x, out, turn):
    """Write the transform of x with e^(turn·2πi·jk/n) to `out`, which may be x."""
    n, s = len(x), 1
    if n == 1 and x is not out:
        return pp.copy(policy, x, out=out)
    work = pp.empty_like(policy, x)
    roots = roots_of_unity(policy, x, turn)
    while s < n:
        radix = 4 if n // s >= 4 else 2
        y = work if x is out and s * radix < n else out  # the last step may run in place
        if radix == 4:
            pp.for_each(policy, (n // s // 4, s), four, x, y, roots, s, turn)
        else:
            pp.for_each(policy, s, two, x, y, s)
        x, s = y, s * radix
    return out


def fft_forward(policy, x, out):
    """Write the Fourier transform of x (complex128, 2^k elements) to `out`; returns it."""
    return fft(policy, x, out, -1.0)
