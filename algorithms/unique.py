"""unique and unique_count: the distinct values.

Integers that lie close together have a flag each, which is set where one is seen, and the places of the flags are
the result. All others are sorted, and what differs from the element before is kept: O(n) for each digit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, elementwise, lazy, ops, parts
from portapar.algorithms import few_sorted, groups, radix
from portapar.algorithms.copy_if import copy_if, pack_few
from portapar.algorithms.count import count
from portapar.algorithms.for_each import for_each
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.runs import Runs, few_heads, few_runs, keys_of
from portapar.algorithms.sort import sort
from portapar.errors import PlacementError, flags
from portapar.few import MISS, Step, elements
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy


def unique(policy: Policy | None, x: Any, *, consecutive: bool = False) -> Any:
    """The distinct values in order, as `np.unique`.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, of booleans, integers or floats.
    consecutive : bool
        Only of equal neighbours one is kept, the first, and nothing is sorted: C++'s `std::unique`.

    Returns
    -------
    array
        New, of the dtype and kind of `x`. All NaN are one, and so are 0.0 and -0.0.

    Raises
    ------
    PlacementError

    Notes
    -----
    As `sort`; O(n) for integers of which the largest less the smallest is below n, and for neighbours.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.unique(pp.par, np.array([3, 1, 3, 2, 1]))
    array([1, 2, 3])
    >>> pp.unique(pp.par, np.array([3, 3, 1, 1, 3]), consecutive=True)
    array([3, 1, 3])
    """
    flags("unique", consecutive=consecutive)
    if consecutive:
        return parts.run("unique", policy, (x,), lambda p: _neighbours(p, x), lambda step: _few_neighbours(step, x))

    def few(step: Step) -> Any:
        found = few_sorted.unique(step, x)
        seen = _few_flags(step, x) if found is MISS else None
        return found if seen is None else _few_flagged(step, x, *seen)

    return parts.run("unique", policy, (x,), lambda p: _unique(p, x), few)


def _neighbours(p: Parts, x: Any) -> Any:
    data = keys_of(p, x, "x")
    found = p.few()
    return Runs(p, data).first(data, "select") if found is MISS else found


def _few_neighbours(step: Step, x: Any) -> Any:
    found = few_runs(step, x)
    return MISS if found is None else found[0]


def unique_count(policy: Policy | None, x: Any, *, consecutive: bool = False) -> Any:
    """How many distinct values there are, or with `consecutive` how many runs of equal neighbours.

    Returns
    -------
    int

    Notes
    -----
    As `unique`.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.unique_count(pp.par, np.array([3, 1, 3, 2, 1]))
    3
    """
    flags("unique_count", consecutive=consecutive)

    def runs(p: Parts) -> int:
        data = keys_of(p, x, "x")
        found = p.few()
        return len(Runs(p, data)) if found is MISS else found

    def few_runs(step: Step) -> Any:
        heads = few_heads(step, x)
        return MISS if heads is None else len(heads)

    def few(step: Step) -> Any:
        found = few_sorted.unique(step, x)
        seen = _few_flags(step, x) if found is MISS else None
        return int(np.count_nonzero(seen[0])) if seen is not None else found if found is MISS else len(found)

    if consecutive:
        return parts.run("unique_count", policy, (x,), runs, few_runs)
    return parts.run("unique_count", policy, (x,), lambda p: _count(p, x), few)


def _count(p: Parts, x: Any) -> int:
    data, coding = _given(p, x)
    few = p.few()
    if few is MISS:
        few = p.there(unique_count, {"x": x})
    if few is not MISS:
        return few
    seen = _flags(p, data, coding)
    if seen is not None:
        return count(seen[0].how, seen[1], True)
    return sum(sum(counts) for counts in _counts(p, _sorted(p, x), coding))


def _unique(p: Parts, x: Any) -> Any:
    data, coding = _given(p, x)
    few = p.few()
    if few is MISS:
        few = p.there(unique, {"x": x}, (len(data), data.dtype))
    if few is not MISS:
        return few
    seen = _flags(p, data, coding)
    if seen is not None:
        return p.concatenate("select", lambda _: _flagged(*seen, coding).view(data.dtype))
    data = _sorted(p, x)
    equal = coding.equal
    lasts = _lasts(p, data, coding)
    counts = _counts(p, data, coding, lasts)

    def pack(block: int, size: int, start: int, last: Any, keys: Any, ends: Any, out: Any) -> None:
        i = block * size
        at = ends[block - 1] if block > 0 else 0
        end = ends[block]
        code = equal(keys[np.uint64(i - 1)]) if i > 0 else last
        fresh = i == 0 and start == 1
        while at < end:
            here = equal(keys[np.uint64(i)])
            out[np.uint64(at)] = keys[np.uint64(i)]
            at += 1 if here != code or fresh else 0
            code, fresh = here, False
            i += 1

    def select(part: LocalPart) -> Any:
        ends = np.cumsum(counts[part.number])
        out = part.empty(int(ends[-1]) if len(ends) else 0, data.dtype)
        if len(out):
            keys, (start, last) = radix.bits(data[part]), _before(lasts, part, coding)
            if part.shares:
                kept, value = _kept(keys, start, last, coding)
                groups.keep(part, len(keys), kept, value, _put, ends, radix.bits(out), False)
                return out
            blocks, size = part.blocks(len(keys))
            part.run(blocks, pack, size, start, last, keys, part.asarray(ends), radix.bits(out))
        return out

    return p.concatenate("select", select)


def _given(p: Parts, x: Any) -> tuple[Data, radix.Coding]:
    data = p.stored(x, "x")
    if data.dtype.kind not in "biuf":
        raise PlacementError(
            f"{p.algorithm}: x has dtype {data.dtype}: must be booleans, integers or floats{arrays.columns(data.dtype)}"
        )
    return data, radix.coding(data.dtype, False)


def _flags(p: Parts, data: Data, coding: radix.Coding) -> tuple[LocalPart, Any, Any] | None:
    """(the only part, a flag for every code from the smallest, whether there is such an element, the smallest code).

    None where that does not pay, or does not work: several parts, few elements, too many codes.
    """
    if p.count > 1 or not coding.exact or len(data) <= radix.SMALL:
        return None
    (part,), encode = p.own, coding.encode
    keys = radix.bits(data[part])
    low, high = (transform_reduce(part.how, keys, transform=encode, op=op) for op in (ops.minimum, ops.maximum))
    span = int(high) - int(low) + 1
    if span > len(data):
        return None

    def clear(i: int, flags: Any) -> None:
        flags[i] = False

    def mark(i: int, keys: Any, low: Any, flags: Any) -> None:
        flags[np.uint64(encode(keys[i]) - low)] = True  # from several iterations at once, but all write the same

    flags = part.empty(span, np.bool_)
    for_each(part.how, span, clear, flags)
    for_each(part.how, len(keys), mark, keys, low, flags)
    return part, flags, low


def _flagged(part: LocalPart, flags: Any, low: Any, coding: radix.Coding) -> Any:
    """The keys whose flags are set, as bits."""
    U, decode = coding.dtype.type, coding.decode

    def key(i: int) -> Any:
        return decode(U(U(i) + low))

    return copy_if(part.how, lazy.transform(lazy.iota(len(flags)), key), elementwise.identity, stencil=flags)


_MOST = 1 << 20  #: elements of which it costs little to look in vain


def _few_flags(step: Step, x: Any) -> tuple[Any, Any] | None:
    """(a flag for every code from the smallest, the smallest code) of a plain array, by remembered steps."""
    n, part = elements(x, most=_MOST), step.part
    if n <= radix.SMALL or part is None or x.dtype.kind not in "biu" or not few_sorted.ordered(x):
        return None
    keys, encode = radix.bits(x), radix.coding(x.dtype, False).encode
    low, high = (transform_reduce(part.how, keys, transform=encode, op=op) for op in (ops.minimum, ops.maximum))
    span = int(high) - int(low) + 1
    if span > n:
        return None
    flags, (blocks, size) = np.zeros(span, np.bool_), part.blocks(n)

    def mark(block: int, size: int, keys: Any, low: Any, flags: Any) -> None:
        for i in range(block * size, min(len(keys), (block + 1) * size)):
            flags[np.uint64(encode(keys[np.uint64(i)]) - low)] = True  # by several blocks, but all write the same

    return (flags, low) if step.run(blocks, mark, size, keys, low, flags, work=n) else None


def _few_flagged(step: Step, x: Any, flags: Any, low: Any) -> Any:
    """The elements whose flags are set."""
    coding = radix.coding(x.dtype, False)
    U, decode = coding.dtype.type, coding.decode

    def key(i: int) -> Any:
        return decode(U(U(i) + low))

    found = pack_few(step, flags, key, coding.dtype)
    return found if found is MISS else found.view(x.dtype)


def _sorted(p: Parts, x: Any) -> Data:
    return p.read(sort(p.how, x), "x")


def _lasts(p: Parts, data: Data, coding: radix.Coding) -> list[int | None]:
    """The last code of each part, if it has any."""
    equal = coding.equal

    def look(_: int, keys: Any, found: Any) -> None:
        found[0] = equal(keys[len(keys) - 1])

    def last(part: LocalPart) -> int | None:
        if len(part) == 0:
            return None
        found = part.empty(1, coding.dtype)
        part.run(1, look, radix.bits(data[part]), found)
        return int(arrays.asnumpy(found)[0])

    return p.each("last", last) if p.count > 1 else [None]


def _before(lasts: list[int | None], part: LocalPart, coding: radix.Coding) -> tuple[int, Any]:
    """(1 if there is no element before this part, else 0; the code of that before it)."""
    earlier = [code for code in lasts[: part.number] if code is not None]
    return int(not earlier), coding.dtype.type(earlier[-1] if earlier else 0)


def _kept(keys: Any, start: int, last: Any, coding: radix.Coding) -> tuple[Any, Any]:
    """The kernel functions that say whether a key differs from the one before, and what it is; see `_before`."""
    equal = coding.equal

    def kept(i: int) -> bool:
        code = equal(keys[np.uint64(i - 1)]) if i > 0 else last
        return (i == 0 and start == 1) or equal(keys[np.uint64(i)]) != code

    def value(i: int) -> Any:
        return keys[np.uint64(i)]

    return kept, value


def _put(i: int, out: Any, value: Any) -> None:
    out[i] = value


def _counts(p: Parts, data: Data, coding: radix.Coding, lasts: list[int | None] | None = None) -> list[list[int]]:
    """How many elements of each block of each part differ from the one before."""
    equal = coding.equal
    known = _lasts(p, data, coding) if lasts is None else lasts

    def differ(block: int, size: int, start: int, last: Any, keys: Any, counts: Any) -> None:
        lo, hi = block * size, min(len(keys), (block + 1) * size)
        code = equal(keys[np.uint64(lo - 1)]) if lo > 0 else last
        found = start if lo == 0 and equal(keys[0]) == last else 0
        for i in range(lo, hi):
            here = equal(keys[np.uint64(i)])
            found += 1 if here != code else 0
            code = here
        counts[block] = found

    def count(part: LocalPart) -> list[int]:
        if len(part) == 0:
            return []
        keys, (start, last) = radix.bits(data[part]), _before(known, part, coding)
        if part.shares:
            kept, _ = _kept(keys, start, last, coding)
            return np.diff(groups.kept_before(part, len(keys), kept), prepend=0).tolist()
        blocks, size = part.blocks(len(keys))
        counts = part.empty(blocks, np.int64)
        part.run(blocks, differ, size, start, last, keys, counts)
        return arrays.asnumpy(counts).tolist()

    return p.each("count", count)
