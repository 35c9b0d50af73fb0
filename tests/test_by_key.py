"""reduce_by_key, group_by_key, scan_by_key, unique_by_key and merge_by_key on every executor, against NumPy."""

import numpy as np
import pytest
from conftest import executor
from hypothesis import given, settings
from hypothesis import strategies as st
from test_primitives import data, rough
from test_scan import AFFINE
from test_segmented import add

import portapar as pp

SIZES = (0, 1, 2, 31, 1000, 70_001)


def groups(keys, values):
    """The distinct keys in order, and the values of each."""
    found = np.unique(keys)
    nan = keys != keys
    return found, [values[(keys == key) | (nan & (key != key))] for key in found]


def keyed(n, dtype="i8", many=40):
    return np.random.default_rng([n, 9]).integers(-many, many, n).astype(dtype)


def test_sums(policy):
    for n in SIZES:
        keys, values = keyed(n), data(n)
        found, sums = pp.reduce_by_key(policy, keys, values)
        expected, each = groups(keys, values)
        assert found.dtype == keys.dtype and sums.dtype == np.float64
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(sums, [v.sum() for v in each])
        np.testing.assert_array_equal(keys, keyed(n))


def test_groups(policy):
    for n in SIZES:
        keys, values = keyed(n), np.arange(n)
        found, offsets, grouped = pp.group_by_key(policy, keys, values)
        expected, each = groups(keys, values)
        assert offsets.dtype == np.int64
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(offsets, np.cumsum([0, *map(len, each)]))
        np.testing.assert_array_equal(grouped, np.concatenate([values[:0], *each]))


def test_sums_have_the_same_bits_everywhere(policy):
    keys, values = keyed(50_000, many=3), rough(50_000, "f8")
    expected = pp.reduce_by_key(pp.seq, keys, values)[1].tobytes()
    for _ in range(3):
        assert pp.reduce_by_key(policy, keys, values)[1].tobytes() == expected


@pytest.mark.extra
@pytest.mark.parametrize("dtype", ["?", "f4"])
def test_types_of_keys(renderer, dtype):
    keys = keyed(3000, many=4).astype(dtype)
    if dtype[0] == "f":
        keys[::7], keys[1::7], keys[2::7] = np.nan, -0.0, -np.inf
    values = data(3000, "i4")
    found, sums = pp.reduce_by_key(renderer, keys, values)
    expected, each = groups(keys, values)
    assert found.dtype == keys.dtype and sums.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(sums, [v.sum() for v in each])


def test_all_equal_all_different_and_operators(renderer):
    values = data(5000)
    for keys in (np.zeros(5000, np.int64), np.arange(5000)[::-1]):
        found, most = pp.reduce_by_key(renderer, keys, values, op=np.maximum)
        expected, each = groups(keys, values)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(most, [v.max() for v in each])


def test_records_in_the_order_that_they_have():
    rng = np.random.default_rng(3)
    keys, records = keyed(300, many=5), np.zeros(300, [("slope", "i8"), ("shift", "i8")])
    records["slope"], records["shift"] = rng.integers(1, 251, 300), rng.integers(0, 251, 300)
    found, results = pp.reduce_by_key(pp.par, keys, records, op=AFFINE)
    for key, result in zip(found, results, strict=True):
        value = (1, 0)
        for record in records[keys == key]:
            value = AFFINE(value, record.item())
        assert result.item() == value


def test_device_arrays_and_lazy_values(where):
    how = pp.par.on(where)
    keys, values = keyed(4000), data(4000)
    here = where.asarray(keys), where.asarray(values)
    expected, each = groups(keys, values)
    found, sums = pp.reduce_by_key(how, *here)
    _, offsets, grouped = pp.group_by_key(how, *here)
    assert all(type(x) is type(here[0]) for x in (found, sums, offsets, grouped))
    np.testing.assert_array_equal(pp.asnumpy(found), expected)
    np.testing.assert_array_equal(pp.asnumpy(sums), [v.sum() for v in each])
    np.testing.assert_array_equal(pp.asnumpy(grouped), np.concatenate(each))
    _, twice = pp.reduce_by_key(how, keys, pp.lazy.transform(values, lambda v: 2 * v))
    np.testing.assert_array_equal(twice, 2 * pp.asnumpy(sums))


def test_the_first_of_every_key(policy):
    for n in SIZES:
        keys, values = keyed(n), np.arange(n) * 0.5
        expected, places = np.unique(keys, return_index=True)
        found, first = pp.unique_by_key(policy, keys, values)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(first, values[places])


def test_running_sums_of_every_key(policy):
    for n in (0, 1, 31, 1000, 9000):
        keys, values = keyed(n), data(n)
        so_far, expected = dict.fromkeys(keys.tolist(), 0.0), np.empty(n)
        for i, (key, value) in enumerate(zip(keys.tolist(), values, strict=True)):
            expected[i] = so_far[key]
            so_far[key] += value
        np.testing.assert_array_equal(pp.scan_by_key(policy, keys, values, inclusive=False), expected)
        out = values.copy()
        assert pp.scan_by_key(policy, keys, out, out=out) is out
        np.testing.assert_array_equal(out, expected + values)


def test_merged_pairs(policy):
    for n, m in ((0, 0), (0, 3), (1, 0), (5, 4), (1000, 7), (70_001, 30_000)):
        for descending in (False, True):
            keys, others = np.sort(keyed(n, "f4")), np.sort(keyed(m, "f4"))
            if descending:
                keys, others = keys[::-1], others[::-1]
            together, numbers = np.concatenate([keys, others]), np.arange(n + m)
            found, values = pp.merge_by_key(policy, keys, numbers[:n], others, numbers[n:], descending=descending)
            order = np.argsort(-together if descending else together, kind="stable")
            np.testing.assert_array_equal(found, together[order])
            np.testing.assert_array_equal(values, order)


def test_merged_records_on_devices(where):
    put = where.asarray
    points = np.zeros(40, [("x", "i8"), ("y", "f4")])
    points["x"] = np.arange(40)
    keys, values = pp.merge_by_key(
        pp.par.on(where), put(points[::2]), put(points[::2]), put(points[1::2]), put(points[1::2]), key="x"
    )
    for found in (keys, values):
        assert type(found) is type(put(points))
        np.testing.assert_array_equal(pp.asnumpy(found), points)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-1000, 1000)), max_size=100))
def test_anything(pairs):
    keys, values = np.array([k for k, _ in pairs], np.int64), np.array([v for _, v in pairs], np.int64)
    found, sums = pp.reduce_by_key(pp.par, keys, values)
    assert dict(zip(found.tolist(), sums.tolist(), strict=True)) == {
        key: sum(v for k, v in pairs if k == key) for key, _ in pairs
    }


def test_tasks():
    found, sums = pp.reduce_by_key(pp.par.task, np.array([2, 1, 2]), np.array([1, 10, 100])).result()
    assert found.tolist() == [1, 2] and sums.tolist() == [10, 101]


def test_what_is_refused(renderer):
    keys, values = keyed(100), data(100)
    for call in (pp.reduce_by_key, pp.group_by_key):
        with pytest.raises(pp.PlacementError, match="'values' has 99 rows, the others have 100"):
            call(renderer, keys, values[1:])
        with pytest.raises(pp.PlacementError, match="keys has dtype complex128"):
            call(renderer, keys + 1j, values)
        with pytest.raises(pp.PlacementError, match=r"'keys' has shape \(10, 10\)"):
            call(renderer, keys.reshape(10, 10), values)
        with pytest.raises(pp.PlacementError, match="does not yet run on several parts"):
            call(pp.par.on(executor("hybrid:threads:2+simd")), keys, np.stack([values, values], axis=1))
    with pytest.raises(pp.KernelError):
        pp.reduce_by_key(renderer, keys, values, op=lambda a: a)
    with pytest.raises(pp.ArgumentError, match="keys has 100 elements and values 99"):
        pp.scan_by_key(renderer, keys, values[1:])
    with pytest.raises(pp.ArgumentError, match="100 keys with 99 values, and 100 other keys with 100"):
        pp.merge_by_key(renderer, keys, values[1:], keys, values)
    with pytest.raises(pp.ArgumentError, match="keys has dtype int64, other_keys float64: must be the same"):
        pp.merge_by_key(renderer, keys, values, values, values)
    found, sums = pp.reduce_by_key(renderer, keys[:0], values[:0], op=add)
    assert len(found) == len(sums) == 0
