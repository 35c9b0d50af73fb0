"""The errors of portapar: each says what happened, where, with which values, and what to do."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

#: what algorithms may be steps of others
_STEPS = frozenset("lazy transform reduce transform_reduce for_each copy step segmented_reduce".split())


class PortaparError(Exception):
    """Base of every error that portapar raises on purpose."""


class CheckError(PortaparError):
    """A checked call (`policy.with_(check=True)`) did what it must not; what it wrote is undefined."""


class BoundsError(CheckError, IndexError):
    """A kernel took an index that an array does not have."""


class PortaparWarning(UserWarning):
    """Something that runs, and is probably not what is meant."""


class BackendUnavailableError(PortaparError):
    """An executor was asked for that this machine or installation lacks, or that was closed."""


class KernelError(PortaparError):
    """A kernel uses something that cannot become native code; the message shows the user's line."""


class ArgumentError(PortaparError, ValueError):
    """An argument has the wrong kind, shape, dtype or value."""


class PlacementError(ArgumentError):
    """An argument lies in the wrong place: on another device, in read-only memory, or over an output."""


class PolicyError(PortaparError, ValueError):
    """A policy was given contradictory or unknown parameters."""


class DeviceMemoryError(PortaparError, MemoryError):
    """A device has not enough memory for the arrays of a call."""


class CommunicationError(PortaparError):
    """Ranks disagree about a call, or a message between them failed."""


_Error = TypeVar("_Error", bound=PortaparError)


def short(error: _Error, algorithm: str = "") -> _Error:
    """An error without the frames of this library that it came through: what users see is their own line.

    In Python's development mode, ``python -X dev``, it keeps them. Where it began with the name of an algorithm that
    `algorithm` uses, it begins with that of the one that was called.
    """
    if algorithm:
        step, colon, told = str(error).partition(": ")
        if colon and step in _STEPS.union([getattr(error, "algorithm", algorithm)]):
            error.args = (f"{algorithm}: {told}", *error.args[1:])
        error.algorithm = algorithm  # type: ignore[attr-defined]
    return error if sys.flags.dev_mode else error.with_traceback(None)


def of_kind(value: object) -> str:
    """The type of a value, with its article."""
    name = type(value).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def flags(algorithm: str, **given: object) -> None:
    """Refuse what is neither true nor false: ``descending="no"`` would count as true.

    Raises
    ------
    ArgumentError
    """
    for name, value in given.items():
        if value is not True and value is not False and type(value).__name__ not in ("bool", "bool_"):
            raise ArgumentError(f"{algorithm}: {name} is {value!r}: must be True or False")


_told: set[Any] = set()


def tell(what: tuple[Any, ...], message: str, file: str, line: int) -> None:
    """Give a `PortaparWarning` at the user's line, if none was given of `what` before."""
    if what not in _told:
        _told.add(what)
        warnings.warn_explicit(message, PortaparWarning, file, line)


def one_of(told: str, value: object, known: Iterable[str], error: type[Exception] = ArgumentError) -> None:
    """Refuse what is none of the words that are known; `told` says what it is.

    Raises
    ------
    error
    """
    if not isinstance(value, str) or value not in known:
        raise error(f"{told} is {value!r}: must be one of {', '.join(map(repr, known))}")


def path_of(told: str, value: Any) -> Path:
    """A path that the user gave.

    Raises
    ------
    ArgumentError
    """
    try:
        return Path(value)
    except TypeError:
        raise ArgumentError(f"{told} is {value!r}, {of_kind(value)}: must be a path") from None
