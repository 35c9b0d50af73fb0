"""The native loops that hand out a job to threads, and jobs that one thread runs.

A fork and join costs about a microsecond: workers spin for a while after each job, then sleep until a bell
rings, which costs the caller ten microseconds or more and the worker five times as much. So the caller does not wait
for who sleeps still: what no worker has begun when its own share is done, it does itself, and for a short job
that comes alone it rings no bell. All of it is one block of shared words: which job, and for every worker a
state and the range that it still has to do. Long calls return to Python every tenth of a second, so
that Ctrl-C works.

The states of a worker::

    SLEEPING --bell--> WANTED --begins--> BUSY --done--> SPINNING --wanted--> WANTED
                                                         SPINNING --idle--> SLEEPING

Only the worker itself begins, ends and falls asleep. The caller may take back what a worker has not begun, which
makes it SPINNING.

Systems like to wake a thread on the CPU of whoever wakes it, where both would take turns while another CPU idles. A
worker that finds itself there asks for the others, of those that the process may use.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import forks
from portapar.kernel.interrupts import SLICE, go_on
from portapar.kernel.jit.layout import DATA, DESCR, DIMS, FLAGS, NDIM, STRIDES
from portapar.kernel.jit.native import callee, failure, native
from portapar.kernel.program import REFUSED

SCHEDULES = {"static": 0, "dynamic": 1, "guided": 2}
SLICE_NS = int(SLICE * 1e9)
SPIN_NS = 200_000  #: an idle worker sleeps after this long
SLEEPING, SPINNING, WANTED, BUSY, QUIT = 0, 1, 2, 3, 4

# A job, by byte: what runs over which range, and how.
FUNCTION, LO, HI, ALIGN, FIRST, CHUNK, SCHEDULE, THREADS, WAKES, TABLE, WORTH, REST, EPILOGUE = range(0, 104, 8)
APART = EPILOGUE + 24
# The block that the threads share: words that change often have a cache line each, then two per thread.
STOP, NEXT, PENDING, JOB, BLOCK, ENDED, FAILED, CPU, MIDST, ALLOWED = 0, 64, 128, 192, 200, 208, 216, 136, 144, 224
MEETS = 4  #: what `launch` says of a job where there is another one that is not done: a signal's handler runs it
WORKERS, WORKER_SIZE = 256, 128
STATE, CURSOR, END, HEARS, RINGS, OTHERS = 0, 64, 72, 80, 88, 96
CPU_BYTES = 32  #: of a set of CPUs, a bit for each; none of them is set where threads are not placed
PLACES = sys.platform == "linux" and hasattr(os, "sched_getaffinity")


@functools.cache
def loop(name: str) -> Callable[..., int]:
    """``alone``, ``launch`` or ``work``, compiled once per machine, when it is first needed."""
    return native(name, lambda: _make()[name], 3)


@functools.cache
def _make() -> dict[str, Any]:
    from portapar.kernel.jit.system import (
        clock,
        cpu_now,
        fetch_add,
        give_way,
        hear,
        load,
        ring,
        run_chunk,
        run_on,
        store,
        swap_if,
    )

    inline, places = functools.partial(callee, once=True), PLACES

    @inline
    def move_away(pool, mine):
        """Leave the caller's CPU to it."""
        cpu = load(pool + CPU)
        if cpu < 0 or cpu_now() != cpu:
            return
        for k in range(0, CPU_BYTES, 8):
            others = load(pool + ALLOWED + k)
            if k == cpu // 64 * 8:
                others &= ~(1 << cpu % 64)
            store(mine + OTHERS + k, others)
        run_on(CPU_BYTES, mine + OTHERS)

    @inline
    def place(array, itemsize):
        """(first, end) of the memory of an array's elements; none if it has none."""
        first = load(array + DATA)
        end, dims, strides = first + itemsize, load(array + DIMS), load(array + STRIDES)
        for d in range(load(array + NDIM) & 0xFFFFFFFF):
            count = load(dims + 8 * d)
            if count == 0:
                return 0, 0
            length = (count - 1) * load(strides + 8 * d)
            if length < 0:
                first += length
            else:
                end += length
        return first, end

    @inline
    def allowed(block, table):
        """Whether arrays are as they must be: their flags are set, the written ones overlap no other, none has changed.

        The table (`guard_table`): how many arrays' flags, how many pairs and how many arrays to compare; for flags
        (place in the block, bits), for pairs (place, bytes of an element, and the same of the other), for arrays
        (object, bits, address, dtype, ndim, dims and strides).
        """
        flags, pairs, watched = load(table), load(table + 8), load(table + 16)
        entry = table + 24
        for _ in range(flags):
            bits = load(entry + 8)
            if load(load(block + load(entry)) + FLAGS) & bits != bits:
                return 0
            entry += 16
        for _ in range(pairs):
            one, end = place(load(block + load(entry)), load(entry + 8))
            other, last = place(load(block + load(entry + 16)), load(entry + 24))
            if other < end and one < last:
                return 0
            entry += 32
        for _ in range(watched):
            array, bits, ndim = load(entry), load(entry + 8), load(entry + 32)
            if load(array + FLAGS) & bits != bits or load(array + DATA) != load(entry + 16):
                return 0
            if load(array + DESCR) != load(entry + 24) or load(array + NDIM) & 0xFFFFFFFF != ndim:
                return 0
            dims, strides = load(array + DIMS), load(array + STRIDES)
            entry += 40
            for d in range(ndim):
                if load(dims + 8 * d) != load(entry) or load(strides + 8 * d) != load(entry + 8):
                    return 0
                entry += 16
        return 1

    @inline
    def grown(size, elapsed):
        """The next block's size: blocks should last two milliseconds, and at most ten, whatever an iteration costs.

        The first one has a single iteration, which takes longer than each of 64 that are done side by side. So it grows
        by 64 as long as 64 times as much is no more than ten milliseconds.
        """
        if size > 1 << 40 or elapsed > 2_000_000:
            return size
        return 64 * size if elapsed < 150_000 else 2 * size

    @inline
    def conclude(job, block):
        """Run the job's epilogue, if it has one; its status."""
        if load(job + EPILOGUE) != 0:
            return run_chunk(load(job + EPILOGUE), 0, load(job + EPILOGUE + 8), block + load(job + EPILOGUE + 16))
        return 0

    def alone(job, block, lo):
        """Run a job on this thread; where it stopped, -1 if refused, -2 if it failed.

        It stops when its time slice is over, and, where the job says how many ns are WORTH other threads, when the REST
        will take longer. A first look that is short is repeated: it may have met cold caches.
        """
        function, hi, table = load(job + FUNCTION), load(job + HI), load(job + TABLE)
        if table != 0 and allowed(block, table) == 0:
            return -1
        begin = now = clock()
        size, worth, looks = load(job + FIRST), load(job + WORTH), 0
        while lo < hi:
            top = min(lo + size, hi)
            if run_chunk(function, lo, top, block) != 0:
                return -2
            lo = top
            if lo < hi:
                then, now = now, clock()
                looks += 1
                if worth != 0:
                    rest = (now - then) * (hi - lo) // size
                    store(job + REST, rest)
                    if rest > worth and (looks > 1 or now - then > 10_000):
                        return lo
                    if looks == 1:
                        continue
                if now - begin > SLICE_NS:
                    return lo
                size = grown(size, now - then)
        return lo if conclude(job, block) == 0 else -2

    @inline
    def share(pool, worker, now, deadline):
        """Do what is thread `worker`'s of the job, until it is done or STOP is set; a failure sets it too."""
        job = load(pool + JOB)
        block = load(pool + BLOCK) + (worker + 1) * load(job + APART)
        function, hi = load(job + FUNCTION), load(job + HI)
        align, chunk, schedule = load(job + ALIGN), load(job + CHUNK), load(job + SCHEDULE)
        mine = pool + WORKERS + WORKER_SIZE * worker
        lo, end = load(mine + CURSOR), load(mine + END)
        size = load(job + FIRST)
        while load(pool + STOP) == 0:
            if lo >= end:
                if schedule == 0:
                    break
                lo = load(pool + NEXT)
                if lo >= hi:
                    break
                wanted = chunk
                if schedule == 2:  # guided: half of an even share of the rest
                    wanted = max(chunk, (hi - lo) // (2 * load(job + THREADS)) // align * align)
                if not swap_if(pool + NEXT, lo, lo + wanted):
                    continue
                end = min(lo + wanted, hi)
            top = min(lo + size, end)
            if run_chunk(function, lo, top, block) != 0:
                store(pool + FAILED, 1)
                store(pool + STOP, 1)
            lo = top
            if lo < end or schedule != 0:
                then, now = now, clock()
                if now > deadline:
                    store(pool + STOP, 1)
                size = grown(size, now - then)
        store(mine + CURSOR, lo)
        store(mine + END, end)

    @inline
    def start(pool):
        """Claim the workers for the job, do the caller's share and what nobody has begun, and wait for the rest.

        Returns 1 if the time slice ended it early, 3 if it failed.
        """
        job = load(pool + JOB)
        threads, now = load(job + THREADS), clock()
        wakes = load(job + WAKES) != 0 or now - load(pool + ENDED) < SPIN_NS  # where short jobs follow each other
        store(pool + STOP, 0)
        store(pool + PENDING, 0)
        if places and load(pool + CPU) >= 0:
            store(pool + CPU, cpu_now())
        for k in range(1, threads):
            mine = pool + WORKERS + WORKER_SIZE * k
            fetch_add(pool + PENDING, 1)
            if not swap_if(mine + STATE, SPINNING, WANTED):
                if wakes and swap_if(mine + STATE, SLEEPING, WANTED):
                    ring(load(mine + RINGS))
                else:
                    fetch_add(pool + PENDING, -1)
        deadline = now + SLICE_NS
        share(pool, 0, now, deadline)
        for k in range(1, threads):
            state = pool + WORKERS + WORKER_SIZE * k + STATE
            if swap_if(state, WANTED, SPINNING):
                fetch_add(pool + PENDING, -1)
                share(pool, k, clock(), deadline)
            elif load(state) == SLEEPING or load(state) == QUIT:  # what it has not begun, if it was not asked to
                share(pool, k, clock(), deadline)
        spins = 0
        while load(pool + PENDING) > 0:
            spins += 1
            if spins % 256 == 0:
                if clock() > deadline:
                    store(pool + STOP, 1)
                if spins > 2_000:  # perhaps a worker waits for this very CPU
                    give_way()
        unfinished = int(load(job + SCHEDULE) != 0 and load(pool + NEXT) < load(job + HI))
        for k in range(threads):
            mine = pool + WORKERS + WORKER_SIZE * k
            if load(mine + CURSOR) < load(mine + END):
                unfinished = 1
        if load(pool + FAILED) != 0 or (unfinished == 0 and conclude(job, load(pool + BLOCK)) != 0):
            unfinished = 3
        store(pool + ENDED, clock())
        store(pool + MIDST, int(unfinished == 1))
        return unfinished

    def launch(pool, job, block):
        """Run a job, or without one go on with that whose time slice was over.

        0 when it is done, 1 if its time slice is over, 2 if its table objects, 3 if it failed, MEETS if another one is
        to go on first.
        """
        if job != 0:
            if load(pool + MIDST) != 0:
                return MEETS
            if load(job + TABLE) != 0 and allowed(block, load(job + TABLE)) == 0:
                return 2
            store(pool + JOB, job)
            store(pool + BLOCK, block)
            threads, align = load(job + THREADS), load(job + ALIGN)
            lo, hi = load(job + LO), load(job + HI)
            pieces = (hi - lo + align - 1) // align
            store(pool + NEXT, lo)
            store(pool + FAILED, 0)
            begin = lo
            for k in range(threads):
                mine = pool + WORKERS + WORKER_SIZE * k
                store(mine + CURSOR, begin)
                store(mine + END, begin)
                if load(job + SCHEDULE) != 0:  # each takes what is NEXT
                    continue
                begin = min(hi, lo + pieces * (k + 1) // threads * align)
                store(mine + END, begin)
        return start(pool)

    def work(pool, worker, patience):
        """What a worker does until it is told to quit; after `patience` idle ns it sleeps."""
        mine = pool + WORKERS + WORKER_SIZE * worker
        since = clock()
        spins = 0
        while True:
            state = load(mine + STATE)
            if state == WANTED:
                if swap_if(mine + STATE, WANTED, BUSY):
                    share(pool, worker, since, since + (1 << 62))
                    store(mine + STATE, SPINNING)
                    fetch_add(pool + PENDING, -1)
                    since, spins = clock(), 0
            elif state == SLEEPING:
                hear(load(mine + HEARS))
                if places:
                    move_away(pool, mine)
                since, spins = clock(), 0
            elif state == QUIT:
                return 0
            else:
                spins += 1
                if spins % 64 == 0:
                    if clock() - since > patience:
                        swap_if(mine + STATE, SPINNING, SLEEPING)
                    elif spins > 2_000:
                        give_way()

    return {"alone": alone, "launch": launch, "work": work}


def job(
    function: int, lo: int, hi: int, align: int, first: int, threads: int = 1, schedule: str = "static", chunk: int = 0,
    wakes: bool = True, table: Any = None, epilogue: tuple[int, int, int] = (0, 0, 0), worth: int = 0,
    apart: int = 0,
) -> Any:  # fmt: skip
    """A job for `run_alone` or `Pool.run`: a chunk function over [lo, hi), as an array of words.

    Parameters
    ----------
    function : int
        Address of the chunk function.
    align : int
        Cuts fall on multiples of it.
    first : int
        Iterations, a multiple of `align`, before the clock is looked at for the first time.
    schedule, chunk
        How iterations are dealt out; chunk 0 means a default.
    wakes : bool
        Whether it is worth it to wake workers that sleep.
    table : ctypes array of int64, optional
        What `allowed` checks before anything runs. The caller keeps it alive.
    worth : int
        Nanoseconds from which on `begin_alone` gives the rest to others; 0: never.
    epilogue : (function, count, place)
        A chunk function that the caller's thread runs over [0, count) when all is done, with what is at that byte of
        the argument block.
    apart : int
        Bytes of an argument block, if behind the first one there is one for each thread; 0 if they share it.
    """
    if schedule != "static":
        default = max(1, (hi - lo) // (threads * 64)) if schedule == "dynamic" else 1
        chunk = -(-(chunk or default) // align) * align
    address = 0 if table is None else ctypes.addressof(table)
    words = (function, lo, hi, align, first, chunk, SCHEDULES[schedule], threads, wakes, address, worth, 0)
    return (ctypes.c_int64 * (len(words) + 4))(*words, *epilogue, apart)


def again(made: Any, lo: int, wakes: bool, apart: int) -> Any:
    """A job from `lo` on, else as one that was made, whose table nobody looks at again."""
    found = type(made).from_buffer_copy(made)
    found[LO // 8], found[WAKES // 8], found[TABLE // 8], found[APART // 8] = lo, wakes, 0, apart
    return found


def guard_table(
    flags: Sequence[tuple[int, int]] = (),
    pairs: Sequence[tuple[int, int, int, int]] = (),
    watched: Sequence[tuple[np.ndarray, int]] = (),
) -> Any:
    """What a job looks at before anything runs: an array of words.

    Parameters
    ----------
    flags : sequence of (place, bits)
        The array whose object's address is at that byte of the argument block must have these flags.
    pairs : sequence of (place, bytes, place, bytes)
        Arrays that must lie apart, and how large their elements are.
    watched : sequence of (array, bits)
        Arrays that must have these flags, and else be as they are now.
    """
    words = [len(flags), len(pairs), len(watched), *(word for entry in (*flags, *pairs) for word in entry)]
    for x, bits in watched:
        words += (id(x), bits, x.__array_interface__["data"][0], id(x.dtype), x.ndim)
        words += (word for pair in zip(x.shape, x.strides, strict=True) for word in pair)
    return (ctypes.c_int64 * len(words))(*words)


def run_alone(
    job: int | ctypes.c_int64, block: int, lo: int, hi: int, failed: Callable[[], Exception] = failure
) -> bool:
    """Run the job at an address on the calling thread, interruptible; False if its table objects.

    `failed` makes the error that is raised if native code returns a status that tells of one.
    """
    raw = _alone or _first()
    try:
        state = _states.pop()
    except IndexError:
        result = ctypes.c_int64()
        state = result, ctypes.c_int64(ctypes.addressof(result))
    result, place = state
    while True:
        result.value = lo
        raw(place, _ZERO, job, block, lo or _ZERO)
        lo = result.value
        if lo >= hi:
            _states.append(state)
            return True
        if lo == -2:
            raise failed()
        if lo < 0:
            return False
        go_on()


def run_by_itself(job: int | ctypes.c_int64, block: int, failed: Callable[[], Exception]) -> bool:
    """`run_alone` of a job for several threads, all of it."""
    at = job if isinstance(job, int) else job.value
    lo, hi, apart = (ctypes.c_int64.from_address(at + place).value for place in (LO, HI, APART))
    return run_alone(at, block + apart, lo, hi, failed)


def begin_alone(job: int | ctypes.c_int64, block: int, lo: int, failed: Callable[[], Exception] = failure) -> int:
    """Run the job at an address on the calling thread, as far as it is not WORTH it to do the rest with others.

    Returns where it stopped, at the end or before, or -1 if the job's table objects.
    """
    result = ctypes.c_int64(lo)
    (_alone or _first())(ctypes.addressof(result), _ZERO, job, block, lo)
    if result.value == -2:
        raise failed()
    return result.value


def end_alone(job: int, block: int, at: int, hi: int, failed: Callable[[], Exception]) -> None:
    """Go on where the native loop `alone` stopped, because its time slice was over or it failed."""
    if at == -2:
        raise failed()
    go_on()
    run_alone(job, block, at, hi, failed)


def bind_alone(
    job: int, block: int, lo: int, hi: int, partials: Any, failed: Callable[[], Exception]
) -> Callable[[], Any]:
    """`run_alone` with its arguments bound; returns the first of `partials`, if they are given.

    Also REFUSED, if the job's table objects.
    """
    raw = _alone or _first()
    state = ctypes.c_int64()
    words, lock = ready(ctypes.addressof(state), 0, job, block, lo), forks.lock_of_runs()

    def call() -> Any:
        with lock:  # for one thread at a time: the words are shared
            before = state.value  # of a call in whose midst a signal's handler makes this one
            try:
                raw(*words)
                at = state.value
            finally:
                state.value = before
            if at == -1:
                return REFUSED
            if at < hi:
                end_alone(job, block, at, hi, failed)
            return None if partials is None else partials[0]

    return call


def ready(*values: int) -> tuple[ctypes.c_int64, ...]:
    """Arguments of a native call, ready-made: ctypes takes half a microsecond to make five from integers."""
    return tuple(ctypes.c_int64(value) for value in values)


_alone: Any = None
_ZERO = ctypes.c_int64(0)
_states: list[tuple[ctypes.c_int64, ctypes.c_int64]] = []  #: where runs tell how far they came, and these addresses


def _first() -> Any:
    global _alone
    _alone = loop("alone").raw  # type: ignore[attr-defined]
    return _alone
