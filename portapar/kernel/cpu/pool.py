"""The Python threads that run jobs together."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from portapar import forks
from portapar.errors import BackendUnavailableError
from portapar.kernel.cpu.jobs import (
    ALLOWED,
    CPU,
    CPU_BYTES,
    HEARS,
    MEETS,
    MIDST,
    PLACES,
    QUIT,
    SPIN_NS,
    SPINNING,
    STATE,
    WORKER_SIZE,
    WORKERS,
    loop,
    ready,
    run_by_itself,
)
from portapar.kernel.interrupts import go_on
from portapar.kernel.jit.native import failure
from portapar.kernel.program import REFUSED


class Pool:
    """Threads that run native chunks together; used by one caller at a time."""

    _lock: Any
    _words: np.ndarray

    def __init__(self, size: int) -> None:
        self.size = size
        self._closed = False
        self._bells: list[tuple[int, int]] = []
        self._threads: list[threading.Thread] = []
        self._reset()
        forks.renewed(self, Pool._reset)
        atexit.register(self.close)

    def _reset(self) -> None:
        """Start without workers: at first, and in a forked child, whose threads are gone.

        A child that was forked by a signal's handler, in the midst of a job, has that still to do.
        """
        if self._threads and self._words[MIDST // 8] and self._lock.acquire(False):
            for k in range(1, self.size):  # whoever does not sleep has what it has not begun taken from it
                self._words[(WORKERS + WORKER_SIZE * k + STATE) // 8] = SPINNING
            self._threads = []
            self._drop_bells()
            self._lock.release()
            return
        self._lock = threading.RLock()  # a signal's handler may make calls, too
        memory = np.zeros((WORKERS + WORKER_SIZE * self.size) // 8 + 8, np.int64)
        self._words = memory[(-memory.ctypes.data % 64) // 8 :]
        self._address = self._words.ctypes.data
        self._result = ctypes.c_int64()
        self._place = ctypes.addressof(self._result)
        self._ready = ready(self._place, 0, self._address)
        self._threads = []
        self._drop_bells()

    def _drop_bells(self) -> None:
        for bell in self._bells:
            for end in set(bell):
                os.close(end)
        self._bells = []

    def _start(self) -> None:
        self._launch = loop("launch").raw  # type: ignore[attr-defined]
        allowed = os.sched_getaffinity(0) if PLACES else set()
        apart = self.size <= len(allowed) and max(allowed) < 8 * CPU_BYTES
        self._words[CPU // 8] = 0 if apart else -1  # more threads than CPUs take turns anyway
        if apart:
            mask = sum(1 << cpu for cpu in allowed).to_bytes(CPU_BYTES, sys.byteorder)
            self._words[ALLOWED // 8 : (ALLOWED + CPU_BYTES) // 8] = np.frombuffer(mask, np.int64)
        try:
            for k in range(1, self.size):
                self._bells.append(_bell())
                first = (WORKERS + WORKER_SIZE * k + HEARS) // 8
                self._words[first : first + 2] = self._bells[-1]
                thread = threading.Thread(
                    target=loop("work"), args=(self._address, k, SPIN_NS), name=f"portapar-{k}", daemon=True
                )
                thread.start()
                self._threads.append(thread)
        except BaseException as error:
            k = len(self._threads) + 1
            self._end()
            self._words[:] = 0
            if not isinstance(error, (RuntimeError, OSError)):  # Ctrl-C
                raise
            raise BackendUnavailableError(
                f"thread {k} of {self.size} cannot be started: {error}. Use fewer, pp.threads({k}) or "
                "PORTAPAR_NUM_THREADS, or raise the limits on processes (ulimit -u) and open files (ulimit -n)"
            ) from error

    def run(self, job: int | ctypes.c_int64, block: int, failed: Callable[[], Exception] = failure) -> bool:
        """Run the job at an address on as many threads as it says; False if its table objects."""
        with self._lock:
            if self._closed:
                raise BackendUnavailableError("this thread pool was closed; make a new one with pp.threads()")
            if not self._threads:
                self._start()
            try:
                self._launch(*self._ready, job, block)
                if self._result.value != MEETS:
                    return not self._result.value or self._go_on(failed)
            except BaseException:
                self._words[MIDST // 8] = 0
                raise
            self._result.value = 1  # as it was
            return run_by_itself(job, block, failed)

    def lend(self, failed: Callable[[], Exception]) -> tuple[int, Any, Any, Callable[[int], None]]:
        """What native code needs to run jobs by itself: the address of the words, and three functions.

        The first gets the lock, the second gives it back; in between, where the loop `launch` returned 1 or 3, the last
        one is told so, and ends the job. Where the threads are gone, the first worker of all has the state QUIT.
        """
        with self._lock:
            if self._closed:
                self._words[(WORKERS + WORKER_SIZE + STATE) // 8] = QUIT
            elif not self._threads:
                self._start()

        def end(status: int) -> None:
            self._result.value = status
            self._go_on(failed)

        return self._address, self._lock.acquire, self._lock.release, end

    def bind(self, job: int, block: int, partials: Any, failed: Callable[[], Exception]) -> Callable[[], Any]:
        """`run` with its arguments bound; returns the first of `partials`, if they are given.

        Also REFUSED, if the job's table objects.
        """

        def call() -> Any:
            if self._lock is lock:  # or else the process was forked
                with lock:
                    if self._threads:  # or else not started, or closed
                        try:
                            self._launch(*words)
                            if state.value not in (0, MEETS) and not self._go_on(failed):
                                return REFUSED
                        except BaseException:
                            self._words[MIDST // 8] = 0
                            raise
                        if state.value == 0:
                            return None if partials is None else partials[0]
            if not self.run(job, block, failed):
                return REFUSED
            return None if partials is None else partials[0]

        lock, state = self._lock, self._result
        words = ready(self._place, 0, self._address, job, block)
        return call

    def _go_on(self, failed: Callable[[], Exception]) -> bool:
        """End a job that needs more than one native call; False if its table objects. The lock is held."""
        while self._result.value == 1:
            go_on()
            self._launch(*self._ready, 0, 0)
        if self._result.value == 3:
            raise failed()
        return not self._result.value

    def _end(self) -> None:
        """End the threads. The lock is held."""
        for k, (_, rings) in enumerate(self._bells, 1):
            self._words[(WORKERS + WORKER_SIZE * k + STATE) // 8] = QUIT
            os.write(rings, _ONE)
        for thread in self._threads:
            thread.join(timeout=1)
        if not any(thread.is_alive() for thread in self._threads):
            self._drop_bells()
        self._threads = []

    def close(self) -> None:
        """End the threads. Running a job afterwards is an error."""
        with self._lock:
            self._closed = True
            self._end()
        atexit.unregister(self.close)


_ONE = (1).to_bytes(8, sys.byteorder)


def _bell() -> tuple[int, int]:
    """What a thread sleeps on: it ends reading a word from the first file when one is written to the second."""
    if hasattr(os, "eventfd"):  # a pipe's reader is woken on its writer's CPU
        both = os.eventfd(0)
        return both, both
    return os.pipe()
