"""Integers wrap, shifts lose what does not fit, and an index counts from the end exactly when it is negative.

Every kernel is compared with plain Python on NumPy's scalars, near the limits of its types.
"""

import warnings

import numpy as np
import pytest
from conftest import executor
from numba import types
from numba.core import ir

import portapar as pp
from portapar.kernel.c.intervals import EXTENTS, Interval, Intervals
from portapar.kernel.jit.typing import array_type, infer

LOW, HIGH = np.iinfo(np.int64).min, np.iinfo(np.int64).max
LIMITS = np.array([0, 1, -1, 2, -2, 3, 63, 64, 65, -63, 2**31, -(2**31), 2**32 + 1, HIGH, HIGH - 1, LOW, LOW + 1])


@pytest.fixture(params=["opencl:0", "cuda:0"])
def device(request):
    """`pp.par` on the executors whose code is C text."""
    return pp.par.on(executor(request.param))


def python(kernel, n, *args):
    """What plain Python makes of a kernel, on copies."""
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    with np.errstate(all="ignore"):
        for i in range(n):
            kernel(np.int64(i), *args)
    return args[-1]


def check(policy, kernel, n, *args):
    expected = python(kernel, n, *args)
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    pp.for_each(policy, n, kernel, *args)
    np.testing.assert_array_equal(args[-1], expected)


def sums(i, a, b, out):
    x, y = a[i], b[i]
    out[i, 0] = (x + y) > x
    out[i, 1] = (x * 4) // 4
    out[i, 2] = (x - y) // 8
    out[i, 3] = (x * y) >> 3
    out[i, 4] = -x // 3
    out[i, 5] = abs(x) < 0
    out[i, 6] = (x + 1) % 7
    out[i, 7] = ~x * 2


def test_sums_and_products_wrap(device):
    a, b = (v.ravel().copy() for v in np.meshgrid(LIMITS, LIMITS))
    check(device, sums, len(a), a, b, np.zeros((len(a), 8), np.int64))


def doubled(i, out):
    s = i + 1
    for _ in range(63):
        s = s + s
    out[i] = -1 if s < 0 else 1


def multiplied(i, out):
    s = i + 3
    for k in range(1, 40):
        s = s * k + i
    out[i] = s // 5


def squared(i, out):
    s = i + 2
    k = 0
    while k < 9:
        s *= s
        k += 1
    out[i] = s % 1000 if s >= 0 else -1


def grown(i, out):
    a, b = np.int64(1), np.int64(1)
    for _ in range(100 + i):
        a, b = b, a + b
    out[i] = -1 if b < 0 else b


@pytest.mark.parametrize("kernel", [doubled, multiplied, squared, grown])
def test_what_grows_in_a_loop_overflows(device, kernel):
    check(device, kernel, 20, np.zeros(20, np.int64))


def hashed(i, a, out):
    out[i] = a[(i * 6364136223846793005) >> 60]


def narrowed(i, a, out):
    out[i] = a[np.int8(i * 5)]


def divided(i, a, out):
    out[i] = a[np.int16(i * 1100) // 256]


def turned(i, a, out):
    out[i] = a[np.int32(i * 2**25) >> 26]


def wound(i, a, out):
    k = np.int8(i) + np.int8(100)
    out[i] = a[np.int8(k)]


CASTS = [hashed, narrowed, divided, turned, wound]


@pytest.mark.parametrize("kernel", CASTS, ids=lambda k: k.__name__)
def test_indices_that_wrap_count_from_the_end(device, kernel):
    check(device, kernel, 300, np.arange(300), np.zeros(300, np.int64))


def behind(i, u, a, out):
    out[i] = a[np.int64(u[i])] + a[10 - np.int64(u[i] >> 60)]


UNSIGNED = np.arange(300, dtype=np.uint64) * np.uint64(2**63 // 100) + np.arange(300, dtype=np.uint64)


def signed(i, u, a, out):
    out[i] = a[np.int64(u[i]) >> 56]


def counted(i, u, a, out):
    out[i] = 0
    a[np.int8(u[i])] += 1
    out[i] = a[np.int8(u[i])]


def mirrored(i, u, a, out):
    out[i] = a[np.int16(np.uint16(u[i])) >> 8]


@pytest.mark.parametrize("kernel", [signed, counted, mirrored], ids=lambda k: k.__name__)
def test_unsigned_numbers_as_signed_indices(device, kernel):
    n = 1 if kernel is counted else 300  # whose iterations depend on each other
    check(device, kernel, n, UNSIGNED[-n:], np.arange(300), np.zeros(n, np.int64))


def test_unsigned_numbers_of_both_signs(device):
    few = np.array([2**64 - 1, 5, 2**64 - 3, 0, 299], np.uint64)
    check(device, behind, 5, few, np.arange(300), np.zeros(5, np.int64))


COUNTS = [0, 1, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 70, 127, 128, -1, -5, -64, -127]


def shifts(i, a, b, out):
    out[i, 0] = a[i] << b[i]
    out[i, 1] = a[i] >> b[i]
    out[i, 2] = np.left_shift(a[i], b[i])
    out[i, 3] = np.right_shift(a[i], b[i])


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint64, np.uint16])
def test_shifts_by_any_count(device, dtype):
    counts = COUNTS if np.dtype(dtype).kind == "i" else [c for c in COUNTS if c >= 0]
    values = np.array([0, 1, 2, 3, 7, 100, 127, *((-1, -2, -7, -128) if np.dtype(dtype).kind == "i" else (200,))])
    a, b = (v.ravel().astype(dtype) for v in np.meshgrid(values.astype(dtype), np.array(counts).astype(dtype)))
    check(device, shifts, len(a), a, b, np.zeros((len(a), 4), dtype))


def constants(i, a, out):
    out[i, 0] = a[i] << 70
    out[i, 1] = a[i] >> 64
    out[i, 2] = (a[i] & 7) << 61
    out[i, 3] = 1 << (i % 70)
    out[i, 4] = -7 >> (60 + i % 9)
    out[i, 5] = 5 >> 40


def test_shifts_by_constants(device):
    check(device, constants, len(LIMITS), LIMITS, np.zeros((len(LIMITS), 6), np.int64))


RANGES = [(HIGH - 10, HIGH, 4), (LOW + 10, LOW, -4), (HIGH - 3, HIGH, HIGH), (5, -5, LOW), (9, 3, 2), (7, 1, -2)]


def counts(i, start, stop, step, out):
    n = last = 0
    for k in range(start[i], stop[i], step[i]):
        n += 1
        last = k
    m = 0
    for _ in range(start[i], stop[i], 4):
        m += 1
        if m > 10:
            break
    r = range(start[i], stop[i], step[i])
    out[i, 0] = n
    out[i, 1] = last
    out[i, 2] = m
    out[i, 3] = len(r)
    out[i, 4] = start[i] in r


def test_ranges_up_to_the_limits(device):
    start, stop, step = np.array(RANGES).T.copy()
    check(device, counts, len(RANGES), start, stop, step, np.zeros((len(RANGES), 5), np.int64))


# -- what is proven ---------------------------------------------------------------------------------------------


def intervals(kernel, *argtypes, extent=EXTENTS[0]):
    """The intervals of a kernel's variables by their names, one for each version of a variable."""
    typed = infer(kernel, (types.int64, *argtypes))
    found = Intervals(typed, (Interval(0, extent), *(None for _ in argtypes)), extent)
    known = {}
    for block in typed.func_ir.blocks.values():
        for statement in block.find_insts(ir.Assign):
            name = statement.target.name.split(".")[0]
            known.setdefault(name, {})[statement.target.name] = found.integer(statement.target)
    return {name: list(versions.values()) for name, versions in known.items()}


def test_intervals_hold_what_they_say():
    def kernel(i, a, n, out):
        first = i + 1
        flat = i * len(a) + first
        cast = np.int8(i)
        low = first & 255
        mod = n % 10
        neg = i - 3
        big = i * i * i
        s = i
        for k in range(n):
            s = s + s
            c = k + i
        lo, hi = 0, len(a)
        while lo < hi:
            mid = (lo + hi) // 2
            if a[mid] < n:
                lo = mid + 1
            else:
                hi = mid
        out[i] = first + flat + cast + low + mod + neg + big + s + c + lo

    known = intervals(kernel, array_type(np.int64, 1), types.int64, array_type(np.int64, 1))
    whole = Interval(LOW, HIGH)
    bound = EXTENTS[0]
    assert known["first"] == [Interval(1, bound + 1)]
    assert known["flat"][0].low == 1 and known["flat"][0].high < 2**63
    assert known["cast"] == [Interval(-128, 127)]
    assert known["low"] == [Interval(0, 255)]
    assert known["mod"] == [Interval(0, 9)]
    assert known["neg"] == [Interval(-3, bound - 3)]
    assert known["big"] == [whole]
    assert whole in known["s"]
    assert all(c.low >= 0 and c.high < 2**60 for c in known["c"])
    assert all(m.low >= 0 and m.high < 2**60 for m in known["mid"])


def test_a_wider_text_runs_what_is_longer(device):
    """An index that starts beyond 2^31, and one beyond 2^47."""

    def kernel(i, out):
        out[i - 2**40] = i * 3 + 1

    def far(i, out):
        out[i - (2**62 - 4)] = (i + i < 0) + 2 * (i * 2 // 2 == i)

    out = np.zeros(8, np.int64)
    pp.for_each(device, pp.range(2**40, 2**40 + 8), kernel, out)
    assert out.tolist() == [(2**40 + k) * 3 + 1 for k in range(8)]
    pp.for_each(device, pp.range(2**62 - 4, 2**62 + 4), far, out)
    assert out.tolist() == [2] * 4 + [1] * 4


def taken(i, x, least):
    x[i] += least


def test_the_least_number_of_a_type_is_an_argument_without_warnings():
    x = np.zeros(3, np.int16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pp.for_each(pp.par.on(pp.executor("hybrid:threads:1+simd")), 3, taken, x, np.int16(-32768))
    assert [*x] == [-32768] * 3
