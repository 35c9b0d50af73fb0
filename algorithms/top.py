"""top_k and partial_sort: the first few elements in order.

The element that would be last among them is selected in O(n) (`portapar.algorithms.select`); those before it are
packed, and they alone are sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, parts, shares
from portapar.algorithms import few_sorted
from portapar.algorithms.copy_if import pack_index
from portapar.algorithms.for_each import for_each
from portapar.algorithms.moves import gather
from portapar.algorithms.order import Keys, Order, take
from portapar.algorithms.select import kth_code, nth_element, tell_candidates
from portapar.algorithms.sort import argsort, sort, tell_sorted
from portapar.algorithms.transform import copy, transform
from portapar.errors import ArgumentError, flags
from portapar.few import MISS
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Data, Parts
from portapar.policy import Policy

_FEW = 4  #: of a larger share than one in so many elements all are sorted


def top_k(policy: Policy | None, x: Any, k: int, *, key: Any = None, descending: bool = True) -> tuple[Any, Any]:
    """The `k` largest elements, the largest first, and their indices.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    k : int
        From 0 to the length.
    key : callable or str, optional
        As for `sort`.
    descending : bool
        False: the smallest elements, the smallest first. NaN come last either way.

    Returns
    -------
    (array, array of int64)
        New: ``x[indices]``, and the first `k` of ``argsort(policy, x, key=key, descending=descending)``: of equal
        elements those of the lowest indices, in this order.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    Expected O(n + k) work; that of `argsort` where `k` is more than a quarter of all, or `key` returns tuples.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.top_k(pp.par, np.array([3, 1, 4, 1, 5, 9, 2, 6]), 3)
    (array([9, 6, 5]), array([5, 7, 4]))
    """
    flags("top_k", descending=descending)
    return parts.run(
        "top_k", policy, (x,), lambda p: _top(p, x, k, key, descending),
        lambda step: few_sorted.top(step, x, k, key, descending),
    )  # fmt: skip


def partial_sort(policy: Policy | None, x: Any, k: int, *, out: Any = None) -> Any:
    """The elements with the `k` smallest in order before all others, which come in any order.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, of booleans, integers or floats; NaN are the largest.
    k : int
        From 0 to the length.
    out : array, optional
        As long as `x` and of its dtype; may be `x` itself.

    Returns
    -------
    array
        `out`, or a new one.

    Raises
    ------
    ArgumentError

    Notes
    -----
    Expected O(n) work, and that of a sort of `k`; on several parts a sort of all. `top_k` does not move the others.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.partial_sort(pp.par, np.array([3, 5, 1, 4, 2]), 2)[:2]
    array([1, 2])
    """
    return parts.run(
        "partial_sort", policy, (x, out), lambda p: _partial_sort(p, x, k, out),
        lambda step: few_sorted.head(step, x, k, 0, None) if out is None else MISS,
    )  # fmt: skip


def _partial_sort(p: Parts, x: Any, k: Any, out: Any) -> Any:
    n = p.length(x, "x")
    k = arrays.whole_number("partial_sort: k", k, 0, n)
    if x.dtype.kind not in "biuf":
        raise ArgumentError(f"partial_sort: x has dtype {x.dtype}: must be booleans, integers or floats")
    found = p.few()
    if found is not MISS:
        return found
    if p.count > 1 or p.kind == "partitioned" or n < 2:
        if p.survey is None:
            p.each("which", lambda part: None)  # ranks must agree in k, too
        return sort(p.how, x, out=out)
    found = nth_element(p.how, x, max(k - 1, 0), out=out)
    first = found[:k]
    sort(p.how, first, out=first)
    return found


def _top(p: Parts, x: Any, k: Any, key: Any, descending: bool) -> tuple[Any, Any]:
    data = p.stored(x, "x")
    k = arrays.whole_number("top_k: k", k, 0, len(data))
    for dtype in (data.dtype, np.int64):
        p.expects(k, dtype)
    order = Order(p, data.dtype, key, descending, "x")
    found = p.few()
    if found is not MISS:
        return found
    if p.survey is not None and p.count > 1:
        _tell(p, order, data, k)
    keys = p.do("keys", lambda part: order.keys(part, data[part]))
    if k == 0 or k > len(data) // _FEW or len(next(iter(keys.values()))) > 1:
        places = _head(p, argsort(p.how, x, key=key, descending=descending), k)
        return gather(p.how, x, places), places
    chosen = _chosen(p, keys, k)

    def values(part: LocalPart) -> Any:
        places = chosen[part.number]
        out = part.empty(len(places), data.dtype)
        take(part, data[part], places, out)
        return out

    def numbers(part: LocalPart) -> Any:
        begin = part.lo
        return transform(part.how, chosen[part.number], op=lambda i: i + begin)

    found, places = p.concatenate("values", values), p.concatenate("places", numbers)
    ranks = argsort(p.how, found, key=key, descending=descending)
    return gather(p.how, found, ranks), gather(p.how, places, ranks)


def _tell(p: Parts, order: Order, data: Data, k: int) -> None:
    """For the plan: all is sorted, and gathered in its order; or candidates are found, which are few."""
    codes, row = order.dtypes(data.value), data.dtype.itemsize + 8
    if k > len(data) // _FEW or len(codes) > 1:
        p.tells([[(0, len(data))]] * p.count, data.dtype.itemsize, data.value)
        for code in codes:
            tell_sorted(p, code.itemsize, row + sum(kind.itemsize for kind in codes))
        return
    tell_candidates(p, codes[0].itemsize)
    before, p.cuts = p.cuts, shares.cut_rows(k, p.executor.weights)
    tell_sorted(p, codes[0].itemsize, row + codes[0].itemsize)
    p.told(k * row * (p.count - 1), most=True)
    p.cuts = before


def _chosen(p: Parts, keys: dict[int, Keys], k: int) -> dict[int, Any]:
    """Where in each part the `k` first elements are: all before the last of them, and as many of its equals as fit."""
    coding = next(iter(keys.values()))[0][1]
    equal = coding.equal
    last = kth_code(p, {number: bits for number, ((bits, _),) in keys.items()}, equal, k - 1)

    def less(u: Any) -> bool:
        return equal(u) < last

    def same(u: Any) -> bool:
        return equal(u) == last

    def pack(part: LocalPart) -> tuple[Any, Any]:
        ((bits, _),) = keys[part.number]
        before, among = (pack_index(part.how, transform(part.how, bits, op=test)) for test in (less, same))
        return before, among

    packed = p.do("pack", pack)
    sizes = p.each("sizes", lambda part: [len(some) for some in packed[part.number]])
    room = k - sum(size for size, _ in sizes)

    def put(i: int, at: int, places: Any, out: Any) -> None:
        out[np.uint64(at + i)] = places[i]

    def join(part: LocalPart) -> Any:
        before, among = packed[part.number]
        left = room - sum(size for _, size in sizes[: part.number])
        fits = min(max(left, 0), len(among))
        out = part.empty(len(before) + fits, np.int64)
        for_each(part.how, len(before), put, 0, before, out)
        for_each(part.how, fits, put, len(before), among, out)
        return out

    return p.do("join", join)


def _head(p: Parts, x: Any, k: int) -> Any:
    """The first `k` elements of an array that an algorithm gave."""
    if not isinstance(x, PartitionedArray):
        return copy(p.how, x[:k])
    p.cuts = x.cuts
    return p.concatenate("head", lambda part: x.parts[part.number][: min(max(k - part.lo, 0), len(part))])
