"""The steps that reduce and scan segments on one device: folds of pieces, of long segments, and prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from portapar.algorithms import segment_groups, segments
from portapar.algorithms.for_each import for_each
from portapar.algorithms.segments import Segments
from portapar.kernel.front.codec import as_scalars, codec
from portapar.part import LocalPart
from portapar.values import Values

NEW: Mapping[str, Any] = MappingProxyType({})  #: the output is a new array


class Steps:
    """The steps of a call on one device.

    Parameters
    ----------
    part : LocalPart
    values : Values
    at : callable
        The kernel function that gives the value of an element.
    given : Segments
    offsets : array
        Theirs, where the device sees them.
    start : number, tuple or None
        What a reduction of no elements is, and what a scan begins with.
    run : callable, optional
        That of a step, in the place of the part's.
    """

    def __init__(
        self, part: LocalPart, values: Values, at: Any, given: Segments, offsets: Any, start: Any, run: Any = None
    ) -> None:
        self.run = part.run if run is None else run
        self.work = given.end - given.begin + given.count
        self.part, self.values, self.at, self.given, self.offsets = part, values, at, given, offsets
        self.blocks, self.size = given.blocks(part, values.kernels)
        self.start = first_value(values, start)
        self.windows = (given.end - given.begin) // segments.PIECE + 1 if given.longest > segments.PIECE else 0
        self.sums = part.empty(2 * self.windows, values.dtype)
        self.heads = part.empty(self.windows, np.int64)  # the segments of several pieces, by where they begin
        self.skip = 0  #: elements at the beginning of which no prefix is stored

    def totals(self, first: int, count: int, out: Any) -> None:
        """The folds of so many pieces from an element on."""
        fold, store = fold_of(self.values, self.at), self.values.store

        def total(k: int, first: int, out: Any) -> None:
            q = first + k * segments.PIECE
            store(np.uint64(k), out, fold(q, q + segments.PIECE))

        self.part.run(count, total, first, out)

    def reduce(self, out: Any, aliases: Mapping[str, Any] = NEW) -> bool:
        """The reduction of every segment; False if it did not run.

        `aliases` are `out` and `like` of `portapar.few.Step`, if the user gave the output.
        """
        given, op, start, started = self.given, self.values.op, self.start, int(self.values.init is not None)
        load, store, keep = self.values.load, self.values.store, codec(out.dtype).store
        fold, fold_staged = fold_of(self.values, self.at), fold_from(self.values, segment_groups.staged(self.values))
        bare = int(not chained(self.values))

        def give(
            s: int, lo: int, hi: int, q: int, end: int, acc: Any, begin: int, heads: Any, sums: Any, out: Any
        ) -> None:
            if hi - lo > segments.PIECE:
                segments.keep_head(s, q, lo, begin, heads)
                store(np.uint64(segments.place(q, lo, begin)), sums, acc)
            else:
                if started:
                    acc = op(start, acc)
                elif q == end:
                    acc = start
                keep(np.uint64(s), out, acc)

        def visit(s: int, lo: int, hi: int, q: int, end: int, begin: int, heads: Any, sums: Any, out: Any) -> None:
            if bare and q == end:
                keep(np.uint64(s), out, start)
            else:
                give(s, lo, hi, q, end, fold(q, end), begin, heads, sums, out)

        def visit_staged(
            s: int, lo: int, hi: int, q: int, end: int, staged: Any, base: int, top: int, begin: int, heads: Any,
            sums: Any, out: Any,
        ) -> None:  # fmt: skip
            if bare and q == end:
                keep(np.uint64(s), out, start)
            else:
                acc = fold_staged(q, end, staged, base) if end <= top else fold(q, end)
                give(s, lo, hi, q, end, acc, begin, heads, sums, out)

        def combine(window: int, begin: int, count: int, offsets: Any, heads: Any, sums: Any, out: Any) -> None:
            s = segments.head(window, begin, count, offsets, heads)
            if s >= 0:
                lo, hi = int(offsets[np.uint64(s)]), int(offsets[np.uint64(s + 1)])
                acc = load(np.uint64(segments.place(lo, lo, begin)), sums)
                for q in range(lo + segments.PIECE, hi, segments.PIECE):
                    acc = op(acc, load(np.uint64(segments.place(q, lo, begin)), sums))
                keep(np.uint64(s), out, op(start, acc) if started else acc)

        rest = given.begin, given.count, self.offsets, self.heads, self.sums, out
        if self.part.shares:
            values, longest = self.values, given.longest
            kept = self.at, values.store, visit_staged
            segment_groups.walk(self.part, given.end, longest, values.dtype, *kept, *rest)
        elif not self.run(self.blocks, segments.walk(visit), self.size, *rest, work=self.work, **aliases):
            return False
        if self.windows:
            for_each(self.part.how, self.windows, combine, *rest)
        return True

    def scan(self, inclusive: bool, started: bool, out: Any, aliases: Mapping[str, Any] = NEW) -> bool:
        """The prefixes of every segment; see `reduce`."""
        given, op, at, start, has = self.given, self.values.op, self.at, self.start, int(started)
        load, store, keep = self.values.load, self.values.store, codec(out.dtype).store
        fold = fold_of(self.values, self.at)
        pick, skip = keep_after if inclusive else keep_before, self.skip
        if skip:
            whole = keep

            def keep(i: Any, out: Any, value: Any) -> None:
                if int(i) >= skip:
                    whole(np.uint64(int(i) - skip), out, value)

        def total(s: int, lo: int, hi: int, q: int, end: int, begin: int, heads: Any, sums: Any, out: Any) -> None:
            if hi - lo > segments.PIECE:
                segments.keep_head(s, q, lo, begin, heads)
                store(np.uint64(segments.place(q, lo, begin)), sums, fold(q, end))

        def carry(window: int, begin: int, count: int, offsets: Any, heads: Any, sums: Any) -> None:
            s = segments.head(window, begin, count, offsets, heads)
            if s >= 0:
                lo, hi = int(offsets[np.uint64(s)]), int(offsets[np.uint64(s + 1)])
                acc = load(np.uint64(segments.place(lo, lo, begin)), sums)
                acc = op(start, acc) if has else acc
                for q in range(lo + segments.PIECE, hi, segments.PIECE):
                    place = np.uint64(segments.place(q, lo, begin))
                    after = op(acc, load(place, sums))
                    store(place, sums, acc)
                    acc = after

        def visit(s: int, lo: int, hi: int, q: int, end: int, begin: int, heads: Any, sums: Any, out: Any) -> None:
            i, acc = q, start
            if q > lo:
                acc = load(np.uint64(segments.place(q, lo, begin)), sums)
            elif not has and q < end:
                acc = at(q)
                keep(np.uint64(q), out, acc)
                i = q + 1
            while i < end:
                after = op(acc, at(i))
                keep(np.uint64(i), out, pick(acc, after))
                acc = after
                i += 1

        rest = given.begin, given.count, self.offsets, self.heads, self.sums
        if self.windows:
            if not self.run(self.blocks, segments.walk(total), self.size, *rest, self.sums, work=self.work):
                return False
            for_each(self.part.how, self.windows, carry, *rest)
        return self.run(self.blocks, segments.walk(visit), self.size, *rest, out, work=self.work, **aliases)


def first_value(values: Values, start: Any) -> Any:
    """What segments begin with; where that is nothing, a value of the right type, which is not used."""
    return as_scalars(np.zeros(1, values.dtype)[0]) if start is None else start


def chained(values: Values) -> bool:
    return not values.ordered and values.identity is not None


def fold_of(values: Values, at: Any) -> Any:
    """The kernel function that folds neighbouring elements, at least one if they are not `chained`.

    In chains, element i goes into chain i modulo four, which hides the latency of `op`; where neighbours must be
    combined first, four of them are. Short segments cost what their branches cost, which no processor foresees:
    there are as few as can be.
    """

    def element(i: int, held: int, base: int) -> Any:
        return at(i)

    fold = fold_from(values, element)

    def fold_all(lo: int, hi: int) -> Any:
        return fold(lo, hi, 0, 0)

    return fold_all


def fold_from(values: Values, at: Any) -> Any:
    """The same, ``fold(lo, hi, held, base)``, of elements ``at(i, held, base)``."""
    op, neutral = values.op, values.neutral

    def fours(lo: int, hi: int, held: Any, base: int) -> Any:
        a = at(lo, held, base)
        i = lo + 1
        while i + 4 <= hi:
            b, c = op(at(i, held, base), at(i + 1, held, base)), op(at(i + 2, held, base), at(i + 3, held, base))
            a = op(a, op(b, c))
            i += 4
        while i < hi:
            a = op(a, at(i, held, base))
            i += 1
        return a

    def chains(lo: int, hi: int, held: Any, base: int) -> Any:
        a = b = c = d = neutral
        i = lo
        while i + 4 <= hi:
            a, b = op(a, at(i, held, base)), op(b, at(i + 1, held, base))
            c, d = op(c, at(i + 2, held, base)), op(d, at(i + 3, held, base))
            i += 4
        if i < hi:
            a = op(a, at(i, held, base))
            if i + 1 < hi:
                b = op(b, at(i + 1, held, base))
                if i + 2 < hi:
                    c = op(c, at(i + 2, held, base))
        return op(op(a, b), op(c, d))

    return chains if chained(values) else fours


def keep_before(before: Any, after: Any) -> Any:
    return before


def keep_after(before: Any, after: Any) -> Any:
    return after
