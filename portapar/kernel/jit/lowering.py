"""Numba's lowering of a function's IR to LLVM, but for what `numbers` has code for."""

from __future__ import annotations

import math
import operator
import re
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from portapar.kernel.jit import complexes, loops
from portapar.kernel.jit.numbers import CODES, Code, Place, code_of, float_power, integer_power, rounded, whole_rounded
from portapar.kernel.jit.typing import ufunc_operand_types

_OPERATORS = {
    getattr(operator, name): name
    for name in ("add", "sub", "mul", "lshift", "rshift", "floordiv", "mod", "truediv", "pow")
}

_FUNCTIONS: dict[Any, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.left_shift: "lshift", np.right_shift: "rshift",
    np.floor_divide: "floordiv", np.remainder: "mod", np.fmod: "fmod", np.divide: "truediv", np.power: "pow",
    np.cbrt: "cbrt", np.sign: "sign", np.reciprocal: "reciprocal", np.square: "square", pow: "pow",
    **{getattr(np, re.sub("^a(?=cos|sin|tan)", "arc", f.__name__)): f.__name__ for f in complexes.FUNCTIONS},
    math.pow: "pow of floats", divmod: "divmod", np.divmod: "divmod",
    min: "min", max: "max", int: "cast", float: "cast", round: "round", np.round: "round", np.around: "round",
}  # fmt: skip

_ROUNDED = (round, np.round, np.around, math.floor, math.ceil, math.trunc)  #: that change no whole number

_COMPARISONS = {
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip

_SIGNS = {operator.neg: ("neg", "fneg"), operator.invert: ("not_", "")}


class Lower(loops.Lower):
    """Numba's lowering of a function's IR to LLVM, but for what the tables have."""

    def _number(self, code: Code, result: Any, kinds: Any, values: Any, constant: Any = None) -> Any:
        """Values of these kinds, cast to what is computed with, and the result."""
        place = Place(self.context, self.builder, kinds[-1])
        apart = code in (integer_power, float_power) and isinstance(kinds[-1], types.Integer)
        apart |= code in (CODES["lshift", "i"], CODES["rshift", "i"], whole_rounded)
        apart |= code is rounded and len(values) == 2
        wanted = [result] * (len(values) - 1) + [kinds[-1] if apart else result]
        values = [self.context.cast(self.builder, *each) for each in zip(values, kinds, wanted, strict=True)]
        return code(place, result, values, constant)

    def lower_expr(self, resty: Any, expr: Any) -> Any:
        if expr.op == "unary" and (expr.fn in _SIGNS or expr.fn is operator.pos):
            signature = self.fndesc.calltypes[expr]
            result = signature.return_type
            if expr.fn is operator.pos and signature.args[0] == result:
                return self.context.cast(self.builder, self._cast_var(expr.value, result), result, resty)
            if signature.args[0] == result and isinstance(result, types.Integer | types.Float):
                value = self._cast_var(expr.value, result)
                value = getattr(self.builder, _SIGNS[expr.fn][isinstance(result, types.Float)])(value)
                return self.context.cast(self.builder, value, result, resty)
        return super().lower_expr(resty, expr)

    def lower_binop(self, resty: Any, expr: Any, op: Any) -> Any:
        signature = self.fndesc.calltypes[expr]
        if op in _COMPARISONS and [getattr(kind, "signed", None) for kind in signature.args] in ([0, 1], [1, 0]):
            values = [self._cast_var(*each) for each in zip((expr.lhs, expr.rhs), signature.args, strict=True)]
            return self._compared(op, values, signature.args)
        code = code_of(_OPERATORS.get(op, ""), signature.return_type)
        if code is None or not all(isinstance(kind, types.Number | types.Boolean) for kind in signature.args):
            return super().lower_binop(resty, expr, op)
        values = [self._cast_var(*each) for each in zip((expr.lhs, expr.rhs), signature.args, strict=True)]
        constant = getattr(self.typeof(expr.rhs.name), "literal_value", None)
        found = self._number(code, signature.return_type, signature.args, values, constant)
        return self.context.cast(self.builder, found, signature.return_type, resty)

    def _compared(self, op: Any, values: Any, kinds: Any) -> Any:
        """A signed and an unsigned integer, exactly."""
        builder, signed = self.builder, 0 if kinds[0].signed else 1
        negative = builder.icmp_signed("<", values[signed], values[signed].type(0))
        always = op is operator.ne or op in ((operator.lt, operator.le), (operator.gt, operator.ge))[signed]
        found = builder.icmp_unsigned(_COMPARISONS[op], *values)
        return builder.select(negative, ir.Constant(ir.IntType(1), int(always)), found)

    def _lower_call_normal(self, fnty: Any, expr: Any, signature: Any) -> Any:
        function = getattr(fnty, "typing_key", None)
        kinds = signature.args
        try:
            name = _FUNCTIONS.get(function)
        except TypeError:
            name = None
        plain = not expr.kws and not expr.vararg and len(kinds) == len(expr.args)
        if name in ("min", "max"):
            plain &= len(kinds) > 1 and all(kind == signature.return_type for kind in kinds)
        if function is round and not isinstance(kinds[0], types.Integer):
            name = None
        if len(kinds) == 1 and isinstance(kinds[0], types.Integer) and function in _ROUNDED:
            name = "cast"
        if name is None or not plain or not all(isinstance(kind, types.Number | types.Boolean) for kind in kinds):
            return super()._lower_call_normal(fnty, expr, signature)
        values = [self._cast_var(*each) for each in zip(expr.args, kinds, strict=True)]
        result = signature.return_type
        constant = getattr(self.typeof(expr.args[-1].name), "literal_value", None)
        if isinstance(function, np.ufunc):
            loop = ufunc_operand_types(function, kinds)
            values = [self.context.cast(self.builder, *each) for each in zip(values, kinds, loop, strict=True)]
            kinds = loop
            if name == "pow":
                constant = None if isinstance(loop[1], types.Float) else constant
        if name == "cast":
            return self.context.cast(self.builder, values[0], kinds[0], result)
        if name in ("min", "max"):
            return self._extremum(name, result, values)
        if name == "divmod":
            element = result.dtype
            codes = [code_of(part, element) for part in ("floordiv", "mod")]
            parts = [self._number(code, element, kinds, values) for code in codes if code]
            return self.context.make_tuple(self.builder, result, parts)
        if name == "square":
            name, kinds, values = "mul", kinds * 2, values * 2
        code = code_of(name, result)
        if code is None:
            return super()._lower_call_normal(fnty, expr, signature)
        return self._number(code, result, kinds, values, constant)

    def _extremum(self, name: str, result: Any, values: Any) -> Any:
        """As Python does it: of numbers that are alike the first, and NaN if it is that."""
        compare = self.builder.fcmp_ordered
        if isinstance(result, types.Integer):
            compare = self.builder.icmp_signed if result.signed else self.builder.icmp_unsigned
        found = values[0]
        for value in values[1:]:
            found = self.builder.select(compare("<" if name == "min" else ">", value, found), value, found)
        return found

    def lower_getitem(self, resty: Any, expr: Any, value: Any, index: Any, signature: Any) -> Any:
        """An element of a tuple whose elements are alike: beyond its ends that at the end."""
        kind = signature.args[0]
        if not isinstance(kind, types.UniTuple | types.NamedUniTuple) or not len(kind):
            return super().lower_getitem(resty, expr, value, index, signature)
        builder, count = self.builder, len(kind)
        items, k = self._cast_var(value, kind), self._cast_var(index, types.intp)
        k = builder.select(builder.icmp_signed("<", k, k.type(0)), builder.add(k, k.type(count)), k)
        k = builder.select(builder.icmp_signed("<", k, k.type(0)), k.type(0), k)
        end = builder.append_basic_block("item.end")
        last = builder.append_basic_block("item.last")
        switch, found = builder.switch(k, last), []
        for place in range(count):
            block = last if place == count - 1 else builder.append_basic_block("item")
            if block is not last:
                switch.add_case(k.type(place), block)
            builder.position_at_end(block)
            found.append((builder.extract_value(items, place), block))
            builder.branch(end)
        builder.position_at_end(end)
        item = builder.phi(self.context.get_value_type(kind.dtype))
        for each in found:
            item.add_incoming(*each)
        return self.context.cast(builder, item, kind.dtype, resty)
