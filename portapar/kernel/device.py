"""What a device is: the contract between executors and whatever runs programs.

A device has one kind of memory, and runs tasks (`portapar.kernel.program.Task`) on arrays that lie there. That is all
it knows: cutting work up, moving data, combining results and talking to the user is the core's. Five methods must be
written; everything else has a default that is right, if not fast. ``tests/test_conformance.py`` tests any device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from portapar.kernel.program import REFUSED, Program, Task, has_loop


class Event:
    """Something that a device has begun to do: `wait` waits until it is done, and gives what it found.

    Parameters
    ----------
    end : callable
        What waits; it is called once.
    handle : object
        What the device's own queues wait for, where they can.
    """

    __slots__ = ("_end", "_found", "handle")

    def __init__(self, end: Callable[[], Any], handle: Any = None) -> None:
        self._end: Callable[[], Any] | None = end
        self._found: Any = None
        self.handle = handle

    def wait(self) -> Any:
        if self._end is not None:
            self._found = self._end()
            self._end = self.handle = None
        return self._found


class Device(ABC):
    """Base class of the devices of all backends.

    Parameters
    ----------
    name : str
        What `pp.executor` takes: ``"threads:2"``, ``"opencl:0"``.
    """

    host_memory = False  #: its arrays are NumPy arrays: nothing needs to be moved
    array_type: type | None = None  #: the class of its arrays, where they are of its own
    threads = 0  #: CPU threads, which a policy may restrict to one; 0 where that has no meaning
    width = 1  #: iterations that it runs at the same time
    lacks: frozenset[str] = frozenset()  #: what it cannot do of that which `portapar.kernel.jit.check.needs` names
    can_wait = False  #: iterations may wait for such as began before: an atomic update publishes what was written
    groups = False  #: it runs programs of the form ``groups`` well
    sorts = argsorts = False  #: it has the method of that name, which algorithms do without
    starts = False  #: what `submit`, `upload` and `download` begin goes on while the caller does something else
    memory = 0  #: bytes that its arrays may have, all together; 0 if that is not known, or is the host's
    portion = 0  #: bytes of NumPy arrays that are copied to it at a time, while it works on others; 0: all at once
    folds = False  #: what `bind` gives returns the value of a reduction, and no partials
    ends = False  #: it does what `before` and `after` of a `Task` ask for
    closed = False

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    # memory

    @abstractmethod
    def owns(self, x: Any) -> bool:
        """Whether `x` is an array of this device's own kind, in its memory."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""

    @abstractmethod
    def asarray(self, x: np.ndarray) -> Any:
        """A copy of `x` in this device's memory."""

    @abstractmethod
    def asnumpy(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The elements of an array of this device, on the host; into `out` if it is given."""

    # work

    @abstractmethod
    def run(self, task: Task) -> np.ndarray | None:
        """Run a task to its end. A reduction returns one partial per tile of [lo, hi), in order (see `Task.whole`)."""

    def bind(self, task: Task, watched: Sequence[tuple[np.ndarray, bool]] = ()) -> Callable[[], Any]:
        """A task prepared to be run many times: calling what this returns does what `run` does.

        On a device that `folds` it returns REFUSED if one of the NumPy arrays `watched` has changed in whatever but its
        elements, or cannot be written though it must (True).
        """
        return lambda: self.run(task)

    # work that goes on by itself: here all is done before these return, which is right

    def submit(self, task: Task, after: Sequence[Event] = ()) -> Event:
        """Begin to run a task when all of `after` is done; its event gives what `run` does.

        One whose kernel has a loop may be run to its end, in steps, so that Ctrl-C is heard.
        """
        for event in after:
            event.wait()
        found = self.run(task)
        return Event(lambda: found)

    def upload(self, x: np.ndarray, room: Any) -> tuple[Any, Event]:
        """Begin to copy `x` (C-contiguous) to this device: where it will be, and when.

        `room` is an array of the same kind, into which it may be copied.
        """
        here = self.asarray(x)
        return here, Event(lambda: None)

    def download(self, x: Any, out: np.ndarray, after: Sequence[Event] = ()) -> Event:
        """Begin to copy an array of this device to `out` when all of `after` is done."""
        for event in after:
            event.wait()
        self.asnumpy(x, out)
        return Event(lambda: None)

    def launch(self, task: Task) -> Launch:
        """A task prepared to be run many times with other arguments of the same kinds."""
        return Launch(self, task)

    def chunks(self, count: int) -> tuple[int, ...]:
        """Sizes of chunks (`Task.chunk`) that may be better for so many indices than what is done without one."""
        return ()

    def inspect(self, program: Program) -> dict[str, str]:
        """The code that runs, by its name: ``{"OpenCL C": "..."}``."""
        return {"Python": program.text}

    def sort(self, x: Any) -> None:
        """Sort signed integers in place; in host memory on the calling thread."""
        raise NotImplementedError

    def argsort(self, x: Any) -> Any:
        """The places of unsigned integers in a stable order, an int64 array."""
        raise NotImplementedError

    def synchronize(self) -> None:  # noqa: B027
        """Wait until all work that was given to this device is done."""

    def close(self) -> None:
        """Give the device back; using it afterwards raises BackendUnavailableError."""
        self.closed = True


class Lengths(NamedTuple):
    """A call's index space, and how many iterations over others are dealt out: (threads, wakes, alone), see `Task`."""

    extent: tuple[int, ...]
    start: tuple[int, ...]
    step: tuple[int, ...]
    dealt: Callable[[int], tuple[int, bool, bool]]


class Holders(NamedTuple):
    """Of a call some of whose arguments hold its arrays: what they must have in common with those of this one.

    They are of a class with slots: `fixed` name attributes that must be the same objects, `arrays` a tuple of arrays,
    of which that at `place` is used; row 0 of a program's argument is the one that `firsts` tell.
    """

    kind: type
    fixed: tuple[str, ...]
    arrays: str
    place: int
    firsts: tuple[int, ...]


class Launch:
    """A task whose arguments are given in every call.

    Attributes
    ----------
    starts : bool
        It has `start`, which leaves the calling thread free.
    """

    starts = False

    def __init__(self, device: Device, task: Task) -> None:
        self.device, self._task = device, task
        self.starts = device.starts and not has_loop(task.program.text)
        self._arrays = [k for k, spec in enumerate(task.program.specs) if spec.is_array]

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        """Run; a reduction returns its partials, everything else None; REFUSED if the arguments cannot be taken.

        `firsts` are as in `Task`, by default all 0.
        """
        given = self._given(values, firsts)
        return REFUSED if given is None else self.device.run(given)

    def start(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Callable[[], Any]:
        """Begin to run; what this returns waits for the end, and gives what a call does."""
        given = self._given(values, firsts)
        return _refused if given is None else self.device.submit(given).wait

    def _given(self, values: Sequence[Any], firsts: Sequence[int] | None) -> Task | None:
        if not all(self.device.owns(values[k]) for k in self._arrays):
            return None
        return replace(self._task, values=tuple(values), firsts=tuple(firsts or (0,) * len(values)))

    def guard(self, written: list[int], apart: bool = False) -> bool:
        """Check in every call from now on that these arguments may be written, and that no output overlaps an input.

        `apart` says that it must not where programs are loops over indices either. Returns False if that cannot be had.
        Arrays of a device's own are always writable.
        """
        return not self.device.host_memory and not apart

    def caller(
        self, space: Any, args: Sequence[Any], sources: Sequence[int], same: Sequence[int] | None, gives: bool,
        lengths: Lengths | None = None, free: bool = False, holders: Holders | None = None,
    ) -> Any:  # fmt: skip
        """A function ``(space, args)`` that runs calls which look like this one in native code; None if there is none.

        REFUSED is its answer to all others. `sources` are the program's arguments among `args`; `same` says which
        earlier argument each is, or, if negative, that it is none of them (-1) or may be any (-2). It gives None, the
        value of a reduction, or the last argument, as `gives` says.
        """
        return None

    def over(self, task: Task) -> Launch:
        """A task of the same program over another index space, with the same guard."""
        return type(self)(self.device, task)


def _refused() -> Any:
    return REFUSED
