"""Inverse Fourier transform in place."""

import portapar as pp
from examples.pareval.fft_forward import fft


def fft_inverse(policy, x):
    """Replace x (complex128, 2^k elements) by its inverse Fourier transform, 1/n included."""
    fft(policy, x, x, 1.0)
    return pp.transform(policy, x, 1.0 / len(x), out=x, op=lambda v, scale: v * scale)
