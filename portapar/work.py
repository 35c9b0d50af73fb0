"""How much work a call is: bytes, arithmetic, scattered accesses, counted in its program's text and its arguments.

Nobody says it of a kernel: an iteration is walked through (`portapar.counter`). An array that a program has by several
names is moved once. A kernel as traffic and operations:
S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from portapar.counter import Seen, iteration
from portapar.kernel.jit.layout import DATA, word
from portapar.problem import Problem

_TABLE = 1 << 14  #: bytes of an array that is in the first cache


@dataclass(slots=True)  # frozen ones take several microseconds to make; nobody changes one all the same
class Work:
    """What has to be done, all in all.

    Attributes
    ----------
    launches : float
        Kernels that are started.
    traffic : float
        Bytes of arrays that are read and written in order: each element once, and once more if it is read and written.
    doubles, singles : float
        Arithmetic operations, on 8 bytes or more, and on less.
    special : float
        Calls of exp, sin and their kin.
    chained : float
        Operations of loops that no vector can do: those that have an end that the iteration or the data say, and hand
        numbers from round to round or store where data say; ``while`` that does not count has one more for each round.
    close : float
        Accesses of elements that other data say, of arrays that fit into any first cache.
    scattered : float
        The same of larger arrays.
    spread : float
        Bytes of the arrays that these are in.
    atomics : float
        Atomic operations.
    steps : float
        Kernels that algorithms of several steps start, each for itself. They are none of `launches`.
    few : float
        First steps of algorithms that run remembered steps; as well.
    sorted : float
        Bytes of keys that a device sorts by an algorithm of its own.
    looped : float
        Operations that hand numbers from round to round of a loop, as long for each iteration but not constant.
    touched : float
        Bytes of all accesses that are in no loop: of an element as often as it is read or written.
    captures : float
        Kernels that are started, and have captured something that may be another thing in each call.
    alone : Work, optional
        What one thread does while all others wait; in none of the above.
    """

    launches: float = 0.0
    traffic: float = 0.0
    doubles: float = 0.0
    singles: float = 0.0
    special: float = 0.0
    chained: float = 0.0
    close: float = 0.0
    scattered: float = 0.0
    spread: float = 0.0
    atomics: float = 0.0
    steps: float = 0.0
    few: float = 0.0
    sorted: float = 0.0
    looped: float = 0.0
    captures: float = 0.0
    touched: float = 0.0
    alone: Work | None = None

    def __add__(self, other: Work) -> Work:
        found: dict[str, Any] = {x: a + b if x != "spread" else max(a, b) for x, a, b in _both(self, other)}
        both = self.alone + other.alone if self.alone and other.alone else self.alone or other.alone
        return Work(**found, alone=both)

    @property
    def operations(self) -> float:
        """Arithmetic operations of all kinds, whatever they wait for."""
        return self.doubles + self.singles + self.chained + self.looped + (self.alone.operations if self.alone else 0.0)

    def times(self, share: float) -> Work:
        """The same for so many times as many iterations; it starts no more kernels, and reaches as far."""
        kept = {"launches", "spread", "steps", "few", "captures"}
        found: dict[str, Any] = {name: x if name in kept else x * share for name, x, _ in _both(self, self)}
        return Work(**found, alone=self.alone and self.alone.times(share))

    def numbers(self) -> list[float]:
        """All of it, as `made` takes it."""
        return [x for one in (self, self.alone or Work()) for _, x, _ in _both(one, one)]

    @classmethod
    def made(cls, numbers: Sequence[float]) -> Work:
        """The work that `numbers` tells."""
        names = [name for name, _, _ in _both(cls(), cls())]
        own: dict[str, Any] = dict(zip(names, numbers[: len(names)], strict=True))
        rest: dict[str, Any] = dict(zip(names, numbers[len(names) :], strict=True))
        return cls(**own, alone=cls(**rest) if any(rest.values()) else None)

    def __str__(self) -> str:
        told = [
            f"{_amount(getattr(self, f.name))} {_WORDS[f.name]}"
            for f in fields(self)
            if f.name in _WORDS and getattr(self, f.name)
        ]
        told += [f"on one thread {self.alone}"] if self.alone else []
        return ", ".join(told) or "nothing"


_WORDS = {
    "traffic": "bytes in order", "doubles": "operations", "singles": "operations in single precision",
    "special": "special functions", "chained": "operations one by one", "close": "accesses of tables",
    "scattered": "scattered accesses", "atomics": "atomic operations", "sorted": "bytes of sorted keys",
    "looped": "operations of loops",
}  # fmt: skip


def _both(one: Work, other: Work) -> list[tuple[str, float, float]]:
    names = [f.name for f in fields(one) if f.name != "alone"]
    return [(name, getattr(one, name), getattr(other, name)) for name in names]


def _amount(x: float) -> str:
    return f"{x:.3g}" if x < 1e4 else f"{x:.2e}".replace("e+0", "e").replace("e+", "e")


def of(problem: Problem, lo: int = 0, hi: int | None = None, seen: Seen | None = None) -> Work:
    """The work of the flat indices [lo, hi) of a problem, by default of all; `seen` as `portapar.observed` tells it."""
    size = problem.size if hi is None else hi - lo
    if size <= 0:
        return Work(launches=1.0)
    one, reached, strays = iteration(problem, seen)
    share = size / max(problem.size, 1)
    moved: dict[Any, list[Any]] = {}  # by place in memory: bytes at most, reached, read, written
    wide, whole, floats = False, False, False
    strayed: list[tuple[float, float]] = []
    for x, spec, use, count, stray in zip(
        problem.values, problem.program.specs, problem.access, reached, strays, strict=True
    ):
        if not spec.is_array:
            continue
        dtype = spec.dtype
        if dtype.kind in "fc":  # others are indices, besides
            wide, floats = wide or dtype.itemsize > 4, True
        else:
            whole |= dtype.itemsize > 4
        bytes_ = float(x.size * dtype.itemsize)
        if stray:
            strayed.append((stray, bytes_))
        if count:
            most = bytes_ * share if use is not None and use.pointwise else bytes_
            found = moved.setdefault(_place(x), [0.0, 0.0, False, False])
            found[0] = max(found[0], most)
            found[1] += count * size * dtype.itemsize
            if use is not None:
                found[2] |= use.reads
                found[3] |= use.writes
    traffic = sum((1 + (read and written)) * min(most, all_) for most, all_, read, written in moved.values())
    wide = wide if floats else whole
    acc = problem.program.acc
    wide = wide or (acc is not None and acc.itemsize > 4)
    far = [one for one in strayed if one[1] > _TABLE]
    done = Work(
        1.0,
        traffic,
        one.operations * size if wide else 0.0,
        0.0 if wide else one.operations * size,
        one.special * size,
        one.chained * size,
        sum(count for count, all_ in strayed if all_ <= _TABLE) * size,
        sum(count for count, _ in far) * size,
        max((all_ for _, all_ in far), default=0.0),
        one.atomics * size,
        looped=one.looped * size,
        touched=one.touched * size,
    )
    if size > 1:
        return done
    done.launches = 0.0
    return Work(1.0, alone=done)


def _place(x: Any) -> Any:
    """What is the same for arrays that are the same elements."""
    return (word(id(x) + DATA), x.shape, x.strides) if type(x) is np.ndarray else id(x)
