"""A device in host memory: what the threads and SIMD backends have in common."""

from __future__ import annotations

import math
import mmap
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import forks
from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar.kernel.cpu import chunk, pool
from portapar.kernel.cpu.launch import Launch
from portapar.kernel.cpu.memory import HUGE, LINE, kept
from portapar.kernel.device import Device
from portapar.kernel.jit.layout import DATA, word
from portapar.kernel.program import Program, Spec, Task

_making = forks.lock()  #: of pools: two threads that need a device's at the same time get the same one


class HostDevice(Device):
    """CPU cores that share memory with Python.

    Parameters
    ----------
    name : str
    threads : int
        1 runs everything on the calling thread.
    """

    host_memory = True
    can_wait = True
    folds = sorts = True

    def __init__(self, name: str, threads: int) -> None:
        super().__init__(name)
        self.threads = self.width = threads
        self._pool: pool.Pool | None = None

    @property
    def pool(self) -> pool.Pool:
        """The threads, started when they are first needed."""
        if self._pool is None:
            with _making:
                if self._pool is None:
                    self._pool = pool.Pool(self.threads)
        return self._pool

    def owns(self, x: Any) -> bool:
        return isinstance(x, np.ndarray)

    def asarray(self, x: np.ndarray) -> np.ndarray:
        copy = self.empty(x.shape, x.dtype)
        np.copyto(copy, x)
        return copy

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array on cache-line boundaries; a large one on huge pages, touched by all threads at once, or before."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size < HUGE:
            raw = np.empty(size + LINE, np.uint8)
            skip = -word(id(raw) + DATA) % LINE  # a sixth of the time of raw.ctypes
            return np.ndarray(shape, dtype, raw, skip)
        old = kept.take(size + HUGE)
        try:
            # Private: a forked child gets a copy, and shared memory has no huge pages (a tenth of the speed).
            memory = old or mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError) as error:
            raise DeviceMemoryError(
                f"{self.name}: no room for an array of shape {shape} and dtype {dtype}, {size} bytes ({error})"
            ) from None
        raw = np.frombuffer(memory, np.uint8)
        skip = -raw.ctypes.data % HUGE
        block = raw[skip : skip + size]
        if old is None:
            if hasattr(mmap, "MADV_HUGEPAGE"):
                memory.madvise(mmap.MADV_HUGEPAGE)
            self._touch(block)
        weakref.finalize(raw, kept.give, memory).atexit = False  # every view keeps `raw` alive
        return block.view(dtype).reshape(shape)

    def _touch(self, block: np.ndarray) -> None:
        """Write one byte per page, with the threads that will work there."""
        text = "def body(i, pages):\n    pages[i] = 0\n"
        program = Program("map", text, ("body",), (Spec(np.dtype(np.uint8), 1, contiguous=False),))
        pages = block[:: mmap.PAGESIZE]
        self.run(Task(program, (pages,), (0,), (len(pages),), (0,), (1,), 0, len(pages)))

    def asnumpy(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            return x
        np.copyto(out, x)
        return out

    def sort(self, x: np.ndarray) -> None:
        """Sort signed integers in place: NumPy does in SIMD lanes, on the calling thread."""
        x.sort()

    def run(self, task: Any) -> np.ndarray | None:
        if self.closed:
            raise BackendUnavailableError(f"{self.name} was closed; make a new executor")
        return Launch(self, task)(task.values if not any(task.rows) else _lengthened(task), task.firsts)

    def launch(self, task: Task) -> Launch:
        """A task prepared to be run with other arguments."""
        return Launch(self, task)

    def bind(self, task: Task, watched: Sequence[tuple[np.ndarray, bool]] = ()) -> Callable[[], Any]:
        """A task prepared to be run many times; for `watched` see `Launch.bind`."""
        return Launch(self, task).bind(task.values, watched)

    def chunks(self, count: int) -> tuple[int, ...]:
        """From few to many for each thread, in powers of two."""
        shares = {1 << max(count // (self.threads * many), 1).bit_length() - 1 for many in (4, 16, 64, 256)}
        return tuple(sorted(shares, reverse=True)) if self.threads > 1 else ()

    def inspect(self, program: Program) -> dict[str, str]:
        return chunk.inspect(program)

    def close(self) -> None:
        super().close()
        if self._pool is not None:
            self._pool.close()


def _lengthened(task: Task) -> list[Any]:
    """The arguments of a task: of arrays that have more rows than are here views that say so."""
    values = list(task.values)
    for k, count in enumerate(task.rows):
        if count:
            x = values[k]
            shape = (count - task.firsts[k], *x.shape[1:])
            values[k] = np.lib.stride_tricks.as_strided(x, shape, x.strides)
    return values
