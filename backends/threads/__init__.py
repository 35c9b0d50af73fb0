"""CPU threads that share memory, each with SIMD lanes."""

from __future__ import annotations

from typing import Any

from portapar import config
from portapar.backend import DeviceInfo
from portapar.kernel.cpu.device import HostDevice
from portapar.topology import cpu_description


def probe() -> list[DeviceInfo]:
    """Threads are always there."""
    count = config.default_threads()
    return [DeviceInfo("threads", True, f"{count} threads on {cpu_description()}", properties={"threads": count})]


def open(index: int | None = None, **options: Any) -> HostDevice:
    """A pool of `index` threads; by default one per CPU that this process may use."""
    count = config.default_threads() if index is None else index
    return HostDevice(f"threads:{count}", count)
