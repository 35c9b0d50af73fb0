"""Functions of complex numbers on CPUs, at every number: as C's Annex G has them, which NumPy follows.

Numba's overflow, or are NaN, where the result is a number. What `portapar.kernel.c.dialect` has in C is the same.
"""

import math

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, register_jitable

HUGE = 1e18  #: from here on 1 is nothing beside a square, in float64 too

called = register_jitable(error_model="numpy")  #: so that no division raises


@intrinsic
def signed(typing, size, sign):
    """`math.copysign` as an instruction: calls of C's keep loops scalar."""

    def codegen(context, builder, signature, values):
        values = [context.cast(builder, x, t, types.float64) for x, t in zip(values, signature.args, strict=True)]
        kind = ir.DoubleType()
        function = builder.module.declare_intrinsic("llvm.copysign", [kind], ir.FunctionType(kind, [kind, kind]))
        return builder.call(function, values)

    return types.float64(size, sign), codegen


@called
def sqrt(z):
    x, y = z.real, z.imag
    if math.isinf(y):
        return complex(math.inf, y)
    if x == 0 and y == 0:
        return complex(0.0, y)
    if math.isinf(x):
        rest = signed(y - y, y)
        return complex(x, rest) if x > 0 else complex(abs(rest), signed(x, y))
    small = abs(x) < 1 and abs(y) < 1
    scale, back = (2.0**54, 2.0**-27) if small else (0.25, 2.0)
    x, y = x * scale, y * scale
    t = math.sqrt((abs(x) + math.hypot(x, y)) * 0.5)
    if x >= 0:
        return complex(t * back, y / (2 * t) * back)
    return complex(abs(y) / (2 * t) * back, signed(t * back, y))


@called
def exp(z):
    x, y = z.real, z.imag
    r = math.exp(x)
    if y == 0:
        return complex(r, y)
    if math.isinf(x) and not math.isfinite(y):
        return complex(x, math.nan) if x > 0 else complex(0.0, 0.0)
    if math.isinf(r):
        r = math.exp(x * 0.5)
        return complex(r * math.cos(y) * r, r * math.sin(y) * r)
    return complex(r * math.cos(y), r * math.sin(y))


@called
def exp2(z):
    return exp(complex(z.real * 0.6931471805599453, z.imag * 0.6931471805599453))


@called
def log(z):
    x, y, angle = abs(z.real), abs(z.imag), math.atan2(z.imag, z.real)
    huge = x > 1e307 or y > 1e307
    scale, rest = (0.5, 0.6931471805599453) if huge else (1.0, 0.0)
    x, y = x * scale, y * scale
    size, most, least = math.hypot(x, y), max(x, y), min(x, y)
    # what rounding took from the size matters where the logarithm is near to 0
    lost = ((most - size) * (most + size) + least * least) / (2 * size * size)
    return complex(math.log(size) + (lost if 0.5 < size < 3 else rest), angle)


@called
def log2(z):
    found = log(z)
    return complex(found.real / 0.6931471805599453, found.imag / 0.6931471805599453)


@called
def log10(z):
    found = log(z)
    return complex(found.real / 2.302585092994046, found.imag / 2.302585092994046)


@called
def _half(x):
    """The hyperbolic sine and cosine of x / 2, of which those of x overflow only where their products do."""
    m = math.expm1(abs(x) * 0.5)
    part = 1.0 if m > HUGE else m / (m + 1)
    return signed(0.5 * (m + part), x), 1 + 0.5 * m * part


@called
def sinh(z):
    x, y = z.real, z.imag
    s, c = _half(x)
    real, imag = 2 * (s * math.cos(y)) * c, math.sin(y) + 2 * (s * math.sin(y)) * s
    real = real if math.isfinite(y) else x if x == 0 else abs(x) if math.isinf(x) else math.nan
    return complex(real, y if y == 0 else imag)


@called
def cosh(z):
    x, y = z.real, z.imag
    s, c = _half(x)
    real, imag = math.cos(y) + 2 * (s * math.cos(y)) * s, 2 * (s * math.sin(y)) * c
    real = abs(x) if math.isinf(x) and not math.isfinite(y) else real
    imag = imag if math.isfinite(y) else 0.0 if x == 0 else math.nan
    return complex(real, y * signed(1.0, x) if y == 0 else imag)


@called
def tanh(z):
    x, y = z.real, z.imag
    tangent, t, e = math.tanh(x), math.tan(y), math.exp(-2 * abs(x))
    below = 1 + (tangent * t) * (tangent * t)
    real, imag = tangent * ((1 + t * t) / below), t / below * (4 * e / ((1 + e) * (1 + e)))
    far, wide = math.isinf(x), not math.isfinite(y)
    real = tangent if far or (wide and x == 0) else real
    return complex(real, y if y == 0 else signed(0.0, y) if far and wide else imag)


@called
def _log_twice(x, y):
    """The logarithm of 2 |z| of a huge z."""
    return math.log(math.hypot(x * 0.5, y * 0.5)) + 1.3862943611198906


@called
def _is_huge(x, y):
    return abs(x) > HUGE or abs(y) > HUGE


@called
def asinh(z):
    x, y = z.real, z.imag
    if math.isnan(x) and y == 0:
        return complex(x, y)
    if _is_huge(x, y):
        return complex(signed(_log_twice(x, y), x), math.atan2(y, abs(x)))
    up, down = sqrt(complex(1 + y, -x)), sqrt(complex(1 - y, x))
    return complex(
        math.asinh(up.real * down.imag - down.real * up.imag), math.atan2(y, up.real * down.real - up.imag * down.imag)
    )


@called
def acos(z):
    x, y = z.real, z.imag
    if x == 0 and math.isnan(y):
        return complex(math.pi / 2, y)
    if _is_huge(x, y):
        return complex(math.atan2(abs(y), x), -signed(_log_twice(x, y), y))
    less, more = sqrt(complex(1 - x, -y)), sqrt(complex(1 + x, y))
    return complex(2 * math.atan2(less.real, more.real), math.asinh(more.real * less.imag - more.imag * less.real))


@called
def acosh(z):
    x, y = z.real, z.imag
    if x == 0 and math.isnan(y):
        return complex(y, math.pi / 2)
    if _is_huge(x, y):
        return complex(_log_twice(x, y), math.atan2(y, x))
    less, more = sqrt(complex(x - 1, y)), sqrt(complex(x + 1, y))
    return complex(math.asinh(less.real * more.real + less.imag * more.imag), 2 * math.atan2(less.imag, more.real))


@called
def atanh(z):
    x, y = z.real, z.imag
    if math.isnan(x) or math.isnan(y):
        if math.isinf(y):
            return complex(signed(0.0, x), signed(math.pi / 2, y))
        return complex(signed(0.0, x) if x == 0 or math.isinf(x) else math.nan, math.nan)
    if _is_huge(x, y):
        h = math.hypot(x, y)
        return complex(signed(0.0, x) if math.isinf(h) else x / h / h, signed(math.pi / 2, y))
    sign = -1.0 if x < 0 else 1.0
    x, y = sign * x, sign * y
    below = (1 - x) * (1 - x) + y * y
    if below != 0:
        up = math.log1p(4 * x / below) / 4
    else:  # so near to 1
        up = (0.6931471805599453 - math.log(abs(y))) / 2 if y != 0 else math.inf
    return complex(sign * up, sign * math.atan2(2 * y, (1 - x) * (1 + x) - y * y) / 2)


@called
def cos(z):
    return cosh(complex(-z.imag, z.real))


@called
def sin(z):
    turned = sinh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@called
def tan(z):
    turned = tanh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@called
def asin(z):
    turned = asinh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@called
def atan(z):
    turned = atanh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


FUNCTIONS = (sqrt, exp, exp2, log, log2, log10, sinh, cosh, tanh, asinh, acos, acosh, atanh, cos, sin, tan, asin, atan)
