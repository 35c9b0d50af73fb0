"""segmented_reduce and segmented_scan: a reduction or all prefixes of every segment of a sequence.

Blocks of work fold the pieces of segments that begin in them (see `segments`); the pieces of a long segment are
combined from left to right in a second step. So the order of a fold depends on nothing but the segment's length, and
sums have the same bits on every device, on any number of threads and parts, wherever the segment lies.

On several parts each holds some elements. A segment is reduced by the part that it begins in, which is sent
the values that later parts have of it: at most one segment crosses each border. Scans of such a segment go on in each
part from what the pieces before fold to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, ops, parts, shares
from portapar.algorithms import segments
from portapar.algorithms.for_each import for_each
from portapar.algorithms.segment_steps import Steps, chained, first_value, fold_from, keep_after, keep_before
from portapar.algorithms.segments import Segments
from portapar.devices import simd
from portapar.errors import PlacementError, flags
from portapar.few import FEW, MANY, MISS, Step, elements, steady
from portapar.kernel.front.codec import as_scalars, codec
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Data, Parts
from portapar.policy import Policy, par
from portapar.values import Values


def segmented_reduce(
    policy: Policy | None,
    offsets: Any,
    *inputs: Any,
    op: Any = ops.plus,
    transform: Any = None,
    init: Any = None,
    out: Any = None,
) -> Any:
    """``out[s] = init op f(x[i], y[i], …) op …`` over the elements i of every segment s, with f = `transform`.

    Parameters
    ----------
    policy : Policy
    offsets : array of integers
        Where the segments begin, and where the last one ends: segment s has the elements ``offsets[s]`` to
        ``offsets[s + 1]``, and may have none. Elements before the first segment and behind the last are not used.
        On ranks every one passes all offsets (a `PartitionedArray` is gathered).
    *inputs : array, Range or number
        One-dimensional, of one length; of numbers, or of records of numbers.
    op : callable
        A kernel of two values, numbers or tuples of numbers, that returns one; must be associative and commutative up
        to rounding, or a `Monoid` that says that it does not commute.
    transform : callable, optional
        A kernel of one element of each input, that returns a number or a tuple of numbers; the element itself by
        default.
    init : number or tuple, optional
        Needed if `op` has no identity and there are empty segments: that is what these get.
    out : array, optional
        As long as there are segments; must not overlap what is read. By default a new array.

    Returns
    -------
    array
        `out`. A new one has the type that `op` settles on: sums of small integers are 64 bits wide. If the inputs
        are a `PartitionedArray`, so is it.

    Raises
    ------
    KernelError
    PlacementError
        Also for offsets that decrease or are out of range; nothing is written then.

    Notes
    -----
    O(n + segments) work, in balance whatever the segments' lengths are. The same bits on every executor: neighbours
    are combined first where `reduce` does so. Short segments are faster if `op` has an identity. An index of unknown
    sign costs Python's wrap-around of negative ones, which shows where all else is cheap: if there are no negative
    columns, ``x[np.uint32(j)]`` is faster in the second example.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.segmented_reduce(pp.par, np.array([0, 2, 2, 5]), np.array([3, 1, 4, 1, 5]))
    array([ 4,  0, 10])

    The product of a sparse matrix (`data` and `columns` of its elements, row after row) and a vector:

    >>> offsets, columns, data = np.array([0, 1, 3]), np.array([1, 0, 1]), np.array([2.0, 3.0, 4.0])
    >>> x = np.array([10.0, 1.0])
    >>> pp.segmented_reduce(pp.par, offsets, data, columns, transform=lambda a, j: a * x[j])
    array([ 2., 34.])
    """
    offsets = arrays.normal(offsets, "offsets")
    given = [x for x in (offsets, out) if not isinstance(x, PartitionedArray)]
    return parts.run(
        "segmented_reduce", policy, (*inputs, *given),
        lambda p: _reduce(p, offsets, Values(p, inputs, op, transform, init), out),
        lambda step: reduce_few(step, offsets, Values.few(inputs, op, transform, init, MANY), out),
    )  # fmt: skip


def segmented_scan(
    policy: Policy | None,
    offsets: Any,
    x: Any,
    op: Any = ops.plus,
    *,
    inclusive: bool = True,
    init: Any = None,
    out: Any = None,
) -> Any:
    """All prefixes of every segment, as `inclusive_scan` or `exclusive_scan` has them of one.

    Parameters
    ----------
    policy : Policy
    offsets : array of integers
        As for `segmented_reduce`; the segments must cover `x`.
    x : array or Range
        One-dimensional, of numbers, or of records of numbers.
    op : callable
        As for `segmented_reduce`.
    inclusive : bool
        Whether element i is part of prefix i.
    init : number or tuple, optional
        What every segment begins with. For exclusive scans by default the identity of `op`; must be given if that has
        none.
    out : array, optional
        As long as `x`; may be `x` itself. By default a new array.

    Returns
    -------
    array
        `out`, of the type that `op` settles on.

    Raises
    ------
    KernelError, PlacementError

    Notes
    -----
    O(n + segments) work. The same bits on every executor.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.segmented_scan(pp.par, np.array([0, 2, 2, 5]), np.array([3, 1, 4, 1, 5]))
    array([ 3,  4,  4,  5, 10])
    """
    flags("segmented_scan", inclusive=inclusive)
    offsets = arrays.normal(offsets, "offsets")
    return parts.run(
        "segmented_scan", policy, (x, offsets, out),
        lambda p: _scan(p, offsets, Values(p, (x,), op, None, init), inclusive, out),
        lambda step: scan_few(step, offsets, Values.few((x,), op, None, init, MANY), inclusive, out),
    )  # fmt: skip


# reduce -------------------------------------------------------------------------------------------


def _reduce(p: Parts, offsets: Any, values: Values, out: Any) -> Any:
    p.recut((values.n,))
    values.read(p)
    p.expects(p.length(offsets, "offsets") - 1, values.dtype)
    _tell_borders(p, values, values.n)
    given = segments.find(p, offsets, values.n)
    start = values.identity if values.init is None else values.init
    if start is None and given.count and given.shortest == 0:
        raise PlacementError(
            f"{p.algorithm}: there are empty segments, and op has no identity: pass init=, or "
            "op=pp.Monoid(op, identity)"
        )
    if out is not None:
        _check_out(p, offsets, values, given.count, out)
        p.recut((values.n,))
    pieces = p.own
    if p.count > 1 or p.kind == "partitioned":
        return _reduce_parts(p, values, given, start, out)
    found = p.few(*values.functions)
    if found is not MISS:
        return found
    at = values.at(pieces[0])
    p.recut((given.count,))
    result = p.new(given.count, values.dtype) if out is None else p.write(out, "out")

    def step(part: LocalPart) -> None:
        Steps(part, values, at, given, given.offsets[part], start).reduce(result[part])

    p.each("reduce", step)
    return p.give(result)


def _tell_borders(p: Parts, values: Values, most: int) -> None:
    """For the plan: so many elements at most does a part get of a segment that a cut divides, if there are as many."""
    if p.survey is None or p.count == 1:
        return
    size = values.dtype.itemsize
    for k, (lo, hi) in enumerate(shares.spans(p.cuts)):
        others = max(min(most, values.n - hi), min(most, lo) if most < values.n else 0)
        p.carries(k, size * (others + min(most, hi - lo)), size * min(most, hi - lo))
        p.told(size * others, most=True)
    p.survey.most = True


def _check_out(p: Parts, offsets: Any, values: Values, count: int, out: Any) -> None:
    values.fits(p, out, count)
    if isinstance(out, PartitionedArray) != (p.kind == "partitioned"):
        what = "the inputs are partitioned and out is not" if p.kind == "partitioned" else "out is, the inputs are not"
        raise PlacementError(f"{p.algorithm}: {what}: must be both. Pass {p.executor!r}.asarray(...) of the other")
    if isinstance(out, np.ndarray):
        p.recut((count,))
        p.write(out, "out", (), [("offsets", offsets), *values.arrays()], values.kernels)


# few elements, of which every segment is one piece ------------------------------------------------


def reduce_few(step: Step, offsets: Any, values: Values | None, out: Any) -> Any:
    if values is None or not elements(offsets, least=2, most=MANY) or not _fits(out, len(offsets) - 1):
        return MISS
    given = values.identity if values.init is None else values.init
    if values.n > FEW or len(offsets) > FEW:
        return _reduce_many(step, offsets, values, given, out)
    aliases = {} if out is None else {"out": out}
    out = np.empty(len(offsets) - 1, values.dtype) if out is None else out
    right, has = np.empty(1, np.int64), given is not None
    name = None if values.init is not None else values.steady("segmented_reduce", out.dtype, has)
    if name is None:
        at = values.at()
        kernel, x = _reduction(values, lambda i, x, base: at(i), out.dtype, given), right
    else:
        at = values.taken()
        kernel = steady(name, lambda: _reduction(values, lambda i, x, base: at(i, x), out.dtype, given))
        x = values.inputs[0]
    return out if step(kernel, values.n, offsets, x, out, right, **aliases) and right[0] else MISS


def _reduction(values: Values, at: Any, dtype: np.dtype, given: Any) -> Any:
    """The kernel that reduces few segments of elements ``at(i, x, 0)``, from `given` on, into that dtype."""
    fold, keep, start = fold_from(values, at), codec(dtype).store, first_value(values, given)
    started, empties = values.init is not None, int(given is not None)
    join, bare = values.op if started else keep_after, int(not started or not chained(values))

    def reduce(_: int, n: int, offsets: Any, x: Any, out: Any, right: Any) -> None:
        right[0] = segments.fit(offsets, n, empties)
        if right[0] == 1:
            for s in range(len(offsets) - 1):
                lo, hi = int(offsets[np.uint64(s)]), int(offsets[np.uint64(s + 1)])
                if bare and lo == hi:
                    keep(np.uint64(s), out, start)
                else:
                    keep(np.uint64(s), out, join(start, fold(lo, hi, x, 0)))

    return reduce


def scan_few(step: Step, offsets: Any, values: Values | None, inclusive: bool, out: Any) -> Any:
    if values is None or not elements(offsets, least=2, most=MANY) or not _fits(out, values.n):
        return MISS
    given = values.identity if values.init is None and not inclusive else values.init
    if given is None and not inclusive:
        return MISS  # the long way says what is missing
    if values.n > FEW or len(offsets) > FEW:
        return _scan_many(step, offsets, values, given, inclusive, out)
    aliases = {} if out is None else {"out": out, "like": values.inputs}
    out = np.empty(values.n, values.dtype) if out is None else out
    right, has = np.empty(1, np.int64), given is not None
    name = None if values.init is not None else values.steady("segmented_scan", out.dtype, inclusive, has)
    if name is None:
        at = values.at()
        kernel, x = _scanning(values, lambda i, x: at(i), out.dtype, inclusive, given), right
    else:
        kernel = steady(name, lambda: _scanning(values, values.taken(), out.dtype, inclusive, given))
        x = values.inputs[0]
    return out if step(kernel, values.n, offsets, x, out, right, **aliases) and right[0] else MISS


def _scanning(values: Values, at: Any, dtype: np.dtype, inclusive: bool, given: Any) -> Any:
    """The kernel that scans few segments of elements ``at(i, x)``, from `given` on, into that dtype."""
    op, keep, start = values.op, codec(dtype).store, first_value(values, given)
    pick, has = keep_after if inclusive else keep_before, int(given is not None)

    def scan(_: int, n: int, offsets: Any, x: Any, out: Any, right: Any) -> None:
        right[0] = segments.fit(offsets, n, 1) if offsets[0] == 0 and offsets[len(offsets) - 1] == n else 0
        if right[0] == 1:
            for s in range(len(offsets) - 1):
                i, hi = int(offsets[np.uint64(s)]), int(offsets[np.uint64(s + 1)])
                acc = start
                if not has and i < hi:
                    acc = at(i, x)
                    keep(np.uint64(i), out, acc)
                    i += 1
                while i < hi:
                    after = op(acc, at(i, x))
                    keep(np.uint64(i), out, pick(acc, after))
                    acc = after
                    i += 1

    return scan


def _fits(out: Any, n: int) -> bool:
    """Whether it is a plain array of that length, or None."""
    return out is None or (elements(out, most=MANY) == n and n > 0)


def _reduce_many(step: Step, offsets: Any, values: Values, start: Any, out: Any) -> Any:
    given = segments.found(step, offsets, values.n)
    if given is None or (start is None and given.shortest == 0):
        return MISS  # the long way says what is wrong
    part, aliases = step.part, {} if out is None else {"out": out}
    assert part is not None
    out = part.empty(given.count, values.dtype) if out is None else out
    made = Steps(part, values, values.at(), given, offsets, start, step.run).reduce(out, aliases)
    return out if made else MISS


def _scan_many(step: Step, offsets: Any, values: Values, start: Any, inclusive: bool, out: Any) -> Any:
    given = segments.found(step, offsets, values.n)
    if given is None or (given.begin, given.end) != (0, values.n):
        return MISS
    part = step.part
    assert part is not None
    aliases = {} if out is None else {"out": out, "like": (*values.inputs, *values.inputs)}  # which the step has twice
    out = part.empty(values.n, values.dtype) if out is None else out
    steps = Steps(part, values, values.at(), given, offsets, start, step.run)
    return out if steps.scan(inclusive, start is not None, out, aliases) else MISS


# several parts ------------------------------------------------------------------------------------


def _reduce_parts(p: Parts, values: Values, given: Segments, start: Any, out: Any) -> Any:
    """Each part reduces the segments that begin in it."""
    offsets = arrays.asnumpy(given.offsets.value)
    firsts = [*np.searchsorted(offsets[:-1], p.cuts[:-1]).tolist(), given.count]
    # where the last segment of each part ends
    ends = [max(int(offsets[b]), c) if b > a else c for (a, b), c in zip(shares.spans(firsts), p.cuts[1:], strict=True)]

    def send(part: LocalPart) -> list[Any]:
        """To each part what it lacks of its last segment."""
        wanted = [(max(lo, part.lo), min(hi, part.hi)) for lo, hi in zip(p.cuts[1:], ends, strict=True)]
        return [_values(part, values, lo, hi) if part.number > k else None for k, (lo, hi) in enumerate(wanted)]

    tails = p.alltoall("borders", send)

    def reduce(part: LocalPart) -> Any:
        a, b = firsts[part.number], firsts[part.number + 1]
        result = part.empty(b - a, values.dtype)
        crosses = b > a and ends[part.number] > part.hi
        c = b - crosses
        if c > a:
            _steps(part, values, values.at(part), offsets[a : c + 1] - part.lo, start).reduce(result[: c - a])
        if crosses:
            lo = int(offsets[c])
            rest = [x for x in tails[part.number] if x is not None]
            whole = np.concatenate([_values(part, values, lo, part.hi), *rest])
            array, load = part.asarray(whole), values.load

            def at(i: int) -> Any:
                return load(np.uint64(i), array)

            _steps(part, values, at, np.array([0, len(whole)]), start).reduce(result[c - a :])
        return result

    found = p.concatenate("reduce", reduce)
    if out is None:
        return found
    if isinstance(out, np.ndarray):
        out[...] = found
        return out
    load, store = values.load, codec(out.dtype).store

    def put(i: int, x: Any, out: Any) -> None:
        store(i, out, load(i, x))

    def copy(part: LocalPart) -> None:
        x = found.parts[part.number]
        if len(x):
            for_each(part.how, len(x), put, x, out.parts[part.number])

    p.each("out", copy)
    return out


def _values(part: LocalPart, values: Values, lo: int, hi: int) -> np.ndarray:
    """The values of the elements from `lo` to `hi` of the whole, which a part has, on the host."""
    at, store = values.at(part), values.store

    def collect(i: int, first: int, out: Any) -> None:
        store(i, out, at(first + i))

    found = part.empty(max(hi - lo, 0), values.dtype)
    if hi > lo:
        for_each(part.how, hi - lo, collect, lo - part.lo, found)
    return arrays.asnumpy(found)


def _steps(part: LocalPart, values: Values, at: Any, offsets: np.ndarray, start: Any) -> Steps:
    """The steps on segments that a part has."""
    lengths = np.diff(offsets)
    data = Data(offsets, offsets.shape, offsets.dtype, lambda part: part.asarray(offsets))
    extent = int(offsets[0]), int(offsets[-1]), int(lengths.min()), int(lengths.max())
    return Steps(part, values, at, Segments(data, len(lengths), *extent), data[part], start)


# scan ---------------------------------------------------------------------------------------------


def _scan(p: Parts, offsets: Any, values: Values, inclusive: bool, out: Any) -> Any:
    p.recut((values.n,))
    values.read(p)
    result = values.write(p, out, [("offsets", offsets)])
    _tell_borders(p, values, segments.PIECE)
    given = segments.find(p, offsets, values.n)
    if (given.begin, given.end) != (0, values.n):
        raise PlacementError(
            f"{p.algorithm}: offsets go from {given.begin} to {given.end} and x has {values.n} elements: the segments "
            f"must cover it. Pass x[{given.begin}:{given.end}] and offsets - {given.begin}"
        )
    start = values.init
    if start is None and not inclusive:
        start = values.identity
        if start is None:
            raise PlacementError(f"{p.algorithm}: op has no identity: pass init=, or op=pp.Monoid(op, identity)")
    found = p.few(*values.functions)
    if found is not MISS:
        return found
    if p.count > 1:
        _scan_parts(p, values, given, inclusive, start, result)
        return p.give(result)
    (part,) = p.own
    steps = Steps(part, values, values.at(part), given, given.offsets[part], start)
    p.each("scan", lambda part: steps.scan(inclusive, start is not None, result[part]))
    return p.give(result)


def _scan_parts(p: Parts, values: Values, given: Segments, inclusive: bool, start: Any, result: Data) -> None:
    """Each part scans what it has of every segment.

    Of a segment that begins before the part, the pieces that end in each part are folded there, and the folds told to
    all; of the piece that the part begins in, it is sent the elements that it lacks.
    """
    offsets = arrays.asnumpy(given.offsets.value).astype(np.int64)
    heads = [_crossing(offsets, lo) if lo < hi else None for lo, hi in shares.spans(p.cuts)]
    ends = [_crossing(offsets, hi) if lo < hi else None for lo, hi in shares.spans(p.cuts)]

    def begin(k: int) -> int:
        """Where the piece begins in which part k does."""
        s = heads[k]
        if s is None:
            return p.cuts[k]
        first = int(offsets[s])
        return first + (p.cuts[k] - first) // segments.PIECE * segments.PIECE

    def send(part: LocalPart) -> list[Any]:
        wanted = [(max(begin(k), part.lo), min(p.cuts[k], part.hi)) for k in range(p.count)]
        return [_values(part, values, lo, hi) if lo < hi and part.number < k else None
                for k, (lo, hi) in enumerate(wanted)]

    told = p.alltoall("borders", send)
    before = {
        k: np.concatenate([np.empty(0, values.dtype), *(x for x in some if x is not None)]) for k, some in told.items()
    }

    def totals(part: LocalPart) -> tuple[int, np.ndarray]:
        """The folds of those pieces that end here of the segment that goes on behind the part."""
        s = ends[part.number]
        if s is None:
            return -1, np.empty(0, values.dtype)
        first = max(int(offsets[s]), begin(part.number))
        count = (part.hi - first) // segments.PIECE
        found = part.empty(count, values.dtype)
        if count:
            at = _behind(part, values, before[part.number])
            steps = _steps(part, values, at, np.array([0, count * segments.PIECE]), start)
            steps.totals(first - begin(part.number), count, found)
        return s, arrays.asnumpy(found)

    folds = p.each("pieces", totals)

    def scan(part: LocalPart) -> None:
        if part.lo == part.hi:
            return
        s, inner = heads[part.number], int(np.searchsorted(offsets, part.lo))
        if s is not None:
            head = before[part.number]
            at = _behind(part, values, head)
            end = min(int(offsets[s + 1]), part.hi)
            pieces = [x for k, (other, x) in enumerate(folds) if other == s and k < part.number]
            earlier = np.concatenate([np.empty(0, values.dtype), *pieces])
            carry = _carried(values, start, earlier) if len(earlier) else start
            steps = _steps(part, values, at, np.array([0, end - begin(part.number)]), carry)
            steps.skip = len(head)
            steps.scan(inclusive, carry is not None, result[part])
        inside = offsets[inner : int(np.searchsorted(offsets, part.hi, "right"))]
        inside = np.append(inside, part.hi) if not len(inside) or inside[-1] < part.hi else inside
        if len(inside) > 1:
            steps = _steps(part, values, values.at(part), inside - part.lo, start)
            steps.scan(inclusive, start is not None, result[part])

    p.each("scan", scan)


def _crossing(offsets: np.ndarray, cut: int) -> int | None:
    """The segment that has elements on both sides of a cut."""
    s = int(np.searchsorted(offsets, cut, "right")) - 1
    return s if 0 <= s < len(offsets) - 1 and offsets[s] < cut < offsets[s + 1] else None


def _behind(part: LocalPart, values: Values, head: np.ndarray) -> Any:
    """The kernel function that gives the values of the elements sent to a part, and then those of its own."""
    at = values.at(part)
    if not len(head):
        return at
    array, load, count = part.asarray(head), values.load, len(head)

    def here(i: int) -> Any:
        return load(np.uint64(i), array) if i < count else at(i - count)

    return here


def _carried(values: Values, start: Any, folds: np.ndarray) -> Any:
    """What a segment's prefix is behind pieces with these folds."""
    op, load, store, has = values.op, values.load, values.store, int(start is not None)
    first = start if start is not None else as_scalars(folds[0])

    def step(k: int, count: int, folds: Any, out: Any) -> None:
        acc = load(0, folds)
        acc = op(first, acc) if has else acc
        for j in range(1, count):
            acc = op(acc, load(j, folds))
        store(0, out, acc)

    out = np.empty(1, values.dtype)
    for_each(par.on(simd()), 1, step, len(folds), folds, out)
    return as_scalars(out[0])
