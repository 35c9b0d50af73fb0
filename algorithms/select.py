"""kth_smallest and nth_element: the element that sorting would put at a place.

Expected O(n): two elements of a sample, between which the wanted one lies most likely, leave few candidates, of
which the same is asked (Floyd, Rivest, "Expected time bounds for selection", 1975). Few are left to NumPy on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portapar import arrays, elementwise, parts
from portapar.algorithms import radix
from portapar.algorithms.transform import copy, transform
from portapar.errors import PlacementError
from portapar.parts import Data, Parts
from portapar.piece import Piece
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
    Expected O(n) work. On one device only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.kth_smallest(pp.par, np.array([30, 10, 20]), 1)
    np.int64(20)
    """
    return parts.run("kth_smallest", policy, (x,), lambda p: _kth(p, *_given(p, x, k, "k")))


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
    Expected O(n) work, and space for n more elements. On one device only.

    Examples
    --------
    >>> import numpy as np, portapar as pp
    >>> pp.nth_element(pp.par, np.array([3, 5, 1, 4, 2]), 2)
    array([1, 2, 3, 5, 4])
    """
    return parts.run("nth_element", policy, (x, out), lambda p: _nth(p, x, n, out))


def _given(p: Parts, x: Any, k: Any, name: str) -> tuple[Data, radix.Coding, int]:
    p.alone()
    data = p.stored(x, "x")
    if data.dtype.kind not in "biuf":
        raise PlacementError(f"{p.algorithm}: x has dtype {data.dtype}: must be booleans, integers or floats")
    if len(data) == 0:
        raise PlacementError(f"{p.algorithm}: x has no elements: must have at least one")
    k = arrays.whole_number(f"{p.algorithm}: {name}", k, 0, len(data) - 1)
    return data, radix.coding(data.dtype, False), k


def _kth(p: Parts, data: Data, coding: radix.Coding, k: int) -> Any:
    piece = p.alone()
    code = np.array([_code(piece, radix.bits(data[piece]), coding.encode, k)])
    return np.array([coding.decode(code)]).view(data.dtype)[0, 0]


def _code(piece: Piece, keys: Any, encode: Any, k: int) -> Any:
    """The code of the k-th smallest key."""
    n = len(keys)
    if n <= _FEW:
        codes = arrays.asnumpy(keys if encode is elementwise.identity else transform(piece.how, keys, op=encode))
        codes.partition(k)
        return codes[k]

    def take(j: int, keys: Any, sample: Any) -> None:
        for i in range(j, len(sample), 64):
            sample[i] = encode(keys[i * (len(keys) // len(sample)) + (i * 40503) % (len(keys) // len(sample))])

    def count(block: int, size: int, low: Any, high: Any, keys: Any, less: Any, within: Any) -> None:
        before, between = 0, 0
        for i in range(block * size, min(len(keys), (block + 1) * size)):
            code = encode(keys[np.uint64(i)])
            before += 1 if code < low else 0
            between += 1 if code >= low and code <= high else 0
        less[block], within[block] = before, between

    def pack(block: int, size: int, low: Any, high: Any, keys: Any, ends: Any, out: Any) -> None:
        i = block * size
        at = ends[block - 1] if block > 0 else 0
        end = ends[block]
        while at < end:
            code = encode(keys[np.uint64(i)])
            out[np.uint64(at)] = code
            at += 1 if code >= low and code <= high else 0
            i += 1

    sample = piece.empty(_SAMPLE, keys.dtype)
    piece.run(64, take, keys, sample)
    drawn = np.sort(arrays.asnumpy(sample))
    middle, margin = k * _SAMPLE // n, 3 * int(_SAMPLE**0.5) // 2
    low = drawn[middle - margin] if middle >= margin else drawn.dtype.type(0)
    high = drawn[middle + margin] if middle + margin < _SAMPLE else ~drawn.dtype.type(0)
    blocks, size = piece.blocks(n, 1 << 14)
    less, within = piece.empty(blocks, np.int64), piece.empty(blocks, np.int64)
    while True:
        piece.run(blocks, count, size, low, high, keys, less, within)
        before, ends = int(arrays.asnumpy(less).sum()), np.cumsum(arrays.asnumpy(within))
        if k < before:  # the sample misled
            low, high = drawn.dtype.type(0), low - drawn.dtype.type(1)
        elif k >= before + ends[-1]:
            low, high = high + drawn.dtype.type(1), ~drawn.dtype.type(0)
        else:
            break
    if low == high:
        return low
    if ends[-1] > n // 2:  # most elements are equal, or the sample told nothing: halve the range
        return _halve(piece, keys, encode, k, low, high, blocks, size, count)
    chosen = piece.empty(int(ends[-1]), keys.dtype)
    piece.run(blocks, pack, size, low, high, keys, piece.asarray(ends), chosen)
    return _code(piece, chosen, elementwise.identity, k - before)


def _halve(
    piece: Piece, keys: Any, encode: Any, k: int, low: Any, high: Any, blocks: int, size: int, count: Any
) -> Any:
    """Bisect the range of codes: a pass for each bit, where a sample does not help."""
    less, within = piece.empty(blocks, np.int64), piece.empty(blocks, np.int64)
    while low < high:
        middle = low + (high - low) // low.dtype.type(2)
        piece.run(blocks, count, size, low, middle, keys, less, within)
        if k < int(arrays.asnumpy(less).sum() + arrays.asnumpy(within).sum()):
            high = middle
        else:
            low = middle + low.dtype.type(1)
    return low


def _nth(p: Parts, x: Any, n: int, out: Any) -> Any:
    data, coding, n = _given(p, x, n, "n")
    result = p.new(data.shape, data.dtype) if out is None else p.write(out, "out", [("x", x)])
    if result.dtype != data.dtype or result.shape != data.shape:
        raise PlacementError(
            f"{p.algorithm}: out has shape {result.shape} and dtype {result.dtype}: must have {data.shape} and "
            f"{data.dtype}"
        )
    piece, encode = p.alone(), coding.encode
    here, there = data[piece], result[piece]
    keys = radix.bits(here)
    pivot = _code(piece, keys, encode, n)
    blocks, size = piece.blocks(len(keys))

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

    counts = piece.empty((blocks, 2), np.int64)
    piece.run(blocks, count, size, pivot, keys, counts)
    found = arrays.asnumpy(counts)
    ends = np.minimum(size * np.arange(1, blocks + 1), len(keys))
    sizes = np.column_stack([found, np.diff(ends, prepend=0) - found.sum(axis=1)])
    starts = (np.cumsum(sizes.T.reshape(-1)) - sizes.T.reshape(-1)).reshape(3, blocks).T
    fresh = there if out is None else piece.empty(len(keys), data.dtype)
    piece.run(blocks, split, size, pivot, keys, piece.asarray(np.ascontiguousarray(starts)), radix.bits(fresh))
    if out is not None:
        copy(piece.how, fresh, out=there)
    return p.give(result)
