"""Few elements in order: sort, argsort, sort_by_key and unique in one step, by the kernels of `radix`.

They are as many as are sorted in one piece in less time than in buckets, which takes more steps.

A kernel depends on the dtype of the keys alone, and is made once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar.algorithms import radix
from portapar.few import MANY, MISS, Step, elements, fixed, plain

_DTYPES = frozenset(np.dtype(code) for code in "?bhilqBHILQfd")  #: in the machine's byte order
_INDEX = np.dtype(np.uint32)
_ALONE, _TOGETHER = 1 << 18, 1 << 16  #: elements that one thread sorts sooner in one piece, and that several do


def few(step: Step, x: Any, *others: Any) -> int:
    """How many elements plain arrays of one length have, if they are few enough for one piece; else 0."""
    n = elements(x, *others, most=_ALONE)
    if n <= radix.SMALL:
        return n
    part = step.part
    return n if part is not None and n <= (_ALONE if part.width == 1 else _TOGETHER) else 0


def sort(step: Step, x: Any, key: Any, descending: Any, out: Any, stable: bool) -> Any:
    """The elements in order; for the arguments see `portapar.algorithms.sort.sort`."""
    if key is not None or not elements(x, most=radix.SMALL):  # more are NumPy's, see `radix.order`
        return MISS
    return _sort(x, step, descending, out, stable)


def _sort(x: Any, step: Step, descending: Any, out: Any, stable: bool) -> Any:
    if not _given(x, descending) or (out is not None and not _fits(out, x)):
        return MISS
    n, dtype = len(x), x.dtype
    coding = radix.coding(dtype, descending)
    out = np.empty(n, dtype) if out is None else out
    a, b, keys, there = np.empty(n, coding.dtype), np.empty(n, coding.dtype), radix.bits(x), radix.bits(out)
    if stable and not coding.exact:  # keys that are equal but differ stay in their order: they go along as values
        va, vb = np.empty(n, coding.dtype), np.empty(n, coding.dtype)
        made = step(_kernel(dtype, descending, "values"), keys, keys, a, va, b, vb, one_piece(n), a, there)
    else:
        made = step(_kernel(dtype, descending, "keys"), keys, a, a, a, b, b, one_piece(n), there, b)
    return out if made else MISS


def argsort(step: Step, x: Any, key: Any, descending: Any) -> Any:
    """The indices of the elements in order."""
    if key is not None or not few(step, x) or not _given(x, descending):
        return MISS
    n, code = len(x), radix.coding(x.dtype, descending).dtype
    a, b, va, vb = np.empty(n, code), np.empty(n, code), np.empty(n, _INDEX), np.empty(n, _INDEX)
    out = np.empty(n, np.int64)
    made = step(_kernel(x.dtype, descending, "numbers"), radix.bits(x), a, a, va, b, vb, one_piece(n), a, out)
    return out if made else MISS


def head(step: Step, x: Any, k: Any, behind: int, out: Any) -> Any:
    """All elements in order, for who wants the first `k`, of which there are `behind` more at the least."""
    if type(k) is not int or not 0 <= k <= few(step, x) - behind:
        return MISS
    return _sort(x, step, False, out, False)


def top(step: Step, x: Any, k: Any, key: Any, descending: Any) -> Any:
    """The first `k` elements in order, and their indices."""
    if type(k) is not int or not 0 <= k <= few(step, x):
        return MISS
    places = argsort(step, x, key, descending)
    return MISS if places is MISS else (x[places[:k]], places[:k].copy())


def sort_by_key(step: Step, keys: Any, values: Any, key: Any, descending: Any) -> Any:
    """Keys in order, and values with them."""
    if key is not None or not few(step, keys, values) or not _given(keys, descending):
        return MISS
    n, code = len(keys), radix.coding(keys.dtype, descending).dtype
    a, b, va, vb = np.empty(n, code), np.empty(n, code), np.empty(n, _INDEX), np.empty(n, _INDEX)
    kout, vout = np.empty(n, keys.dtype), np.empty(n, values.dtype)
    kernel = _pairs(keys.dtype, descending)
    made = step(kernel, radix.bits(keys), keys, values, a, va, b, vb, one_piece(n), np.empty(n, np.int64), kout, vout)
    return (kout, vout) if made else MISS


def is_sorted(step: Step, x: Any, key: Any, descending: Any) -> Any:
    """Whether no element comes before the one to its left."""
    n, part = elements(x, most=MANY), step.part
    if key is not None or not n or part is None or not ordered(x) or type(descending) is not bool:
        return MISS
    blocks, size = part.blocks(n)
    falls = np.empty(blocks, np.bool_)
    made = step.run(blocks, _falls(x.dtype, descending), size, radix.bits(x), falls, work=n)
    return not falls.any() if made else MISS


def unique(step: Step, x: Any) -> Any:
    """The distinct elements in order."""
    if not elements(x, most=radix.SMALL) or not _given(x, False):
        return MISS
    n, code = len(x), radix.coding(x.dtype, False).dtype
    a, b, out, count = np.empty(n, code), np.empty(n, code), np.empty(n, x.dtype), np.empty(1, np.int64)
    made = step(_distinct(x.dtype), radix.bits(x), a, b, one_piece(n), radix.bits(out), count)
    return out[: count[0]].copy() if made else MISS


def ordered(x: np.ndarray) -> bool:
    """Whether its elements have an order, and their bits are those of numbers."""
    return x.dtype in _DTYPES


def comparable(a: Any, b: Any, descending: Any) -> bool:
    """Whether these are plain arrays, of any lengths but 0, of one dtype that has an order."""
    return plain(a) and plain(b) and a.dtype == b.dtype and ordered(a) and type(descending) is bool


def _given(x: Any, descending: Any) -> bool:
    """Whether these are elements in a plain array of a dtype that has an order."""
    return x.dtype in _DTYPES and type(descending) is bool


def _fits(out: Any, x: Any) -> bool:
    """Whether it may be the output."""
    fits = elements(out, x, most=_ALONE) > 0 and out.dtype == x.dtype
    return fits and (out is x or not np.may_share_memory(out, x))


def one_piece(n: int) -> np.ndarray:
    """Where the only bucket begins, and where it ends."""
    ends = np.zeros(2, np.int64)
    ends[1] = n
    return ends


@functools.cache
def _kernel(dtype: np.dtype, descending: bool, what: str) -> Any:
    """The kernel that gives the keys in order, their numbers, or the values that go along with them.

    Equal keys keep their order in the latter two.
    """
    coding = radix.coding(dtype, descending)
    gives = what == "keys"
    load, settle = radix.one_bucket(coding.encode if gives else coding.equal, coding.decode if gives else None, what)

    def order(_: int, keys: Any, values: Any, a: Any, va: Any, b: Any, vb: Any, ends: Any, out: Any, vout: Any) -> None:
        load(0, keys, values, a, va)
        settle(0, ends, a, va, b, vb, out, vout)

    return fixed(order)


@functools.cache
def _falls(dtype: np.dtype, descending: bool) -> Any:
    equal = radix.coding(dtype, descending).equal

    def fall(block: int, size: int, keys: Any, falls: Any) -> None:
        wrong = 0
        for i in range(block * size, min(len(keys) - 1, (block + 1) * size)):
            wrong |= 1 if equal(keys[np.uint64(i + 1)]) < equal(keys[np.uint64(i)]) else 0
        falls[block] = wrong == 1

    return fixed(fall)


@functools.cache
def _pairs(dtype: np.dtype, descending: bool) -> Any:
    load, settle = radix.one_bucket(radix.coding(dtype, descending).equal, None, "numbers")

    def pairs(
        _: int, bits: Any, keys: Any, values: Any, a: Any, va: Any, b: Any, vb: Any, ends: Any, index: Any, kout: Any,
        vout: Any,
    ) -> None:  # fmt: skip
        load(0, bits, a, a, va)
        settle(0, ends, a, va, b, vb, a, index)
        for i in range(len(keys)):
            k = np.uint64(index[np.uint64(i)])
            kout[np.uint64(i)] = keys[k]
            vout[np.uint64(i)] = values[k]

    return fixed(pairs)


@functools.cache
def _distinct(dtype: np.dtype) -> Any:
    coding = radix.coding(dtype, False)
    equal = coding.equal
    load, settle = radix.one_bucket(coding.encode, coding.decode, "keys")

    def distinct(_: int, keys: Any, a: Any, b: Any, ends: Any, out: Any, count: Any) -> None:
        load(0, keys, a, a, a)
        settle(0, ends, a, a, b, b, out, a)
        n = 0
        for i in range(len(keys)):
            u = out[np.uint64(i)]
            if n == 0 or equal(u) != equal(out[np.uint64(n - 1)]):
                out[np.uint64(n)] = u
                n += 1
        count[0] = n

    return fixed(distinct)
