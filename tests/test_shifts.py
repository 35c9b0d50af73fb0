"""shift_left, shift_right, transpose, gather_if and scatter_if on every executor, against NumPy."""

import numpy as np
import pytest

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 70_001)


def test_shifts(policy):
    for n in SIZES:
        x = np.random.default_rng(n).integers(0, 99, n)
        for k in sorted({0, 1, 3, n // 2, n, n + 5}):
            left, right = np.zeros(n, int), np.full(n, 7)
            left[: max(n - k, 0)], right[k:] = x[k:], x[: max(n - k, 0)]
            np.testing.assert_array_equal(pp.shift_left(policy, x, k), left)
            np.testing.assert_array_equal(pp.shift_right(policy, x, k, 7), right)
    there, out = policy.executor.asarray(x), policy.executor.asarray(x)
    found = pp.shift_left(policy, there, n // 3, fill=-1, out=out)
    assert found is out
    np.testing.assert_array_equal(pp.asnumpy(out), np.append(x[n // 3 :], np.full(n // 3, -1)))


def test_what_fills(renderer):
    for dtype, value in (
        ("?", True),
        ("u1", 255),
        ("f4", np.nan),
        ("f4", 0.1),
        ("c16", 1j),
        ("i8", -(2**63)),
        ("f8", 2),
    ):
        x = np.ones(5, dtype)
        found = pp.shift_left(renderer, x[::2], 1, value)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, np.array([1, 1, value], dtype))
    for dtype, value in (
        ("?", 2),
        ("u1", 256),
        ("u1", -1),
        ("i8", 0.5),
        ("i8", np.nan),
        ("f8", 1j),
        ("f8", None),
        ("f8", "1"),
    ):
        with pytest.raises(pp.ArgumentError, match=r"shift_right: fill is .*: must be a number that .* can hold"):
            pp.shift_right(renderer, np.ones(5, dtype), 1, value)


SHAPES = ((0, 3), (3, 0), (1, 1), (1, 50), (50, 1), (5, 7), (33, 65), (300, 1000))


def test_transpose(policy):
    for shape in SHAPES:
        x = np.random.default_rng(1).random(shape)
        for put in (np.copy, policy.executor.asarray):
            found = pp.transpose(policy, put(x))
            assert found.dtype == x.dtype and type(found) is type(put(x))
            np.testing.assert_array_equal(pp.asnumpy(found), x.T)
            out = put(np.zeros(shape[::-1]))
            assert pp.transpose(policy, put(x), out=out) is out
            np.testing.assert_array_equal(pp.asnumpy(out), x.T)
    for view in (x.T, x[::2, ::-3], x[:, 5:50]):
        view.flags.writeable = False
        np.testing.assert_array_equal(pp.transpose(policy, view), view.T)


def test_transpose_of_records_and_views_of_outputs(renderer):
    x = np.zeros((40, 3), [("a", "i4"), ("b", "f8")])
    x["a"], x["b"] = np.arange(120).reshape(40, 3), -np.arange(120).reshape(40, 3)
    np.testing.assert_array_equal(pp.transpose(renderer, x), x.T)
    out = np.zeros((6, 80), int)
    pp.transpose(renderer, np.arange(120).reshape(40, 3), out=out[::2, 1::2])
    np.testing.assert_array_equal(out[::2, 1::2], np.arange(120).reshape(40, 3).T)
    assert not out[1::2].any() and not out[:, ::2].any()


def test_some_are_gathered_and_scattered(policy):
    rng = np.random.default_rng(2)
    for n in SIZES[1:]:
        x, places, some = rng.random(n), rng.permutation(n) - n * (np.arange(n) % 2), rng.random(n) < 0.5
        known = np.where(some, places, 10**12)
        for put in (np.copy, policy.executor.asarray):
            expected = np.full(n, -5.0)
            expected[some] = x[places[some]]
            out = put(np.full(n, -5.0))
            assert pp.gather_if(policy, put(x), put(known), put(some), out) is out
            np.testing.assert_array_equal(pp.asnumpy(out), expected)
            expected, chosen = np.full(n + 3, -5.0), np.where(places < 0, places + n, places)
            expected[chosen[some]] = x[some]
            out = put(np.full(n + 3, -5.0))
            known = np.where(some, chosen, -(10**12))
            assert pp.scatter_if(policy, put(x), put(known), put(some.astype("i4") * 2), out) is out
            np.testing.assert_array_equal(pp.asnumpy(out), expected)


def test_what_is_refused(renderer):
    x, places, flags = np.arange(8.0), np.arange(8), np.arange(8) == 5
    wrong = np.where(flags, 8, places)
    for call in (pp.gather_if, pp.scatter_if):
        out = np.zeros(8)
        with pytest.raises(pp.ArgumentError, match=rf"{call.__name__}: indices\[5\] is 8, and .* has 8 elements"):
            call(renderer, x, wrong, flags, out)
        with pytest.raises(pp.ArgumentError, match="stencil has dtype float64: must be booleans or integers"):
            call(renderer, x, places, x, out)
        with pytest.raises(pp.ArgumentError, match="overlap"):
            call(renderer, x, places, flags, x)
        with pytest.raises(pp.ArgumentError, match="'stencil' has 7 rows, the others have 8"):
            call(renderer, x, places, flags[1:], out)
        assert not out.any()
        call(renderer, x, wrong, ~flags, out)
    for k in (-1, 1.5, None):
        with pytest.raises(pp.ArgumentError, match="shift_left: k is .*must be a whole number"):
            pp.shift_left(renderer, x, k)
    with pytest.raises(pp.ArgumentError, match=r"x has shape \(8,\): must have two dimensions"):
        pp.transpose(renderer, x)
    with pytest.raises(pp.ArgumentError, match=r"out has shape \(2, 4\) and dtype float64: must have \(4, 2\)"):
        pp.transpose(renderer, x.reshape(2, 4), out=np.zeros((2, 4)))
    square = x[:4].reshape(2, 2)
    with pytest.raises(pp.ArgumentError, match="overlap"):
        pp.transpose(renderer, square, out=square)
