"""Remembered calls: a call that was made before goes straight to its prepared launch."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator, Sequence
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

import numpy as np

from portapar import overlaps, policy
from portapar.agreement import Asked, numbers
from portapar.arrays import Range, Steps
from portapar.cache import Bounded
from portapar.devices import DeviceExecutor
from portapar.executor import Work
from portapar.kernel.device import Holders
from portapar.kernel.front.lift import bound
from portapar.kernel.jit.layout import DATA, word
from portapar.kernel.program import REFUSED
from portapar.lazy import Lazy
from portapar.looks import OFTEN, Code, code_of, shadows, simple_codes, spread
from portapar.partitioned import PartitionedArray
from portapar.pieces import combine, fragments, prepare, task
from portapar.plan import Loop
from portapar.policy import Planning, Policy, forgets
from portapar.problem import Problem
from portapar.tape import made, seen, tapes, unseen
from portapar.trace import watching

T = TypeVar("T")

NUMBERS = {bool, int, float, complex, *(np.dtype(code).type for code in "?bhilqBHILQfdFD")}
MISS = object()
ready_calls = Bounded()

forgets(ready_calls.clear)


def signature(how: Policy | None, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any) -> tuple[Any, Any]:
    """(what a call looks like, what it works on: captured values, defaults, then the arguments as `spread` has them).

    The first is None if the call is of a kind that is not remembered.
    """
    block = policy.current.get()
    if type(how) is not Policy or how.asynchronous or isinstance(block, Planning) or watching:
        return None, args
    parts: list[Any] = [how, extra, block]
    for kernel in kernels:
        code = code_of(kernel)
        simple = simple_codes.get(id(code))
        if simple is None or (simple.builtins and shadows(kernel, simple.builtins)):
            lifted, func, captured = bound(kernel)
            if code is not func.__code__ or not lifted.simple:
                defaults = func.__defaults__ or ()  # which are arguments too
                parts += (lifted, len(defaults))
                args = (*captured, *defaults, *args)
                continue
            simple = simple_codes[id(code)] = Code(code, lifted.builtins)
        parts.append(simple)
    bare = _looks(args, how.executor, parts)
    if bare is None:
        return None, args
    return tuple(parts), args if bare else tuple(spread(args))


def _looks(args: tuple[Any, ...], where: Any, parts: list[Any]) -> bool | None:
    """Add to `parts` what arguments look like to calls on an executor, or wherever they live.

    Whether they are what programs have, or `spread` changes them; None if such calls are not remembered.
    """
    bare, plain = True, np.ndarray
    for x in args:
        kind = type(x)
        if kind is plain:
            parts += (x.dtype, x.shape, x.strides)
        elif kind in NUMBERS or x is None:
            parts.append(kind)
        elif kind is Range or kind is range:
            bare = False
            parts += (kind if x.step == 1 else Steps, len(x))
        elif isinstance(x, Lazy):
            bare = False
            parts += (x.expression, x.shape)
            for leaf in x.values:
                if type(leaf) is not np.ndarray and type(leaf) not in NUMBERS:
                    return None
                parts += (leaf.dtype, leaf.shape, leaf.strides) if type(leaf) is np.ndarray else (type(leaf),)
        elif kind is PartitionedArray and where in (None, x.executor):
            parts += (x.executor, x.dtype, x.shape, x.cuts)
            for local in x.held:
                parts += (type(local), local.dtype, local.shape, local.strides)
        elif where is not None and kind is where.array_type:
            parts += (kind, x.dtype, x.shape, x.strides)
        else:
            return None
    return bare


def repeated(key: Any, args: tuple[Any, ...]) -> Iterator[tuple[Any, list[int] | None]]:
    """A remembered call that has not been used for long, or in which one array, or perhaps number, has several places.

    With it which earlier one each argument is, see `Launch.caller` for those that are none; None if it is not of these.
    """
    ready = ready_calls.recalled(key)
    if ready is not None:
        yield ready, None
    for of_numbers in (True, False):
        places = repeats(args, of_numbers)
        if places is None:  # nor are there any among arrays alone
            return
        ready = ready_calls.get((key, places)) or ready_calls.recalled((key, places))
        if ready is not None:
            mine = (-1 if of_numbers or type(x) not in NUMBERS else -2 for x in args)
            yield ready, [j if j < k else other for k, (j, other) in enumerate(zip(places, mine, strict=True))]
            return


def repeats(args: tuple[Any, ...], numbers: bool = True) -> tuple[int, ...] | None:
    """Which arguments are one and the same array, or number if that matters; None if all differ.

    Arrays are the same if they are the same elements in the same order.
    """
    places: list[Any] = []
    for k, x in enumerate(args):
        if type(x) is np.ndarray:
            places.append(word(id(x) + DATA))
        else:
            places.append(-k - 1 if not numbers and type(x) in NUMBERS else id(x))
    if len(set(places)) == len(places):
        return None
    for k, x in enumerate(args):
        if type(x) is np.ndarray:
            places[k] = places[k], x.dtype, x.shape, x.strides
    if len(set(places)) == len(places):
        return None
    return tuple(map(places.index, places))


class _Ready:
    """A plan of one part on one device, with its native code: what a remembered call runs."""

    __slots__ = ("device", "gives", "launch", "places", "problem", "shape", "waits")

    def __init__(self, problem: Problem, launch: Any, places: Any, shape: Any, gives: bool) -> None:
        self.problem, self.launch, self.shape, self.gives = problem, launch, shape, gives
        self.device = launch.device
        self.places = places
        self.waits = OFTEN  #: calls until native code knows it

    def over(self, launch: Any, extent: tuple[int, ...]) -> _Ready:
        """The same over another index space, for which there is a launch, or for other lengths."""
        shape = self.shape and (extent, self.shape[1])
        return _Ready(self.problem, launch, self.places, shape, self.gives)

    def caller(self, space: Any, args: tuple[Any, ...], same: Any, lengths: Any) -> Any:
        """Native code that runs it, see `Launch.caller`."""
        sources = range(len(args)) if self.places is None else self.places
        return self.launch.caller(space, args, sources, same, self.gives, lengths)

    def __call__(self, args: tuple[Any, ...]) -> Any:
        if self.device.closed:  # the long way opens a new executor, or says that it is closed
            ready_calls.clear()
            return MISS
        if self.shape is not None:
            make = np.empty if self.device.host_memory else self.device.empty
            args = (*args[:-1], make(*self.shape))
            if tapes:
                made(args[-1], make)
        given = args if self.places is None else [args[k] for k in self.places]
        try:
            partials = self.launch(given)
        except struct.error:  # a whole number beyond 64 bits: the long way says so
            return MISS
        if tapes:
            seen(self.launch, given, partials)
        if partials is None:
            return args[-1] if self.gives else None
        if partials is REFUSED:
            return MISS
        return combine(self.problem, partials)


class _ReadyParts:
    """The parts of a loop that are this process's, each with its native code; nothing is moved between parts."""

    __slots__ = (
        "alone", "asked", "begins", "device", "executor", "gives", "looked", "members", "places",
        "problem", "repeats", "runs", "waits", "written",
    )  # fmt: skip
    shape = None

    def __init__(
        self, loop: Loop, places: tuple[int, ...], runs: Sequence[tuple[int, Any]], gives: bool, repeats: Any
    ) -> None:
        self.repeats = repeats
        self.written = [k for k, use in enumerate(loop.problem.access) if use is not None and use.writes]
        self.executor, self.places, self.runs, self.gives = loop.executor, places, runs, gives
        self.problem = dataclasses.replace(loop.problem, values=())  # the arrays must not be kept alive
        self.begins = [part.lo for part in loop.parts]
        #: it is this process's only part, and tells nothing
        self.alone = len(runs) == 1 and loop.problem.program.acc is None
        self.members = [loop.executor.members[number] for number in loop.executor.own]
        #: parts whose arrays may have changed since, if another one might have written when native code sees that
        self.looked = {k for k, _ in runs if len(runs) > 1 and loop.executor.members[k].device.host_memory}
        self.asked = Asked.of(loop.problem) if len(loop.executor.firsts) > 2 else None  # of several processes
        self.waits = OFTEN
        self.device = loop.executor  #: which is open as long as its members are: see `forget`

    def caller(self, space: Any, args: tuple[Any, ...], _: Any, lengths: Any) -> Any:
        """Native code that runs it, see `Launch.caller`."""
        if lengths is not None:
            return None
        if not self.alone:
            return self._compared(space, args)
        where, asked, ((number, run),) = self.executor, self.asked, self.runs
        places = self.repeats or range(len(args))
        same = [j if j < k else -2 if type(args[k]) in NUMBERS else -1 for k, j in enumerate(places)]
        holders = Holders(PartitionedArray, ("executor", "cuts"), "held", number - where.own.start, run.firsts)
        native = run.launch.caller(space, args, self.places, same, self.gives, None, False, holders)
        if native is None:
            return None
        if asked is None:
            return native
        noting, noted = where.notes.get, numbers(args, [self.places[k] for k in asked.places])

        def found(space: Any, args: tuple[Any, ...]) -> Any:
            result = native(space, args)
            if result is not REFUSED and (loops := noting(get_ident())) is not None:
                loops.append((asked, noted(args)))
            return result

        return found

    def _compared(self, space: Any, args: tuple[Any, ...]) -> Any:
        """The same of several parts: Python compares what arguments look like."""
        like: list[Any] = []
        if not _looks(args, self.executor, like):
            return None

        def found(other: Any, args: tuple[Any, ...]) -> Any:
            looks: list[Any] = []
            if not _looks(args, self.executor, looks) or looks != like or other != space:
                return REFUSED
            result = self(args)
            return REFUSED if result is MISS else result

        return found

    def __call__(self, args: tuple[Any, ...]) -> Any:
        where = self.executor
        closed = where.closed
        for member in self.members:
            closed = closed or member.closed
        if closed:
            ready_calls.clear()
            return MISS
        # code for arrays that are apart is not for one that is read and written
        if (repeats(args) if len(args) > 1 else None) != self.repeats:
            return MISS
        if tapes:
            unseen()
        given = [args[k] for k in self.places]
        works = []
        for number, run in self.runs:
            values = [x.parts[number] if type(x) is PartitionedArray else x for x in given]
            if number in self.looked and not _sound(values, self.written):  # before any of them has written
                return MISS
            if not self.alone:
                works.append(Work(run.start, values, run.starts, number - where.own.start))
        asked = self.asked
        noted = where.notes.get(get_ident())
        if asked is not None and noted is not None:
            noted.note(asked, [given[k] for k in asked.places])
        try:
            if self.problem.program.acc is not None:
                found = where.reduced(self.problem, self.begins, works)
                if found is not REFUSED:
                    return found
            elif self.alone:
                if run.start(values)() is not REFUSED:
                    return args[-1] if self.gives else None
            elif not any(found is REFUSED for found in where.at_once(works)):
                return args[-1] if self.gives else None
        except struct.error:
            pass
        if noted is not None:  # the long way runs it, and notes that
            noted.drop()
        return MISS


def _sound(values: Sequence[Any], written: Sequence[int]) -> bool:
    """Whether arrays on the host are aligned, those that are written writable and apart from all others."""
    for x in values:
        if type(x) is np.ndarray and not x.flags.aligned:
            return False
    if not written:
        return True
    hosts = [x for x in values if type(x) is np.ndarray]
    for k in written:
        out = values[k]
        if type(out) is np.ndarray and not (
            out.flags.writeable and not any(x is not out and np.may_share_memory(x, out) for x in hosts)
        ):
            return False
    return True


def _remember_parts(key: Any, loop: Loop, args: tuple[Any, ...], result: Any) -> None:
    """Keep a call of several parts, each with its own rows, so that nothing has to be moved."""
    where, problem = loop.executor, loop.problem
    places = tuple(_place(value, args) for value in problem.values)
    used = [args[k] for k in places]
    parted = [{id(x) for x in some if type(x) is PartitionedArray} for some in (args, used)]
    if parted[0] != parted[1] or -1 in places or loop.moves or problem.tiles or problem.copies:
        return
    if _merged(places, args):
        return
    if problem.program.form == "transform" and args[-1] is None:
        return
    if any(
        type(x) is PartitionedArray and (use is None or not use.pointwise)
        for x, use in zip(used, problem.access, strict=True)
    ):
        return
    runs = [(number, _prepared(loop, number, used)) for number in where.own]
    if all(run is not None for _, run in runs):
        shared = repeats(args)
        runs = [run for run in runs if run[1] is not _NOTHING]
        ready = _ReadyParts(loop, places, runs, result is not None, shared)
        ready_calls[key if shared is None else (key, shared)] = ready


class _Run(NamedTuple):
    """What begins a part of a loop on the arguments that it is given there, and whether the device goes on by itself.

    See `Work`; `launch` is what does all of it, on arguments whose row 0 has the indices `firsts`.
    """

    start: Any
    starts: bool
    launch: Any = None
    firsts: tuple[int, ...] = ()


_NOTHING = _Run(None, False)  #: the work of a part that has none


def _prepared(loop: Loop, number: int, used: Sequence[Any]) -> _Run | None:
    """How a part is run; None if that cannot be prepared."""
    problem, part, member = loop.problem, loop.parts[number], loop.executor.members[number]
    reduces, firsts = problem.program.acc is not None, []
    for x, spec, use in zip(used, problem.program.specs, problem.access, strict=True):
        mine = x.parts[number] if type(x) is PartitionedArray else x
        fits = use is None or (member.device.owns(mine) and len(mine.shape) == spec.ndim)
        if part.lo < part.hi and not fits:
            return None
        firsts.append(x.cuts[number] if type(x) is PartitionedArray else 0)
    if reduces:
        return _Run(*fragments(member.device, problem, part, loop.policy, tuple(firsts)))
    if part.lo >= part.hi:
        return _NOTHING
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    launch = member.device.launch(task(problem, part, loop.policy, (), ()))
    first = tuple(firsts)
    if not launch.guard(written, problem.held == "memory"):
        return None
    if launch.starts:
        return _Run(lambda values: launch.start(values, first), True, launch, first)
    return _Run(lambda values: lambda: launch(values, first), False, launch, first)


def remember_loop(
    key: Any,
    loop: Loop,
    kernels: tuple[Any, ...],
    given: tuple[Any, ...],
    args: tuple[Any, ...],
    result: Any,
) -> _Ready | None:
    """Keep a call for the next time, if it is simple enough: on data that live where it runs.

    `kernels` and `given` are those of the call, `args` what `signature` made of them. What it returns may run over
    other lengths too.
    """
    (part, *rest), problem = loop.parts, loop.problem
    where = part.executor
    if loop.policy.on_failure != "raise":
        return None
    if rest or where is not loop.executor:
        _remember_parts(key, loop, args, result)
    if where is not loop.executor or not isinstance(where, DeviceExecutor):
        return None
    device = where.device
    if not all(device.owns(value) for _, value in problem.arrays()):
        return None
    shape = None
    if problem.program.form == "transform" and args[-1] is None:
        if result is None:
            return None
        shape, args = (result.shape, result.dtype), (*args[:-1], result)
    # Programs have captured values behind the arguments, so where all are as given it is known which number is which.
    if problem.program.form != "map":
        given = tuple(leaf for x in given for leaf in ((x.start, x.step) if isinstance(x, (Range, range)) else (x,)))
    captured = len(args) - len(given)
    places = (*range(captured, len(args)), *range(captured))
    as_given = (
        len(places) == len(problem.values)
        and (captured == 0 or (len(kernels) == 1 and not getattr(kernels[0], "__defaults__", None)))
        and not any(isinstance(x, (Range, range, Lazy)) for x in given)
        and all(value is args[k] for value, k in zip(problem.values, places, strict=True))
    )
    if not as_given:
        places = tuple(_place(value, args) for value in problem.values)
    if -1 in places or part.hi <= part.lo or _merged(places, args):
        return None
    launch = prepare(device, task(problem, part, loop.policy, (), ()))
    # what a key does not say of arrays is looked at in every call
    written = [k for k, use in enumerate(problem.access) if use is not None and use.writes]
    if not launch.guard(written, problem.held == "memory"):
        return None
    shared = repeats(args, not as_given)
    if shared is not None:
        key = (key, shared)
    bare = dataclasses.replace(problem, values=())  # a remembered call must not keep the arrays alive
    in_order = places == tuple(range(len(args)))
    ready = _Ready(bare, launch, None if in_order else places, shape, result is not None)
    ready_calls[key] = ready
    return ready if as_given or shared == repeats(args, False) else None


def memoize(
    known: dict[Any, T], how: Policy, kernels: tuple[Any, ...], args: tuple[Any, ...], extra: Any, find: Callable[[], T]
) -> T:
    """What ``find()`` finds out, kept in `known` for all calls that look like this one."""
    key, _ = signature(how, kernels, args, extra)
    key = key and (key[1], *key[3:])  # wherever it runs
    found = known.get(key) if key is not None else None
    if found is None:
        found = find()
        if key is not None:
            known[key] = found
    return found


def _place(value: Any, args: tuple[Any, ...]) -> int:
    """Which of the call's arguments a program's argument is (or is a flat view of); -1 if that is not certain."""
    for k, x in enumerate(args):
        if x is value:
            return k
    if not isinstance(value, np.ndarray) or value.base is None:
        return -1
    found = [k for k, x in enumerate(args) if isinstance(x, np.ndarray) and _flat(value, x)]
    # of two arrays at one place, either might lie elsewhere in the next call
    return found[0] if found and all(args[k] is args[found[0]] for k in found) else -1


def _merged(places: tuple[int, ...], args: tuple[Any, ...]) -> bool:
    """Whether the program takes two of the call's arrays for one, which they need not be in the next call.

    Those that are the same elements are in any call that looks like it.
    """
    used = [args[k] for k in places if isinstance(args[k], np.ndarray)]
    left = [x for x in args if isinstance(x, np.ndarray) and not any(x is y for y in used)]
    return any(np.may_share_memory(x, y) and not overlaps.same_memory(x, y) for x in left for y in used)


def _flat(value: np.ndarray, x: np.ndarray) -> bool:
    """Whether they are the same elements, whatever their shapes; native code reads the first of `x`'s dimensions."""
    same = x.ndim > 0 and value.size == x.size and value.dtype == x.dtype and value.ctypes.data == x.ctypes.data
    return same and x.flags.c_contiguous and value.flags.c_contiguous
