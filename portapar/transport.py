"""Moving what parts of a call need of each other: before it runs, and when it has run (see `portapar.moves`)."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portapar import arrays, moves
from portapar.errors import PortaparError
from portapar.kernel.copies import combine, neutral
from portapar.moves import Move, Span
from portapar.partitioned import PartitionedArray
from portapar.plan import Loop, Part
from portapar.problem import Problem


@dataclass(slots=True)
class Buffer:
    """Rows of an array on the host, for some iterations of one part: row `first` of the whole is its first one.

    `rows` are the iterations that use it.
    """

    rows: Span
    host: np.ndarray
    first: int


@dataclass(slots=True)
class Placed:
    """What stands for an argument of which parts use other memory than their own rows.

    Attributes
    ----------
    array : array
        The argument itself.
    members : sequence of Executor
        Of the call's executor.
    buffers : dict
        By the number of a part.
    """

    array: Any
    members: Sequence[Any]
    buffers: dict[int, list[Buffer]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def size(self) -> int:
        return self.array.size

    def at(self, executor: Any, rows: Span) -> Buffer | None:
        """The memory for iterations of the part of an executor; None if these are its own rows."""
        number = next(k for k, member in enumerate(self.members) if member is executor)
        for buffer in self.buffers.get(number, ()):
            if buffer.rows[0] <= rows[0] and rows[1] <= buffer.rows[1]:
                return buffer
        return None


class Transport:
    """One run of a loop over several parts.

    Attributes
    ----------
    moved : Problem
        The call's, with what was moved in the place of arguments.
    parts : list of list of Part
        For each part what it runs, one after the other.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop, self.executor = loop, loop.executor
        self.parts = [[part] for part in loop.parts]
        problem = loop.problem
        self.values = list(problem.values)
        self._fetch([move for move in loop.moves if move.kind == "rows"])
        for move in loop.moves:
            value = self.values[move.argument]
            if move.kind in ("gathered", "shared"):
                whole = self.executor.gather(value)
                flat = moves.scale(problem, move.argument) > 1
                self.values[move.argument] = whole.reshape(-1) if flat else whole
            elif move.kind == "private":
                placed = self.values[move.argument] = Placed(value, self.executor.members)
                start = None if move.operation == moves.PUSHED else neutral(move.operation, value.dtype)
                for k, part in enumerate(loop.parts):
                    if part.lo < part.hi and self._own(k):
                        host = np.empty(value.shape, value.dtype)
                        if start is not None:
                            host[...] = start
                        placed.buffers[k] = [Buffer(moves.rows_of(problem, part.lo, part.hi), host, 0)]
        self.moved = dataclasses.replace(problem, values=tuple(self.values)) if loop.moves else problem

    def _own(self, number: int) -> bool:
        """Whether a part runs in this process."""
        return hasattr(self.executor.members[number], "device")

    # rows of other parts --------------------------------------------------------------------------

    def _fetch(self, found: Sequence[Move]) -> None:
        """Split parts into those iterations that find all they read in their own rows, and others; fetch for these."""
        if not found:
            return
        problem, reaches = self.loop.problem, self.loop.problem.reaches()
        spans = [(part.lo, part.hi) for part in self.loop.parts]
        asked = moves.asked(problem, found, spans)
        for k, part in enumerate(self.loop.parts):
            pieces = moves.pieces(problem, found, k, spans[k])
            if pieces[1]:
                self.parts[k] = [self._piece(part, rows) for some in pieces for rows in some]
        got = self._exchange(asked)
        for move in found:
            self.values[move.argument] = Placed(self.values[move.argument], self.executor.members)
        for k, rows_of_it in got.items():
            for (argument, rows), some in rows_of_it.items():
                reach = reaches[argument]
                assert reach is not None
                some = [x for x in some if len(x[1])]
                value: Placed = self.values[argument]
                buffer = self._joined(argument, rows, some, reach.measured or problem.tests is not None)
                value.buffers.setdefault(k, []).append(buffer)

    def _piece(self, part: Part, rows: Span) -> Part:
        lo, hi = moves.flat(self.loop.problem, *rows)
        return dataclasses.replace(part, lo=lo, hi=hi)

    def _exchange(
        self, asked: Sequence[Sequence[tuple[int, Span, Span]]]
    ) -> dict[int, dict[tuple[int, Span], list[tuple[int, np.ndarray]]]]:
        """For each own part, argument and iterations: (first row, rows) of all parts that have some."""
        own = [k for k in range(len(self.parts)) if self._own(k)]

        def send(k: int) -> list[list[np.ndarray]]:
            return [[self._some(argument, k, rows) for argument, _, rows in theirs] for theirs in asked]

        works = [lambda k=k: send(k) for k in own]
        got = self.executor.alltoall(f"{self.loop.problem.algorithm}: rows", works)
        found: dict[int, dict[tuple[int, Span], list[tuple[int, np.ndarray]]]] = {}
        for k, given in zip(own, got, strict=True):
            mine = found[k] = {}
            for number, theirs in enumerate(given):
                for (argument, rows, span), some in zip(asked[k], theirs, strict=True):
                    first = max(span[0], moves.owned(self.loop.problem, argument, number)[0])
                    mine.setdefault((argument, rows), []).append((first, some))
        return found

    def _some(self, argument: int, number: int, rows: Span) -> np.ndarray:
        """What a part has of these rows."""
        value = self.loop.problem.values[argument]
        begin, end = moves.owned(self.loop.problem, argument, number)
        lo, hi = max(rows[0], begin), min(rows[1], end)
        flat = moves.scale(self.loop.problem, argument) > 1
        if lo >= hi:
            return np.empty((0, *(() if flat else value.shape[1:])), value.dtype)
        local = value.parts[number]
        return np.array(arrays.asnumpy((local.reshape(-1) if flat else local)[lo - begin : hi - begin]))

    def _joined(self, argument: int, rows: Span, some: list[tuple[int, np.ndarray]], whole: bool) -> Buffer:
        """Rows in one piece of memory, where a kernel's index finds them."""
        count = moves.count(self.loop.problem, argument)
        some = sorted(some, key=lambda x: x[0])
        runs: list[tuple[int, list[np.ndarray]]] = []
        for first, x in some:
            if runs and runs[-1][0] + sum(map(len, runs[-1][1])) == first:
                runs[-1][1].append(x)
            else:
                runs.append((first, [x]))
        if len(runs) == 1:
            first, parts = runs[0]
            return Buffer(rows, np.concatenate(parts), first)
        if not whole:  # the first rows, and the last ones: of an array that ends there, indices below 0 find these
            return Buffer(rows, np.concatenate([x for _, run in runs for x in run]), 0)
        host = np.empty((count, *some[0][1].shape[1:]), some[0][1].dtype)  # pages that nobody touches cost nothing
        for first, x in some:
            host[first : first + len(x)] = x
        return Buffer(rows, host, 0)

    # when it has run ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Bring home what was written elsewhere than where it belongs."""
        problem, reaches = self.loop.problem, self.loop.problem.reaches() if self.loop.moves else ()
        for move in sorted(self.loop.moves, key=lambda move: move.operation != moves.PUSHED):  # before their number
            value, reach, moved = problem.values[move.argument], reaches[move.argument], self.values[move.argument]
            assert reach is not None
            if move.operation == moves.PUSHED:
                self._append(move, value, moved)
            elif move.kind == "private":
                self._combine(move, value, moved)
            elif not (reach.written or reach.atomics):
                continue
            elif move.kind == "rows":
                for number, buffers in moved.buffers.items():
                    for b in buffers:
                        lo, hi = b.rows
                        self._put(move.argument, number, b.rows, b.host[lo - b.first : hi - b.first])
            else:
                for number in value.parts:
                    lo, hi = moves.owned(self.loop.problem, move.argument, number)
                    self._put(move.argument, number, (lo, hi), moved[lo:hi])

    def fail(self, error: Exception) -> None:
        """Have other ranks, which wait for what this one wrote, told that it failed."""
        if not any(move.kind == "private" for move in self.loop.moves):
            return

        def raised() -> None:
            raise error

        (move, *_) = [move for move in self.loop.moves if move.kind == "private"]
        own = sum(map(self._own, range(len(self.parts))))
        with contextlib.suppress(type(error), PortaparError):  # who asked is given `error`
            self.executor.each(self._call(move), [raised] * own)

    def _call(self, move: Move) -> str:
        return f"{self.loop.problem.algorithm}: {move.name}"

    def _put(self, argument: int, number: int, rows: Span, what: np.ndarray) -> None:
        """Store rows of a partitioned array where they belong."""
        value, (begin, end) = self.loop.problem.values[argument], moves.owned(self.loop.problem, argument, number)
        lo, hi = max(rows[0], begin), min(rows[1], end)
        if lo >= hi:
            return
        local = value.parts[number]
        here = (local.reshape(-1) if moves.scale(self.loop.problem, argument) > 1 else local)[lo - begin : hi - begin]
        what = what[lo - rows[0] : hi - rows[0]]
        if isinstance(here, np.ndarray):
            here[...] = what
        else:
            here.set(np.ascontiguousarray(what))

    def _append(self, move: Move, value: np.ndarray, moved: Placed) -> None:
        """Put the lists of all parts one after the other, behind what there is."""
        reaches = self.loop.problem.reaches()
        (tail,) = [one.argument for one in self.loop.moves if "tail" in reaches[one.argument].pushed]  # type: ignore[union-attr]
        counts = self.values[tail].buffers

        def mine(k: int) -> np.ndarray:
            return moved.buffers[k][0].host[: int(counts[k][0].host[0])] if k in counts else value[:0]

        own = [k for k in range(len(self.parts)) if self._own(k)]
        begin = int(self.loop.problem.values[tail][0])
        for some in self.executor.each(self._call(move), [lambda k=k: mine(k) for k in own]):
            room = value[begin : begin + len(some)]
            room[...] = some[: len(room)]
            begin += len(some)

    def _combine(self, move: Move, value: Any, moved: Placed) -> None:
        """Combine the copies of all parts, in their order."""
        own = [k for k in range(len(self.parts)) if self._own(k)]
        copies = {k: moved.buffers[k][0].host if k in moved.buffers else None for k in own}
        call = self._call(move)
        if not isinstance(value, PartitionedArray):
            found = self.executor.each(call, [lambda k=k: copies[k] for k in own])
            for some in found:
                if some is not None:
                    combine(move.operation, value, some)
            return

        def send(k: int) -> list[np.ndarray | None]:
            some = copies[k]
            return [None if some is None else some[lo:hi] for lo, hi in value.partition]

        got = self.executor.alltoall(call, [lambda k=k: send(k) for k in own])
        for k, given in zip(own, got, strict=True):
            total = np.array(arrays.asnumpy(value.parts[k]))
            for some in given:
                if some is not None:
                    combine(move.operation, total, some)
            self._put(move.argument, k, value.partition[k], total)


@contextlib.contextmanager
def moved(loop: Loop) -> Iterator[tuple[Problem, list[list[Part]]]]:
    """Around a run of a loop: the problem with what was moved, and for each part the pieces that it runs."""
    if not loop.moves:
        yield loop.problem, [[part] for part in loop.parts]
        return
    transport = Transport(loop)
    try:
        yield transport.moved, transport.parts
    except Exception as error:  # whatever it is: other ranks wait
        transport.fail(error)
        raise
    transport.finish()
