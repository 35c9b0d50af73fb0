"""find and its kin: where the first (or last) element is that fits, or where two sequences differ.

They return an index, and the length if there is none. Blocks are searched in order of their numbers; a block
that finds something lowers the shared best place, and blocks beyond it do not start. So O(first place) work
and an overhang of a few blocks, O(n) if there is none. Within a block a predicate is applied to a strip of
elements without leaving it, which vectorizes; only a strip that has a match is looked through. The parts of
a hybrid or of MPI ranks search in rounds that grow, and tell each other after each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import arrays, parts, shares
from portapar.errors import PlacementError, of_kind
from portapar.few import FEW, MANY, MISS, Step, elements
from portapar.kernel.front import atomic
from portapar.kernel.front.sources import function
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy

_STRIP = 256  #: elements that are searched without a look at the result
_LEAST, _MOST = 64, 1 << 14  #: elements of a block
_ROUND = 1 << 20  #: elements of the first round where parts search


def find(policy: Policy | None, x: Any, value: Any) -> Any:
    """The first index whose element equals `value`, or ``len(x)``.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    value : number
        Compared as NumPy does: a Python number takes the dtype of `x` where that can hold it, and NaN equals
        nothing.

    Returns
    -------
    int
        With ``policy.task`` a Future of it.

    Notes
    -----
    O(first place) work, and a few blocks beyond it.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.find(pp.par, np.array([3, 1, 4, 1, 5]), 1)
    1
    """
    return parts.run(
        "find", policy, (x,), lambda p: _find(p, x, equals(p.algorithm, x, value)),
        lambda step: _find_few(step, x, equals("find", x, value)) if comparable(x, value) else MISS,
    )  # fmt: skip


def find_if(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """The first index whose element fits, or ``len(x)``.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    predicate : callable
        A kernel of one element that returns a truth value. It may be called for elements behind the first
        that fits, and twice for some.

    Returns
    -------
    int

    Notes
    -----
    O(first place) work, and a few blocks beyond it.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.find_if(pp.par, np.array([3, 1, 4, 1, 5]), lambda v: v % 2 == 0)
    2
    """
    return parts.run(
        "find_if", policy, (x,), lambda p: _find(p, x, predicate), lambda step: _find_few(step, x, predicate)
    )


def find_last_if(policy: Policy | None, x: Any, predicate: Any) -> Any:
    """The last index whose element fits, or ``len(x)``; as `find_if`, from the end on."""
    def few(step: Step) -> Any:
        last = elements(x, most=MANY, lazy=True) - 1

        def hit(i: int) -> bool:
            return predicate(x[np.uint64(last - i)])

        behind = look(step, hit, last + 1)
        return behind if behind is MISS or behind > last else last - behind

    return parts.run("find_last_if", policy, (x,), lambda p: _find_last(p, x, predicate), few)


def adjacent_find(policy: Policy | None, x: Any, predicate: Any = None) -> Any:
    """The first i for which ``predicate(x[i], x[i + 1])`` holds, or ``len(x)``.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    predicate : callable, optional
        A kernel of two neighbours; by default whether they are equal.

    Returns
    -------
    int

    Notes
    -----
    O(first place) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.adjacent_find(pp.par, np.array([3, 4, 4, 1, 5]))
    1
    >>> pp.adjacent_find(pp.par, np.array([3, 4, 4, 1, 5]), lambda a, b: a > b)
    2
    """
    dtype = getattr(x, "dtype", None)
    if predicate is None and dtype is not None and dtype.names is not None:
        predicate = of_records("adjacent_find", dtype, dtype, "==", "and")
    elif predicate is None:
        predicate = _equal

    def few(step: Step) -> Any:
        n = elements(x, least=2, most=MANY, lazy=True)

        def hit(i: int) -> bool:
            return predicate(x[np.uint64(i)], x[np.uint64(i + 1)])

        found = look(step, hit, n - 1)
        return n if found == n - 1 else found

    return parts.run("adjacent_find", policy, (x,), lambda p: _adjacent(p, x, predicate), few)


def mismatch(policy: Policy | None, x: Any, y: Any) -> Any:
    """The first index at which two sequences differ, or their length.

    Parameters
    ----------
    policy : Policy
    x, y : array
        Of one dimension and of one length; records of numbers too. NaN differs from everything.

    Returns
    -------
    int

    Raises
    ------
    PlacementError
        If the lengths differ.

    Notes
    -----
    O(first place) work, and a few blocks beyond it.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.mismatch(pp.par, np.array([3, 1, 4]), np.array([3, 1, 5]))
    2
    """

    def work(p: Parts) -> int:
        found = p.few()
        return _mismatch(p, x, y) if found is MISS else found

    return parts.run("mismatch", policy, (x, y), work, lambda step: _mismatch_few("mismatch", step, x, y))


def equal(policy: Policy | None, x: Any, y: Any) -> Any:
    """Whether two sequences have the same length and equal elements, as `np.array_equal`: NaN equals nothing.

    Returns
    -------
    bool

    Notes
    -----
    O(n) work, less if they differ early.
    """

    def work(p: Parts) -> bool:
        n = p.length(x, "x")
        if n != p.length(y, "y"):
            return False
        found = p.few()
        return _mismatch(p, x, y) == n if found is MISS else found

    def few(step: Step) -> Any:
        found = _mismatch_few("equal", step, x, y)
        return found if found is MISS else found == len(x)

    return parts.run("equal", policy, (x, y), work, few)


def comparable(x: Any, value: Any) -> bool:
    """Whether `equals` has an answer."""
    given = elements(x, most=MANY, lazy=True) > 0 and isinstance(value, arrays.SCALARS)
    return given and x.dtype.names is None


def equals(algorithm: str, x: Any, value: Any) -> Any:
    """The kernel that compares an element of `x` with a value."""
    if not isinstance(value, arrays.SCALARS):
        raise PlacementError(f"{algorithm}: value is {value!r}, {of_kind(value)}: must be a number")
    dtype = getattr(x, "dtype", np.dtype(np.int64))
    if dtype.names is not None:
        other = {"find": "find_if", "count": "count_if"}[algorithm]
        raise PlacementError(
            f"{algorithm}: the elements of x are records of {dtype}, and value is {value!r}. Say what is to equal "
            f"it: pp.{other}(policy, x, lambda r: r.{dtype.names[0]} == {value!r})"
        )
    number: Any = value
    if isinstance(number, (int, np.integer)) and dtype.kind in "biu":
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not least <= number <= most:
            return _never
        number = dtype.type(number)
    elif type(number) in (int, float, complex) and dtype.kind in ("c" if type(number) is complex else "fc"):
        if type(number) is float and dtype.itemsize == 8:
            number = dtype.type(number)
        else:
            with np.errstate(over="ignore"):
                number = dtype.type(number)

    def same(v: Any) -> bool:
        return v == number

    return same


def _never(v: Any) -> bool:
    return False


def _equal(a: Any, b: Any) -> bool:
    return a == b


def differing(algorithm: str, one: np.dtype, other: np.dtype) -> Any:
    """The kernel that says whether two numbers, or records, of these dtypes differ."""
    if one.names is not None or other.names is not None:
        return of_records(algorithm, one, other, "!=", "or")
    if one.kind == "i" and other == np.uint64:
        return _differ_exactly
    return _differ_other_way if one == np.uint64 and other.kind == "i" else _differ


def of_records(algorithm: str, one: np.dtype, other: np.dtype, sign: str, joined: str) -> Any:
    """The kernel that compares two records field by field."""
    names = one.names or other.names or ()
    if one.names != other.names or not all(dtype[k].kind in "biufc" for dtype in (one, other) for k in names):
        raise PlacementError(
            f"{algorithm}: the elements are records of {one} and {other}: both must have the same fields, of numbers. "
            f"Compare what they have in common, such as x[{names[0]!r}]"
        )
    return function("lambda a, b: " + f" {joined} ".join(f"a[{k!r}] {sign} b[{k!r}]" for k in names))


def _differ(a: Any, b: Any) -> bool:
    return a != b


def _differ_exactly(a: Any, b: Any) -> bool:
    """A signed integer and one of 64 bits without sign, which have no common type but float64."""
    return a < 0 or np.uint64(a) != b


def _differ_other_way(a: Any, b: Any) -> bool:
    return b < 0 or np.uint64(b) != a


def look(step: Step, hit: Any, n: int) -> Any:
    """The first place that is a hit, or their number; MISS for no places."""
    if n <= 0:
        return MISS
    if n > FEW:
        return MISS if step.part is None else _blockwise(step, step.part, hit, 0, n)

    def search(_: int, n: int, found: Any) -> None:
        i = 0
        while i < n and not hit(i):
            i += 1
        found[0] = i

    found = np.empty(1, np.int64)
    return int(found[0]) if step(search, n, found) else MISS


def _find_few(step: Step, x: Any, predicate: Any) -> Any:
    def hit(i: int) -> bool:
        return predicate(x[np.uint64(i)])

    return look(step, hit, elements(x, most=MANY, lazy=True))


def _mismatch_few(algorithm: str, step: Step, x: Any, y: Any) -> Any:
    n = elements(x, y, most=MANY, lazy=True)
    if not n:
        return MISS
    differ = differing(algorithm, x.dtype, y.dtype)

    def hit(i: int) -> bool:
        return differ(x[np.uint64(i)], y[np.uint64(i)])

    return look(step, hit, n)


def _find(p: Parts, x: Any, predicate: Any) -> int:
    data = p.vector(x, "x")
    predicate = p.predicate(predicate, x)
    found = p.few(predicate)
    if found is not MISS:
        return found

    def hits(part: LocalPart) -> Any:
        here = data[part]

        def hit(i: int) -> bool:
            return predicate(here[np.uint64(i)])

        return hit

    return first(p, hits, _rows(p))


def _find_last(p: Parts, x: Any, predicate: Any) -> int:
    data = p.vector(x, "x")
    predicate = p.predicate(predicate, x)
    found = p.few(predicate)
    if found is not MISS:
        return found

    def hits(part: LocalPart) -> Any:
        here, last = data[part], len(part) - 1

        def hit(i: int) -> bool:
            return predicate(here[np.uint64(last - i)])

        return hit

    n = len(data)
    behind = first(p, hits, _rows(p), backward=True)
    return n if behind == n else n - 1 - behind


def _adjacent(p: Parts, x: Any, predicate: Any) -> int:
    data = p.vector(x, "x")
    predicate = p.predicate(predicate, x, x)
    found = p.few(predicate)
    if found is not MISS:
        return found
    n = len(data)
    pairs = [max(0, min(hi, n - 1) - lo) for lo, hi in shares.spans(p.cuts)]
    behind = p.rows("borders", p.stored(x, "x"), lambda k: [(min(p.cuts[k + 1], n), min(p.cuts[k + 1] + 1, n))])

    def hits(part: LocalPart) -> Any:
        here, (after,), last = data[part], behind[part.number], len(part) - 1

        def hit(i: int) -> bool:
            return predicate(here[np.uint64(i)], here[np.uint64(i + 1)])

        def hit_or_border(i: int) -> bool:
            return predicate(here[np.uint64(i)], here[np.uint64(i + 1)] if i < last else after[0])

        return hit_or_border if len(after) else hit

    found = first(p, hits, pairs)
    return n if found == sum(pairs) else found


def _mismatch(p: Parts, x: Any, y: Any) -> int:
    lengths = p.length(x, "x"), p.length(y, "y")
    if lengths[0] != lengths[1]:
        raise PlacementError(
            f"{p.algorithm}: x has {lengths[0]} elements and y has {lengths[1]}: must be as many. "
            "Compare the beginnings, such as x[:n] and y[:n]"
        )
    one, other = p.read(x, "x"), p.read(y, "y")
    differ = differing(p.algorithm, one.dtype, other.dtype)

    def hits(part: LocalPart) -> Any:
        a, b = one[part], other[part]

        def hit(i: int) -> bool:
            return differ(a[np.uint64(i)], b[np.uint64(i)])

        return hit

    return first(p, hits, _rows(p))


def _rows(p: Parts) -> list[int]:
    return [hi - lo for lo, hi in shares.spans(p.cuts)]


def first(p: Parts, hits: Callable[[LocalPart], Any], places: Sequence[int], backward: bool = False) -> int:
    """The first place that is a hit, or the number of places.

    Parameters
    ----------
    p : Parts
    hits : callable
        ``hits(part)`` is a kernel of a part's place from 0 on, that says whether it is a hit.
    places : sequence of int
        How many places each part has.
    backward : bool
        The last part comes first.
    """
    places = places[::-1] if backward else places
    best, open_, begin, step = sum(places), p.count, 0, max(places) if p.count == 1 else _ROUND
    while begin < max(places[:open_], default=0):

        def look(part: LocalPart, begin: int = begin, end: int = begin + step, open_: int = open_) -> int:
            rank = p.count - 1 - part.number if backward else part.number
            return _search(part, hits, begin, min(end, places[rank])) if rank < open_ else -1

        found = p.each("search", look)
        for rank, place in enumerate(found[::-1] if backward else found):
            if place >= 0:
                best, open_ = sum(places[:rank]) + place, rank
                break
        begin, step = begin + step, 4 * step
    return best


def _search(part: LocalPart, hits: Callable[[LocalPart], Any], begin: int, end: int) -> int:
    """The first hit of a part in the places from `begin` to `end`, or -1."""
    if begin >= end:
        return -1
    found = _blockwise(part, part, hits(part), begin, end)
    return found if found < end else -1


def _blockwise(runner: Any, part: LocalPart, hit: Any, begin: int, end: int) -> Any:
    """The first hit in the places from `begin` to `end`, or `end`; MISS if the runner's `run` did not run."""

    def search(block: int, size: int, begin: int, end: int, best: Any) -> None:
        i = begin + block * size
        hi = min(end, i + size)
        if i < best[0]:
            while i < hi:
                stop = min(hi, i + _STRIP)
                found = False
                for k in range(i, stop):
                    if hit(k):
                        found = True
                if found:
                    # Compiled once more, without vectors, a function of floats may just miss: then go on.
                    while i < stop and not hit(i):
                        i += 1
                    if i < stop:
                        atomic.min(best, 0, i)
                        stop = hi
                i = stop

    best = np.empty(1, np.int64)
    best[0] = end
    best = part.asarray(best)
    n = end - begin
    size = min(max(_LEAST, -(-n // (16 * part.width))), _MOST)
    captured = (cell.cell_contents for cell in hit.__closure__ or ())
    slow = [hit, *(kernel for x in captured if isinstance(x, Lazy) for kernel in x.expression.kernels)]
    for at, blocks, each in part.rounds(n, size, slow if runner is part else ()):  # remembered steps have no loops
        if not runner.run(blocks, search, each, begin + at, min(end, begin + at + blocks * each), best, work=n):
            return MISS
    return int(arrays.asnumpy(best)[0])
