"""NumPy arrays that are streamed through a device in chunks: right values, the bytes that plans tell, bounded memory.

The size of a chunk and the memory are lowered by attributes of the device, so that small arrays are cut.
"""

import weakref

import numpy as np
import pytest
from conftest import executor
from test_cost import alone  # noqa: F401 (a fixture)
from test_plan_bytes import copied, promised  # noqa: F401 (a fixture)

import portapar as pp
from portapar import rates
from portapar.errors import DeviceMemoryError
from portapar.kernel.device import Device
from portapar.rates import Profile, Rates

N = 20_011
TABLE = np.arange(7.0)
PORTION = 12_000  #: bytes


@pytest.fixture
def device(monkeypatch):
    """The OpenCL device, which takes small chunks."""
    found = executor("opencl:0").device
    monkeypatch.setattr(found, "portion", PORTION)
    return found


def by_default(device, monkeypatch):
    """Let it do all at once, as a backend that has nothing but what must be written."""
    monkeypatch.setattr(device, "starts", False, raising=False)
    for name in ("submit", "upload", "download"):
        monkeypatch.setattr(device, name, getattr(Device, name).__get__(device))


def add_to_own(i, x, y, s):
    y[i] += s * x[i]


def set_some(i, x, y, s):
    if x[i] > 50:
        y[i] = s


def from_table(i, x, y, s):
    y[i] = s * x[i] + TABLE[i % 7]


def around(i, x, y, s):
    y[i] = x[i - 1] + s * x[i + 2]


def ends_here(i, x, y, s):
    y[i] = s if i == len(x) - 1 else x[i]


def repeated(i, x, y, s):
    for k in range(3):
        y[i] = y[i] * 0.5 + k * x[i]


def counted(i, x, y, s):
    pp.atomic.add(y, int(x[i]) % 16, 1.0)


def rows(i, j, x, y, s):
    y[i, j] += x[i, j] + s * x[i, 0]


def fields(i, x, y, s):
    y[i].a = x[i].b + y[i].a


def data(n=N, dtype=np.float64):
    return (np.arange(n) * 7 % 101).astype(dtype)


def records():
    x = np.zeros(N, [("a", "f8"), ("b", "i4")])
    x["a"], x["b"] = np.arange(N), data()
    return x


INNER, BACK = pp.range(1, N - 2), pp.range(N - 2, 0, -3)
#: kernel, space, arrays, and what the second one becomes
LOOPS = {
    "own": (add_to_own, N, lambda: (data(), data()[::-1].copy()), lambda x, y: y + 3 * x),
    "some": (set_some, N, lambda: (data(), data()[::-1].copy()), lambda x, y: np.where(x > 50, 3, y)),
    "strided": (add_to_own, N // 2, lambda: (data()[1::2], np.zeros(N)[:-1:2]), lambda x, y: y + 3 * x),
    "backwards": (add_to_own, BACK, lambda: (data(), np.ones(N)), lambda x, y: stepped(y, y + 3 * x)),
    "table": (from_table, N, lambda: (data(), np.zeros(N)), lambda x, y: 3 * x + np.arange(N) % 7),
    "around": (around, INNER, lambda: (data(), np.zeros(N)), lambda x, y: np.r_[0, x[:-3] + 3 * x[3:], 0, 0]),
    "length": (ends_here, N, lambda: (data(), np.zeros(N)), lambda x, y: np.r_[x[:-1], 3]),
    "loop": (repeated, N, lambda: (data(), np.ones(N)), lambda x, y: y / 8 + 2.5 * x),
    "atomic": (counted, N, lambda: (data(), np.zeros(16)), lambda x, y: np.bincount(x.astype(int) % 16)),
    "box": (
        rows, (131, 150), lambda: (data(131 * 150).reshape(131, 150), np.ones((131, 150))),
        lambda x, y: y + x + 3 * x[:, :1],
    ),
    "records": (fields, N, lambda: (records(), records()), lambda x, y: with_field(y, x["b"] + y["a"])),
}  # fmt: skip


def stepped(y, all_of_them):
    y = y.copy()
    y[N - 2 : 0 : -3] = all_of_them[N - 2 : 0 : -3]
    return y


def with_field(y, a):
    y = y.copy()
    y["a"] = a
    return y


@pytest.mark.parametrize("default", [False, True])
def test_loops_and_their_bytes(device, copied, monkeypatch, default):  # noqa: F811
    if default:
        by_default(device, monkeypatch)
    for name, (kernel, space, make, becomes) in LOOPS.items():
        x, y = make()
        expected = becomes(x, y)
        copied[:] = 0, 0
        plan = pp.plan(pp.for_each, pp.par.on(executor("opencl:0")), space, kernel, x, y, 3.0)
        assert "streamed through opencl:0" in str(plan) and copied == [0, 0], name
        assert ("one after the other" in str(plan)) == default
        told = promised(plan)
        plan.run()
        assert np.array_equal(y, expected), name
        assert copied == told and any(told), name


def test_hybrids_stream_their_parts(device, copied):  # noqa: F811
    how = pp.par.on(pp.hybrid(pp.threads(2), executor("opencl:0"), weights=[1, 3]))
    for name in ("own", "strided", "around", "atomic", "box"):
        kernel, space, make, becomes = LOOPS[name]
        x, y = make()
        expected = becomes(x, y)
        plan = pp.plan(pp.for_each, how, space, kernel, x, y, 3.0)
        told, copied[:] = promised(plan), (0, 0)
        plan.run()
        assert np.array_equal(y, expected) and "streamed through opencl:0" in str(plan)
        assert copied == told, name


def test_element_wise_calls(device):
    how, x, y = pp.par.on(executor("opencl:0")), data(), data()[::-1].copy()
    assert np.array_equal(pp.transform(how, x, y, op=lambda a, b: a - 2 * b), x - 2 * y)
    z = x.copy()
    pp.transform(how, z, y, out=z, op=lambda a, b: a - 2 * b)
    assert np.array_equal(z, x - 2 * y)
    pp.fill(how, z, 4.0)
    assert np.array_equal(z, np.full(N, 4.0))
    pp.copy(how, x, out=z)
    assert np.array_equal(z, x)
    assert np.array_equal(pp.transform(how, pp.lazy.zip(x, y), op=lambda p: p[0] * p[1]), x * y)
    wide = np.arange(60_000.0).reshape(200, 300)[:, ::2]
    assert np.array_equal(pp.transform(how, wide, op=lambda a: a + 1), wide + 1)


@pytest.mark.parametrize("default", [False, True])
def test_reductions_keep_their_bits(device, copied, monkeypatch, default):  # noqa: F811
    if default:
        by_default(device, monkeypatch)
    rng = np.random.default_rng(1)
    one = executor("opencl:0")
    both = pp.hybrid(pp.threads(2), one, weights=[1, 3])
    for n in (30 * 4096, 30 * 4096 + 17, 100_003):
        x, y = rng.normal(size=n), np.exp(rng.normal(size=n))
        for function, given, more in (
            (pp.transform_reduce, (x, y), {"transform": lambda a, b: a * b}),
            (pp.reduce, (y,), {"op": lambda a, b: a * b}),  # of neighbours
        ):
            expected = function(pp.par.on(pp.threads(2)), *given, **more)
            for where in (one, both):
                plan = pp.plan(function, pp.par.on(where), *given, **more)
                told, copied[:] = promised(plan), (0, 0)
                assert "streamed" in str(plan) and plan.run() == expected
                assert copied[0] == told[0]


# -- memory ----------------------------------------------------------------------------------------------


@pytest.fixture
def held(device, monkeypatch):
    """[bytes that arrays of the device have now, the most that they ever had]."""
    bytes_of, empty = [0, 0], device.empty

    def counting(shape, dtype):
        made = empty(shape, dtype)
        bytes_of[0] += made.nbytes
        bytes_of[1] = max(bytes_of)
        weakref.finalize(made, lambda size=made.nbytes: bytes_of.__setitem__(0, bytes_of[0] - size))
        return made

    monkeypatch.setattr(device, "empty", counting)
    return bytes_of


@pytest.mark.parametrize(("portion", "default"), [(PORTION, False), (0, False), (1 << 30, False), (0, True)])
def test_arrays_larger_than_the_memory(device, held, monkeypatch, portion, default):
    if default:
        by_default(device, monkeypatch)
    monkeypatch.setattr(device, "portion", portion)
    monkeypatch.setattr(device, "memory", 100_000)
    how = pp.par.on(executor("opencl:0"))
    for name in ("own", "table", "around", "box", "loop", "atomic"):
        kernel, space, make, becomes = LOOPS[name]
        x, y = make()
        expected = becomes(x, y)
        pp.for_each(how, space, kernel, x, y, 3.0)
        assert np.array_equal(y, expected), name
        assert 0 < held[1] <= 100_000, name
    x = np.random.default_rng(1).normal(size=50_000)
    assert pp.reduce(how, x) == pp.reduce(pp.par, x) and held[1] <= 100_000


KEYS = (np.arange(50_000) * 7 % 101).astype(np.int64)
TURNS = {
    "scan": lambda how, x: pp.inclusive_scan(how, x, out=x.copy()),
    "exclusive": lambda how, x: pp.exclusive_scan(how, x, init=1.0),
    "count": lambda how, x: pp.count(how, KEYS, 3),
    "histogram": lambda how, x: pp.histogram(how, x, 10),
    "bincount": lambda how, x: pp.bincount(how, KEYS, weights=x),
    "extrema": lambda how, x: pp.minmax_element(how, x),
    "find": lambda how, x: pp.find(how, x, 9.0),
    "sort": lambda how, x: pp.sort(how, x),
    "copy_if": lambda how, x: pp.copy_if(how, x, lambda v: v > 1),
    "axis": lambda how, x: pp.reduce(how, x.reshape(-1, 10), axis=0),
    "reduce_by_key": lambda how, x: pp.reduce_by_key(how, KEYS, x),
    "stencil": lambda how, x: pp.stencil(how, x, lambda a, i: a[i - 1] + a[i + 1]),
    "reverse": lambda how, x: pp.reverse(how, x),
    "reverse in place": lambda how, x: pp.reverse(how, x.copy(), out=None),
    "rotate": lambda how, x: pp.rotate(how, x, 20_000),
    "shift_left": lambda how, x: pp.shift_left(how, x, 20_000),
    "adjacent_difference": lambda how, x: pp.adjacent_difference(how, x),
    "transpose": lambda how, x: pp.transpose(how, x.reshape(100, -1)),
    "fill_normal": lambda how, x: pp.random.fill_normal(how, x.copy(), 3),
    "searchsorted": lambda how, x: pp.searchsorted(how, np.linspace(-3, 3, 101), x),
    "isin": lambda how, x: pp.isin(how, KEYS, np.arange(7)),
    "copy": lambda how, x: pp.copy(how, x),
}


OFTEN = ("scan", "sort", "bincount")


@pytest.mark.parametrize("name", [*OFTEN, *(pytest.param(k, marks=pytest.mark.rare) for k in TURNS if k not in OFTEN)])
def test_algorithms_of_several_steps_take_turns(device, held, monkeypatch, name):
    """Their parts are on the device one after the other, and what they find has the same bits."""
    x = np.random.default_rng(1).normal(size=50_000)
    expected = TURNS[name](pp.par.on(executor("threads:2")), x)
    monkeypatch.setattr(device, "memory", 200_000)
    found = TURNS[name](pp.par.on(executor("opencl:0")), x)
    for mine, other in zip(*(some if isinstance(some, tuple) else (some,) for some in (found, expected)), strict=True):
        assert np.array_equal(mine, other)
    assert 0 < held[1] <= 200_000


def test_outputs_that_several_steps_write_in_turns(device, monkeypatch):
    monkeypatch.setattr(device, "memory", 200_000)
    how, x = pp.par.on(executor("opencl:0")), np.random.default_rng(1).normal(size=50_000)
    expected, given = np.cumsum(x), x.copy()
    plan = pp.plan(pp.inclusive_scan, how, x, out=x)
    assert "one part after the other" in str(plan) and "may have 200000" in str(plan)
    assert plan.run() is x and np.allclose(x, expected)
    assert np.array_equal(pp.sort(how.task, given).result(), np.sort(given))


def beyond(i, x, y, s):
    y[i] = x[i + 1] * s


def test_checked_calls_are_streamed(device, held, monkeypatch):
    monkeypatch.setattr(device, "memory", 200_000)
    how, x, y = pp.par.on(executor("opencl:0")).with_(check=True), data(), np.zeros(N)
    pp.for_each(how, N - 1, beyond, x, y, 2.0)
    assert np.array_equal(y[:-1], 2 * x[1:]) and 0 < held[1] <= 200_000
    with pytest.raises(pp.BoundsError, match=rf"index {N} is out of bounds.*shape \({N},\), in iteration {N - 1}"):
        pp.for_each(how, N, beyond, x, y, 2.0)


def read_anywhere(i, x, y):
    y[i] = x[(i * 7) % len(x)]


def set_own(i, x, y):
    y[i] = x[i]


def test_what_cannot_be_streamed_says_so(device, monkeypatch):
    monkeypatch.setattr(device, "memory", 100_000)
    where = executor("opencl:0")
    how, x, y = pp.par.on(where), data(), np.full(N, -1.0)
    both = np.full(2 * N, -1.0)
    two = both[:N], both[1 : N + 1]
    long = np.full((2, N), -1.0)
    for call, told in (
        (lambda: pp.for_each(how, N, read_anywhere, x, y), "uses 'x' at other rows than its own"),
        (lambda: pp.for_each(how, N, set_own, *two), "'y' is written, and another argument shares memory"),
        (lambda: pp.for_each(how, (2, N), rows, long, long.copy(), 1.0), "3 times a row is more"),
    ):
        with pytest.raises(DeviceMemoryError, match=f"may have 100000.*cannot be streamed.*{told}.*pp.hybrid"):
            call()
    for call in (lambda: pp.gather(how, x, x.astype(int)), lambda: where.asarray(x)):
        with pytest.raises(DeviceMemoryError, match="room for 160088 bytes: it has 100000 bytes.*cannot be"):
            call()
    with pytest.raises(DeviceMemoryError, match="have 400220 bytes, those of .* may have 100000, and it needs all"):
        pp.irregular.word_count(how, np.full(20 * N, 97, np.uint8))
    assert np.all(y == -1) and np.all(both == -1) and np.array_equal(x, data())
    plan = pp.plan(pp.for_each, how, N, read_anywhere, x, y)
    assert "cannot run: for_each: its arrays have 320176 bytes" in str(plan)
    with pytest.raises(DeviceMemoryError):
        plan.run()


def test_who_has_no_room_is_not_chosen(device, alone, monkeypatch):  # noqa: F811
    monkeypatch.setattr(device, "memory", 100_000)
    way = (0, 1e-12), (1e6, 1e-9)
    slow, fast = (Rates(1e-6, ((1e3, rate), (1e9, rate)), *[rate] * 7, way, way) for rate in (1e6, 1e9))
    rates._known[:] = [Profile({"threads": slow, "opencl:0": fast}, {"opencl:0+threads": (1, 1)})]
    for how in (pp.auto, pp.par.on(pp.hybrid(pp.threads(2), executor("opencl:0")))):
        x, y = data(), np.zeros(N)
        plan = pp.plan(pp.for_each, how, N, read_anywhere, x, y)
        assert "cannot run" not in str(plan) and "opencl" not in repr(plan.executor)
        pp.for_each(how, N, read_anywhere, x, y)
        assert np.array_equal(y, x[np.arange(N) * 7 % N])
        assert "opencl" not in repr(pp.plan(pp.sort, how, x).executor)
        assert "opencl" in repr(pp.plan(pp.for_each, how, N, set_own, x, y).executor)


# -- the order of work -----------------------------------------------------------------------------------


@pytest.fixture
def begun(device, monkeypatch):
    """[(what, its event)] of all that the device is told to do."""
    found = []

    def noting(name, act):
        def acting(*given):
            made = act(*given)
            found.append((name, made[1] if name == "upload" else made))
            return made

        monkeypatch.setattr(device, name, acting)

    for name in ("upload", "submit", "download"):
        noting(name, getattr(device, name))
    return found


def test_the_next_chunk_comes_before_one_is_worked_on(begun):
    x = data()
    plan = pp.plan(pp.transform, pp.par.on(executor("opencl:0")), x, op=lambda a: a * 2)
    assert np.array_equal(plan.run(), 2 * x)
    chunks = int(str(plan).partition("in ")[2].split()[0])
    names = [name for name, _ in begun]
    middle = ["upload", "submit", "download"] * (chunks - 1)
    assert chunks > 20 and names == ["upload", *middle, "submit", "download"]
    assert all(event.handle is None for _, event in begun)  # all were waited for


@pytest.mark.parametrize("error", [DeviceMemoryError("no room"), KeyboardInterrupt()])
def test_failures_on_the_way(device, begun, monkeypatch, error):
    """Nobody else does again what is partly done, and no copy goes on behind the caller's back."""
    where = executor("opencl:0")
    both = pp.hybrid(where, pp.threads(2), weights=[1, 0])
    submit, left = device.submit, [0]

    def failing(*given):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return submit(*given)

    monkeypatch.setattr(device, "submit", failing)
    for how in (pp.par.on(where), pp.par.on(both).with_(on_failure="reroute")):
        for left[0] in (1, 5):
            x = data()
            with pytest.raises((pp.PortaparError, KeyboardInterrupt)) as caught:
                pp.for_each(how, N, add_to_own, x, x.copy(), 3.0)
            if isinstance(error, DeviceMemoryError):
                assert type(caught.value) is pp.PortaparError
                assert "no room; what the call wrote is undefined" in str(caught.value)
            assert begun and all(event.handle is None for _, event in begun)
            begun.clear()
    left[0] = 0  # nothing has come back yet: another one may do it
    if isinstance(error, DeviceMemoryError):
        x, y = data(), data()
        with pytest.warns(pp.PortaparWarning, match="no room"):
            pp.for_each(pp.par.on(both).with_(on_failure="reroute"), N, add_to_own, x, y, 3.0)
        assert np.array_equal(y, 4 * x)
