"""Interval arithmetic on the text of expressions: what numbers lie between, as text that is computed before a loop."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

_INDEX_BITS = 47  #: no loop has more iterations, and no array more elements
_MOST_FACTORS = 3


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, texts of int64 values, None if unknown.

    `sure`: not negative in any call. `size`: its bits without those of unknown values, and how many of these are
    multiplied in it. `limits`: of the type, if it comes from elements of arrays: sums beyond them wrap. `counted`: by a
    loop, which does work for each number. `needs`: the tests that must hold for what is said here.
    """

    low: str | None = None
    high: str | None = None
    sure: bool = False
    size: tuple[int, int] = (0, 0)
    limits: tuple[int, int] | None = None
    counted: bool = False
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Real:
    """Floats from `low` to `high`, texts of numbers, but for rounding; for indices that are computed of them.

    `exact`: the bounds are not rounded. `size` and `needs` are as those of whole numbers.
    """

    low: str
    high: str
    exact: bool = True
    size: tuple[int, int] = (0, 0)
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Array:
    """An argument, or a row of one (`axis` indices are given); -1 for a private one."""

    number: int
    axis: int = 0


UNKNOWN = Interval()
MOST = 1 << 62
_NARROW = Interval(limits=(-128, 127))  #: an unknown number of any type
Value = Interval | Real | Array | tuple[Any, ...]
_FLOAT32 = 1e-5  #: more than what some roundings to 32 bits can change, of 1
_LARGEST = float(1 << 46)


class Arithmetic:
    """Sums and products of intervals.

    Attributes
    ----------
    lines : dict
        Expression → the variable of the test that holds it.
    """

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def put(self, text: str) -> str:
        """The variable of the test that holds a value."""
        return self.lines.setdefault(text, f"t{len(self.lines)}")

    def sum(self, a: str | None, sign: str, b: str | None) -> str | None:
        if a is None or b is None:
            return None
        if is_number(a) and is_number(b):
            return str(int(a) + int(b) if sign == "+" else int(a) - int(b))
        if b == "0":
            return a
        return self.put(f"{a} {sign} {b}")

    def extreme(self, which: str, parts: Sequence[str | None]) -> str | None:
        found = list(dict.fromkeys(parts))
        if None in found:
            return None
        if all(is_number(p) for p in found):
            return str((min if which == "min" else max)(int(p) for p in found))  # type: ignore[arg-type]
        return found[0] if len(found) == 1 else self.put(f"{which}({', '.join(found)})")  # type: ignore[arg-type]

    def made(
        self, low: str | None, high: str | None, sure: bool, size: tuple[int, int], of: Sequence[Interval] = ()
    ) -> Interval:
        if size[1] > _MOST_FACTORS or size[0] > 40 or (low is None and high is None):
            return UNKNOWN
        limits = _common(of)
        counted = limits is not None and all(x.counted for x in of if x.limits)
        needs = frozenset[str]().union(*(x.needs for x in of))
        return Interval(low, high, sure and size[0] + size[1] * _INDEX_BITS <= 62, size, limits, counted, needs)

    def wrapped(self, found: Interval) -> Interval:
        """The result of arithmetic: where it comes from elements of arrays, only if it fits into their type."""
        if found.limits is None or found == UNKNOWN:
            return found
        if found.low is None or found.high is None:
            return UNKNOWN
        least, most = found.limits
        if is_number(found.low) and is_number(found.high):
            return found if least <= int(found.low) and int(found.high) <= most else UNKNOWN
        return replace(found, sure=False, needs=found.needs | {f"{found.low} >= {least}", f"{found.high} <= {most}"})

    def binary(self, op: ast.operator, a: Interval, b: Interval) -> Interval:
        return self.wrapped(self.arithmetic(op, a, b))

    def arithmetic(self, op: ast.operator, a: Interval, b: Interval) -> Interval:
        bits, factors = max(a.size[0], b.size[0]) + 1, max(a.size[1], b.size[1])
        if isinstance(op, ast.Add):
            low, high = self.sum(a.low, "+", b.low), self.sum(a.high, "+", b.high)
            return self.made(low, high, a.sure and b.sure, (bits, factors), (a, b))
        if isinstance(op, ast.Sub):
            low, high = self.sum(a.low, "-", b.high), self.sum(a.high, "-", b.low)
            return self.made(low, high, False, (bits, factors), (a, b))
        exact = b.low == b.high and is_number(b.low)
        n = int(b.low) if exact else 0  # type: ignore[arg-type]
        if isinstance(op, ast.LShift) and exact and 0 <= n < 32:
            op, n = ast.Mult(), 1 << n
            b = constant(n)
        if isinstance(op, ast.Mult):
            size = a.size[0] + b.size[0], a.size[1] + b.size[1]
            if size[1] > _MOST_FACTORS:
                return UNKNOWN
            if a.sure and b.sure:
                return self.made(self.product(a.low, b.low), self.product(a.high, b.high), True, size, (a, b))
            ends = [self.product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
            return self.made(self.extreme("min", ends), self.extreme("max", ends), False, size, (a, b))
        if isinstance(op, ast.BitAnd):
            masks = [x for x in (a, b) if x.low == x.high and is_number(x.low) and int(x.low) >= 0]  # type: ignore[arg-type]
            if masks:
                others = [x for x in (a, b) if x is not masks[0]]
                limits = _common([_NARROW if x == UNKNOWN else x for x in others])
                return Interval("0", masks[0].high, True, masks[0].size, limits)
        if isinstance(op, ast.RShift) and exact and 0 <= n < 63:
            op, n = ast.FloorDiv(), 1 << n
        if isinstance(op, (ast.FloorDiv, ast.Mod)):
            positive = n > 0
            if not positive and b.low is not None and b.low == b.high and not exact:
                b, positive = replace(b, needs=b.needs | {f"{b.low} >= 1"}), True
            if not positive:
                return UNKNOWN
            by = str(n) if n else b.low
            if isinstance(op, ast.Mod):
                return self.made("0", self.sum(by, "-", "1"), n > 0, b.size, (a, b))
            return self.made(self.quotient(a.low, by), self.quotient(a.high, by), a.sure and n > 0, a.size, (a, b))
        return UNKNOWN

    def product(self, a: str | None, b: str | None) -> str | None:
        if a is None or b is None:
            return None
        if "0" in (a, b):
            return "0"
        if is_number(a) and is_number(b):
            return str(int(a) * int(b))
        return a if b == "1" else b if a == "1" else self.put(f"{a} * {b}")

    def quotient(self, a: str | None, by: str | None) -> str | None:
        if a is None or by is None:
            return None
        return str(int(a) // int(by)) if is_number(a) and is_number(by) else self.put(f"{a} // {by}")

    def real(self, op: ast.operator, a: Value, b: Value) -> Value:
        """Arithmetic with floats of which, but for differences of what is not rounded, none is negative.

        Rounding keeps order: what is not negative stays so in any precision.
        """
        x, y = _as_real(a), _as_real(b)
        if x is None or y is None:
            return UNKNOWN
        size, needs = (max(x.size[0], y.size[0]) + 1, max(x.size[1], y.size[1])), x.needs | y.needs
        if isinstance(op, ast.Sub):
            if not (x.exact and y.exact):
                return UNKNOWN
            low, high = self.put(f"{x.low} - {y.high}"), self.put(f"{x.high} - {y.low}")
            off = " + ".join(f"abs({end})" for end in (x.low, x.high, y.low, y.high))
            off = self.put(f"({off}) * {_FLOAT32}")
            low, positive = self.put(f"max({low} - {off}, 0.0)"), f"{low} >= 0.0"
            return Real(low, self.put(f"{high} + {off}"), False, size, needs | {positive})
        needs |= {f"{part.low} >= 0" for part in (x, y)}
        if isinstance(op, ast.Div):
            ends = self.put(f"{x.low} / {y.high}"), self.put(f"{x.high} / {y.low}")
            return Real(*ends, False, size, needs | {f"{y.low} > 0"})
        if not isinstance(op, (ast.Add, ast.Mult)):
            return UNKNOWN
        sign = "+" if isinstance(op, ast.Add) else "*"
        low, high = (self.put(f"{one} {sign} {other}") for one, other in ((x.low, y.low), (x.high, y.high)))
        return Real(low, high, False, size, needs)

    def whole(self, x: Real) -> Interval:
        """What is left of floats without their fractions, if none is negative."""
        inside = (f"(({end} >= 0.0) & ({end} <= {_LARGEST}))" for end in (x.low, x.high))
        low = self.put(f"int({x.low} * {1 - _FLOAT32}) if {next(inside)} else -1")
        high = self.put(f"int({x.high} * {1 + _FLOAT32}) + 1 if {next(inside)} else -1")
        size = x.size[0], max(x.size[1], 1)
        return Interval(low, high, False, size, (-MOST, MOST), needs=x.needs | {f"{low} >= 0", f"{high} >= 0"})

    def hull(self, parts: Sequence[Value]) -> Value:
        if parts and all(part == parts[0] for part in parts):
            return parts[0]
        whole = [p if isinstance(p, Interval) else UNKNOWN for p in parts]
        size = max((p.size[0] for p in whole), default=0), max((p.size[1] for p in whole), default=0)
        low = self.extreme("min", [p.low for p in whole])
        high = self.extreme("max", [p.high for p in whole])
        return self.made(low, high, all(p.sure for p in whole), size, whole)

    def test(self, tests: list[str], sizes: set[tuple[int, int]], places: Collection[str] = ()) -> str:
        """The body of a function that tells whether all of it holds, and no sum overflows.

        `places` are names of numbers that are small, as no space has more than 2⁵² elements.
        """
        limit = min((62 - bits) // factors for bits, factors in sizes if factors)
        leaves, lines = needed(self.lines, tests)
        large = sorted(leaves if limit < 52 else leaves.difference(places))
        small = [f"({x} >= {-(1 << limit)}) & ({x} <= {1 << limit})" for x in large]
        ends = [f"({t})" for t in tests]
        return "".join(f"    {line}\n" for line in lines) + f"    return {' & '.join([*small, *ends])}\n"


def _common(parts: Sequence[Interval]) -> tuple[int, int] | None:
    """The limits that hold for all of some numbers."""
    limits = [part.limits for part in parts if part.limits]
    return (max(least for least, _ in limits), min(most for _, most in limits)) if limits else None


def _as_real(x: Value) -> Real | None:
    if isinstance(x, Interval) and x.low is not None and x.high is not None and x.limits is None:
        return Real(x.low, x.high, True, x.size, x.needs)
    return x if isinstance(x, Real) else None


def as_float(x: Value) -> Value:
    """The same number as a float."""
    return _as_real(x) or UNKNOWN


def constant(n: int) -> Interval:
    return Interval(str(n), str(n), n >= 0, (n.bit_length(), 0))


def widened(x: Interval) -> Interval:
    """The same number as an int64."""
    return replace(x, limits=(-MOST, MOST)) if x.limits and x.low else x


def is_number(text: str | None) -> bool:
    return text is not None and text.lstrip("-").isdigit()


def needed(lines: dict[str, str], tests: list[str]) -> tuple[set[str], list[str]]:
    """Of the lines of a test those that its conditions need, in order, and the unknown values that they begin with."""
    by_name = {name: text for text, name in lines.items()}
    leaves: set[str] = set()
    used: set[str] = set()

    def visit(text: str) -> None:
        if ".shape[" in text:
            return
        text = text.removeprefix("extremes(table, a")
        for word in re.findall(r"\b(?:t|a|lo|hi)\d+\b", text):
            if word in used:
                continue
            used.add(word)
            if word in by_name:
                visit(by_name[word])
                if ".shape[" in by_name[word] or re.fullmatch(r"t\d+\[.\]|int\(.*", by_name[word]):
                    leaves.add(word)
            else:
                leaves.add(word)

    for text in tests:
        visit(text)
    return leaves, [f"{name} = {text}" for text, name in lines.items() if name in used]
