"""Calls of index forms as problems: for_each, and what is generated from indices."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, overlaps
from portapar.errors import KernelError
from portapar.kernel.copies import combined
from portapar.kernel.front.access import Access
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.reach import reaches
from portapar.kernel.front.reached import Reach
from portapar.kernel.front.rows import without_rows
from portapar.kernel.front.single_store import result
from portapar.kernel.front.text import Text
from portapar.kernel.jit.check import typed
from portapar.kernel.program import SHORT, Spec, short_last
from portapar.lazy import Lazy, flat, readable
from portapar.partitioned import PartitionedArray
from portapar.problem import (
    Box,
    Problem,
    Tests,
    box,
    fused,
    index_names,
    lazy_told,
    lifted,
    new_record,
    program_of,
    race_of,
    readonly_error,
    tell_narrow,
    tested,
    with_defaults,
    with_room,
)

if TYPE_CHECKING:
    from portapar.kernel.front.races import Race


def _over_space(use: Access, value: Any, extent: tuple[int, ...], unit: bool) -> Access:
    """How a kernel uses an array, given the index space: only where both match is its index a place."""
    use = use.on(value.dtype, value.ndim)
    pointwise = use.pointwise and unit and use.rank <= len(extent) and value.shape[:1] >= extent[:1]
    covers = use.covers and pointwise and value.shape == extent
    return Access(use.reads, use.writes, pointwise, covers)


@dataclass(slots=True)
class _Bound:
    """A kernel of indices with its arguments."""

    kernel: Kernel
    values: tuple[Any, ...]
    names: tuple[str, ...]
    specs: list[Spec]
    access: tuple[Access | None, ...]
    lazy: tuple[tuple[str, str], ...]
    race: Race | None
    tests: Tests | None
    updated: tuple[tuple[int, str], ...]
    find: Callable[[], tuple[Reach | None, ...]]
    short: int


def _bind(algorithm: str, space: Box, unit: bool, body: Any, args: tuple[Any, ...], drops: bool = False) -> _Bound:
    """What ``body(i[, j[, …]], *args)`` works with."""
    kernel, func = lifted(body)
    extent = space[0]
    ndim = len(extent)
    wanted = len(kernel.params) - ndim
    args = with_defaults(args, wanted, func)
    if len(args) != wanted:
        own = ", ".join(("i", "j", "k", "l", "m", "n")[:ndim])
        as_tuple = ndim > 1 and len(args) == wanted + ndim - 1
        raise KernelError(
            f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
            f"and the call gives {ndim} ind{'ices' if ndim > 1 else 'ex'} and "
            f"{len(args)} argument{'s' * (len(args) != 1)}. "
            + (f"Each index has a parameter of its own: {own}" if as_tuple else f"Give it {max(wanted, 0)} arguments")
            + ", or change the kernel" * (not as_tuple)
        )
    names = (*kernel.params[ndim:], *(name for name, _ in kernel.captures))
    values = tuple(arrays.normal(v, n) for v, n in zip((*args, *kernel.values(func)), names, strict=True))
    values = tuple(
        v if n in kernel.access and kernel.access[n].writes else readable(v) for n, v in zip(names, values, strict=True)
    )
    lazy = {name: v for name, v in zip(names, values, strict=True) if isinstance(v, Lazy)}
    shown = tuple(map(kernel.shown, names))
    if lazy:
        kernel = fused(kernel, lazy)
        shown = tuple(told for n in names for told in (lazy[n].named(n) if n in lazy else [kernel.shown(n)]))
        names = (*kernel.params[ndim:], *(name for name, _ in kernel.captures))
        values = tuple(flat(values))
    kernel = without_rows(
        kernel, {n: v for n, v in zip(names, values, strict=True) if not isinstance(v, arrays.SCALARS)}
    )
    values = tuple(v.reshape(1) if isinstance(v, np.ndarray) and v.ndim == 0 else v for v in values)
    specs = [arrays.spec_of(v, n) for v, n in zip(values, shown, strict=True)]
    access = tuple(
        _over_space(kernel.access[n], v, extent, unit) if s.is_array else None
        for n, v, s in zip(names, values, specs, strict=True)
    )
    for name, spec, use in zip(names, specs, access, strict=True):
        if spec.is_array and spec.readonly and use is not None and use.writes:
            raise readonly_error(algorithm, kernel, name)
    short = short_last(extent)
    given = (v.shape[-1] for s, v in zip(specs, values, strict=True) if s.ndim > 1 and s.contiguous)
    if short not in given:  # lengths change from call to call where loops run over parts of arrays
        short = 0
    specs = [
        Spec(s.dtype, s.ndim, s.contiguous, tail=_tail(v, s, min(ndim, s.ndim - 1) if short else ndim))
        if s.is_array
        else s
        for s, v in zip(specs, values, strict=True)
    ]
    uses = dict(zip(names, access, strict=True))
    race, tests = race_of(kernel, ndim, uses), None
    tell_narrow(kernel, {n: v for n, v in zip(names, values, strict=True) if uses[n] is not None})
    find = _finder(kernel, space, names, values, specs, drops)
    updated = _updated(kernel, names, specs) if drops else ()
    known = {name: use for name, use in uses.items() if use is not None}
    safe = [name for name, v in zip(names, values, strict=True) if unit and name in known and _has(v.shape, extent)]
    made = tested(kernel, ndim, known, safe, [name for name in safe if known[name].pointwise])
    if made is not None:
        record = new_record()
        tests = Tests(len(values), record, made.sites, made.ndim)
        kernel, values, shown = made.kernel, (*map(with_room, values), record), (*shown, "record")
        specs, access = [*specs, Spec(record.dtype, 1)], (*access, Access(reads=True, writes=True, pointwise=False))
        updated = (*updated, (tests.place, ""))
    return _Bound(kernel, values, shown, specs, access, lazy_told(lazy), race, tests, updated, find, short)


def _updated(kernel: Kernel, names: Sequence[str], specs: Sequence[Spec]) -> tuple[tuple[int, str], ...]:
    """The arrays that a kernel updates atomically, over whatever space, as `Program` has it."""
    if not _is_atomic(kernel):
        return ()
    found = reaches(kernel, (), (), {}, {}, drops=True)
    given = enumerate(zip(names, specs, strict=True))
    uses = [(k, found[name].on(spec.dtype, spec.ndim)) for k, (name, spec) in given if spec.is_array]
    return tuple(
        (k, "" if use.read or use.written or use.claims or use.pushed else combined(use.atomics))
        for k, use in uses
        if use.atomics or "tail" in use.pushed
    )


@functools.lru_cache(maxsize=4096)
def _is_atomic(kernel: Kernel) -> bool:
    """Whether a kernel has atomic updates."""
    nodes = (node for function in kernel.functions for node in function.nodes())
    return any(isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "atomic" for n in nodes)


def _finder(
    kernel: Kernel, space: Box, names: Sequence[str], values: Sequence[Any], specs: Sequence[Spec], drops: bool
) -> Callable[[], tuple[Reach | None, ...]]:
    """What finds out which rows a kernel uses; it keeps no array alive."""
    pairs = list(zip(names, values, specs, strict=True))
    shapes = {name: tuple(v.shape) for name, v, spec in pairs if spec.is_array}
    kinds = {name: (v.dtype, v.ndim) for name, v, spec in pairs if spec.is_array}
    whole = (int, np.integer)
    numbers = {name: int(v) for name, v, _ in pairs if isinstance(v, whole) and not isinstance(v, bool)}

    def find() -> tuple[Reach | None, ...]:
        ends = [(a, a + s * max(n - 1, 0)) for n, a, s in zip(*space, strict=True)]
        first, *others = [(min(pair), max(pair)) for pair in ends]
        found = reaches(kernel, first, others, numbers, shapes, drops=drops)
        return tuple(found[name].on(*kinds[name]) if name in kinds else None for name in names)

    return find


def _has(shape: tuple[int, ...], extent: tuple[int, ...]) -> bool:
    """Whether every index of a space is one of an array."""
    return all(n >= wanted for n, wanted in zip(shape, extent, strict=False))


_LARGEST_TAIL = 128


def _tail(value: Any, spec: Spec, ndim: int) -> tuple[int, ...]:
    """The lengths of the last axes that the space does not have, if they are short: the code knows them as constants.

    So it does of a point's three coordinates or an element's small matrix, ``x[i, 2]`` and ``a[e, i, j]``.
    """
    tail: tuple[int, ...] = ()
    if spec.contiguous and spec.ndim > max(ndim, 1):
        for n in reversed(value.shape[ndim:]):
            if not 0 < n <= SHORT or n * math.prod(tail) > _LARGEST_TAIL:
                break
            tail = (n, *tail)
    return tail


def for_each(algorithm: str, n: Any, body: Any, args: tuple[Any, ...], once: bool = False) -> Problem:
    """``body(i[, j[, …]], *args)`` for every index of the space `n`; for `once` see `Program`."""
    extent, start, step = box(n)
    unit = all(s == 0 for s in start) and all(s == 1 for s in step)
    b = _bind(algorithm, (extent, start, step), unit, body, args, drops=True)
    ndim = len(extent)
    stored = result(b.kernel, ndim) if unit and b.tests is None else None
    where = _result_place(b, extent, stored[1]) if stored is not None else -1
    own = _own(b, extent, start, step) if b.tests is None else ()

    def make() -> Text:
        text = Text()
        if stored is None or where < 0:
            text.kernel(b.kernel, "body")
            return text
        text.kernel(stored[0], "elem")
        index, names = index_names(ndim), "".join(f", a{k}" for k in range(len(b.values)))
        text.add(f"def body({index}{names}):\n    a{where}[{index}] = elem({index}{names})\n", "body")
        return text

    if where < 0:
        more: dict[str, Any] = {} if unit else {"unit": False, **_steps(extent, start, step)}
        more |= {"once": True} if once else {}
        uses = [(k, use) for k, use in enumerate(b.access) if use is not None]
        more["idle"] = tuple(k for k, use in uses if not use.reads and not use.writes)
        written = tuple(k for k, use in uses if use.writes)
        if not _together(b.values, written, more["idle"]):
            more["written"] = written
        if b.updated:
            more["updated"] = b.updated
        if b.short:
            more["last"] = b.short
        if b.race is not None:  # it is told; so that as much as can be comes out as it was meant
            more["sequential"] = True
        program = program_of("map", (ndim,), (b.kernel,), make, b.specs, ndim=ndim, own=own, **more)
    else:
        inplace, key = bool(b.access[where].reads), ("each", ndim, where)  # type: ignore[union-attr]
        program = program_of(
            "transform", key, (b.kernel,), make, b.specs, ndim=ndim, out=where, own=own, inplace=inplace, last=b.short
        )
    return Problem(
        algorithm, program, b.values, b.names, b.access, extent, start, step, lazy=b.lazy, race=b.race, tests=b.tests,
        find=b.find, held=b.kernel.held,
    )  # fmt: skip


def groups(
    algorithm: str, extent: tuple[int, int, int], body: Any, args: tuple[Any, ...], shared: tuple[int, ...]
) -> Problem:
    """``body(group, step, item, *args)`` for groups of work-items that share memory; see `portapar.part.LocalPart`."""
    space = extent, (0, 0, 0), (1, 1, 1)
    b = _bind(algorithm, space, True, body, args, drops=True)

    def make() -> Text:
        text = Text()
        text.kernel(b.kernel, "body")
        return text

    program = program_of("groups", (), (b.kernel,), make, b.specs, ndim=3, shared=shared)
    return Problem(algorithm, program, b.values, b.names, b.access, *space, lazy=b.lazy, tests=b.tests, find=b.find)


def _together(values: Sequence[Any], written: Sequence[int], idle: Sequence[int]) -> bool:
    """Whether an array that is written may share memory with another that is used, so that code for arrays that are
    apart would never run."""
    used = [k for k, x in enumerate(values) if isinstance(x, np.ndarray) and k not in idle]
    return any(np.may_share_memory(values[k], values[j]) for k in used if k in written for j in used if j != k)


_KNOWN_STEPS = 4  #: code is made for each of these steps by itself, one way and back


def _steps(extent: tuple[int, ...], start: tuple[int, ...], step: tuple[int, ...]) -> dict[str, Any]:
    """What the code for a space with other indices than 0, 1, 2, … is made for."""
    ends = [(a, a + s * max(n - 1, 0)) for n, a, s in zip(extent, start, step, strict=True)]
    known = tuple(s if abs(s) <= _KNOWN_STEPS else 0 for s in step)
    return {"steps": known, "signed": any(min(pair) < 0 for pair in ends)}


def _own(b: _Bound, extent: tuple[int, ...], start: tuple[int, ...], step: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of the arrays that the kernel reads at its own index alone, if they have all these elements."""
    ends = [(a, a + s * max(n - 1, 0)) for n, a, s in zip(extent, start, step, strict=True)]
    if min(min(pair) for pair in ends) < 0:
        return ()
    names, found = [*b.kernel.params[len(extent) :], *(name for name, _ in b.kernel.captures)], []
    for k, (name, value, spec) in enumerate(zip(names, b.values, b.specs, strict=True)):
        if spec.is_array and 0 < spec.ndim <= len(extent):
            use = b.kernel.access[name].on(value.dtype, value.ndim)
            inside = all(n > max(pair) for n, pair in zip(value.shape, ends, strict=False))
            if use.reads and use.pointwise and use.rank == spec.ndim and inside:
                found.append(k)
    return tuple(found)


def _result_place(b: _Bound, extent: tuple[int, ...], name: str) -> int:
    """The number of the array in which a body stores its result, if it is whole and apart from all others; else -1."""
    names = [*b.kernel.params[len(extent) :], *(name for name, _ in b.kernel.captures)]
    where = names.index(name)
    out, use, spec = b.values[where], b.access[where], b.specs[where]
    if not all(s.contiguous for s in b.specs if s.is_array) or spec.dtype.names is not None:
        return -1
    if use is None or not use.pointwise or isinstance(out, PartitionedArray) or out.shape != extent:
        return -1
    if [k for k, use in enumerate(b.access) if use is not None and use.writes] != [where]:
        return -1
    others = [v for k, v in enumerate(b.values) if k != where and isinstance(v, np.ndarray)]
    return -1 if isinstance(out, np.ndarray) and any(overlaps.overlap(v, out) for v in others) else where


def generate(algorithm: str, extent: tuple[int, ...], op: Any, args: tuple[Any, ...], out: Any) -> Problem:
    """``out[i[, j[, …]]] = op(i[, j[, …]], *args)`` for every index of `extent`, the shape of `out`.

    `out` is none of the arguments, and shares no memory with them.
    """
    zero, one = (0,) * len(extent), (1,) * len(extent)
    b = _bind(algorithm, (extent, zero, one), True, op, args)
    ndim, where = len(extent), len(b.values)
    index = index_names(ndim)

    def make() -> Text:
        text = Text()
        text.kernel(b.kernel, "op")
        names = "".join(f", a{k}" for k in range(where))
        text.add(f"def elem({index}{names}, a{where}):\n    return op({index}{names})\n", "elem")
        put = f"a{where}[{index}] = elem({index}{names}, a{where})"
        text.add(f"def body({index}{names}, a{where}):\n    {put}\n", "body")
        return text

    spec = arrays.spec_of(out, "out")
    specs = [*b.specs, Spec(spec.dtype, spec.ndim, spec.contiguous)]
    program = program_of("transform", ("generate", ndim, where), (b.kernel,), make, specs, ndim=ndim, out=where)
    access = (*b.access, Access(writes=True, covers=True))
    values, names = (*b.values, out), (*b.names, "out")
    return Problem(algorithm, program, values, names, access, extent, zero, one, lazy=b.lazy, tests=b.tests)


def returned(asked: Problem) -> np.dtype:
    """The dtype of what the kernel of a `for_each` returns, which must be a number."""
    found = typed(asked.program, "body", asked.algorithm)
    if not isinstance(found, np.dtype) or found.names is not None:
        raise KernelError(f"{asked.algorithm}: the kernel returns a tuple: must return a number")
    return found
