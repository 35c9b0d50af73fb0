"""for_each under ``policy.with_(deterministic=True)``: atomic sums of floats that have the same bits in every run.

The iterations are cut into blocks, by their number and the length of what is summed alone. Each block runs in order and
adds to a copy of its own, and the copies are added up in the order of the blocks. J. Demmel, H. D. Nguyen, "Fast
reproducible floating-point summation", 2013, motivates it; fixed blocking is the cheap way to it.
"""

from __future__ import annotations

import math
from typing import Any

from portapar import bodies, indexed, parts
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import fill
from portapar.errors import KernelError, PlacementError
from portapar.kernel.front.sources import function
from portapar.moves import chancy, check_added
from portapar.parts import Parts
from portapar.policy import Policy
from portapar.problem import box

_MOST, _LEAST = 64, 8  #: blocks, unless there are fewer iterations


def in_order(policy: Policy | None, n: Any, body: Any, args: tuple[Any, ...]) -> Any:
    """`for_each` of arguments that are arrays and numbers."""
    given = [x for x in args if hasattr(x, "dtype")]
    return parts.run("for_each", policy, given, lambda p: _run(p, n, body, args), own=lambda: _captured(body))


def _captured(body: Any) -> list[Any]:
    return [x for _, x in bodies.captures(body)]


def _run(p: Parts, n: Any, body: Any, args: tuple[Any, ...]) -> None:
    how = p.how._but(deterministic=False, asynchronous=False)
    space = box(n)
    asked = indexed.for_each(p.algorithm, n, body, args)
    sums = chancy(asked)
    if not sums:
        for_each(how, n, body, *args)
        return
    if p.count > 1:
        raise PlacementError(
            f"for_each: the kernel adds to {sums[0][0]!r} by pp.atomic, and {p.executor!r} has {p.count} parts: with "
            "deterministic=True that is done on one device, such as policy.on(pp.threads())"
        )
    (part,) = p.own
    places = {}
    for name, value, reach in sums:
        check_added(asked, name, reach)
        found = [k for k, x in enumerate(args) if x is value]
        if len(found) != 1 or not 1 <= value.ndim <= 3:
            raise KernelError(
                f"for_each: the kernel adds to {name!r} by pp.atomic: with deterministic=True that must be one "
                "argument of the call, of at most three axes. Captured arrays can be passed as arguments"
            )
        places[found[0]] = value
    extent, start, step = space
    total, size = math.prod(extent), sum(x.size for x in places.values())
    blocks = max(1, min(extent[0], _MOST, max(_LEAST, _LEAST * total // max(size, 1))))
    copies = {k: part.empty((blocks, *x.shape), x.dtype) for k, x in places.items()}
    for copy in copies.values():
        fill(how, copy, copy.dtype.type(0))
    each = -(-extent[0] // blocks)
    inner = [copies.get(k, x) for k, x in enumerate(args)]
    for_each(how._dealt(1), blocks, _blockwise(extent, start, step, body, places, len(args)), each, *inner)
    for k, x in places.items():
        for_each(how, tuple(x.shape) if x.ndim > 1 else len(x), _ADD[x.ndim - 1], blocks, copies[k], x)


def _blockwise(extent: Any, start: Any, step: Any, body: Any, places: Any, count: int) -> Any:
    """``body`` for the iterations of a block, in order."""
    names = [f"a{k}" for k in range(count)]
    text = f"def block({', '.join(['b', 'each', *names])}):\n"
    for axis, length in enumerate(extent):
        span = f"b * each, min(b * each + each, {length})" if axis == 0 else f"{length}"
        text += "    " * (axis + 1) + f"for i{axis} in range({span}):\n"
    given = [f"{start[axis]} + {step[axis]} * i{axis}" for axis in range(len(extent))]
    given += [f"{name}[b]" if k in places else name for k, name in enumerate(names)]
    return function(text + "    " * (len(extent) + 1) + f"body({', '.join(given)})", body=body)


# kernels ------------------------------------------------------------------------------------------


def _add_1(i: Any, blocks: Any, copies: Any, x: Any) -> None:
    for b in range(blocks):
        x[i] += copies[b, i]


def _add_2(i: Any, j: Any, blocks: Any, copies: Any, x: Any) -> None:
    for b in range(blocks):
        x[i, j] += copies[b, i, j]


def _add_3(i: Any, j: Any, k: Any, blocks: Any, copies: Any, x: Any) -> None:
    for b in range(blocks):
        x[i, j, k] += copies[b, i, j, k]


_ADD = (_add_1, _add_2, _add_3)
