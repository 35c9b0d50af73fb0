"""Inverse Fourier transform in place."""

from examples.pareval.fft_forward import fft


def fft_inverse(policy, x):
    """Replace x (complex128, 2^k elements) by its inverse Fourier transform, 1/n included."""
    return fft(policy, x, x, 1.0, 1.0 / len(x), 1.0 / len(x))
