"""One OpenCL device: its context, queue and arrays, and how it runs a task."""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cl_array
from pyopencl.tools import ImmediateAllocator, MemoryPool, PooledBuffer

from portapar import arrays, cache
from portapar.backends.opencl.declarations import DECLARATIONS, OPTION
from portapar.backends.opencl.pocl import PLATFORM
from portapar.errors import DeviceMemoryError, PortaparError
from portapar.kernel.c.device import NO_ROOM, CDevice, Kernel, elements, found_of
from portapar.kernel.c.dialect import OPENCL, OPENCL_CPU
from portapar.kernel.c.program import Rejected, argument_dtypes, entry_name
from portapar.kernel.device import Event
from portapar.kernel.program import Program
from portapar.kernel.tiles import LANES, TILE

__all__ = ["OpenCLDevice"]

_NO_MEMORY = (
    cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE,
    cl.status_code.OUT_OF_RESOURCES,
    cl.status_code.OUT_OF_HOST_MEMORY,
    cl.status_code.INVALID_BUFFER_SIZE,
)
_EXTENSIONS = {
    "float64": "cl_khr_fp64",
    "64-bit atomics": "cl_khr_int64_base_atomics",
    "64-bit atomics of min, max and bits": "cl_khr_int64_extended_atomics",
}
_GROUP = 256  #: work-items of a group on GPUs,
_GROUPS = (64, 128)  #: and what else a chunk may be
_SHARED = 48 << 10  #: bytes that the work-items of a group share at most
_KEPT = 8  #: what part of a device's memory is kept at most, though nobody uses it,
_LARGE = 32  #: and of which part on an array is not kept at all
_MOST_ITEMS = 1 << 30  #: a launch stays below 2^31 work-items; each then runs several indices
_PORTION = 1 << 24  #: bytes that are copied at a time: a bus is as fast as it gets,
_NEAR = 1 << 22  #: and on CPUs chunks stay in the caches; eight of them are more than allocators hold ready
_PIECES = 16  #: pieces per core of a CPU, so that a slow one does not hold up the others,
_VALUES = 512  #: elements whose values are worth a piece of their own
_PIECE = 1 << 16  #: and no piece is longer: longer ones measure no faster


@dataclass
class Shared:
    """What all handles on a device share."""

    device: Any
    context: Any
    queue: Any
    up: Any  # of copies to the device while it works, and back: all three queues are in order
    down: Any
    # Pages that are touched for the first time are slow: memory that was given back is kept for the next array.
    pool: Any
    kernels: dict[str, Kernel] = field(default_factory=cache.Bounded)
    # The arguments of a kernel object are set one by one: no other thread may come between.
    lock: threading.Lock = field(default_factory=threading.Lock)


@functools.cache
def shared(device: Any) -> Shared:
    """One context per device, so that all executors on it share their arrays, and in-order queues."""
    context = cl.Context([device])
    queue, up, down = (cl.CommandQueue(context, device) for _ in range(3))
    return Shared(device, context, queue, up, down, MemoryPool(ImmediateAllocator(queue)))


class OpenCLDevice(CDevice):
    """A handle on an OpenCL device.

    Parameters
    ----------
    name : str
        ``"opencl:0"``.
    device : pyopencl.Device
    """

    array_type = cl_array.Array
    starts = True

    def __init__(self, name: str, device: Any) -> None:
        self.shared = shared(device)
        super().__init__(name, self.shared.kernels)
        self.device, self.context, self.queue = device, self.shared.context, self.shared.queue
        self.dialect = OPENCL_CPU if device.type & cl.device_type.CPU else OPENCL
        self.units = device.max_compute_units
        #: its kernels write to the host's memory itself where they are given that: a copy would cost a few microseconds
        self.direct = self.dialect.serial and device.platform.name == PLATFORM
        #: that memory, of the last ones: a call that Ctrl-C ends has a kernel that still writes to it
        self.partials: deque[np.ndarray[Any, Any]] = deque(maxlen=8)
        room = device.local_mem_size >= _SHARED and device.max_work_group_size >= _GROUP
        self.groups = room and not self.dialect.serial
        self.memory = device.global_mem_size
        self.portion = _NEAR if self.dialect.serial else _PORTION
        self.width = self.units if self.dialect.serial else self.units * _GROUP
        extensions = device.extensions.split()
        self.lacks = frozenset(need for need, extension in _EXTENSIONS.items() if extension not in extensions)

    def __str__(self) -> str:
        return f"{self.name} ({self.device.name.strip()})"

    # -- memory ------------------------------------------------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether `x` is a PyOpenCL array of this device's context."""
        return isinstance(x, cl_array.Array) and x.context == self.context

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""
        dtype, pool = np.dtype(dtype), self.shared.pool
        size = math.prod(shape) * dtype.itemsize
        with self._errors(size):
            if size > self.memory:
                raise MemoryError
            if pool.managed_bytes - pool.active_bytes > self.memory // _KEPT:
                pool.free_held()
            return cl_array.empty(self.queue, shape, dtype, allocator=pool if size <= self.memory // _LARGE else None)

    def asarray(self, x: np.ndarray[Any, Any]) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""
        array = self.empty(x.shape, x.dtype)
        if x.size:
            with self._errors(x.nbytes):
                cl.enqueue_copy(self.queue, array.base_data, np.ascontiguousarray(x))
        return array

    def asnumpy(self, x: Any, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The elements of an array of this device, on the host; into `out` if it is given."""
        self.ready()
        self._finish(x)
        direct = out is not None and out.flags.c_contiguous and out.dtype == x.dtype and x.flags.c_contiguous
        host = out if out is not None and direct else None
        host = self._read(x, host)
        if out is None or direct:
            return host
        out[...] = host
        return out

    def upload(self, x: np.ndarray[Any, Any], room: Any) -> tuple[Any, Event]:
        """Begin to copy `x` to this device, into `room`."""
        with self._errors(x.nbytes):
            copied = cl.enqueue_copy(self.shared.up, room.base_data, x, dst_offset=room.offset, is_blocking=False)
            self.shared.up.flush()
        return room, self._event(copied)

    def download(self, x: Any, out: np.ndarray[Any, Any], after: Sequence[Event] = ()) -> Event:
        """Begin to copy an array of this device to `out`."""
        if not (out.flags.c_contiguous and x.flags.c_contiguous and out.size):
            return super().download(x, out, after)
        wait = self._handles(after)
        with self._errors(x.nbytes):
            copied = cl.enqueue_copy(
                self.shared.down, out, x.base_data, src_offset=x.offset, is_blocking=False, wait_for=wait
            )
            self.shared.down.flush()
        return self._event(copied)

    def _event(self, event: Any, found: Any = None) -> Event:
        def end() -> Any:
            with _Errors(self, 0):  # of a device that was closed meanwhile, too: it works on the host's memory
                event.wait()
            return found

        return Event(end, event)

    def _read(self, x: Any, host: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
        if x.flags.c_contiguous or not x.size:
            host = np.empty(x.shape, x.dtype) if host is None else host
            self._read_bytes(host, x, 0)
            return host
        # The bytes from the first element in memory to the last, and the array as a view of them.
        low, high = arrays.span(x)
        raw = np.empty(high - low, np.uint8)
        self._read_bytes(raw, x, low)
        return np.ndarray(x.shape, x.dtype, raw.data, -low, x.strides).copy()

    def _read_bytes(self, host: np.ndarray[Any, Any], x: Any, skip: int) -> None:
        if host.size:
            with self._errors(host.nbytes):
                cl.enqueue_copy(self.queue, host, x.base_data, src_offset=x.offset + skip)

    def _finish(self, x: Any) -> None:
        """Wait for what the user put on another queue: ours knows nothing of it."""
        if x.queue is not None and x.queue != self.queue:
            x.finish()
            x.queue.finish()

    # -- work --------------------------------------------------------------------------------------------

    def inspect(self, program: Program) -> dict[str, str]:
        """The OpenCL C text, and the machine code as far as the driver gives it out."""
        found = {"OpenCL C": self.text(program)}
        binary = self.kernel(program).module.get_info(cl.program_info.BINARIES)[0]
        if b"\x7fELF" in binary:
            found |= _disassembly(binary[binary.rindex(b"\x7fELF") :])
        elif b".version" in binary:  # NVIDIA's binaries are PTX text
            found["PTX"] = binary.rstrip(b"\0").decode(errors="replace")
        return found

    def synchronize(self) -> None:
        """Wait until all work that was given to this device is done."""
        self.ready()
        self.queue.finish()

    def _compile(self, program: Program, text: str) -> Kernel:
        options = ["-w"]  # the text is generated: a warning about it helps nobody
        if self.device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT:
            options.append("-cl-fp32-correctly-rounded-divide-sqrt")
        # Drivers that keep no compiled programs themselves have PyOpenCL do so.
        folder = cache.folder()
        programs = None if folder is None else str(folder / "opencl")
        ways = [(text, options)]
        if self.device.platform.name == PLATFORM:
            ways.insert(0, (DECLARATIONS + text, [*options, OPTION]))
        with self._errors(0):
            for written, how in ways:
                try:
                    module = cl.Program(self.context, written).build(how, cache_dir=programs)
                    break
                except cl.RuntimeError as error:
                    if error.code != cl.status_code.BUILD_PROGRAM_FAILURE:
                        raise
                    if how is options:
                        raise Rejected(f"{self} cannot compile this kernel", str(error)) from error
            entry = cl.Kernel(module, entry_name(program))
        # With their types given, setting 17 arguments costs 3 µs instead of 150.
        entry.set_arg_types(argument_dtypes(program, OPENCL))
        return Kernel(entry, module)

    def _integer(self, value: int) -> Any:
        return value

    def _number(self, value: np.generic) -> Any:
        return value.item()

    def _distinct(self, arrays: Sequence[Any]) -> bool:
        memory = [x.base_data for x in arrays]
        return all(type(m) is PooledBuffer for m in memory) and len({id(m) for m in memory}) == len(memory)

    def _disjoint(self, x: Any, y: Any) -> bool:
        a, b = x.base_data, y.base_data
        if a is b:
            (low, high), (other, end) = ([x.offset + n for n in arrays.span(x)] for x in (x, y))
            return high <= other or end <= low
        # memory of the user's own may be a part of other memory
        return all(type(m) is PooledBuffer or _whole(m) for m in (a, b))

    def _place(self, x: Any) -> list[Any]:
        self._finish(x)
        return [x.base_data, self._integer(elements(x.offset, x.dtype))]

    def _begun(self, task: Any, kernel: Kernel, arguments: Sequence[Any], count: int, after: Sequence[Any]) -> Event:
        acc, host = task.program.acc, None
        with self._errors(0):
            if acc is None:
                event = self._mapped(kernel, arguments, count, task.chunk, after)
            else:
                event, host = self._reduced(kernel, arguments, *found_of(task, count), acc, after=after)
            self.queue.flush()
        return self._event(event, host)

    def _map(self, kernel: Kernel, arguments: Sequence[Any], count: int, chunk: int) -> None:
        with self._errors(0):
            self._mapped(kernel, arguments, count, chunk).wait()

    def _mapped(
        self, kernel: Kernel, arguments: Sequence[Any], count: int, chunk: int, after: Sequence[Any] = ()
    ) -> Any:
        """The event of the launch's end."""
        if self.dialect.serial:
            items, group = min(-(-count // chunk) if chunk else self._pieces(count), count), 1
        else:
            size = chunk if chunk in _GROUPS else _GROUP
            items, group = min(-(-count // size) * size, _MOST_ITEMS), size
        return self._launch(kernel, arguments, items, group, after)

    def _groups(self, kernel: Kernel, arguments: Sequence[Any], count: int, items: int) -> None:
        with self._errors(0):
            self._launch(kernel, arguments, count * items, items).wait()

    def chunks(self, count: int) -> tuple[int, ...]:
        """Of CPUs from one for each core to many, in powers of two; of GPUs the work-items of a group."""
        if not self.dialect.serial:
            return _GROUPS
        shares = {1 << (-(-count // (self.units * many)) - 1).bit_length() for many in (1, 4, 64)}
        return tuple(sorted(shares, reverse=True))

    def _pieces(self, count: int) -> int:
        """Into how many pieces a CPU's work on `count` elements is cut."""
        return max(self.units * _PIECES, -(-count // _PIECE))

    def _reduce(
        self, kernel: Kernel, arguments: Sequence[Any], tiles: int, values: int, acc: np.dtype[Any], whole: bool
    ) -> np.ndarray[Any, Any]:
        with self._errors((tiles + values) * acc.itemsize):
            event, found = self._reduced(kernel, arguments, tiles, values, acc, True)
            event.wait()
        return found

    def _reduced(
        self, kernel: Kernel, arguments: Sequence[Any], tiles: int, values: int, acc: np.dtype[Any],
        waits: bool = False, after: Sequence[Any] = (),
    ) -> tuple[Any, np.ndarray[Any, Any]]:  # fmt: skip
        """(the event after which the partials are on the host, these); `waits` for it is faster than to do so later."""
        if self.dialect.serial:
            items, group = max(min(self._pieces(tiles * TILE), tiles), min(self.units, -(-values // _VALUES))), 1
        else:
            items, group = min(max(tiles * LANES, -(-values // LANES) * LANES), _MOST_ITEMS), LANES
        host, flags = np.empty(tiles + values, acc), cl.mem_flags
        if self.direct:
            self.partials.append(host)
            partials = cl.Buffer(self.context, flags.READ_WRITE | flags.USE_HOST_PTR, hostbuf=host)
            return self._launch(kernel, [partials, 0, *arguments], items, group, after), host
        partials = cl.Buffer(self.context, flags.READ_WRITE, host.nbytes)
        self._launch(kernel, [partials, 0, *arguments], items, group, after)
        # the queue is in order: it waits for the kernel
        return cl.enqueue_copy(self.queue, host, partials, is_blocking=waits), host

    def _launch(
        self, kernel: Kernel, arguments: Sequence[Any], items: int, group: int, after: Sequence[Any] = ()
    ) -> Any:
        with self.shared.lock:
            kernel.entry.set_args(*arguments)
            return cl.enqueue_nd_range_kernel(self.queue, kernel.entry, (items,), (group,), wait_for=after or None)

    def _errors(self, nbytes: int) -> _Errors:
        """OpenCL's errors as ours, of what needs so many bytes."""
        self.ready()
        return _Errors(self, nbytes)


def _whole(memory: Any) -> bool:
    """Whether memory is a buffer that is no part of another one."""
    return isinstance(memory, cl.Buffer) and memory.get_info(cl.mem_info.ASSOCIATED_MEMOBJECT) is None


class _Errors:
    """Turns OpenCL's errors into ours."""

    __slots__ = ("_device", "_nbytes")

    def __init__(self, device: OpenCLDevice, nbytes: int) -> None:
        self._device, self._nbytes = device, nbytes

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, (cl.Error, MemoryError)):
            return
        where = self._device
        if isinstance(error, MemoryError) or error.code in _NO_MEMORY:
            raise DeviceMemoryError(
                f"{where} has no room{f' for {self._nbytes} bytes' if self._nbytes else ''}: it has"
                f" {where.memory} bytes, and one array may have"
                f" {where.device.max_mem_alloc_size}. {NO_ROOM}"
            ) from error
        raise PortaparError(f"{where} failed: {error}") from error


def _disassembly(library: bytes) -> dict[str, str]:
    """Machine code as text, where the binary utilities are installed."""
    tool = shutil.which("objdump")
    if tool is None:
        return {}
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(library)
        file.flush()
        done = subprocess.run([tool, "-d", "--no-show-raw-insn", file.name], capture_output=True, text=True)
    return {"assembly": done.stdout} if done.returncode == 0 and done.stdout else {}
