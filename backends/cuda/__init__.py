"""CUDA devices: CuPy arrays, kernels compiled by NVRTC."""

from __future__ import annotations

import ctypes
import importlib.util
from typing import Any

from portapar.backend import DeviceInfo, require
from portapar.kernel.program import Program

__all__ = ["compile_text", "open", "probe"]

# CUdevice_attribute of the driver's interface.
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76


def probe() -> list[DeviceInfo]:
    """The CUDA devices of this machine, or one entry that says why there is none.

    It asks the driver alone: nothing is imported, and no context is made.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [_missing("no CUDA driver: libcuda.so.1 cannot be loaded", "Install the NVIDIA driver")]
    try:
        return _devices(driver)
    except (AttributeError, OSError, RuntimeError) as error:
        return [_missing(f"no CUDA driver: {error}", "Check the driver with nvidia-smi")]


def open(index: int | None = None) -> Any:
    """The device of that number (0 if None).

    Raises
    ------
    BackendUnavailableError
        Without a driver, a device of that number, or CuPy; it says what to do.
    """
    index = 0 if index is None else index
    infos = probe()
    if infos[0].available and not 0 <= index < len(infos):
        infos = [_missing(f"this machine has {len(infos)} CUDA device(s)", "Use a smaller index", index)]
        index = 0
    require(infos[index if infos[0].available else 0])
    from portapar.backends.cuda.device import CudaDevice

    return CudaDevice(index)


def compile_text(program: Program, arch: str = "sm_90") -> bytes:
    """A program's cubin, made without a GPU or a driver; see `portapar.backends.cuda.compile`."""
    from portapar.backends.cuda import compile  # imports Numba

    return compile.compile_text(program, arch)


def _devices(driver: Any) -> list[DeviceInfo]:
    _call(driver.cuInit, 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    _call(driver.cuDriverGetVersion, ctypes.byref(version))
    _call(driver.cuDeviceGetCount, ctypes.byref(count))
    if count.value == 0:
        return [_missing("the CUDA driver finds no device", "Check CUDA_VISIBLE_DEVICES and nvidia-smi")]
    infos = []
    for index in range(count.value):
        handle, size, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(256)
        _call(driver.cuDeviceGet, ctypes.byref(handle), index)
        _call(driver.cuDeviceGetName, name, len(name), handle)
        _call(driver.cuDeviceTotalMem_v2, ctypes.byref(size), handle)
        units, major, minor = (_attribute(driver, a, handle) for a in (_MULTIPROCESSORS, _MAJOR, _MINOR))
        text = f"{name.value.decode()}, {units} multiprocessors, {size.value / 2**30:.0f} GiB"
        properties = {"compute_capability": f"{major}.{minor}", "compute_units": units, "memory": size.value}
        if importlib.util.find_spec("cupy") is None:
            extra = "cuda13" if version.value >= 13000 else "cuda12"
            lack = ("CuPy is not installed", f"pip install 'portapar[{extra}]'")
            infos.append(DeviceInfo(f"cuda:{index}", False, text, *lack, properties))
        else:
            infos.append(DeviceInfo(f"cuda:{index}", True, text, properties=properties))
    return infos


def _attribute(driver: Any, attribute: int, handle: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver.cuDeviceGetAttribute, ctypes.byref(value), attribute, handle)
    return value.value


def _call(function: Any, *args: Any) -> None:
    code = function(*args)
    if code != 0:
        raise RuntimeError(f"{function.__name__} fails with error {code}")


def _missing(reason: str, remedy: str, index: int | None = None) -> DeviceInfo:
    name = "cuda" if index is None else f"cuda:{index}"
    return DeviceInfo(name, False, reason=reason, remedy=remedy)
