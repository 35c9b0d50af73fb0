"""The two dialects of C, and the helper functions that kernels may need, as text.

Kernels are written with short type names (`i64`, `f32`) and a few macros, so that the same text serves
both dialects; only what `Dialect` holds differs. A helper is a template: `@T` is its type, `@U` the
unsigned integer type of the same width (at least 32 bits), `@R` the float type of a complex one, `@F(…)`
a math function for its type, `@H(…)` another helper for its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CUDA", "HELPERS", "OPENCL", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """The words in which OpenCL C and CUDA C differ.

    Attributes
    ----------
    name : str
        "opencl" or "cuda".
    types : mapping of str to str
        What the short type names stand for.
    preamble, float64_preamble : str
        Pragmas and macros; the second only in units that use float64.
    entry : str
        The qualifiers of a kernel entry.
    float32_suffix : str
        What the name of a math function has at its end for float32.
    """

    name: str
    types: Mapping[str, str]
    preamble: str
    float64_preamble: str
    entry: str
    float32_suffix: str

    def math(self, name: str, ctype: str) -> str:
        """The name of a math function of libm for one of the types f32 and f64."""
        return name + (self.float32_suffix if ctype == "f32" else "")


OPENCL = Dialect(
    name="opencl",
    types={
        "i8": "char", "i16": "short", "i32": "int", "i64": "long",
        "u8": "uchar", "u16": "ushort", "u32": "uint", "u64": "ulong",
        "f32": "float", "f64": "double",
    },
    preamble="""\
#pragma OPENCL FP_CONTRACT OFF
#define GLOBAL __global
#define DEVICE static inline
#define AS_I32(x) as_int(x)
#define AS_F32(x) as_float(x)
""",
    float64_preamble="""\
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define AS_I64(x) as_long(x)
#define AS_F64(x) as_double(x)
""",
    entry="__kernel void",
    float32_suffix="",
)  # fmt: skip

CUDA = Dialect(
    name="cuda",
    types={
        "i8": "signed char", "i16": "short", "i32": "int", "i64": "long long",
        "u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int", "u64": "unsigned long long",
        "f32": "float", "f64": "double",
    },
    preamble="""\
#define GLOBAL
#define DEVICE static __device__ __forceinline__
#define AS_I32(x) __float_as_int(x)
#define AS_F32(x) __int_as_float(x)
""",
    float64_preamble="""\
#define AS_I64(x) __double_as_longlong(x)
#define AS_F64(x) __longlong_as_double(x)
""",
    entry='extern "C" __global__ void',
    float32_suffix="f",
)  # fmt: skip


# Numba's and NumPy's meaning in C. A division by zero gives 0 for integers and inf or nan for floats, as
# NumPy's error model has it; the smallest integer divided by -1 gives 0, as Numba's does.
HELPERS: dict[str, str] = {
    "wrap": "DEVICE i64 @N(i64 i, i64 n) { return i < 0 ? i + n : i; }",
    "floordiv_signed": """\
DEVICE @T @N(@T a, @T b) {
    if (b == 0 || (b == -1 && a == (@T)((@U)1 << (8 * sizeof(@T) - 1)))) return 0;
    @T q = (@T)(a / b);
    return (@T)(q - ((a % b != 0) & ((a ^ b) < 0)));
}""",
    "mod_signed": """\
DEVICE @T @N(@T a, @T b) {
    if (b == 0 || b == -1) return 0;
    @T r = (@T)(a % b);
    return (@T)(r != 0 && (r ^ b) < 0 ? r + b : r);
}""",
    "floordiv_unsigned": "DEVICE @T @N(@T a, @T b) { return b == 0 ? 0 : (@T)(a / b); }",
    "mod_unsigned": "DEVICE @T @N(@T a, @T b) { return b == 0 ? 0 : (@T)(a % b); }",
    "fmod_int": "DEVICE @T @N(@T a, @T b) { return b == 0 || b == (@T)-1 ? 0 : (@T)(a % b); }",
    "floordiv_float": """\
DEVICE @T @N(@T a, @T b) {
    if (b == 0) return a / b;
    @T mod = @F(fmod)(a, b), div = (a - mod) / b, whole;
    if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
    if (div != 0) {
        whole = @F(floor)(div);
        return div - whole > (@T)0.5f ? whole + 1 : whole;
    }
    return div * div * a / b;
}""",
    "mod_float": """\
DEVICE @T @N(@T a, @T b) {
    @T mod = @F(fmod)(a, b);
    if (b == 0) return mod;
    if (mod == 0) return b < 0 ? (@T)-0.0f : (@T)0.0f;
    return (b < 0) != (mod < 0) ? mod + b : mod;
}""",
    "pow_int": """\
DEVICE @T @N(@T a, i64 b) {
    @U r = 1, x = (@U)a;
    if (b < 0) {
        if (a == 0) return (@T)((@U)1 << (8 * sizeof(@T) - 1));
        if (a != 1 && a != (@T)-1) return 0;
    }
    for (u64 e = b < 0 ? 0 - (u64)b : (u64)b; e != 0; e >>= 1) {
        if (e & 1) r *= x;
        x *= x;
    }
    return (@T)r;
}""",
    "powi_float": """\
DEVICE @T @N(@T a, i64 b) {
    u64 e = b < 0 ? 0 - (u64)b : (u64)b;
    if (e > 0x10000) return @F(pow)(a, (@T)b);
    @T r = 1;
    for (; e != 0; e >>= 1) {
        if (e & 1) r *= a;
        a *= a;
    }
    return b < 0 ? 1 / r : r;
}""",
    "abs_int": "DEVICE @T @N(@T a) { return a < 0 ? (@T)(0 - (@U)a) : a; }",
    # Python's min and max keep the first of equals and of what cannot be compared; NumPy's hand a NaN on.
    "py_min": "DEVICE @T @N(@T a, @T b) { return b < a ? b : a; }",
    "py_max": "DEVICE @T @N(@T a, @T b) { return b > a ? b : a; }",
    "np_minimum": "DEVICE @T @N(@T a, @T b) { return a <= b || a != a ? a : b; }",
    "np_maximum": "DEVICE @T @N(@T a, @T b) { return a >= b || a != a ? a : b; }",
    "np_fmin": "DEVICE @T @N(@T a, @T b) { return a <= b || b != b ? a : b; }",
    "np_fmax": "DEVICE @T @N(@T a, @T b) { return a >= b || b != b ? a : b; }",
    "sign": "DEVICE @T @N(@T a) { return a > 0 ? 1 : a < 0 ? -1 : a; }",
    "sign_unsigned": "DEVICE @T @N(@T a) { return a != 0; }",
    "gcd": """\
DEVICE @T @N(@T a, @T b) {
    @U x = a < 0 ? 0 - (@U)a : (@U)a, y = b < 0 ? 0 - (@U)b : (@U)b;
    while (y != 0) { @U r = x % y; x = y; y = r; }
    return (@T)x;
}""",
    "lcm": """\
DEVICE @T @N(@T a, @T b) {
    @U x = a < 0 ? 0 - (@U)a : (@U)a, y = b < 0 ? 0 - (@U)b : (@U)b, u = x, v = y;
    while (v != 0) { @U r = u % v; u = v; v = r; }
    return u == 0 ? 0 : (@T)(x / u * y);
}""",
    "round_digits": """\
DEVICE @T @N(@T x, i64 digits) {
    if (isinf(x) || isnan(x)) return x;
    @T p = 1, q = 1;
    i64 d = digits < 0 ? -digits : digits;
    for (i64 k = 0; k < d && k < 22; ++k) p *= 10;
    if (digits < 0) return @F(rint)(x / p) * p;
    for (i64 k = 22; k < d; ++k) q *= 10;
    @T y = x * q * p;
    return isinf(y) ? x : @F(rint)(y) / p / q;
}""",
    "reciprocal_int": "DEVICE @T @N(@T a) { return a == 1 ? 1 : a == (@T)-1 ? (@T)-1 : 0; }",
    "logaddexp": """\
DEVICE @T @N(@T a, @T b) {
    if (a == b) return a + @F(log)((@T)2);
    @T d = a - b;
    return d > 0 ? a + @F(log1p)(@F(exp)(-d)) : d <= 0 ? b + @F(log1p)(@F(exp)(d)) : d;
}""",
    "square_int": "DEVICE @T @N(@T a) { return (@T)((@U)a * (@U)a); }",
    "square_float": "DEVICE @T @N(@T a) { return a * a; }",
    # Complex numbers: the formulas of CPython and NumPy.
    "complex_add": "DEVICE @T @N(@T a, @T b) { return @T_make(a.re + b.re, a.im + b.im); }",
    "complex_sub": "DEVICE @T @N(@T a, @T b) { return @T_make(a.re - b.re, a.im - b.im); }",
    "complex_mul": """\
DEVICE @T @N(@T a, @T b) {
    return @T_make(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}""",
    "complex_div": """\
DEVICE @T @N(@T a, @T b) {
    @R ratio, denominator, size_re = @F(fabs)(b.re), size_im = @F(fabs)(b.im);
    if (size_re == 0 && size_im == 0) return @T_make(a.re / size_re, a.im / size_re);
    if (size_re >= size_im) {
        ratio = b.im / b.re;
        denominator = b.re + b.im * ratio;
        return @T_make((a.re + a.im * ratio) / denominator, (a.im - a.re * ratio) / denominator);
    }
    ratio = b.re / b.im;
    denominator = b.re * ratio + b.im;
    return @T_make((a.re * ratio + a.im) / denominator, (a.im * ratio - a.re) / denominator);
}""",
    "complex_conj": "DEVICE @T @N(@T a) { return @T_make(a.re, -a.im); }",
    "complex_abs": "DEVICE @R @N(@T a) { return @F(hypot)(a.re, a.im); }",
    "square_complex": "DEVICE @T @N(@T a) { return @H(complex_mul)(a, a); }",
    "complex_sqrt": """\
DEVICE @T @N(@T a) {
    if (a.re == 0 && a.im == 0) return @T_make(0, a.im);
    @R t = @F(sqrt)((@F(fabs)(a.re) + @F(hypot)(a.re, a.im)) * (@R)0.5f);
    if (a.re >= 0) return @T_make(t, a.im / (2 * t));
    return @T_make(@F(fabs)(a.im) / (2 * t), @F(copysign)(t, a.im));
}""",
    "complex_exp": """\
DEVICE @T @N(@T a) {
    @R r = @F(exp)(a.re);
    return a.im == 0 ? @T_make(r, a.im) : @T_make(r * @F(cos)(a.im), r * @F(sin)(a.im));
}""",
    "complex_log": """\
DEVICE @T @N(@T a) { return @T_make(@F(log)(@F(hypot)(a.re, a.im)), @F(atan2)(a.im, a.re)); }""",
    "complex_sin": """\
DEVICE @T @N(@T a) {
    return @T_make(@F(sin)(a.re) * @F(cosh)(a.im), @F(cos)(a.re) * @F(sinh)(a.im));
}""",
    "complex_cos": """\
DEVICE @T @N(@T a) {
    return @T_make(@F(cos)(a.re) * @F(cosh)(a.im), -@F(sin)(a.re) * @F(sinh)(a.im));
}""",
    "complex_sinh": """\
DEVICE @T @N(@T a) {
    return @T_make(@F(sinh)(a.re) * @F(cos)(a.im), @F(cosh)(a.re) * @F(sin)(a.im));
}""",
    "complex_cosh": """\
DEVICE @T @N(@T a) {
    return @T_make(@F(cosh)(a.re) * @F(cos)(a.im), @F(sinh)(a.re) * @F(sin)(a.im));
}""",
    "complex_pow": """\
DEVICE @T @N(@T a, @T b) {
    if (b.re == 2 && b.im == 0) return @H(complex_mul)(a, a);
    if (b.re == 0 && b.im == 0) return @T_make(1, 0);
    if (a.re == 0 && a.im == 0) return @T_make(0, 0);
    return @H(complex_exp)(@H(complex_mul)(b, @H(complex_log)(a)));
}""",
}

_COMPARE = "DEVICE bool @N(i64 a, u64 b) { return a < 0 ? a @O 0 : (u64)a @O b; }"
for _name, _operator in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    # A negative number is below every unsigned one.
    _text = _COMPARE.replace("a @O 0", {"lt": "true", "le": "true", "ne": "true"}.get(_name, "false"))
    HELPERS[f"{_name}_signed_unsigned"] = _text.replace("@O", _operator)
