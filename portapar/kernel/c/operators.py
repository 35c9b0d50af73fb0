"""Operators and functions on values: from operand texts and Numba types to C expressions."""

from __future__ import annotations

import cmath
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba.core import types

from portapar.kernel.c.dialect import HELPERS
from portapar.kernel.c.unit import Unit, strip
from portapar.kernel.front.rows import row_number
from portapar.kernel.jit.typing import ufunc_operand_types

__all__ = ["Operand", "binary", "call", "unary"]

Operand = tuple[str, types.Type]

_INFIX = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.and_: "&", operator.or_: "|",
    operator.xor: "^", operator.lshift: "<<", operator.rshift: ">>", operator.lt: "<", operator.le: "<=",
    operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_ARITHMETIC = {operator.add, operator.sub, operator.mul}
_BITWISE = {operator.and_, operator.or_, operator.xor}
SHIFTS = {operator.lshift, operator.rshift}
_COMPARISONS = {operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne}
_COMPLEX = {operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.truediv: "div",
            operator.pow: "pow"}  # fmt: skip


def binary(unit: Unit, function: Any, a: Operand, b: Operand, result: types.Type, *, plain: bool = False) -> str:
    """An operator of `operator` on two operands that are already of the types at which it works.

    Integers wrap at the width of their type: sums and products are computed unsigned, since in C signed ones that
    overflow have no meaning. `plain` says that none can overflow, or that a shift is by less than the width.
    """
    if function in _COMPARISONS:
        return _compare(unit, function, a, b)
    result = strip(result)
    x, ctype = unit.cast(*a, result), unit.scalar(result)
    if function in SHIFTS:
        return _shift(unit, function, x, b, ctype, plain)
    if function is operator.pow:
        return _power(unit, a, b, result)
    y = unit.cast(*b, result)
    if ctype[0] == "c":
        if function not in _COMPLEX:
            raise unit.fail("complex numbers have no // and %; take .real first")
        return f"{unit.helper('complex_' + _COMPLEX[function], ctype)}({x}, {y})"
    if function in _BITWISE:
        return f"({x} {_INFIX[function]} {y})"
    if function in _ARITHMETIC:
        text = f"({x} {_INFIX[function]} {y})"
        # Literals are as wide as an int, and so are sums of what is narrower.
        if ctype in ("f32", "f64", "u64", "u32") or (plain and ctype != "bool" and not (_literal(x) and _literal(y))):
            return text
        wide = "" if ctype == "bool" else f"({_unsigned(ctype)})"
        return f"({ctype})({wide}{x} {_INFIX[function]} {wide}{y})"
    if function is operator.truediv:
        return f"({x} / {y})"
    if function in (operator.floordiv, operator.mod):
        kind = {"f": "float", "i": "signed", "u": "unsigned", "b": "unsigned"}[ctype[0]]
        name = "floordiv" if function is operator.floordiv else "mod"
        return f"{unit.helper(f'{name}_{kind}', ctype)}({x}, {y})"
    raise unit.fail(f"`{getattr(function, '__name__', function)}` is not possible on this device")


def _unsigned(ctype: str) -> str:
    """The type in which integers of a type are computed."""
    return "u64" if ctype.endswith("64") else "u32"


def _literal(text: str) -> bool:
    return text.strip("()-").isdigit()


def width(numba_type: types.Type) -> int:
    """The number of bits of an integer type."""
    return getattr(strip(numba_type), "bitwidth", 64)


def _shift(unit: Unit, function: Any, x: str, count: Operand, ctype: str, plain: bool) -> str:
    y = count[0]
    if not plain:
        name = "lshift" if function is operator.lshift else "rshift_signed" if ctype[0] == "i" else "rshift_unsigned"
        return f"{unit.helper(name, ctype)}({x}, (u64){y})"
    if function is operator.lshift:
        return f"({ctype})(({_unsigned(ctype)}){x} << {y})"
    return f"(({ctype}){x} >> {y})" if _literal(x) else f"({x} >> {y})"


def _compare(unit: Unit, function: Any, a: Operand, b: Operand) -> str:
    x, y = unit.scalar(a[1]), unit.scalar(b[1])
    if "c" in (x[0], y[0]):
        equal = f"({a[0]}.re == {b[0]}.re && {a[0]}.im == {b[0]}.im)"
        return equal if function is operator.eq else f"(!{equal})"
    if {x[0], y[0]} == {"i", "u"}:
        name = function.__name__
        if x[0] == "u":
            a, b = b, a
            name = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(name, name)
        return f"{unit.helper(f'{name}_signed_unsigned')}({a[0]}, {b[0]})"
    return f"({a[0]} {_INFIX[function]} {b[0]})"


def _power(unit: Unit, a: Operand, b: Operand, result: types.Type) -> str:
    ctype, exponent = unit.scalar(result), unit.scalar(b[1])
    x = unit.cast(*a, result)
    if ctype[0] == "c":
        return f"{unit.helper('complex_pow', ctype)}({x}, {unit.cast(*b, result)})"
    if ctype[0] in "iu":
        name = "pow_int" if exponent[0] == "i" else "pow_int_unsigned"
        return f"{unit.helper(name, ctype)}({x}, {b[0]})"
    if exponent[0] in "iub" and _literal(b[0]) and (n := int(b[0].strip("()"))) in _PRODUCTS:
        if n == 2 and x.isidentifier():
            return f"({x} * {x})"
        return f"{unit.helper(f'pow_{n}'.replace('-', 'm'), ctype)}({x})"
    return f"{unit.math('pow', ctype)}({x}, {unit.cast(*b, result)})"


_PRODUCTS = {-2, -1, 2, 3, 4}  # exponents for which there is no need of pow


def unary(unit: Unit, function: Any, a: Operand, result: types.Type) -> str:
    """An operator of `operator` on one operand; negation and inversion come before any widening."""
    ctype = unit.scalar(a[1])
    if function is operator.not_:
        return f"(!{unit.cast(*a, types.boolean)})"
    if function is operator.pos:
        return unit.cast(*a, result)
    if ctype[0] == "c":
        return f"{ctype}_make(-{a[0]}.re, -{a[0]}.im)"
    if function is operator.neg:
        if ctype[0] == "f":
            return f"(-{a[0]})"
        if ctype == "bool":
            return f"(-({unit.scalar(result)}){a[0]})"
        return unit.cast(f"({ctype})(0 - ({_unsigned(ctype)}){a[0]})", a[1], result)
    if function is operator.invert:
        if ctype == "bool":
            return f"(!{a[0]})"
        return unit.cast(f"({ctype})(~{a[0]})", a[1], result)
    raise unit.fail(f"`{getattr(function, '__name__', function)}` is not possible on this device")

# C name: the names that math and NumPy have for it. All work in the result's float type.
_LIBM: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in (
        "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh",
        "tanh", "hypot", "fabs", "floor", "ceil", "trunc", "rint", "copysign", "cbrt", "nextafter", "erf",
        "erfc", "lgamma", "fmod",
    )},
    "tgamma": ("gamma",), "pow": ("pow", "float_power"), "asin": ("asin", "arcsin"), "acos": ("acos", "arccos"),
    "atan": ("atan", "arctan"), "atan2": ("atan2", "arctan2"), "asinh": ("asinh", "arcsinh"),
    "acosh": ("acosh", "arccosh"), "atanh": ("atanh", "arctanh"),
}  # fmt: skip
_PREDICATES = {"isnan": "false", "isinf": "false", "isfinite": "true"}
_HELPERS = {
    # function: helper for floats, for signed and for unsigned integers, for complex numbers
    np.minimum: ("np_minimum", "py_min", "py_min", "complex_minimum"),
    np.maximum: ("np_maximum", "py_max", "py_max", "complex_maximum"),
    np.fmin: ("np_fmin", "py_min", "py_min", "complex_fmin"), np.fmax: ("np_fmax", "py_max", "py_max", "complex_fmax"),
    np.sign: ("sign", "sign", "sign_unsigned", "complex_sign"), np.gcd: (None, "gcd", "gcd", None),
    math.gcd: (None, "gcd", "gcd", None), np.lcm: (None, "lcm", "lcm", None),
    np.logaddexp: ("logaddexp", None, None, None),
}  # fmt: skip
_UFUNC_OPERATORS = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.divide: operator.truediv,
    np.floor_divide: operator.floordiv, np.remainder: operator.mod, np.power: operator.pow,
    np.bitwise_and: operator.and_, np.bitwise_or: operator.or_, np.bitwise_xor: operator.xor,
    np.left_shift: operator.lshift, np.right_shift: operator.rshift, np.less: operator.lt,
    np.less_equal: operator.le, np.greater: operator.gt, np.greater_equal: operator.ge,
    np.equal: operator.eq, np.not_equal: operator.ne,
}  # fmt: skip
_UFUNC_UNARY = {np.negative: operator.neg, np.positive: operator.pos, np.invert: operator.invert}

Handler = Callable[[Unit, list[Operand], types.Type], str]
_HANDLERS: dict[Any, Handler] = {}


def known(function: Any) -> bool:
    """Whether there is a rule for a function of Python, math or NumPy."""
    return function in _HANDLERS


def call(unit: Unit, function: Any, arguments: Sequence[Operand], result: types.Type) -> str:
    """A call of a function that is `known`, on scalars."""
    handler = _HANDLERS[function]
    result = strip(result)
    operands = [(text, strip(numba_type)) for text, numba_type in arguments]
    if isinstance(function, np.ufunc):
        if not all(isinstance(t, types.Number | types.Boolean) for _, t in operands):
            raise unit.fail(f"np.{function.__name__} works on numbers here; write the loop over the elements")
        loop = ufunc_operand_types(function, tuple(t for _, t in operands))
        operands = [(unit.cast(x, t, to), to) for (x, t), to in zip(operands, loop, strict=False)]
    return handler(unit, operands, result)


def _libm(name: str) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        if isinstance(operands[0][1], types.Complex):
            return _complex_call(unit, name, operands, result)
        if name == "fmod" and isinstance(result, types.Integer):
            texts = [unit.cast(*operand, result) for operand in operands]
            return f"{unit.helper('fmod_int', unit.scalar(result))}({', '.join(texts)})"
        if isinstance(operands[0][1], types.Integer) and isinstance(result, types.Integer):
            return unit.cast(*operands[0], result)  # the floor of an integer
        working = result if isinstance(result, types.Float) else operands[0][1]
        texts = [unit.cast(*operand, working) for operand in operands]
        ctype = unit.scalar(working)
        return unit.cast(f"{unit.math(name, ctype)}({', '.join(texts)})", working, result)

    return handler


def _complex_call(unit: Unit, name: str, operands: list[Operand], result: types.Type) -> str:
    if f"complex_{name}" not in HELPERS:
        raise unit.fail(f"`{name}` of a complex number is not possible on this device")
    texts = [unit.cast(*operand, result) for operand in operands]
    return f"{unit.helper('complex_' + name, unit.scalar(result))}({', '.join(texts)})"


def _predicate(name: str) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        text, numba_type = operands[0]
        if isinstance(numba_type, types.Complex):
            joint = " && " if name == "isfinite" else " || "
            return "(" + joint.join(f"({name}({text}.{part}) != 0)" for part in ("re", "im")) + ")"
        return f"({name}({text}) != 0)" if isinstance(numba_type, types.Float) else _PREDICATES[name]

    return handler


def _helper(names: tuple[str | None, str | None, str | None, str | None]) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        ctype = unit.scalar(result)
        name = names[{"f": 0, "i": 1, "c": 3}.get(ctype[0], 2)]
        if name is None:
            raise unit.fail(f"this function is not possible for {result} on this device")
        texts = [unit.cast(*operand, result) for operand in operands]
        return f"{unit.helper(name, ctype)}({', '.join(texts)})"

    return handler


def _extremum(name: str) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        if len(operands) == 1:
            ((text, numba_type),) = operands  # a tuple
            operands = [(f"{text}.{unit.member(numba_type, k)}", t) for k, t in enumerate(numba_type.types)]
        text = unit.cast(*operands[0], result)
        for operand in operands[1:]:
            text = f"{unit.helper(name, unit.scalar(result))}({text}, {unit.cast(*operand, result)})"
        return text

    return handler


def _cast(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    if len(operands) == 2:
        part = types.float32 if result == types.complex64 else types.float64
        return f"{unit.scalar(result)}_make({', '.join(unit.cast(*o, part) for o in operands)})"
    return unit.cast(*operands[0], result) if operands else unit.constant(0, result)


def _abs(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    text, numba_type = operands[0]
    ctype = unit.scalar(numba_type)
    if ctype[0] == "c":
        return f"{unit.helper('complex_abs', ctype)}({text})"
    if ctype[0] == "f":
        return f"{unit.math('fabs', ctype)}({text})"
    return f"{unit.helper('abs_int', ctype)}({text})" if ctype[0] == "i" else text


def _round(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    text, numba_type = operands[0]
    ctype = unit.scalar(numba_type)
    if ctype[0] == "c":
        part = types.float32 if numba_type == types.complex64 else types.float64
        parts = [_round(unit, [(f"{text}.{name}", part), *operands[1:]], part) for name in ("re", "im")]
        return f"{ctype}_make({', '.join(parts)})"
    if ctype[0] != "f":
        text = unit.cast(text, numba_type, result)
        if len(operands) == 1:
            return text
        return f"{unit.helper('round_int', unit.scalar(result))}({text}, {unit.cast(*operands[1], types.int64)})"
    if len(operands) == 2:
        return f"{unit.helper('round_digits', ctype)}({text}, {unit.cast(*operands[1], types.int64)})"
    return unit.cast(f"{unit.math('rint', ctype)}({text})", numba_type, result)


def _divmod(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    parts = [binary(unit, f, operands[0], operands[1], result.dtype) for f in (operator.floordiv, operator.mod)]
    return f"{unit.tuple(result)}_make({', '.join(parts)})"


def _square(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    ctype = unit.scalar(result)
    kind = {"f": "float", "c": "complex"}.get(ctype[0], "int")
    return f"{unit.helper(f'square_{kind}', ctype)}({unit.cast(*operands[0], result)})"


def _where(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    raise unit.fail("np.where makes an array even of numbers; write `x if condition else y` instead")


def _scaled(factor: float) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        return f"({unit.cast(*operands[0], result)} * {unit.constant(factor, result)})"

    return handler


def _logical(sign: str) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        return "(" + f" {sign} ".join(unit.cast(*o, types.boolean) for o in operands) + ")"

    return handler


def _operator(function: Any) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        return binary(unit, function, operands[0], operands[1], result)

    return handler


def _unary_operator(function: Any) -> Handler:
    return lambda unit, operands, result: unary(unit, function, operands[0], result)


def _signbit(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    text, numba_type = operands[0]
    if isinstance(numba_type, types.Float):
        return f"(signbit({text}) != 0)"
    return f"({text} < 0)"


def _conjugate(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    text, numba_type = operands[0]
    if not isinstance(numba_type, types.Complex):
        return unit.cast(text, numba_type, result)
    return f"{unit.helper('complex_conj', unit.scalar(numba_type))}({text})"


def _part(name: str) -> Handler:
    def handler(unit: Unit, operands: list[Operand], result: types.Type) -> str:
        text, numba_type = operands[0]
        if isinstance(numba_type, types.Complex):
            return f"{text}.{name}"
        return text if name == "re" else unit.constant(0, result)

    return handler


def _reciprocal(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    text, ctype = unit.cast(*operands[0], result), unit.scalar(result)
    if ctype[0] == "c":
        return f"{unit.helper('complex_reciprocal', ctype)}({text})"
    return f"(1 / {text})" if ctype[0] == "f" else f"{unit.helper('reciprocal_int', ctype)}({text})"


def _ldexp(unit: Unit, operands: list[Operand], result: types.Type) -> str:
    x, n = unit.cast(*operands[0], result), unit.cast(*operands[1], types.int32)
    return f"{unit.math('ldexp', unit.scalar(result))}({x}, {n})"


def _fill_handlers() -> None:
    for c_name, names in _LIBM.items():
        for module in (math, cmath, np):
            for name in names:
                if (function := getattr(module, name, None)) is not None:
                    _HANDLERS[function] = _libm(c_name)
    for name in _PREDICATES:
        for module in (math, cmath, np):
            _HANDLERS[getattr(module, name)] = _predicate(name)
    _HANDLERS.update({function: _helper(names) for function, names in _HELPERS.items()})
    _HANDLERS.update({ufunc: _operator(f) for ufunc, f in _UFUNC_OPERATORS.items()})
    _HANDLERS.update({ufunc: _unary_operator(f) for ufunc, f in _UFUNC_UNARY.items()})
    _HANDLERS.update({
        min: _extremum("py_min"), max: _extremum("py_max"), abs: _abs, np.absolute: _abs, round: _round,
        np.round: _round, np.around: _round, divmod: _divmod, np.divmod: _divmod, pow: _operator(operator.pow),
        np.square: _square, np.where: _where, int: _cast, float: _cast, bool: _cast, complex: _cast,
        np.signbit: _signbit, np.ldexp: _ldexp,
        math.ldexp: _ldexp, np.conjugate: _conjugate, np.real: _part("re"), np.imag: _part("im"),
        np.reciprocal: _reciprocal, np.logical_and: _logical("&&"), np.logical_or: _logical("||"),
        np.logical_xor: _logical("!="), np.logical_not: _unary_operator(operator.not_),
    })  # fmt: skip
    _HANDLERS[row_number] = lambda unit, operands, result: unit.cast(*operands[1], result)
    for degrees in (math.degrees, np.degrees, np.rad2deg):
        _HANDLERS[degrees] = _scaled(180.0 / math.pi)
    for radians in (math.radians, np.radians, np.deg2rad):
        _HANDLERS[radians] = _scaled(math.pi / 180.0)


_fill_handlers()
