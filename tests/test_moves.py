"""gather, scatter, reverse, rotate, adjacent_difference and inner_product, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_primitives import data, rough

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 2**17 + 3)
RECORD = np.dtype([("key", "i4"), ("weight", "f8")])


def spots(n, m, seed=1):
    """m indices into n elements, negative ones among them."""
    return np.random.default_rng([n, m, seed]).integers(-n, n, m)


def ratio(x, y):
    return x / (abs(y) + 1)


def above(x, y):
    return x > y


def late(i):
    return i if i > 3000 else 0


def test_gather(policy):
    for n, m in ((1, 0), (1, 1), (2, 31), (1000, 1000), (31, SIZES[-1]), (0, 0)):
        x, k = rough(n, "f8"), spots(max(n, 1), m)
        got = pp.gather(policy, x, k)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, x[k])
    x, k = data(1000), spots(1000, 1000).astype("i2")
    out = np.zeros(2000)
    assert pp.gather(policy, x[::-1], k, out=out[::2]).base is out
    np.testing.assert_array_equal(out[::2], x[::-1][k])
    assert not out[1::2].any()
    k = spots(1000, 500)
    wanted = np.arange(1000)[k]
    assert pp.gather(policy, np.arange(1000), k, out=k) is k
    np.testing.assert_array_equal(k, wanted)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["i1", "c16", "?", RECORD])
def test_dtypes(renderer, dtype):
    x = np.zeros(200, dtype)
    if dtype is RECORD:
        x["key"], x["weight"] = data(200), data(200, seed=2)
    else:
        x[:] = data(200, dtype)
    k, order = spots(200, 50), np.random.default_rng(4).permutation(200)
    np.testing.assert_array_equal(pp.gather(renderer, x, k), x[k])
    np.testing.assert_array_equal(pp.reverse(renderer, x), x[::-1])
    np.testing.assert_array_equal(pp.rotate(renderer, x, 7), np.roll(x, -7))
    out = np.zeros_like(x)
    assert pp.scatter(renderer, x, order, out) is out
    np.testing.assert_array_equal(out[order], x)


@pytest.mark.parametrize("dtype", ["i1", "u8"])
def test_indices_of_every_width(renderer, dtype):
    x = data(100)
    k = np.arange(0, 100, 3).astype(dtype)
    if dtype[0] == "i":
        k = -k
    np.testing.assert_array_equal(pp.gather(renderer, x, k), x[k])
    out, wanted = data(100, seed=3), data(100, seed=3)
    wanted[k] = x[: len(k)]
    np.testing.assert_array_equal(pp.scatter(renderer, x[: len(k)], k, out), wanted)
    k[5] = 100 if dtype[0] == "u" else -101
    with pytest.raises(pp.PlacementError, match=rf"indices\[5\] is {k[5]}, and x has 100 elements"):
        pp.gather(renderer, x, k)
    if dtype == "u8":
        k[3] = 2**64 - 1
        with pytest.raises(pp.PlacementError, match=rf"indices\[3\] is {2**64 - 1}, and out has 100"):
            pp.scatter(renderer, x[: len(k)], k, out)
        np.testing.assert_array_equal(out, wanted)


def test_scatter(policy, where):
    for n in SIZES:
        x, order = rough(n, "f8"), np.random.default_rng(n).permutation(n)
        out = np.zeros(n)
        assert pp.scatter(policy, x, order - n * (order % 2), out) is out
        np.testing.assert_array_equal(out[order], x)
    x, k = data(1000, "i4"), np.random.default_rng(0).permutation(5000)[:1000]
    whole = data(10_000)
    out, wanted = whole[::-2], whole[::-2].copy()
    wanted[k] = x
    pp.scatter(policy, x, k, out)
    np.testing.assert_array_equal(out, wanted)
    out = np.zeros(8, "i8")
    pp.scatter(policy, np.arange(1, 1001), np.arange(1000) % 4, out)  # one of the equals wins
    assert all((out[:4] - 1) % 4 == np.arange(4)) and not out[4:].any()


@pytest.mark.parametrize("n", SIZES)
def test_reverse_and_rotate(policy, where, n):
    x = rough(n, "f8")
    before = x.copy()
    np.testing.assert_array_equal(pp.reverse(policy, x), x[::-1])
    for k in (0, 1, -1, n // 3, n, -5 * n - 2, 10**18):
        np.testing.assert_array_equal(pp.rotate(policy, x, k), np.roll(x, -k))
    out = np.zeros(n)
    assert pp.rotate(policy, x[::-1], np.int32(2), out=out) is out
    np.testing.assert_array_equal(out, np.roll(x[::-1], -2))
    assert pp.reverse(policy, x, out=out) is out
    np.testing.assert_array_equal(out, x[::-1])
    x.flags.writeable = False
    np.testing.assert_array_equal(pp.reverse(policy, x), before[::-1])
    x.flags.writeable = True
    assert pp.reverse(policy, x, out=x) is x
    np.testing.assert_array_equal(x, before[::-1])
    whole = np.repeat(before, 2)
    assert pp.reverse(policy, whole[::2], out=whole[::2]).base is whole
    np.testing.assert_array_equal(whole[::2], before[::-1])
    np.testing.assert_array_equal(whole[1::2], before)


def test_adjacent_difference(policy, where):
    for n in SIZES:
        x = rough(n, "f8")
        np.testing.assert_array_equal(pp.adjacent_difference(policy, x), np.diff(x, prepend=0))
        np.testing.assert_array_equal(
            pp.adjacent_difference(policy, x[::-1], ratio)[1:], x[::-1][1:] / (abs(x[::-1][:-1]) + 1)
        )
    out = np.zeros(n)
    assert pp.adjacent_difference(policy, x, out=out) is out
    np.testing.assert_array_equal(out, np.diff(x, prepend=0))


@pytest.mark.extra
def test_dtypes_of_differences(renderer):
    for dtype in ("u1", "f4"):
        x = data(50, dtype)
        got = pp.adjacent_difference(renderer, x)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, np.diff(x, prepend=x.dtype.type(0)))
    x = data(50, "i4")
    got = pp.adjacent_difference(renderer, x, ratio)
    assert got.dtype == np.float64 and got[0] == x[0]
    np.testing.assert_array_equal(got[1:], x[1:] / (abs(x[:-1]) + 1))
    got = pp.adjacent_difference(renderer, x, above)
    assert got.dtype == np.int32 and got[0] == x[0]
    np.testing.assert_array_equal(got[1:], x[1:] > x[:-1])
    np.testing.assert_array_equal(
        pp.adjacent_difference(renderer, x, pp.plus), np.append(x[:1], x[1:].astype(int) + x[:-1])
    )
    np.testing.assert_array_equal(pp.adjacent_difference(renderer, x, np.subtract), np.diff(x, prepend=0))
    flips = data(50, "?")
    got = pp.adjacent_difference(renderer, flips, lambda a, b: a != b)
    assert got.dtype == bool
    np.testing.assert_array_equal(got[1:], flips[1:] != flips[:-1])
    np.testing.assert_array_equal(pp.inclusive_scan(renderer, pp.adjacent_difference(renderer, x)), x)


@pytest.mark.parametrize("n", SIZES)
def test_inner_product(policy, n):
    x, y = rough(n, "f8"), rough(n, "f8", seed=2)
    got = pp.inner_product(policy, x, y, init=0.5)
    assert got.tobytes() == pp.transform_reduce(pp.seq, x, y, transform=lambda a, b: a * b, init=0.5).tobytes()
    np.testing.assert_allclose(got, np.dot(x, y), atol=1e-9 * np.dot(abs(x), abs(y)) + 0.5)
    x, y = data(n, "i4"), data(n, "i4", seed=2)
    assert pp.inner_product(policy, x, y) == np.dot(x.astype(int), y)
    assert pp.inner_product(policy, x, y, pp.maximum, above, init=False) == (x > y).any()


@settings(max_examples=25, deadline=None)
@given(st.data(), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=60))
def test_anything(draw, values):
    x = np.array(values)
    n = len(x)
    k = np.array(draw.draw(st.lists(st.integers(-n, n - 1), max_size=60)), int)
    np.testing.assert_array_equal(pp.gather(pp.par, x, k), x[k])
    turn = draw.draw(st.integers(-200, 200))
    np.testing.assert_array_equal(pp.rotate(pp.par, x, turn), np.roll(x, -turn))
    order = np.array(draw.draw(st.permutations(range(n))))
    np.testing.assert_array_equal(pp.scatter(pp.par, x, order, np.zeros(n, int))[order], x)


@pytest.mark.extra
def test_lazy_inputs(renderer):
    x = data(3000)
    made = pp.lazy.transform(x, pp.lazy.iota(3000), lambda v, i: v + i)
    wanted = x + np.arange(3000)
    k = spots(3000, 100)
    np.testing.assert_array_equal(pp.gather(renderer, made, k), wanted[k])
    np.testing.assert_array_equal(pp.gather(renderer, x, pp.lazy.iota(1000, -1, -3)), x[-1 - 3 * np.arange(1000)])
    np.testing.assert_array_equal(pp.scatter(renderer, made, pp.lazy.iota(3000), np.zeros(3000)), wanted)
    np.testing.assert_array_equal(pp.reverse(renderer, made), wanted[::-1])
    np.testing.assert_array_equal(pp.adjacent_difference(renderer, made), np.diff(wanted, prepend=0))
    with pytest.raises(pp.PlacementError, match="lazy input, which has no memory"):
        pp.reverse(renderer, x, out=pp.lazy.iota(3000))
    assert pp.inner_product(renderer, made, x) == np.dot(wanted, x)
    with pytest.raises(pp.PlacementError, match=r"indices\[3001\] is 3001, and x has 3000"):
        pp.gather(renderer, x, pp.lazy.transform(pp.lazy.iota(4000), late))


def test_inner_products_with_numbers_and_ranges(renderer):
    """What has no dtype counts for the type of the products, too."""
    for dtype, other, wanted in (
        ("u1", 0.5, np.float64(2.5)), ("i8", 0.5, np.float64(2.5)), ("u1", -3, np.int64(-15)),
        ("u1", 2j, np.complex128(10j)), ("u1", pp.range(-1, 1), np.int64(-2)), ("u1", 3, np.uint64(15)),
        ("i2", True, np.int64(5)), ("u1", np.array([True, False]), np.uint64(2)),
        ("?", pp.lazy.iota(2, -3), np.int64(-5)),
    ):  # fmt: skip
        got = pp.inner_product(renderer, np.array([2, 3]).astype(dtype), other)
        assert got == wanted and got.dtype == wanted.dtype, (dtype, other)


def test_device_arrays_stay_there(where):
    x, k = rough(5000, "f8"), spots(5000, 5000)
    policy = pp.par.on(where)
    here, places = where.asarray(x), where.asarray(k)
    got = pp.gather(policy, here, places)
    assert type(got) is type(here)
    np.testing.assert_array_equal(pp.asnumpy(got), x[k])
    assert pp.inner_product(policy, here, here) == pp.inner_product(pp.seq, x, x)
    for call, wanted in (
        (lambda: pp.reverse(policy, here), x[::-1]),
        (lambda: pp.rotate(policy, here, 77), np.roll(x, -77)),
        (lambda: pp.adjacent_difference(policy, here), np.diff(x, prepend=0)),
        (lambda: pp.adjacent_difference(policy, here, ratio), np.append(x[0], x[1:] / (abs(x[:-1]) + 1))),
    ):
        got = call()
        assert type(got) is type(here)
        np.testing.assert_array_equal(pp.asnumpy(got), wanted)
    out = where.asarray(np.zeros(9000))
    order = np.random.default_rng(1).permutation(9000)[:5000]
    assert pp.scatter(policy, here, where.asarray(order), out) is out
    np.testing.assert_array_equal(pp.asnumpy(out)[order], x)
    with pytest.raises(pp.PlacementError, match="out overlaps x"):
        pp.rotate(policy, here, 1, out=here)
    assert pp.reverse(policy, here, out=here) is here
    np.testing.assert_array_equal(pp.asnumpy(here), x[::-1])


def test_tasks_and_plans(renderer):
    x, k = data(500), spots(500, 100)
    np.testing.assert_array_equal(pp.gather(renderer.task, x, k).result(), x[k])
    plan = pp.plan(pp.rotate, renderer, x, 3)
    assert "rotate over 500" in str(plan)
    np.testing.assert_array_equal(plan.run(), np.roll(x, -3))


def test_bad_indices_are_found_before_anything_is_written(policy, where):
    n = 50_000
    x, k, out = data(n), np.arange(n), np.full(n, 9.0)
    k[40_000], k[123], k[30_000] = -n - 1, n, n + 5
    with pytest.raises(
        pp.PlacementError, match=rf"gather: indices\[123\] is {n}, and x has {n} elements: must be from"
    ):
        pp.gather(policy, x, k, out=out)
    k[123] = k[30_000] = 0
    with pytest.raises(pp.PlacementError, match=rf"indices\[40000\] is {-n - 1}, and x"):
        pp.gather(policy, x, k, out=out)
    with pytest.raises(pp.PlacementError, match=rf"scatter: indices\[40000\] is {-n - 1}, and out"):
        pp.scatter(policy, x, k, out)
    assert (out == 9).all()


def _overlapping():
    x = np.arange(10.0)
    k = np.arange(9)
    yield (lambda: pp.gather(pp.par, x, k, out=x[1:])), x, "out overlaps x"
    yield (lambda: pp.gather(pp.par, x, np.arange(10), out=x)), x, "out overlaps x"
    yield (lambda: pp.gather(pp.par, np.arange(10), k[:-1], out=k[1:])), k, "partly overlaps the input 'indices'"
    yield (lambda: pp.scatter(pp.par, x, np.arange(10), x)), x, "out overlaps x"
    yield (lambda: pp.scatter(pp.par, np.arange(9), k, k)), k, "out overlaps indices"
    yield (lambda: pp.reverse(pp.par, x[1:], out=x[:-1])), x, "out overlaps x"
    yield (lambda: pp.reverse(pp.par, x[::-1], out=x)), x, "out overlaps x"
    yield (lambda: pp.rotate(pp.par, x, 1, out=x)), x, "out overlaps x"
    yield (lambda: pp.adjacent_difference(pp.par, x, out=x)), x, "out overlaps x"
    yield (lambda: pp.reverse(pp.par, pp.lazy.transform(x, abs), out=x)), x, "shares memory"


@pytest.mark.parametrize("case", range(10))
def test_outputs_that_overlap(case):
    call, x, says = list(_overlapping())[case]
    before = x.copy()
    with pytest.raises(pp.PlacementError, match=says):
        call()
    np.testing.assert_array_equal(x, before)


X, K = np.arange(5.0), np.arange(5)
LOCKED = np.zeros(5)
LOCKED.flags.writeable = False


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pp.gather(pp.par, X, X), "indices has dtype float64: must hold integers"),
        (lambda: pp.gather(pp.par, X, X > 1), "pack_index"),
        (lambda: pp.gather(pp.par, X, K.reshape(5, 1)), "must have one dimension"),
        (lambda: pp.gather(pp.par, X.reshape(5, 1), K), "must have one dimension"),
        (lambda: pp.gather(pp.par, X[:0], K), "x has 0 elements: no index is right"),
        (lambda: pp.gather(pp.par, X, K, out=np.zeros(4)), "out has length 4, must be 5"),
        (lambda: pp.gather(pp.par, X, K, out=np.zeros(5, int)), "would lose information"),
        (lambda: pp.gather(pp.par, X, K, out=np.zeros(5, RECORD)), "would lose information"),
        (lambda: pp.gather(pp.par, X, K, out=LOCKED), "out is read-only"),
        (lambda: pp.scatter(pp.par, X, K[:3], np.zeros(9)), "x has 5 elements, and there are 3 indices"),
        (lambda: pp.scatter(pp.par, X, K, LOCKED), "out is read-only"),
        (lambda: pp.scatter(pp.par, X, K, np.zeros((5, 1))), "must have one dimension"),
        (lambda: pp.scatter(pp.par, 1.0, K, np.zeros(5)), "must be an array"),
        (lambda: pp.reverse(pp.par, X.reshape(5, 1)), "must have one dimension"),
        (lambda: pp.reverse(pp.par, LOCKED, out=LOCKED), "out is read-only"),
        (lambda: pp.rotate(pp.par, X, 1.0), "k is 1.0, a float: must be a whole number"),
        (lambda: pp.rotate(pp.par, X, True), "k is True"),
        (lambda: pp.rotate(pp.par, X, 1, out=np.zeros(6)), "out has length 6, must be 5"),
        (lambda: pp.adjacent_difference(pp.par, X > 1), "x has dtype bool"),
        (lambda: pp.adjacent_difference(pp.par, np.zeros(5, RECORD)), "must be an array of numbers"),
        (lambda: pp.adjacent_difference(pp.par, X, lambda a: a), r"takes 1 argument \(a\): must take 2"),
        (lambda: pp.adjacent_difference(pp.par, X, lambda a, b: (a, b)), "must return a number"),
        (lambda: pp.adjacent_difference(pp.par, X, out=np.zeros(5, int)), "would lose information"),
        (lambda: pp.inner_product(pp.par, X, X[:3]), "shape"),
        (lambda: pp.inner_product(pp.par, X, X, transform=lambda a: a), "takes 1 argument"),
    ],
)
def test_what_is_refused(call, says):
    with pytest.raises(pp.PortaparError, match=says):
        call()
