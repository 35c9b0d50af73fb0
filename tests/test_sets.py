"""Sets as sorted sequences, and isin, on every executor, against Python's counters and NumPy."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

FOUR = pp.set_union, pp.set_intersection, pp.set_difference, pp.set_symmetric_difference
#: (elements of one, of the other, distinct values)
SIZES = (
    (0, 0, 3),
    (0, 5, 3),
    (5, 0, 3),
    (1, 1, 1),
    (7, 9, 4),
    (1000, 30, 5),
    (30, 1000, 2000),
    (70_001, 50_000, 10**5),
)


def made(n, span, dtype="f8", seed=0):
    x = np.random.default_rng([n, span, seed]).integers(0, span, n).astype(dtype)
    if x.dtype.kind == "f" and n > 2:
        x[:2] = np.nan
    return np.sort(x)


def expected(a, b):
    """Union, intersection, difference and symmetric difference, and whether the first includes the other."""
    one, other = (Counter((v != v, 0 if v != v else v) for v in x.tolist()) for x in (a, b))

    def array(counts):
        return np.array([np.nan if nan else v for nan, v in sorted(counts.elements())], a.dtype)

    only, rest = one - other, other - one
    return [array(x) for x in (one | other, one & other, only, only + rest)], not rest


def check(p, a, b, put=np.copy):
    here = put(a), put(b)
    wanted, whole = expected(a, b)
    for call, right in zip(FOUR, wanted, strict=True):
        found = call(p, *here)
        assert found.dtype == a.dtype and type(found) is type(here[0])
        np.testing.assert_array_equal(pp.asnumpy(found), right, err_msg=call.__name__)
    assert pp.includes(p, *here) is whole
    assert pp.includes(p, here[0], put(wanted[1])) and pp.includes(p, put(wanted[0]), here[1])


def test_sets(policy):
    for n, m, span in SIZES:
        check(policy, made(n, span), made(m, span, seed=1))
    check(policy, made(1000, 50), made(900, 50, seed=1), policy.executor.asarray)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f4"])
def test_dtypes(renderer, dtype):
    check(renderer, made(3000, 90, dtype), made(2000, 70, dtype, seed=1))


@settings(max_examples=60, deadline=None)
@given(*[st.lists(st.sampled_from([-1.0, 0.0, 2.0, np.inf, np.nan]), max_size=40).map(sorted)] * 2)
def test_anything(a, b):
    check(pp.par, np.sort(np.array(a, "f8")), np.sort(np.array(b, "f8")))


def test_which_of_equal_elements_are_kept(policy):
    """Of records that are equal by their keys: as the C++ standard says."""
    a = np.array([(1, 0), (2, 1), (2, 2), (2, 3), (4, 4)], [("key", "i4"), ("place", "i8")])
    b = np.array([(2, 10), (3, 11), (4, 12), (4, 13)], a.dtype)
    for put in (np.copy, policy.executor.asarray):
        places = [pp.asnumpy(call(policy, put(a), put(b), key="key"))["place"].tolist() for call in FOUR]
        assert places == [[0, 1, 2, 3, 11, 4, 13], [1, 4], [0, 2, 3], [0, 2, 3, 11, 13]]
    places = [call(policy, a[::-1], b[::-1], key="key", descending=True)["place"].tolist() for call in FOUR]
    assert places == [[4, 12, 11, 3, 2, 1, 0], [4, 3], [2, 1, 0], [12, 11, 2, 1, 0]]


def test_negative_zeros_and_views(renderer):
    a, b = np.array([-1.0, -0.0, 0.0, np.nan]), np.array([0.0, np.nan])
    assert pp.set_difference(renderer, a, b).tolist() == [-1.0, 0.0]
    found = pp.set_intersection(renderer, a, b)
    assert np.signbit(found).tolist() == [True, False] and np.isnan(found[1])
    wide = made(4000, 300)
    for one, other in ((wide[::2], wide[1::2]), (wide.reshape(1000, 4)[:, 1], wide[:0])):
        one.flags.writeable = False
        check(renderer, one, other)


def test_isin(policy):
    rng = np.random.default_rng(4)
    for n, m in ((0, 3), (3, 0), (1, 1), (1000, 30), (70_001, 500)):
        for span in (50, 2**40):
            x, values = rng.integers(-span, span, n), rng.integers(-span, span, m)
            known = min(n, m // 2)
            values[:known] = x[:known]
            for put in (np.copy, policy.executor.asarray):
                found = pp.isin(policy, put(x), put(values))
                assert found.dtype == np.bool_
                np.testing.assert_array_equal(pp.asnumpy(found), np.isin(x, values))
    x = rng.integers(0, 9, (20, 3, 5)) * 0.5
    np.testing.assert_array_equal(pp.isin(policy, x, x[0, :, :2]), np.isin(x, x[0, :, :2]))


KINDS = [("?", "?"), ("i1", "u1"), ("i8", "u8"), ("u8", "u8"), ("f4", "f8"), ("i4", "f4"), ("f8", "?")]


@pytest.mark.parametrize("kinds", KINDS)
def test_isin_of_all_kinds(renderer, kinds):
    ends = []
    for kind in kinds:
        dtype = np.dtype(kind)
        limits = [np.inf, -np.inf, np.nan, 0.5] if dtype.kind == "f" else [] if kind == "?" else np.iinfo(dtype)
        limits = limits if isinstance(limits, list) else [limits.min, limits.max]
        ends.append(np.array([*limits, *([0, 1] if kind == "?" else [0, 1, 77, 100])], dtype))
    for x, values in ((ends[0], ends[1]), (ends[0], ends[1][:1]), (ends[0], ends[1][-1:]), (ends[0], ends[1][:0])):
        np.testing.assert_array_equal(pp.isin(renderer, x, values), np.isin(x, values))


def test_lazy_inputs_and_tasks(renderer):
    evens, threes = pp.lazy.iota(3000, 0, 2), pp.lazy.iota(2000, 0, 3)
    found = pp.set_intersection(renderer.task, evens, threes).result()
    np.testing.assert_array_equal(found, np.arange(0, 6000, 6))
    np.testing.assert_array_equal(
        pp.set_union(renderer, evens, threes), np.union1d(np.arange(0, 6000, 2), np.arange(0, 6000, 3))
    )
    np.testing.assert_array_equal(
        pp.isin(renderer, evens, threes), np.isin(np.arange(0, 6000, 2), np.arange(0, 6000, 3))
    )
    assert "set_union over 2000 rows" in str(pp.plan(pp.set_union, renderer, evens, threes))


def test_what_is_refused(policy):
    x = np.arange(8.0)
    for call in (*FOUR, pp.includes):
        with pytest.raises(pp.ArgumentError, match=r"dtype (float64|int64), . (int64|float64): must be the same"):
            call(policy, x, np.arange(8))
        with pytest.raises(pp.ArgumentError, match="complex128, which has no order: pass key="):
            call(policy, x + 1j, x + 1j)
        with pytest.raises(pp.ArgumentError, match=r"'b' has shape \(2, 4\).*must have one dimension"):
            call(policy, x, x.reshape(2, 4))
    for one, values in ((x + 1j, x), (x, x + 1j)):
        with pytest.raises(pp.ArgumentError, match="has dtype complex128: must be booleans, integers or floats"):
            pp.isin(policy, one, values)
    with pytest.raises(pp.ArgumentError, match=r"Pass np.asarray"):
        pp.isin(policy, np.arange(3), [1, 2])
