"""Conjugate of the Fourier transform in place."""

from examples.pareval.fft_forward import fft


def fft_conjugate(policy, x):
    """Replace x (complex128, 2^k elements) by the conjugate of its Fourier transform: turn the other way round."""
    return fft(policy, x, x, 1.0, 1.0, -1.0)
