"""A problem: one call of an algorithm, put into one of the kernel forms, before anybody has to run it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import arrays, ops
from portapar.arrays import Range
from portapar.errors import KernelError, PlacementError
from portapar.kernel import codec, fuse, source
from portapar.kernel.check import typed
from portapar.kernel.program import Program, Spec
from portapar.kernel.result import result
from portapar.kernel.text import Text
from portapar.lazy import CAPTURED, MIRROR, OWN, Lazy, flat


@dataclass(slots=True, eq=False)
class Problem:
    """One call, ready to be planned.

    Attributes
    ----------
    algorithm : str
        The user's name for it.
    program : Program
    values : tuple
        The program's arguments in order.
    names : tuple of str
        What to call them in messages.
    access : tuple
        For each array how it is used (`portapar.kernel.source.Access`), None for scalars.
    extent, start, step : tuple of int
        The index space.
    init : object
        The initial value of a reduction, or None.
    lazy : tuple of (str, str)
        Names and descriptions of the lazy inputs whose leaves are among the arguments.
    tiles : bool
        The result of a reduction is what its tiles fold to, an array.
    span : tuple of int, optional
        The flat indices to work on, first and end, if these are not all; on one device only.
    """

    algorithm: str
    program: Program
    values: tuple[Any, ...]
    names: tuple[str, ...]
    access: tuple[source.Access | None, ...]
    extent: tuple[int, ...]
    start: tuple[int, ...]
    step: tuple[int, ...]
    init: Any = None
    lazy: tuple[tuple[str, str], ...] = ()
    tiles: bool = False
    span: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.extent)

    @property
    def row(self) -> int:
        """Flat indices per row of the leading axis."""
        return math.prod(self.extent[1:])

    def arrays(self) -> list[tuple[int, Any]]:
        return [(k, v) for k, v in enumerate(self.values) if self.access[k] is not None]


Box = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def box(n: Any) -> Box:
    """(extent, start, step) of an index space: a number, a `Range`, or a tuple of up to three of them."""
    if isinstance(n, tuple) and len(n) == 3 and all(isinstance(part, tuple) for part in n):
        return n  # one already
    axes = n if isinstance(n, tuple) else (n,)
    if not 1 <= len(axes) <= 3:
        raise PlacementError(f"the index space {n!r} has {len(axes)} dimensions: must have 1 to 3")
    extent, start, step = [], [], []
    for axis in axes:
        if isinstance(axis, (Range, range)):
            extent.append(len(axis))
            start.append(axis.start)
            step.append(axis.step)
        elif isinstance(axis, (int, np.integer)) and not isinstance(axis, bool):
            if axis < 0:
                raise PlacementError(f"the index space {n!r} has the negative size {axis}: must be 0 or more")
            extent.append(int(axis))
            start.append(0)
            step.append(1)
        else:
            raise PlacementError(
                f"the index space is {axis!r}, a {type(axis).__name__}: must be a whole number, pp.range(...), "
                "or a tuple of them"
            )
    return tuple(extent), tuple(start), tuple(step)


def _merge(kernel: source.Kernel, prefix: str) -> tuple[list[Any], str]:
    """The kernel's functions, the last one named `prefix`."""
    functions = list(kernel.functions)
    return functions, functions[-1].name


_texts: dict[Any, Text] = {}
_programs: dict[Any, Program] = {}


def _program(
    form: str,
    shape: tuple[Any, ...],
    kernels: tuple[source.Kernel, ...],
    make: Callable[[], Text],
    specs: list[Spec],
    **more: Any,
) -> Program:
    """The program of a text and argument kinds, made once."""
    text_key = (form, shape, *map(id, kernels))
    key = (text_key, tuple(specs), tuple(more.items()))
    program = _programs.get(key)
    if program is None:
        text = _texts.get(text_key)
        if text is None:
            text = _texts[text_key] = make()
        program = _programs[key] = text.program(form, specs, **more)
    return program


def _with_defaults(args: tuple[Any, ...], wanted: int, func: Any) -> tuple[Any, ...]:
    """The arguments of a call, completed by the function's default values as far as they go."""
    defaults = func.__defaults__ or ()
    missing = wanted - len(args)
    return (*args, *defaults[len(defaults) - missing :]) if 0 < missing <= len(defaults) else args


def _over_space(use: source.Access, value: Any, extent: tuple[int, ...], unit: bool) -> source.Access:
    """How a kernel uses an array, given the index space: only where both match is its index a place."""
    pointwise = use.pointwise and unit and use.rank <= len(extent) and value.shape[:1] >= extent[:1]
    covers = use.covers and pointwise and value.shape == extent
    return source.Access(use.reads, use.writes, pointwise, covers)


def _lift(given: Any) -> tuple[source.Kernel, Any]:
    """A kernel, with the lazy inputs that it captures fused in."""
    kernel, func = source.lift(given)
    if kernel.captures:
        captured = zip(kernel.captures, kernel.values(func), strict=True)
        lazy = {name: x for (name, _), x in captured if isinstance(x, Lazy)}
        if lazy:
            return _fuse(kernel, lazy), func
    return kernel, func


def _fuse(kernel: source.Kernel, lazy: Mapping[str, Lazy]) -> source.Kernel:
    return fuse.fuse(kernel, {name: x.form.getter(x.ndim, True) for name, x in lazy.items()})


@dataclass(slots=True)
class _Bound:
    """A kernel of indices with its arguments."""

    kernel: source.Kernel
    values: tuple[Any, ...]
    names: tuple[str, ...]
    specs: list[Spec]
    access: tuple[source.Access | None, ...]
    lazy: tuple[tuple[str, str], ...]


def _bind(algorithm: str, extent: tuple[int, ...], unit: bool, body: Any, args: tuple[Any, ...]) -> _Bound:
    """What ``body(i[, j[, k]], *args)`` works with."""
    kernel, func = _lift(body)
    ndim = len(extent)
    wanted = len(kernel.params) - ndim
    args = _with_defaults(args, wanted, func)
    if len(args) != wanted:
        raise KernelError(
            f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) takes {len(kernel.params)} arguments "
            f"({', '.join(kernel.params)}), and the call gives {ndim} ind{'ices' if ndim > 1 else 'ex'} and "
            f"{len(args)} argument{'s' * (len(args) != 1)}. Give it {max(wanted, 0)}, or change the kernel"
        )
    names = (*kernel.params[ndim:], *(name for name, _ in kernel.captures))
    values = tuple(arrays.normal(v, n) for v, n in zip((*args, *kernel.values(func)), names, strict=True))
    lazy = {name: v for name, v in zip(names, values, strict=True) if isinstance(v, Lazy)}
    shown = names
    if lazy:
        kernel = _fuse(kernel, lazy)
        shown = tuple(told for n in names for told in (lazy[n].named(n) if n in lazy else [n]))
        names = (*kernel.params[ndim:], *(name for name, _ in kernel.captures))
        values = tuple(flat(values))
    specs = [arrays.spec_of(v, n) for v, n in zip(values, shown, strict=True)]
    access = tuple(
        _over_space(kernel.access[n], v, extent, unit) if s.is_array else None
        for n, v, s in zip(names, values, specs, strict=True)
    )
    for name, spec, use in zip(names, specs, access, strict=True):
        if spec.is_array and spec.readonly and use is not None and use.writes:
            raise _readonly(algorithm, kernel, name)
    specs = [Spec(s.dtype, s.ndim, s.contiguous) if s.readonly else s for s in specs]
    return _Bound(kernel, values, shown, specs, access, _lazy_told(lazy))


def for_each(algorithm: str, n: Any, body: Any, args: tuple[Any, ...]) -> Problem:
    """``body(i[, j[, k]], *args)`` for every index of the space `n`."""
    extent, start, step = box(n)
    unit = all(s == 0 for s in start) and all(s == 1 for s in step)
    b = _bind(algorithm, extent, unit, body, args)
    ndim = len(extent)
    stored = result(b.kernel, ndim) if unit else None
    where = _result_place(b, extent, stored[1]) if stored is not None else -1

    def make() -> Text:
        text = Text()
        if stored is None or where < 0:
            text.kernel(b.kernel, "body")
            return text
        text.kernel(stored[0], "elem")
        index, names = _indices(ndim), "".join(f", a{k}" for k in range(len(b.values)))
        text.add(f"def body({index}{names}):\n    a{where}[{index}] = elem({index}{names})\n", "body")
        return text

    if where < 0:
        program = _program("map", (ndim,), (b.kernel,), make, b.specs, ndim=ndim, unit=unit)
    else:
        inplace, key = bool(b.access[where].reads), ("each", ndim, where)  # type: ignore[union-attr]
        program = _program("transform", key, (b.kernel,), make, b.specs, ndim=ndim, out=where, inplace=inplace)
    return Problem(algorithm, program, b.values, b.names, b.access, extent, start, step, lazy=b.lazy)


def _result_place(b: _Bound, extent: tuple[int, ...], name: str) -> int:
    """The number of the array in which a body stores its result, if it is whole and apart from all others; else -1."""
    names = [*b.kernel.params[len(extent) :], *(name for name, _ in b.kernel.captures)]
    where = names.index(name)
    out, use, spec = b.values[where], b.access[where], b.specs[where]
    if not all(s.contiguous for s in b.specs if s.is_array) or spec.dtype.names is not None:
        return -1
    if use is None or not use.pointwise or isinstance(out, arrays.PartitionedArray) or out.shape != extent:
        return -1
    others = [v for k, v in enumerate(b.values) if k != where and isinstance(v, np.ndarray)]
    return -1 if isinstance(out, np.ndarray) and any(arrays.overlap(v, out) for v in others) else where


def generate(algorithm: str, extent: tuple[int, ...], op: Any, args: tuple[Any, ...], out: Any) -> Problem:
    """``out[i[, j[, k]]] = op(i[, j[, k]], *args)`` for every index of `extent`, the shape of `out`.

    `out` is none of the arguments, and shares no memory with them.
    """
    b = _bind(algorithm, extent, True, op, args)
    ndim, where = len(extent), len(b.values)
    index = _indices(ndim)

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
    program = _program("transform", ("generate", ndim, where), (b.kernel,), make, specs, ndim=ndim, out=where)
    access = (*b.access, source.Access(writes=True, covers=True))
    zero, one = (0,) * ndim, (1,) * ndim
    return Problem(algorithm, program, (*b.values, out), (*b.names, "out"), access, extent, zero, one, lazy=b.lazy)


def _lazy_told(lazy: Mapping[str, Lazy]) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(x)) for name, x in lazy.items())


def _readonly(algorithm: str, kernel: source.Kernel, name: str) -> PlacementError:
    return PlacementError(
        f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) writes to argument {name!r}, "
        "which is read-only. Pass a writable copy, or set its flags.writeable"
    )


def _elementwise(
    algorithm: str, inputs: tuple[Any, ...], kernel: source.Kernel, func: Any
) -> tuple[tuple[Any, ...], tuple[int, ...] | None]:
    """Inputs as arrays, ranges or scalars, and their common shape (None without any array)."""
    wanted = len(kernel.params)
    inputs = _with_defaults(inputs, wanted, func)
    if len(inputs) != wanted:
        raise KernelError(
            f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) takes {wanted} argument{'s' * (wanted != 1)} "
            f"({', '.join(kernel.params)}), and the call gives {len(inputs)} input{'s' * (len(inputs) != 1)}. "
            "Its arguments are one element of each input"
        )
    found = tuple(
        x if isinstance(x, (Range, range)) else arrays.normal(x, kernel.params[k]) for k, x in enumerate(inputs)
    )
    shapes = [(len(x),) if isinstance(x, (Range, range)) else x.shape for x in found if not _is_scalar(x)]
    if not shapes:
        return found, None
    try:
        return found, np.broadcast_shapes(*shapes)
    except ValueError:
        told = ", ".join(f"{kernel.params[k]}: {arrays_shape(x)}" for k, x in enumerate(found))
        raise PlacementError(f"{algorithm}: the shapes of the inputs differ ({told}) and do not broadcast") from None


def _is_scalar(x: Any) -> bool:
    return isinstance(x, arrays.SCALARS)


def arrays_shape(x: Any) -> str:
    if isinstance(x, (Range, range)):
        return f"({len(x)},)"
    return "scalar" if _is_scalar(x) else str(x.shape)


class _Arguments:
    """Collects the arguments of an elementwise form, and the text of each element."""

    def __init__(self, algorithm: str, shape: tuple[int, ...]) -> None:
        self.algorithm, self.shape = algorithm, shape
        self.values: list[Any] = []
        self.names: list[str] = []
        self.specs: list[Spec] = []
        self.access: list[source.Access | None] = []
        self.flat = True
        self.own = 0  #: how many arguments a kernel sees one element of; those behind it sees as a whole
        self.lazy: dict[str, Lazy] = {}

    def array(self, x: Any, name: str, use: source.Access) -> int:
        if x.shape != self.shape:
            x = self.broadcast(x, name)
        self.flat &= arrays.spec_of(x, name).contiguous
        self.values.append(x)
        self.names.append(name)
        self.access.append(use)
        return len(self.values) - 1

    def broadcast(self, x: Any, name: str) -> Any:
        if isinstance(x, np.ndarray):
            return np.broadcast_to(x, self.shape)
        raise PlacementError(
            f"{self.algorithm}: argument {name!r} has shape {x.shape}, the others {self.shape}: only NumPy arrays "
            "are broadcast. Pass arrays of one shape"
        )

    def scalar(self, x: Any, name: str) -> int:
        self.values.append(x)
        self.names.append(name)
        self.access.append(None)
        return len(self.values) - 1

    def getters(self, ndim: int) -> list[source.Kernel]:
        """The kernel functions that compute the elements of the lazy inputs."""
        return [x.form.getter(ndim, False).kernel for x in self.lazy.values()]

    def close(self) -> int:
        """Give every array its final form; returns the number of indices."""
        self.own = len(self.values)
        ndim = 1 if self.flat or len(self.shape) == 0 else len(self.shape)
        for k, use in enumerate(self.access):
            if (
                use is not None
                and ndim == 1
                and len(self.shape) != 1
                and not isinstance(self.values[k], arrays.PartitionedArray)
            ):
                self.values[k] = self.values[k].reshape(-1)
        for value, name, use in zip(self.values, self.names, self.access, strict=True):
            spec = arrays.spec_of(value, name)
            if use is not None and ndim == 1:
                spec = Spec(spec.dtype, 1, spec.contiguous)
            self.specs.append(Spec(spec.dtype, spec.ndim, spec.contiguous))
        return ndim


def _gather(
    algorithm: str, inputs: tuple[Any, ...], kernel: source.Kernel, func: Any, shape: tuple[int, ...], out: Any = None
) -> tuple[_Arguments, list[str], int, int]:
    """Arguments of an elementwise form: (arguments, text of each operand, number of out, ndim)."""
    args = _Arguments(algorithm, shape)
    operands: list[str] = []
    where = -1
    seen: dict[int, int] = {}
    whole: list[tuple[Any, str, source.Access | None]] = []  # what comes behind the elements
    for k, x in enumerate(inputs):
        name = kernel.params[k]
        if isinstance(x, (Range, range)):
            if len(shape) != 1:
                raise PlacementError(f"{algorithm}: a range is one-dimensional, the other inputs have shape {shape}")
            begin, step = args.scalar(x.start, f"{name}.start"), args.scalar(x.step, f"{name}.step")
            operands.append(f"a{begin} + a{step} * i")
        elif _is_scalar(x):
            operands.append(f"a{args.scalar(x, name)}")
        elif id(x) in seen:  # the same array twice is one argument, so that the compiler knows
            operands.append(f"a{seen[id(x)]}[@]")
        elif isinstance(x, Lazy):
            operands.append(_lazy_operand(args, x, name, seen, whole))
        else:
            seen[id(x)] = args.array(x, name, source.Access(reads=True))
            operands.append(f"a{seen[id(x)]}[@]")
    if out is not None:
        where = seen.get(id(out), -1)
        if where < 0:
            where = next((k for k in seen.values() if arrays.same_memory(args.values[k], out)), -1)
        if where >= 0:
            args.access[where] = source.Access(reads=True, writes=True)
        else:
            where = args.array(out, "out", source.Access(writes=True, covers=True))
    for (name, _), value in zip(kernel.captures, kernel.values(func), strict=True):
        value = arrays.normal(value, name)
        use = None if _is_scalar(value) else kernel.access[name]
        if use is not None and use.writes and arrays.spec_of(value, name).readonly:
            raise _readonly(algorithm, kernel, name)
        whole.append((value, name, use and source.Access(use.reads, use.writes, pointwise=False)))
        operands.append(f"w{len(whole) - 1}$")
    ndim = args.close()
    for k, (value, name, use) in enumerate(whole):
        operands = [operand.replace(f"w{k}$", f"a{len(args.values)}") for operand in operands]
        spec = arrays.spec_of(value, name)
        args.values.append(value)
        args.names.append(name)
        args.access.append(use)
        args.specs.append(Spec(spec.dtype, spec.ndim, spec.contiguous))
    return args, operands, where, ndim


def _lazy_operand(args: _Arguments, x: Lazy, name: str, seen: dict[int, int], whole: list[Any]) -> str:
    """The text of an element of a lazy input; its leaves become arguments."""
    if x.shape != args.shape and not x.form.aligned:
        raise PlacementError(
            f"{args.algorithm}: the lazy input {name!r}, {x!r}, has shape {x.shape}, the others {args.shape}: what "
            "reverses or counts is not broadcast"
        )
    texts = ["@"]
    for value, leaf, role in zip(x.values, x.named(name), x.form.roles, strict=True):
        if _is_scalar(value):
            texts.append(f"a{args.scalar(value, leaf)}")
        elif role == CAPTURED:
            whole.append((value, leaf, source.Access(reads=True, pointwise=False)))
            texts.append(f"w{len(whole) - 1}$")
        elif role == MIRROR:
            texts.append(f"a{args.array(value, leaf, source.Access(reads=True, pointwise=False))}")
        else:
            if id(value) not in seen:
                seen[id(value)] = args.array(value, leaf, source.Access(reads=True))
            texts.append(f"a{seen[id(value)]}")
    args.lazy[name] = x
    return f"lazy{len(args.lazy) - 1}({', '.join(texts)})"


def _indices(ndim: int) -> str:
    return ", ".join("ijk"[:ndim])


def transform(algorithm: str, inputs: tuple[Any, ...], out: Any, op: Any, make_out: Callable[..., Any]) -> Problem:
    """``out[i] = op(x[i], y[i], …)``. Without `out`, `make_out(shape, dtype, inputs)` makes it.

    A tuple that `op` returns is stored in the fields of a record.
    """
    kernel, func = _lift(op)
    found, shape = _elementwise(algorithm, inputs, kernel, func)
    if out is not None:
        out = arrays.normal(out, "out")
        arrays.spec_of(out, "out")
        captured = [(name, value) for (name, _), value in zip(kernel.captures, kernel.values(func), strict=True)]
        shape = _check_out(algorithm, out, shape, kernel, found, captured)
        many = _check_kind(algorithm, out.dtype, shape, kernel, func, found)
    elif shape is None:
        raise PlacementError(f"{algorithm}: neither an input array nor out= is given: nothing says how long it is")
    assert shape is not None
    if out is None:
        trial = reduce_program(algorithm, found, kernel, func, shape)
        kind = result_kind(trial, algorithm, kernel)
        many = isinstance(kind, tuple)
        out = make_out(shape, codec.tuple_dtype(kind) if isinstance(kind, tuple) else kind, found)
    store = source.lift(codec.codec(out.dtype).store)[0] if many else None
    args, operands, where, ndim = _gather(algorithm, found, kernel, func, shape, out)
    if ndim > 3:
        raise PlacementError(
            f"{algorithm}: non-contiguous arrays of {ndim} dimensions, {shape}: at most 3. "
            "Pass contiguous arrays (np.ascontiguousarray), or loop over the leading axes"
        )
    index = _indices(ndim)
    getters = args.getters(ndim)

    def make() -> Text:
        text = Text()
        text.kernel(kernel, "op")
        text.kernels(getters, "lazy")
        names = "".join(f", a{k}" for k in range(len(args.values)))
        call = ", ".join(operand.replace("@", index) for operand in operands)
        text.add(f"def elem({index}{names}):\n    return op({call})\n", "elem")
        if store is None:
            put = f"a{where}[{index}] = elem({index}{names})"
        else:
            text.kernel(store, "store")
            put = f"store({f'({index})' if ndim > 1 else index}, a{where}, elem({index}{names}))"
        text.add(f"def body({index}{names}):\n    {put}\n", "body")
        return text

    use = args.access[where]
    inplace = use is not None and use.reads
    key, kernels = (ndim, tuple(operands), where), (kernel, *getters, *([] if store is None else [store]))
    program = _program("transform", key, kernels, make, args.specs, ndim=ndim, out=where, inplace=inplace)
    extent = shape if ndim > 1 else (math.prod(shape),)
    names, told, zeros = tuple(args.names), _lazy_told(args.lazy), (0,) * ndim
    return Problem(
        algorithm, program, tuple(args.values), names, tuple(args.access), extent, zeros, (1,) * ndim, lazy=told
    )


def _check_out(
    algorithm: str,
    out: Any,
    shape: tuple[int, ...] | None,
    kernel: source.Kernel,
    found: tuple[Any, ...],
    captured: list[tuple[str, Any]],
) -> tuple[int, ...]:
    if _is_scalar(out):
        raise PlacementError(f"{algorithm}: out is {out!r}, a {type(out).__name__}: must be an array")
    if shape is not None and out.shape != shape:
        told = ", ".join(f"{kernel.params[k]}: {arrays_shape(x)}" for k, x in enumerate(found))
        raise PlacementError(
            f"{algorithm}: out has shape {out.shape}, and the inputs ({told}) need {shape}. "
            f"Pass out=np.empty({shape}, {out.dtype.name!r})"
        )
    if isinstance(out, np.ndarray):
        if not out.flags.writeable:
            raise PlacementError(f"{algorithm}: out is read-only. Pass a writable array, or set its flags.writeable")
        if out.size > 1 and any(s == 0 and n > 1 for s, n in zip(out.strides, out.shape, strict=True)):
            raise PlacementError(f"{algorithm}: several elements of out share one place in memory (a broadcast view)")
        for k, x in enumerate(found):
            for value, role in zip(x.values, x.form.roles, strict=True) if isinstance(x, Lazy) else [(x, OWN)]:
                in_place = role == OWN and arrays.same_memory(value, out)
                if isinstance(value, np.ndarray) and not in_place and arrays.overlap(value, out):
                    partly = "partly overlaps" if role == OWN else "shares memory with"
                    copied = "a copy" if isinstance(x, Lazy) else f"{kernel.params[k]}.copy()"
                    raise PlacementError(
                        f"{algorithm}: out {partly} the input {kernel.params[k]!r}: iterations would read what "
                        f"others wrote. Pass {copied}, or another out"
                    )
        for name, x in captured:
            if isinstance(x, np.ndarray) and arrays.overlap(x, out):
                raise PlacementError(
                    f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) captures {name!r}, which shares memory "
                    f"with out: iterations would read what others wrote. Capture a copy, or pass another out"
                )
    return out.shape


_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def _check_kind(
    algorithm: str, out: np.dtype, shape: tuple[int, ...], kernel: source.Kernel, func: Any, found: tuple[Any, ...]
) -> bool:
    """NumPy's rule of casting: within a kind, or to a larger kind; any integer may become any other.

    Returns whether the results are tuples, of which each number goes to a field.
    """
    if out.names is not None:
        return _check_record(
            algorithm, out, result_kind(reduce_program(algorithm, found, kernel, func, shape), algorithm, kernel)
        )
    given = [_kind(x) for x in found]
    if out.kind not in _KINDS or out.kind == "c" or (out.kind == "f" and "c" not in given):
        return False
    if algorithm == "fill" and out.type(found[0]) == found[0]:  # a number that fits exactly
        return False
    result = result_kind(reduce_program(algorithm, found, kernel, func, shape), algorithm, kernel)
    if isinstance(result, tuple) or result.names is not None:
        raise PlacementError(
            f"{algorithm}: the result is {_told(result)}, and out is {out.name}: leave out= away, or pass an array of "
            "records"
        )
    _check_cast(algorithm, result, out)
    return False


def _told(kind: codec.Kind) -> str:
    if isinstance(kind, tuple):
        return f"a tuple ({', '.join(part.name for part in kind)})"
    return kind.name if kind.names is None else f"a record of {kind}"


def _check_record(algorithm: str, out: np.dtype, result: codec.Kind) -> bool:
    """`_check_kind` where the output holds records."""
    if not isinstance(result, tuple):
        if result == out:
            return False
        remedy = "Pass out of that dtype, or return a tuple with a number for each field"
        raise PlacementError(f"{algorithm}: the result is {_told(result)}, and out has records of {out}. {remedy}")
    try:
        fields = [codec.codec(out).dtype[name] for name in out.names or ()]
    except TypeError as error:
        raise PlacementError(f"{algorithm}: a tuple cannot be stored in records of {out}: {error}") from None
    if len(fields) != len(result):
        raise PlacementError(
            f"{algorithm}: the result is {_told(result)}, and out has records of {len(fields)} fields: must be as many"
        )
    for part, field in zip(result, fields, strict=True):
        _check_cast(algorithm, part, field)
    return True


def _check_cast(algorithm: str, result: np.dtype, out: np.dtype) -> None:
    if _KINDS[result.kind] > _KINDS[out.kind]:
        remedy = {"b": "bool(...)", "u": "int(...)", "i": "int(...)", "f": "abs(...) or .real"}[out.kind]
        raise PlacementError(
            f"{algorithm}: the result is {result.name} and out is {out.name}, which would lose information. "
            f"Pass out of dtype {result.name}, or convert on purpose: use {remedy} in the kernel"
        )


def _kind(x: Any) -> str:
    if isinstance(x, (Range, range)):
        return "i"
    return (x if isinstance(x, Lazy) else arrays.spec_of(x, "x")).dtype.kind


def reduce_program(
    algorithm: str, inputs: tuple[Any, ...], kernel: source.Kernel, func: Any, shape: tuple[int, ...]
) -> tuple[_Arguments, list[str], int, Callable[[], Text]]:
    """The elementwise half of a reduction: arguments and the text of ``elem``."""
    args, operands, _, ndim = _gather(algorithm, inputs, kernel, func, shape)
    getters = args.getters(1)

    def make() -> Text:
        text = Text()
        text.kernel(kernel, "value")
        text.kernels(getters, "lazy")
        names = "".join(f", a{k}" for k in range(len(args.values)))
        call = ", ".join(operand.replace("@", "i") for operand in operands)
        text.add(f"def elem(i{names}):\n    return value({call})\n", "elem")
        return text

    return args, operands, ndim, make


def result_kind(
    trial: tuple[_Arguments, list[str], int, Callable[[], Text]], algorithm: str, kernel: source.Kernel
) -> codec.Kind:
    """What the elementwise half returns."""
    args, operands, _, make = trial
    # of its own a kernel sees one element, whatever their layout
    specs = [Spec(s.dtype, 1) if s.is_array and k < args.own else s for k, s in enumerate(args.specs)]
    program = _program("elem", (1, tuple(operands)), (kernel, *args.getters(1)), make, specs)
    return typed(program, "elem", algorithm)


def reduce(algorithm: str, inputs: tuple[Any, ...], op: Any, transform: Any, init: Any) -> Problem:
    """``init op f(x[0], …) op f(x[1], …) …``, in the fixed order of the tiles.

    The values are numbers or tuples of numbers; an element that is a record is the tuple of its fields.
    """
    if transform is None:
        if len(inputs) != 1:
            raise PlacementError(f"{algorithm}: {len(inputs)} inputs without transform=: say how to combine elements")
        transform = _element(algorithm, inputs[0])
    kernel, func = _lift(transform)
    op_kernel, op_func = _lift(op)
    if len(op_kernel.params) != 2:
        raise KernelError(
            f"{algorithm}: op {op_kernel.name!r} ({op_kernel.where()}) takes {len(op_kernel.params)} arguments "
            f"({', '.join(op_kernel.params)}): must take two, the value so far and the next one"
        )
    if op_kernel.captures:
        raise KernelError(
            f"{algorithm}: op {op_kernel.name!r} ({op_kernel.where()}) captures {op_kernel.captures[0][0]!r}: "
            "an operator works on its two arguments alone. Use transform= for what depends on other data"
        )
    found, shape = _elementwise(algorithm, inputs, kernel, func)
    if shape is None:
        raise PlacementError(f"{algorithm}: no input is an array or a range: nothing to reduce")
    args, operands, ndim, make_elem = reduce_program(algorithm, found, kernel, func, shape)
    if ndim > 1:  # the tiles are cut from one flat range: gather a strided array first

        def gathered(x: Any) -> Any:
            return np.ascontiguousarray(np.broadcast_to(x, shape)) if isinstance(x, np.ndarray) else x

        found = tuple(x.with_arrays(gathered) if isinstance(x, Lazy) else gathered(x) for x in found)
        args, operands, ndim, make_elem = reduce_program(algorithm, found, kernel, func, shape)

    def make() -> Text:
        text = make_elem()
        text.kernel(op_kernel, "op")
        return text

    shape_key = (tuple(operands),)
    kernels = (kernel, op_kernel, *args.getters(1))
    trial = _program("reduce", shape_key, kernels, make, args.specs)
    acc = accumulator(trial, algorithm, init)
    monoid = ops.monoid(op)
    program = _program("reduce", shape_key, kernels, make, args.specs, acc=acc, ordered=not monoid.commutative)
    extent = (math.prod(shape),)
    identity = monoid.start(acc)
    monoid.check(identity)
    if init is None and extent == (0,):
        init = identity
    if init is not None:
        init = np.array(init, acc)[()]
    names, told = tuple(args.names), _lazy_told(args.lazy)
    return Problem(
        algorithm, program, tuple(args.values), names, tuple(args.access), extent, (0,), (1,), init, lazy=told
    )


def _element(algorithm: str, x: Any) -> Any:
    """The kernel that gives an element of an input as a value."""
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "names", None) is None or (isinstance(x, Lazy) and x.tuples):
        return identity
    try:
        return codec.codec(dtype).unpack
    except TypeError as error:
        raise KernelError(
            f"{algorithm}: elements of dtype {dtype} are not numbers, and cannot be tuples of numbers: {error}. "
            "Say with transform= what to combine, such as transform=lambda r: r.x"
        ) from None


def returned(asked: Problem) -> np.dtype:
    """The dtype of what the kernel of a `for_each` returns, which must be a number."""
    found = typed(asked.program, "body", asked.algorithm)
    if not isinstance(found, np.dtype) or found.names is not None:
        raise KernelError(f"{asked.algorithm}: the kernel returns a tuple: must return a number")
    return found


def identity(x: Any) -> Any:
    """The element itself."""
    return x


def accumulator(program: Program, algorithm: str, init: Any) -> np.dtype:
    """The type that a reduction accumulates in: the one that its operator, fed its own result, settles on.

    Sums of small integers thus accumulate in 64 bits, as in NumPy. A Python number as `init` is weak,
    as in NumPy: it widens integers to floats, but not float32 to float64. Tuples are looked at number by
    number.
    """
    acc = typed(program, "elem", algorithm)
    if isinstance(acc, np.dtype) and acc.names is not None:
        raise KernelError(f"{algorithm}: transform returns a record of {acc}: must return a number or a tuple of them")
    if init is not None:
        acc = _wider(algorithm, acc, init, "init")
    for _ in range(4):
        wider = _wider(algorithm, acc, typed(program, "op", algorithm, acc), "op's result")
        if wider == acc:
            return codec.tuple_dtype(acc) if isinstance(acc, tuple) else acc
        acc = wider
    raise KernelError(f"{algorithm}: the type of op's result never settles (it grows beyond {acc})")


def _wider(algorithm: str, acc: codec.Kind, other: Any, what: str) -> codec.Kind:
    """What holds values of one kind, and another kind or value."""
    many, parts, own = isinstance(acc, tuple), *(list(x) if isinstance(x, tuple) else [x] for x in (other, acc))
    if many != isinstance(other, tuple) or len(parts) != len(own):
        told = [f"a tuple of {len(x)}" if isinstance(x, tuple) else "a number" for x in (other, acc)]
        raise KernelError(f"{algorithm}: {what} is {told[0]}, and the values are each {told[1]}: must be alike")
    found = tuple(x if isinstance(y, bool) else np.result_type(x, y) for x, y in zip(own, parts, strict=True))
    return found if many else found[0]
