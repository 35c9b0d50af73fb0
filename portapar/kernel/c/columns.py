"""Rows of numbers that become columns, by shuffles of vectors: as text for compilers that are made of Clang."""

from __future__ import annotations

from numba.core import types

from portapar.kernel.c.unit import Unit
from portapar.kernel.jit.typing import dtype_of

_LINE = 64  #: bytes of a vector


def columns_helper(unit: Unit, element: types.Type, width: int = 0, ahead: int = 0) -> str:
    """The name of a function that copies rows of `element`s to columns, ``f(to, length, from, stride)``.

    Column k goes to ``to + k * length``. There are as many rows as there are numbers in a cache line. They are `width`
    numbers long, a power of two, and lie one after the other; if that is 0 they are as many numbers as there are rows,
    and begin `stride` apart. Of two vectors those at even places are one, and those at odd places another, as often as
    it takes for a vector to be of one column. What lies `ahead` lines further on in each row is asked for.
    """
    ctype = unit.scalar(element)
    name, size = f"columns{width or ''}{'_ahead' * (ahead > 0)}_{ctype}", _LINE // dtype_of(element).itemsize
    if name in unit.declarations:
        return name
    unit.declarations[f"{name}_line"] = (
        f"typedef {ctype} {name}_line __attribute__((ext_vector_type({size}), aligned(sizeof({ctype}))));"
    )
    count = width or size
    step = f"{size}" if width else "stride"
    lines = [f"{name}_line x{k} = *(GLOBAL {name}_line*)(from + {k} * {step});" for k in range(count)]
    found, number = [[f"x{k}" for k in range(count)]], count
    ends = [", ".join(map(str, range(k, 2 * size, 2))) for k in (0, 1)]
    while len(found[0]) > 1:
        turned: list[list[str]] = []
        for places in ends:
            for parts in found:
                made = []
                for a, b in zip(parts[0::2], parts[1::2], strict=True):
                    lines.append(f"{name}_line x{number} = __builtin_shufflevector({a}, {b}, {places});")
                    made.append(f"x{number}")
                    number += 1
                turned.append(made)
        found = turned
    # the address as a number: in OpenCL's language pointers to global memory are of another kind
    further = [f"from + {k} * stride + {ahead * size}" for k in range(count if ahead else 0)]
    lines += [f"__builtin_prefetch((const void*)(u64)({place}));" for place in further]
    lines += [f"*({name}_line*)(to + {k} * length) = {value};" for k, (value,) in enumerate(found)]
    head = f"DEVICE void {name}({ctype}* to, i64 length, GLOBAL {ctype}* from, i64 stride)"
    unit.declarations[name] = "\n    ".join([f"{head} {{", *lines]) + "\n}"
    return name
