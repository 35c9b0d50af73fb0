"""Whether an output fits what a call gives: its shape, its dtype, and where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays
from portapar.arrays import is_scalar
from portapar.errors import PlacementError
from portapar.kernel.front import codec
from portapar.kernel.front.kernel import Kernel
from portapar.lazy import OWN, Lazy


def check_out(
    algorithm: str,
    out: Any,
    shape: tuple[int, ...] | None,
    kernel: Kernel,
    found: tuple[Any, ...],
    captured: list[tuple[str, Any]],
) -> tuple[int, ...]:
    if is_scalar(out):
        raise PlacementError(f"{algorithm}: out is {out!r}, a {type(out).__name__}: must be an array")
    if shape is not None and out.shape != shape:
        told = ", ".join(f"{kernel.params[k]}: {arrays.shape_text(x)}" for k, x in enumerate(found))
        raise PlacementError(
            f"{algorithm}: out has shape {out.shape}, and the inputs ({told}) need {shape}. "
            f"Pass out={'np' if isinstance(out, np.ndarray) else 'executor'}.empty({shape}, {_text(out.dtype)})"
        )
    if isinstance(out, np.ndarray):
        if not arrays.writeable(out):
            raise PlacementError(f"{algorithm}: out is read-only. Pass a writable array, or set its flags.writeable")
        if out.size > 1 and any(s == 0 and n > 1 for s, n in zip(out.strides, out.shape, strict=True)):
            raise PlacementError(f"{algorithm}: several elements of out share one place in memory (a broadcast view)")
        for k, x in enumerate(found):
            for value, role in zip(x.values, x.form.roles, strict=True) if isinstance(x, Lazy) else [(x, OWN)]:
                in_place = role == OWN and arrays.same_memory(value, out)
                if isinstance(value, np.ndarray) and not in_place and arrays.overlap(value, out):
                    partly = "partly overlaps" if role == OWN else "shares memory with"
                    copied = "a copy" if isinstance(x, Lazy) else f"{kernel.params[k]}.copy()"
                    raise PlacementError(
                        f"{algorithm}: out {partly} the input {kernel.params[k]!r}: iterations would read what "
                        f"others wrote. Pass {copied}, or another out"
                    )
        for name, x in captured:
            if isinstance(x, np.ndarray) and arrays.overlap(x, out):
                raise PlacementError(
                    f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) captures {name!r}, which shares memory "
                    f"with out: iterations would read what others wrote. Capture a copy, or pass another out"
                )
    return out.shape


def _text(dtype: np.dtype) -> str:
    """A dtype as it is written in a call."""
    return repr(dtype.name) if dtype.names is None else str(dtype)


KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def kind_text(kind: codec.Kind) -> str:
    if isinstance(kind, tuple):
        return f"a tuple ({', '.join(part.name for part in kind)})"
    return kind.name if kind.names is None else f"a record of {kind}"


def check_record(algorithm: str, out: np.dtype, result: codec.Kind) -> bool:
    """`_check_kind` where the output holds records."""
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
