"""What numbers mean in kernels on CPUs: operators and functions whose code is ours and not Numba's.

Integers wrap, whatever is divided by zero has a value, shifts may be longer than a number, and nothing raises: a
kernel that raises would end its loop early. docs/kernels.md has the rules; `portapar.kernel.c` follows them too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types, typing
from numba.core.compiler import Flags

from portapar.kernel.jit import complexes

Code = Callable[
    ..., Any
]  #: (place, result, values, constant) → the LLVM value; `constant` is the last operand's, or None


class Place:
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

    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
        return getattr(place.builder, name)(*values)

    return code


def _shift(left: bool) -> Code:
    """A shift; by a negative number, or by the width or more, everything is shifted out."""

    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def _quotient(place: Place, result: Any, a: Any, b: Any) -> tuple[Any, Any]:
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
    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
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

    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def integer_power(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def _whole_reciprocal(place: Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    one = x.type(1)
    own = builder.icmp_unsigned("==", x, one)
    if result.signed:
        own = builder.or_(own, builder.icmp_unsigned("==", x, x.type(-1)))
    return builder.select(own, x, x.type(0))


def whole_rounded(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def rounded(place: Place, result: Any, values: Any, constant: Any) -> Any:
    """As NumPy does it: a float stays one, of its width."""
    if isinstance(result, types.Complex):
        part = result.underlying_float
        parts = (rounded(place, part, (x, *values[1:]), None) for x in place.parts(result, values[0]))
        return place.complex(result, *parts)
    if len(values) == 1:
        return place.call("rint", *values)
    code = place.context.get_function(round, typing.signature(result, result, types.int64))
    return code(place.builder, values)


def _whole_sign(place: Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    positive = builder.zext(builder.icmp_unsigned("!=", x, x.type(0)), x.type)
    if not result.signed:
        return positive
    return builder.select(builder.icmp_signed("<", x, x.type(0)), x.type(-1), positive)


# floats -------------------------------------------------------------------------------------------


def _float_divided(part: int) -> Code:
    """Floor and modulo of floats, step by step as NumPy takes them, so that they agree to the bit."""

    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def _float_sign(place: Place, result: Any, values: Any, constant: Any) -> Any:
    (x,), builder = values, place.builder
    found = builder.select(place.less(x, x.type(0.0)), x.type(-1.0), x.type(1.0))
    found = builder.select(place.equal(x, x.type(0.0)), x.type(0.0), found)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, found)


def float_power(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def _power(place: Place, result: Any, values: Any, constant: Any) -> Any:
    return place.call("pow", *values)


def _cbrt(place: Place, result: Any, values: Any, constant: Any) -> Any:
    (x,) = values
    name = "cbrtf" if result == types.float32 else "cbrt"
    function = cgutils.get_or_insert_function(place.builder.module, ir.FunctionType(x.type, [x.type]), name)
    return place.builder.call(function, [x])


# complex numbers ----------------------------------------------------------------------------------


def _times(place: Place, result: Any, values: Any, constant: Any = None) -> Any:
    (a, b), (c, d) = (place.parts(result, value) for value in values)
    builder = place.builder
    real = builder.fsub(builder.fmul(a, c), builder.fmul(b, d))
    return place.complex(result, real, builder.fadd(builder.fmul(a, d), builder.fmul(b, c)))


def _over(place: Place, result: Any, values: Any, constant: Any = None) -> Any:
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


def _reciprocal(place: Place, result: Any, values: Any, constant: Any) -> Any:
    a, b = place.parts(result, values[0])
    builder, one = place.builder, a.type(1.0)
    big = builder.fcmp_ordered("<=", place.call("fabs", b), place.call("fabs", a))
    p, q = builder.select(big, a, b), builder.select(big, b, a)
    ratio = builder.fdiv(q, p)
    by = builder.fadd(p, builder.fmul(q, ratio))
    real, imag = builder.select(big, one, ratio), builder.select(big, builder.fneg(ratio), a.type(-1.0))
    return place.complex(result, builder.fdiv(real, by), builder.fdiv(imag, by))


def _compiled(function: Callable[[Any], Any]) -> Code:
    """A function of a complex number that is written in Python."""

    def code(place: Place, result: Any, values: Any, constant: Any) -> Any:
        kinds, flags = typing.signature(result, result), Flags()
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        flags.error_model = "numpy"
        made = place.context.compile_subroutine(place.builder, function, kinds, flags=flags)
        return place.context.call_internal(place.builder, made.fndesc, kinds, values)

    return code


def _direction(place: Place, result: Any, values: Any, constant: Any) -> Any:
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


def _complex_power(place: Place, result: Any, values: Any, constant: Any) -> Any:
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
CODES: dict[tuple[str, str], Code] = {
    ("add", "b"): _wrapping("or_"), ("mul", "b"): _wrapping("and_"),
    ("add", "i"): _wrapping("add"), ("sub", "i"): _wrapping("sub"), ("mul", "i"): _wrapping("mul"),
    ("lshift", "i"): _shift(True), ("rshift", "i"): _shift(False),
    ("floordiv", "i"): _divided(0), ("mod", "i"): _divided(1), ("fmod", "i"): _truncated(1),
    ("floordiv", "f"): _float_divided(0), ("mod", "f"): _float_divided(1),
    ("pow", "i"): integer_power, ("pow", "f"): float_power, ("pow", "c"): _complex_power,
    ("pow of floats", "f"): _power, ("mul", "c"): _times, ("truediv", "c"): _over, ("cbrt", "f"): _cbrt,
    ("round", "i"): whole_rounded, ("round", "f"): rounded, ("round", "c"): rounded,
    ("sign", "i"): _whole_sign, ("sign", "f"): _float_sign, ("sign", "c"): _direction,
    ("reciprocal", "i"): _whole_reciprocal, ("reciprocal", "c"): _reciprocal,
    **{(function.__name__, "c"): _compiled(function) for function in complexes.FUNCTIONS},
}  # fmt: skip


def code_of(name: str, result: Any) -> Code | None:
    return next((CODES.get((name, letter)) for kind, letter in _KINDS if isinstance(result, kind)), None)
