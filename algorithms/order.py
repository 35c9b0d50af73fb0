"""What orders elements: themselves, a key function, or a field; by one number, or by several of a tuple.

Keys become codes, unsigned integers in the same order (`portapar.algorithms.radix`). Tuples are compared number by
number; they are sorted by each of them stably, the last one first.
"""

from __future__ import annotations

import functools
import linecache
from typing import Any

import numpy as np

from portapar import elementwise
from portapar.algorithms import radix
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import copy, transform
from portapar.errors import KernelError, PlacementError
from portapar.kernel.front.lift import lift
from portapar.outputs import kind_text
from portapar.part import LocalPart
from portapar.parts import Parts


@functools.cache
def field(name: str) -> Any:
    """A kernel: the field of a record."""
    text = f"lambda record: record[{name!r}]"
    file = f"<portapar {text}>"
    linecache.cache[file] = (len(text), None, [text + "\n"], file)
    return eval(compile(text, file, "eval"), {})


Keys = list[tuple[Any, radix.Coding]]  #: the bits of keys and their coding; of tuples for each of their numbers


class Order:
    """The order of elements: how to get from them to codes.

    Parameters
    ----------
    p : Parts
    dtype : numpy.dtype
        Of the elements.
    key : callable, str or None
    descending : bool
    name : str
        Of the argument, for messages.
    """

    def __init__(self, p: Parts, dtype: np.dtype, key: Any, descending: bool, name: str) -> None:
        self.p, self.name, self.descending = p, name, descending
        self.key = key_function(p, dtype, key, name)
        if self.key is None:
            self.coding = self._coding(dtype, f"{name} has dtype")

    def _coding(self, dtype: np.dtype, what: str) -> radix.Coding:
        if dtype.kind not in "biuf":
            raise PlacementError(
                f"{self.p.algorithm}: {what} {dtype}, which has no order: pass key=, a kernel that returns a number or "
                'a tuple of numbers, such as key=lambda z: abs(z), or the name of a field, key="x"'
            )
        return radix.coding(dtype, self.descending)

    def keys(self, part: LocalPart, x: Any) -> Keys:
        """The keys of `x`, as bits."""
        if self.key is None:
            return [(radix.bits(x), self.coding)]
        keys = transform(part.how, x, op=self.key)
        if keys.dtype.names is None:
            coding = self._coding(np.dtype(keys.dtype), "key returns")
            return [(radix.bits(keys), coding)]
        return [self.column(part, keys, name) for name in keys.dtype.names]

    def dtypes(self, x: Any) -> tuple[np.dtype, ...]:
        """Of the numbers by which the elements of an array are compared."""
        kind = x.dtype if self.key is None else elementwise.returned(self.p.algorithm, self.key, (x,))
        return kind if isinstance(kind, tuple) else (kind,)

    def column(self, part: LocalPart, keys: Any, name: str) -> tuple[Any, radix.Coding]:
        """One number of keys that are tuples, kept as records."""
        found = transform(part.how, keys, op=field(name))
        coding = self._coding(np.dtype(found.dtype), "a number of what key returns is")
        return radix.bits(found), coding

    def numbers(self, part: LocalPart, keys: Keys, out: Any = None) -> Any:
        """The indices of the keys in order, stably: by the last number of tuples first."""
        index = None
        for bits, coding in reversed(keys):
            if index is None:
                index = numbers(part, bits, coding, out if len(keys) == 1 else None)
                continue
            taken, next_ = part.empty(len(bits), bits.dtype), part.empty(len(bits), np.int64)
            take(part, bits, index, taken)
            take(part, index, numbers(part, taken, coding), next_)
            index = next_
        if out is not None and out is not index:
            copy(part.how, index, out=out)
        return index


def key_function(p: Parts, dtype: np.dtype, key: Any, name: str) -> Any:
    """A key as the user gave it, a kernel or the name of a field, as a kernel; None if there is none."""
    if isinstance(key, str):
        if dtype.names is None or key not in dtype.names:
            raise PlacementError(f"{p.algorithm}: key={key!r} is no field of {name}, which has dtype {dtype}")
        return field(key)
    return None if key is None else p.function(key, "key", 1)


def check_number(p: Parts, x: Any, key: Any) -> None:
    """Refuse a key that returns something else than a real number."""
    if key is None:
        return
    func = key_function(p, x.dtype, key, "x")
    kind = elementwise.returned(p.algorithm, func, (x,))
    if isinstance(kind, tuple) or kind.kind not in "biuf":
        kernel, _ = lift(func)
        told = f"{p.algorithm}: key {kernel.name!r} ({kernel.where()}) returns {kind_text(kind)}"
        raise KernelError(f"{told}: must return a real number")


def before(one: Keys, other: Keys) -> Any:
    """A kernel of two places: whether the key at the first, of `one`, comes before that at the second, of `other`."""
    made = None
    for (a, coding), (b, _) in zip(reversed(one), reversed(other), strict=True):
        made = _before(a, b, coding.equal, made)
    return made


def _before(a: Any, b: Any, equal: Any, rest: Any) -> Any:
    def less(i: int, j: int) -> bool:
        return equal(a[np.uint64(i)]) < equal(b[np.uint64(j)])

    def less_or(i: int, j: int) -> bool:
        u, v = equal(a[np.uint64(i)]), equal(b[np.uint64(j)])
        return rest(i, j) if u == v else u < v

    return less if rest is None else less_or


def numbers(part: LocalPart, keys: Any, coding: radix.Coding, out: Any = None) -> Any:
    """The indices of the keys in order."""
    if out is None:
        out = part.empty(len(keys), np.int64)
    radix.arrange(part, keys, coding.equal, values="numbers", values_out=out)
    return out


def take(part: LocalPart, x: Any, index: Any, out: Any) -> None:
    """``out[i] = x[index[i]]``"""

    def gather(i: int, x: Any, index: Any, out: Any) -> None:
        out[i] = x[np.uint64(index[i])]

    if len(index):
        for_each(part.how, len(index), gather, x, index, out)
