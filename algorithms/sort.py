"""sort, stable_sort, argsort, sort_by_key, is_sorted: order by keys.

Keys become codes, unsigned integers in the same order, which a radix sort brings into order in O(n) for each
digit (`portapar.algorithms.radix`). Elements of at most 64 bits go along with their codes, larger ones are
gathered at the end. On several parts each sorts its own; then the code of every cut is found by its digits
(how many codes are smaller is a search in each part, which all tell each other), so that every element goes
straight to its place: elements of equal codes in the order of the parts (Axtmann, Bingmann, Sanders, Schulz,
"Practical massively parallel sorting", 2015, call this multisequence selection).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portapar import arrays, elementwise, ops, parts, shares
from portapar.algorithms import few_sorted, radix
from portapar.algorithms.order import Order, before, take
from portapar.algorithms.reduce import transform_reduce
from portapar.algorithms.transform import copy, transform
from portapar.errors import PlacementError, flags
from portapar.few import MISS
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy
from portapar.sequence import Whole


def sort(policy: Policy | None, x: Any, *, key: Any = None, descending: bool = False, out: Any = None) -> Any:
    """The elements in order.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional.
    key : callable or str, optional
        Orders by ``key(element)``, a kernel that returns a number, or a tuple of numbers: then by the first of them,
        where these are equal by the second, and so on. A str names a field of records. Needed for complex numbers and
        records.
    descending : bool
        Largest first. NaN is last either way.
    out : array, optional
        As long as `x` and of its dtype; may be `x` itself: sorts in place.

    Returns
    -------
    array
        `out`, or a new one.

    Raises
    ------
    PlacementError, KernelError

    Notes
    -----
    O(n) for each digit of eight bits that tells elements apart; needs space for n more elements. Without `key`
    elements that are equal but differ (0.0 and -0.0) come in any order; `stable_sort` keeps theirs. With `key`
    it is stable. Small arrays without `key` are for NumPy's sort in SIMD lanes on CPUs: how small is measured
    once on each machine (`portapar info --profile`).

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.sort(pp.par, np.array([3, 1, 2]))
    array([1, 2, 3])
    >>> pp.sort(pp.par, np.array([3.0, -1.0, -4.0]), key=lambda v: abs(v), descending=True)
    array([-4.,  3., -1.])
    """
    flags("sort", descending=descending)
    return parts.run(
        "sort", policy, (x, out), lambda p: _sort(p, x, key, descending, out, False),
        lambda step: few_sorted.sort(step, x, key, descending, out, False), whole=_whole(key, descending),
    )  # fmt: skip


def stable_sort(policy: Policy | None, x: Any, *, key: Any = None, descending: bool = False, out: Any = None) -> Any:
    """The elements in order, equal ones in the order that they had; as `sort` otherwise.

    Notes
    -----
    O(n) work for each digit of the keys; elements of more than 8 bytes are moved once, at the end.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.stable_sort(pp.par, np.array([31, 12, 22, 11]), key=lambda v: v % 10)
    array([31, 11, 12, 22])
    """
    flags("stable_sort", descending=descending)
    return parts.run(
        "stable_sort", policy, (x, out), lambda p: _sort(p, x, key, descending, out, True),
        lambda step: few_sorted.sort(step, x, key, descending, out, True), whole=_whole(key, descending),
    )  # fmt: skip


def argsort(policy: Policy | None, x: Any, *, key: Any = None, descending: bool = False) -> Any:
    """The indices of the elements in order; stable.

    Parameters
    ----------
    policy, x, key, descending
        As for `sort`.

    Returns
    -------
    array of int64
        ``x[argsort(policy, x)]`` is sorted.

    Notes
    -----
    O(n) work for each digit of the keys.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.argsort(pp.par, np.array([30, 10, 20]))
    array([1, 2, 0])
    """
    flags("argsort", descending=descending)
    return parts.run(
        "argsort", policy, (x,), lambda p: _argsort(p, x, key, descending),
        lambda step: few_sorted.argsort(step, x, key, descending), whole=_whole(key, descending),
    )  # fmt: skip


def sort_by_key(
    policy: Policy | None, keys: Any, values: Any, *, key: Any = None, descending: bool = False
) -> tuple[Any, Any]:
    """Keys in order, and values that go along with them; stable.

    Parameters
    ----------
    policy : Policy
    keys, values : array
        One-dimensional, of one length.
    key, descending
        As for `sort`, of `keys`.

    Returns
    -------
    (array, array)
        Keys and values, new.

    Notes
    -----
    O(n) work for each digit of the keys; values of more than 8 bytes are moved once, at the end.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.sort_by_key(pp.par, np.array([3, 1, 2]), np.array([0.3, 0.1, 0.2]))
    (array([1, 2, 3]), array([0.1, 0.2, 0.3]))
    """
    flags("sort_by_key", descending=descending)
    return parts.run(
        "sort_by_key", policy, (keys, values), lambda p: _sort_pairs(p, keys, values, key, descending),
        lambda step: few_sorted.sort_by_key(step, keys, values, key, descending), whole=_whole(key, descending),
    )  # fmt: skip


def is_sorted(policy: Policy | None, x: Any, *, key: Any = None, descending: bool = False) -> Any:
    """Whether the elements are in the order of `sort`.

    Returns
    -------
    bool

    Notes
    -----
    O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.is_sorted(pp.par, np.array([1, 2, 2]))
    True
    """
    flags("is_sorted", descending=descending)
    return parts.run(
        "is_sorted", policy, (x,), lambda p: _is_sorted(p, x, key, descending),
        lambda step: few_sorted.is_sorted(step, x, key, descending),
    )  # fmt: skip


def _whole(key: Any, descending: Any) -> Whole | None:
    """What the steps of a call with a key follow from, see `portapar.sequence`; those without are few steps anyway."""
    return None if key is None else merge_whole(key, descending)


def merge_whole(key: Any, descending: Any) -> Whole:
    """The same for merges."""
    return ((), (key, descending)) if key is None or isinstance(key, str) else ((key,), (descending,))


def _plain(dtype: np.dtype) -> bool:
    """Whether elements can go along with codes as they are."""
    return dtype.kind in "biufc" and dtype.itemsize <= 8


def _ambiguous(part: LocalPart, keys: Any, coding: radix.Coding) -> bool:
    """Whether there are keys that are equal but not the same."""
    if coding.exact or len(keys) == 0:
        return False
    encode, equal = coding.encode, coding.equal

    def special(u: Any) -> int:
        return 1 if encode(u) != equal(u) else 0

    return bool(transform_reduce(part.how, keys, transform=special, op=ops.bit_or))


# one part -----------------------------------------------------------------------------------------


def _sort(p: Parts, x: Any, key: Any, descending: bool, out: Any, stable: bool) -> Any:
    data = p.stored(x, "x")
    order = Order(p, data.dtype, key, descending, "x")
    result = p.new(data.shape, data.dtype) if out is None else p.write(out, "out", [("x", x)])
    check_out(p, result, data.shape, data.dtype)
    if p.count > 1 and key is None and not stable:
        _exchange_codes(p, order, data, result)
        return p.give(result)
    if p.count > 1:
        return _sort_parts(p, order, data, [(data, result)])
    few = p.few()
    if few is not MISS:
        return few

    def step(part: LocalPart) -> None:
        here, there = data[part], result[part]
        found = order.keys(part, here)
        keys, coding = found[0]
        if key is None and not (stable and _ambiguous(part, keys, coding)):
            radix.order(part, here, there, coding)
        elif _plain(data.dtype) and len(found) == 1:
            values, sorted_ = radix.bits(here), radix.bits(there)
            radix.arrange(part, keys, coding.equal, values=values, values_out=sorted_)
        else:
            fresh = there if out is None else part.empty(len(here), data.dtype)
            take(part, here, order.numbers(part, found), fresh)
            if out is not None:
                copy(part.how, fresh, out=there)

    p.each("sort", step)
    return p.give(result)


def check_out(p: Parts, result: Data, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if result.dtype != dtype or result.shape != shape:
        raise PlacementError(
            f"{p.algorithm}: out has shape {result.shape} and dtype {result.dtype}: must have {shape} and {dtype}"
        )


def _argsort(p: Parts, x: Any, key: Any, descending: bool) -> Any:
    data = p.stored(x, "x")
    order = Order(p, data.dtype, key, descending, "x")
    result = p.new(data.shape, np.int64)
    if p.count > 1:
        return _sort_parts(p, order, data, [(None, result)])
    few = p.few()
    if few is not MISS:
        return few
    p.each("sort", lambda part: order.numbers(part, order.keys(part, data[part]), result[part]))
    return p.give(result)


def _sort_pairs(p: Parts, keys: Any, values: Any, key: Any, descending: bool) -> tuple[Any, Any]:
    first, second = p.stored(keys, "keys"), p.stored(values, "values")
    order = Order(p, first.dtype, key, descending, "keys")
    outs = p.new(first.shape, first.dtype), p.new(second.shape, second.dtype)
    if p.count > 1:
        return _sort_parts(p, order, first, [(first, outs[0]), (second, outs[1])])
    few = p.few()
    if few is not MISS:
        return few

    def step(part: LocalPart) -> None:
        found = order.keys(part, first[part])
        codes, coding = found[0]
        kout, vout = outs[0][part], outs[1][part]
        if key is None and _plain(second.dtype) and not _ambiguous(part, codes, coding):
            values, there = radix.bits(second[part]), radix.bits(vout)
            radix.arrange(part, codes, coding.encode, radix.bits(kout), coding.decode, values, there)
            return
        index = order.numbers(part, found)
        take(part, first[part], index, kout)
        take(part, second[part], index, vout)

    p.each("sort", step)
    return p.give(outs[0]), p.give(outs[1])


# several parts ------------------------------------------------------------------------------------


def _sort_parts(p: Parts, order: Order, by: Data, columns: list[tuple[Data | None, Data]]) -> Any:
    """Sort over all parts.

    Parameters
    ----------
    by : Data
        The elements that say the order.
    columns : list of (Data or None, Data)
        What is brought into order, and where it goes; None stands for the indices.
    """
    if p.survey is not None:
        rest = sum(out.dtype.itemsize for _, out in columns)
        kinds = order.dtypes(by.value)
        rest += sum(kind.itemsize for kind in kinds) if len(kinds) > 1 else 0  # tuples go along
        for kind in kinds:
            tell_sorted(p, kind.itemsize, kind.itemsize + rest)
    names = order.key and transform(p.own[0].how, by[p.own[0]][:0], op=order.key).dtype.names
    if not names:
        _exchange(p, lambda part: order.keys(part, by[part])[0], columns)
    else:  # a stable sort by each number of the tuples, the last one first, in which the tuples go along
        now = [by, *(x for x, _ in columns)]
        made = p.do("keys", lambda part: transform(part.how, by[part], op=order.key))
        tuples = _kept(by.shape, made)
        for name in reversed(names):
            outs = [out for _, out in columns] if name == names[0] else [_room(p, out) for _, out in columns]
            there = _room(p, tuples)

            def codes(part: LocalPart, tuples: Data = tuples, name: str = name) -> tuple[Any, radix.Coding]:
                return order.column(part, tuples[part], name)

            _exchange(p, codes, [(tuples, there), *zip(now[1:], outs, strict=True)])
            tuples, now = there, [by, *outs]
    given = tuple(p.give(out) for _, out in columns)
    return given if len(given) > 1 else given[0]


def _exchange_codes(p: Parts, order: Order, data: Data, result: Data) -> None:
    """Of elements alone, without an order of equal ones: their codes are all there is to sort, and are decoded then."""
    from portapar.algorithms.merge import merge  # which stands on this

    codings: dict[int, radix.Coding] = {}
    tell_sorted(p, data.dtype.itemsize, data.dtype.itemsize)

    def alone(part: LocalPart) -> np.ndarray:
        bits, coding = order.keys(part, data[part])[0]
        codings[part.number] = coding
        codes = part.empty(len(part), coding.dtype)
        if len(part):
            transform(part.how, bits, out=codes, op=coding.encode)
            radix.order(part, codes, codes, radix.coding(coding.dtype, False))
        return arrays.asnumpy(codes)

    mine = p.do("sort", alone)
    bounds = _bounds(p, mine)
    got = p.alltoall(
        "exchange", lambda part: [mine[part.number][lo:hi] for lo, hi in shares.spans(bounds[part.number])]
    )

    def join(part: LocalPart) -> None:
        runs, coding = [run for run in got[part.number] if len(run)], codings[part.number]
        if len(runs) == 2:
            codes = merge(part.how, *map(part.asarray, runs))
        elif runs:
            codes = part.asarray(np.concatenate(runs))
            radix.order(part, codes, codes, radix.coding(coding.dtype, False))
        if runs:
            transform(part.how, codes, out=radix.bits(result[part]), op=coding.decode)

    p.each("join", join)


def _kept(shape: tuple[int, ...], parts: dict[int, Any]) -> Data:
    """What the parts of this process have made."""
    dtype = np.dtype(next(iter(parts.values())).dtype)
    return Data(None, shape, dtype, lambda part: parts[part.number])


def _room(p: Parts, like: Data) -> Data:
    return _kept(like.shape, p.make(lambda part: part.empty(len(part), like.dtype)))


def _exchange(
    p: Parts, keys: Callable[[LocalPart], tuple[Any, radix.Coding]], columns: list[tuple[Data | None, Data]]
) -> None:
    """Bring columns into the order of ``keys(part)``, stably, over all parts."""

    def alone(part: LocalPart) -> list[np.ndarray]:
        """The codes of this part in order, and its columns, on the host."""
        bits, coding = keys(part)
        index, codes = part.empty(len(bits), np.int64), part.empty(len(bits), bits.dtype)
        radix.arrange(part, bits, coding.equal, codes, elementwise.identity, "numbers", index)
        mine = [arrays.asnumpy(codes)]
        for x, out in columns:
            if x is None:
                mine.append(arrays.asnumpy(index) + part.lo)
                continue
            sorted_ = part.empty(len(part), out.dtype)
            take(part, x[part], index, sorted_)
            mine.append(arrays.asnumpy(sorted_))
        return mine

    mine = p.do("sort", alone)
    bounds = _bounds(p, {k: found[0] for k, found in mine.items()})

    def send(part: LocalPart) -> list[list[np.ndarray]]:
        here, found = bounds[part.number], mine[part.number]
        return [[x[lo:hi] for x in found] for lo, hi in shares.spans(here)]

    got = p.alltoall("exchange", send)

    def join(part: LocalPart) -> None:
        runs = [run for run in got[part.number] if len(run[0])]
        if not runs:
            return
        codes, *rest = (part.asarray(np.concatenate(column)) for column in zip(*runs, strict=True))
        index = part.empty(len(codes), np.int64)
        radix.arrange(part, codes, elementwise.identity, values="numbers", values_out=index)
        for x, (_, out) in zip(rest, columns, strict=True):
            take(part, x, index, out[part])

    p.each("join", join)


def tell_sorted(p: Parts, code: int, row: int) -> None:
    """For the plan: `_bounds` of codes of so many bytes, and the exchange of rows."""
    p.settles(row)
    cuts = p.count - 1
    p.told(p.count * cuts * cuts * 8 * (256 * code + 2))


def _bounds(p: Parts, codes: dict[int, np.ndarray]) -> dict[int, list[int]]:
    """Where each own part, sorted, is to be cut so that its pieces are rows of the sorted whole at the cuts.

    Digit by digit, from the leading one, the largest code is found of which so many are smaller as the cut says
    at most; those equal to it are taken from the first parts first.
    """
    cuts = np.array(p.cuts[1:-1])
    bits = 8 * next(iter(codes.values())).itemsize
    found = np.zeros(len(cuts), np.uint64)
    for shift in range(bits - 8, -1, -8):
        tried = found[:, None] + (np.arange(256, dtype=np.uint64) << np.uint64(shift))[None, :]
        less = sum(p.each("search", lambda part: _ranks(codes[part.number], tried, "left")))  # noqa: B023
        digit = (less <= cuts[:, None]).sum(axis=1) - 1  # the first is 0 in each
        found = tried[np.arange(len(cuts)), digit]
    sides = p.each(
        "cut", lambda part: (_ranks(codes[part.number], found, "left"), _ranks(codes[part.number], found, "right"))
    )
    left, right = (np.array([side[k] for side in sides]).reshape(p.count, len(cuts)) for k in (0, 1))
    equal = right - left
    before = np.cumsum(equal, axis=0) - equal  # equal ones in earlier parts
    taken = np.clip(cuts - left.sum(axis=0) - before, 0, equal)
    return {k: [0, *(left[k] + taken[k]).tolist(), len(mine)] for k, mine in codes.items()}


def _ranks(codes: np.ndarray, wanted: np.ndarray, side: Any) -> np.ndarray:
    return np.searchsorted(codes, wanted.astype(codes.dtype), side)


# is_sorted -----------------------------------------------------------------------------------


def _is_sorted(p: Parts, x: Any, key: Any, descending: bool) -> bool:
    data = p.stored(x, "x")
    order = Order(p, data.dtype, key, descending, "x")
    found = p.few()
    if found is not MISS:
        return found

    def look(part: LocalPart) -> tuple[bool, Any]:
        """Whether this part is sorted, and its first and last codes, if it has any."""
        if len(part) == 0:
            return True, None
        keys, n = order.keys(part, data[part]), len(part)
        less = before(keys, keys)

        def falls(i: int) -> int:
            return 1 if less(i + 1, i) else 0

        found = transform_reduce(part.how, arrays.Range(n - 1), transform=falls, op=ops.bit_or, init=0)
        return not found, list(zip(*(_ends(part, *key) for key in keys), strict=True))

    seen = p.each("look", look)
    ends = [end for _, pair in seen if pair is not None for end in pair]
    return all(fine for fine, _ in seen) and all(a <= b for a, b in zip(ends[:-1], ends[1:], strict=True))


def _ends(part: LocalPart, keys: Any, coding: radix.Coding) -> list[int]:
    """The first and the last code."""
    equal, n = coding.equal, len(keys)

    def first_and_last(_: int, keys: Any, ends: Any) -> None:
        ends[0], ends[1] = equal(keys[0]), equal(keys[n - 1])

    ends = part.empty(2, coding.dtype)
    part.run(1, first_and_last, keys, ends)
    return arrays.asnumpy(ends).tolist()
