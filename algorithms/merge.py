"""merge: two sorted sequences as one.

The output is cut into blocks, and where each begins in both inputs is found by a search (merge path: Deo, Sarkar,
"Parallel algorithms for merging and sorting", 1991; Odeh, Green, Mwassi, Shmueli, Birk, "Merge path", 2012): O(n) work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, parts, shares
from portapar.algorithms import few_sorted, radix
from portapar.algorithms.order import Order, before
from portapar.algorithms.sort import check_out, merge_whole, stable_sort, tell_sorted
from portapar.errors import PlacementError, flags
from portapar.few import MANY, MISS, Step, elements, plain
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy


def merge(policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False, out: Any = None) -> Any:
    """The elements of two sorted arrays in order; of equal ones those of `a` first.

    Parameters
    ----------
    policy : Policy
    a, b : array
        One-dimensional, of one dtype, sorted by `key` and `descending`. If they are not, neither is the result.
    key, descending
        As for `sort`.
    out : array, optional
        As long as both together; must not overlap them.

    Returns
    -------
    array
        `out`, or a new one.

    Notes
    -----
    O(n) work; on several parts a sort.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.merge(pp.par, np.array([1, 4]), np.array([2, 3, 5]))
    array([1, 2, 3, 4, 5])
    """
    flags("merge", descending=descending)
    return parts.run(
        "merge", policy, (a, b, out), lambda p: _merge(p, a, b, key, descending, out),
        lambda step: merged_few(step, a, b, key, descending, out), whole=merge_whole(key, descending),
    )  # fmt: skip


def merged_few(step: Step, a: Any, b: Any, key: Any, descending: Any, out: Any = None) -> Any:
    """`merge` of plain arrays by remembered steps."""
    part = step.part
    if part is None or key is not None:
        return MISS
    if out is None and plain(a) and type(b) is np.ndarray and b.shape == (0,) and b.dtype == a.dtype:
        return a.copy()
    if not few_sorted.comparable(a, b, descending):
        return MISS
    n, m = len(a), len(b)
    if out is not None and (elements(out, most=MANY) != n + m or out.dtype != a.dtype):
        return MISS
    aliases = {} if out is None else {"out": out, "like": (out,)}  # both kernels that put elements there capture it
    there = part.empty(n + m, a.dtype) if out is None else out
    second, first = ([(radix.bits(x), radix.coding(x.dtype, descending))] for x in (b, a))
    put, less = putters(a, b, there), before(second, first)
    return there if merge_to(part, n, m, less, *put, step.run, **aliases) else MISS


def putters(x: Any, y: Any, out: Any) -> tuple[Any, Any]:
    """The last two kernels of `merge_to`."""

    def put(k: int, other: bool, i: int) -> None:
        out[np.uint64(k)] = y[np.uint64(i)] if other else x[np.uint64(i)]

    def either(k: int, other: bool, i: int, j: int) -> None:
        first, second = x[np.uint64(i)], y[np.uint64(j)]
        out[np.uint64(k)] = second if other else first

    return put, either


def _merge(p: Parts, a: Any, b: Any, key: Any, descending: bool, out: Any) -> Any:
    n = p.length(a, "a") + p.length(b, "b")
    if getattr(a, "dtype", None) != getattr(b, "dtype", None):
        raise PlacementError(f"{p.algorithm}: a has dtype {a.dtype}, b {b.dtype}: must be the same")
    if p.count > 1:
        return _merge_parts(p, a, b, key, descending, out)
    first, second = p.replicated(a, "a"), p.replicated(b, "b")
    order = Order(p, first.dtype, key, descending, "a")
    p.cuts = (0, n)
    (part,) = p.own
    result = p.new((n,), first.dtype) if out is None else p.write(out, "out", [("a", a), ("b", b)])
    check_out(p, result, (n,), first.dtype)
    found = p.few()
    if found is not MISS:
        return found
    x, y, there = part.asarray(first[part]), part.asarray(second[part]), result[part]
    if n:
        less = before(order.keys(part, y), order.keys(part, x))
        merge_to(part, len(x), len(y), less, *putters(x, y, there), part.run)
    return p.give(result)


def merge_to(part: LocalPart, n: int, m: int, less: Any, put: Any, either: Any, run: Any, **aliases: Any) -> bool:
    """Merge two sorted sequences of `n` and `m` elements, at least one together; False if it did not run.

    Parameters
    ----------
    part : LocalPart
    n, m : int
    less : callable
        A kernel: whether element j of the second one comes before element i of the first, ``less(j, i)``.
    put : callable
        A kernel: element i of the first one, or of the other, comes to place k, ``put(k, other, i)``.
    either : callable
        The same for element i or j of which both can be read, ``either(k, other, i, j)``.
    run : callable
        That of the part, or of a step.
    **aliases
        As for a step.
    """

    def merge(block: int, size: int, n: int, m: int) -> None:
        begin, end = block * size, min(n + m, (block + 1) * size)
        lo, hi = max(0, begin - m), min(begin, n)
        while lo < hi:  # how many of the first `begin` come from the first one
            middle = (lo + hi) // 2
            if less(begin - 1 - middle, middle):
                hi = middle
            else:
                lo = middle + 1
        i, j, k = lo, begin - lo, begin
        while i < n and j < m and k < end:
            for _ in range(min(end - k, n - i, m - j)):  # there is an element of each, whatever is taken: no branches
                other = less(j, i)
                either(k, other, i, j)
                taken = 1 if other else 0
                i, j, k = i + 1 - taken, j + taken, k + 1
        for place in range(k, end):
            put(place, i >= n, (i if i < n else j) + place - k)

    blocks, size = part.blocks(n + m)
    return run(blocks, merge, size, n, m, work=n + m, **aliases)


def _merge_parts(p: Parts, a: Any, b: Any, key: Any, descending: bool, out: Any) -> Any:
    """On several parts: one after the other, sorted stably."""
    tell_moved(p, ((a, "a"), (b, "b")))
    whole = end_to_end(p, (a, b), ("a", "b"), out.cuts if isinstance(out, PartitionedArray) else None)
    return stable_sort(p.how, whole, key=key, descending=descending, out=out)


def tell_moved(p: Parts, *columns: Sequence[tuple[Any, str]]) -> None:
    """For the plan: arrays, of which the columns of a result are made, one after the other, are sorted by the first."""
    if p.survey is None or p.count == 1:
        return
    sizes = [column[0][0].dtype.itemsize for column in columns]
    before, rows = p.cuts, sum(len(x) for x, _ in columns[0])
    p.cuts = shares.cut_rows(rows, p.executor.weights)
    for column, size in zip(columns, sizes, strict=True):
        for x, name in column:
            p.note(x, name)
        p.settles(size)
        if p.kind == "numpy":
            p.note(np.broadcast_to(np.empty((), f"V{size}"), (rows,)), "the result", into=False, out=True)
    tell_sorted(p, sizes[0], sizes[0] + sum(sizes))
    p.cuts = before


def end_to_end(p: Parts, inputs: Sequence[Any], names: Sequence[str], cuts: tuple[int, ...] | None = None) -> Any:
    """Two arrays of one dimension as one; of parts, cut by `cuts`."""
    runs: dict[int, list[tuple[int, np.ndarray]]] = {part.number: [] for part in p.own}
    begin = 0
    for x, name in zip(inputs, names, strict=True):
        own = x.cuts if isinstance(x, PartitionedArray) else None
        p.cuts = own or shares.cut_rows(p.length(x, name), p.executor.weights)
        data = p.stored(x, name)
        rows = p.do("read", lambda part: arrays.asnumpy(data[part]))  # noqa: B023
        for part in p.own:
            runs[part.number].append((begin + part.lo, rows[part.number]))
        begin += len(data)
    return p.assemble(runs, begin, cuts)
