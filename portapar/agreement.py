"""What ranks must agree on: calls, and what they were given, in words and numbers that ranks can compare."""

from __future__ import annotations

import functools
import operator
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from portapar import arrays, config, ops
from portapar.arrays import SCALARS
from portapar.errors import KernelError
from portapar.kernel.front.lift import bound
from portapar.lazy import Lazy
from portapar.partitioned import PartitionedArray
from portapar.problem import Problem

MANY = 64  #: of so many loops the words are kept, for messages
SMALL = 1024  #: bytes of an array of which every rank has a copy, up to which copies are compared in every call
_OURS = str(Path(__file__).parent)
_NAN = 0x7FF8_0000_0000  #: stands for all of them, which equal nothing


class Asked(int):
    """A loop, apart from what it is given: a digest of its text, its space, and the kinds of its arguments.

    Attributes
    ----------
    call : str
        What to call it in messages.
    places : tuple of int
        The arguments that are compared: numbers and small arrays, of which every rank has a copy, and partitioned
        arrays, by which one it is.
    names : tuple of str
        Theirs; those of arrays end in a colon, those of partitioned ones in a number sign.
    """

    call: str
    places: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, problem: Problem) -> Asked:
        program, values = problem.program, problem.values
        record = -1 if problem.tests is None else problem.tests.place
        places = [k for k, x in enumerate(values) if k != record and cls._compared(x, problem.access[k])]
        space = problem.extent, problem.start, problem.step
        shapes = [(getattr(x, "shape", ()), spec.dtype) for x, spec in zip(values, program.specs, strict=True)]
        told = repr((problem.algorithm, program.form, program.text, program.acc, space, shapes, problem.init))
        found = cls(int.from_bytes(config.digest(told.encode(), 7), "little"))
        size = "×".join(map(str, problem.extent))
        users = [(file, line) for file, line in (program.origin or {}).values() if not file.startswith(_OURS)]
        where = f" ({users[-1][0]}:{users[-1][1]})" if users else ""
        checked = " with check=True" * (problem.tests is not None)
        found.call, found.places = f"{problem.algorithm} of {size} indices{checked}{where}", tuple(places)
        found.names = tuple(f"{problem.names[k]}{_sign(values[k])}" for k in places)
        return found

    @staticmethod
    def _compared(x: Any, use: Any) -> bool:
        if use is None or isinstance(x, PartitionedArray):
            return True
        return isinstance(x, np.ndarray) and x.nbytes <= SMALL and use.reads and not use.writes


def numbers(values: Sequence[Any], places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """What gives the numbers that are compared of a call's arguments, those at `places`, which look like `values`."""
    if places and all(type(values[k]) is PartitionedArray for k in places):
        if len(places) == 1:
            (k,) = places
            return lambda args: (args[k].number,)
        pick, number = operator.itemgetter(*places), operator.attrgetter("number")
        return lambda args: tuple(map(number, pick(args)))
    return lambda args: tuple([_number(args[k]) for k in places])


def _sign(x: Any) -> str:
    """What a name in `Asked.names` ends in."""
    return "" if isinstance(x, SCALARS) else "#" if isinstance(x, PartitionedArray) else ":"


def _number(x: Any) -> Any:
    """A number that is equal, and has the same hash, on all ranks where `x` is the same."""
    if type(x) is PartitionedArray:
        return x.number
    if isinstance(x, (int, float, complex, np.number)):
        return x if x == x else _NAN
    return zlib.crc32(x.tobytes()) if isinstance(x, (np.ndarray, np.generic)) else 0


class Loops:
    """The loops that a rank ran since ranks agreed last. To note one costs less than a microsecond."""

    __slots__ = ("_arrays", "_before", "_ends", "_noted")

    def __init__(self) -> None:
        self._before, self._noted = 0, []  # type: int, list[tuple[Asked, tuple[Any, ...]]]
        self._ends = self._arrays = 0

    def number(self) -> int:
        """Of the next array that is made: how often ranks have agreed, and how many were made since."""
        self._arrays += 1
        return self._ends << 20 | self._arrays

    def restart(self, ends: int) -> None:
        """Count arrays anew, since ranks differ: they have met `ends` times."""
        self._ends, self._arrays = ends, 0

    def note(self, asked: Asked, values: Sequence[Any]) -> None:
        """One more, with what is at its `places`."""
        self.append((asked, tuple(map(_number, values)) if values else ()))

    def append(self, one: tuple[Asked, tuple[Any, ...]]) -> None:
        """One more, with numbers for what is at its `places`."""
        if len(self._noted) >= MANY:
            self._before = self._digest()
            self._noted.clear()
        self._noted.append(one)

    def drop(self) -> None:
        """The last one did not run."""
        self._noted.pop()

    def _digest(self) -> int:
        return hash((self._before, *self._noted)) if self._noted else self._before

    def end(self) -> tuple[int, list[Any]]:
        """A digest of all of them, and the last ones in words if it comes to that; they are forgotten."""
        self._ends, self._arrays = self._ends + 1, 0
        if not self._noted and not self._before:
            return 0, self._noted
        digest, noted = self._digest(), self._noted
        self._before, self._noted = 0, []
        return digest, noted


def in_full(noted: Sequence[Any]) -> list[tuple[str, int, tuple[Any, ...]]]:
    """What ranks tell each other of loops where their digests differ."""
    return [(asked.call, int(asked), tuple(zip(asked.names, numbers, strict=True))) for asked, numbers in noted]


def differ(told: Sequence[Sequence[tuple[str, int, tuple[Any, ...]]]]) -> str:
    """What is different in the loops that ranks ran."""
    for loops in zip(*told, strict=False):
        calls, digests, given = zip(*loops, strict=True)
        if len(set(digests)) > 1:
            break
        for pairs in zip(*given, strict=True):
            name, _ = pairs[0]
            if len({number for _, number in pairs}) > 1:
                numbers = ", ".join(f"{_told(number)} on rank {rank}" for rank, (_, number) in enumerate(pairs))
                if name[-1:] == "#":
                    return f"in {calls[0]}, {name[:-1]!r} is not the same partitioned array on all ranks"
                what = f"{name[:-1]!r} has not the same elements" if name[-1:] == ":" else f"{name!r} is {numbers}"
                return (
                    f"in {calls[0]}, {what}. Numbers, and arrays that are not partitioned, must be the same on all "
                    "ranks: pass what differs as rows of a partitioned array"
                )
    counts = [len(some) for some in told]
    at = next((k for k in range(min(counts)) if len({some[k][1] for some in told}) > 1), min(counts))
    found = "; ".join(f"rank {k}: {some[at][0] if at < len(some) else 'no such call'}" for k, some in enumerate(told))
    if at == max(counts):
        found = f"in one of the calls before the last {at}"
    return f"the ranks differ. Every rank must make the same calls in the same order ({found})"


def _told(number: Any) -> str:
    return "nan" if number == _NAN else repr(number)


def told(body: Any) -> str:
    """What an algorithm's body captures, which is how it was called."""
    return ", ".join(dict.fromkeys(f"{name}={in_words(x)}" for name, x in _given(body, ())))


def _given(body: FunctionType, around: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Captures by name; in the place of functions of ours what these capture."""
    cells = zip(body.__code__.co_freevars, body.__closure__ or (), strict=True)
    for name, x in ((name, cell.cell_contents) for name, cell in cells):
        if isinstance(x, FunctionType) and (x.__module__ or "").startswith("portapar."):
            if x.__closure__ and not any(x is other for other in around):
                yield from _given(x, (*around, x))
        elif name not in ("algorithm", "name"):  # which the message says in front of them
            yield name, x


def in_words(x: Any, around: tuple[Any, ...] = ()) -> str:
    """What a call was given; `around` are the functions that capture it."""
    if x is None or isinstance(x, (str, type, *SCALARS)):
        return repr(x)
    if isinstance(x, (tuple, list)):
        return f"({', '.join(in_words(part, around) for part in x)})"
    if isinstance(x, ops.Monoid):
        return in_words(x.py_func, around)
    if isinstance(x, Lazy):
        functions = ", ".join(kernel.where() for kernel in x.expression.kernels)
        return f"{x!r} of {in_words(x.values, around)} by {functions or 'nothing'}"
    if isinstance(x, FunctionType) and not any(x is other for other in around):
        code = x.__code__
        facts = code.co_code, code.co_names, [const for const in code.co_consts if not isinstance(const, CodeType)]
        inside = [in_words(value, (*around, x)) for value in _captured(x)]
        return f"{x.__name__} {config.digest(repr((facts, inside)).encode(), 3).hex()}"
    if isinstance(x, PartitionedArray):
        return f"{arrays.describe(x)} #{x.number:x}"
    if isinstance(x, np.ndarray) and x.nbytes <= 4096:  # such as the edges of bins
        return f"{arrays.describe(x)} {config.digest(x.tobytes(), 3).hex()}"
    return arrays.describe(x) if hasattr(x, "dtype") and hasattr(x, "shape") else type(x).__name__


def _captured(func: FunctionType) -> list[Any]:
    """What a function captures: a kernel global names and what its helpers capture, too."""
    cells = [cell.cell_contents for cell in func.__closure__ or ()]
    if (func.__module__ or "").startswith("portapar."):
        return cells
    try:
        return [*cells, *(func.__defaults__ or ()), *bound(func)[2]]
    except KernelError:  # which the algorithm tells of
        return cells


@functools.lru_cache(maxsize=256)
def agreed(algorithm: str, program: Any, size: int, init: str) -> str:
    """What ranks must agree on in a reduction."""
    return f"{algorithm} of {size} elements to {program.acc} (kernel {program.key[:8]}, init {init})"
