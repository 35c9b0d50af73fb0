"""A problem: one call of an algorithm, put into one of the kernel forms, before anybody has to run it."""

from __future__ import annotations

import dataclasses
import linecache
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from portapar import arrays, cache
from portapar.arrays import Range
from portapar.errors import BoundsError, PlacementError, of_kind, tell
from portapar.kernel.front import fuse
from portapar.kernel.front.access import Access
from portapar.kernel.front.kernel import Kernel, folding, holding, is_held
from portapar.kernel.front.lift import lift
from portapar.kernel.front.reached import Reach
from portapar.kernel.front.rows import checking, without_rows
from portapar.kernel.front.text import Text
from portapar.kernel.program import INDICES, Program, Spec, has_loop
from portapar.lazy import Lazy
from portapar.ops import Monoid, plus

if TYPE_CHECKING:
    from portapar.kernel.front.checked import Checked, Site
    from portapar.kernel.front.races import Race


@dataclass(frozen=True, slots=True)
class Copy:
    """A contiguous copy of an input, and where it is made."""

    name: str
    source: np.ndarray
    place: np.ndarray

    def make(self) -> None:
        np.copyto(self.place, self.source)


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
        For each array how it is used (`portapar.kernel.front.access.Access`), None for scalars.
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
    race : Race, optional
        What its text shows to be wrong where iterations run at the same time.
    tests : Tests, optional
        Of a checked call.
    copies : tuple of Copy
        Of strided inputs that must be contiguous; to be made when it runs.
    find : callable, optional
        Finds out which rows of its arrays an iteration uses, see `reaches`.
    held : {"", "shapes", "memory"}
        What of its arrays it was held against: with others it must be made anew.
    """

    algorithm: str
    program: Program
    values: tuple[Any, ...]
    names: tuple[str, ...]
    access: tuple[Access | None, ...]
    extent: tuple[int, ...]
    start: tuple[int, ...]
    step: tuple[int, ...]
    init: Any = None
    lazy: tuple[tuple[str, str], ...] = ()
    tiles: bool = False
    span: tuple[int, int] | None = None
    race: Race | None = None
    tests: Tests | None = None
    copies: tuple[Copy, ...] = ()
    find: Callable[[], tuple[Reach | None, ...]] | None = None
    held: str = ""
    _reaches: list[tuple[Reach | None, ...]] = field(default_factory=list)

    def reaches(self) -> tuple[Reach | None, ...]:
        """For each array which of its rows an iteration uses, None for scalars; needed where a call is cut."""
        if not self._reaches:
            found = () if self.find is None else self.find()
            self._reaches.append((*found, *map(row_use, self.access[len(found) :])))
        return self._reaches[0]

    @property
    def carries(self) -> bool:
        """Whether its iterations may use what others write, so that their order matters, and takes another code."""
        if self.program.form != "map" or has_loop(self.program.text):
            return False
        return any(use is not None and use.reads and use.writes and not use.pointwise for use in self.access)

    @property
    def size(self) -> int:
        return math.prod(self.extent)

    @property
    def row(self) -> int:
        """Flat indices per row of the leading axis."""
        return math.prod(self.extent[1:])

    def arrays(self) -> list[tuple[int, Any]]:
        """The user's arrays, by the numbers of the arguments."""
        record = -1 if self.tests is None else self.tests.place
        return [(k, v) for k, v in enumerate(self.values) if self.access[k] is not None and k != record]


def row_use(use: Access | None) -> Reach | None:
    """What is known of an array's rows from `Access` alone."""
    if use is None:
        return None
    return Reach(read=use.reads, far=use.reads and not use.pointwise, written=use.writes, lands=use.pointwise)


def _numbers(found: list[int]) -> str:
    return str(found[0]) if len(found) == 1 else f"({', '.join(map(str, found))})"


@dataclass(frozen=True, slots=True)
class Tests:
    """What a checked call needs besides: an argument in which its kernel writes down what is wrong.

    Attributes
    ----------
    place : int
        Which argument that is, the record.
    record : numpy.ndarray
    sites : tuple of Site
    ndim : int
        How many numbers of the record say which iteration it was.
    """

    place: int
    record: np.ndarray
    sites: tuple[Site, ...]
    ndim: int

    def error(self, asked: Problem, record: np.ndarray) -> BoundsError:
        """What a record says."""
        from portapar.kernel.front.checked import numbers

        site = self.sites[int(record[0]) - 1]
        index, extents = (numbers(record, kind, site.indices) for kind in "kn")
        axis = next(d for d in range(site.indices) if not -extents[d] <= index[d] < extents[d])
        shape = tuple(extents)
        for name, value in zip(asked.names, asked.values, strict=True):
            if name == site.name and value.shape[: site.indices] == shape:
                shape = value.shape
        at = numbers(record, "i", self.ndim)
        when = f", in iteration {_numbers(at)}" if at else ""
        array = repr(site.name) if site.name == site.here else f"{site.name!r} (here {site.here!r})"
        array, text = (array, f"{site.text}: ") if site.text else (site.name or "a row", "")
        has = f"shape {shape}"
        if site.axis is not None:
            axis, has = site.axis, f"length {extents[0]} there"
        line = linecache.getline(site.file, site.line).strip()
        return BoundsError(
            f"{site.file}:{site.line}: {text}index {_numbers(index)} is out of bounds for axis {axis} of "
            f"{array}, which has {has}{when}. What the call wrote is undefined\n    {line}"
        )


def with_room(x: Any) -> Any:
    """An empty array with memory for an element all the same, which stands in for those that are out of bounds."""
    if not isinstance(x, np.ndarray) or x.size:
        return x
    return np.zeros([max(n, 1) for n in x.shape], x.dtype)[tuple(slice(n) for n in x.shape)]


def tested(
    kernel: Kernel,
    ndim: int,
    arrays: Iterable[str],
    safe: Iterable[str] = (),
    pointwise: Iterable[str] = (),
    first: int = 0,
) -> Checked | None:
    """The checked form of a kernel, where calls are to be checked and it takes indices."""
    if not checking.get():
        return None
    from portapar.kernel.front.checked import checked

    return checked(kernel, ndim, frozenset(arrays), frozenset(safe), frozenset(pointwise), first)


def new_record() -> np.ndarray:
    """An empty record of a checked call."""
    from portapar.kernel.front.checked import WORDS

    return np.zeros(WORDS, np.int64)


def race_of(kernel: Kernel, ndim: int, arrays: Mapping[str, Access | None]) -> Race | None:
    """The race that a kernel's text shows, of those arrays that it does not write at its own index alone."""
    written = [kernel.access[name] for name, use in arrays.items() if use is not None and use.writes]
    if all(ndim and use.pointwise and use.rank >= ndim for use in written):
        return None
    from portapar.kernel.front.races import race

    found = race(kernel, ndim, frozenset(name for name, use in arrays.items() if use is not None))
    if found is None or not kernel.told:
        return found
    name, text, read = map(kernel.shown, (found.name, found.text, found.read))
    return found._replace(name=name, text=text, read=read)


def tell_narrow(kernel: Kernel, given: Mapping[str, Any]) -> None:
    """Warn of a sum that wraps unseen, once, at the user's line; `given` are arrays by parameter or capture."""
    from portapar.kernel.front.narrow import narrow

    found = narrow(kernel, {name: x.dtype for name, x in given.items()})
    if found is None:
        return
    what, wide = (f"{found.name!r} begins", f"{found.name} = ") if found.name else ("the sum begins", "")
    begin = (f"begin with {wide}np.int64(0), or with np.{found.dtype}(0)" if wide else
             f"give np.int64(0) as the start, sum((… for …), np.int64(0)), or np.{found.dtype}(0)")  # fmt: skip
    tell(
        ("narrow", found),
        f"{found.text}: {what} as a Python number, so it takes the dtype {found.dtype} of what it "
        f"sums up, as in NumPy, and wraps beyond {np.iinfo(found.dtype).max}. Instead: add int(…) of each, or {begin} "
        "if that is meant",
        found.file,
        found.line,
    )


Box = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def box(n: Any) -> Box:
    """(extent, start, step) of an index space: a number, a `Range`, or a tuple of up to six of them."""
    axes = n if isinstance(n, tuple) else (n,)
    if len(axes) == 3 and all(isinstance(part, tuple) for part in axes):
        return axes  # one already
    if not 1 <= len(axes) <= len(INDICES):
        raise PlacementError(f"the index space {n!r} has {len(axes)} dimensions: must have 1 to {len(INDICES)}")
    extent, start, step = [], [], []
    for axis in axes:
        if type(axis) is Range:
            extent.append(axis.size)
            start.append(axis.start)
            step.append(axis.step)
        elif isinstance(axis, range):
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
            shape = getattr(axis, "shape", None)
            if isinstance(shape, tuple) and shape:  # NumPy's numbers have the shape ()
                told, hint = f"an array of shape {shape}", f", such as {'len(x)' if len(shape) == 1 else 'x.shape'}"
            else:
                told, hint = f"{axis!r}, {of_kind(axis)}", ". It comes before the kernel" if callable(axis) else ""
            raise PlacementError(
                f"the index space is {told}: must be a whole number, pp.range(...), or a tuple of them{hint}"
            )
    if math.prod(extent) >= 2**52:  # what native loops take for granted of an index
        raise PlacementError(f"the index space {n!r} has {math.prod(extent)} indices: must be less than 2**52")
    return tuple(extent), tuple(start), tuple(step)


_texts: dict[Any, Text] = cache.Bounded()
_programs: dict[Any, Program] = cache.Bounded()


def program_of(
    form: str,
    shape: tuple[Any, ...],
    kernels: tuple[Kernel, ...],
    make: Callable[[], Text],
    specs: list[Spec],
    **more: Any,
) -> Program:
    """The program of a text and argument kinds, made once."""
    text_key = (form, shape, *kernels)  # which keep the kernels: no other one has their places
    key = (text_key, tuple(specs), tuple(more.items()))
    program = _programs.get(key)
    if program is None:
        text = _texts.get(text_key)
        if text is None:
            text = _texts[text_key] = make()
        program = _programs[key] = text.program(form, specs, **more)
    return program


def with_defaults(args: tuple[Any, ...], wanted: int, func: Any) -> tuple[Any, ...]:
    """The arguments of a call, completed by the function's default values as far as they go."""
    defaults = func.__defaults__ or ()
    missing = wanted - len(args)
    return (*args, *defaults[len(defaults) - missing :]) if 0 < missing <= len(defaults) else args


def with_held(op: Any, count: int) -> Any:
    """An operator of so many elements; what its defaults are that are no numbers is held."""
    defaults = getattr(getattr(op, "py_func", op), "__defaults__", None)
    return holding(op, 0, (0,) * count)[0] if defaults and any(map(is_held, defaults)) else op


def folded(op: Any) -> Any:
    """An operator that folds values: two are all that it is given, and its defaults are constants of its text."""
    if op is plus or (type(op) is types.FunctionType and op.__defaults__ is None):
        return op
    func = op.op if type(op) is Monoid else op
    func = func if type(func) is types.FunctionType else getattr(func, "py_func", func)
    held = folding(func) if isinstance(func, types.FunctionType) and func.__defaults__ else None
    if held is None:
        return op
    return dataclasses.replace(op, op=held) if isinstance(op, Monoid) else held


def lifted(given: Any) -> tuple[Kernel, Any]:
    """A kernel, with the lazy inputs that it captures fused in."""
    kernel, func = lift(given)
    if kernel.captures:
        captured = zip(kernel.captures, kernel.values(func), strict=True)
        lazy = {name: x for (name, _), x in captured if isinstance(x, Lazy)}
        if lazy:
            return fused(kernel, lazy), func
    return kernel, func


def lifted_for_elements(given: Any) -> tuple[Kernel, Any]:
    """The same for a kernel of elements, in which only what it captures may have rows."""
    kernel, func = lifted(given)
    captured = zip(kernel.captures, kernel.values(func), strict=True)
    found = {name: x for (name, _), x in captured if hasattr(x, "shape") and not isinstance(x, arrays.SCALARS)}
    return without_rows(kernel, found), func


def fused(kernel: Kernel, lazy: Mapping[str, Lazy]) -> Kernel:
    return fuse.fuse(kernel, {name: x.expression.getter(x.ndim, True) for name, x in lazy.items()})


def lazy_told(lazy: Mapping[str, Lazy]) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(x)) for name, x in lazy.items())


def readonly_error(algorithm: str, kernel: Kernel, name: str) -> PlacementError:
    return PlacementError(
        f"{algorithm}: kernel {kernel.name!r} ({kernel.where()}) writes to argument {kernel.shown(name)!r}, "
        "which is read-only. Pass a writable copy, or set its flags.writeable"
    )


def index_names(ndim: int) -> str:
    return ", ".join(INDICES[:ndim])
