"""Operators with names: kernels of two values, for reductions and scans."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar.errors import ArgumentError, PlacementError, flags


@dataclass(frozen=True, slots=True)
class Monoid:
    """An associative operator and its identity.

    A monoid is a kernel function: it may be called in kernels, and passed wherever an operator is taken.

    Attributes
    ----------
    op : callable
        A kernel of two values, numbers or tuples of numbers, that returns one of their kind; associative (up
        to rounding).
    identity : number, tuple, callable or None
        What changes nothing: ``op(identity, x) == x``. A callable is given the dtype and returns it; None
        says that there is none. A wrong one is refused if it shows with itself or with the first element.
    commutative : bool
        ``op(x, y) == op(y, x)`` (up to rounding). Otherwise `reduce` keeps the order of the elements. Scans keep it
        always.

    Examples
    --------
    >>> import math, numpy as np, portapar as pp
    >>> gcd = pp.Monoid(lambda x, y: math.gcd(x, y), 0)
    >>> int(pp.reduce(pp.par, np.array([12, 18, 30]), op=gcd))
    6

    The largest sum of neighbours is the last of (sum, largest prefix, largest suffix, largest part):

    >>> def join(a, b):
    ...     return a[0] + b[0], max(a[1], a[0] + b[1]), max(b[2], b[0] + a[2]), max(a[3], b[3], a[2] + b[1])
    >>> x = np.array([-2, 1, -3, 4, -1, 2, 1, -5, 4])
    >>> kadane = pp.Monoid(join, commutative=False)
    >>> int(pp.transform_reduce(pp.par, x, transform=lambda x: (x, x, x, x), op=kadane)[3])
    6
    """

    op: Any
    identity: Any = None
    commutative: bool = True

    def __post_init__(self) -> None:
        flags("Monoid", commutative=self.commutative)
        if not callable(getattr(self.op, "given", self.op)):  # with values for its parameters it is a `Holding`
            what = f"Monoid: op is {self.op!r}, a {type(self.op).__name__}"
            raise ArgumentError(f"{what}: must be a kernel of two values, such as lambda a, b: a + b")

    def __call__(self, x: Any, y: Any) -> Any:
        return self.op(x, y)

    def start(self, dtype: np.dtype) -> Any:
        """The identity as a value of that dtype, a tuple for one with fields; None if there is none.

        Raises
        ------
        PlacementError
            It is no such value.
        """
        return _start(self.__name__, dtype) if self.named else self._start(dtype)

    @property
    def named(self) -> bool:
        """Whether it is one of portapar's own."""
        return id(self) in _own

    def _start(self, dtype: np.dtype) -> Any:
        found = self.identity(dtype) if callable(self.identity) else self.identity
        if found is None:
            return None
        try:
            with np.errstate(invalid="ignore"):  # of an integer there is no infinity
                if isinstance(found, tuple):
                    kinds = [dtype[name] for name in dtype.names or ()]
                    return tuple(np.array(x).astype(kind)[()] for x, kind in zip(found, kinds, strict=True))
                return np.array(found).astype(dtype)[()]  # -1 is all ones in unsigned types too
        except (TypeError, ValueError):
            wanted = f"numbers of dtype {dtype}" if dtype.names is None else f"tuples of {len(dtype.names)} numbers"
            raise PlacementError(f"{self!r}: its identity is {found!r}, and its values are {wanted}") from None

    def check(self, identity: Any, *values: Any) -> None:
        """Refuse an identity that is none: with itself or one of these values the operator gives something else.

        Operators that only compiled code can run are not looked at.

        Raises
        ------
        PlacementError
        """
        op = getattr(self.op, "given", self.py_func)
        if identity is None or isinstance(op, np.ufunc) or self.named:
            return
        for value in (identity, *values):
            try:
                with np.errstate(all="ignore"):
                    wrong = [x for x in (op(identity, value), op(value, identity)) if not _same(x, value)]
            except Exception:  # noqa: BLE001 - op may need what only kernels have, such as atomics and division by 0
                return
            if wrong:
                raise PlacementError(
                    f"{self!r}: its identity is {identity!r}, and with it and {value!r} op gives {wrong[0]!r}: must "
                    f"give {value!r}. Pass the right identity, or none"
                )

    def __reduce__(self) -> Any:
        return self.__name__ if self.named else (Monoid, (self.op, self.identity, self.commutative))

    @property
    def py_func(self) -> Callable[[Any, Any], Any]:
        """The kernel function."""
        return getattr(self.op, "py_func", self.op)

    @property
    def __code__(self) -> Any:
        return self.py_func.__code__

    @property
    def __name__(self) -> str:
        return getattr(self.op, "__name__", "op")

    def __repr__(self) -> str:
        return f"pp.{self.__name__}" if self.named else f"pp.Monoid({self.op!r}, {self.identity!r})"


def _same(found: Any, expected: Any) -> bool:
    """Whether two values, numbers or tuples, are equal up to rounding; NaN says nothing."""
    if isinstance(expected, tuple):
        return len(found) == len(expected) and all(map(_same, found, expected))
    return bool(found == expected or found != found or abs(complex(found) - complex(expected)) <= 1e-5 * abs(expected))


def monoid(op: Any) -> Monoid:
    """Any operator as a monoid: a `Monoid` itself, a NumPy ufunc with the identity that it has, a kernel."""
    if isinstance(op, Monoid):
        return op
    if isinstance(op, np.ufunc):
        known: dict[Any, Monoid] = {np.add: plus, np.multiply: multiplies, np.minimum: minimum, np.maximum: maximum}
        return known.get(op) or Monoid(op, op.identity)
    return Monoid(op)


def _least(dtype: np.dtype) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return {"f": -np.inf, "b": False}.get(dtype.kind)


def _most(dtype: np.dtype) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).max
    return {"f": np.inf, "b": True}.get(dtype.kind)


_named: dict[str, Monoid] = {}
_own: set[int] = set()  #: which objects these are


@functools.cache
def _start(name: str, dtype: np.dtype) -> Any:
    return _named[name]._start(dtype)


def _name(identity: Any) -> Callable[[Callable[[Any, Any], Any]], Monoid]:
    def make(op: Callable[[Any, Any], Any]) -> Monoid:
        made = _named[op.__name__] = Monoid(op, identity)
        _own.add(id(made))
        return made

    return make


@_name(0)
def plus(x: Any, y: Any) -> Any:
    """The sum."""
    return x + y


@_name(1)
def multiplies(x: Any, y: Any) -> Any:
    """The product."""
    return x * y


@_name(_most)
def minimum(x: Any, y: Any) -> Any:
    """The smaller value; NaN if either is NaN, as in NumPy."""
    return y if y < x or y != y else x


@_name(_least)
def maximum(x: Any, y: Any) -> Any:
    """The larger value; NaN if either is NaN, as in NumPy."""
    return y if y > x or y != y else x


@_name(-1)
def bit_and(x: Any, y: Any) -> Any:
    """The bits that both have."""
    return x & y


@_name(0)
def bit_or(x: Any, y: Any) -> Any:
    """The bits that either has."""
    return x | y


@_name(0)
def bit_xor(x: Any, y: Any) -> Any:
    """The bits that exactly one has."""
    return x ^ y


@_name(True)
def logical_and(x: Any, y: Any) -> Any:
    """Whether both are true."""
    return bool(x) and bool(y)


@_name(False)
def logical_or(x: Any, y: Any) -> Any:
    """Whether either is true."""
    return bool(x) or bool(y)
