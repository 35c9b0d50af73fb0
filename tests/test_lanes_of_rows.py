"""Rows that each index has, and arrays of its own, in loops that do several indices at a time: bits as one by one."""

import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar.kernel.cpu import chunk

SIZES = (1, 63, 64, 65, 150)


@pytest.fixture(params=["threads:2", *(pytest.param(name, marks=pytest.mark.extra) for name in ("opencl:0", "cuda:0"))])
def how(request, monkeypatch):
    """On CPUs, whose code this is about; what does not compile for lanes is an error, and not done one by one."""
    monkeypatch.setattr(chunk, "_is_numbas", lambda error: False)
    return pp.par.on(executor(request.param))


@pytest.fixture
def told(monkeypatch):
    """The loops that a kernel runs as; they are not compiled once more."""

    class Nothing:
        get_llvm_str = get_asm_str = lambda self: ""

    monkeypatch.setattr(chunk, "lower", lambda *_: (Nothing(), ""))
    return lambda kernel, *args, space: pp.inspect(kernel, pp.simd(), *args, space=space)["Numba"]


def hashed(i, rows, other, out):
    h = np.uint32(2166136261)
    for k in range(rows.shape[1]):
        h = (h ^ rows[i, k]) * np.uint32(16777619)
    out[i] = h


def differing(i, rows, other, out):  # the distance of two words, by dynamic programming
    line = np.zeros(9, np.int32)
    for k in range(9):
        line[k] = k
    for r in range(rows.shape[1]):
        diagonal = line[0]
        line[0] = r + 1
        for k in range(8):
            above = line[k + 1]
            cost = diagonal if rows[i, r] == other[i, k] else diagonal + 1
            line[k + 1] = min(cost, min(above, line[k]) + 1)
            diagonal = above
    out[i] = line[8]


def horner(i, rows, other, out):
    s, n = 0.5, 0
    for k in range(rows.shape[1]):
        if rows[i, k] > 3:
            s = s * 0.25 + rows[i, k]
            n += 1
    out[i] = int(s * 256) + n


def where_there_are(i, rows, other, out):
    s = np.uint32(1)
    if i < len(rows):
        for k in range(rows.shape[1]):
            s = s * np.uint32(31) + np.uint32(rows[i, k])
    out[i] = s


@pytest.mark.parametrize(
    ("kernel", "kinds"),
    [(hashed, [("u1", 16), ("u1", 5)]), (differing, [("u2", 12)]), (horner, [("u4", 8)])],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_rows_of_an_index(how, kernel, kinds):
    rng = np.random.default_rng(1)
    for dtype, width in kinds:
        for size in SIZES:
            rows, other = (rng.integers(0, 6, (size, m)).astype(dtype) for m in (width, 8))
            out, wanted = np.zeros(size, np.uint32), np.zeros(size, np.uint32)
            pp.for_each(how, size, kernel, rows, other, out)
            with np.errstate(over="ignore"):
                for i in range(size):
                    kernel(i, rows, other, wanted)
            np.testing.assert_array_equal(out, wanted, f"{size} rows of {width} {dtype}")


def test_rows_become_lanes(told):
    rows, out, x = np.zeros((150, 16), np.uint8), np.zeros(150, np.uint32), np.zeros(150)
    for kernel in (hashed, differing, horner):
        assert "strip64" in told(kernel, rows, rows[:, :8].copy(), out, space=150), kernel.__name__
    assert "strip64" in told(planes, np.zeros((3, 70, 2, 4), np.int16), np.zeros((3, 70), np.int64), space=(3, 70))
    assert "strip64" in told(lattice, x, x.copy(), 1.1, 0.4, space=150)
    assert "strip64" not in told(hashed, rows.T.copy().T, rows, out, space=150)


def test_rows_that_not_every_index_has(how):
    rng = np.random.default_rng(2)
    for there in (0, 1, 64, 100, 149):
        rows, out = rng.integers(0, 256, (there, 8)).astype(np.uint8), np.zeros(150, np.uint32)
        wanted = out.copy()
        pp.for_each(how, 150, where_there_are, rows, rows, out)
        with np.errstate(over="ignore"):
            for i in range(150):
                where_there_are(i, rows, rows, wanted)
        np.testing.assert_array_equal(out, wanted, f"{there} of 150 rows")


def far_away(i, j, rows, first, there, out):
    s = 0.5
    if there == 1:
        for k in range(rows.shape[2]):
            s = s * 0.25 + rows[i, j, k]
    out[i - first, j] = s


def test_rows_that_no_index_has():
    """Memory that is not there would be read."""
    rows, out = np.ones((2, 70, 8)), np.zeros((1, 70))
    for first, there in ((0, 1), (2**40, 0)):
        pp.for_each(pp.seq, (pp.range(first, first + 1), 70), far_away, rows, first, there, out)
        assert (out == out[0, 0]).all()
        assert (out[0, 0] == 0.5) == (not there)


def test_rows_that_are_written_to():
    """Where what is written is what is read, an index sees what those before it wrote."""
    for offset in (0, 4, 256, 4096):
        got = np.random.default_rng(3).integers(0, 256, 8192).astype(np.uint8)
        wanted = got.copy()
        for memory in (got, wanted):
            rows, out = memory[:4096].reshape(256, 16), memory[offset : offset + 1024].view(np.uint32)[:256]
            if memory is got:
                pp.for_each(pp.seq, 256, hashed, rows, rows, out)
            else:
                with np.errstate(over="ignore"):
                    for i in range(256):
                        hashed(i, rows, rows, out)
        np.testing.assert_array_equal(got, wanted, f"at {offset}")


def nearest(i, p, c, label, moved):
    best, at = np.inf, 0
    for k in range(len(c)):
        dx, dy, dz = p[i, 0] - c[k, 0], p[i, 1] - c[k, 1], p[i, 2] - c[k, 2]
        far = dx * dx + dy * dy + dz * dz
        if far < best:
            best, at = far, k
    label[i] = at
    moved[i, 0], moved[i, 1] = best, moved[i, 0] + p[i, 0]
    moved[i, 2] += best


def alike(i, p, c, label, moved):
    for k in range(len(c)):
        far = 0.0
        for d in range(3):
            far += (p[i, d] - c[k, d]) ** 2
        if far < moved[i, 0]:
            moved[i, 0] = far
            label[i] = k


@pytest.mark.parametrize("kernel", [nearest, alike], ids=lambda x: x.__name__)
def test_points_beside_all_of_others(how, kernel):
    rng = np.random.default_rng(4)
    for size in SIZES:
        p, c, moved = rng.random((size, 3)), rng.random((5, 3)), rng.random((size, 3))
        label, wanted = np.zeros(size, np.int32), (np.zeros(size, np.int32), moved.copy())
        pp.for_each(how, size, kernel, p, c, label, moved)
        for i in range(size):
            kernel(i, p, c, *wanted)
        np.testing.assert_array_equal(label, wanted[0])
        np.testing.assert_array_equal(moved, wanted[1])


def planes(i, j, rows, out):
    line = np.full(4, len(rows), np.int64)
    for a in range(2):
        for b in range(len(line)):
            line[b] = line[b - 1] * 3 + rows[i, j, a, b]
    out[i, j] = line[3] - line[-2]


def test_rows_of_other_spaces(how):
    rng = np.random.default_rng(5)
    for m in (1, 70, 133):
        rows = rng.integers(-100, 100, (3, m, 2, 4)).astype(np.int16)
        out, wanted = np.zeros((3, m), np.int64), np.zeros((3, m), np.int64)
        pp.for_each(how, (3, m), planes, rows, out)
        for i, j in np.ndindex(3, m):
            planes(i, j, rows, wanted)
        np.testing.assert_array_equal(out, wanted)


def summed(line, k):
    return line[k - 1] + line[k]


def handed(i, x, out, up, p):  # the array as a whole to another function, and rows that are columns too
    v = np.zeros(5)
    for k in range(1, 5):
        v[k] = summed(v, k) * p + x[i]
    out[i] = v[4] + len(v)


def filled(i, x, out, up, p):  # with what differs from index to index
    v = np.full(5, x[i], np.float64)
    for k in range(1, 5):
        v[k] = v[k - 1] * p + x[i]
    out[i] = v[4]


def crossed(i, x, y):
    s = 0.0
    for k in range(len(x)):
        s = s * 0.5 + x[k]
    y[i, 0] = s + y[0, i]


def dotted(i, x, y, out):
    s = 0.0
    for k in range(len(y)):
        s += x[i, k] * y[k]
    out[i] = s


def compared(i, x, y, out):
    s = 0.0
    for k in range(x.shape[1]):
        s += abs(x[i, k] - y[i, k])
    out[i] = s


@pytest.mark.parametrize("kernel", [dotted, compared], ids=lambda kernel: kernel.__name__)
def test_opencl_turns_rows(kernel):
    on, rng = executor("opencl:0"), np.random.default_rng(3)
    for n, m in ((1, 8), (15, 9), (16, 8), (33, 41)):
        x, y, out = rng.random((n, m)), rng.random((m,) if kernel is dotted else (n, m)), np.zeros(n)
        pp.for_each(pp.par.on(on), n, kernel, x, y, out)
        wanted = np.zeros(n)
        for i in range(n):
            kernel(i, x, y, wanted)
        np.testing.assert_array_equal(out, wanted)
    assert "columns_" in pp.inspect(kernel, on, x, y, out, space=n)["OpenCL C"]


def test_what_is_done_one_by_one():
    x, out, wanted = np.random.default_rng(7).random(70), np.zeros(70), np.zeros(70)
    for kernel in (handed, filled):
        pp.for_each(pp.seq, 70, kernel, x, out, 1.0, 0.5)
        for i in range(70):
            kernel(i, x, wanted, 1.0, 0.5)
        np.testing.assert_array_equal(out, wanted)
    got, wanted = np.ones((70, 70)), np.ones((70, 70))
    pp.for_each(pp.seq, 70, crossed, x, got)
    for i in range(70):
        crossed(i, x, wanted)
    np.testing.assert_array_equal(got, wanted)


def lattice(i, x, out, up, p):
    v = np.zeros(17)
    price = x[i]
    for k in range(17):
        v[k] = max(price - 1.0, 0.0)
        price *= up * up
    for step in range(16):
        for k in range(16 - step):
            v[k] = p * v[k + 1] + (1 - p) * v[k]
    out[i] = v[0]


def test_arrays_of_an_index(how):
    rng = np.random.default_rng(6)
    for size in SIZES:
        x, out, wanted = rng.random(size), np.zeros(size), np.zeros(size)
        pp.for_each(how, size, lattice, x, out, 1.1, 0.4)
        for i in range(size):
            lattice(i, x, wanted, 1.1, 0.4)
        np.testing.assert_allclose(out, wanted, rtol=1e-13)
