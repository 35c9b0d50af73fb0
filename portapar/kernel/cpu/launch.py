"""A program over one range of a host device, prepared once and run with any arguments of its kinds."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from portapar import forks, tuning
from portapar.kernel import device
from portapar.kernel.cpu import calls, chunk, jobs, pool, privates
from portapar.kernel.cpu.memory import LINE
from portapar.kernel.front.sources import of_library
from portapar.kernel.jit.check import located
from portapar.kernel.jit.layout import ALIGNED, BYTES, WRITEABLE
from portapar.kernel.program import REFUSED, ROWS, Program, Task, grows, has_loop, short_last
from portapar.kernel.tiles import TILE

JOINING = 4e-6  #: seconds for what Python does when other threads join

_MANY = 4096  #: iterations from which on code of its own for one thread pays
_FAR = 1024  #: an index may go so far from one iteration to the next, where its ends are found in native code


class Updates:
    """Who updates memory atomically. As long as calls that do never met, one on a single thread needs no such updates.

    The first call that meets another one waits for it if that one's updates are plain; from then on all are atomic.
    """

    def __init__(self) -> None:
        self.running, self.met = 0, False
        self._counting = forks.lock()
        self._start()
        forks.renewed(self, Updates._start)

    def _start(self) -> None:
        self.running = 0
        self._alone = threading.RLock()  # a signal's handler may make calls, too

    @contextlib.contextmanager
    def one(self, plain: bool) -> Iterator[bool]:
        """While a call runs; it may update plainly if that is what it can, and this is true."""
        with self._counting:
            self.running += 1
            self.met |= self.running > 1
            plain, alone = plain and not self.met, self._alone
            if plain:
                alone.acquire()
        try:
            if not plain:
                with alone:
                    pass
            yield plain
        finally:
            with self._counting:
                if alone is self._alone:  # or else this is a child that was forked meanwhile
                    self.running -= 1
                if plain:
                    alone.release()


_updates = Updates()
_joining = forks.lock()


class Cores(Protocol):
    """What a launch needs of its device."""

    threads: int

    @property
    def pool(self) -> pool.Pool: ...


class Launch(device.Launch):
    """A program over one range, prepared once and run with any arguments of its kinds.

    Calling it costs a microsecond or two: the arguments are packed into a block of words, which the
    native chunk function reads (`portapar.kernel.jit.intrinsics.unpacker`).
    """

    device: Any

    def __init__(self, device: Cores, task: Task) -> None:
        program = task.program
        self.device, self._program = device, program
        self._table = chunk.table(program)
        self._arrays = [spec.is_array for spec in program.specs]
        self._touched = sum(spec.dtype.itemsize for spec in program.specs if spec.is_array)
        self._pack = chunk.packer(program)
        self._quick = chunk.quick_packer(program)
        self._streams = chunk.can_stream(program)
        self._loops, self._grows = has_loop(program.text), grows(program.text, program.ndim)
        self._updates = "atomic." in program.text and _of_users(program)
        self._pure = self._updates and privates.pure(program)
        self._guard: Any = None
        self._others: dict[Any, Launch] = {}  #: over other lengths, for which other things hold than numbers
        self.written: list[int] = []  #: the arguments that are written to, if it looks whether they may be
        self._over(task)

    def _over(self, task: Task) -> None:
        """What follows from the range of a task, and from how it is dealt out."""
        program, lo, hi = self._program, task.lo, task.hi
        self._lo, self._hi = lo, hi
        self._threads = threads = min(task.threads or self.device.threads, self.device.threads)
        self._rest = self._space(task)
        many = self._updates and task.whole and threads == 1 and (hi - lo >= _MANY or self._loops)
        self._plain = chunk.chunk(program, alone=True) if self._pure or many else 0
        self._copies = self._updates and program.updated != () and (threads > 1 or not task.whole)
        function = self._plain if self._pure else self._function()  # the other is seldom needed
        self._alone = task.alone and threads > 1
        align, first = self._cuts(task)
        self._tiles = 0 if program.acc is None else -(-(hi - lo) // TILE)
        self._folds = task.whole and self._tiles > 1 and lo == 0
        schedule = task.schedule
        if schedule == "static" and threads > 1 and self._grows:  # their work is uneven
            schedule = "dynamic"
        self._new_job = functools.partial(
            jobs.job, function=function, hi=hi, align=align, first=first, threads=threads, schedule=schedule,
            chunk=task.chunk, epilogue=self._fold() if self._folds else (0, 0, 0),
        )  # fmt: skip
        self._direct = threads == 1 and lo == 0 and program.acc is None and not self._updates
        self._wakes, self._first = task.wakes, min(first, LINE * 4)
        self._set_job(self._guard)

    def _space(self, task: Task) -> tuple[int, ...]:
        """The words of the argument block behind the arguments."""
        rest = tuple(task.extent[1:])
        if not self._program.unit:
            rest += tuple(v for pair in zip(task.start, task.step, strict=True) for v in pair)
        return (*rest, 0 if self._table is None else self._table.address)

    def _cuts(self, task: Task) -> tuple[int, int]:
        """What cuts are multiples of, and how many iterations run before the clock is looked at."""
        form, threads, count = self._program.form, self._threads, task.hi - task.lo
        align = TILE if form == "reduce" else LINE
        first = TILE
        few = count < LINE * threads
        if form == "map" or (few and form != "reduce"):  # iterations may be heavy: finer cuts
            align = first = max(1, min(task.chunk or LINE, LINE, count // threads))
        if form != "reduce" and self._loops:  # the clock is looked at after the first one
            first = 1
        return align, LINE * 4 if self._alone and first == TILE else first

    def _kind(self, count: int, threads: int, wakes: bool, alone: bool) -> tuple[Any, ...]:
        """What else than numbers depends on how many iterations there are."""
        threads = min(threads or self.device.threads, self.device.threads)
        tiles = -(-count // TILE) if self._program.acc is not None else 0
        large = self._streams and self._large(count)
        return threads, wakes, alone, count < LINE * threads, tiles == 1, -(-tiles.bit_length() // 3), large

    def over(self, task: Task) -> Any:
        hi = task.hi
        kind = self._kind(hi, task.threads, task.wakes, task.alone)
        known = self._others.get(kind)
        if known is None or self._guard is not known._guard:
            made = object.__new__(Launch)
            made.__dict__.update(self.__dict__)
            made._over(task)
            if not (self._updates or task.alone or task.lo or (made._threads > 1 and made._job[jobs.SCHEDULE // 8])):
                self._others[kind] = made
            return made
        job = type(known._job).from_buffer_copy(known._job)
        align, first = known._cuts(task)
        job[jobs.HI // 8], job[jobs.ALIGN // 8], job[jobs.FIRST // 8] = hi, align, first
        tiles = 0
        if self._program.acc is not None:
            tiles = -(-hi // TILE)
            if known._folds:
                job[jobs.EPILOGUE // 8 + 1] = tiles
        return Numbered(known, job, self._space(task), tiles)

    def _set_job(self, table: Any = None) -> None:
        self._guard = table
        self._job = self._made(table)
        self._job_address = ctypes.c_int64(ctypes.addressof(self._job))
        self._plain_job: Any = self._made(table, function=self._plain) if self._plain else None
        self._atomic_job = None if self._pure else self._job
        self._begins: tuple[Any, Any] = None, None

    def _function(self) -> int:
        """The address of the code that may run at the same time as any other."""
        return chunk.chunk(self._program, self._streams and self._large(self._hi - self._lo))

    def _made(self, table: Any, **more: Any) -> Any:
        """A job of all that is to be done."""
        worth = int(1e9 * (2 * tuning.value("fork_join") + JOINING)) if self._alone else 0
        return self._new_job(lo=self._lo, wakes=self._wakes, table=table, worth=worth, **more)

    def _begin(self, job: Any, address: int) -> bool:
        """Run a job on this thread, and if the rest is worth it, that on all; False if its table objects.

        Then the launch is known to be worth it, and all threads do the next ones from the start.
        """
        at = jobs.begin_alone(ctypes.addressof(job), address, self._lo, self._failure)
        if at < 0 or at >= self._hi:
            return at >= 0
        return self._join(job, address, at)

    def _join(self, job: Any, address: int, at: int) -> bool:
        """Let all threads do the rest of a job that this one began."""
        if at == -2:
            raise self._failure()
        wakes = job[jobs.REST // 8] > 1e9 * tuning.value("wake")
        hi, align, first = job[jobs.HI // 8], job[jobs.ALIGN // 8], job[jobs.FIRST // 8]
        rest = self._new_job(lo=at, hi=hi, align=align, first=first, wakes=wakes, function=job[0])
        with _joining:  # only once: another thread may have no more of the new job than its address
            if self._alone and job is self._job:
                self._wakes, together = wakes, self._new_job(lo=self._lo, wakes=wakes, table=self._guard)
                self._job, self._job_address = together, jobs.ready(ctypes.addressof(together))[0]
                self._alone = False  # at last: others may be about to run the launch, with one job or the other
        return self.device.pool.run(ctypes.addressof(rest), address, self._failure)

    def _places(self) -> list[int]:
        """At which byte of the argument block each argument is, and then the partials."""
        places = [0]
        for spec in self._program.specs:
            places.append(places[-1] + (16 if spec.is_array or spec.dtype.kind == "c" else 8))
        return places

    def _fold(self) -> tuple[int, int, int]:
        """The epilogue that folds the partials into the first one."""
        fold: Any = chunk.fold(self._program)
        return fold.address, self._tiles, self._places()[-1]

    def _large(self, count: int) -> bool:
        """Whether streaming stores pay: the output is not read as well, and the last cache does not hold the data.

        A plain store first reads what it overwrites. Where nothing else is read that costs little, since the lines
        are on their way early enough; and what is written stays in the cache for whoever reads it next.
        """
        size = count * self._touched
        return not self._program.inplace and size >= tuning.value("stream" if sum(self._arrays) > 1 else "stream_alone")

    def guard(self, written: list[int], apart: bool = False) -> bool:
        """Check in every call from now on that arrays are aligned, these writable, and a transform's output apart.

        With `apart` so must be what is written in any program.
        """
        program, self.written = self._program, written
        sizes = {k: spec.dtype.itemsize for k, spec in enumerate(program.specs) if spec.is_array}
        outs = [program.out] if program.form == "transform" else written if apart else []
        places = self._places()
        flags = [(places[k], _bits(k in written)) for k in sizes]
        pairs = [(places[w], sizes[w], places[r], sizes[r]) for w in outs for r in sizes if r != w]
        self._set_job(jobs.guard_table(flags, pairs))
        return True

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        """Run; a reduction returns its partials, of a whole call one; all else None; REFUSED if the guard objects."""
        if self._direct and firsts is None:  # as most calls on few elements
            block = self._quick(*values, *self._rest)
            done = jobs.run_alone(self._job_address, id(block) + BYTES, 0, self._hi, self._failure)
            return None if done else REFUSED
        partials = None if self._program.acc is None else np.empty(self._tiles, self._program.acc)
        block = self._packed(values, firsts, partials)
        address = id(block) + BYTES
        if self._updates:
            allowed = self._update(block, values, firsts)
        elif self._threads == 1:
            allowed = jobs.run_alone(self._job_address, address, self._lo, self._hi, self._failure)
        elif self._alone:
            allowed = self._begin(self._job, address)
        else:
            allowed = self.device.pool.run(self._job_address, address, self._failure)
        if not allowed:
            return REFUSED
        return partials[:1] if self._folds else partials  # type: ignore[index]

    def caller(
        self, space: Any, args: Sequence[Any], sources: Sequence[int], same: Sequence[int] | None, gives: bool,
        lengths: device.Lengths | None = None, free: bool = False, holders: device.Holders | None = None,
    ) -> Any:  # fmt: skip
        program, values, firsts = self._program, [args[k] for k in sources], None
        if holders is not None:
            values, firsts = [calls.held(x, holders) for x in values], holders.firsts
        converted = any(
            not spec.is_array and np.dtype(type(x)) != spec.dtype
            for x, spec in zip(values, program.specs, strict=True)
        )
        if self._updates or (self._lo != 0 and not holders) or converted or len(set(sources)) < len(sources):
            return None
        partials: Any = None
        result: Any = calls.LAST if gives else calls.NOTHING
        if program.acc is not None:
            if self._tiles > 1 and not self._folds:
                return None
            partials = np.empty(self._tiles if lengths is None else 8 ** -(-self._tiles.bit_length() // 3), program.acc)
            result = partials.__getitem__
            if program.acc.names is not None:
                fields = [partials[name] for name in program.acc.names]
                result = lambda k: tuple([field[k] for field in fields])
        of_program = dict(zip(sources, self._places(), strict=False))
        places = [of_program.get(k, -1) for k in range(len(args))]
        block, frees = self._packed(values, firsts, partials), self._loops or self._hi > _MANY
        over = None
        if lengths is not None:
            over = self._lengthened(lengths, self._places()[-1] + (0 if partials is None else 16))
            if over is None:
                return None
        start = functools.partial(self._start, kept=[partials], own=over is not None)
        same = same or [calls.ANY] * len(args)
        return calls.caller(space, args, places, same, block, result, frees, start, over, free, holders)

    def _lengthened(self, lengths: device.Lengths, tail: int) -> calls.Over | None:
        """What calls over other lengths have in common with one, in whose block the space is at that place."""
        program, count = self._program, math.prod(lengths.extent)
        kind = self._kind(count, *lengths.dealt(count))
        if kind[2] != self._alone or max(map(abs, lengths.step)) > _FAR:
            return None
        ends, least = [], 0
        for n, begin, step in zip(lengths.extent, lengths.start, lengths.step, strict=True):
            last = begin + step * (n - 1)
            ends.append(max(begin, last) + 1)
            least = min(least, begin, last)

        def beyond(way: int) -> int:
            """The last number of iterations, more or fewer, for which all else is the same."""
            near, far = count, calls.FAR - 1 if way > 0 else 1
            if short_last(lengths.extent):  # beyond, other code is made
                far = min(far, ROWS - 1) if count < ROWS else max(far, ROWS)
            if self._kind(far, *lengths.dealt(far)) == kind:
                return far
            while abs(far - near) > 1:
                middle = (near + far) // 2
                if self._kind(middle, *lengths.dealt(middle)) == kind:
                    near = middle
                else:
                    far = middle
            return near

        cuts = 0
        if program.form == "map" or (kind[3] and program.form != "reduce"):
            cuts = 1 if self._loops else 2
        chunk = self._new_job.keywords["chunk"]
        words = (
            beyond(-1), beyond(1), tail, program.ndim, not program.unit, least < 0, cuts, min(chunk or LINE, LINE),
            chunk, self._loops, program.last,
        )  # fmt: skip
        return calls.Over(tuple(map(int, words)), lengths.extent, tuple(ends))

    def _start(self, table: np.ndarray, kept: list[Any], own: bool = False) -> list[Any]:
        """Write into a call's table how its job is run, perhaps one of its own; what must be kept alive."""
        job, failed, pool = self._job, self._failure, (0, None, None)
        if own:
            job = type(job).from_buffer_copy(job)
        at, block, together = ctypes.addressof(job), int(table[calls.BLOCK // 8]), self._threads > 1 and not self._alone
        rest: Any = lambda stopped: jobs.end_alone(at, block, stopped, job[jobs.HI // 8], failed)
        if together:
            *pool, rest = self.device.pool.lend(failed)
        elif self._alone:

            def rest(at: int) -> None:
                self._join(job, block, at)
                if not own:
                    self._start(table, kept)

        kept += (job, rest, *pool)
        loop: Any = jobs.loop("launch" if together else "alone")
        for place, word in (
            (calls.LOOP, loop.address), (calls.JOB, at), (calls.LO, self._lo), (calls.HI, self._hi),
            (calls.REST, id(rest)), (calls.POOL, pool[0]), (calls.ACQUIRE, id(pool[1])), (calls.RELEASE, id(pool[2])),
        ):  # fmt: skip
            table[place // 8] = word
        return kept

    def _packed(self, values: Sequence[Any], firsts: Sequence[int] | None, partials: np.ndarray | None) -> bytes:
        if firsts is None and self._lo == 0:
            return self._quick(*values, *(() if partials is None else (partials,)), *self._rest)
        return self._block(values, firsts, partials)

    def _update(self, block: bytes, values: Sequence[Any], firsts: Sequence[int] | None) -> bool:
        """Run what updates memory atomically, or plainly if it may; False if the guard objects."""
        if self._copies:
            found = privates.targets(self._program, values, self._threads)
            if found:
                return self._apart(found, block, values, firsts)
        return self._together(id(block) + BYTES)

    def _together(self, address: int, lo: int | None = None) -> bool:
        """Run it, from an index on, with all threads on the same memory."""
        begin = self._lo if lo is None else lo
        alone = self._threads == 1
        with _updates.one(alone and self._plain_job is not None) as plain:
            job = self._plain_job if plain else self._shared_job()
            if alone:
                return jobs.run_alone(ctypes.addressof(job), address, begin, self._hi, self._failure)
            if lo is not None:
                job = self._new_job(lo=lo, wakes=True, function=job[0])
            elif self._alone:
                return self._begin(job, address)
            return self.device.pool.run(ctypes.addressof(job), address, self._failure)

    def _shared_job(self) -> Any:
        """The job with atomic updates."""
        if self._atomic_job is None:
            self._atomic_job = self._made(self._guard, function=self._function())
        return self._atomic_job

    def _apart(
        self, found: list[privates.Target], block: bytes, values: Sequence[Any], firsts: Sequence[int] | None
    ) -> bool:
        """Begin on this thread; where the rest is worth it, all threads go on, on copies of what is updated."""
        address, threads = id(block) + BYTES, self._threads
        with _updates.one(self._pure) as plain:
            job = self._begun(privates.cost(found, threads), plain)
            at = jobs.begin_alone(ctypes.addressof(job), address, self._lo, self._failure)
        if at < 0 or at >= self._hi:
            return at >= 0
        if not privates.can_be_copied(self._program, values, found):
            return self._together(address, at)
        made, memory = privates.copies(found, threads)
        blocks = [block]
        for t in range(threads):
            mine = [*values]
            for (k, _, _), copy in zip(found, made, strict=True):
                mine[k] = copy[t]
            blocks.append(self._packed(mine, firsts, None))
        packed = b"".join(blocks)
        address, wakes = id(packed) + BYTES, job[jobs.REST // 8] > 1e9 * tuning.value("wake")
        rest = jobs.again(self._job, at, wakes, len(block))
        with contextlib.nullcontext() if self._pure else _updates.one(False):
            if threads == 1:
                jobs.run_alone(ctypes.addressof(rest), address + len(block), at, self._hi, self._failure)
            else:
                self.device.pool.run(ctypes.addressof(rest), address, self._failure)
        with _updates.one(True) as plain:
            privates.put_together(found, made, plain, self.device.run)
        privates.give_back(memory)
        return True

    def _begun(self, seconds: float, plain: bool) -> Any:
        """The job with which one thread begins, where it takes so long to make copies for all of them."""
        if self._begins[0] != (seconds, plain):
            function = self._plain if plain else self._shared_job()[0]
            worth = int(1e9 * (2 * tuning.value("fork_join") + JOINING + seconds))
            job = self._new_job(lo=self._lo, function=function, table=self._guard, worth=worth, first=self._first)
            self._begins = (seconds, plain), job
        return self._begins[1]

    def bind(self, values: Sequence[Any], watched: Sequence[tuple[np.ndarray, bool]] = ()) -> Callable[[], Any]:
        """This launch with its arguments packed once: what is left of a call is one native call.

        A reduction returns its result, without the initial value. Of arrays that have changed since, in whatever but
        their elements, it says REFUSED; `watched` are those to look at, and whether they must be writable.
        """
        table = jobs.guard_table(watched=[(x, _bits(written)) for x, written in watched])
        partials = None if self._program.acc is None else np.empty(self._tiles, self._program.acc)
        block = self._block(values, None, partials)
        if self._updates:
            return self._bound(block, values, partials, table, watched)
        job = self._made(table, **({"epilogue": self._fold()} if self._tiles > 1 else {}))
        args = (ctypes.addressof(job), id(block) + BYTES)
        if self._alone:
            run: Any = lambda: None if self._begin(job, args[1]) else REFUSED
        elif self._threads > 1:
            run = self.device.pool.bind(*args, partials, self._failure)
        else:
            run = jobs.bind_alone(*args, self._lo, self._hi, partials, self._failure)
        run.keep = (block, values, job, table, watched)
        return run

    def _bound(self, block: bytes, values: Sequence[Any], partials: Any, table: Any, watched: Any) -> Callable[[], Any]:
        """What is bound of a call that updates memory atomically."""
        made = object.__new__(Launch)
        made.__dict__.update(self.__dict__)
        if self._tiles > 1:
            made._new_job = functools.partial(self._new_job, epilogue=self._fold())
        made._set_job(table)

        def run() -> Any:
            if not made._update(block, values, None):
                return REFUSED
            return None if partials is None else partials[0]

        run.keep = watched  # type: ignore[attr-defined]
        return run

    def _failure(self) -> Exception:
        """The error for a kernel that did not reach its end."""
        if self._table is not None and self._table.error is not None:
            error, self._table.error = self._table.error, None
            if isinstance(error, Exception):
                return error
        return located(self._program, 0, "it stopped early, at what raises in Python; the call's outputs are undefined")

    def _block(self, values: Sequence[Any], firsts: Sequence[int] | None, partials: np.ndarray | None) -> bytes:
        words: list[Any] = []
        for k, value in enumerate(values):
            if self._arrays[k]:
                words += (id(value), 0 if firsts is None else firsts[k])
            elif self._program.specs[k].dtype.kind == "c":
                words += (value.real, value.imag)
            else:
                words.append(value)
        if partials is not None:
            words += (id(partials), self._lo // TILE)
        return self._pack(*words, *self._rest)


class Numbered:
    """A launch that differs in numbers from one that was made: how long it is, and where its indices start."""

    __slots__ = ("_address", "_hi", "_job", "_known", "_rest", "_tiles", "device", "written")

    def __init__(self, known: Launch, job: Any, rest: tuple[int, ...], tiles: int) -> None:
        self._known, self._job, self._rest, self._tiles = known, job, rest, tiles
        self._address, self._hi = ctypes.c_int64(ctypes.addressof(job)), job[jobs.HI // 8]
        self.device, self.written = known.device, known.written

    def caller(self, *look: Any) -> Any:
        made = object.__new__(Launch)
        made.__dict__.update(self._known.__dict__)
        made._job, made._hi, made._rest, made._tiles = self._job, self._hi, self._rest, self._tiles
        return made.caller(*look)

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        known, partials = self._known, None
        if known._tiles:
            partials = np.empty(self._tiles, known._program.acc)
            values = (*values, partials)
        block = known._quick(*values, *self._rest)
        if known._threads == 1:
            done = jobs.run_alone(self._address, id(block) + BYTES, 0, self._hi, known._failure)
        else:
            done = known.device.pool.run(self._address, id(block) + BYTES, known._failure)
        if not done:
            return REFUSED
        return partials[:1] if known._folds else partials  # type: ignore[index]


def _of_users(program: Program) -> bool:
    """Whether a user's function updates memory atomically: the library's own do it in memory that no other call has."""
    origin = program.origin or {}
    lines = enumerate(program.text.splitlines(), 1)
    return any("atomic." in line and not of_library(origin.get(k, ("",))[0]) for k, line in lines)


def _bits(written: bool) -> int:
    """The flags that an array must have."""
    return ALIGNED | WRITEABLE if written else ALIGNED
