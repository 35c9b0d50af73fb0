"""Radix sort of codes: the engine below sort, argsort, sort_by_key, unique and their kin.

Keys become codes, unsigned integers in the same order (`coding`); `arrange` sorts codes, and values along
with them, stably. O(n) for each digit.

Method: a sample of the codes tells their distribution, from which a table is made that cuts their range into
some thousand intervals of about as many elements; one pass (count, prefix sums, scatter) takes every element
to the bucket of its interval, and each bucket is then sorted in cache on its own: the leading digits that
tell its elements apart by counting sort (least significant first), what few remain equal in these by insertion.
A bucket much larger than the others (few distinct values, a sample that misled) is cut again in the same way.

M. Axtmann, S. Witt, D. Ferizovic, P. Sanders, "Engineering in-place (shared-memory) sorting algorithms",
2022, for sampling and its treatment of skew; P. McIlroy, K. Bostic, M. McIlroy, "Engineering radix sort", 1993.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from portapar import arrays, elementwise, policy, tuning
from portapar.algorithms.transform import copy, transform
from portapar.part import LocalPart
from portapar.tape import constant, unseen

SMALL = 1 << 14  #: sorted by one iteration
_PERHAPS = 1 << 15, 1 << 26  #: bytes that NumPy or we sort in less time, as the machine is; others are clear
_QUICKLY = 1 << 20  #: up to how many it is measured in a tenth of a second
_BUCKET = 1 << 12  #: elements that a bucket should have: they and their copies fit the cache of a core
_BUCKETS = 1 << 8  #: and how many buckets there should be at most: of keys and values, the lines written fit in L1
_ENTRIES = 12  #: bits of the table's index
_SAMPLE = 1 << 13


# codes --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coding:
    """How keys of a dtype are coded.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the codes, and of the bits of keys that `encode` takes and `decode` returns.
    encode, decode : callable
        Kernels, the inverse of each other. Smaller codes for smaller keys; NaN has the largest.
    equal : callable
        As `encode`, with one code for all keys that are equal, which `decode` cannot take back: 0.0 and -0.0,
        and all NaN.
    exact : bool
        `encode` and `equal` are the same.
    descending : bool
    """

    dtype: np.dtype
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    equal: Callable[[Any], Any]
    exact: bool
    descending: bool


@functools.cache
def coding(dtype: np.dtype, descending: bool) -> Coding:
    """The coding of a boolean, integer or floating-point dtype."""
    code = np.dtype(f"u{dtype.itemsize}")
    U = code.type
    bits = 8 * dtype.itemsize
    ones, sign = (1 << bits) - 1, 1 << (bits - 1)
    if dtype.kind in "biu":
        turn = U((sign if dtype.kind == "i" else 0) ^ (ones if descending else 0))

        def switch(u: Any) -> Any:
            return U(u ^ turn)

        return Coding(code, switch, switch, switch, True, descending)
    infinity = int(np.array(np.inf, dtype).view(code))
    low = ones - sign - infinity  # negative NaN come first by their bits: rotate them to the end
    all_, top, rest, inf, shift = U(ones), U(sign), U(ones - sign), U(infinity), U(low)
    zero, below, mirror = U(sign - low), U(sign - low - 1), U(sign if descending else 0)

    def encode(u: Any) -> Any:
        v = U(u ^ mirror)
        return U((v ^ all_ if v >= top else v ^ top) - shift)

    def decode(c: Any) -> Any:
        e = U(c + shift)
        return U((e ^ top if e >= top else e ^ all_) ^ mirror)

    def equal(u: Any) -> Any:
        v, size = U(u ^ mirror), U(u & rest)
        code = U(below - size) if v > top else U(zero + size)  # selections, not branches
        return all_ if size > inf else code

    return Coding(code, encode, decode, equal, False, descending)


def bits(x: Any) -> Any:
    """The same elements as unsigned integers."""
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


# values -------------------------------------------------------------------------------------------


def _no_value(values: Any, i: int) -> Any:
    return 0


def _drop(values: Any, i: int, value: Any) -> None:
    pass


def _value(values: Any, i: int) -> Any:
    return values[np.uint64(i)]


def _keep(values: Any, i: int, value: Any) -> None:
    values[np.uint64(i)] = value


def _number(values: Any, i: int) -> Any:
    return i


# sorting ------------------------------------------------------------------------------------------


def order(part: LocalPart, x: Any, out: Any, code: Coding) -> None:
    """Sort keys alone, of a dtype that `coding` takes; `out` may be `x`.

    Where the device sorts an array itself, it is given codes. (Not floats themselves: SIMD sorts may turn 0.0 and -0.0
    into each other.) These codes are signed, which is what SIMD instructions compare best; those of signed integers
    are they themselves. On the host it is NumPy's sort, on one thread, which some CPUs do fast: see `_ours`.
    """
    n, device = len(x), part.executor.device
    short = x.dtype.itemsize < 4 and n > SMALL  # of few digits
    if short or not device.sorts or (device.host_memory and x.nbytes >= _ours(part, x.nbytes)):
        arrange(part, bits(x), code.encode, bits(out), code.decode)
        return
    U, half = code.dtype.type, code.dtype.type(1 << (8 * x.dtype.itemsize - 1))
    encode, decode, plain = code.encode, code.decode, x.dtype.kind == "i" and not code.descending
    here = bits(out)
    transform(part.how, bits(x), out=here, op=elementwise.identity if plain else lambda u: U(encode(u) ^ half))
    unseen()
    device.sort(part.sorting(here.view(f"i{x.dtype.itemsize}")))
    if not plain:
        transform(part.how, here, out=here, op=lambda c: decode(U(c ^ half)))


def _ours(part: LocalPart, nbytes: int) -> float:
    """Bytes from which we sort sooner than NumPy on this machine."""
    least, most = _PERHAPS
    if not least <= nbytes < most:
        return most
    name = "sort" if part.width > 1 else "sort_alone"
    return tuning.value(name, lambda: measured(name, lambda x, out: order(part, x, out, coding(x.dtype, False))))


def measured(name: str, sort: Callable[[Any, Any], Any], most: int = _QUICKLY) -> float:
    """The same, by ``sort(x, out)`` of random numbers both ways, of up to so many bytes."""
    x = np.random.default_rng(1).random(most // 8)
    out = np.empty_like(x)
    token = policy.current.set(None)  # it is no part of the call that needs it
    try:
        return tuning.crossover(name, _PERHAPS[0], most, lambda size: lambda: sort(x[: size // 8], out[: size // 8]))
    finally:
        policy.current.reset(token)


def arrange(
    part: LocalPart,
    keys: Any,
    encode: Callable[[Any], Any],
    out: Any = None,
    decode: Callable[[Any], Any] | None = None,
    values: Any = None,
    values_out: Any = None,
) -> None:
    """Sort keys stably by their codes, and values along with them.

    Parameters
    ----------
    part : LocalPart
    keys : array of unsigned integers
        The bits of the keys; may be `out`.
    encode : callable
        Kernel: the code of a key, of the same dtype.
    out : array, optional
        Where the keys go, as bits. Without it they are dropped.
    decode : callable, optional
        Kernel: a key from its code.
    values : array or "numbers", optional
        What goes along with the keys: of at most 64 bits each; may be `values_out`. "numbers" stands
        for 0, 1, 2, ….
    values_out : array, optional
        Where it goes.
    """
    n = len(keys)
    if n == 0:
        return
    numbers = isinstance(values, str)
    device = part.executor.device
    if device.argsorts and n > SMALL:
        codes = transform(part.how, keys, op=encode)
        _take(part, device.argsort(part.sorting(codes)), codes, out, decode, values, values_out)
        return
    pick = _no_value if values is None else _number if numbers else _value
    a = part.empty(n, keys.dtype)
    b = part.empty(n, keys.dtype) if out is None else out
    va, vb, first = a, a, a
    if values is not None:
        narrow = np.dtype(np.uint32 if n < 1 << 32 else np.int64)
        va = part.empty(n, narrow if numbers else values.dtype)
        vb = part.empty(n, va.dtype) if numbers else values_out
        first = va if numbers else values
    work = _Work(part, pick, values is not None, out is not None, decode)
    work.sort(keys, first, a, va, b, vb, b if out is None else out, va if values is None else values_out, encode)


def _take(part: LocalPart, index: Any, codes: Any, out: Any, decode: Any, values: Any, values_out: Any) -> None:
    """Keys and values in the order of `index`, where the device found it itself."""
    if out is not None:
        transform(part.how, index, out=out, op=lambda i: decode(codes[i]))
    if values is not None:
        taken = index if isinstance(values, str) else transform(part.how, index, op=lambda i: values[i])
        copy(part.how, taken, values_out)


class _Work:
    """The kernels of one sort, and what of it stays the same when buckets are cut again."""

    def __init__(self, part: LocalPart, pick: Any, valued: bool, gives: bool, decode: Any) -> None:
        self.part, self.pick = part, pick
        value, keep = (_value, _keep) if valued else (_no_value, _drop)
        self.value, self.keep = value, keep
        self.settle = _settle(value, keep, decode if gives else None)

    def sort(self, keys: Any, values: Any, a: Any, va: Any, b: Any, vb: Any, out: Any, vout: Any, encode: Any) -> None:
        """Sort `keys` into `out`, with `a` and `b` as scratch; `b` may be `out`, `a` not `keys`; all of one length."""
        part, n = self.part, len(keys)
        if n <= SMALL:
            part.run(1, _load(encode, self.pick, self.keep), keys, values, a, va)
            starts = part.asarray(constant(np.array([0, n])))
        else:
            starts, crowded = self._scatter(keys, values, a, va, encode)
            for lo, hi in crowded:
                s = slice(lo, hi)
                again = _Work.__new__(_Work)
                again.__dict__.update(self.__dict__, pick=self.value)
                again.sort(a[s], va[s], b[s], vb[s], a[s], va[s], out[s], vout[s], elementwise.identity)
        part.run(len(starts) - 1, self.settle, starts, a, va, b, vb, out, vout)

    def _scatter(self, keys: Any, values: Any, a: Any, va: Any, encode: Any) -> tuple[Any, list[tuple[int, int]]]:
        """Take every element to its bucket in `a`; the first of each bucket, and which are too large."""
        part, n = self.part, len(keys)
        wanted = min(_BUCKETS, n // _BUCKET + 1)
        ends = _distribute(part, keys, values, a, va, wanted, encode, self.pick, self.keep)
        if len(ends) == 2:  # all are equal: any cut will do
            return part.asarray(np.append(np.arange(0, n, _BUCKET), n)), []
        large = np.flatnonzero(np.diff(ends) > max(n // 8, 1 << 16))
        crowded = [(int(ends[k]), int(ends[k + 1])) for k in large]
        return part.asarray(_skipping(ends, large)), crowded


def _distribute(
    part: LocalPart, keys: Any, values: Any, a: Any, va: Any, wanted: int, encode: Any, pick: Any, keep: Any
) -> np.ndarray:
    """Take every element to its bucket in `a` and `va`, stably; the first of each bucket of about `wanted`, and n."""
    n = len(keys)
    blocks, size = part.blocks(n, 1 << 14)
    lows, highs, sample = (part.empty(k, keys.dtype) for k in (blocks, blocks, _SAMPLE))
    survey, count, column, carry, scatter = _passes(encode, pick, keep)
    part.run(blocks, survey, size, keys, lows, highs, sample)
    low, high = arrays.asnumpy(lows).min(), arrays.asnumpy(highs).max()
    span = int(high) - int(low)
    base, cut = _table(arrays.asnumpy(sample) - low, span, wanted)
    buckets = (int(base[-1]) + (span >> int(cut[-1]))) % (1 << 16) + 1
    shift = keys.dtype.type(max(span.bit_length() - _ENTRIES, 0))
    where, how = part.asarray(base), part.asarray(cut)
    counts, starts = part.empty(blocks * buckets, np.int64), part.empty(buckets + 1, np.int64)
    part.run(blocks, count, size, buckets, keys, low, shift, where, how, counts)
    part.run(buckets, column, blocks, buckets, counts, starts)
    part.run(1, carry, n, starts)
    part.run(blocks, scatter, size, buckets, keys, values, low, shift, where, how, counts, starts, a, va)
    return arrays.asnumpy(starts)


def _skipping(ends: Any, large: Any) -> Any:
    """The first elements of buckets, where large ones are marked by -1 - first."""
    marked = ends.copy()
    marked[large] = -1 - marked[large]
    return marked


def _table(sample: np.ndarray, span: int, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """How an interval of codes is cut into about as many buckets, each of as many elements.

    Parameters
    ----------
    sample : array of unsigned integers
        Codes, less the smallest.
    span : int
        The largest code less the smallest.

    Returns
    -------
    base, cut : array
        Code c, less the smallest, belongs to the bucket ``base[t] + (c >> cut[t])``, modulo 2^16, where t is c
        without its trailing bits: few enough for a small table. The first and the last interval are never in one
        bucket, and so to cut again gets ahead.
    """
    shift = max(span.bit_length() - _ENTRIES, 0)
    entries = (span >> shift) + 1
    found = np.bincount((sample >> sample.dtype.type(shift)).astype(np.int64), minlength=entries)
    share = found * (buckets / len(sample))
    more = np.minimum(np.ceil(np.log2(np.maximum(share, 1))).astype(np.int64), shift)  # bits that cut an entry
    heavy = share >= 1
    group = np.floor(np.cumsum(np.where(heavy, 0, share))).astype(np.int64)  # light ones share a bucket
    fresh = np.ones(entries, bool)
    fresh[1:-1] = heavy[1:-1] | heavy[:-2] | (group[1:-1] != group[:-2])
    sizes = np.where(heavy, 1 << more, fresh)
    last = np.cumsum(sizes)
    first = np.where(heavy, last - sizes, last - 1)
    entry = np.arange(entries)
    return (first - (entry << more)).astype(np.uint16), (shift - more).astype(np.uint8)


# kernels ------------------------------------------------------------------------------------------


def _load(encode: Any, pick: Any, keep: Any) -> Any:
    def load(_: int, keys: Any, values: Any, a: Any, va: Any) -> None:
        for i in range(len(keys)):
            a[i] = encode(keys[i])
            keep(va, i, pick(values, i))

    return load


def _passes(encode: Any, pick: Any, keep: Any) -> tuple[Any, ...]:
    def bucket(code: Any, low: Any, shift: Any, base: Any, cut: Any) -> Any:
        code = np.uint64(code - low)
        t = code >> np.uint64(shift)
        return np.int64((np.uint64(base[t]) + (code >> np.uint64(cut[t]))) & np.uint64(0xFFFF))

    def survey(block: int, size: int, keys: Any, lows: Any, highs: Any, sample: Any) -> None:
        lo, hi = block * size, min(len(keys), (block + 1) * size)
        low = high = encode(keys[lo])
        for i in range(lo, hi):
            code = encode(keys[np.uint64(i)])
            low, high = min(low, code), max(high, code)
        lows[block], highs[block] = low, high
        blocks = len(lows)
        for k in range(block, len(sample), blocks):  # places that follow no simple rule
            sample[k] = encode(keys[lo + (k * 40503 + (k >> 7) * 7919) % (hi - lo)])

    def count(
        block: int, size: int, buckets: int, keys: Any, low: Any, shift: Any, base: Any, cut: Any, counts: Any
    ) -> None:
        lo, hi = block * size, min(len(keys), (block + 1) * size)
        row = block * buckets
        for d in range(row, row + buckets):
            counts[d] = 0
        for i in range(lo, hi):
            d = bucket(encode(keys[np.uint64(i)]), low, shift, base, cut)
            counts[np.uint64(row + d)] += 1

    def column(d: int, blocks: int, buckets: int, counts: Any, starts: Any) -> None:
        total = 0
        for block in range(blocks):
            k = block * buckets + d
            here = counts[k]
            counts[k] = total
            total += here
        starts[d] = total

    def carry(_: int, n: int, starts: Any) -> None:
        total = 0
        for d in range(len(starts) - 1):
            here = starts[d]
            starts[d] = total
            total += here
        starts[len(starts) - 1] = n

    def scatter(
        block: int, size: int, buckets: int, keys: Any, values: Any, low: Any, shift: Any, base: Any, cut: Any,
        counts: Any, starts: Any, a: Any, va: Any,
    ) -> None:  # fmt: skip
        lo, hi = block * size, min(len(keys), (block + 1) * size)
        row = block * buckets
        for d in range(buckets):
            counts[row + d] += starts[d]
        for i in range(lo, hi):
            code = encode(keys[np.uint64(i)])
            k = np.uint64(row + bucket(code, low, shift, base, cut))
            place = counts[k]
            counts[k] = place + 1
            a[np.uint64(place)] = code
            keep(va, place, pick(values, i))

    return survey, count, column, carry, scatter


def one_bucket(encode: Any, decode: Any, what: str) -> tuple[Any, Any]:
    """The kernels that load and settle keys which are few, and what goes along: "keys" alone, "numbers" or "values"."""
    pick = {"keys": _no_value, "numbers": _number, "values": _value}[what]
    value, keep = (_no_value, _drop) if what == "keys" else (_value, _keep)
    return _load(encode, pick, keep), _settle(value, keep, decode)


def _settle(value: Any, keep: Any, decode: Any) -> Any:
    def insertion(a: Any, va: Any, lo: int, hi: int, budget: int) -> bool:
        """Stable insertion sort; False if it gave up, with the elements in an order that is no worse."""
        for i in range(lo + 1, hi):
            code = a[np.uint64(i)]
            if a[np.uint64(i - 1)] > code:
                v = value(va, i)
                j = i
                while j > lo and a[np.uint64(j - 1)] > code:
                    a[np.uint64(j)] = a[np.uint64(j - 1)]
                    keep(va, j, value(va, j - 1))
                    j -= 1
                a[np.uint64(j)] = code
                keep(va, j, v)
                budget -= i - j
                if budget < 0:
                    return False
        return True

    def digit(a: Any, va: Any, b: Any, vb: Any, lo: int, hi: int, shift: Any) -> None:
        """Counting sort by eight bits, from `a` to `b`."""
        counts = np.zeros(256, np.int64)
        for i in range(lo, hi):
            counts[np.uint64((a[np.uint64(i)] >> shift) & 255)] += 1
        place = lo
        for d in range(256):
            here = counts[d]
            counts[d] = place
            place += here
        for i in range(lo, hi):
            code = a[np.uint64(i)]
            k = np.uint64((code >> shift) & 255)
            j = counts[k]
            counts[k] = j + 1
            b[np.uint64(j)] = code
            keep(vb, j, value(va, i))

    def order(a: Any, va: Any, b: Any, vb: Any, lo: int, hi: int) -> bool:
        """Sort what is in `a`; whether the result is in `b`."""
        n, height, passes = hi - lo, 0, 0
        if n > 32:
            differ: Any = np.uint64(0)
            for i in range(lo, hi):
                differ |= np.uint64(a[np.uint64(i)] ^ a[lo])
            while height < 64 and differ >> np.uint64(height) != 0:
                height += 1
            while passes == 0 or 4 * n >> (8 * passes) != 0:  # few remain equal
                passes += 1
        whole = (height + 7) // 8  # digits that differ at all
        shift = max(height - 8 * passes, 0)
        if shift == 0:
            passes = whole
        odd, done = False, False
        while not done:
            for k in range(passes):
                if odd:
                    digit(b, vb, a, va, lo, hi, np.uint64(shift + 8 * k))
                else:
                    digit(a, va, b, vb, lo, hi, np.uint64(shift + 8 * k))
                odd = not odd
            if shift == 0 and n > 32:
                done = True
            elif odd:
                done = insertion(b, vb, lo, hi, 4 * n)
            else:
                done = insertion(a, va, lo, hi, 4 * n + 1024)
            shift, passes = 0, whole
        return odd

    def settle(bucket: int, starts: Any, a: Any, va: Any, b: Any, vb: Any, out: Any, vout: Any) -> None:
        begin, hi = starts[bucket], starts[bucket + 1]
        if begin >= 0:
            lo = max(begin, 0)  # so that no index is seen to be negative
            if hi < 0:
                hi = -1 - hi
            if order(a, va, b, vb, lo, hi):
                for i in range(lo, hi):
                    give(out, i, b[np.uint64(i)])
                    keep(vout, i, value(vb, i))
            else:
                for i in range(lo, hi):
                    give(out, i, a[np.uint64(i)])
                    keep(vout, i, value(va, i))

    def restore(out: Any, i: int, code: Any) -> None:
        out[np.uint64(i)] = decode(code)

    give = _drop if decode is None else restore

    return settle
