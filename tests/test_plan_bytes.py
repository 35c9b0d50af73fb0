"""The bytes that a plan says it will move are those that move, counted where PyOpenCL copies them."""

import re
import threading

import numpy as np
import pytest
from conftest import executor
from steps import OTHERS, STEPS, N, data

import portapar as pp

extra = pytest.mark.extra
TABLE = np.arange(7.0)


def set_own(i, x, y):
    y[i] = 2 * x[i]


def add_to_own(i, x, y):
    y[i] += x[i]


def set_some(i, x, y):
    if x[i] > 50:
        y[i] = 1


def read_anywhere(i, x, y):
    y[i] = x[(i * 7) % len(x)]


def captured(i, x, y):
    y[i] = x[i] + TABLE[i % 7]


def with_a_number(i, x, y, s):
    y[i] = s * x[i]


def count(i, x, bins):
    pp.atomic.add(bins, int(x[i]) % 16, 1)


def rows(i, j, x, y):
    y[i, j] = x[i, j] + 1


@pytest.fixture
def copied(monkeypatch):
    """[bytes to the device, bytes back] of every copy between the host and an OpenCL device."""
    executor("opencl:0")
    import pyopencl as cl

    moved, lock, copy = [0, 0], threading.Lock(), cl.enqueue_copy

    def counting(queue, to, source, **more):
        with lock:
            if isinstance(source, np.ndarray):
                moved[0] += source.nbytes
            elif isinstance(to, np.ndarray):
                moved[1] += to.nbytes
        return copy(queue, to, source, **more)

    monkeypatch.setattr(cl, "enqueue_copy", counting)
    return moved


def promised(plan):
    """[bytes in, bytes out] that the plan prints."""
    found = re.findall(r"moves (\d+) bytes in and (\d+) bytes out", str(plan))
    return [sum(int(pair[k]) for pair in found) for k in (0, 1)]


@pytest.fixture(params=["opencl:0", "hybrid:threads:2+opencl:0", "hybrid:opencl:0+simd"])
def policy(request):
    return pp.par.on(executor(request.param))


CALLS = {
    "set": (lambda how: (pp.for_each, how, N, set_own, data(), data()), 1, 1),
    "add": (lambda how: (pp.for_each, how, N, add_to_own, data(), data()), 2, 1),
    "some": (lambda how: (pp.for_each, how, N, set_some, data(), data()), 2, 1),
    "float32": (lambda how: (pp.for_each, how, N, set_own, data("f4"), data("f4")), 0.5, 0.5),
    "steps": (lambda how: (pp.for_each, how, N // 2, set_own, data()[::2], data()[::2]), 0.5, 0.5),
    "number": (lambda how: (pp.for_each, how, N, with_a_number, data(), data(), 3.0), 1, 1),
    "box": (lambda how: (pp.for_each, how, (100, 100), rows, *(data().reshape(100, 100) for _ in "xy")), 1, 1),
    "transform": (lambda how: (pp.transform, how, data(), data()), 2, 1),
    "in place": (lambda how: (pp.transform, how, *[data()] * 2), 1, 1),
    "reduce": (lambda how: (pp.reduce, how, data()), 1, 0),
    "product": (lambda how: (pp.transform_reduce, how, data(), data("f4")), 1.5, 0),
}


def planned(name, how):
    """(plan, its two arguments that are moved) of one of the calls."""
    function, how, *args = CALLS[name][0](how)
    more = {}
    if name == "transform":
        more = {"op": lambda x, y: x + y, "out": np.zeros(N)}
    elif name == "in place":
        more = {"op": lambda x, y: x + y, "out": args[0]}
    elif name == "product":
        more = {"transform": lambda x, y: x * y}
    return pp.plan(function, how, *args, **more)


@pytest.mark.parametrize("name", CALLS)
def test_as_printed(copied, policy, name):
    plan = planned(name, policy)
    told = promised(plan)
    assert copied == [0, 0]  # a plan moves nothing
    plan.run()
    if plan.loop.problem.program.acc is not None:
        copied[1] = 0  # the result: a number for each tile, no data
    assert copied == told
    if len(plan.parts) == 1:
        assert told == [int(8 * N * factor) for factor in CALLS[name][1:]]
    else:
        assert all(told[k] <= 8 * N * CALLS[name][1 + k] for k in (0, 1))


@pytest.mark.parametrize(("kernel", "into", "out"), [(read_anywhere, N, N), (captured, N + 7, N), (count, N + 16, 16)])
def test_arrays_that_are_not_cut_move_whole(copied, kernel, into, out):
    y = np.zeros(16, np.int64) if kernel is count else np.zeros(N)
    plan = pp.plan(pp.for_each, pp.par.on(executor("opencl:0")), N, kernel, data(), y)
    assert promised(plan) == [8 * into, 8 * out]
    plan.run()
    assert copied == [8 * into, 8 * out]


def test_what_lives_on_the_device_does_not_move(copied):
    where = executor("opencl:0")
    x, y = where.asarray(data()), where.empty(N)
    copied[:] = 0, 0
    for plan in (
        pp.plan(pp.for_each, pp.par.on(where), N, set_own, x, y),
        pp.plan(pp.transform, pp.par.on(where), x, out=y, op=lambda v: v + 1),
    ):
        assert promised(plan) == [0, 0] and "moves" not in str(plan)
        plan.run()
    assert copied == [0, 0]


def test_lazy_inputs_move_what_they_read(copied):
    x = data()
    plan = pp.plan(pp.reduce, pp.par.on(executor("opencl:0")), pp.lazy.transform(x, lambda v: v * 2))
    assert promised(plan) == [8 * N, 0]
    assert plan.run() == 2 * x.sum() and copied[0] == 8 * N


@pytest.mark.parametrize("name", ["threads:2", "simd", "hybrid:threads:2+simd"])
def test_nothing_moves_in_host_memory(name):
    where = executor(name)
    for call in CALLS:
        if call != "in place":
            assert "moves" not in str(planned(call, pp.par.on(where)))


NAMES = [pytest.param(name, marks=[pytest.mark.rare] * (name in OTHERS)) for name in STEPS]
SMALL = 2000  #: bytes of what blocks find, which is not the user's data
SAMPLE = 8 * 5000  #: of a sample that tells where an element is to be looked for
SAMPLED = ("nth_element", "kth_smallest", "top_k", "partial_sort")


@pytest.mark.parametrize("name", NAMES)
def test_algorithms_of_several_steps(copied, name):
    plan = pp.plan(*STEPS[name](pp.par.on(executor("opencl:0"))))
    told = promised(plan)
    assert copied == [0, 0] and told[0] >= N  # a plan moves nothing
    assert "what its steps find out moves besides: few bytes" in str(plan)
    plan.run()
    more = SMALL * (1 + (name == "minmax_element")) + SAMPLE * (name in SAMPLED)
    assert told[0] <= copied[0] <= told[0] + more
    if "at most" in str(plan):
        assert copied[1] <= told[1] + more
    else:
        assert told[1] <= copied[1] <= told[1] + more


@pytest.mark.parametrize("name", NAMES)
def test_what_moves_between_their_parts(copied, name):
    """Where the data decide what parts give each other, the plan says how much it is at most."""
    where = executor("hybrid:threads:2+opencl:0")
    function, how, *given = STEPS[name](pp.par.on(where))
    for resident in (False, True):
        args = [where.asarray(x) if resident and isinstance(x, np.ndarray) else x for x in given]
        copied[:] = 0, 0
        plan = pp.plan(function, how, *args)
        told = promised(plan)
        assert copied == [0, 0]
        plan.run()
        more = SMALL * (1 + (name == "minmax_element")) + SAMPLE * (name in SAMPLED)
        assert all(copied[k] <= told[k] + more for k in (0, 1)), (resident, told, copied, str(plan))
        if "at most" not in str(plan):
            assert all(told[k] <= copied[k] for k in (0, 1)), (resident, told, copied, str(plan))


#: of which steps of several parts the plan says all that moves, with how many other bytes of what they find out
EXACT = {
    "stencil": 0, "reverse": 0, "rotate": 0, "adjacent_difference": 0, "searchsorted": 0, "shift_left": 0,
    "shift_right": 0, "transpose": 0, "gather": 16, "isin": 48,
}  # fmt: skip


@pytest.mark.parametrize("name", ["hybrid:threads:2+opencl:0", pytest.param("hybrid:opencl:0+simd", marks=extra)])
def test_what_parts_tell_each_other_in_steps(copied, name):
    where = executor(name)
    for step, more in EXACT.items():
        function, how, *given = STEPS[step](pp.par.on(where))
        for resident in (False, True):
            args = [where.asarray(x) if resident and isinstance(x, np.ndarray) else x for x in given]
            copied[:] = 0, 0
            plan = pp.plan(function, how, *args)
            told = promised(plan)
            assert copied == [0, 0], step
            plan.run()
            assert all(told[k] <= copied[k] <= told[k] + more for k in (0, 1)), (step, told, copied)
            assert resident != ("(read" in str(plan)) and any(told)


def test_their_inputs_in_host_memory_do_not_move():
    for call in STEPS.values():
        plan = pp.plan(*call(pp.par.on(executor("threads:2"))))
        assert "moves" not in str(plan) and "] (read" in str(plan)


def test_strided_inputs_of_reductions_are_copied_when_they_run():
    x = np.arange(12.0).reshape(3, 4)
    plan = pp.plan(pp.reduce, pp.par, x.T)
    assert "x: strided, copied when it runs, 96 bytes" in str(plan)
    assert plan.run() == 66
    x[:] = 1
    assert plan.run() == 12 == pp.reduce(pp.par, x.T)
    plan = pp.plan(pp.inner_product, pp.par, x.T, x.T)
    assert str(plan).count("copied when it runs") == 2 and plan.run() == 12
    assert "copied" not in str(pp.plan(pp.reduce, pp.par, x))


def around(i, x, y):
    y[i] = x[i - 1] + x[i + 1]


def around_itself(i, x, y):
    if i % 2:
        x[i] = x[i - 1] + x[i + 1]


def scattered(i, x, bins):
    pp.atomic.max(bins, i % 5, i)


def backwards(i, x, y):
    y[i] = x[len(x) - 1 - i]


@pytest.mark.parametrize("kernel", [around, around_itself, scattered, backwards])
@pytest.mark.parametrize("name", ["hybrid:threads:2+opencl:0", "hybrid:opencl:0+simd"])
def test_what_parts_tell_each_other(copied, name, kernel):
    where = executor(name)
    x, y = where.asarray(data()), where.asarray(np.zeros(16, np.int64) if kernel is scattered else data())
    copied[:] = 0, 0
    plan = pp.plan(pp.for_each, pp.par.on(where), pp.range(1, N - 1), kernel, x, y)
    told = promised(plan)
    plan.run()
    assert copied == told and any(told)


TOLD = 8 * 4096 + 2000  #: bytes of the elements of a tile that a cut divides, and of what blocks find


@extra
def test_what_lives_on_parts_stays_there(copied):
    """However often calls are made: no more moves than rows at cuts, a divided tile, and results."""
    where, n = executor("hybrid:simd+opencl:0"), 10 * N
    how, few = pp.par.on(where), TOLD
    x, y, keys = (where.asarray(np.resize(v, n)) for v in (data(), data(), data(np.int64)))
    calls = {
        "transform": (0, lambda: pp.transform(how, x, out=y, op=lambda v: v + 1)),
        "around": (2 * 24, lambda: pp.for_each(how, pp.range(1, n - 1), around, x, y)),
        "stencil": (2 * 24, lambda: pp.stencil(how, x, lambda x, i: x[i - 1] + x[i + 1], out=y)),
        "reduce": (few, lambda: pp.reduce(how, x)),
        "scan": (few, lambda: pp.inclusive_scan(how, x, out=y)),
        "count_if": (few, lambda: pp.count_if(how, x, lambda v: v > 50)),
        "histogram": (few, lambda: pp.histogram(how, x, bins=64, range=(0, 100))),
        "bincount": (few, lambda: pp.bincount(how, keys, minlength=100)),
        "min_element": (few, lambda: pp.min_element(how, x)),
    }
    for name, (most, call) in calls.items():
        for _ in range(4):
            copied[:] = 0, 0
            call()
            assert sum(copied) <= most, (name, copied)
    copied[:] = 0, 0
    pp.transform(how, x, np.ones(n), out=y, op=lambda a, b: a + b)  # of what is new the device's rows
    assert 0 < copied[0] <= 8 * (y.cuts[2] - y.cuts[1]) and copied[1] == 0
