"""Index spaces of any number of dimensions, starts and steps; and Python's negative indices in all forms."""

import itertools
import random

import numpy as np
import pytest
from conftest import executor

import portapar as pp

SPACES = [
    (range(100),),
    (range(1, 100),),
    (range(-5, 50),),
    (range(5, 90, 3),),
    (range(3, 99, 11),),
    (range(99, -1, -1),),
    (range(99, 0, -7),),
    (range(4, 4),),
    (range(7), range(9)),
    (range(1, 6), range(2, 9)),
    (range(6, 0, -1), range(0, 9, 2)),
    (range(5), range(0)),
    (range(3), range(5), range(7)),
    (range(1, 3), range(1, 5), range(1, 7)),
    (range(2, -1, -1), range(0, 5, 2), range(1, 7)),
    (range(3), range(1), range(4), range(5)),
    (range(1, 3), range(0, 3, 2), range(3, 0, -1), range(1, 5)),
    (range(2), range(1, 3), range(2), range(3), range(2)),
    (range(2), range(2), range(1, 3), range(2), range(2), range(3)),
]


def space_of(axes):
    made = tuple(pp.range(r.start, r.stop, r.step) if r.start or r.step != 1 else len(r) for r in axes)
    return made if len(made) > 1 else made[0]


def mark1(i, x, y):
    y[i] += 10 * x[i] + i


def mark2(i, j, x, y):
    y[i, j] += 10 * x[i, j] + i - 2 * j


def mark3(i, j, k, x, y):
    y[i, j, k] += 10 * x[i, j, k] + i - 2 * j + 3 * k


def mark4(i, j, k, t, x, y):
    y[i, j, k, t] += 10 * x[i, j, k, t] + i - 2 * j + 3 * k - 4 * t


def mark5(i, j, k, t, u, x, y):
    y[i, j, k, t, u] += 10 * x[i, j, k, t, u] + i - 2 * j + 3 * k - 4 * t + 5 * u


def mark6(i, j, k, t, u, v, x, y):
    y[i, j, k, t, u, v] += 10 * x[i, j, k, t, u, v] + i - 2 * j + 3 * k - 4 * t + 5 * u - 6 * v


MARKS = (mark1, mark2, mark3, mark4, mark5, mark6)


@pytest.mark.parametrize("axes", SPACES, ids=lambda axes: "x".join(f"{r.start}:{r.stop}:{r.step}" for r in axes))
def test_every_index_of_a_space_is_visited_once(renderer, axes):
    shape = tuple(max([*r, 0], default=0) + 1 for r in axes) if len(axes) > 1 else (100,)
    x = np.random.default_rng(1).integers(0, 100, shape)
    y, wanted = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    mark = MARKS[len(axes) - 1]
    pp.for_each(renderer, space_of(axes), mark, x, y)
    for index in itertools.product(*axes):
        mark(*index, x, wanted)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_chunks_that_end_in_the_middle_of_rows(schedule):
    for shape in ((5, 7, 11), (3, 2, 4, 5), (40, 3), (3, 40)):
        x, y, wanted = np.arange(np.prod(shape)).reshape(shape), np.zeros(shape, int), np.zeros(shape, int)
        policy = pp.par.on(pp.threads(3)).with_(schedule=schedule, chunk_size=5)
        mark = MARKS[len(shape) - 1]
        pp.for_each(policy, shape, mark, x, y)
        for index in np.ndindex(shape):
            mark(*index, x, wanted)
        np.testing.assert_array_equal(y, wanted)


def test_strided_arrays_of_four_dimensions(renderer):
    x = np.random.default_rng(1).random((3, 4, 5, 12))[:, :, :, ::2]
    np.testing.assert_array_equal(pp.transform(renderer, x, op=lambda v: v + 1), x + 1)


# negative indices ---------------------------------------------------------------------------------


def at(i, j, n):
    return i * n + j


def shifted(i, x, y, a, b):
    y[i] = x[i - 1] + 2 * x[i + a] + 3 * x[i - b] + 4 * x[-1 - i]


def through_helper(i, x, y, a, b):
    y[i] = x[at(i // 8, i % 8 - a, 8)] + x[at(i, -1, 1)]


def through_locals(i, x, y, a, b):
    k = i - a
    if i % 3 == 0:
        k = i + b
    last = len(x) - 1 - i
    y[i] = x[k] + 2 * x[last - 1] + 3 * x[i if i > b else i - a]


def in_loops(i, x, y, a, b):
    s = 0.0
    for k in range(-a, b):
        s += (k + 5) * x[i + k]
    for k in range(b, -a, -2):
        s += k * x[i - k]
    k = -a
    while k < b:
        s += x[k]
        k += 1
    y[i] = s


def clamped(i, x, y, a, b):
    y[i] = x[max(i - a, 0)] + 2 * x[min(i, b) - 1] + 3 * x[abs(i - b)] + 4 * x[(i - a) % b] + 5 * x[(i - a) % b - b]


def from_arrays(i, x, y, a, b, index):
    y[i] = x[index[i]] + 2 * x[index[i] - 1] + 3 * x[max(index[i], 0)]


@pytest.mark.parametrize("kernel", [shifted, through_helper, through_locals, in_loops, clamped, from_arrays])
def test_negative_indices_count_from_the_end(renderer, kernel):
    rng = np.random.default_rng(3)
    for start, (a, b) in itertools.product((0, 1, 9, 40), ((1, 1), (7, 3), (0, 9))):
        x, y, wanted = rng.random(64), np.zeros(64), np.zeros(64)
        more = (rng.integers(-63, 64, 64),) if kernel is from_arrays else ()
        space = range(start, 64 - max(a, b))
        pp.for_each(renderer, pp.range(space.start, space.stop), kernel, x, y, a, b, *more)
        for i in space:
            kernel(i, x, wanted, a, b, *more)
        np.testing.assert_allclose(y, wanted, rtol=1e-14)


def test_negative_indices_on_several_axes(renderer):
    def body(i, j, k, x, y, d):
        y[i, j, k] = x[i - 1, j, k] + 2 * x[i, j - 1, k] + 3 * x[i, j, k - 1] + 4 * x[i - d, -1 - j, k]

    for shape in ((5, 6, 7), (1, 1, 9), (4, 4, 1), (3, 1, 4), (2, 0, 3)):
        x, y, wanted = np.random.default_rng(1).random(shape), np.zeros(shape), np.zeros(shape)
        pp.for_each(renderer, shape, body, x, y, shape[0] // 2)
        for index in np.ndindex(shape):
            body(*index, x, wanted, shape[0] // 2)
        np.testing.assert_allclose(y, wanted, rtol=1e-14)


def test_negative_indices_in_order():
    """A sequential loop keeps its order where a part of it runs in another form."""

    def running(i, x):
        x[i] = x[i - 1] + x[i]

    x = np.random.default_rng(1).random(1000)
    wanted = x.copy()
    for i in range(1000):
        running(i, wanted)
    pp.for_each(pp.seq, 1000, running, x)
    np.testing.assert_allclose(x, wanted, rtol=1e-12)


def test_negative_indices_in_reductions(renderer):
    x = np.random.default_rng(1).random(10_000)
    found = pp.transform_reduce(renderer, pp.range(10_000), transform=lambda i: x[i] * x[i - 5000], op=pp.plus)
    assert np.isclose(found, np.sum(x * np.roll(x, 5000)), rtol=1e-12)


def test_sums_that_overflow_are_no_proof():
    def body(i, x, y, a, b):
        y[i] = x[i + a - b]

    def products(i, x, y, a, b):
        y[i] = x[i * a * 4 + b]

    x, y = np.random.default_rng(1).random(100), np.zeros(100)
    for a, b in ((2**60, 2**60 + 1), (2**53, 2**53 + 1), (2**62, 2**62 + 3)):
        pp.for_each(pp.par, pp.range(1, 100), body, x, y, a, b)
        np.testing.assert_array_equal(y[1:], np.roll(x, b - a)[1:])
    pp.for_each(pp.par, pp.range(1, 100), products, x, y, 2**62, -1)  # i · 2⁶⁴ is 0 in 64 bits
    np.testing.assert_array_equal(y[1:], np.full(99, x[-1]))


def expression(rng, depth):
    if depth == 0:
        return rng.choice(["i", "j", "a", "b", "len(x)", str(rng.randint(-9, 9))])
    left, right = expression(rng, depth - 1), expression(rng, rng.randrange(depth))
    form = rng.choice(
        ["{} + {}", "{} - {}", "{} + {}", "{} - {}", "({}) * ({})", "({}) // 3", "({}) % 7", "({}) >> 1", "({}) & 15"]
        + ["min({}, {})", "max({}, {})", "abs({})", "-({})", "({} if i > 2 else {})", "int({})", "({}) % b"]
    )
    return form.format(left, right)


@pytest.mark.parametrize("seed", range(4))
def test_any_index_expression(module, renderer, seed):
    rng = random.Random(seed)
    texts = [expression(rng, 3) for _ in range(4)]
    lines = "".join(
        f"    k{n} = {text}\n    y[i, j, {n}] = x[k{n} % 64 - 32] + x[({text}) - ({text}) // 64 * 64]\n"
        f"    if -64 <= ({text}) < 64:\n        z[i, j, {n}] = x[{text}]\n"
        for n, text in enumerate(texts)
    )
    body = module(f"def body(i, j, x, y, z, a, b):\n{lines}").body
    x = np.random.default_rng(1).random(64)
    for a, b in ((5, 3), (-2, 40)):
        found, wanted = (np.zeros((2, 9, 11, 4)) for _ in range(2))
        pp.for_each(renderer, (9, 11), body, x, found[0], found[1], a, b)
        for i, j in np.ndindex(9, 11):
            body(i, j, x, wanted[0], wanted[1], a, b)
        np.testing.assert_array_equal(found, wanted, "\n".join(texts))


@pytest.mark.parametrize("tail", [(3,), (1,), (17,), (2, 4), (3, 3, 2), (0,), (40, 2)])
def test_short_last_axes(where, tail):
    """Their lengths are constants of the code: the same kernel with other lengths is another code."""

    def one(i, x, y, shift):
        s = 0.0
        for k in range(x.shape[1]):
            s += (k + 1) * x[i, k] + x[i, k - shift]
        y[i] = s

    def two(i, x, y, shift):
        s = 0.0
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                s += (3 * j + k + 1) * x[i, j, k] + x[i, -1 - j, k - 1]
        y[i] = s

    def three(i, x, y, shift):
        s = 0.0
        for j in range(3):
            for k in range(3):
                s += (3 * j + k + 1) * x[i, j, k, 1] + x[i, j, -1 - k, -2]
        y[i] = s

    kernel = (one, two, three)[len(tail) - 1]
    x, y, wanted = np.random.default_rng(1).random((101, *tail)), np.zeros(101), np.zeros(101)
    pp.for_each(pp.par.on(where), 101, kernel, x, y, min(1, tail[0]))
    for i in range(101):
        kernel(i, x, wanted, min(1, tail[0]))
    np.testing.assert_allclose(y, wanted, rtol=1e-13)


# what runs ----------------------------------------------------------------------------------------


def before(i, x, y):
    y[i] = x[i] + x[i - 1]


def recurrence(i, x, y):
    y[i] = 0.5 * y[i - 1] + x[i]


def jumps(i, x, y, index):
    y[i] = x[index[i]]


def test_inspect_tells_of_the_loop_that_runs():
    x, y = np.zeros(100), np.zeros(100)
    found = pp.inspect(before, pp.simd(), x, y, space=pp.range(1, 100))["vectorized"]
    assert found.startswith("yes") and "where an index is negative: " in found
    assert pp.inspect(before, pp.par, x, y)["vectorized"].startswith("yes")
    assert pp.inspect(recurrence, pp.simd(), x, y)["vectorized"].startswith("no")
    assert "nonneg(start0 + k)" in pp.inspect(before, pp.simd(), x, y, space=pp.range(1, 100))["Numba"]
    assert "start0 + -2 * k" in pp.inspect(before, pp.simd(), x, y, space=pp.range(1, -100, -2))["Numba"]


def test_the_loops_of_every_space_become_vectors():
    """In all of these the loop is as simple as one from 0 on."""

    def flat(i, x, y, jump):
        y[i] = x[i + jump] + x[i]

    def rows(i, j, x, y):
        y[i, j] = x[i - 1, j] + x[i, j - 1]

    def cells(i, j, k, t, x, y):
        y[i, j, k, t] = x[i, j, k - 1, t] + x[i, j, k, t + 1]

    simd, inner = pp.simd(), pp.range(1, 9)
    for kernel, ndim, space in ((flat, 1, 90), (flat, 1, inner), (rows, 2, (inner, inner)), (cells, 4, (inner,) * 4)):
        arrays = np.zeros((10,) * ndim), np.zeros((10,) * ndim)
        found = pp.inspect(kernel, simd, *arrays, *([3] if kernel is flat else []), space=space)["vectorized"]
        assert found.startswith("yes"), (kernel, space, found)


def divided(k, w, m, u, x, y, z):
    r, c = divmod(k, w)
    y[k] = x[k] + 1000 * (k // (w * m)) + 100 * (k // w % m) + k % (m * w)
    z[k] = 7 * r + c + (k % 3) + k // u


def from_rows(k, a, y):
    y[k] = a[k // a.shape[1], k % a.shape[1]] * 2 + k // len(a)


def butterfly(k, h, y):
    i = k // h * 2 * h + k % h
    y[i], y[i + h] = y[i] + y[i + h], y[i] - y[i + h]


def blocks(i, j, w, m, y):
    b = i if m < 0 else j // w
    y[i, j] = 100 * b + j % w + i // (m + 2)


WIDTHS = [(1, 4), (2, 3), (3, 1), (4, 2), (5, 7), (16, 100), (1008, 2), (2000, 3), (0, 2), (-3, 2), (6, -5), (7, 0)]


def red_or_black(i, j, c, k, x):
    if (i + j) % 2 == c:
        x[i, j] = 0.25 * (x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]) + c


def reversed_cells(i, j, c, k, x):
    if c == (k * i - j - 3) & 3 and x[i, j] > 0.5:
        x[i, j] = -x[i, j] * j


def alike(i, j, c, k, x):
    if j % 2 != 1:
        x[i, j] += i
        if i > 2:
            x[i, j] *= 2


def diagonal(i, j, c, k, x):
    if (j + c) % 8 == i % 8:
        x[i, j] = k + j


def odd(i, j, c, k, x):
    if (i - j + k) & 1:
        x[i, j] -= 1


def even(i, j, c, k, x):
    if not (j - i * c) % 2:
        x[i, j] = j


@pytest.mark.parametrize("kernel", [red_or_black, reversed_cells, alike, diagonal, odd, even], ids=lambda k: k.__name__)
def test_indices_of_one_residue(renderer, kernel):
    for shape in ((3, 3), (4, 9), (7, 40)):
        for c, k in ((0, 2), (1, -5), (3, 2**63 - 1), (2, -(2**63)), (-1, 3)):
            x = np.random.default_rng(4).random(shape)
            wanted = x.copy()
            with np.errstate(over="ignore"):
                for i, j in itertools.product(range(1, shape[0] - 1), range(1, shape[1] - 1)):
                    kernel(np.int64(i), np.int64(j), np.int64(c), np.int64(k), wanted)
            pp.for_each(renderer, (pp.range(1, shape[0] - 1), pp.range(1, shape[1] - 1)), kernel, c, k, x)
            np.testing.assert_array_equal(x, wanted, f"{shape}, {c}, {k}")
    x = np.zeros((9, 20))
    wanted = x.copy()
    for i, j in itertools.product(range(-4, 3), range(-7, 8)):
        kernel(i, j, 0, 2, wanted)
    pp.for_each(renderer, (pp.range(-4, 3), pp.range(-7, 8)), kernel, 0, 2, x)
    np.testing.assert_array_equal(x, wanted)


def test_indices_of_one_residue_are_a_loop_without_a_condition():
    x = np.zeros((9, 20))
    for kernel in (red_or_black, reversed_cells, alike, diagonal, odd, even):
        assert "to_first(" in pp.inspect(kernel, pp.simd(), 1, 2, x, space=(8, 19))["Numba"], kernel.__name__


def test_quotients_of_the_index(renderer):
    n, u = 1009, np.int64(5)
    k, x = np.arange(n), np.arange(n) * 3
    for w, m in WIDTHS:
        y, z = np.zeros((2, n), np.int64)
        pp.for_each(renderer, n, divided, w, m, u, x, y, z)
        with np.errstate(divide="ignore"):  # by 0 gives 0
            assert (y == x + 1000 * (k // (w * m)) + 100 * (k // w % m) + k % (m * w)).all(), (w, m)
            assert (z == 7 * (k // w) + k % w + k % 3 + k // u).all(), (w, m)
        if w > 0:
            y = np.zeros((12, 12), np.int64)
            pp.for_each(renderer, y.shape, blocks, w, m, y)
            i, j = np.ogrid[:12, :12]
            b = i if m < 0 else j // w
            assert (y == 100 * b + j % w + (i // (m + 2) if m + 2 else 0)).all(), (w, m)


@pytest.mark.parametrize("width", [1, 3, 4, 24])
def test_quotients_are_places_in_arrays(renderer, width):
    h, n = width, 480
    x = np.random.default_rng(1).integers(0, 100, n)
    y = x.copy()
    pp.for_each(renderer, n // 2, butterfly, h, y)
    a, b = x.reshape(-1, 2, h).transpose(1, 0, 2)
    assert (y.reshape(-1, 2, h).transpose(1, 0, 2) == [a + b, a - b]).all()
    a = x.reshape(-1, width)
    pp.for_each(renderer, n, from_rows, a, y)
    assert (y == 2 * x + np.arange(n) // len(a)).all()


# rows that are done together ----------------------------------------------------------------------


def crossed(i, j, k, x, y, z, d):
    y[i, j, k] += x[i - 1, j, k] + 2 * x[i, j - d, k] + 3 * x[i, j, k - 1] + 5 * x[i, (j + 1) % x.shape[1], k]
    if 0 < j < x.shape[1] - 1 and 0 < k < x.shape[2] - 1:
        z[i, j, k] += 7 * x[i, j + 1, k] - x[i, j, k + 1]


def slanted(i, j, k, x, y, z, d):
    h, m, n = x.shape
    y[i, j, k] += x[i, max(j - k, -m), k] + 2 * x[i, j, max(k - j, -n)] + 3 * x[min(max(i - j + k, -h), h - 1), j, k]
    if i != d and j >= d and k + j > i:
        z[i, j, k] += x[i, j, k] + x[i, j - d, k]


def gathered(i, j, k, x, y, z, d):
    y[i, j, k] += x[i, x[i, j, k - 1] % x.shape[1] - 1, k] + x[i, j - d, k]


def running(i, j, k, x, y, z, d):
    z[i, j, k] += y[i, j, k - 1] + x[i, j - 1, k]
    y[i, j, k] += 2 * x[i, j, k] + z[i - 1, j - d, k]


def periodic(i, j, k, x, y, z, d):
    y[i, j, k] += x[i, j, k - 1] * (k % 3 + 1) if j > 0 else x[i, j, k]
    z[i, j, k] += x[i, j, k - 1] * (k % 5) + x[i - 1, j, k]


EDGES = [(5, 6, 7), (1, 1, 9), (9, 1, 1), (1, 9, 1), (2, 2, 2), (3, 30, 4), (2, 3, 40), (0, 4, 4), (4, 0, 4), (4, 4, 0)]


@pytest.mark.parametrize(
    "kernel", [crossed, running, periodic, *(pytest.param(k, marks=pytest.mark.extra) for k in (slanted, gathered))]
)
def test_rows_that_are_inside_in_part(kernel):
    """Whole slabs, single rows, parts of rows: by what conditions say, where chunks end, and which arrays share."""
    parts = [pp.par.on(pp.threads(2)).with_(schedule="static", chunk_size=size) for size in (7, 50)]
    for shape in EDGES:
        x, d = np.random.default_rng(1).integers(0, 100, shape), min(2, shape[1])
        for how in [pp.seq] if kernel is running else [pp.seq, pp.par_unseq.on(pp.simd()), *parts]:
            for shared in (False, True):
                y, z = np.zeros((2, *shape), np.int64)
                one, other = y.copy(), z.copy()
                if shared:
                    z, other = y, one
                pp.for_each(how, shape, kernel, x, y, z, d)
                for index in np.ndindex(shape):
                    kernel(*index, x, one, other, d)
                np.testing.assert_array_equal(y, one, f"{shape} {how}")
                np.testing.assert_array_equal(z, other, f"{shape} {how}")


def test_rows_of_spaces_with_steps():
    def body(i, j, k, x, y):
        y[i, j, k] += x[i - 2, j - 1, k - 3] + 2 * x[i, j - 4, k] + i - j + 2 * k

    for steps in ((1, 1, 1), (-1, 2, 1), (5, 1, -1)):
        axes = [range(n - 1, -1, s) if s < 0 else range(n % 2, n, s) for n, s in zip((5, 12, 17), steps, strict=True)]
        x = np.random.default_rng(1).integers(0, 100, (5, 12, 17))
        y, wanted = np.zeros((2, *x.shape), np.int64)
        pp.for_each(pp.seq, tuple(pp.range(r.start, r.stop, r.step) for r in axes), body, x, y)
        for index in itertools.product(*axes):
            body(*index, x, wanted)
        np.testing.assert_array_equal(y, wanted, f"{steps}")


# rows of a few indices ----------------------------------------------------------------------------


def mixed(i, j, c, x, w, u, index, y, z):
    """Neighbours and wraps along all axes, and numbers that only some of the axes have."""
    n = x.shape[2]
    y[i, j, c] += x[i - 1, j, c] + 2 * x[i, j - 1, c] * w[c] + 7 * u[i, 1 - j]
    y[i, j, c] += 3 * x[i, j, (c + 1) % n] + 5 * x[i, j, c - 1]
    if c != 1:
        z[i, j, c] = x[i, j, (n - 1 - c) % n] + j - 2 * c


def looked_up(i, j, c, x, w, u, index, y, z):
    y[i, j, c] = x[index[i, j], j, c] - x[i, index[j, i] % x.shape[1] - 1, -1 - c]


def pairwise(i, j, c, x, w, u, index, y, z):
    """In order: what rows before have written is read."""
    z[i, j, c] = y[i, j - 1, c] + x[i, j, c - 1]
    y[i, j, c] = 2 * x[i, j, c] + z[i - 1, j, 0] - c


def scaled(i, j, c, x, w, u, index, y, z):
    y[i, j, c] = x[i, j, c] * w[c] - u[i, 1 - j]


def two_axes(i, c, x, w, y, z):
    y[i, c] += x[i - 1, c] * w[c] + x[i, (c + 1) % x.shape[1]] * x[i - 3, c - 2]
    z[i, c] = c


def checked_rows(kernel, policies, shape, space=None, shared=False):
    """Run a kernel, and the same in Python, over what its arrays have or over a part of that."""
    rng = np.random.default_rng(sum(shape))
    axes = [range(n) for n in shape] if space is None else space
    h, m = shape[0], shape[-2]
    x, w = rng.integers(-9, 9, shape), rng.integers(-9, 9, shape[-1])
    u, index = rng.integers(-9, 9, (h, m)), rng.integers(-h, h, (max(h, m), max(h, m)))
    y = rng.integers(-9, 9, shape)
    wanted, other = y.copy(), np.zeros(shape, np.int64)
    other = wanted if shared else other
    more = (x, w, u, index) if len(shape) == 3 else (x, w)
    for at in itertools.product(*axes):
        kernel(*at, *more, wanted, other)
    for how in policies:
        found, second = y.copy(), np.zeros(shape, np.int64)
        second = found if shared else second
        pp.for_each(how, space_of(axes), kernel, *more, found, second)
        np.testing.assert_array_equal(found, wanted, f"{shape} {axes} {how}")
        np.testing.assert_array_equal(second, other, f"{shape} {axes} {how}")


@pytest.mark.parametrize(
    "last", [3, *(pytest.param(n, marks=pytest.mark.extra) for n in (1, 4, 5)),
             *(pytest.param(n, marks=pytest.mark.rare) for n in (2, *range(6, 18)))]
)  # fmt: skip
def test_rows_of_a_few_indices(last):
    """The length of a short last axis is a constant of the code, and rows are done together."""
    some = [pp.seq, pp.par.on(pp.threads(2)).with_(schedule="static", chunk_size=7 * last + 2)]
    cells = 1200 // last
    checked_rows(mixed, some, (5, cells // 5 + 1, last))
    checked_rows(mixed, some[:1], (cells // 2 + 1, 2, last))
    if last != 3:
        checked_rows(pairwise, [pp.seq], (6, cells // 6 + 1, last), shared=last == 4)
        checked_rows(looked_up, some, (9, cells // 9 + 1, last))


@pytest.mark.extra
def test_rows_of_a_few_indices_on_every_executor(where):
    how = [pp.par.on(where)]
    for last in (3, 4):
        checked_rows(scaled, how * 5, (17, 40, last))
    checked_rows(two_axes, how * 5, (700, 3))


@pytest.mark.extra
def test_spaces_of_a_few_indices_begin_anywhere():
    """Starts, steps and ends along the short axis, arrays with other lengths than it, and empty axes."""
    axes = {3: (range(3), range(2, -1, -1), range(-1, 2)), 4: (range(1, 4),), 5: (range(0, 5, 2),)}
    for last, axis in ((last, axis) for last, some in axes.items() for axis in some):
        checked_rows(mixed, [pp.seq] * 2, (14, 40, last), (range(1, 13), range(39), axis))
    for shape in ((0, 40, 3), (40, 0, 3), (40, 40, 0)):
        x, w, u = np.zeros(shape), np.zeros(shape[2]), np.zeros(shape[:2])
        pp.for_each(pp.seq, shape, scaled, x, w, u, x, x.copy(), x)


def test_calls_over_other_short_lengths():
    """One after the other, again and again, as those that remember calls see them; across the size that matters."""
    for last, rows in ((3, 25), (4, 25), (3, 26), (2, 3), (3, 4), (20, 9), *((3, n) for n in range(60, 66)), (4, 26)):
        checked_rows(scaled, [pp.seq], (20, rows, last))
        for some in (last, last - 1):
            checked_rows(scaled, [pp.seq], (20, rows, last), (range(1, 20), range(rows), range(some)))


def test_rows_of_arrays_that_share_memory():
    """Written rows that are read, in order; and an output that is an input's memory in other rows."""
    flat, wanted = np.arange(3003.0), np.arange(3003.0)

    def next_row(i, c, x, y):
        y[i, c] = x[i, c] + 2 * x[i - 1, c]

    for _ in range(4):
        pp.for_each(pp.seq, (1000, 3), next_row, flat[:-3].reshape(1000, 3), flat[3:].reshape(1000, 3))
        for i in range(1000):
            for c in range(3):
                next_row(i, c, wanted[:-3].reshape(1000, 3), wanted[3:].reshape(1000, 3))
        np.testing.assert_array_equal(flat, wanted)
        flat %= 97
        wanted %= 97


# arrays that are changed in place ---------------------------------------------------------------------


def shortest(i, j, d, k):
    d[i, j] = min(d[i, j], d[i, k] + d[k, j])


def eliminated(i, j, d, k):
    if i > k and j > k:
        d[i, j] -= d[i, k] * d[k, j]


def relaxed(i, j, d, k):
    if 0 < i < d.shape[0] - 1 and 0 < j < d.shape[1] - 1 and (i + j) % 2 == k % 2:
        d[i, j] = 0.25 * (d[i, j - 1] + d[i, j + 1] + d[i - 1, j] + d[i + 1, j])


@pytest.mark.parametrize("kernel", [shortest, eliminated, relaxed], ids=lambda kernel: kernel.__name__)
def test_arrays_changed_in_place(where, kernel):
    d = np.random.default_rng(2).random((37, 37)) + 1
    wanted = d.copy()
    for k in (0, 3, 36):
        pp.for_each(pp.par.on(where), d.shape, kernel, d, k)
        for i in range(37):
            for j in range(37):
                kernel(i, j, wanted, k)
    np.testing.assert_array_equal(d, wanted)
    assert "steps_apart()" in pp.inspect(kernel, pp.simd(), d, 3, space=d.shape)["Numba"]


def test_what_is_changed_in_place_is_no_hindrance_on_opencl():
    """But what only some indices store others would wait for."""
    for kernel in (shortest, relaxed):
        text = pp.inspect(kernel, executor("opencl:0"), np.zeros((37, 37)), 3, space=(37, 37))["OpenCL C"]
        assert ("assume_safety" in text) == (kernel is shortest and "always_inline" in text)


def test_iterations_in_order_use_what_those_before_have_written():
    def sums(i, x):
        if i > 0:
            x[i] = x[i] + x[i - 1]

    def sums_of_rows(i, j, d):
        d[i, j] += 0.5 * d[i, j - 1]

    x = np.random.default_rng(4).random(1000)
    wanted = np.add.accumulate(x)
    pp.for_each(pp.seq, len(x), sums, x)
    np.testing.assert_array_equal(x, wanted)
    d = np.random.default_rng(5).random((9, 200))
    wanted = d.copy()
    for i in range(9):
        for j in range(1, 200):
            sums_of_rows(i, j, wanted)
    pp.for_each(pp.seq, (9, pp.range(1, 200)), sums_of_rows, d)
    np.testing.assert_array_equal(d, wanted)


def test_what_an_iteration_writes_before_it_reads_stays_in_order(renderer):
    def twice(i, x, y):
        x[i] = 2 * x[i]
        y[i] = x[i] + x[i + 0]
        if y[i] > 1:
            x[i] = y[i]

    x, y = np.random.default_rng(6).random(100), np.zeros(100)
    doubled = 2 * x
    pp.for_each(renderer, 100, twice, x, y)
    np.testing.assert_array_equal(y, 2 * doubled)
    np.testing.assert_array_equal(x, np.where(y > 1, y, doubled))
