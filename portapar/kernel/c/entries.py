"""Kernel entries in C: what devices are given to run the functions of a kernel; those of maps in full.

An entry takes a frame (which indices to run) and then the kernel's arguments, flattened: `Parameter` says
for every C parameter what the launcher must pass. Index arithmetic is 64-bit throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core import types

from portapar.kernel.c.dialect import Dialect
from portapar.kernel.c.function import add_function
from portapar.kernel.c.intervals import EXTENTS, Interval
from portapar.kernel.c.unit import GLOBAL, SHARED, Unit, scalar_name, strip
from portapar.kernel.jit.typing import TypedFunction
from portapar.kernel.program import INDICES

__all__ = ["Batch", "Parameter", "Strips", "map_parameters", "reduce_parameters", "render_map"]


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


@dataclass(frozen=True)
class Strips:
    """A body for several neighbouring indices at a time, on CPUs (`portapar.kernel.lanes`).

    Attributes
    ----------
    width : int
        How many.
    whole, fewer : TypedFunction
        ``whole(i[, …], *args)`` for as many from the last index on; ``fewer`` has one more argument, that says for how
        many.
    """

    width: int
    whole: TypedFunction
    fewer: TypedFunction


_INT64 = np.dtype(np.int64)
_GROUP_INDICES = 3  #: group, step, item
_VECTOR = 512  #: bits of the longest vectors of any CPU
_PAIRS = 8  #: elements of which LLVM tests, unless told to, whether one is written where another is read


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
    frame += [Parameter(name, -1, name, _INT64) for name in ("lo", "hi", "before", "after")]
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

    def __init__(
        self,
        unit: Unit,
        argtypes: tuple[types.Type, ...],
        parameters: list[Parameter],
        tails: Sequence[tuple[int, ...]] = (),
        shared: Sequence[int] = (),
        apart: bool = False,
    ) -> None:
        self.unit = unit
        self.shared = shared
        self.pointer = "* restrict" if apart else "*"
        self.tails = tails
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
                texts.append(f"GLOBAL {element}{self.pointer} {parameter.name}")
        return f"{self.unit.dialect.entry} {name}({', '.join(texts)}) {{"

    def locals(self) -> list[str]:
        """Declarations of the kernel's own arguments a0, a1, …"""
        lines = []
        for k, n in enumerate(self.shared):
            array = self.argtypes[k]
            lines += [
                f"    {self.unit.dialect.group[0]} {self.unit.memory(array.dtype)} shared{k}[{n}];",
                f"    {self.unit.value(array, SHARED)} a{k};",
                f"    a{k}.data = shared{k};",
                f"    a{k}.n0 = {n};",
            ]
        for k, numba_type in list(enumerate(self.argtypes))[len(self.shared) :]:
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
            for axis, n in enumerate(reversed(self.tails[k] if k < len(self.tails) else ()), 1):
                lines.append(f"    a{k}.n{numba_type.ndim - axis} = {n};")
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
    tails: Sequence[tuple[int, ...]] = (),
    near: TypedFunction | None = None,
    holds: TypedFunction | None = None,
    strips: Strips | None = None,
    together: bool = False,
    apart: bool = False,
    wide: bool = False,
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
    tails : sequence of tuple of int
        For each argument the lengths of the last axes for which alone the text is made.
    near, holds : TypedFunction, optional
        With `blocked`: the body for indices that are not negative, and what says where it is right, from the least
        and the largest index on each axis and the arguments (everywhere if there is none).
    strips : Strips, optional
        What runs in the place of `near`.
    together : bool
        Neighbouring indices may all load before one of them stores.
    apart : bool
        Arrays that are written share no memory with others.
    wide : bool
        Vectors as long as the CPU has them are fast, whatever the compiler thinks.

    Returns
    -------
    str
        A complete unit; any number of work-items may be launched. For the parameters see
        `map_parameters`.
    """
    unit = Unit(dialect, extent)
    known = [None if signed and not unit_step else Interval(0, extent)] * ndim
    kernel = add_function(unit, near if near and not holds else body, [GLOBAL] * len(body.argtypes), known)
    entry = Entry(unit, body.argtypes[ndim:], map_parameters(body.argtypes, ndim, dialect, unit_step), tails, (), apart)

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
        fast = kernel
        if near is not None and holds is not None and strips is None:
            fast = add_function(unit, near, [GLOBAL] * len(near.argtypes), known)
        hints = [f"interleave_count({unit.interleave})"] * (unit.interleave > 0)
        cost = unit.costs[fast]
        if together:
            hints.append("vectorize(assume_safety)")
        elif _PAIRS < cost.elements < math.inf and not cost.anywhere:
            hints.append("vectorize(enable)")
        elements = [t.dtype for t in entry.argtypes if isinstance(t, types.Array)]
        numbers = in_a_vector(elements) if wide and cost.elements < math.inf and not cost.anywhere else 0
        hint = f"LOOP({' '.join([*hints, f'WIDE({numbers})' * (numbers > 0)])}) " if hints else ""
        if numbers and not hints:
            hint = f"WIDE_LOOP({numbers}) "
        row = [f"{hint}for (i64 {last} = begin; {last} < stop; ++{last}) {call}"]
        test = ""
        if near is not None and holds is not None:
            name = add_function(unit, holds, [GLOBAL] * len(holds.argtypes), [k for k in known for _ in range(2)])
            ends = [(INDICES[d], INDICES[d]) for d in range(ndim - 1)] + [("first", "last")]
            texts = [_least_and_largest(unit, value, d, *ends[d], steps, unit_step) for d in range(ndim)]
            test = f"{name}({', '.join(texts)}{entry.arguments()})"
        middle = [f"{hint}for (i64 {last} = first; {last} <= last; ++{last}) {call.replace(kernel, fast, 1)}"]
        if strips is not None:
            middle = _in_strips(unit, strips, call.partition("(")[2], known, last)
        if test:
            row = _near_and_far(test, call, middle, last)
        elif strips is not None:
            row = ["i64 first = begin, last = stop - 1;", *middle]
        width = strips.width if strips is not None and ndim == 1 else 1
        lines += [
            f"    i64 piece = (hi - lo + {items} - 1) / ({items});",
            *[f"    piece = (piece + {width - 1}) / {width} * {width};"] * (width > 1),
            f"    i64 flat = lo + ({item}) * piece, end = flat + piece < hi ? flat + piece : hi;",
        ]
        if ndim == 1:
            lines += ["    i64 begin = flat, stop = end;", *("    " + line for line in row)]
        else:
            lines += [
                "    while (flat < end) {",
                *_decode(ndim, "i64", "        ", "begin"),
                f"        i64 stop = begin + (end - flat) < n{ndim - 1} ? begin + (end - flat) : n{ndim - 1};",
                "        flat += stop - begin;",
                *("        " + line for line in row),
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


def in_a_vector(elements: Sequence[types.Type]) -> int:
    """How many numbers of the widest type are in a vector of the longest kind; 0 if that is better left open."""
    if not all(isinstance(t, types.Integer | types.Float) for t in elements):
        return 0
    widest = max((t.bitwidth for t in elements), default=0)
    return _VECTOR // widest if widest in (32, 64) else 0


def group_parameters(argtypes: tuple[types.Type, ...], shared: Sequence[int], dialect: Dialect) -> list[Parameter]:
    """The parameters of `render_groups`' entry, in order; `argtypes` are those of the body, indices included."""
    return [p for p in map_parameters(argtypes, _GROUP_INDICES, dialect) if not 0 <= p.argument < len(shared)]


def render_groups(
    body: TypedFunction, shared: Sequence[int], dialect: Dialect, name: str, extent: int = EXTENTS[0]
) -> str:
    """An entry that runs ``body(group, step, item, *args)`` with groups of work-items, which wait after each step.

    One group runs the steps of one index on the first axis: as many groups must be launched as there are, each of as
    many items as the last axis has. The first arguments are arrays of so many elements as `shared` says, which a
    group's items share. For the parameters see `group_parameters`.
    """
    unit = Unit(dialect, extent)
    spaces = [GLOBAL] * _GROUP_INDICES + [SHARED] * len(shared) + [GLOBAL] * len(body.argtypes)
    kernel = add_function(unit, body, spaces, [Interval(0, extent)] * _GROUP_INDICES)
    argtypes = body.argtypes[_GROUP_INDICES:]
    entry = Entry(unit, argtypes, group_parameters(body.argtypes, shared, dialect), shared=shared)
    _, _, barrier, group, item = dialect.group
    lines = [
        entry.head(name),
        *entry.locals(),
        f"    i64 group = start0 + lo / (n1 * n2) + {group}, item = {item};",
        "    for (i64 step = 0; step < n1; ++step) {",
        f"        {kernel}(group, step, item{entry.arguments()});",
        f"        {barrier};",
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


def _least_and_largest(
    unit: Unit, value: Callable[[int, str], str], axis: int, first: str, last: str, steps: tuple[int, ...], plain: bool
) -> str:
    """The least and the largest index on an axis between two positions."""
    a, b = value(axis, first), value(axis, last)
    step = 1 if plain else steps[axis] if steps else 0
    if step:
        return f"{a}, {b}" if step > 0 else f"{b}, {a}"
    return f"{unit.helper('py_min', 'i64')}({a}, {b}), {unit.helper('py_max', 'i64')}({a}, {b})"


def _near_and_far(holds: str, call: str, middle: list[str], index: str) -> list[str]:
    """The loop over a row in three parts: in the middle no index is negative; at the ends, or everywhere, some may be.

    `holds` is a test of the indices from `first` to `last`, which `middle` runs. What is left out at an end are 1, 3,
    7, … indices.
    """
    one = holds.replace("last", "first")
    lines = "\n".join("    " + line for line in middle)
    return f"""\
i64 first = begin, last = stop - 1;
if (!{holds}) {{
    for (i64 step = 1; first < stop && !{one}; step *= 2) first += step;
    for (i64 step = 1; last >= first && !{holds}; step *= 2) last -= step;
    if (last < first) first = stop, last = stop - 1;
}}
for (int side = 0; side < 2; ++side) {{
    i64 from = side ? last + 1 : begin, to = side ? stop : first;
    VECTORS_OFF for (i64 {index} = from; {index} < to; ++{index}) {call}
    if (side) continue;
{lines}
}}""".replace("VECTORS_OFF", '_Pragma("clang loop vectorize(disable)")').split("\n")


def _in_strips(unit: Unit, strips: Strips, given: str, known: list[Interval | None], index: str) -> list[str]:
    """The loop from `first` to `last` over strips, and what is left."""
    names = []
    for body in (strips.whole, strips.fewer):
        more = [Interval(0, strips.width)] if body is strips.fewer else []
        intervals = [*known, *[None] * (len(body.argtypes) - len(known) - len(more)), *more]
        names.append(add_function(unit, body, [GLOBAL] * len(body.argtypes), intervals))
    width = strips.width
    return [
        f"i64 whole = last + 1 - (last + 1 - first) % {width}, {index} = first;",
        f"for (; {index} < whole; {index} += {width}) {names[0]}({given}",
        f"if ({index} <= last) {names[1]}({given.removesuffix(');')}, last + 1 - {index});",
    ]


def _decode(ndim: int, ctype: str, indent: str, name: str = "", declare: bool = True) -> list[str]:
    """From a flat index to the indices on the axes, row-major; that on the last one may get another name."""
    c = f"({ctype})"
    word = "i64 " if declare else ""
    lines = [f"{c[1:-1]} rest = {c}flat, row;"]
    for axis in range(ndim - 1, 0, -1):
        lines.append(f"row = rest / {c}n{axis};")
        lines.append(f"{word}{name if name and axis == ndim - 1 else INDICES[axis]} = rest - row * {c}n{axis};")
        lines.append("rest = row;")
    lines.append(f"{word}i = rest;")
    return [indent + line for line in lines]
