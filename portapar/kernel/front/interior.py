"""The interior of a space: what conditions on indices say everywhere but at its ends.

``x[i + 1] if i + 1 < n else x[0]``, ``x[(i + 1) % n]`` and ``x[max(i - 1, 0)]`` are ``x[i + 1]`` and ``x[i - 1]`` but
for one index; as they are written they become gathers, or branches. What they are inside is taken from their form, and
a test of the ends of a range of indices tells where it is right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from portapar.kernel.front.intervals import UNKNOWN, Arithmetic, Interval, is_number, needed
from portapar.kernel.front.trees import is_truth, walk

Outcome = tuple[bool, tuple[str, ...]]  #: what a condition is inside, and the tests that tell where
Taken = tuple[str, tuple[str, ...]]  #: which part of a node it is inside, and the tests

_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq}
_MOST_BITS = 16  #: an index plus or minus what is small


class Otherwise(Exception):
    """What was decided for one call of a function is not so in another."""


@dataclass
class Interior:
    """What was decided about the nodes of a program.

    Attributes
    ----------
    left : set
        The places of nodes that are to be left alone.
    tests : dict
        What must hold, as its keys.
    """

    of: Arithmetic
    left: set[Any] = field(default_factory=set)
    tests: dict[str, None] = field(default_factory=dict)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    _decided: dict[Any, tuple[Any, str]] = field(default_factory=dict)  #: place → (node, its part that replaces it)
    _seen: set[Any] = field(default_factory=set)

    def part(self, where: str, node: Any, decide: Callable[[], Taken | None]) -> Any:
        """The part of a node that it is inside, None if that is not known."""
        place = where, node.lineno, node.col_offset, type(node)
        if place in self.left:
            return None
        found = decide()
        before = self._decided.get(place)
        if place in self._seen and (found and found[0]) != (before and before[1]):
            self.left.add(place)
            raise Otherwise
        self._seen.add(place)
        if found is None:
            return None
        self._decided[place] = node, found[0]
        self.tests.update(dict.fromkeys(found[1]))
        return _part(node, found[0])

    def compare(self, a: Interval, op: ast.cmpop, b: Interval, lags: tuple[bool, bool]) -> Outcome | None:
        """A comparison of an index with what is the same for all of them: zero or another number, or an end.

        `lags`: whether `b` is taken from `a` somewhere, as in ``x[i - lag] if i >= lag else 0``, and `a` from `b`.
        """
        kind = type(op)
        if kind not in _MIRRORED:
            return None
        if self.varies(b) and _fixed(a):
            a, b, kind, lags = b, a, _MIRRORED[kind], (lags[1], lags[0])
        if not (self.varies(a) and _fixed(b)):
            return None
        self.sizes |= {a.size, b.size}
        needs = sorted(a.needs | b.needs)
        if kind in (ast.Eq, ast.NotEq):
            above, below = f"{a.low} > {b.low}", f"{a.high} < {b.low}"
            return kind is ast.NotEq, (above if is_number(b.low) else f"({above}) | ({below})", *needs)
        if is_number(b.low) or lags[0]:  # beyond it
            test = f"{a.low} {'>' if kind in (ast.Gt, ast.LtE) else '>='} {b.low}"
            return kind in (ast.Gt, ast.GtE), (test, *needs)
        test = f"{a.high} {'<' if kind in (ast.Lt, ast.GtE) else '<='} {b.low}"
        return kind in (ast.Lt, ast.LtE), (test, *needs)

    def condition(
        self, node: ast.expr, value: Callable[[ast.expr], Interval], lags: frozenset[str] = frozenset()
    ) -> Outcome | None:
        """The same for conditions with ``and``, ``or`` and ``not``; None if it is not known.

        `lags`: the texts of all differences in the function.
        """
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                found = self.condition(inner, value, lags)
                return found and (not found[0], found[1])
            case ast.BoolOp(op=op, values=parts):
                return _joined(isinstance(op, ast.And), [self.condition(part, value, lags) for part in parts])
            case ast.Compare(left=left, ops=ops, comparators=rights):
                sides = [left, *rights]
                found_all = []
                for a, compared, b in zip(sides, ops, rights, strict=False):
                    taken = [ast.unparse(ast.BinOp(x, ast.Sub(), y)) in lags for x, y in ((a, b), (b, a))]
                    found_all.append(self.compare(value(a), compared, value(b), (taken[0], taken[1])))
                return _joined(True, found_all)
        return None

    def shortened(
        self, node: ast.BoolOp, value: Callable[[ast.expr], Interval], lags: frozenset[str], tested: bool
    ) -> Taken | None:
        """What is left of ``a and b`` where one of both is known.

        Where `b` is known that is `a` only for truth values: ``2 and True`` is True. `tested`: only the truth of the
        whole counts.
        """
        if len(node.values) != 2:
            return None
        every, either = isinstance(node.op, ast.And), tested or is_truth(node)
        for k, part in enumerate(node.values):
            found = self.condition(part, value, lags)
            if found is not None and found[0] is every and (k == 0 or either):
                return f"values {1 - k}", found[1]
        return None

    def clamped(self, name: str, a: Interval, b: Interval) -> tuple[str, ...] | None:
        """When ``min(a, b)`` or ``max(a, b)`` is `a`, the index."""
        if not (self.varies(a) and _fixed(b)) or is_number(b.low) != (name == "max"):
            return None
        self.sizes |= {a.size, b.size}
        test = f"{a.high} <= {b.low}" if name == "min" else f"{a.low} >= {b.low}"
        return test, *sorted(a.needs | b.needs)

    def wrapped(self, a: Interval, b: Interval) -> tuple[str, ...] | None:
        """When ``a % b`` is `a`, an index plus or minus something."""
        own = re.fullmatch(r"lo\d", a.low or "")
        if own or not (self.varies(a) and _fixed(b)) or is_number(b.low):
            return None
        self.sizes |= {a.size, b.size}
        return f"{a.low} >= 0", f"{a.high} < {b.low}", *sorted(a.needs | b.needs)

    def varies(self, x: Interval) -> bool:
        """Whether it is an index of the space plus or minus something."""
        if x.low is None or x.high is None or x.limits or x.size[1] > 1 or x.size[0] > _MOST_BITS:
            return False
        return all(re.search(r"\b(lo|hi)\d", " ".join(needed(self.of.lines, [end])[0])) for end in (x.low, x.high))

    def apply(self, trees: dict[str, ast.Module]) -> set[str]:
        """Put the parts in the place of their nodes; the names of the functions that have changed."""
        for place, (node, part) in self._decided.items():
            for parent in walk(trees[place[0]]):
                for key, value in ast.iter_fields(parent):
                    if value is node:
                        setattr(parent, key, _part(node, part))
                    elif isinstance(value, list) and any(item is node for item in value):
                        k = next(k for k, item in enumerate(value) if item is node)
                        new = _part(node, part)
                        new = new if isinstance(new, list) else [new]
                        value[k : k + 1] = new or [ast.copy_location(ast.Pass(), node)]
        return {place[0] for place in self._decided}


def _part(node: Any, part: str) -> Any:
    if part.startswith("values "):
        return node.values[int(part[-1])]
    return node.args[int(part)] if part.isdigit() else getattr(node, part)


def _fixed(x: Interval) -> bool:
    """Whether it is the same number for all indices."""
    return x != UNKNOWN and x.low == x.high and not x.limits and not x.counted and x.size[1] <= 1


def _joined(every: bool, parts: list[Outcome | None]) -> Outcome | None:
    """The outcome of ``and`` (`every`), or of ``or``."""
    known = [part for part in parts if part is not None]
    for part in known:
        if part[0] is not every:  # decides it alone
            return part
    return (every, tuple(test for part in known for test in part[1])) if len(known) == len(parts) else None
