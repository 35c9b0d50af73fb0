"""What the devices that run C text share: a task's arguments, a handle's life."""

from __future__ import annotations

import itertools
import os
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import cache, forks
from portapar.errors import BackendUnavailableError, PlacementError
from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.intervals import EXTENTS
from portapar.kernel.c.program import Rejected, c_text, rejection
from portapar.kernel.device import Device, Event, Launch
from portapar.kernel.interrupts import SLICE, go_on, held_back
from portapar.kernel.lanes.functions import kept_apart, used_arrays
from portapar.kernel.program import Program
from portapar.kernel.tiles import TILE

#: what to do where an array has no room
NO_ROOM = (
    "NumPy arrays are streamed through it in chunks, but those of which a call uses any row at any time cannot be. Use "
    "smaller arrays, free some, or split the call over several executors with pp.hybrid"
)
_LOOP = re.compile(r"^ +(for|while) ", re.MULTILINE)


def elements(nbytes: int, dtype: np.dtype[Any]) -> int:
    """An offset or a stride in elements.

    Raises
    ------
    PlacementError
        If it is not a whole number of elements, as in a field of a record array.
    """
    count, rest = divmod(nbytes, dtype.itemsize)
    if rest:
        raise PlacementError(
            f"an array of {dtype} has a stride or an offset of {nbytes} bytes, which is not a multiple of its"
            f" elements' {dtype.itemsize} bytes: pass a contiguous copy"
        )
    return count


@dataclass(slots=True)
class Kernel:
    """A compiled program: `entry` is what is launched, `module` what must live as long as it.

    Attributes
    ----------
    batch : int
        The number of elements that a work-item has done when it stores the first one, see `batch_of`.
    loops : bool
        Its functions have loops, so that a launch may take any time.
    pace : float
        Seconds that it took for an index when it ran last; 0 if it did not yet.
    """

    entry: Any
    module: Any
    batch: int = 1
    loops: bool = False
    pace: float = 0.0


def _extent(task: Any) -> int:
    """The bound of a task's indices and of its arrays along every axis."""
    axes = zip(task.start, task.step, task.extent, strict=True)
    last = task.hi + task.after if task.program.acc is not None else 0
    most = max(last, *(a + max(0, s * (n - 1)) for a, s, n in axes))
    for spec, value, first in zip(task.program.specs, task.values, task.firsts, strict=True):
        if spec.is_array and value.shape:
            most = max(most, value.shape[0] + first, *value.shape)
    most = max(most, *task.rows, 0)
    return next(bound for bound in EXTENTS if most <= bound)


def _count(task: Any) -> int:
    """Of how many indices a task works on elements."""
    return max(0, task.hi - task.lo) + task.before + task.after


def found_of(task: Any, count: int) -> tuple[int, int]:
    """What a reduction gives of so many indices: partials of tiles, and values of elements."""
    values = task.before + task.after
    return -(-(count - values) // TILE), values


class CDevice(Device):
    """The half of a device that does not depend on who compiles and launches the C text.

    Parameters
    ----------
    name : str
    kernels : dict
        The compiled programs by key, shared by all handles on the same device.
    """

    dialect: Dialect
    folded = 1  #: at most so many tiles have one partial
    ends = True

    def __init__(self, name: str, kernels: dict[str, Kernel]) -> None:
        super().__init__(name)
        self._kernels = kernels
        self._texts: dict[str, str] = cache.Bounded(1024)
        self._compiling = forks.lock()
        self._pid = os.getpid()

    @abstractmethod
    def _compile(self, program: Program, text: str) -> Kernel:
        """The compiled text; raises `Rejected` if the compiler does not take it."""

    @abstractmethod
    def _integer(self, value: int) -> Any:
        """An int64 as the launcher takes it."""

    @abstractmethod
    def _number(self, value: np.generic) -> Any:
        """A NumPy scalar as the launcher takes it."""

    @abstractmethod
    def _place(self, x: Any) -> list[Any]:
        """An array's memory as the launcher takes it: a pointer, and in OpenCL an offset in elements."""

    @abstractmethod
    def _map(self, kernel: Kernel, arguments: Sequence[Any], count: int, chunk: int) -> None:
        """Launch over `count` indices and wait."""

    @abstractmethod
    def _groups(self, kernel: Kernel, arguments: Sequence[Any], count: int, items: int) -> None:
        """Launch so many groups of so many work-items and wait."""

    @abstractmethod
    def _reduce(
        self, kernel: Kernel, arguments: Sequence[Any], tiles: int, values: int, acc: np.dtype[Any], whole: bool
    ) -> np.ndarray[Any, Any]:
        """Launch over that many tiles, wait, and fetch the partials; `arguments` lack their place.

        Besides so many values of elements, if the task is not `whole`; see `Task`.
        """

    def ready(self) -> None:
        """Raise BackendUnavailableError if this handle cannot be used any more."""
        if self.closed:
            raise BackendUnavailableError(f"{self.name} was closed; make a new executor")
        if self._pid != os.getpid():
            raise BackendUnavailableError(
                f"{self.name} was opened before this process was forked and does not work in the child:"
                " start processes with multiprocessing's 'spawn' method"
            )

    def text(self, program: Program, extent: int = EXTENTS[0], apart: bool = True) -> str:
        """The C text of a program for this device, if no array and no index space is longer than `extent`.

        And if arrays that are written share no memory with others, as far as they are `apart`.
        """
        key = f"{program.key}-{extent}-{apart}"
        found = self._texts.get(key)
        if found is None:
            found = self._texts[key] = c_text(program, self.dialect, extent, apart)
        return found

    def kernel(self, program: Program, extent: int = EXTENTS[0], apart: bool = True) -> Kernel:
        """The compiled program; two threads that need the same one compile it once. For `apart` see `text`."""
        key = f"{program.key}-{extent}-{apart}"
        found = self._kernels.get(key)
        if found is None:
            with held_back(), self._compiling:
                found = self._kernels.get(key)
                if found is None:
                    try:
                        found = self._compile(program, self.text(program, extent, apart))
                        found.loops = _LOOP.search(program.text) is not None
                        self._kernels[key] = found
                    except Rejected as error:
                        raise rejection(program, self.dialect, error, extent, apart) from error
        return found

    def _kernel_for(self, task: Any) -> Kernel:
        """The compiled program for a task's arguments."""
        return self.kernel(task.program, _extent(task), self._apart(task.program, task.values))

    def _apart(self, program: Program, values: Sequence[Any]) -> bool:
        """Whether arrays that are written share no memory with others, where code depends on it."""
        if not self.dialect.serial or not kept_apart(program):
            return True
        used = [values[k] for k in used_arrays(program)]
        if self._distinct(used):
            return True
        written = [program.out] if program.form == "transform" else program.written or ()
        return all(k == j or self._disjoint(values[k], values[j]) for k in written for j in used_arrays(program))

    def _distinct(self, arrays: Sequence[Any]) -> bool:
        """Whether arrays lie in memory of their own, each of them, as is seen at once."""
        return False

    def _disjoint(self, x: Any, y: Any) -> bool:
        """Whether two arrays share no memory."""
        return False

    def run(self, task: Any) -> np.ndarray[Any, Any] | None:
        """Run a task to its end. A reduction returns one partial per tile of [lo, hi), in order."""
        return self.bind(task)()

    def bind(self, task: Any, watched: Any = ()) -> Callable[[], np.ndarray[Any, Any] | None]:
        """A task prepared to be run many times: what `run` does with it."""
        self.ready()
        program, count = task.program, _count(task)
        if not count:
            return lambda: None if program.acc is None else np.empty(0, program.acc)
        kernel, arguments = self._kernel_for(task), tuple(self._arguments(task))
        if kernel.loops:
            return lambda: self._slices(task, kernel, arguments)
        return lambda: self._launched(task, kernel, arguments, count)

    def submit(self, task: Any, after: Sequence[Event] = ()) -> Event:
        """Begin to run a task; see `Device.submit`."""
        self.ready()
        count = _count(task)
        kernel = self._kernel_for(task) if count else None
        if kernel is None or kernel.loops or task.program.form == "groups":
            return super().submit(task, after)
        return self._begun(task, kernel, tuple(self._arguments(task)), count, self._handles(after))

    @abstractmethod
    def _begun(self, task: Any, kernel: Kernel, arguments: Sequence[Any], count: int, after: Sequence[Any]) -> Event:
        """As `_launched`, but goes on by itself, when these handles of events are done."""

    def _handles(self, after: Sequence[Event]) -> list[Any]:
        """What a queue has to wait for; events without a handle are waited for here."""
        handles = [event.handle for event in after]
        for event, handle in zip(after, handles, strict=True):
            if handle is None:
                event.wait()
        return [handle for handle in handles if handle is not None]

    def _launched(self, task: Any, kernel: Kernel, arguments: Sequence[Any], count: int) -> np.ndarray[Any, Any] | None:
        """Run so many indices, those that the first two arguments say, in one launch."""
        if task.program.form == "groups":
            _, steps, items = task.extent
            return self._groups(kernel, arguments, count // (steps * items), items)
        if task.program.acc is None:
            return self._map(kernel, arguments, count, task.chunk)
        return self._reduce(kernel, arguments, *found_of(task, count), task.program.acc, task.whole)

    def _slices(self, task: Any, kernel: Kernel, arguments: Sequence[Any]) -> np.ndarray[Any, Any] | None:
        """Run a task in launches of `SLICE` seconds, if it takes so long: Ctrl-C is heard between them."""
        align = 1 if task.program.acc is None else TILE * self.folded
        if task.program.form == "groups":
            align = task.extent[1] * task.extent[2]
        lo, hi, last = task.lo, task.hi, 0
        found: list[Any] = []
        while lo < hi:
            go_on()
            wanted = int(SLICE / kernel.pace) + 1 if kernel.pace else 2 * self.width
            wanted = min(wanted, 64 * last) if last else wanted
            top = min(hi, lo + -(-wanted // align) * align)
            begin = time.perf_counter()
            ends = self._integer(lo), self._integer(top)
            found.append(self._launched(task, kernel, (*ends, *arguments[2:]), top - lo))
            kernel.pace = (time.perf_counter() - begin) / (top - lo)
            last, lo = top - lo, top
        return found[0] if len(found) == 1 or task.program.acc is None else np.concatenate(found)

    def launch(self, task: Any) -> Launch:
        return _Launch(self, task)

    def _arguments(self, task: Any, places: list[int] | None = None) -> list[Any]:
        """The arguments of a program's entry (`portapar.kernel.c.entries`) in order, less a reduction's partials.

        Where those of each of the program's begin goes to `places`.
        """
        program, integer = task.program, self._integer
        box = [n for pair in zip(task.start, task.step, strict=True) for n in pair]
        frame = [task.lo, task.hi]
        if program.acc is None:
            frame += task.extent
            frame += task.start[:1] if program.unit else box
        else:
            frame += [task.before, task.after]
            frame += () if program.unit else box
        arguments = [integer(n) for n in frame]
        counts = task.rows or (0,) * len(task.values)
        given = zip(program.specs, task.values, task.firsts, counts, strict=True)
        for spec, value, first, count in itertools.islice(given, len(program.shared), None):
            if places is not None:
                places.append(len(arguments))
            if spec.is_array:
                arguments += self._place(value)
                # The rows before `first` are elsewhere, but count.
                arguments.append(integer(count or value.shape[0] + first))
                arguments += [integer(n) for n in value.shape[1:]]
                if not spec.contiguous:
                    arguments += [integer(elements(s, spec.dtype)) for s in value.strides]
                arguments.append(integer(first))
            else:
                arguments += self._scalar(spec.dtype, value)
        return arguments

    def _scalar(self, dtype: np.dtype[Any], value: Any) -> list[Any]:
        """A number as arguments."""
        if dtype.kind == "c":
            value = dtype.type(value)
            return [self._number(value.real), self._number(value.imag)]
        return [self._number((np.uint8 if dtype.kind == "b" else dtype.type)(value))]


class _Launch(Launch):
    """Its kernel, and what arguments follow from the shapes of arrays, are found once for arrays of the same shapes."""

    device: CDevice

    def __init__(self, device: CDevice, task: Any) -> None:
        super().__init__(device, task)
        self._known: tuple[Any, ...] = (None,)
        self._count = _count(task)
        self._simple = self._count > 0 and task.program.form != "groups" and not task.program.shared

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        found = self._found(values, firsts) if self._simple else None
        if found is None:
            return super().__call__(values, firsts)
        return self.device._launched(self._task, *found, self._count)

    def start(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Callable[[], Any]:
        found = self._found(values, firsts) if self._simple else None
        if found is None:
            return super().start(values, firsts)
        return self.device._begun(self._task, *found, self._count, ()).wait

    def _found(self, values: Sequence[Any], firsts: Sequence[int] | None) -> tuple[Kernel, list[Any]] | None:
        """The kernel and its arguments; None if the long way has to look."""
        device, specs = self.device, self._task.program.specs
        device.ready()
        like: list[Any] = [firsts]
        for k in self._arrays:
            x = values[k]
            if not device.owns(x):
                return None
            like += (x.shape, x.strides)
        like.append(device._apart(self._task.program, values))
        known = self._known
        if known[0] != like:
            given = self._given(values, firsts)
            kernel, places = device._kernel_for(given), []  # type: ignore[var-annotated]
            known = self._known = like, kernel, tuple(device._arguments(given, places)), places
        _, kernel, template, places = known
        if kernel.loops:
            return None
        arguments = list(template)
        for spec, at, x in zip(specs, places, values, strict=True):
            some = device._place(x) if spec.is_array else device._scalar(spec.dtype, x)
            arguments[at : at + len(some)] = some
        return kernel, arguments
