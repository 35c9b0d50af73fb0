"""Discrete Fourier transform by its definition."""

import math

import numpy as np

import portapar as pp


def root_of_unity(k, n):
    """e^(-2πi·k/n)."""
    angle = -2.0 * math.pi * k / n
    return complex(math.cos(angle), math.sin(angle))


def term(k, x, roots, out):
    """out[k] = Σ x[j] · e^(-2πi·jk/n)"""
    real, imag = 0.0, 0.0
    at = 0
    for j in range(len(x)):
        root = roots[np.uint64(at)]
        real += x[np.uint64(j)] * root.real
        imag += x[np.uint64(j)] * root.imag
        at += k
        if at >= len(x):
            at -= len(x)
    out[k] = complex(real, imag)


def fft_dft(policy, x, out):
    """Write the Fourier transform of x (doubles) to `out` (complex128), in n² steps; returns it."""
    roots = pp.transform(policy, pp.range(len(x)), len(x), out=pp.empty_like(policy, out), op=root_of_unity)
    pp.for_each(policy, len(x), term, x, roots, out)
    return out
