"""Tapes: what an algorithm of several steps ran is recorded, to be run again without the algorithm.

Most algorithms are a few launches with some memory between them, and which ones follows from the kinds and shapes of
their arguments and from a few options, not from what is in the arrays. Such a call is recorded: each launch with where
its arguments come from, which are the call's own arguments, new memory, views of these, and numbers. A call that looks
like it then makes the memory anew and launches, which takes a microsecond for each step.

Nothing is taken for granted: a launch that gives a number to the host, an array that comes from elsewhere, an argument
that a step writes to and that shares memory with another one, a result that no step wrote: all of these end the
recording, and the call goes the long way in future, too.

Numbers that the call is given only go to kernels. Which of a launch's numbers are these two recordings show, in which
they differ: then the call runs again with any others.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from portapar.kernel.program import REFUSED

tapes: dict[int, Tape] = {}  #: by threads; empty but while a call is recorded, so that a look at it is cheap

os.register_at_fork(after_in_child=tapes.clear)  # of other threads, which a child has not

_OPEN = object()
_PAGE = 4096  #: bytes of memory whose place does not matter


class Tape:
    """What a call does while it is recorded.

    Parameters
    ----------
    values : sequence
        The arguments of the call, as those of a later call will be given.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        self._known: dict[int, Any] = {id(x): k for k, x in enumerate(values) if type(x) is np.ndarray}
        self._made: list[tuple[Any, np.ndarray]] = []  #: how memory is made, and what was
        self._views: list[tuple[tuple[Any, ...], np.ndarray]] = []
        self._numbers: list[Any] = []
        self._steps: list[tuple[Any, list[Any]]] = []
        self._written: set[Any] = set()
        self._fails = False

    def fail(self) -> None:
        """Something ran that cannot be run again this way."""
        self._fails = True

    def made(self, x: Any, make: Any) -> None:
        """New memory, by ``make(shape, dtype)``."""
        if type(x) is np.ndarray:
            self._known[id(x)] = "made", len(self._made)
            self._made.append((make, x))

    def constant(self, x: np.ndarray) -> None:
        """An array whose elements follow from shapes alone; steps may read it."""
        self._known[id(x)] = "number", len(self._numbers)
        self._numbers.append(x)

    def ran(self, launch: Any, values: Sequence[Any], result: Any) -> None:
        """A launch on these values."""
        if result is not None or self._fails:
            self._fails = True
            return
        sources = [self._source(x) for x in values]
        for k in getattr(launch, "written", None) or ():
            self._written.add(self._root(sources[k]))
        self._steps.append((launch, sources))

    def _source(self, x: Any) -> Any:
        """Where a value comes from: an argument by its number, or the name of a kind and a number."""
        if type(x) is not np.ndarray:
            self._fails |= not isinstance(x, (bool, int, float, complex, np.generic))
            self._numbers.append(x)
            return "number", len(self._numbers) - 1
        found = self._known.get(id(x), _OPEN)
        if found is not _OPEN:
            return found
        base, owner = _OPEN, x.base
        arrays = [(k, y) for k, y in enumerate(self._values) if type(y) is np.ndarray]
        for place, y in (*arrays, *((("made", k), y) for k, (_, y) in enumerate(self._made))):
            if (owner is y or (y.base is not None and owner is y.base)) and _inside(x, y):
                if base is not _OPEN:  # it may be a view of either
                    self._fails = True
                base, of = place, y
        if base is _OPEN or not (of.flags.c_contiguous or of.flags.f_contiguous):
            self._fails = True
            return 0
        offset = x.ctypes.data - of.ctypes.data
        self._known[id(x)] = "view", len(self._views)
        self._views.append(((base, not of.flags.c_contiguous, x.shape, x.dtype, offset, x.strides), x))
        return self._known[id(x)]

    def _root(self, source: Any) -> Any:
        """The argument or new memory that it is a view of."""
        return self._views[source[1]][0][0] if type(source) is tuple and source[0] == "view" else source

    def recorded(self, result: Any) -> Recorded | None:
        """What was recorded, of a call that returned `result`; None if it cannot be run again."""
        gives = tuple(map(self._result, result if type(result) is tuple else (result,)))
        devices = {id(launch.device): launch.device for launch, _ in self._steps}
        if self._fails or len(devices) != 1:
            return None
        (device,) = devices.values()
        if not device.host_memory:
            return None
        written = {k for k in self._written if type(k) is int}
        if any(type(k) is tuple and k[0] == "number" for k in self._written):
            return None
        for k in written:
            out = self._values[k]
            if any(type(x) is np.ndarray and x is not out and np.may_share_memory(x, out) for x in self._values):
                return None
        first = {"number": len(self._values)}
        first["made"] = first["number"] + len(self._numbers)
        first["view"] = first["made"] + len(self._made)

        def place(source: Any) -> Any:
            return source if source is None or type(source) is int else first[source[0]] + source[1]

        makes = [(np.empty if make is not np.zeros and x.nbytes < _PAGE else make, x.shape, x.dtype)
                 for make, x in self._made]  # fmt: skip
        views = [(place(view[0]), *view[1:]) for view, _ in self._views]
        steps = [(launch, _picker([place(source) for source in sources])) for launch, sources in self._steps]
        places = [place(source) for source in gives]
        made = Recorded(device, self._numbers, makes, views, steps, sorted(written), places, type(result) is tuple)
        made.given = {k: x for k, x in enumerate(self._values) if type(x) is not np.ndarray and x is not None}
        sources = [(id(launch), tuple(map(place, of))) for launch, of in self._steps]
        made.plan = [(x.shape, x.dtype) for _, x in self._made], views, sources, written, places
        return made

    def _result(self, x: Any) -> Any:
        if x is None:
            return None
        if type(x) is not np.ndarray:
            self._fails = True
            return None
        source = self._source(x)
        if x.size and self._root(source) not in self._written:
            self._fails = True
        return source


def _same(x: Any, y: Any) -> bool:
    """Whether two numbers are the same: 1, 1.0 and True are three, and so are 0.0, -0.0 and a NaN."""
    if isinstance(x, np.ndarray):
        return isinstance(y, np.ndarray) and x.dtype == y.dtype and np.array_equal(x, y)
    return x is y or (type(x) is type(y) and repr(x) == repr(y))


def _inside(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether all of one array lies between the ends of another one."""
    if x.size == 0 or y.size == 0:
        return x.ctypes.data == y.ctypes.data
    lo, hi = np.lib.array_utils.byte_bounds(x)
    first, last = np.lib.array_utils.byte_bounds(y)
    return first <= lo and hi <= last and y.ctypes.data == first


def _picker(places: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(places) == 1:
        (only,) = places
        return lambda values: (values[only],)
    return itemgetter(*places)


class Recorded:
    """A recorded call."""

    __slots__ = (
        "_device", "_free", "_gives", "_makes", "_many", "_numbers", "_slots", "_steps", "_views", "_written", "given",
        "plan",
    )  # fmt: skip

    given: dict[int, Any]  #: the numbers that the call was given, by their places
    plan: Any  #: all but numbers

    def __init__(
        self, device: Any, numbers: list[Any], makes: list[Any], views: list[Any], steps: list[Any], written: list[int],
        gives: list[Any], many: bool,
    ) -> None:  # fmt: skip
        self._device, self._numbers, self._makes, self._views, self._steps = device, numbers, makes, views, steps
        self._written, self._gives, self._many = written, gives, many
        self._slots: dict[int, int] = {}  #: which of the launches' numbers are numbers that the call is given
        self._free: set[int] = set()  #: the numbers of the call that may be others

    def joined(self, other: Recorded) -> Recorded:
        """Another recording of such a call; if it shows which numbers are which, one for any numbers."""
        slots, old, new = dict(self._slots), self.given, other.given
        changed = {k for k in old if not _same(old[k], new[k])}
        if self.plan != other.plan:
            return other
        for k, (a, b) in enumerate(zip(self._numbers, other._numbers, strict=True)):
            if k in slots:
                if not _same(b, new[slots[k]]):
                    return other
            elif not _same(a, b):
                found = [j for j in changed if _same(a, old[j]) and _same(b, new[j])]
                if len(found) != 1:
                    return other
                slots[k] = found[0]
        other._slots, other._free = slots, self._free | changed
        return other

    @property
    def closed(self) -> bool:
        """Whether the device was closed on which it ran."""
        return bool(self._device.closed)

    def __call__(self, values: Sequence[Any]) -> Any:
        """Run it again; REFUSED where the long way must look."""
        if self._device.closed or not self._sound(values):
            return REFUSED
        for k, x in self.given.items():
            if values[k] is not x and k not in self._free and not _same(values[k], x):
                return REFUSED
        places = [*values, *self._numbers]
        for k, of in self._slots.items():
            places[len(values) + k] = values[of]
        for make, shape, dtype in self._makes:
            places.append(make(shape, dtype))
        for base, turned, shape, dtype, offset, strides in self._views:
            of = places[base]
            places.append(np.ndarray(shape, dtype, of.T if turned else of, offset, strides))
        try:
            for launch, pick in self._steps:
                if launch(pick(places)) is REFUSED:
                    return REFUSED
        except struct.error:  # a whole number beyond 64 bits: the long way says so
            return REFUSED
        if self._many:
            return tuple([None if k is None else places[k] for k in self._gives])
        k = self._gives[0]
        return None if k is None else places[k]

    def _sound(self, values: Sequence[Any]) -> bool:
        """Whether no step can object: once one has written, the others must run."""
        arrays = [x for x in values if type(x) is np.ndarray]
        for x in arrays:
            if not x.flags.aligned:
                return False
        for k in self._written:
            out = values[k]
            if not out.flags.writeable:
                return False
            for x in arrays:
                if x is not out and np.may_share_memory(x, out):
                    return False
        return True


def seen(launch: Any, values: Sequence[Any], result: Any) -> None:
    """A launch ran in this thread, while some call is recorded."""
    mine = tapes.get(threading.get_ident())
    if mine is not None:
        mine.ran(launch, values, result)


def made(x: Any, make: Any) -> None:
    """Memory was made in this thread, while some call is recorded."""
    mine = tapes.get(threading.get_ident())
    if mine is not None:
        mine.made(x, make)


def constant(x: np.ndarray) -> np.ndarray:
    """An array whose elements follow from shapes alone, which nobody writes to."""
    mine = tapes.get(threading.get_ident()) if tapes else None
    if mine is not None:
        mine.constant(x)
    return x


def unseen() -> None:
    """Something ran in this thread that no recording sees."""
    mine = tapes.get(threading.get_ident())
    if mine is not None:
        mine.fail()
