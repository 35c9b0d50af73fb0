"""Loops over other lengths: what a call looks like but for them, and what runs it then without a plan."""

from __future__ import annotations

import functools
import math
import operator
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

from portapar import arrays
from portapar.arrays import Range, Steps
from portapar.cache import Bounded
from portapar.expression import Expression
from portapar.kernel.device import Lengths
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.program import INDICES, SHORT, Task, short_last
from portapar.lazy import Lazy
from portapar.looks import Code, Look, learn
from portapar.partitioned import PartitionedArray
from portapar.plan import Loop, threads_for, values_first
from portapar.policy import forgets
from portapar.remembered import MISS, NUMBERS, ready_calls, repeats


class Alike(NamedTuple):
    """What a call looks like but for lengths, and these."""

    key: Any
    extent: tuple[int, ...]  #: of its index space, or of its elements
    start: tuple[int, ...] | None  #: None of 0, 1, 2, … along all axes
    step: tuple[int, ...] | None


_loops = Bounded()  #: by what their calls look like but for lengths, with policies and spaces
_OFTEN = 3  #: calls over other lengths before native code learns a loop
_FEW = 32  #: calls whose lengths it learns or, where it cannot, that are remembered as they are; then one in so many

forgets(_loops.clear)


def likeness(key: Any, given: tuple[Any, ...], args: tuple[Any, ...], build: Any) -> Alike | None:
    """What a call looks like but for its lengths: all that code for it depends on.

    `key` and `args` are from `signature`, `given` the arguments of the call. None if it says too little.
    """
    extra, known = key[1], 3
    while known < len(key) and type(key[known]) in _KERNELS:
        known += 1
    parts: list[Any] = [build, key[0], repeats(args, False), *key[2:known]]
    extent: Any = None
    start = step = tops = None
    own = 0  #: from which argument on arrays are of one element for each index
    if type(extra) is int:
        extent = (extra,)
    elif type(extra) is tuple and extra and type(extra[0]) is int:
        extent = extra
    elif type(extra) is tuple and len(extra) == 3 and type(extra[0]) is tuple:
        extent, start, step = extra
        if start.count(0) == len(start) and step.count(1) == len(step):
            start = step = None
    if extent is None:
        parts.append(extra)
        own = len(args) - sum(map(_leaves, given))
        first = next((x for x in given if getattr(x, "shape", ()) or type(x) in (Range, range)), None)
        if first is None:
            return None
        shape = extent = first.shape if hasattr(first, "shape") else (len(first),)
        if any(type(x) is int and x for x in key[3:known]):  # perhaps they are defaults, which are of elements, too
            own = 0
    else:
        tops = extent
        if start is not None and step is not None:
            tops, signed = [], False
            for n, low, s in zip(extent, start, step, strict=True):
                high = low + s * (n - 1) if n else low
                if high < low:
                    low, high = high, low
                signed |= low < 0
                tops.append(high + 1)
            parts += (step, signed)
        parts += (len(extent), short_last(extent))
    size = math.prod(extent)
    if not (tops is None) <= size < 2**52 or min(extent) < 0:
        return None
    rest, values, at, leaves = iter(key[known:]), iter(args), 0, 0
    for part in rest:
        kind = type(part)
        if isinstance(part, np.dtype):
            found, strides = next(rest), next(rest)
            x = next(values)
            contiguous = x.flags.c_contiguous if type(x) is np.ndarray else arrays.contiguous(x)
            parts += (part, len(found), contiguous)
            if tops is not None:
                parts += (found == extent, *map(operator.ge, found, tops))
                if contiguous and len(found) > 1:
                    parts += [n if n <= SHORT else 0 for n in found[min(len(extent), len(found) - 1) :]]
            elif at >= own and not leaves and found != shape:
                return None
            elif not contiguous and len(found) == 1:
                parts.append(strides)
            at, leaves = at + 1, max(leaves - 1, 0)
        elif kind is Expression:
            found = next(rest)
            leaves = len(part.roles)
            parts += (part, len(found))
            if tops is None and at >= own and found != shape:
                return None
        elif part is Range or part is range or part is Steps:
            found = (next(rest),)
            if tops is None and at >= own and found != shape:
                return None
            parts.append(part)
            next(values), next(values)
            at += 2
        elif kind is type and (part in NUMBERS or part is NoneType):
            parts.append(part)
            next(values)
            at, leaves = at + 1, max(leaves - 1, 0)
        elif kind is type and not issubclass(part, PartitionedArray):  # of a device's own arrays
            parts.append(part)
        else:
            return None
    return Alike(tuple(parts), extent, start, step)


_KERNELS = {Code, Kernel, int}
_ORIGIN, _ONE = (0,) * len(INDICES), (1,) * len(INDICES)


def _leaves(x: Any) -> int:
    """How many arguments of a program an argument of a call is."""
    return len(x.values) if isinstance(x, Lazy) else 2 if isinstance(x, (Range, range)) else 1


def again(
    alike: Alike, key: Any, values: tuple[Any, ...], how: Any, look: Look | None, kernels: tuple[Any, ...],
    args: tuple[Any, ...],
) -> Any:  # fmt: skip
    """Run a loop that ran over other lengths, or return MISS; native code learns it when that has been often."""
    loop = _loops.get(alike.key) or _loops.recalled(alike.key)
    if loop is None:
        return MISS
    ready = loop.over(alike)
    result = ready(values)
    if result is MISS:
        return MISS
    loop.calls += 1
    if loop.calls <= _FEW or loop.calls % _FEW == 0:
        same = repeats(values, False)
        places = same and [j if j < k else -2 if type(values[k]) in NUMBERS else -1 for k, j in enumerate(same)]
        learned = loop.calls > _OFTEN and look is not None
        if not (learned and learn(ready, how, look, kernels, args, values, places, loop.lengths(alike))):
            ready_calls[key if same is None else (key, same)] = ready
    return result


class _Over:
    """A loop that is known, and runs over other lengths."""

    __slots__ = ("calls", "executor", "how", "ndim", "ready")

    def __init__(self, ready: Any, loop: Loop) -> None:
        self.ready, self.executor, self.how, self.ndim = ready, loop.executor, loop.policy, len(loop.problem.extent)
        self.calls = 0

    def over(self, alike: Alike) -> Any:
        how, ready, (space, start, step, dealt) = self.how, self.ready, self.lengths(alike)
        program, size = ready.problem.program, math.prod(space)
        threads, wakes, alone = dealt(size)
        chunk = how.chunk_size or 0
        asked = Task(program, (), (), space, start, step, 0, size, threads, how.schedule, chunk, True, wakes, alone)
        return ready.over(ready.launch.over(asked), alike.extent)

    def lengths(self, alike: Alike) -> Lengths:
        extent, start, step = alike.extent, alike.start, alike.step
        if self.ndim != len(extent):
            extent = (math.prod(extent),)
        if start is None or step is None:
            start, step = _ORIGIN[: self.ndim], _ONE[: self.ndim]
        dealt = functools.partial(threads_for, self.ready.problem.program, self.how, self.executor)
        return Lengths(extent, start, step, dealt)


def keep(alike: Alike, loop: Loop, ready: Any) -> None:
    """Keep a loop for calls over other lengths."""
    problem, how = loop.problem, loop.policy
    special = problem.tiles or problem.copies or problem.held or how.deterministic
    if special or values_first(problem.program, 2) or problem.span is not None or problem.race is not None:
        return
    form = problem.program.form
    if form != "map" and len(problem.extent) > 1 and alike.start is None:
        out = problem.program.out
        if form != "transform" or not problem.program.specs[out].contiguous:  # whose elements may share places
            return
    _loops[alike.key] = _Over(ready, loop)
