"""Tuples and lists of arrays as arguments of for_each, and kernels with ``*xs``: what they may do, on every backend."""

from typing import NamedTuple

import numpy as np
import pytest

import portapar as pp

N = 37


class Fluid(NamedTuple):
    rho: object
    e: object


def fresh(k=3):
    rng = np.random.default_rng(k)
    return [rng.random(N) for _ in range(k)], np.zeros(N)


def by_number(i, xs, y):
    y[i] = xs[0][i] + 2 * xs[1][i] - xs[-1][i]


def in_a_loop(i, xs, y):
    s = 0.0
    for x in xs:
        s += x[i]
    y[i] = s


def by_a_counter(i, xs, y):
    s = 0.0
    for k in range(len(xs)):
        s += (k + 1) * xs[k][i]
    y[i] = s


def third(t, i):
    return t[2][i]


def by_a_helper(i, xs, y):
    y[i] = third(xs, i) + len(xs)


def starred(i, y, *xs):
    s = 1.0
    for x in xs:
        s *= x[i]
    y[i] = s


def by_name(i, fluid, y):
    y[i] = fluid.rho[i] * fluid.e[i]


def total(xs, i):
    s = 0.0
    for k, x in enumerate(xs):
        s += (k + 1) * x[i]
    return s


def pressure(fluid, i):
    return fluid.rho[i] * fluid[1][i] + chosen(fluid, i % len(fluid), i)


def chosen(xs, k, i):
    return xs[k][i]


def put(xs, i, value):
    xs[-1][i] = value
    xs[0][i] += value


def through_helpers(i, xs, fluid, y):
    put((y, fluid[1]), i, total(xs, i) - total((xs[1], fluid.rho), i) + pressure(fluid, i))


def with_numbers(i, a, x, y):
    y[i] = a[0] * x[i] + a[1]


def nested(i, t, y):
    y[i] = t[0][1][i] - t[1][i]


CASES = [
    (by_number, lambda xs, y: (xs, y), lambda xs: xs[0] + 2 * xs[1] - xs[2]),
    (in_a_loop, lambda xs, y: (tuple(xs), y), sum),
    (by_a_counter, lambda xs, y: (xs, y), lambda xs: xs[0] + 2 * xs[1] + 3 * xs[2]),
    (by_a_helper, lambda xs, y: (xs, y), lambda xs: xs[2] + 3),
    (starred, lambda xs, y: (y, *xs), lambda xs: 1.0 * xs[0] * xs[1] * xs[2]),
    (by_name, lambda xs, y: (Fluid(xs[0], xs[1]), y), lambda xs: xs[0] * xs[1]),
    (with_numbers, lambda xs, y: ([2.0, 3], xs[0], y), lambda xs: 2 * xs[0] + 3),
    (nested, lambda xs, y: ([(xs[0], xs[1]), xs[2]], y), lambda xs: xs[1] - xs[2]),
]


def test_every_kind(renderer):
    for kernel, given, expected in CASES:
        xs, y = fresh()
        pp.for_each(renderer, N, kernel, *given(xs, y))
        wanted = expected(xs)
        assert np.allclose(y, wanted, rtol=1e-15), kernel.__name__
        pp.for_each(renderer, (1, N), lambda j, i, *rest: None, *given(xs, y))
        other, z = fresh(4)
        plan = pp.plan(pp.for_each, renderer, N, kernel, *given(other[1:], z))
        plan.run()
        assert np.allclose(z, expected(other[1:]), rtol=1e-15), kernel.__name__


def test_other_lengths_and_kinds(renderer):
    """The same kernel with two, five and single-precision arrays; and with an array in the place of the tuple."""
    for count in (2, 5, 1):
        xs, y = fresh(count)
        pp.for_each(renderer, N, in_a_loop, xs, y)
        assert np.allclose(y, sum(xs), rtol=1e-15)
    xs, y = [x.astype(np.float32) for x in fresh()[0]], np.zeros(N)
    pp.for_each(renderer, N, in_a_loop, [*xs, np.arange(N)], y)
    assert np.allclose(y, sum(xs) + np.arange(N), rtol=1e-6)
    rows = np.arange(3.0 * N).reshape(3, N)
    pp.for_each(renderer, N, by_number, rows, y)
    assert np.array_equal(y, rows[0] + 2 * rows[1] - rows[-1])


def test_writes_are_seen(where):
    def shift(i, new, old):
        for k in range(len(new)):
            new[k][i] = old[k][i] + k

    old, new = fresh()[0], [np.zeros(N) for _ in range(3)]
    pp.for_each(pp.par.on(where), N, shift, new, old)
    for k in range(3):
        assert np.array_equal(new[k], old[k] + k)


def test_items_keep_apart_in_helpers(where):
    """What a helper reads and writes of a tuple: on parts that share no memory, writes at other indices are refused."""
    xs, y = fresh()
    rho, e = fresh(2)[0]
    mixed = [xs[0], np.arange(N), xs[1].astype(np.float32)]
    wanted = mixed[0] + 2 * mixed[1] + 3 * mixed[2] - mixed[1] - 2 * rho + rho * e
    wanted += np.where(np.arange(N) % 2, e, rho)
    pp.for_each(pp.par.on(where), N, through_helpers, mixed, Fluid(rho, e), y)
    assert np.allclose(y, wanted, rtol=1e-15) and np.array_equal(e, y)


def test_what_is_refused():
    def assigns(i, xs, y):
        xs = y
        y[i] = xs[i]

    xs, y = fresh()
    for call, words in (
        (lambda: pp.for_each(pp.par, N, assigns, xs, y), "'xs'"),
        (lambda: pp.for_each(pp.par, N, by_number, xs), "takes 3 arguments"),
        (lambda: pp.for_each(pp.par, N, by_number, xs[:1], y), "xs[1]"),
        (lambda: pp.for_each(pp.par, N, by_number, [*xs, "a"], y), ""),
    ):
        with pytest.raises(pp.PortaparError) as caught:
            call()
        assert words in str(caught.value) and "Holding" not in str(caught.value), str(caught.value)
