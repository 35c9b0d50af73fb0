"""What an executor does of a call: the tasks of its pieces, and how partials become the result."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import backend, divided, observed, policy
from portapar.divided import Fragments
from portapar.errors import (
    BackendUnavailableError,
    DeviceMemoryError,
    KernelError,
    PlacementError,
    PortaparError,
    PortaparWarning,
)
from portapar.kernel.cpu import chunk
from portapar.kernel.front.codec import as_scalars
from portapar.kernel.program import REFUSED, has_loop
from portapar.kernel.tiles import TILE
from portapar.plan import Part, values_first
from portapar.policy import Policy
from portapar.problem import Problem

_OBSERVED = 300_000  #: steps that a task is observed at the most
_AT_LEAST = 30_000  #: and if there are none left


def attempted(run: Callable[..., Any], pieces: Sequence[Part], how: Policy, others: Sequence[Any]) -> Any:
    """What one executor does of a call; if it cannot, one of the `others` does it."""
    try:
        return run(pieces, how)
    except PortaparError as error:
        failed = pieces[0].executor
        spans = ", ".join(f"[{piece.lo}, {piece.hi})" for piece in pieces)
        error.add_note(f"It was the part {spans} of the call's indices, on {failed!r}.")
        if not can_go_elsewhere(failed, error):
            raise
        for other in others:
            if other is failed or other.closed:
                continue
            there = [dataclasses.replace(piece, executor=other, threads=other.threads) for piece in pieces]
            with contextlib.suppress(PortaparError):
                value = run(there, how)
                tell_rerouted(f"the part {spans} of a call", failed, other, error)
                return value
        raise


def can_go_elsewhere(where: Any, error: PortaparError) -> bool:
    """Whether what failed there with this error has written nothing, and need not fail on another executor."""
    if isinstance(error, (DeviceMemoryError, BackendUnavailableError)):
        return True
    return isinstance(error, KernelError) and not where.device.host_memory  # what it wrote has not come back


_told: set[Any] = set()  #: which executors failed


def tell_rerouted(what: str, failed: Any, other: Any, error: PortaparError) -> None:
    """Tell once of each executor that another one does its work."""
    if repr(failed) not in _told:
        _told.add(repr(failed))
        warnings.warn(f"{other!r} did {what}: {failed!r} failed, {error}", PortaparWarning, stacklevel=2)


def run_pieces(problem: Problem, pieces: Sequence[Part], how: Policy) -> None:
    """Run what one executor does of a call, one piece after the other."""
    for piece in pieces:
        piece.executor.run(problem, piece, how)


def fragment_of(problem: Problem, pieces: Sequence[Part], how: Policy) -> Fragments:
    """What one executor has of a reduction, which is of one piece."""
    (piece,) = pieces
    return piece.executor.fragment(problem, piece, how)


def task(
    problem: Problem, part: Part, how: Policy, values: tuple[Any, ...], firsts: tuple[int, ...], whole: bool = True
) -> backend.Task:
    """A part of a plan, for its device; `values`, `firsts` and `whole` as in `Task`."""
    block = policy.current.get()
    if isinstance(block, policy.Recording):
        block.programs[problem.program.key] = problem.program
        if block.tasks is not None:
            block.tasks.append((problem, part, _observed(block, problem, part)))
    return backend.Task(
        problem.program, values, firsts, problem.extent, problem.start, problem.step, part.lo, part.hi, part.threads,
        how.schedule, how.chunk_size or 0, whole and not problem.tiles, part.wakes,
        part.alone,
    )  # fmt: skip


def _observed(block: policy.Recording, problem: Problem, part: Part) -> Any:
    """What iterations of a task do that is about to run, as far as there are steps left to see it."""
    if block.tasks and block.tasks[-1][0] is problem:  # another chunk of it
        return block.tasks[-1][2]
    if not block.observing:
        return {}
    found, steps = observed.of(problem, part.lo, part.hi, max(_AT_LEAST, min(_OBSERVED, block.observing)))
    block.observing = max(1, block.observing - steps)
    return found


class ValuesFirst(backend.Launch):
    """A reduction of elements that may take long: their values first, each by whoever is free, then the fold of these.

    The fold costs little beside what has a loop, and has the same bits.
    """

    def __init__(self, device: backend.Device, asked: backend.Task, launch: Callable[..., Any]) -> None:
        program, count = asked.program, asked.hi - asked.lo
        assert program.acc is not None
        self.device, self._lo, self._shape, self._acc = device, asked.lo, (count,), program.acc
        self._values = len(program.specs)  #: the number of the argument that they are
        rows = (*asked.rows, 0) if asked.rows else ()
        self._find = launch(device, dataclasses.replace(asked, program=divided.values_program(program), rows=rows))
        threads = min(asked.threads, -(-count // TILE))
        fold = backend.Task(divided.tile_program(program), (), (), (count,), (0,), (1,), 0, count, threads)
        self._fold = launch(device, dataclasses.replace(fold, whole=asked.whole))

    def guard(self, written: list[int], apart: bool = False) -> bool:
        return self._find.guard([*written, self._values], apart)

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        found = self.device.empty(self._shape, self._acc)
        if firsts is not None or self._lo:
            firsts = (*(firsts or (0,) * len(values)), self._lo)
        if self._find((*values, found), firsts) is REFUSED:
            return REFUSED
        return self._fold((found,))


def prepare(device: backend.Device, asked: backend.Task, make: Callable[..., Any] | None = None) -> Any:
    """A task prepared to be run with any arguments of its kinds; `make` makes a launch of a device and a task."""
    make = make or type(device).launch
    if values_first(asked.program, asked.hi - asked.lo):
        return ValuesFirst(device, asked, make)
    return make(device, asked)


def fragments(
    device: backend.Device,
    problem: Problem,
    part: Part,
    how: Policy,
    firsts: tuple[int, ...],
    rows: tuple[int, ...] = (),
    launch: Callable[..., Any] | None = None,
) -> tuple[Callable[[Sequence[Any]], Callable[[], Any]], bool]:
    """What begins to find the `Fragments` of a part, as `Work` has it, and whether the device goes on by itself.

    Arguments are where it runs, and their row 0 has these indices; REFUSED of such as it cannot take. `launch`
    makes a launch of a device and a task.
    """
    acc, values = problem.program.acc, divided.values_program(problem.program)
    assert acc is not None
    spans, nothing = divided.spans(part.lo, part.hi, problem.size), np.empty(0, acc)

    def made(k: int, before: int = 0, after: int = 0) -> Any:
        lo, hi = spans[k]
        asked = task(problem, dataclasses.replace(part, lo=lo, hi=hi), how, (), (), whole=False)
        asked.rows, asked.before, asked.after = rows, before, after
        if k != 1:
            asked.program, asked.rows = values, (*rows, 0) if rows else ()
        if hi - lo + before + after == 0:
            return None
        found = prepare(device, asked, launch)
        if launch is None:
            found.guard([len(firsts)] * (k != 1))
        return found

    def begin(run: Any, given: Sequence[Any], firsts: tuple[int, ...] | None) -> Callable[[], Any]:
        return run.start(given, firsts) if run.starts else functools.partial(run, given, firsts)

    if device.ends and not has_loop(problem.program.text):
        before, after = (hi - lo for lo, hi in spans[::2])
        run = made(1, before, after)

        def start_at_once(given: Sequence[Any]) -> Callable[[], Any]:
            wait = (lambda: nothing) if run is None else begin(run, given, firsts)

            def end() -> Any:
                all_ = wait()
                if all_ is REFUSED:
                    return all_
                last = len(all_) - after
                return Fragments(part.lo, part.hi, all_[:before], all_[before:last], all_[last:])

            return end

        return start_at_once, run is not None and run.starts
    launches = []
    for k, (lo, hi) in enumerate(spans):
        run = made(k)
        if run is not None:
            places = firsts if k == 1 else (*firsts, lo)
            launches.append((k, run, hi - lo, places if any(places) else None))

    def start(given: Sequence[Any]) -> Callable[[], Any]:
        begun: list[tuple[int, Callable[[], Any], Any]] = []
        for k, run, size, more in launches:
            out = None if k == 1 else device.empty((size,), acc)
            begun.append((k, begin(run, given if k == 1 else (*given, out), more), out))

        def end() -> Any:
            found, whole = [(k, wait(), out) for k, wait, out in begun], [nothing, nothing, nothing]
            for k, some, out in found:
                if some is REFUSED:
                    return REFUSED
                whole[k] = some if out is None else device.asnumpy(out)
            return Fragments(part.lo, part.hi, *whole)

        return end

    return start, any(run.starts for _, run, _, _ in launches)


def combine(problem: Problem, partials: np.ndarray | None) -> Any:
    """The result of a call: nothing, or the partials folded in their fixed tree."""
    program = problem.program
    if program.acc is None or problem.tiles:
        return partials
    assert partials is not None
    count = len(partials)
    if not count and problem.init is None:
        raise PlacementError(
            f"{problem.algorithm}: there is nothing to reduce (0 elements) and no init=: pass init= for empty input"
        )
    if count == 1 and problem.init is None:
        return as_scalars(partials[0])
    return as_scalars(fold(program, partials, problem.init))


def fold(program: Any, partials: np.ndarray, init: Any = None) -> Any:
    """Partials combined in the fixed tree of a reduction, `init` before them if it is given."""
    count = len(partials)
    values = np.empty(count + 1, program.acc)
    values[:count] = partials
    if init is not None:
        values[count] = init
    words = (ctypes.c_int64 * 2)(id(values), 0)
    chunk.fold(program)(int(init is not None), count, ctypes.addressof(words))
    return values[0]


@functools.cache
def _calling_thread() -> backend.Device:
    return backend.open_device("simd", None)


@functools.lru_cache(maxsize=256)
def fold_tile(program: Any, count: int) -> Any:
    """What folds the values of as many elements of a reduction, given in a tuple of one array, as a tile is folded."""
    tile = backend.Task(divided.tile_program(program), (), (), (count,), (0,), (1,), 0, count, 1)
    return _calling_thread().launch(tile)
