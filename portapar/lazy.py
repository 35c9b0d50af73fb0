"""Lazy inputs: what is computed where it is read, in the place of an array.

Algorithms take them like arrays, and so do the kernels of `for_each`: an element is computed in the kernel that
reads it, on every backend, and no array is made of the elements. That saves a pass over memory::

    import portapar as pp
    from portapar import lazy

    pp.reduce(pp.par, lazy.transform(x, y, lambda a, b: (a - b) ** 2))          # a sum of squares: reads x and y once
    pp.inclusive_scan(pp.par, lazy.reverse(x))                                  # all suffix sums
    pp.transform(pp.par, lazy.zip(x, y), op=lambda pair: pair[0] * pair[1])     # elements are tuples
    pp.reduce(pp.par, lazy.transform(lazy.iota(n, 1), lambda k: 1.0 / k**2))    # no array at all

They nest: ``lazy.reverse(lazy.transform(lazy.zip(x, lazy.iota(len(x))), f))``. An element that is read several times
is computed as often; ``pp.copy(policy, x)`` makes an array of a lazy input where that costs more than memory.

A lazy input is an expression over leaves: arrays, numbers, and what its functions capture. Values are taken when it
is made; arrays are referred to, so that it sees what is written to them later.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from portapar import arrays, cache
from portapar.errors import KernelError, PlacementError, of_kind
from portapar.expression import BACK, CAPTURED, COUNT, MIRROR, NUMBER, OWN, PLACE, Expression, expression_of
from portapar.kernel.front.codec import tuple_dtype
from portapar.kernel.front.kernel import Kernel
from portapar.kernel.front.lift import known, lift
from portapar.kernel.front.rows import without_rows
from portapar.kernel.front.sources import function
from portapar.kernel.front.text import Text
from portapar.kernel.jit.check import typed
from portapar.kernel.program import INDICES, Spec

__all__ = ["Lazy", "iota", "reverse", "transform", "zip"]


def __dir__() -> list[str]:
    return [*__all__]

_zip, _reversed = zip, reversed

_kinds: dict[Any, Any] = cache.Bounded()  #: what elements are, by expressions and the types of their leaves


class Lazy(arrays.Virtual):
    """A lazy input; made by `transform`, `zip`, `iota` and `reverse`. Immutable.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Of an element, as kernels compute it; for tuples a record of their values.
    expression : Expression
    values : tuple
        The leaves' values.
    """

    __slots__ = ("_dtype", "expression", "shape", "values")

    def __init__(
        self, expression: Expression, values: tuple[Any, ...], shape: tuple[int, ...], dtype: Any = None
    ) -> None:
        self.expression, self.values, self.shape = expression, values, shape
        self._dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype:
        kind = self._kind()
        return tuple_dtype(kind) if isinstance(kind, tuple) else arrays.whole(kind, self.values)

    @property
    def loops(self) -> bool:
        """Whether a function has a loop, so that an element may take long."""
        return self.expression.loops

    @property
    def tuples(self) -> bool:
        """Whether the elements are tuples."""
        return isinstance(self._kind(), tuple)

    def _kind(self) -> Any:
        """What an element is: a dtype, or of a tuple one for each number."""
        if self._dtype is None:
            told = [(x.dtype, x.ndim) if type(x) is np.ndarray else type(x) for x in self.values]
            key: Any = (self.expression, *told)
            self._dtype = _kinds.get(key)
        if self._dtype is None:
            specs = [arrays.spec_of(v, n) for v, n in _zip(self.values, self.expression.names, strict=True)]
            own = OWN, MIRROR
            kinds = tuple(
                Spec(s.dtype, 1 if role in own else s.ndim, role in own or s.contiguous, weak=s.weak)
                for s, role in _zip(specs, self.expression.roles, strict=True)
            )
            self._dtype = _element(self.expression, kinds)
            if not any(type(x) is not np.ndarray and hasattr(x, "shape") for x in self.values):
                _kinds[key] = self._dtype
        return self._dtype

    def __repr__(self) -> str:
        return self._told(self.expression.tree)

    def _told(self, node: tuple[Any, ...]) -> str:
        kind, *rest = node
        if kind == "own" or kind == "number":
            return arrays.describe(self.values[rest[0]])
        if kind == "mirror":
            return f"pp.lazy.reverse({arrays.describe(self.values[rest[0]])})"
        if kind in ("iota", "count"):
            start, place = self.values[rest[0]], self.values[rest[-1]]
            step = self.values[rest[1]] if kind == "iota" else 1
            back = self.expression.roles[rest[-1]] == BACK
            place = place - len(self) + 1 if back else place
            told = f"pp.lazy.iota({len(self)}, {start + step * place}, {step})"
            return f"pp.lazy.reverse({told})" if back else told
        if kind == "tuple":
            return f"pp.lazy.zip({', '.join(map(self._told, rest[0]))})"
        return f"pp.lazy.transform({', '.join([*map(self._told, rest[1]), self.expression.kernels[rest[0]].name])})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise PlacementError(f"{self!r} is a lazy input, which has no memory: pp.copy(policy, x) makes an array of it")

    def named(self, name: str) -> list[str]:
        """What to call the leaves in messages, if the input is called `name`."""
        leaves = self.expression.names
        return [f"{name}.{leaf}" if leaf and not leaf.startswith("[") else name + leaf for leaf in leaves]

    def over(self, lo: int, hi: int, local: Callable[[Any, str, int], Any], name: str) -> Lazy:
        """The elements (rows) from `lo` to `hi`, as a part sees them: ``local(leaf, name, role)`` places arrays."""
        values = []
        for value, leaf, role in _zip(self.values, self.named(name), self.expression.roles, strict=True):
            moved = {PLACE: lo, BACK: -lo, COUNT: hi - lo - len(self)}.get(role)
            if moved is not None:
                values.append(value + moved)
            else:
                values.append(value if isinstance(value, arrays.SCALARS) else local(value, leaf, role))
        return Lazy(self.expression, tuple(values), (hi - lo, *self.shape[1:]), self._dtype)

    def reshape(self, shape: int | tuple[int, ...]) -> Lazy:
        """The elements in one dimension, ``x.reshape(-1)``, or in others, where none depends on its index."""
        whole = (self.size,) if isinstance(shape, int) else shape
        same = isinstance(shape, int) and self.ndim == 1
        moved = self if same else self.with_arrays(lambda leaf: leaf.reshape(shape))
        return Lazy(self.expression, moved.values, whole, self._dtype)

    def with_arrays(self, change: Callable[[Any], Any]) -> Lazy:
        """The same over other arrays of the same shapes and dtypes, in the place of those read at its own index."""
        values = [change(v) if role == OWN else v for v, role in _zip(self.values, self.expression.roles, strict=True)]
        return Lazy(self.expression, tuple(values), self.shape, self._dtype)


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values, with the leaves in the place of lazy inputs."""
    for x in values:
        if isinstance(x, Lazy):
            yield from x.values
        else:
            yield x


@functools.lru_cache(maxsize=4096)
def _element(expression: Expression, specs: tuple[Spec, ...]) -> Any:
    text = Text()
    text.kernel(expression.getter(1, False).kernel, "elem")
    return typed(text.program("elem", specs), "elem", "lazy")


# making them --------------------------------------------------------------------------------------


class _Builder:
    """Collects the leaves and functions of a new lazy input."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.values: list[Any] = []
        self.roles: list[int] = []
        self.names: list[str] = []
        self.kernels: list[Kernel] = []
        self.shapes: list[tuple[str, tuple[int, ...]]] = []

    def leaf(self, value: Any, role: int, name: str) -> int:
        """The number of a leaf; an array that is there already is the same one."""
        if role in (OWN, MIRROR):
            for k, other in enumerate(self.values):
                if other is value and self.roles[k] == role:
                    return k
        self.values.append(value)
        self.roles.append(role)
        self.names.append(name)
        return len(self.values) - 1

    def add(self, x: Any, name: str) -> tuple[Any, ...]:
        """The node of an input: array, number, range or lazy input."""
        if isinstance(x, (range, arrays.Range)):
            x = iota(len(x), x.start, x.step)
        if isinstance(x, Lazy):
            self.shapes.append((name, x.shape))
            return self.graft(x, name)
        told = f"inputs{name}" if name.startswith("[") else name
        x = readable(arrays.normal(x, told))
        if isinstance(x, Lazy):
            return self.add(x, name)
        arrays.spec_of(x, told)
        if isinstance(x, arrays.SCALARS):
            return ("number", self.leaf(x, NUMBER, name))
        if not x.shape:
            raise PlacementError(f"{self.algorithm}: {name} is an array without dimensions. Pass a number: {name}[()]")
        self.shapes.append((name, x.shape))
        return ("own", self.leaf(x, OWN, name))

    def graft(self, x: Lazy, name: str, mirror: bool = False) -> tuple[Any, ...]:
        """The expression of a lazy input on the leaves here; mirrored: in reversed order."""
        turned = {OWN: MIRROR, MIRROR: OWN, PLACE: BACK, BACK: PLACE} if mirror else {}
        own = x.named(name) if name else list(x.expression.names)
        places: list[int] = []
        for value, role, leaf in _zip(x.values, x.expression.roles, own, strict=True):
            if role == COUNT:  # comes last, and is in no expression
                continue
            if role == PLACE and mirror:
                value = value + len(x) - 1
            elif role == BACK and mirror:
                value = value - len(x) + 1
            places.append(self.leaf(value, turned.get(role, role), leaf))
        numbers = [self.kernel(kernel) for kernel in x.expression.kernels]
        names = {"own": "mirror", "mirror": "own"} if mirror else {}

        def moved(node: tuple[Any, ...]) -> tuple[Any, ...]:
            kind, *rest = node
            if kind == "call":
                number, inputs, captured = rest
                return (kind, numbers[number], tuple(map(moved, inputs)), tuple(places[k] for k in captured))
            if kind == "tuple":
                return (kind, tuple(map(moved, rest[0])))
            return (names.get(kind, kind), *(places[k] for k in rest))

        return moved(x.expression.tree)

    def kernel(self, kernel: Kernel) -> int:
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        return self.kernels.index(kernel)

    def shape(self) -> tuple[int, ...]:
        """The shape that all inputs have."""
        if not self.shapes:
            raise PlacementError(f"{self.algorithm}: no input is an array or a range: nothing says how long it is")
        if len({shape for _, shape in self.shapes}) > 1:
            told = ", ".join(f"{name}: {shape}" for name, shape in self.shapes)
            raise PlacementError(f"{self.algorithm}: the shapes of the inputs differ ({told}): must be equal")
        shape = self.shapes[0][1]
        if len(shape) > len(INDICES):
            raise PlacementError(
                f"{self.algorithm}: the inputs have {len(shape)} dimensions, {shape}: at most {len(INDICES)}. "
                "Pass x.reshape(-1)"
            )
        return shape

    def done(self, tree: tuple[Any, ...], shape: tuple[int, ...]) -> Lazy:
        if not {OWN, MIRROR} & set(self.roles):
            self.leaf(shape[0], COUNT, "size")
        expression = expression_of(tree, tuple(self.roles), tuple(self.names), tuple(self.kernels))
        return Lazy(expression, tuple(self.values), shape)


_made: dict[Any, tuple[Expression, tuple[int, ...] | None]] = cache.Bounded()  #: by what `_likeness` says
_NUMBERS = frozenset((bool, int, float, complex, *(np.dtype(code).type for code in "?bhilqBHILQfdFD")))


def _likeness(given: Any, f: Any) -> tuple[Any, list[Any], tuple[int, ...]] | None:
    """(what the expression of a lazy input depends on, its leaves, its shape); None if that is not certain.

    `f` is its function, None of a zip. What is wrong with arguments is told where this says nothing.
    """
    parts: list[Any] = []
    values: list[Any] = []
    captured: Any = ()
    if f is not None:
        found = known(f) if type(f) is FunctionType and f.__defaults__ is None else None
        if found is None:
            return None
        kernel, captured = found
        parts.append(kernel)
    shape = None
    for x in given:
        kind = type(x)
        if kind is np.ndarray:
            if shape != x.shape:
                if shape is not None:
                    return None
                shape = x.shape
            parts.append(x.dtype)
            values.append(x)
        elif kind is Lazy:
            if shape != x.shape:
                if shape is not None:
                    return None
                shape = x.shape
            expression = x.expression
            parts.append(expression)
            values += x.values if expression.movable else x.values[:-1]
        elif kind in _NUMBERS:
            parts.append(kind)
            values.append(x)
        else:
            return None
    if not shape or len(shape) > len(INDICES):
        return None
    own = len(values)
    for x in captured:
        if type(x) is np.ndarray and x.ndim:
            parts += (x.dtype, x.ndim)
        elif type(x) in _NUMBERS:
            parts.append(type(x))
        else:
            return None
        values.append(x)
    for x in values:
        if type(x) is np.ndarray:
            if not x.flags.aligned:
                return None
        elif type(x) is int and not -(2**63) <= x < 2**63:
            return None
    places = [id(x) for x in values[:own]]  # an array in two places is one leaf
    if len(set(places)) < own:
        parts.append(tuple(map(places.index, places)))
    return tuple(parts), values, shape


def _again(like: tuple[Any, list[Any], tuple[int, ...]]) -> Lazy | None:
    """A lazy input whose like was made before, of other leaves."""
    key, values, shape = like
    found = _made.get(key)
    if found is None:
        return None
    expression, places = found
    if places is not None:
        values = [values[k] for k in places]
    return Lazy(expression, tuple(values) if expression.movable else (*values, shape[0]), shape)


def _remember(like: tuple[Any, list[Any], tuple[int, ...]] | None, made: Lazy) -> None:
    """Keep the expression for all that are like it."""
    if like is None:
        return
    key, values, _ = like
    leaves = made.values if made.expression.movable else made.values[:-1]
    places: list[int] = []
    for k, x in enumerate(values):
        if len(places) < len(leaves) and leaves[len(places)] is x:
            places.append(k)
    if len(places) == len(leaves):
        _made[key] = made.expression, None if len(leaves) == len(values) else tuple(places)


def readable(x: Any) -> Any:
    """An input as kernels read it: numbers that are not aligned, such as a field of packed records, one by one.

    Records may lie anywhere, so that those are records of one field; nothing is copied.
    """
    if type(x) is not np.ndarray or x.flags.aligned or x.dtype.kind not in "biufc" or not (x.ndim and x.dtype.isnative):
        return x
    return transform(x.view(np.dtype([("value", x.dtype)])), _value)


_value = function("lambda record: record.value")


def unaligned(x: Any) -> bool:
    """Whether it is an array that is not aligned, as `readable` has it."""
    return isinstance(x, Lazy) and x.expression is _unaligned().expression


@functools.cache
def _unaligned() -> Lazy:
    return transform(np.zeros(1, [("value", np.float64)]), _value)


def transform(*inputs: Any, op: Any = None) -> Lazy:
    """The lazy input with the elements ``f(x[i], y[i], …)``: ``lazy.transform(x, y, …, f)``, or ``op=f``.

    Parameters
    ----------
    *inputs : array, lazy input, range or number, and last of all a callable, unless it is `op`
        Arrays of one shape of up to six dimensions; `f` is a kernel of one element of each. What it captures is
        taken now.

    Returns
    -------
    Lazy

    Raises
    ------
    KernelError, PlacementError

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x = np.arange(4.0)
    >>> float(pp.reduce(pp.par, pp.lazy.transform(x, lambda v: v * v)))
    14.0
    """
    *given, f = (*inputs, op) if op is not None else inputs or (None,)
    like = _likeness(given, f)
    again = None if like is None else _again(like)
    if again is not None:
        return again
    if not given or not callable(f) or isinstance(f, Lazy):
        raise KernelError(
            f"lazy.transform: the last argument is {f!r}, {of_kind(f)}: must be a kernel, after the inputs. "
            "Write lazy.transform(x, f), or lazy.transform(x, op=f)"
        )
    kernel, func = lift(f)
    params, defaults = kernel.params, func.__defaults__ or ()
    missing = len(params) - len(given)
    if 0 < missing <= len(defaults):
        given += defaults[len(defaults) - missing :]
    if len(given) != len(params):
        raise KernelError(
            f"lazy.transform: kernel {kernel.name!r} ({kernel.where()}) {kernel.takes()}, "
            f"and the call gives {len(given)} input{'s' * (len(given) != 1)}. "
            "Its arguments are one element of each input"
        )
    made = _Builder("lazy.transform")
    nodes = tuple(made.add(x, name) for x, name in _zip(given, params, strict=True))
    names = [name for name, _ in kernel.captures]
    values = [arrays.normal(value, name) for name, value in _zip(names, kernel.values(func), strict=True)]
    whole = {name: x for name, x in _zip(names, values, strict=True) if hasattr(x, "shape")}
    kernel = without_rows(kernel, {name: x for name, x in whole.items() if not isinstance(x, arrays.SCALARS)})
    captured = []
    for name, value in _zip(names, values, strict=True):
        value = value.reshape(1) if isinstance(value, np.ndarray) and value.ndim == 0 else value
        spec = arrays.spec_of(value, name)
        if spec.is_array and kernel.access[name].on(spec.dtype, spec.ndim).writes:
            raise KernelError(
                f"lazy.transform: kernel {kernel.name!r} ({kernel.where()}) writes to {name!r}, and nothing says when "
                "and how often an element of a lazy input is computed. Return the value instead"
            )
        captured.append(made.leaf(value, CAPTURED, name))
    done = made.done(("call", made.kernel(kernel), nodes, tuple(captured)), made.shape())
    if not kernel.held:  # whose rows are held against each other in every call
        _remember(like or _likeness(given, f), done)
    return done


def zip(*inputs: Any) -> Lazy:
    """The lazy input whose elements are the tuples ``(x[i], y[i], …)``.

    Parameters
    ----------
    *inputs : array, lazy input, range or number
        Of one shape of up to six dimensions.

    Returns
    -------
    Lazy

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> x, y = np.arange(4.0), np.array([3, 1, 2, 0])
    >>> pp.transform(pp.par, pp.lazy.zip(x, y), op=lambda pair: pair[0] * pair[1])
    array([0., 1., 4., 0.])
    """
    like = _likeness(inputs, None)
    again = None if like is None else _again(like)
    if again is not None:
        return again
    made = _Builder("lazy.zip")
    nodes = tuple(made.add(x, f"[{k}]") for k, x in enumerate(inputs))
    done = made.done(("tuple", nodes), made.shape())
    _remember(like, done)
    return done


def iota(n: int, start: Any = 0, step: Any = 1) -> Lazy:
    """The lazy input of `n` elements ``start + step * i``.

    Parameters
    ----------
    n : int
    start, step : number

    Returns
    -------
    Lazy

    Examples
    --------
    >>> import portapar as pp
    >>> pp.copy(pp.par, pp.lazy.iota(4, 1.0, 0.5))
    array([1. , 1.5, 2. , 2.5])
    """
    n = n if type(n) is int and 0 <= n < 2**52 else arrays.whole_number("lazy.iota: n", n)
    for name, x in (("start", start), ("step", step)):
        if not isinstance(x, arrays.SCALARS):
            raise PlacementError(f"lazy.iota: {name} is {x!r}, {of_kind(x)}: must be a number")
    if type(start) is int and type(step) is int and step == 1:
        return Lazy(expression_of(*_counting()), (start, 0, n), (n,))
    return Lazy(expression_of(*_counting(False)), (start, step, 0, n), (n,))


@functools.cache
def _counting(by_one: bool = True) -> tuple[Any, ...]:
    """What the expression of numbers in steps of one, or of any, is made of."""
    made = _iota(1, 0, 1 if by_one else 2).expression
    return made.tree, made.roles, made.names, made.kernels


def _iota(n: int, start: Any, step: Any) -> Lazy:
    made = _Builder("lazy.iota")
    leaves = [made.leaf(start, NUMBER, "start")]
    count = type(step) is int and step == 1
    if not count:
        leaves.append(made.leaf(step, NUMBER, "step"))
    return made.done(("count" if count else "iota", *leaves, made.leaf(0, PLACE, "place")), (n,))


def reverse(x: Any) -> Lazy:
    """The lazy input with the elements of `x` in reversed order.

    Parameters
    ----------
    x : array, lazy input or range
        Of one dimension.

    Returns
    -------
    Lazy

    Notes
    -----
    Over several parts each needs rows that are not its own: a NumPy array is at hand everywhere, a
    `PartitionedArray` is refused.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.copy(pp.par, pp.lazy.reverse(np.arange(4)))
    array([3, 2, 1, 0])
    """
    made = _Builder("lazy.reverse")
    if not isinstance(x, Lazy):
        tree = made.add(x, "x")
        made.names = [name.removeprefix("x").removeprefix(".") for name in made.names]
        x, made = made.done(tree, made.shape()), _Builder("lazy.reverse")
    if x.ndim != 1:
        raise PlacementError(f"lazy.reverse: the input has shape {x.shape}: must have one dimension")
    return made.done(made.graft(x, "", mirror=True), x.shape)
