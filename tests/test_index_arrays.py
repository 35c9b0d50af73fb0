"""Indices that come from arrays, and arrays that share memory: against the same loops in Python."""

import ast
import math
import re
import textwrap

import numpy as np
import pytest

import portapar as pp
from portapar.kernel.cpu.rounds import few_rounds

N = 1100  #: more than the native code looks at at a time


def direct(i, k, x, y):
    y[i, 0] = x[k[i]]
    y[i, 1] = x[k[-1 - i]]
    y[i, 2] = x[int(k[i]) + int(k[i])]
    y[i, 3] = x[(k[i] & 15) * 16 % 100]
    y[i, 4] = x[2 * k[i] % 64]


def near(i, k, x, y):
    place = k[i]
    place += 1
    y[i, 0] = x[k[i] + 1] - x[k[i] - 1]
    y[i, 1] = x[place]
    y[i, 2] = x[k[i]] if k[i] >= 0 else -1.0
    y[i, 3] = x[k[abs(int(k[i]))]]


KINDS = ("int8", "uint8", "int32", "int64")


def in_python(kernel, n, *args):
    with np.errstate(over="ignore"):
        for i in range(n):
            kernel(i, *args)


@pytest.mark.parametrize("kernel", [direct, near], ids=lambda kernel: kernel.__name__)
def test_elements_as_indices(renderer, kernel):
    rng = np.random.default_rng(1)
    x = rng.random(300)
    for kind in KINDS:
        low, high = (1, 100) if kind.startswith("u") else (-100, 100)
        for negative in ([], [0], [N - 1], [700, 701], range(N)):
            k = rng.integers(1, high, N).astype(kind)
            k[list(negative)] = rng.integers(low, 2, len(negative))
            k[[3, 900]] = 127 if kernel is direct else 126
            got, wanted = np.zeros((N, 5)), np.zeros((N, 5))
            pp.for_each(renderer, N, kernel, k, x, got)
            in_python(kernel, N, k, x, wanted)
            np.testing.assert_array_equal(got, wanted, f"{kind}, negative at {negative}")


def some_places(i, k, x, y, z):
    if x[i] > 0.5:
        y[k[i]] = x[i]
    elif x[i] < 0.25:
        z[k[i] + 1] = i


def counted_places(i, k, x, y, z):
    if k[i] != k[i + 1]:
        y[k[i]] = x[i] + i


@pytest.mark.parametrize("kernel", [some_places, counted_places], ids=lambda kernel: kernel.__name__)
def test_elements_as_places_to_store_in(renderer, kernel):
    rng = np.random.default_rng(3)
    x = rng.random(N)
    for k in (rng.permutation(N), rng.permutation(N) - 1, np.r_[np.cumsum(x < 0.5), N - 1]):
        got, wanted = ([np.zeros(N), np.zeros(N + 1, np.int32)] for _ in range(2))
        pp.for_each(renderer, N - 1, kernel, k, x, *got)
        in_python(kernel, N - 1, k, x, *wanted)
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def shifted(k, cells, x, y, z, jp):
    i = cells[k]
    y[i] = 0.5 * (x[i] + x[i + 1]) - x[i + jp] * i
    z[k] = x[i - 1]


def taken(k, cells, x, y, z, jp):
    z[k] = x[cells[k]] + y[cells[k]] * y[k]
    z[cells[k] + 2500] = x[k]


def chosen(k, cells, x, y, z, jp):
    y[cells[k]] = x[cells[k]] + z[cells[k]] if x[k] > 0.25 else 2.0


def grown(k, cells, x, y, z, jp):
    z[k] = (x[k] > 0.5) * cells[k] + 1.5 * y[cells[k] + 1]


def lists():
    """By name: runs of neighbours in many ways, of more elements than are looked at at a time."""
    rng, here = np.random.default_rng(6), np.arange(1, 1301)
    lengths = rng.integers(1, 90, 40)
    ends = np.repeat(np.cumsum(lengths + rng.integers(0, 3, 40)) - np.cumsum(lengths), lengths)
    yield "one", here
    yield "rows", (np.arange(1, 31)[:, None] + 40 * np.arange(33)).ravel()
    yield "runs", 1 + np.arange(len(ends)) + ends
    yield "anywhere", rng.permutation(here)
    yield "back", here[::-1].copy()
    yield "pairs", here + here // 2 * 2
    yield "negative", here - 4


@pytest.mark.parametrize("kernel", [shifted, taken, chosen, grown], ids=lambda kernel: kernel.__name__)
@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_lists_of_neighbours(renderer, kernel, kind):
    rng = np.random.default_rng(7)
    x, before = rng.random(5200), rng.random((2, 5200))
    for name, cells in lists():
        cells = cells.astype(kind)
        got, wanted = before.copy(), before.copy()
        pp.for_each(renderer, len(cells), kernel, cells, x, *got, 40)
        in_python(kernel, len(cells), cells, x, *wanted, 40)
        np.testing.assert_array_equal(got, wanted, name)


def test_lists_of_neighbours_become_vectors():
    x, cells = np.zeros(5200), np.arange(3000)
    for kernel, kind in ((shifted, "int64"), (taken, "int64"), (chosen, "int32")):
        code = pp.inspect(kernel, pp.simd(), cells.astype(kind), x, x.copy(), x.copy(), 40, space=3000)
        assert "run(nonneg(k), " in code["Numba"] and re.search(r"fadd <\d+ x double>", code["LLVM"])


def truncated(i, p, h, low, x, y):
    a = int(p[i])
    y[i, 0] = x[a] - x[a + 1]
    y[i, 1] = x[int((p[i] - low) * h) - 2]
    y[i, 2] = x[math.floor(p[i] / h) % 300] + x[int(i * h + float(low))]
    y[i, 3] = x[int(p[i] + 0.5) * 2]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("first", [[], [0.0, -0.0, 0.25], [-0.5], [-1.0, -3.75], [2.0**-149, 99.99999]])
def test_floats_as_indices(renderer, kind, first):
    """Truncation goes to zero, so that -0.5 is the first element and -1.0 the last one."""
    rng = np.random.default_rng(3)
    x = rng.random(1400)
    for low, base in ((0.5, 4.0), (0.0, 0.0)):
        p = (base + 90 * rng.random(N)).astype(kind)
        for place in (0, 513, N - len(first)):
            p[place : place + len(first)] = first
        got, wanted = np.zeros((N, 4)), np.zeros((N, 4))
        pp.for_each(renderer, N, truncated, p, 1.25, low, x, got)
        in_python(truncated, N, p, 1.25, low, x, wanted)
        np.testing.assert_array_equal(got, wanted)


def test_floats_as_indices_take_no_time_for_their_sign():
    p, x, y = np.arange(64.0), np.arange(99.0), np.zeros((64, 4))
    code = pp.inspect(truncated, pp.threads(1), p, 1.25, 0.5, x, y, space=64)["Numba"]
    assert "extremes(table, a0, (lo0, hi0)" in code  # before a piece of the loop, not in it


def rows(i, first, column, a, x, y):
    s = 0.0
    for p in range(first[i], first[i + 1]):
        s += a[p] * x[column[p]]
    y[i] = s


def corners(e, node, x, y):
    y[e] = x[node[e, 0]] - 2 * x[node[e, 1]] + 3 * x[node[e, 2] - 1]


def table(i, j, k, x, y):
    y[i, j] = x[k[i], j] + x[i, k[j]]


def test_elements_as_indices_of_rows_and_ranges(renderer):
    rng = np.random.default_rng(2)
    first = np.concatenate([[0], np.cumsum(rng.integers(0, 9, N))]).astype(np.int32)
    column, a, x = rng.integers(0, 50, first[-1]).astype(np.int32), rng.random(first[-1]), rng.random(50)
    node, square = rng.integers(1, 50, (N, 3)), rng.random((40, 40))
    for negative in (False, True):
        if negative:
            column[rng.integers(0, len(column), 20)] *= -1
            node[rng.integers(0, N, 20), 2] *= -1
        got, wanted = np.zeros(N), np.zeros(N)
        pp.for_each(renderer, N, rows, first, column, a, x, got)
        in_python(rows, N, first, column, a, x, wanted)
        np.testing.assert_array_equal(got, wanted)
        pp.for_each(renderer, N, corners, node, x, got)
        in_python(corners, N, node, x, wanted)
        np.testing.assert_array_equal(got, wanted)
        k = rng.integers(-40 if negative else 0, 40, 40)
        flat, wanted = np.zeros((40, 40)), np.zeros((40, 40))
        pp.for_each(renderer, (40, 40), table, k, square, flat)
        for i, j in np.ndindex(40, 40):
            table(i, j, k, square, wanted)
        np.testing.assert_array_equal(flat, wanted)


def test_elements_as_indices_in_reductions(renderer):
    rng = np.random.default_rng(3)
    k, x = rng.integers(0, 60, 20_000).astype(np.int32), rng.integers(0, 1000, 60)
    for negative in (False, True):
        if negative:
            k[[0, 5000, 19_999]] = -7
        total = pp.transform_reduce(renderer, pp.lazy.iota(len(k)), transform=lambda i: x[k[int(i)]], op=pp.plus)
        assert total == x[k].sum()


def link(i, k, y):
    y[i] = y[k[i]] + 1


def shift(i, x, y):
    y[i] = x[i] + 1


def swap(i, x, y, z):
    z[i] = y[i] - x[i]
    y[i] = x[i + 1] + z[i]


def redirect(i, k, x, y):
    y[i] = x[k[i]] + 1
    y[i + 1] = 2 * y[i]


@pytest.mark.parametrize("executor", ["simd", "threads:1"])
def test_arrays_that_share_memory(executor):
    """In order, as the same loop in Python: what is written may be read again, as a number or as an index."""
    how = pp.seq.on(pp.executor(executor))
    for distance in (0, 1, 3, 600, -1, -3):
        for kernel in (shift, swap, redirect, link):
            got = np.arange(5000) % 7
            wanted = got.copy()
            for buffer in (got, wanted):
                x, y = buffer[1000:4000], buffer[1000 + distance : 4000 + distance]
                z = buffer[4001:] if distance > 0 else buffer[:900]
                args = {shift: (x, y), swap: (x[:901], y[:900], z), redirect: (x, x, y), link: (x, y)}[kernel]
                n = min(len(a) for a in args) - 1
                if buffer is got:
                    pp.for_each(how, n, kernel, *args)
                else:
                    in_python(kernel, n, *args)
            np.testing.assert_array_equal(got, wanted, f"{kernel.__name__}, {distance} apart")


def test_reversed_and_strided_views_that_share_memory():
    for step in (1, 2, -1, -3):
        for offset in (0, 1, 5):
            got = np.arange(4000)
            wanted = got.copy()
            for buffer in (got, wanted):
                x, y = buffer[offset:3000:3], buffer[::step][:900]
                n = min(len(x), len(y))
                if buffer is got:
                    pp.for_each(pp.seq, n, shift, x, y)
                else:
                    in_python(shift, n, x, y)
            np.testing.assert_array_equal(got, wanted, f"{step}, {offset}")


def both(i, x, y, n):
    x[i] += 1
    y[i] += 2
    pp.atomic.add(n, i % 5, 1)


def test_an_array_that_is_given_twice_is_one(renderer):
    """Also on devices, which have a copy of it; what would be apart there is refused."""
    for x in (np.zeros(900, np.int64), np.zeros((20, 1800), np.int64)[3, ::2]):
        counts = np.zeros(5, np.int64)
        for _ in range(2):
            pp.for_each(renderer, 900, both, x, x, counts)
        np.testing.assert_array_equal(x, 6)
        np.testing.assert_array_equal(counts, 360)
        halves = np.zeros(1800, np.int64)
        pp.for_each(renderer, 900, both, halves[::2], halves[1::2], counts)
        np.testing.assert_array_equal(halves, np.arange(1800) % 2 + 1)
    if not renderer.executor.device.host_memory:
        buffer = np.zeros(1000, np.int64)
        one = np.lib.stride_tricks.as_strided(counts, (5,), (0,))
        for x, y, n in ((buffer[:900], buffer[1:901], counts), (halves, buffer, one)):
            with pytest.raises(pp.PlacementError, match="overlap|in one place"):
                pp.for_each(renderer, 900, both, x, y, n)


@pytest.mark.parametrize(
    ("loop", "hint"),
    [
        ("for p in range(first[i], first[i + 1]):\n    s += a[p]", "two_rounds_"),
        ("lo, hi = first[i], first[i + 1]\nfor p in range(lo, hi):\n    s += a[p]", "two_rounds_"),
        ("n = count[i]\nm = n + 1\nfor p in range(m):\n    if a[p] > s:\n        s = a[p]", "two_rounds_"),
        ("for p in range(count[i]):\n    for q in range(3):\n        s += a[p] * q", "one_round_"),
        ("for p in range(len(a)):\n    s += a[p]", ""),
        ("for p in range(a.shape[0]):\n    s += a[p]", ""),
        ("m = i + 2\nfor p in range(m):\n    s += a[p]", ""),
    ],
)
def test_loops_whose_rounds_arrays_count(loop, hint):
    text = f"def body(i, first, count, a, y):\n    s = 0.0\n{textwrap.indent(loop, '    ')}\n    y[i] = s\n"
    made = "".join(ast.unparse(tree) for tree in few_rounds({"body": text}, {}).values())
    assert re.findall(r"two_rounds_|one_round_", made) == [hint] * bool(hint)


def test_loops_of_few_rounds_are_not_written_out_eight_times():
    def kernel(i, first, pairs, single):
        for p in range(first[i], first[i + 1]):
            if pairs[p] > 0:  # two ways back
                single[i] += pairs[p]
            else:
                single[i] /= pairs[p]

    llvm = pp.inspect(kernel, pp.simd(), np.array([0, 2, 3]), np.ones(3), np.zeros(2), space=2)["LLVM"]
    assert 2 <= len(re.findall(r"fdiv double", llvm)) <= 4
