"""copy_if, remove_if, pack_index: the elements (or indices) that fit, in order; partition: those first.

O(n) work in two passes over blocks: count what fits in each, then write it behind what the blocks before
have. The second pass does not branch on the predicate: it writes every element and moves on only if it fits. GPUs do
that by `groups` of work-items.
Method: "pack" of Blelloch, "Prefix sums and their applications", 1990.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portapar import arrays, elementwise, parts
from portapar.algorithms import groups
from portapar.errors import PlacementError
from portapar.few import FEW, MANY, MISS, Step, elements
from portapar.kernel.front.codec import codec
from portapar.kernel.front.lift import loops
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy


def copy_if(policy: Policy | None, x: Any, predicate: Any, *, stencil: Any = None) -> Any:
    """The elements that fit, in order.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    predicate : callable
        A kernel of one element that returns a truth value; it is called twice for each.
    stencil : array, optional
        As long as `x`: the predicate is given its elements instead.

    Returns
    -------
    array
        New, of the dtype and kind of `x`; with ``policy.task`` a Future of it.

    Notes
    -----
    O(n) work: two passes, and the result is as long as it must be.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.array([3, 1, 4, 1, 5])
    >>> pp.copy_if(pp.par, x, lambda v: v > 2)
    array([3, 4, 5])
    >>> pp.copy_if(pp.par, x, lambda flag: flag, stencil=np.array([True, True, False, False, True]))
    array([3, 1, 5])
    """
    return _select("copy_if", policy, x, predicate, stencil, True)


def remove_if(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """The elements that do not fit, in order; else as `copy_if`.

    Notes
    -----
    O(n) work.
    """
    return _select("remove_if", policy, x, predicate, None, False)


def pack_index(policy: Policy | None, flags: Any) -> Any:
    """The indices of the true elements, in order, as `np.flatnonzero`.

    Parameters
    ----------
    policy : Policy
    flags : array
        Of one dimension, of booleans or integers.

    Returns
    -------
    array of int64
        Of the kind of `flags`.

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.pack_index(pp.par, np.array([True, False, True]))
    array([0, 2])
    """
    return parts.run(
        "pack_index", policy, (flags,), lambda p: _indices(p, flags),
        lambda step: _few(step, flags, flags, elementwise.identity, _place, np.int64),
    )  # fmt: skip


def partition(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """The elements that fit, then those that do not, each in order.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    predicate : callable
        As for `copy_if`.

    Returns
    -------
    (array, int)
        A new array, and how many fit.

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.partition(pp.par, np.array([3, 1, 4, 1, 5]), lambda v: v > 2)
    (array([3, 4, 5, 1, 1]), 3)
    """
    return parts.run(
        "partition", policy, (x,), lambda p: _partition(p, x, predicate), lambda step: _split_few(step, x, predicate)
    )


def _select(name: str, policy: Policy | None, x: Any, predicate: Any, stencil: Any, wanted: bool) -> Any:
    return parts.run(
        name, policy, (x, stencil), lambda p: _copy(p, x, predicate, stencil, wanted),
        lambda step: _few(step, x, x if stencil is None else stencil, predicate, _element, None, wanted),
    )  # fmt: skip


def select_few(step: Step, x: Any, tested: Any, predicate: Any) -> Any:
    """The elements of which the predicate of the tested ones holds, by remembered steps."""
    return _few(step, x, tested, predicate, _element, None)


def pack_few(step: Step, flags: Any, value: Any, dtype: np.dtype) -> Any:
    """``value(i)`` for every i whose flag is set, by remembered steps."""
    part = step.part
    return MISS if part is None else _pack(part, flags, elementwise.identity, dtype, value, _put, step.run)


def _few(step: Step, x: Any, tested: Any, predicate: Any, value: Any, dtype: Any, wanted: bool = True) -> Any:
    """``value(i, x)`` for every i whose tested element is as wanted."""
    n = elements(x, tested, most=MANY, lazy=True)
    if not n:
        return MISS
    dtype = np.dtype(dtype or x.dtype)
    if n > FEW:

        def keep(v: Any) -> bool:
            return bool(predicate(v)) == wanted

        def taken(i: int) -> Any:
            return value(np.uint64(i), x)

        return MISS if step.part is None else _pack(step.part, tested, keep, dtype, taken, _put, step.run)

    def pack(_: int, x: Any, tested: Any, out: Any, count: Any) -> None:
        at = 0
        for i in range(len(x)):
            out[np.uint64(at)] = value(np.uint64(i), x)
            at += 1 if bool(predicate(tested[np.uint64(i)])) == wanted else 0
        count[0] = at

    out, count = np.empty(n, dtype), np.empty(1, np.int64)
    return out[: count[0]].copy() if step(pack, x, tested, out, count) else MISS


def _split_few(step: Step, x: Any, predicate: Any) -> Any:
    """The partition of elements."""
    n = elements(x, most=MANY)
    if not n:
        return MISS
    if n > FEW:
        return MISS if step.part is None else _split(step.part, x, x, predicate, np.empty_like(x), _put, step.run)

    def split(_: int, x: Any, out: Any, others: Any, count: Any) -> None:
        yes = no = 0
        for i in range(len(x)):
            fits = 1 if predicate(x[np.uint64(i)]) else 0
            out[np.uint64(yes)] = x[np.uint64(i)]
            others[np.uint64(no)] = x[np.uint64(i)]
            yes += fits
            no += 1 - fits
        for k in range(no):
            out[np.uint64(yes + k)] = others[np.uint64(k)]
        count[0] = yes

    out, count = np.empty_like(x), np.empty(1, np.int64)
    return (out, int(count[0])) if step(split, x, out, np.empty_like(x), count) else MISS


def _element(i: int, x: Any) -> Any:
    return x[i]


def _place(i: int, x: Any) -> Any:
    return i


def _copy(p: Parts, x: Any, predicate: Any, stencil: Any, wanted: bool) -> Any:
    data = p.vector(x, "x")
    tested = data if stencil is None else p.vector(stencil, "stencil")
    p.expects(len(data), data.dtype)
    predicate = p.predicate(predicate, x if stencil is None else stencil)
    found = p.few(predicate)
    if found is not MISS:
        return found

    def keep(v: Any) -> bool:
        return bool(predicate(v)) == wanted

    def values(part: LocalPart) -> Any:
        here = data[part]

        def value(i: int) -> Any:
            return here[np.uint64(i)]

        return value

    def pack(part: LocalPart) -> Any:
        return _pack(part, *_flags(part, tested[part], keep), data.dtype, values(part), _store(x, data), part.run)

    return p.concatenate("select", pack)


def _store(x: Any, data: Data) -> Any:
    """A kernel that keeps an element: the tuples of a lazy input as records."""
    return codec(data.dtype).store if isinstance(x, Lazy) and x.tuples else _put


def _put(i: int, out: Any, value: Any) -> None:
    out[i] = value


def _flags(part: LocalPart, tested: Any, keep: Any) -> tuple[Any, Any]:
    """What to test and how: for a predicate with a loop its results, stored; then Ctrl-C is heard between any two."""
    return (part.map(tested, keep), elementwise.identity) if loops(keep) and len(part) else (tested, keep)


def _indices(p: Parts, flags: Any) -> Any:
    data = p.vector(flags, "flags")
    if data.dtype.kind not in "biu":
        raise PlacementError(
            f"{p.algorithm}: flags has dtype {data.dtype}: must be booleans or integers. Pass flags != 0"
        )
    found = p.few()
    if found is not MISS:
        return found

    p.expects(len(data), np.int64)

    def keep(v: Any) -> bool:
        return v != 0

    def values(part: LocalPart) -> Any:
        begin = part.lo

        def value(i: int) -> int:
            return begin + i

        return value

    dtype = np.dtype(np.int64)
    return p.concatenate("select", lambda part: _pack(part, data[part], keep, dtype, values(part), _put, part.run))


def _partition(p: Parts, x: Any, predicate: Any) -> tuple[Any, int]:
    data = p.vector(x, "x")
    if p.kind == "numpy":
        p.expects(len(data), data.dtype)
    else:
        p.settles(data.dtype.itemsize)
    predicate = p.predicate(predicate, x)
    found = p.few(predicate)
    if found is not MISS:
        return found
    if p.count > 1:
        return _partition_parts(p, data, predicate)
    (part,) = p.own
    here, out = data[part], p.new(data.shape, data.dtype)
    _, total = _split(part, here, *_flags(part, here, predicate), out[part], _store(x, data), part.run)
    return p.give(out), total


def _split(part: LocalPart, x: Any, tested: Any, keep: Any, out: Any, store: Any, run: Any) -> Any:
    """`out`, with the elements whose tested ones are to be kept before the others, and how many these are.

    `run` is the `run` of the part or of a step; MISS if that did not run.
    """

    def split(block: int, size: int, total: int, x: Any, tested: Any, ends: Any, out: Any) -> None:
        i = block * size
        yes = ends[block - 1] if block > 0 else 0
        no = total + i - yes
        for k in range(i, min(len(x), i + size)):
            fits = 1 if keep(tested[np.uint64(k)]) else 0
            store(np.uint64(yes if fits == 1 else no), out, x[np.uint64(k)])
            yes += fits
            no += 1 - fits

    if part.shares:

        def value(i: int) -> Any:
            return x[np.uint64(i)]

        kept = _kept(tested, keep)
        ends = groups.kept_before(part, len(tested), kept)
        groups.keep(part, len(tested), kept, value, store, ends, out, True)
        return out, int(ends[-1]) if len(ends) else 0

    blocks, size, ends = _ends(part, tested, keep, run)
    if ends is None:
        return MISS
    total = int(ends[-1]) if blocks else 0
    done = run(blocks, split, size, total, x, tested, part.asarray(ends), out, work=len(tested))
    return (out, total) if done else MISS


def _partition_parts(p: Parts, data: Data, predicate: Any) -> tuple[Any, int]:
    def pack(part: LocalPart, wanted: bool) -> np.ndarray:
        here = data[part]

        def keep(v: Any) -> bool:
            return bool(predicate(v)) == wanted

        def value(i: int) -> Any:
            return here[np.uint64(i)]

        flags = _flags(part, here, keep)
        return arrays.asnumpy(_pack(part, *flags, data.dtype, value, _store(data.value, data), part.run))

    found = p.do("select", lambda part: (pack(part, True), pack(part, False)))
    fit = p.each("sizes", lambda part: len(found[part.number][0]))
    total, before = sum(fit), np.cumsum([0, *fit]).tolist()
    runs = {k: [(before[k], yes), (total + p.cuts[k] - before[k], no)] for k, (yes, no) in found.items()}
    return p.assemble(runs, len(data), p.cuts), total


def _kept(tested: Any, keep: Any) -> Any:
    """The kernel function that says of an index whether its tested element is to be kept."""

    def kept(i: int) -> bool:
        return bool(keep(tested[np.uint64(i)]))

    return kept


def _ends(part: LocalPart, tested: Any, keep: Any, run: Any) -> tuple[int, int, Any]:
    """(how many blocks, elements of each, how many elements fit up to the end of each; None if that did not run)."""

    def count(block: int, size: int, tested: Any, counts: Any) -> None:
        lo = block * size
        fits = 0
        for i in range(lo, min(len(tested), lo + size)):
            fits += 1 if keep(tested[np.uint64(i)]) else 0
        counts[block] = fits

    blocks, size = part.blocks(len(tested), least=512)
    counts = part.empty(blocks, np.int64)
    if not run(blocks, count, size, tested, counts, work=len(tested)):
        return blocks, size, None
    return blocks, size, arrays.asnumpy(counts).cumsum()


def _pack(
    part: LocalPart, tested: Any, keep: Any, dtype: np.dtype, value: Callable[[int], Any], store: Any, run: Any
) -> Any:
    """``value(i)`` for every i whose tested element is to be kept; for `run` see `_split`."""

    def write(block: int, size: int, tested: Any, ends: Any, out: Any) -> None:
        i = block * size
        hi = min(len(tested), i + size)
        at = ends[block - 1] if block > 0 else 0
        end = ends[block]
        while at < end and i < hi:
            for _ in range(min(end - at, hi - i)):  # so many cannot pass either end, whatever the predicate says
                store(np.uint64(at), out, value(i))
                at += 1 if keep(tested[np.uint64(i)]) else 0
                i += 1

    if part.shares:
        kept = _kept(tested, keep)
        ends = groups.kept_before(part, len(tested), kept)
        out = part.empty(int(ends[-1]) if len(ends) else 0, dtype)
        groups.keep(part, len(tested), kept, value, store, ends, out, False)
        return out

    blocks, size, ends = _ends(part, tested, keep, run)
    if ends is None:
        return MISS
    out = part.empty(int(ends[-1]) if blocks else 0, dtype)
    done = not len(out) or run(blocks, write, size, tested, part.asarray(ends), out, work=len(tested))
    return out if done else MISS
