"""min_element, max_element and minmax_element on every executor, against NumPy."""

import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 4096, 4097, 2**20 + 3)


def data(n):
    return np.random.default_rng(n).integers(-500, 500, n).astype(float)


def minus(v):
    return -v


def check(p, x):
    expected = (int(np.argmin(x)), int(np.argmax(x))) if len(x) else (0, 0)
    found = pp.min_element(p, x), pp.max_element(p, x)
    assert found == expected and all(type(i) is int for i in found)
    assert pp.minmax_element(p, x) == expected


def test_of_every_size(policy):
    for n in SIZES:
        x = data(n)
        check(policy, x)
        if n:
            assert pp.minmax_element(policy, x, key=minus) == (np.argmax(x), np.argmin(x))


def test_the_lowest_index_wins(policy):
    n = 3 * 4096 + 77
    check(policy, np.full(n, 3.5))
    check(policy, np.full(n, np.inf))
    check(policy, np.full(n, -np.inf))
    for low in (0, 63, 64, 4095, 4096, n // 2, n - 1):
        x = np.zeros(n)
        x[low:] = -1
        check(policy, x)
        check(policy, -x)
        x[:] = np.arange(n)
        x[low] = -1
        check(policy, x)
        check(policy, x[::-1])
    zeros = np.zeros(n)
    zeros[::3] = -0.0
    check(policy, zeros)


def test_the_first_nan_wins(policy):
    n = 3 * 4096 + 77
    for first in (0, 63, 64, 4095, 4096, n // 2, n - 1):
        x = data(n)
        x[[first, n - 1]] = np.nan
        check(policy, x)
        x[first:] = np.nan
        check(policy, x)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i4", "u8", "i8", "f4"])
def test_dtypes(renderer, dtype):
    x = data(9000).astype(dtype)
    assert pp.minmax_element(renderer, x) == (np.argmin(x), np.argmax(x))
    if x.dtype.kind in "iu":
        ends = np.iinfo(dtype)
        x[4500:4510], x[7000:] = ends.min, ends.max
        assert pp.minmax_element(renderer, x) == (np.argmin(x), np.argmax(x))
        assert pp.minmax_element(renderer, np.full(100, ends.max, dtype)) == (0, 0)


@pytest.mark.extra
def test_keys(policy):
    x, centre = data(10_000) / 100, math.pi
    assert pp.min_element(policy, x, key=lambda v: abs(v - centre)) == np.argmin(abs(x - centre))
    assert pp.max_element(policy, x, key=lambda v: v > 2) == np.argmax(x > 2)
    assert pp.min_element(policy, x, key=lambda v: v > 9) == np.argmin(x > 9)
    assert pp.max_element(policy, x, key=lambda v: math.sqrt(v)) == np.flatnonzero(x < 0)[0]  # a NaN
    k, table = np.arange(10_000) % 50, np.random.default_rng(3).random(50)
    assert pp.minmax_element(policy, k, key=lambda v: table[v]) == (table.argmin(), table.argmax())


def test_keys_of_complex_numbers_and_of_records(renderer):
    z = data(5000) + 1j * data(5000)[::-1]
    assert pp.max_element(renderer, z, key=lambda v: v.real * v.real + v.imag * v.imag) == np.argmax(abs(z) ** 2)
    r = np.zeros(5000, [("a", "f8"), ("b", "i4")])
    r["b"] = np.arange(5000)[::-1] // 3
    assert pp.min_element(pp.par, r, key=lambda r: r.b) == 4997


def test_device_arrays_and_layouts(where):
    p = pp.par.on(where)
    for n in (0, 1000, 100_003):
        x = data(n)
        here = where.asarray(x)
        assert pp.minmax_element(p, here) == ((np.argmin(x), np.argmax(x)) if n else (0, 0))
    x = data(30_000)
    for view in (x[::2], x[::-1], x.reshape(3000, 10)[:, 3]):
        view.flags.writeable = False
        check(p, view)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(st.lists(st.floats(width=32), min_size=1, max_size=500))
def test_any_input(values):
    for p in (pp.seq, pp.par.on(pp.threads(3))):
        check(p, np.array(values, np.float32))


def test_task_and_plan(policy):
    x = data(1000)
    assert pp.min_element(policy.task, x).result() == np.argmin(x)
    step = pp.plan(pp.minmax_element, policy, x)
    assert "minmax_element over 1000 rows" in str(step) and step.run() == (np.argmin(x), np.argmax(x))


def test_errors(policy):
    x = data(10)
    with pytest.raises(pp.PlacementError, match=r"min_element: argument 'x' has shape \(2, 5\).*x\.reshape\(-1\)"):
        pp.min_element(policy, x.reshape(2, 5))
    with pytest.raises(pp.PlacementError, match="max_element: the elements are complex128, which have no order.*key="):
        pp.max_element(policy, x + 0j)
    with pytest.raises(pp.KernelError, match=r"minmax_element: key 'lambda' .*takes 2 arguments \(a, b\): must take 1"):
        pp.minmax_element(policy, x, key=lambda a, b: a)


@pytest.mark.extra
def test_remembered_calls_follow_what_keys_capture(policy):
    x, near = np.array([3.0, -1.0, 2.0, 7.0]), 0.0
    shifts = np.zeros(1)

    def distance(v):
        return abs(v - near) + shifts[0]

    for near in (0.0, 3.0, 100.0, 3):
        for values in (x, x[::-1], x.astype(np.float32), x[:3]):
            assert pp.min_element(policy, values, key=distance) == np.argmin(abs(values - near))
    x[0] = np.nan
    assert pp.min_element(policy, x, key=distance) == 0
