"""A device in host memory: what the threads and SIMD backends have in common."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar import topology
from portapar.kernel import cpu, runtime
from portapar.kernel.forms import TILE
from portapar.kernel.program import Program, Spec

_HUGE = 2 << 20
_LINE = 64


class Launcher:
    """Native code of one program, found once and called often."""

    __slots__ = ("_pack", "_plain", "_program", "_stream", "align")

    def __init__(self, program: Program) -> None:
        self._program = program
        self._pack = cpu.packer(program)
        self._plain = 0
        self._stream = 0
        self.align = TILE if program.form == "reduce" else _LINE

    def function(self, stream: bool) -> int:
        if stream:
            self._stream = self._stream or cpu.chunk(self._program, stream=True)
            return self._stream
        self._plain = self._plain or cpu.chunk(self._program)
        return self._plain

    def block(self, values: tuple[Any, ...], firsts: tuple[int, ...], extra: tuple[int, ...]) -> bytes:
        words: list[Any] = []
        for value, spec, first in zip(values, cpu.block_specs(self._program), firsts, strict=True):
            if spec.is_array:
                words += (id(value), first)
            elif spec.dtype.kind == "c":
                words += (value.real, value.imag)
            else:
                words.append(value)
        return self._pack(*words, *extra)


class HostDevice:
    """CPU cores that share memory with Python.

    Parameters
    ----------
    name : str
    threads : int
        1 runs everything on the calling thread.
    """

    host_memory = True

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self._pool = runtime.Pool(threads) if threads > 1 else None
        self._launchers: dict[str, Launcher] = {}
        self._closed = False

    def owns(self, x: Any) -> bool:
        return isinstance(x, np.ndarray)

    def asarray(self, x: np.ndarray) -> np.ndarray:
        copy = self.empty(x.shape, x.dtype)
        np.copyto(copy, x)
        return copy

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array on cache-line boundaries; a large one on huge pages, touched by all threads at once."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size < _HUGE:
            raw = np.empty(size + _LINE, np.uint8)
            skip = -raw.ctypes.data % _LINE
            return raw[skip : skip + size].view(dtype).reshape(shape)
        try:
            memory = mmap.mmap(-1, size + _HUGE)
        except (OSError, OverflowError) as error:
            raise DeviceMemoryError(
                f"{self.name}: no room for an array of shape {shape} and dtype {dtype}, {size} bytes ({error})"
            ) from None
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        raw = np.frombuffer(memory, np.uint8)
        skip = -raw.ctypes.data % _HUGE
        block = raw[skip : skip + size]
        self._touch(block)
        return block.view(dtype).reshape(shape)

    def _touch(self, block: np.ndarray) -> None:
        """Write one byte per page, with the threads that will work there."""
        page = mmap.PAGESIZE
        text = "def body(i, pages):\n    pages[i] = 0\n"
        program = Program("map", text, ("body",), (Spec(np.dtype(np.uint8), 1, contiguous=False),))
        pages = block[::page]
        self._launch(program, (pages,), (0,), (), 0, len(pages), 0, "static", 0)

    def asnumpy(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            return x
        np.copyto(out, x)
        return out

    def check(self, program: Program) -> str | None:
        return None

    def run(self, task: Any) -> np.ndarray | None:
        program = task.program
        extra = task.extent[1:]
        if not program.unit:
            extra += tuple(v for pair in zip(task.start, task.step, strict=True) for v in pair)
        values, firsts = task.values, task.firsts
        partials = None
        if program.acc is not None:
            partials = np.empty(-(-(task.hi - task.lo) // TILE), program.acc)
            values, firsts = (*values, partials), (*firsts, task.lo // TILE)
        stream = cpu.can_stream(program) and self._large(program, values, task.hi - task.lo)
        self._launch(
            program, values, firsts, extra, task.lo, task.hi, task.threads, task.schedule, task.chunk, stream
        )
        return partials

    @staticmethod
    def _large(program: Program, values: tuple[Any, ...], count: int) -> bool:
        """Whether streaming stores pay: the data exceed the caches, and the output is not read as well."""
        row = sum(spec.dtype.itemsize for spec in program.specs if spec.is_array)
        return not program.inplace and count * row > topology.caches().get("L3", 32 << 20)

    def _launch(
        self,
        program: Program,
        values: tuple[Any, ...],
        firsts: tuple[int, ...],
        extra: tuple[int, ...],
        lo: int,
        hi: int,
        threads: int,
        schedule: str,
        chunk: int,
        stream: bool = False,
    ) -> None:
        if self._closed:
            raise BackendUnavailableError(f"{self.name} was closed; make a new executor")
        launcher = self._launchers.get(program.key)
        if launcher is None:
            launcher = self._launchers[program.key] = Launcher(program)
        function = launcher.function(stream)
        block = launcher.block(values, firsts, extra)
        address = ctypes.cast(ctypes.c_char_p(block), ctypes.c_void_p).value or 0
        threads = min(threads or self.threads, self.threads)
        if threads == 1 or self._pool is None:
            runtime.run_alone(function, address, lo, hi, launcher.align)
        else:
            self._pool.run(function, address, lo, hi, threads, schedule, chunk, launcher.align)

    def inspect(self, program: Program) -> dict[str, str]:
        return cpu.inspect(program)

    def synchronize(self) -> None:
        """Every call has ended when it returns: there is nothing to wait for."""

    def close(self) -> None:
        self._closed = True
        if self._pool is not None:
            self._pool.close()
