"""Private copies of the arrays that iterations update atomically, one for each thread, combined at the end.

Where many iterations update few elements, threads would wait for each other at every update, since the cache line goes
from core to core. On copies of their own they need no atomic operations at all: OpenMP's reductions of arrays do so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import topology
from portapar.kernel import places
from portapar.kernel.copies import combine, neutral
from portapar.kernel.jit.layout import DATA, word
from portapar.kernel.program import INDICES, Program, Spec, Task

_COPY, _ELEMENT = 2e-6, 1e-9  #: seconds for a copy, and for each of its elements
_WORK = 1000  #: to find out whether arrays share elements
_LINES = 128  #: bytes; neighbouring cache lines are often fetched together
_UPDATED = np.dtype("i4"), np.dtype("i8"), np.dtype("u4"), np.dtype("u8"), np.dtype("f4"), np.dtype("f8")

_MOST_SPARE = 2
_spare: list[np.ndarray] = []  #: memory that no call uses now

Target = tuple[int, str, np.ndarray]  #: the number of an argument, how copies of it are combined, and the array


@functools.cache
def _room() -> int:
    """Bytes that all copies of a call may take: they stay in the last cache."""
    return topology.caches().get("L3", 32 << 20)


def pure(program: Program) -> bool:
    """Whether all atomic updates of a program can be done on copies."""
    return bool(program.updated) and all(operation for _, operation in program.updated)


def targets(program: Program, values: Sequence[Any], threads: int) -> list[Target]:
    """The arrays of a call to make copies of, if these are small enough; none otherwise."""
    found = [(k, operation, values[k]) for k, operation in program.updated if operation]
    return found if sum([x.nbytes for _, _, x in found]) * threads <= _room() else []


def cost(found: Sequence[Target], threads: int) -> float:
    """Seconds that the copies take."""
    return threads * (_COPY * len(found) + _ELEMENT * sum([x.size for _, _, x in found]))


def can_be_copied(program: Program, values: Sequence[Any], found: Sequence[Target]) -> bool:
    """Whether no element of these arrays is one of another argument, or of the array itself at another index."""
    used = [k for k, spec in enumerate(program.specs) if spec.is_array and k not in program.idle]
    return all(
        x.ndim <= len(INDICES)
        and _fields(x.dtype) is not None
        and places.have_their_own(x)
        and not any(places.share(x, values[j], _WORK) for j in used if j != k)
        for k, _, x in found
    )


@functools.lru_cache(maxsize=256)
def _fields(dtype: np.dtype) -> tuple[str, ...] | None:
    """The fields of a record that may be updated atomically, none of a number; None if there are others, further in."""
    kinds = {name: dtype[name] for name in dtype.names or ()}
    if any(kind.names or kind.subdtype for kind in kinds.values()):
        return None
    return tuple(name for name, kind in kinds.items() if kind in _UPDATED)


def copies(found: Sequence[Target], threads: int) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """For each array a copy for each thread, which changes nothing when it is combined with the array; their memory."""
    steps = [x.itemsize * x.size + -x.itemsize * x.size % _LINES for _, _, x in found]
    size, made = sum(steps) * threads + _LINES, []
    try:
        raw = _spare.pop()
    except IndexError:
        raw = np.empty(size, np.uint8)
    if len(raw) < size:
        raw = np.empty(size, np.uint8)
    first = -word(id(raw) + DATA) % _LINES
    for (_, operation, x), step in zip(found, steps, strict=True):
        if x.dtype.names is None:
            raw[first : first + step * threads].view(x.dtype).fill(neutral(operation, x.dtype))
        mine = [np.ndarray(x.shape, x.dtype, raw, first + t * step) for t in range(threads)]
        for name in _fields(x.dtype) or ():
            for copy in mine:
                copy[name] = neutral(operation, copy.dtype[name])
        made.append(mine)
        first += step * threads
    return made, raw


def give_back(raw: np.ndarray) -> None:
    """Let the next call use that memory: the first touch of fresh pages takes longer than all else."""
    if len(_spare) < _MOST_SPARE:
        _spare.append(raw)


def _numbers(x: np.ndarray) -> list[np.ndarray]:
    """An array of numbers, or those of a record's fields."""
    return [x] if x.dtype.names is None else [x[name] for name in _fields(x.dtype) or ()]


def put_together(
    found: Sequence[Target], made: Sequence[Sequence[np.ndarray]], plainly: bool, run: Callable[[Task], Any]
) -> None:
    """Combine the copies with the arrays; atomically, as a task, where others may update these at the same time."""
    for (_, operation, x), mine in zip(found, made, strict=True):
        for copy in mine:
            for total, some in zip(_numbers(x), _numbers(copy), strict=True):
                if not plainly:
                    run(_task(operation, total, some))
                elif x.dtype.names is None:
                    combine(operation, total, some)
                else:  # a field that is not updated may be written to by whoever does something else
                    used = some.view(f"u{some.itemsize}") != neutral(operation, some.dtype).view(f"u{some.itemsize}")
                    if used.any():
                        both = total[used]
                        combine(operation, both, some[used])
                        total[used] = both


def _task(operation: str, total: np.ndarray, some: np.ndarray) -> Task:
    """Updates a total by all that is in a copy."""
    n = total.ndim
    specs = tuple(Spec(x.dtype, n, x.flags.c_contiguous) for x in (total, some))
    return Task(_program(operation, specs), (total, some), (0, 0), total.shape, (0,) * n, (1,) * n, 0, total.size, 1)


@functools.lru_cache(maxsize=256)
def _program(operation: str, specs: tuple[Spec, ...]) -> Program:
    index = ", ".join(INDICES[: specs[0].ndim])
    text = f"def body({index}, total, some):\n    atomic.{operation}(total, ({index},), some[{index}])\n"
    return Program("map", text, ("body",), specs, ndim=specs[0].ndim)
