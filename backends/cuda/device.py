"""One CUDA device: CuPy's arrays and streams, and how it runs a task."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cupy
import numpy as np
from cupy.cuda.function import Module

from portapar import cache
from portapar.backends.cuda.compile import OPTIONS, compile_c, nvrtc_version
from portapar.errors import DeviceMemoryError, PlacementError, PortaparError
from portapar.kernel.c.device import NO_ROOM, CDevice, Kernel, found_of
from portapar.kernel.c.dialect import CUDA
from portapar.kernel.c.program import batch_of, entry_name
from portapar.kernel.device import Event
from portapar.kernel.program import Program

__all__ = ["CudaDevice"]

_MAP_BLOCK = 128  #: threads of a block,
_MAP_BLOCKS = (64, 256)  #: and what else a chunk may be
_REDUCE_BLOCK = 256  #: the same for reductions; a block folds what its warps found
_MOST_BLOCKS = 1 << 30  #: a grid stays below 2^31 blocks; the entries loop over what is left
_WARP = 32
_PORTION = 1 << 24  #: bytes that are copied at a time: a bus is as fast as it gets
_COPIERS = 4  #: threads that copy from and to pinned memory
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
    sorts = argsorts = starts = True
    portion = _PORTION

    def __init__(self, index: int) -> None:
        super().__init__(f"cuda:{index}", _kernels(index))
        self.index = index
        self.width = 1024 * cupy.cuda.Device(index).attributes["MultiProcessorCount"]
        self.arch = f"sm_{cupy.cuda.Device(index).compute_capability}"
        self.memory = cupy.cuda.Device(index).mem_info[1]

    # -- memory ------------------------------------------------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether `x` is a CuPy array on this device."""
        return isinstance(x, cupy.ndarray) and x.device.id == self.index

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        with self._use(nbytes):
            if nbytes > self.memory:
                raise MemoryError
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

    # Copies that go on by themselves need pinned memory, of which CuPy keeps a pool: their events hold it meanwhile.

    @functools.cached_property
    def _ways(self) -> tuple[Any, Any]:
        """The streams of copies to the device and back; kernels are on the current one."""
        with self._use(0):
            return cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)

    def upload(self, x: np.ndarray[Any, Any], room: Any) -> tuple[Any, Event]:
        """Begin to copy `x` to this device, into `room`."""
        up, _ = self._ways
        with self._use(x.nbytes) as stream:
            pinned = cupy.cuda.alloc_pinned_memory(x.nbytes)
            _copy(np.frombuffer(pinned, x.dtype, x.size).reshape(x.shape), x)
            up.wait_event(stream.record())  # what the memory was used for before
            room.data.copy_from_host_async(pinned.ptr, x.nbytes, up)
            return room, self._event(up.record(), functools.partial(_held, pinned))

    def download(self, x: Any, out: np.ndarray[Any, Any], after: Sequence[Event] = ()) -> Event:
        """Begin to copy an array of this device to `out`."""
        if not (x.flags.c_contiguous and x.size):
            return super().download(x, out, after)
        _, down = self._ways
        with self._use(x.nbytes):
            pinned = cupy.cuda.alloc_pinned_memory(x.nbytes)
            for handle in self._handles(after):
                down.wait_event(handle)
            x.data.copy_to_host_async(pinned.ptr, x.nbytes, down)

            def copied() -> None:
                _copy(out, np.frombuffer(pinned, x.dtype, x.size).reshape(x.shape))

            return self._event(down.record(), copied)

    def _event(self, event: Any, found: Callable[[], Any]) -> Event:
        def end() -> Any:
            with self._use(0):
                event.synchronize()
            return found()

        return Event(end, event)

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

    def _map(self, kernel: Kernel, arguments: Sequence[Any], count: int, chunk: int, waits: bool = True) -> None:
        block = chunk if chunk in _MAP_BLOCKS else _MAP_BLOCK
        self._launch(kernel, arguments, -(-count // kernel.batch), block, waits)

    def _groups(self, kernel: Kernel, arguments: Sequence[Any], count: int, items: int) -> None:
        self._launch(kernel, arguments, count * items, items)

    def chunks(self, count: int) -> tuple[int, ...]:
        """The threads of a block."""
        return _MAP_BLOCKS

    def _reduce(
        self, kernel: Kernel, arguments: Sequence[Any], tiles: int, values: int, acc: np.dtype[Any], whole: bool,
        waits: bool = True,
    ) -> np.ndarray[Any, Any]:  # fmt: skip
        # The kernel writes its partials straight to pinned host memory, which devices can address: a few
        # bytes per tile, while it runs, where a copy afterwards would cost some 10 µs.
        group = self.folded if whole else 1
        count = -(-tiles // group) + values
        memory = cupy.cuda.alloc_pinned_memory(count * acc.itemsize)
        frame = (np.uint64(memory.ptr), np.int64(group))
        self._launch(kernel, (*frame, *arguments), max(tiles * _WARP, values), _REDUCE_BLOCK, waits)
        return np.frombuffer(memory, acc, count)

    def _begun(self, task: Any, kernel: Kernel, arguments: Sequence[Any], count: int, after: Sequence[Any]) -> Event:
        acc, found = task.program.acc, None
        with self._use(0) as stream:
            for handle in after:
                stream.wait_event(handle)
            if acc is None:
                self._map(kernel, arguments, count, task.chunk, waits=False)
            else:
                found = self._reduce(kernel, arguments, *found_of(task, count), acc, task.whole, waits=False)
            return self._event(stream.record(), lambda: found)

    def _launch(self, kernel: Kernel, arguments: Sequence[Any], threads: int, block: int, waits: bool = True) -> None:
        self.ready()
        blocks = min(-(-threads // block), _MOST_BLOCKS)
        try:
            if cupy.cuda.runtime.getDevice() != self.index:
                with cupy.cuda.Device(self.index):
                    return self._launch(kernel, arguments, threads, block, waits)
            stream = cupy.cuda.get_current_stream()
            kernel.entry((blocks,), (block,), arguments, stream=stream)
            if waits:
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
                f" bytes are free. {NO_ROOM}"
            ) from error
        except _ERRORS as error:
            raise PortaparError(f"{self.name} failed: {error}") from error


@functools.cache
def _copiers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_COPIERS, thread_name_prefix="portapar-cuda")


def _copy(to: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> None:
    """Copy rows in host memory, by several threads: one is slower than a bus."""
    size = -(-len(x) // _COPIERS)
    list(_copiers().map(lambda k: np.copyto(to[k : k + size], x[k : k + size]), range(0, len(x), size)))


def _held(memory: Any) -> None:
    """What a copy finds, which needed this memory until it was done: nothing."""
