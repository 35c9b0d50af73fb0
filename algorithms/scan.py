"""inclusive_scan, exclusive_scan and transform_scan: all prefixes of a sequence under an associative operator.

The sequence is cut into tiles of 4096, each tile into four quarters. The quarters are folded from left to
right (four independent chains hide the latency of an addition), then the tiles' totals from left to right
give every tile its carry; the prefixes of a quarter are folded from left to right, beginning with the carry
and the quarters before it. So the bits depend on neither threads, device nor parts. Where blocks may wait for each
other, one pass over memory does it: tiles are taken in order; each is folded, waits for the carry from the tile
before, hands on its own, and is scanned out of cache (chained scan: Yan, Long, Zhang, "StreamScan", 2013).
Elsewhere, and on several parts, three steps do: totals, carries, scans, on GPUs by groups of work-items (`scan_tiles`).
Parts tell each other one number for each tile, and the values of tiles that lie on several parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import divided, ops, parts, shares
from portapar.algorithms.for_each import for_each
from portapar.algorithms.scan_tiles import GroupSteps, fits
from portapar.arrays import asnumpy
from portapar.errors import PlacementError, flags
from portapar.few import FEW, MANY, MISS, Step, elements, steady
from portapar.kernel.front import atomic
from portapar.kernel.front.codec import codec
from portapar.kernel.front.lift import loops
from portapar.kernel.tiles import TILE
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy, seq
from portapar.values import Values


def inclusive_scan(
    policy: Policy | None, x: Any, op: Any = ops.plus, *, init: Any = None, axis: Any = None, out: Any = None
) -> Any:
    """``out[i] = init op x[0] op x[1] op … op x[i]``

    Parameters
    ----------
    policy : Policy
    x : array or Range
        One-dimensional (but for `axis`), of numbers, or of records of numbers: `op` is given the tuple of a record's
        fields. May be a view of any stride, such as ``x[::-1]``.
    op : callable
        A kernel of two values that returns one; must be associative up to rounding.
    init : number or tuple, optional
    axis : int, optional
        Of an array of several dimensions all prefixes along this axis, as `np.cumsum`; negative ones count from the
        last.
    out : array, optional
        Of the shape of `x`; may be `x` itself. By default a new array.

    Returns
    -------
    array
        `out`. A new one has the type that `op` settles on: sums of small integers are 64 bits wide.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    O(n) work: `op` is called twice for each element. The same bits on every executor; rounding may differ from a
    serial loop's, so that prefixes of numbers ≥ 0 may decrease by a rounding error. Along an axis tiles have 256
    elements; along the first one several parts send each other all of it, and back.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.inclusive_scan(pp.par, np.array([3, 1, 4, 1, 5]))
    array([ 3,  4,  8,  9, 14])
    >>> pp.inclusive_scan(pp.par, np.array([3, 1, 4, 1, 5]), op=pp.maximum)
    array([3, 3, 4, 4, 5])
    """
    return _run("inclusive_scan", policy, (x,), op, None, True, init, out, axis)


def exclusive_scan(
    policy: Policy | None, x: Any, op: Any = ops.plus, *, init: Any = None, axis: Any = None, out: Any = None
) -> Any:
    """``out[i] = init op x[0] op … op x[i - 1]``; ``out[0]`` is `init`.

    Parameters
    ----------
    policy, x, op, axis, out
        As for `inclusive_scan`.
    init : number or tuple, optional
        By default the identity of `op`; must be given if that has none.

    Returns
    -------
    array
        `out`, as of `inclusive_scan`.

    Notes
    -----
    O(n) work; the same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.exclusive_scan(pp.par, np.array([3, 1, 4, 1, 5]))
    array([0, 3, 4, 8, 9])
    """
    return _run("exclusive_scan", policy, (x,), op, None, False, init, out, axis)


def transform_scan(
    policy: Policy | None,
    *inputs: Any,
    transform: Any,
    op: Any = ops.plus,
    inclusive: bool = True,
    init: Any = None,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """The scan of ``transform(x[i], y[i], …)``.

    Parameters
    ----------
    policy : Policy
    *inputs : array, Range or number
        Of one dimension and one length; with `axis` of shapes that broadcast.
    transform : callable
        A kernel of one element of each input, that returns a number or a tuple of numbers.
    op, init, axis, out
        As for `inclusive_scan`.
    inclusive : bool
        False: as of `exclusive_scan`.

    Returns
    -------
    array
        `out`; a new one for tuples is of records with fields f0, f1, ….

    Notes
    -----
    O(n) work, in the pass that reads the inputs; the same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.transform_scan(pp.par, np.array([3, -1, 4, -1]), transform=lambda a: int(a > 0))
    array([1, 1, 2, 2])
    """
    flags("transform_scan", inclusive=inclusive)
    return _run("transform_scan", policy, inputs, op, transform, inclusive, init, out, axis)


def _run(
    name: str,
    policy: Policy | None,
    inputs: Any,
    op: Any,
    transform: Any,
    inclusive: bool,
    init: Any,
    out: Any,
    axis: Any,
) -> Any:
    if axis is not None:
        from portapar.algorithms.axes import axes_of  # which stand on others that scan
        from portapar.algorithms.axis_scans import scan_axis

        inputs, shape, (along, *others) = axes_of(name, inputs, axis)
        if others:
            raise PlacementError(f"{name}: axis is {axis!r}: must be one whole number")
        if len(shape) > 1:
            return scan_axis(name, policy, inputs, op, transform, inclusive, init, out, shape, along)
    return parts.run(
        name, policy, (*inputs, out), lambda p: _scan(p, Values(p, inputs, op, transform, init), inclusive, out),
        lambda step: _few(step, Values.few(inputs, op, transform, init, MANY), inclusive, out),
    )  # fmt: skip


def _few(step: Step, values: Values | None, inclusive: bool, out: Any) -> Any:
    """The scan of plain arrays; few elements are one tile."""
    if values is None or (out is not None and not elements(out, values.inputs[0], most=MANY)):
        return MISS
    start = values.identity if values.init is None and not inclusive else values.init
    if start is None and not inclusive:
        return MISS  # the long way says what is missing
    steps = _Steps(values, inclusive, start)
    aliases = {} if out is None else {"out": out, "like": values.inputs}
    if values.n > FEW:
        if step.part is None or not step.part.executor.device.can_wait:
            return MISS
        out = step.part.empty(values.n, values.dtype) if out is None else out
        if aliases:  # the step has an input once for each of its functions that reads it
            aliases["like"] = (*values.inputs,) * 4
        return out if steps.chained(values.at(), values.n, out, step.run, aliases) else MISS
    out = np.empty(values.n, values.dtype) if out is None else out
    name = values.steady("scan", out.dtype, inclusive, steps.started)
    if name is None:
        at = values.at()
        kernel, x = steps.tile(out.dtype, lambda i, x: at(i)), steps.start
    else:
        kernel, x = steady(name, lambda: steps.tile(out.dtype, values.taken())), values.inputs[0]
    return out if step(kernel, values.n, steps.start, x, out, **aliases) else MISS


def _scan(p: Parts, values: Values, inclusive: bool, out: Any) -> Any:
    start = values.init
    if start is None and not inclusive:
        start = values.identity
        if start is None:
            raise PlacementError(f"{p.algorithm}: op has no identity: pass init=, or op=pp.Monoid(op, identity)")
    p.recut((values.n,))
    result = values.write(p, out)
    found = p.few(*values.functions)
    if found is not MISS:
        return found
    values.read(p)
    if p.count > 1:
        for k, span in enumerate(shares.spans(p.cuts)):
            head, inside, tail = (hi - lo for lo, hi in divided.spans(*span, values.n))
            size = (head + -(-inside // TILE) + tail) * values.dtype.itemsize
            p.carries(k, 0, size)
            p.told(size * (p.count - 1))
    steps = {part.number: _Steps(values, inclusive, start).on(part, result) for part in p.own}
    heavy = any(map(loops, values.kernels))  # tiles in strides: Ctrl-C is heard between them
    if p.count == 1 and not heavy and p.own[0].executor.device.can_wait:
        p.each("scan", lambda part: steps[0].chained(values.at(part), len(part), result[part], part.run, {}))
    else:
        # told to all: the folds of the tiles that a part has whole, and the values of those that it shares
        told = p.each("totals", lambda part: steps[part.number].totals())
        p.each("scan", lambda part: steps[part.number].scan(told))
    return p.give(result)


class _Steps:
    """The steps of a scan on one part."""

    def __init__(self, values: Values, inclusive: bool, start: Any) -> None:
        self.values = values
        self.pick = _after if inclusive else _before
        self.started = int(start is not None)
        self.start = np.zeros(1, values.dtype)
        if start is not None:
            self.start[0] = start

    def on(self, part: LocalPart, result: Data) -> _Steps:
        """The same, on that part."""
        self.part, self.result = part, result
        self.n, self.before = len(part), part.lo % TILE  # elements of the first tile that earlier parts have
        self.tiles = -(-(self.before + self.n) // TILE) if self.n else 0
        return self

    def tile(self, dtype: np.dtype, at: Any) -> Any:
        """The kernel that scans a tile of all elements ``at(i, x)``, into an output of that dtype."""
        pick, store = self.pick, codec(dtype).store
        op, load, started = self.values.op, self.values.load, self.started

        def scan(_: int, n: int, start: Any, x: Any, out: Any) -> None:
            acc, first = load(0, start), 0
            if started == 0:
                acc, first = at(0, x), 1
                store(0, out, acc)
            for i in range(first, n):
                after = op(acc, at(i, x))
                store(np.uint64(i), out, pick(acc, after))
                acc = after

        return scan

    def chained(self, at: Any, n: int, out: Any, run: Any, aliases: dict[str, Any]) -> bool:
        """All in one pass: four tiles at a time are folded, wait for the carry of those before, and are scanned.

        The four are independent, which hides the latency of `op`. Whether `run`, of a part or a step, did run.
        """
        values, started = self.values, self.started
        op, load, store = values.op, values.load, values.store
        _, begin, step = self.kernels(at, out.dtype)

        def scan(_: int, n: int, marks: Any, carries: Any, out: Any) -> None:
            group = atomic.add(marks, 0, 1)  # in order: those before have been taken by threads that run
            lo = group * (4 * TILE)
            has = started + group > 0
            whole = lo + 4 * TILE <= n
            a = b = c = d = at(lo)
            if whole:
                b, c, d = at(lo + TILE), at(lo + 2 * TILE), at(lo + 3 * TILE)
                for i in range(lo + 1, lo + TILE):
                    a = op(a, at(i))
                    b = op(b, at(i + TILE))
                    c = op(c, at(i + 2 * TILE))
                    d = op(d, at(i + 3 * TILE))
            while group > 0 and atomic.add(marks, group, 0) == 0:
                pass
            carry = load(group, carries)
            if whole:
                a = op(carry, a) if has else a
                b = op(a, b)
                c = op(b, c)
                if lo + 4 * TILE < n:
                    store(group + 1, carries, op(c, d))
                    atomic.exchange(marks, group + 1, 1)
                x = begin(lo, has, carry, out)
                a = step(lo + TILE, a, out)
                b = step(lo + 2 * TILE, b, out)
                c = step(lo + 3 * TILE, c, out)
                for i in range(lo + 1, lo + TILE):
                    x = step(i, x, out)
                    a = step(i + TILE, a, out)
                    b = step(i + 2 * TILE, b, out)
                    c = step(i + 3 * TILE, c, out)
            else:
                while lo < n:
                    hi = min(n, lo + TILE)
                    a = at(lo)
                    x = begin(lo, has, carry, out)
                    for i in range(lo + 1, hi):  # neither waits for the other; an element may be its own output
                        a = op(a, at(i))
                        x = step(i, x, out)
                    carry = op(carry, a) if has else a
                    has = True
                    lo = hi

        groups = -(-n // (4 * TILE))
        marks, carries = np.zeros(groups + 1, np.int64), np.empty(groups + 1, values.dtype)
        carries[0] = self.start[0]
        return run(groups, scan, n, marks, carries, out, work=n, **aliases)

    def totals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The values that this part has of a tile begun earlier, the folds of its own, the values of its last one.

        The last two are empty where there is no such tile; a tile that ends with the part is folded, not told.
        """
        store, at = self.values.store, self.values.at(self.part)
        op, load = self.values.op, self.values.load

        def totals(tile: int, a: int, b: int, n: int, begin: int, sums: Any) -> None:
            lo = begin + tile * TILE
            first, end = lo + a, min(n, lo + b)
            if first < end:
                acc = load(tile, sums) if a > 0 else at(lo)
                for i in range(max(first, lo + 1), end):
                    acc = op(acc, at(i))
                store(tile, sums, acc)

        def collect(i: int, begin: int, found: Any) -> None:
            store(i, found, at(begin + i))

        def between(lo: int, hi: int) -> np.ndarray:
            found = self.part.empty(hi - lo, self.values.dtype)
            if hi > lo:
                for_each(self.part.how, hi - lo, collect, lo, found)
            return asnumpy(found)

        head, inside, tail = (tuple(place - self.part.lo for place in span) for span in self.spans())
        count = -(-(inside[1] - inside[0]) // TILE)
        sums = self.part.empty(count, self.values.dtype)
        if count and self.part.shares and fits(self.values.dtype):
            GroupSteps(self.part, self.values, at).totals(inside[1], inside[0], sums)
        elif count:
            for a, b in self.part.strides(TILE, self.values.kernels):
                self.part.run(count, totals, a, b, inside[1], inside[0], sums)
        return between(*head), asnumpy(sums), between(*tail)

    def spans(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Where those lie."""
        return divided.spans(self.part.lo, self.part.hi, self.values.n)

    def scan(self, told: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
        """The scan of every tile, from what all parts told."""
        values, part, started = self.values, self.part, self.started
        op, load, store = values.op, values.load, values.store
        _, begin, step = self.kernels(values.at(part), self.result.dtype)

        def fold(_: int, found: Any, sums: Any) -> None:
            acc = load(0, found)
            for k in range(1, len(found)):
                acc = op(acc, load(k, found))
            store(0, sums, acc)

        def carry(_: int, first: int, sums: Any, before: Any, carries: Any) -> None:
            acc = load(0, carries)
            for k in range(first + len(carries)):
                if k >= first:
                    store(k - first, carries, acc)
                if k < len(sums):
                    acc = op(acc, load(k, sums)) if started + k > 0 else load(k, sums)
            acc = load(0, carries)
            for k in range(len(before)):  # of its first tile, what earlier parts have
                acc = op(acc, load(k, before)) if started + first + k > 0 else load(k, before)
            store(0, carries, acc)

        def scan(tile: int, a: int, b: int, n: int, first: int, before: int, carries: Any, out: Any) -> None:
            lo = max(0, tile * TILE - before)
            end = min(n, tile * TILE + TILE - before, lo + b)
            if lo + a < end:
                has = started + first + tile + (before if tile == 0 else 0) > 0
                acc = load(tile, carries)
                acc = step(lo + a, acc, out) if a > 0 else begin(lo, has, acc, out)
                for i in range(lo + a + 1, end):
                    acc = step(i, acc, out)
                store(tile, carries, acc)

        if self.tiles:
            sums = []
            before = waiting = np.empty(0, values.dtype)  # the values of a tile that lies on several parts, so far
            for head, inside, tail in told[: part.number + 1]:
                before, waiting = waiting, np.concatenate([waiting, head])
                if len(waiting) == TILE:
                    sums.append(np.empty(1, values.dtype))
                    for_each(seq, 1, fold, waiting, sums[-1])
                    waiting = waiting[:0]
                sums.append(inside)
                waiting = np.concatenate([waiting, tail])
            carries = np.repeat(self.start, self.tiles)
            first = part.lo // TILE
            for_each(seq, 1, carry, first, np.concatenate(sums), before, carries)
            placed, out = part.asarray(carries), self.result[part]
            if part.shares and fits(values.dtype):
                has = int(started + first + self.before > 0)
                GroupSteps(part, values, values.at(part)).scan(self.n, has, self.before, placed, self.pick, out)
            else:
                for a, b in part.strides(TILE, values.kernels):
                    part.run(self.tiles, scan, a, b, self.n, first, self.before, placed, out)

    def kernels(self, at: Any, dtype: np.dtype) -> tuple[Any, Any, Any]:
        """What is done with a tile, into an output of that dtype.

        Its fold; the first prefix, with a carry or without; each other prefix.
        """
        op, pick, store = self.values.op, self.pick, codec(dtype).store

        def total(lo: int, hi: int) -> Any:
            acc = at(lo)
            for i in range(lo + 1, hi):
                acc = op(acc, at(i))
            return acc

        def step(i: int, acc: Any, out: Any) -> Any:
            after = op(acc, at(i))
            store(np.uint64(i), out, pick(acc, after))
            return after

        def begin(lo: int, has: bool, carry: Any, out: Any) -> Any:
            if has:
                return step(lo, carry, out)
            acc = at(lo)
            store(np.uint64(lo), out, acc)
            return acc

        return total, begin, step


def _before(before: Any, after: Any) -> Any:
    return before


def _after(before: Any, after: Any) -> Any:
    return after
