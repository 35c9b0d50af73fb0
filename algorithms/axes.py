"""Reductions along axes of an array: what ``axis=`` of reduce and transform_reduce does.

An array is seen as (outer, length, inner), with the axis in the middle. The axis is cut into tiles of 256. Lane l of 8
has the elements l, l + 8, … of a tile, of which four at a time are folded and added to those before; lanes, and then
tiles, are combined from left to right. Where the operator does not allow that (`Values.ordered`), four neighbours at a
time are. So the bits of a result depend on nothing but the length of the axis. Two loops do it: one result after the
other, where the axis lies close together in memory, or a row of results at a time, where its neighbours do: both read
memory in its own order.

On several parts a reduction along the first axis tells the folds of tiles; a tile that a cut divides is folded by the
part that has its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from portapar import arrays, lazy, ops, parts, shares
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import fill
from portapar.errors import ArgumentError
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Data, Parts
from portapar.policy import Policy
from portapar.problem import folded
from portapar.values import Values

TILE: Final = 256  #: elements of the axis that are folded in one go
_LANES: Final = 8  #: of a tile: a vector of numbers that lie side by side
_ROW: Final = 256  #: results that are made at a time on a device, at most
_WIDE: Final = 1024  #: and on the host, whose caches hold the lanes of so many
_ROWS: Final = 128  #: so many are enough for all threads, without cutting any
_NARROW: Final = 32  #: of so few neighbours each is made on its own: its tile stays in cache


def axes_of(
    algorithm: str, inputs: Sequence[Any], axis: Any
) -> tuple[tuple[Any, ...], tuple[int, ...], tuple[int, ...]]:
    """(the inputs as arrays, their shape together, the axes as numbers from 0, in order).

    Raises
    ------
    ArgumentError
    """
    if len(inputs) == 1 and type(inputs[0]) is np.ndarray and type(axis) is int and -1 <= axis < inputs[0].ndim > 0:
        return tuple(inputs), inputs[0].shape, (axis % inputs[0].ndim,)  # what most calls are
    inputs = tuple(x if isinstance(x, (arrays.Range, range)) else arrays.normal(x, "x") for x in inputs)
    shapes = [x.shape for x in inputs if getattr(x, "shape", ())]
    if not shapes:
        raise ArgumentError(f"{algorithm}: axis={axis!r}, and no input is an array with axes")
    shape = tuple(shapes[0])
    if len(set(shapes)) > 1:
        if any(isinstance(x, (Lazy, PartitionedArray)) for x in inputs):
            raise ArgumentError(f"{algorithm}: the shapes of the inputs differ ({shapes}): must be equal")
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            raise ArgumentError(f"{algorithm}: the shapes of the inputs differ ({shapes}): do not broadcast") from None
    named, n = axis if isinstance(axis, tuple) else (axis,), len(shape)
    found = [arrays.whole_number(f"{algorithm}: axis", given, -n, n - 1) % n for given in named]
    if len(set(found)) < len(found) or not found:
        raise ArgumentError(f"{algorithm}: axis is {axis!r}: names {'an axis twice' if found else 'no axis'}")
    return inputs, shape, tuple(sorted(found))


def reduce_axes(
    algorithm: str,
    policy: Policy | None,
    inputs: Sequence[Any],
    op: Any,
    transform: Any,
    init: Any,
    shape: tuple[int, ...],
    axes: tuple[int, ...],
) -> Any:
    """The reduction along some axes, but not all, of inputs of that shape together."""

    def work(p: Parts) -> Any:
        *others, last = axes  # from the last axis on: then elements are folded in the order of memory
        found = _reduce(p, inputs, shape, op, transform, init if not others else None, last)
        if not others:
            return found
        rest = shape[:last] + shape[last + 1 :]
        return reduce_axes(algorithm, p.how, (found,), op, None, init, rest, tuple(others))

    return parts.run(algorithm, policy, inputs, work, whole=followed(op, transform, init, axes))


def followed(op: Any, transform: Any, init: Any, how: tuple[Any, ...]) -> Any:
    """What the steps of a call follow from, see `portapar.sequence`."""
    kernels = (ops.monoid(folded(op)).py_func,) if transform is None else (ops.monoid(folded(op)).py_func, transform)
    return kernels, (op, transform is None, init, how)


class Call:
    """What both have: the inputs in parts, and their values."""

    def __init__(
        self, p: Parts, inputs: Sequence[Any], shape: tuple[int, ...], op: Any, transform: Any, init: Any
    ) -> None:
        self.p, self.shape, self.transform = p, shape, transform
        p.recut(shape)
        if transform is None and len(inputs) > 1:
            raise ArgumentError(f"{p.algorithm}: {len(inputs)} inputs without transform=: say how to combine elements")
        self.inputs = [
            np.broadcast_to(x, shape) if isinstance(x, np.ndarray) and x.shape != shape else x for x in inputs
        ]
        self.data = [
            x if isinstance(x, arrays.SCALARS) else p.read(x, "x" if len(inputs) == 1 else f"input {k}")
            for k, x in enumerate(self.inputs)
        ]
        alike = [
            x if isinstance(x, arrays.SCALARS) else _flat(x) if isinstance(x, Lazy) else np.zeros(1, x.dtype)
            for x in self.inputs
        ]
        one = alike[0] if transform is None else lazy.transform(*alike, transform)
        self.values = Values(p, (one,), op, None, init)
        if transform is not None:
            self.values.kernels.append(transform)

    def element(self, part: LocalPart, locals_: Sequence[Any], box: tuple[int, int, int]) -> tuple[Any, bool]:
        """The kernel function of the value at (outer, place, inner), and whether places lie closest together."""
        boxed = [x if isinstance(x, arrays.SCALARS) else _boxed(part, x, box) for x in locals_]
        close = any(isinstance(x, np.ndarray) and 0 < abs(x.strides[1]) < abs(x.strides[2]) for x in boxed)
        x = boxed[0] if self.transform is None else lazy.transform(*boxed, self.transform)
        if isinstance(x, Lazy) and x.loops:  # values that take a loop are found once, by whoever is free
            x = part.asarray(x)
        return self.values.element(x, ("o", "k", "j")), close

    def local(self, part: LocalPart) -> list[Any]:
        return [x if isinstance(x, arrays.SCALARS) else x[part] for x in self.data]


def _flat(x: Lazy) -> Lazy:
    """A lazy input in one dimension, for its types: arrays of several parts are in no piece that has other shapes."""
    whole = x.with_arrays(lambda leaf: np.empty(leaf.shape, leaf.dtype) if isinstance(leaf, PartitionedArray) else leaf)
    return whole.reshape(-1)


def _boxed(part: LocalPart, x: Any, box: tuple[int, int, int]) -> Any:
    if isinstance(x, Lazy) and not x.expression.aligned:
        x = part.asarray(x)
    return x.reshape(box)


def box_of(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


# reduce -------------------------------------------------------------------------------------------


def _reduce(p: Parts, inputs: Any, shape: tuple[int, ...], op: Any, transform: Any, init: Any, axis: int) -> Any:
    call = Call(p, inputs, shape, op, transform, init)
    values, rest = call.values, shape[:axis] + shape[axis + 1 :]
    if shape[axis] == 0:
        start = values.identity if values.init is None else values.init
        if start is None:
            raise ArgumentError(f"{p.algorithm}: axis {axis} has no elements, and op has no identity: pass init=")
        if axis == 0:
            p.recut(rest)
        empty = p.new(rest, values.dtype)
        p.each("empty", lambda part: _constant(part, empty[part].reshape(-1), values, start))
        return p.give(empty)
    if axis == 0 and p.count > 1:
        return _reduce_parts(p, call, rest)
    locals_ = {part.number: call.local(part) for part in p.own}
    if axis == 0:
        p.cuts = (0, rest[0])
    result = p.new(rest, values.dtype)

    def step(part: LocalPart) -> None:
        out = result[part]
        box = box_of((len(part), *shape[1:]), axis) if axis else box_of(shape, 0)
        if out.size:
            flat, direct = out.reshape(-1), box[1] <= TILE and values.init is None
            folds = folds_of(part, call, call.element(part, locals_[part.number], box), box, flat if direct else None)
            if not direct:
                _combine(part, values, folds, flat, box[0], box[2])

    p.each("reduce", step)
    return p.give(result)


def _constant(part: LocalPart, out: Any, values: Values, start: Any) -> None:
    if values.dtype.names is None:
        if len(out):
            fill(part.how, out, values.dtype.type(start))
        return
    store = values.store

    def put(i: int, out: Any) -> None:
        store(i, out, start)

    for_each(part.how, len(out), put, out)


def folds_of(
    part: LocalPart, call: Call, element: tuple[Any, bool], box: tuple[int, int, int], out: Any = None
) -> Any:
    """The folds of all tiles of the axis, (outer, tiles, inner) one after the other."""
    (outer, length, inner), values = box, call.values
    tiles = -(-length // TILE)
    (at, close), op, load, store = element, values.op, values.load, values.store
    out = part.empty(outer * tiles * inner, values.dtype) if out is None else out
    dtype = None if values.dtype.names else values.dtype.type

    def along(o: int, t: int, j: int, length: int, tiles: int, inner: int, out: Any) -> None:
        k, hi = t * TILE, min(length, t * TILE + TILE)
        acc = at(o, k, j)
        k += 1
        while k + 4 <= hi:
            acc = op(acc, op(op(at(o, k, j), at(o, k + 1, j)), op(at(o, k + 2, j), at(o, k + 3, j))))
            k += 4
        while k < hi:
            acc = op(acc, at(o, k, j))
            k += 1
        store(np.uint64((o * tiles + t) * inner + j), out, acc)

    def beside(o: int, t: int, lo: int, hi: int, length: int, tiles: int, inner: int, out: Any) -> None:
        k, end = t * TILE, min(length, t * TILE + TILE)
        base = (o * tiles + t) * inner
        for j in range(lo, hi):
            store(np.uint64(base + j), out, at(o, k, j))
        k += 1
        while k + 4 <= end:
            for j in range(lo, hi):
                four = op(op(at(o, k, j), at(o, k + 1, j)), op(at(o, k + 2, j), at(o, k + 3, j)))
                store(np.uint64(base + j), out, op(load(np.uint64(base + j), out), four))
            k += 4
        while k < end:
            for j in range(lo, hi):
                store(np.uint64(base + j), out, op(load(np.uint64(base + j), out), at(o, k, j)))
            k += 1

    def four(o: int, k: Any, j: int) -> Any:  # of a lane
        low, high = op(at(o, k, j), at(o, k + _LANES, j)), op(at(o, k + 2 * _LANES, j), at(o, k + 3 * _LANES, j))
        return op(low, high)

    def along_lanes(o: int, t: int, j: int, length: int, tiles: int, inner: int, out: Any) -> None:
        k, hi = np.uint64(t * TILE), np.uint64(min(length, t * TILE + TILE))
        if k + _LANES <= hi:
            lane = np.empty(_LANES, dtype)
            if k + 4 * _LANES <= hi:
                for m in range(_LANES):
                    lane[m] = four(o, k + m, j)
                k += 4 * _LANES
            else:
                for m in range(_LANES):
                    lane[m] = at(o, k + m, j)
                k += _LANES
            while k + 4 * _LANES <= hi:
                for m in range(_LANES):
                    lane[m] = op(lane[m], four(o, k + m, j))
                k += 4 * _LANES
            while k + _LANES <= hi:
                for m in range(_LANES):
                    lane[m] = op(lane[m], at(o, k + m, j))
                k += _LANES
            for m in range(np.int64(hi - k)):
                lane[m] = op(lane[m], at(o, k + m, j))
            acc = lane[0]
            for m in range(1, _LANES):
                acc = op(acc, lane[m])
        else:
            acc = at(o, k, j)
            for m in range(1, np.int64(hi - k)):
                acc = op(acc, at(o, k + m, j))
        store(np.uint64((o * tiles + t) * inner + j), out, acc)

    def beside_lanes(
        o: int, t: int, lo: int, hi: int, length: int, tiles: int, inner: int, out: Any, lane: Any, row: int
    ) -> None:
        """Rows come in the order of memory; `lane` has `row` numbers of each lane."""
        first, count = np.uint64(t * TILE), min(length - t * TILE, TILE)
        base, wide, done = np.uint64((o * tiles + t) * inner + lo), hi - lo, count // (4 * _LANES) * (4 * _LANES)
        if done > 0:
            for m in range(_LANES):
                for j in range(wide):
                    lane[np.uint64(m * row + j)] = four(o, first + np.uint64(m), lo + j)
        else:
            done = min(_LANES, count)
            for m in range(done):
                for j in range(wide):
                    lane[np.uint64(m * row + j)] = at(o, first + np.uint64(m), lo + j)
        for k in range(4 * _LANES, done, 4 * _LANES):
            for m in range(_LANES):
                for j in range(wide):
                    place = np.uint64(m * row + j)
                    lane[place] = op(lane[place], four(o, first + np.uint64(k + m), lo + j))
        for k in range(done, count):
            for j in range(wide):
                place = np.uint64(k % _LANES * row + j)
                lane[place] = op(lane[place], at(o, first + np.uint64(k), lo + j))
        for j in range(wide):
            store(base + np.uint64(j), out, lane[np.uint64(j)])
        for m in range(1, min(_LANES, count)):
            for j in range(wide):
                acc = op(load(base + np.uint64(j), out), lane[np.uint64(m * row + j)])
                store(base + np.uint64(j), out, acc)

    if values.ordered or dtype is None:
        run_folds(part, (outer, tiles, inner), length, close, along, beside, out)
    else:
        run_folds(part, (outer, tiles, inner), length, close, along_lanes, beside_lanes, out, dtype)
    return out


def run_folds(
    part: LocalPart,
    box: tuple[int, int, int],
    length: int,
    close: bool,
    along: Any,
    beside: Any,
    out: Any,
    dtype: Any = None,
) -> None:
    """One result after the other by `along`, or rows of them by `beside`, for all tiles; in lanes of that `dtype`."""
    outer, tiles, inner = box
    if outer * tiles * inner == 0:
        return
    if close or inner <= _NARROW or part.width >= 1024:

        def only(o: int, length: int, tiles: int, inner: int, out: Any) -> None:
            along(o, 0, 0, length, tiles, inner, out)

        def row(o: int, length: int, tiles: int, inner: int, out: Any) -> None:
            for t in range(tiles):
                along(o, t, 0, length, tiles, inner, out)

        if tiles == inner == 1:
            for_each(part.how, outer, only, length, tiles, inner, out)
        elif inner == 1 and outer >= _ROWS:
            for_each(part.how, outer, row, length, tiles, inner, out)
        else:
            for_each(part.how, box, along, length, tiles, inner, out)
        return

    def step(o: int, t: int, row: int, wide: int, length: int, tiles: int, inner: int, out: Any) -> None:
        beside(o, t, row * wide, min(inner, row * wide + wide), length, tiles, inner, out)

    def few_lanes(o: int, t: int, row: int, wide: int, length: int, tiles: int, inner: int, out: Any) -> None:
        lane = np.empty(_LANES * _ROW, dtype)
        beside(o, t, row * wide, min(inner, row * wide + wide), length, tiles, inner, out, lane, _ROW)

    def lanes(o: int, t: int, row: int, wide: int, length: int, tiles: int, inner: int, out: Any) -> None:
        lane = np.empty(_LANES * _WIDE, dtype)
        beside(o, t, row * wide, min(inner, row * wide + wide), length, tiles, inner, out, lane, _WIDE)

    most = _WIDE if part.executor.device.host_memory else _ROW
    pieces = max(2 * part.width // (outer * tiles), 1)  # for all threads
    wide = min(most, max(-(-inner // pieces), _NARROW))
    body = step if dtype is None else lanes if most == _WIDE else few_lanes
    for_each(part.how, (outer, tiles, -(-inner // wide)), body, wide, length, tiles, inner, out)


def _combine(part: LocalPart, values: Values, folds: Any, out: Any, outer: int, inner: int) -> None:
    """The results, of the folds of their tiles."""
    op, load, store = values.op, values.load, values.store
    started = int(values.init is not None)
    start = values.init if started else blank_value(values)
    tiles = len(folds) // (outer * inner)

    def combine(i: int, tiles: int, inner: int, folds: Any, out: Any) -> None:
        place = i // inner * tiles * inner + i % inner
        acc = load(np.uint64(place), folds)
        for t in range(1, tiles):
            acc = op(acc, load(np.uint64(place + t * inner), folds))
        store(i, out, op(start, acc) if started else acc)

    for_each(part.how, outer * inner, combine, tiles, inner, folds, out)


def blank_value(values: Values) -> Any:
    """A value of the right type, which is not used."""
    blank = np.zeros(1, values.dtype)[0]
    return blank if values.dtype.names is None else tuple(blank[name] for name in values.dtype.names)


def _reduce_parts(p: Parts, call: Call, rest: tuple[int, ...]) -> Any:
    """Along the first axis, of which each part has some."""
    (n, *_), values, inner = call.shape, call.values, math.prod(rest)
    stored = {k: _stored(x) for k, x in enumerate(call.data) if not isinstance(x, arrays.SCALARS)}
    before = {
        k: p.rows(f"tiles {k}", x, lambda part: [(p.cuts[part] // TILE * TILE, p.cuts[part])])
        for k, x in stored.items()
    }

    def folds(part: LocalPart) -> np.ndarray:
        """Of the tiles that end in this part."""
        whole = -(-part.lo // TILE) * TILE  # where its first tile of its own begins
        stop = n if part.hi == n else part.hi // TILE * TILE
        found = [np.empty(0, values.dtype)]

        def fold(rows: dict[int, Any], length: int) -> None:
            given = [rows.get(k, x) for k, x in enumerate(call.data)]
            box = 1, length, inner
            found.append(arrays.asnumpy(folds_of(part, call, call.element(part, given, box), box)))

        if part.lo < part.hi and part.lo % TILE and min(whole, n) <= part.hi:
            end, rows = min(whole, n) - part.lo, {}
            for k, x in stored.items():
                both = before[k][part.number][0], x[part][:end]
                rows[k] = part.asarray(np.concatenate([arrays.asnumpy(some) for some in both]))
            fold(rows, part.lo % TILE + end)
        if stop > whole:
            fold({k: x[part][whole - part.lo : stop - part.lo] for k, x in stored.items()}, stop - whole)
        return np.concatenate(found)

    told = np.concatenate(p.each("folds", folds)).reshape(-(-n // TILE), inner)
    p.cuts = tuple(shares.cut_rows(rest[0], p.executor.weights))
    result, width = p.new(rest, values.dtype), math.prod(rest[1:])

    def step(part: LocalPart) -> None:
        out = result[part]
        if out.size:
            mine = np.ascontiguousarray(told[:, part.lo * width : part.hi * width]).reshape(-1)
            _combine(part, values, part.asarray(mine), out.reshape(-1), 1, out.size)

    p.each("combine", step)
    return p.give(result)


def _stored(data: Data) -> Data:
    """An input in memory, whose rows others may ask for."""
    if not isinstance(data.value, Lazy):
        return data
    return Data(data.value, data.shape, data.dtype, lambda part: part.asarray(data[part]))
