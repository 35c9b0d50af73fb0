"""Work that is counted, rates that are kept, and what is chosen by them."""

import contextlib
import json
import math
import sys
import time
import warnings
import weakref
from dataclasses import replace

import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar import cache, choice, cost, history, observed, rates, tuning, work
from portapar.balance import Balance, rounded
from portapar.candidates import Candidate, Choice
from portapar.rates import Profile, Rates
from portapar.work import Work

N = 10_000
FLAT = Rates(1e-5, ((1e3, 1e10), (1e9, 1e10)), 1e10, 2e10, 1e9, 1e9, 1e9, 1e8, 1e8, threads=1, close=1e9)


def counted(algorithm, *args, **keywords):
    return work.of(pp.plan(algorithm, pp.par.on(pp.threads(2)), *args, **keywords).loop.problem)


# work -----------------------------------------------------------------------------------------------------


def test_elements_are_counted():
    x, y = np.zeros(N), np.zeros(N)
    found = counted(pp.transform, x, y, op=lambda a, b: math.exp(a) * b + 1)
    assert found == Work(1, 3 * 8 * N, 2 * N, 0, N, touched=3 * 8 * N)
    small = x.astype(np.float32)
    found = counted(pp.transform, small, op=lambda a: a * np.float32(2))
    assert (found.traffic, found.singles, found.doubles) == (8 * N, N, 0)
    found = counted(pp.transform_reduce, x, y, transform=lambda a, b: a * b, op=lambda a, b: a + b)
    assert (found.traffic, found.doubles) == (16 * N, 2 * N)


@pytest.mark.parametrize("rounds", [0, 3, 100])
def test_loops_are_counted(rounds):
    def body(i, n, x, out):
        s = x[i]
        for _ in range(n):
            s = s * 0.5 + 1.0
        out[i] = s

    found = counted(pp.for_each, N, body, rounds, np.zeros(N), np.zeros(N))
    assert found.looped == 2 * rounds * N and found.traffic == 16 * N


def test_a_matrix_product_is_counted():
    def body(i, j, a, b, c):
        s = 0.0
        for k in range(a.shape[1]):
            s += a[i, k] * b[k, j]
        c[i, j] = s

    found = counted(pp.for_each, (30, 50), body, np.zeros((30, 70)), np.zeros((70, 50)), np.zeros((30, 50)))
    assert found.doubles == found.looped == 30 * 50 * 70  # sums wait for those before
    assert found.traffic == 8 * (30 * 70 + 70 * 50 + 30 * 50)  # each element once


def test_rows_of_a_sparse_matrix_are_counted():
    def row(i, start, column, value, x, y):
        s = 0.0
        for k in range(start[i], start[i + 1]):
            s += value[k] * x[column[k]]
        y[i] = s

    column, value = np.zeros(30 * N, np.int32), np.zeros(30 * N)
    found = counted(pp.for_each, N, row, np.arange(N + 1) * 30, column, value, np.zeros(99 * N), np.zeros(N))
    assert found.chained == found.scattered == pytest.approx(30 * N)  # products do not wait for each other
    assert found.doubles == pytest.approx(30 * N)
    assert found.traffic == pytest.approx(30 * N * 12 + 8 * N + 8 * (N + 1), rel=0.05)
    assert found.spread == 8 * 99 * N


def test_rows_are_of_the_mean_length_however_many_are_read():
    """A frontier of a search has few of all rows; how places are made and cast does not matter."""

    def reach(k, front, start, column, out):
        u = np.uint32(front[k])
        s = 0
        for e in range(start[u], start[np.uint64(u) + np.uint64(1)]):
            s = max(s * 2, column[e])
        out[k] = s

    given = np.zeros(10, np.int32), np.arange(N + 1) * 30, np.zeros(30 * N, np.int32), np.zeros(10)
    found = counted(pp.for_each, 10, reach, *given)
    assert found.chained == pytest.approx(2 * 30 * 10) and found.traffic < 40 * 30 * 10

    def first(k, start, column, wanted, out):  # which is anywhere in its row
        for e in range(start[k], start[k + 1]):
            if column[e] == wanted and out[k] < 0:
                out[k] = e
                break

    given = np.arange(N + 1) * 30, np.zeros(30 * N, np.int32), 3, np.zeros(N, np.int32)
    found = counted(pp.for_each, N, first, *given)
    done = found.doubles + found.chained
    assert done == pytest.approx((1 + 0.5 + 1) * 15 * N, rel=0.1)  # the second comparison half the time

    def blocks(k, size, start, x, out):  # of several rows each
        s = 0.0
        for e in range(start[k * size], start[(k + 1) * size]):
            s += x[e] * 2.0
        out[k] = s

    found = counted(pp.for_each, 10, blocks, N // 10, np.arange(N + 1) * 30, np.zeros(30 * N), np.zeros(10))
    assert found.chained == pytest.approx(30 * N)


def test_what_waits_for_the_round_before_is_counted_apart():
    def twice(v):
        return v * 2.0 + 1.0

    def body(i, start, x, y):
        a = b = c = 0.0
        for k in range(start[i], start[i + 1]):
            a += x[k] * x[k] - 1.0
            b = (b * 0.5 + x[k] * 3.0) / 2.5
            c = twice(c)
        y[i] = a + b + c

    found = counted(pp.for_each, N, body, np.arange(N + 1) * 10, np.zeros(10 * N), np.zeros(N))
    assert found.chained == pytest.approx((3 + 7 + 2) * 10 * N, rel=0.01)  # a helper is taken to wait: all operations

    def slow(i, start, x, y):
        a = b = 0.0
        for k in range(start[i], start[i + 1]):
            a += x[k] * x[k] - 1.0
            b = (b * 0.5 + x[k] * 3.0) / 2.5
        y[i] = a + b

    found = counted(pp.for_each, N, slow, np.arange(N + 1) * 10, np.zeros(10 * N), np.zeros(N))
    assert found.chained == pytest.approx((1 + 1 + 1 + 4) * 10 * N, rel=0.01)
    assert found.doubles == pytest.approx((2 + 1) * 10 * N, rel=0.05)


def test_updates_and_helpers_are_counted():
    def bump(counts, k):
        pp.atomic.add(counts, k, 1)

    def body(i, keys, counts):
        if keys[i] >= 0:
            bump(counts, keys[i])

    found = counted(pp.for_each, N, body, np.zeros(N, np.int64), np.zeros(9, np.int64))
    assert found.atomics == N and found.close == N


def test_loops_of_all_kinds_are_counted():
    """Rounds of ranges with ends and steps of all kinds, of what nothing is known, of what changes in a loop."""

    def ranges(i, n, x, out):
        s = x[i]
        for _ in range(n, -1, -2):
            s += 1.0
        for _ in range(0, n, 4):
            s += 1.0
        for _ in range(0, n, 0):
            s += 1.0
        for _ in range(5, 2):
            s += 1.0
        out[i] = s

    for n, rounds in ((7, 4 + 2), (np.int64(7), 4 + 2), (-3, 0)):
        assert counted(pp.for_each, N, ranges, n, np.zeros(N), np.zeros(N)).doubles == rounds * N

    def unknown(i, out):
        n = 1
        while n < 1000:
            n = n * 2
        for _ in range(n):
            out[i] = 1.0

    found = counted(pp.for_each, N, unknown, np.zeros(N))  # eight rounds, and as many as reach each element once
    assert (found.chained, found.doubles, found.traffic) == (24 * N, 0, 8 * N)

    def rows(i, a, x):
        for k in range(len(a)):
            x[i] += a[k, 0]

    found = counted(pp.for_each, N, rows, np.zeros((3, 50)), np.zeros(N))
    assert found.doubles == 3 * N and found.traffic == 2 * 8 * N + 3 * 50 * 8  # in place: read and written


def test_chains_of_helpers_are_counted_once(module):
    """Each calls the one before it twice."""
    helpers = "".join(f"def f{k}(v):\n    return f{k - 1}(v) + f{k - 1}(v)\n" for k in range(1, 30))
    found = counted(pp.transform, np.zeros(2), op=module(f"def f0(v):\n    return v + 1.0\n{helpers}").f29)
    assert found.doubles == 2 * (2**30 - 1)


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_is_little_work(size):
    found = counted(pp.transform, np.zeros(size), op=lambda v: v + 1)
    assert found.launches == 1 and (found.alone or found).doubles == size
    assert cost.seconds(found, FLAT) >= FLAT.launch


def test_blocks_are_counted():
    def body(_, size, x, marks, out):
        block = pp.atomic.add(marks, 0, 1)
        lo = block * size
        s = 0.0
        for i in range(lo + 1, min(len(x), lo + size)):
            s += x[i]
        while pp.atomic.add(marks, 1, 0) < 0:
            pass
        out[block] = s

    found = counted(pp.for_each, 10, body, N // 10, np.zeros(N), np.zeros(2, np.int64), np.zeros(10))
    assert found.scattered == 0 and found.atomics == 20
    assert (found.chained, found.traffic) == pytest.approx((N, 8 * N), rel=0.02)


@pytest.mark.parametrize("begin, end, size", [(0, 1000, 64), (273, 4245, 64), (5, 8, 16384), (0, 4096, 1)])
def test_blocks_of_a_part_of_an_array_are_counted(begin, end, size):
    """Whatever is in them, and however long the arrays are; the last block may be short, or there is but one."""

    def body(block, begin, end, size, starts, x, out):
        for k in range(begin + block * size, min(begin + (block + 1) * size, end)):
            for e in range(starts[k], starts[k + 1]):
                out[k] += x[e] * 2.0

    x, out = np.zeros(4 * N), np.zeros(N)
    blocks = -(-(end - begin) // size)
    found = counted(pp.for_each, blocks, body, begin, end, size, np.arange(N + 1) * 4, x, out)
    assert 0 <= found.operations - 2 * 4 * (end - begin) <= 3 * blocks  # and the ends of blocks

    def windows(i, size, x, out):  # which lie on each other
        for k in range(i, min(i + size, len(x))):
            out[i] += x[k] * 2.0

    found = counted(pp.for_each, N, windows, size, x, out)
    assert 0 <= found.operations - 2 * size * N <= 3 * N


def test_counting_in_a_private_array_is_done_one_by_one():
    """In whichever of two branches, of which nobody knows how often it is taken; each goes through all of the array."""

    def digits(x, lo, hi, out):
        counts = np.zeros(16, np.int64)
        for i in range(lo, hi):
            counts[np.int64(x[i]) & 15] += 1
        for d in range(16):
            out[d] = counts[d]

    def one(_, starts, x, y, out):
        digits(x, starts[0], starts[1], out)

    def either(_, starts, x, y, out):
        if starts[0] > 5:
            digits(x, starts[0], starts[1], out)
        else:
            digits(y, starts[0], starts[1], out)

    given = np.array([0, N]), np.arange(N), np.arange(N), np.zeros(16, np.int64)
    for kernel in (one, either):
        done = counted(pp.for_each, 1, kernel, *given).alone
        assert done.chained == pytest.approx(N, rel=0.01) and done.doubles < 0.01 * N


@pytest.mark.parametrize("often", [0.0, 0.5, 1.0])
def test_branches_that_nobody_can_foresee_take_longer(often):
    def body(i, start, column, marks, out):
        for e in range(start[i], start[i + 1]):
            if marks[column[e]] > 0:
                pp.atomic.add(out, column[e], 1)

    random = np.random.default_rng(0)
    marks = (random.random(N) < often).astype(np.int8)
    given = np.arange(1001) * 4, random.integers(0, N, 4000, dtype=np.int32), marks, np.zeros(N, np.int32)
    problem = pp.plan(pp.for_each, pp.par.on(pp.threads(2)), 1000, body, *given).loop.problem
    found = work.of(problem, seen={(k, j): (often, False) for k in range(1, 9) for j in (8,)})
    assert found.chained == pytest.approx(4000 * 32 * often * (1 - often), abs=4000)


def test_loops_that_count_are_counted():
    """`while` as `for`: in steps, with the rest left for another loop, also where a helper does what is inside."""

    def bump(a, k, out, n):
        out[k] = a[k] * n

    def body(block, size, x, out):
        i, stop = block * size, min(len(x), (block + 1) * size)
        while i + 8 <= stop:
            for k in range(8):
                bump(x, i + k, out, 2.0)
            i += 8
        for rest in range(i, stop):
            out[rest] = x[rest] * 2.0

    found = counted(pp.for_each, 10, body, N // 10, np.zeros(N), np.zeros(N))
    assert found.chained == 0 and found.traffic == 16 * N and found.doubles == pytest.approx(2 * N, rel=0.3)

    def strided(block, size, x, out):
        lo, s = block * size, 0.0
        while lo < (block + 1) * size:
            hi = lo + 100
            for i in range(lo, hi):
                s += x[i]
            lo = hi
        out[block] = s

    found = counted(pp.for_each, 10, strided, N // 10, np.zeros(N), np.zeros(10))
    assert found.chained == pytest.approx(N, rel=0.2)  # a round needs the sum of the one before


def test_a_loop_around_others_runs_twice():
    """Where nothing says how often: what is inside goes through the arrays."""

    def body(block, starts, a, b):
        lo, hi = starts[block], starts[block + 1]
        done = False
        while not done:
            done = a[lo] < 0.0
            for i in range(lo, hi):
                b[i] = a[i] + 1.0

    found = counted(pp.for_each, 100, body, np.arange(101) * (N // 100), np.zeros(N), np.zeros(N))
    assert found.doubles == pytest.approx(2 * N, rel=0.1) and found.chained == 400


def test_arrays_are_moved_once_by_whatever_names():
    def body(i, a, b, c, out):
        out[i] = a[i] + b[i] + c[i]

    x, out = np.zeros(N), np.zeros(N)
    assert counted(pp.for_each, N, body, x, x, np.zeros(N), out).traffic == 3 * 8 * N
    assert counted(pp.for_each, N, body, x, x, x, x).traffic == 2 * 8 * N  # read and written


def test_tables_in_the_first_cache_are_counted_apart():
    def body(i, keys, small, large, out):
        near = np.zeros(4)
        near[0] = keys[i]
        out[i] = small[int(near[0])] + large[keys[i]]

    given = np.zeros(N, np.int64), np.zeros(100), np.zeros(N)
    found = counted(pp.for_each, N, body, *given, np.zeros(N))
    assert (found.close, found.scattered, found.spread) == (N, N, 8 * N)
    assert found.traffic == 16 * N and found.doubles == N


def test_whole_numbers_are_as_wide_as_they_are():
    for dtype, wide in ((np.int64, True), (np.int32, False), (np.uint8, False), (np.float64, True)):
        found = counted(pp.transform, np.zeros(N, dtype), op=lambda v: v + v)
        assert (found.doubles, found.singles) == ((N, 0) if wide else (0, N))


def test_divisions_are_counted():
    for op, each in (
        (lambda v: v / 3.0, 4), (lambda v: v / 0.5, 1), (lambda v: v // 3.0, 6), (lambda v: v % 4.0, 1),
        (lambda v: v if v > 0 else 1.0, 2),
    ):  # fmt: skip
        assert counted(pp.transform, np.zeros(N), op=op).doubles == each * N


def test_steps_are_counted():
    """One kernel, a remembered step of few elements, kernels of an algorithm of several steps."""
    x = np.random.default_rng(0).random(N)
    for call, wanted in (
        (lambda how: pp.transform(how, x, op=lambda v: v + 1), (1, 0, 0)),
        (lambda how: pp.inclusive_scan(how, x[:100]), (0, 0, 1)),
        (lambda how: pp.stencil(how, x.reshape(100, 100), lambda a, i, j: a[i - 1, j] + a[i, j + 1]), (0, 2, 0)),
    ):
        _, found = choice.counted(lambda call=call: call(pp.par.on(pp.threads(2))))
        assert (found.launches, found.steps, found.few) == wanted
    slow = Rates(1e-6, *(getattr(FLAT, name) for name in list(FLAT.__dataclass_fields__)[1:9]), step=1e-3, few=1e-4)
    assert cost.seconds(Work(2, steps=3, few=1), slow) == pytest.approx(2e-6 + 3e-3 + 1e-4)


# seconds --------------------------------------------------------------------------------------------------


def test_the_slower_of_traffic_and_arithmetic_counts():
    assert cost.seconds(Work(1, traffic=1e8, doubles=1e7), FLAT) == pytest.approx(1e-5 + 1e-2, rel=0.01)
    heavy = Work(1, traffic=1e7, doubles=1e8, special=1e8)
    assert cost.seconds(heavy, FLAT) == pytest.approx(1e-5 + 1e-2 + 1e-1, rel=0.01)
    corner = cost.seconds(Work(1, traffic=1e8, doubles=1e8), replace(FLAT, doubles=1e10))
    assert corner == pytest.approx(1e-5 + 2**0.5 * 1e-2)  # as long as each other, they overlap in part
    assert cost.seconds(Work(1, scattered=1e8, spread=1e3), FLAT) == pytest.approx(1e-5 + 1e-1)
    moved = replace(FLAT, into=((0, 1e-3), (1e9, 1.001)), out=((0, 2e-3), (2e9, 1.002)))
    assert cost.seconds(Work(1), moved, into=[1e9], out=[1e9]) == pytest.approx(1e-5 + 1.001 + 0.502)
    assert cost.seconds(Work(1), moved, into=[1e6, 3e9, 0]) == pytest.approx(1e-5 + 0.002 + 3.001)  # each for itself
    assert cost.seconds(Work(1), FLAT, into=[1e9], out=[1e9]) == pytest.approx(1e-5)


def _falls(i, x, out):  # rounds that no text says
    k, v = 0, x[i]
    while v > 1.0:
        v = v * 0.5
        k += 1
    out[i] = k


def _looks(i, x, out):  # a loop that data end
    for k in range(len(x)):
        if x[(i + k) % len(x)] > 1000.0:
            out[i] = k
            break


def _grows(i, x, out):  # branches with loops: one in eight
    if x[i] > 1000.0:
        for k in range(i):
            out[i] += x[k]


@pytest.mark.parametrize(("kernel", "rounds"), [
    (_falls, lambda x: np.ceil(np.log2(x)).mean()),
    (_looks, lambda x: 4.5),
    (_grows, lambda x: len(x) / 2),
])  # fmt: skip
def test_what_data_decide_is_observed(kernel, rounds):
    x = np.random.default_rng(3).uniform(2, 500, 4096)
    x[7::8] = 1024.0
    out = np.zeros(len(x))
    asked = pp.plan(pp.for_each, pp.par.on(pp.threads(2)), len(x), kernel, x, out).loop.problem
    seen, steps = observed.of(asked, 0, len(x), 10**7)
    assert observed.of(asked, 0, len(x), 10**7) == (seen, steps)
    found = max(often for often, _ in seen.values())
    assert found == pytest.approx(rounds(x), rel=0.35) and not out.any()
    told = work.of(asked, seen=seen)
    expected = len(x) * rounds(x) / (8 if kernel is _grows else 1)
    assert 0.5 < (told.chained + told.looped + told.doubles) / expected < 16


def _waits(i, marks, x):
    while pp.atomic.add(marks, 0, 0) == 0:
        pass
    x[i] = 1.0


def _never(i, marks, x):
    while marks[0] == 0:
        x[i] += 1.0


@pytest.mark.parametrize("kernel", [_waits, _never])
@pytest.mark.parametrize("size", [100, 200_000])  # copied as a whole, or what is written to
def test_observing_ends_and_writes_nothing(kernel, size):
    marks, x = np.zeros(1, np.int64), np.zeros(size)
    asked = pp.plan(pp.for_each, pp.par.on(pp.threads(2)), size, kernel, marks, x).loop.problem
    begun = time.thread_time()
    seen, steps = observed.of(asked, 0, size, 300_000)
    assert time.thread_time() - begun < 0.2 and not x.any() and not marks.any()
    assert seen == ({(2, 4): (seen[2, 4][0], True)} if kernel is _never else {}) and steps <= 300_000 + 20
    assert observed.of(asked, 0, size, 300_000) == (seen, steps)  # however busy the machine is


def _in_rows(i, counts, x):
    row = x[i]
    for k in range(counts[i]):
        row[k % 2] += 1.0


def _in_records(i, counts, x):
    for _ in range(counts[i]):
        x[i]["v"][1] += 1.0
        x[i]["a"] -= 1


@pytest.mark.parametrize(("kernel", "dtype", "shape"), [
    (_in_rows, "f8", (70_000, 2)),
    (_in_records, [("a", "i4"), ("v", "f8", 2)], (70_000,)),
])  # fmt: skip
def test_observing_writes_to_no_row_of_what_is_large(kernel, dtype, shape):
    counts, x = np.full(shape[0], 5), np.zeros(shape, dtype)
    asked = pp.plan(pp.for_each, pp.par.on(pp.threads(2)), shape[0], kernel, counts, x).loop.problem
    seen, _ = observed.of(asked, 0, shape[0], 10**7)
    assert [often for often, _ in seen.values()] == [5.0] and not x.view(np.uint8).any()


def test_what_python_cannot_run_is_guessed():
    def body(i, x, out):
        k = np.int64(x[i])  # beyond the array for Python too
        while out[k] > 0:
            k += 1

    x, out = np.full(50, 10**9), np.zeros(50)
    asked = pp.plan(pp.for_each, pp.par.on(pp.threads(2)), 50, body, x, out).loop.problem
    assert observed.of(asked, 0, 50, 10**6)[0] == {} and work.of(asked, seen={}) == work.of(asked)


def test_what_is_read_again_comes_from_the_first_cache():
    def mean(x, i, j):
        return 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1])

    def product(i, a, x, y):
        s = 0.0
        for k in range(a.shape[1]):
            s += a[i, k] * x[k]
        y[i] = s

    x = np.ones((100, 100))
    found = choice.counted(lambda: pp.stencil(pp.par.on(pp.threads(2)), x, mean))[1]
    assert found.touched >= 5 * 8 * 98 * 98 > 2 * found.traffic  # each neighbour, and the new value
    near = replace(FLAT, streams=((1e3, 2e10), (1e9, 1e10)))
    assert cost.seconds(Work(1, traffic=1e8, touched=5e8), near) == pytest.approx(1e-5 + 5e8 / 2e10)
    found = counted(pp.for_each, 100, product, x, np.ones(100), np.ones(100))
    assert found.touched == 8 * 100  # what loops use again may be in registers


def test_what_goes_to_the_next_free_place_is_in_order():
    def body(_, keys, at, out):
        for i in range(len(keys)):
            place = at[keys[i]]
            at[keys[i]] = place + 1
            out[place] = keys[i]

    keys, at, out = np.zeros(N, np.int32), np.zeros(256, np.int64), np.zeros(100 * N, np.int32)
    found = counted(pp.for_each, 1, body, keys, at, out).alone
    assert found.scattered == 0 and found.close == 2 * N and found.traffic >= 8 * N


def test_a_search_of_a_graph_is_what_it_looks_at():
    """Edges that are never looked at are not counted, with what is known of steps in the first call."""
    n = 3000
    target = np.random.default_rng(5).integers(0, n, 16 * n, dtype=np.int32)
    graph = pp.graph.Graph(np.arange(n + 1) * 16, target)
    _, done = choice.counted(lambda: pp.graph.bfs(pp.par.on(pp.threads(2)), graph, 0))
    both = done + (done.alone or Work())
    assert both.close + both.scattered < 2 * 16 * n
    assert both.close + both.scattered > 16 * n / 16


def test_what_a_sort_measures_first_is_not_its_work(monkeypatch):
    monkeypatch.setattr(tuning, "_known", {})
    monkeypatch.setattr(tuning, "_loaded", [True])
    monkeypatch.setattr(tuning, "keep", tuning._known.update)
    x = np.random.default_rng(5).random(30_000)
    _, done = choice.counted(lambda: pp.sort(pp.par.on(pp.threads(2)), x))
    assert (done + (done.alone or Work())).traffic < 100 * x.nbytes and done.sorted in (0, x.nbytes)


def test_steps_of_one_iteration_are_done_by_one_thread():
    x = np.random.default_rng(5).random(3000)
    _, done = choice.counted(lambda: pp.inclusive_scan(pp.par.on(pp.threads(2)), x))
    assert done.traffic == 0 and done.alone is not None and done.alone.traffic >= 16 * len(x)
    two, four = (replace(FLAT, threads=k, fork=0.0) for k in (2, 4))
    assert cost.seconds(done, four) > 1.9 * cost.seconds(done, two) - two.few


def test_sorts_of_the_device_and_captured_values_are_noted():
    x, c = np.random.default_rng(5).random(30_000), 3.0
    with tuning.trying(sort=math.inf, sort_alone=math.inf):
        _, done = choice.counted(lambda: pp.sort(pp.par.on(pp.threads(2)), x))
    assert done.sorted == x.nbytes
    slow = replace(FLAT, sorts=((1e3, 1e6), (1e6, 1e5)))
    assert cost.seconds(done, slow) > x.nbytes / 1e6
    for op, count in ((lambda v: v * c, 1), (lambda v: v * 2.0, 0)):
        assert choice.counted(lambda op=op: pp.transform(pp.par.on(pp.threads(2)), x, op=op))[1].captures == count


def test_rates_between_measured_sizes():
    one = Rates(1e-6, ((1e4, 1e11), (1e6, 1e10)), *[1e9] * 7)
    assert [one.bandwidth(s) for s in (1, 1e4, 1e6, 1e9)] == pytest.approx([1e11, 1e11, 1e10, 1e10])
    assert one.bandwidth(1e5) == pytest.approx(1e11 / 10**0.5)


# what is kept ---------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch):
    """Nothing is known."""
    before = list(rates._known)
    rates._known.clear()
    choice._states.clear()
    monkeypatch.setattr(history, "_loaded", [{}])
    yield
    rates._known[:] = before
    choice._states.clear()


@pytest.mark.parametrize("number", [float("nan"), -1.0, float("inf"), "many", None, [1]])
def test_numbers_of_a_machine_that_cannot_be_are_not_used(monkeypatch, number):
    monkeypatch.setattr(tuning, "_known", {})
    monkeypatch.setattr(tuning, "_loaded", [])
    monkeypatch.setattr(cache, "load", lambda name, counts=True: json.dumps({"sort": 5.0, "wake": number}).encode())
    with pytest.warns(pp.PortaparWarning, match="numbers of this machine in .* are not used"):
        assert tuning.measured() == {}
    assert tuning.value("wake") == tuning.NUMBERS["wake"].start()


def test_executors_that_were_not_measured_together_may_be_the_same_cores():
    known = Profile(shared={"simd+threads": (0.9, 0.8)})
    assert known.together(("threads", "simd"), True) == 0.8 and known.together(("simd",), False) == 1.0
    assert known.together(("threads", "simd", "opencl:0"), False) == 0.5


def test_profiles_are_kept(alone, monkeypatch):
    found = Profile({"threads": FLAT, "cuda:1": rates.built_in("cuda", 0)}, {"cuda:1+threads": (0.9, 0.5)})
    kept = {}
    monkeypatch.setattr(cache, "store", kept.__setitem__)
    monkeypatch.setattr(cache, "load", lambda name, counts=True: kept.get(name))
    rates.keep(found)
    rates._known.clear()
    again = rates.profile()
    assert again == found and again is not found
    assert again.together(("cuda:1", "threads"), True) == again.together(("cuda:1", "other"), True) == 0.5

    ((name, text),) = kept.items()
    for change, what in (
        (lambda t: t["executors"]["threads"].update(doubles=-1), "doubles of threads is -1"),
        (lambda t: t["executors"]["threads"].update(launch=float("nan")), "launch of threads is nan"),
        (lambda t: t["executors"]["threads"].update(streams="fast"), "streams of threads"),
        (lambda t: t["executors"]["threads"].update(streams=[]), "streams of threads"),
        (lambda t: t["executors"]["threads"].update(streams=[[9, 1], [3, 1]]), "streams of threads"),
        (lambda t: t["executors"]["cuda:1"].update(into=3), "into of cuda:1"),
        (lambda t: t["executors"]["cuda:1"].update(into=[1e-5, 1e9]), "into of cuda:1 has 1e-05"),
        (lambda t: t["executors"]["cuda:1"].update(out=[[0, 1e-5]]), "out of cuda:1 is .* two pairs"),
        (lambda t: t["executors"]["cuda:1"].update(out=[[0, 1e-5], [10, 1e-6]]), "out of cuda:1 is .* do not fall"),
        (lambda t: t["executors"]["cuda:1"].update(out=[[10, 1e-5], [0, 1e-4]]), "out of cuda:1 is .* grow"),
        (lambda t: t["executors"]["cuda:1"].update(out=[[-1, 1e-5], [10, 1e-4]]), "out of cuda:1 is -1"),
        (lambda t: t["executors"]["threads"].update(special=[1, 2]), "special of threads"),
        (lambda t: t["executors"]["threads"].update(near=float("inf")), "near of threads is inf"),
        (lambda t: t["shared"].update({"cuda:1+threads": [0.5, "half"]}), "cuda:1.threads is 'half'"),
        (lambda t: t["executors"]["threads"].pop("far"), "far"),
        (lambda t: t["executors"]["threads"].update(launch=1e9), "launch of threads is 1.*from 1e-15 to 10000"),
        (lambda t: t["executors"]["threads"].update(atomics=1e-9), "atomics of threads is 1e-09"),
        (lambda t: t["executors"]["threads"].update(few=10**400), "few of threads is 1000"),
        (lambda t: t["executors"]["threads"].update(measured="no"), "measured of threads is 'no'"),
        (lambda t: t["executors"].update(thread=t["executors"]["threads"]), "'thread' of executors is not known"),
        (lambda t: t["executors"].update({"cuda:x": t["executors"]["cuda:1"]}), "'cuda:x' of executors is not known"),
        (lambda t: t["shared"].update({"threads": [1, 1]}), "threads of shared is not known"),
        (lambda t: t["shared"].update({"simd+threads": [1, 1]}), "threads of shared is not known"),
        (lambda t: t.update(version=0), "version is 0"),
        (lambda t: t["about"].update(cpu="another"), "measured elsewhere: cpu was 'another'"),
        (lambda t: t["about"].clear(), "cpu of about is missing"),
        (lambda t: t.pop("shared"), "shared"),
    ):
        wrong = json.loads(text)
        change(wrong)
        kept[name] = json.dumps(wrong).encode()
        rates._known.clear()
        with pytest.warns(pp.PortaparWarning, match=f"profile in .* is not used.*{what}"):
            assert rates.profile() == Profile()
    for wrong in (b"{", b"", b"NaN", b"[1]", b"1e999", b"[" * 100_000, b"\xff\xfe\xff", b"{}", b'{"executors": []}'):
        kept[name] = wrong
        rates._known.clear()
        with pytest.warns(pp.PortaparWarning, match="is not used"):
            assert rates.profile() == Profile()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):  # it is said once
            assert rates.profile() == Profile()


# choices --------------------------------------------------------------------------------------------------


def candidates(*predicted):
    where = (pp.threads(2), pp.simd(), pp.threads(3))
    return [
        Candidate(pp.auto.on(one), (one,), predicted=seconds) for one, seconds in zip(where, predicted, strict=False)
    ]


def made(*predicted):
    found = candidates(*predicted)
    return Choice(found, found[0], Work(1), "")


def test_what_is_measured_counts():
    one = made(1.0, 2.0, 3.0)
    one.saw(9.0, False)  # it compiled
    one.saw(4.0, True)
    assert one.now.executor is pp.threads(2) and one.now.seen == 4.0  # the others are predicted wrongly, too
    two = made(1.0, 1.1)
    for _ in range(9):
        two.saw(1.0, True)
    assert two.now.executor is pp.threads(2)  # a tenth is less than the error
    three = made(1.0, 0.1)
    for _ in range(3):
        three.saw(1.0, True)
    assert three.now.executor is pp.simd()
    three.saw(8.0, False)
    three.saw(8.0, True)
    assert three.now.executor is pp.threads(2) and "took less" in three.why  # it was not so good
    for _ in range(20):
        three.saw(1.0, True)
    assert three.now.executor is pp.threads(2)


def test_a_single_outlier_does_not_count():
    one = made(1.0, 1.0)
    one.saw(1.0, True)
    for taken in (1.0, 1.0, 50.0, 1.0, 1.1):
        one.saw(taken, True)
        assert one.now.seen < 1.2
    for _ in range(2):
        one.saw(50.0, True)
    assert one.now.seen == 50.0  # twice in a row does


def test_the_first_call_that_counts_may_have_waited():
    one = made(1.0, 1.2)
    for taken in (1.0, 50.0, 1.0, 1.0):
        one.saw(taken, True)
        assert one.now.executor is pp.threads(2)
    assert one.now.seen == 1.0  # nothing makes a call too short


@pytest.mark.parametrize("shares", [(0.5, 0.5), (1.0, 0.0)])
def test_what_once_waited_is_not_slow_for_ever(shares):
    """Neither in this process nor in later ones: one alone is as fast as both where it does all of it."""
    one = cut(2e-3, 1e-3, 3e-3)
    both, alone, _ = one.candidates
    one.candidates.pop()
    both.cut(shares)
    both.balance = Balance(shares)
    both.balance.settled = True
    both.seen, alone.seen, both.calls = 1e-3, 80e-3, 2  # by an earlier process
    if shares[1] == 0:
        alone.predicted = 1.0  # which is of no help
    for _ in range(200):
        if one.now is both:
            both.executor.took = [s * 1e-3 for s in shares]
        one.saw(1e-3 if one.now is both else 5e-4, True)
    assert one.now is alone and alone.seen == pytest.approx(5e-4)


def test_clocks_that_are_set_do_not_count():
    one = made(1.0, 0.9)
    one.saw(1.0, True)
    for taken in (1.0, 0.0, -3.0, math.inf, math.nan, 1.0):
        one.saw(taken, True)
        assert one.now.seen == 1.0 and 1.0 <= one.spent <= 3.0
    balance = Balance((0.5, 0.5))
    for took in ([0.0, 1.0], [-1.0, 1.0], [math.nan, 1.0], [1.0, 1.0]):
        balance.after(took)
    assert balance.shares == (0.5, 0.5) and balance.settled


def cut(*predicted):
    """A choice between a hybrid and its members alone, of which the hybrid is predicted to be the fastest."""
    members = pp.threads(2), pp.simd()
    both = Candidate(pp.par.on(pp.hybrid(*members, weights=(0.5, 0.5))), members, (0.5, 0.5), predicted[0])
    alone = [Candidate(pp.par.on(m), (m,), predicted=x) for m, x in zip(members, predicted[1:], strict=True)]
    return Choice([both, *alone], both, Work(1), "")


def test_a_member_alone_is_tried():
    for alone, wanted in ((2e-3, False), (9e-3, True)):
        one = cut(1e-3, 2e-3, 3e-3)  # that both together take that long is predicted wrongly
        for _ in range(9):
            if len(one.now.members) > 1:
                one.now.executor.took = [4e-3, 4e-3]
                one.saw(8e-3, True)
        assert one.now.executor is pp.threads(2) and "is tried" in one.why
        for _ in range(3):
            if one.now.executor is pp.threads(2):
                one.saw(alone, True)
        assert (len(one.now.members) > 1) is wanted


@pytest.mark.parametrize(("faster", "stays"), [(0.5, True), (0.9, True), (0.97, False), (1.05, False), (9.0, False)])
def test_what_is_tried_stays_only_if_it_is_faster(faster, stays):
    one = made(1.0, 0.1)
    for _ in range(9):
        one.saw(1.0 if one.now is one.candidates[0] else faster, True)
    assert one.candidates[1].calls >= 2  # the first one is not counted
    assert (one.now is one.candidates[1]) is stays


def test_what_was_slow_long_ago_is_tried_again():
    """And a trial costs little beside all calls, however often it is in vain."""
    for later, wanted in ((0.4, pp.simd()), (1.9, pp.threads(2))):
        one, calls = made(1.0, 0.1), []
        for k in range(4000):
            slow = later if k > 20 else 1.9
            calls.append(one.now.executor)
            one.saw(1.0 if one.now.executor is pp.threads(2) else slow, True)
        assert calls[10:20] == [pp.threads(2)] * 10 and one.now.executor is wanted
        assert wanted is pp.simd() or 0 < calls[20:].count(pp.simd()) < 20


def test_who_has_compiled_it_is_tried_when_calls_are_many():
    """Although it should take longer: predictions may be wrong. Others would have to compile it first."""
    for faster, wanted in ((1e-3, pp.simd()), (9e-3, pp.threads(2))):
        one = cut(2e-3, 2e-3, 3e-3)
        one.now.calls, one.now = 1, one.candidates[1]  # both together ran once
        for _ in range(70):
            one.saw(2e-3 if one.now.executor is pp.threads(2) else faster, True)
        assert one.now.executor is wanted
        assert all(candidate.calls for candidate in one.candidates)
    two = made(2e-3, 3e-3)
    for _ in range(100):
        two.saw(2e-3, True)
    assert two.now.executor is pp.threads(2) and two.candidates[1].calls == 0


def test_steps_are_split_only_if_that_should_be_worth_it(alone):
    x = np.random.default_rng(4).random(20_000)
    for share, split in ((1.0, True), (0.55, False)):
        one, both = pp.threads(3), pp.hybrid(pp.threads(3), pp.simd())
        flat = {executor.device.name: FLAT for executor in both.members}
        rates._known[:] = [Profile(flat, {"+".join(sorted(flat)): (share, share)})]
        both.choices.clear()
        assert np.array_equal(pp.sort(pp.par.on(both), x), np.sort(x))
        (choice_,) = both.choices.values()
        assert (len(choice_.now.members) > 1) is split
        assert split or (choice_.now.executor in (one, pp.simd()) and "no split is faster" in choice_.why)


@pytest.mark.parametrize("speeds", [(1, 1), (3, 1), (1, 10), (5, 2)])
def test_shares_follow_speeds_within_three_calls(speeds):
    members = pp.threads(2), pp.simd()
    one = Candidate(pp.par.on(pp.hybrid(*members, weights=(0.5, 0.5))), members, (0.5, 0.5))
    found = Choice([one], one, Work(1), "")
    for _ in range(4):  # the first is not counted
        one.executor.took = [share / speed for share, speed in zip(one.shares, speeds, strict=True)]
        found.saw(max(one.executor.took), True)
    assert one.shares == pytest.approx([speed / sum(speeds) for speed in speeds], abs=0.03)
    assert one.executor.weights[0] / sum(one.executor.weights) == pytest.approx(one.shares[0])


@pytest.mark.parametrize("slowed", [(1 / 3, 1), (1, 1 / 3), (3, 1)])
def test_shares_follow_a_member_that_becomes_slower(slowed):
    members, speeds = (pp.threads(2), pp.simd()), [20.0, 3.0]
    one = Candidate(pp.par.on(pp.hybrid(*members, weights=(0.5, 0.5))), members, (0.5, 0.5))
    found = Choice([one], one, Work(1), "")

    def call(*factors):
        one.executor.took = [s / (v * f) for s, v, f in zip(one.shares, speeds, factors, strict=True)]
        found.saw(max(one.executor.took), True)
        return one.shares

    for _ in range(20):
        cut = call(1, 1)
    assert one.settled and cut == pytest.approx((20 / 23, 3 / 23), abs=0.005)
    for _ in range(3):
        assert call(*slowed) == call(1, 1) == cut  # once is chance
    for _ in range(3):
        call(*slowed)
    wanted = [v * f for v, f in zip(speeds, slowed, strict=True)]
    assert one.shares == pytest.approx([v / sum(wanted) for v in wanted], abs=0.005)
    for noise in (1.02, 0.98, 1.05, 0.96):  # and stay
        cut = one.shares
        assert call(slowed[0] * noise, slowed[1]) == cut


@pytest.mark.parametrize("speeds", [(1, 1), (5, 1), (1, 5), (1, 0)])
def test_a_member_that_has_nothing_is_asked_again(speeds):
    """It may have been busy; if it is as slow as that, to ask it costs little."""
    balance, lost = Balance((1.0, 0.0)), 0.0
    for _ in range(3000):
        took = [s / (v or 1e-4) if s else 0.0 for s, v in zip(balance.shares, speeds, strict=True)]
        lost += max(took) - 1 / sum(speeds)
        balance.after(took)
    assert balance.shares == pytest.approx([v / sum(speeds) for v in speeds], abs=0.01)
    assert lost < 20 if speeds[1] else 0 < lost < 400


def places(cost):
    """Seconds of the part of uneven work from a to b, all of which takes one second."""
    sums = np.append(0.0, np.cumsum(cost)) / np.sum(cost)
    return lambda a, b: (
        np.interp(b, np.linspace(0, 1, len(sums)), sums) - np.interp(a, np.linspace(0, 1, len(sums)), sums)
    )


MIDDLE = np.linspace(0, 1, 400)
UNEVEN = {
    "even": np.ones(400),
    "up": MIDDLE + 0.01,
    "middle": np.exp(-20 * (MIDDLE - 0.5) ** 2),
    "halves": np.where(MIDDLE < 0.5, 0.2, 3.0),
    "chance": np.random.default_rng(3).gamma(1.0, 1, 400),
}


@pytest.mark.parametrize("name", UNEVEN)
@pytest.mark.parametrize("speeds", [(1.0, 1.0), (3.0, 1.0), (1.0, 2.0, 1.0)])
def test_shares_of_uneven_work_follow_within_three_calls(name, speeds):
    """And what a call takes then is near the best, though none ever knew where the work is."""
    seconds = places(UNEVEN[name])
    balance = Balance((1 / len(speeds),) * len(speeds))

    def call(slow=None):
        """What it took, over the least that it could; one of the members may be slow."""
        ends = np.cumsum([0.0, *balance.shares])
        now = [v / 3 if k == slow else v for k, v in enumerate(speeds)]
        took = [float(seconds(a, b)) / v for a, b, v in zip(ends, ends[1:], now, strict=False)]
        balance.after(took)
        return max(took) * sum(now)

    first = [call() for _ in range(12)]
    assert first[-1] < 1.06
    for slow in range(len(speeds)):
        calls = [call(slow) for _ in range(8)]
        assert calls[3] < 1.15 and calls[-1] < 1.1
        assert [call() for _ in range(8)][-1] < 1.1


def test_shares_of_members_that_are_far_apart_or_far_off():
    """Where a member gets next to nothing, or takes thirty times as long for once, shares are still shares."""
    chance = np.random.default_rng(1)
    for _ in range(100):
        count = int(chance.integers(2, 5))
        speeds, seconds = 10.0 ** chance.uniform(-3, 3, count), places(UNEVEN[str(chance.choice(list(UNEVEN)))])
        balance = Balance(rounded((chance.dirichlet(np.ones(count))).tolist()))
        for _ in range(40):
            ends = np.cumsum([0.0, *balance.shares])
            took = [float(seconds(a, b)) / v for a, b, v in zip(ends, ends[1:], speeds, strict=False)]
            took[int(chance.integers(count))] *= 30 if chance.random() < 0.03 else 1
            balance.after(took)
            assert sum(balance.shares) == pytest.approx(1) and min(balance.shares) >= 0
        assert balance.shares[int(speeds.argmax())] > 0


def test_what_is_not_known_of_members_is_not_a_measurement():
    members = pp.threads(2), pp.simd()
    for times in ([0.0, 0.0], [0.3, 0.0], [0.0, 0.3], [math.nan, 0.3], None):
        one = Candidate(pp.par.on(pp.hybrid(*members, weights=(0.5, 0.5))), members, (0.5, 0.5))
        found = Choice([one], one, Work(1), "")
        for _ in range(9):
            one.executor.took = times
            found.saw(1.0, True)
            assert not one.settled and one.shares == (0.5, 0.5)
        one.executor.took = [0.5, 1.0]
        found.saw(1.0, True)
        assert one.shares == pytest.approx((2 / 3, 1 / 3), abs=0.01)
        for _ in range(30):
            one.executor.took = times
            found.saw(1.0, True)
        assert one.settled  # it is not measured for ever
        one.executor.took = None


def test_shares_follow_devices_that_go_on_by_themselves(alone, monkeypatch):
    """Every call that counts has the times of all members."""
    seen, after = [], Balance.after
    monkeypatch.setattr(Balance, "after", lambda self, took: seen.append(list(took)) or after(self, took))
    for members in ((pp.simd(), pp.opencl()), (pp.opencl(), pp.simd(), pp.threads(2))):
        where, n = pp.hybrid(*members), 3_000_000
        rates._known[:] = [Profile({member.device.name: FLAT for member in members})]
        where.choices.clear()
        where.found.clear()
        seen.clear()
        for _ in range(6):
            assert pp.reduce(pp.par.on(where), pp.range(n)) == n * (n - 1) // 2
            ((found,),) = (tuple(where.choices.values()),)
            found.now = found.candidates[0]  # all together, whatever is faster
        assert len(seen) >= 3 and all(t > 0 for took in seen for t in took)


def test_auto_goes_where_it_is_fastest(alone, renderer, monkeypatch):
    other = pp.simd() if renderer.executor.kind == "threads" else renderer.executor
    name = other.device.name
    fast = Rates(1e-6, ((1e3, 1e12), (1e9, 1e12)), *[1e13] * 7, ((0, 1e-6), (1e6, 2e-6)), ((0, 1e-6), (1e6, 2e-6)))
    slow = Rates(1e-3, ((1e3, 1e7), (1e9, 1e7)), *[1e7] * 7)
    x = np.random.default_rng(0).random(5000)
    for known, wanted in (({"threads": slow, name: fast}, other), ({"threads": fast, name: slow}, pp.threads())):
        rates._known[:] = [Profile(known)]
        choice._states.clear()
        plan = pp.plan(pp.transform, pp.auto, x, op=lambda v: v * 2 + 1)
        assert plan.executor is wanted
        assert "predicted" in str(plan) and repr(other) in str(plan) and "the machine's profile" in str(plan)
        assert np.array_equal(plan.run(), x * 2 + 1) and plan.measured > 0
        for _ in range(3):
            assert np.array_equal(pp.transform(pp.auto, x, op=lambda v: v * 2 + 1), x * 2 + 1)
    rates._known[:] = [Profile()]
    choice._states.clear()
    assert "built-in rates" in str(pp.plan(pp.transform, pp.auto, x, op=lambda v: v))


def test_what_memory_limits_is_not_cut(alone):
    """By two executors on cores of their own, that are as fast: only arithmetic is done by both."""
    one = Rates(1e-6, ((1e3, 1e10), (1e9, 1e10)), *[1e9] * 7)
    rates._known[:] = [Profile({"threads": one, "simd": one}, {"simd+threads": (1.0, 0.55)})]
    x = np.zeros(1_000_000)

    def heavy(v):
        for _ in range(200):
            v = v * 0.5 + 1
        return v

    cut, whole = (pp.plan(pp.transform, pp.auto, x, op=op) for op in (heavy, lambda v: v + 1))
    assert len(cut.parts) == 2 and "memory is its limit" not in str(cut)
    assert len(whole.parts) == 1 and "memory is its limit" in str(whole)


def test_results_keep_their_bits(alone):
    """Whatever is chosen, and while shares change."""
    x = np.random.default_rng(1).normal(size=50_000)
    both = pp.par.on(pp.hybrid(pp.threads(2), pp.simd()))
    total, sums, there = pp.reduce(pp.par, x), pp.inclusive_scan(pp.par, x), np.arange(50_000)[::-1].copy()
    for how in (pp.auto, both):
        for _ in range(7):
            assert pp.reduce(how, x) == total
            assert np.array_equal(pp.inclusive_scan(how, x), sums)
            assert np.array_equal(pp.gather(how, x, there), x[::-1])
    assert pp.reduce(pp.auto.task, x).result() == pp.reduce(pp.par, x)
    held = both.executor.asarray(x)
    assert pp.reduce(both, held) == pp.reduce(pp.par, x)
    with pp.using(pp.auto):
        assert pp.reduce(None, x) == pp.reduce(pp.par, x)


def test_decided_calls_of_several_steps_are_made_at_once(alone, monkeypatch):
    """But for every 32nd; sizes and operators are told apart, and plans are plans."""
    rates._known[:] = [Profile({"threads": FLAT})]
    ways, run = [], choice.run
    monkeypatch.setattr(choice, "run", lambda *args, **keywords: ways.append(args[1]) or run(*args, **keywords))
    large, small = np.random.default_rng(5).random((2, 9000)), np.ones(8000)
    for x in (*large, small):
        ways.clear()
        for op, wanted in ((None, np.add), (lambda a, b: max(a, b), np.maximum)):
            for _ in range(60):
                found = pp.inclusive_scan(pp.auto, x, op=op) if op else pp.inclusive_scan(pp.auto, x)
            assert np.allclose(found, wanted.accumulate(x))
        assert len(ways) < (60 if x is not large[1] else 10)
        assert pp.plan(pp.inclusive_scan, pp.auto, x).candidates


@pytest.mark.parametrize("of", ["auto", "a hybrid", "a block"])
def test_native_code_knows_decided_calls(alone, monkeypatch, of):
    """But for every 32nd, which is measured; with other arrays and captured numbers, too, until it is closed."""
    rates._known[:] = [Profile({"threads": FLAT})]
    module = sys.modules["portapar.call"]
    ways, chosen = [], module._chosen
    monkeypatch.setattr(module, "_chosen", lambda *args: ways.append(args[1]) or chosen(*args))
    where = None if of == "auto" else pp.hybrid(pp.threads(3), pp.simd())
    how = None if of == "a block" else pp.auto if where is None else pp.par.on(where)
    (x, y), out = np.random.default_rng(5).random((2, 1000)), np.empty(1000)

    def put(i, x, s, out):
        out[i] = x[i] + s

    def check(x, s):
        assert np.array_equal(pp.transform(how, x, op=lambda v: v * s), x * s)
        pp.for_each(how, 1000, put, x, s, out)
        assert np.array_equal(out, x + s)
        assert np.array_equal(pp.transform(how, x, x, op=lambda a, b: a + s * b), x + s * x)
        assert pp.reduce(how, x) == pp.reduce(pp.seq, x)

    with contextlib.nullcontext() if how is not None else pp.using(pp.par.on(where)):
        for _ in range(80):
            check(x, 2.0)
        ways.clear()
        for k in range(128):
            check(y, float(k))
        assert 1 <= ways.count("transform") <= 2 * 16 and len(ways) <= 64
        if where is not None:
            where.close()
            with pytest.raises(pp.BackendUnavailableError, match="closed"):
                pp.transform(how, x, op=lambda v: v * 2.0)


def _others(x):
    """Arguments that a decided call was not decided for; those that follow come back to it."""
    yield "other elements", x[::-1].copy()
    yield "backwards", x[::-1]
    yield "in steps", np.repeat(x, 2)[::2]
    yield "shorter", x[:-1].copy()
    yield "one", x[:1].copy()
    yield "none", x[:0]
    yield "many", np.resize(x, 9001)
    yield "single", x.astype(np.float32)
    yield "a list", list(x)
    yield "NaN", np.where(np.arange(len(x)) % 3 == 0, np.nan, x)
    yield "repeated", np.broadcast_to(x[:1], x.shape)
    yield "two axes", x.reshape(-1, 2)
    yield "not aligned", np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(x.dtype)


_CALLS = {
    "transform": lambda how, x, out: pp.transform(how, x, op=lambda v: v * 2),
    "reduce": lambda how, x, out: pp.reduce(how, x),
    "scan": lambda how, x, out: pp.inclusive_scan(how, x, out=out),
    "copy_if": lambda how, x, out: pp.copy_if(how, x, lambda v: v > 0.5),
    "reverse": lambda how, x, out: pp.reverse(how, x, out=out),
    "sort": lambda how, x, out: pp.sort(how, x, out=out),
}


@pytest.mark.parametrize("name", _CALLS)
@pytest.mark.parametrize("n", [100, 6000])
def test_decided_calls_look_at_their_arguments(alone, name, n):
    """What is done is what `pp.par` does, whatever was decided for others; outputs that do not fit are refused."""
    rates._known[:] = [Profile({"threads": FLAT})]
    call, x, read_only = _CALLS[name], np.random.default_rng(3).random(n), np.zeros(n)
    read_only.flags.writeable = False

    def outcome(how, x, out):
        try:
            found = np.asarray(call(how, x, out))
        except pp.PortaparError as error:
            return type(error)
        return found.dtype, found.shape, found.tobytes()

    given = [(x, None) for _, x in _others(x)]
    given += [(x, out) for out in (np.zeros(n), read_only, np.zeros(n - 1), np.zeros(2 * n)[::2], x.copy())]
    for other, out in given:
        for _ in range(16):  # until it is decided
            call(pp.auto, x, None if out is None else np.zeros(n))
        wanted = outcome(pp.par, other, out)
        assert all(outcome(pp.auto, other, out) == wanted for _ in range(2))


@pytest.mark.parametrize("launch", [1e-15, 1e-5, 1e4])  # of rates that are possible, but absurd
def test_fewer_elements_than_executors(alone, launch):
    some = Rates(launch, ((1.0, 1e18), (1e18, 1.0)), 1.0, 1e18, 1e18, 1.0, 1.0, 1e18, 1.0, threads=1)
    rates._known[:] = [Profile({"threads": some, "simd": replace(some, doubles=1e18)}, {"simd+threads": (1.0, 1e-9)})]
    three = pp.threads(2), pp.simd(), pp.threads(3)
    for how in (pp.auto, pp.par.on(pp.hybrid(*three)), pp.par.on(pp.hybrid(*three, weights=[0, 1, 2]))):
        for n in (0, 1, 2, 5000) * 3:
            x = np.arange(float(n))
            assert np.array_equal(pp.transform(how, x, op=lambda v: v + 1), x + 1)
            assert pp.reduce(how, x) == x.sum() and np.array_equal(pp.inclusive_scan(how, x), np.cumsum(x))


def test_errors_are_those_of_the_call(alone):
    x = np.zeros(100)
    for how in (pp.auto, pp.par.on(pp.hybrid(pp.threads(2), pp.simd()))):
        with pytest.raises(pp.PortaparError, match="99"):
            pp.transform(how, x, np.zeros(99), op=lambda a, b: a + b)
        with pytest.raises(pp.KernelError, match="nowhere"):
            pp.transform(how, x, op=lambda v: nowhere(v))  # noqa: F821
        with pytest.raises(pp.PortaparError, match="nothing to reduce"):
            pp.reduce(how, x[:0], op=lambda a, b: a if a > b else b)
    where = pp.hybrid(pp.threads(3), pp.simd())
    for _ in range(20):  # until it is decided
        assert len(pp.transform(pp.par.on(where), x, op=lambda v: v)) == len(pp.sort(pp.par.on(where), x)) == 100
    where.close()
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.sort(pp.par.on(where), x)
    with pytest.raises(pp.BackendUnavailableError, match="closed"):
        pp.transform(pp.par.on(where), x, op=lambda v: v)


def test_choices_are_those_of_one_size_and_kind(alone):
    """Of an index space, and of what kernels capture, too; and nothing of a call is kept alive."""

    def fill(i, out):
        out[i] = 1.0

    out = np.zeros(N)
    few, many = (pp.plan(pp.for_each, pp.auto, n, fill, out) for n in (10, N))
    assert few.predicted < many.predicted and "80 bytes" in str(few) and "8e4 bytes" in str(many).replace("8.00", "8")

    def add(table):
        return lambda v: v + table[0]

    tables = np.ones(3), np.ones(3, np.float32), np.ones(9 * N)
    for table in tables:
        for _ in range(3):
            assert np.array_equal(pp.transform(pp.auto, out, op=add(table)), out + 1)
    assert sum(key[1] == "transform" for key in choice._states) == 3
    gone = [weakref.ref(table) for table in tables]
    del table, tables
    assert not any(one() is not None for one in gone)


def test_what_lies_on_a_hybrid_stays_there(alone):
    both = pp.hybrid(pp.threads(3), pp.simd())
    table, x = both.asarray(np.arange(5.0)), np.arange(float(N))
    for _ in range(3):
        assert pp.count_if(pp.par.on(both), x, lambda v: v < table[3]) == 3


def test_who_cannot_do_a_call_leaves_it_to_others(alone):
    def scatter(i, places, out):
        out[places[i]] = i

    places, out, x = np.random.default_rng(0).permutation(N), np.zeros(N), np.arange(float(N))
    where = executor("opencl:0")
    both = pp.par.on(pp.hybrid(pp.threads(2), where))
    slow = Rates(1e-6, ((1e3, 1e6), (1e9, 1e6)), *[1e6] * 7, ((0, 1e-9), (1e6, 1e-6)), ((0, 1e-9), (1e6, 1e-6)))
    rates._known[:] = [Profile({"threads": slow, "opencl:0": slow, "cuda:99": slow}, {"opencl:0+threads": (1, 1)})]
    for how in (both, pp.auto):
        both.executor.choices.clear()
        plan = pp.plan(pp.for_each, how, N, scatter, places, out)
        assert "cannot do it" in str(plan) and "cuda:99" not in str(plan)
        for _ in range(3):
            out[:] = 0
            pp.for_each(how, N, scatter, places, out)
            assert np.array_equal(out[places], np.arange(N))
        assert pp.plan(pp.reduce, how, x).parts[1:]  # which both can do
    for one in both.executor.choices.values():
        for candidate in one.candidates:
            if len(candidate.members) > 1:
                candidate.executor.close()  # perhaps by somebody who has made it too
    assert pp.reduce(both, x) == pp.reduce(pp.par, x)


def test_wrong_entries_of_the_history_are_passed_over(alone, monkeypatch):
    wrong = [10**400, 1], [math.nan, 1], [math.inf, 1], [-1, 1], [[1], 1]
    for entry in ([], {}, None, 5, "ab", [0.1], [0.1, 0], [0.1, 1, 1], *wrong):
        monkeypatch.setattr(history, "_loaded", [{"name": entry}])
        assert history.of("name") is None
    monkeypatch.setattr(history, "_loaded", [{"name": [0.1, 0.25, 0.75]}])
    assert history.of("name") == history.Kept(0.1, (0.25, 0.75))
    assert len({history.name("reduce", [op], ["f8"]) for op in (np.add, np.maximum, min, lambda a, b: a)}) == 4


@pytest.mark.extra
def test_a_hybrid_of_the_environment_finds_its_shares(python):
    text = """
        import numpy as np, portapar as pp
        x = np.arange(1e6)
        def op(v):
            return v * 2
        for _ in range(5):
            assert np.array_equal(pp.transform(pp.auto, x, op=op), x * 2)
        print(pp.plan(pp.transform, pp.auto, x, op=op))
    """
    assert "measured" in python(text, PORTAPAR_EXECUTOR="hybrid:threads:2+simd")
    assert "measured" not in python(text, PORTAPAR_EXECUTOR="threads:2")


def test_what_was_measured_is_known_to_later_processes(python, tmp_path):
    text = """
        import numpy as np, portapar as pp
        x = np.zeros(100_000)
        def op(v):
            return v + 1.5
        print(pp.plan(pp.transform, pp.auto, x, op=op))
        for _ in range(5):
            pp.transform(pp.auto, x, op=op)
    """
    first, second = (python(text, PORTAPAR_CACHE_DIR=str(tmp_path)) for _ in "12")
    assert "measured" not in first and "measured" in second and "earlier processes" in second


# failures -------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch, renderer):
    """An executor that has no memory left, and what it lacks it for."""
    where = renderer.executor if renderer.executor.kind != "threads" else pp.threads(3)

    def none(*_):
        raise pp.DeviceMemoryError("there is no memory left")

    host = isinstance(where.empty(1), np.ndarray)
    for name in ("run", "launch") if host else ("asarray", "empty"):
        monkeypatch.setattr(where.device, name, none)
    monkeypatch.setattr(sys.modules["portapar.pieces"], "_told", set())
    return where


def test_others_do_what_one_cannot(failing):
    x = np.random.default_rng(2).normal(size=20_000)
    both = pp.hybrid(pp.threads(2), failing, weights=[1, 1])
    both.worth = 0.0  # small calls are cut too
    how = pp.par.on(both).with_(on_failure="reroute")
    with pytest.warns(pp.PortaparWarning, match="did the part .* failed, there is no memory left") as told:
        assert pp.reduce(how, x) == pp.reduce(pp.par, x)
        y = x.copy()
        for _ in range(2):
            pp.transform(how, y, out=y, op=lambda v: v * 2 + 1)  # in place: nothing is done twice
    assert np.array_equal(y, (x * 2 + 1) * 2 + 1) and len(told) == 1
    with pytest.raises(pp.DeviceMemoryError, match="no memory left") as error:
        pp.transform(pp.par.on(both), x, op=lambda v: v * 2 + 1)
    assert f"[9984, 20000) of the call's indices, on {failing!r}" in "".join(error.value.__notes__)
    with pytest.raises(pp.PolicyError, match="on_failure is 'maybe'"):
        pp.par.with_(on_failure="maybe")


def test_auto_goes_on_elsewhere(alone, failing):
    x = np.random.default_rng(3).normal(size=5000)
    slow = Rates(1e-3, ((1e3, 1e7), (1e9, 1e7)), *[1e7] * 7)
    fast = Rates(1e-6, ((1e3, 1e12), (1e9, 1e12)), *[1e13] * 7)
    rates._known[:] = [Profile({"threads": slow, failing.device.name: fast})]
    with pytest.raises(pp.DeviceMemoryError):
        pp.transform(pp.auto, x, op=lambda v: v + 3)
    how = pp.auto.with_(on_failure="reroute")
    with pytest.warns(pp.PortaparWarning, match="pp.threads.* did a call"):
        assert np.array_equal(pp.transform(how, x, op=lambda v: v + 3), x + 3)
    assert np.array_equal(pp.transform(how, x, op=lambda v: v + 3), x + 3)


def test_mistakes_are_not_rerouted():
    both = pp.par.on(pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])).with_(on_failure="reroute")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(pp.KernelError, match="nowhere"):
            pp.transform(both, np.zeros(10_000), op=lambda v: nowhere(v))  # noqa: F821
        with pytest.raises(pp.PlacementError, match="9999"):
            pp.transform(both, np.zeros(10_000), np.zeros(9999), op=lambda v, w: v + w)
