"""Whether an output fits what a call gives: its shape, its dtype, and where it lies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from portapar import arrays, overlaps
from portapar.arrays import is_scalar
from portapar.errors import PlacementError, of_kind
from portapar.expression import OWN
from portapar.kernel.front import codec
from portapar.kernel.front.kernel import Kernel
from portapar.lazy import Lazy
from portapar.partitioned import PartitionedArray


def check_out(
    algorithm: str,
    out: Any,
    shape: tuple[int, ...] | None,
    kernel: Kernel,
    found: tuple[Any, ...],
    captured: list[tuple[str, Any]],
) -> tuple[int, ...]:
    if is_scalar(out):
        raise PlacementError(f"{algorithm}: out is {out!r}, {of_kind(out)}: must be an array")
    if shape is not None and out.shape != shape:
        told = ", ".join(f"{kernel.params[k]}: {arrays.shape_text(x)}" for k, x in enumerate(found))
        raise PlacementError(
            f"{algorithm}: out has shape {out.shape}, and the inputs ({told}) need {shape}. "
            f"Pass out={'np' if isinstance(out, np.ndarray) else 'executor'}.empty({shape}, {_text(out.dtype)})"
        )
    check_memory(algorithm, out)
    check_apart(algorithm, out, in_place=[(kernel.params[k], x) for k, x in enumerate(found)])
    check_captured(algorithm, out, kernel, captured)
    return out.shape


def _text(dtype: np.dtype) -> str:
    """A dtype as it is written in a call."""
    return repr(dtype.name) if dtype.names is None else str(dtype)


def check_memory(algorithm: str, out: Any, name: str = "out") -> None:
    """Refuse an output whose elements cannot be written, each for itself."""
    if isinstance(out, PartitionedArray):
        for part in out.parts.values():
            check_memory(algorithm, part, name)
    if not isinstance(out, np.ndarray):
        return
    if not arrays.writeable(out):
        raise PlacementError(f"{algorithm}: {name} is read-only. Pass a writable array, or set its flags.writeable")
    if overlaps.shares_places(out):
        raise PlacementError(
            f"{algorithm}: several elements of {name} share one place in memory (its shape is {out.shape}, its strides "
            f"are {out.strides} bytes). Pass an array with a place for each, such as {name}.copy()"
        )


def check_apart(
    algorithm: str,
    out: Any,
    in_place: Iterable[tuple[str, Any]] = (),
    apart: Iterable[tuple[str, Any]] = (),
    name: str = "out",
) -> None:
    """Refuse an output over the inputs: elements would be read after others were written there.

    Parameters
    ----------
    in_place : iterable of (name, array)
        Inputs that are read at the index that is written: they may be `out` itself, element for element.
    apart : iterable of (name, array)
        Inputs that may share nothing with it.
    """
    for inputs, own in ((in_place, True), (apart, False)):
        for told, x in inputs:
            for value, role in zip(x.values, x.expression.roles, strict=True) if isinstance(x, Lazy) else [(x, OWN)]:
                if own and role == OWN and (value is out or overlaps.same_memory(value, out)):
                    continue
                if not overlaps.overlap(value, out):
                    continue
                how, copied = f"overlaps {told}", f"{told}.copy()"
                if own:
                    how = f"{'partly overlaps' if role == OWN else 'shares memory with'} the input {told!r}"
                elif isinstance(x, Lazy):
                    how = f"shares memory with an array that the lazy input {told!r} reads"
                if isinstance(x, Lazy):
                    copied = "a copy"
                raise PlacementError(
                    f"{algorithm}: {name} {how}: elements would be read after others were written there. "
                    f"Pass {copied}, or another {name}"
                )


def check_captured(algorithm: str, out: Any, kernel: Kernel, captured: Iterable[tuple[str, Any]]) -> None:
    """Refuse an output over what a kernel captures, which it may read anywhere."""
    for name, x in captured:
        if overlaps.overlap(x, out):
            raise PlacementError(
                f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) captures {name!r}, which shares memory "
                f"with out: iterations would read what others wrote. Capture a copy, or pass another out"
            )


KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def kind_text(kind: codec.Kind) -> str:
    if isinstance(kind, tuple):
        return f"a tuple ({', '.join(part.name for part in kind)})"
    return kind.name if kind.names is None else f"a record of {kind}"


def check_record(algorithm: str, out: np.dtype, result: codec.Kind) -> bool:
    """Refuse a result that the records of an output cannot hold; whether it is a tuple, for their fields."""
    if not isinstance(result, tuple):
        if result == out:
            return False
        remedy = "Pass out of that dtype, or return a tuple with a number for each field"
        raise PlacementError(f"{algorithm}: the result is {kind_text(result)}, and out has records of {out}. {remedy}")
    try:
        fields = [codec.codec(out).dtype[name] for name in out.names or ()]
    except TypeError as error:
        raise PlacementError(f"{algorithm}: a tuple cannot be stored in records of {out}: {error}") from None
    if len(fields) != len(result):
        raise PlacementError(
            f"{algorithm}: the result is {kind_text(result)}, and out has records of {len(fields)} fields: "
            "must be as many"
        )
    for part, field in zip(result, fields, strict=True):
        check_cast(algorithm, part, field)
    return True


def check_cast(algorithm: str, result: np.dtype, out: np.dtype) -> None:
    if KINDS[result.kind] > KINDS[out.kind]:
        remedy = {"b": "bool(...)", "u": "int(...)", "i": "int(...)", "f": "abs(...) or .real"}[out.kind]
        raise PlacementError(
            f"{algorithm}: the result is {result.name} and out is {out.name}, which would lose information. "
            f"Pass out of dtype {result.name}, or convert on purpose: use {remedy} in the kernel"
        )
