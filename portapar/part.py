"""A part: the part of a call that one executor does, what steps can run on it, and what of an argument it sees."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import elementwise, indexed, problem, reduction
from portapar.call import call, make_out
from portapar.devices import DeviceExecutor
from portapar.executor import Executor
from portapar.kernel.front.lift import loops
from portapar.kernel.interrupts import SLICE
from portapar.lazy import Lazy
from portapar.plan import Surveyed
from portapar.policy import Policy, Recording, current, surveying
from portapar.tape import made, tapes
from portapar.trace import span

_WIDE = 1024  #: iterations at a time that no CPU runs
SHARED = 48 << 10  #: bytes that a group's items share at most
_HEAVY = 64  #: elements of a block at most, where each may take long
_SHORT = 1e-3  #: seconds for blocks of one element, after which `_HEAVY` of them are not long either


@dataclass(slots=True, eq=False)  # which is made in every call, and frozen would take three times as long
class LocalPart:
    """One part of a call, on one device.

    Attributes
    ----------
    number, count : int
        Which of how many parts it is.
    lo, hi : int
        Its rows of the whole.
    how : Policy
        What the user allows, bound to the part's own executor: algorithms called with it run there.
    placed : list of Data, optional
        What has a copy there, where it is to leave when a step has ended.
    """

    number: int
    count: int
    lo: int
    hi: int
    how: Policy
    placed: list[Data] | None = None

    def __len__(self) -> int:
        return self.hi - self.lo

    @property
    def executor(self) -> DeviceExecutor:
        return self.how.executor

    @property
    def width(self) -> int:
        """Iterations that run at the same time: as many blocks keep the device busy."""
        return self.executor.device.width if self.how.threads else 1

    @property
    def wide(self) -> bool:
        """Whether more iterations run at the same time than any CPU has threads: each should be little work."""
        return self.width >= _WIDE

    @property
    def shares(self) -> bool:
        """Whether work is better done by `groups` of work-items that share memory."""
        return self.executor.device.groups

    def asarray(self, x: Any) -> Any:
        """An array where this part can use it: a host array itself in host memory, else a copy.

        Of a lazy input an array of its elements.
        """
        device = self.executor.device
        if isinstance(x, Lazy):
            out = self.empty(x.shape, x.dtype)
            call("copy", self.how, (elementwise.identity,), (x, out), None, _build_copy)
            return out
        if device.host_memory or not isinstance(x, np.ndarray):
            return x
        with span("transfer", "an argument", self.executor, bytes=x.nbytes):
            return device.asarray(np.ascontiguousarray(x))

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> Any:
        """An uninitialised array where this part lives."""
        shape, make = shape if isinstance(shape, tuple) else (int(shape),), self.executor.device.empty
        out = make(shape, np.dtype(dtype))
        if tapes:
            made(out, make)
        return out

    def leave(self) -> None:
        """What has a copy here leaves: what was written goes home."""
        for data in self.placed or ():
            data.leave(self)
        self.placed = []

    def zeros(self, shape: int, dtype: Any) -> Any:
        """An array of zeros where this part lives."""
        if self.executor.device.host_memory or np.dtype(dtype).names is not None:
            zeros = np.zeros(shape, dtype)
            if tapes:
                made(zeros, np.zeros)
            return self.asarray(zeros)
        out = self.empty(shape, dtype)
        call("fill", self.how, (elementwise.constant,), (np.dtype(dtype).type(0), out), None, _build_copy)
        return out

    def map(self, x: Any, function: Any) -> Any:
        """``function(x[i])`` for every i, a new array where this part lives."""
        return call("transform", self.how, (function,), (x,), None, _build_map)

    def blocks(self, n: int, least: int = 4096, each: int = 4, by: Sequence[Any] = ()) -> tuple[int, int]:
        """Cut `n` elements into blocks for `run`: (how many, elements of each but the last).

        A block has at least `least` elements, and there are at most `each` for every unit of the
        device, so that one that is late does not hold up the others. A GPU gets many small ones: neighbours
        that run side by side then read the same cache lines, and wait for memory in turn. `by` are the user's
        functions that run for each element: if one has a loop blocks are small, since Ctrl-C is heard between them.
        """
        if self.wide:
            least, each = max(1, least // 32), 1
        most = self.width * each if self.width > 1 else 1
        size = max(least, -(-n // most))
        if any(map(loops, by)):
            size = min(size, _HEAVY)
        return -(-n // size), size

    def rounds(self, n: int, size: int, by: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
        """Cut `n` elements into blocks of `size`, done in rounds: (where each begins, how many blocks, their size).

        If a function of `by` has a loop the first blocks have one element each, and the clock says what follows: where
        one took long all have one, since Ctrl-C is heard between blocks. A first look that is long is repeated: it may
        have met code that was not compiled yet.
        """
        begin = 0
        if not self.wide and any(map(loops, by)):
            size = min(size, _HEAVY)
            looks = 0
            while looks < 2 and begin < n:
                count, then = min(self.width, n - begin), time.perf_counter()
                yield begin, count, 1
                begin += count
                looks += 1
                if time.perf_counter() - then < _SHORT:
                    break
            else:
                size = 1
        if begin < n:
            yield begin, -(-(n - begin) // size), size

    def strides(self, size: int, by: Sequence[Any]) -> Iterator[tuple[int, int]]:
        """Cut what each of some blocks does with its `size` elements, one after the other: (begin, end), in order.

        If a function of `by` has a loop the first ends after one element, and the clock says how long the next are:
        Ctrl-C is heard between them.
        """
        begin, each = 0, 1 if any(map(loops, by)) else size
        while begin < size:
            then = time.perf_counter()
            yield begin, min(size, begin + each)
            begin += each
            took = time.perf_counter() - then
            each = 2 * each if took < SLICE / 4 else each if took < SLICE / 2 else max(1, each // 2)

    def tiles(self, x: Any, op: Any, transform: Any = None) -> np.ndarray:
        """The fold of every tile of `TILE` elements of `transform` of them, as `reduce` has it, on the host."""
        kernels = (op,) if transform is None else (op, transform)
        return call("tiles", self.how, kernels, (x,), "tiles", _build_tiles)

    def fill(self, out: Any, op: Any, args: tuple[Any, ...], lo: int, hi: int) -> None:
        """``out[i[, j[, k]]] = op(i[, j[, k]], *args)`` for the elements `lo` to `hi` of a contiguous array.

        Where no argument is `out` or overlaps it; large ones are written past the caches.
        """
        call("fill", self.how, (op,), (*args, out), (lo, hi), _build_fill)

    def run(self, blocks: int, body: Callable[..., Any], *args: Any, work: int = 0) -> bool:
        """``body(block, *args)`` for every block: few iterations, each of which is much work.

        It may stand for `portapar.few.Step.run`: `work` says nothing here, and it always runs (True).
        """
        how = self.how._dealt(1) if blocks > 1 else self.how
        call(getattr(body, "__name__", "step"), how, (body,), args, blocks, _build)
        return True

    def sorting(self, x: Any) -> Any:
        """An array that the device sorts by an algorithm of its own, which is noted where work is counted."""
        block = current.get()
        if type(block) is Recording:
            block.sorted += x.nbytes
        return x

    def groups(
        self, extent: tuple[int, int, int], body: Callable[..., Any], shared: Sequence[tuple[Any, int]], *args: Any
    ) -> None:
        """``body(group, step, item, *shared, *args)`` for all (groups, steps, items), on a device that has `groups`.

        The items of a group run a step at the same time, and none begins one before all have ended the one before.
        `shared` are arrays that they have in common, (dtype, elements) each, and all together of at most `SHARED`
        bytes; they hold anything when a group begins. Neighbouring items should read and write neighbouring elements:
        then the device moves whole lines of memory.
        """
        if extent[0]:
            places = tuple(self.empty(1, dtype) for dtype, _ in shared)
            sizes = tuple(size for _, size in shared)
            name = getattr(body, "__name__", "step")
            call(name, self.how, (body,), (*places, *args), (extent, sizes), _build_groups)


class Data:
    """An argument of an algorithm, in parts: ``data[part]`` is what a part sees of it; `written` is said of outputs."""

    def __init__(
        self,
        value: Any,
        shape: tuple[int, ...],
        dtype: np.dtype,
        local: Callable[[LocalPart], Any],
        written: bool = False,
    ) -> None:
        self.value, self.shape, self.dtype = value, shape, dtype
        self._local, self._written = local, written
        self._left: set[int] = set()  # parts that had a copy of an output
        self._placed: dict[int, Any] = {}

    @classmethod
    def here(cls, x: np.ndarray) -> Data:
        """An array of the host, of which the only part sees all."""
        self = cls(x, x.shape, x.dtype, lambda part: x)
        self._placed[0] = x
        return self

    def __getitem__(self, part: LocalPart) -> Any:
        if part.number not in self._placed:
            if surveying() is not None:
                raise Surveyed
            again = part.number in self._left
            self._placed[part.number] = part.asarray(self.value[part.lo : part.hi]) if again else self._local(part)
            if part.placed is not None:
                part.placed.append(self)
        return self._placed[part.number]

    def leave(self, part: LocalPart) -> None:
        """A part's copy leaves its device, and goes home if it is one of an output."""
        here = self._placed.pop(part.number, None)
        if self._written and here is not None and isinstance(self.value, np.ndarray):
            self._left.add(part.number)
            if len(part):
                self.value[part.lo : part.hi] = part.executor.device.asnumpy(here)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Elements of the whole."""
        return int(np.prod(self.shape, dtype=object))


def _build(algorithm: str, where: Executor, kernels: Any, args: Any, space: Any) -> tuple[problem.Problem, None]:
    return indexed.for_each(algorithm, space, kernels[0], args), None


def _build_groups(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[problem.Problem, None]:
    extent, shared = extra
    return indexed.groups(algorithm, extent, kernels[0], args, shared), None


def _build_fill(algorithm: str, where: Executor, kernels: Any, args: Any, span: Any) -> tuple[problem.Problem, None]:
    *given, out = args
    return dataclasses.replace(indexed.generate(algorithm, out.shape, kernels[0], tuple(given), out), span=span), None


def _build_tiles(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[problem.Problem, None]:
    op, transform = (*kernels, None)[:2]
    return dataclasses.replace(reduction.reduce(algorithm, args, op, transform, None), tiles=True), None


def _build_map(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[problem.Problem, Any]:
    made = [None]

    def make(*how: Any) -> Any:
        made[0] = make_out(where)(*how)
        return made[0]

    return elementwise.transform(algorithm, args, None, kernels[0], make), made[0]


def _build_copy(algorithm: str, where: Executor, kernels: Any, args: Any, extra: Any) -> tuple[problem.Problem, Any]:
    return elementwise.transform(algorithm, args[:1], args[1], kernels[0], make_out(where)), args[1]
