"""The native loops that hand out work to threads, and the Python threads that run them.

A fork and join costs about a microsecond: workers spin for a while after each job, then sleep in
Python until they are wanted again. All of it is one block of shared words: a job, and for every worker
a state and the range that it still has to do. Long calls return to Python every tenth of a second, so
that Ctrl-C works.

The states of a worker::

    SLEEPING --woken--> SPINNING --claimed by the caller--> BUSY --done--> SPINNING --idle--> SLEEPING

Only the caller makes a worker BUSY, only the worker itself makes it anything else.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar.errors import BackendUnavailableError
from portapar.kernel.native import callee, native

SCHEDULES = {"static": 0, "dynamic": 1, "guided": 2}
SLICE_NS = 100_000_000  #: a call looks into Python this often (Ctrl-C)
SPIN_NS = 200_000  #: an idle worker sleeps after this long
SLEEPING, SPINNING, BUSY, QUIT = 0, 1, 2, 3

# Words of the shared block, in bytes: the job, then one cache line pair per thread.
STOP, NEXT, PENDING = 0, 64, 128
FUNCTION, BLOCK, LO, HI, CHUNK, ALIGN, SCHEDULE, THREADS = range(192, 256, 8)
WORKERS, WORKER_SIZE = 256, 128
DATA = object.__basicsize__  #: where a NumPy array keeps its address, as in `intrinsics`
FLAGS, WRITEABLE = DATA + 48, 0x400  #: and its flags (an int, with a hole behind it), as in NumPy's C API
STATE, CURSOR, END, ASLEEP = 0, 64, 72, 80
_JOB = struct.Struct("8q")


@functools.cache
def loops() -> tuple[Callable[..., int], ...]:
    """(alone, launch, join, resume, work, allowed), compiled once per machine."""
    names = (("alone", 3), ("launch", 2), ("join", 2), ("resume", 2), ("work", 3), ("allowed", 2))
    return tuple(native(name, lambda k=k: _make()[k], arity) for k, (name, arity) in enumerate(names))


@functools.cache
def _make() -> tuple[Any, ...]:
    from portapar.kernel.intrinsics import clock, fetch_add, give_way, load, run_chunk, store, swap_if

    inline = callee

    @inline
    def allowed(block, table):
        """Whether the written arrays are writable and overlap no other.

        The table: how many arrays are written and how many pairs to compare; where in the block the
        written ones are; for every pair (place, bytes, place, bytes).
        """
        written, pairs = load(table), load(table + 8)
        entry = table + 16
        for _ in range(written):
            if load(load(block + load(entry)) + FLAGS) & WRITEABLE == 0:
                return 0
            entry += 8
        for _ in range(pairs):
            first = load(load(block + load(entry)) + DATA)
            second = load(load(block + load(entry + 16)) + DATA)
            if second < first + load(entry + 8) and first < second + load(entry + 24):
                return 0
            entry += 32
        return 1

    def alone(job, block, lo):
        """Run a job from `lo` on on this thread; returns where it stopped when its time slice was over.

        The job: the chunk function, its alignment, the slice (ns), a table or 0, and the end of the range; with a table the
        arrays are checked first, and the result is -1 if `allowed` objects.
        """
        function, align, budget, table = load(job), load(job + 8), load(job + 16), load(job + 24)
        hi = load(job + 32)
        if table != 0 and allowed(block, table) == 0:
            return -1
        begin = now = clock()
        size = align
        while lo < hi:
            top = min(lo + size, hi)
            run_chunk(function, lo, top, block)
            lo = top
            if lo < hi:
                then, now = now, clock()
                if now - begin > budget:
                    break
                if now - then < 2_000_000:
                    size *= 2
        return lo

    @inline
    def share(pool, worker, deadline):
        """Do what is thread `worker`'s of the job, until it is done or STOP is set."""
        function, block = load(pool + FUNCTION), load(pool + BLOCK)
        align, chunk, schedule = load(pool + ALIGN), load(pool + CHUNK), load(pool + SCHEDULE)
        hi = load(pool + HI)
        if schedule == 0:
            mine = pool + WORKERS + WORKER_SIZE * worker
            lo, end = load(mine + CURSOR), load(mine + END)
            size = max(align, chunk)
            now = clock()
            while lo < end and load(pool + STOP) == 0:
                top = min(lo + size, end)
                run_chunk(function, lo, top, block)
                lo = top
                if lo < end:
                    then, now = now, clock()
                    if now > deadline:
                        store(pool + STOP, 1)
                    if now - then < 2_000_000:
                        size *= 2
            store(mine + CURSOR, lo)
        else:
            while load(pool + STOP) == 0:
                lo = load(pool + NEXT)
                if lo >= hi:
                    break
                size = chunk
                if schedule == 2:  # guided: half of an even share of the rest
                    size = max(chunk, (hi - lo) // (2 * load(pool + THREADS)) // align * align)
                if not swap_if(pool + NEXT, lo, lo + size):
                    continue
                run_chunk(function, lo, min(lo + size, hi), block)
                if clock() > deadline:
                    store(pool + STOP, 1)

    @inline
    def claim(pool):
        """Cut the range and claim the workers; returns how many have to be woken."""
        threads, align = load(pool + THREADS), load(pool + ALIGN)
        lo, hi = load(pool + LO), load(pool + HI)
        pieces = (hi - lo + align - 1) // align
        store(pool + NEXT, lo)
        begin = lo
        for k in range(threads):
            mine = pool + WORKERS + WORKER_SIZE * k
            store(mine + CURSOR, begin)
            begin = min(hi, lo + pieces * (k + 1) // threads * align)
            store(mine + END, begin)
        return summon(pool, threads)

    @inline
    def summon(pool, threads):
        store(pool + STOP, 0)
        store(pool + PENDING, threads - 1)
        asleep = 0
        for k in range(1, threads):
            mine = pool + WORKERS + WORKER_SIZE * k
            if not swap_if(mine + STATE, SPINNING, BUSY):
                store(mine + STATE, BUSY)
                store(mine + ASLEEP, 1)
                asleep += 1
        return asleep

    @inline
    def finish(pool, budget):
        """Do the caller's share and wait for the rest; returns 1 if the budget ended it early."""
        deadline = clock() + budget
        share(pool, 0, deadline)
        spins = 0
        while load(pool + PENDING) > 0:
            spins += 1
            if spins % 256 == 0:
                if clock() > deadline:
                    store(pool + STOP, 1)
                if spins > 20_000:
                    give_way()
        if load(pool + SCHEDULE) != 0:
            return int(load(pool + NEXT) < load(pool + HI))
        unfinished = 0
        for k in range(load(pool + THREADS)):
            mine = pool + WORKERS + WORKER_SIZE * k
            if load(mine + CURSOR) < load(mine + END):
                unfinished = 1
        return unfinished

    def launch(pool, budget):
        """Start the job; returns 0 when it is done, 1 if the budget ended it early, 2 to have workers woken."""
        return 2 if claim(pool) else finish(pool, budget)

    def join(pool, budget):
        """Go on after waking; returns 0 or 1 as `launch`."""
        return finish(pool, budget)

    def resume(pool, budget):
        """Go on with a job that the budget ended; returns as `launch`."""
        return 2 if summon(pool, load(pool + THREADS)) else finish(pool, budget)

    def work(pool, worker, patience):
        """What a worker does until it has been idle for `patience` ns (1) or is told to quit (0)."""
        mine = pool + WORKERS + WORKER_SIZE * worker
        since = clock()
        spins = 0
        while True:
            state = load(mine + STATE)
            if state == BUSY:
                share(pool, worker, since + (1 << 62))
                store(mine + STATE, SPINNING)
                fetch_add(pool + PENDING, -1)
                since = clock()
            elif state == QUIT:
                return 0
            else:
                spins += 1
                if spins % 64 == 0 and clock() - since > patience:
                    if swap_if(mine + STATE, SPINNING, SLEEPING):
                        return 1

    return alone, launch, join, resume, work, allowed.py_func


def run_alone(job: int, block: int, lo: int, hi: int) -> bool:
    """Run a job (see `alone` above) on the calling thread, interruptible; True if the job's table objects."""
    raw = _alone or _first()
    result = ctypes.c_int64(lo)
    place = ctypes.addressof(result)
    while lo < hi:
        raw(place, 0, job, block, lo)
        lo = result.value
        if lo < 0:
            return True
    return False


_alone: Any = None


def _first() -> Any:
    global _alone
    _alone = loops()[0].raw  # type: ignore[attr-defined]
    return _alone


class Pool:
    """Threads that run native chunks together; used by one caller at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._closed = False
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.close)

    def _reset(self) -> None:
        """Start without workers: at first, and in a forked child, whose threads are gone."""
        self._lock = threading.Lock()
        memory = np.zeros((WORKERS + WORKER_SIZE * self.size) // 8 + 8, np.int64)
        self._words = memory[(-memory.ctypes.data % 64) // 8 :]
        self._address = self._words.ctypes.data
        self._result = ctypes.c_int64()
        self._place = ctypes.addressof(self._result)
        self._threads: list[threading.Thread] = []
        self._bells: list[threading.Semaphore] = []

    def _start(self) -> None:
        self._launch, self._join, self._resume = (function.raw for function in loops()[1:4])  # type: ignore[attr-defined]
        self._bells = [threading.Semaphore(0) for _ in range(self.size)]
        for k in range(1, self.size):
            thread = threading.Thread(
                target=_worker, args=(self._words, k, self._bells[k]), name=f"portapar-{k}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def run(
        self, function: int, block: int, lo: int, hi: int, threads: int, schedule: str, chunk: int, align: int
    ) -> None:
        """Run a chunk function over [lo, hi) on `threads` threads; cuts fall on multiples of `align`."""
        if self._closed:
            raise BackendUnavailableError("this thread pool was closed; make a new one with pp.threads()")
        if schedule != "static":
            default = max(1, (hi - lo) // (threads * 64)) if schedule == "dynamic" else 1
            chunk = -(-(chunk or default) // align) * align
        with self._lock:
            if not self._threads:
                self._start()
            _JOB.pack_into(self._words, FUNCTION, function, block, lo, hi, chunk, align, SCHEDULES[schedule], threads)
            address, place = self._address, self._place
            go = self._launch
            try:
                while True:
                    go(place, 0, address, SLICE_NS)
                    if self._result.value == 2:
                        self._wake(threads)
                        self._join(place, 0, address, SLICE_NS)
                    if self._result.value == 0:
                        return
                    go = self._resume
            except BaseException:
                self._settle()
                raise

    def _wake(self, threads: int) -> None:
        for k in range(1, threads):
            mine = (WORKERS + WORKER_SIZE * k + ASLEEP) // 8
            if self._words[mine]:
                self._words[mine] = 0
                self._bells[k].release()

    def _settle(self) -> None:
        """After an interrupt: no worker may touch the caller's arrays any more."""
        self._words[STOP // 8] = 1
        while self._words[PENDING // 8] > 0:
            self._wake(self.size)

    def close(self) -> None:
        """End the threads. Running a job afterwards is an error."""
        with self._lock:
            self._closed = True
            for k in range(1, len(self._threads) + 1):
                self._words[(WORKERS + WORKER_SIZE * k + STATE) // 8] = QUIT
                self._bells[k].release()
            for thread in self._threads:
                thread.join(timeout=1)
            self._threads = []
        atexit.unregister(self.close)


def _worker(words: np.ndarray, worker: int, bell: threading.Semaphore) -> None:
    """A worker's life: run native code until it has been idle for a while, sleep, again."""
    work = loops()[4]
    while True:
        bell.acquire()
        if work(words.ctypes.data, worker, SPIN_NS) == 0:
            return
