"""Calls of element forms as problems: transform, and what reductions combine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, overlaps
from portapar.arrays import Range, is_scalar
from portapar.errors import KernelError, PlacementError
from portapar.expression import CAPTURED, MIRROR
from portapar.kernel.front import codec
from portapar.kernel.front.access import Access
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.lift import lift
from portapar.kernel.front.reach import reaches
from portapar.kernel.front.reached import Reach
from portapar.kernel.front.text import Text
from portapar.kernel.jit.check import typed
from portapar.kernel.program import INDICES, Spec
from portapar.lazy import Lazy, readable
from portapar.outputs import KINDS, check_cast, check_out, check_record, kind_text
from portapar.partitioned import PartitionedArray
from portapar.problem import (
    Problem,
    Tests,
    checking,
    index_names,
    lazy_told,
    lifted,
    lifted_for_elements,
    new_record,
    program_of,
    race_of,
    readonly_error,
    row_use,
    tell_narrow,
    tested,
    with_defaults,
    with_held,
    with_room,
)

if TYPE_CHECKING:
    from portapar.kernel.front.checked import Checked
    from portapar.kernel.front.races import Race


def _elementwise(
    algorithm: str, inputs: tuple[Any, ...], kernel: Kernel, func: Any
) -> tuple[tuple[Any, ...], tuple[int, ...] | None]:
    """Inputs as arrays, ranges or scalars, and their common shape (None without any array)."""
    wanted = len(kernel.params)
    inputs = with_defaults(inputs, wanted, func)
    if len(inputs) != wanted:
        raise KernelError(
            f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
            f"and the call gives {len(inputs)} input{'s' * (len(inputs) != 1)}. "
            "Its arguments are one element of each input"
        )
    named = zip(kernel.params, inputs, strict=True)
    found = tuple(x if isinstance(x, (Range, range)) else readable(arrays.normal(x, name)) for name, x in named)
    shapes = [(len(x),) if isinstance(x, (Range, range)) else x.shape for x in found if not is_scalar(x)]
    if not shapes:
        return found, None
    try:
        return found, np.broadcast_shapes(*shapes)
    except ValueError:
        told = ", ".join(f"{kernel.params[k]}: {arrays.shape_text(x)}" for k, x in enumerate(found))
        raise PlacementError(f"{algorithm}: the shapes of the inputs differ ({told}) and do not broadcast") from None


class _Arguments:
    """Collects the arguments of an elementwise form, and the text of each element."""

    def __init__(self, algorithm: str, shape: tuple[int, ...]) -> None:
        self.algorithm, self.shape = algorithm, shape
        self.values: list[Any] = []
        self.names: list[str] = []
        self.specs: list[Spec] = []
        self.access: list[Access | None] = []
        self.flat = True
        self.own = 0  #: how many arguments a kernel sees one element of; those behind it sees as a whole
        self.lazy: dict[str, Lazy] = {}
        self.kernel: Kernel  #: the user's, or its checked form
        self.firsts: list[int] = []  #: of a checked call the first site in each lazy input; -1 where there is none
        self.race: Race | None = None
        self.tests: Tests | None = None
        self.find: Callable[[], tuple[Reach | None, ...]]

    def array(self, x: Any, name: str, use: Access) -> int:
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

    def getters(self, ndim: int) -> list[Kernel]:
        """The kernel functions that compute the elements of the lazy inputs."""
        kernels = [x.expression.getter(ndim, False).kernel for x in self.lazy.values()]
        made = [self.tested(k, ndim) if first >= 0 else None for k, first in enumerate(self.firsts)]
        return [old if new is None else new.kernel for old, new in zip_longest(kernels, made)]

    def tested(self, number: int, ndim: int) -> Checked | None:
        """The checked form of the getter of a lazy input."""
        x, first = list(self.lazy.values())[number], max(self.firsts[number], 0)
        names = [f"l{k}" for k, value in enumerate(x.values) if not is_scalar(value)]
        return tested(x.expression.getter(ndim, False).kernel, ndim, names, first=first)

    def close(self) -> int:
        """Give every array its final form; returns the number of indices."""
        self.own = len(self.values)
        ndim = 1 if self.flat or len(self.shape) == 0 else len(self.shape)
        for k, use in enumerate(self.access):
            flat = use is not None and ndim == 1 and len(self.shape) != 1
            if flat and not isinstance(self.values[k], PartitionedArray):
                self.values[k] = self.values[k].reshape(-1)
        for value, name, use in zip(self.values, self.names, self.access, strict=True):
            spec = arrays.spec_of(value, name)
            if use is not None and ndim == 1:
                spec = Spec(spec.dtype, 1, spec.contiguous)
            self.specs.append(Spec(spec.dtype, spec.ndim, spec.contiguous, weak=spec.weak))
        return ndim


def _gather(
    algorithm: str, inputs: tuple[Any, ...], kernel: Kernel, func: Any, shape: tuple[int, ...], out: Any = None
) -> tuple[_Arguments, list[str], int, int]:
    """Arguments of an elementwise form: (arguments, text of each operand, number of out, ndim)."""
    args = _Arguments(algorithm, shape)
    operands: list[str] = []
    where = -1
    seen: dict[int, int] = {}
    whole: list[tuple[Any, str, Access | None]] = []  # what comes behind the elements
    for k, x in enumerate(inputs):
        name = kernel.params[k]
        if isinstance(x, (Range, range)):
            if len(shape) != 1:
                raise PlacementError(f"{algorithm}: a range is one-dimensional, the other inputs have shape {shape}")
            begin, step = args.scalar(x.start, f"{name}.start"), args.scalar(x.step, f"{name}.step")
            operands.append(f"a{begin} + {'i' if x.step == 1 else f'a{step} * i'}")  # keys say which, `arrays.Steps`
        elif is_scalar(x):
            operands.append(f"a{args.scalar(x, name)}")
        elif isinstance(x, Lazy):
            operands.append(_lazy_operand(args, x, name, seen, whole))
        else:
            place = _place(args, x, seen)  # the same array twice is one argument, so that the compiler knows
            seen[id(x)] = place if place >= 0 else args.array(x, name, Access(reads=True))
            operands.append(f"a{seen[id(x)]}[@]")
    if out is not None:
        where = _place(args, out, seen)
        if where >= 0:
            args.access[where] = Access(reads=True, writes=True)
        else:
            where = args.array(out, "out", Access(writes=True, covers=True))
    captured: dict[str, Access | None] = {}
    places: dict[int, str] = {}
    for (name, _), value in zip(kernel.captures, kernel.values(func), strict=True):
        value = arrays.normal(value, kernel.shown(name))
        value = value.reshape(1) if isinstance(value, np.ndarray) and value.ndim == 0 else value
        use = None if is_scalar(value) else kernel.access[name].on(value.dtype, value.ndim)
        if use is not None and use.writes and arrays.spec_of(value, name).readonly:
            raise readonly_error(algorithm, kernel, name)
        captured[name] = use
        places[len(whole)] = name
        whole.append((value, name, use and Access(use.reads, use.writes, pointwise=False)))
        operands.append(f"w{len(whole) - 1}$")
    ndim, args.kernel, args.race = args.close(), kernel, race_of(kernel, 0, captured)
    tell_narrow(kernel, {name: value for value, name, use in whole if use is not None})
    if checking.get():
        known = [name for name, use in captured.items() if use is not None]
        operands = _add_tests(args, operands, whole, kernel, known, ndim)
    for k, (value, name, use) in enumerate(whole):
        operands = [operand.replace(f"w{k}$", f"a{len(args.values)}") for operand in operands]
        spec = arrays.spec_of(value, name)
        args.values.append(value)
        args.names.append(kernel.shown(name))
        args.access.append(use)
        args.specs.append(Spec(spec.dtype, spec.ndim, spec.contiguous, weak=spec.weak))
    first = len(args.access) - len(whole)
    args.find = _finder(kernel, args.access, {first + k: name for k, name in places.items()})
    return args, operands, where, ndim


def _place(args: _Arguments, x: Any, seen: Mapping[int, int]) -> int:
    """Which argument an array is already, or another view of the same elements; -1 if it is none."""
    return seen.get(id(x), next((k for k in seen.values() if overlaps.same_memory(args.values[k], x)), -1))


def _finder(
    kernel: Kernel, access: Sequence[Access | None], captured: Mapping[int, str]
) -> Callable[[], tuple[Reach | None, ...]]:
    """What finds out how rows are used: of captured arrays, arguments of these numbers, by the kernel's text."""

    def find() -> tuple[Reach | None, ...]:
        found = list(map(row_use, access))
        known = reaches(kernel, (), (), {}, {}) if captured else {}
        for k, name in captured.items():
            use = access[k]
            if use is not None and use.writes and known[name].atomics:
                found[k] = known[name]
        return tuple(found)

    return find


def _add_tests(
    args: _Arguments, operands: list[str], whole: list[Any], kernel: Kernel, names: list[str], ndim: int
) -> list[str]:
    """Make it a checked call: the operands, with what the checked forms of the kernels take besides."""
    record = f"w{len(whole)}$"
    made = tested(kernel, 0, names)
    sites = made.sites if made is not None else ()
    for k in range(len(args.lazy)):
        args.firsts.append(len(sites))
        inner = args.tested(k, ndim)
        if inner is None:
            args.firsts[k] = -1
        else:
            sites += inner.sites
            operands = [f"{x[:-1]}, {record})" if x.startswith(f"lazy{k}(") else x for x in operands]
    if not sites:
        return operands
    if made is not None:
        args.kernel = made.kernel
        operands = [*operands, record, _ITERATION]
    whole[:] = [(value if use is None else with_room(value), name, use) for value, name, use in whole]
    told = ndim if made is not None and made.ndim else 0
    args.tests = Tests(len(args.values) + len(whole), new_record(), sites, told)
    whole.append((args.tests.record, "record", Access(reads=True, writes=True, pointwise=False)))
    return operands


_ITERATION = "#"  #: the operand that is the index of an element, whatever its dimensions


def _call(operands: Sequence[str], index: str) -> str:
    """The operands of an element at an index."""
    iteration = ", ".join([index, *["0"] * (len(INDICES) - index.count(",") - 1)])
    return ", ".join(operand.replace("@", index).replace(_ITERATION, iteration) for operand in operands)


def _lazy_operand(args: _Arguments, x: Lazy, name: str, seen: dict[int, int], whole: list[Any]) -> str:
    """The text of an element of a lazy input; its leaves become arguments."""
    if x.shape != args.shape and not x.expression.aligned:
        raise PlacementError(
            f"{args.algorithm}: the lazy input {name!r}, {x!r}, has shape {x.shape}, the others {args.shape}: what "
            "reverses or counts is not broadcast"
        )
    texts = ["@"]
    for value, leaf, role in zip(x.values, x.named(name), x.expression.roles, strict=True):
        if is_scalar(value):
            texts.append(f"a{args.scalar(value, leaf)}")
        elif role == CAPTURED:
            whole.append((value, leaf, Access(reads=True, pointwise=False)))
            texts.append(f"w{len(whole) - 1}$")
        elif role == MIRROR:
            texts.append(f"a{args.array(value, leaf, Access(reads=True, pointwise=False))}")
        else:
            if id(value) not in seen:
                seen[id(value)] = args.array(value, leaf, Access(reads=True))
            texts.append(f"a{seen[id(value)]}")
    args.lazy[name] = x
    return f"lazy{len(args.lazy) - 1}({', '.join(texts)})"


def transform(algorithm: str, inputs: tuple[Any, ...], out: Any, op: Any, make_out: Callable[..., Any]) -> Problem:
    """``out[i] = op(x[i], y[i], …)``. Without `out`, `make_out(shape, dtype, inputs)` makes it.

    A tuple that `op` returns is stored in the fields of a record.
    """
    kernel, func = lifted_for_elements(with_held(op, len(inputs)))
    found, shape = _elementwise(algorithm, inputs, kernel, func)
    if out is not None:
        out = arrays.normal(out, "out")
        arrays.spec_of(out, "out")
        captured = [(name, value) for (name, _), value in zip(kernel.captures, kernel.values(func), strict=True)]
        shape = check_out(algorithm, out, shape, kernel, found, captured)
        many = _check_kind(algorithm, out.dtype, shape, kernel, func, found)
    elif shape is None:
        raise PlacementError(f"{algorithm}: neither an input array nor out= is given: nothing says how long it is")
    assert shape is not None
    if out is None:
        kind = _stored_kind(algorithm, found, kernel, func, shape)
        many = isinstance(kind, tuple)
        out = make_out(shape, codec.tuple_dtype(kind) if isinstance(kind, tuple) else kind, found)
    store = lift(codec.codec(out.dtype).store)[0] if many else None
    args, operands, where, ndim = _gather(algorithm, found, kernel, func, shape, out)
    if ndim > len(INDICES):
        raise PlacementError(
            f"{algorithm}: non-contiguous arrays of {ndim} dimensions, {shape}: at most {len(INDICES)}. "
            "Pass contiguous arrays (np.ascontiguousarray), or loop over the leading axes"
        )
    index = index_names(ndim)
    getters = args.getters(ndim)

    def make() -> Text:
        text = Text()
        text.kernel(args.kernel, "op")
        text.kernels(getters, "lazy")
        names = "".join(f", a{k}" for k in range(len(args.values)))
        call = _call(operands, index)
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
    key, kernels = (ndim, tuple(operands), where), (args.kernel, *getters, *([] if store is None else [store]))
    program = program_of("transform", key, kernels, make, args.specs, ndim=ndim, out=where, inplace=inplace)
    extent = shape if ndim > 1 else (math.prod(shape),)
    names, told, zeros = tuple(args.names), lazy_told(args.lazy), (0,) * ndim
    return Problem(
        algorithm, program, tuple(args.values), names, tuple(args.access), extent, zeros, (1,) * ndim, lazy=told,
        race=args.race, tests=args.tests, find=args.find, held=args.kernel.held,
    )  # fmt: skip


def _stored_kind(
    algorithm: str, found: tuple[Any, ...], kernel: Kernel, func: Any, shape: tuple[int, ...]
) -> codec.Kind:
    """What the results are in memory: records also have the fields that kernels do not see."""
    kind = result_kind(reduce_program(algorithm, found, kernel, func, shape), algorithm, kernel)
    return kind if isinstance(kind, tuple) else arrays.whole(kind, (*found, *kernel.values(func)))


def _check_kind(
    algorithm: str, out: np.dtype, shape: tuple[int, ...], kernel: Kernel, func: Any, found: tuple[Any, ...]
) -> bool:
    """NumPy's rule of casting: within a kind, or to a larger kind; any integer may become any other.

    Returns whether the results are tuples, of which each number goes to a field.
    """
    if out.names is not None:
        return check_record(algorithm, out, _stored_kind(algorithm, found, kernel, func, shape))
    given = [_kind(x) for x in found]
    if out.kind not in KINDS or out.kind == "c" or (out.kind == "f" and "c" not in given):
        return False
    if algorithm == "fill":
        fit = fits(found[0], out)
        if fit:
            return False
        if fit is None:
            raise PlacementError(
                f"fill: {found[0]} does not fit into out, whose elements are {out}: pass another number, or one that "
                f"wraps, np.int64({found[0]}).astype({out.name!r})"
            )
    result = result_kind(reduce_program(algorithm, found, kernel, func, shape), algorithm, kernel)
    if isinstance(result, tuple) or result.names is not None:
        raise PlacementError(
            f"{algorithm}: the result is {kind_text(result)}, and out is {out.name}: leave out= away, or pass an "
            "array of records"
        )
    check_cast(algorithm, result, out)
    return False


def fits(x: Any, dtype: Any) -> bool | None:
    """Whether a dtype of whole numbers has a number as it is, whatever its type; None if that is beyond its ends."""
    if getattr(dtype, "kind", "") not in ("b", "i", "u") or not is_scalar(x):
        return False
    try:
        return bool(dtype.type(x) == x)
    except OverflowError:
        return None
    except (TypeError, ValueError):  # a complex number, or none at all
        return False


def _kind(x: Any) -> str:
    if isinstance(x, (Range, range)):
        return "i"
    return (x if isinstance(x, Lazy) else arrays.spec_of(x, "x")).dtype.kind


def reduce_program(
    algorithm: str, inputs: tuple[Any, ...], kernel: Kernel, func: Any, shape: tuple[int, ...]
) -> tuple[_Arguments, list[str], int, Callable[[], Text]]:
    """The elementwise half of a reduction: arguments and the text of ``elem``."""
    args, operands, _, ndim = _gather(algorithm, inputs, kernel, func, shape)
    getters = args.getters(1)

    def make() -> Text:
        text = Text()
        text.kernel(args.kernel, "value")
        text.kernels(getters, "lazy")
        names = "".join(f", a{k}" for k in range(len(args.values)))
        call = _call(operands, "i")
        text.add(f"def elem(i{names}):\n    return value({call})\n", "elem")
        return text

    return args, operands, ndim, make


def result_kind(
    trial: tuple[_Arguments, list[str], int, Callable[[], Text]], algorithm: str, kernel: Kernel
) -> codec.Kind:
    """What the elementwise half returns."""
    args, operands, _, make = trial
    # of its own a kernel sees one element, whatever their layout
    specs = [Spec(s.dtype, 1) if s.is_array and k < args.own else s for k, s in enumerate(args.specs)]
    program = program_of("elem", (1, tuple(operands)), (args.kernel, *args.getters(1)), make, specs)
    return typed(program, "elem", algorithm)


def returned(algorithm: str, op: Any, inputs: tuple[Any, ...]) -> codec.Kind:
    """What a kernel of one element of each input returns."""
    kernel, func = lifted(with_held(op, len(inputs)))
    found, shape = _elementwise(algorithm, inputs, kernel, func)
    return result_kind(reduce_program(algorithm, found, kernel, func, shape or ()), algorithm, kernel)


def identity(x: Any) -> Any:
    """The element itself."""
    return x


def constant(value: Any) -> Any:
    """What `fill` stores."""
    return value


