"""Conjugate of the Fourier transform in place."""

import portapar as pp
from examples.pareval.fft_forward import fft


def fft_conjugate(policy, x):
    """Replace x (complex128, 2^k elements) by the conjugate of its Fourier transform."""
    fft(policy, x, x, -1.0)
    return pp.transform(policy, x, out=x, op=lambda v: v.conjugate())
