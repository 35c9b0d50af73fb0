"""The variables of a function in C: their names, and temporaries that are written where their one use is."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numba.core import ir, types

from portapar.kernel.c import operators
from portapar.kernel.c.intervals import Interval, Intervals
from portapar.kernel.c.text import deep
from portapar.kernel.c.unit import GLOBAL, Unit, strip, variable_name
from portapar.kernel.jit.typing import TypedFunction

# Types of values that exist only while compiling.
COMPILE_TIME = (
    types.Module, types.Function, types.Dispatcher, types.NumberClass, types.DType, types.UnicodeType,
    types.StringLiteral, types.Omitted, types.BoundFunction, types.NoneType, types.RangeType,
    types.RangeIteratorType, types.Pair, types.NamedTupleClass,
)  # fmt: skip


@dataclass
class _Pending:
    """An expression that is written where its one use is."""

    text: str
    needs: set[str]  # the C variables it reads
    reads_memory: bool


class Temporaries(ABC):
    """Reads and writes variables; an expression that is used once is kept until then.

    Parameters
    ----------
    unit : Unit
        Where the text goes.
    typed : TypedFunction
        The function.
    known : tuple of Interval or None
        What is known about each argument.
    """

    def __init__(self, unit: Unit, typed: TypedFunction, known: tuple[Interval | None, ...]) -> None:
        self.unit = unit
        self.typed = typed
        self.intervals = Intervals(typed, known, unit.extent)
        self.spaces: dict[str, str] = {}  # where the array or record in each variable lives
        self.names: dict[str, str] = {}
        self.taken: set[str] = set()
        self.locals: dict[str, str] = {}
        self.pending: dict[str, _Pending] = {}
        self.tuples: dict[str, list[ir.Var]] = {}
        self.aliases: dict[str, str] = {}
        self.indices: dict[str, list[ir.Var]] = {}  # tuples whose elements are read, where they are an index
        self.inline = self._find_inline()
        self.needs: set[str] = set()
        self.reads = False

    @abstractmethod
    def emit(self, text: str) -> None:
        """Add a line."""

    def _find_inline(self) -> set[str]:
        """Temporaries that are written once and read once, in the same block."""
        uses: dict[str, list[tuple[int, int]]] = {}
        homes: dict[str, int] = {}
        for label, block in self.typed.func_ir.blocks.items():
            for position, statement in enumerate(block.body):
                # An array's struct is read piece by piece, and what is iterated over again and again.
                often = isinstance(statement, ir.Assign) and getattr(statement.value, "op", "") == "getiter"
                for variable in _reads(statement):
                    array = isinstance(self.typed.typemap.get(variable), types.Array)
                    uses.setdefault(variable, []).extend([(label, position)] * (1 + (array or often)))
                if isinstance(statement, ir.Assign):
                    homes[statement.target.name] = label
        self.indices = {}
        for block in self.typed.func_ir.blocks.values():
            self.indices |= _indices(block.body, uses)
        for item in (item for items in self.indices.values() for item in items):
            uses[item.name] = uses[item.name] * 2
        self.used = set(uses)
        return {
            name for name, where in uses.items()
            if name.startswith("$") and len(where) == 1 and homes.get(name) == where[0][0]
            and len(self.intervals.values[name]) == 1
        }  # fmt: skip

    def c_name(self, label: str) -> str:
        if label not in self.names:
            if label.startswith("$"):
                match = re.match(r"\$(?:phi|[a-z_]*?)(\d+)", label)
                base = "t" + (match[1] if match else "")
            else:
                base = variable_name(label)
            name, count = base, 0
            while name in self.taken:
                name, count = f"{base}x{count}", count + 1
            self.names[label] = name
            self.taken.add(name)
        return self.names[label]

    def fresh(self, base: str, ctype: str) -> str:
        """A new local variable."""
        name, count = base, 0
        while name in self.taken:
            name, count = f"{base}{count}", count + 1
        self.taken.add(name)
        if ctype:
            self.locals[name] = ctype
        return name

    def type_of(self, variable: ir.Var) -> types.Type:
        """The Numba type of a variable."""
        return self.typed.typemap[variable.name]

    def read(self, variable: ir.Var) -> str:
        """The text of a variable's value: a constant, an expression kept for here, or a C variable."""
        name = variable.name
        if name in self.aliases:
            self.reads = True  # it may be an element of an array
            return self.aliases[name]
        if name in self.pending:
            kept = self.pending.pop(name)
            self.needs |= kept.needs
            self.reads |= kept.reads_memory
            return kept.text
        numba_type = self.type_of(variable)
        value = self.intervals.constant(variable)
        if value is not None and not isinstance(numba_type, COMPILE_TIME):
            return self.unit.constant(value, numba_type)
        if name in self.tuples:
            return self._tuple(name)
        c_name = self.c_name(name)
        self.needs.add(c_name)
        return c_name

    def read_as(self, variable: ir.Var, target: types.Type) -> str:
        """A variable's value, converted."""
        value = self.intervals.constant(variable)
        target = strip(target)
        fits = isinstance(value, complex) if isinstance(target, types.Complex) else False
        if isinstance(target, types.Number | types.Boolean) and (fits or isinstance(value, bool | int | float)):
            return self.unit.constant(value, target)
        return self.unit.cast(self.read(variable), self.type_of(variable), target)

    def operand(self, variable: ir.Var) -> operators.Operand:
        """A variable's value and type."""
        return self.read(variable), strip(self.type_of(variable))

    def write(self, variable: ir.Var, text: str, reads: bool, effect: bool) -> None:
        """Assign to a variable, now or, for a temporary read once, where it is read."""
        name = variable.name
        if name[0] == "$" and name not in self.used and not effect:
            return
        if name in self.inline and not effect and not deep(text):
            self.pending[name] = _Pending(text, self.needs, reads or self.reads)
            return
        if effect:
            self.flush(memory=True)
        self.flush(written=self.c_name(name))
        self._put(name, text)

    def flush(self, memory: bool = False, written: str | None = None, everything: bool = False) -> None:
        """Write down the kept expressions that what comes next would change."""
        for name, kept in list(self.pending.items()):
            if everything or (memory and kept.reads_memory) or written in kept.needs:
                del self.pending[name]
                self._put(name, kept.text)
        for name, items in list(self.tuples.items()):
            if everything or any(self.names.get(item.name) == written for item in items):
                self._put(name, self._tuple(name))

    def _put(self, name: str, text: str) -> None:
        """Assign to a variable."""
        c_name = self.c_name(name)
        self.locals[c_name] = self.unit.value(self.typed.typemap[name], self.spaces.get(name, GLOBAL))
        self.emit(f"{c_name} = {text};")

    def _tuple(self, name: str) -> str:
        """A tuple that was kept as its elements."""
        return self.tuple_of(self.tuples.pop(name), self.typed.typemap[name])

    def tuple_of(self, items: Sequence[ir.Var], kind: types.Type) -> str:
        """A struct with these elements."""
        numba_type: Any = strip(kind)
        for item, part in zip(items, numba_type.types, strict=True):
            if isinstance(part, types.Array) and self.spaces.get(item.name, GLOBAL) != GLOBAL:
                raise self.unit.fail(
                    "a tuple that is passed on, or indexed by a variable, holds a private array or a row; use it under "
                    "a name of its own"
                )
        parts = [self.read_as(v, t) for v, t in zip(items, numba_type.types, strict=True)]
        return f"{self.unit.tuple(numba_type)}_make({', '.join(parts)})"


def _indices(body: Sequence[Any], uses: dict[str, list[Any]]) -> dict[str, list[ir.Var]]:
    """Tuples that are read several times, each as an index, before one of their elements changes: their elements.

    Of ``a[i, j] += 1`` it is read twice.
    """
    found: dict[str, list[ir.Var]] = {}
    count: dict[str, int] = {}
    for statement in body:
        value = statement.value if isinstance(statement, ir.Assign) else None
        if isinstance(value, ir.Expr) and value.op == "getitem":
            count[value.index.name] = count.get(value.index.name, 0) + 1
        elif isinstance(statement, ir.SetItem):
            count[statement.index.name] = count.get(statement.index.name, 0) + 1
        elif isinstance(value, ir.Expr) and value.op == "build_tuple" and len(uses.get(statement.target.name, ())) > 1:
            found[statement.target.name] = list(value.items)
        if isinstance(statement, ir.Assign):
            changed = statement.target.name
            left = [name for name, items in found.items() if any(item.name == changed for item in items)]
            for name in left:
                if count.get(name, 0) < len(uses[name]):
                    del found[name]
    return {name: items for name, items in found.items() if name[0] == "$" and count.get(name) == len(uses[name])}


def _reads(statement: Any) -> list[str]:
    """The variables that a statement reads, as often as it reads them."""
    if isinstance(statement, ir.Assign):
        value = statement.value
        if isinstance(value, ir.Var):
            return [value.name]
        if not isinstance(value, ir.Expr):
            return []
        if value.op == "call":
            given = [value.func, *value.args, *(v for _, v in value.kws), value.vararg]
            return [v.name for v in given if v is not None]
        return [v.name for v in value.list_vars() if isinstance(v, ir.Var)]
    if isinstance(statement, ir.SetItem | ir.StaticSetItem):
        index = statement.index if isinstance(statement, ir.SetItem) else statement.index_var
        return [v.name for v in (statement.target, index, statement.value) if v is not None]
    return [v.name for v in statement.list_vars()]
