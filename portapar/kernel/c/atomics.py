"""The atomic operations in OpenCL C and CUDA C, as text of helper functions."""

from __future__ import annotations

from portapar.kernel.c.unit import Unit

__all__ = ["atomic_helper"]

_OPENCL = {"add": "add", "sub": "sub", "min": "min", "max": "max", "and_": "and", "or_": "or", "xor": "xor",
           "exchange": "xchg", "cas": "cmpxchg"}  # fmt: skip
_CUDA = {"add": "Add", "sub": "Sub", "min": "Min", "max": "Max", "and_": "And", "or_": "Or", "xor": "Xor",
         "exchange": "Exch", "cas": "CAS"}  # fmt: skip
_CUDA_SIGNED_64 = {"min", "max"}  # the others take i64 only as u64, which has the same bits
_EXTENDED = {"min", "max", "and_", "or_", "xor"}


def atomic_helper(unit: Unit, name: str, ctype: str) -> str:
    """Declare the function `old = op(pointer, [expected,] value)` for one element type; its C name."""
    own = f"update_{name.rstrip('_')}_{ctype}"
    if own not in unit.declarations:
        unit.use(ctype)
        parameters = f"GLOBAL {ctype}* p, " + (f"{ctype} e, " if name == "cas" else "") + f"{ctype} v"
        body = _float(unit, name, ctype) if ctype[0] == "f" else _integer(unit, name, ctype)
        unit.declarations[own] = f"DEVICE {ctype} {own}({parameters}) {{\n{body}\n}}"
    return own


def _integer(unit: Unit, name: str, ctype: str) -> str:
    values = "e, v" if name == "cas" else "v"
    if unit.dialect.atomics == "extensions":
        return f"    return {_opencl_name(unit, name, ctype)}((volatile GLOBAL {ctype}*)p, {values});"
    native = ctype
    if ctype == "i64" and name not in _CUDA_SIGNED_64:
        native = "u64"
    if name == "sub" and ctype.endswith("64"):
        return f"    return ({ctype})atomicAdd((u64*)p, 0 - (u64)v);"
    values = ", ".join(f"({native}){v}" for v in values.split(", "))
    return f"    return ({ctype})atomic{_CUDA[name]}(({native}*)p, {values});"


def _opencl_name(unit: Unit, name: str, ctype: str) -> str:
    if ctype.endswith("32"):
        return f"atomic_{_OPENCL[name]}"
    extension = f"cl_khr_int64_{'extended' if name in _EXTENDED else 'base'}_atomics"
    unit.pragmas[extension] = f"#pragma OPENCL EXTENSION {extension} : enable"
    return f"atom_{_OPENCL[name]}"


def _float(unit: Unit, name: str, ctype: str) -> str:
    """Floats: CUDA's own sums; the rest by exchanging bits, compared as bits."""
    bits = "i32" if ctype == "f32" else "i64"
    to, back = f"AS_I{bits[1:]}", f"AS_F{bits[1:]}"
    if unit.dialect.atomics == "functions":
        if name in ("add", "sub"):
            return f"    return atomicAdd(p, {'-' if name == 'sub' else ''}v);"
        word = "int" if bits == "i32" else "u64"
        swap = f"({bits})atomicCAS(({word}*)p, ({word})(@E), ({word})(@V))"
        exchange = f"({bits})atomicExch(({word}*)p, ({word}){to}(v))"
    else:
        swap = f"{_opencl_name(unit, 'cas', bits)}((volatile GLOBAL {bits}*)p, @E, @V)"
        exchange = f"{_opencl_name(unit, 'exchange', bits)}((volatile GLOBAL {bits}*)p, {to}(v))"
    if name == "exchange":
        return f"    return {back}({exchange});"
    if name == "cas":
        return f"    return {back}({swap.replace('@E', f'{to}(e)').replace('@V', f'{to}(v)')});"
    swap = swap.replace("@E", "seen")
    start = f"    {bits} seen = *(volatile GLOBAL {bits}*)p, found;\n"
    if name in ("min", "max"):
        sign = "<" if name == "min" else ">"
        return start + (
            f"    while (v {sign} {back}(seen)) {{\n"
            f"        found = {swap.replace('@V', f'{to}(v)')};\n"
            "        if (found == seen) break;\n"
            "        seen = found;\n"
            f"    }}\n    return {back}(seen);"
        )
    sign = "+" if name == "add" else "-"
    return start + (
        "    for (;;) {\n"
        f"        found = {swap.replace('@V', f'{to}({back}(seen) {sign} v)')};\n"
        "        if (found == seen) break;\n"
        "        seen = found;\n"
        f"    }}\n    return {back}(seen);"
    )
