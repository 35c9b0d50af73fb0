"""stencil: new values of a grid's cells from their neighbourhoods.

Method: all cells but those of the first and last rows are done by a loop that reads memory as it is, without a
test, so that it vectorizes. It also runs over the cells at the ends of the rows, where it takes the ends of the rows
before and behind for their neighbours. Those and the first and last rows are then done by a second loop, the same
kernel, in which every access finds out what lies beyond. (What the kernel sees as its array is each time a virtual
one, whose elements the kernels of this file fetch: `portapar.kernel.front.fuse`.)

Parts first trade the rows that others need: halos of `radius` rows, from wherever the boundary condition says.
"""

from __future__ import annotations

import ast
import functools
import math
from typing import Any

import numpy as np

from portapar import arrays, indexed, parts
from portapar.algorithms.for_each import for_each
from portapar.errors import KernelError, PlacementError, one_of
from portapar.expression import CAPTURED, Expression
from portapar.kernel.front.fuse import Getter
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.lift import lift
from portapar.kernel.front.reach import reaches
from portapar.kernel.front.sources import kernel_error
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy
from portapar.remembered import memoize

BOUNDARIES = ("constant", "nearest", "wrap", "reflect", "mirror")


def stencil(
    policy: Policy | None,
    x: Any,
    body: Any,
    *,
    radius: int | tuple[int, ...] = 1,
    boundary: str = "constant",
    value: Any = 0,
    out: Any = None,
) -> Any:
    """``out[i, j] = body(x, i, j)`` for every cell of a grid of 1 to 3 dimensions.

    Parameters
    ----------
    policy : Policy
    x : array
        Of numbers. A lazy input is computed once, and kept meanwhile.
    body : callable
        A kernel ``body(x, i)``, ``body(x, i, j)`` or ``body(x, i, j, k)`` that returns the new value. It reads x
        by ``x[i - 1, j]`` and its like, up to `radius` away from its own cell, and in no other way.
    radius : int or tuple of int
        How far the body reads, on all axes or on each.
    boundary : {"constant", "nearest", "wrap", "reflect", "mirror"}
        What the body sees beyond the border, as in `scipy.ndimage`; for the elements a b c d::

            constant   v v v | a b c d | v v v      v is `value`
            nearest    a a a | a b c d | d d d
            wrap       b c d | a b c d | a b c
            reflect    c b a | a b c d | d c b      np.pad's "symmetric"
            mirror     d c b | a b c d | c b a      np.pad's "reflect"

        Where the radius exceeds the grid these go on periodically.
    value : number
        Converted to the dtype of x.
    out : array, optional
        Of the shape of x; must not overlap it. By default a new one of the dtype that `body` returns.

    Returns
    -------
    array
        `out`; with ``policy.task`` a Future of it.

    Raises
    ------
    KernelError
        `body` uses x in another way, reads too far, or takes other arguments.
    PlacementError

    Notes
    -----
    O(cells) calls of `body`. Reads farther than `radius` are found only where they are written as above.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> heat = np.array([[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    >>> pp.stencil(pp.par, heat, lambda x, i, j: (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) / 4)
    array([[0., 1., 0.],
           [1., 0., 1.],
           [0., 1., 0.]])
    """

    def run(p: Parts) -> Any:
        data = p.read(x, "x")
        if isinstance(x, Lazy):  # neighbours would compute its elements again and again
            data = Data(x, data.shape, data.dtype, lambda part, made=data: part.asarray(made[part]))  # type: ignore[misc]
        radii = _radii(data, radius)
        one_of("stencil: boundary", boundary, BOUNDARIES, PlacementError)
        if data.dtype.kind not in "biufc":
            raise PlacementError(f"stencil: x has dtype {data.dtype}: must be an array of numbers")
        _check(body, radii)
        cell, border = _kernels(body, len(radii))
        outside = BOUNDARIES.index(boundary), _value(value, data.dtype)
        dtype = _returned(p, cell, data)
        result = p.new(data.shape, dtype) if out is None else _out(p, x, out, dtype, body)
        halos = _halos(p, data, radii[0], *outside)

        def step(part: LocalPart) -> None:
            here, target = _contiguous(data[part]), result[part]
            box = _Box(len(part), data.shape, radii)
            if box.cells:
                inside = _View(_INSIDE[box.ndim - 1], (here, part.lo), data)
                part.fill(target, cell, (inside, part.lo), box.first, box.last)
            if box.others:
                sizes = (part.lo, part.hi, radii[0], *data.shape)
                around = _View(_AROUND[box.ndim - 1], (here, halos[part.number], *sizes, *outside), data)
                for_each(part.how, box.others, border, target, around, part.lo, len(part), *box.cuts)

        p.each("cells", step)
        return p.give(result)

    whole = (body,), (radius, boundary, value)
    return parts.run("stencil", policy, (x, out), run, own=lambda: _own(body, len(x.shape)), whole=whole)


def _own(body: Any, ndim: int) -> list[Any]:
    """The arrays besides x that a body reads in the row of its own cell alone."""
    kernel, func = lift(body)
    captured = {name: value for (name, _), value in zip(kernel.captures, kernel.values(func), strict=True)}
    rows = {name: value.shape for name, value in captured.items() if hasattr(value, "shape")}
    most = max((shape[0] for shape in rows.values() if shape), default=1)
    found = reaches(kernel, (0, max(most - 1, 1)), [(0, 2**31)] * (ndim - 1), {}, rows, skip=1)
    return [captured[name] for name in rows if found[name].own and not found[name].measured]


def _radii(data: Data, radius: Any) -> tuple[int, ...]:
    ndim = len(data.shape)
    if not 1 <= ndim <= 3:
        raise PlacementError(f"stencil: x has {ndim} dimensions: must have 1 to 3")
    radii = radius if isinstance(radius, tuple) else (radius,) * ndim
    if len(radii) != ndim:
        raise PlacementError(f"stencil: radius is {radius!r}: must be a whole number from 0, or one for each axis of x")
    return tuple(arrays.whole_number("stencil: radius", r, 0, 2**31 - 1) for r in radii)


def _value(value: Any, dtype: np.dtype) -> Any:
    try:
        found = np.asarray(value).astype(dtype, casting="unsafe")
        same = found.ndim == 0 and (found == value or found != found or dtype.kind in "fc")
    except (TypeError, ValueError):
        same = False
    if not same:
        raise PlacementError(f"stencil: value is {value!r}: must be a number that x, of dtype {dtype}, can hold")
    return found[()]


def _check(body: Any, radii: tuple[int, ...]) -> None:
    """The body's arguments, and how it uses the grid, as far as its own text shows it."""
    kernel, func = lift(body)
    ndim, most = len(radii), len(kernel.params)
    if not most - len(func.__defaults__ or ()) <= 1 + ndim <= most:
        raise KernelError(
            f"stencil: body {kernel.name!r} ({kernel.where()}) takes {most} argument{'s' * (most != 1)} "
            f"({', '.join(kernel.params)}): must take {1 + ndim}, the array and an index for each of its axes"
        )
    for distances, line in _reads(kernel, ndim):
        for axis, (distance, r) in enumerate(zip(distances, radii, strict=True)):
            if distance > r:
                what = f"it reads {distance} away from its cell on axis {axis}, and the radius is {r}"
                raise kernel_error(what, f"pass radius={distance}", kernel.name, kernel.file, line)


@functools.lru_cache(maxsize=1024)
def _reads(kernel: Kernel, ndim: int) -> list[tuple[list[int], int]]:
    """For every ``x[i + 1, j]`` and its like: how far it is from the cell on each axis, and its line."""
    function, (x, *own) = kernel.functions[-1], kernel.params
    stored = {n.id for n in function.nodes() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    found = []
    for node in function.nodes():
        line = node.lineno if isinstance(node, ast.expr) else kernel.line
        of = node.value if isinstance(node, (ast.Subscript, ast.Attribute)) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len" and node.args:
            of = node.args[0]
        if not isinstance(of, ast.Name) or of.id != x:
            continue
        if not isinstance(node, ast.Subscript):
            what = f"it uses {ast.unparse(node)!r}: of {x!r} a stencil's body has elements alone"
            raise kernel_error(what, "pass its shape in as numbers", kernel.name, kernel.file, line)
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        pairs = zip(index, own, strict=False)
        distances = [0 if name in stored else _distance(part, name) for part, name in pairs]
        found.append((distances + [0] * (ndim - len(distances)), line))
    return found


def _distance(index: ast.expr, own: str) -> int:
    """|c| of ``own + c``, ``own - c`` and ``c + own``; 0 for everything else."""
    if not isinstance(index, ast.BinOp) or not isinstance(index.op, (ast.Add, ast.Sub)):
        return 0
    left, right = index.left, index.right
    if isinstance(index.op, ast.Add) and isinstance(left, ast.Constant):
        left, right = right, left
    if not isinstance(left, ast.Name) or left.id != own or not isinstance(right, ast.Constant):
        return 0
    return abs(right.value) if isinstance(right.value, int) else 0


_types: dict[Any, np.dtype] = {}


def _returned(p: Parts, cell: Any, data: Data) -> np.dtype:
    """The dtype of a new value."""
    ndim = len(data.shape)

    def find() -> np.dtype:
        view = _View(_INSIDE[ndim - 1], (np.empty((0,) * ndim, data.dtype), 0), data)
        return indexed.returned(indexed.for_each("stencil", (0,) * ndim, cell, (view, 0)))

    return memoize(_types, p.how, (cell,), (), (data.dtype, ndim), find)


def _contiguous(x: Any) -> Any:
    """The same elements, where those of neighbouring rows are neighbours."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x)
    return x if arrays.contiguous(x) else x.copy()


def _out(p: Parts, x: Any, out: Any, dtype: np.dtype, body: Any) -> Data:
    """The user's output, if it may be one."""
    result = p.write(out, "out", apart=[("x", x)], kernels=[body])
    if out.shape != x.shape:
        raise PlacementError(f"stencil: out has shape {out.shape}, and x has {x.shape}. Pass an array of that shape")
    if not np.can_cast(dtype, out.dtype, "same_kind") and not (dtype.kind in "biu" and out.dtype.kind in "iu"):
        raise PlacementError(
            f"stencil: body returns {dtype}, and out is {out.dtype}, which would lose information. Pass out of dtype "
            f"{dtype}, or convert on purpose in the body"
        )
    return result


# halos: the rows around those of a part -----------------------------------------------------------


def _at(i: Any, n: Any, mode: Any) -> Any:
    """Which of n elements is seen at a place beyond them; -1 for none of them."""
    if 0 <= i and i < n:
        return i
    if mode == 1:
        return 0 if i < 0 else n - 1
    if mode == 2:
        return i % n
    if mode == 3:
        k = i % (2 * n)
        return k if k < n else 2 * n - 1 - k
    if mode == 4:
        k = i % max(2 * n - 2, 1)
        return k if k < n else 2 * n - 2 - k
    return -1


def _halos(p: Parts, data: Data, radius: int, mode: int, value: Any) -> dict[int, Any]:
    """For every own part the `radius` rows before its own, and those behind; one part alone needs none."""
    if p.count == 1:
        return {part.number: data[part] for part in p.own}
    cuts, rows = p.cuts, len(data)

    def seen(k: int) -> list[int]:
        """The rows that part k sees around its own."""
        lo, hi = cuts[k], cuts[k + 1]
        places = (*range(lo - radius, lo), *range(hi, hi + radius)) if lo < hi else ()
        return [_at(i, rows, mode) for i in places]

    def send(part: LocalPart) -> list[dict[int, np.ndarray]]:
        here = data[part]
        found: dict[int, np.ndarray] = {}
        for k in range(p.count):
            for row in seen(k):
                if part.lo <= row < part.hi and row not in found:
                    found[row] = arrays.asnumpy(here[row - part.lo : row - part.lo + 1])[0]
        return [{row: found[row] for row in seen(k) if row in found} for k in range(p.count)]

    if p.survey is not None:
        size, told = data.dtype.itemsize * math.prod(data.shape[1:]), 0
        for k in range(p.count):
            asked = {place for other in range(p.count) for place in seen(other)}
            p.carries(k, len(seen(k)) * size, sum(cuts[k] <= place < cuts[k + 1] for place in asked) * size)
            told += sum(place >= 0 and not cuts[k] <= place < cuts[k + 1] for place in seen(k))
        p.told(told * size)
    got = p.alltoall("halos", send, brief=True)

    def place(part: LocalPart) -> Any:
        wanted = seen(part.number)
        halo = np.full((len(wanted), *data.shape[1:]), value, data.dtype)
        for rows in got[part.number]:
            for k, row in enumerate(wanted):
                if row in rows:
                    halo[k] = rows[row]
        return part.asarray(halo)

    return p.make(place)


class _Box:
    """The cells of a part whose neighbourhood lies in its own memory, and the others.

    Attributes
    ----------
    cells, others : int
        How many there are.
    first, last : int
        In C order, the first one of these and the one behind the last.
    cuts : tuple of int
        The lengths of the second and third axis, and for all three where these cells begin and end.
    """

    def __init__(self, rows: int, shape: tuple[int, ...], radii: tuple[int, ...]) -> None:
        self.ndim, more = len(shape), 3 - len(shape)
        sizes = (rows, *shape[1:], *[1] * more)
        begin = [min(r, n) for r, n in zip((*radii, *[0] * more), sizes, strict=True)]
        end = [max(n - b, b) for n, b in zip(sizes, begin, strict=True)]
        self.cells = math.prod(e - b for b, e in zip(begin, end, strict=True))
        self.others = math.prod(sizes) - self.cells
        self.first = (begin[0] * sizes[1] + begin[1]) * sizes[2] + begin[2]
        self.last = ((end[0] - 1) * sizes[1] + end[1] - 1) * sizes[2] + end[2]
        pairs = zip(begin, end, strict=True)
        self.cuts = (*sizes[1:], *(place for pair in pairs for place in pair))


def _place(t: Any, rows: Any, n1: Any, n2: Any, b0: Any, e0: Any, b1: Any, e1: Any, b2: Any, e2: Any) -> Any:
    """Cell number t of those outside of the box from (b0, b1, b2) to (e0, e1, e2) in (rows, n1, n2) cells."""
    plane, box0, box1 = n1 * n2, e0 - b0, e1 - b1
    outside = (rows - box0) * plane
    if t < outside:
        i, rest = t // plane, t % plane
        return i if i < b0 else i + box0, rest // n2, rest % n2
    t -= outside
    plane = (n1 - box1) * n2
    outside = box0 * plane
    if t < outside:
        rest = t % plane
        j = rest // n2
        return b0 + t // plane, j if j < b1 else j + box1, rest % n2
    t -= outside
    line = n2 - (e2 - b2)
    k = t % line
    t //= line
    return b0 + t // box1, b1 + t % box1, k if k < b2 else k + e2 - b2


# what the body takes for its array ----------------------------------------------------------------
#
# Indices are those of the whole grid; a part's memory begins with its row `lo`. Those that cannot be negative are
# made unsigned: so they need no wrap-around, and the loops vectorize.


def _inside1(i: Any, x: Any, lo: Any) -> Any:
    return x[np.uint64(i - lo)]


def _inside2(i: Any, j: Any, x: Any, lo: Any) -> Any:
    return x[np.uint64(i - lo), np.uint64(j)]


def _inside3(i: Any, j: Any, k: Any, x: Any, lo: Any) -> Any:
    return x[np.uint64(i - lo), np.uint64(j), np.uint64(k)]


def _around1(i: Any, x: Any, halo: Any, lo: Any, hi: Any, radius: Any, n0: Any, mode: Any, value: Any) -> Any:
    a = _at(i, n0, mode)
    if a < 0:
        return value
    if lo <= a and a < hi:
        return x[np.uint64(a - lo)]
    return halo[_row(i, lo, hi, radius)]


def _around2(
    i: Any, j: Any, x: Any, halo: Any, lo: Any, hi: Any, radius: Any, n0: Any, n1: Any, mode: Any, value: Any
) -> Any:
    a, b = _at(i, n0, mode), _at(j, n1, mode)
    if a < 0 or b < 0:
        return value
    if lo <= a and a < hi:
        return x[np.uint64(a - lo), np.uint64(b)]
    return halo[_row(i, lo, hi, radius), np.uint64(b)]


def _around3(
    i: Any, j: Any, k: Any, x: Any, halo: Any, lo: Any, hi: Any, radius: Any, n0: Any, n1: Any, n2: Any, mode: Any,
    value: Any,
) -> Any:  # fmt: skip
    a, b, c = _at(i, n0, mode), _at(j, n1, mode), _at(k, n2, mode)
    if a < 0 or b < 0 or c < 0:
        return value
    if lo <= a and a < hi:
        return x[np.uint64(a - lo), np.uint64(b), np.uint64(c)]
    return halo[_row(i, lo, hi, radius), np.uint64(b), np.uint64(c)]


def _row(i: Any, lo: Any, hi: Any, radius: Any) -> Any:
    """Where a halo has the row of that number, which lies beyond those of the part."""
    return np.uint64(i - lo + radius if i < lo else i - hi + radius)


class _Fetched(Expression):
    """A virtual array whose elements a function of this file fetches."""

    def __init__(self, get: Any, ndim: int) -> None:
        kernel, _ = lift(get)
        names = tuple(kernel.params[ndim:])
        super().__init__((), (CAPTURED,) * len(names), names, (kernel,))
        # of the array itself kernels see no more than elements: `lo` has neither a length nor a shape
        object.__setattr__(self, "get", Getter(kernel, (False,) * len(names), ndim, names.index("lo"), False))

    def getter(self, ndim: int, wrap: bool) -> Getter:
        return self.get  # type: ignore[attr-defined]


class _View(Lazy):
    __slots__ = ()

    def __init__(self, get: Any, values: tuple[Any, ...], data: Data) -> None:
        super().__init__(_fetched(get, len(data.shape)), values, data.shape, data.dtype)

    def __repr__(self) -> str:
        return f"a grid of shape {self.shape}"


_fetched = functools.cache(_Fetched)
_INSIDE = _inside1, _inside2, _inside3
_AROUND = _around1, _around2, _around3


# the loops over cells -----------------------------------------------------------------------------


def _kernels(body: Any, ndim: int) -> tuple[Any, Any]:
    """The value of a cell, and the step that writes number t of those at the border."""
    if ndim == 1:

        def border1(
            t: Any, out: Any, x: Any, lo: Any, rows: Any,
            n1: Any, n2: Any, b0: Any, e0: Any, b1: Any, e1: Any, b2: Any, e2: Any,
        ) -> None:  # fmt: skip
            i, _, _ = _place(t, rows, n1, n2, b0, e0, b1, e1, b2, e2)
            out[np.uint64(i)] = body(x, i + lo)

        return lambda i, x, lo: body(x, i + lo), border1
    if ndim == 2:

        def border2(
            t: Any, out: Any, x: Any, lo: Any, rows: Any,
            n1: Any, n2: Any, b0: Any, e0: Any, b1: Any, e1: Any, b2: Any, e2: Any,
        ) -> None:  # fmt: skip
            i, j, _ = _place(t, rows, n1, n2, b0, e0, b1, e1, b2, e2)
            out[np.uint64(i), np.uint64(j)] = body(x, i + lo, j)

        return lambda i, j, x, lo: body(x, i + lo, j), border2

    def border3(
        t: Any, out: Any, x: Any, lo: Any, rows: Any,
        n1: Any, n2: Any, b0: Any, e0: Any, b1: Any, e1: Any, b2: Any, e2: Any,
    ) -> None:  # fmt: skip
        i, j, k = _place(t, rows, n1, n2, b0, e0, b1, e1, b2, e2)
        out[np.uint64(i), np.uint64(j), np.uint64(k)] = body(x, i + lo, j, k)

    return lambda i, j, k, x, lo: body(x, i + lo, j, k), border3
