"""min_element, max_element, minmax_element: the index of the smallest and of the largest element.

O(n): a reduction gives the extremum of every tile, as fast as the elements can be read; the first tile that
has the best is then looked through for its place, and nothing else is read again. The lowest index of equal
elements wins, and the first NaN, as for `np.argmin`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, elementwise, ops, parts
from portapar.errors import PlacementError
from portapar.kernel.tiles import TILE
from portapar.parts import Data, Parts
from portapar.piece import Piece
from portapar.policy import Policy

_STRIP = 64  #: elements of a tile that one iteration looks through


def min_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The index of the smallest element.

    Parameters
    ----------
    policy : Policy
    x : array
        Of one dimension.
    key : callable, optional
        A kernel of one element; the index at which its value is smallest is returned.

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
    return parts.run("min_element", policy, (x,), lambda p: _extrema(p, x, key, (_LEAST,))[0])


def max_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The index of the largest element, the lowest one if several are; else as `min_element`."""
    return parts.run("max_element", policy, (x,), lambda p: _extrema(p, x, key, (_MOST,))[0])


def minmax_element(policy: Policy | None, x: Any, *, key: Any = None) -> Any:
    """The indices of the smallest and of the largest element, each the lowest one; else as `min_element`.

    Returns
    -------
    tuple of two int

    Notes
    -----
    O(n) work: two passes.
    """
    return parts.run("minmax_element", policy, (x,), lambda p: _extrema(p, x, key, (_LEAST, _MOST)))


def _less(a: Any, b: Any) -> bool:
    return a < b


def _greater(a: Any, b: Any) -> bool:
    return a > b


_LEAST = ops.minimum, _less, np.argmin
_MOST = ops.maximum, _greater, np.argmax


def _extrema(p: Parts, x: Any, key: Any, ends: tuple[Any, ...]) -> tuple[int, ...]:
    data = p.vector(x, "x")
    if key is None and data.dtype.kind not in "biuf":
        raise PlacementError(
            f"{p.algorithm}: the elements are {data.dtype}, which have no order: pass key=, a function that makes a "
            "number of an element, such as key=abs"
        )
    key = elementwise.identity if key is None else p.function(key, "key", 1)
    return tuple(_extremum(p, data, key, *end) for end in ends)


def _extremum(p: Parts, data: Data, key: Any, op: Any, better: Any, pick: Any) -> int:
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

    def work(piece: Piece) -> tuple[Any, int] | None:
        if not len(piece):
            return None
        here = data[piece]
        found = piece.tiles(here, op, key)
        begin = int(pick(found)) * TILE
        strips = -(-min(TILE, len(piece) - begin) // _STRIP)
        keys, places = piece.empty(strips, found.dtype), piece.empty(strips, np.int64)
        piece.run(strips, place, begin, here, keys, places)
        # What the strips found, not the tile: a key of floats may come out a bit different in other code.
        keys, places = arrays.asnumpy(keys), arrays.asnumpy(places)
        best = int(pick(keys))
        return keys[best], piece.lo + int(places[best])

    found = [part for part in p.each("extremum", work) if part is not None]
    return found[int(pick([value for value, _ in found]))][1] if found else 0
