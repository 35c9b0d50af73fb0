"""Typed kernels as C text: statements, expressions and functions, for OpenCL C and CUDA C.

`render` gives the text of functions alone; `portapar.kernel.c.entries` adds the entries that run them.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import ir, types

from portapar.kernel.c import operators
from portapar.kernel.c.atomics import atomic_helper
from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.flow import NO_EXCEPTIONS, Flow, deep, enclosed
from portapar.kernel.c.intervals import Interval, Intervals, coarse
from portapar.kernel.c.unit import (
    GLOBAL,
    PRIVATE,
    UNALIGNED,
    VIEW,
    RenderFailure,
    Unit,
    by_offset,
    field_name,
    strip,
    variable_name,
)
from portapar.kernel.front import atomic, private
from portapar.kernel.jit.llvm import private_shape
from portapar.kernel.jit.typing import TypedFunction, TypingFailure, dtype_of, numba_type, overload

__all__ = ["RenderFailure", "add_function", "render"]


def render(functions: Sequence[TypedFunction], dialect: Dialect) -> str:
    """The C text of functions and of all that they call.

    Parameters
    ----------
    functions : sequence of TypedFunction
        What to render; array arguments are taken to be device memory.
    dialect : Dialect
        `OPENCL` or `CUDA`.

    Returns
    -------
    str
        A complete unit: typedefs, helpers and functions, with no entry.

    Raises
    ------
    RenderFailure
        If a kernel uses what cannot be expressed in C; it names the line and the remedy.
    """
    unit = Unit(dialect)
    for typed in functions:
        add_function(unit, typed)
    return unit.text()


def add_function(
    unit: Unit, typed: TypedFunction, spaces: Sequence[str] = (), known: Sequence[Interval | None] = ()
) -> str:
    """Render a function into a unit, once for each combination of spaces and intervals; its C name.

    Parameters
    ----------
    unit : Unit
        Where the text goes.
    typed : TypedFunction
        The function.
    spaces : sequence of str
        Where each array argument lives (`GLOBAL` if not given).
    known : sequence of Interval or None
        What is known about each argument; of an interval only `coarse` is used.
    """
    count = len(typed.argtypes)
    arrays = [isinstance(t, types.Array | types.Record) for t in typed.argtypes]
    where = tuple((spaces[k] if k < len(spaces) else GLOBAL) if arrays[k] else "" for k in range(count))
    intervals = tuple(
        coarse(known[k], unit.extent) if k < len(known) and isinstance(t, types.Integer) else None
        for k, t in enumerate(typed.argtypes)
    )
    key = (typed, where, intervals)
    if key not in unit.instances:
        name = unit.function_name(typed.name)
        unit.instances[key] = name
        line = unit.line
        unit.functions.append(_Function(unit, typed, where, intervals, name).text())
        unit.line = line
    return unit.instances[key]


# Types of values that exist only while compiling.
_COMPILE_TIME = (
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


@dataclass
class _Default:
    """The value of an argument that is not given."""

    value: Any


class _Function:
    def __init__(
        self,
        unit: Unit,
        typed: TypedFunction,
        spaces: tuple[str, ...],
        known: tuple[Interval | None, ...],
        name: str,
    ) -> None:
        self.unit = unit
        self.typed = typed
        self.name = name
        self.argument_spaces = spaces
        self.intervals = Intervals(typed, known, unit.extent)
        self.spaces = self._find_spaces()
        self.names: dict[str, str] = {}
        self.taken: set[str] = set()
        self.locals: dict[str, str] = {}
        self.arrays: list[str] = []
        self.pending: dict[str, _Pending] = {}
        self.tuples: dict[str, list[ir.Var]] = {}
        self.aliases: dict[str, str] = {}
        self.inline = self._find_inline()
        self.flow = Flow(self)
        self.needs: set[str] = set()
        self.reads = False

    # -- the function ------------------------------------------------------------------------------------

    def text(self) -> str:
        unit, typed = self.unit, self.typed
        unit.line = typed.function.__code__.co_firstlineno
        names = typed.func_ir.arg_names
        parameters = [self._parameter(k, n) for k, n in enumerate(names)]
        result = unit.value(typed.return_type, self._returned()) if typed.return_type != types.none else "void"
        body = self.flow.render()
        declared = [f"    {ctype} {name};" for name, ctype in self.locals.items()]
        head = f"DEVICE {result} {self.name}({', '.join(p for p in parameters if p)})"
        return "\n".join([head + " {", *declared, *self.arrays, *body, "}"]) + "\n"

    def _parameter(self, index: int, label: str) -> str:
        numba_type = self.typed.argtypes[index]
        if isinstance(numba_type, _COMPILE_TIME):
            return ""
        values = self.intervals.values.get(label, [])
        once = len(values) == 1 and isinstance(values[0], ir.Arg)
        name = self._c_name(label) if once else f"argument{index}"
        ctype = self.unit.value(numba_type, self.argument_spaces[index])
        return f"{ctype} {name}"

    def _returned(self) -> str:
        """Where an array that the function returns lives, which is one of its arguments."""
        if not isinstance(self.typed.return_type, types.Array):
            return GLOBAL
        ends = [block.body[-1] for block in self.typed.func_ir.blocks.values()]
        spaces = {self.spaces.get(end.value.name) for end in ends if isinstance(end, ir.Return)}
        if len(spaces) != 1 or None in spaces:
            raise self.unit.fail(f"`{self.typed.name}` returns one kind of array or another; use two functions")
        (space,) = spaces
        assert space is not None
        return space

    def _find_spaces(self) -> dict[str, str]:
        """Where the array or record in each variable lives."""
        spaces: dict[str, str] = {}
        typemap = self.typed.typemap
        changed = True
        while changed:
            changed = False
            for name, values in self.intervals.values.items():
                if not isinstance(typemap.get(name), types.Array | types.Record):
                    continue
                for value in values:
                    space = self._space_of(value, spaces)
                    if space is None:
                        continue
                    if spaces.get(name, space) != space:
                        raise self.unit.fail(f"`{name}` is now one kind of array and now another; use two names")
                    changed |= name not in spaces
                    spaces[name] = space
        return spaces

    def _space_of(self, value: Any, spaces: dict[str, str]) -> str | None:
        if isinstance(value, ir.Arg):
            return self.argument_spaces[value.index]
        if isinstance(value, ir.Var):
            return spaces.get(value.name)
        if isinstance(value, ir.Expr):
            if value.op in ("getitem", "static_getitem", "getattr", "cast"):
                owner, space = self.typed.typemap[value.value.name], spaces.get(value.value.name)
                if isinstance(owner, types.Record) and value.op != "cast":
                    return self._space_inside(owner, value.attr if value.op == "getattr" else value.index)
                return VIEW if space == GLOBAL and value.op != "cast" else space
            if value in self.typed.callees and isinstance(self.typed.callees[value].return_type, types.Array):
                made = self.typed.callees[value].return_type
                given = {spaces.get(a.name) for a in value.args if self.typed.typemap[a.name] == made}
                return given.pop() if len(given) == 1 else None
            if value.op == "call":  # a private array, or a record, which is never private
                return VIEW if isinstance(self.typed.calltypes[value].return_type, types.Record) else PRIVATE
        return None

    def _space_inside(self, owner: types.Record, label: Any) -> str:
        """Where an array inside a record lives."""
        inner = owner.fields[label].type if isinstance(label, str) else None
        return VIEW if not isinstance(inner, types.NestedArray) or self.unit.aligned(owner, inner) else UNALIGNED

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
        self.used = set(uses)
        return {
            name for name, where in uses.items()
            if name.startswith("$") and len(where) == 1 and homes.get(name) == where[0][0]
            and len(self.intervals.values[name]) == 1
        }  # fmt: skip

    # -- variables ---------------------------------------------------------------------------------------

    def _c_name(self, label: str) -> str:
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
        if value is not None and not isinstance(numba_type, _COMPILE_TIME):
            return self.unit.constant(value, numba_type)
        if name in self.tuples:
            return self._tuple(name)
        c_name = self._c_name(name)
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
        self.flush(written=self._c_name(name))
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
        c_name = self._c_name(name)
        self.locals[c_name] = self.unit.value(self.typed.typemap[name], self.spaces.get(name, GLOBAL))
        self.emit(f"{c_name} = {text};")

    def _tuple(self, name: str) -> str:
        """A tuple that was kept as its elements."""
        numba_type: Any = strip(self.typed.typemap[name])
        items = self.tuples.pop(name)
        parts = [self.read_as(v, t) for v, t in zip(items, numba_type.types, strict=True)]
        return f"{self.unit.tuple(numba_type)}_make({', '.join(parts)})"

    def emit(self, text: str) -> None:
        """Add a line."""
        self.flow.line(text)

    # -- statements --------------------------------------------------------------------------------------

    def statement(self, statement: Any) -> None:
        """Render one statement that is not a block's last."""
        self.unit.line = statement.loc.line or self.unit.line
        self.needs, self.reads = set(), False
        if isinstance(statement, ir.Assign):
            self._assign(statement.target, statement.value)
        elif isinstance(statement, ir.SetItem | ir.StaticSetItem):
            index = statement.index if isinstance(statement, ir.SetItem) else statement.index_var
            constant = None if isinstance(statement, ir.SetItem) else statement.index
            self._store(statement.target, index, constant, statement.value)
        elif isinstance(statement, ir.SetAttr):
            self._store(statement.target, None, statement.attr, statement.value)
        elif not isinstance(statement, ir.Del):
            raise self.unit.fail(f"this statement is not possible on this device ({type(statement).__name__})")

    def _assign(self, target: ir.Var, value: Any) -> None:
        numba_type = self.type_of(target)
        if isinstance(value, ir.Arg):
            given = self.typed.argtypes[value.index]
            if isinstance(given, types.Omitted):
                self.write(target, self.unit.constant(given.value, numba_type), False, True)
            elif not isinstance(numba_type, _COMPILE_TIME) and target.name not in self.names:
                self.write(target, f"argument{value.index}", False, True)
            return
        if isinstance(value, ir.Expr | ir.Var) and self.flow.iteration(target, value):
            return
        if isinstance(numba_type, _COMPILE_TIME) and not _is_call(value):
            return
        if isinstance(value, ir.Const | ir.Global | ir.FreeVar):
            if self.intervals.constant(target) is None:
                self.write(target, self.unit.constant(value.value, numba_type), False, False)
            return
        if isinstance(value, ir.Var):
            if not isinstance(self.type_of(value), _COMPILE_TIME):
                self.write(target, self.read_as(value, numba_type), False, False)
            return
        if value.op == "null":
            return
        if value.op == "build_tuple" and target.name in self.inline:
            self.tuples[target.name] = list(value.items)
            return
        text, reads, effect = self.expression(value, target)
        if isinstance(numba_type, types.NoneType):
            self.flush(memory=True)
            self.emit(f"{text};")
        else:
            self.write(target, text, reads, effect)

    # -- expressions -------------------------------------------------------------------------------------

    def expression(self, value: ir.Expr, target: ir.Var) -> tuple[str, bool, bool]:
        """The text of an expression, whether it reads memory, and whether it may write it."""
        result = self.type_of(target)
        method = getattr(self, f"_{value.op}", None)
        if method is None:
            raise self.unit.fail(f"`{value.op.replace('_', ' ')}` is not possible on this device")
        answer = method(value, result)
        return answer if isinstance(answer, tuple) else (answer, False, False)

    def _binop(self, value: ir.Expr, result: types.Type) -> str:
        function = value.immutable_fn if value.op == "inplace_binop" else value.fn
        signature = self.typed.calltypes[value]
        if any(isinstance(t, types.BaseTuple | types.RangeType) for t in signature.args):
            return self._tuple_binop(function, value)
        if any(isinstance(t, types.NoneType) for t in signature.args):
            raise self.unit.fail("None is not possible in a kernel; use a number that marks it")
        sides = (value.lhs, value.rhs)
        kinds = [strip(t) for t in signature.args]
        if strip(signature.return_type) == types.boolean and self._single(sides):
            kinds = [types.float32, types.float32]
        left, right = ((self.read_as(v, t), t) for v, t in zip(sides, kinds, strict=True))
        if function in operators.SHIFTS:
            amount = self.intervals.integer(value.rhs, kinds[1])
            plain = amount is not None and amount in Interval(0, operators.width(signature.return_type) - 1)
        else:
            plain = self.intervals.exact(function, sides, kinds, signature.return_type)
        text = operators.binary(self.unit, function, left, right, signature.return_type, plain=plain)
        return self.unit.cast(text, signature.return_type, result)

    _inplace_binop = _binop

    def _tuple_binop(self, function: Any, value: ir.Expr) -> str:
        """Whether a tuple or a range holds a value, or two tuples are equal."""
        kinds = [strip(self.type_of(v)) for v in (value.lhs, value.rhs)]
        if function is operator.contains and isinstance(kinds[0], types.RangeType):
            item = self.read_as(value.rhs, types.int64)
            return f"{self.unit.helper('range_holds')}({', '.join(self.flow.range_of(value.lhs))}, {item})"
        if function is operator.contains:
            right = self.operand(value.rhs)
            tests = [self._equal(element, right) for element in self._elements(value.lhs)]
            return f"({' || '.join(tests)})" if tests else "false"
        if function not in (operator.eq, operator.ne) or not all(isinstance(t, types.BaseTuple) for t in kinds):
            raise self.unit.fail("tuples and ranges cannot be ordered, added or repeated here; use their elements")
        text = self._all_equal(self._elements(value.lhs), self._elements(value.rhs))
        return f"(!{text})" if function is operator.ne else text

    def _all_equal(self, left: list[operators.Operand], right: list[operators.Operand]) -> str:
        if len(left) != len(right):
            return "false"
        return f"({' && '.join(self._equal(a, b) for a, b in zip(left, right, strict=True))})" if left else "true"

    def _equal(self, a: operators.Operand, b: operators.Operand) -> str:
        """Whether two numbers or two tuples are equal."""
        tuples = [isinstance(t, types.BaseTuple) for _, t in (a, b)]
        if all(tuples):
            return self._all_equal(self._parts(*a), self._parts(*b))
        if any(tuples):
            return "false"
        if a[1] != b[1]:
            common = numba_type(np.result_type(*(dtype_of(t) for _, t in (a, b))))
            a, b = ((self.unit.cast(*operand, common), common) for operand in (a, b))
        return operators.binary(self.unit, operator.eq, a, b, types.boolean)

    def _elements(self, variable: ir.Var) -> list[operators.Operand]:
        if variable.name in self.tuples:
            return [self.operand(item) for item in self.tuples.pop(variable.name)]
        return self._parts(*self.operand(variable))

    def _parts(self, text: str, numba_type: types.BaseTuple) -> list[operators.Operand]:
        return [(f"{text}.{self.unit.member(numba_type, k)}", strip(t)) for k, t in enumerate(numba_type.types)]

    def _single(self, sides: Sequence[ir.Var]) -> bool:
        """Whether a comparison has the same outcome in float32, which every device has."""
        for k in (0, 1):
            constant = self.intervals.constant(sides[1 - k])
            if strip(self.type_of(sides[k])) == types.float32 and isinstance(constant, int | float):
                return float(np.float32(constant)) == constant
        return False

    def _unary(self, value: ir.Expr, result: types.Type) -> str:
        signature = self.typed.calltypes[value]
        operand = self.read_as(value.value, signature.args[0]), strip(signature.args[0])
        text = operators.unary(self.unit, value.fn, operand, signature.return_type)
        return self.unit.cast(text, signature.return_type, result)

    def _cast(self, value: ir.Expr, result: types.Type) -> str:
        return self.read_as(value.value, result)

    def _exhaust_iter(self, value: ir.Expr, result: types.Type) -> str:
        return self.read(value.value)

    def _build_tuple(self, value: ir.Expr, result: types.BaseTuple) -> str:
        parts = [self.read_as(v, t) for v, t in zip(value.items, result.types, strict=True)]
        return f"{self.unit.tuple(strip(result))}_make({', '.join(parts)})"

    def _getattr(self, value: ir.Expr, result: types.Type) -> Any:
        owner = strip(self.type_of(value.value))
        if isinstance(owner, types.Module):
            return self.unit.constant(getattr(owner.pymod, value.attr), result)
        if isinstance(owner, types.Array):
            text = self.read(value.value)
            extents = [f"{text}.n{k}" for k in range(owner.ndim)]
            if value.attr == "shape":
                return f"{self.unit.tuple(strip(result))}_make({', '.join(extents)})"
            if value.attr == "size":
                return f"({' * '.join(extents)})"
            if value.attr in ("ndim", "itemsize"):
                known = owner.ndim if value.attr == "ndim" else dtype_of(owner).itemsize
                return self.unit.constant(known, result)
        if isinstance(owner, types.RangeType) and value.attr in ("start", "stop", "step"):
            return self.flow.range_of(value.value)[("start", "stop", "step").index(value.attr)]
        if isinstance(owner, types.Record) and value.attr in owner.fields:
            return self._field(value.value, value.attr, result)
        if isinstance(owner, types.NamedTuple | types.NamedUniTuple) and value.attr in owner.fields:
            return f"{self.read(value.value)}.{self.unit.member(owner, owner.fields.index(value.attr))}"
        if isinstance(owner, types.Number) and value.attr in ("real", "imag"):
            if not isinstance(owner, types.Complex):
                return self.read(value.value) if value.attr == "real" else self.unit.constant(0, result)
            return f"{self.read(value.value)}.{'re' if value.attr == 'real' else 'im'}"
        raise self.unit.fail(f"`.{value.attr}` of {owner} is not possible on this device")

    def _getitem(self, value: ir.Expr, result: types.Type) -> Any:
        if isinstance(strip(self.type_of(value.value)), types.Array):
            return self._load(value.value, value.index, None, result)
        owner = self.type_of(value.value)
        if isinstance(owner, types.BaseTuple) and self.unit.uniform(owner):
            index = self.read_as(value.index, types.int64)
            known = self.intervals.integer(value.index, types.int64)
            if known is None or known not in Interval(0, len(owner.types) - 1):
                index = f"{self.unit.helper('clamp')}({index}, {len(owner.types)})"
            return f"{self.read(value.value)}.f[{index}]"
        raise self.unit.fail(f"{owner} cannot be indexed by a variable on this device")

    def _static_getitem(self, value: ir.Expr, result: types.Type) -> Any:
        owner = strip(self.type_of(value.value))
        index = value.index
        if isinstance(owner, types.Record):
            label = index if isinstance(index, str) else by_offset(owner)[index]
            return self._field(value.value, label, result)
        if isinstance(owner, types.Array):
            return self._load(value.value, value.index_var, index, result)
        if not isinstance(index, int) or not isinstance(owner, types.BaseTuple):
            raise self.unit.fail(f"{owner} cannot be indexed by {index!r} on this device")
        index += len(owner.types) if index < 0 else 0
        shape_of = self._definition(value.value)
        if shape_of is not None and shape_of.op == "getattr" and shape_of.attr == "shape":
            self.pending.pop(value.value.name, None)
            return f"{self.read(shape_of.value)}.n{index}"
        text = f"{self.read(value.value)}.{self.unit.member(owner, index)}"
        return self.unit.cast(text, owner.types[index], result)

    def _definition(self, variable: ir.Var) -> ir.Expr | None:
        values = self.intervals.values.get(variable.name, [])
        return values[0] if len(values) == 1 and isinstance(values[0], ir.Expr) else None

    # -- memory ------------------------------------------------------------------------------------------

    def _index(self, index: ir.Var | None, constant: Any) -> list[tuple[str, bool]]:
        """Texts of an index's components, and whether each needs no wrap-around."""
        if constant is not None and isinstance(constant, int | tuple):
            items = constant if isinstance(constant, tuple) else (constant,)
            if all(isinstance(k, int) for k in items):
                return [(self.unit.constant(k, types.int64), k >= 0) for k in items]
        if index is None:
            raise self.unit.fail("arrays are indexed by integers in a kernel; write a loop for slices")
        kept = self.tuples.pop(index.name, None)
        if kept is not None:
            return [component for item in kept for component in self._index(item, None)]
        numba_type = strip(self.type_of(index))
        if isinstance(numba_type, types.Integer):
            return [(self.read_as(index, types.int64), self.intervals.nonnegative(index))]
        if isinstance(numba_type, types.BaseTuple) and all(isinstance(t, types.Integer) for t in numba_type.types):
            text = self.read(index)
            return [
                (self.unit.cast(f"{text}.{self.unit.member(numba_type, k)}", t, types.int64), not t.signed)
                for k, t in enumerate(numba_type.types)
            ]
        raise self.unit.fail("arrays are indexed by integers in a kernel; write a loop for slices and masks")

    def element(self, array: ir.Var, index: ir.Var | None, constant: Any = None) -> tuple[str, int]:
        """The offset of an element or row from an array's data, and the number of axes used."""
        numba_type = self.type_of(array)
        components = self._index(index, constant)
        if len(components) > numba_type.ndim:
            raise self.unit.fail(f"{len(components)} indices for an array with {numba_type.ndim} axes")
        text, unit = self.read(array), self.unit
        space = self.spaces.get(array.name, GLOBAL)
        offset = ""
        for axis in range(numba_type.ndim):
            term = ""
            if axis < len(components):
                term, nonnegative = components[axis]
                if not nonnegative:
                    term = f"{unit.helper('wrap')}({term}, {text}.n{axis})"
                if axis == 0 and space == GLOBAL:
                    term = f"({term} - {text}.first)"
            if numba_type.layout == "C" and offset:
                offset = f"{offset if enclosed(offset) else f'({offset})'} * {text}.n{axis}"
            elif numba_type.layout == "A" and term:
                term = f"{term} * {text}.s{axis}"
            offset = f"{offset} + {term}" if offset and term not in ("", "0") else offset or term
        return offset or "0", len(components)

    def _load(self, array: ir.Var, index: ir.Var | None, constant: Any, result: types.Type) -> tuple[str, bool, bool]:
        numba_type = self.type_of(array)
        if isinstance(constant, str):
            raise self.unit.fail(f"take the element first: a[i][{constant!r}] instead of a[{constant!r}][i]")
        offset, used = self.element(array, index, constant)
        if used < numba_type.ndim:
            return self._row(array, offset, used, result), False, False
        if isinstance(numba_type.dtype, types.Record):
            return f"({self.read(array)}.data + {offset})", False, False
        place = self._place(array, offset)
        return (f"({place} != 0)" if isinstance(numba_type.dtype, types.Boolean) else place), True, False

    def _place(self, array: ir.Var, offset: str) -> str:
        """An element of an array by its offset."""
        place = f"{self.read(array)}.data[{offset}]"
        return f"{place}.v" if self.spaces.get(array.name) == UNALIGNED else place

    def _row(self, array: ir.Var, offset: str, used: int, result: types.Array) -> str:
        source, text = self.type_of(array), self.read(array)
        space = self.spaces.get(array.name, GLOBAL)
        extents = [f"{text}.n{k}" for k in range(used, source.ndim)]
        if source.layout == "A":
            extents += [f"{text}.s{k}" for k in range(used, source.ndim)]
        return self.make_array(result, VIEW if space == GLOBAL else space, [f"{text}.data + {offset}", *extents])

    def item(self, container: ir.Var, position: str) -> str:
        """The element of a 1-D array or tuple at a position that is known to be inside."""
        numba_type, text = strip(self.type_of(container)), self.read(container)
        if isinstance(numba_type, types.BaseTuple):
            return f"{text}.f[{position}]"
        if numba_type.ndim != 1 or isinstance(numba_type.dtype, types.Record):
            raise self.unit.fail("a kernel loops over 1-D arrays of numbers; index with range(len(a)) instead")
        row = position if self.spaces.get(container.name, GLOBAL) != GLOBAL else f"({position} - {text}.first)"
        load = self._place(container, f"{row}{f' * {text}.s0' if numba_type.layout == 'A' else ''}")
        return f"({load} != 0)" if isinstance(numba_type.dtype, types.Boolean) else load

    def make_array(self, numba_type: types.Array, space: str, parts: Sequence[str]) -> str:
        """An array struct from its data pointer, extents and strides."""
        unit = self.unit
        ctype = unit.array(numba_type, space)
        labels = ["data", *(f"n{k}" for k in range(numba_type.ndim))]
        labels += [f"s{k}" for k in range(numba_type.ndim)] if numba_type.layout == "A" else []
        kinds = [unit.pointer(numba_type.dtype, space)] + ["i64"] * (len(labels) - 1)
        parameters = ", ".join(f"{kind} {label}" for kind, label in zip(kinds, labels, strict=True))
        assign = " ".join(f"a.{label} = {label};" for label in labels)
        unit.declarations.setdefault(
            f"{ctype}_make", f"DEVICE {ctype} {ctype}_make({parameters}) {{ {ctype} a; {assign} return a; }}"
        )
        return f"{ctype}_make({', '.join(parts)})"

    def _field(self, record: ir.Var, label: str, result: types.Type) -> tuple[str, bool, bool]:
        member = f"{self.read(record)}->{field_name(self.type_of(record), label)}"
        owner = self.type_of(record)
        inner = owner.fields[label].type
        if isinstance(inner, types.Record):
            return f"(&{member})", False, False
        if isinstance(inner, types.NestedArray):
            if isinstance(inner.dtype, types.Record):
                raise self.unit.fail("arrays of records inside records are not possible; use arrays of numbers")
            space = self._space_inside(owner, label)
            first = "[0]" * len(inner.shape)
            pointer = f"({self.unit.pointer(inner.dtype, space)})&{member}{first}"
            array = types.Array(inner.dtype, inner.ndim, "C")
            return self.make_array(array, space, [pointer, *(str(n) for n in inner.shape)]), False, False
        return (f"({member} != 0)" if isinstance(inner, types.Boolean) else member), True, False

    def _store(self, target: ir.Var, index: ir.Var | None, constant: Any, value: ir.Var) -> None:
        owner = strip(self.type_of(target))
        if isinstance(owner, types.Record) and isinstance(constant, str):
            place = f"{self.read(target)}->{field_name(owner, constant)}"
            inner = owner.fields[constant].type
            if isinstance(inner, types.NestedArray):
                self._store_array(place, inner, value)
                return
        elif isinstance(owner, types.Array):
            offset, used = self.element(target, index, constant)
            if used < owner.ndim:
                raise self.unit.fail("a kernel assigns one element at a time; write a loop over the row")
            place, inner = self._place(target, offset), owner.dtype
        else:
            raise self.unit.fail(f"{owner} cannot be assigned to in a kernel")
        if isinstance(inner, types.Record):
            if self.type_of(value) != inner:
                raise self.unit.fail(f"a record of {self.type_of(value)} is no record of {inner}; assign its fields")
            text = f"*{self.read(value)}"
        else:
            text = self.read_as(value, inner)
        self.flush(memory=True)
        self.emit(f"{place} = {text};")

    def _store_array(self, place: str, inner: types.NestedArray, value: ir.Var) -> None:
        """Assign to an array inside a record, from one of the same kind."""
        source = self._definition(value)
        label = source.attr if source is not None and source.op == "getattr" else getattr(source, "index", None)
        owner = self.type_of(source.value) if source is not None and isinstance(label, str) else None
        if not isinstance(owner, types.Record) or owner.fields[label].type != inner:
            raise self.unit.fail("assign the elements of an array inside a record one by one")
        self.flush(memory=True)
        ranges = "".join(f"for (int k{d} = 0; k{d} < {n}; ++k{d}) " for d, n in enumerate(inner.shape))
        flat = "k0"
        for d, n in enumerate(inner.shape[1:], 1):
            flat = f"({flat} * {n} + k{d})"
        self.emit(f"{ranges}{place}{''.join(f'[k{d}]' for d in range(inner.ndim))} = {self._place(value, flat)};")

    # -- calls -------------------------------------------------------------------------------------------

    def _call(self, value: ir.Expr, result: types.Type) -> Any:
        callee = self.type_of(value.func)
        if value in self.typed.callees:
            return self._call_kernel(value, self.typed.callees[value])
        signature = self.typed.calltypes[value]
        if isinstance(callee, types.NumberClass):
            return self.read_as(value.args[0], callee.instance_type)
        if isinstance(callee, types.ExceptionClass):
            raise self.unit.fail(NO_EXCEPTIONS)
        if isinstance(callee, types.NamedTupleClass):
            parts = [self.read_as(v, t) for v, t in zip(value.args, signature.return_type.types, strict=True)]
            return f"{self.unit.tuple(signature.return_type)}_make({', '.join(parts)})"
        if isinstance(callee, types.BoundFunction):
            method, owner = (
                callee.template.key.split(".")[-1] if isinstance(callee.template.key, str) else "",
                callee.this,
            )
            receiver = self._definition(value.func)
            if receiver is not None and method in ("conjugate", "item") and isinstance(owner, types.Number):
                operand = self.operand(receiver.value)
                conjugate = operators.call(self.unit, np.conjugate, [operand], result)
                return conjugate if method == "conjugate" else operand[0]
            raise self.unit.fail(f"the method `.{method}` of {owner} is not possible on this device")
        function = getattr(callee, "typing_key", None)
        if function in atomic.OPERATIONS:
            return self._atomic(value, function.__name__)
        if function in private.CONSTRUCTORS:
            return self._private(value, result)
        if function is len:
            return self._len(value.args[0])
        if value.kws:
            raise self.unit.fail("give this function its arguments by position")
        if not operators.known(function):  # nothing may be read twice
            if function is slice:
                raise self.unit.fail("arrays are indexed by integers in a kernel; write a loop for slices")
            return self._call_overload(value, function)
        text = operators.call(self.unit, function, self._operands(value, signature), signature.return_type)
        return self.unit.cast(text, signature.return_type, result)

    def _operands(self, value: ir.Expr, signature: Any) -> list[operators.Operand]:
        """The arguments of a call, cast to what it takes unless it takes them packed in a tuple."""
        arguments = [*value.args, *self._starred(value.vararg)]
        if len(signature.args) != len(arguments) or any(isinstance(t, types.BaseTuple) for t in signature.args):
            return [a if isinstance(a, tuple) else self.operand(a) for a in arguments]
        return [(self._given(a, t), strip(t)) for a, t in zip(arguments, signature.args, strict=True)]

    def _starred(self, variable: ir.Var | None) -> list[ir.Var | operators.Operand]:
        """The arguments that a call takes from a tuple: also those of every call with more than 30 of them."""
        if variable is None:
            return []
        return list(self.tuples.pop(variable.name, ())) or list(self._elements(variable))

    def _given(self, argument: ir.Var | operators.Operand, kind: types.Type) -> str:
        """An argument of a call, converted."""
        if isinstance(argument, ir.Var):
            return self.read_as(argument, kind)
        return self.unit.cast(argument[0], argument[1], kind)

    def _len(self, variable: ir.Var) -> str:
        numba_type = self.type_of(variable)
        if isinstance(numba_type, types.RangeType):
            return f"{self.unit.helper('range_length')}({', '.join(self.flow.range_of(variable))})"
        if isinstance(numba_type, types.Array):
            return f"{self.read(variable)}.n0"
        return str(len(numba_type.types))

    def _call_kernel(self, value: ir.Expr, callee: TypedFunction) -> tuple[str, bool, bool]:
        arguments = self._bind(value, callee)
        texts: list[str] = []
        spaces: list[str] = []
        known: list[Interval | None] = []
        for argument, kind in zip(arguments, callee.argtypes, strict=True):
            if isinstance(argument, ir.Var):
                spaces.append(self.spaces.get(argument.name, GLOBAL))
                known.append(self.intervals.integer(argument, kind))
                if not isinstance(kind, _COMPILE_TIME):
                    texts.append(self.read_as(argument, kind))
            else:
                spaces.append(GLOBAL)
                known.append(None)
                if isinstance(argument, _Default):
                    if not isinstance(kind, _COMPILE_TIME):
                        texts.append(self.unit.constant(argument.value, kind))
                else:
                    texts.append(self.unit.cast(argument[0], argument[1], kind))
        name = add_function(self.unit, callee, spaces, known)
        return f"{name}({', '.join(texts)})", True, True

    def _call_overload(self, value: ir.Expr, function: Any) -> tuple[str, bool, bool]:
        """A function that Numba has as Python code for these types: that code is rendered in turn."""
        line, name = self.unit.line, getattr(function, "__name__", str(function))
        try:
            implementation = overload(self.typed, value)
            if implementation is not None:
                return self._call_kernel(value, implementation)
        except (RenderFailure, TypingFailure):
            pass
        self.unit.line = line
        raise self.unit.fail(f"`{name}` is not available in kernels on this device; write it out")

    def _bind(self, value: ir.Expr, callee: TypedFunction) -> list[Any]:
        """The callee's arguments in its own order, defaults included."""
        code = callee.function.__code__
        labels = code.co_varnames[: code.co_argcount]
        given = [*value.args, *self._starred(value.vararg)]
        defaults = (_Default(v) for v in reversed(callee.function.__defaults__ or ()))
        bound = dict(zip(reversed(labels), defaults, strict=False))
        bound |= {**dict(zip(labels, given, strict=False)), **dict(value.kws)}
        if len(given) > len(labels):
            raise self.unit.fail("kernel functions take a fixed number of arguments")
        return [bound[label] for label in labels]

    def _private(self, value: ir.Expr, result: types.Array) -> tuple[str, bool, bool]:
        """An array in the work-item's own memory."""
        shape = private_shape(self.typed.calltypes[value].args[0])
        assert shape is not None
        function = self.type_of(value.func).typing_key
        name, count = self.fresh("own", ""), math.prod(shape)
        self.arrays.append(f"    {self.unit.memory(result.dtype)} {name}[{count}];")
        if function is not private.private_empty:
            text = self.unit.constant(0, result.dtype)
            if function is private.private_full:
                text = self.read_as(value.args[1], result.dtype)
            self.emit(f"for (int k = 0; k < {count}; ++k) {name}[k] = {text};")
        return self.make_array(result, PRIVATE, [name, *(str(n) for n in shape)]), False, True

    def _atomic(self, value: ir.Expr, name: str) -> tuple[str, bool, bool]:
        array, index, *values = value.args
        if self.spaces.get(array.name) == PRIVATE:
            raise self.unit.fail("atomics are for shared arrays; a private array needs none: assign to it")
        if self.spaces.get(array.name) == UNALIGNED:
            raise self.unit.fail("this array is not aligned in its record; make the dtype with np.dtype(…, align=True)")
        element = self.type_of(array).dtype
        offset, _ = self.element(array, index)
        texts = [f"{self.read(array)}.data + {offset}", *(self.read_as(v, element) for v in values)]
        return f"{atomic_helper(self.unit, name, self.unit.scalar(element))}({', '.join(texts)})", True, True


def _is_call(value: Any) -> bool:
    return isinstance(value, ir.Expr) and value.op == "call"


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
