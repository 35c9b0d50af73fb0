"""Scans along an axis of an array: what ``axis=`` of the scans does.

Tiles of the axis are folded as in `axes`, and begin with the folds of those before them. Scans along the first axis of
several parts transpose there and back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, lazy, parts
from portapar.algorithms.axes import TILE, Call, blank_value, box_of, folds_of, followed, run_folds
from portapar.algorithms.for_each import for_each
from portapar.algorithms.shifts import transpose
from portapar.algorithms.transform import copy
from portapar.errors import ArgumentError
from portapar.kernel.front.codec import codec
from portapar.part import LocalPart
from portapar.partitioned import PartitionedArray
from portapar.parts import Parts
from portapar.policy import Policy


def scan_axis(
    algorithm: str,
    policy: Policy | None,
    inputs: Sequence[Any],
    op: Any,
    transform: Any,
    inclusive: bool,
    init: Any,
    out: Any,
    shape: tuple[int, ...],
    axis: int,
) -> Any:
    """All prefixes along an axis."""
    given = (*inputs, out)
    return parts.run(
        algorithm, policy, given, lambda p: _scan(p, inputs, shape, op, transform, inclusive, init, out, axis),
        whole=followed(op, transform, init, (inclusive, axis)),
    )  # fmt: skip


def _scan(
    p: Parts,
    inputs: Any,
    shape: tuple[int, ...],
    op: Any,
    transform: Any,
    inclusive: bool,
    init: Any,
    out: Any,
    axis: int,
) -> Any:
    call = Call(p, inputs, shape, op, transform, init)
    values = call.values
    start = values.init
    if start is None and not inclusive:
        start = values.identity
        if start is None:
            raise ArgumentError(f"{p.algorithm}: op has no identity: pass init=, or op=pp.Monoid(op, identity)")
    if out is not None:
        if tuple(getattr(out, "shape", ())) != shape:
            raise ArgumentError(f"{p.algorithm}: out has shape {getattr(out, 'shape', ())}: must have {shape}")
        values.fits(p, np.zeros(1, out.dtype), 1)
        near = [(f"input {k}" if len(inputs) > 1 else "x", x) for k, x in enumerate(inputs) if hasattr(x, "shape")]
        p.write(out, "out", near, (), values.kernels)
    if axis == 0 and p.count > 1:
        return _scan_parts(p, call, op, inclusive, init, out)
    result = p.new(shape, values.dtype) if out is None else p.write(out, "out", near, (), values.kernels)

    def step(part: LocalPart) -> None:
        there, box = result[part], box_of((len(part), *shape[1:]), axis)
        if not there.size:
            return
        flat = there if arrays.contiguous(there) else part.empty(there.shape, there.dtype)
        _prefixes(part, call, box, inclusive, start, flat.reshape(-1))
        if flat is not there:
            copy(part.how, flat, out=there)

    p.each("scan", step)
    return p.give(result)


def _prefixes(part: LocalPart, call: Call, box: tuple[int, int, int], inclusive: bool, start: Any, out: Any) -> None:
    (outer, length, inner), values = box, call.values
    tiles, element = -(-length // TILE), call.element(part, call.local(part), box)
    op, load, store, keep = values.op, values.load, values.store, codec(out.dtype).store
    started, pick = int(start is not None), _after if inclusive else _before
    begin = blank_value(values) if start is None else start
    carries = part.empty(outer * tiles * inner, values.dtype)
    totals = folds_of(part, call, element, box) if tiles > 1 else carries
    at, close = element

    def carry(i: int, tiles: int, inner: int, totals: Any, carries: Any) -> None:
        place = i // inner * tiles * inner + i % inner
        store(np.uint64(place), carries, begin)
        acc = begin
        for t in range(1, tiles):
            fold = load(np.uint64(place + (t - 1) * inner), totals)
            acc = op(acc, fold) if started + t > 1 else fold
            store(np.uint64(place + t * inner), carries, acc)

    def along(o: int, t: int, j: int, length: int, tiles: int, inner: int, out: Any) -> None:
        k, hi = t * TILE, min(length, t * TILE + TILE)
        place = (o * length + k) * inner + j
        acc = load(np.uint64((o * tiles + t) * inner + j), carries)
        if started + t == 0:
            acc = at(o, k, j)
            keep(np.uint64(place), out, acc)
            k += 1
            place += inner
        while k < hi:
            after = op(acc, at(o, k, j))
            keep(np.uint64(place), out, pick(acc, after))
            acc = after
            k += 1
            place += inner

    def beside(o: int, t: int, lo: int, hi: int, length: int, tiles: int, inner: int, out: Any) -> None:
        k, end = t * TILE, min(length, t * TILE + TILE)
        base = (o * tiles + t) * inner
        if started + t == 0:
            place = (o * length + k) * inner
            for j in range(lo, hi):
                acc = at(o, k, j)
                store(np.uint64(base + j), carries, acc)
                keep(np.uint64(place + j), out, acc)
            k += 1
        while k < end:
            place = (o * length + k) * inner
            for j in range(lo, hi):
                acc = load(np.uint64(base + j), carries)
                after = op(acc, at(o, k, j))
                store(np.uint64(base + j), carries, after)
                keep(np.uint64(place + j), out, pick(acc, after))
            k += 1

    for_each(part.how, outer * inner, carry, tiles, inner, totals, carries)
    run_folds(part, (outer, tiles, inner), length, close, along, beside, out)


def _before(before: Any, after: Any) -> Any:
    return before


def _after(before: Any, after: Any) -> Any:
    return after


def _scan_parts(p: Parts, call: Call, op: Any, inclusive: bool, init: Any, out: Any) -> Any:
    """Along the first axis, of which each part has some: of the transpose, whose rows each has whole."""
    n, width, dtype = call.shape[0], math.prod(call.shape[1:]), call.values.dtype
    if dtype.names is not None:
        raise ArgumentError(
            f"{p.algorithm}: axis=0 of values that are tuples, on several parts: must be numbers. Use one executor"
        )
    values = p.new(call.shape, dtype)

    def collect(part: LocalPart) -> None:
        here = call.local(part)
        if len(part):
            x = here[0] if call.transform is None else lazy.transform(*here, call.transform)
            copy(part.how, x, out=values[part])

    p.each("values", collect)
    rows = _as_rows(p.give(values), (n, width))
    found = scan_axis(p.algorithm, p.how, (transpose(p.how, rows),), op, None, inclusive, init, None, (width, n), 1)
    copies = p.executor.kind == "mpi" and not isinstance(rows, PartitionedArray)  # no rank may write a part of its own
    back = transpose(p.how, found, out=None if copies else rows)
    result = back.reshape(call.shape) if copies else values.value
    return result if out is None else copy(p.how, result, out=out)


def _as_rows(x: Any, shape: tuple[int, int]) -> Any:
    """The array with as many rows, and all else of a row in one dimension."""
    if not isinstance(x, PartitionedArray):
        return x.reshape(shape)
    local = {k: part.reshape(len(part), shape[1]) for k, part in x.parts.items()}
    return PartitionedArray(shape, x.dtype, x.cuts, local, x.executor)
