"""One CUDA device: CuPy's arrays and streams, and how it runs a task."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cupy
import numpy as np
from cupy.cuda.function import Module

from portapar import cache
from portapar.backends.cuda.compile import OPTIONS, compile_c, nvrtc_version
from portapar.errors import DeviceMemoryError, PlacementError, PortaparError
from portapar.kernel.c.device import CDevice, Kernel
from portapar.kernel.c.dialect import CUDA
from portapar.kernel.c.program import batch_of, entry_name
from portapar.kernel.program import Program

__all__ = ["CudaDevice"]

_MAP_BLOCK = 128  #: threads of a block,
_MAP_BLOCKS = (64, 256)  #: and what else a chunk may be
_REDUCE_BLOCK = 256  #: the same for reductions; a block folds what its warps found
_MOST_BLOCKS = 1 << 30  #: a grid stays below 2^31 blocks; the entries loop over what is left
_WARP = 32
_ERRORS = (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)


@functools.cache
def _kernels(index: int) -> dict[str, Kernel]:
    """The compiled programs of a device, shared by all handles on it."""
    return {}


class CudaDevice(CDevice):
    """A handle on a CUDA device. Work goes to CuPy's current stream of the calling thread.

    Parameters
    ----------
    index : int
        The number of the device.
    """

    folded = _REDUCE_BLOCK // _WARP
    array_type = cupy.ndarray
    dialect = CUDA
    groups = True
    sorts = argsorts = True

    def __init__(self, index: int) -> None:
        super().__init__(f"cuda:{index}", _kernels(index))
        self.index = index
        self.width = 1024 * cupy.cuda.Device(index).attributes["MultiProcessorCount"]
        self.arch = f"sm_{cupy.cuda.Device(index).compute_capability}"

    # -- memory ------------------------------------------------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether `x` is a CuPy array on this device."""
        return isinstance(x, cupy.ndarray) and x.device.id == self.index

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""
        dtype = np.dtype(dtype)
        with self._use(math.prod(shape) * dtype.itemsize):
            try:
                return cupy.empty(shape, dtype)
            except (TypeError, ValueError) as error:
                raise PlacementError(
                    f"{self.name}: CuPy has no arrays of dtype {dtype} ({error}). Pass an array per field"
                ) from error

    def asarray(self, x: np.ndarray[Any, Any]) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""
        array = self.empty(x.shape, x.dtype)
        if x.size:
            x = np.ascontiguousarray(x)
            with self._use(x.nbytes) as stream:
                array.data.copy_from_host_async(x.ctypes.data, x.nbytes, stream)
                stream.synchronize()
        return array

    def asnumpy(self, x: Any, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The elements of an array of this device, on the host; into `out` if it is given."""
        direct = out is not None and out.flags.c_contiguous and out.dtype == x.dtype
        host = out if out is not None and direct else np.empty(x.shape, x.dtype)
        with self._use(x.nbytes) as stream:
            if x.size:
                x = cupy.ascontiguousarray(x)
                x.data.copy_to_host_async(host.ctypes.data, x.nbytes, stream)
                stream.synchronize()
        if out is None or direct:
            return host
        out[...] = host
        return out

    # -- work --------------------------------------------------------------------------------------------

    def sort(self, x: Any) -> None:
        """Sort signed integers in place."""
        with self._use(0):
            x[...] = cupy.sort(x)

    def argsort(self, x: Any) -> Any:
        """The places of unsigned integers in a stable order, int64."""
        with self._use(0):
            return cupy.argsort(x).astype(np.int64, copy=False)

    def inspect(self, program: Program) -> dict[str, str]:
        """The CUDA C text and the PTX."""
        text = self.text(program)
        ptx = compile_c(text, self.arch.replace("sm_", "compute_"))
        return {"CUDA C": text, "PTX": ptx.rstrip(b"\0").decode()}

    def synchronize(self) -> None:
        """Wait until all work that was given to this device is done."""
        with self._use(0):
            cupy.cuda.Device(self.index).synchronize()

    def _compile(self, program: Program, text: str) -> Kernel:
        key = repr((text, self.arch, OPTIONS, nvrtc_version()))
        name = f"cuda-{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"
        binary = cache.load(name)
        if binary is None:
            binary = compile_c(text, self.arch)
            cache.store(name, binary)
        with self._use(0):
            module = Module()
            module.load(binary)
            return Kernel(module.get_function(entry_name(program)), module, batch_of(program))

    def _integer(self, value: int) -> Any:
        return np.int64(value)

    def _number(self, value: np.generic) -> Any:
        return value

    def _place(self, x: Any) -> list[Any]:
        return [np.uint64(x.data.ptr)]

    def _map(self, kernel: Kernel, arguments: Sequence[Any], count: int, chunk: int) -> None:
        self._launch(kernel, arguments, -(-count // kernel.batch), chunk if chunk in _MAP_BLOCKS else _MAP_BLOCK)

    def _groups(self, kernel: Kernel, arguments: Sequence[Any], count: int, items: int) -> None:
        self._launch(kernel, arguments, count * items, items)

    def chunks(self, count: int) -> tuple[int, ...]:
        """The threads of a block."""
        return _MAP_BLOCKS

    def _reduce(
        self, kernel: Kernel, arguments: Sequence[Any], tiles: int, acc: np.dtype[Any], whole: bool
    ) -> np.ndarray[Any, Any]:
        # The kernel writes its partials straight to pinned host memory, which devices can address: a few
        # bytes per tile, while it runs, where a copy afterwards would cost some 10 µs.
        group = self.folded if whole else 1
        count = -(-tiles // group)
        memory = cupy.cuda.alloc_pinned_memory(count * acc.itemsize)
        frame = (np.uint64(memory.ptr), np.int64(group))
        self._launch(kernel, (*frame, *arguments), tiles * _WARP, _REDUCE_BLOCK)
        return np.frombuffer(memory, acc, count)

    def _launch(self, kernel: Kernel, arguments: Sequence[Any], threads: int, block: int) -> None:
        self.ready()
        blocks = min(-(-threads // block), _MOST_BLOCKS)
        try:
            if cupy.cuda.runtime.getDevice() != self.index:
                with cupy.cuda.Device(self.index):
                    return self._launch(kernel, arguments, threads, block)
            stream = cupy.cuda.get_current_stream()
            kernel.entry((blocks,), (block,), arguments, stream=stream)
            stream.synchronize()
        except _ERRORS as error:
            raise PortaparError(f"{self.name} failed: {error}") from error

    @contextmanager
    def _use(self, nbytes: int) -> Iterator[Any]:
        """This device and its current stream; CUDA's errors as ours."""
        self.ready()
        try:
            # A Device object remembers what was current before: threads must not share one.
            with cupy.cuda.Device(self.index):
                yield cupy.cuda.get_current_stream()
        except MemoryError as error:
            free, total = cupy.cuda.Device(self.index).mem_info
            raise DeviceMemoryError(
                f"{self.name} has no room{f' for {nbytes} bytes' if nbytes else ''}: {free} of its {total}"
                " bytes are free. Use smaller arrays, free some, or split the call over several executors"
                " with pp.hybrid"
            ) from error
        except _ERRORS as error:
            raise PortaparError(f"{self.name} failed: {error}") from error
