"""The contract between the core and a backend, and how backends are found.

A backend is one package below ``portapar.backends`` (or one entry point of the group
``portapar.backends``) that offers two functions::

    probe() -> list[DeviceInfo]      what is here, and for what is not: why, and the remedy
    open(index, **options) -> Device one device, ready to run

A device owns one kind of memory and runs kernel forms over ranges of an index space. That is all a
backend knows: cutting work up, moving data, merging results and talking to the user is the core's.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import numpy as np

from portapar.errors import BackendUnavailableError
from portapar.kernel.program import Program


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device of this machine, present or missing.

    Attributes
    ----------
    name : str
        What `pp.executor` takes: ``"threads"``, ``"opencl:0"``.
    available : bool
    description : str
        For the reader: the model, the number of cores, the memory.
    reason, remedy : str
        For a missing device: why, and what to do about it.
    """

    name: str
    available: bool
    description: str = ""
    reason: str = ""
    remedy: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Task:
    """A range of one call, with its arguments where the device can read them.

    `values` are the program's arguments in order: arrays of the device's own kind, and scalars.
    Element (i, ...) of array k lies at row ``i - firsts[k]``: a device may hold a part of an array.
    The indices of the call are the flat, row-major numbers [lo, hi) of the box `extent`; on axis d
    an index has the value ``start[d] + step[d] * position``.
    """

    program: Program
    values: tuple[Any, ...]
    firsts: tuple[int, ...]
    extent: tuple[int, ...]
    start: tuple[int, ...]
    step: tuple[int, ...]
    lo: int
    hi: int
    threads: int = 0
    schedule: str = "static"
    chunk: int = 0


class Device(Protocol):
    """What an executor drives."""

    name: str
    host_memory: bool  #: its arrays are NumPy arrays: nothing needs to be moved

    def owns(self, x: Any) -> bool:
        """Whether `x` is an array of this device's own kind, in its memory."""

    def asarray(self, x: np.ndarray) -> Any:
        """A copy of `x` (C-contiguous) in this device's memory."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """An uninitialised array; raises DeviceMemoryError when there is no room."""

    def asnumpy(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """The elements of an array of this device, on the host; into `out` if it is given."""

    def check(self, program: Program) -> str | None:
        """Why this device cannot run the program (such as: no float64), or None."""

    def run(self, task: Task) -> np.ndarray | None:
        """Run a task to its end. A reduction returns one partial per tile of [lo, hi), in order."""

    def inspect(self, program: Program) -> dict[str, str]:
        """The generated code, by its name: ``{"OpenCL C": "..."}``."""

    def synchronize(self) -> None:
        """Wait until all work that was given to this device is done."""

    def close(self) -> None:
        """Give the device back; using it afterwards raises BackendUnavailableError."""


@cache
def backends() -> dict[str, Any]:
    """Every backend by name: the folders of `portapar.backends`, then the entry points."""
    import portapar.backends

    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(portapar.backends.__path__):
        if module.ispkg:
            found[module.name] = importlib.import_module(f"portapar.backends.{module.name}")
    from importlib.metadata import entry_points

    for entry in entry_points(group="portapar.backends"):
        found.setdefault(entry.name, entry.load())
    return found


def open_device(name: str, index: int | None = None, **options: Any) -> Device:
    """Open a device of the backend `name`; the error names the remedy when it is not there."""
    backend = backends().get(name)
    if backend is None:
        raise BackendUnavailableError(
            f"there is no backend {name!r}; known are {', '.join(sorted(backends()))}"
        )
    return backend.open(index, **options)


def require(info: DeviceInfo) -> None:
    """Raise BackendUnavailableError with the reason and the remedy if the device is missing."""
    if not info.available:
        raise BackendUnavailableError(f"{info.name} is not available: {info.reason}. {info.remedy}")
