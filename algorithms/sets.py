"""set_union, set_intersection, set_difference, set_symmetric_difference, includes: of sorted sequences.

An element of rank r among its equals has a partner in the other sequence if that has more than r of its equals, as
C++ counts them. One pass flags the elements with partners: blocks of one sequence are walked along the other one, each
from where a binary search finds its first element. The rest is `copy_if` of the flags, and `merge`: O(n) work.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar import elementwise, parts
from portapar.algorithms import radix
from portapar.algorithms.copy_if import copy_if, select_few
from portapar.algorithms.count import all_of
from portapar.algorithms.few_sorted import comparable
from portapar.algorithms.merge import merge, merged_few, tell_moved
from portapar.algorithms.order import Keys, Order, before
from portapar.errors import ArgumentError, flags
from portapar.few import MISS, Step, fixed
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy

_STEPS = 8  #: elements of the other sequence that are passed one by one before a binary search
_WALK = 1 << 16  #: elements of both that one thread walks along sooner than several do all the steps


def set_union(policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False) -> Any:
    """The elements that are in either of two sorted sequences, in order; as often as in the one that has more of them.

    Parameters
    ----------
    policy : Policy
    a, b : array
        One-dimensional, of one dtype, sorted by `key` and `descending` as `sort` does; what comes of others is
        undefined. Equal elements may be there several times. All NaN are equal, and so are 0.0 and -0.0.
    key, descending
        As for `sort`: elements with equal keys are equal.

    Returns
    -------
    array
        New, of the dtype and kind of the inputs: all elements of `a`, and those of `b` that have no partner in it.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    O(n) work and a byte for each element. On several parts each sees the whole of both.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> a, b = np.array([1, 2, 2, 5]), np.array([2, 3, 5, 5])
    >>> pp.set_union(pp.par, a, b)
    array([1, 2, 2, 3, 5, 5])
    """
    flags("set_union", descending=descending)

    def union(p: Parts) -> Any:
        found = _there(p, set_union, a, b, key, descending)
        if found is not MISS:
            return found
        tell_moved(p, ((a, "a"), (b, "b")))
        rest = _chosen(p, b, a, ("b", "a"), key, descending, False)
        return merge(p.how, a, rest, key=key, descending=descending)

    def few(step: Step) -> Any:
        found = _few_walk(step, a, b, key, descending, (1, 1, 1))
        rest = _few_chosen(step, b, a, key, descending, False) if found is MISS else found
        return found if rest is found else merged_few(step, a, rest, key, descending)

    return parts.run("set_union", policy, (a, b), union, few)


def set_intersection(policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False) -> Any:
    """The elements of a sorted sequence that are in another one too, as often as in the one that has fewer of them.

    Parameters
    ----------
    policy, a, b, key, descending
        As for `set_union`.

    Returns
    -------
    array
        New, elements of `a`: of equal ones the first.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    As `set_union`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.set_intersection(pp.par, np.array([1, 2, 2, 5]), np.array([2, 3, 5, 5]))
    array([2, 5])
    """
    flags("set_intersection", descending=descending)

    def common(p: Parts) -> Any:
        found = _there(p, set_intersection, a, b, key, descending)
        return _chosen(p, a, b, ("a", "b"), key, descending, True) if found is MISS else found

    def few(step: Step) -> Any:
        found = _few_walk(step, a, b, key, descending, (1, 0, 0))
        return _few_chosen(step, a, b, key, descending, True) if found is MISS else found

    return parts.run("set_intersection", policy, (a, b), common, few)


def set_difference(policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False) -> Any:
    """The elements of a sorted sequence that have no partner in another one.

    Parameters
    ----------
    policy, a, b, key, descending
        As for `set_union`.

    Returns
    -------
    array
        New, elements of `a`: of equal ones the last, as many as it has more of them than `b`.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    As `set_union`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.set_difference(pp.par, np.array([1, 2, 2, 5]), np.array([2, 3, 5, 5]))
    array([1, 2])
    """
    flags("set_difference", descending=descending)

    def rest(p: Parts) -> Any:
        found = _there(p, set_difference, a, b, key, descending)
        return _chosen(p, a, b, ("a", "b"), key, descending, False) if found is MISS else found

    def few(step: Step) -> Any:
        found = _few_walk(step, a, b, key, descending, (0, 1, 0))
        return _few_chosen(step, a, b, key, descending, False) if found is MISS else found

    return parts.run("set_difference", policy, (a, b), rest, few)


def set_symmetric_difference(
    policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False
) -> Any:
    """The elements of two sorted sequences that have no partner in the other one, in order.

    Parameters
    ----------
    policy, a, b, key, descending
        As for `set_union`.

    Returns
    -------
    array
        New.

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    As `set_union`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.set_symmetric_difference(pp.par, np.array([1, 2, 2, 5]), np.array([2, 3, 5, 5]))
    array([1, 2, 3, 5])
    """
    flags("set_symmetric_difference", descending=descending)

    def difference(p: Parts) -> Any:
        found = _there(p, set_symmetric_difference, a, b, key, descending)
        if found is not MISS:
            return found
        tell_moved(p, ((a, "a"), (b, "b")))
        left = _chosen(p, a, b, ("a", "b"), key, descending, False)
        right = _chosen(p, b, a, ("b", "a"), key, descending, False)
        return merge(p.how, left, right, key=key, descending=descending)

    def few(step: Step) -> Any:
        found = _few_walk(step, a, b, key, descending, (0, 1, 1))
        if found is not MISS:
            return found
        left = _few_chosen(step, a, b, key, descending, False)
        right = MISS if left is MISS else _few_chosen(step, b, a, key, descending, False)
        return MISS if right is MISS else merged_few(step, left, right, key, descending)

    return parts.run("set_symmetric_difference", policy, (a, b), difference, few)


def includes(policy: Policy | None, a: Any, b: Any, *, key: Any = None, descending: bool = False) -> Any:
    """Whether every element of `b` has a partner in `a`: ``a`` includes ``b``. Both are sorted.

    Parameters
    ----------
    policy, a, b, key, descending
        As for `set_union`.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError, KernelError

    Notes
    -----
    As `set_union`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.includes(pp.par, np.array([1, 2, 2, 5]), np.array([2, 5]))
    True
    >>> pp.includes(pp.par, np.array([1, 2, 2, 5]), np.array([5, 5]))
    False
    """
    flags("includes", descending=descending)

    def included(p: Parts) -> bool:
        _order(p, b, a, ("b", "a"), key, descending)
        found = p.few()
        if found is not MISS:
            return found
        flags = _partners(p, b, a, ("b", "a"), key, descending)
        return all(p.each("flags", lambda part: all_of(part.how, flags[part.number], elementwise.identity)))

    def few(step: Step) -> Any:
        found = _few_walk(step, a, b, key, descending, (0, 0, 1))  # those of `b` that have no partner
        if found is not MISS:
            return len(found) == 0
        flags = _few_partners(step, b, a, key, descending)
        return MISS if flags is None else bool(flags.all())

    return parts.run("includes", policy, (a, b), included, few)


def _there(p: Parts, algorithm: Any, a: Any, b: Any, key: Any, descending: bool) -> Any:
    """The call on devices (`Parts.there`), or by remembered steps."""
    most = p.length(a, "a") + p.length(b, "b")
    found = p.there(algorithm, {"a": a, "b": b}, (most, a.dtype), key=key, descending=descending)
    if found is MISS:
        _order(p, a, b, ("a", "b"), key, descending)
        found = p.few()
    return found


def _few_walk(step: Step, a: Any, b: Any, key: Any, descending: Any, wanted: tuple[int, int, int]) -> Any:
    """Few elements of both in one step; wanted are, or are not: pairs, elements of `a`, of `b` that have no partner."""
    if key is not None or not comparable(a, b, descending) or len(a) + len(b) > _WALK:
        return MISS
    out, count = np.empty(len(a) + len(b) + 1, a.dtype), np.empty(1, np.int64)
    walk = _walk(a.dtype, descending)
    return out[: count[0]].copy() if step(walk, radix.bits(a), radix.bits(b), *wanted, radix.bits(out), count) else MISS


@functools.cache
def _walk(dtype: np.dtype, descending: bool) -> Any:
    """The kernel that walks along both."""
    equal = radix.coding(dtype, descending).equal

    def walk(_: int, a: Any, b: Any, pairs: int, ours: int, theirs: int, out: Any, count: Any) -> None:
        i = j = k = 0
        while i < len(a) and j < len(b):
            u, v = equal(a[np.uint64(i)]), equal(b[np.uint64(j)])
            out[np.uint64(k)] = a[np.uint64(i)] if u <= v else b[np.uint64(j)]
            k += pairs if u == v else ours if u < v else theirs
            i += 1 if u <= v else 0
            j += 1 if v <= u else 0
        for p in range(i, len(a)):
            out[np.uint64(k)] = a[np.uint64(p)]
            k += ours
        for p in range(j, len(b)):
            out[np.uint64(k)] = b[np.uint64(p)]
            k += theirs
        count[0] = k

    return fixed(walk)


def _few_partners(step: Step, a: Any, b: Any, key: Any, descending: Any) -> Any:
    """The flags of `_partners` for plain arrays; None where others must look."""
    part = step.part
    if part is None or key is not None or not comparable(a, b, descending):
        return None
    ours, theirs = ([(radix.bits(x), radix.coding(x.dtype, descending))] for x in (a, b))
    return _marked(part, ours, theirs, 0, len(a), len(b), step.run)


def _few_chosen(step: Step, a: Any, b: Any, key: Any, descending: Any, wanted: bool) -> Any:
    flags = _few_partners(step, a, b, key, descending)
    return MISS if flags is None else select_few(step, a, flags, elementwise.identity if wanted else _not)


def _chosen(p: Parts, a: Any, b: Any, names: tuple[str, str], key: Any, descending: bool, wanted: bool) -> Any:
    """The elements of `a` that have a partner in `b`, or those that have none."""
    flags = _partners(p, a, b, names, key, descending)
    data = p.vector(a, names[0])

    def choose(part: LocalPart) -> Any:
        test = elementwise.identity if wanted else _not
        return copy_if(part.how, data[part], test, stencil=flags[part.number])

    return p.concatenate("choose", choose)


def _not(flag: Any) -> bool:
    return not flag


def _partners(p: Parts, a: Any, b: Any, names: tuple[str, str], key: Any, descending: bool) -> dict[int, Any]:
    """For each own part a flag for its elements of `a`: whether they have partners in `b`. Cuts the call as `a` is."""
    order, n, m = _order(p, a, b, names, key, descending), len(a), len(b)
    p.recut((n,), a)
    if p.survey is not None and isinstance(b, PartitionedArray):
        p.gathers(b, names[1])
    mine, other = p.replicated(a, names[0]), p.replicated(b, names[1])

    def flag(part: LocalPart) -> Any:
        ours, theirs = (order.keys(part, part.asarray(x[part])) for x in (mine, other))
        return _marked(part, ours, theirs, part.lo, part.hi, m, part.run)

    return p.do("partners", flag)


def _order(p: Parts, a: Any, b: Any, names: tuple[str, str], key: Any, descending: bool) -> Order:
    for x, name in zip((a, b), names, strict=True):
        p.length(x, name)
    if a.dtype != b.dtype:
        raise ArgumentError(f"{p.algorithm}: {names[0]} has dtype {a.dtype}, {names[1]} {b.dtype}: must be the same")
    return Order(p, a.dtype, key, descending, names[0])


def _bound(test: Any) -> Any:
    """A function that finds the first of `rest` elements from k on of which ``test(k, i)`` is not true, by halves."""

    def bound(k: int, rest: int, i: int) -> int:
        while rest > 0:
            half = rest // 2
            if test(k + half, i):
                k += half + 1
                rest -= half + 1
            else:
                rest = half
        return k

    return bound


def _marked(part: LocalPart, ours: Keys, theirs: Keys, lo: int, hi: int, m: int, run: Any) -> Any:
    """A flag for the elements `lo` to `hi`: whether they have partners among `m` others.

    `run` is that of the part or of a step; None if it did not run.
    """
    here, ahead, behind = before(ours, ours), before(theirs, ours), before(ours, theirs)
    begins, skip = _bound(here), _bound(ahead)

    def first(k: int, m: int, i: int) -> int:
        """The first element of the other sequence from k on that does not come before element i."""
        steps = 0
        while k < m and steps < _STEPS and ahead(k, i):
            k += 1
            steps += 1
        return skip(k, m - k, i) if steps == _STEPS else k

    def mark(block: int, size: int, begin: int, end: int, m: int, flags: Any) -> None:
        i = begin + block * size
        stop = min(end, i + size)
        run = begins(0, i, i)  # where the equals of element i begin
        k = 0
        fresh = True
        while i < stop:
            if fresh:
                k = first(k, m, i)
            partner = k + (i - run)
            flags[np.uint64(i - begin)] = partner < m and not behind(i, partner)
            i += 1
            fresh = i < stop and here(i - 1, i)
            run = i if fresh else run

    flags = part.empty(hi - lo, np.bool_)
    if hi > lo:
        blocks, size = part.blocks(hi - lo, least=1024)
        if not run(blocks, mark, size, lo, hi, m, flags, work=hi - lo):
            return None
    return flags
