"""What numbers mean in kernels on CPUs: operators and functions whose code is ours and not Numba's.

Integers wrap, whatever is divided by zero has a value, shifts may be longer than a number, and nothing raises: a
kernel that raises would end its loop early. docs/kernels.md has the rules; `portapar.kernel.c` follows them too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types, typing

from portapar.kernel.front.functions import c_acosh
from portapar.kernel.jit import loops
from portapar.kernel.jit.typing import ufunc_operand_types

Code = Callable[
    ..., Any
]  #: (place, result, values, constant) → the LLVM value; `constant` is the last operand's, or None


class _Place:
    """Where code goes, with what most of it needs."""

    def __init__(self, context: Any, builder: Any, exponent: Any) -> None:
        self.context = context
        self.builder = builder
        self.exponent = exponent  #: the type of the last operand

    def call(self, name: str, *values: Any) -> Any:
        """A function that LLVM has for floats of every width."""
        kind = values[0].type
        whole = ir.FunctionType(kind, [kind] * len(values))
        function = self.builder.module.declare_intrinsic(f"llvm.{name}", [kind], whole)
        return self.builder.call(function, values)

    def less(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("<", a, b)

    def equal(self, a: Any, b: Any) -> Any:
        return self.builder.fcmp_ordered("==", a, b)

    def parts(self, kind: Any, value: Any) -> tuple[Any, Any]:
        """The real and the imaginary part of a complex number."""
        pair = self.context.make_complex(self.builder, kind, value=value)
        return pair.real, pair.imag

    def complex(self, kind: Any, real: Any, imag: Any) -> Any:
        pair = self.context.make_complex(self.builder, kind)
        pair.real, pair.imag = real, imag
        return pair._getvalue()


# integers -----------------------------------------------------------------------------------------


def _wrapping(name: str) -> Code:
    """Addition and its kin without a promise that they do not overflow; of booleans they are or and and."""

    def code(place: _Place, result: Any, values: Any, constant: Any) -> Any:
        return getattr(place.builder, name)(*values)

    return code


def _shift(left: bool) -> Code:
    """A shift; by a negative number, or by the width or more, everything is shifted out."""

    def code(place: _Place, result: Any, values: Any, constant: Any) -> Any:
        builder, (value, amount) = place.builder, values
        width = value.type.width
        inside = builder.icmp_unsigned("<", amount, amount.type(width))
        most = width - 1 if result.signed and not left else 0
        amount = builder.select(inside, amount, amount.type(most))
        if amount.type.width != width:
            amount = (builder.trunc if amount.type.width > width else builder.zext)(amount, value.type)
        if result.signed and not left:
            return builder.ashr(value, amount)
        shifted = builder.shl(value, amount) if left else builder.lshr(value, amount)
        return builder.select(inside, shifted, value.type(0))

    return code


def _quotient(place: _Place, result: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Floor and modulo of integers: 0 where b is 0, and wrapping for the least one by -1.

    Branches would keep loops scalar.
    """
    builder, kind = place.builder, a.type
    zero = builder.icmp_unsigned("==", b, kind(0))
    if not result.signed:
        by = builder.select(zero, kind(1), b)
        quotient, rest = builder.udiv(a, by), builder.urem(a, by)
        return builder.select(zero, kind(0), quotient), rest
    least, minus = kind(-(1 << (kind.width - 1))), kind(-1)
    over = builder.and_(builder.icmp_unsigned("==", a, least), builder.icmp_unsigned("==", b, minus))
    by = builder.select(builder.or_(zero, over), kind(1), b)
    quotient, rest = builder.sdiv(a, by), builder.srem(a, by)
    uneven = builder.and_(
        builder.icmp_unsigned("!=", rest, kind(0)), builder.icmp_signed("<", builder.xor(rest, by), kind(0))
    )
    quotient = builder.sub(quotient, builder.zext(uneven, kind))
    rest = builder.select(uneven, builder.add(rest, by), rest)
    return builder.select(zero, kind(0), quotient), rest


def _divided(part: int) -> Code:
    def code(place: _Place, result: Any, values: Any, constant: Any) -> Any:
        (a, b), builder = values, place.builder
        if constant is not None and constant > 0 and constant & (constant - 1) == 0:
            # LLVM does not find out: C's division rounds to zero, and is corrected for signs
            if part:
                return builder.and_(a, a.type(constant - 1))
            return (builder.ashr if result.signed else builder.lshr)(a, a.type(constant.bit_length() - 1))
        return _quotient(place, result, a, b)[part]

    return code


def _truncated(part: int) -> Code:
    """C's division, which rounds to zero, with our values where C has none."""

    def code(place: _Place, result: Any, values: Any, constant: Any) -> Any:
        (a, b), builder = values, place.builder
        zero = builder.icmp_unsigned("==", b, b.type(0))
        if not result.signed:
            return _quotient(place, result, a, b)[part]
        minus = builder.icmp_unsigned("==", b, b.type(-1))
        by = builder.select(builder.or_(zero, minus), b.type(1), b)
        if part:
            return builder.srem(a, by)
        quotient = builder.select(minus, builder.neg(a), builder.sdiv(a, by))
        return builder.select(zero, b.type(0), quotient)

    return code


def _integer_power(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """Products that wrap; with a negative exponent the quotient cut to an integer, and 0 for 0."""
    builder, (a, n) = place.builder, values
    kind = a.type
    if constant is not None and 0 <= constant <= 64:
        return _product(a, constant, builder.mul) if constant else kind(1)
    signed = isinstance(place.exponent, types.Integer) and place.exponent.signed
    negative = builder.icmp_signed("<", n, n.type(0)) if signed else ir.Constant(ir.IntType(1), 0)
    total = cgutils.alloca_once_value(builder, kind(1))
    factor = cgutils.alloca_once_value(builder, a)
    left = cgutils.alloca_once_value(builder, builder.select(negative, n.type(0), n))
    test, body, end = (builder.append_basic_block(f"power.{name}") for name in ("test", "body", "end"))
    builder.branch(test)
    builder.position_at_end(test)
    rest = builder.load(left)
    builder.cbranch(builder.icmp_unsigned("!=", rest, n.type(0)), body, end)
    builder.position_at_end(body)
    x, odd = builder.load(factor), builder.trunc(rest, ir.IntType(1))
    old = builder.load(total)
    builder.store(builder.select(odd, builder.mul(old, x), old), total)
    builder.store(builder.mul(x, x), factor)
    builder.store(builder.lshr(rest, n.type(1)), left)
    builder.branch(test)
    builder.position_at_end(end)
    found = builder.load(total)
    if not signed:
        return found
    odd = builder.trunc(n, ir.IntType(1))
    inverse = builder.select(builder.icmp_unsigned("==", a, kind(1)), kind(1), kind(0))
    if result.signed:
        one = builder.select(odd, kind(-1), kind(1))
        inverse = builder.select(builder.icmp_unsigned("==", a, kind(-1)), one, inverse)
    return builder.select(negative, inverse, found)


def _product(x: Any, count: int, multiply: Code) -> Any:
    """x to the power of a constant, by squares."""
    total = None
    while count:
        if count & 1:
            total = x if total is None else multiply(total, x)
        count >>= 1
        x = multiply(x, x) if count else x
    return total


def _whole_reciprocal(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    one = x.type(1)
    own = builder.icmp_unsigned("==", x, one)
    if result.signed:
        own = builder.or_(own, builder.icmp_unsigned("==", x, x.type(-1)))
    return builder.select(own, x, x.type(0))


def _whole_rounded(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """To a power of ten, halves to even; what has so few digits is told apart by none of them, and is 0."""
    builder, (x, digits) = place.builder, values
    word, bits = ir.IntType(64), ir.IntType(1)
    negative = builder.icmp_signed("<", x, x.type(0)) if result.signed else bits(0)
    size = builder.select(negative, builder.neg(x), x)
    size = builder.zext(size, word) if x.type.width < 64 else size
    power = word(1)
    for k in range(1, 20):
        power = builder.select(builder.icmp_signed("==", digits, word(-k)), word(10**k), power)
    whole = builder.udiv(size, power)
    rest = builder.sub(size, builder.mul(whole, power))
    other = builder.sub(power, rest)
    odd = builder.and_(builder.icmp_unsigned("==", rest, other), builder.trunc(whole, bits))
    up = builder.or_(builder.icmp_unsigned(">", rest, other), odd)
    found = builder.mul(builder.add(whole, builder.zext(up, word)), power)
    found = builder.select(negative, builder.neg(found), found)
    found = builder.select(builder.icmp_signed("<", digits, word(-19)), word(0), found)
    return builder.trunc(found, x.type) if x.type.width < 64 else found


def _rounded(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """As NumPy does it: a float stays one, of its width."""
    if isinstance(result, types.Complex):
        part = result.underlying_float
        parts = (_rounded(place, part, (x, *values[1:]), None) for x in place.parts(result, values[0]))
        return place.complex(result, *parts)
    if len(values) == 1:
        return place.call("rint", *values)
    code = place.context.get_function(round, typing.signature(result, result, types.int64))
    return code(place.builder, values)


def _whole_sign(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    positive = builder.zext(builder.icmp_unsigned("!=", x, x.type(0)), x.type)
    if not result.signed:
        return positive
    return builder.select(builder.icmp_signed("<", x, x.type(0)), x.type(-1), positive)


# floats -------------------------------------------------------------------------------------------


def _float_divided(part: int) -> Code:
    """Floor and modulo of floats, step by step as NumPy takes them, so that they agree to the bit."""

    def code(place: _Place, result: Any, values: Any, constant: Any) -> Any:
        (a, b), builder = values, place.builder
        zero = b.type(0.0)
        rest = builder.frem(a, b)
        exact = builder.fcmp_ordered("==", rest, zero)
        uneven = builder.and_(builder.not_(exact), builder.xor(place.less(b, zero), place.less(rest, zero)))
        none = place.equal(b, zero)
        if part:
            found = builder.select(uneven, builder.fadd(rest, b), rest)
            found = builder.select(exact, place.call("copysign", zero, b), found)
            return builder.select(none, rest, found)
        plain = builder.fdiv(a, b)
        quotient = builder.fdiv(builder.fsub(a, rest), b)
        quotient = builder.select(uneven, builder.fsub(quotient, b.type(1.0)), quotient)
        floor = place.call("floor", quotient)
        over = builder.fcmp_ordered(">", builder.fsub(quotient, floor), b.type(0.5))
        floor = builder.select(over, builder.fadd(floor, b.type(1.0)), floor)
        floor = builder.select(place.equal(quotient, zero), place.call("copysign", zero, plain), floor)
        return builder.select(none, plain, floor)

    return code


def _float_sign(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    found = builder.select(place.less(x, x.type(0.0)), x.type(-1.0), x.type(1.0))
    found = builder.select(place.equal(x, x.type(0.0)), x.type(0.0), found)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, found)


def _float_power(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """`pow` is off by up to 4 ulp, and so are products of five factors, which are faster."""
    (x, n), builder = values, place.builder
    if constant is not None and -4 <= constant <= 5:
        one = x.type(1.0)
        if constant >= 0:
            return _product(x, constant, builder.fmul) if constant else one
        if constant == -1:
            return builder.fdiv(one, x)
        square = builder.fmul(x, x)  # in an order that neither overflows nor underflows before the result does
        if constant == -3:
            return builder.fdiv(builder.fdiv(one, x), square)
        inverse = builder.fdiv(one, x if constant == -2 else square)
        return builder.fdiv(inverse, x if constant == -2 else square)
    if isinstance(n.type, ir.IntType):
        n = place.context.cast(builder, n, place.exponent, result)
    return place.call("pow", x, n)


def _power(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    return place.call("pow", *values)


def _cbrt(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    (x,) = values
    name = "cbrtf" if result == types.float32 else "cbrt"
    function = cgutils.get_or_insert_function(place.builder.module, ir.FunctionType(x.type, [x.type]), name)
    return place.builder.call(function, [x])


# complex numbers ----------------------------------------------------------------------------------


def _times(place: _Place, result: Any, values: Any, constant: Any = None) -> Any:
    (a, b), (c, d) = (place.parts(result, value) for value in values)
    builder = place.builder
    real = builder.fsub(builder.fmul(a, c), builder.fmul(b, d))
    return place.complex(result, real, builder.fadd(builder.fmul(a, d), builder.fmul(b, c)))


def _over(place: _Place, result: Any, values: Any, constant: Any = None) -> Any:
    """R. L. Smith, Algorithm 116: Complex division. Communications of the ACM 5(8), 1962."""
    (a, b), (c, d) = (place.parts(result, value) for value in values)
    builder, zero = place.builder, c.type(0.0)
    big = builder.fcmp_ordered(">=", place.call("fabs", c), place.call("fabs", d))
    p, q, u, v = (builder.select(big, *pair) for pair in ((c, d), (d, c), (a, b), (b, a)))
    ratio = builder.fdiv(q, p)
    scale = builder.fdiv(c.type(1.0), builder.fadd(p, builder.fmul(q, ratio)))
    part = builder.fmul(u, ratio)
    real = builder.fmul(builder.fadd(u, builder.fmul(v, ratio)), scale)
    imag = builder.fmul(builder.fsub(builder.select(big, v, part), builder.select(big, part, v)), scale)
    none = builder.and_(place.equal(c, zero), place.equal(d, zero))
    real = builder.select(none, builder.fdiv(a, place.call("fabs", c)), real)
    return place.complex(result, real, builder.select(none, builder.fdiv(b, place.call("fabs", d)), imag))


def _reciprocal(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    a, b = place.parts(result, values[0])
    builder, one = place.builder, a.type(1.0)
    big = builder.fcmp_ordered("<=", place.call("fabs", b), place.call("fabs", a))
    p, q = builder.select(big, a, b), builder.select(big, b, a)
    ratio = builder.fdiv(q, p)
    by = builder.fadd(p, builder.fmul(q, ratio))
    real, imag = builder.select(big, one, ratio), builder.select(big, builder.fneg(ratio), a.type(-1.0))
    return place.complex(result, builder.fdiv(real, by), builder.fdiv(imag, by))


def _acosh(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """Numba's has a real part below zero on the other side of what divides the values."""
    return place.context.compile_internal(place.builder, c_acosh, typing.signature(result, result), values)


def _direction(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """z / |z|, which is the sign of a complex number from NumPy 2 on."""
    a, b = place.parts(result, values[0])
    builder, zero, nan = place.builder, a.type(0.0), a.type(math.nan)
    kind = result.underlying_float
    length = place.context.get_function(math.hypot, typing.signature(kind, kind, kind))(builder, (a, b))

    def infinite(x: Any) -> Any:
        return place.equal(place.call("fabs", x), x.type(math.inf))

    def part(x: Any, other: Any) -> Any:
        along = builder.select(infinite(x), place.call("copysign", x.type(1.0), x), zero)
        along = builder.select(builder.and_(infinite(x), infinite(other)), nan, along)
        found = builder.select(infinite(length), along, builder.fdiv(x, length))
        return builder.select(place.equal(length, zero), zero, found)

    unknown = builder.fcmp_unordered("uno", length, length)
    return place.complex(result, *(builder.select(unknown, nan, value) for value in (part(a, b), part(b, a))))


def _complex_power(place: _Place, result: Any, values: Any, constant: Any) -> Any:
    """Products for whole exponents up to 100, as NumPy takes them, else by exp and log; powers of 0 are 0 or nan."""
    builder, context = place.builder, place.context
    base, exponent = values
    if constant == -1:
        return _reciprocal(place, result, values[:1], None)
    (a, b), (c, d) = (place.parts(result, value) for value in values)
    zero, one, nan, bits = a.type(0.0), a.type(1.0), a.type(math.nan), ir.IntType(32)
    whole = builder.and_(place.equal(d, zero), place.less(place.call("fabs", c), a.type(100.0)))
    whole = builder.and_(whole, place.equal(place.call("trunc", c), c))
    unit = place.complex(result, one, zero)
    slot = cgutils.alloca_once_value(builder, unit)
    products, other, end = (builder.append_basic_block(f"complex_power.{name}") for name in ("whole", "other", "end"))
    builder.cbranch(whole, products, other)

    builder.position_at_end(products)
    number = builder.fptosi(c, bits)
    n = builder.select(builder.icmp_signed("<", number, bits(0)), builder.neg(number), number)
    left = cgutils.alloca_once_value(builder, n)
    factor = cgutils.alloca_once_value(builder, base)
    few = builder.icmp_unsigned("<=", n, bits(3))  # NumPy starts those from the base, others from 1
    few = builder.and_(few, builder.icmp_signed(">", number, bits(0)))
    square = _times(place, result, (base, base))
    cube = _times(place, result, (base, square))
    short = builder.select(builder.icmp_unsigned("==", n, bits(3)), cube, square)
    short = builder.select(builder.icmp_unsigned("==", n, bits(1)), base, short)
    builder.store(unit, slot)
    test, body, done = (builder.append_basic_block(f"complex_power.{name}") for name in ("test", "body", "done"))
    builder.branch(test)
    builder.position_at_end(test)
    rest = builder.load(left)
    builder.cbranch(builder.icmp_unsigned("!=", rest, bits(0)), body, done)
    builder.position_at_end(body)
    x, total = builder.load(factor), builder.load(slot)
    odd = builder.trunc(rest, ir.IntType(1))
    builder.store(builder.select(odd, _times(place, result, (total, x)), total), slot)
    builder.store(_times(place, result, (x, x)), factor)
    builder.store(builder.lshr(rest, bits(1)), left)
    builder.branch(test)
    builder.position_at_end(done)
    total = builder.load(slot)
    total = builder.select(builder.icmp_signed("<", number, bits(0)), _over(place, result, (unit, total)), total)
    builder.store(builder.select(few, short, total), slot)
    builder.branch(end)

    builder.position_at_end(other)
    signature = typing.signature(result, result, result)
    builder.store(context.get_function(operator.pow, signature)(builder, (base, exponent)), slot)
    builder.branch(end)

    builder.position_at_end(end)
    none = builder.and_(place.equal(a, zero), place.equal(b, zero))
    nothing = builder.and_(place.equal(d, zero), builder.fcmp_ordered(">", c, zero))
    at_zero = place.complex(result, *(builder.select(nothing, zero, nan),) * 2)
    found = builder.select(none, at_zero, builder.load(slot))
    free = builder.and_(place.equal(c, zero), place.equal(d, zero))
    return builder.select(free, unit, found)


# the tables ---------------------------------------------------------------------------------------

_KINDS = ((types.Boolean, "b"), (types.Integer, "i"), (types.Float, "f"), (types.Complex, "c"))

# by what is computed and the kind of the result: for both operators and NumPy's functions
_CODES: dict[tuple[str, str], Code] = {
    ("add", "b"): _wrapping("or_"), ("mul", "b"): _wrapping("and_"),
    ("add", "i"): _wrapping("add"), ("sub", "i"): _wrapping("sub"), ("mul", "i"): _wrapping("mul"),
    ("lshift", "i"): _shift(True), ("rshift", "i"): _shift(False),
    ("floordiv", "i"): _divided(0), ("mod", "i"): _divided(1), ("fmod", "i"): _truncated(1),
    ("floordiv", "f"): _float_divided(0), ("mod", "f"): _float_divided(1),
    ("pow", "i"): _integer_power, ("pow", "f"): _float_power, ("pow", "c"): _complex_power,
    ("pow of floats", "f"): _power, ("mul", "c"): _times, ("truediv", "c"): _over, ("cbrt", "f"): _cbrt,
    ("round", "i"): _whole_rounded, ("round", "f"): _rounded, ("round", "c"): _rounded,
    ("sign", "i"): _whole_sign, ("sign", "f"): _float_sign, ("sign", "c"): _direction,
    ("reciprocal", "i"): _whole_reciprocal, ("reciprocal", "c"): _reciprocal,
    ("acosh", "c"): _acosh,
}  # fmt: skip

_OPERATORS = {
    getattr(operator, name): name
    for name in ("add", "sub", "mul", "lshift", "rshift", "floordiv", "mod", "truediv", "pow")
}
_FUNCTIONS: dict[Any, str] = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.left_shift: "lshift", np.right_shift: "rshift",
    np.floor_divide: "floordiv", np.remainder: "mod", np.fmod: "fmod", np.divide: "truediv", np.power: "pow",
    np.cbrt: "cbrt", np.sign: "sign", np.reciprocal: "reciprocal", np.square: "square", pow: "pow",
    np.arccosh: "acosh",
    math.pow: "pow of floats", divmod: "divmod", np.divmod: "divmod",
    min: "min", max: "max", int: "cast", float: "cast", round: "round", np.round: "round", np.around: "round",
}  # fmt: skip


_ROUNDED = (round, np.round, np.around, math.floor, math.ceil, math.trunc)  #: that change no whole number
_COMPARISONS = {
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
}  # fmt: skip
_SIGNS = {operator.neg: ("neg", "fneg"), operator.invert: ("not_", "")}


def _code(name: str, result: Any) -> Code | None:
    return next((_CODES.get((name, letter)) for kind, letter in _KINDS if isinstance(result, kind)), None)


class Lower(loops.Lower):
    """Numba's lowering of a function's IR to LLVM, but for what the tables have."""

    def _number(self, code: Code, result: Any, kinds: Any, values: Any, constant: Any = None) -> Any:
        """Values of these kinds, cast to what is computed with, and the result."""
        place = _Place(self.context, self.builder, kinds[-1])
        apart = code in (_integer_power, _float_power) and isinstance(kinds[-1], types.Integer)
        apart |= code in (_CODES["lshift", "i"], _CODES["rshift", "i"], _whole_rounded)
        apart |= code is _rounded and len(values) == 2
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
        code = _code(_OPERATORS.get(op, ""), signature.return_type)
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
            codes = [_code(part, element) for part in ("floordiv", "mod")]
            parts = [self._number(code, element, kinds, values) for code in codes if code]
            return self.context.make_tuple(self.builder, result, parts)
        if name == "square":
            name, kinds, values = "mul", kinds * 2, values * 2
        code = _code(name, result)
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
        items, k = self.loadvar(value.name), self._cast_var(index, types.intp)
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
