"""gather, scatter, reverse, rotate: elements in other places.

Each is one pass over its elements, of which nothing depends on another: O(n) work. Indices are looked through before
that, so that a wrong one is found while nothing has been written. On several parts each gathers for its own rows of
the indices, from the whole of x; the others send elements to the parts where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, lazy, overlaps, parts, shares
from portapar.algorithms.find import find_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import copy
from portapar.errors import PlacementError
from portapar.few import FEW, MANY, MISS, Step, elements, numbers, plain
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Data, Parts
from portapar.policy import Policy


def gather(policy: Policy | None, x: Any, indices: Any, *, out: Any = None) -> Any:
    """``out[i] = x[indices[i]]``

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional. On several parts each sees the whole of it.
    indices : array
        One-dimensional, integers; negative ones count from the end of `x`.
    out : array, optional
        As long as `indices`; must not overlap `x`, but may be `indices`. By default a new array of the dtype of `x`.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    PlacementError
        For an index out of range among others; `out` is as it was then.

    Notes
    -----
    O(len(indices)) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.gather(pp.par, np.array([10, 20, 30]), np.array([2, 0, -1, 2]))
    array([30, 10, 30, 30])
    """

    def few(step: Step) -> Any:
        n = elements(indices, *([] if out is None else [out]), most=MANY)
        if not n or not (plain(x) or (numbers(x) and 0 < len(x) == x.size)):
            return MISS
        if n > FEW:
            return _take_many(step, n, x, indices, out)
        aliases = {} if out is None else {"out": out, "like": (indices,)}
        there, wrong = np.empty(n, x.dtype) if out is None else out, np.zeros(1, np.int64)
        return there if step(_take_few, x, indices, there, wrong, **aliases) and not wrong[0] else MISS

    return parts.run("gather", policy, (indices, x, out), lambda p: _gather(p, x, indices, out), few)


def take_one(i: int, n: int, x: Any, places: Any, out: Any) -> None:
    """A kernel: ``out[i] = x[places[i]]``, of n elements."""
    k = int(places[np.uint64(i)])
    out[np.uint64(i)] = x[np.uint64(k + n if k < 0 else k)]


def _take_few(_: int, x: Any, places: Any, out: Any, wrong: Any) -> None:
    bad = _bad(0, len(places), len(x), places)
    wrong[0] = bad
    if bad == 0:
        for i in range(len(places)):
            take_one(i, len(x), x, places, out)


_STRIP = 4096  #: indices that stay in the first cache


def _take_many(step: Step, n: int, x: Any, indices: Any, out: Any) -> Any:
    """`gather` of many elements; into an output of the user's when all indices were looked at."""
    if out is not None:
        where = _looked(step, n, len(x), x, indices, out, (indices,))
        if where is None:
            return MISS
        for_each(where.how, n, take_one, len(x), x, indices, out)
        return out
    if step.part is None:
        return MISS
    (blocks, size), there, wrong = step.part.blocks(n), step.part.empty(n, x.dtype), np.zeros(1, np.int64)
    made = step.run(blocks, _take_right, size, x, indices, there, wrong, work=n)
    return there if made and not wrong[0] else MISS


def _looked(step: Step, n: int, length: int, x: Any, indices: Any, out: Any, like: Sequence[Any]) -> LocalPart | None:
    """Where elements may be moved: all n indices are of so many elements, and `out` can be written and lies apart."""
    part = step.part
    if part is None or not out.flags.behaved:
        return None
    (blocks, size), wrong = part.blocks(n), np.zeros(1, np.int64)
    made = step.run(blocks, _look, size, length, indices, wrong, x, out, work=n, out=out, like=like)
    return part if made and not wrong[0] else None


def _bad(lo: int, hi: int, n: int, places: Any) -> int:
    bad = 0
    for i in range(lo, hi):
        k = places[np.uint64(i)]
        bad += 1 if k < -n or k >= n else 0
    return bad


def _look(block: int, size: int, n: int, places: Any, wrong: Any, x: Any, out: Any) -> None:
    bad = _bad(block * size, min(len(places), (block + 1) * size), n, places)
    if bad > 0:
        atomic.add(wrong, 0, bad)


def _take_right(block: int, size: int, x: Any, places: Any, out: Any, wrong: Any) -> None:
    end = min(len(places), (block + 1) * size)
    for lo in range(block * size, end, _STRIP):
        hi = min(lo + _STRIP, end)
        bad = _bad(lo, hi, len(x), places)
        if bad > 0:
            atomic.add(wrong, 0, bad)
        else:
            for i in range(lo, hi):
                take_one(i, len(x), x, places, out)


def _gather(p: Parts, x: Any, indices: Any, out: Any) -> Any:
    p.recut((p.length(indices, "indices"),), indices)
    n = p.length(x, "x")
    places, table = p.vector(indices, "indices"), p.replicated(x, "x")
    result = output(p, out, len(places), table.dtype, [("x", x)], [("indices", indices)])
    _check_dtype(p, places)
    found = p.few()
    if found is not MISS:
        return found
    check_indices(p, places, n, "x")

    def step(part: LocalPart) -> None:
        if len(part):
            for_each(part.how, len(part), take_one, n, table[part], places[part], result[part])

    p.each("take", step)
    return p.give(result)


def scatter(policy: Policy | None, x: Any, indices: Any, out: Any) -> Any:
    """``out[indices[i]] = x[i]``; other elements of `out` stay as they are.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    indices : array
        As long as `x`, integers; negative ones count from the end of `out`. Where several are equal, one of their
        elements is kept, and which one may differ from run to run; of a record or complex number, perhaps fields of
        several.
    out : array
        One-dimensional; must not overlap the others.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    PlacementError
        For an index out of range among others; `out` is as it was then.

    Notes
    -----
    O(len(x)) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.scatter(pp.par, np.array([10, 20]), np.array([3, 0]), np.zeros(5, int))
    array([20,  0,  0, 10,  0])
    """

    def few(step: Step) -> Any:
        n = elements(x, indices, most=MANY)
        if not plain(out) or not n:
            return MISS
        if n > FEW:
            where = _looked(step, n, len(out), x, indices, out, ())
            if where is None:
                return MISS
            for_each(where.how, n, put_one, len(out), x, indices, out)
            return out
        wrong = np.zeros(1, np.int64)
        return out if step(_put_few, x, indices, out, wrong, out=out) and not wrong[0] else MISS

    return parts.run("scatter", policy, (x, indices, out), lambda p: _scatter(p, x, indices, out), few)


def put_one(i: int, n: int, x: Any, places: Any, out: Any) -> None:
    """A kernel: ``out[places[i]] = x[i]``, of n elements."""
    k = int(places[np.uint64(i)])
    out[np.uint64(k + n if k < 0 else k)] = x[np.uint64(i)]


def _put_few(_: int, x: Any, places: Any, out: Any, wrong: Any) -> None:
    bad = _bad(0, len(places), len(out), places)
    wrong[0] = bad
    if bad == 0:
        for i in range(len(places)):
            put_one(i, len(out), x, places, out)


def tell_scattered(p: Parts, rows: int, size: int) -> None:
    """For the plan: so many elements with their places, of `size` bytes each, go by the host to any part."""
    if p.survey is None or p.count == 1:
        return
    for k, (lo, hi) in enumerate(shares.spans(p.cuts)):
        p.carries(k, size * rows, size * (hi - lo))
    p.told(size * rows, most=True)
    p.survey.most = True


def _scatter(p: Parts, x: Any, indices: Any, out: Any) -> Any:
    m, n = p.length(indices, "indices"), p.length(out, "out")
    if p.length(x, "x") != m:
        raise PlacementError(f"scatter: x has {p.length(x, 'x')} elements, and there are {m} indices")
    data, places = p.vector(x, "x"), p.vector(indices, "indices")
    p.note(out, "out", out=True)
    tell_scattered(p, m, data.dtype.itemsize + places.dtype.itemsize)
    check_indices(p, places, n, "out")
    cuts = out.cuts if isinstance(out, PartitionedArray) else shares.cut_rows(n, p.executor.weights)

    def send(part: LocalPart) -> list[tuple[np.ndarray, np.ndarray]]:
        """To each part the elements that go there, and their places in it."""
        if p.count == 1:
            return [(data[part], places[part])]
        rows, chosen = arrays.asnumpy(sources[part]), arrays.asnumpy(targets[part])
        chosen = chosen.astype(np.int64) + n * (chosen < 0)
        owner = np.searchsorted(cuts[1:], chosen, side="right")
        order = np.argsort(owner, kind="stable")
        ends = np.searchsorted(owner[order], np.arange(p.count + 1)).tolist()
        chunks = [order[a:b] for a, b in shares.spans(ends)]
        return [(rows[some], chosen[some] - lo) for some, lo in zip(chunks, cuts, strict=False)]

    sources, targets = p.stored(x, "x"), p.stored(indices, "indices")
    got = p.alltoall("send", send)
    p.cuts = tuple(cuts)  # `out` may be shorter or longer than the others
    result = output(p, out, n, data.dtype, [("x", x), ("indices", indices)], reads=True)
    found = p.few()
    if found is not MISS:
        return found

    def step(part: LocalPart) -> None:
        for rows, chosen in got[part.number]:
            if len(chosen):
                here = part.asarray(rows), part.asarray(chosen), result[part]
                for_each(part.how, len(chosen), put_one, len(part), *here)

    p.each("put", step)
    return p.give(result)


def reverse(policy: Policy | None, x: Any, *, out: Any = None) -> Any:
    """``out[i] = x[n - 1 - i]``

    Where the elements are only to be read in that order, `pp.lazy.reverse` saves the pass.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    out : array, optional
        As long as `x`; may be `x` itself, but not overlap it partly. By default a new array.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    PlacementError

    Notes
    -----
    O(n) work; no memory in place on one part.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.reverse(pp.par, np.array([1, 2, 3]))
    array([3, 2, 1])
    """
    return parts.run("reverse", policy, (x, out), lambda p: _reverse(p, x, out), whole=((), ()))


def _reverse(p: Parts, x: Any, out: Any) -> Any:
    n = p.length(x, "x")
    inplace = out is not None and (out is x or overlaps.same_memory(x, out))
    if p.count > 1:
        data = p.stored(np.array(x) if inplace and isinstance(x, np.ndarray) else x, "x")
        result = output(p, out, n, data.dtype, [] if inplace else [("x", x)])
        got = p.rows("fetch", data, lambda k: [(n - p.cuts[k + 1], n - p.cuts[k])], instead=True)
        p.each("turn", lambda part: _reversed(part, got[part.number][0], result[part]))
        return p.give(result)
    data = p.vector(x, "x")
    if inplace:
        result = output(p, out, n, data.dtype, [], reads=True)
        p.each("swap", lambda part: for_each(part.how, n // 2, _swap, n, result[part]))
    else:
        result = output(p, out, n, data.dtype, [("x", x)])
        p.each("turn", lambda part: _reversed(part, data[part], result[part]))
    return p.give(result)


def _reversed(part: LocalPart, x: Any, out: Any) -> None:
    if len(part):
        for_each(part.how, len(part), _turn, len(part), x, out)


def _swap(i: int, n: int, x: Any) -> None:
    k = np.uint64(n - 1 - i)
    x[np.uint64(i)], x[k] = x[k], x[np.uint64(i)]


def _turn(i: int, n: int, x: Any, out: Any) -> None:
    out[np.uint64(i)] = x[np.uint64(n - 1 - i)]


def rotate(policy: Policy | None, x: Any, k: int, *, out: Any = None) -> Any:
    """``out[i] = x[(i + k) % n]``: element `k` comes first, as in ``np.roll(x, -k)``.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    k : int
        Of either sign, and any size.
    out : array, optional
        As long as `x`; must not overlap it. By default a new array.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    PlacementError

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.rotate(pp.par, np.array([1, 2, 3, 4]), 1)
    array([2, 3, 4, 1])
    """
    return parts.run("rotate", policy, (x, out), lambda p: _rotate(p, x, k, out), whole=((), (k,)))


def _rotate(p: Parts, x: Any, k: int, out: Any) -> Any:
    k = arrays.whole_number("rotate: k", k, None, None)
    data, n = p.stored(x, "x"), p.length(x, "x")
    result = output(p, out, n, data.dtype, [("x", x)])
    first = k % max(n, 1)

    def wanted(number: int) -> list[tuple[int, int]]:
        """What comes up to the last element, and what begins with the first one."""
        lo, hi = p.cuts[number] + first, p.cuts[number + 1] + first
        return [(min(lo, n), min(hi, n)), (max(lo - n, 0), max(hi - n, 0))]

    got = p.rows("fetch", data, wanted, instead=True)

    def turn(part: LocalPart) -> None:
        (before, behind), target = got[part.number], result[part]
        if len(before):
            copy(part.how, before, out=target[: len(before)])
        if len(behind):
            copy(part.how, behind, out=target[len(before) :])

    p.each("turn", turn)
    return p.give(result)


def check_indices(p: Parts, places: Data, n: int, of: str, flags: Data | None = None) -> None:
    """Refuse indices that are none of an array of n elements, where `flags` are true."""
    _check_dtype(p, places)

    def wrong(part: LocalPart) -> tuple[int, Any] | None:
        """The first one that is wrong, and where it is."""
        here = places[part]
        if flags is None:
            at = find_if(part.how, here, lambda k: k < -n or k >= n)
        else:
            pairs = lazy.zip(here, flags[part])
            at = find_if(part.how, pairs, lambda pair: pair[1] != 0 and (pair[0] < -n or pair[0] >= n))
        return (part.lo + at, arrays.asnumpy(part.asarray(here)[at : at + 1])[0]) if at < len(part) else None

    for bad, value in (found for found in p.each("look", wrong) if found is not None):
        allowed = f"must be from {-n} to {n - 1}" if n else "no index is right"
        raise PlacementError(f"{p.algorithm}: indices[{bad}] is {value}, and {of} has {n} elements: {allowed}")


def _check_dtype(p: Parts, places: Data) -> None:
    if places.dtype.kind not in "iu":
        raise PlacementError(
            f"{p.algorithm}: indices has dtype {places.dtype}: must hold integers. Of a mask take pp.pack_index(...)"
        )


def output(
    p: Parts,
    out: Any,
    n: int,
    dtype: np.dtype,
    apart: list[tuple[str, Any]],
    like: list[tuple[str, Any]] | None = None,
    reads: bool = False,
    kernels: Sequence[Any] = (),
) -> Data:
    """The output: `out`, which must not overlap what is in `apart`, nor partly what is in `like`; or a new array."""
    if out is None:
        return p.new(n, dtype)
    if p.length(out, "out") != n:
        raise PlacementError(f"{p.algorithm}: out has length {len(out)}, must be {n}")
    arrays.spec_of(out, "out")
    given = np.dtype(out.dtype)
    integers = dtype.kind in "biu" and given.kind in "iu"
    if dtype != given and (dtype.names or given.names or not (integers or np.can_cast(dtype, given, "same_kind"))):
        raise PlacementError(
            f"{p.algorithm}: the result is {dtype} and out is {given}, which would lose information. "
            f"Pass out of dtype {dtype}"
        )
    return p.write(out, "out", like or [], apart, kernels, reads)
