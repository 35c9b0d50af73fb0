"""isin: whether elements are among some others.

They are looked up in a table of the sorted values: by a binary search that does not branch on what it finds, or, of
integers that lie close together, by a flag for each.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar import arrays, elementwise, parts
from portapar.algorithms import radix
from portapar.algorithms.few_sorted import one_piece, ordered
from portapar.algorithms.for_each import for_each
from portapar.algorithms.transform import transform
from portapar.algorithms.unique import unique
from portapar.errors import ArgumentError
from portapar.few import MISS, Step, elements, fixed
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy

_SPAN = 1 << 28  #: bytes of flags at most


def isin(policy: Policy | None, x: Any, values: Any) -> Any:
    """Whether each element is one of some values, as `np.isin`.

    Parameters
    ----------
    policy : Policy
    x : array
        Of any shape, of booleans, integers or floats.
    values : array
        Likewise, in any order. Both are compared as the dtype that NumPy finds for them. NaN equals nothing. On several
        parts each sees the whole of it.

    Returns
    -------
    array of bool
        New, of the shape and kind of `x`.

    Raises
    ------
    ArgumentError

    Notes
    -----
    O(n log m) work for m distinct values, and what `unique` takes for them; O(n + m) for integers that lie close
    together.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.isin(pp.par, np.array([3, 1, 4, 1, 5]), np.array([1, 5, 7]))
    array([False,  True, False,  True,  True])
    """

    def look(p: Parts) -> Any:
        if getattr(x, "shape", ()):
            p.recut(x.shape, x)
        data = p.read(x, "x")
        member = members(p, data, values)
        few = p.few()
        if few is not MISS:
            return few
        found = p.new(data.shape, np.bool_)

        def step(part: LocalPart) -> None:
            if len(part):
                transform(part.how, data[part], op=member(part), out=found[part])

        p.each("look", step)
        return p.give(found)

    return parts.run("isin", policy, (x, values), look, lambda step: few_members(step, x, values))


def few_members(step: Step, x: Any, values: Any) -> Any:
    """`isin` of few plain elements, in one step."""
    n = elements(x, most=radix.SMALL) * elements(values).bit_length()
    if not 0 < n <= 4 * radix.SMALL or not ordered(x) or not ordered(values):
        return MISS
    if x.dtype != values.dtype:
        if not (x.flags.aligned and values.flags.aligned):
            return MISS  # the long way says so
        common = np.result_type(x.dtype, values.dtype)
        x, values = x.astype(common, copy=False), values.astype(common, copy=False)
    m, code = len(values), radix.coding(x.dtype, False).dtype
    room, keys, out = np.empty(m, code), np.empty(m, code), np.empty(len(x), np.bool_)
    given = x, radix.bits(x), radix.bits(values)
    return out if step(_member(x.dtype), *given, room, keys, one_piece(m), keys, out) else MISS


@functools.cache
def _member(dtype: np.dtype) -> Any:
    equal = radix.coding(dtype, False).equal
    load, settle = radix.one_bucket(equal, elementwise.identity, "keys")

    def member(_: int, x: Any, bits: Any, values: Any, a: Any, b: Any, ends: Any, keys: Any, out: Any) -> None:
        load(0, values, a, a, a)
        settle(0, ends, a, a, b, b, keys, a)
        for i in range(len(x)):
            code, first, n = equal(bits[np.uint64(i)]), 0, len(keys)
            while n > 1:  # the last one that is not larger
                half = n // 2
                first += half if keys[np.uint64(first + half)] <= code else 0
                n -= half
            out[np.uint64(i)] = keys[np.uint64(first)] == code and x[np.uint64(i)] == x[np.uint64(i)]

    return fixed(member)


def members(p: Parts, data: Data, values: Any) -> Any:
    """``made(part)`` is a kernel for that part: whether a number of the dtype of `data` is one of `values`."""
    table = p.replicated(values, "values")
    for name, x in (("x", data), ("values", table)):
        if x.dtype.kind not in "biuf":
            raise ArgumentError(f"{p.algorithm}: {name} has dtype {x.dtype}: must be booleans, integers or floats")
    common = np.result_type(data.dtype, table.dtype)
    common = np.dtype(np.uint8) if common.kind == "b" else common

    def make(part: LocalPart) -> Any:
        given = part.asarray(table[part]).reshape(-1)
        known = unique(part.how, given if given.dtype == common else transform(part.how, given, op=common.type))
        if not len(known):
            return _never
        if common.kind in "iu":
            low, high = int(arrays.asnumpy(known[:1])[0]), int(arrays.asnumpy(known[-1:])[0])
            if high - low < min(4 * (data.size + table.size) + (1 << 16), _SPAN):
                return _flagged(part, known, low, high, common)
        return _searched(known, common.type)

    return make


def _never(v: Any) -> bool:
    return False


def _flagged(part: LocalPart, known: Any, low: int, high: int, common: np.dtype) -> Any:
    least, most, to = common.type(low), common.type(high), common.type
    flags = part.zeros(high - low + 1, np.bool_)

    def mark(i: int, known: Any, flags: Any) -> None:
        flags[np.uint64(known[i]) - np.uint64(least)] = True

    def member(v: Any) -> bool:
        value = to(v)
        near = least if value < least else most if value > most else value
        return flags[np.uint64(near) - np.uint64(least)] and near == value

    for_each(part.how, len(known), mark, known, flags)
    return member


def _searched(known: Any, to: Any) -> Any:
    def member(v: Any) -> bool:
        value, first, n = to(v), 0, len(known)
        while n > 1:  # the last element that is not larger
            half = n // 2
            first += half if known[np.uint64(first + half)] <= value else 0
            n -= half
        return known[np.uint64(first)] == value

    return member
