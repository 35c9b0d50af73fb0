"""Kernels that read more than their own element, on hybrids: what they read decides what moves."""

import re

import around
import numpy as np
import pytest
from conftest import executor

import portapar as pp
from portapar import moves
from portapar.kernel.front.lift import lift
from portapar.kernel.front.reach import reaches


@pytest.fixture(params=["hybrid:threads:2+simd", "hybrid:threads:2+opencl:0"])
def parts(request):
    return executor(request.param)


@pytest.mark.parametrize("name", around.CASES)
def test_right_on_parts(parts, name):
    for n in (3, 50, 9001):
        around.CASES[name](pp.par.on(parts), parts.asarray, n)


@pytest.mark.parametrize("name", ["own_rows", pytest.param("rows_around", marks=pytest.mark.extra)])
def test_right_where_host_arrays_are_cut(name):
    where = executor("hybrid:opencl:0+simd+threads:2")
    for n in (2, 9, 100):
        around.CASES[name](pp.par.on(where), np.array, n)
        around.CASES[name](pp.par.on(where), where.asarray, n)


@pytest.mark.extra
def test_the_checked_form_is_right_on_parts(parts):
    around.rows_around(pp.par.on(parts).with_(check=True), parts.asarray, 100)


def test_the_checked_form_looks_at_the_whole(parts):
    how, n = pp.par.on(parts).with_(check=True), 100
    x = parts.asarray(np.zeros(n))
    with pytest.raises(pp.BoundsError, match=r"index 100 .* has shape \(100,\), in iteration 99"):
        pp.for_each(how, n, around.sides, x, parts.empty(n))


@pytest.mark.parametrize(("body", "reads"), [
    (around.both, ("own", 0)), (around.looped, ("own", 0)), (around.as_row, ("own", 0)), (around.helped, ("own", 0)),
    (around.sides, (-1, 1)), (around.smooth, (-1, 1)), (around.previous, (-1, 0)), (around.guarded, (-2, 1)),
])  # fmt: skip
def test_what_is_found_in_the_text(body, reads):
    kernel, _ = lift(body)
    found = reaches(kernel, (0, 999), (), {}, dict.fromkeys(("a", "out"), (1000, 2)))["a"]
    assert found.own if reads[0] == "own" else (found.low, found.high) == reads and not found.far
    assert found.wraps == (body is around.previous or body is around.sides)


def row_of_later(i, a):
    r = a[i]
    for _ in range(2):
        r[0] = 1.0
        r = a[i + 1]


def row_of_its_own(i, a):
    r = a[i]
    for _ in range(2):
        r[0] = 1.0
        r = a[i]


def doubled(a, i):
    return a[i - 1] + a[i + 1]


def twice_doubled(a, i):
    return doubled(a, i) * doubled(a, i)


def nested_calls(i, a, out):
    out[i] = twice_doubled(a, i) + twice_doubled(a, int(i)) + doubled(a, max(0, i))


def test_rows_that_a_name_has_later_and_rows_of_called_functions():
    a = {"a": (1000, 2)}
    later, own = (reaches(lift(body)[0], (0, 999), (), {}, a)["a"] for body in (row_of_later, row_of_its_own))
    assert later.written and not later.lands and own.written and own.lands
    found = reaches(lift(nested_calls)[0], (0, 999), (), {}, {"a": (1000,), "out": (1000,)})
    assert (found["a"].low, found["a"].high, found["a"].far) == (-1, 1, False) and found["out"].lands


def test_plans_say_what_moves(parts):
    how, n = pp.par.on(parts), 1000
    x, out = parts.asarray(around.data(n)), parts.empty(n)
    told = str(pp.plan(pp.for_each, how, n, around.both, parts.asarray(around.data(n, 2)), out))
    assert "at its own row" in told and "bytes" not in told
    told = str(pp.plan(pp.for_each, how, pp.range(1, n - 1), around.sides, x, out))
    assert "x: float64[1000] (read, rows i-1 to i+1)".replace("x", "a") in told
    assert re.search(r"a: rows of other parts, 16 bytes", told)
    told = str(pp.plan(pp.for_each, how, pp.range(1, n - 1), around.sliced, x, out))
    assert "(read, rows i-1 to i+1)" in told and "a: rows of other parts, 16 bytes" in told
    told = str(pp.plan(pp.for_each, how, n, around.sliced_at_ends, x, out))
    assert "a: rows of other parts" in told and "gathered" not in told
    plan = pp.plan(pp.for_each, how, n, around.permuted, parts.asarray(np.arange(n)[::-1].copy()), x, out)
    assert "a: read at other rows than its own, gathered once, 8000 bytes" in str(plan)
    for _ in range(2):
        plan.run()
        assert np.array_equal(pp.asnumpy(out), pp.asnumpy(x)[::-1])
    bins = parts.asarray(np.zeros(8, np.int64))
    told = str(pp.plan(pp.for_each, how, n, around.tally, parts.asarray(np.zeros(n, np.int64)), bins))
    shared = all(member.kind != "opencl" for member in parts.members)
    assert ("gathered for all parts and given back" if shared else "a copy for each part, combined by add") in told


def beside(i, a, out):
    s = 0.0
    for d in (-1, 1):
        s += a[i + d]
    out[i] = s


def test_neighbours_in_a_loop_over_a_tuple(parts):
    x, out = around.data(300), parts.asarray(np.zeros(300))
    plan = pp.plan(pp.for_each, pp.par.on(parts), pp.range(1, 299), beside, parts.asarray(x), out)
    assert "a: rows of other parts, 16 bytes" in str(plan)
    plan.run()
    assert np.array_equal(pp.asnumpy(out)[1:-1], x[:-2] + x[2:])


def test_transfers_may_be_forbidden_or_told(parts, monkeypatch):
    n = 500
    monkeypatch.setattr(moves, "_warned", set())
    x, p, out = parts.asarray(around.data(n)), parts.asarray(np.arange(n)), parts.empty(n)
    none = pp.par.on(parts).with_(transfers="forbid")
    for call in (
        lambda: pp.for_each(none, n, around.permuted, p, x, out),
        lambda: pp.plan(pp.for_each, none, n, around.permuted, p, x, out),
        lambda: pp.transform(none, x, op=lambda v: v + x[0]),
        lambda: pp.gather(none, x, p),
    ):
        with pytest.raises(pp.PlacementError, match=r"gathered once, 4000 bytes.*pp\.asnumpy"):
            call()
    pp.for_each(none, pp.range(1, n - 1), around.sides, x, out)
    told = pp.par.on(parts).with_(transfers="warn")
    assert repr(told).endswith("with_(transfers='warn')")
    with pytest.warns(pp.PortaparWarning, match="a: read at other rows than its own, gathered once") as seen:
        for _ in range(2):
            pp.for_each(told, n, around.permuted, p, x, out)
    assert len(seen) == 1 and seen[0].filename == __file__
    with pytest.raises(pp.PolicyError, match="transfers is 'perhaps'.*forbid"):
        pp.par.with_(transfers="perhaps")


def scattered(i, p, x, out):
    out[p[i]] = x[i]


def numbered(i, x, count, out):
    k = pp.atomic.add(count, 0, 1)
    out[k] = x[i]


def mixed(i, x, bins):
    pp.atomic.add(bins, x[i], 1)
    pp.atomic.max(bins, 0, i)


def looking(i, x, bins):
    if bins[x[i]] < 10:
        pp.atomic.add(bins, x[i], 1)


@pytest.mark.parametrize("n", [1, 100, 4096, 4097, 20_000])
@pytest.mark.parametrize("worth", [0.0, 1.0], ids=["cut", "not cut"])
def test_what_parts_cannot_write_is_refused_at_every_size(monkeypatch, n, worth):
    where = executor("hybrid:threads:2+opencl:0")
    monkeypatch.setattr(where, "worth", worth)
    how, x, zeros = pp.par.on(where), np.zeros(n, np.int64), np.zeros(n)
    count = np.zeros(1, np.int64)
    for what, body, args in (
        (r"writes to 'out' at other indices", scattered, (np.arange(n), zeros, zeros.copy())),
        (r"uses what pp\.atomic gives back of 'count'", numbered, (zeros, count, zeros.copy())),
        (r"pp\.atomic\.add and pp\.atomic\.max", mixed, (x, x.copy())),
        (r"reads 'bins' while other parts change it", looking, (x, x.copy())),
    ):
        for call in (pp.for_each, lambda *given: pp.plan(pp.for_each, *given)):
            with pytest.raises(pp.PlacementError, match=what + r"(.|\n)*has several parts.*pp\.bincount"):
                call(how, n, body, *args)


def test_parts_that_share_memory_write_anywhere():
    where = executor("hybrid:threads:2+simd")
    how = pp.par.on(where)
    for n in (100, 9000):
        x, p = around.data(n), np.random.default_rng(1).permutation(n)
        for put in (where.asarray, np.array):
            out = put(np.zeros(n))
            pp.for_each(how, n, scattered, put(p), put(x), out)
            assert np.array_equal(pp.asnumpy(out)[p], x)
            count, out = put(np.zeros(1, np.int64)), put(np.zeros(n))
            pp.for_each(how, n, numbered, put(x), count, out)
            assert pp.asnumpy(count)[0] == n and np.array_equal(np.sort(pp.asnumpy(out)), np.sort(x))


def test_arrays_that_are_cut_otherwise_are_fetched(parts):
    n, how = 100, pp.par.on(parts)
    x, y = around.data(n), around.data(n, seed=9)
    cut = parts.empty(n, cuts=(0, 17, n))
    pp.copy(how, parts.asarray(x), out=cut)
    assert np.array_equal(pp.asnumpy(cut), x)
    there = parts.asarray(y)
    found = pp.transform(how, there, cut, op=lambda a, b: a - b)
    assert np.array_equal(pp.asnumpy(found), y - x)
    assert pp.transform_reduce(how, there, cut, transform=lambda a, b: a * b) == pp.transform_reduce(
        pp.seq, y, x, transform=lambda a, b: a * b
    )
    out = parts.empty(n)
    with pytest.raises(pp.PlacementError, match=r"cut at different rows.*cuts="):
        pp.for_each(how, n, both_written, there, out, cut)
    with pytest.raises(pp.PlacementError, match="has 100 rows, and the indices of the first axis go to 100"):
        pp.for_each(how, n + 1, around.previous, there, out)


def both_written(i, x, y, z):
    y[i] = z[i] = x[i]
