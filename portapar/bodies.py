"""The body of an algorithm, a function of ours: what it captured, which is how the algorithm was called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import CellType, FunctionType
from typing import Any, TypeVar

import numpy as np

from portapar import arrays, ops
from portapar.errors import KernelError
from portapar.kernel.front.lift import lift
from portapar.lazy import flat, readable
from portapar.partitioned import PartitionedArray

T = TypeVar("T")


def normal(
    values: Sequence[Any], body: Callable[..., T], own: Callable[[], Any]
) -> tuple[list[Any], Callable[..., T], Callable[[], Any]]:
    """The arguments as algorithms work with them, and functions that captured them with those in their place."""
    given = [x for x in values if x is not None]
    found = [_given(x, body) for x in given]
    changed = {id(x): y for x, y in zip(given, found, strict=True) if x is not y}
    return (found, _with(body, changed), _with(own, changed)) if changed else (found, body, own)


def _with(x: Any, changed: dict[int, Any]) -> Any:
    """What an algorithm captured: arguments that are `changed`, functions of ours that captured them, tuples."""
    if id(x) in changed:
        return changed[id(x)]
    if isinstance(x, (tuple, list)):
        return type(x)(_with(one, changed) for one in x) if type(x) in (tuple, list) else x
    if not isinstance(x, FunctionType) or x.__closure__ is None or not (x.__module__ or "").startswith("portapar."):
        return x
    cells = tuple(CellType(_with(cell.cell_contents, changed)) for cell in x.__closure__)
    made = FunctionType(x.__code__, x.__globals__, x.__name__, x.__defaults__, cells)
    made.__kwdefaults__ = x.__kwdefaults__
    return made


def _given(x: Any, body: Callable[..., Any]) -> Any:
    """An argument as algorithms work with it; what kernels cannot hold is refused here, by the user's name for it."""
    if (type(x) is np.ndarray and arrays.sound(x)) or isinstance(x, (arrays.Range, range)):
        return x
    cells = zip(body.__code__.co_freevars, body.__closure__ or (), strict=True)
    name = next((name for name, cell in cells if cell.cell_contents is x), "x")
    x = arrays.normal(x, name) if name == "out" else readable(arrays.normal(x, name))
    if isinstance(x, np.ndarray):
        arrays.spec_of(x, name)
    return x


def functions(body: Callable[..., Any]) -> Iterator[FunctionType]:
    """The user's functions that an algorithm's body captures."""
    waiting = [cell.cell_contents for cell in body.__closure__ or ()]
    while waiting:
        x = waiting.pop()
        if isinstance(x, (tuple, list)):
            waiting += x
        elif isinstance(x, ops.Monoid):
            waiting.append(x.py_func)
        elif isinstance(x, FunctionType) and not (x.__module__ or "").startswith("portapar."):
            yield x


def captures(func: Any) -> list[tuple[str, PartitionedArray]]:
    """The partitioned arrays that a kernel captures, by name."""
    try:
        kernel, func = lift(func)
    except KernelError:  # which the algorithm tells of
        return []
    found = zip(kernel.captures, kernel.values(func), strict=True)
    return [(name, x) for (name, _), given in found for x in flat([given]) if isinstance(x, PartitionedArray)]
