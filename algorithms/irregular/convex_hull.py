"""convex_hull: the corners of a set of points in the plane, exactly.

A chain goes around the points in order of their coordinates and leaves out what is no corner: A. M. Andrew, "Another
efficient algorithm for convex hulls in two dimensions", 1979. Before, the hull of a sample tells for each of a thousand
strips what is certainly inside, and one pass leaves those points out: S. G. Akl, G. T. Toussaint, "A fast convex hull
algorithm", 1978, do so with four corners. Which way a corner turns is computed with a bound of its error, and exactly
where that does not decide: J. R. Shewchuk, "Adaptive precision floating-point arithmetic and fast robust geometric
predicates", 1997.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from portapar import arrays, lazy, parts
from portapar.algorithms.copy_if import copy_if
from portapar.algorithms.for_each import for_each
from portapar.algorithms.irregular.points import bounded, check_points
from portapar.algorithms.sort import argsort, sort_by_key
from portapar.algorithms.transform import iota
from portapar.part import LocalPart
from portapar.parts import Parts
from portapar.policy import Policy, check_policy

_SAMPLE = 8192  #: points whose hull is found first
_MANY = 4 * _SAMPLE  #: points from which on that pays
_STRIPS = 1024
_ERROR: Final = (3 + 16 * 2.0**-53) * 2.0**-53  #: of a turn, relative to its two products
_SPLIT: Final = 134217729.0  #: 2**27 + 1, which cuts a float64 into halves


def convex_hull(policy: Policy | None, points: Any) -> Any:
    """The corners of the convex hull of points in the plane, counterclockwise.

    Parameters
    ----------
    policy : Policy
    points : array of float32 or float64, (n, 2)

    Returns
    -------
    array of int32
        Rows of `points`, from the one with the least x on, of several the one with the least y. No corner lies on the
        line of its neighbours; of points at one place the first is told. One or two rows where all points are at one
        place, or on one line. With ``policy.task`` a Future of it.

    Raises
    ------
    ArgumentError
        Not of shape (n, 2), or numbers that are not finite.

    Notes
    -----
    Exact, and the same on every executor: decided is as if computed with real numbers, as long as no coordinate but 0
    is smaller than 1e-140 times the largest one. O(n) work, and O(h log h) for what the sample leaves, which is little
    but where most points are corners.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> points = np.array([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> pp.irregular.convex_hull(pp.par, points)
    array([2, 3, 1, 5], dtype=int32)
    """
    name = "irregular.convex_hull"
    check_policy(policy, name)
    points = check_points(name, "points", points, (2,))

    def carry_out(p: Parts) -> Any:
        part = p.alone()
        found = _hull(part, name, p.replicated(points, "points")[part])
        return arrays.asnumpy(found) if p.kind == "numpy" else found

    return parts.run(name, policy, (points,), carry_out)


def _hull(part: LocalPart, name: str, points: Any) -> Any:
    how, n = part.how, len(points)
    if n == 0:
        return part.empty(0, np.int32)
    low, high = bounded(how, name, "points", points)
    size = float(max(abs(low).max(), abs(high).max()))
    scale = 2.0 ** min(-int(np.frexp(size)[1]), 1000)  # to 1 at most, and so that nothing is rounded
    some = iota(how, part.empty(n, np.int64))
    if n >= _MANY:
        _, x, y = _chain(part, points, iota(how, part.empty(_SAMPLE, np.int64), 0, n // _SAMPLE), scale)
        first, strips, least, most = _inside(arrays.asnumpy(x), arrays.asnumpy(y))
        out = _outside(points, scale, first, strips, part.asarray(least), part.asarray(most))
        some = copy_if(how, lazy.iota(n), out)
    return _chain(part, points, some, scale)[0]


def _inside(x: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Where strips begin, how many there are in a unit, and between which heights each is inside of these corners."""
    last = int(x.argmax())
    if x[last] == x[0]:
        return 0.0, 0.0, np.full(_STRIPS, np.inf), np.full(_STRIPS, -np.inf)
    edges, slack = np.linspace(x[0], x[last], _STRIPS + 1), (x[last] - x[0]) * 1e-9
    chains = (x[: last + 1], y[: last + 1]), (np.append(x[last:], x[0])[::-1], np.append(y[last:], y[0])[::-1])
    (low, low2), (high, high2) = (
        [np.interp(at, *chain, left=none, right=none) for at in (edges - slack, edges + slack)]
        for chain, none in zip(chains, (np.inf, -np.inf), strict=True)
    )
    least, most = np.maximum(low[:-1], low2[1:]) + 1e-12, np.minimum(high[:-1], high2[1:]) - 1e-12
    return float(x[0]), _STRIPS / float(x[last] - x[0]), least, most


def _chain(part: LocalPart, points: Any, some: Any, scale: float) -> tuple[Any, Any, Any]:
    """The corners of some points, given by ascending rows, and their coordinates."""
    how, m = part.how, len(some)
    x, y, away = (part.empty(m, np.float64) for _ in range(3))
    for_each(how, m, _columns, scale, points, some, x, y)
    order = argsort(how, y)
    for_each(how, m, _take, order, x, away)
    order = sort_by_key(how, away, order)[1]
    a, b, stack, count = part.empty(m, np.float64), away, part.empty(m + 1, np.int64), part.empty(1, np.int64)
    for_each(how, m, _take, order, x, a)
    for_each(how, m, _take, order, y, b)
    part.run(1, _walk, a, b, stack, count)
    corners = int(arrays.asnumpy(count)[0])
    found, cx, cy = part.empty(corners, np.int32), part.empty(corners, np.float64), part.empty(corners, np.float64)
    for_each(how, corners, _corner, stack, order, some, a, b, found, cx, cy)
    return found, cx, cy


# kernels ------------------------------------------------------------------------------------------


def _outside(points: Any, scale: Any, first: Any, strips: Any, least: Any, most: Any) -> Any:
    def outside(i: Any) -> Any:
        at = (np.float64(points[i, 0]) * scale - first) * strips
        s = int(min(max(at, 0.0), _STRIPS - 1.0))
        y = np.float64(points[i, 1]) * scale
        return not (at >= 0 and at < _STRIPS and y > least[s] and y < most[s])

    return outside


def _columns(k: Any, scale: Any, points: Any, some: Any, x: Any, y: Any) -> None:
    i = np.uint64(some[k])
    x[k] = np.float64(points[i, 0]) * scale + 0.0  # never -0.0, which sorts apart from 0.0
    y[k] = np.float64(points[i, 1]) * scale + 0.0


def _take(k: Any, order: Any, x: Any, placed: Any) -> None:
    placed[k] = x[np.uint64(order[k])]


def _corner(k: Any, stack: Any, order: Any, some: Any, x: Any, y: Any, found: Any, cx: Any, cy: Any) -> None:
    at = np.uint64(stack[k])
    found[k], cx[k], cy[k] = some[np.uint64(order[at])], x[at], y[at]


def _walk(_: Any, x: Any, y: Any, stack: Any, count: Any) -> None:
    """Along the lower side, and back along the upper one; of points at one place the first is taken."""
    k, last = 0, 0
    for i in range(len(x)):
        if i == 0 or x[i] != x[i - 1] or y[i] != y[i - 1]:
            k = _push(i, k, 2, x, y, stack)
            last = i
    least = k + 1
    for i in range(last - 1, -1, -1):
        if i == 0 or x[i] != x[i - 1] or y[i] != y[i - 1]:
            k = _push(i, k, least, x, y, stack)
    count[0] = max(k - 1, 1)


def _push(i: Any, k: Any, least: Any, x: Any, y: Any, stack: Any) -> Any:
    while k >= least and not _left(x, y, stack[k - 2], stack[k - 1], i):
        k -= 1
    stack[k] = i
    return k + 1


def _left(x: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
    """Whether the way from a over b to c turns left."""
    one, other = (x[a] - x[c]) * (y[b] - y[c]), (y[a] - y[c]) * (x[b] - x[c])
    turn = one - other
    if abs(turn) > _ERROR * (abs(one) + abs(other)):
        return turn > 0
    return _exact(x[a], y[a], x[b], y[b], x[c], y[c]) > 0


def _exact(ax: Any, ay: Any, bx: Any, by: Any, cx: Any, cy: Any) -> Any:
    """The sign of the turn: six exact products, added up in numbers that do not overlap."""
    sums = np.zeros(12)
    n = _add(0, ax, by, sums)
    n = _add(n, -ay, bx, sums)
    n = _add(n, bx, cy, sums)
    n = _add(n, -by, cx, sums)
    n = _add(n, cx, ay, sums)
    n = _add(n, -cy, ax, sums)
    sign = 0.0
    for k in range(12):
        sign = sums[k] if sums[k] != 0 else sign
    return sign


def _add(n: Any, a: Any, b: Any, sums: Any) -> Any:
    """Add a product to n numbers that do not overlap, the smallest first; how many there are then."""
    product = a * b
    high, low = _halves(a)
    top, bottom = _halves(b)
    rest = low * bottom - (((product - high * top) - low * top) - high * bottom)
    for j in range(2):
        carry = rest if j == 0 else product
        for k in range(n + j):
            total = carry + sums[k]
            own = total - carry
            sums[k] = (carry - (total - own)) + (sums[k] - own)
            carry = total
        sums[n + j] = carry
    return n + 2


def _halves(a: Any) -> Any:
    """Two numbers of half as many digits whose sum it is."""
    big = _SPLIT * a
    high = big - (big - a)
    return high, a - high
