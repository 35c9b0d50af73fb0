"""for_each_segment: a nested loop over the elements of all segments, in balance however skewed their lengths are.

Work is cut along the path that merges the segments with the elements, as for `segmented_reduce`: a long segment is cut
in its middle, and a block of work with short ones has many. Several parts each have their elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import bodies, parts
from portapar.algorithms import segments
from portapar.algorithms.for_each import for_each
from portapar.algorithms.segments import Segments, first
from portapar.arrays import Range, asnumpy, normal
from portapar.errors import KernelError, PlacementError
from portapar.few import MISS, Step, plain
from portapar.kernel.front.lift import lift
from portapar.kernel.front.sources import function
from portapar.lazy import flat, unaligned
from portapar.parts import Parts
from portapar.policy import Policy
from portapar.problem import readonly_error

_MOST = np.iinfo(np.int64).max


def for_each_segment(policy: Policy | None, offsets: Any, body: Any, *args: Any) -> Any:
    """Call ``body(s, i, *args)`` for every element i of every segment s, in any order that the policy allows.

    Parameters
    ----------
    policy : Policy
    offsets : array of integers
        Where the segments begin, and where the last one ends: segment s has the elements ``offsets[s]`` to
        ``offsets[s + 1]``, and may have none. A graph's or sparse matrix' rows in the CSR format.
    body : callable
        A kernel. Elements of one segment may be worked on at the same time: what they write to in common must be
        written by `pp.atomic`. For one result per segment `segmented_reduce` is faster, and its sums always have the
        same bits.
    *args : array or number
        Passed on to `body`.

    Returns
    -------
    None, or with ``policy.task`` a Future of None

    Raises
    ------
    KernelError
    PlacementError
        Also for offsets that decrease or are negative; nothing is written then. That they are in the range of what
        `body` reads by them is not known here.

    Notes
    -----
    O(n + segments) work besides `body`'s own; on several parts O(n log segments): each element finds its segment, and
    what `body` reads and writes decides what moves, as for `for_each`.

    Examples
    --------
    The largest of the neighbours of every vertex of a graph, by its edges:

    >>> import numpy as np, portapar as pp
    >>> offsets, targets = np.array([0, 2, 2, 5]), np.array([1, 2, 0, 1, 2])
    >>> def visit(s, i, targets, largest):
    ...     pp.atomic.max(largest, s, targets[i])
    >>> largest = np.full(3, -1)
    >>> pp.for_each_segment(pp.par, offsets, visit, targets, largest)
    >>> largest
    array([ 2, -1,  2])
    """
    offsets = normal(offsets, "offsets")
    args = tuple(normal(x, f"argument {k}") for k, x in enumerate(args))
    known = _known(Step(policy), offsets)
    return parts.run(
        "for_each_segment", policy, (offsets, *flat(args)), lambda p: _for_each(p, offsets, body, args, known),
        lambda step: (known or _known(step, offsets), MISS)[1], lambda: [x for _, x in bodies.captures(body)],
        None if known is None else ((body,), (known.begin, known.end, known.count)),
    )  # fmt: skip


def _known(step: Step, offsets: Any) -> Segments | None:
    """The segments, found in a remembered step; None where others must look."""
    return segments.found(step, offsets, _MOST) if plain(offsets) and offsets.dtype.kind in "iu" else None


def _for_each(p: Parts, offsets: Any, body: Any, args: tuple[Any, ...], known: Segments | None) -> None:
    kernel, func = lift(body)
    wanted, given = len(kernel.params), 2 + len(args)
    if not wanted - len(func.__defaults__ or ()) <= given <= wanted:
        raise KernelError(
            f"{p.algorithm}: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
            f"and the call gives {given}: a segment, an element, and {len(args)} more"
        )
    held = zip((name for name, _ in kernel.captures), kernel.values(func), strict=True)
    for name, x in (*zip(kernel.params[2:], args, strict=False), *held):
        if name in kernel.access and kernel.access[name].writes:
            if isinstance(x, np.ndarray) and not x.flags.writeable:
                raise readonly_error(p.algorithm, kernel, name)
            if unaligned(x):
                raise PlacementError(
                    f"{p.algorithm}: argument {name!r} is not aligned to its dtype {x.dtype}: copy it, {name}.copy()"
                )
    if known is None:
        p.few(body)  # so that the next call knows them
    found = known or segments.find(p, offsets, _MOST)
    s, i, *names = kernel.params[:given]
    call = "body"
    while call in kernel.params:
        call += "_"
    if p.count > 1:
        _on_parts(p, found, func, call, kernel.params[:given], args)
        return
    (part,) = p.own
    # arguments are captured under the names that they have in `body`: so messages call them
    text = f"def each({s}, {i}): {call}({', '.join([s, i, *names])})"
    each = function(text, **{call: func}, **dict(zip(names, args, strict=True)))

    def step(block: int, at: int, size: int, begin: int, count: int, offsets: Any) -> None:
        here, there = at + block * size, at + block * size + size
        s, last = first(here, begin, count, offsets), first(there, begin, count, offsets)
        for k in range(max(s - 1, 0), last):
            lo: Any = max(np.int64(offsets[np.uint64(k)]), begin + here - k - 1)
            hi: Any = min(np.int64(offsets[np.uint64(k + 1)]), begin + there - k - 1)
            for i in range(lo, hi):
                each(k, i)

    _, size = found.blocks(part)
    for at, blocks, each_size in part.rounds(found.end - found.begin + found.count, size, [func]):
        part.run(blocks, step, at, each_size, found.begin, found.count, found.offsets[part])


def _on_parts(p: Parts, found: Segments, func: Any, call: str, names: Sequence[str], args: tuple[Any, ...]) -> None:
    """On several parts it is a loop over the elements, which says itself what it reads: each finds its segment."""
    s, i, *rest = names
    text = (
        f"def each({', '.join([i, f'{call}_starts', f'{call}_count', *rest])}):\n"
        f"    {call}(segment({i}, {call}_count, {call}_starts), {', '.join([i, *rest])})\n"
    )
    each = function(text, segment=_segment, **{call: func})
    starts = asnumpy(found.offsets.value)
    for_each(p.how, Range(found.begin, found.end), each, starts, found.count, *args)


def _segment(i: int, count: int, offsets: Any) -> int:
    """The segment that has element i: the last one that begins there or before."""
    s, n = 0, count
    while n > 0:
        half = n // 2
        if offsets[np.uint64(s + half)] <= i:
            s += half + 1
            n -= half + 1
        else:
            n = half
    return s - 1
