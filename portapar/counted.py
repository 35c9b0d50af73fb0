"""What is known of the values of an iteration while it is counted (`portapar.counter`)."""

from __future__ import annotations

import ast
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portapar.kernel.front.trees import names_in, walk

_HUGE = 2.0**63  #: no loop has so many rounds


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression: its number; which argument it is, if that is an array; whether data decide it.

    An element that is the next free place somewhere, as it goes up when it is used, is `rising`.

    An unknown number may be `offset` more than one that has the name `base`, and end at `most` for all iterations; or
    an element: the array, and the place.
    """

    number: float | None = None
    array: int | None = None
    loaded: bool = False
    base: int = 0
    offset: float = 0.0
    source: tuple[int, int, float] | None = None
    rising: bool = False
    most: float = math.inf


PLAIN, LOADED = Value(), Value(loaded=True)


def fixed(ends: Sequence[Value]) -> bool:
    """Whether there is always as much between two ends."""
    return len(ends) == 2 and ends[0].base == ends[1].base > 0


def neighbours(ends: Sequence[Value]) -> int | None:
    """The array in which two ends are neighbours, if they are."""
    if len(ends) != 2 or ends[0].source is None or ends[1].source is None:
        return None
    (array, base, at), (other, name, end) = ends[0].source, ends[1].source
    return array if (array, base, at + 1) == (other, name, end) else None


def length(x: Any) -> int:
    shape = getattr(x, "shape", ())
    return int(math.prod(shape)) if shape else 0


def number_of(x: Any) -> float | None:
    """A number as far as loops are counted with it; None for what is none, or is out of all measure."""
    return float(x) if isinstance(x, numbers.Real) and -_HUGE < x < _HUGE else None  # type: ignore[operator]


def either(one: Value, other: Value) -> Value:
    """What is known of what may be this or that."""
    number = one.number if one.number == other.number else None
    return Value(number, one.array if one.array == other.array else None, one.loaded | other.loaded)


def folded(op: ast.operator, a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    match op:
        case ast.Add():
            return number_of(a + b)
        case ast.Sub():
            return number_of(a - b)
        case ast.Mult():
            return number_of(a * b)
        case ast.FloorDiv() if b:
            return number_of(a // b)
        case ast.Div() if b:
            return number_of(a / b)
    return None


def statements(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements, and those in them, in order."""
    return [x for node in body for x in walk(node) if isinstance(x, ast.stmt)]


def rising_in(body: Sequence[ast.stmt]) -> set[str]:
    """Elements to which statements add something, after they were used: ``k = at[d]`` and ``at[d] = k + 1``."""
    found, read = set(), dict[str, str]()
    for node in statements(body):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Subscript):
            found.add(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            (target,), value = node.targets, node.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Subscript):
                read[target.id] = ast.unparse(value)
            elif isinstance(target, ast.Subscript) and isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
                text = ast.unparse(target)
                found |= {text} & {read.get(name) for name in names_in(value)}
    return found
