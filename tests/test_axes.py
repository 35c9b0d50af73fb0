"""``axis=`` of reduce, transform_reduce and the scans on every executor, against NumPy."""

import itertools

import numpy as np
import pytest
from conftest import executor
from hypothesis import given, settings
from hypothesis import strategies as st
from test_find import slow
from test_primitives import rough
from test_scan import AFFINE

import portapar as pp
from portapar import part

#: around tiles of 256, and of the widths that are made one by one or a row at a time
SHAPES = ((3, 2), (2, 700), (700, 2), (5, 513, 3), (600, 300), (9, 3, 2, 2))


def whole(shape, dtype="f8", seed=0):
    return np.random.default_rng([*shape, seed]).integers(-9, 9, shape).astype(dtype)


def test_reductions_and_scans(policy):
    for shape in SHAPES:
        x = whole(shape)
        for put in (np.copy, policy.executor.asarray) if len(shape) == 3 else (np.copy,):
            here = put(x)
            for axis in range(-1, len(shape) - 1):
                found, sums = pp.reduce(policy, here, axis=axis), pp.inclusive_scan(policy, here, axis=axis)
                assert type(found) is type(sums) is type(here)
                np.testing.assert_array_equal(pp.asnumpy(found), x.sum(axis=axis))
                np.testing.assert_array_equal(pp.asnumpy(sums), x.cumsum(axis=axis))
            np.testing.assert_array_equal(
                pp.asnumpy(pp.exclusive_scan(policy, here, axis=0, init=3)), x.cumsum(axis=0) - x + 3
            )
            for axes in itertools.combinations(range(len(shape)), len(shape) - 1):
                np.testing.assert_array_equal(pp.asnumpy(pp.reduce(policy, here, axis=axes)), x.sum(axis=axes))


@pytest.mark.extra
@pytest.mark.parametrize("name", ["threads:2", "hybrid:threads:1+opencl:0"])
def test_functions_with_loops(name, monkeypatch):
    """Their values are found first, by whoever is free: an iteration is one element and no tile of them."""
    p, kept, asarray = pp.par.on(executor(name)), [], part.LocalPart.asarray
    monkeypatch.setattr(part.LocalPart, "asarray", lambda self, x: kept.append(type(x)) or asarray(self, x))
    x = whole((600, 3))
    lazy = pp.lazy.transform(x, slow)
    for axis, call, wanted in (
        (0, lambda: pp.transform_reduce(p, x[::-1], transform=slow, axis=0), 1.75 * x.sum(axis=0)),
        (1, lambda: pp.inclusive_scan(p, lazy, axis=1), 1.75 * x.cumsum(axis=1)),
        (1, lambda: pp.transform_scan(p, lazy, transform=slow, axis=1), 1.75 * 1.75 * x.cumsum(axis=1)),
    ):
        kept.clear()
        np.testing.assert_allclose(pp.asnumpy(call()), wanted)
        assert pp.lazy.Lazy in kept, axis


def test_no_rows_and_no_columns(policy):
    for shape in ((5, 0), (0, 5), (600, 0), (3, 0, 2)):
        for axis in range(len(shape)):
            x = np.zeros(shape)
            np.testing.assert_array_equal(pp.asnumpy(pp.reduce(policy, x, axis=axis)), x.sum(axis=axis))
            np.testing.assert_array_equal(pp.asnumpy(pp.inclusive_scan(policy, x, axis=axis)), x)


def test_parts_without_rows():
    for weights in ([100, 1, 1], [1, 100, 1], [0, 0, 1]):
        where = pp.hybrid(pp.threads(2), pp.simd(), pp.threads(1), weights=weights)
        for n in (1, 3, 256, 300):
            x = whole((n, 3))
            for here in (x, where.asarray(x)):
                found, sums = (call(pp.par.on(where), here, axis=0) for call in (pp.reduce, pp.inclusive_scan))
                np.testing.assert_array_equal(pp.asnumpy(found), x.sum(axis=0))
                np.testing.assert_array_equal(pp.asnumpy(sums), x.cumsum(axis=0))
                lazy = pp.lazy.transform(here, lambda v: v + 1)
                found, sums = (call(pp.par.on(where), lazy, axis=0) for call in (pp.reduce, pp.inclusive_scan))
                np.testing.assert_array_equal(pp.asnumpy(found), (x + 1).sum(axis=0))
                np.testing.assert_array_equal(pp.asnumpy(sums), (x + 1).cumsum(axis=0))


def test_the_same_bits_everywhere(policy):
    for shape in ((700, 3), (3, 700), (300, 300), (5, 600, 40)):
        x = rough(np.prod(shape), "f8").reshape(shape)
        for axis in range(len(shape)):
            moved = np.ascontiguousarray(np.moveaxis(x, axis, 0))  # how it lies in memory does not matter
            for call, back in ((pp.reduce, 0), (pp.exclusive_scan, axis)):
                expected = call(pp.seq, x, axis=axis)
                assert call(policy, x, axis=axis).tobytes() == expected.tobytes()
                found = call(policy, moved, axis=0)
                assert (np.moveaxis(found, 0, axis) if back or call is not pp.reduce else found).tobytes() == (
                    expected.tobytes()
                )
        assert np.allclose(pp.reduce(policy, x, axis=0), x.sum(axis=0), rtol=1e-12, atol=1e-9)


def test_what_lies_in_memory_in_other_orders(renderer):
    x = whole((40, 90, 30))
    for view in (x.T, x[::2, ::-1, 1:], x.transpose(1, 0, 2), np.broadcast_to(x[:1], x.shape), np.asfortranarray(x)):
        view.flags.writeable = False
        for axis in range(3):
            np.testing.assert_array_equal(pp.reduce(renderer, view, axis=axis), view.sum(axis=axis))
            np.testing.assert_array_equal(pp.inclusive_scan(renderer, view, axis=axis), view.cumsum(axis=axis))
    out = np.zeros((40, 180, 30))
    pp.inclusive_scan(renderer, x, axis=1, out=out[:, ::2])
    np.testing.assert_array_equal(out[:, ::2], x.cumsum(axis=1))
    assert not out[:, 1::2].any()


def test_in_place(policy):
    for axis in (0, 1):
        x = whole((600, 70))
        expected = x.cumsum(axis=axis)
        assert pp.inclusive_scan(policy, x, axis=axis, out=x) is x
        np.testing.assert_array_equal(x, expected)
    there = policy.executor.asarray(whole((600, 70)))
    assert pp.exclusive_scan(policy, there, axis=0, out=there) is there
    x = whole((600, 70))
    np.testing.assert_array_equal(pp.asnumpy(there), x.cumsum(axis=0) - x)


@pytest.mark.extra
def test_types_and_operators(renderer):
    for dtype in ("?", "u1", "i4", "f4", "c16"):
        x = whole((300, 5), dtype)
        for axis in (0, 1):
            found = pp.reduce(renderer, x, axis=axis)
            assert found.dtype == x.sum(axis=axis).dtype or x.dtype.kind == "f"
            np.testing.assert_array_equal(found, x.sum(axis=axis, dtype=found.dtype))
    x = whole((300, 5))
    x[7, 2] = np.nan
    for op in (np.maximum, np.minimum):
        np.testing.assert_array_equal(pp.reduce(renderer, x, op, axis=0), op.reduce(x, axis=0))
        np.testing.assert_array_equal(pp.inclusive_scan(renderer, x, op, axis=0), op.accumulate(x, axis=0))


@pytest.mark.extra
def test_transforms_and_broadcast_inputs(policy):
    x, y = whole((300, 7)), whole((7,), seed=1)
    found = pp.transform_reduce(policy, x, y, 2.0, transform=lambda a, b, c: a * b + c, axis=1)
    np.testing.assert_array_equal(found, (x * y + 2).sum(axis=1))
    found = pp.transform_scan(policy, x, transform=lambda a: int(a > 0), axis=0)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, (x > 0).cumsum(axis=0))
    found = pp.transform_reduce(
        policy, x, transform=lambda a: (a, a * a), op=lambda p, q: (p[0] + q[0], p[1] + q[1]), axis=0
    )
    np.testing.assert_array_equal(found["f0"], x.sum(axis=0))
    np.testing.assert_array_equal(found["f1"], (x * x).sum(axis=0))
    squares = pp.lazy.transform(x, lambda a: a * a)
    np.testing.assert_array_equal(pp.reduce(policy, squares, axis=0), (x * x).sum(axis=0))


def test_what_does_not_commute(policy):
    x = np.zeros((70, 600), [("slope", "i8"), ("shift", "i8")])
    x["slope"], x["shift"] = 1 + np.arange(42000).reshape(x.shape) % 250, np.arange(42000).reshape(x.shape) % 251
    for y, axis in ((x, 1), (np.ascontiguousarray(x.T), 0)):
        found = pp.reduce(policy, y, AFFINE, axis=axis)
        for row, result in zip(x[::23], found[::23], strict=True):
            value = (1, 0)
            for record in row.tolist():
                value = AFFINE(value, record)
            assert result.item() == value


def test_nothing_to_reduce(policy):
    assert pp.reduce(policy, np.zeros((0, 3)), axis=0).tolist() == [0, 0, 0]
    assert pp.reduce(policy, np.zeros((3, 0)), np.add, 2.0, axis=1).tolist() == [2, 2, 2]
    assert pp.reduce(policy, np.zeros((0, 3)), axis=1).shape == (0,)
    assert pp.inclusive_scan(policy, np.zeros((0, 3)), axis=0).shape == (0, 3)
    with pytest.raises(pp.ArgumentError, match="axis 0 has no elements, and op has no identity: pass init="):
        pp.reduce(policy, np.zeros((0, 3)), lambda a, b: a, axis=0)


def test_all_axes_are_none(policy):
    x = whole((40, 50))
    assert pp.reduce(policy, x, axis=(0, 1)) == pp.reduce(policy, x) == x.sum()
    assert pp.reduce(policy, x[0], axis=-1) == x[0].sum()
    np.testing.assert_array_equal(pp.inclusive_scan(policy, x[0], axis=0), x[0].cumsum())


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.integers(0, 2), st.booleans())
@pytest.mark.extra
def test_any_shape(shape, axis, turned):
    x = whole(shape)
    x = x.T if turned else x
    np.testing.assert_array_equal(pp.reduce(pp.par, x, axis=axis), x.sum(axis=axis))
    np.testing.assert_array_equal(pp.inclusive_scan(pp.par, x, axis=axis), x.cumsum(axis=axis))


def test_what_is_refused(renderer):
    x = whole((4, 5))
    for axis in (2, -3, 0.5, True, "0"):
        with pytest.raises(pp.ArgumentError, match="reduce: axis is .*: must be a whole number from -2 to 1"):
            pp.reduce(renderer, x, axis=axis)
    for axis, words in (((0, -2), "names an axis twice"), ((), "names no axis")):
        with pytest.raises(pp.ArgumentError, match=words):
            pp.reduce(renderer, x, axis=axis)
    with pytest.raises(pp.ArgumentError, match=r"axis is \(0, 1\): must be one whole number"):
        pp.inclusive_scan(renderer, x, axis=(0, 1))
    with pytest.raises(pp.ArgumentError, match=r"out has shape \(5, 4\): must have \(4, 5\)"):
        pp.inclusive_scan(renderer, x, axis=0, out=np.zeros((5, 4)))
    with pytest.raises(pp.ArgumentError, match="which would lose information"):
        pp.inclusive_scan(renderer, x, axis=0, out=np.zeros((4, 5), int))
    with pytest.raises(pp.ArgumentError, match="shapes of the inputs differ"):
        pp.transform_reduce(renderer, x, x.T, transform=lambda a, b: a * b, axis=0)
    with pytest.raises(pp.ArgumentError, match="op has no identity"):
        pp.exclusive_scan(renderer, x, lambda a, b: a, axis=0)
