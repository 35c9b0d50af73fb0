"""Calls of algorithms of several steps, of which plans say what moves: what tests on devices and on ranks share.

``STEPS[name](policy)`` is what `pp.plan` takes; `OTHERS` are the names of those that are much like another one.
"""

import numpy as np

import portapar as pp

N = 10_000


def data(dtype=np.float64):
    return (np.arange(N) % 100).astype(dtype)


OFFSETS, KEYS = np.array([0, 10, N]), data(np.int64) % 7
STEPS = {
    "sort": lambda how: (pp.sort, how, data()),
    "argsort": lambda how: (pp.argsort, how, data()),
    "sort_by_key": lambda how: (pp.sort_by_key, how, KEYS, data()),
    "scan": lambda how: (pp.inclusive_scan, how, data()),
    "find": lambda how: (pp.find, how, data(), 200.0),
    "count_if": lambda how: (pp.count_if, how, data(), lambda v: v > 50),
    "stencil": lambda how: (pp.stencil, how, data(), lambda x, i: x[i - 1] + x[i + 1]),
    "bincount": lambda how: (pp.bincount, how, KEYS),
    "histogram": lambda how: (pp.histogram, how, data(), 10),
    "min_element": lambda how: (pp.min_element, how, data()),
    "reverse": lambda how: (pp.reverse, how, data()),
    "rotate": lambda how: (pp.rotate, how, data(), 3),
    "adjacent_difference": lambda how: (pp.adjacent_difference, how, data()),
    "searchsorted": lambda how: (pp.searchsorted, how, np.sort(data()), data()),
    "segmented_scan": lambda how: (pp.segmented_scan, how, OFFSETS, data()),
    "equal": lambda how: (pp.equal, how, data(), data()),
    "copy_if": lambda how: (pp.copy_if, how, data(), lambda v: v > 50),
    "partition": lambda how: (pp.partition, how, data(), lambda v: v > 50),
    "pack_index": lambda how: (pp.pack_index, how, data() > 50),
    "reduce_by_key": lambda how: (pp.reduce_by_key, how, KEYS, data()),
    "group_by_key": lambda how: (pp.group_by_key, how, KEYS, data()),
    "unique_by_key": lambda how: (pp.unique_by_key, how, KEYS, data()),
    "scan_by_key": lambda how: (pp.scan_by_key, how, KEYS, data()),
    "unique": lambda how: (pp.unique, how, data()),
    "run_length_encode": lambda how: (pp.run_length_encode, how, data()),
    "nth_element": lambda how: (pp.nth_element, how, data(), 5000),
    "kth_smallest": lambda how: (pp.kth_smallest, how, data(), 5000),
    "top_k": lambda how: (pp.top_k, how, data(), 7),
    "gather": lambda how: (pp.gather, how, data(), KEYS),
    "scatter": lambda how: (pp.scatter, how, data(), np.arange(N), np.zeros(N)),
    "set_union": lambda how: (pp.set_union, how, np.sort(data()), np.sort(data())),
    "set_difference": lambda how: (pp.set_difference, how, np.sort(data()), np.sort(data())),
}
SORTED = np.sort(data())
STEPS |= {
    "transpose": lambda how: (pp.transpose, how, data().reshape(200, 50)),
    "scatter_if": lambda how: (pp.scatter_if, how, data(), np.arange(N), KEYS > 3, np.zeros(N)),
    "unique_count": lambda how: (pp.unique_count, how, data()),
}
OTHERS = {
    "all_of": lambda how: (pp.all_of, how, data(), lambda v: v < 200),
    "max_element": lambda how: (pp.max_element, how, data()),
    "exclusive_scan": lambda how: (pp.exclusive_scan, how, data()),
    "is_sorted": lambda how: (pp.is_sorted, how, SORTED),
    "merge": lambda how: (pp.merge, how, SORTED, SORTED.copy()),
    "remove_if": lambda how: (pp.remove_if, how, data(), lambda v: v > 50),
    "find_last_if": lambda how: (pp.find_last_if, how, data(), lambda v: v > 150),
    "adjacent_find": lambda how: (pp.adjacent_find, how, data()),
    "mismatch": lambda how: (pp.mismatch, how, data(), data()),
    "segmented_reduce": lambda how: (pp.segmented_reduce, how, OFFSETS, data()),
    "is_sorted_until": lambda how: (pp.is_sorted_until, how, SORTED),
    "isin": lambda how: (pp.isin, how, data(), np.arange(7.0)),
    "includes": lambda how: (pp.includes, how, SORTED, SORTED.copy()),
    "search": lambda how: (pp.search, how, data(), np.array([3.0, 9.0])),
    "find_first_of": lambda how: (pp.find_first_of, how, data(), np.array([300.0, 900.0])),
    "lexicographical_compare": lambda how: (pp.lexicographical_compare, how, data(), data()),
    "is_partitioned": lambda how: (pp.is_partitioned, how, data(), lambda v: v < 200),
    "gather_if": lambda how: (pp.gather_if, how, data(), KEYS, KEYS > 3, np.zeros(N)),
    "merge_by_key": lambda how: (pp.merge_by_key, how, SORTED, data(), SORTED.copy(), data()),
    "set_intersection": lambda how: (pp.set_intersection, how, SORTED, SORTED.copy()),
    "set_symmetric_difference": lambda how: (pp.set_symmetric_difference, how, SORTED, SORTED.copy()),
    "stable_sort": lambda how: (pp.stable_sort, how, data()),
    "partial_sort": lambda how: (pp.partial_sort, how, data(), 9),
    "minmax_element": lambda how: (pp.minmax_element, how, data()),
}
STEPS |= OTHERS
STEPS |= {
    "shift_left": lambda how: (pp.shift_left, how, data(), 3),
    "shift_right": lambda how: (pp.shift_right, how, data(), 30),
}
