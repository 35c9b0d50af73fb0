"""One OpenCL device: its context, queue and arrays, and how it runs a task."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cl_array

from portapar import config
from portapar.backend import Task
from portapar.errors import DeviceMemoryError, PortaparError
from portapar.kernel.claunch import Opened, c_text, scalar_arguments
from portapar.kernel.forms import TILE
from portapar.kernel.program import Program

__all__ = ["OpenCLDevice"]

_NO_MEMORY = (
    cl.status_code.MEM_OBJECT_ALLOCATION_FAILURE,
    cl.status_code.OUT_OF_RESOURCES,
    cl.status_code.OUT_OF_HOST_MEMORY,
    cl.status_code.INVALID_BUFFER_SIZE,
)


class OpenCLDevice(Opened):
    """An OpenCL device with one context and one in-order queue, shared by all who open it."""

    host_memory = False

    def __init__(self, name: str, device: Any) -> None:
        super().__init__(name)
        self.device = device
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context)
        self.serial = bool(device.type & cl.device_type.CPU)
        self._kernels: dict[str, tuple[Any, Any]] = {}
        # The arguments of a kernel object are set one by one: no other thread may come between.
        self._lock = threading.Lock()

    # -- memory ------------------------------------------------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether `x` is a PyOpenCL array of this device's context."""
        return isinstance(x, cl_array.Array) and x.context == self.context

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        with self._errors(nbytes):
            return cl_array.empty(self.queue, shape, dtype)

    def asarray(self, x: np.ndarray[Any, Any]) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""
        array = self.empty(x.shape, x.dtype)
        if x.size:
            with self._errors(x.nbytes):
                cl.enqueue_copy(self.queue, array.base_data, np.ascontiguousarray(x))
        return array

    def asnumpy(self, x: Any, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The elements of an array of this device, on the host; into `out` if it is given."""
        self._wait_for(x)
        direct = out is not None and out.flags.c_contiguous and out.dtype == x.dtype and x.flags.c_contiguous
        host = self._read(x) if not direct else self._read(x, out)
        if out is None or direct:
            return host
        out[...] = host
        return out

    def _read(self, x: Any, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        if x.size == 0:
            return np.empty(x.shape, x.dtype) if out is None else out
        if x.flags.c_contiguous:
            host = np.empty(x.shape, x.dtype) if out is None else out
            with self._errors(x.nbytes):
                cl.enqueue_copy(self.queue, host, x.base_data, src_offset=x.offset)
            return host
        # The bytes from the first element to the last in memory, then the array as a view of them.
        reach = [(n - 1) * s for n, s in zip(x.shape, x.strides, strict=True)]
        low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach) + x.dtype.itemsize
        raw = np.empty(high - low, np.uint8)
        with self._errors(raw.nbytes):
            cl.enqueue_copy(self.queue, raw, x.base_data, src_offset=x.offset + low)
        return np.ndarray(x.shape, x.dtype, raw.data, -low, x.strides).copy()

    def _wait_for(self, x: Any) -> None:
        """Work that the user put on another queue must be done before ours begins."""
        if x.queue is not None and x.queue != self.queue:
            x.finish()
            x.queue.finish()

    # -- work --------------------------------------------------------------------------------------------

    def check(self, program: Program) -> str | None:
        """Why this device cannot run the program (such as: no float64), or None."""
        needed = set(re.findall(r"#pragma OPENCL EXTENSION (\w+) *: *enable", c_text(program, self._dialect)))
        missing = needed - set(self.device.extensions.split())
        if "cl_khr_fp64" in missing:
            return f"{self} has no float64 (cl_khr_fp64): use float32 arrays and constants, or another executor"
        if missing:
            return f"{self} lacks {', '.join(sorted(missing))}, which this kernel needs: use another executor"
        return None

    def __str__(self) -> str:
        return f"{self.name} ({self.device.name.strip()})"

    def synchronize(self) -> None:
        """Wait until all work that was given to this device is done."""
        self.ready()
        self.queue.finish()

    @contextmanager
    def _errors(self, nbytes: int) -> Iterator[None]:
        """OpenCL's errors as ours."""
        self.ready()
        try:
            yield
        except (cl.Error, MemoryError) as error:
            if isinstance(error, MemoryError) or error.code in _NO_MEMORY:
                raise DeviceMemoryError(
                    f"{self} has no room for {nbytes} bytes: it has {self.device.global_mem_size} bytes, and"
                    f" one array may have {self.device.max_mem_alloc_size}. Use smaller arrays, free some, or"
                    " split the call over several executors with pp.hybrid"
                ) from error
            raise PortaparError(f"{self} failed: {error}") from error
