"""Operators and functions at special values, against NumPy: what C computes is what NumPy does."""

import numpy as np
import pytest
from conftest import executor

import portapar as pp

REAL = [0.0, -0.0, 1.0, -1.0, 0.1, 7.0, -7.25, 1e308, -1e308, 5e-324, 1e100, 1e-310, np.inf, -np.inf, np.nan, 2.5]
COMPLEX = [complex(a, b) for a in (0.0, -0.0, 1.0, -2.5, np.inf, np.nan) for b in (0.0, 1.5, -1.0, -np.inf, np.nan)]


@pytest.fixture(params=["opencl:0", "cuda:0"])
def device(request):
    """`pp.par` on the executors whose code is C text."""
    return pp.par.on(executor(request.param))


def pairs(values, dtype):
    with np.errstate(all="ignore"):
        return [v.ravel().copy() for v in np.meshgrid(*[np.array(values).astype(dtype)] * 2)]


def same(got, expected, ulp=0):
    """Equal, NaN where NaN is, zeros of one sign; finite numbers within some units in the last place."""
    got, expected = np.asarray(got), np.asarray(expected)
    if np.iscomplexobj(expected):
        same(got.real, expected.real, ulp)
        same(got.imag, expected.imag, ulp)
        return
    numbers = np.isfinite(expected) & np.isfinite(got)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_array_equal(got[~numbers], expected[~numbers])
    if numbers.any():
        np.testing.assert_array_max_ulp(got[numbers], expected[numbers], maxulp=ulp or 1)


def floats(i, a, b, out):
    out[i, 0] = a[i] // b[i]
    out[i, 1] = a[i] % b[i]
    out[i, 2] = np.floor_divide(a[i], b[i])
    out[i, 3] = np.remainder(a[i], b[i])
    q, r = divmod(a[i], b[i])
    out[i, 4] = q
    out[i, 5] = r
    out[i, 6] = np.fmod(a[i], b[i])
    out[i, 7] = np.copysign(np.minimum(a[i], b[i]), np.maximum(a[i], b[i]))
    out[i, 8] = np.cbrt(a[i])
    out[i, 9] = np.sign(a[i])
    out[i, 10] = a[i] ** -1
    out[i, 11] = a[i] ** 3


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_floats(device, dtype):
    a, b = pairs(REAL, dtype)
    out = np.zeros((len(a), 12), dtype)
    pp.for_each(device, len(a), floats, a, b, out)
    with np.errstate(all="ignore"):
        expected = [a // b, a % b, np.floor_divide(a, b), np.remainder(a, b), *np.divmod(a, b), np.fmod(a, b),
                    np.copysign(np.minimum(a, b), np.maximum(a, b)), np.cbrt(a), np.sign(a), a**-1, a**3]  # fmt: skip
    for k, want in enumerate(expected):
        same(out[:, k], want, ulp=4 if k in (8, 10, 11) else 0)


def complexes(i, a, b, out):
    out[i, 0] = a[i] + b[i]
    out[i, 1] = a[i] * b[i]
    out[i, 2] = a[i] / b[i]
    out[i, 3] = np.reciprocal(a[i])
    out[i, 4] = a[i] ** -1
    out[i, 5] = a[i] ** 2
    out[i, 6] = np.sign(a[i])
    out[i, 7] = abs(a[i])
    out[i, 8] = a[i].conjugate() - b[i]
    out[i, 9] = -a[i]


def test_complex_numbers(device):
    a, b = pairs(COMPLEX, np.complex128)
    out = np.zeros((len(a), 10), np.complex128)
    pp.for_each(device, len(a), complexes, a, b, out)
    with np.errstate(all="ignore"):
        expected = [a + b, a * b, a / b, np.reciprocal(a), np.reciprocal(a), a * a, np.sign(a),
                    np.abs(a).astype(complex), np.conjugate(a) - b, -a]  # fmt: skip
    for k, want in enumerate(expected):
        same(out[:, k], want, ulp=4)


POWERS = [0j, 1 + 0j, -1 + 0j, 2 + 0j, 3 + 0j, -2 + 0j, 7 + 0j, 0.5 + 0j, 1 + 1j, -1 + 0.5j]


def power(i, a, b, out):
    out[i] = a[i] ** b[i]


def test_complex_powers(device):
    a, b = (v.ravel().copy() for v in np.meshgrid([0j, 1 + 0j, -2.5 + 0j, 1.5j, 3 - 4j, 1e-3 + 2j], POWERS))
    out = np.zeros_like(a)
    pp.for_each(device, len(a), power, a, b, out)
    with np.errstate(all="ignore"):
        expected = np.array([x**y for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-13)


def integers(i, a, b, out):
    out[i, 0] = a[i] // b[i]
    out[i, 1] = a[i] % b[i]
    out[i, 2] = a[i] ** abs(b[i] % 5)
    out[i, 3] = np.fmod(a[i], b[i])
    out[i, 4] = abs(a[i])
    out[i, 5] = -a[i]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8])
def test_integers(device, dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    a, b = pairs([0, 1, -1, 2, -3, 7, low, low + 1, high, high - 1], dtype)
    out = np.zeros((len(a), 6), dtype)
    pp.for_each(device, len(a), integers, a, b, out)
    with np.errstate(all="ignore"):
        expected = [a // b, a % b, a ** np.abs(b % 5), np.fmod(a, b), np.abs(a), -a]
    for k, want in enumerate(expected):
        np.testing.assert_array_equal(out[:, k], want.astype(dtype), err_msg=str(k))
