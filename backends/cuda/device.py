"""One CUDA device: CuPy's arrays and streams, and how it runs a task."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cupy
import numpy as np
from cupy.cuda.function import Module

from portapar import config
from portapar.backend import Task
from portapar.backends.cuda.compile import OPTIONS, compile_c, nvrtc
from portapar.errors import DeviceMemoryError, PlacementError, PortaparError
from portapar.kernel.claunch import Opened, c_text
from portapar.kernel.program import Program

__all__ = ["CudaDevice"]


class CudaDevice(Opened):
    """A CUDA device. Work goes to CuPy's current stream of the calling thread."""

    host_memory = False

    def __init__(self, index: int) -> None:
        super().__init__(f"cuda:{index}")
        self.index = index
        self.device = cupy.cuda.Device(index)
        self.arch = f"sm_{self.device.compute_capability}"
        self._kernels: dict[str, Any] = {}
        self._lock = threading.Lock()

    # -- memory ------------------------------------------------------------------------------------------

    def owns(self, x: Any) -> bool:
        """Whether `x` is a CuPy array on this device."""
        return isinstance(x, cupy.ndarray) and x.device.id == self.index

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""
        with self._current(math.prod(shape) * np.dtype(dtype).itemsize):
            try:
                return cupy.empty(shape, np.dtype(dtype))
            except (TypeError, ValueError) as error:
                raise PlacementError(
                    f"{self.name}: CuPy has no arrays of dtype {dtype}: use one array for each field"
                ) from error

    def asarray(self, x: np.ndarray[Any, Any]) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""
        array = self.empty(x.shape, x.dtype)
        with self._current(x.nbytes) as stream:
            if x.size:
                x = np.ascontiguousarray(x)
                array.data.copy_from_host_async(x.ctypes.data, x.nbytes, stream)
                stream.synchronize()
        return array

    def asnumpy(self, x: Any, out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The elements of an array of this device, on the host; into `out` if it is given."""
        direct = out is not None and out.flags.c_contiguous and out.dtype == x.dtype
        host = out if out is not None and direct else np.empty(x.shape, x.dtype)
        with self._current(x.nbytes) as stream:
            if x.size:
                x = cupy.ascontiguousarray(x)
                x.data.copy_to_host_async(host.ctypes.data, x.nbytes, stream)
                stream.synchronize()
        if out is None or direct:
            return host
        out[...] = host
        return out
