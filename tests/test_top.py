"""top_k and partial_sort on every executor, against NumPy's stable argsort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portapar as pp


def numbers(n, most=50, dtype="f8"):
    x = np.random.default_rng([n, most]).integers(0, most, n).astype(dtype)
    if x.dtype.kind == "f":
        x[: n // 20] = np.nan
        x[n // 20 : n // 10] = np.random.default_rng(n).choice([0.0, -0.0, np.inf], n // 10 - n // 20)
    return x


def order(x, descending):
    codes = np.unique(x, return_inverse=True)[1]  # all NaN are one, the last
    if descending:
        codes = np.where(x != x, codes, -codes)
    return np.argsort(codes, kind="stable")


def check(p, x, k, put=np.copy):
    for descending in (True, False):
        values, indices = pp.top_k(p, put(x), k, descending=descending)
        expected = order(x, descending)[:k]
        assert values.dtype == x.dtype and indices.dtype == np.int64
        np.testing.assert_array_equal(pp.asnumpy(indices), expected)
        assert pp.asnumpy(values).tobytes() == x[expected].tobytes()
    found = pp.asnumpy(pp.partial_sort(p, put(x), k))
    np.testing.assert_array_equal(found[:k], np.sort(x)[:k])
    np.testing.assert_array_equal(np.sort(found), np.sort(x))


def test_the_first_few(policy):
    for n, most in ((0, 5), (1, 5), (7, 3), (1000, 50), (300_001, 10**6), (300_001, 3)):
        x = numbers(n, most)
        for k in sorted({0, min(1, n), min(10, n), n // 5, n // 2, n} if n < 10**5 else {10, n // 5}):
            check(policy, x, k)
    check(policy, numbers(1000), 40, policy.executor.asarray)


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f4"])
def test_dtypes(renderer, dtype):
    check(renderer, numbers(3000, 120, dtype), 100)


def test_keys_and_records(renderer):
    x = np.zeros(2000, [("a", "i4"), ("b", "f8")])
    x["a"], x["b"] = np.arange(2000) % 7, np.random.default_rng(1).permutation(2000)
    values, indices = pp.top_k(renderer, x, 9, key="b")
    np.testing.assert_array_equal(indices, np.argsort(-x["b"])[:9])
    np.testing.assert_array_equal(values, x[indices])
    _, indices = pp.top_k(renderer, x, 9, key=lambda r: (r.a, r.b), descending=False)
    np.testing.assert_array_equal(indices, np.lexsort((x["b"], x["a"]))[:9])
    _, indices = pp.top_k(renderer, pp.lazy.transform(np.arange(2000), lambda i: -abs(i - 1000)), 3)
    assert indices.tolist() == [1000, 999, 1001]


def test_outputs(policy):
    x = numbers(1000)
    out = x[::-1].copy()
    assert pp.partial_sort(policy, x, 30, out=out) is out
    np.testing.assert_array_equal(out[:30], np.sort(x)[:30])
    assert pp.partial_sort(policy, x, 1000, out=x) is x
    np.testing.assert_array_equal(x, np.sort(out))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([1.0, 0.0, -0.0, -2.5, np.nan, np.inf]), max_size=50), st.floats(0, 1))
def test_anything(values, share):
    check(pp.par, np.array(values, "f8"), int(share * len(values)))


def test_tasks_and_what_is_refused(policy):
    x = np.arange(20)
    assert pp.top_k(policy.task, x, 2).result()[1].tolist() == [19, 18]
    for call in (pp.top_k, pp.partial_sort):
        for k in (-1, 21, 1.5, True):
            with pytest.raises(pp.ArgumentError, match=rf"{call.__name__}: k is {k}.*whole number from 0 to 20"):
                call(policy, x, k)
        with pytest.raises(pp.ArgumentError, match="complex128"):
            call(policy, x * 1j, 2)
        with pytest.raises(pp.ArgumentError, match="must have one dimension"):
            call(policy, x.reshape(4, 5), 2)
