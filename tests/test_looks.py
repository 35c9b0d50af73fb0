"""Calls that native code knows by their looks: it must know apart whatever is another call, and hold on to nothing."""

import functools
import gc
import os
import signal
import sys
import threading
import tracemalloc
import types

import numba
import numpy as np
import pytest
from conftest import executor
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import portapar as pp
from portapar import choice, looks
from portapar.devices import opened

N = 100
OFTEN = 8  #: calls after which native code certainly knows one


def put(i, x, y, s):
    y[i] = x[i] * s + 1


def put_two(i, j, x, y):
    y[i, j] = x[i, j] + 10 * i + j


def scaled(a, b):
    return a + 2 * b


def product(a, b):
    return a * b


def difference(a, b):
    return a - b


def greater(a, b):
    return b if b > a else a


def counted(k, x):
    return 1, x, k


def all_three(a, b):
    return a[0] + b[0], min(a[1], b[1]), max(a[2], b[2])


def with_default(v, s=3.0):
    return v * s


def steps(i, x, y, s):
    """As many steps as `x` says."""
    v = y[i] * 0.5
    for _ in range(int(x[i])):
        v = v * 0.5 + s
    y[i] = v


@pytest.fixture(params=["unseq", "par"])
def how(request):
    return pp.unseq if request.param == "unseq" else pp.par.on(pp.threads(2))


def test_inputs_without_memory_are_part_of_a_look(how, known):
    """Numbers of a range and of lazy inputs are arguments; their lengths and functions are what the call is."""
    x, h, out = np.arange(N, dtype=np.float64), 0.5, np.zeros(N)

    def area(i):
        return (i + 0.5) * h

    def expected(indices):
        return sum((i + 0.5) * h for i in indices)

    assert known(pp.transform_reduce, how, pp.range(N), transform=area) == expected(range(N))
    for ends in ((0, N), (3, N + 3), (0, 2 * N, 2), (N, 0, -1), (0, N + 1), (0, 7)):
        for indices in (pp.range(*ends), range(*ends)) * OFTEN:
            assert pp.transform_reduce(how, indices, transform=area) == expected(range(*ends))
        assert pp.transform_reduce(how, pp.range(N), transform=area) == expected(range(N))
    assert known(pp.reduce, how, pp.lazy.transform(x, lambda v: v * 2)) == 2 * x.sum()
    for _ in range(OFTEN):
        assert pp.reduce(how, pp.lazy.transform(x, lambda v: v * 3)) == 3 * x.sum()
        assert pp.reduce(how, pp.lazy.transform(x[:9], lambda v: v * 2)) == 72
        assert pp.reduce(how, pp.lazy.transform(x, lambda v: v * 2)) == 2 * x.sum()
    assert known(pp.transform, how, pp.range(5, N + 5), out=out, op=area) is out
    assert np.array_equal(out, (np.arange(5, N + 5) + 0.5) * h)
    h = 2.0
    pp.transform(how, pp.range(N), out=out, op=area)
    assert np.array_equal(out, (np.arange(N) + 0.5) * h)
    short = pp.transform(how, pp.range(4), op=area)
    assert np.array_equal(short, [1.0, 3.0, 5.0, 7.0]) and len(pp.transform(how, pp.range(6), op=area)) == 6


@pytest.fixture
def known(monkeypatch):
    """Makes a call until native code knows it; fails if it never does."""

    def check(call, *args, **keywords):
        for _ in range(OFTEN):
            call(*args, **keywords)

        def fail(*_):
            raise AssertionError("a call took the longer way")

        with monkeypatch.context() as patch:
            patch.setattr("portapar.call.signature", fail)
            return call(*args, **keywords)

    return check


def test_calls_that_native_code_knows(how, known):
    for n in (N, 9_000, 150_000):
        x, y, z = np.arange(n) % 7.0, np.zeros(n), np.zeros(n)
        for s in (2.0, 3, True, np.float32(0.5), np.int8(-3)):
            known(pp.for_each, how, n, put, x, y, s)
            assert (y == x * s + 1).all()
        known(pp.for_each, how, n, put, z, z, 2.0)
        assert (z == 2.0 ** (OFTEN + 1) - 1).all()
        c = x + 1j * y
        known(pp.transform, how, x, 2 - 3j, out=c, op=product)
        assert (c == x * (2 - 3j)).all()
        assert known(pp.transform, how, x, y, out=z, op=scaled) is z and (z == x + 2 * y).all()
        assert known(pp.transform, how, x, y, out=x, op=difference) is x
        fresh = known(pp.transform, how, x, y, op=scaled)
        assert (fresh == x + 2 * y).all() and fresh is not pp.transform(how, x, y, op=scaled)
        assert known(pp.copy, how, fresh, out=z) is z and (z == fresh).all()
        k = np.arange(n) % 5
        for found, right in (
            (known(pp.reduce, how, k), np.int64(k.sum())),
            (known(pp.reduce, how, k.astype("f4"), pp.maximum), np.float32(4)),
            (known(pp.reduce, how, k, greater), np.int64(4)),
            (known(pp.reduce, how, k, np.add), np.int64(k.sum())),
            (known(pp.transform_reduce, how, k, k, transform=product), np.int64((k * k).sum())),
        ):
            assert found == right and type(found) is type(right)
        found = known(pp.transform_reduce, how, k, x, transform=counted, op=all_three)
        assert found == (n, x.min(), 4)
        assert list(map(type, found)) == [np.int64, np.float64, np.int64]
        assert (known(pp.transform, how, x, out=z, op=with_default) == x * 3).all()
    x, y = np.ones((30, 40)), np.zeros((40, 30)).T
    right = 1 + 10 * np.arange(30)[:, None] + np.arange(40)
    known(pp.for_each, how, (30, 40), put_two, x, y)
    assert (y == right).all()
    for rows, columns in ((slice(0, 30), slice(1, 39)), (slice(3, 28, 2), slice(1, 39)), (slice(2, 30), slice(0, 40))):
        y[:] = 0
        space = tuple(pp.range(part.start, part.stop, part.step or 1) for part in (rows, columns))
        known(pp.for_each, how, space, put_two, x, y)
        assert (y[rows, columns] == right[rows, columns]).all() and y.sum() == right[rows, columns].sum()
    assert (known(pp.fill, how, y, 3.0) == 3).all() and (known(pp.fill, how, y, 4) == 4).all()
    k = np.zeros(N, np.uint8)
    assert (known(pp.fill, how, k, 255) == 255).all()
    with pytest.raises(pp.PortaparError):
        pp.fill(how, k, 256)
    assert (k == 255).all()


def test_operators_and_transforms_are_told_apart(how):
    x = np.arange(1.0, N)
    for _ in range(OFTEN):
        assert pp.reduce(how, x) == x.sum() and pp.reduce(how, x, init=0.5) == x.sum() + 0.5
        assert pp.reduce(how, x, pp.maximum) == N - 1 == pp.reduce(how, x, greater)
        assert pp.transform_reduce(how, x, transform=np.negative) == -x.sum()
        assert pp.transform_reduce(how, x, transform=lambda v: v) == x.sum()
        assert pp.transform_reduce(how, x, transform=lambda v: v + 1) == (x + 1).sum()
        assert pp.reduce(how, x, axis=0) == x.sum() and pp.reduce(how, x, pp.minimum) == 1
        np.testing.assert_array_equal(pp.transform(how, x, x, op=greater), x)
        np.testing.assert_array_equal(pp.transform(how, x, x, op=product), x * x)


def changed(**flags):
    x = np.zeros(N)
    for name, value in flags.items():
        setattr(x.flags, name, value)
    return x


class Array(np.ndarray):
    pass


@pytest.mark.parametrize(
    "other",
    [
        lambda: changed(writeable=False),
        lambda: np.zeros(8 * N + 1, np.uint8)[1:].view("f8"),
        lambda: as_strided(np.zeros(1), (N,), (0,)),
        lambda: np.zeros(N, ">f8"),
        lambda: np.ma.zeros(N),
        lambda: np.zeros((N, 1)),
        lambda: np.zeros(N - 1),
        lambda: np.zeros(N, np.int64),
        lambda: np.zeros(N, [("a", "f8")]),
        lambda: None,
        lambda: [0.0] * N,
        lambda: 1.0,
    ],
)
def test_outputs_that_are_refused(how, other):
    x = np.arange(N) * 1.0
    for _ in range(OFTEN):
        pp.transform(how, x, x, out=np.zeros(N), op=scaled)
        pp.for_each(how, N, put, x, np.zeros(N), 1.0)
    out = other()
    if out is not None:
        with pytest.raises(pp.PortaparError):
            pp.transform(how, x, x, out=out, op=scaled)
        assert not np.asarray(out).any() or type(out) is float
    if not isinstance(out, np.ndarray) or not out.flags.aligned or not out.flags.writeable:
        with pytest.raises(pp.PortaparError):
            pp.for_each(how, N, put, x, out, 1.0)


def test_arguments_that_are_others(how):
    x, y = np.arange(N) * 1.0, np.zeros(N)
    calls = [
        (x, 2), (x, 2.0), (x, np.float32(0.1)), (x, 0.1), (x, True), (x, 1), (x, -(2**63)), (x, 2**63 - 1),
        (x.astype("f4"), 2.0), (x.astype("i8"), 3), (x[::-1], 2.0), (np.arange(2.0 * N)[::2], 2.0),
        (x.view(Array), 2.0), (x.reshape(1, N)[0], 2.0), (np.arange(N + 50.0), 2.0), (x, np.array(3.0)[()]),
    ]  # fmt: skip
    for _ in range(OFTEN):
        for one, s in calls:
            pp.for_each(how, N, put, one, y, s)
            np.testing.assert_array_equal(y, one[:N] * s + 1)
    for n in (True, 1.0, 100.0, "100", None, -1, 2**70, (100.0,), [100]):
        y[:] = 7
        try:
            pp.for_each(how, n, put, x, y, 2.0)
        except pp.PortaparError:
            assert (y == 7).all()
        else:
            assert n in (True, [100]) and y[-1] == (7 if n is True else 2 * x[-1] + 1)
    for s in (2**63, -(2**63) - 1, 2**200, None, "2", [2.0]):
        with pytest.raises((pp.PortaparError, OverflowError)):
            pp.for_each(how, N, put, x, y, s)
    with pytest.raises(pp.PortaparError):
        pp.for_each(how, N, put, x, y)
    with pytest.raises(pp.PortaparError):
        pp.for_each(x, N, put, x, y, 2.0)


def test_arrays_that_change_in_place(how):
    x, out = np.arange(24.0), np.zeros(24)
    for change in (lambda: setattr(x, "shape", (4, 6)), lambda: setattr(x, "dtype", np.int64),
                   lambda: setattr(x, "dtype", np.float64), lambda: setattr(x, "shape", 24),
                   lambda: x.resize(5, refcheck=False), lambda: x.resize(100, refcheck=False)):  # fmt: skip
        for _ in range(OFTEN):
            assert pp.reduce(how, x) == x.sum()
            np.testing.assert_array_equal(pp.transform(how, x, x, op=scaled), x * 3)
        change()
    for _ in range(OFTEN):
        pp.for_each(how, 24, put, out, out, 1.0)
    out.flags.writeable = False
    with pytest.raises(pp.PortaparError):
        pp.for_each(how, 24, put, out, out, 1.0)
    assert (out == OFTEN).all()


def test_kernels_that_are_others(how):
    x, y = np.arange(N) * 1.0, np.zeros(N)

    def own(i, x, y, s):
        y[i] = x[i] - s

    for _ in range(OFTEN):
        pp.for_each(how, N, own, x, y, 2.0)
        assert (y == x - 2).all()
    own.__code__ = put.__code__
    for _ in range(OFTEN):
        pp.for_each(how, N, own, x, y, 2.0)
        assert (y == 2 * x + 1).all()
    factor = 1

    def captures(i, x, y, s):
        y[i] = x[i] * factor + s

    for factor in (1, 2.5, np.float32(3)):
        for _ in range(OFTEN):
            pp.for_each(how, N, captures, x, y, 2.0)
            assert (y == x * factor + 2).all()

    def defaults(i, x, y, s=1.0):
        y[i] = x[i] * s

    for s in (1.0, 2.0):
        defaults.__defaults__ = (s,)
        for _ in range(OFTEN):
            pp.for_each(how, N, defaults, x, y)
            assert (y == x * s).all()
            pp.for_each(how, N, defaults, x, y, 5.0)
            assert (y == x * 5).all()


def test_what_kernels_capture_is_followed(how, known):
    x, y = np.arange(N) * 1.0, np.zeros(N)

    def scaled_by(factor, table):
        def body(i, x, y):
            y[i] = x[i] * factor + table[i]

        return body

    tables = x + 1, np.arange(2 * N)[::2], np.arange(N + 5), np.ones((N, 1))[:, 0], changed(writeable=False)
    factors = 2.0, 3.0, 4, np.float32(0.5), True, 2**62
    given = [(factor, tables[0]) for factor in factors] + [(2.0, table) for table in tables]
    bodies = [(scaled_by(*one), *one) for one in given]
    for _ in range(OFTEN):
        for body, factor, table in bodies:
            pp.for_each(how, N, body, x, y)
            np.testing.assert_array_equal(y, x * factor + table[:N])
    known(pp.for_each, how, N, bodies[1][0], x, y)
    assert (y == x * 3 + tables[0]).all()
    known(pp.transform_reduce, how, x, transform=lambda v: v + tables[0][3])
    z = y.copy()
    known(pp.for_each, how, N, scaled_by(1.0, z), z, z)  # what it captures is what it is given
    assert (z == y * 2.0 ** (OFTEN + 1)).all()

    def inner(v):
        return v + 1

    def outer(v):
        return inner(v) * 2

    known(pp.transform, how, x, out=y, op=outer)
    for other, right in ((lambda v: v - 5, (x - 5) * 2), (np.negative, -x * 2), (inner, (x + 1) * 2)):
        inner = other
        for _ in range(OFTEN):
            np.testing.assert_array_equal(pp.transform(how, x, out=y, op=outer), right)


def test_functions_that_kernels_call_are_followed_beside_reductions_without_one(how):
    x = np.arange(N) * 1.0

    def inner(v):
        return v + 1

    def outer(v):
        return inner(v)

    for other, right in ((inner, x + 1), (lambda v: v * 3, x * 3), (np.negative, -x), (inner, x + 1)):
        inner = other
        for _ in range(OFTEN):
            assert pp.reduce(how, x) == x.sum() and pp.transform_reduce(how, x, transform=outer) == right.sum()


def test_kernels_that_share_a_code_are_told_apart(how):
    """Decorated ones, those that got defaults, methods, and what only looks like a function."""
    x, y = np.arange(N) * 1.0, np.zeros(N)

    def decorated(f):
        @functools.wraps(f)
        def wrapper(*args):
            return f(*args)

        return wrapper

    one, two = (decorated(numba.njit(f)) for f in (scaled, product))
    for _ in range(2):
        for op, right in ((one, 3 * x), (two, x * x)):
            for _ in range(OFTEN):
                np.testing.assert_array_equal(pp.transform(how, x, x, op=op), right)

    def added(i, x, y, t, s):
        y[i] = x[i] * s + t

    for _ in range(OFTEN):
        pp.for_each(how, N, added, x, y, 2, 2)
    for s in (2, 3, 2, 5):
        added.__defaults__ = (s,)
        for t in (2, 3):
            for _ in range(OFTEN):
                pp.for_each(how, N, added, x, y, t)
                assert (y == x * s + t).all()
                pp.for_each(how, N, added, x, y, t, 4)
                assert (y == x * 4 + t).all()

    def mixed(i, out, a, b, c):
        out[i] = a[i] + 10 * b[i] + 100 * c[i]

    three = x, x + 1, x * x
    two_given, one_given = (types.FunctionType(mixed.__code__, globals(), "f", three[k:]) for k in (1, 2))
    for _ in range(OFTEN):
        for one in ((two_given, y, x), (one_given, y, x, three[1]), (mixed, y, *three), (two_given, y, three[1])):
            pp.for_each(how, N, *one)
            np.testing.assert_array_equal(y, one[2] + 10 * three[1] + 100 * three[2])

    class Callable:
        __code__ = put.__code__

        def __call__(self, i, x, y, s):
            y[i] = x[i] - s

    for _ in range(OFTEN):
        pp.for_each(how, N, put, x, y, 2.0)
        assert (y == x * 2 + 1).all()
        with pytest.raises(pp.PortaparError):
            pp.for_each(how, N, types.MethodType(put, 1.0), x, y, 2.0)
        pp.for_each(how, N, Callable(), x, y, 2.0)
        assert (y == x - 2).all()


def test_names_of_builtin_functions_become_globals(how, module):
    made = module(
        "def same(v):\n    return v\n\ndef op(v):\n    return abs(v) - 1\n\ndef other(v):\n    return v * 3\n"
    )
    folds = module("def op(a, b):\n    return max(a, b)\n\ndef other(a, b):\n    return a + b\n")
    sums = types.FunctionType(folds.op.__code__, {"max": folds.other})
    x = np.arange(N) - 50.0
    for _ in range(2):
        for _ in range(OFTEN):
            assert pp.reduce(how, x, folds.op) == 49 and pp.reduce(how, x, sums) == -50
        folds.max = folds.other
        for _ in range(OFTEN):
            assert pp.reduce(how, x, folds.op) == -50 == pp.transform_reduce(how, x, op=folds.op, transform=made.same)
        del folds.max
        for _ in range(OFTEN):
            assert (pp.transform(how, x, op=made.op) == abs(x) - 1).all()
        made.abs = made.other
        for _ in range(OFTEN):
            assert (pp.transform(how, x, op=made.op) == x * 3 - 1).all()
        del made.abs


def test_policies_blocks_plans_and_traces(how, known):
    x, y = np.arange(N) * 1.0, np.zeros(N)

    def call(policy=how, n=N):
        y[:] = 0
        found = pp.for_each(policy, n, put, x, y, 2.0)
        assert found is None and (y == 2 * x + 1).all()

    for _ in range(OFTEN):
        call()
    with pp.profile() as seen:
        call()
        pp.reduce(how, x)
    assert [one.name for one in seen.calls] == ["for_each", "reduce"]
    for _ in range(2):
        with pp.using(how):
            for _ in range(OFTEN):
                call(None)
                call()
                call(pp.par)
    known(pp.for_each, None, N, put, x, y, 2.0)
    with pp.using(how):
        known(pp.for_each, None, N, put, x, y, 5.0)
        with pp.using(pp.seq):
            known(pp.for_each, None, N, put, x, y, 6.0)
            assert (y == 6 * x + 1).all()
    plan = pp.plan(pp.for_each, how, N, put, x, y, 3.0)
    plan.run()
    assert (y == 3 * x + 1).all() and "for_each" in str(plan)
    call()
    short = np.zeros(N - 1)
    with pytest.raises(pp.PortaparError):
        pp.for_each(how.with_(check=True), N, put, x, short, 2.0)
    assert how.task is not how and pp.for_each(how.task, N, put, x, y, 4.0).result() is None
    assert (y == 4 * x + 1).all()


def test_closed_executors_say_so(monkeypatch):
    others = sys.modules["portapar.devices"]._opened
    monkeypatch.delitem(others, "pp.simd()", raising=False)  # that of other tests stays
    for make in (pp.simd, lambda: pp.threads(2)):
        where = make()
        x, policy = np.arange(9.0), pp.par_unseq.on(where)
        for _ in range(OFTEN):
            assert pp.reduce(policy, x) == 36
        where.close()
        with pytest.raises(pp.BackendUnavailableError):
            pp.reduce(policy, x)
        assert where not in opened()
        for _ in range(OFTEN):
            assert pp.reduce(pp.par_unseq.on(make()), x) == 36


def test_nothing_is_held_or_lost(newer, how):
    """References: of arguments, results and what calls give, and memory."""
    x, y, s = np.arange(N) * 1.0, np.zeros(N), 1234567.5
    out = np.zeros(N)

    def calls(count):
        for _ in range(count):
            pp.for_each(how, N, put, x, y, s)
            pp.for_each(how, N, put, x, y, 7)
            found = pp.reduce(how, x)
            pp.transform(how, x, y, out=out, op=scaled)
            made = pp.transform(how, x, y, op=scaled)
            with pytest.raises(pp.PortaparError):
                pp.for_each(how, N, put, x, y, 2**90)
        return found, made

    calls(OFTEN)
    before = [sys.getrefcount(each) for each in (x, y, s, out, how, np.ndarray, x.dtype)]
    found, made = calls(50)
    new = np.float64(1.5)
    assert sys.getrefcount(found) == sys.getrefcount(made) == sys.getrefcount(new)
    del found, made
    assert before == [sys.getrefcount(each) for each in (x, y, s, out, how, np.ndarray, x.dtype)]
    gc.collect()
    tracemalloc.start()
    calls(20)
    first = tracemalloc.get_traced_memory()[0]
    calls(300)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert grown < 10_000


def test_threads_that_make_the_same_call(how):
    """The argument block has room for one: who comes second must not write into it."""
    wrong = []

    def work(seed):
        for n in (50, 6_000, 120_000):
            x, y = np.full(n, float(seed)), np.zeros(n)
            for k in range(40):
                pp.for_each(how, n, put, x, y, float(k))
                total = pp.reduce(how, x)
                if not (y == seed * k + 1).all() or total != seed * n:
                    wrong.append((seed, n, k))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong


def test_what_was_made_twice_at_first():
    """Two threads may make what all tables know at the same time: that which is kept by no cache lives on."""
    from portapar.kernel.cpu import calls

    x, y = np.arange(float(N)), np.empty(N)
    runs = range(OFTEN)
    for _ in runs:
        pp.for_each(pp.unseq, N, put, x, y, 2.0)
    calls._definition.cache_clear()
    calls._known.cache_clear()
    gc.collect()
    rubbish = [bytearray(b"\xff" * size) for size in (32, 152) for _ in range(1000)]  # where they were
    for _ in runs:
        pp.for_each(pp.unseq, N, put, x, y, 3.0)
    assert np.array_equal(y, x * 3 + 1) and rubbish


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_an_interrupt_in_a_long_call(how):
    """It is heard before the call's end, and the next calls run."""
    n = 200_000
    x, y = np.ones(n), np.ones(n)
    for _ in range(OFTEN):
        pp.for_each(how, n, steps, x, y, 0.5)

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(2):
            x[:] = 300_000
            signal.setitimer(signal.ITIMER_REAL, 0.15)
            with pytest.raises(KeyboardInterrupt):
                pp.for_each(how, n, steps, x, y, 0.5)
            x[:] = 1
            for _ in range(3):
                y[:] = 2
                pp.for_each(how, n, steps, x, y, 0.5)
                assert (y == 1).all()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_children_make_the_same_calls(how):
    n = 150_000
    x, y = np.arange(n) * 1.0, np.zeros(n)
    for _ in range(OFTEN):
        pp.for_each(how, n, put, x, y, 2.0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for k in range(OFTEN):
                pp.for_each(how, n, put, x, y, float(k))
                assert (y == k * x + 1).all()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    pp.for_each(how, n, put, x, y, 3.0)
    assert (y == 3 * x + 1).all()


_BASE = np.arange(400.0)
VIEWS = {
    "whole": lambda b: b[:N],
    "next": lambda b: b[N : 2 * N],
    "far": lambda b: b[2 * N : 3 * N],
    "shifted": lambda b: b[1 : N + 1],
    "backward": lambda b: b[2 * N - 1 : N - 1 : -1],
    "strided": lambda b: b[: 2 * N : 2],
    "few": lambda b: b[:9],
    "others": lambda b: b[20:29],
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(sorted(VIEWS))] * 3, st.booleans(), st.integers(1, 6)), max_size=12))
def test_any_order_of_calls(asked):
    """Views of one memory as inputs and outputs, of one object or several: what NumPy gives, or an error."""
    for policy in (pp.unseq, pp.par.on(pp.threads(2))):
        base = _BASE.copy()
        objects = {name: make(base) for name, make in VIEWS.items()}
        for one, two, three, same, often in asked:
            for _ in range(often):
                x, y, out = (objects[name] if same else VIEWS[name](base) for name in (one, two, three))
                fits = x.shape == y.shape == out.shape
                apart = all(name == three or not np.shares_memory(VIEWS[name](base), out) for name in (one, two))
                before = base.copy()
                if fits and apart:
                    right = x + 2 * y
                    assert pp.transform(policy, x, y, out=out, op=scaled) is out
                    np.testing.assert_array_equal(out, right)
                    base %= 1000
                else:
                    with pytest.raises(pp.PortaparError):
                        pp.transform(policy, x, y, out=out, op=scaled)
                    np.testing.assert_array_equal(base, before)
                assert pp.reduce(policy, x) == x.sum()


def test_many_looks_of_one_kernel(how, known):
    """Lengths in turns, more of them than are known at a time."""
    for _ in range(OFTEN):
        for n in range(10, 130, 10):
            x, y = np.arange(n) * 1.0, np.zeros(n)
            pp.for_each(how, n, put, x, y, 2.0)
            assert (y == 2 * x + 1).all() and pp.reduce(how, x) == x.sum()
    assert all(len(each) <= looks.LOOKS for each in looks._quick.values() if type(each) is tuple)
    known(pp.for_each, how, n, put, x, y, 2.0)


def test_what_auto_found_out_holds_for_arrays_that_are_one(monkeypatch):
    """For calls in which the same arrays are the same; others find out anew."""
    asked, run = [], choice.run
    monkeypatch.setattr(choice, "run", lambda *args: asked.append(args) or run(*args))
    x, y = np.arange(N) % 7.0, np.zeros(N)
    for _ in range(60):
        x[:] = np.arange(N) % 7.0
        assert pp.transform(pp.auto, x, x, out=x, op=scaled) is x and (x == np.arange(N) % 7 * 3.0).all()
        assert pp.transform(pp.auto, x, y, out=x, op=scaled) is x and (x == np.arange(N) % 7 * 3.0).all()
        assert (pp.transform(pp.auto, x, x, out=y, op=difference) == 0).all() and not y.any()
        assert pp.inner_product(pp.auto, x, x) == (x * x).sum()
    assert len(asked) < 240


@pytest.mark.parametrize("name", ["hybrid:threads:2+opencl:0", "hybrid:threads:2+simd"])
def test_calls_of_several_parts_are_known_apart(name):
    """By cuts, lengths, dtypes, spaces, what is captured, and which arrays are one."""
    where = executor(name)
    how = pp.par.on(where)

    def cut(x, at):
        out = where.empty(x.shape, x.dtype, cuts=(0, at, len(x)))
        for k, part in out.parts.items():
            rows = x[out.cuts[k] : out.cuts[k + 1]]
            if isinstance(part, np.ndarray):
                part[...] = rows
            elif len(rows):
                part.set(rows)
        return out

    def times(s):
        return lambda v: v * s

    for _ in range(OFTEN):
        for x, at in ((np.arange(9.0), 4), (np.arange(9.0), 0), (np.arange(9000.0), 4), (np.arange(9), 9)):
            here, there = cut(x, at), cut(np.zeros_like(x), at)
            assert pp.reduce(how, here) == x.sum() and pp.reduce(how, here, pp.maximum) == x.max()
            for s in (2, 3):
                assert pp.transform_reduce(how, here, transform=times(s)) == s * x.sum()
            for n in (9, 5):
                pp.for_each(how, n, put, here, there, 2)
                assert (pp.asnumpy(there)[:n] == 2 * x[:n] + 1).all()
            pp.for_each(how, pp.range(2, 9), put, here, there, 3)
            assert (pp.asnumpy(there)[2:9] == 3 * x[2:9] + 1).all() and pp.asnumpy(there)[1] == 2 * x[1] + 1
            pp.transform(how, here, here, out=there, op=scaled)
            assert (pp.asnumpy(there) == 3 * x).all()
            pp.transform(how, here, there, out=here, op=scaled)
            assert (pp.asnumpy(here) == 7 * x).all()


def tenfold(v):
    return 10 * v


def put_sum(i, x, y, out):
    out[i] = x[i] + y[i]


@pytest.mark.parametrize("again", [False, True])
def test_inputs_without_memory_behind_arrays_are_known_apart(how, again):
    """What is computed or counted is no array, whether that one was seen before or not."""
    x, y, out = np.arange(N) % 7.0, np.arange(N) % 5.0, np.zeros(N)
    virtual = [
        (pp.lazy.transform(y, tenfold), 10 * y), (pp.lazy.reverse(y), y[::-1]), (pp.range(N), np.arange(N)),
        (pp.lazy.iota(N, 3), np.arange(N) + 3), (pp.lazy.transform(y, lambda v: v - 1), y - 1),
    ]  # fmt: skip
    if again:
        virtual = [(y, y), *virtual]
    for z, right in virtual:
        for _ in range(OFTEN):
            pp.transform(how, x, z, out=out, op=scaled)
            assert (out == x + 2 * right).all()
            assert pp.transform_reduce(how, x, z, transform=scaled) == (x + 2 * right).sum()
            if not isinstance(z, pp.range):
                pp.for_each(how, N, put_sum, x, z, out)
                assert (out == x + right).all()
        for plain in (y, right.copy()):
            pp.transform(how, x, plain, out=out, op=scaled)
            assert (out == x + 2 * plain).all()
            assert pp.transform_reduce(how, x, plain, transform=scaled) == (x + 2 * plain).sum()
            pp.for_each(how, N, put_sum, x, plain, out)
            assert (out == x + plain).all()
