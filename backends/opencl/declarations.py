"""What texts of kernels use of OpenCL C, declared in some fifty lines.

Before each text PoCL reads Clang's declarations of all that OpenCL C has, 18,000 lines, which takes five times as long
as to compile a short kernel. They have a guard, as headers do: with `OPTION` they are passed over. A text that uses
more than is declared here does not compile, and is compiled without the option then.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DECLARATIONS", "OPTION"]

OPTION = "-D_OPENCL_H_"

_ONE = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2",
    "expm1", "fabs", "floor", "lgamma", "log", "log10", "log1p", "log2", "rint", "sin", "sinh", "sqrt", "tan", "tanh",
    "tgamma", "trunc",
)  # fmt: skip
_TWO = ("atan2", "copysign", "fmod", "hypot", "nextafter", "pow")
_PLACES = ("get_global_id", "get_global_size", "get_group_id", "get_local_id")
_ATOMIC = ("add", "sub", "xchg", "min", "max", "and", "or", "xor")


def _function(result: str, name: str, arguments: Iterable[str], attributes: str = ", const") -> str:
    return f"{result} __attribute__((overloadable{attributes})) {name}({', '.join(arguments)});"


def _math(number: str) -> list[str]:
    found = [_function(number, name, [number] * (1 + (name in _TWO))) for name in _ONE + _TWO]
    return [*found, _function(number, "ldexp", [number, "int"])]


def _atomics(prefix: str, number: str) -> list[str]:
    where = f"volatile __global {number}*"
    found = [_function(number, f"{prefix}_{name}", [where, number], "") for name in _ATOMIC]
    return [*found, _function(number, f"{prefix}_cmpxchg", [where, number, number], "")]


DECLARATIONS = "\n".join((
    "typedef unsigned char uchar;", "typedef unsigned short ushort;", "typedef unsigned int uint;",
    "typedef unsigned long ulong;", "typedef ulong size_t;",
    *(f"#define as_{name}(x) __builtin_astype((x), {name})" for name in ("int", "float", "long", "double")),
    "#define INFINITY (__builtin_inff())", "#define NAN (__builtin_nanf(\"\"))",
    "#define CLK_LOCAL_MEM_FENCE 1",
    *(_function("size_t", name, ["uint"]) for name in _PLACES),
    _function("void", "barrier", ["uint"], ", convergent"),
    *_math("float"), *_atomics("atomic", "int"), *_atomics("atomic", "uint"),
    "#ifdef cl_khr_fp64", "#pragma OPENCL EXTENSION cl_khr_fp64 : enable", *_math("double"), "#endif",
    "#if defined(cl_khr_int64_base_atomics) && defined(cl_khr_int64_extended_atomics)",
    *_atomics("atom", "long"), *_atomics("atom", "ulong"), "#endif", "",
))  # fmt: skip
