"""NumPy arrays, streamed through a device in chunks of a call's indices.

While the device works on one chunk, the next one is copied there and the last one back. So copies cost the time of the
slowest of the three, and arrays may be larger than the device's memory. Rows that a kernel uses at its own index, or
around it, come and go with the chunks; all else is there from the beginning to the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import divided, moves
from portapar.errors import PortaparError
from portapar.kernel.device import Event
from portapar.kernel.interrupts import go_on
from portapar.kernel.tiles import TILE
from portapar.moves import Span
from portapar.pieces import task
from portapar.plan import Part
from portapar.policy import Policy
from portapar.problem import Problem
from portapar.trace import span

MANY = 8  #: chunks from which on it pays to have them
ROOMS = 3  #: chunks that are on a device at a time: one comes, one is worked on, one goes


@dataclass(frozen=True, slots=True)
class Chunks:
    """How a part is streamed.

    Attributes
    ----------
    spans : tuple of (int, int)
        The flat indices of each chunk.
    passing : frozenset of int
        The arguments whose rows come and go.
    refused : str
        Why its arrays can be on the device neither at once nor in chunks.
    """

    spans: tuple[Span, ...]
    passing: frozenset[int] = frozenset()
    refused: str = ""


def cut(problem: Problem, lo: int, hi: int, device: Any) -> Chunks | None:
    """The chunks of the flat indices [lo, hi) of a problem; None if they are better done at once."""
    if device.host_memory or lo >= hi:
        return None
    limit = device.memory or math.inf
    least = min(limit + 1, MANY * device.portion or math.inf)
    hosts = [(k, x) for k, x in problem.arrays() if isinstance(x, np.ndarray)]
    if sum(x.nbytes for _, x in hosts) < least:  # what most calls have
        return None
    sizes = {k: rows(problem, k, (lo, hi)).nbytes for k, _ in hosts}
    total = sum(sizes.values())
    if total < least:
        return None
    passing, why = _passing(problem, sizes)
    kept = total - sum(sizes[k] for k in passing)
    align = problem.row if problem.program.acc is None else TILE
    share = (limit - kept) / ROOMS
    room = min(device.portion or math.inf, share)
    while kept < total and room > 0:
        count = max(int(room * (hi - lo) / (total - kept)) // align, 1) * align
        starts = range(lo // count * count, hi, count)  # no two chunks write to one row
        spans = tuple((max(first, lo), min(first + count, hi)) for first in starts)
        most = max(sum(rows(problem, k, chunk).nbytes for k in passing) for chunk in spans)
        if len(spans) > 1 and most <= share:
            return Chunks(spans, frozenset(passing))
        if count == align or len(spans) == 1:
            why = why if kept else f"{ROOMS} times {'a row' if align > 1 else 'an element'} is more than that"
            break
        room -= max(most - share, 1)  # rows around
    if total <= limit:
        return None
    return Chunks(((lo, hi),), refused=(
        f"{problem.algorithm}: its arrays have {total} bytes, those of {device} may have {limit}, and they cannot be "
        f"streamed through it in chunks: {why}. Use smaller arrays, or split the call over several executors with "
        "pp.hybrid"
    ))  # fmt: skip


def rows(problem: Problem, k: int, chunk: Span) -> np.ndarray:
    """The rows of an array on the host that these indices use."""
    value: np.ndarray = problem.values[k]
    (first, last), _ = moves.host_rows(problem, k, value, chunk)
    return value[first:last]


def _passing(problem: Problem, sizes: dict[int, int]) -> tuple[list[int], str]:
    """The arguments whose rows may come and go with chunks, and why others may not."""
    found: list[int] = []
    others: list[int] = []
    for k in sizes:
        reach = problem.reaches()[k]
        passes = reach is not None and moves.uses(reach) and reach.lands
        passes = passes and reach is not None and not (reach.far or reach.strays or reach.wraps)
        (found if passes else others).append(k)
    writes = [k for k in sizes if (use := problem.access[k]) is not None and use.writes]
    for k in writes:
        for j in sizes:
            if j != k and (j in found or k in found) and np.may_share_memory(problem.values[k], problem.values[j]):
                return [], f"{problem.names[k]!r} is written, and another argument shares memory with it"
    names = ", ".join(repr(problem.names[k]) for k in others)
    return found, f"the kernel uses {names} at other rows than its own"


def pieces(problem: Problem, part: Part, device: Any) -> list[tuple[Part, Chunks | None]]:
    """What a part is done in, with its chunks: of a reduction that is streamed what `divided.spans` has."""
    chunks = cut(problem, part.lo, part.hi, device)
    if chunks is None or problem.program.acc is None or part.hi - part.lo <= 2 * TILE:
        return [(part, chunks)]
    some = [dataclasses.replace(part, lo=lo, hi=hi) for lo, hi in divided.spans(part.lo, part.hi, problem.size)]
    return [(piece, cut(problem, piece.lo, piece.hi, device)) for piece in some]


def transfers(problem: Problem, part: Part, device: Any) -> tuple[int, int]:
    """Bytes of NumPy arrays that a part moves to its device, and back."""
    into = out = 0
    for piece, chunks in [] if device.host_memory else pieces(problem, part, device):
        for k, value in problem.arrays():
            use = problem.access[k]
            if not isinstance(value, np.ndarray) or use is None or piece.lo >= piece.hi:
                continue
            spans = chunks.spans if chunks is not None and k in chunks.passing else ((piece.lo, piece.hi),)
            for some in spans:
                (first, last), (begin, end) = moves.host_rows(problem, k, value, some)
                into += value[first:last].nbytes if moves.fetched(use) else 0
                out += value[begin:end].nbytes if use.writes else 0
    return into, out


def told(problem: Problem, part: Part, device: Any) -> str:
    """A line of a plan; nothing of what is done at once."""
    found = [chunks for _, chunks in pieces(problem, part, device) if chunks is not None]
    for chunks in found:
        if chunks.refused:
            return f"cannot run: {chunks.refused}"
    if not found:
        return ""
    spans = [chunk for chunks in found for chunk in chunks.spans]
    most = max(hi - lo for lo, hi in spans)
    how = "one after the other"
    if device.starts:
        how = "copies of the next one to it and of the last one back overlap the work on one"
    return f"streamed through {device} in {len(spans)} chunks of at most {most} indices: {how}"


def run(
    executor: Any, problem: Problem, part: Part, how: Policy, chunks: Chunks,
    placed: tuple[Any, ...], firsts: tuple[int, ...],
) -> np.ndarray | None:  # fmt: skip
    """Run a part in chunks; `placed` and `firsts` have the arguments that stay. Returns its partials."""
    executor.device.synchronize()  # what an interrupted call has left behind may use memory that is free now
    line = _Line(executor, problem, part, how, chunks, placed, firsts)
    try:
        for chunk in chunks.spans:
            go_on()
            line.bring(chunk)
        line.compute()
        for events in line.events:
            for event in events:
                event.wait()
    except BaseException as error:
        for event in [event for events in line.events for event in events]:
            with contextlib.suppress(Exception):  # the first error is told; but no copy may go on
                event.wait()
        if line.gone and isinstance(error, PortaparError):  # nobody else may do what is partly done
            raise PortaparError(f"{error}; what the call wrote is undefined") from error
        raise
    return np.concatenate([event.wait() for event in line.found]) if line.found else None


class _Line:
    """One run: the chunks that are on their way.

    Attributes
    ----------
    events : list of list of Event
        For each room what was begun there.
    found : list of Event
        Of a reduction, those that give partials.
    gone : bool
        Something was copied back, or is about to be.
    """

    def __init__(
        self, executor: Any, problem: Problem, part: Part, how: Policy, chunks: Chunks,
        placed: tuple[Any, ...], firsts: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.executor, self.problem, self.part, self.how = executor, problem, part, how
        self.passing, self.placed, self.firsts = sorted(chunks.passing), placed, firsts
        self.device = executor.device
        # the most rows that a chunk has of each
        self.most = {k: max(len(rows(problem, k, chunk)) for chunk in chunks.spans) for k in self.passing}
        self.rooms: list[dict[int, Any]] = [{} for _ in range(ROOMS)]
        self.events: list[list[Event]] = [[] for _ in range(ROOMS)]
        self.found: list[Event] = []
        self.gone = False
        self._count = 0
        self._waiting: Any = None  # the chunk that is on its way here

    def bring(self, chunk: Span) -> None:
        """Begin to copy a chunk to the device, then to work on the one before."""
        number = self._count % ROOMS
        self._count += 1
        events, rooms = self.events[number], self.rooms[number]
        for event in events:
            event.wait()
        events.clear()
        values, firsts, back = list(self.placed), list(self.firsts), []
        for k in self.passing:
            value, use = self.problem.values[k], self.problem.access[k]
            assert use is not None
            (first, last), (begin, end) = moves.host_rows(self.problem, k, value, chunk)
            local, comes = value[first:last], moves.fetched(use)
            here: Any = None
            if self.device.starts or not comes:  # others make a new array
                if k not in rooms:
                    rooms[k] = self.device.empty((self.most[k], *value.shape[1:]), value.dtype)
                here = rooms[k] if len(local) == self.most[k] else rooms[k][: len(local)]
            if comes and (local.size or here is None):
                with span("transfer", self.problem.names[k], self.executor, bytes=local.nbytes):
                    here, event = self.device.upload(np.ascontiguousarray(local), here)
                events.append(event)
            values[k], firsts[k] = here, first
            if use.writes:
                own = here if (begin, end) == (first, last) else here[begin - first : end - first]
                back.append((own, value[begin:end]))
        self.compute()
        self._waiting = chunk, tuple(values), tuple(firsts), back, events

    def compute(self) -> None:
        """Begin to work on the chunk that is on its way, and to copy back what that writes."""
        if self._waiting is None:
            return
        (lo, hi), values, firsts, back, events = self._waiting
        self._waiting = None
        part = dataclasses.replace(self.part, lo=lo, hi=hi)
        asked = task(self.problem, part, self.how, values, firsts, whole=False)
        asked.rows = moves.lengths(self.problem, (lo, hi), values, firsts)
        done = self.device.submit(asked, tuple(events))
        events.append(done)
        if self.problem.program.acc is not None:
            self.found.append(done)
        for here, home in back:
            self.gone = True
            with span("transfer", "back", self.executor, bytes=home.nbytes):
                events.append(self.device.download(here, home, (done,)))
