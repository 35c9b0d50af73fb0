"""Executors of one device each: CPU threads, SIMD lanes, a CUDA GPU, an OpenCL device."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from portapar import arrays, backend, divided, forks, moves, pipeline
from portapar.errors import BackendUnavailableError, DeviceMemoryError, PlacementError, of_kind
from portapar.executor import Executor
from portapar.kernel.jit.check import needs
from portapar.kernel.program import REFUSED
from portapar.partitioned import PartitionedArray
from portapar.pieces import combine, fragments, prepare, task
from portapar.plan import Loop, Part, values_first
from portapar.policy import Policy
from portapar.problem import Problem
from portapar.trace import span
from portapar.transport import Placed


class DeviceExecutor(Executor):
    """One device of a backend."""

    def __init__(self, kind: str, index: int | None, text: str, device: backend.Device) -> None:
        super().__init__(text)
        self.kind, self._index = kind, index
        self.device = device
        self.array_type, self.threads = device.array_type, device.threads
        self.one_thread = self.threads == 1

    def asarray(self, x: Any) -> Any:
        if not isinstance(x, np.ndarray) and self.device.owns(x):
            return x
        host = arrays.asnumpy(arrays.normal(x, "x"))
        arrays.spec_of(host, "x")
        return self.device.asarray(np.ascontiguousarray(host))

    def empty(self, shape: int | tuple[int, ...], dtype: Any = np.float64) -> Any:
        return self.device.empty(arrays.shape_of("empty", shape), arrays.dtype_of("empty", dtype))

    def __reduce__(self) -> Any:
        return device, (self.kind, self._index, self._text)

    def synchronize(self) -> None:
        super().synchronize()
        self.device.synchronize()

    def close(self) -> None:
        super().close()
        self.device.close()
        if _opened.get(self._text) is self:  # and not one that was made since it was closed
            del _opened[self._text]

    def owns(self, x: Any) -> bool:
        return self.device.owns(x)

    def execute(self, loop: Loop) -> Any:
        (part,) = loop.parts
        return combine(loop.problem, self.run(loop.problem, part, loop.policy, whole=True))

    def bind(self, loop: Loop) -> Callable[[], Any]:
        problem, (part,) = loop.problem, loop.parts
        values = problem.values
        in_place = part.hi > part.lo and all(self.device.owns(value) for _, value in problem.arrays())
        slow = values_first(problem.program, part.hi - part.lo)
        if slow or not in_place or problem.tests is not None or (self.device.host_memory and not self.device.folds):
            return super().bind(loop)
        self._check(problem)
        prepared = task(problem, part, loop.policy, values, (0,) * len(values))
        acc = problem.program.acc
        if not self.device.folds:
            run = self.device.bind(prepared)
            return run if acc is None else lambda: combine(problem, run())
        bound = self.device.bind(prepared, [(x.array, x.written) for x in loop.watched])
        if acc is None or (problem.init is None and acc.names is None):
            return bound

        def finished() -> Any:
            found = bound()
            return found if found is REFUSED else combine(problem, np.array([found], acc))

        return finished

    def run(self, problem: Problem, part: Part, how: Policy, whole: bool = False) -> np.ndarray | None:
        """Place the arguments of a part, run it, and bring back what it wrote; for `whole` see `Task`."""
        program = problem.program
        self._check(problem)
        if part.lo >= part.hi:
            return None if program.acc is None else np.empty(0, program.acc)
        chunks = pipeline.cut(problem, part.lo, part.hi, self.device)
        if chunks is not None and chunks.refused:
            raise DeviceMemoryError(chunks.refused)
        placed, firsts, back = self._placed(problem, part, () if chunks is None else chunks.passing)
        if chunks is not None:
            with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi, chunks=len(chunks.spans)):
                partials = pipeline.run(self, problem, part, how, chunks, placed, firsts)
        else:
            asked = task(problem, part, how, placed, firsts, whole)
            asked.rows = moves.lengths(problem, (part.lo, part.hi), placed, firsts)
            with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi):
                if values_first(program, part.hi - part.lo):
                    partials = prepare(self.device, asked, backend.Launch)(placed, firsts)
                else:
                    partials = self.device.run(asked)
        self._look(problem, placed)
        for here, home in back:
            with span("transfer", "back", self, bytes=home.nbytes):
                if home.flags.c_contiguous:
                    self.device.asnumpy(here, home)
                else:
                    home[...] = self.device.asnumpy(here)
        return partials

    def fragment(self, problem: Problem, part: Part, how: Policy) -> divided.Fragments:
        """Place the arguments of a part of a reduction, run it, and bring back what it has of the tiles."""
        self._check(problem)
        pieces = pipeline.pieces(problem, part, self.device)
        if len(pieces) > 1:
            head, tail = (self.fragment(problem, piece, how).head for piece, _ in pieces[::2])
            partials = self.run(problem, pieces[1][0], how)
            assert partials is not None
            return divided.Fragments(part.lo, part.hi, head, partials, tail)
        placed, firsts, _ = self._placed(problem, part) if part.lo < part.hi else ((), (), [])
        rows = moves.lengths(problem, (part.lo, part.hi), placed, firsts) if placed else ()
        with span("kernel", problem.algorithm, self, first=part.lo, end=part.hi):
            start, _ = fragments(self.device, problem, part, how, firsts, rows, backend.Launch)
            found = start(placed)()
        self._look(problem, placed)
        return found

    def streamed(self, problem: Problem, part: Part) -> str:
        return pipeline.told(problem, part, self.device)

    def _placed(
        self, problem: Problem, part: Part, without: Collection[int] = ()
    ) -> tuple[tuple[Any, ...], tuple[int, ...], list[tuple[Any, np.ndarray]]]:
        """The arguments of a part where it runs, the index of row 0 of each, and what has to go back to where.

        None in the place of those `without` which it begins.
        """
        placed, firsts, back = [], [], []
        shared = {} if self.device.host_memory else moves.shared(problem)
        first_of = {k: places[0] for places in shared.values() for k in places[1:]}
        for k, value in enumerate(problem.values):
            spec, use = problem.program.specs[k], problem.access[k]
            if use is None:
                placed.append(spec.dtype.type(value))
                firsts.append(0)
                continue
            if k in first_of:
                placed.append(placed[first_of[k]])
                firsts.append(firsts[first_of[k]])
                continue
            if k in without:
                placed.append(None)
                firsts.append(0)
                continue
            if problem.tests is not None and k == problem.tests.place:  # of its own: other parts have theirs
                here, first, home = value if self.device.host_memory else self.device.asarray(value), 0, None
            else:
                here, first, home = self._place(problem, shared.get(k, [k]), value, part)
                if problem.tests is not None and not self.device.host_memory:
                    here = self._with_room(here)
            placed.append(here)
            firsts.append(first)
            if home is not None:
                back.append(home)
        return tuple(placed), tuple(firsts), back

    def _look(self, problem: Problem, placed: Sequence[Any]) -> None:
        """Bring back what a checked call found."""
        tests = problem.tests
        if tests is not None and not self.device.host_memory:
            found = self.device.asnumpy(placed[tests.place])
            if found[0]:
                tests.record[:] = found

    def _with_room(self, x: Any) -> Any:
        """As `portapar.problem.with_room`, for the device's own arrays."""
        if x.size:
            return x
        return self.device.empty(tuple(max(n, 1) for n in x.shape), x.dtype)[tuple(slice(n) for n in x.shape)]

    def _check(self, problem: Problem) -> None:
        """Refuse what the device cannot run."""
        lacks = self.device.lacks
        if lacks and (missing := needs(problem.program) & lacks):
            raise BackendUnavailableError(
                f"{problem.algorithm} on {self!r}: {self.device} has no {', '.join(sorted(missing))}, which this kernel"
                f" needs: use {'float32 arrays and constants, or ' * ('float64' in missing)}another executor"
            )

    def _place(
        self, problem: Problem, places: Sequence[int], value: Any, part: Part
    ) -> tuple[Any, int, tuple[Any, np.ndarray] | None]:
        """(array on the device, global index of its row 0, what has to go back and the host memory where to).

        Of the argument that is given at these places.
        """
        k = places[0]
        uses, name = [use for place in places if (use := problem.access[place])], problem.names[k]
        writes = any(use.writes for use in uses)
        if isinstance(value, Placed):
            buffer = value.at(self, moves.rows_of(problem, part.lo, part.hi))
            if buffer is not None:
                here = buffer.host if self.device.host_memory else self.device.asarray(buffer.host)
                back = None if here is buffer.host or not writes else (here, buffer.host)
                return here, buffer.first, back
            value = value.array
        if isinstance(value, PartitionedArray):
            return *moves.own_part(problem, k, value, self), None
        if not isinstance(value, np.ndarray):
            if not self.device.owns(value):
                raise PlacementError(
                    f"{problem.algorithm}: argument {name!r} is {of_kind(value)} that does not live on "
                    f"{self!r}. Nothing is copied silently: pass {self!r}.asarray({name}), or run where it lives"
                )
            return value, 0, None
        if self.device.host_memory:
            return value, 0, None
        rows = [moves.host_rows(problem, place, value, (part.lo, part.hi)) for place in places]
        (first, last), (begin, end) = (
            (min(lo for lo, _ in some), max(hi for _, hi in some)) for some in zip(*rows, strict=True)
        )
        local = value[first:last]
        if any(map(moves.fetched, uses)):
            with span("transfer", name, self, bytes=local.nbytes):
                here = self.device.asarray(np.ascontiguousarray(local))
        else:
            here = self.device.empty(local.shape, local.dtype)
        if not writes:
            return here, first, None
        own = here if (begin, end) == (first, last) else here[begin - first : end - first]
        return here, first, (own, value[begin:end])

    def transfers(self, problem: Problem, part: Part) -> tuple[int, int]:
        return pipeline.transfers(problem, part, self.device)


_opened: dict[str, Executor] = {}


_open_lock = forks.lock()


def opened() -> list[Executor]:
    """The device executors that are open."""
    return list(_opened.values())


def device(kind: str, index: int | None, text: str) -> Executor:
    found = _opened.get(text)
    if found is not None:
        return found
    with _open_lock:
        if text not in _opened:
            _opened[text] = DeviceExecutor(kind, index, text, backend.open_device(kind, index))
        return _opened[text]


def _index(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**16:
        raise BackendUnavailableError(f"{name}({value!r}): must be a whole number from {least} to {2**16 - 1}")
    return int(value)


def threads(n: int | None = None) -> Executor:
    """`n` CPU threads that share memory; by default one per CPU that this process may use."""
    if n is None:
        return device("threads", None, "pp.threads()")
    return device("threads", _index("threads", n, 1), f"pp.threads({n})")


def simd() -> Executor:
    """The calling thread, with SIMD lanes."""
    return device("simd", None, "pp.simd()")


def cuda(index: int = 0) -> Executor:
    """A CUDA GPU. Arrays are CuPy's."""
    return device("cuda", _index("cuda", index, 0), f"pp.cuda({index})")


def opencl(index: int = 0) -> Executor:
    """An OpenCL device, numbered over all platforms as in `available`. Arrays are PyOpenCL's."""
    return device("opencl", _index("opencl", index, 0), f"pp.opencl({index})")
