"""What every device must do: the contract in `portapar.kernel.device`, on every device of this machine.

Those of installed backends of others are among them, and one of plain Python (`plain`), which comes by an entry point.
"""

import importlib.metadata
import math
import threading

import numpy as np
import plain
import pytest
from conftest import executor
from tasks import (
    ADD,
    F32,
    F64,
    I8,
    I64,
    SIZES,
    SUM,
    array,
    map_program,
    partials_of,
    reduce_program,
    run,
    scalar,
    transform_program,
)

import portapar as pp
from portapar import backend
from portapar.backend import Device, Program, Task
from portapar.errors import BackendUnavailableError, DeviceMemoryError
from portapar.kernel.jit.check import needs
from portapar.kernel.program import REFUSED
from portapar.kernel.tiles import TILE


class Entries:
    """What `importlib.metadata.entry_points` finds, and these of the group ``portapar.backends`` besides."""

    def __init__(self, **entries):
        self.found = importlib.metadata.entry_points
        self.entries = [importlib.metadata.EntryPoint(k, v, "portapar.backends") for k, v in entries.items()]

    def __call__(self, **select):
        found = self.found(**select)
        return [*found, *self.entries] if select == {"group": "portapar.backends"} else found


@pytest.fixture
def installed():
    """Install backends by entry points: ``installed(name="module")``."""
    with pytest.MonkeyPatch.context() as patch:

        def install(**entries):
            patch.setattr(importlib.metadata, "entry_points", Entries(**entries))
            backend.backends.cache_clear()

        yield install
    backend.backends.cache_clear()


def devices():
    """Names of the devices that are here."""
    modules = [*backend.backends().values(), plain]
    names = [info.name for module in modules for info in module.probe() if info.available]
    return sorted({"threads:2", *names} - {"threads", "mpi"})


@pytest.fixture(params=devices())
def device(request, installed):
    installed(plain="plain")
    kind, _, index = request.param.partition(":")
    opened = backend.open_device(kind, int(index) if index else None)
    yield opened
    opened.close()


# -- memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 0, 2), (4, 5)])
@pytest.mark.parametrize("dtype", ["f8", "c16", "?", "i1", [("a", "f4"), ("b", "i2")]])
def test_arrays_travel(device, shape, dtype):
    x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    y = device.asarray(x)
    assert device.owns(y) and device.owns(x) == device.host_memory and y is not x
    assert y.shape == shape and y.dtype == x.dtype
    assert np.array_equal(device.asnumpy(y), x)
    out = np.empty_like(x)
    assert device.asnumpy(y, out) is out and np.array_equal(out, x)
    assert device.empty(shape, x.dtype).shape == shape


def test_strided_arrays_travel(device):
    x = np.arange(60.0).reshape(6, 10)
    assert np.array_equal(device.asnumpy(device.asarray(x[::2, ::3])), x[::2, ::3])
    assert np.array_equal(device.asnumpy(device.asarray(x)[1::2, 2:9]), x[1::2, 2:9])
    out = np.zeros((6, 20))[:, ::2]
    assert np.array_equal(device.asnumpy(device.asarray(x), out), x) and np.array_equal(out, x)


def test_no_room(device):
    with pytest.raises(DeviceMemoryError, match=f"{device.name}.*bytes"):
        device.empty((2**50,), I8)


# -- maps ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", SIZES)
def test_transform(device, n):
    a, b = np.arange(n, dtype=F64), np.linspace(-1, 1, n)
    (c, *_), partials = run(device, ADD, (np.zeros(n), a, b, np.float64(3)), n)
    assert partials is None
    assert np.array_equal(c, a + 3 * b)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"])
def test_scalars_have_their_own_type(device, dtype):
    s = np.dtype(dtype).type(-3 if np.dtype(dtype).kind != "u" else 250)
    text = "def body(i, x, s, k):\n    x[i] = s\n    x[i + 3] = k\n"
    program = map_program(text, array(dtype), scalar(dtype), scalar("i1"))
    (x, *_), _ = run(device, program, (np.zeros(6, dtype), s, np.int8(5)), 3)
    assert np.array_equal(x, np.array([s, s, s, 5, 5, 5], dtype))


def test_bool_scalar_and_array(device):
    program = map_program("def body(i, x, y, s):\n    y[i] = x[i] != s\n", *map(array, "??"), scalar("?"))
    x = np.array([True, False, True, True])
    (_, y, _), _ = run(device, program, (x, np.zeros(4, "?"), np.bool_(True)), 4)
    assert np.array_equal(y, ~x)


def test_records(device):
    dtype = np.dtype([("a", "f4"), ("b", "i8")], align=True)
    program = map_program("def body(i, r):\n    r[i].b = r[i].b + int(2 * r[i].a)\n", array(dtype))
    r = np.array([(0.5, 1), (1.5, 10)], dtype)
    (out,), _ = run(device, program, (r,), 2)
    assert out["b"].tolist() == [2, 13]


@pytest.mark.parametrize(("lo", "hi"), [(0, 1000), (0, 0), (17, 18), (100, 900), (999, 1000)])
def test_a_part_with_firsts(device, lo, hi):
    """The device holds rows lo to hi of `c` and `a`, and the rows from lo - 1 on of `b`."""
    n = 1000
    a, b, c = np.arange(n, dtype=F64), np.arange(n, dtype=F64) ** 2, np.full(n, -1.0)
    begin = max(0, lo - 1)
    values = (c[lo:hi], a[lo:hi], b[begin:hi], np.float64(2))
    (part, *_), _ = run(device, ADD, values, n, lo, hi, firsts=(lo, lo, begin, 0))
    assert np.array_equal(part, (a + 2 * b)[lo:hi])


@pytest.mark.parametrize("shape", [(5, 7), (1, 3000), (3000, 1), (3, 4, 5), (2, 1, 2000), (0, 3), (4, 0, 2)])
def test_boxes(device, shape):
    index = ["i", "j", "k"][: len(shape)]
    value = " + ".join(f"{10.0 ** (3 * d)} * {name}" for d, name in enumerate(index))
    text = f"def body({', '.join(index)}, x):\n    x[{', '.join(index)}] = {value}\n"
    program = map_program(text, array(F64, len(shape)), ndim=len(shape))
    expected = sum(10.0 ** (3 * d) * g for d, g in enumerate(np.indices(shape)))
    (x,), _ = run(device, program, (np.zeros(shape),), shape)
    assert np.array_equal(x, expected)
    total = math.prod(shape)
    lo, hi = total // 3, total - total // 4
    (x,), _ = run(device, program, (np.full(shape, -1.0),), shape, lo, hi)
    flat = np.full(total, -1.0)
    flat[lo:hi] = expected.ravel()[lo:hi]
    assert np.array_equal(x.ravel(), flat)


def test_start_and_step(device):
    text = "def body(i, j, x):\n    x[i, j] = 100 * i + j\n"
    program = map_program(text, array(I64, 2), ndim=2, unit=False)
    (x,), _ = run(device, program, (np.zeros((20, 30), I64),), (4, 5), start=(18, 3), step=(-3, 4))
    expected = np.zeros((20, 30), I64)
    for i in range(18, 18 - 12, -3):
        for j in range(3, 23, 4):
            expected[i, j] = 100 * i + j
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("chunk", [0, 1, 7, 10_000])
def test_chunk_size(device, chunk):
    ones = np.ones(1000)
    (c, *_), _ = run(device, ADD, (np.zeros(1000), ones, ones, np.float64(2)), 1000, chunk=chunk)
    assert np.array_equal(c, np.full(1000, 3.0))


def test_strided_device_arrays(device):
    """Views of device arrays, also from an offset, with a step and backwards."""
    specs = (array(F64, ndim, contiguous=False) for ndim in (1, 1, 2))
    program = transform_program("x[i] + y[i, 1]", "out, x, y", *specs)
    x, y = np.arange(40.0), np.arange(60.0).reshape(10, 6)
    out, dx, dy = device.empty((30,), F64)[5:25:2], device.asarray(x)[35:5:-3], device.asarray(y)[:, 1::2]
    device.run(Task(program, (out, dx, dy), (0, 0, 0), (10,), (0,), (1,), 0, 10))
    assert np.array_equal(device.asnumpy(out), x[35:5:-3] + y[:, 3])


def test_more_than_2_31_elements(device):
    """64-bit index arithmetic, with an array of a few bytes: only its last rows are on the device."""
    program = map_program("def body(i, x):\n    x[i] = i % 100\n", array(I8))
    lo, hi = 2**33 - 50, 2**33
    (x,), _ = run(device, program, (np.zeros(50, I8),), 2**33, lo, hi, firsts=(lo,))
    assert np.array_equal(x, (np.arange(lo, hi) % 100).astype(I8))


# -- reductions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", (*SIZES, 31, 32, 33, 48, 63, TILE - 1))
def test_sum_has_the_same_bits(device, n, dtype):
    x = np.random.default_rng(n).normal(size=n).astype(dtype) * np.dtype(dtype).type(1e3)
    _, partials = run(device, reduce_program("x[i]", "x", array(dtype), acc=dtype), (x,), n)
    expected = partials_of(x, np.add, dtype)
    assert partials.dtype == dtype and partials.shape == expected.shape
    assert partials.tobytes() == expected.tobytes()


def test_subnormal_numbers_are_kept(device):
    """CUDA compilers like to flush them to zero, and then the bits differ from the CPU's."""
    x, half = np.full(100, 1e-40, np.float32), np.float32(0.5)
    program = reduce_program("x[i] * s", "x, s", array(F32), scalar(F32), acc=F32)
    _, partials = run(device, program, (x, half), 100)
    assert partials.tobytes() == partials_of(x * half, np.add, F32).tobytes() != bytes(4)


def test_dot_of_a_part(device):
    """The tiles of [lo, hi), whatever part of the arrays the device holds; no contraction to FMA."""
    n, lo = 10 * TILE + 11, 3 * TILE
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=n), rng.normal(size=n)
    program = reduce_program("x[i] * y[i]", "x, y", array(F64), array(F64), acc=F64)
    expected = partials_of(x * y, np.add, F64)
    _, partials = run(device, program, (x[lo:], y[lo:]), n, lo, n, firsts=(lo, lo))
    assert partials.tobytes() == expected[3:].tobytes()
    _, partials = run(device, program, (x, y), n, lo, 5 * TILE)
    assert partials.tobytes() == expected[3:5].tobytes()


@pytest.mark.parametrize(("op", "acc", "oracle"), [
    ("x if x < y else y", "i4", np.minimum), ("x * y", "c16", np.multiply), ("x ^ y", "u1", np.bitwise_xor),
])  # fmt: skip
def test_other_operators(device, op, acc, oracle):
    n = TILE + 77
    x = (np.random.default_rng(1).normal(size=n) * 100).astype(np.int64).astype(acc)
    if acc == "c16":
        x = np.exp(1j * x)
    _, partials = run(device, reduce_program("x[i]", "x", array(acc), acc=acc, op=op), (x,), n)
    assert np.allclose(partials, partials_of(x, oracle, acc), rtol=1e-12)


LOOP = "def body(i, c):\n    for k in range(2):\n        c[i] = c[i] * 2\n"


# -- the device itself -----------------------------------------------------------------------------------


def test_two_threads_at_once(device):
    """Each thread runs its own programs, and one that they share, with its own arguments."""
    failures = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=3_000)
        total = reduce_program("x[i]", "x", array(F64), acc=F64)
        own = transform_program(f"a[i] + {seed}.0", "c, a", array(F64), array(F64))
        for s in range(10):
            (c, *_), _ = run(device, ADD, (np.zeros(x.size), x, x, np.float64(s + seed)), x.size)
            (d, *_), _ = run(device, own, (np.zeros(x.size), x), x.size)
            _, partials = run(device, total, (x,), x.size)
            if not (
                np.array_equal(c, x + (s + seed) * x)
                and np.array_equal(d, x + seed)
                and np.array_equal(partials, partials_of(x, np.add, F64))
            ):
                failures.append((seed, s))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_inspect(device):
    code = device.inspect(ADD)
    assert code and all(isinstance(text, str) and text for text in code.values())


def test_run_many_times(device):
    """Bound once, and prepared for other arguments."""
    x = np.arange(1000.0)
    task = Task(ADD, tuple(map(device.asarray, (x, x, x))) + (np.float64(2),), (0,) * 4, (1000,), (0,), (1,), 0, 1000)
    run_again = device.bind(task)
    for _ in range(2):
        run_again()
        assert np.array_equal(device.asnumpy(task.values[0]), 3 * x)
    launch = device.launch(task)
    for factor in (1.0, 4.0):
        values = [device.empty((1000,), F64), device.asarray(x), device.asarray(x), np.float64(factor)]
        assert launch(values) is None
        assert np.array_equal(device.asnumpy(values[0]), (1 + factor) * x)
    if not device.host_memory:
        assert launch([x, x, x, np.float64(1)]) is REFUSED
        assert launch.guard([0])


def test_reductions_run_many_times(device):
    x = np.random.default_rng(1).normal(size=3 * TILE)
    task = Task(SUM, (device.asarray(x),), (0,), (len(x),), (0,), (1,), 0, len(x))
    expected = partials_of(x, np.add, F64)
    found = device.bind(task)()
    if device.folds:
        assert found == expected[0] + expected[1] + expected[2]
    else:
        assert np.array_equal(found, expected)
    assert np.array_equal(device.launch(task)([device.asarray(x)]), expected)


def test_work_that_goes_on(device):
    """Copies, tasks and copies back, each after what it needs; whoever does all at once is right as well."""
    n = 3 * TILE + 5
    x, twice = np.random.default_rng(1).normal(size=n), map_program(LOOP, array(F64))
    given = [device.upload(x, device.empty((n,), F64)) for _ in range(2)]
    out = device.empty((n,), F64)
    values = (out, given[0][0], given[1][0], np.float64(2))
    done = device.submit(Task(ADD, values, (0,) * 4, (n,), (0,), (1,), 0, n), [event for _, event in given])
    again = device.submit(Task(twice, (out,), (0,), (n,), (0,), (1,), 0, n), (done,))
    total = device.submit(Task(SUM, (out,), (0,), (n,), (0,), (1,), 0, n), (again,))
    homes = np.empty(n), np.empty((n, 2))[:, 1]
    back = [device.download(out, home, (again,)) for home in homes]
    for event in back + back:
        assert event.wait() is None
    assert done.wait() is None and again.wait() is None
    assert all(np.array_equal(home, 12 * x) for home in homes)
    assert total.wait() is total.wait() and np.array_equal(total.wait(), partials_of(12 * x, np.add, F64))


def test_a_closed_device_says_so(device):
    device.synchronize()
    x = device.asarray(np.ones(3))
    device.close()
    assert device.closed
    with pytest.raises(BackendUnavailableError, match="closed"):
        device.run(Task(SUM, (x,), (0,), (3,), (0,), (1,), 0, 3))


# -- what programs need ----------------------------------------------------------------------------------

SINGLE = (array(F32), array(F32), scalar(F32))
NEEDS = {
    "float64": (ADD, {"float64"}),
    "inside": (transform_program("np.float32(a[i] * np.float64(s))", "c, a, s", *SINGLE), {"float64"}),
    "single": (transform_program("a[i] * s + np.float32(0.5)", "c, a, s", *SINGLE), set()),
    "weak": (transform_program("a[i] * 0.5 + s", "c, a, s", *SINGLE), set()),
    "weak name": (transform_program("a[i] if a[i] < 1.0 else 2.0 * s / 3", "c, a, s", *SINGLE), set()),
    "weak store": (map_program("def body(i, c):\n    c[i] = 0.5\n", array(F32)), set()),
    "integers": (transform_program("a[i] + 1", "c, a", array(I64), array(I64)), set()),
    "complex": (transform_program("a[i] * a[i]", "c, a", array("c16"), array("c16")), {"float64"}),
    "record": (map_program("def body(i, r):\n    r[i].b = 1\n", array([("a", "f8"), ("b", "i8")])), {"float64"}),
    "sum": (SUM, {"float64"}),
    "sum of single": (reduce_program("x[i]", "x", array(F32), acc=F32), set()),
    "add": (map_program("def body(i, x):\n    atomic.add(x, 0, 1)\n", array(I64)), {"64-bit atomics"}),
    "add 32": (map_program("def body(i, x):\n    atomic.add(x, 0, np.int32(1))\n", array("i4")), set()),
    "add float": (
        map_program("def body(i, x):\n    atomic.add(x, 0, 1.0)\n", array(F64)), {"float64", "64-bit atomics"}
    ),
    "max": (
        map_program("def body(i, x):\n    atomic.max(x, 0, i)\n", array(I64)), {"64-bit atomics of min, max and bits"}
    ),
    "helper": (
        Program("map", "def h(x):\n    return x * 2.5\ndef body(i, x):\n    x[i] = int(h(i))\n", ("h", "body"),
                (array(I64),)), {"float64"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEEDS)
def test_what_programs_need(name):
    program, expected = NEEDS[name]
    assert needs(program) == expected


@pytest.mark.parametrize("name", ["threads:2", "plain:0", "opencl:0"])
def test_a_device_that_lacks_it_refuses(installed, monkeypatch, name):
    installed(plain="plain")
    where = executor(name)
    monkeypatch.setattr(where.device, "lacks", frozenset({"float64"}))
    x = np.arange(10, dtype=np.float32)
    y = pp.transform(pp.par.on(where), x, op=lambda v: v + np.float32(17.25))
    assert np.array_equal(y, x + np.float32(17.25))
    for call in (
        lambda: pp.transform(pp.par.on(where), x.astype(np.float64), op=lambda v: v + 17.25),
        lambda: pp.reduce(pp.par.on(where), x.astype(np.float64), op=lambda a, b: a + b),
    ):
        with pytest.raises(BackendUnavailableError, match=f"{name}.* has no float64.*float32 arrays"):
            call()


# -- backends of others ----------------------------------------------------------------------------------


@pytest.fixture
def outside(installed):
    """`pp.par` on a backend that an entry point names."""
    installed(plain="plain")
    where = pp.executor("plain:0")
    yield pp.par.on(where)
    where.close()


def test_a_backend_by_entry_point_is_found(outside):
    assert "plain:0" in [info.name for info in pp.available() if info.available]
    assert pp.par.on("plain:0") is outside and pp.executor("plain") is not None
    assert repr(outside) == "pp.par.on(pp.executor('plain:0'))"
    assert isinstance(outside.executor.device, plain.Plain) and isinstance(outside.executor.device, Device)
    assert np.array_equal(outside.executor.asarray(np.arange(3)), [0, 1, 2])


ALGORITHMS = {
    "transform": (lambda how, x: pp.transform(how, x, op=lambda v: v * v), lambda x: x * x),
    "reduce": (lambda how, x: pp.reduce(how, x), None),
    "scan": (lambda how, x: pp.inclusive_scan(how, x), np.cumsum),
    "sort": (lambda how, x: pp.sort(how, x), np.sort),
    "argsort": (lambda how, x: pp.argsort(how, x), lambda x: np.argsort(x, kind="stable")),
    "copy_if": (lambda how, x: pp.copy_if(how, x, lambda v: v > 0), lambda x: x[x > 0]),
    "count_if": (lambda how, x: pp.count_if(how, x, lambda v: v > 0), lambda x: np.sum(x > 0)),
    "max_element": (lambda how, x: pp.max_element(how, x), np.argmax),
    "histogram": (
        lambda how, x: pp.histogram(how, x, bins=8, range=(-3, 3))[0], lambda x: np.histogram(x, 8, (-3, 3))[0]
    ),
    "unique": (lambda how, x: pp.unique(how, np.round(x)), lambda x: np.unique(np.round(x))),
}  # fmt: skip


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_run_on_it(outside, name):
    call, oracle = ALGORITHMS[name]
    x = np.random.default_rng(1).normal(size=700)
    if oracle is None:
        assert call(outside, x) == call(pp.par, x)  # the same bits
    else:
        np.testing.assert_allclose(call(outside, x), oracle(x), rtol=1e-12)
    assert np.array_equal(call(outside, x[::2]), call(pp.par, x[::2]))


def test_remembered_calls_and_plans_on_it(outside):
    for n in (100, 200, 200):
        x, y = np.arange(float(n)), np.empty(n)
        pp.transform(outside, x, out=y, op=lambda v: v + 3)
        assert np.array_equal(y, x + 3)
    step = pp.plan(pp.transform, outside, x, out=y, op=lambda v: v + 4)
    for _ in range(2):
        step.run()
    assert np.array_equal(y, x + 4)
    y.flags.writeable = False
    with pytest.raises(pp.PortaparError, match="read-only"):
        step.run()
    both = pp.par.on(pp.hybrid(outside.executor, pp.simd(), weights=[1, 1]))
    assert pp.reduce(both, np.arange(20_000.0)) == pp.reduce(pp.par, np.arange(20_000.0))


@pytest.mark.parametrize("value", ["no_such_module", "plain:nothing"])
def test_one_that_cannot_be_imported_is_reported(installed, value):
    installed(broken=value)
    (info,) = [info for info in pp.available() if info.name == "broken"]
    assert not info.available and value in info.reason and info.remedy
    with pytest.raises(BackendUnavailableError, match=f"broken is not available.*{value}"):
        pp.executor("broken")
    assert pp.executor("threads:2") is pp.threads(2)


def test_one_cannot_take_the_name_of_ours(installed):
    installed(threads="plain", simd="plain")
    assert backend.backends()["threads"].__name__ == "portapar.backends.threads"
