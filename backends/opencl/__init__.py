"""OpenCL devices: PyOpenCL arrays on any device that an OpenCL driver of this machine offers."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from portapar import cache
from portapar.backend import DeviceInfo, require
from portapar.backends.opencl import pocl

__all__ = ["devices", "open", "probe"]

_INSTALL = "pip install 'portapar[opencl]'"


def probe() -> list[DeviceInfo]:
    """The OpenCL devices of this machine, GPUs first, or one entry that says why there is none."""
    if importlib.util.find_spec("pyopencl") is None:
        return [_missing("PyOpenCL is not installed", _INSTALL)]
    try:
        found = devices()
    except Exception as error:  # noqa: BLE001 (a broken driver raises whatever it likes)
        remedy = f"Install the device's OpenCL driver, or {_INSTALL} for PoCL, which runs on the CPU"
        return [_missing(f"no OpenCL platform: {str(error) or type(error).__name__}", remedy)]
    if not found:
        return [_missing("no OpenCL platform has a device", f"{_INSTALL} brings PoCL, which runs on the CPU")]
    return [_info(index, device) for index, device in enumerate(found)]


def open(index: int | None = None) -> Any:
    """The device of that number (0 if None); one context and queue is shared by all who open it.

    Raises
    ------
    BackendUnavailableError
        Without PyOpenCL, a driver, or a device of that number; it says what to do.
    """
    index = 0 if index is None else index
    infos = probe()
    if infos[0].available and not 0 <= index < len(infos):
        infos = [_missing(f"this machine has {len(infos)} OpenCL device(s)", "Use a smaller index", index)]
    require(infos[index if infos[0].available else 0])
    from portapar.backends.opencl.device import OpenCLDevice

    return OpenCLDevice(f"opencl:{index}", devices()[index])


@functools.cache
def devices() -> list[Any]:
    """All devices that can compile, GPUs first; asking the drivers again is slow, and cannot give another answer."""
    if "POCL_CACHE_DIR" not in os.environ:
        # PoCL caches what it compiles, reads this when it starts, and has no device if it cannot write there.
        folder = cache.folder()
        if folder is None or not os.access(folder, os.W_OK):
            folder = Path(tempfile.mkdtemp(prefix="portapar-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            os.environ.setdefault("PYOPENCL_NO_CACHE", "1")  # its own folder is likely to fail as well
        os.environ["POCL_CACHE_DIR"] = str(folder / "pocl")
    import pyopencl as cl

    found = [device for platform in cl.get_platforms() for device in platform.get_devices()]
    usable = [device for device in found if pocl.names_cpu(device)]
    if found and not usable:
        raise RuntimeError(f"the compiler of PoCL does not know this CPU, {found[0].name.strip()}")
    return sorted(usable, key=lambda device: not device.type & cl.device_type.GPU)


def _info(index: int, device: Any) -> DeviceInfo:
    memory, units = device.global_mem_size, device.max_compute_units
    name = f"{device.name.strip()}, {device.platform.name.strip()}"
    text = f"{name}, {units} compute units, {memory / 2**30:.0f} GiB"
    properties = {"version": device.version.strip(), "compute_units": units, "memory": memory}
    return DeviceInfo(f"opencl:{index}", True, text, properties=properties)


def _missing(reason: str, remedy: str, index: int | None = None) -> DeviceInfo:
    name = "opencl" if index is None else f"opencl:{index}"
    return DeviceInfo(name, False, reason=reason, remedy=remedy)
