"""Calls that are made again with arrays that have changed: the right result, or an error before anything is written."""

import importlib
import threading
import time
import warnings

import numpy as np
import pytest
from conftest import EXECUTORS, executor
from numpy.lib.stride_tricks import as_strided

import portapar as pp
from portapar.executor import Work

N = 1000


def inc(v):
    return v + 1


def put(i, x, y):
    y[i] = x[i] + 1


def put_two(i, j, x):
    x[i, j] = 7.0


def unaligned(n, dtype=np.float64):
    return np.zeros(n * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)


def frozen(n):
    x = np.zeros(n)
    x.flags.writeable = False
    return x


# remembered calls ---------------------------------------------------------------------------------

OTHERS = {
    "unaligned": lambda n: unaligned(n),
    "read-only": frozen,
    "one place": lambda n: as_strided(np.zeros(1), (n,), (0,)),
    "windows": lambda n: as_strided(np.zeros(n), (n,), (4,)),
    "byte-swapped": lambda n: np.zeros(n, ">f8"),
    "masked": lambda n: np.ma.zeros(n),
    "other shape": lambda n: np.zeros((n, 1)),
    "shorter": lambda n: np.zeros(n - 1),
    "of integers": lambda n: np.zeros(n, np.int64),
}
CALLS = {
    "transform": lambda p, x, out: pp.transform(p, x, out=out, op=inc),
    "copy": lambda p, x, out: pp.copy(p, x, out=out),
    "for_each": lambda p, x, out: pp.for_each(p, N, put, x, out),
    "plan": lambda p, x, out: pp.plan(pp.transform, p, x, out=out, op=inc).run(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", OTHERS)
def test_another_output_in_the_second_call(renderer, name, kind):
    if name == "for_each" and kind in ("one place", "windows", "other shape", "shorter", "of integers"):
        pytest.skip("a kernel may write to what it likes")
    x = np.arange(N) * 1.0
    for _ in range(2):
        good = np.zeros(N)
        CALLS[name](renderer, x, good)
        assert (good == x + (name != "copy")).all()
        out = OTHERS[kind](N)
        with pytest.raises(pp.PortaparError):
            CALLS[name](renderer, x, out)
        assert not np.asarray(out).any()


@pytest.mark.parametrize("n", [N, 3_000_000])
def test_unaligned_arrays_in_the_second_call(n):
    """Large outputs are written past the caches, in whole vectors. Packed records need no alignment."""
    pair = np.dtype([("a", "f8"), ("b", "i4"), ("c", "i4")])
    x, wrong = np.ones(n, pair), unaligned(n, pair)
    for out in (np.zeros(n, pair), wrong):
        assert (pp.transform(pp.par, x, out=out, op=lambda r: (r.a + 1, r.b, r.c))["a"] == 2).all()
    for dtype, op in ((np.float64, inc), (np.complex128, inc), (np.int32, inc), (np.uint16, inc)):
        x, fine, wrong = np.zeros(n, dtype), np.zeros(n, dtype), unaligned(n, dtype)
        for policy in (pp.par, pp.seq):
            pp.transform(policy, x, out=fine, op=op)
            with pytest.raises(pp.PortaparError, match="aligned"):
                pp.transform(policy, x, out=wrong, op=op)
            assert np.array_equal(pp.transform(policy, wrong, out=fine, op=op), x + 1)  # inputs are read as they lie


def test_an_unaligned_input_of_a_reduction():
    for make in (lambda x: pp.reduce(pp.par, x), lambda x: pp.count_if(pp.par, x, lambda v: v > 0),
                 lambda x: pp.inclusive_scan(pp.par, x), lambda x: pp.max_element(pp.par, x)):  # fmt: skip
        for _ in range(2):
            make(np.ones(N))
            x = unaligned(N)
            x[:] = np.arange(N)
            assert np.array_equal(make(x), make(np.arange(float(N))))


def test_arrays_that_begin_to_overlap(renderer):
    base, op = np.arange(2.0 * N), lambda a, b: a + 2 * b
    for _ in range(2):
        x, y, out = base[:N].copy(), base[N:].copy(), np.zeros(N)
        pp.transform(renderer, x, y, out=out, op=op)
        assert (out == x + 2 * y).all()
        memory = base.copy()
        with pytest.raises(pp.PlacementError, match="overlap"):
            pp.transform(renderer, memory[:N], y, out=memory[1 : N + 1], op=op)
        assert (memory == base).all()
        pp.transform(renderer, memory[:N], y, out=memory[:N], op=op)  # in place
        assert (memory[:N] == x + 2 * y).all()
        whole = base[:N].copy()
        assert (pp.transform(renderer, whole, whole, out=whole, op=op) == 3 * base[:N]).all()
        square = base[:900].copy().reshape(30, 30)
        with pytest.raises(pp.PlacementError, match="overlap"):
            pp.transform(renderer, square, square, out=square.T, op=op)


def test_an_array_seen_in_another_shape(renderer):
    for _ in range(2):
        for shape in ((12,), (3, 4), (2, 3, 2), (12, 1), (1, 12), ()):
            x = np.arange(int(np.prod(shape)) * 1.0).reshape(shape)
            out = np.zeros(shape)
            assert (pp.transform(renderer, x, out=out, op=inc) == x + 1).all() and (out == x + 1).all()
            assert pp.reduce(renderer, x) == x.sum()


def test_arrays_without_dimensions_again_and_again(policy):
    x = np.array(2.5)
    for _ in range(3):
        assert pp.reduce(policy, x) == 2.5 and pp.transform_reduce(policy, x, x, transform=lambda a, b: a * b) == 6.25
        out = pp.transform(policy, x, op=inc)
        assert out.shape == () and out == 3.5
        assert pp.fill(policy, np.zeros(()), 4.0) == 4.0 and pp.copy(policy, x, out=np.zeros(())) == 2.5
        assert pp.reduce(policy, np.array(3), op=pp.maximum) == 3


def test_changed_in_place_between_calls(renderer):
    x = np.arange(24.0)
    for change in (lambda: setattr(x, "shape", (4, 6)), lambda: setattr(x, "dtype", np.int64),
                   lambda: setattr(x, "dtype", np.float64), lambda: setattr(x, "shape", 24),
                   lambda: x.resize(5, refcheck=False), lambda: x.resize(100, refcheck=False)):  # fmt: skip
        assert pp.reduce(renderer, x) == x.sum()
        assert (pp.transform(renderer, x, op=inc) == x + 1).all()
        change()
        assert pp.reduce(renderer, x) == x.sum()
        assert (pp.transform(renderer, x, op=inc) == x + 1).all()


def test_captured_arrays_that_change(renderer):
    table = np.arange(10.0)

    def look(v):
        return table[int(v) % 5]

    x, out = np.arange(20.0), np.zeros(20)
    pp.transform(renderer, x, out=out, op=look)
    assert (out == x % 5).all()
    table = unaligned(10)
    with pytest.raises(pp.PortaparError, match="aligned"):
        pp.transform(renderer, x, out=out, op=look)
    table = out
    with pytest.raises(pp.PlacementError, match="shares memory with out"):
        pp.transform(renderer, x, out=out, op=look)


@pytest.mark.filterwarnings("error")
def test_default_arguments_that_equal_others_at_first():
    x, y, out = np.arange(4.0), np.ones(4), np.zeros(4)

    def put(i, out, table, number, other=x, one=1):
        out[i] = 100 * table[i] + 10 * other[i] + number + one

    for table, number in ((x, 1), (x, 1), (y, 1), (y, 5)):
        pp.for_each(pp.par, 4, put, out, table, number)
        assert np.array_equal(out, 100 * table + 10 * x + number + 1)


def test_numbers_that_are_equal_in_some_calls_only():
    x = np.arange(50.0)

    def body(i, c, x, d, y):
        y[i] = (x[i] * c + d) * factor + shift

    def product(a, b):
        return a * b * factor + shift

    for factor, shift, c, d in ((2, 2, 2, 2), (2, 2, 3, 2), (2, 5, 2, 2), (7, 2, 2, 2), (2, 2, 2, 4), (3, 3, 3, 3)):
        y, z = np.empty(50), x.copy()
        for _ in range(2):
            pp.for_each(pp.par, 50, body, c, x, d, y)
            assert np.array_equal(y, (x * c + d) * factor + shift)
        pp.for_each(pp.par, 50, body, c, z, d, z)
        assert np.array_equal(z, y)
        found = pp.transform(pp.par, c, pp.range(c, c + 50), op=product)
        assert np.array_equal(found, c * np.arange(c, c + 50) * factor + shift)


def test_default_arguments_that_change():
    def put(i, x, y=None, out=None, k=1):
        out[i] = x[i] + k * y[i]

    a, b, c, out = np.arange(9.0), np.arange(9.0) * 10, np.ones(9), np.zeros(9)
    for defaults, args, wanted in 3 * (
        ((1,), (a, b, out), a + b), ((2,), (a, b, out), a + 2 * b), ((0.5,), (a, b, out), a + 0.5 * b),
        ((out, 1), (a, b), a + b), ((b, out, 1), (a,), a + b), ((c, out, 3), (a,), a + 3), ((c, out, 3), (b,), b + 3),
        ((a, b, c, 1), (a, b, out, 2), a + 2 * b), ((c, out, 3), (a, b, out), a + 3 * b),
        ((c, c, 1), (a, c, out), a + 1),
    ):  # fmt: skip
        put.__defaults__, out[:] = defaults, -1
        pp.for_each(pp.par, 9, put, *args)
        assert np.array_equal(out, wanted)


def test_functions_of_numpy_and_operators_as_kernels():
    x = np.arange(1.0, 9.0)
    for op in (np.sqrt, np.exp2, abs, np.float32, np.sqrt):
        found = pp.transform(pp.par, x, op=op)
        assert np.allclose(found, op(x)) and found.dtype == op(x).dtype
    for op in (max, min, np.maximum, max):
        assert pp.reduce(pp.par, x, op=op) == (1.0 if op is min else 8.0)


def test_default_arguments_of_other_types():
    for step in (1, 1.5):
        found = pp.transform_scan(pp.par, np.arange(5), transform=lambda v, step=step: v * step)
        assert found.dtype == np.result_type(np.int64, step) and np.array_equal(found, np.cumsum(np.arange(5) * step))


def test_broadcast_arrays_do_not_warn(renderer):
    """NumPy warns of outputs of np.broadcast_arrays that are asked whether they are writable."""
    x, y = np.broadcast_arrays(np.arange(3.0), np.zeros((4, 1)))
    for _ in range(2):
        assert pp.reduce(renderer, x) == 12
        assert (pp.transform(renderer, x, y, op=lambda a, b: a + b) == x).all()
        pp.for_each(renderer, 4, lambda i, a, out: read(i, a, out), x, np.zeros(4))
        pp.plan(pp.reduce, renderer, x).run()


def read(i, a, out):
    out[i] = a[i, 0]


# plans --------------------------------------------------------------------------------------------


def freeze(x):
    x.flags.writeable = False


def restride(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        x.strides = tuple(0 for _ in x.strides)


CHANGES = {
    "read-only": freeze,
    "smaller": lambda x: x.resize(4, refcheck=False),
    "larger": lambda x: x.resize(4 * x.size, refcheck=False),
    "shape": lambda x: setattr(x, "shape", (2, x.size // 2)),
    "other rank": lambda x: setattr(x, "shape", (x.size, 1, 1)),
    "dtype": lambda x: setattr(x, "dtype", np.int64),
    "strides": restride,
}
PLANS = {
    "fill": lambda p, x: pp.plan(pp.fill, p, x, 3.0),
    "in place": lambda p, x: pp.plan(pp.transform, p, x, out=x, op=inc),
    "iterations": lambda p, x: pp.plan(pp.for_each, p, x.shape, put_two, x),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("n", [40, 200_000])
def test_a_plan_whose_array_has_changed(policy, name, change, n):
    for shape, runs in (((n,), 1), ((4, n // 4), 0), ((4, n // 4), 2)):
        if name == "iterations" and len(shape) < 2:
            continue
        x = np.zeros(shape)
        plan = PLANS[name](policy, x)
        for _ in range(runs):
            plan.run()
        before = float(x.flat[0])
        CHANGES[change](x)
        seen = x.copy()
        with pytest.raises(pp.PlacementError, match="has changed since the plan was made"):
            plan.run()
        assert (x == seen).all() and (before == 0) == (runs == 0)


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "read-only"])
def test_a_plan_whose_input_has_changed(policy, change):
    x, out = np.ones(400), np.zeros(400)
    for plan in (pp.plan(pp.transform, policy, x, out=out, op=inc), pp.plan(pp.reduce, policy, x)):
        plan.run()
    x.flags.writeable = False  # it is only read
    assert plan.run() == 400
    x.flags.writeable = True
    CHANGES[change](x)
    for _ in range(2):
        with pytest.raises(pp.PlacementError, match="argument '.*' has changed"):
            plan.run()


def test_a_plan_goes_on_when_a_change_is_taken_back(policy):
    x = np.zeros((4, 10))
    plan = pp.plan(pp.fill, policy, x, 1.0)
    plan.run()
    x.flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        plan.run()
    x.flags.writeable = True
    x.dtype = np.dtype(x.dtype.str)  # an equal one
    x[:] = 0
    assert (plan.run() == 1).all()


def test_plans_of_results_and_parts():
    x = np.ones(100)
    plan = pp.plan(pp.transform, pp.par, x, op=inc)
    plan.run().resize(3, refcheck=False)
    with pytest.raises(pp.PlacementError, match="changed"):
        plan.run()
    where = pp.hybrid(pp.threads(2), pp.simd(), weights=[1, 1])
    whole = where.asarray(np.zeros(10_000))
    plan = pp.plan(pp.fill, pp.par.on(where), whole, 2.0)
    plan.run()
    whole.parts[1].flags.writeable = False
    with pytest.raises(pp.PlacementError, match="read-only"):
        plan.run()


@pytest.mark.parametrize("where", [name for name in EXECUTORS if name.startswith("hybrid:")], indirect=True)
def test_calls_of_several_parts_are_remembered(where, monkeypatch):
    """Each part goes straight to its native code, on the arrays of this call; what cannot be written is told."""
    how, n = pp.par.on(where), 10_007
    x = np.linspace(1.0, 2.0, n)

    def calls(a, b):
        pp.transform(how, a, out=b, op=twice)
        pp.transform(how, b, out=b, op=inc)
        pp.for_each(how, n, halved, b)
        return pp.reduce(how, b), pp.reduce(how, b, init=0.5)

    calls(where.asarray(x), where.empty(n))
    for y in (x, -x):
        z = (2 * y + 1) / 2
        expected = pp.reduce(pp.seq, z), pp.reduce(pp.seq, z, init=0.5)
        with monkeypatch.context() as patched:
            patched.setattr("portapar.call.resolve", None)  # the long way begins there
            b = where.empty(n)
            assert calls(where.asarray(y), b) == expected
        assert np.array_equal(pp.asnumpy(b), z)
    hosts = [k for k, part in b.parts.items() if isinstance(part, np.ndarray)]
    b.parts[hosts[-1]].flags.writeable = False
    before = pp.asnumpy(b)
    with pytest.raises(pp.PlacementError, match="read-only"):
        pp.transform(how, b, out=b, op=inc)
    assert np.array_equal(pp.asnumpy(b), before)


def twice(v):
    return 2 * v


def halved(i, y):
    y[i] /= 2


def test_devices_that_go_on_by_themselves_are_waited_for():
    where, seen = pp.hybrid(pp.threads(1), pp.simd(), weights=[1, 1]), []

    def start(values):
        seen.append(values)
        return lambda: seen.append("end") or "device"

    work = Work(start, "begin", True)
    assert where.at_once([work, lambda: seen.append("own") or "host"]) == ["device", "host"]
    assert where.at_once([lambda: 1, work, lambda: 2]) == [1, "device", 2] and where.at_once([work]) == ["device"]
    with pytest.raises(ZeroDivisionError):
        where.at_once([work, lambda: 1 // 0])
    assert seen == ["begin", "own", "end", *["begin", "end"] * 3]


class Clock:
    """Seconds that pass only where a test says so; everything that runs at once sees them pass."""

    def __init__(self):
        self.now, self.changed = 0.0, threading.Condition()

    def perf_counter(self):
        with self.changed:
            return self.now

    def until(self, moment):
        with self.changed:
            assert self.changed.wait_for(lambda: self.now >= moment, 30)


@pytest.mark.parametrize("kinds", ["dhh", "hdh", "hhd", "ddh", "hd", "dh", "dd", "hh", "d", "h"])
@pytest.mark.parametrize("places", [None, (2, 0, 1)])
def test_the_times_of_members_are_their_own(kinds, places, monkeypatch):
    """Of devices that go on by themselves from begin to end, whether they end before the calling thread or after."""
    where, clock = pp.hybrid(pp.threads(1), pp.simd(), pp.threads(2), weights=[1, 1, 1]), Clock()
    monkeypatch.setattr(importlib.import_module("portapar.hybrid"), "time", clock)
    working = threading.Event()
    for lasts in ((1.0, 2.0, 3.0), (3.0, 2.0, 1.0), (2.0, 3.0, 1.0)):
        ready, noted = [threading.Event() for _ in kinds], []

        def start(k, lasts=lasts, ready=ready):
            def end():
                ready[k].set()
                clock.until(lasts[k])
                return k

            return end

        def ticks(ready=ready, lasts=lasts, noted=noted):
            assert all(one.wait(600) for one in ready)
            for moment in sorted(lasts[: len(kinds)]):
                with clock.changed:
                    clock.now = moment
                    clock.changed.notify_all()
                k = lasts.index(moment)
                while not noted[0][k if places is None else places[k]]:
                    time.sleep(1e-4)  # until its end is noted
                    if not working.is_set():
                        return

        member = places or (None,) * len(kinds)
        works = [Work(start, k, kind == "d", member[k]) for k, kind in enumerate(kinds)]
        assert where.at_once(works[:0]) == []
        clock.now, where.took = 0.0, [0.0] * 3
        noted.append(where.took)
        working.set()
        helper = threading.Thread(target=ticks)
        helper.start()
        assert where.at_once(works) == list(range(len(kinds)))
        working.clear()
        helper.join()
        wanted = [0.0] * 3
        for k in range(len(kinds)):
            wanted[k if places is None else places[k]] = lasts[k]
        assert where.took == wanted
        where.took = None
        clock.now = 9.0
        assert where.at_once(works) == list(range(len(kinds))) and where.took == [0.0] * 3  # nobody looks


@pytest.mark.parametrize("names", ["simd opencl:0", "opencl:0 simd threads:2"])
def test_remembered_calls_note_the_time_of_every_member(names):
    members = [executor(name) for name in names.split()]
    where = pp.hybrid(*members, weights=[1] * len(members))
    how, x, n = pp.par.on(where), where.asarray(np.ones(50_000)), 50_000
    for _ in range(3):
        for call in (lambda: pp.reduce(how, x) == n, lambda: pp.reduce(how, pp.range(n)) == n * (n - 1) // 2):
            where.took = [0.0] * len(members)
            assert call() and all(t > 0 for t in where.took)
    where.took = None


def test_calls_of_the_only_member_with_rows_are_remembered(monkeypatch):
    both = pp.hybrid(pp.threads(2), pp.simd(), weights=[0, 1])  # the first has nothing to do
    y = both.asarray(np.ones(50_000))
    for _ in range(3):
        pp.transform(pp.par.on(both), y, out=y, op=inc)
    monkeypatch.setattr("portapar.call.resolve", None)  # the long way begins there
    pp.transform(pp.par.on(both), y, out=y, op=inc)
    assert np.array_equal(pp.asnumpy(y), np.full(50_000, 5.0))


def test_plans_of_several_steps_see_what_changed(renderer):
    x = np.arange(100.0)[::-1].copy()
    plans = [pp.plan(pp.sort, renderer, x), pp.plan(pp.inclusive_scan, renderer, x), pp.plan(pp.count, renderer, x, 1)]
    for plan in plans:
        plan.run()
    x.resize(10, refcheck=False)
    assert (plans[0].run() == np.sort(x)).all() and (plans[1].run() == np.cumsum(x)).all() and plans[2].run() == 0


def test_the_layout_of_arrays_is_checked(python):
    out = python("""
        import numpy as np, ctypes
        from portapar.errors import PortaparError
        real = ctypes.c_int32.from_address
        try:
            import portapar.kernel.jit.layout as layout
            layout.STRIDES -= 8
            layout._check()
        except PortaparError as error:
            print("refused", "NumPy" in str(error))
    """)
    assert out.split() == ["refused", "True"]
