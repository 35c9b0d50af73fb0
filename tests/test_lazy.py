"""Lazy inputs: what algorithms and kernels compute from them equals what they compute from the arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp
from portapar import lazy

SIZES = (0, 1, 4097, 100_003)
SQUARE = lambda v: v * v
MIX = lambda a, b: 3 * a - b
PAIR = lambda t: t[0] * 2 + t[1]
ADD = lambda a, b: a + b


def data(n, dtype="f8", seed=0):
    """Small whole numbers of either sign, exact in every dtype and every order of sums."""
    return np.random.default_rng([n, seed]).integers(-7, 8, n).astype(dtype)


def rough(n, seed=0):
    rng = np.random.default_rng([n, seed])
    return rng.standard_normal(n) * 10.0 ** rng.integers(-6, 7, n)


def read(i, out, x):
    out[i] = x[i]


def capturing(x):
    def body(i, out):
        out[i] = x[i] + x.shape[0]

    return body


def cases(n):
    """Name → (lazy input, the array that it stands for)."""
    x, y, k = rough(n), rough(n, 1), np.arange(n)
    scale = 2.5
    return {
        "transform": (lazy.transform(x, SQUARE), x * x),
        "two inputs": (lazy.transform(x, y, MIX), 3 * x - y),
        "a number": (lazy.transform(x, 2.0, MIX), 3 * x - 2.0),
        "a range": (lazy.transform(x, pp.range(5, 5 + 3 * n, 3), MIX), 3 * x - (5 + 3 * k)),
        "captured": (lazy.transform(x, lambda v: v * scale), x * scale),
        "nested": (lazy.transform(lazy.transform(x, y, MIX), SQUARE), (3 * x - y) ** 2),
        "zip": (lazy.transform(lazy.zip(x, y), PAIR), x * 2 + y),
        "iota": (lazy.iota(n, 3, 2), 3 + 2 * k),
        "iota of floats": (lazy.iota(n, 0.1, 0.3), 0.1 + 0.3 * k),
        "reverse": (lazy.reverse(x), x[::-1]),
        "reverse of transform": (lazy.reverse(lazy.transform(x, lazy.iota(n), MIX)), (3 * x - k)[::-1]),
        "reverse of iota": (lazy.reverse(lazy.iota(n, 0.1, 0.3)), (0.1 + 0.3 * k)[::-1]),
        "twice reversed": (lazy.reverse(lazy.transform(lazy.reverse(x), y, MIX)), 3 * x - y[::-1]),
        "strided": (lazy.transform(np.repeat(x, 2)[::2], SQUARE), x * x),
    }  # fmt: skip


@pytest.mark.parametrize("name", cases(2))
def test_every_kind_is_computed_where_it_is_read(policy, name):
    for n in SIZES:
        x, expected = cases(n)[name]
        assert x.shape == (n,) and len(x) == x.size == n and x.ndim == 1 and x.dtype == expected.dtype
        found = pp.copy(policy, x)
        assert type(found) is np.ndarray and found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


SOME = ("captured", "nested", "zip", "reverse of transform", "reverse of iota")


@pytest.mark.parametrize("name", SOME)
def test_reductions_have_the_bits_of_the_array(policy, name):
    for n in SIZES:
        x, expected = cases(n)[name]
        assert pp.reduce(policy, x, init=0).tobytes() == pp.reduce(pp.seq, expected.copy(), init=0).tobytes()


@pytest.mark.parametrize("name", SOME)
def test_kernels_read_them_like_arrays(policy, name):
    for n in SIZES:
        x, expected = cases(n)[name]
        out = np.full(n, np.nan)
        pp.for_each(policy, n, read, out, x)
        assert out.tobytes() == expected.astype("f8").tobytes()


def less_the_first(x):
    return lambda v: v - x[0] if v == v else v


def test_kernels_capture_them(policy):
    for n in SIZES:
        x, expected = cases(n)["reverse of transform"]
        out = np.full(n, np.nan)
        pp.for_each(policy, n, capturing(x), out)
        assert out.tobytes() == (expected + n).astype("f8").tobytes()
        found = pp.transform(policy, expected, op=less_the_first(x))
        np.testing.assert_array_equal(found, expected - expected[:1])


def backwards(i, out, x):
    out[i] = x[-1 - i]


def backwards_unsigned(i, out, x):
    out[i] = x[np.uint64(len(x) - 1 - i)]


@pytest.mark.parametrize("body", [backwards, backwards_unsigned])
def test_indices_of_any_sign_and_type(renderer, body):
    for name in ("zip", "iota", "reverse of transform"):
        x, expected = cases(1000)[name]
        out = np.zeros(1000)
        pp.for_each(renderer, 1000, body, out, x)
        np.testing.assert_array_equal(out, expected[::-1])


def test_dtypes(renderer):
    for dtype in ("i1", "u8", "f4", "c8", "?"):
        x = np.abs(data(100, "i1")).astype(dtype)
        made = lazy.reverse(x)
        assert made.dtype == x.dtype
        np.testing.assert_array_equal(pp.copy(renderer, made), x[::-1])
    assert lazy.transform(np.zeros(3, "i4"), np.zeros(3, "f4"), ADD).dtype == np.float64
    assert lazy.transform(np.zeros(3, "f4"), lambda v: v > 1).dtype == bool
    assert lazy.iota(3).dtype == np.int64 and lazy.iota(3, 1.0).dtype == np.float64
    assert lazy.transform(np.zeros(3, "i1"), SQUARE).dtype == pp.transform(pp.seq, np.zeros(3, "i1"), op=SQUARE).dtype


@pytest.mark.extra
def test_records_and_tuples(renderer):
    records = np.zeros(5000, [("key", "i4"), ("value", "f8")])
    records["key"], records["value"] = data(5000, "i4"), data(5000, seed=1)
    np.testing.assert_array_equal(pp.copy(renderer, lazy.reverse(records)), records[::-1])
    total = pp.reduce(renderer, lazy.transform(records, lambda r: r.key * r.value))
    assert total == (records["key"] * records["value"]).sum()
    largest = pp.reduce(renderer, lazy.zip(records["value"].copy(), lazy.iota(5000)), op=FURTHER)
    assert largest == (records["value"].max(), records["value"].argmax())
    assert pp.reduce(renderer, lazy.reverse(records), op=SUMS) == (records["key"].sum(), records["value"].sum())
    pairs = pp.copy(renderer, lazy.zip(records["key"].copy(), 2.0))
    np.testing.assert_array_equal(pairs["f0"], records["key"])
    np.testing.assert_array_equal(pairs["f1"], 2.0)


FURTHER = lambda a, b: b if b[0] > a[0] or (b[0] == a[0] and b[1] < a[1]) else a
SUMS = lambda a, b: (a[0] + b[0], a[1] + b[1])


def test_zip_gives_tuples(policy):
    x, y = data(5000), data(5000, "i4", 1)
    pairs = lazy.zip(x, y, lazy.iota(5000), 2)
    found = pp.transform(policy, pairs, op=lambda t: t[0] * t[3] + t[1] * t[2])
    np.testing.assert_array_equal(found, x * 2 + y * np.arange(5000))
    total = pp.transform_reduce(policy, lazy.zip(x, y), transform=PAIR)
    assert total == (x * 2 + y).sum()
    assert pairs.dtype == np.dtype([("f0", "f8"), ("f1", "i4"), ("f2", "i8"), ("f3", "i8")], align=True)


def test_arrays_of_six_dimensions():
    x = np.arange(64.0).reshape((2,) * 6)

    def put(i, j, k, m, n, o, x, out):
        out[i, j, k, m, n, o] = x[i, j, k, m, n, o]

    pairs, out = lazy.transform(x, x.T, lambda a, b: a - 2 * b), np.zeros(x.shape)
    pp.for_each(pp.par, x.shape, put, pairs, out)
    assert np.array_equal(out, x - 2 * x.T) and np.array_equal(pp.copy(pp.par, pairs), out)


def test_arrays_of_more_dimensions(policy):
    x, y = data(60 * 70).reshape(60, 70), data(60 * 70, seed=1).reshape(60, 70)
    both = lazy.transform(x, lazy.transform(y, 2.0, MIX), ADD)
    expected = x + 3 * y - 2
    assert both.shape == (60, 70) and len(both) == 60 and both.ndim == 2 and both.size == 4200
    np.testing.assert_array_equal(pp.copy(policy, both), expected)
    assert pp.reduce(policy, both) == expected.sum()
    turned = lazy.transform(x.T, y.T, MIX)
    np.testing.assert_array_equal(pp.copy(policy, turned), (3 * x - y).T)
    assert pp.reduce(policy, turned) == (3 * x - y).sum()
    np.testing.assert_array_equal(pp.transform(policy, x, lazy.transform(y[0], SQUARE), op=ADD), x + y[0] ** 2)
    out = np.zeros((60, 70))
    pp.for_each(policy, (60, 70), read_two, out, both)
    np.testing.assert_array_equal(out, expected + 60)


def read_two(i, j, out, x):
    out[i, j] = x[i, j] + (x.shape[0] if x.ndim == 2 and x.size == 4200 else 0)


def largest(x, lo, hi):
    best = x[lo]
    for k in range(lo + 1, hi):
        best = x[k] if later(best, x, k) else best
    return best


def later(best, y, k):
    return y[k] > best


def blocks(block, size, x, y, out):
    hi = min(len(x), (block + 1) * size)
    out[block] = largest(x, block * size, hi) - largest(y, block * size, hi)


def test_lazy_inputs_are_passed_on_to_other_kernel_functions(renderer):
    x, y = rough(1000), rough(1000, 1)
    out = np.zeros(10)
    for one, other, ones, others in (
        (lazy.transform(x, SQUARE), y, x * x, y),
        (x, lazy.reverse(lazy.transform(y, SQUARE)), x, (y * y)[::-1]),
        (lazy.transform(x, SQUARE), lazy.iota(1000), x * x, np.arange(1000)),
        (lazy.reverse(x), lazy.reverse(y), x[::-1], y[::-1]),
    ):
        pp.for_each(renderer, 10, blocks, 100, one, other, out)
        np.testing.assert_array_equal(out, ones.reshape(10, 100).max(1) - others.reshape(10, 100).max(1))


def test_scans(policy):
    for n in (1, 5000, 100_003):
        x, expected = cases(n)["reverse of transform"]
        np.testing.assert_allclose(pp.inclusive_scan(policy, x), np.cumsum(expected), rtol=1e-6)


LARGE = lambda v: v > 20
ALGORITHMS = {  # name → (call, oracle)
    "count_if": (lambda p, x: pp.count_if(p, x, LARGE), lambda e: (e > 20).sum()),
    "any_of": (lambda p, x: pp.any_of(p, x, LARGE), lambda e: (e > 20).any()),
    "find_if": (lambda p, x: pp.find_if(p, x, LARGE), lambda e: np.flatnonzero(e > 20)[0]),
    "find_last_if": (lambda p, x: pp.find_last_if(p, x, LARGE), lambda e: np.flatnonzero(e > 20)[-1]),
    "mismatch": (lambda p, x: pp.mismatch(p, x, x), len),
    "minmax_element": (lambda p, x: pp.minmax_element(p, x), lambda e: (e.argmin(), e.argmax())),
    "copy_if": (lambda p, x: pp.copy_if(p, x, LARGE), lambda e: e[e > 20]),
    "exclusive_scan": (
        lambda p, x: pp.exclusive_scan(p, x, pp.maximum),
        lambda e: np.maximum.accumulate(np.append(-np.inf, e[:-1])),
    ),
    "sort": (lambda p, x: pp.sort(p, x), np.sort),
    "argsort": (lambda p, x: pp.argsort(p, x), lambda e: np.argsort(e, kind="stable")),
    "is_sorted": (lambda p, x: pp.is_sorted(p, x), lambda e: False),
    "unique": (lambda p, x: pp.unique(p, x), np.unique),
    "adjacent_find": (lambda p, x: pp.adjacent_find(p, x), lambda e: np.flatnonzero(np.diff(e) == 0)[0]),
    "merge": (lambda p, x: pp.merge(p, lazy.iota(9), lazy.iota(5000)), lambda e: np.sort([*range(9), *range(5000)])),
    "kth_smallest": (lambda p, x: pp.kth_smallest(p, x, 100), lambda e: np.sort(e)[100]),
}
ON_ONE_DEVICE = ("adjacent_find", "merge", "kth_smallest")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_take_them(renderer, name):
    call, oracle = ALGORITHMS[name]
    x, y = data(30_000, seed=3), data(30_000, seed=4)
    made, expected = lazy.reverse(lazy.transform(x, y, MIX)), (3 * x - y)[::-1]
    np.testing.assert_array_equal(call(renderer, made), oracle(expected))
    if renderer.executor.kind == "threads" and name not in ON_ONE_DEVICE:
        np.testing.assert_array_equal(call(pp.par.on(pp.executor("hybrid:threads:2+simd")), made), oracle(expected))


def test_functions_of_every_kind(renderer):
    x = np.abs(data(1000))
    np.testing.assert_array_equal(pp.copy(renderer, lazy.transform(x, np.sqrt)), np.sqrt(x))
    np.testing.assert_array_equal(pp.copy(renderer, lazy.transform(x, x, pp.plus)), x + x)
    np.testing.assert_array_equal(pp.copy(renderer, lazy.transform(x, float)), x)
    table, base = np.arange(10.0) ** 2, 3

    def look(v, shift=base):
        return table[int(v)] + helped(v, shift)

    np.testing.assert_array_equal(pp.copy(renderer, lazy.transform(x, look)), table[x.astype(int)] + x + base)
    np.testing.assert_array_equal(pp.copy(renderer, lazy.transform(x, 1, look)), table[x.astype(int)] + x + 1)


def helped(v, shift):
    return v + shift


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=50), st.integers(-5, 5), st.integers(0, 3))
def test_nesting(values, shift, turns):
    x = np.array(values)
    made, expected = lazy.transform(x, shift, ADD), x + shift
    for _ in range(turns):
        made, expected = (
            lazy.reverse(lazy.transform(made, lazy.iota(len(x)), ADD)),
            (expected + np.arange(len(x)))[::-1],
        )
    np.testing.assert_array_equal(pp.copy(pp.par, made), expected)


def test_arrays_are_referred_to_and_numbers_are_taken():
    x, scale = data(100), 2.0
    made = lazy.transform(x, lambda v: v * scale)
    scale = 3.0
    x += 1
    np.testing.assert_array_equal(pp.copy(pp.par, made), x * 2)


def test_repeated_calls_see_new_data(policy):
    """Calls with equal forms and other leaves, and the same array at several places."""
    for k in range(4):
        x, y = data(5000, seed=k), data(5000, seed=k + 10)
        assert pp.reduce(policy, lazy.transform(x, y, MIX)) == (3 * x - y).sum()
        assert pp.reduce(policy, lazy.transform(x, x, MIX)) == (2 * x).sum()
        assert pp.reduce(policy, lazy.iota(5000, k, k)) == (k + k * np.arange(5000)).sum()
        assert pp.reduce(policy, lazy.iota(5000, 0, k)) == (k * np.arange(5000)).sum()
        assert pp.reduce(policy, lazy.iota(4000 + k, 7)) == (7 + np.arange(4000 + k)).sum()
        out = np.zeros(5000)
        pp.transform(policy, lazy.reverse(x), lazy.transform(y, SQUARE), out=out, op=ADD)
        np.testing.assert_array_equal(out, x[::-1] + y * y)
        pp.for_each(policy, 5000, read, out, lazy.transform(x, k, MIX))
        np.testing.assert_array_equal(out, 3 * x - k)


def test_in_place():
    x = data(5000)
    before = x.copy()
    pp.transform(pp.par, lazy.transform(x, SQUARE), x, out=x, op=ADD)
    np.testing.assert_array_equal(x, before**2 + before)
    for made in (lazy.reverse(x), lazy.transform(np.zeros(5000), lambda v: v + x[0])):
        for out in (x, x[:]):
            with pytest.raises(pp.PlacementError, match="out shares memory with the input 'a'"):
                pp.transform(pp.par, made, out=out, op=lambda a: a)
    with pytest.raises(pp.PlacementError, match="out partly overlaps the input 'a'"):
        pp.transform(pp.par, lazy.transform(x[1:], SQUARE), out=x[:-1], op=lambda a: a)
    with pytest.raises(pp.PlacementError, match="shares memory with an array that the lazy input"):
        pp.inclusive_scan(pp.par, lazy.reverse(x), out=x)
    np.testing.assert_array_equal(x, before**2 + before)
    # what was remembered for another output must not run in place
    other = np.zeros(5000)
    for _ in range(3):
        pp.transform(pp.par, lazy.reverse(x), out=other, op=lambda a: a + 1)
    view = x[:]
    with pytest.raises(pp.PlacementError, match="out shares memory"):
        pp.transform(pp.par, lazy.reverse(x), out=view, op=lambda a: a + 1)


def test_device_and_partitioned_arrays(where):
    x, y = data(100_003), data(100_003, seed=1)
    here, there = where.asarray(x), where.asarray(y)
    made = lazy.transform(here, there, MIX)
    found = pp.copy(pp.par, made)
    assert type(found) is type(here) and where.owns(found) == where.owns(here)
    np.testing.assert_array_equal(pp.asnumpy(found), 3 * x - y)
    assert pp.reduce(pp.par, made) == (3 * x - y).sum()
    assert (
        pp.reduce(pp.par.on(where), lazy.transform(here, lazy.iota(len(x)), MIX)) == (3 * x - np.arange(len(x))).sum()
    )
    scanned = pp.inclusive_scan(pp.par, made)
    assert type(scanned) is type(here)
    np.testing.assert_array_equal(pp.asnumpy(scanned), np.cumsum(3 * x - y))
    np.testing.assert_array_equal(pp.asnumpy(pp.copy(pp.par, lazy.reverse(here))), x[::-1])


def test_tasks():
    x = rough(100_000)
    total = pp.reduce(pp.par.task, lazy.transform(x, SQUARE))
    assert total.result() == pp.reduce(pp.par, x * x)


def test_plans_and_text():
    x, y = np.zeros(1000), np.zeros(1000, "i4")
    made = lazy.reverse(lazy.transform(x, lazy.iota(1000, 5), lazy.zip(y, 2), lambda a, b, c: a + b + c[0]))
    told = "pp.lazy.transform(pp.lazy.reverse(float64[1000]), pp.lazy.reverse(pp.lazy.iota(1000, 5, 1)), "
    assert repr(made).startswith(told) and repr(made).endswith("lambda)")
    assert "pp.lazy.zip(pp.lazy.reverse(int32[1000]), int 2)" in repr(made)
    text = str(pp.plan(pp.transform, pp.par, lazy.transform(x, SQUARE), lazy.reverse(y), op=lambda p, q: p + q))
    assert "  p: pp.lazy.transform(float64[1000], lambda), computed where it is read\n" in text
    assert "  p.v: float64[1000] (read, at its own index)\n" in text
    assert "  q: int32[1000] (read, anywhere)\n" in text
    text = str(pp.plan(pp.for_each, pp.par, 1000, read, np.zeros(1000), lazy.zip(x, y)))
    assert "  x: pp.lazy.zip(float64[1000], int32[1000]), computed where it is read\n" in text
    assert "  x[0]: float64[1000] (read, at its own index)\n" in text
    run = pp.plan(pp.reduce, pp.par, lazy.transform(np.ones(1000), SQUARE))
    assert [run.run() for _ in range(3)] == [1000.0] * 3


# errors -------------------------------------------------------------------------------------------


def refused(says, call, kind=pp.PlacementError):
    with pytest.raises(kind, match=says):
        call()


def test_what_cannot_be_made():
    x = np.arange(10.0)
    refused(r"shapes of the inputs differ \(a: \(10,\), b: \(9,\)\)", lambda: lazy.transform(x, x[:9], ADD))
    refused(r"differ \(\[0\]: \(10,\), \[1\]: \(5, 2\)\)", lambda: lazy.zip(x, x.reshape(5, 2)))
    refused("differ", lambda: lazy.zip(x, lazy.iota(9)))
    refused("nothing says how long", lambda: lazy.transform(1.0, SQUARE))
    refused("nothing says how long", lambda: lazy.zip())
    refused("without dimensions", lambda: lazy.transform(np.array(3.0), SQUARE))
    refused("7 dimensions", lambda: lazy.transform(np.zeros((1,) * 7), SQUARE))
    refused("must have one dimension", lambda: lazy.reverse(x.reshape(5, 2)))
    refused("is a list", lambda: lazy.transform([1.0], SQUARE))
    refused("dtype object", lambda: lazy.reverse(np.array([None])))
    for n in (-1, 2.5, True, "3"):
        refused("lazy.iota: n is", lambda n=n: lazy.iota(n))
    refused("start is None", lambda: lazy.iota(3, None))
    refused("step is", lambda: lazy.iota(3, 0, x))
    kind = pp.KernelError
    refused(r"last argument is array.*lazy\.transform\(x, f\)", lambda: lazy.transform(SQUARE, x), kind)
    refused("last argument is", lambda: lazy.transform(x), kind)
    refused("last argument is", lambda: lazy.transform(x, lazy.iota(10)), kind)
    refused(r"takes 2 arguments \(a, b\), and the call gives 1 input\.", lambda: lazy.transform(x, ADD), kind)
    refused("writes to 'x'", lambda: lazy.transform(x, lambda v: pp.atomic.add(x, 0, v)), kind)
    refused("nested lambda", lambda: lazy.transform(x, lambda v: (lambda w: w)(v)), kind)


def write(i, x):
    x[i] = 1.0


def add_to(i, x):
    x[i] += 1.0


def add_atomically(i, x):
    pp.atomic.add(x, i, 1.0)


def alias(i, x):
    y = x
    y[i]


def assign(i, x):
    x = 3.0
    x + 1


def too_many(i, x):
    x[i, i]


def whole(i, x):
    min(x)


def through_another(i, x):
    write(i, x)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (write, r"writes to 'x'.*lazy input.*\n    x\[i\] = 1\.0\n.*\n  Instead: write into an array"),
        (add_to, r"writes to 'x'"),
        (add_atomically, r"writes to 'x'.*\n    pp\.atomic\.add\(x, i, 1\.0\)"),
        (alias, r"uses 'x' as a whole.*\n    y = x\n.*\n.*pp\.copy\(policy, x\)"),
        (assign, r"assigns to 'x'"),
        (too_many, r"'x' at 2 indices of 1"),
        (whole, r"uses 'x' as a whole"),
        (through_another, r"kernel 'write' .*writes to 'x'"),
    ],
)
def test_what_kernels_cannot_do_with_them(body, says):
    x = np.zeros(10)
    refused(says, lambda: pp.for_each(pp.seq, 10, body, lazy.transform(x, SQUARE)), pp.KernelError)
    assert not x.any()
    y = lazy.transform(x, SQUARE)
    pp.for_each(pp.seq, 10, lambda i, out: read(i, out, y), x)  # captured and passed on
    refused("writes to 'x'", lambda: pp.for_each(pp.seq, 10, lambda i: write(i, y)), pp.KernelError)


def test_where_only_arrays_go(where):
    x = lazy.iota(10)
    refused("lazy input, which has no memory.*pp.copy", lambda: np.asarray(x))
    refused("lazy input", lambda: pp.asnumpy(x))
    refused("lazy input", lambda: where.asarray(x))
    refused("'out' is .*lazy input", lambda: pp.transform(pp.par, np.zeros(10), out=x, op=lambda a: a))
    refused("lazy input", lambda: pp.inclusive_scan(pp.par, np.zeros(10), out=x))
    refused("not broadcast", lambda: pp.transform(pp.par, np.zeros((3, 10)), x, op=ADD))
    refused("differ", lambda: pp.transform(pp.par, np.zeros(9), x, op=ADD))


def test_types_that_do_not_fit():
    x = np.zeros(10)
    refused("tuple|not possible", lambda: pp.copy(pp.par, lazy.transform(lazy.zip(x, x), SQUARE)), pp.KernelError)
    refused("returns|nothing", lambda: lazy.transform(x, nothing).dtype, pp.KernelError)


def nothing(v):
    v + 1
