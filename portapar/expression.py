"""The code of lazy inputs: expressions over leaves, of which equal ones are one object."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from typing import Any

from portapar import cache, forks
from portapar.errors import ArgumentError
from portapar.kernel.front.fuse import Getter
from portapar.kernel.front.kernel import Function, Kernel
from portapar.kernel.front.lift import loops
from portapar.kernel.front.sources import tree_of
from portapar.kernel.front.text import renamed
from portapar.kernel.program import INDICES

#: what a leaf is: an array read at the input's own index, or at the mirrored one; a number; the place of an iota in
#: the whole of it, and that of one that runs backwards; the number of elements, where there is no array to tell it;
#: what a function captures
OWN, MIRROR, NUMBER, PLACE, BACK, COUNT, CAPTURED = range(7)


@dataclass(frozen=True, eq=False)
class Expression:
    """What of a lazy input is code. Expressions are interned: equal inputs have one expression, whatever their data.

    Attributes
    ----------
    tree : tuple
        The expression: ``("own" | "mirror" | "number", leaf)``, ``("iota", start, step, place)``,
        ``("count", start, place)`` in steps of one, which loops over neighbours have to see,
        ``("call", kernel, inputs, captured leaves)``, ``("tuple", inputs)``; the first may be found at any depth.
    roles : tuple of int
        What each leaf is.
    names : tuple of str
        How each leaf is called: what to add to the input's own name.
    kernels : tuple of Kernel
        The functions.
    """

    tree: tuple[Any, ...]
    roles: tuple[int, ...]
    names: tuple[str, ...]
    kernels: tuple[Kernel, ...]

    @property
    def aligned(self) -> bool:
        """Whether every element depends on what the leaves hold at its index alone: it may be broadcast."""
        return not {MIRROR, PLACE, BACK} & set(self.roles)

    @functools.cached_property
    def movable(self) -> bool:
        """Whether it stays what it is inside of another one: no leaf says how many elements there are."""
        return COUNT not in self.roles

    @functools.cached_property
    def loops(self) -> bool:
        """Whether a function has a loop, so that an element may take long."""
        return any(map(loops, self.kernels))

    def __copy__(self) -> Expression:
        return self

    def __deepcopy__(self, memo: Any) -> Expression:
        return self

    def __reduce__(self) -> Any:
        if self.kernels:
            raise ArgumentError(
                "a lazy input of functions cannot be pickled: pickle its arrays, and make it in the process that uses "
                "it; or pickle pp.copy(policy, it)"
            )
        return expression_of, (self.tree, self.roles, self.names, ())

    def getter(self, ndim: int, wrap: bool) -> Getter:
        """The kernel function that computes an element, always the same object.

        Parameters
        ----------
        ndim : int
            Number of indices: 1 for flattened arrays.
        wrap : bool
            The index may be negative, and then counts from the end.
        """
        return _getter(self, ndim, wrap)

    def _getter(self, ndim: int, wrap: bool) -> Getter:
        leaves = [f"l{k}" for k in range(len(self.roles))]
        sized = next((k for k, role in enumerate(self.roles) if role in (OWN, MIRROR)), -1)
        counts = sized < 0
        if counts:
            sized = self.roles.index(COUNT)
        index = ", ".join(INDICES[:ndim])
        lines = [f"def get({', '.join([index, *leaves])}):"]
        place = index
        if wrap and not self.aligned:
            place = "p"
            count = leaves[sized] if counts else f"len({leaves[sized]})"
            lines += ["    p = np.int64(i)", "    if i < 0:", f"        p += {count}"]
        lines.append(f"    return {self._text(self.tree, leaves, index, place)}")
        function = tree_of("\n".join(lines)).body[0]
        assert isinstance(function, ast.FunctionDef)
        calls = [f"f{k}" for k in range(len(self.kernels))]
        functions = [f for k, kernel in enumerate(self.kernels) for f in renamed(kernel, calls[k])]
        functions.append(Function(function, "", frozenset(calls)))
        kernel = Kernel("lazy", "<portapar lazy>", 1, [*INDICES[:ndim], *leaves], [], functions, {}, [], False)
        return Getter(kernel, tuple(role == OWN for role in self.roles), ndim, sized, counts)

    def _text(self, node: tuple[Any, ...], leaves: list[str], index: str, place: str) -> str:
        """An element of a part of the expression; `place` is the index, if it is one, and not negative."""
        kind, *rest = node
        if kind == "own":
            return f"{leaves[rest[0]]}[{index}]"
        if kind == "mirror":  # unsigned, so that nothing has to be done for negative ones
            return f"{leaves[rest[0]]}[np.uint64(len({leaves[rest[0]]}) - 1 - {place})]"
        if kind == "number":
            return leaves[rest[0]]
        if kind == "iota":
            start, step, first = (leaves[k] for k in rest)
            sign = "-" if self.roles[rest[2]] == BACK else "+"
            return f"({start} + {step} * ({first} {sign} {place}))"
        if kind == "count":
            start, first = (leaves[k] for k in rest)
            return f"({start} + ({first} {'-' if self.roles[rest[1]] == BACK else '+'} {place}))"
        if kind == "tuple":
            return "(" + "".join(f"{self._text(part, leaves, index, place)}, " for part in rest[0]) + ")"
        number, inputs, captured = rest
        arguments = [self._text(part, leaves, index, place) for part in inputs]
        return f"f{number}({', '.join([*arguments, *(leaves[k] for k in captured)])})"


_getter = functools.cache(Expression._getter)
_expressions: dict[tuple[Any, ...], Expression] = cache.Bounded()
_lock = forks.lock()


def expression_of(
    tree: tuple[Any, ...], roles: tuple[int, ...], names: tuple[str, ...], kernels: tuple[Kernel, ...]
) -> Expression:
    """The only expression of that code."""
    key = (tree, *roles, *names, *map(id, kernels))
    with _lock:
        found = _expressions.pop(key, None)
        if found is None:
            found = Expression(tree, roles, names, kernels)
        _expressions[key] = found  # the last one, so that none is forgotten that is in use
    return found
