"""What the machine is made of."""

from __future__ import annotations

import functools
import platform
from typing import Any

#: What launchers of ranks tell their processes: which rank this is.
RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


@functools.cache
def cpu_description() -> str:
    """The CPU's model name, as the operating system tells it."""
    from pathlib import Path

    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


@functools.cache
def machine() -> dict[str, Any]:
    """The machine in plain values: CPU, cores, caches (bytes), memory (bytes), software versions."""
    import sys

    import numpy
    import psutil

    return {
        "cpu": cpu_description(),
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        "logical_cpus": psutil.cpu_count() or 1,
        "caches": caches(),
        "memory": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "numpy": numpy.__version__,
    }


@functools.cache
def caches() -> dict[str, int]:
    """Sizes in bytes of the caches that hold data, by level; empty where the system does not say."""
    from pathlib import Path

    found: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (folder / "type").read_text().strip() == "Instruction":
                continue
            size = (folder / "size").read_text().strip()
            level = (folder / "level").read_text().strip()
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(size[-1], 1)
        found[f"L{level}"] = int(size.rstrip("KM")) * unit
    return found
