"""for_each_segment: a nested loop over the elements of all segments, in balance however skewed their lengths are.

Work is cut along the path that merges the segments with the elements, as for `segmented_reduce`: a long segment is cut
in its middle, and a block of work with short ones has many.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import parts
from portapar.algorithms import segments
from portapar.algorithms.segments import first
from portapar.arrays import SCALARS, normal
from portapar.errors import KernelError
from portapar.kernel.front.lift import lift
from portapar.kernel.front.sources import function
from portapar.lazy import flat
from portapar.parts import Parts
from portapar.policy import Policy


def for_each_segment(policy: Policy | None, offsets: Any, body: Any, *args: Any) -> Any:
    """Call ``body(s, i, *args)`` for every element i of every segment s, in any order that the policy allows.

    Parameters
    ----------
    policy : Policy
    offsets : array of int32 or int64
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
    O(n + segments) work besides `body`'s own. On one device only.

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
    return parts.run("for_each_segment", policy, (offsets, *_arrays(args)), lambda p: _for_each(p, offsets, body, args))


def _arrays(args: tuple[Any, ...]) -> list[Any]:
    given = flat(normal(x, f"argument {k}") for k, x in enumerate(args))
    return [x for x in given if not isinstance(x, SCALARS)]


def _for_each(p: Parts, offsets: Any, body: Any, args: tuple[Any, ...]) -> None:
    kernel, func = lift(body)
    wanted, given = len(kernel.params), 2 + len(args)
    if not wanted - len(func.__defaults__ or ()) <= given <= wanted:
        raise KernelError(
            f"{p.algorithm}: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
            f"and the call gives {given}: a segment, an element, and {len(args)} more"
        )
    part = p.alone()
    found = segments.find(p, offsets, np.iinfo(np.int64).max)
    s, i, *names = kernel.params[:given]
    call = "body"
    while call in kernel.params:
        call += "_"
    # arguments are captured under the names that they have in `body`: so messages call them
    text = f"def each({s}, {i}): {call}({', '.join([s, i, *names])})"
    each = function(text, **{call: func}, **dict(zip(names, args, strict=True)))

    def step(block: int, size: int, begin: int, count: int, offsets: Any) -> None:
        here, there = block * size, block * size + size
        s, last = first(here, begin, count, offsets), first(there, begin, count, offsets)
        for k in range(max(s - 1, 0), last):
            lo = max(int(offsets[np.uint64(k)]), begin + here - k - 1)
            hi = min(int(offsets[np.uint64(k + 1)]), begin + there - k - 1)
            for i in range(lo, hi):
                each(k, i)

    blocks, size = found.blocks(part, [func])
    part.run(blocks, step, size, found.begin, found.count, found.offsets[part])
