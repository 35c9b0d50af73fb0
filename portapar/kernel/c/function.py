"""Typed kernels as C text: statements, expressions and functions, for OpenCL C and CUDA C.

`render` gives the text of functions alone; `portapar.kernel.c.entries` adds the entries that run them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import ir, types

from portapar.kernel.c import operators
from portapar.kernel.c.atomics import atomic_helper
from portapar.kernel.c.columns import columns_helper
from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.flow import NO_EXCEPTIONS, Flow
from portapar.kernel.c.intervals import Interval, coarse
from portapar.kernel.c.memory import Memory
from portapar.kernel.c.temporaries import COMPILE_TIME
from portapar.kernel.c.unit import (
    GLOBAL,
    PRIVATE,
    UNALIGNED,
    RenderFailure,
    Unit,
    by_offset,
    scalar_name,
    strip,
)
from portapar.kernel.front import atomic, private
from portapar.kernel.jit import intrinsics, loops
from portapar.kernel.jit.llvm import private_shape
from portapar.kernel.jit.typing import TypedFunction, TypingFailure, dtype_of, numba_type, overload

__all__ = ["RenderFailure", "add_function", "render"]

# What is said of the loop before: the same as to LLVM (`portapar.kernel.jit.loops`).
_HINTS = {
    # an array of lanes becomes one vector, in registers
    loops.lanes_apart: "clang loop vectorize(assume_safety) vectorize_width(@N)",
    loops.steps_apart: "clang loop vectorize(assume_safety)",
    loops.few: "clang loop vectorize(disable) unroll(disable)",
    loops.one_round_: "clang loop unroll(disable)",
}


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


@dataclass
class _Default:
    """The value of an argument that is not given."""

    value: Any


class _Function(Memory):
    def __init__(
        self,
        unit: Unit,
        typed: TypedFunction,
        spaces: tuple[str, ...],
        known: tuple[Interval | None, ...],
        name: str,
    ) -> None:
        super().__init__(unit, typed, known, spaces)
        self.name = name
        self.arrays: list[str] = []
        self.places: dict[Any, str] = {}  #: of private arrays that share their memory
        self.returned = scalar_name(typed.return_type) or ""
        self.flow = Flow(self)

    # -- the function ------------------------------------------------------------------------------------

    def text(self) -> str:
        unit, typed = self.unit, self.typed
        unit.line = typed.function.__code__.co_firstlineno
        names = typed.func_ir.arg_names
        parameters = [self._parameter(k, n) for k, n in enumerate(names)]
        result = unit.value(typed.return_type, self._returned()) if typed.return_type != types.none else "void"
        body = self.flow.render()
        unit.costs[self.name] = self.flow.cost
        declared = [f"    {ctype} {name};" for name, ctype in self.locals.items()]
        head = f"DEVICE {result} {self.name}({', '.join(p for p in parameters if p)})"
        return "\n".join([head + " {", *declared, *self.arrays, *body, "}"]) + "\n"

    def _parameter(self, index: int, label: str) -> str:
        numba_type = self.typed.argtypes[index]
        if isinstance(numba_type, COMPILE_TIME):
            return ""
        values = self.intervals.values.get(label, [])
        once = len(values) == 1 and isinstance(values[0], ir.Arg)
        name = self.c_name(label) if once else f"argument{index}"
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
            self.store(statement.target, index, constant, statement.value)
        elif isinstance(statement, ir.SetAttr):
            self.store(statement.target, None, statement.attr, statement.value)
        elif not isinstance(statement, ir.Del):
            raise self.unit.fail(f"this statement is not possible on this device ({type(statement).__name__})")

    def _assign(self, target: ir.Var, value: Any) -> None:
        numba_type = self.type_of(target)
        if isinstance(value, ir.Arg):
            given = self.typed.argtypes[value.index]
            if isinstance(given, types.Omitted):
                self.write(target, self.unit.constant(given.value, numba_type), False, True)
            elif not isinstance(numba_type, COMPILE_TIME) and target.name not in self.names:
                self.write(target, f"argument{value.index}", False, True)
            return
        if isinstance(value, ir.Expr | ir.Var) and self.flow.iteration(target, value):
            return
        if isinstance(numba_type, COMPILE_TIME) and not _is_call(value):
            return
        if isinstance(value, ir.Const | ir.Global | ir.FreeVar):
            if self.intervals.constant(target) is None:
                self.write(target, self.unit.constant(value.value, numba_type), False, False)
            return
        if isinstance(value, ir.Var):
            if not isinstance(self.type_of(value), COMPILE_TIME):
                self.write(target, self.read_as(value, numba_type), False, False)
            return
        if value.op == "null":
            return
        if value.op == "build_tuple" and target.name in self.indices:
            return
        if value.op == "build_tuple" and target.name in self.inline:
            self.tuples[target.name] = list(value.items)
            return
        if _is_call(value) and (hint := _HINTS.get(getattr(self.type_of(value.func), "typing_key", None))):
            self.flow.hint(hint)
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
            return self._tuple_binop(function, value, result)
        none = [isinstance(t, types.NoneType) for t in signature.args]
        if any(none):
            identity = function in (operator.is_, operator.is_not)
            if identity and not any(isinstance(t, types.Optional) for t in signature.args):
                return "true" if all(none) is (function is operator.is_) else "false"
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

    def _tuple_binop(self, function: Any, value: ir.Expr, result: types.Type) -> str:
        """Whether a tuple or a range holds a value; what comes of two tuples."""
        kinds = [strip(self.type_of(v)) for v in (value.lhs, value.rhs)]
        if function is operator.contains and isinstance(kinds[0], types.RangeType):
            item = self.read_as(value.rhs, types.int64)
            return f"{self.unit.helper('range_holds')}({', '.join(self.flow.range_of(value.lhs))}, {item})"
        if function is operator.contains:
            right = self.operand(value.rhs)
            tests = [self._equal(element, right) for element in self._elements(value.lhs)]
            return f"({' || '.join(tests)})" if tests else "false"
        if not all(isinstance(t, types.BaseTuple) for t in kinds):
            raise self.unit.fail("tuples and ranges cannot be computed with here; use their elements")
        first, second = self._elements(value.lhs), self._elements(value.rhs)
        if function in (operator.eq, operator.ne):
            text = self._all_equal(first, second)
            return f"(!{text})" if function is operator.ne else text
        if function in (operator.lt, operator.le, operator.gt, operator.ge):
            return self._ordered(function, first, second)
        whole: Any = strip(result)
        if function not in (operator.add, operator.iadd) or not all(isinstance(t, types.Number) for t in whole.types):
            raise self.unit.fail("tuples cannot be computed with here; use their elements")
        parts = [self.unit.cast(*part, kind) for part, kind in zip([*first, *second], whole.types, strict=True)]
        return f"{self.unit.tuple(whole)}_make({', '.join(parts)})"

    def _ordered(self, function: Any, left: list[operators.Operand], right: list[operators.Operand]) -> str:
        """Two tuples compare as their first elements that differ do, else as their lengths."""
        text = "true" if function(len(left), len(right)) else "false"
        for a, b in reversed(list(zip(left, right, strict=False))):
            tuples = [isinstance(t, types.BaseTuple) for _, t in (a, b)]
            if any(tuples) and not all(tuples):
                raise self.unit.fail("a tuple is compared with a number; use its elements")
            if all(tuples):
                other = self._ordered(function, self._parts(*a), self._parts(*b))
            else:
                other = self._compared(function, a, b)
            text = f"({self._equal(a, b)} ? {text} : {other})"
        return text

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
        return self._compared(operator.eq, a, b)

    def _compared(self, function: Any, a: operators.Operand, b: operators.Operand) -> str:
        """A comparison of two numbers of any types."""
        if a[1] != b[1] and not all(isinstance(t, types.Integer) for _, t in (a, b)):
            common = numba_type(np.result_type(*(dtype_of(t) for _, t in (a, b))))
            a, b = ((self.unit.cast(*operand, common), common) for operand in (a, b))
        return operators.binary(self.unit, function, a, b, types.boolean)

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
        if isinstance(strip(self.type_of(value.value)), types.Array):
            raise self.unit.fail("it takes an array apart; write its elements one by one: a, b = r['x'][0], r['x'][1]")
        return self.read(value.value)

    def _build_tuple(self, value: ir.Expr, result: types.BaseTuple) -> str:
        return self.tuple_of(value.items, result)

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
            return self.field(value.value, value.attr, result)
        if isinstance(owner, types.NamedTuple | types.NamedUniTuple) and value.attr in owner.fields:
            return f"{self.read(value.value)}.{self.unit.member(owner, owner.fields.index(value.attr))}"
        if isinstance(owner, types.Number) and value.attr in ("real", "imag"):
            if not isinstance(owner, types.Complex):
                return self.read(value.value) if value.attr == "real" else self.unit.constant(0, result)
            return f"{self.read(value.value)}.{'re' if value.attr == 'real' else 'im'}"
        raise self.unit.fail(f"`.{value.attr}` of {owner} is not possible on this device")

    def _getitem(self, value: ir.Expr, result: types.Type) -> Any:
        if isinstance(strip(self.type_of(value.value)), types.Array):
            return self.load(value.value, value.index, None, result)
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
            return self.field(value.value, label, result)
        if isinstance(owner, types.Array):
            return self.load(value.value, value.index_var, index, result)
        if not isinstance(index, int) or not isinstance(owner, types.BaseTuple):
            raise self.unit.fail(f"{owner} cannot be indexed by {index!r} on this device")
        index += len(owner.types) if index < 0 else 0
        shape_of = self.definition(value.value)
        if shape_of is not None and shape_of.op == "getattr" and shape_of.attr == "shape":
            self.pending.pop(value.value.name, None)
            return f"{self.read(shape_of.value)}.n{index}"
        text = f"{self.read(value.value)}.{self.unit.member(owner, index)}"
        return self.unit.cast(text, owner.types[index], result)

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
            receiver = self.definition(value.func)
            if receiver is not None and method in ("conjugate", "item") and isinstance(owner, types.Number):
                operand = self.operand(receiver.value)
                conjugate = operators.call(self.unit, np.conjugate, [operand], result)
                return conjugate if method == "conjugate" else operand[0]
            method = getattr(receiver, "attr", method)
            raise self.unit.fail(f"the method `.{method}` of {owner} is not possible on this device: write a loop")
        function = getattr(callee, "typing_key", None)
        if function in atomic.OPERATIONS:
            return self._atomic(value, function.__name__)
        if function in private.CONSTRUCTORS:
            return self._private(value, result)
        if function is len:
            return self._len(value.args[0])
        if function in (intrinsics.kept, intrinsics.nonneg):
            return self.read_as(value.args[0], result)
        if function is not None and hasattr(function, "width"):
            return self._columns(value, function.width, function.ahead)
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
                if not isinstance(kind, COMPILE_TIME):
                    texts.append(self.read_as(argument, kind))
            else:
                spaces.append(GLOBAL)
                known.append(None)
                if isinstance(argument, _Default):
                    if not isinstance(kind, COMPILE_TIME):
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
        function, count = self.type_of(value.func).typing_key, math.prod(shape)
        key = None
        if function is private.private_like:
            key = self.typed.calltypes[value].args[2].literal_value, result.dtype, count
        name = self.places.get(key) or self.fresh("own", "")
        if key is None or key not in self.places:
            self.arrays.append(f"    {self.unit.memory(result.dtype)} {name}[{count}];")
        if key is not None:
            self.places[key] = name
        elif function is private.private_filled:
            owner = self.type_of(value.args[1])
            for k, one in enumerate(owner.types):
                text = self.unit.cast(f"{self.read(value.args[1])}.{self.unit.member(owner, k)}", one, result.dtype)
                self.emit(f"{name}[{k}] = {text};")
        elif function is not private.private_empty:
            text = self.unit.constant(0, result.dtype)
            if function is private.private_full:
                text = self.read_as(value.args[1], result.dtype)
            self.emit(f"for (int k = 0; k < {count}; ++k) {name}[k] = {text};")
        return self.make_array(result, PRIVATE, [name, *(str(n) for n in shape)]), False, True

    def _columns(self, value: ir.Expr, width: int, ahead: int) -> tuple[str, bool, bool]:
        """Rows of an array from a number on, or from an element on, as columns of a private array."""
        columns, lane, array, first = value.args[:4]
        if self.spaces.get(array.name) != GLOBAL:
            raise self.unit.fail("rows are turned where they are an argument's")
        source, start = self.read(array), self.read_as(first, types.int64)
        row = " * ".join(["1", *(f"{source}.n{k}" for k in range(1, self.type_of(array).ndim))])
        start = f"{start} * {width}" if width else start
        to, last = self.read(columns), self.type_of(columns).ndim - 1
        name = columns_helper(self.unit, self.type_of(array).dtype, width, ahead)
        stride = "0" if width else self.read_as(value.args[4], types.int64)
        given = f"{to}.data + {self.read_as(lane, types.int64)}, {to}.n{last}"
        return f"{name}({given}, {source}.data + ({start} - {source}.first * {row}), {stride})", True, True

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
