"""Calls that are made again over other lengths, spaces and views take the short way, and still see what changed."""
# ruff: noqa: B023  kernels that capture the variables of loops are what is tested

import numpy as np
import pytest

import portapar as pp


@pytest.fixture
def short(monkeypatch):
    """How many calls took the long way since this was asked for the last time."""
    from portapar import call

    taken, cut = [], call.cut
    monkeypatch.setattr("portapar.call.cut", lambda *args: taken.append(args[0].algorithm) or cut(*args))

    def count():
        found = len(taken)
        taken.clear()
        return found

    return count


def test_loops_of_short_calls(renderer, short):
    """Numbers that kernels capture, spaces and lengths change from call to call."""
    if "opencl" in str(renderer):
        pytest.skip("captured arrays of NumPy do not live there")
    rng = np.random.default_rng(1)

    def floyd(d):
        for k in range(len(d)):

            def relax(i, j):
                t = d[i, k] + d[k, j]
                if t < d[i, j]:
                    d[i, j] = t

            pp.for_each(renderer, (len(d), len(d)), relax)

    def eliminate(a):
        n = len(a)
        for k in range(n - 1):

            def scale(i):
                a[i, k] = a[i, k] / a[k, k]

            def update(i, j):
                a[i, j] -= a[i, k] * a[k, j]

            pp.for_each(renderer, pp.range(k + 1, n), scale)
            pp.for_each(renderer, (pp.range(k + 1, n), pp.range(k + 1, n)), update)

    def sweep(a):
        n = len(a)
        for s in range(2, 2 * n - 1):
            low, high = max(1, s - n + 1), min(n, s)

            def cell(i):
                a[i, s - i] = a[i - 1, s - i] + 2 * a[i, s - i - 1]

            pp.for_each(renderer, pp.range(low, high), cell)

    for n in (20, 33, 41):
        weights = rng.random((n, n))
        d, expected = weights.copy(), weights.copy()
        floyd(d)
        for k in range(n):
            expected = np.minimum(expected, expected[:, k : k + 1] + expected[k])
        assert np.allclose(d, expected, rtol=1e-14)
        a = weights + n * np.eye(n)
        expected = a.copy()
        eliminate(a)
        lower, upper = np.tril(a, -1) + np.eye(n), np.triu(a)
        assert np.allclose(lower @ upper, expected)
        a, expected = weights.copy(), weights.copy()
        sweep(a)
        for i in range(1, n):
            for j in range(1, n):
                expected[i, j] = expected[i - 1, j] + 2 * expected[i, j - 1]
        assert np.allclose(a, expected)
        assert short() < (20 if n == 20 else 8)


def test_views_of_other_lengths(renderer, short):
    where = renderer.executor
    x, y = np.random.default_rng(1).random(5000), np.empty(5000)
    here, there = where.asarray(x), where.asarray(y)
    for n in (100, 101, 4096, 5000, 1, 2, 4097):
        pp.transform(renderer, here[:n], 2.0, out=there[:n], op=lambda a, b: a * b)
        assert np.array_equal(pp.asnumpy(there)[:n], 2.0 * x[:n])
        made = pp.transform(renderer, here[:n], op=lambda a: a + 0.5)
        assert made.shape == (n,) and np.array_equal(pp.asnumpy(made), x[:n] + 0.5)
        assert pp.reduce(renderer, here[:n]) == pp.reduce(pp.seq, x[:n].copy())
        assert pp.reduce(renderer, here[:n], init=1.0) > 1.0
        pp.fill(renderer, there[:n], 3)
        assert (pp.asnumpy(there)[:n] == 3).all()
    assert short() <= 12
    with pytest.raises(pp.PortaparError):
        pp.transform(renderer, here[:7], 2.0, out=there[:8], op=lambda a, b: a * b)
    assert pp.transform(renderer, here[:0], op=lambda a: a + 0.5).shape == (0,)
    assert pp.reduce(renderer, here[:0]) == 0.0


def test_views_of_one_place(renderer, short):
    """Two views of the same elements are one array, however often they are made; else nothing may be taken for it."""
    if "opencl" in str(renderer):
        pytest.skip("views of its arrays are not looked into")
    x, y = np.random.default_rng(1).random(5000), np.zeros(5000)
    expected = y.copy()

    def mixed(a, b):
        return a + 2 * b

    def added(i, a, b, c):
        c[i] = a[i] + 2 * b[i]

    for n in (100, 100, 101, 99, 4097, 64, 63, 62, 1):
        pp.transform(renderer, x[n:], y[n:], out=y[n:], op=mixed)
        expected[n:] = x[n:] + 2 * expected[n:]
        pp.transform(renderer, y[:n], y[:n], out=y[:n], op=mixed)
        expected[:n] *= 3
        pp.for_each(renderer, n, added, x[:n], y[:n], y[:n])
        expected[:n] = x[:n] + 2 * expected[:n]
        assert np.array_equal(y, expected)
    assert short() <= 9
    for other in (y[:50].copy(), y[50:100], y[:50]):  # apart, then at the same place again
        out, given = y[:50], other.copy()
        pp.transform(renderer, x[:50], other, out=out, op=mixed)
        assert np.array_equal(out, x[:50] + 2 * given)
    with pytest.raises(pp.PortaparError, match="overlap"):
        pp.transform(renderer, x[:50], y[1:51], out=y[:50], op=mixed)
    assert np.array_equal(pp.transform(renderer, y[:50], y[:100:2], op=mixed), y[:50] + 2 * y[:100:2])


def some_rows(i, x, y, k):
    y[i] = 2 * x[i] + k


def rows_before(i, x, y, k):
    y[i] += x[i - 1] * k


def cells(i, j, a, b, k):
    b[i, j] += a[i, j] * k + i - j


def triangle(i, x, y):
    s = 0.0
    for k in range(i):
        s += x[k]
    y[i] = s


def pairs(i, a, v):
    v[i] = a[i, 0] + a[i, 1]


def tripled(v):
    return v * 3 - 1


@pytest.mark.parametrize("how", ["threads", "simd", pytest.param("dynamic", marks=pytest.mark.extra)])
def test_native_code_sees_all_that_changes(how, monkeypatch):
    """Lengths, where spaces start, layouts, numbers and threads; what it cannot run is told as ever."""
    from portapar import call

    wide = pp.par.on(pp.threads(2))
    policy = {"threads": wide, "simd": pp.unseq, "dynamic": wide.with_(schedule="dynamic")}[how]
    asked, long = [], call._call
    monkeypatch.setattr(call, "_call", lambda *args: asked.append(args[0]) or long(*args))
    rng = np.random.default_rng(1)
    data = rng.random(60_000)
    layouts = (lambda n: data[:n], lambda n: data[3 : 3 + n], lambda n: data[: 2 * n : 2])
    lengths = [100, 7, 50, 3, 1, 64, 63, 65, 4096, 4097, 9000, 20_000, 130, 2, *range(30, 60)]
    for turn, n in enumerate(lengths * 3):
        if turn == 2 * len(lengths):
            asked.clear()
        x, k, low = layouts[turn % 3](n), turn % 5 - 1.5, turn % 3
        y, same, e = rng.random(n + turn % 2), rng.random(n), np.zeros(n)
        before, after = y.copy(), same.copy()
        pp.for_each(policy, pp.range(low, n), rows_before, data[:n], y, k)
        before[np.arange(low, n)] += k * data[np.arange(low, n) - 1][: max(0, n - low)] if low else 0
        if low == 0:
            before[:n] += k * np.roll(data[:n], 1)
        assert np.array_equal(y, before)
        pp.for_each(policy, n, some_rows, x, e, k)
        assert np.array_equal(e, 2 * x + k)
        assert pp.transform(policy, same[:], out=same[:], op=tripled).shape == (n,)
        assert np.array_equal(same, after * 3 - 1)
        found = pp.transform(policy, x, op=tripled)
        assert found.shape == (n,) and np.array_equal(found, x * 3 - 1)
        assert pp.reduce(policy, x) == pp.reduce(pp.seq, x.copy()) and np.isclose(pp.reduce(policy, x), x.sum())
        m = min(n, 60)
        pp.for_each(policy, m, triangle, data, e)
        assert np.allclose(e[1:m], np.cumsum(data[: m - 1]))
        a, b = data[: m * (m + 1)].reshape(m, m + 1), np.zeros((m, m + turn % 2))
        pp.for_each(policy, (pp.range(min(low, m - 1), m), m), cells, a, b, k)
        i, j = np.mgrid[min(low, m - 1) : m, :m]
        assert np.array_equal(b[min(low, m - 1) :, :m], a[min(low, m - 1) :, :m] * k + i - j)
        assert not b[: min(low, m - 1)].any() and not b[:, m:].any()
        width = (2, 3, 17, 18)[turn % 4]
        pp.for_each(policy, m, pairs, data[: m * width].reshape(m, width), e)
        assert np.array_equal(e[:m], data[: m * width].reshape(m, width)[:, :2] @ np.ones(2))
    assert len(asked) < 0.2 * 9 * len(lengths)
    for n in (10, 11):
        frozen = np.zeros(n)
        frozen.flags.writeable = False
        with pytest.raises(pp.PortaparError, match="writ|read-only"):
            pp.transform(policy, data[:n], out=frozen, op=tripled)
        with pytest.raises(pp.PortaparError, match="shape"):
            pp.transform(policy, data[:n], out=np.zeros(n + 1), op=tripled)
        with pytest.raises(pp.PortaparError, match="overlap"):
            pp.transform(policy, data[:n], out=data[1 : n + 1], op=tripled)
        assert pp.transform(policy, data[:n].astype(np.float32), op=tripled).dtype == np.float32
        assert pp.transform(policy, data[:0], op=tripled).shape == (0,)
        swapped = np.arange(n).astype(">f8")
        with pytest.raises(pp.PortaparError):
            pp.for_each(policy, n, some_rows, swapped, np.zeros(n), 1.0)
        with pytest.raises(pp.PortaparError, match="negative"):
            pp.for_each(policy, -n, some_rows, data, np.zeros(n), 1.0)


def test_what_is_used_is_not_forgotten(monkeypatch, short):
    """Other calls may be as many as they like: what has been used lately stays, and no more than there is room for."""
    from portapar import lengths, looks, remembered

    kept = remembered.ready_calls, looks.simple_codes, lengths._loops
    for each in kept:
        each.clear()
        monkeypatch.setattr(each, "limit", 8)
    x = np.arange(100.0)

    def often(v):
        return v + 1

    def seldom(v):
        return v + 2

    for k in range(40):
        for shape in ((k + 1, 1), (1, k + 1)):  # of an own kind each
            pp.transform(pp.seq, x[: k + 1].reshape(shape).astype(("f4", "f8", "i4")[k % 3]), op=seldom)
        assert np.array_equal(pp.transform(pp.seq, x, op=often), x + 1)
        assert all(len(each) <= 8 and len(each._gone) <= 8 for each in kept)
        if k == 11:
            short()
    assert short() == 0


LAYOUTS = {
    "rows": lambda x, n: x[:n],
    "every other": lambda x, n: x[: 2 * n : 2],
    "backwards": lambda x, n: x[n - 1 :: -1] if n else x[:0],
    "columns": lambda x, n: x.reshape(100, 100)[:n, 3],
    "square": lambda x, n: x.reshape(100, 100)[:n, :n],
    "band": lambda x, n: x.reshape(100, 100)[:n],
    "turned": lambda x, n: x.reshape(100, 100)[:n, :n].T,
    "deep": lambda x, n: x.reshape(10, 10, 100)[:, :5, :n],
}


def some(names, *kept):
    return [name if name in kept else pytest.param(name, marks=pytest.mark.rare) for name in names]


@pytest.mark.parametrize("out", some(LAYOUTS, "rows", "every other", "square", "turned"))
def test_layouts_change_between_calls(out):
    """What is laid out in another way, or overlaps, is not taken for what it was."""
    x = np.random.default_rng(1).random(10_000)
    for n in (30, 41, 1, 50):
        for given in LAYOUTS.values():
            memory = np.zeros(10_000)
            a, b = given(x, n), LAYOUTS[out](memory, n)
            if a.shape == b.shape:
                pp.transform(pp.par, a, out=b, op=lambda v: v + 1)
                wanted = np.zeros(10_000)
                LAYOUTS[out](wanted, n)[...] = a + 1
                assert np.array_equal(memory, wanted)
                assert np.isclose(pp.reduce(pp.par, a), a.sum())
                for name, other in (("read-only", b), ("overlap", LAYOUTS[out](memory, n))):
                    if name == "read-only":
                        other.flags.writeable = False
                        with pytest.raises(pp.PortaparError, match="read-only"):
                            pp.transform(pp.par, a, out=other, op=lambda v: v + 1)
                    elif n > 1 and a.ndim == 1:
                        with pytest.raises(pp.PortaparError, match="overlap"):
                            pp.transform(pp.par, memory[: len(a)], out=memory[1 : len(a) + 1], op=lambda v: v + 1)
                assert np.array_equal(memory, wanted)


def test_interleaved_views():
    """An output between the elements of an input."""
    memory = np.arange(2000.0)
    for n in (100, 300, 1000):
        pp.transform(pp.par, memory[: 2 * n : 2], out=memory[1 : 2 * n : 2], op=lambda v: -v)
        assert np.array_equal(memory[1 : 2 * n : 2], -memory[: 2 * n : 2])
        pp.fill(pp.par, memory[1 : 2 * n : 2], 5)
        assert (memory[1 : 2 * n : 2] == 5).all() and np.array_equal(memory[: 2 * n : 2], np.arange(0.0, 2 * n, 2))


def test_spaces_change_between_calls():
    """Steps, signs of indices, numbers of dimensions, arrays that are shorter than the space."""

    def put(i, x, y):
        y[i] = x[i] + 1

    x = np.random.default_rng(1).random(100)
    spaces = [50, 60, (70,), pp.range(3, 50), pp.range(5, 60), pp.range(0, 60, 3), pp.range(1, 99, 3)]
    spaces += [pp.range(99, 9, -3), pp.range(80, 20, -3), pp.range(-20, 10), pp.range(-30, 20), pp.range(-1, -50, -7)]
    spaces += [pp.range(4, 90, 9), pp.range(2, 90, 9), pp.range(7, 7), pp.range(5, 2), 0, pp.range(-50, -2)]
    for space in spaces + spaces[::-1]:
        if isinstance(space, pp.range):
            indices = [space.start + space.step * k for k in range(len(space))]
        else:
            indices = range(*space) if isinstance(space, tuple) else range(space)
        y, wanted = np.zeros(100), np.zeros(100)
        pp.for_each(pp.par, space, put, x, y)
        for i in indices:
            wanted[i] = x[i] + 1
        assert np.array_equal(y, wanted), space
    for n in (40, 41):
        with pytest.raises(pp.PortaparError, match="negative size"):
            pp.for_each(pp.par, -n, put, x, np.zeros(100))

    def rows(i, points, y):  # a short last axis is a constant of the code
        for k in range(points.shape[1]):
            y[i] += points[i, k] * (k + 1)

    for shape in ((10, 3), (12, 3), (10, 4), (11, 17), (12, 18), (13, 1), (14, 0), (9, 16)):
        points, y = np.random.default_rng(2).random(shape), np.zeros(shape[0])
        pp.for_each(pp.par, shape[0], rows, points, y)
        assert np.allclose(y, points @ np.arange(1, shape[1] + 1))


def test_rows_are_held_against_each_other_in_every_call():
    def add(i, x, y):
        x[i] = x[i] + y[i]

    x = np.zeros((20, 5))
    for n in (10, 12):
        pp.for_each(pp.par, n, add, x, np.ones((n, 5)))
        with pytest.raises(pp.PortaparError, match="elements"):
            pp.for_each(pp.par, n, add, x, np.ones((n + 1, 4)))


def test_captured_values_and_kinds_change_between_calls():
    for n in (10, 11, 12, 13, 14):
        for c in (2, 2.5, np.float32(0.1), True, 3 + 1j):
            x = np.arange(n)
            made = pp.transform(pp.par, x, op=lambda v: v * c)
            assert made.dtype == (x * c).dtype and np.allclose(made, x * c)
            scale = np.full(n + 3, c)
            made = pp.transform(pp.par, x, op=lambda v: v * scale[v])
            assert made.dtype == (x * scale[:n]).dtype and np.allclose(made, x * c)
            made = pp.transform(pp.par, x, op=lambda v, c=c: v + c)
            assert np.allclose(made, x + c)


def test_defaults_have_one_element_for_each_index(renderer):
    """Ranges, arrays and lazy inputs that are defaults are held against the lengths in every call."""
    x, there = np.arange(20.0), renderer.executor.asarray(np.arange(20.0))
    for default in (pp.range(0, 30, 3), renderer.executor.asarray(3 * x[:10]), pp.lazy.transform(there[:10], triple)):

        def add(v, w=default):
            return v + w

        for n in (10, 9, 20, 10, 12):
            if n == 10:
                made = pp.transform(renderer, there[:n], op=add)
                assert np.array_equal(pp.asnumpy(made), 4 * x[:n])
            else:
                with pytest.raises(pp.PortaparError, match="shape"):
                    pp.transform(renderer, there[:n], op=add)


def triple(v):
    return 3 * v


@pytest.mark.parametrize("dtype", ["u1", "i8", "?"])
def test_what_fills_an_array_must_fit_in_every_call(dtype):
    for n in (4, 4, 5):
        for value in (1, 1.0, 2.5, 300, -1, np.float64(1.0), np.float64(0.5), np.nan, np.inf, 1e300, True, 1j):
            out = np.zeros(n, dtype)
            try:
                fit = bool(out.dtype.type(value) == value)
            except (OverflowError, TypeError, ValueError):
                fit = False
            if fit:
                assert (pp.fill(pp.par, out, value) == value).all()
            else:
                with pytest.raises(pp.PortaparError):
                    pp.fill(pp.par, out, value)
                assert not out.any()


def test_a_closed_executor_is_told():
    where = pp.threads(2)
    for n in (100, 101):
        pp.transform(pp.par.on(where), np.ones(n), op=lambda v: v + 1)
    where.close()
    with pytest.raises(pp.PortaparError, match="closed"):
        pp.transform(pp.par.on(where), np.ones(102), op=lambda v: v + 1)


def test_long_calls_after_short_ones():
    """How many threads, and stores past the caches, are chosen for each length."""
    for n in (10, 3_000_000, 1000, 5_000_001, 50_000):
        x = np.arange(float(n))
        assert np.array_equal(pp.transform(pp.par, x, op=lambda v: 2 * v), 2 * x)
        assert pp.reduce(pp.par, x) == pp.reduce(pp.seq, x)
        y = np.zeros(n)
        pp.for_each(pp.par, n, write, x, y)
        assert np.array_equal(y, x + 1)


def write(i, x, y):
    y[i] = x[i] + 1


ON_LAZY = {  # what it does with a lazy input of small whole numbers, and with an array of its elements
    "reduce": lambda p, x: pp.reduce(p, x),
    "scan": lambda p, x: pp.inclusive_scan(p, x),
    "min_element": lambda p, x: pp.min_element(p, x),
    "find": lambda p, x: pp.find(p, x, 7),
    "find_if": lambda p, x: pp.find_if(p, x, lambda v: v > 40),
    "mismatch": lambda p, x: pp.mismatch(p, x, pp.lazy.reverse(x)),
    "copy_if": lambda p, x: pp.copy_if(p, x, lambda v: v % 3 == 0),
    "pack_index": lambda p, x: pp.pack_index(p, pp.lazy.transform(x, lambda v: v > 9)),
    "bincount": lambda p, x: pp.bincount(p, x),
    "histogram": lambda p, x: pp.histogram(p, x, bins=5, range=(0, 99))[0],
    "gather": lambda p, x: pp.gather(p, x, np.array([0, -1, 0])),
    "segments": lambda p, x: pp.segmented_reduce(p, np.array([0, 1, len(x)]), x),
    "sort": lambda p, x: pp.sort(p, x),
}


def same(name, made, x):
    wanted = ON_LAZY[name](pp.seq, x)
    for _ in range(2):
        found = ON_LAZY[name](pp.par, made())
        assert np.array_equal(found, wanted) and np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("name", some(ON_LAZY, "find_if", "copy_if", "gather", "min_element"))
def test_lazy_inputs_change_between_calls(name):
    """Made anew for each call, as users write them."""
    rng = np.random.default_rng(3)
    for n in (100, 101, 1, 6000):
        x, y = rng.integers(0, 50, n), rng.integers(0, 50, n)
        for c in (3, 5):
            same(name, lambda: pp.lazy.transform(x, y, lambda a, b: (a + c * b) % 99), (x + c * y) % 99)
            x[::2] = c


@pytest.mark.parametrize("name", some(["reduce", "find_if"], "reduce"))
def test_kinds_of_lazy_inputs_change_between_calls(name):
    """Dtypes, what is captured, which arrays are one."""
    rng = np.random.default_rng(3)
    for n in (100, 101, 6000):
        for dtype in (np.int64, np.uint8, np.int64):
            x, y = rng.integers(0, 50, n).astype(dtype), rng.integers(0, 50, n).astype(dtype)
            same(name, lambda: pp.lazy.transform(x, y, lambda a, b: (a + 3 * b) % 99), (x + 3 * y) % 99)
            same(name, lambda: pp.lazy.transform(x, x, lambda a, b: (a + 3 * b) % 99), (x + 3 * x) % 99)
            same(name, lambda: pp.lazy.reverse(x), x[::-1].copy())
        table = rng.integers(0, 50, 100)
        for begin in (0, 5):
            wanted = table[np.arange(begin, n + begin) % 100]
            same(name, lambda: pp.lazy.transform(pp.lazy.iota(n, begin), lambda k: table[k % 100]), wanted)
            table[:] = rng.integers(0, 50, 100)
        pairs = pp.lazy.zip(x, y)
        same(name, lambda: pp.lazy.transform(pairs, lambda p: max(p[0], p[1])), np.maximum(x, y))


def test_what_is_wrong_with_lazy_inputs_is_told_in_every_call():
    x, y = np.arange(100.0), np.arange(101.0)
    unaligned = np.zeros(801, np.uint8)[1:].view(np.float64)
    for _ in range(2):
        assert pp.reduce(pp.par, pp.lazy.transform(x, x[::-1], lambda a, b: a + b)) == 9900
        assert pp.reduce(pp.par, pp.lazy.transform(x, unaligned, lambda a, b: a + b)) == 4950
        for wrong in (y, x.astype(">f8"), x.astype("f2"), x.reshape(10, 10), 2**70, [1.0]):
            with pytest.raises(pp.PortaparError):
                pp.reduce(pp.par, pp.lazy.transform(x, wrong, lambda a, b: a + b))
        out = np.zeros(100)
        pp.transform(pp.par, pp.lazy.transform(x, lambda v: v + 1), out=out, op=lambda v: v)
        assert np.array_equal(out, x + 1)
        with pytest.raises(pp.PortaparError, match="shares memory"):
            pp.transform(pp.par, pp.lazy.reverse(out), out=out, op=lambda v: v)
        assert np.array_equal(out, x + 1)
        with pytest.raises(pp.PortaparError):  # tuples have no order
            pp.min_element(pp.par, pp.lazy.zip(x, x))
        assert pp.min_element(pp.par, pp.lazy.transform(x, lambda v: -v)) == 99


def test_searches_change_between_calls():
    """Lengths, dtypes, what predicates capture, and elements; beside Python's own."""
    rng = np.random.default_rng(5)
    for n in (1, 100, 101, 5000):
        for dtype in (np.int64, np.float64):
            x = rng.integers(0, 4, n).astype(dtype)
            y, pattern = x.copy(), x[n // 2 : n // 2 + 3].copy()
            y[-1] += 1
            for _ in range(2):
                windows = [k for k in range(n - len(pattern) + 1) if np.array_equal(x[k : k + len(pattern)], pattern)]
                assert pp.search(pp.par, x, pattern) == windows[0]
                assert pp.lexicographical_compare(pp.par, x, y) and not pp.lexicographical_compare(pp.par, y, x)
                assert not pp.lexicographical_compare(pp.par, x, x)
                assert pp.lexicographical_compare(pp.par, x[: n // 2], x)
                falls = [i for i in range(1, n) if x[i] < x[i - 1]]
                assert pp.is_sorted_until(pp.par, x) == (falls[0] if falls else n)
                assert pp.is_sorted_until(pp.par, np.sort(x)) == n
                for limit in (1, 2):
                    assert pp.is_partitioned(pp.par, np.sort(x), lambda v: v < limit)
                    tested = [bool(v < limit) for v in x]
                    assert pp.is_partitioned(pp.par, x, lambda v: v < limit) == (sorted(tested)[::-1] == tested)
                x[: n // 2], y[: n // 2] = 1, 1
                pattern = x[n // 2 : n // 2 + 2].copy()


def test_rows_must_lie_apart_in_every_call(renderer):
    """What is stored is read elsewhere: also when a call with arrays that lie apart ran before."""

    def shift(i, x, y):
        x[i] = y[i - 1]

    where, values = renderer.executor, np.random.default_rng(6).random((5, 6))
    for _ in range(2):
        x, y = where.asarray(np.zeros((4, 6))), where.asarray(values[:4].copy())
        pp.for_each(renderer, 4, shift, x, y)
        assert np.array_equal(pp.asnumpy(x), values[[3, 0, 1, 2]])
        both = where.asarray(values)
        if isinstance(both, np.ndarray):
            with pytest.raises(pp.PortaparError, match="share memory"):
                pp.for_each(renderer, 4, shift, both[1:], both[:4])
        with pytest.raises(pp.PortaparError, match="share memory"):
            pp.for_each(renderer, 4, shift, x, x)
        assert np.array_equal(pp.asnumpy(both), values)


def test_blocks_of_one_array_in_turns():
    """Of more ranges than are known by what they are, none is taken for a space of three dimensions."""
    n, count = 200_000, 20
    x, out = np.arange(float(n)), np.zeros(n)

    def add(i, x, out):
        out[i] += x[i]

    blocks = [pp.range(k * n // count, (k + 1) * n // count - k) for k in range(count)]
    wanted = np.zeros(n)
    for policy in (pp.seq, pp.par, pp.par.with_(schedule="dynamic", chunk_size=1024)):
        for _ in range(4):
            for block in blocks:
                pp.for_each(policy, block, add, x, out)
                wanted[block.start : block.stop] += x[block.start : block.stop]
        assert np.array_equal(out, wanted)
