"""The dialects of C, and the helper functions that kernels may need, as text.

Kernels are written with short type names (`i64`, `f32`) and a few macros, so that the same text serves
all dialects; only what `Dialect` holds differs. A helper is a template: `@T` is its type, `@U` the
unsigned integer type of the same width (at least 32 bits), `@R` the float type of a complex one, `@F(…)`
a math function for its type, `@H(…)` another helper for its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from portapar.kernel.c.complexes import COMPLEX
from portapar.kernel.c.vecmath import MATH

__all__ = ["CUDA", "HELPERS", "HIP", "OPENCL", "OPENCL_CPU", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """The words in which OpenCL C, CUDA C and HIP differ.

    Attributes
    ----------
    name : str
        "opencl", "cuda" or "hip".
    types : mapping of str to str
        What the short type names stand for.
    preamble, float64_preamble : str
        Pragmas and macros; the second only in units that use float64.
    entry : str
        The qualifiers of a kernel entry.
    float32_suffix : str
        What the name of a math function has at its end for float32.
    thread : tuple of str
        The number of a work-item in its launch, and how many there are.
    group : tuple of str
        Of work-items that share memory: how it is declared, how it is pointed to, how they wait for each other, the
        number of a group in its launch, and that of an item in its group.
    offsets : bool
        An array is a buffer and an offset in elements; otherwise it is a pointer.
    shuffle : tuple of str
        For threads that run in warps, and several elements at once: how they give words to each other. That of the
        lane `distance` further up, and that of lane 0.
    atomics : {"extensions", "functions"}
        Whether atomics are OpenCL's functions and extensions, or CUDA's functions.
    own : set of str
        Math functions for which there is a helper, since those of implementations are too far off, or keep loops from
        becoming vectors.
    builtin : set of str
        Math functions that the compiler has as instructions; elsewhere they are calls.
    serial : bool
        A work-item runs a contiguous piece or a whole tile, whose loop becomes vectors, as suits CPUs; otherwise
        neighbouring work-items run neighbouring indices, as suits GPUs.
    marked : bool
        Lines of functions tell in a comment which line of the typed text they are of.
    """

    name: str
    types: Mapping[str, str]
    preamble: str
    float64_preamble: str
    entry: str
    float32_suffix: str
    thread: tuple[str, str]
    group: tuple[str, str, str, str, str]
    offsets: bool
    shuffle: tuple[str, ...]
    atomics: str
    own: frozenset[str] = frozenset()
    marked: bool = False
    builtin: frozenset[str] = frozenset()
    serial: bool = False

    def math(self, name: str, ctype: str) -> str:
        """The name of a math function of libm for one of the types f32 and f64."""
        if name in self.builtin:
            return f"__builtin_{name}{'f' if ctype == 'f32' else ''}"
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
    thread=("(i64)get_global_id(0)", "(i64)get_global_size(0)"),
    group=("__local", "__local", "barrier(CLK_LOCAL_MEM_FENCE)", "(i64)get_group_id(0)", "(i64)get_local_id(0)"),
    offsets=True,
    shuffle=(),
    atomics="extensions",
    own=frozenset({"cbrt"}),
)  # fmt: skip

# The compilers of OpenCL for CPUs are made of Clang, whose own functions become instructions. By itself it uses half of
# the registers of AVX-512, as suits programs with few vectors.
OPENCL_CPU = replace(
    OPENCL,
    preamble=OPENCL.preamble.replace("inline", "inline __attribute__((always_inline))")
    + """\
#undef isnan
#undef isinf
#undef isfinite
#undef signbit
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED
#define FMA(a, b, c) __builtin_fma(a, b, c)
#endif
#define PRAGMA(text) _Pragma(#text)
#define LOOP(...) PRAGMA(clang loop __VA_ARGS__)
#if defined(__AVX512DQ__) && defined(__AVX512VL__)
#define WIDE_ENTRY __attribute__((min_vector_width(512)))
#define WIDE(n) vectorize_width(n)
#define WIDE_LOOP(n) LOOP(vectorize_width(n))
#else
#define WIDE_ENTRY
#define WIDE(n)
#define WIDE_LOOP(n)
#endif
""",
    entry="WIDE_ENTRY __kernel void",
    own=frozenset(MATH),
    builtin=frozenset({"fabs", "sqrt", "floor", "ceil", "trunc", "rint", "copysign"}),
    serial=True,
)

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
    thread=("(i64)blockIdx.x * blockDim.x + threadIdx.x", "(i64)gridDim.x * blockDim.x"),
    group=("__shared__", "", "__syncthreads()", "(i64)blockIdx.x", "(i64)threadIdx.x"),
    offsets=False,
    shuffle=("__shfl_down_sync(0xffffffffu, word, distance)", "__shfl_sync(0xffffffffu, word, 0)"),
    atomics="functions",
)  # fmt: skip

# AMD's language is CUDA's but for a few words. Its warps have 64 threads: two of ours share one. Products and sums are
# contracted unless it is forbidden.
HIP = replace(
    CUDA,
    name="hip",
    preamble="#pragma clang fp contract(off)\n" + CUDA.preamble,
    shuffle=("__shfl_down(word, distance, 32)", "__shfl(word, 0, 32)"),
)


# NumPy's meaning in C. A division by zero gives 0 for integers and inf or nan for floats; integers wrap; a shift by
# the width or more, or by a negative number, leaves nothing but the sign.
HELPERS: dict[str, str] = {
    "wrap": "DEVICE i64 @N(i64 i, i64 n) { return i < 0 ? i + n : i; }",
    "clamp": """\
DEVICE i64 @N(i64 i, i64 n) {
    i = i < 0 ? i + n : i;
    return i < 0 ? 0 : i < n ? i : n - 1;
}""",
    "floordiv_signed": """\
DEVICE @T @N(@T a, @T b) {
    if (b == 0 || b == -1) return b == 0 ? 0 : (@T)(0 - (@U)a);
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
    "fmod_int": "DEVICE @T @N(@T a, @T b) { return b == 0 || (b == (@T)-1 && (@T)-1 < 0) ? 0 : (@T)(a % b); }",
    "lshift": "DEVICE @T @N(@T a, u64 b) { return b < 8 * sizeof(@T) ? (@T)((@U)a << b) : 0; }",
    "rshift_signed": "DEVICE @T @N(@T a, u64 b) { return a >> (b < 8 * sizeof(@T) ? b : 8 * sizeof(@T) - 1); }",
    "rshift_unsigned": "DEVICE @T @N(@T a, u64 b) { return b < 8 * sizeof(@T) ? a >> b : 0; }",
    "unsigned_of": "DEVICE u64 @N(@T a) { return a < 9223372036854775808.0f ? (u64)(i64)a : (u64)a; }",
    "floordiv_float": """\
DEVICE @T @N(@T a, @T b) {
    if (b == 0) return a / b;
    @T mod = @F(fmod)(a, b), div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
    if (div == 0) return @F(copysign)((@T)0, a / b);
    @T whole = @F(floor)(div);
    return div - whole > (@T)0.5f ? whole + 1 : whole;
}""",
    "mod_float": """\
DEVICE @T @N(@T a, @T b) {
    @T mod = @F(fmod)(a, b);
    if (b == 0) return mod;
    if (mod == 0) return @F(copysign)((@T)0, b);
    return (b < 0) != (mod < 0) ? mod + b : mod;
}""",
    "pow_int": """\
DEVICE @T @N(@T a, i64 b) {
    if (b < 0) return a == 1 || (a == (@T)-1 && (@T)-1 < 0) ? (b & 1 ? a : 1) : 0;
    return @H(pow_int_unsigned)(a, (u64)b);
}""",
    "pow_int_unsigned": """\
DEVICE @T @N(@T a, u64 b) {
    @U r = 1, x = (@U)a;
    for (; b != 0; b >>= 1) {
        if (b & 1) r *= x;
        x *= x;
    }
    return (@T)r;
}""",
    "pow_m2": "DEVICE @T @N(@T a) { return 1 / a / a; }",
    "pow_m1": "DEVICE @T @N(@T a) { return 1 / a; }",
    "pow_2": "DEVICE @T @N(@T a) { return a * a; }",
    "pow_3": "DEVICE @T @N(@T a) { return a * a * a; }",
    "pow_4": "DEVICE @T @N(@T a) { @T s = a * a; return s * s; }",
    # A power is off by as many ulp as the logarithm has digits before the point; one of Newton's steps mends it.
    "cbrt": """\
DEVICE @T @N(@T a) {
    @T x = @F(fabs)(a), unit = 1;
    if (!(x > 0) || isinf(x)) return a;
    if (x < (@T)1e-30f) x *= (@T)0x1p60f, unit = (@T)0x1p-20f;
    if (x > (@T)1e36f) x *= (@T)0x1p-15f, unit = (@T)0x1p5f;
    @T y = @F(pow)(x, (@T)1 / (@T)3);
    y -= (y * y * y - x) / (3 * y * y);
    return @F(copysign)(y * unit, a);
}""",
    "range_length": """\
DEVICE @T @N(@T start, @T stop, @T step) {
    if (step > 0) return start < stop ? (@T)(((@U)stop - (@U)start - 1) / (@U)step + 1) : 0;
    return step < 0 && start > stop ? (@T)(((@U)start - (@U)stop - 1) / (0 - (@U)step) + 1) : 0;
}""",
    "range_holds": """\
DEVICE bool @N(@T start, @T stop, @T step, @T item) {
    if (step > 0) return item >= start && item < stop && ((@U)item - (@U)start) % (@U)step == 0;
    return step < 0 && item <= start && item > stop && ((@U)start - (@U)item) % (0 - (@U)step) == 0;
}""",
    "abs_int": "DEVICE @T @N(@T a) { return a < 0 ? (@T)(0 - (@U)a) : a; }",
    # Python's min and max keep the first of equals and of what cannot be compared; NumPy's hand a NaN on.
    "py_min": "DEVICE @T @N(@T a, @T b) { return b < a ? b : a; }",
    "py_max": "DEVICE @T @N(@T a, @T b) { return b > a ? b : a; }",
    "np_minimum": "DEVICE @T @N(@T a, @T b) { return a <= b || a != a ? a : b; }",
    "np_maximum": "DEVICE @T @N(@T a, @T b) { return a >= b || a != a ? a : b; }",
    "np_fmin": "DEVICE @T @N(@T a, @T b) { return a <= b || b != b ? a : b; }",
    "np_fmax": "DEVICE @T @N(@T a, @T b) { return a >= b || b != b ? a : b; }",
    "sign": "DEVICE @T @N(@T a) { return a > 0 ? 1 : a < 0 ? -1 : a == 0 ? 0 : a; }",
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
    "round_int": """\
DEVICE @T @N(@T a, i64 digits) {
    u64 p = 1, size = a < 0 ? 0 - (u64)a : (u64)a;
    if (digits < -19) return 0;
    for (i64 k = digits; k < 0; ++k) p *= 10;
    u64 q = size / p, rest = size - q * p, other = p - rest;
    q = (q + (rest > other || (rest == other && (q & 1) != 0))) * p;
    return (@T)(a < 0 ? 0 - q : q);
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
    "reciprocal_int": "DEVICE @T @N(@T a) { return a == 1 || (a < 0 && a == (@T)-1) ? a : 0; }",
    "logaddexp": """\
DEVICE @T @N(@T a, @T b) {
    if (a == b) return a + @F(log)((@T)2);
    @T d = a - b;
    return d > 0 ? a + @F(log1p)(@F(exp)(-d)) : d <= 0 ? b + @F(log1p)(@F(exp)(d)) : d;
}""",
    "square_int": "DEVICE @T @N(@T a) { return (@T)((@U)a * (@U)a); }",
    "square_float": "DEVICE @T @N(@T a) { return a * a; }",
    **COMPLEX,
}

_COMPARE = "DEVICE bool @N(i64 a, u64 b) { return a < 0 ? a @O 0 : (u64)a @O b; }"
for _name, _operator in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    # A negative number is below every unsigned one.
    _text = _COMPARE.replace("a @O 0", {"lt": "true", "le": "true", "ne": "true"}.get(_name, "false"))
    HELPERS[f"{_name}_signed_unsigned"] = _text.replace("@O", _operator)
