"""Operators and functions at special values, against NumPy: what C computes is what NumPy does."""

import math

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


COMPLEX_FUNCTIONS = ("sqrt exp exp2 log log2 log10 sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh "
                     "arctanh").split()  # fmt: skip
EDGES = [0.0, -0.0, 1.0, -1.0, 2.5, 1e-9, -3.7, 30.0, -70.0, 1e19, -1e30, 1e-30, np.inf, -np.inf, np.nan]
FAR = [1e308, -1e308, 1e-310, 1e200, 709.5, -745.0, 720.0]  # of numbers of 64 bits


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_functions_of_complex_numbers(renderer, module, dtype):
    """NumPy's, which are C's: no NaN and no infinity where there is a number, zeros on the right side of a cut."""
    lines = [f"    out[i, {k}] = np.{name}(z[i])\n" for k, name in enumerate(COMPLEX_FUNCTIONS)]
    kernel = module("import numpy as np\n\n\ndef kernel(i, z, out):\n" + "".join(lines)).kernel
    parts = EDGES + FAR * (dtype is np.complex128)
    z = np.array([complex(a, b) for a in parts for b in parts]).astype(dtype)
    out = np.zeros((len(z), len(COMPLEX_FUNCTIONS)), dtype)
    pp.for_each(renderer, len(z), kernel, z, out)
    exact = 2e-14 if dtype is np.complex128 else 4e-6
    with np.errstate(all="ignore"):
        for k, name in enumerate(COMPLEX_FUNCTIONS):
            want = getattr(np, name)(z)
            for found, wanted in ((out[:, k].real, want.real), (out[:, k].imag, want.imag)):
                # where the other part is NaN C leaves some signs open
                known = ~np.isnan(want.real) & ~np.isnan(want.imag)
                if name == "exp2":  # of large angles all depends on the last digit of log(2)
                    found, wanted = (np.where(np.abs(z.imag) < 50, x, 0) for x in (found, wanted))
                found, wanted = np.where(known, found, np.abs(found)), np.where(known, wanted, np.abs(wanted))
                np.testing.assert_allclose(found, wanted, exact, np.finfo(dtype).tiny, err_msg=name)


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


def elementary(i, x, out):
    out[i, 0] = math.exp(x[i])
    out[i, 1] = np.exp2(x[i])
    out[i, 2] = math.expm1(x[i])
    out[i, 3] = math.log(x[i])
    out[i, 4] = math.log2(x[i])
    out[i, 5] = math.log10(x[i])
    out[i, 6] = math.log1p(x[i])
    out[i, 7] = math.sinh(x[i])
    out[i, 8] = math.cosh(x[i])
    out[i, 9] = math.tanh(x[i])
    out[i, 10] = math.asinh(x[i])
    out[i, 11] = math.acosh(x[i])
    out[i, 12] = math.atanh(x[i])
    out[i, 13] = np.cbrt(x[i])
    out[i, 14] = math.erf(x[i])
    out[i, 15] = math.erfc(x[i])


def angles(i, x, out):
    out[i, 0] = math.sin(x[i])
    out[i, 1] = math.cos(x[i])
    out[i, 2] = math.tan(x[i])
    out[i, 3] = math.asin(x[i])
    out[i, 4] = math.acos(x[i])
    out[i, 5] = math.atan(x[i])


def of_two(i, x, y, out):
    out[i, 0] = x[i] ** y[i]
    out[i, 1] = math.atan2(x[i], y[i])
    out[i, 2] = math.hypot(x[i], y[i])


FUNCTIONS = {
    elementary: [np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sinh, np.cosh, np.tanh,
                 np.arcsinh, np.arccosh, np.arctanh, np.cbrt, math.erf, math.erfc],
    angles: [np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan],
    of_two: [np.power, np.arctan2, np.hypot],
}  # fmt: skip


def edges(dtype):
    """Zeros, infinities, NaN, subnormal and huge numbers, ends of functions' ranges, and numbers all over the range."""
    info, rng = np.finfo(dtype), np.random.default_rng(3)
    most = np.log(info.max)
    ends = [0.0, np.inf, np.nan, 1.0, 0.5, 2.0, 3.0, info.tiny, info.smallest_subnormal, info.max, 1 + info.eps,
            1 - info.epsneg, most, most + np.log(2), np.log(info.smallest_subnormal), 27.2, 9.2, 1e-8, 1e-17,
            np.pi, np.pi / 2, np.pi / 4, 1e22, 2.0**53 - 1, 6381956970095103 * 2.0**797]  # fmt: skip
    with np.errstate(over="ignore"):
        ends = np.array(ends).astype(dtype)
    exponents = rng.uniform(info.minexp - info.nmant, info.maxexp, 1000).astype(np.longdouble)
    everywhere = np.exp2(exponents).astype(dtype)
    x = np.concatenate([ends, everywhere, rng.uniform(0, most, 500).astype(dtype), rng.random(500).astype(dtype)])
    return np.concatenate([x, -x])


def exact(function, *arrays):
    """What a function gives, in extended precision where there is one."""
    wide = np.longdouble if np.finfo(np.longdouble).nmant > 60 else np.float64
    with np.errstate(all="ignore"):
        if isinstance(function, np.ufunc):
            return function(*(a.astype(wide) for a in arrays))
        return np.array([function(float(v)) for v in arrays[0]])


@pytest.mark.parametrize("kernel", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions_of_mathematics(device, kernel, dtype):
    """Within 4 units in the last place on CPUs (one more for rounded references); as C says where that is no number."""
    arrays = [edges(dtype)]
    if kernel is of_two:
        ends = np.concatenate([arrays[0][:25], arrays[0][:25] * -1, [dtype(v) for v in (-2.0, -3.0, 2.0**30, 1e-300)]])
        arrays.append(np.random.default_rng(4).permutation(arrays[0]))
        arrays = [np.concatenate([a, b.ravel()]) for a, b in zip(arrays, np.meshgrid(ends, ends), strict=True)]
        base = np.random.default_rng(5).lognormal(size=2000).astype(dtype)
        share = np.random.default_rng(6).uniform(-1, 1, 2000) * np.log(np.finfo(dtype).max)
        power = (share / np.log(base)).astype(dtype)
        arrays = [np.concatenate(pair) for pair in zip(arrays, (base, power), strict=True)]
    out = np.zeros((len(arrays[0]), len(FUNCTIONS[kernel])), dtype)
    pp.for_each(device, len(out), kernel, *arrays, out)
    allowed = 4 if "opencl" in str(device) else 16
    for k, function in enumerate(FUNCTIONS[kernel]):
        found, wanted = out[:, k], exact(function, *arrays)
        with np.errstate(over="ignore"):
            nearest = wanted.astype(dtype)
        special = ~np.isfinite(nearest) | (nearest == 0)
        said = f"{function.__name__} of {dtype.__name__}"
        # What is nearest to the largest number or to 0 may be rounded to one side or to the other.
        near = np.isnan(nearest) | (np.abs(wanted) > np.longdouble(np.finfo(dtype).max) * 1.01) | (wanted == 0)
        np.testing.assert_array_equal(found[special & near], nearest[special & near], said)
        signs = special & ~np.isnan(nearest)
        np.testing.assert_array_equal(np.signbit(found[signs]), np.signbit(nearest[signs]), said)
        numbers = np.isfinite(nearest) & np.isfinite(found)
        assert np.isfinite(found[np.abs(nearest) < np.finfo(dtype).max * 0.99]).all(), said
        step = np.spacing(np.minimum(np.abs(nearest[numbers]), np.finfo(dtype).max / 2))
        off = np.abs(found[numbers] - wanted[numbers]) / step
        worst = np.argmax(off)
        assert off[worst] <= allowed + isinstance(function, type(math.erf)), (
            f"{said}: off by {off[worst]:.1f} ulp at {[a[numbers][worst] for a in arrays]}"
        )
