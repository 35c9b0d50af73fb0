"""search, find_first_of, lexicographical_compare, is_sorted_until, is_partitioned on every executor, against Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp

SIZES = (0, 1, 2, 1000, 70_001)


def numbers(n, most=3):
    return np.random.default_rng(n).integers(0, most, n).astype(float)


def places(n):
    return sorted({k for k in (0, 1, n // 3, n // 2 - 1, n // 2, n - 1) if 0 <= k < n})


def found(x, y):
    """Where `y` is found in `x`, by the bytes of integers."""
    x, y = (np.asarray(v).astype("u1").tobytes() for v in (x, y))
    at = x.find(y)
    return len(x) if at < 0 else at


def test_search(policy):
    for n in SIZES:
        x = numbers(n)
        for m in (0, 1, 3, 12, n // 2, n, n + 1):
            for at in (0, n // 2 - m // 2, n - m):
                y = x[max(at, 0) : max(at, 0) + m] if m <= n else np.zeros(m)
                assert pp.search(policy, x, y) == found(x, y)
        if n > 30:
            x[n // 2 - 2 : n // 2 + 2] = 7  # where hybrids are cut
            assert pp.search(policy, x, np.full(4, 7.0)) == n // 2 - 2
            assert pp.search(policy, x, np.full(5, 7.0)) == n
    x = numbers(1000)
    put = policy.executor.asarray
    assert pp.search(policy, put(x), put(x[490:510])) == found(x, x[490:510])


def test_search_by_a_predicate_and_of_all_kinds(renderer):
    x = np.arange(2000)
    assert pp.search(renderer, x, np.array([10, 20, 30]), lambda a, b: 10 * a == b) == 1
    assert pp.search(renderer, x, pp.lazy.iota(50, 900)) == 900
    assert pp.search(renderer, pp.lazy.transform(x, lambda v: v % 100), np.array([99.0, 0.0])) == 99
    top = np.array([2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    for one, other, at in ((top, np.array([-1]), 3), (top, np.array([2**63 - 1]), 0), (np.array([-1, 5]), top[2:], 2)):
        assert pp.search(renderer, one, other) == at
    nan = np.array([0.0, np.nan, -0.0])
    assert pp.search(renderer, nan, nan[1:2]) == 3 and pp.search(renderer, nan[1:], np.zeros(1)) == 1


def test_find_first_of(policy):
    for n in SIZES:
        x = np.arange(n) % 1000
        for values in (np.array([999, 700, 2**40]), np.array([700.0, np.nan]), np.array([-1]), np.array([], int)):
            expected = next((i for i in range(min(n, 1000)) if x[i] in values), n)
            assert pp.find_first_of(policy, x, values) == expected
    x = np.arange(1000)
    assert pp.find_first_of(policy, policy.executor.asarray(x), policy.executor.asarray(x[990:][::-1].copy())) == 990


def test_order_of_sequences(policy):
    for n in SIZES:
        x = numbers(n)
        assert pp.lexicographical_compare(policy, x, x) is False
        for k in places(n):
            y = x.copy()
            y[k] += 1
            for other in (y, y[: k + 1], x[:k], np.append(x, 0.0)):
                expected = x.tolist() < other.tolist()
                assert pp.lexicographical_compare(policy, x, other) is expected
                assert pp.lexicographical_compare(policy, other, x) is (not expected)
    x, y = numbers(1000), numbers(400)
    put = policy.executor.asarray
    assert pp.lexicographical_compare(policy, put(x), put(y)) is (x.tolist() < y.tolist())
    x, y = np.array([1.0, np.nan, 0.0]), np.array([1.0, np.inf, 0.0])
    assert pp.lexicographical_compare(policy, y, x) and not pp.lexicographical_compare(policy, x, y)
    assert pp.lexicographical_compare(policy, x[:2], x) and not pp.lexicographical_compare(policy, x, x.copy())


def test_records_by_key(renderer):
    x = np.array([(1, 0.5), (2, 0.25), (2, 0.125)], [("a", "i4"), ("b", "f8")])
    assert not pp.lexicographical_compare(renderer, x[1:2], x[2:], key="a")
    assert pp.lexicographical_compare(renderer, x[2:], x[1:2], key=lambda r: (r.a, r.b))
    assert (
        pp.is_sorted_until(renderer, x, key="b", descending=True) == 3 and pp.is_sorted_until(renderer, x, key="b") == 1
    )


def test_sorted_until(policy):
    for n in SIZES:
        x = np.arange(n) / 2
        assert pp.is_sorted_until(policy, x) == n and pp.is_sorted_until(policy, x, descending=True) == min(n, 1)
        for k in places(n):
            y = x.copy()
            y[k] = -1
            for p, z in ((policy, y), (policy, policy.executor.asarray(y))):
                assert pp.is_sorted_until(p, z) == (k or n)
            assert pp.is_sorted_until(policy, -y, descending=True) == (k or n)
    assert pp.is_sorted_until(policy, np.array([1, np.inf, np.nan, np.nan, 0.0, 1.0])) == 4
    assert pp.is_sorted_until(policy, np.array([0.0, -0.0, 0.0])) == 3


def test_partitioned(policy):
    for n in SIZES:
        x = np.arange(n)
        for limit in (0, 1, n // 2, n - 1, n):
            assert pp.is_partitioned(policy, x, lambda v: v < limit) is True  # noqa: B023
            if 0 < limit < n:
                assert pp.is_partitioned(policy, x, lambda v: v >= limit) is False  # noqa: B023
        if n > 2:
            for odd in (1, n // 2, n - 1):
                assert pp.is_partitioned(policy, x, lambda v: v == odd) is False  # noqa: B023


@settings(max_examples=60, deadline=None)
@given(*[st.lists(st.integers(0, 2), max_size=30)] * 2)
@pytest.mark.extra
def test_anything(a, b):
    x, y = np.array(a, "i4"), np.array(b, "i4")
    assert pp.search(pp.par, x, y) == found(x, y)
    assert pp.lexicographical_compare(pp.par, x, y) is (a < b)
    assert pp.find_first_of(pp.par, x, y) == next((i for i, v in enumerate(a) if v in b), len(a))
    assert pp.is_sorted_until(pp.par, x) == next((i for i in range(1, len(a)) if a[i] < a[i - 1]), len(a))
    fits = [v < 2 for v in a]
    assert pp.is_partitioned(pp.par, x, lambda v: v < 2) is (fits == sorted(fits, reverse=True))


def test_tasks_plans_and_what_is_refused(renderer):
    x = np.arange(1000)
    assert pp.search(renderer.task, x, x[500:]).result() == 500
    assert "is_sorted_until over 1000 rows" in str(pp.plan(pp.is_sorted_until, renderer, x))
    for call in (pp.search, pp.lexicographical_compare):
        with pytest.raises(pp.ArgumentError, match=r"\(10, 100\).*must have one dimension"):
            call(renderer, x, x.reshape(10, 100))
    with pytest.raises(pp.ArgumentError, match="x has dtype int64, y float64: must be the same"):
        pp.lexicographical_compare(renderer, x, x * 0.5)
    with pytest.raises(pp.ArgumentError, match="values has dtype complex128: must be booleans"):
        pp.find_first_of(renderer, x, x * 1j)
    with pytest.raises(pp.KernelError, match="predicate 'lambda' .*must take 2"):
        pp.search(renderer, x, x, lambda a: True)
    with pytest.raises(pp.KernelError, match="must return a truth value"):
        pp.is_partitioned(renderer, x, lambda v: (v, v))
