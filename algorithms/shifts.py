"""shift_left, shift_right, transpose, gather_if, scatter_if: elements in other places, or some of them.

Each is one pass over its elements: O(n) work. A transpose goes through squares of elements, so that both what it reads
and what it writes stay in cache; on several parts each sends the others the blocks that become their rows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, elementwise, outputs, parts, shares
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.moves import check_indices, output, put_one, scatter, take_one, tell_scattered
from portapar.algorithms.transform import copy, fill
from portapar.errors import ArgumentError, of_kind
from portapar.few import MANY, MISS, Step, elements, plain
from portapar.kernel.front import atomic
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy

_SQUARE: Final = 64  #: rows and columns of what is transposed in one go
_STRIP: Final = (
    8  #: rows at a time: what they become fills lines of the cache, and few lines of a large stride are open
)


def shift_left(policy: Policy | None, x: Any, k: int, fill: Any = 0, *, out: Any = None) -> Any:
    """``out[i] = x[i + k]``, and `fill` where there is none.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    k : int
        From 0 on.
    fill : number
        What the last `k` elements become.
    out : array, optional
        As long as `x`; must not overlap it. By default a new array.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.shift_left(pp.par, np.array([1, 2, 3, 4]), 1)
    array([2, 3, 4, 0])
    """
    return parts.run("shift_left", policy, (x, out), lambda p: _shift(p, x, k, 1, fill, out), whole=((), (k, fill)))


def shift_right(policy: Policy | None, x: Any, k: int, fill: Any = 0, *, out: Any = None) -> Any:
    """``out[i] = x[i - k]``, and `fill` where there is none; else as `shift_left`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.shift_right(pp.par, np.array([1, 2, 3, 4]), 1, fill=9)
    array([9, 1, 2, 3])
    """
    return parts.run("shift_right", policy, (x, out), lambda p: _shift(p, x, k, -1, fill, out), whole=((), (k, fill)))


def transpose(policy: Policy | None, x: Any, *, out: Any = None) -> Any:
    """``out[j, i] = x[i, j]``

    `x.T` is a view of the same memory, which NumPy makes at no cost; this moves the elements, so that rows become
    contiguous.

    Parameters
    ----------
    policy : Policy
    x : array
        Two-dimensional.
    out : array, optional
        Of the dtype of `x` and its shape in reversed order; must not overlap it. By default a new array.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.transpose(pp.par, np.array([[1, 2, 3], [4, 5, 6]]))
    array([[1, 4],
           [2, 5],
           [3, 6]])
    """
    return parts.run("transpose", policy, (x, out), lambda p: _transpose(p, x, out), whole=((), ()))


def gather_if(policy: Policy | None, x: Any, indices: Any, stencil: Any, out: Any) -> Any:
    """``out[i] = x[indices[i]]`` where ``stencil[i]`` is true; other elements of `out` stay as they are.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional. On several parts each sees the whole of it.
    indices : array
        One-dimensional, integers; negative ones count from the end of `x`. Where `stencil` is false they may be
        anything.
    stencil : array
        As long as `indices`, of booleans or integers. `pp.lazy.transform` makes one of a predicate.
    out : array
        As long as `indices`; must not overlap the others.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        For an index out of range among others; `out` is as it was then.

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> indices = np.array([2, -9, 0])
    >>> known = pp.lazy.transform(indices, lambda k: k >= 0)
    >>> pp.gather_if(pp.par, np.array([10, 20, 30]), indices, known, np.zeros(3, int))
    array([30,  0, 10])
    """
    given = indices, x, stencil, out
    return parts.run(
        "gather_if", policy, given, lambda p: _gather_if(p, x, indices, stencil, out),
        lambda step: _move_few(step, _take_some, len(x), x, indices, stencil, out, out) if plain(x) else MISS,
    )  # fmt: skip


def scatter_if(policy: Policy | None, x: Any, indices: Any, stencil: Any, out: Any) -> Any:
    """``out[indices[i]] = x[i]`` where ``stencil[i]`` is true; other elements of `out` stay as they are.

    Parameters
    ----------
    policy, x, indices, out
        As for `scatter`; where `stencil` is false indices may be anything.
    stencil : array
        As long as `x`, of booleans or integers.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        For an index out of range among others; `out` is as it was then.

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> keep = np.array([True, False, True])
    >>> pp.scatter_if(pp.par, np.array([10, 20, 30]), np.array([3, 99, 0]), keep, np.zeros(4, int))
    array([30,  0,  0, 10])
    """
    given = x, indices, stencil, out
    return parts.run(
        "scatter_if", policy, given, lambda p: _scatter_if(p, x, indices, stencil, out),
        lambda step: _move_few(step, _put_some, len(out), x, indices, stencil, x, out) if plain(out) else MISS,
    )  # fmt: skip


def _shift(p: Parts, x: Any, k: Any, sign: int, value: Any, out: Any) -> Any:
    n = p.length(x, "x")
    shift = sign * min(arrays.whole_number(f"{p.algorithm}: k", k), n)
    data = p.stored(x, "x")
    if data.dtype.names is not None:
        raise ArgumentError(f"{p.algorithm}: x has dtype {data.dtype}: must hold numbers, as `fill` is one")
    number = _number(p, value, data.dtype)
    result = output(p, out, n, data.dtype, [("x", x)])

    def within(place: int) -> int:
        return min(max(place + shift, 0), n)

    got = p.rows("fetch", data, lambda k: [(within(p.cuts[k]), within(p.cuts[k + 1]))], instead=True)

    def move(part: LocalPart) -> None:
        (rows,), there = got[part.number], result[part]
        begin = 0 if shift >= 0 else len(part) - len(rows)  # where the elements come; fill before or behind them
        if len(rows):
            copy(part.how, rows, out=there[begin : begin + len(rows)])
        rest = there[len(rows) :] if shift >= 0 else there[:begin]
        if len(rest):
            fill(part.how, rest, number)

    p.each("move", move)
    return p.give(result)


def _number(p: Parts, value: Any, dtype: np.dtype) -> Any:
    """A number of that dtype: integers exactly, floats rounded."""
    if isinstance(value, arrays.SCALARS) and (dtype.kind == "c" or not np.iscomplexobj(value)):
        try:
            number = dtype.type(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is not None and (dtype.kind in "fc" or number == value):
            return number
    raise ArgumentError(f"{p.algorithm}: fill is {value!r}: must be a number that {dtype} can hold")


def _transpose(p: Parts, x: Any, out: Any) -> Any:
    data = p.read(x, "x")
    if len(data.shape) != 2:
        raise ArgumentError(
            f"transpose: x has shape {data.shape}: must have two dimensions. Of others "
            "pp.copy(policy, np.transpose(x, axes)) moves the elements"
        )
    n, m = data.shape
    if out is not None and arrays.is_scalar(arrays.normal(out, "out")):
        raise ArgumentError(f"transpose: out is {out!r}, {of_kind(out)}: must be an array")
    if out is not None:
        arrays.spec_of(arrays.normal(out, "out"), "out")
    if out is not None and (tuple(out.shape) != (m, n) or out.dtype != data.dtype):
        raise ArgumentError(
            f"transpose: out has shape {tuple(out.shape)} and dtype {out.dtype}: must have {(m, n)} and {data.dtype}"
        )
    cuts = out.cuts if isinstance(out, PartitionedArray) else shares.cut_rows(m, p.executor.weights)
    first = p.cuts

    def send(part: LocalPart) -> list[Any]:
        """To each part the columns that become its rows."""
        here = data[part] if p.count == 1 else arrays.asnumpy(data[part])
        return [here[:, lo:hi] for lo, hi in shares.spans(cuts)] if p.count > 1 else [here]

    if isinstance(data.value, np.ndarray) and p.count > 1:  # of which everybody has all
        got = {part.number: [data.value[:, cuts[part.number] : cuts[part.number + 1]]] for part in p.own}
        first = (0,)
    else:
        if p.survey is not None and p.kind == "numpy":
            room = np.broadcast_to(np.empty((), data.dtype), (m, n)) if out is None else out  # no memory
            p.note(room, "the result" if out is None else "out", into=False, out=True)
        sides = list(zip(shares.spans(first), shares.spans(cuts), strict=True)) if p.count > 1 else []
        for k, ((begin, end), (lo, hi)) in enumerate(sides):
            p.carries(k, n * (hi - lo) * data.dtype.itemsize, m * (end - begin) * data.dtype.itemsize)
        p.told(sum((end - begin) * (m - hi + lo) for (begin, end), (lo, hi) in sides) * data.dtype.itemsize)
        got = p.alltoall("send", send)
    p.cuts = tuple(cuts)
    result = p.new((m, n), data.dtype) if out is None else p.write(out, "out", [], [("x", x)])

    def turn(part: LocalPart) -> None:
        for begin, block in zip(first, got[part.number], strict=False):
            if block.shape[0] and block.shape[1]:
                _turn(part, part.asarray(block), begin, result[part])

    p.each("turn", turn)
    return p.give(result)


def _turn(part: LocalPart, x: Any, begin: int, out: Any) -> None:
    """``out[j, begin + i] = x[i, j]``"""
    n, m = x.shape

    def square(row: int, column: int, begin: int, n: int, m: int, x: Any, out: Any) -> None:
        i, stop = row * _SQUARE, min(n, row * _SQUARE + _SQUARE)
        lo, hi = column * _SQUARE, min(m, column * _SQUARE + _SQUARE)
        while i + _STRIP <= stop:
            for j in range(lo, hi):
                for k in range(_STRIP):
                    out[np.uint64(j), np.uint64(begin + i + k)] = x[np.uint64(i + k), np.uint64(j)]
            i += _STRIP
        while i < stop:
            for j in range(lo, hi):
                out[np.uint64(j), np.uint64(begin + i)] = x[np.uint64(i), np.uint64(j)]
            i += 1

    def element(j: int, i: int, begin: int, x: Any, out: Any) -> None:
        out[j, begin + i] = x[i, j]

    if part.width >= 1024:  # a GPU
        for_each(part.how, (m, n), element, begin, x, out)
    else:
        for_each(part.how, (-(-n // _SQUARE), -(-m // _SQUARE)), square, begin, n, m, x, out)


def _move_few(step: Step, move: Any, length: int, x: Any, indices: Any, stencil: Any, other: Any, out: Any) -> Any:
    """By remembered steps; `indices` are of `length` elements, and there are as many as `other` has."""
    n, part = elements(indices, stencil, other, most=MANY), step.part
    if not n or part is None or indices.dtype.kind not in "iu" or stencil.dtype.kind not in "biu":
        return MISS
    (blocks, size), wrong = part.blocks(n), np.zeros(1, np.int64)
    if not step.run(blocks, _look, size, length, indices, stencil, wrong, work=n) or wrong[0]:
        return MISS  # the long way says which one is wrong
    return out if step.run(blocks, move, size, length, x, indices, stencil, out, work=n, out=out) else MISS


def _look(block: int, size: int, n: int, places: Any, flags: Any, wrong: Any) -> None:
    bad = 0
    for i in range(block * size, min(len(places), (block + 1) * size)):
        k = places[np.uint64(i)]
        bad += 1 if flags[np.uint64(i)] != 0 and (k < -n or k >= n) else 0
    if bad > 0:
        atomic.add(wrong, 0, bad)


def _take_some(block: int, size: int, n: int, x: Any, places: Any, flags: Any, out: Any) -> None:
    for i in range(block * size, min(len(places), (block + 1) * size)):
        if flags[np.uint64(i)] != 0:
            take_one(i, n, x, places, out)


def _put_some(block: int, size: int, n: int, x: Any, places: Any, flags: Any, out: Any) -> None:
    for i in range(block * size, min(len(places), (block + 1) * size)):
        if flags[np.uint64(i)] != 0:
            put_one(i, n, x, places, out)


def _gather_if(p: Parts, x: Any, indices: Any, stencil: Any, out: Any) -> Any:
    p.recut((p.length(indices, "indices"),), indices)
    n = p.length(x, "x")
    places, flags, table = p.vector(indices, "indices"), _flags(p, stencil), p.replicated(x, "x")
    apart = [("x", x), ("indices", indices), ("stencil", stencil)]
    result = output(p, out, len(places), table.dtype, apart, reads=True)
    check_indices(p, places, n, "x", flags)
    found = p.few()
    if found is not MISS:
        return found

    def take(i: int, n: int, x: Any, places: Any, flags: Any, out: Any) -> None:
        if flags[np.uint64(i)] != 0:
            take_one(i, n, x, places, out)

    def step(part: LocalPart) -> None:
        if len(part):
            for_each(part.how, len(part), take, n, table[part], places[part], flags[part], result[part])

    p.each("take", step)
    return p.give(result)


def _scatter_if(p: Parts, x: Any, indices: Any, stencil: Any, out: Any) -> Any:
    m, n = p.length(indices, "indices"), p.length(out, "out")
    if p.length(x, "x") != m:
        raise ArgumentError(f"scatter_if: x has {p.length(x, 'x')} elements, and there are {m} indices")
    data, places, flags = p.vector(x, "x"), p.vector(indices, "indices"), _flags(p, stencil)
    p.note(out, "out", out=True)
    for dtype in (data.dtype, places.dtype) * (p.count > 1):
        p.expects(m, dtype)
    tell_scattered(p, m, data.dtype.itemsize + places.dtype.itemsize)
    check_indices(p, places, n, "out", flags)
    apart = [("x", x), ("indices", indices), ("stencil", stencil)]
    if p.count > 1:
        outputs.check_memory("scatter_if", arrays.normal(out, "out"))
        outputs.check_apart("scatter_if", arrays.normal(out, "out"), apart=apart)
        some, theirs = (copy_if(p.how, y, elementwise.identity, stencil=stencil) for y in (x, indices))
        return scatter(p.how, some, theirs, out)
    p.cuts = (0, n)
    result = output(p, out, n, data.dtype, apart, reads=True)
    found = p.few()
    if found is not MISS:
        return found
    (part,) = p.own

    def put(i: int, n: int, x: Any, places: Any, flags: Any, out: Any) -> None:
        if flags[np.uint64(i)] != 0:
            put_one(i, n, x, places, out)

    for_each(part.how, m, put, n, data[part], places[part], flags[part], result[part])
    return p.give(result)


def _flags(p: Parts, stencil: Any) -> Any:
    flags = p.vector(stencil, "stencil")
    if flags.dtype.kind not in "biu":
        raise ArgumentError(
            f"{p.algorithm}: stencil has dtype {flags.dtype}: must be booleans or integers. Pass stencil != 0"
        )
    return flags
