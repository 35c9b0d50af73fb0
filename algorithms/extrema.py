"""min_element, max_element, minmax_element: the index of the smallest and of the largest element.

O(n): a reduction gives the extremum of every tile, as fast as the elements can be read; the first tile that
has the best is then looked through for its place, and nothing else is read again. The lowest index of equal
elements wins, and the first NaN, as for `np.argmin`.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from portapar import arrays, elementwise, lazy, ops, parts
from portapar.algorithms.order import Order, field, key_function
from portapar.algorithms.reduce import transform_reduce
from portapar.cache import Bounded
from portapar.errors import PlacementError
from portapar.few import FEW, MANY, MISS, Step, elements, kinds
from portapar.kernel.front.lift import loops
from portapar.kernel.front.sources import function
from portapar.kernel.tiles import TILE
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy

_STRIP = 64  #: elements of a tile that one iteration looks through


def min_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The index of the smallest element.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    key : callable or str, optional
        A kernel of one element, that returns a number or a tuple of numbers; the index at which its value is smallest
        is returned. A str names a field of records. Tuples are compared as by `sort`, so that NaN is never the
        smallest nor the largest.

    Returns
    -------
    int
        The lowest one if several are smallest; that of the first NaN if there is one; ``len(x)`` for no
        elements. With ``policy.task`` a Future of it.

    Notes
    -----
    O(n) work: one pass at the speed of memory, and one over the tile that has it.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.array([3.0, -1.0, 4.0, 1.0, -5.0])
    >>> pp.min_element(pp.par, x), pp.min_element(pp.par, x, key=abs)
    (4, 1)
    """
    return _run("min_element", policy, x, key, (_LEAST,), operator.itemgetter(0))


def max_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The index of the largest element, the lowest one if several are; else as `min_element`."""
    return _run("max_element", policy, x, key, (_MOST,), operator.itemgetter(0))


def minmax_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The indices of the smallest and of the largest element, each the lowest one; else as `min_element`.

    Returns
    -------
    tuple of two int

    Notes
    -----
    O(n) work: two passes.
    """
    return _run("minmax_element", policy, x, key, (_LEAST, _MOST), tuple)


def _less(a: Any, b: Any) -> bool:
    return a < b


def _greater(a: Any, b: Any) -> bool:
    return a > b


_LEAST = ops.minimum, _less, np.argmin
_MOST = ops.maximum, _greater, np.argmax


_SERIAL = 5 * FEW  #: elements that are compared as fast on one thread as threads wake


def _run(name: str, policy: Policy | None, x: Any, key: Any, ends: tuple[Any, ...], given: Any) -> Any:
    def few(step: Step) -> Any:
        n = elements(x, most=MANY, lazy=True)
        if not n:
            return MISS
        value = elementwise.identity if key is None else field(key) if isinstance(key, str) else key
        if n > (_SERIAL if key is None else FEW):
            return _many(step, x, value, ends, given)
        places = np.empty(len(ends), np.int64)
        for k, (_, better, _) in enumerate(ends):
            if not step(_few(value, better), k, x, places):
                return MISS
        return given(places.tolist())

    return parts.run(name, policy, (x,), lambda p: _extrema(p, x, key, ends, given), few)


def _few(key: Any, better: Any) -> Any:
    """The kernel that finds the place of the best of few elements."""

    def find(_: int, which: int, x: Any, places: Any) -> None:
        best, place = key(x[np.uint64(0)]), 0
        for i in range(1, len(x)):
            value = key(x[np.uint64(i)])
            if better(value, best) or (value != value and best == best):
                best, place = value, i
        places[which] = place

    return find


def _extrema(p: Parts, x: Any, key: Any, ends: tuple[Any, ...], given: Any) -> Any:
    data = p.vector(x, "x")
    if key is None and data.dtype.kind not in "biuf":
        raise PlacementError(
            f"{p.algorithm}: the elements are {data.dtype}, which have no order: pass key=, a function that makes a "
            "number or a tuple of numbers of an element, such as key=abs, or the name of a field"
        )
    key = key_function(p, data.dtype, key, "x") or elementwise.identity
    if key is not elementwise.identity:
        kind = lazy.transform(x, key).dtype
        if kind.names is not None:
            return given([_of_tuples(p, data, key, op is ops.maximum) for op, _, _ in ends])
        if kind.kind not in "biuf":
            raise PlacementError(
                f"{p.algorithm}: key returns {kind}, which has no order: must return a real number, or a tuple of them"
            )
    told = kinds((key,), (x,))
    if told is not None:
        _ordered[told] = True
    found = p.few(key)
    return given([_extremum(p, data, key, *end) for end in ends]) if found is MISS else found


def _of_tuples(p: Parts, data: Data, key: Any, largest: bool) -> int:
    """The first place in the order of keys that are tuples; of equal ones the lowest."""
    order = Order(p, data.dtype, key, largest, "x")

    def work(part: LocalPart) -> tuple[list[int], int] | None:
        if not len(part):
            return None
        keys = order.keys(part, part.asarray(data[part]))
        captured: dict[str, Any] = {}
        for k, (bits, coding) in enumerate(keys):
            captured[f"keys{k}"], captured[f"equal{k}"] = bits, coding.equal
        codes = "".join(f"np.uint64(equal{k}(keys{k}[np.uint64(i)])), " for k in range(len(keys)))
        less = f"b[{len(keys)}] < a[{len(keys)}]"
        for k in reversed(range(len(keys))):
            less = f"b[{k}] < a[{k}] or (b[{k}] == a[{k}] and ({less}))"
        *best, place = transform_reduce(
            part.how,
            arrays.Range(len(part)),
            transform=function(f"lambda i: ({codes}i)", **captured),
            op=function(f"lambda a, b: b if {less} else a"),
        )
        return [int(code) for code in best], part.lo + int(place)

    return min((part for part in p.each("extremum", work) if part is not None), default=([], 0))[1]


_ordered = Bounded()  #: kinds of elements and keys that are known to have an order


def _many(step: Step, x: Any, key: Any, ends: tuple[Any, ...], given: Any) -> Any:
    """The places of the extrema of a plain array."""
    part = step.part
    if part is None or kinds((key,), (x,)) not in _ordered:
        return MISS
    places = []
    for op, better, pick in ends:
        best = _best(part, x, key, op, better, pick, step.run)
        if best is MISS:
            return MISS
        places.append(best[1])
    return given(places)


def _best(part: LocalPart, x: Any, key: Any, op: Any, better: Any, pick: Any, run: Any) -> Any:
    """The extremum of a part's elements, and its place; `run` is that of the part or of a step, MISS if it did not."""

    def place(strip: int, begin: int, x: Any, keys: Any, places: Any) -> None:
        at = begin + strip * _STRIP
        best = key(x[at])
        places[strip] = at
        for i in range(at + 1, min(at + _STRIP, begin + TILE, len(x))):
            value = key(x[i])
            if better(value, best) or (value != value and best == best):
                best = value
                places[strip] = i
        keys[strip] = best

    found = part.tiles(x, op, key)
    begin = int(pick(found)) * TILE
    strips = -(-min(TILE, len(x) - begin) // _STRIP)
    keys, places = part.empty(strips, found.dtype), part.empty(strips, np.int64)
    if not run(strips, place, begin, x, keys, places, work=TILE):
        return MISS
    # What the strips found, not the tile: a key of floats may come out a bit different in other code.
    keys, places = arrays.asnumpy(keys), arrays.asnumpy(places)
    best = int(pick(keys))
    return keys[best], int(places[best])


def _extremum(p: Parts, data: Data, key: Any, op: Any, better: Any, pick: Any) -> int:
    def work(part: LocalPart) -> tuple[Any, int] | None:
        if not len(part):
            return None
        x, value = data[part], key
        if loops(key):  # called once for each element, by whoever is free
            x, value = part.map(x, key), elementwise.identity
        best, place = _best(part, x, value, op, better, pick, part.run)
        return best, part.lo + place

    found = [part for part in p.each("extremum", work) if part is not None]
    return found[int(pick([value for value, _ in found]))][1] if found else 0
