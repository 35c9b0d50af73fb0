"""Reductions of tuples: operators on several numbers at once, with the same bits on every executor."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_primitives import data, rough

import portapar as pp
from portapar.kernel.cpu import chunk
from portapar.kernel.front import codec
from portapar.kernel.front.lift import lift
from portapar.kernel.front.symmetry import symmetric
from portapar.kernel.tiles import BLOCK, TILE

POINT = np.dtype([("weight", "f4"), ("key", "i4"), ("flag", "?"), ("where", "c8")])  # packed: 17 bytes


def one(x):
    return 1, x, 0.0


def merge(a, b):
    """(n, mean, m2) of two sets. Chan, Golub, LeVeque, 1979."""
    n, d = a[0] + b[0], b[1] - a[1]
    return n, a[1] + d * b[0] / n, a[2] + b[2] + d * d * a[0] * b[0] / n


def span(x):
    return x, x, x, x


def best(a, b):
    """(sum, largest prefix, largest suffix, largest part) of two pieces that are neighbours."""
    return (
        a[0] + b[0],
        max(a[1], a[0] + b[1]),
        max(b[2], b[0] + a[2]),
        max(a[3], b[3], a[2] + b[1]),
    )


def least(a, b):
    """The smaller value, of equal ones the first."""
    return b if b[0] < a[0] or (b[0] == a[0] and b[1] < a[1]) else a


def sums(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] or b[2], a[3] + b[3]


NEIGHBOURS = pp.Monoid(best, commutative=False)
FIRST = pp.Monoid(lambda a, b: a, commutative=False)
ENDS = pp.Monoid(lambda a, b: (a[0], b[1]), commutative=False)
LEAST = pp.Monoid(least, lambda dtype: (np.inf, np.iinfo(dtype[1]).max))


def points(n):
    made = np.zeros(n, POINT)
    made["weight"], made["key"], made["flag"] = rough(n, "f4"), np.arange(n), data(n, "?")
    made["where"] = rough(n, "c8", 1)
    return made


def same(got, expected):
    return [(type(x), x.tobytes()) for x in got] == [(type(x), x.tobytes()) for x in expected]


def both_ends(a, b):
    (low, high), (other, more) = a, b
    return min(low, other), more if more > high else high


def test_order_is_kept_where_it_matters(policy):
    """Tuples are combined with their neighbours unless the operator shows that it commutes."""
    for n in (7, 700, TILE + 99):
        x = np.random.default_rng(n).integers(-9, 9, n)
        part = pp.transform_reduce(policy, x, transform=lambda v: (v, v, v, v), op=best)
        here = largest = x[0]
        for v in x[1:]:
            here = max(here, 0) + v
            largest = max(largest, here)
        assert part == (x.sum(), np.cumsum(x).max(), np.cumsum(x[::-1]).max(), largest)
        first = pp.transform_reduce(policy, x, range(n), transform=lambda v, i: (v, i), op=max_of)
        assert first == (x.max(), x.argmax())
        assert pp.transform_reduce(policy, x, transform=lambda v: (v, v), op=both_ends) == (x.min(), x.max())


def test_tuples_of_several_types(policy):
    def op(a, b):
        return a[0] | b[0], max(a[1], b[1]), a[2] + b[2], a[3] + b[3]

    for n in (1, 31, 33, TILE, TILE + 99):
        x = np.random.default_rng(n).random(n)
        one = lambda v: (v > 0.9, np.float32(v), int(8 * v), v)
        found = pp.transform_reduce(policy, x, transform=one, op=op)
        assert found == pp.transform_reduce(pp.seq, x, transform=one, op=op)
        assert found[:3] == (x.max() > 0.9, np.float32(x.max()), (8 * x).astype(int).sum())


def max_of(a, b):
    return b if b[0] > a[0] else a


def maximum(a, b):
    return a * 2 - b


Add = fmin = maximum


def test_what_commutes_is_seen():
    yes = (both_ends, sums, lambda a, b: (a[0] * b[0], b[1] ^ a[1]), lambda a, b: (a[0] if a[0] >= b[0] else b[0], 1))
    no = (best, merge, max_of, lambda a, b: (a[0], a[1] + b[1]), lambda a, b: (a[0] - b[0], 0))
    yes += (lambda a, b: np.fmin(a[0], b[0]), lambda a, b: a > 0 and b > 0)
    no += (lambda a, b: (a[0] or b[0], a[1] + b[1]),)
    kinds = np.dtype("f8, f8, ?, f8")
    no += (lambda a, b: (maximum(a[0], b[0]), 0), lambda a, b: (fmin(a[0], b[0]), 0))  # by their names alone
    no += (lambda a, b: Add(a, b) if a < b else b + a, lambda a, b: a.conjugate() - b.conjugate(), lambda a, b: a and b)
    assert [symmetric(lift(op)[0], kinds) for op in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


def test_tuples_have_the_same_bits_everywhere(policy):
    for n in (1, 2, 31, 33, TILE, 3 * TILE + 77, 10**5 + 3):
        x = rough(n, "f8")
        got = pp.transform_reduce(policy, x, transform=one, op=merge)
        assert [type(v) for v in got] == [np.int64, np.float64, np.float64]
        assert got[0] == n and math.isclose(got[1], x.mean(), rel_tol=1e-6, abs_tol=1e-6)
        np.testing.assert_allclose(got[2], x.var() * n, rtol=1e-9, atol=1e-9)
        assert same(got, pp.transform_reduce(pp.seq, x, transform=one, op=merge)), n
        if n < 20_000:
            assert same(got, pairwise([(np.int64(1), v, np.float64(0)) for v in x], merge)), n
        start = (5, 1.5, 2.0)
        more = pp.transform_reduce(policy, x, transform=one, op=merge, init=start)
        assert same(more, merge((np.int64(5), np.float64(1.5), np.float64(2)), got))


def test_arg_min_of_an_array_and_its_indices(policy):
    for n in (1, 31, 5000, 100_003):
        x = np.random.default_rng(n).integers(0, 50, n).astype("f4")
        got = pp.transform_reduce(policy, x, pp.range(n), transform=lambda x, i: (x, i), op=LEAST)
        assert got == (x.min(), x.argmin()) and [type(v) for v in got] == [np.float32, np.int64]


def test_records_are_reduced_as_tuples(policy):
    for n in (1, 33, 5000, 20_011):
        p = points(n)
        got = pp.reduce(policy, p, op=sums)
        assert got[1] == n * (n - 1) // 2 and got[2] == p["flag"].any()
        assert [type(v) for v in got] == [np.float32, np.int64, np.bool_, np.complex64]
        assert same(got, pp.reduce(pp.seq, p, op=sums))
        weight = pp.transform_reduce(policy, p, transform=lambda r: r.weight)
        assert weight.tobytes() == pp.reduce(pp.seq, p["weight"].copy()).tobytes()
    assert pp.reduce(policy, points(10), op=sums, init=points(3)[1])[1] == 46


def pairwise(values, op):
    """A reduction that combines neighbours, in plain Python, in the order that the design promises."""
    while len(values) > 1:
        pairs = [op(a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + ([values[-1]] if len(values) % 2 else [])
    return values[0]


def kadane(x):
    """The largest sum of neighbours. Bentley, Programming Pearls, 1984."""
    most, here = -np.inf, 0.0
    for value in x:
        here = max(here + value, value)
        most = max(most, here)
    return most


@pytest.mark.extra
def test_the_order_of_elements_is_kept_where_it_matters(policy):
    for n in (1, 2, 3, 7, BLOCK, BLOCK + 1, 3 * BLOCK + 7, TILE, TILE + 1, 3 * TILE + 77, 50_003):
        x = data(n, seed=3)
        got = pp.transform_reduce(policy, x, transform=span, op=NEIGHBOURS)
        assert got[0] == x.sum() and got[3] == kadane(x)
        x = rough(n, "f8")
        got = pp.transform_reduce(policy, x, transform=span, op=NEIGHBOURS)
        assert same(got, pp.transform_reduce(pp.seq, x, transform=span, op=NEIGHBOURS))
        if n < 20_000:
            assert same(got, pairwise([(v, v, v, v) for v in x], best))
        assert pp.reduce(policy, x, op=FIRST) == x[0]  # of plain numbers too
        assert pp.reduce(policy, x, op=FIRST.op) in x
    assert pp.transform_reduce(policy, pp.range(9, -9000, -1), transform=lambda i: (i, i), op=ENDS) == (9, -8999)


def test_empty_input(policy):
    x = data(0)
    assert pp.transform_reduce(policy, x, pp.range(0), transform=lambda x, i: (x, i), op=LEAST) == (
        np.inf,
        np.iinfo(np.int64).max,
    )
    assert pp.transform_reduce(policy, x, transform=one, op=merge, init=(2, 3.0, 4.0)) == (2, 3.0, 4.0)
    with pytest.raises(pp.PlacementError, match="nothing to reduce.*pass init="):
        pp.transform_reduce(policy, x, transform=one, op=merge)
    with_identity = pp.Monoid(merge, (0, 0.0, 0.0))
    assert pp.transform_reduce(policy, x, transform=one, op=with_identity) == (0, 0.0, 0.0)


def test_calls_are_remembered_and_planned(where):
    p = pp.par.on(where)
    x = rough(10_000, "f8")
    expected = pp.transform_reduce(pp.seq, x, transform=one, op=merge)
    for _ in range(3):
        assert same(pp.transform_reduce(p, x, transform=one, op=merge), expected)
    assert same(pp.transform_reduce(p.task, x, transform=one, op=merge).result(), expected)
    ready = pp.plan(pp.transform_reduce, p, x, transform=one, op=merge)
    assert same(ready.run(), expected) and same(ready.run(), expected)
    started = pp.plan(pp.transform_reduce, p, x, transform=one, op=merge, init=(1, 2.0, 0.0))
    first = started.run()
    x[:] = 0
    assert same(first, merge((np.int64(1), np.float64(2), np.float64(0)), expected))
    assert started.run()[0] == 10_001 and first[0] == 10_001 and ready.run()[1] == 0
    placed = where.asarray(rough(10_000, "f8"))
    assert same(pp.transform_reduce(p, placed, transform=one, op=merge), expected)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=200))
def test_any_list(values):
    x = np.array(values)
    got = pp.transform_reduce(pp.par, x, pp.range(len(x)), transform=lambda x, i: (x, i), op=LEAST)
    assert got == (x.min(), x.argmin())


def test_ufuncs_have_their_identities(renderer):
    x = data(100)
    assert pp.reduce(renderer, x, op=np.add) == x.sum() and pp.reduce(renderer, x, op=np.maximum) == x.max()
    assert pp.reduce(renderer, x[:0], op=np.add) == 0 and pp.reduce(renderer, x[:0], op=np.hypot) == 0
    assert pp.reduce(renderer, np.zeros(0, "u1"), op=np.bitwise_and) == 255


def test_what_is_refused():
    x, p = data(10), points(10)
    before = p.copy()

    def refused(match, x, **how):
        with pytest.raises((pp.KernelError, pp.PlacementError), match=match):
            pp.transform_reduce(pp.par, x, **how)

    how = {"transform": one, "op": merge}
    refused("init is a number, and the values are each a tuple of 3", x, init=1, **how)
    refused("init is a tuple of 2, and the values are each a tuple of 3", x, init=(1, 2), **how)
    refused("init is a tuple of 2, and the values are each a number", x, init=(1, 2))
    refused("must be a number, or a tuple", x, init=(1, "2", 3), **how)
    refused("op's result is a tuple of 6, and the values are each a tuple of 3", x, transform=one)
    refused("op's result is a number, and the values are each a tuple", x, transform=one, op=lambda a, b: a[0])
    refused("must return a number, a tuple of numbers or a record", x, transform=lambda v: (1, (v, v)), op=merge)
    limit = 3
    refused("captures 'limit'", p, op=lambda a, b: a if limit > 3 else b)
    nested = np.zeros(3, [("a", POINT), ("b", "f8", 3)])
    refused("cannot be tuples of numbers: field 'a'.*transform=", nested, op=sums)
    refused("there is no `weight`", p, op=lambda a, b: a.weight + b.weight)
    np.testing.assert_array_equal(p, before)


@pytest.mark.parametrize(
    ("op", "identity", "says"),
    [
        (lambda a, b: a + b, 1, "identity is .*1.*op gives .*2"),
        (lambda a, b: a * b, 0, "with it and .*-3.* op gives .*0"),
        (lambda a, b: max(a, b), 0, "with it and .*-3.* op gives .*0"),
        (lambda a, b: a + b, "none", "identity is 'none', and its values are numbers of dtype int64"),
        (lambda a, b: a + b, (0, 0), r"identity is \(0, 0\), and its values are numbers of dtype int64"),
    ],
)
def test_identities_that_are_none(op, identity, says):
    x, wrong = np.array([-3, 1, 2]), pp.Monoid(op, identity)
    for call in (
        lambda: pp.segmented_reduce(pp.par, np.array([0, 1, 3]), x, op=wrong),
        lambda: pp.exclusive_scan(pp.par, x, wrong),
        lambda: pp.reduce_by_key(pp.par, np.zeros(3, int), x, wrong),
    ):
        with pytest.raises(pp.PlacementError, match=says):
            call()
    np.testing.assert_array_equal(x, [-3, 1, 2])


def test_identities_of_tuples():
    x, short = np.arange(3.0), pp.Monoid(lambda a, b: (a[0] + b[0], a[1] + b[1]), (0.0,))
    for n in (0, 3):
        with pytest.raises(pp.PlacementError, match=r"identity is \(0.0,\), and its values are tuples of 2 numbers"):
            pp.transform_reduce(pp.par, x[:n], transform=lambda v: (v, v), op=short)
    with pytest.raises(pp.PlacementError, match="op gives"):
        pp.reduce(pp.par, x, pp.Monoid(lambda a, b: a + b, 1.0))
    exact = pp.Monoid(merge, (0, 0.0, 0.0))  # 0 / 0 with itself, which says nothing
    assert pp.transform_scan(pp.par, x, transform=one, op=exact)[-1].tolist() == (3, 1.0, 2.0)


def test_codecs():
    for dtype in ("f8", POINT):
        kept = codec.codec(np.dtype(dtype))
        a = np.zeros(3, dtype)
        value = 2.5 if dtype == "f8" else (1.0, 2, True, 3j)
        kept.store(1, a, value)
        assert kept.load(1, a) == value and kept.unpack(a[1]) == value and not a[0] and not a[2]
    made = codec.tuple_dtype(["i1", "f8", "?"])
    assert codec.from_text(codec.to_text(made)) == made and codec.from_text(codec.to_text((made[0], made[1]))) == (
        np.int8,
        np.float64,
    )
    assert made.names == ("f0", "f1", "f2") and made.isalignedstruct
    with pytest.raises(TypeError, match="'b'"):
        codec.codec(np.dtype([("a", "f8"), ("b", "f8", 2)]))


def carry(values, load, store, op):
    """A scan of records on one thread, by a codec."""

    def scan(_, values):
        for k in range(1, len(values)):
            store(k, values, op(load(k - 1, values), load(k, values)))

    return scan


def test_codecs_in_kernels(renderer):
    kept = codec.codec(POINT)
    p = points(50)
    p["weight"] = np.round(p["weight"])
    expected = p.copy()
    for name in ("weight", "key", "where"):
        expected[name] = np.add.accumulate(p[name])
    expected["flag"] = np.logical_or.accumulate(p["flag"])
    pp.for_each(renderer, 1, carry(p, kept.load, kept.store, sums), p)
    for name in POINT.names:
        np.testing.assert_array_equal(p[name], expected[name])


# elements that may take long: their values first -----------------------------------------------------


def collatz(v):
    steps = 0
    while v > 1:
        v = v // 2 if v % 2 == 0 else 3 * v + 1
        steps += 1
    return steps


def halves(v):
    """v / 2, v / 4, … of as many terms as v % 5 says."""
    total, term = 0.0, float(v)
    for _ in range(v % 5):
        term *= 0.5
        total += term
    return total


def sum_and_most(a, b):
    return a[0] + b[0], max(a[1], b[1])


def test_what_combines_alike_is_compiled_once(monkeypatch):
    made, native = [], chunk.native
    monkeypatch.setattr(chunk, "native", lambda key, *how: made.append(key) or native(key, *how))
    x, where = np.arange(3.0 * TILE) % 1009, pp.par.on(pp.simd())
    least, most = (lambda a, b: a if a < b else b), (lambda a, b: a if b < a else b)
    for pick, wanted, times in ((least, np.min, 3), (least, np.min, -3), (most, np.max, 3)):
        three = (lambda v: v * 3) if times > 0 else (lambda v: v * -3)
        assert pp.transform_reduce(where, x, transform=three, op=lambda a, b: pick(a, b)) == wanted(x * times)  # noqa: B023
    assert sum("def fold" in key for key in made) == 2


@pytest.mark.extra
def test_elements_with_loops(policy):
    """The values are found first, and folded as any array is: the same bits, in all ways of a call."""
    for n in (1, 2, 77, 4097, 3 * 4096 + 5):
        x = np.random.default_rng(n).integers(1, 10_000, n)
        steps = np.array([collatz(int(v)) for v in x])
        terms = np.array([halves(int(v)) for v in x])
        for _ in range(3):  # the later ones are remembered
            assert pp.transform_reduce(policy, x, transform=collatz) == steps.sum()
        assert pp.transform_reduce(policy, x, transform=halves, op=pp.multiplies, init=2.0) == pp.reduce(
            pp.seq, terms, pp.multiplies, 2.0
        )
        assert (pp.transform_scan(policy, x, transform=collatz) == np.cumsum(steps)).all()
        lazily = pp.lazy.transform(x, collatz)
        assert (pp.bincount(policy, lazily) == np.bincount(steps)).all()
        third = np.array([0, n // 3, n // 3, n])
        expected = [steps[a:b].sum() for a, b in zip(third[:-1], third[1:], strict=True)]
        assert (pp.segmented_reduce(policy, third, lazily) == expected).all()
        plan = pp.plan(pp.transform_reduce, policy, x, transform=collatz)
        assert plan.run() == plan.run() == steps.sum()
        x[n // 2] = 1
        assert plan.run() == steps.sum() - steps[n // 2]
        both = pp.transform_reduce(policy, x, transform=lambda v: (collatz(v), v), op=sum_and_most)
        assert both == (steps.sum() - steps[n // 2], x.max())
        assert pp.max_element(policy, x, key=collatz) == np.argmax([collatz(int(v)) for v in x])
