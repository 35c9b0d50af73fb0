"""A device in host memory: what the threads and SIMD backends have in common."""

from __future__ import annotations

import ctypes
import functools
import math
import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portapar import topology
from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar.kernel import cpu, runtime
from portapar.kernel.forms import TILE
from portapar.kernel.program import OVERLAP, Program, Spec, Task

_BYTES_HEAD = bytes.__basicsize__ - 1  # where a bytes object keeps its bytes
_HUGE = 2 << 20
_LINE = 64


class Launch:
    """A program over one range, prepared once and run with any arguments of its kinds.

    Calling it costs a microsecond or two: the arguments are packed into a block of words, which the
    native chunk function reads (`portapar.kernel.intrinsics.unpacker`).
    """

    def __init__(self, device: HostDevice, task: Task) -> None:
        program = task.program
        self.device, self._program = device, program
        self._lo, self._hi = task.lo, task.hi
        self._threads = min(task.threads or device.threads, device.threads)
        align = TILE if program.form == "reduce" else _LINE
        first = TILE
        few = task.hi - task.lo < _LINE * self._threads
        if program.form == "map" or (few and program.form != "reduce"):  # iterations may be heavy: finer cuts
            align = first = max(1, min(task.chunk or _LINE, _LINE, (task.hi - task.lo) // self._threads))
        rest = tuple(task.extent[1:])
        if not program.unit:
            rest += tuple(v for pair in zip(task.start, task.step, strict=True) for v in pair)
        self._rest = rest
        self._arrays = [spec.is_array for spec in program.specs]
        self._pack = cpu.packer(program)
        self._quick = cpu.quick_packer(program)
        function = cpu.chunk(program, cpu.can_stream(program) and self._large())
        self._new_job = functools.partial(
            runtime.job, function, task.lo, task.hi, align, first, self._threads, task.schedule, task.chunk, task.wakes
        )
        self._set_job()

    def _set_job(self, table: Any = None) -> None:
        self._table = table
        self._job = self._new_job(table=table)
        (self._job_address,) = runtime.ready(ctypes.addressof(self._job))

    def _large(self) -> bool:
        """Whether streaming stores pay: the output is not read as well, and the data exceed half of the last cache.

        The rest is for what was in use before, and on virtual machines for others.
        """
        row = sum(spec.dtype.itemsize for spec in self._program.specs if spec.is_array)
        return not self._program.inplace and 2 * (self._hi - self._lo) * row > topology.caches().get("L3", 32 << 20)

    def guard(self, written: list[int], sizes: list[int]) -> bool:
        """Check from now on, in every call, that these arguments are writable, and a transform's output apart.

        `sizes` are the bytes of each argument. Returns False if that cannot be had: it can for contiguous
        arrays, whose extents in memory follow from their sizes.
        """
        program = self._program
        read: list[int] = []
        if program.form == "transform":
            if not all(spec.contiguous for spec in program.specs if spec.is_array):
                return False
            read = [k for k, is_array in enumerate(self._arrays) if is_array and k != program.out]
        place, places = 0, []
        for spec in program.specs:
            places.append(place)
            place += 16 if spec.is_array or spec.dtype.kind == "c" else 8
        flat = [len(written), len(read), *(places[w] for w in written)]
        for r in read:
            flat += (places[program.out], sizes[program.out], places[r], sizes[r])
        self._set_job((ctypes.c_int64 * len(flat))(*flat))
        return True

    def __call__(self, values: Sequence[Any], firsts: Sequence[int] | None = None) -> Any:
        """Run; a reduction returns its partials, everything else None; OVERLAP if the guard objects."""
        partials = None
        if self._program.acc is not None:
            partials = np.empty(-(-(self._hi - self._lo) // TILE), self._program.acc)
        if firsts is None and self._lo == 0:
            block = self._quick(*values, *(() if partials is None else (partials,)), *self._rest)
        else:
            block = self._block(values, firsts, partials)
        address = id(block) + _BYTES_HEAD
        if self._threads == 1:
            allowed = runtime.run_alone(self._job_address, address, self._lo, self._hi)
        else:
            allowed = self.device.pool.run(self._job_address, address)
        return partials if allowed else OVERLAP

    def bind(self, values: Sequence[Any]) -> Callable[[], Any]:
        """This launch with its arguments packed once: what is left of a call is one native call.

        A reduction returns its result, without the initial value.
        """
        partials, keep, job = None, None, self._job
        if self._program.acc is not None:
            partials = np.empty(-(-(self._hi - self._lo) // TILE), self._program.acc)
            keep = (ctypes.c_int64 * 2)(id(partials), 0)
            fold = cpu.fold(self._program).address  # type: ignore[attr-defined]
            job = self._new_job(epilogue=(fold, len(partials), ctypes.addressof(keep)))
        block = self._block(values, None, partials)
        args = (ctypes.addressof(job), id(block) + _BYTES_HEAD)
        if self._threads > 1:
            run = self.device.pool.bind(*args, partials)
        else:
            run = runtime.bind_alone(*args, self._lo, self._hi, partials)
        run.keep = (block, values, job, keep)  # type: ignore[attr-defined]
        return run

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


class Kept:
    """Large blocks of memory that were given back, for the next array that is about as large.

    Pages that a process touches for the first time are slow, most of all on virtual machines, which give free ones
    back to their host: sorting would spend more time on its scratch space than on sorting. Where memory gets short
    the system takes pages from here (MADV_FREE).
    """

    def __init__(self, most: int) -> None:
        self.most = most  #: bytes
        self._blocks: list[mmap.mmap] = []  # the longest unused first; changed by atomic steps only

    def take(self, size: int) -> mmap.mmap | None:
        """A block of at least `size` bytes, and less than twice as many."""
        fit = [block for block in tuple(self._blocks) if size <= len(block) < 2 * size]
        for block in sorted(fit, key=len):
            try:
                self._blocks.remove(block)
            except ValueError:  # another thread was faster
                continue
            return block
        return None

    def give(self, block: mmap.mmap) -> None:
        if hasattr(mmap, "MADV_FREE"):
            block.madvise(mmap.MADV_FREE)
        self._blocks.append(block)
        while sum(map(len, tuple(self._blocks))) > self.most:
            try:
                self._blocks.pop(0)
            except IndexError:
                break


kept = Kept(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8 if hasattr(os, "sysconf") else 0)


class HostDevice:
    """CPU cores that share memory with Python.

    Parameters
    ----------
    name : str
    threads : int
        1 runs everything on the calling thread.
    """

    host_memory = True
    can_wait = True

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = self.width = threads
        self.closed = False
        self._pool: runtime.Pool | None = None

    @property
    def pool(self) -> runtime.Pool:
        """The threads, started when they are first needed."""
        if self._pool is None:
            self._pool = runtime.Pool(self.threads)
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
        if size < _HUGE:
            raw = np.empty(size + _LINE, np.uint8)
            skip = -raw.__array_interface__["data"][0] % _LINE  # a third of the time of raw.ctypes
            return np.ndarray(shape, dtype, raw, skip)
        old = kept.take(size + _HUGE)
        try:
            # Private: a forked child gets a copy, and shared memory has no huge pages (a tenth of the speed).
            memory = old or mmap.mmap(-1, size + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError) as error:
            raise DeviceMemoryError(
                f"{self.name}: no room for an array of shape {shape} and dtype {dtype}, {size} bytes ({error})"
            ) from None
        raw = np.frombuffer(memory, np.uint8)
        skip = -raw.ctypes.data % _HUGE
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

    def check(self, program: Program) -> str | None:
        return None

    def run(self, task: Any) -> np.ndarray | None:
        if self.closed:
            raise BackendUnavailableError(f"{self.name} was closed; make a new executor")
        return Launch(self, task)(task.values, task.firsts)

    def launch(self, task: Task) -> Launch:
        """A task prepared to be run with other arguments."""
        return Launch(self, task)

    def bind(self, task: Task) -> Callable[[], Any]:
        """A task prepared to be run many times."""
        return Launch(self, task).bind(task.values)

    def inspect(self, program: Program) -> dict[str, str]:
        return cpu.inspect(program)

    def synchronize(self) -> None:
        """Every call has ended when it returns: there is nothing to wait for."""

    def close(self) -> None:
        self.closed = True
        if self._pool is not None:
            self._pool.close()
