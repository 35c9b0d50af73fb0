"""What an algorithm computes with: the elements of its inputs as kernels see them, and how values are kept.

Scans and segmented reductions take any number of inputs, a transform of their elements, an operator on
numbers or tuples, and an initial value. `Values` finds out the type of it all and gives the kernel functions
that their loops are written with.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from portapar import arrays, ops, reduction
from portapar.arrays import Range
from portapar.cache import Bounded
from portapar.errors import PlacementError, of_kind
from portapar.few import FEW, elements, kinds
from portapar.kernel.front import codec
from portapar.kernel.front.lift import lift, loops
from portapar.kernel.front.sources import function
from portapar.lazy import Lazy
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.problem import folded
from portapar.remembered import memoize


class Values:
    """The values ``transform(x[i], y[i], …)`` of the inputs of a call, to be combined by `op`.

    Parameters
    ----------
    p : Parts
    inputs : sequence of array, Range or number
        Of one dimension and one length.
    op : callable
    transform : callable, optional
    init : number or tuple, optional

    Attributes
    ----------
    n : int
        How many there are.
    dtype : numpy.dtype
        Of the values: what `op` settles on, as in `pp.reduce`; with fields if they are tuples.
    op, load, store : callable
        Kernel functions: the operator, whose result has the type of the values; ``load(i, a)`` and
        ``store(i, a, value)`` of values that arrays keep.
    init, identity : number, tuple or None
    neutral : number, tuple or None
        The identity that keeps the sign of zero too: -0.0 for sums, whose `identity` is what a sum of nothing is.
    ordered : bool
        Neighbours are to be combined first: `op` does not commute, or what is far apart may overflow.
    """

    def __init__(self, p: Parts, inputs: Sequence[Any], op: Any, transform: Any = None, init: Any = None) -> None:
        monoid = ops.monoid(folded(op))
        if isinstance(init, np.void):
            init = init.item()
        if init is not None and not all(
            isinstance(x, arrays.SCALARS) for x in (init if type(init) is tuple else (init,))
        ):
            kind = of_kind(init)
            raise PlacementError(f"{p.algorithm}: init is {init!r}, {kind}: must be a number, or a tuple of them")
        self.inputs: Any = [x if isinstance(x, (Range, range)) else arrays.normal(x, "x") for x in inputs]
        self._transform = transform
        self.n = self._length(p)
        self._settle(p.algorithm, monoid, init, *_type_of(p, tuple(self.inputs), monoid, transform, init))

    @classmethod
    def few(
        cls, inputs: Sequence[Any], op: Any, transform: Any = None, init: Any = None, most: int = FEW
    ) -> Values | None:
        """The values of plain arrays, if there were such of these types before."""
        n, monoid = elements(*inputs, most=most, lazy=True), ops.monoid(folded(op))
        key = _kinds(inputs, monoid, transform, init) if n else None
        found = _types.get(key) if key is not None else None
        if found is None:
            return None
        self = cls.__new__(cls)
        self.inputs, self.n, self._transform = inputs, n, transform
        try:
            self._settle("", monoid, init, *found)
        except PlacementError:  # the long way says which call it is
            return None
        return self

    def of(self, *inputs: np.ndarray) -> Values:
        """The values of other plain arrays of the same types and lengths."""
        self.inputs = inputs
        return self

    def _settle(self, algorithm: str, monoid: ops.Monoid, init: Any, dtype: np.dtype, ordered: bool) -> None:
        """What follows from the types."""
        self.dtype, self.ordered = dtype, ordered
        self._name = monoid.__name__ if monoid.named else ""
        transform = self._transform
        self.init = None if init is None else codec.as_scalars(reduction.initial(algorithm, init, self.dtype))
        if monoid.named:
            self.identity, self.neutral, self.op = _settled(dtype, monoid.__name__)
        else:
            self.identity = self.neutral = monoid.start(self.dtype)
            monoid.check(self.identity, *self._first(transform))
            self.op = _operator(dtype, monoid.py_func)
        self.load, self.store, self._cast, self._casts = _kept(dtype)
        self.kernels = [monoid.py_func] if transform is None else [monoid.py_func, transform]
        self.functions = tuple(self.kernels)  #: the user's; of `kernels` those that run with the steps
        self._data: dict[int, Data] = {}
        self._found: Data | None = None

    @functools.cached_property
    def names(self) -> list[str]:
        """What to call the inputs in messages."""
        return _names(self.inputs, self._transform)

    def _first(self, transform: Any) -> list[Any]:
        """The first value, where it lies on the host as a plain number."""
        x: Any = self.inputs[0]
        plain = isinstance(x, np.ndarray) and transform is None and self.n and self.dtype.names is None
        return [x[0].astype(self.dtype)] if plain else []

    def _length(self, p: Parts) -> int:
        lengths = {}
        for x, name in zip(self.inputs, self.names, strict=True):
            if isinstance(x, (Range, range)):
                lengths[name] = len(x)
            elif not isinstance(x, arrays.SCALARS):
                lengths[name] = p.length(x, name)
        if not lengths:
            raise PlacementError(f"{p.algorithm}: no input is an array or a range: nothing says how long it is")
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name}: {n}" for name, n in lengths.items())
            raise PlacementError(f"{p.algorithm}: the inputs differ in length ({told}): must be as long")
        return next(iter(lengths.values()))

    def read(self, p: Parts) -> None:
        """Cut the inputs into the parts of the call. Values that take a loop are found once, by whoever is free."""
        for k, x in enumerate(self.inputs):
            if not isinstance(x, (Range, range, *arrays.SCALARS)):
                self._data[k] = p.read(x, self.names[k])
        lazily = any(isinstance(x, Lazy) and x.loops for x in self.inputs)
        if lazily or (self._transform is not None and loops(self._transform)):
            self._found = Data(
                None, (self.n,), self.dtype, lambda part: part.map(Range(len(part)), self._element(part))
            )
            self.kernels = self.kernels[:1]

    def write(self, p: Parts, out: Any, apart: Sequence[tuple[str, Any]] = ()) -> Data:
        """The output, as long as the inputs and apart from other arrays: `out`, or a new array."""
        if out is None:
            return p.new(self.n, self.dtype)
        self.fits(p, out, self.n)
        return p.write(out, "out", self.arrays(), apart, self.kernels)

    def arrays(self) -> list[tuple[str, Any]]:
        """The inputs that are arrays, by name."""
        return [(self.names[k], x) for k, x in enumerate(self.inputs) if not isinstance(x, (Range, range))]

    def fits(self, p: Parts, out: Any, n: int) -> None:
        """Refuse an output of another length, or of a dtype that cannot hold the values."""
        if isinstance(out, Lazy):
            raise PlacementError(f"{p.algorithm}: out is a lazy input, which has no memory to write to: pass an array")
        if p.length(out, "out") != n:
            raise PlacementError(f"{p.algorithm}: out has length {len(out)}, must be {n}")
        given, own = np.dtype(out.dtype), self.dtype
        wide = [own[name] for name in own.names] if own.names else [own]
        narrow = [given[name] for name in given.names] if given.names else [given]
        if len(wide) != len(narrow) or not all(map(_fits, wide, narrow)):
            raise PlacementError(
                f"{p.algorithm}: the result is {own} and out is {given}, which would lose information. "
                f"Pass out of dtype {own}"
            )

    def steady(self, *more: Any) -> tuple[Any, ...] | None:
        """What, with `more`, says all of a kernel that is given the only input as an array and `taken` for `at`.

        None if kernels capture more than what follows from the types.
        """
        x = self.inputs[0]
        if not self._name or self._transform is not None or len(self.inputs) > 1 or type(x) is not np.ndarray:
            return None
        return None if x.dtype.names is not None or _backwards(x) else (self._name, self.dtype, self.ordered, *more)

    def taken(self) -> Any:
        """The kernel function that gives value i of an array that it is given behind it; one for each type."""
        return _taken(self._cast)

    def at(self, part: LocalPart | None = None) -> Any:
        """The kernel function that gives value i of a part, or of the inputs themselves."""
        if part is not None and self._found is not None:
            return function("lambda i: load(np.uint64(i), x)", load=self.load, x=self._found[part])
        return self._element(part)

    def _element(self, part: LocalPart | None) -> Any:
        """The kernel function that computes it."""
        captured = dict(self._casts)
        elements = []
        for k, x in enumerate(self.inputs):
            name = f"x{k}"
            if isinstance(x, (Range, range)):
                captured[name], captured[f"step{k}"] = x.start + x.step * (0 if part is None else part.lo), x.step
                elements.append(f"{name} + step{k} * i")
            elif part is None or k in self._data:
                captured[name], place = x if part is None else self._data[k][part], "i"
                if _backwards(captured[name]):  # loops vectorize over contiguous memory alone
                    captured[name], captured[f"last{k}"] = captured[name][::-1], len(captured[name]) - 1
                    place = f"last{k} - i"
                elements.append(f"{name}[np.uint64({place})]")
            else:
                captured[name] = x
                elements.append(name)
        call = ", ".join(elements)
        transform, first = self._transform, self.inputs[0]
        dtype = getattr(first, "dtype", self.dtype)
        if transform is None and dtype.names is not None and not (isinstance(first, Lazy) and first.tuples):
            transform = codec.codec(dtype).unpack
        if transform is not None:
            captured["transform"], call = transform, f"transform({call})"
        return function(f"lambda i: {self._cast}({call})", **captured)

    def element(self, x: Any, indices: Sequence[str]) -> Any:
        """The kernel function that gives the value of an element of an array or lazy input, of any dimensions."""
        place = ", ".join(f"np.uint64({name})" for name in indices)
        captured, element = {**self._casts, "x": x}, f"x[{place}]"
        if x.dtype.names is not None and not (isinstance(x, Lazy) and x.tuples):
            captured["unpack"], element = codec.codec(x.dtype).unpack, f"unpack({element})"
        return function(f"lambda {', '.join(indices)}: {self._cast}({element})", **captured)


_types = Bounded()


def _type_of(p: Parts, inputs: tuple[Any, ...], op: ops.Monoid, transform: Any, init: Any) -> tuple[np.dtype, bool]:
    """The dtype that a reduction would have, and whether it would combine neighbours first."""

    def find() -> tuple[np.dtype, bool]:
        program = reduction.reduce(p.algorithm, inputs, op, transform, init).program
        assert program.acc is not None
        return program.acc, program.ordered

    key = _kinds(inputs, op, transform, init)
    found = _types.get(key) if key is not None else None
    if found is None:
        kernels = (op.py_func,) if transform is None else (op.py_func, transform)
        found = memoize(_types, p.how, kernels, inputs, (op.commutative, type(init), repr(init)), find)
        key = _kinds(inputs, op, transform, init)  # now that the kernels are known
        if key is not None:
            _types[key] = found
    return found


def _kinds(inputs: Sequence[Any], op: ops.Monoid, transform: Any, init: Any) -> Any:
    """What their types depend on, if that can be said without a look at lengths."""
    if init is None:
        if op.named:  # which are what they are
            told = kinds(() if transform is None else (transform,), inputs)
            return told and (id(op), transform is None, *told)
        told = kinds((op.py_func,) if transform is None else (op.py_func, transform), inputs)
        return told and (op.commutative, transform is None, *told)
    parts = init if type(init) is tuple else (init,)
    if any(type(x) is int and not -(2**63) <= x < 2**63 for x in parts):  # too large a number is told of
        return None
    told = kinds((op.py_func,) if transform is None else (op.py_func, transform), inputs)
    return told and (op.commutative, type(init), *map(type, parts), transform is None, *told)


def _backwards(x: Any) -> bool:
    """Whether it is a view such as ``x[::-1]`` of contiguous elements."""
    return isinstance(x, np.ndarray) and len(x) > 1 and x.strides == (-x.itemsize,)


def _names(inputs: Sequence[Any], transform: Any) -> list[str]:
    """What to call the inputs in messages."""
    if transform is None:
        return ["x", *(f"input {k}" for k in range(1, len(inputs)))][: len(inputs)]
    params = lift(transform)[0].params
    return [params[k] if k < len(params) else f"input {k}" for k in range(len(inputs))]


@functools.cache
def _kept(dtype: np.dtype) -> tuple[Any, Any, str, dict[str, Any]]:
    """How values are loaded and stored, what a kernel calls to have one of that dtype, what it captures for that."""
    load, store = codec.codec(dtype).load, codec.codec(dtype).store
    if dtype.names is None:
        return load, store, _type(dtype), {}
    casts = "".join(f"{_type(dtype[name])}(x[{k}]), " for k, name in enumerate(dtype.names))
    return load, store, "cast", {"cast": function(f"lambda x: ({casts})")}


@functools.cache
def _taken(cast: str) -> Any:
    return function(f"lambda i, x: {cast}(x[np.uint64(i)])")


@functools.lru_cache(maxsize=256)
def _settled(dtype: np.dtype, name: str) -> tuple[Any, Any, Any]:
    """Identity, neutral value and operator of one of portapar's own monoids."""
    monoid = getattr(ops, name)
    identity = monoid.start(dtype)
    sums = monoid is ops.plus and dtype.kind in "fc"
    return identity, -identity if sums else identity, _operator(dtype, monoid.py_func)


@functools.lru_cache(maxsize=256)
def _operator(dtype: np.dtype, op: Any) -> Any:
    """An operator whose result has the type of the values. It captures no data, which would be kept alive here."""
    _, _, cast, casts = _kept(dtype)
    return function(f"lambda x, y: {cast}(op(x, y))", op=op, **casts)


def _type(dtype: np.dtype) -> str:
    return "np.bool_" if dtype.kind == "b" else f"np.{dtype.name}"


def _fits(own: np.dtype, given: np.dtype) -> bool:
    """NumPy's rule of casting within a kind or to a larger one; any integer may become any other."""
    kinds = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    return kinds.get(given.kind, -1) >= kinds[own.kind]
