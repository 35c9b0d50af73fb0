"""Run by every rank under mpirun (see test_mpi.py): calls that are made again or checked, and other devices."""

import contextlib

import numpy as np
import pytest
from ranks_calls import ALONE, WORLD, data

import portapar as pp
from portapar import looks
from portapar.kernel.program import REFUSED


def test_reduce_of_rows_and_of_complex_numbers():
    x = data(3 * 70_001).reshape(-1, 3)
    assert pp.reduce(pp.par, WORLD.asarray(x)).tobytes() == pp.reduce(ALONE, x).tobytes()
    z = data(200_001) + 1j * data(200_001, seed=3)
    assert pp.reduce(pp.par, WORLD.asarray(z)).tobytes() == pp.reduce(ALONE, z).tobytes()


def test_devices_and_hybrids_as_local_executors():
    locals_ = [pp.hybrid(pp.threads(2), pp.simd(), weights=[2, 1])]
    if any(info.name == "opencl:0" and info.available for info in pp.available()):
        locals_ += [pp.opencl(), pp.hybrid(pp.threads(2), pp.opencl())]
    for local in locals_:
        world = pp.mpi(local=local)
        assert repr(world) == f"pp.mpi(local={local!r})"
        for n in (400_003, 3 * 4096 + 17, 1000, 1, 0):
            x = data(n)
            parts = world.asarray(x)
            assert np.array_equal(pp.asnumpy(parts), x)
            assert np.array_equal(pp.asnumpy(pp.transform(pp.par, parts, op=lambda a: a + 2.0)), x + 2.0)
            expected = pp.transform_reduce(ALONE, x, x, transform=lambda a, b: a * b, init=0.0)
            found = pp.transform_reduce(pp.par, parts, parts, transform=lambda a, b: a * b, init=0.0)
            assert found.tobytes() == expected.tobytes()


TABLE = np.arange(5.0)


def looked_up(i, x, y):
    y[i] = x[i] + TABLE[7 if i == 2 else 1]


def test_all_ranks_raise_what_a_checked_call_found_on_one():
    x, y = WORLD.asarray(np.zeros(20_000)), WORLD.empty(20_000)
    for _ in range(2):
        with pytest.raises(pp.BoundsError, match=r"index 7 .* 'TABLE', which has shape \(5,\), in iteration 2\."):
            pp.for_each(pp.par.with_(check=True), 20_000, looked_up, x, y)
    with pytest.raises(pp.BoundsError, match="index 7 .* 'TABLE'|index 7 .*TABLE"):
        pp.transform(pp.par.with_(check=True), x, op=lambda v: v + TABLE[int(v) + 7])
    for shift in (0, 7):
        with pytest.raises(pp.BoundsError, match="index 7") if shift else contextlib.nullcontext():
            found = pp.count_if(pp.par.with_(check=True), x, lambda v: TABLE[int(v) + shift] == 0)  # noqa: B023
            assert found == 20_000


@pytest.mark.parametrize("n", [5000, 30, 2, 1])
@pytest.mark.parametrize("world", [WORLD, pp.mpi(local=pp.threads(2))], ids=repr)
def test_calls_that_are_made_again_with_what_has_changed(world, n):
    """Each is remembered, and the next one sees other arrays, numbers, operators and initial values."""
    par, number = pp.par.on(world), 1.0

    def op(a, b):
        return a + number * b

    def body(i, out, x, k):
        out[i] = k * x[i] + i

    for seed in range(3):
        x, y = data(n, seed=seed), data(n, seed=seed + 1)
        first, second, out, number = world.asarray(x), world.asarray(y), world.empty(n), 1.0 + seed % 3
        assert pp.transform(par, first, second, out=out, op=op) is out
        assert np.array_equal(pp.asnumpy(out), x + number * y)
        pp.transform(par, first, y, out=first, op=op)  # in place, of an array that every rank has
        assert np.array_equal(pp.asnumpy(first), x + number * y)
        pp.for_each(par, n, body, out, second, seed * 2)
        assert np.array_equal(pp.asnumpy(out), seed * 2 * y + np.arange(n))
        for init in (None, float(seed)):
            for combine in (pp.plus, pp.multiplies, max):
                found, alone = (pp.reduce(how, v, op=combine, init=init) for how, v in ((par, second), (ALONE, y)))
                assert found.tobytes() == alone.tobytes()
        made = pp.asnumpy(out)
        both = (par, out, second), (ALONE, made, y)
        found, alone = (pp.transform_reduce(how, a, b, transform=op) for how, a, b in both)
        assert found.tobytes() == alone.tobytes()
        pairs = np.zeros(n, [("a", "f8"), ("b", "i4")])
        pairs["a"], pairs["b"] = y, np.arange(n) % 3
        both = (par, world.asarray(pairs)), (ALONE, pairs)
        found, alone = (pp.reduce(how, v, op=lambda p, q: (p[0] + q[0], max(p[1], q[1]))) for how, v in both)
        assert found == alone


def known(how, body, extra, space, *args):
    """Whether native code runs a call."""
    return looks.quick(how, (body, extra, space), args) is not REFUSED


@pytest.mark.parametrize("n", [2, 3, 31, 5000])
def test_calls_that_native_code_knows(n):
    """It tells apart arrays that are cut elsewhere, live elsewhere, are one and the same, or of another kind."""
    par, x, k = pp.par.on(WORLD), data(n), 2.5
    whole = x

    def op(a, b):
        return a + k * b

    def body(i, out, a):
        out[i] = a[i] + i

    one, two, out = (WORLD.asarray(v) for v in (x, x + 1, x))
    last = WORLD.empty(n, cuts=(*[0] * WORLD.group.size, n))
    pp.transform(par, one, out=last, op=lambda v: v)
    other = pp.mpi(local=pp.simd())
    for turn in range(8):
        k = 2.5 + turn % 2
        for a, b, c in ((one, two, out), (one, one, out), (out, two, out)):
            expected = pp.asnumpy(a) + k * pp.asnumpy(b)
            assert pp.transform(par, a, b, out=c, op=op) is c and np.array_equal(pp.asnumpy(c), expected)
            pp.for_each(par, n, body, c, a)
            assert np.array_equal(pp.asnumpy(c), expected + np.arange(n) if a is c else pp.asnumpy(a) + np.arange(n))
        before = pp.asnumpy(out)
        pp.for_each(pp.par, n - 1, body, out, one)
        assert np.array_equal(pp.asnumpy(out), [*(x + np.arange(n))[:-1], before[-1]])
        pp.transform(par, last, out=last, op=lambda v: v + 1)
        whole = whole + 1
        assert np.array_equal(pp.asnumpy(last), whole)
        there = other.asarray(x)
        assert np.array_equal(pp.asnumpy(pp.for_each(pp.par, n, body, there, there) or there), x + np.arange(n))
    pp.transform(par, one, two, out=out, op=op)
    if n >= WORLD.group.size:
        assert known(par, op, (False, None), None, one, two, out) and known(par, body, None, n, out, one)
    assert not known(par, body, None, n, last, one) and not known(par, body, None, n, out, WORLD.asarray(x > 0))
