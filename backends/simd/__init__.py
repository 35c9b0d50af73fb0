"""One CPU thread with SIMD lanes: no pool, no hand-over."""

from __future__ import annotations

from typing import Any

from portapar.backend import DeviceInfo
from portapar.kernel.cpu.device import HostDevice
from portapar.topology import cpu_description


def probe() -> list[DeviceInfo]:
    """The calling thread is always there."""
    return [DeviceInfo("simd", True, f"1 thread on {cpu_description()}", properties={"threads": 1})]


def open(index: int | None = None, **options: Any) -> HostDevice:
    """The calling thread."""
    return HostDevice("simd", 1)
