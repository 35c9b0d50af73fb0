"""Algorithms of several steps whose calls are remembered whole: they run again without being looked at, not blindly.

Each call is made until it is remembered, which is asked for, and then again with something changed.
"""
# ruff: noqa: B023  kernels that capture the variables of loops are what is tested

import gc
import threading
import weakref

import numpy as np
import pytest

import portapar as pp
from portapar import parts, sequence

N = 100
SCALE = 2.0


@pytest.fixture
def anew(monkeypatch):
    """How many calls were made anew, not from memory, since this was asked for the last time."""
    made, real = [], parts._anew
    monkeypatch.setattr(parts, "_anew", lambda *args: made.append(args[0]) or real(*args))

    def count():
        found = len(made)
        made.clear()
        return found

    return count


@pytest.fixture(params=["threads:2", pytest.param("simd", marks=pytest.mark.extra)])
def policy(request):
    return pp.par_unseq.on(pp.executor(request.param))


def around(x, i):
    return x[i - 1] + 2 * x[i + 1]


def neighbours(x):
    wide = np.pad(x, 1)
    return wide[:-2] + 2 * wide[2:]


def by_size(v):
    return abs(v)


def square(x):
    return x.reshape(10, 10)


def sized(x):
    return x[np.argsort(np.abs(x), kind="stable")]


#: name: (call of a policy, 100 numbers and an output, or None; what it gives; whether `out` may be x)
CALLS = {
    "stencil": (lambda p, x, out: pp.stencil(p, x, around, out=out), neighbours, False),
    "shift_left": (lambda p, x, out: pp.shift_left(p, x, 7, out=out), lambda x: np.append(x[7:], np.zeros(7)), False),
    "shift_right": (lambda p, x, out: pp.shift_right(p, x, 7, 2.5, out=out),
                    lambda x: np.append(np.full(7, 2.5), x[:-7]), False),
    "rotate": (lambda p, x, out: pp.rotate(p, x, 7, out=out), lambda x: np.roll(x, -7), False),
    "reverse": (lambda p, x, out: pp.reverse(p, x, out=out), lambda x: x[::-1], True),
    "adjacent_difference": (lambda p, x, out: pp.adjacent_difference(p, x, out=out), lambda x: np.diff(x, prepend=0),
                            False),
    "sort": (lambda p, x, out: pp.sort(p, x, key=by_size, out=out), sized, True),
    "merge": (lambda p, x, out: pp.merge(p, x[:-1], x[-1:], out=out), np.sort, False),
    "transpose": (lambda p, x, out: pp.transpose(p, square(x), out=None if out is None else square(out)),
                  lambda x: square(x).T, False),
    "scan": (lambda p, x, out: pp.inclusive_scan(p, square(x), axis=0, out=None if out is None else square(out)),
             lambda x: square(x).cumsum(axis=0), True),
    "rows": (lambda p, x, out: pp.reduce(p, square(x), axis=1), lambda x: square(x).sum(axis=1), None),
    "columns": (lambda p, x, out: pp.reduce(p, square(x), axis=0, init=0.0), lambda x: square(x).sum(axis=0), None),
    "merge_by_key": (lambda p, x, out: pp.merge_by_key(p, np.sort(x), x, np.zeros(1), np.ones(1))[0],
                     lambda x: np.sort(np.append(x, 0)), None),
}  # fmt: skip


def numbers(seed):
    return np.sort(np.random.default_rng(seed).normal(size=N))


def unaligned():
    return np.zeros(8 * N + 1, np.uint8)[1:].view(np.float64)


def frozen():
    x = np.zeros(N)
    x.flags.writeable = False
    return x


def test_values_and_arrays_change(policy, anew):
    for name in CALLS:
        change(policy, anew, name)


def change(policy, anew, name):
    call, gives, inplace = CALLS[name]
    anew()
    for k in range(6):
        assert np.allclose(call(policy, numbers(k), None), gives(numbers(k)))
    assert anew() <= 3
    kept = [call(policy, numbers(k), None) for k in range(3)]  # results share no memory
    assert all(np.allclose(found, gives(numbers(k))) for k, found in enumerate(kept))
    if inplace is None:
        return
    for k in range(4):
        out = np.zeros(N)
        found = call(policy, numbers(k), out)
        assert np.allclose(found, gives(numbers(k)))
        assert np.shares_memory(found, out)
    assert anew() <= 3
    for make in (unaligned, frozen):
        out = make()
        with pytest.raises(pp.PortaparError):
            call(policy, numbers(7), out)
        assert not out.any()
    x = np.append(numbers(5), np.zeros(3))
    with pytest.raises(pp.PortaparError, match="overlap|share"):
        call(policy, x[:N], x[3 : N + 3])
    assert np.array_equal(x[:N], numbers(5))
    for _ in range(3):
        x = numbers(6)
        if inplace:
            assert np.allclose(call(policy, x, x), gives(numbers(6)))
        else:
            with pytest.raises(pp.PortaparError):
                call(policy, x, x)
            assert np.array_equal(x, numbers(6))
    assert np.allclose(call(policy, numbers(9), np.zeros(N)), gives(numbers(9)))
    with pytest.raises(pp.PortaparError):
        call(policy, numbers(1), np.zeros(N, np.int64))


def test_what_kernels_capture_changes(policy, anew):
    global SCALE
    x, c = numbers(1), 1.0
    for _ in range(8):  # a function made anew in each call, of the same code
        assert np.array_equal(pp.sort(policy, x, key=lambda v: abs(v - c)), x[np.argsort(abs(x - c), kind="stable")])
    assert anew() <= 3
    for c in (2.0, 2, -0.0, 0.0, np.float32(1.5), 2.0):
        for _ in range(4):
            found = pp.sort(policy, x, key=lambda v: abs(v - c))
            assert np.array_equal(found, x[np.argsort(abs(x - c), kind="stable")])
    anew()
    for c in range(20):  # whatever the number, once two were seen
        assert np.array_equal(pp.sort(policy, x, key=lambda v: abs(v - c)), x[np.argsort(abs(x - c), kind="stable")])
    assert anew() <= 4
    pairs = [(1.5, 1.5), (1.5, 1.5), (2.5, 2.5), (2.5, 3.5), (3.5, 3.5), (0.0, -0.0), (7.0, 1.5), (1.5, 7.0), (2, 3.0)]
    for a, b in [*pairs, *pairs]:
        found = pp.transform_reduce(policy, square(x), 3.0, transform=lambda v, w: v * a + w * b + a, axis=1)
        assert np.allclose(found, (square(x) * a + 3.0 * b + a).sum(axis=1))
    assert anew() <= 12
    for w in (3.0, 4.0, 5.0, 6, 6, 7):
        found = pp.transform_reduce(policy, square(x), w, transform=lambda v, w: v * a + w * b + a, axis=1)
        assert np.allclose(found, (square(x) * a + w * b + a).sum(axis=1))
    a = 2**70
    with pytest.raises(pp.PortaparError):
        pp.transform_reduce(policy, square(x), w, transform=lambda v, w: v * a + w * b + a, axis=1)
    anew()
    for _ in range(4):
        found = pp.transform_reduce(policy, square(x), transform=lambda v: SCALE * v, axis=1)
    assert anew() > 0
    SCALE = 0.0
    try:
        changed = pp.transform_reduce(policy, square(x), transform=lambda v: SCALE * v, axis=1)
    finally:
        SCALE = 2.0
    assert np.allclose(found, 2 * square(x).sum(axis=1))
    assert not changed.any()
    table = np.arange(4.0)
    for k in range(6):
        for _ in range(2):
            table[:] = k
            found = pp.stencil(policy, x, lambda x, i: x[i] + table[i % 4])
            assert np.allclose(found, x + k)
        table = table.copy() if k == 4 else table
    table = np.arange(8.0)
    assert np.allclose(pp.stencil(policy, x, lambda x, i: x[i] + table[i % 4]), x + np.arange(N) % 4)


def test_options_change(policy):
    """Options that are equal, but not the same: 1, True and 1.0."""
    x = numbers(1)
    for k in (1, 1, 1, 2, 0, N, 1, N + 5):
        assert np.array_equal(pp.rotate(policy, x, k), np.roll(x, -k))
    for k in (True, 1.0, "1", None):
        for _ in range(2):
            with pytest.raises(pp.PortaparError):
                pp.rotate(policy, x, k)
    z = np.zeros(4)
    for fill in (0.0, 0.0, 0.0, -0.0, 0, False):
        found = pp.shift_left(policy, z, 4, fill)
        assert np.signbit(found).all() == np.signbit(np.float64(fill))
    for axis in (0, 0, 0, 1, -1, 0, -2):
        assert np.allclose(pp.reduce(policy, square(x), axis=axis), square(x).sum(axis=axis))
    with pytest.raises(pp.PortaparError):
        pp.reduce(policy, square(x), axis=2)
    for init in (None, 0, 1.5, 1.5, 1.5, 2, 0):
        assert np.allclose(pp.reduce(policy, square(x), init=init, axis=1), square(x).sum(axis=1) + (init or 0))
    for op in (pp.plus, pp.plus, pp.plus, pp.maximum, pp.plus, pp.Monoid(lambda a, b: a + b, 0.0)):
        found = pp.exclusive_scan(policy, square(x), op, axis=1, init=0.0)
        wide = np.hstack([np.zeros((10, 1)), square(x)[:, :-1]])
        assert np.allclose(found, np.maximum.accumulate(wide, 1) if op is pp.maximum else wide.cumsum(axis=1))


def test_kinds_of_arrays_change(policy):
    """Other dtypes, strides, shapes and memory, and arrays that are given twice."""
    base = np.arange(4.0 * N).reshape(4, N)
    kinds = [base[0], base[0], base[0], base.T[:, 0][:N], base.reshape(-1)[::2], base[0][::-1], base[:1, :10].copy(),
             base[0].astype(np.float32), base[0].astype(">f8"), base[0][:0], base[0][:1], base[0]]  # fmt: skip
    for x in kinds:
        for _ in range(2):
            if x.ndim > 1 or not x.dtype.isnative:
                with pytest.raises(pp.PortaparError):
                    pp.reverse(policy, x)
            else:
                assert np.array_equal(pp.reverse(policy, x), x[::-1])
    x = np.arange(float(N))
    for _ in range(4):
        assert np.array_equal(pp.reverse(policy, x), np.arange(len(x))[::-1])
    x.resize(N // 2, refcheck=False)
    assert np.array_equal(pp.reverse(policy, x), np.arange(N // 2)[::-1])
    a, b = np.arange(5.0), np.arange(5.0)
    for y in (b, b, b, a, a, a, b):  # the same array twice
        keys, values = pp.merge_by_key(policy, a, a, y, y)
        assert np.array_equal(keys, np.sort(np.concatenate([a, y])))
        assert np.array_equal(values, keys)


def test_segments_and_seeds_change(policy, anew):
    """Offsets are looked at in every call; numbers that kernels are given may be any."""

    def visit(s, i, x, c, out):
        pp.atomic.add(out, s, c * x[i])

    x = numbers(3)
    cases = [([0, 5, 5, N], 2.0)] * 4 + [([0, 5, 5, N], 1.5), ([0, 7, 9, N], 3.5), ([3, 7, 9, 50], 1.0)] * 2
    for offsets, c in cases:
        out = np.zeros(3)
        pp.for_each_segment(policy, np.array(offsets), visit, x, c, out)
        sums = [c * x[a:b].sum() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        assert np.allclose(out, sums)
    assert anew() <= 7
    for offsets in ([0, 7, 5, N], [-1, 7, 9, N], [0.0, 7.0, 9.0, 10.0]):
        out = np.zeros(3)
        with pytest.raises(pp.PortaparError):
            pp.for_each_segment(policy, np.array(offsets), visit, x, 1.0, out)
        assert not out.any()
    with pytest.raises(pp.PortaparError):
        pp.for_each_segment(policy, np.array([0, 5, 5, N]), visit, x, 2.0, frozen()[:3])
    for seed in (1, 2, 3, 4, 2**62, -5):
        for n in (N, N - 1):
            found = pp.random.fill_uniform(policy, np.empty(n), seed)
            assert np.array_equal(found, [pp.random.uniform(seed, i) for i in range(n)])
        ends = pp.random.fill_integers(policy, np.empty(N, np.int8), seed, 100, 100 + abs(seed) % 27 + 1)
        assert ends.min() >= 100
        with pytest.raises(pp.PortaparError):
            pp.random.fill_integers(policy, np.empty(N, np.int8), seed, 100, 300)
    rows = np.zeros((4, 2 * N))[:, ::2]
    for seed in (1, 1, 1, 2):
        assert np.array_equal(pp.random.fill_uniform(policy, rows, seed).ravel()[:N], rows[0])
        assert rows.all()
        rows[:] = 0


def test_nothing_is_kept_alive_and_threads_do_not_meet(newer, policy):
    x = numbers(1)
    watched = [weakref.ref(x), weakref.ref(pp.rotate(policy, x, 3))]
    for _ in range(4):
        pp.rotate(policy, x, 3)
    del x
    gc.collect()
    assert all(ref() is None for ref in watched)
    wrong = []

    def work(k):
        for turn in range(30):
            x = numbers(100 * k + turn)
            if not np.array_equal(pp.sort(policy, x, key=by_size), sized(x)):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert not wrong


def test_what_cannot_be_run_again_is_not(policy, anew, monkeypatch):
    """Plans, checked calls, tasks and profiles see what runs; closed executors are opened anew."""
    x = numbers(1)
    for _ in range(4):
        pp.rotate(policy, x, 3)
    anew()
    assert np.array_equal(pp.plan(pp.rotate, policy, x, 3).run(), np.roll(x, -3))
    assert np.array_equal(pp.rotate(policy.task, x, 3).result(), np.roll(x, -3))
    assert np.array_equal(pp.rotate(policy.with_(check=True), x, 3), np.roll(x, -3))
    with pp.profile() as told:
        pp.rotate(policy, x, 3)
    assert "rotate" in str(told)
    assert anew() == 4
    with pytest.raises(pp.PortaparError):
        pp.stencil(policy, x, lambda x, i: x[i + 2])
    before = set(sequence._known)
    for _ in range(3):
        with pytest.raises(pp.PortaparError):
            pp.rotate(policy, x, 3, out=np.zeros(N - 1))
    assert before == set(sequence._known)
    where = pp.threads(2)
    for _ in range(2):
        for _ in range(4):
            assert np.array_equal(pp.rotate(pp.par.on(where), x, 3), np.roll(x, -3))
        where = pp.threads(1)
