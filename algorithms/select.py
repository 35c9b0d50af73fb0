"""kth_smallest and nth_element: the element that sorting would put at a place.

Expected O(n): two elements of a sample, between which the wanted one lies most likely, leave few candidates, of
which the same is asked (Floyd, Rivest, "Expected time bounds for selection", 1975). Few are left to NumPy on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, elementwise, parts, shares
from portapar.algorithms import few_sorted, radix
from portapar.algorithms.transform import copy, transform
from portapar.errors import PlacementError
from portapar.few import MISS, Step
from portapar.part import LocalPart
from portapar.parts import Data, Parts
from portapar.policy import Policy

_SAMPLE = 1 << 12
_FEW = 1 << 18  #: NumPy selects among so many in less time than two passes take to start


def kth_smallest(policy: Policy | None, x: Any, k: int) -> Any:
    """The element that sorting would put at index k.

    Parameters
    ----------
    policy : Policy
    x : array
        One-dimensional, of booleans, integers or floats; NaN are the largest.
    k : int
        From 0 to the length less 1.

    Returns
    -------
    NumPy scalar

    Raises
    ------
    PlacementError

    Notes
    -----
    Expected O(n) work.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.kth_smallest(pp.par, np.array([30, 10, 20]), 1)
    np.int64(20)
    """
    def few(step: Step) -> Any:
        found: Any = few_sorted.head(step, x, k, 1, None)
        return MISS if found is MISS else found[k]

    return parts.run("kth_smallest", policy, (x,), lambda p: _kth(p, *_given(p, x, k, "k")), few)


def nth_element(policy: Policy | None, x: Any, n: int, *, out: Any = None) -> Any:
    """The elements with that of index n in place, none larger before it, none smaller behind, as `np.partition`.

    Parameters
    ----------
    policy, x
        As for `kth_smallest`.
    n : int
        From 0 to the length less 1.
    out : array, optional
        As long as `x` and of its dtype; may be `x` itself.

    Returns
    -------
    array
        `out`, or a new one.

    Raises
    ------
    PlacementError

    Notes
    -----
    Expected O(n) work, and space for n more elements.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.nth_element(pp.par, np.array([3, 5, 1, 4, 2]), 2)
    array([1, 2, 3, 4, 5])
    """
    return parts.run(
        "nth_element", policy, (x, out), lambda p: _nth(p, x, n, out),
        lambda step: few_sorted.head(step, x, n, 1, out),
    )  # fmt: skip


def _given(p: Parts, x: Any, k: Any, name: str) -> tuple[Data, radix.Coding, int]:
    data = p.stored(x, "x")
    if data.dtype.kind not in "biuf":
        raise PlacementError(f"{p.algorithm}: x has dtype {data.dtype}: must be booleans, integers or floats")
    if len(data) == 0:
        raise PlacementError(f"{p.algorithm}: x has no elements: must have at least one")
    k = arrays.whole_number(f"{p.algorithm}: {name}", k, 0, len(data) - 1)
    return data, radix.coding(data.dtype, False), k


def _kth(p: Parts, data: Data, coding: radix.Coding, k: int) -> Any:
    found = p.few()
    if found is not MISS:
        return found
    tell_candidates(p, data.dtype.itemsize)
    keys = {part.number: radix.bits(data[part]) for part in p.own}
    code = np.array([kth_code(p, keys, coding.encode, k)])
    return np.array([coding.decode(code)]).view(data.dtype)[0, 0]


def tell_candidates(p: Parts, row: int) -> None:
    """For the plan: the samples and the candidates of `kth_code`, codes of so many bytes, are told to all."""
    if p.survey is None or p.count == 1:
        return
    most = (_FEW if p.near else _SAMPLE) + _SAMPLE
    for k, (lo, hi) in enumerate(shares.spans(p.cuts)):
        p.carries(k, 0, row * min(hi - lo, most))
        p.told(row * (p.count - 1) * min(hi - lo, most), most=True)
    p.survey.most = True


def kth_code(p: Parts, keys: dict[int, Any], encode: Any, k: int) -> Any:
    """The code of the k-th smallest of the keys that the parts have."""
    sizes = p.each("sizes", lambda part: len(keys[part.number]))
    n = sum(sizes)

    def codes(part: LocalPart) -> np.ndarray:
        mine = keys[part.number]
        if encode is elementwise.identity or len(mine) == 0:
            return arrays.asnumpy(mine)
        return arrays.asnumpy(transform(part.how, mine, op=encode))

    if n <= (_FEW if p.near else _SAMPLE):
        few = np.concatenate(p.each("few", codes))
        few.partition(k)
        return few[k]

    def take(j: int, keys: Any, sample: Any) -> None:
        step = len(keys) // len(sample)
        for i in range(j, len(sample), 64):
            sample[i] = encode(keys[i * step + (i * 40503) % step])

    def draw(part: LocalPart) -> np.ndarray:
        """A part's share of the sample: as many of it as it has of the whole, all of a few."""
        mine = keys[part.number]
        if len(mine) < _SAMPLE:
            return codes(part)[:: -(-n // _SAMPLE)]
        sample = part.empty(max(1, len(mine) * _SAMPLE // n), mine.dtype)
        part.run(64, take, mine, sample)
        return arrays.asnumpy(sample)

    drawn = np.sort(np.concatenate(p.each("sample", draw)))
    middle, margin = k * len(drawn) // n, 3 * int(_SAMPLE**0.5) // 2
    low = drawn[middle - margin] if middle >= margin else drawn.dtype.type(0)
    high = drawn[middle + margin] if middle + margin < len(drawn) else ~drawn.dtype.type(0)
    counters = {part.number: _Counter(part, keys[part.number], encode) for part in p.own}

    def counted(low: Any, high: Any) -> tuple[int, int]:
        """How many codes are less than `low`, and how many from `low` to `high`."""
        found = p.each("count", lambda part: counters[part.number](low, high))
        return sum(less for less, _ in found), sum(within for _, within in found)

    while True:
        before, within = counted(low, high)
        if k < before:  # the sample misled
            low, high = drawn.dtype.type(0), low - drawn.dtype.type(1)
        elif k >= before + within:
            low, high = high + drawn.dtype.type(1), ~drawn.dtype.type(0)
        else:
            break
    if within > n // 2:  # most elements are equal, or the sample told nothing: halve the range, a pass for each bit
        while low < high:
            center = low + (high - low) // low.dtype.type(2)
            less, inside = counted(low, center)
            if k < less + inside:
                high = center
            else:
                low = center + low.dtype.type(1)
    if low == high:
        return low
    chosen = p.do("choose", lambda part: counters[part.number].chosen(low, high))
    return kth_code(p, chosen, elementwise.identity, k - before)


class _Counter:
    """Counts the codes of a part that are in a range, and takes them out."""

    def __init__(self, part: LocalPart, keys: Any, encode: Any) -> None:
        self.part, self.keys, self.encode = part, keys, encode
        self.blocks, self.size = part.blocks(len(keys), 1 << 14)
        self.less, self.within = part.empty(self.blocks, np.int64), part.empty(self.blocks, np.int64)

    def __call__(self, low: Any, high: Any) -> tuple[int, int]:
        encode = self.encode

        def count(block: int, size: int, low: Any, high: Any, keys: Any, less: Any, within: Any) -> None:
            before, between = 0, 0
            for i in range(block * size, min(len(keys), (block + 1) * size)):
                code = encode(keys[np.uint64(i)])
                before += 1 if code < low else 0
                between += 1 if code >= low and code <= high else 0
            less[block], within[block] = before, between

        if self.blocks == 0:
            return 0, 0
        self.part.run(self.blocks, count, self.size, low, high, self.keys, self.less, self.within)
        return int(arrays.asnumpy(self.less).sum()), int(arrays.asnumpy(self.within).sum())

    def chosen(self, low: Any, high: Any) -> Any:
        """The codes that were counted last, those from `low` to `high`."""
        encode, part = self.encode, self.part

        def pack(block: int, size: int, low: Any, high: Any, keys: Any, ends: Any, out: Any) -> None:
            i = block * size
            at = ends[block - 1] if block > 0 else 0
            end = ends[block]
            while at < end:
                code = encode(keys[np.uint64(i)])
                out[np.uint64(at)] = code
                at += 1 if code >= low and code <= high else 0
                i += 1

        ends = np.cumsum(arrays.asnumpy(self.within))
        out = part.empty(int(ends[-1]) if self.blocks else 0, self.keys.dtype)
        if len(out):
            part.run(self.blocks, pack, self.size, low, high, self.keys, part.asarray(ends), out)
        return out


def _nth(p: Parts, x: Any, n: int, out: Any) -> Any:
    data, coding, n = _given(p, x, n, "n")
    result = p.new(data.shape, data.dtype) if out is None else p.write(out, "out", [("x", x)])
    if result.dtype != data.dtype or result.shape != data.shape:
        raise PlacementError(
            f"{p.algorithm}: out has shape {result.shape} and dtype {result.dtype}: must have {data.shape} and "
            f"{data.dtype}"
        )
    found = p.few()
    if found is not MISS:
        return found
    tell_candidates(p, data.dtype.itemsize)
    if p.kind != "numpy":
        p.settles(data.dtype.itemsize)
    elif p.count > 1:
        p.expects(len(data), data.dtype)
    pivot = kth_code(p, {part.number: radix.bits(data[part]) for part in p.own}, coding.encode, n)
    if p.count == 1:
        (part,) = p.own
        fresh = result[part] if out is None else part.empty(len(data), data.dtype)
        _split(part, radix.bits(data[part]), coding.encode, pivot, radix.bits(fresh))
        if out is not None:
            copy(part.how, fresh, out=result[part])
        return p.give(result)

    def split(part: LocalPart) -> list[np.ndarray]:
        """The less, the equal and the larger ones of a part."""
        fresh = part.empty(len(part), data.dtype)
        ends = _split(part, radix.bits(data[part]), coding.encode, pivot, radix.bits(fresh))
        return np.split(arrays.asnumpy(fresh), ends)

    found = p.do("split", split)
    sizes = np.array(p.each("sizes", lambda part: [len(rows) for rows in found[part.number]]))
    firsts = (np.cumsum(sizes.T.reshape(-1)) - sizes.T.reshape(-1)).reshape(3, p.count)
    runs = {k: [(int(firsts[j, k]), rows) for j, rows in enumerate(three)] for k, three in found.items()}
    whole = p.assemble(runs, len(data), p.cuts)
    return whole if out is None else copy(p.how, whole, out=out)


def _split(part: LocalPart, keys: Any, encode: Any, pivot: Any, out: Any) -> list[int]:
    """Write the keys of less code than `pivot`, then the equal and the larger ones; returns where those begin."""
    blocks, size = part.blocks(len(keys))
    if blocks == 0:
        return [0, 0]

    def count(block: int, size: int, pivot: Any, keys: Any, counts: Any) -> None:
        less, equal = 0, 0
        for i in range(block * size, min(len(keys), (block + 1) * size)):
            code = encode(keys[np.uint64(i)])
            less += 1 if code < pivot else 0
            equal += 1 if code == pivot else 0
        counts[block, 0], counts[block, 1] = less, equal

    def split(block: int, size: int, pivot: Any, keys: Any, starts: Any, out: Any) -> None:
        less, equal, more = starts[block, 0], starts[block, 1], starts[block, 2]
        for i in range(block * size, min(len(keys), (block + 1) * size)):
            key = keys[np.uint64(i)]
            code = encode(key)
            is_less, is_equal = 1 if code < pivot else 0, 1 if code == pivot else 0
            out[np.uint64(less if is_less == 1 else equal if is_equal == 1 else more)] = key
            less += is_less
            equal += is_equal
            more += 1 - is_less - is_equal

    counts = part.empty((blocks, 2), np.int64)
    part.run(blocks, count, size, pivot, keys, counts)
    found = arrays.asnumpy(counts)
    ends = np.minimum(size * np.arange(1, blocks + 1), len(keys))
    sizes = np.column_stack([found, np.diff(ends, prepend=0) - found.sum(axis=1)])
    starts = (np.cumsum(sizes.T.reshape(-1)) - sizes.T.reshape(-1)).reshape(3, blocks).T
    part.run(blocks, split, size, pivot, keys, part.asarray(np.ascontiguousarray(starts)), out)
    return starts[0, 1:].tolist()
