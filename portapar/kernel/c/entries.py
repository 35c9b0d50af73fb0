"""Kernel entries in C: what devices are given to run the functions of a kernel; those of maps in full.

An entry takes a frame (which indices to run) and then the kernel's arguments, flattened: `Parameter` says
for every C parameter what the launcher must pass. Index arithmetic is 64-bit throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import types

from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.function import add_function
from portapar.kernel.c.intervals import EXTENTS, Interval
from portapar.kernel.c.unit import GLOBAL, Unit, scalar_name, strip
from portapar.kernel.jit.typing import TypedFunction
from portapar.kernel.program import INDICES

__all__ = ["Batch", "Parameter", "map_parameters", "reduce_parameters", "render_map"]


@dataclass(frozen=True)
class Parameter:
    """One C parameter of an entry.

    Attributes
    ----------
    name : str
        Its name in the text.
    argument : int
        Which of the kernel's arguments (after the indices) it belongs to; -1 for the frame.
    field : str
        Which part: for the frame its name (`lo`, `hi`, `n0`, `start0`, `step0`, `partials`, …), for an
        array `data`, `offset` (in elements, OpenCL only), `n0`… (extents), `s0`… (strides in elements,
        layout 'A' only) or `first`, for a number `value` (`re` and `im` if complex), for a tuple the
        position and a dot before its element's field (`0.value`).
    dtype : numpy.dtype or None
        The type of the scalar to pass; None for a pointer.
    """

    name: str
    argument: int
    field: str
    dtype: np.dtype[Any] | None

    def ctype(self) -> str:
        """The short C type name of a scalar."""
        assert self.dtype is not None
        return f"{self.dtype.kind}{8 * self.dtype.itemsize}"


@dataclass(frozen=True)
class Batch:
    """A body in two halves, for work-items that run `count` indices at once.

    Attributes
    ----------
    elem : TypedFunction
        ``elem(i, *args)``: the value that the body stores.
    store : TypedFunction
        ``store(i, array, value)``.
    out : int
        The number of that array among the arguments.
    count : int
    """

    elem: TypedFunction
    store: TypedFunction
    out: int
    count: int


_INT64 = np.dtype(np.int64)


def map_parameters(
    argtypes: tuple[types.Type, ...], ndim: int, dialect: Dialect, unit_step: bool = True
) -> list[Parameter]:
    """The parameters of `render_map`'s entry, in order.

    Parameters
    ----------
    argtypes : tuple of numba types
        The body's argument types, its `ndim` indices included.
    """
    names = ["lo", "hi", *(f"n{d}" for d in range(ndim))]
    names += ["start0"] if unit_step else [f"{w}{d}" for d in range(ndim) for w in ("start", "step")]
    return [Parameter(n, -1, n, _INT64) for n in names] + _arguments(argtypes[ndim:], dialect)


def reduce_parameters(argtypes: tuple[types.Type, ...], dialect: Dialect) -> list[Parameter]:
    """The parameters of an entry that reduces, in order; `argtypes` are those of `elem`, index included."""
    frame = [Parameter("partials", -1, "partials", None)]
    other = "partials_offset" if dialect.offsets else "group"
    frame.append(Parameter(other, -1, other, _INT64))
    frame += [Parameter("lo", -1, "lo", _INT64), Parameter("hi", -1, "hi", _INT64)]
    return frame + _arguments(argtypes[1:], dialect)


def _arguments(argtypes: tuple[types.Type, ...], dialect: Dialect) -> list[Parameter]:
    return [p for k, t in enumerate(argtypes) for p in _flatten(k, strip(t), dialect, "")]


def _flatten(k: int, numba_type: types.Type, dialect: Dialect, path: str) -> Iterator[Parameter]:
    def part(field: str, dtype: np.dtype[Any] | None = _INT64) -> Parameter:
        return Parameter(f"a{k}_{path.replace('.', '_')}{field}", k, path + field, dtype)

    if isinstance(numba_type, types.Array):
        yield part("data", None)
        if dialect.offsets:
            yield part("offset")
        for letter in "ns" if numba_type.layout == "A" else "n":
            for axis in range(numba_type.ndim):
                yield part(f"{letter}{axis}")
        yield part("first")
    elif isinstance(numba_type, types.BaseTuple):
        for position, inner in enumerate(numba_type.types):
            yield from _flatten(k, inner, dialect, f"{path}{position}.")
    elif isinstance(numba_type, types.Complex):
        yield part("re", np.dtype(numba_type.underlying_float.name))
        yield part("im", np.dtype(numba_type.underlying_float.name))
    else:
        name = scalar_name(numba_type)
        if name is None:
            raise TypeError(f"a kernel's argument cannot be of type {numba_type}")
        yield part("value", np.dtype(np.uint8) if name == "bool" else np.dtype(numba_type.name))


class Entry:
    """The parts of text that all entries share."""

    def __init__(self, unit: Unit, argtypes: tuple[types.Type, ...], parameters: list[Parameter]) -> None:
        self.unit = unit
        self.parameters = parameters
        self.argtypes = [strip(t) for t in argtypes]

    def head(self, name: str, partials: str = "") -> str:
        """The entry's head up to the opening brace."""
        texts = []
        for parameter in self.parameters:
            if parameter.dtype is not None:
                texts.append(f"{self.unit.use(parameter.ctype())} {parameter.name}")
            else:
                element = partials
                if parameter.argument >= 0:
                    element = self.unit.memory(self.argtypes[parameter.argument].dtype)
                texts.append(f"GLOBAL {element}* {parameter.name}")
        return f"{self.unit.dialect.entry} {name}({', '.join(texts)}) {{"

    def locals(self) -> list[str]:
        """Declarations of the kernel's own arguments a0, a1, …"""
        lines = []
        for k, numba_type in enumerate(self.argtypes):
            lines.append(f"    {self.unit.value(numba_type, GLOBAL)} a{k};")
            own = [p for p in self.parameters if p.argument == k]
            offset = next((f" + {p.name}" for p in own if p.field == "offset"), "")
            for parameter in own:
                if parameter.field == "value":
                    suffix = " != 0" if isinstance(numba_type, types.Boolean) else ""
                    lines.append(f"    a{k} = {parameter.name}{suffix};")
                elif parameter.field != "offset":
                    place = self._place(numba_type, parameter.field)
                    text = parameter.name + (offset if parameter.field == "data" else "")
                    lines.append(f"    a{k}{place} = {text};")
        return lines

    def _place(self, numba_type: types.Type, field: str) -> str:
        if not isinstance(numba_type, types.BaseTuple):
            return "" if field == "value" else f".{field}"
        position, rest = field.split(".", 1)
        inner = self._place(numba_type.types[int(position)], rest)
        return f".{self.unit.member(numba_type, int(position))}{inner}"

    def arguments(self) -> str:
        """The arguments after the indices in a call of the kernel."""
        return "".join(f", a{k}" for k in range(len(self.argtypes)))


def render_map(
    body: TypedFunction,
    ndim: int,
    dialect: Dialect,
    name: str,
    *,
    unit_step: bool = True,
    steps: tuple[int, ...] = (),
    signed: bool = True,
    blocked: bool = False,
    batch: Batch | None = None,
    extent: int = EXTENTS[0],
) -> str:
    """An entry that runs `body(i[, j[, …]], *args)` for the flat indices in [lo, hi) of an index space.

    Parameters
    ----------
    body : TypedFunction
        Takes `ndim` indices (int64), then the arguments.
    ndim : int
        At most `len(INDICES)`.
    dialect : Dialect
        `OPENCL` or `CUDA`.
    name : str
        The entry's name.
    unit_step : bool
        The index on axis 0 is start0 + its position, on the others its position, none of them negative;
        otherwise it is start + step * position on every axis.
    steps : tuple of int
        If not `unit_step`: the step on each axis where it is a constant, else 0.
    signed : bool
        If not `unit_step`: some indices may be negative.
    blocked : bool
        Each work-item runs one contiguous piece of the range, in order, for CPUs: the inner loop has unit
        stride. Otherwise neighbouring work-items run neighbouring indices, for GPUs.
    batch : Batch, optional
        With `ndim` 1 and not `blocked`: the body in two halves, of which every work-item runs several at once.
    extent : int
        No array is longer along an axis; with `unit_step` no index is larger, either.

    Returns
    -------
    str
        A complete unit; any number of work-items may be launched. For the parameters see
        `map_parameters`.
    """
    unit = Unit(dialect, extent)
    known = [None if signed and not unit_step else Interval(0, extent)] * ndim
    kernel = add_function(unit, body, [GLOBAL] * len(body.argtypes), known)
    entry = Entry(unit, body.argtypes[ndim:], map_parameters(body.argtypes, ndim, dialect, unit_step))

    def value(axis: int, position: str) -> str:
        if not unit_step:
            step = (steps and steps[axis]) or f"step{axis}"
            return f"start{axis} + {position}" if step == 1 else f"start{axis} + {step} * {position}"
        return f"start0 + {position}" if axis == 0 else position

    item, items = dialect.thread
    last = INDICES[ndim - 1]
    call = f"{kernel}({', '.join(value(d, INDICES[d]) for d in range(ndim))}{entry.arguments()});"
    lines = [entry.head(name), *entry.locals()]
    if blocked:
        several = f'_Pragma("clang loop interleave_count({unit.interleave})") ' if unit.interleave else ""
        lines += [
            f"    i64 piece = (hi - lo + {items} - 1) / ({items});",
            f"    i64 flat = lo + ({item}) * piece, end = flat + piece < hi ? flat + piece : hi;",
        ]
        if ndim == 1:
            lines += [f"    {several}for (i64 i = flat; i < end; ++i) {call}"]
        else:
            lines += [
                "    while (flat < end) {",
                *_decode(ndim, "i64", "        "),
                f"        i64 stop = {last} + (end - flat) < n{ndim - 1} ? {last} + (end - flat) : n{ndim - 1};",
                f"        flat += stop - {last};",
                f"        {several}for (; {last} < stop; ++{last}) {call}",
                "    }",
            ]
    elif batch is not None:
        lines += _batches(unit, batch, entry.arguments(), known, value, call)
    elif ndim == 1:
        lines += [f"    for (i64 i = lo + ({item}); i < hi; i += {items}) {call}"]
    else:
        # A 64-bit division costs several times a 32-bit one on GPUs.
        lines += [
            f"    for (i64 flat = lo + ({item}); flat < hi; flat += {items}) {{",
            f"        i64 {', '.join(INDICES[:ndim])};",
            "        if (hi <= 0x7fffffff) {",
            *_decode(ndim, "u32", "            ", declare=False),
            "        } else {",
            *_decode(ndim, "i64", "            ", declare=False),
            "        }",
            f"        {call}",
            "    }",
        ]
    unit.functions.append("\n".join([*lines, "}"]) + "\n")
    return unit.text()


def _batches(
    unit: Unit,
    batch: Batch,
    arguments: str,
    known: list[Interval | None],
    value: Callable[[int, str], str],
    call: str,
) -> list[str]:
    """CUDA: all values of a batch are computed before the first one is stored.

    So their loads are all under way at the same time, which the memory of a GPU needs; a compiler may not move
    a load across a store to an array that could be the same.
    """
    elem = add_function(unit, batch.elem, [GLOBAL] * len(batch.elem.argtypes), known)
    store = add_function(unit, batch.store, [GLOBAL] * 2, known)
    kind = unit.value(batch.elem.return_type)

    def place(k: int) -> str:
        return value(0, f"i + {k} * (i64)blockDim.x" if k else "i")

    return [
        f"    i64 group = {batch.count} * (i64)blockDim.x;",
        "    for (i64 i = lo + blockIdx.x * group + threadIdx.x; i < hi; i += gridDim.x * group) {",
        f"        if (i + {batch.count - 1} * (i64)blockDim.x < hi) {{",
        *(f"            {kind} x{k} = {elem}({place(k)}{arguments});" for k in range(batch.count)),
        *(f"            {store}({place(k)}, a{batch.out}, x{k});" for k in range(batch.count)),
        "        } else {",
        f"            for (i64 end = i + group; i < end && i < hi; i += blockDim.x) {call}",
        "            break;",
        "        }",
        "    }",
    ]


def _decode(ndim: int, ctype: str, indent: str, declare: bool = True) -> list[str]:
    """From a flat index to the indices on the axes, row-major."""
    c = f"({ctype})"
    word = "i64 " if declare else ""
    lines = [f"{c[1:-1]} rest = {c}flat, row;"]
    for axis in range(ndim - 1, 0, -1):
        lines.append(f"row = rest / {c}n{axis};")
        lines.append(f"{word}{INDICES[axis]} = rest - row * {c}n{axis};")
        lines.append("rest = row;")
    lines.append(f"{word}i = rest;")
    return [indent + line for line in lines]
