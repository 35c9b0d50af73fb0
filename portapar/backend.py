"""The contract between the core and a backend, and how backends are found.

A backend is one package below ``portapar.backends`` (or one entry point of the group
``portapar.backends``) that offers two functions::

    probe() -> list[DeviceInfo]      what is here, and for what is not: why, and the remedy
    open(index, **options) -> Device one device, ready to run; or a Group of ranks

A device is a `Device` (`portapar.kernel.device`: five methods, and defaults for the rest), a group a `Group`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn

import numpy as np

from portapar.errors import BackendUnavailableError
from portapar.kernel.device import Device, Launch
from portapar.kernel.program import Program, Spec, Task

__all__ = [
    "Device", "DeviceInfo", "Group", "Launch", "Program", "Spec", "Task", "backends", "open_device", "require",
]  # fmt: skip


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


class Group(ABC):
    """What moves data between ranks, for a backend that joins processes.

    A group runs nothing. Every method is collective: all ranks call it, in the same order, one thread at a time.
    Failures raise CommunicationError.
    """

    name = ""  #: what the user joined, as he would type it; empty for all ranks
    rank: int
    size: int
    node: tuple[int, ...]  #: the ranks that share this rank's memory, itself among them
    failed = ""  #: what failed on this rank alone since ranks agreed, if anything did

    @abstractmethod
    def allgather(self, data: np.ndarray, cuts: Sequence[int] | None = None) -> None:
        """Fill `data`, flat bytes, on all ranks: rank r holds those from ``cuts[r]`` to ``cuts[r + 1]``.

        Without `cuts` every rank holds as many.
        """

    @abstractmethod
    def exchange(self, value: Any) -> list[Any]:
        """Any (small) Python value of every rank, in the order of ranks."""

    @abstractmethod
    def alltoall(self, values: Sequence[Any]) -> list[Any]:
        """One Python value for every rank; returns what every rank had for this one."""

    @abstractmethod
    def barrier(self) -> None:
        """Wait until all ranks are here."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what the group has of the transport. Collective; nothing is called afterwards."""


@dataclass(frozen=True)
class _Broken:
    """Stands for an installed backend that cannot be imported."""

    name: str
    reason: str

    def probe(self) -> list[DeviceInfo]:
        return [DeviceInfo(self.name, False, reason=self.reason, remedy="Repair its package, or uninstall it")]

    def open(self, index: int | None = None) -> NoReturn:
        require(self.probe()[0])
        raise AssertionError


@cache
def backends() -> dict[str, Any]:
    """Every backend by name: the folders of `portapar.backends`, then the entry points."""
    import pkgutil
    from importlib.metadata import entry_points

    found: dict[str, Any] = {}
    folder = importlib.import_module("portapar.backends")
    for module in pkgutil.iter_modules(folder.__path__):
        if module.ispkg:
            found[module.name] = importlib.import_module(f"portapar.backends.{module.name}")
    for entry in entry_points(group="portapar.backends"):
        if entry.name not in found:
            try:
                found[entry.name] = entry.load()
            except (ImportError, AttributeError) as error:
                found[entry.name] = _Broken(entry.name, f"{entry.value} cannot be imported: {error}")
    return found


def open_device(name: str, index: int | None = None, **options: Any) -> Device:
    """Open a device of the backend `name`; the error names the remedy when it is not there."""
    backend = backends().get(name)
    if backend is None:
        raise BackendUnavailableError(f"there is no backend {name!r}; known are {', '.join(sorted(backends()))}")
    return backend.open(index, **options)


def require(info: DeviceInfo) -> None:
    """Raise BackendUnavailableError with the reason and the remedy if the device is missing."""
    if not info.available:
        raise BackendUnavailableError(f"{info.name} is not available: {info.reason}. {info.remedy}")
