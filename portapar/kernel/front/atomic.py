"""Atomic updates of array elements, for kernels: `op(array, index, value)` returns the old value.

Each update is indivisible; it orders no other access to memory (C++'s `memory_order_relaxed`), as on GPUs.
Only on CPUs it does (`memory_order_acq_rel`), which costs nothing there. A call on a single thread of the CPU updates
plainly as long as no other call with atomic updates has run at the same time in this process: updates of memory that
other processes write to as well are not indivisible then.
Threads of the CPU update copies of their own of small arrays, which are combined when all iterations have ended, where
the kernel does nothing else with an array than to update it by one kind of operation (`add` and `sub`, or `min`, or
`max`, …), and uses no old values: many updates of few elements do not make threads wait for each other.
Arrays of 32- and 64-bit integers and floats; `and_`, `or_` and `xor` for integers only. Called outside a
kernel they are what they look like: a read and a write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["add", "and_", "cas", "exchange", "max", "min", "or_", "sub", "xor"]


def __dir__() -> list[str]:
    return [*__all__]


def add(array: Any, index: Any, value: Any) -> Any:
    """Add `value` to `array[index]`; the old value."""
    old = array[index]
    array[index] = old + value
    return old


def sub(array: Any, index: Any, value: Any) -> Any:
    """Subtract `value` from `array[index]`; the old value."""
    old = array[index]
    array[index] = old - value
    return old


def min(array: Any, index: Any, value: Any) -> Any:
    """Put `value` into `array[index]` if it is less than what is there; the old value."""
    old = array[index]
    if value < old:
        array[index] = value
    return old


def max(array: Any, index: Any, value: Any) -> Any:
    """Put `value` into `array[index]` if it is greater than what is there; the old value."""
    old = array[index]
    if value > old:
        array[index] = value
    return old


def and_(array: Any, index: Any, value: Any) -> Any:
    """Bitwise and of `array[index]` with `value`; the old value."""
    old = array[index]
    array[index] = old & value
    return old


def or_(array: Any, index: Any, value: Any) -> Any:
    """Bitwise or of `array[index]` with `value`; the old value."""
    old = array[index]
    array[index] = old | value
    return old


def xor(array: Any, index: Any, value: Any) -> Any:
    """Bitwise exclusive or of `array[index]` with `value`; the old value."""
    old = array[index]
    array[index] = old ^ value
    return old


def exchange(array: Any, index: Any, value: Any) -> Any:
    """Put `value` into `array[index]`; the old value."""
    old = array[index]
    array[index] = value
    return old


def cas(array: Any, index: Any, expected: Any, new: Any) -> Any:
    """Put `new` into `array[index]` if that holds `expected` (the same bits); the old value."""
    old = array[index]
    if old == expected:
        array[index] = new
    return old


# The name of each in LLVM, for signed integers; None where floats have no such operation.
OPERATIONS: dict[Callable[..., Any], tuple[str, str | None]] = {
    add: ("add", "fadd"),
    sub: ("sub", "fsub"),
    min: ("min", "min"),
    max: ("max", "max"),
    and_: ("and", None),
    or_: ("or", None),
    xor: ("xor", None),
    exchange: ("xchg", "xchg"),
    cas: ("cas", "cas"),
}
