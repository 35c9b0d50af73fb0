"""searchsorted: where values belong in a sorted array.

A binary search for each value, O(log n), whose steps do not branch on what they find (P. Khuong, P. Morin,
"Array layouts for comparison-based searching", 2017). On CPUs 32 values go through their steps side by side, in
vectors: they take as many steps, and none waits for the memory of another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import transform
from portapar.errors import PlacementError, one_of
from portapar.few import MISS, Step, elements, plain
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy


def searchsorted(policy: Policy | None, sorted: Any, values: Any, side: str = "left") -> Any:
    """The indices at which values would be inserted to keep the order, as `np.searchsorted`.

    Parameters
    ----------
    policy : Policy
    sorted : array
        One-dimensional, ascending, NaN last; what comes of others is undefined. On several parts each sees
        the whole of it.
    values : array or number
        One-dimensional. Both are compared as the dtype that NumPy finds for them.
    side : {"left", "right"}
        Before or behind equal elements.

    Returns
    -------
    array of int64
        As long as `values` and of their kind; of a number a NumPy scalar.

    Raises
    ------
    PlacementError

    Notes
    -----
    O(m log n) work for m values.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.searchsorted(pp.par, np.array([1, 2, 2, 5]), np.array([0, 2, 9]))
    array([0, 1, 4])
    >>> pp.searchsorted(pp.par, np.array([1, 2, 2, 5]), 2, side="right")
    np.int64(3)
    """
    one_of("searchsorted: side", side, ("left", "right"), PlacementError)
    if isinstance(values, np.ndarray) and not values.ndim:
        values = values[()]  # NumPy too answers with a number
    if isinstance(values, arrays.SCALARS):
        given = np.asarray(sorted.dtype.type(values) if _fits(sorted, values) else values).reshape(1)
        return parts.run(
            "searchsorted", policy, (sorted,), lambda p: _only(_search(p, sorted, given, side)),
            lambda step: _only(_few(step, sorted, given, side)),
        )  # fmt: skip
    return parts.run(
        "searchsorted", policy, (values, sorted), lambda p: _search(p, sorted, values, side),
        lambda step: _few(step, sorted, values, side),
    )  # fmt: skip


def _fits(x: Any, number: Any) -> bool:
    """Whether a Python number takes the dtype of the array, as in NumPy, and fits into it."""
    if not hasattr(x, "dtype"):  # it is no array, which the call tells
        return False
    if type(number) is int and x.dtype.kind in "iu" and not np.iinfo(x.dtype).min <= number <= np.iinfo(x.dtype).max:
        return False
    return type(number) in (bool, int, float) and np.result_type(x.dtype, number) == x.dtype


def _only(found: Any) -> Any:
    """The answer to a search for one value."""
    return np.int64(arrays.asnumpy(found)[0]) if hasattr(found, "shape") and found.shape else found


def _before(x: Any, v: Any) -> bool:
    """Whether the value belongs behind the element, and behind none that equals it."""
    return x < v or (v != v and x == x)


def _equal_or_before(x: Any, v: Any) -> bool:
    return not (v < x or (x != x and v == v))


_LANES = 32
_BEHIND = {"left": _before, "right": _equal_or_before}


def _searcher(before: Any) -> Any:
    """The kernel that finds the place of value i."""

    def search(i: int, table: Any, values: Any, out: Any) -> None:
        v, first, n = values[i], 0, len(table)
        while n > 0:
            half = (n + 1) // 2
            first += half if before(table[np.uint64(first + half - 1)], v) else 0
            n -= half
        out[i] = first

    return search


def _lanes(before: Any, kind: Any) -> Any:
    """The kernel that finds the places of `_LANES` values, compared as numbers of that kind."""

    def search(block: int, table: Any, values: Any, out: Any) -> None:
        first, v = np.zeros(_LANES, np.int64), np.zeros(_LANES, kind)
        begin, count = block * _LANES, len(values)
        for k in range(_LANES):
            v[k] = kind(values[np.uint64(min(begin + k, count - 1))])
        n = len(table)
        while n > 0:
            half = (n + 1) // 2
            for k in range(_LANES):
                first[k] += half if before(kind(table[np.uint64(first[k] + half - 1)]), v[k]) else 0
            n -= half
        for k in range(min(_LANES, count - begin)):
            out[np.uint64(begin + k)] = first[k]

    return search


def _few(step: Step, sorted: Any, values: Any, side: str) -> Any:
    """The search for few values, in an array of any length."""
    if not plain(sorted) or not elements(values):
        return MISS
    if sorted.dtype.kind not in "biuf" or values.dtype.kind not in "biuf":
        return MISS
    search = _lanes(_BEHIND[side], np.result_type(sorted.dtype, values.dtype).type)

    def all_of_them(_: int, table: Any, values: Any, out: Any) -> None:
        for block in range((len(values) + _LANES - 1) // _LANES):
            search(block, table, values, out)

    out = np.empty(len(values), np.int64)
    return out if step(all_of_them, sorted, values, out) else MISS


def _search(p: Parts, sorted: Any, values: Any, side: str) -> Any:
    p.length(sorted, "sorted")
    if isinstance(values, np.ndarray) and len(values) == 1 and p.kind != "numpy":
        values = p.own[0].asarray(values) if p.kind == "device" else values
    p.recut((p.length(values, "values"),), values)
    table, wanted = p.replicated(sorted, "sorted"), p.vector(values, "values")
    for name, x in (("sorted", table), ("values", wanted)):
        if x.dtype.kind not in "biuf":
            raise PlacementError(f"{p.algorithm}: {name} has dtype {x.dtype}, which has no order that is known")
    common = np.result_type(table.dtype, wanted.dtype)
    found = p.few()
    if found is not MISS:
        return found
    result, before = p.new(wanted.shape, np.int64), _BEHIND[side]

    def step(part: LocalPart) -> None:
        if not len(part):
            return
        if part.wide:  # it hides the memory of a value behind others by itself
            x, v = (_as(part, data[part], common) for data in (table, wanted))
            for_each(part.how, len(part), _searcher(before), x, v, result[part])
        else:
            search = _lanes(before, common.type)
            for_each(part.how, -(-len(part) // _LANES), search, table[part], wanted[part], result[part])

    p.each("search", step)
    return p.give(result)


def _as(part: LocalPart, x: Any, dtype: np.dtype) -> Any:
    return x if x.dtype == dtype else transform(part.how, x, op=dtype.type)
