"""Programs and tasks written by hand, and what reductions of them must give."""

import math

import numpy as np

from portapar.backend import Program, Spec, Task
from portapar.kernel.tiles import LANES, TILE

F64, F32, I64, I8 = (np.dtype(d) for d in ("f8", "f4", "i8", "i1"))
SIZES = (0, 1, 2, 1001, TILE, TILE + 1, 5 * TILE, 5 * TILE + 37)


def array(dtype, ndim=1, **more):
    return Spec(np.dtype(dtype), ndim, **more)


def scalar(dtype):
    return Spec(np.dtype(dtype))


def map_program(text, *specs, ndim=1, unit=True):
    return Program("map", text, ("body",), specs, ndim, unit, () if unit else (0,) * ndim)


def transform_program(expression, parameters, *specs, out=0):
    """``a{out}[i] = expression``, as the front end writes it: `elem`, and `body` which stores it."""
    text = (
        f"def elem(i, {parameters}):\n    return {expression}\n"
        f"def body(i, {parameters}):\n    {parameters.split(', ')[out]}[i] = elem(i, {parameters})\n"
    )
    return Program("transform", text, ("elem", "body"), specs, out=out)


def reduce_program(expression, parameters, *specs, acc, op="x + y"):
    text = f"def elem(i, {parameters}):\n    return {expression}\ndef op(x, y):\n    return {op}\n"
    return Program("reduce", text, ("elem", "op"), specs, acc=np.dtype(acc))


def run(device, program, values, n, lo=0, hi=None, firsts=None, start=None, step=None, chunk=0):
    """Run a task on host values; the arrays come back as the device left them, then the partials."""
    extent = n if isinstance(n, tuple) else (n,)
    on_device = [device.asarray(v) if spec.is_array else v for v, spec in zip(values, program.specs, strict=True)]
    hi = math.prod(extent) if hi is None else hi
    task = Task(
        program, tuple(on_device), firsts or (0,) * len(values), extent, start or (0,) * len(extent),
        step or (1,) * len(extent), lo, hi, chunk=chunk,
    )  # fmt: skip
    partials = device.run(task)
    back = [device.asnumpy(x) if s.is_array else x for x, s in zip(on_device, program.specs, strict=True)]
    return back, partials


def partials_of(x, op, acc):
    """What a reduction must return: tiles in order, in each the lanes in order, then halves."""
    partials = []
    for first in range(0, len(x), TILE):
        tile = x[first : first + TILE].astype(acc)
        lanes = tile[:LANES].copy()
        for row in range(LANES, len(tile), LANES):
            more = tile[row : row + LANES]
            lanes[: len(more)] = op(lanes[: len(more)], more)
        half = LANES // 2
        while half:
            count = max(0, min(half, len(lanes) - half))
            lanes[:count] = op(lanes[:count], lanes[half : half + count])
            half //= 2
        partials.append(lanes[0])
    return np.array(partials, acc)


ADD = transform_program("a[i] + s * b[i]", "c, a, b, s", array(F64), array(F64), array(F64), scalar(F64))
SUM = reduce_program("x[i]", "x", array(F64), acc=F64)
