"""Runs of equal neighbours: where they begin, what they hold and how long they are; run_length_encode.

Elements that differ from the one before are flagged, and their places packed; all else is work on these few. On several
parts each looks at its own elements and the last one before them, and they tell each other where their first run
begins.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from portapar import arrays, parts
from portapar.algorithms import few_sorted, radix
from portapar.algorithms.copy_if import pack_index
from portapar.algorithms.for_each import for_each
from portapar.algorithms.order import take
from portapar.errors import ArgumentError
from portapar.few import MISS, Step, elements, fixed
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy


def run_length_encode(policy: Policy | None, x: Any) -> tuple[Any, Any]:
    """The first element of every run of equal neighbours, and how many there are in each.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, of booleans, integers or floats. All NaN are equal, and so are 0.0 and -0.0.

    Returns
    -------
    (array, array of int64)
        New, of the kind of `x`; ``np.repeat`` of the two is `x`. With ``policy.task`` a Future of both.

    Raises
    ------
    ArgumentError

    Notes
    -----
    O(n) work, and a byte for each element.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.run_length_encode(pp.par, np.array([7, 7, 7, 1, 7, 7]))
    (array([7, 1, 7]), array([3, 1, 2]))
    """

    def encode(p: Parts) -> tuple[Any, Any]:
        data = keys_of(p, x, "x")
        found = p.few()
        if found is not MISS:
            return found
        for dtype in (data.dtype, np.int64):
            p.expects(len(data), dtype)
        runs = Runs(p, data)
        return runs.first(data, "values"), runs.lengths()

    def few(step: Step) -> Any:
        found = few_runs(step, x)
        return MISS if found is None else (found[0], found[1][1:] - found[1][:-1])

    return parts.run("run_length_encode", policy, (x,), encode, few)


def keys_of(p: Parts, x: Any, name: str) -> Data:
    """The elements, which runs can be told apart of."""
    data = p.stored(x, name)
    if data.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{p.algorithm}: {name} has dtype {data.dtype}: must be booleans, integers or floats"
            f"{arrays.columns(data.dtype)}"
        )
    return data


# by remembered steps --------------------------------------------------------------------------------

_MOST = 1 << 20  #: elements that caches hold: these are looked at twice, without a flag for each


def few_runs(step: Step, x: Any) -> Any:
    """(the first element of each run of equal elements of a plain array, offsets: where each begins, and the end).

    None where others must look.
    """
    n = elements(x, most=2 * radix.SMALL)
    if n and few_sorted.ordered(x):
        firsts, offsets, count = np.empty(n, x.dtype), np.empty(n + 1, np.int64), np.empty(1, np.int64)
        if not step(_runs(x.dtype), radix.bits(x), radix.bits(firsts), offsets, count):
            return None
        found = int(count[0])
        return firsts[:found].copy(), offsets[: found + 1].copy()
    heads = few_heads(step, x)
    values = None if heads is None else few_first(step, x, heads)
    return None if heads is None or values is None else (values, few_offsets(heads, len(x)))


@functools.cache
def _runs(dtype: np.dtype) -> Any:
    """The kernel that finds all of it in one step."""
    equal = radix.coding(dtype, False).equal

    def runs(_: int, keys: Any, firsts: Any, offsets: Any, count: Any) -> None:
        n = 0
        for i in range(len(keys)):
            if i == 0 or equal(keys[np.uint64(i)]) != equal(keys[np.uint64(i - 1)]):
                firsts[np.uint64(n)] = keys[np.uint64(i)]
                offsets[np.uint64(n)] = i
                n += 1
        offsets[np.uint64(n)] = len(keys)
        count[0] = n

    return fixed(runs)


def few_heads(step: Step, x: Any) -> Any:
    """Where runs of equal elements of a plain array begin; None where others must look."""
    n, part = elements(x, most=_MOST), step.part
    if not n or part is None or not few_sorted.ordered(x):
        return None
    count, place = _heads(x.dtype)
    keys, (blocks, size) = radix.bits(x), part.blocks(n)
    ends = np.empty(blocks, np.int64)
    if not step.run(blocks, count, size, keys, ends, work=n):
        return None
    ends = ends.cumsum() if blocks > 1 else ends
    heads = np.empty(int(ends[-1]), np.int64)
    return heads if step.run(blocks, place, size, keys, ends, heads, work=n) else None


def few_offsets(heads: np.ndarray, n: int) -> np.ndarray:
    """Where each run begins, and where the last one ends."""
    offsets = np.empty(len(heads) + 1, np.int64)
    offsets[:-1], offsets[-1] = heads, n
    return offsets


def few_first(step: Step, x: Any, heads: Any) -> Any:
    """The first element of every run, of an array as long as that of the keys; None if it did not run."""
    part, n = step.part, len(heads)
    if part is None or not elements(x, most=_MOST):
        return None
    (blocks, size), out = part.blocks(n), np.empty(n, x.dtype)
    return out if step.run(blocks, _firsts, size, x, heads, out, work=n) else None


@functools.cache
def _heads(dtype: np.dtype) -> tuple[Any, Any]:
    """The kernels that count the runs that begin in each block, and write where they do."""
    equal = radix.coding(dtype, False).equal

    def count(block: int, size: int, keys: Any, counts: Any) -> None:
        lo, hi = block * size, min(len(keys), (block + 1) * size)
        found = 1 if lo == 0 else 0
        for i in range(max(lo, 1), hi):
            found += 1 if equal(keys[np.uint64(i)]) != equal(keys[np.uint64(i - 1)]) else 0
        counts[block] = found

    def place(block: int, size: int, keys: Any, ends: Any, heads: Any) -> None:
        i, at, end = block * size, int(ends[block - 1]) if block > 0 else 0, int(ends[block])
        if i == 0:
            heads[0] = 0
            at, i = 1, 1
        hi = min(len(keys), block * size + size)
        while at < end:
            for _ in range(min(end - at, hi - i)):  # so many cannot pass the end
                heads[np.uint64(at)] = i
                at += 1 if equal(keys[np.uint64(i)]) != equal(keys[np.uint64(i - 1)]) else 0
                i += 1

    return fixed(count), fixed(place)


def _firsts(block: int, size: int, x: Any, heads: Any, out: Any) -> None:
    for k in range(block * size, min(len(out), (block + 1) * size)):
        out[np.uint64(k)] = x[np.uint64(heads[np.uint64(k)])]


# on parts -------------------------------------------------------------------------------------------


class Runs:
    """The runs of equal elements of a call, each with the part that it begins in.

    Parameters
    ----------
    p : Parts
    data : Data
        Stored, of one dimension, of booleans, integers or floats.
    """

    def __init__(self, p: Parts, data: Data) -> None:
        self.p, self.n = p, len(data)
        equal = radix.coding(data.dtype, False).equal
        borders = p.rows("borders", data, lambda k: [(max(p.cuts[k] - 1, 0), p.cuts[k])]) if p.count > 1 else {}

        def find(part: LocalPart) -> Any:
            bits = radix.bits(data[part])
            fresh = 0 if part.number not in borders or _differ(borders[part.number][0], data[part]) else -1

            flags = part.empty(len(bits), np.bool_)

            def differ(i: int, fresh: int, bits: Any, flags: Any) -> None:
                before = np.uint64(i - 1 if i > 0 else i)
                flags[i] = i == fresh or equal(bits[np.uint64(i)]) != equal(bits[before])

            for_each(part.how, len(bits), differ, fresh, bits, flags)
            return pack_index(part.how, flags)

        self.heads = p.do("heads", find)  #: where they begin, counted from the part's first element
        self._known = p.each("runs", self._look)

    def __len__(self) -> int:
        return sum(count for count, _ in self._known)

    def _look(self, part: LocalPart) -> tuple[int, int]:
        """How many runs begin in a part, and where the first one does; the number of elements if none does."""
        heads = self.heads[part.number]
        return len(heads), part.lo + int(arrays.asnumpy(heads[:1])[0]) if len(heads) else self.n

    def first(self, data: Data, step: str) -> Any:
        """The first element of each, of any array that is cut as that of the keys."""

        def pick(part: LocalPart) -> Any:
            heads = self.heads[part.number]
            out = part.empty(len(heads), data.dtype)
            take(part, data[part], heads, out)
            return out

        return self.p.concatenate(step, pick)

    def lengths(self) -> Any:
        """How many elements each has."""

        def measure(part: LocalPart) -> Any:
            heads = self.heads[part.number]
            end = min([place for _, place in self._known[part.number + 1 :]], default=self.n) - part.lo
            out = part.empty(len(heads), np.int64)
            for_each(part.how, len(heads), _length, end, heads, out)
            return out

        return self.p.concatenate("lengths", measure)

    def offsets(self) -> Any:
        """Where each begins, and where the last one ends, as for segments."""
        n = self.n

        def place(part: LocalPart) -> Any:
            heads = self.heads[part.number]
            out = part.empty(len(heads) + (part.number == part.count - 1), np.int64)
            for_each(part.how, len(out), _offset, part.lo, n, heads, out)
            return out

        return self.p.concatenate("offsets", place)


def _differ(last: Any, here: Any) -> bool:
    """Whether a part begins with another element than those before it end with."""
    if not len(last) or not len(here):
        return True
    a, b = arrays.asnumpy(last)[0], arrays.asnumpy(here[:1])[0]
    return bool(a != b and not (a != a and b != b))


def _length(k: int, end: int, heads: Any, out: Any) -> None:
    out[k] = (heads[np.uint64(k + 1)] if k + 1 < len(heads) else end) - heads[k]


def _offset(k: int, begin: int, n: int, heads: Any, out: Any) -> None:
    out[k] = begin + heads[np.uint64(k)] if k < len(heads) else n
