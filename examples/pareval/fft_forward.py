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


def butterfly(a, b, c, d, turn, w1):
    """The transform of four elements, times powers of a root."""
    w2 = w1 * w1
    t = complex(turn * (d.imag - b.imag), turn * (b.real - d.real))
    return (a + c) + (b + d), w1 * ((a - c) + t), w2 * ((a + c) - (b + d)), w1 * w2 * ((a - c) - t)


def scaled(v, re, im):
    """The two parts of a number, each times a number."""
    return complex(v.real * re, v.imag * im)


def first(p, x, y, roots, turn, re, im):
    """The first butterfly of four, for every p, with the parts of x scaled."""
    i, o, quarter = np.uint64(p), np.uint64(4 * p), np.uint64(len(x) // 4)
    a, b = scaled(x[i], re, im), scaled(x[i + quarter], re, im)
    c, d = scaled(x[i + quarter + quarter], re, im), scaled(x[i + quarter + quarter + quarter], re, im)
    y[o], y[o + np.uint64(1)], y[o + np.uint64(2)], y[o + np.uint64(3)] = butterfly(a, b, c, d, turn, roots[i])


def four(p, block, x, y, roots, s, turn):
    """A later one; s transforms are interleaved, of which this does 256."""
    quarter, step, w1 = np.uint64(len(x) // 4), np.uint64(s), roots[p * s]
    for q in range(256 * block, min(256 * block + 256, s)):
        i, o = np.uint64(s * p + q), np.uint64(4 * s * p + q)
        a, b, c, d = x[i], x[i + quarter], x[i + quarter + quarter], x[i + quarter + quarter + quarter]
        y[o], y[o + step], y[o + step + step], y[o + step + step + step] = butterfly(a, b, c, d, turn, w1)


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
        radix = 4 if n // s >= 4 else 2
        y = work if x is out and s * radix < n else out  # the last step may run in place
        if radix == 2:
            pp.for_each(policy, s, two, x, y, s, re, im)
        elif s == 1:
            pp.for_each(policy, n // 4, first, x, y, roots, turn, re, im)
        else:
            pp.for_each(policy, (n // s // 4, -(-s // 256)), four, x, y, roots, s, turn)
        x, s, re, im = y, s * radix, 1.0, 1.0
    return out


def fft_forward(policy, x, out):
    """Write the Fourier transform of x (complex128, 2^k elements) to `out`; returns it."""
    return fft(policy, x, out, -1.0)
