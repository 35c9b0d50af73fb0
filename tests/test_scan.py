"""inclusive_scan, exclusive_scan, transform_scan on every executor, against plain Python."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_primitives import data, rough

import portapar as pp
from portapar.algorithms import scan
from portapar.kernel.tiles import TILE

SIZES = (0, 1, 2, 31, 1000, TILE, 4 * TILE, 4 * TILE + 1, 9 * TILE + 77)


def affine(f, g):
    """First f, then g, of functions a x + b on whole numbers modulo 251: associative, not commutative."""
    return f[0] * g[0] % 251, (f[1] * g[0] + g[1]) % 251


def line(a, b):
    return a, b


def packed(x, y):
    """The same of a function in one number, 256 a + b."""
    a = (x // 256) * (y // 256) % 251
    b = ((x % 256) * (y // 256) + y % 256) % 251
    return a * 256 + b


AFFINE = pp.Monoid(affine, (1, 0), commutative=False)
PACKED = pp.Monoid(packed, 256, commutative=False)


def functions(n, seed=0):
    rng = np.random.default_rng([n, seed])
    return rng.integers(1, 251, n) * 256 + rng.integers(0, 251, n)


def running(x, op, init=None, inclusive=True):
    """A scan in plain Python, in the order that the docstring promises."""
    out, carry = [], init
    for first in range(0, len(x), TILE):
        tile = list(x[first : first + TILE])
        acc = carry
        for value in tile:
            after = value if acc is None else op(acc, value)
            out.append(after if inclusive else acc)
            acc = after
        total = tile[0]
        for value in tile[1:]:
            total = op(total, value)
        carry = total if carry is None else op(carry, total)
    return out


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_sums_have_the_same_bits_everywhere(policy, dtype):
    for n in SIZES if dtype == "f8" else (1, 6 * TILE - 5):
        x = rough(n, dtype)
        got = pp.inclusive_scan(policy, x)
        assert got.dtype == x.dtype and got.shape == x.shape
        assert got.tobytes() == np.array(running(list(x), lambda a, b: a + b), dtype).tobytes(), n
        np.testing.assert_allclose(got, np.cumsum(x, dtype="f8"), atol=1e-5 * abs(x).sum())
    x = rough(20 * TILE + 1, dtype)
    expected = pp.inclusive_scan(pp.seq, x)
    for _ in range(5):
        assert pp.inclusive_scan(policy, x).tobytes() == expected.tobytes()


def test_exclusive_sums(policy):
    for n in SIZES:
        x = data(n)
        np.testing.assert_array_equal(pp.exclusive_scan(policy, x), np.cumsum(x) - x)
        np.testing.assert_array_equal(pp.exclusive_scan(policy, x, init=2.5), np.cumsum(x) - x + 2.5)
    x = rough(6 * TILE + 5, "f8")
    expected = np.array(running(list(x), lambda a, b: a + b, 0.1, inclusive=False))
    assert pp.exclusive_scan(policy, x, init=0.1).tobytes() == expected.tobytes()


def test_operators_that_do_not_commute(policy):
    for n in (1, 2, 31, 5 * TILE + 3):
        x = functions(n)
        np.testing.assert_array_equal(pp.inclusive_scan(policy, x, op=PACKED), running(x, packed))
        got = pp.exclusive_scan(policy, x, op=PACKED, init=7 * 256 + 3)
        np.testing.assert_array_equal(got, running(x, packed, 7 * 256 + 3, inclusive=False))


def test_in_place_reversed_and_strided(policy):
    base = data(5 * TILE + 9)
    x = base.copy()
    assert pp.inclusive_scan(policy, x, out=x) is x
    np.testing.assert_array_equal(x, np.cumsum(base))
    x = base.copy()
    view = x[::-1]
    assert pp.inclusive_scan(policy, view, out=view) is view
    np.testing.assert_array_equal(x, np.cumsum(base[::-1])[::-1])
    x = base.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(pp.inclusive_scan(policy, x[::-1]), np.cumsum(base[::-1]))
    out = np.zeros(2 * len(x[::3]))
    pp.inclusive_scan(policy, x[::3], out=out[::2])
    np.testing.assert_array_equal(out[::2], np.cumsum(base[::3]))
    assert not out[1::2].any()


@pytest.mark.extra
def test_types(renderer):
    n = TILE + 50
    for dtype in ("i1", "u2", "i4", "u8", "?"):
        x = data(n, dtype)
        got = pp.inclusive_scan(renderer, x)
        assert got.dtype == np.cumsum(x).dtype
        np.testing.assert_array_equal(got, np.cumsum(x))
    x = data(n, "c16")
    np.testing.assert_array_equal(pp.inclusive_scan(renderer, x), np.cumsum(x))
    x = data(n, "i4")
    assert pp.exclusive_scan(renderer, x, init=0.5).dtype == np.float64
    out = np.zeros(n, "f4")
    assert pp.inclusive_scan(renderer, x, out=out) is out
    np.testing.assert_array_equal(out, np.cumsum(x))
    small = np.zeros(n, "i4")
    np.testing.assert_array_equal(pp.inclusive_scan(renderer, x, out=small), np.cumsum(x))


def test_other_operators(renderer):
    x = data(3 * TILE)
    x[2 * TILE + 5] = np.nan
    np.testing.assert_array_equal(pp.inclusive_scan(renderer, x, op=np.maximum), np.maximum.accumulate(x))
    wanted = np.maximum.accumulate(x.clip(5))
    np.testing.assert_array_equal(pp.inclusive_scan(renderer, x, op=pp.maximum, init=5), wanted)
    got = pp.exclusive_scan(renderer, x, op=pp.maximum)
    assert got[0] == -np.inf
    np.testing.assert_array_equal(got[1:], np.maximum.accumulate(x)[:-1])
    zeros = np.full(3, -0.0)
    assert np.signbit(pp.inclusive_scan(renderer, zeros)).all()


@pytest.mark.extra
def test_transform_scan_of_several_inputs(policy):
    n = 4 * TILE + 100
    x, y = data(n), data(n, "i4", seed=1)
    got = pp.transform_scan(policy, x, y, transform=lambda a, b: a * b)
    np.testing.assert_array_equal(got, np.cumsum(x * y))
    scale, table = 3, np.array([1.0, -2.0, 5.0])
    got = pp.transform_scan(
        policy, y, pp.range(5, 5 + 2 * n, 2), scale, transform=lambda a, i, s: a * i * s + table[i % 3], inclusive=False
    )
    i = np.arange(5, 5 + 2 * n, 2)
    each = y * i * scale + table[i % 3]
    np.testing.assert_array_equal(got, np.cumsum(each) - each)


@pytest.mark.extra
def test_tuples(policy):
    n = 4 * TILE + 33
    x = functions(n)
    a, b = x // 256, x % 256
    got = pp.transform_scan(policy, a, b, transform=line, op=AFFINE)
    expected = running(x, packed)
    np.testing.assert_array_equal(got["f0"] * 256 + got["f1"], expected)
    records = np.zeros(n, [("slope", "i8"), ("shift", "i4")])
    records["slope"], records["shift"] = a, b
    out = np.zeros_like(records)
    assert pp.exclusive_scan(policy, records, op=AFFINE, out=out) is out
    assert out[0].item() == (1, 0)
    np.testing.assert_array_equal(out["slope"][1:] * 256 + out["shift"][1:], expected[:-1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-1000, 1000), max_size=200), st.integers(-5, 5))
def test_scans_of_anything(values, init):
    x = np.array(values, np.int64)
    np.testing.assert_array_equal(pp.inclusive_scan(pp.par, x, init=init), init + np.cumsum(x))
    np.testing.assert_array_equal(pp.exclusive_scan(pp.par, x, init=init), init + np.cumsum(x) - x)


def test_more_threads_than_processors_and_a_hundred_runs():
    x = rough(100 * TILE, "f8")
    expected = pp.inclusive_scan(pp.seq, x).tobytes()
    for how in (pp.par, pp.par.on(pp.threads(5))):
        for _ in range(50):
            assert pp.inclusive_scan(how, x).tobytes() == expected


def test_device_arrays_stay_there(where):
    x = data(5 * TILE + 1)
    here = where.asarray(x)
    how = pp.par.on(where)
    got = pp.inclusive_scan(how, here)
    assert type(got) is type(here)
    np.testing.assert_array_equal(pp.asnumpy(got), np.cumsum(x))
    out = where.empty(len(x), np.float64)
    assert pp.exclusive_scan(how, here, out=out) is out
    np.testing.assert_array_equal(pp.asnumpy(out), np.cumsum(x) - x)
    assert pp.inclusive_scan(how, here, out=here) is here
    np.testing.assert_array_equal(pp.asnumpy(here), np.cumsum(x))


def test_tasks_and_plans(policy):
    x = data(9000)
    future = pp.inclusive_scan(policy.task, x)
    np.testing.assert_array_equal(future.result(), np.cumsum(x))
    plan = pp.plan(pp.exclusive_scan, policy, x)
    assert "exclusive_scan over 9000" in str(plan)
    np.testing.assert_array_equal(plan.run(), np.cumsum(x) - x)


def test_what_is_refused(policy):
    x = data(TILE + 3)
    before = x.copy()
    with pytest.raises(pp.PlacementError, match="no identity: pass init="):
        pp.exclusive_scan(policy, x, op=lambda a, b: a * b)
    with pytest.raises(pp.KernelError, match="takes 3 arguments"):
        pp.inclusive_scan(policy, x, op=lambda a, b, c: a)
    with pytest.raises(pp.KernelError, match=r"takes 1 argument \(a\)"):
        pp.transform_scan(policy, x, x, transform=lambda a: a)
    with pytest.raises(pp.PlacementError, match="length 5, must be 4099"):
        pp.inclusive_scan(policy, x, out=np.zeros(5))
    with pytest.raises(pp.PlacementError, match="would lose information"):
        pp.inclusive_scan(policy, x, out=np.zeros(len(x), np.int64))
    with pytest.raises(pp.PlacementError, match="partly overlaps the input 'x'"):
        pp.inclusive_scan(policy, x[:-1], out=x[1:])
    with pytest.raises(pp.PlacementError, match="partly overlaps the input 'x'"):
        pp.inclusive_scan(policy, x, out=x[::-1])
    out = np.zeros(len(x))
    with pytest.raises(pp.PlacementError, match="captures 'out', which shares memory with out"):
        pp.transform_scan(policy, x[1:], transform=lambda a: a + out[0], out=out[1:])
    out.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="out is read-only"):
        pp.inclusive_scan(policy, x, out=out)
    with pytest.raises(pp.PlacementError, match="must have one dimension"):
        pp.inclusive_scan(policy, x[:100].reshape(10, 10))
    with pytest.raises(pp.PlacementError, match="differ in length"):
        pp.transform_scan(policy, x, x[1:], transform=lambda a, b: a + b)
    with pytest.raises(pp.PlacementError, match="nothing says how long it is"):
        pp.transform_scan(policy, 1.0, transform=lambda a: a)
    with pytest.raises(pp.PlacementError, match="init is 'a', a str"):
        pp.inclusive_scan(policy, x, init="a")
    np.testing.assert_array_equal(x, before)


@pytest.mark.extra
def test_remembered_types_follow_the_call():
    x, factor = np.arange(1, 5), 2

    def scaled(v):
        return v * factor

    def near(a, b):
        return a + b

    def far(a, b):
        return a + b + 0.5

    def joined(a, b):
        return step(a, b)

    for factor, kind in ((2, np.int64), (0.5, np.float64), (np.float32(2), np.float64), (3, np.int64)):
        found = pp.transform_scan(pp.seq, x, transform=scaled)
        assert found.dtype == kind and (found == np.cumsum(x * factor)).all()
    for init, kind in ((None, np.int64), (0.5, np.float64), (1, np.int64), (1.0, np.float64)):
        found = pp.inclusive_scan(pp.seq, x, init=init)
        assert found.dtype == kind and (found == np.cumsum(x) + (init or 0)).all()
    for values in (x, x.astype(np.float32), x.astype(np.int8), x.astype(">i8").astype(np.uint8)):
        assert pp.inclusive_scan(pp.seq, values).dtype == np.cumsum(values).dtype
    step = near
    assert pp.inclusive_scan(pp.seq, x, op=joined).dtype == np.int64
    step = far
    assert pp.inclusive_scan(pp.seq, x, op=joined).dtype == np.float64


def test_scans_in_place_are_remembered(monkeypatch):
    """Of few elements and of many; with the input twice, and one that the transform looks into as well."""
    calls = (
        lambda x: pp.inclusive_scan(pp.par, x, out=x),
        lambda x: pp.exclusive_scan(pp.par, x, out=x, init=2),
        lambda x: pp.transform_scan(pp.par, x, x, transform=lambda v, w: v + w, out=x),
    )
    right = (np.cumsum, lambda x: np.r_[0, np.cumsum(x)[:-1]] + 2, lambda x: np.cumsum(2 * x))
    for n in (5000, 20_000, 100):
        given = np.arange(n)
        for call in calls:
            call(given.copy()), call(given.copy())
        with monkeypatch.context() as patch:
            patch.setattr(scan, "_scan", None)
            for call, expected in zip(calls, right, strict=True):
                x = given.copy()
                assert call(x) is x
                np.testing.assert_array_equal(x, expected(given))
    x = np.arange(5000)
    with pytest.raises(pp.PortaparError):  # a table that is written to
        pp.transform_scan(pp.par, x, transform=lambda v: x[v % 7], out=x)


def repeated(a, b):
    for _ in range(1):
        a = a + b
    return a


@pytest.mark.parametrize("kind", ["f8", "i2"])
@pytest.mark.extra
def test_operators_with_loops_give_the_same_bits(where, kind):
    """Their tiles are done in strides."""
    policy, x = pp.par.on(where), np.random.default_rng(5).normal(0, 9, 3 * 4096 + 7).astype(kind)
    for call in (pp.inclusive_scan, functools.partial(pp.exclusive_scan, init=2)):
        got, right = call(policy, x, repeated), call(policy, x, lambda a, b: a + b)
        assert got.dtype == right.dtype
        np.testing.assert_array_equal(pp.asnumpy(got), pp.asnumpy(right))
