"""Kernel functions that kernels call: their defaults, their keywords, and arguments that are no numbers."""

import enum
import functools
import itertools

import numpy as np
import pytest

import portapar as pp

N = 6


class Edge(enum.Enum):
    OPEN = "open"
    SHUT = "shut"


def scaled(x, scale=None):
    return x if scale is None else x * scale


def filled_in(x, scale=None):
    if scale is None:
        scale = 2.0
    return x * scale


def filled_in_at_once(x, scale=None):
    scale = 3.0 if scale is None else scale
    return x * scale


def clipped(x, low=None, high=None, bias=1.0):
    if low is not None and x < low:
        x = low
    if high is not None and x > high:
        x = high
    return x + bias


def by_name(x, mode="twice", edge=Edge.OPEN):
    if mode == "twice":
        x = 2 * x
    return x + 1 if edge is Edge.OPEN else x - 1


def passes_on(x, scale=None):
    return scaled(x, scale) + 10 * scaled(x, scale=scale)


def sum_of(x, a=1.0, b=10.0, c=100.0):
    return x + a + b + c


def of_a_pair(x, pair=(1.0, 2.0), kind=np.float32):
    return kind(x) * pair[0] + pair[1]


def kernel(i, x, out):
    v = x[i]
    out[i, 0] = scaled(v) + scaled(v, None) + scaled(v, 2.0) + scaled(scale=None, x=v) + scaled(scale=v, x=v)
    out[i, 1] = filled_in(v) + filled_in(v, 3.0) + filled_in(v, scale=v) + filled_in(v, scale=None)
    out[i, 2] = filled_in_at_once(v) + filled_in_at_once(v, 5)
    out[i, 3] = clipped(v) + clipped(v, high=2.0) + clipped(v, bias=0.0, low=2) + clipped(v, 1.0, 3.0)
    out[i, 4] = by_name(v) + by_name(v, "once") + by_name(v, edge=Edge.SHUT) + by_name(v, "twice", Edge.SHUT)
    out[i, 5] = passes_on(v) + passes_on(v, 2.0)
    out[i, 6] = sum_of(v, c=1.0) + sum_of(v, b=5.0) + sum_of(c=0.0, x=v) + sum_of(v, 2.0, c=v)
    out[i, 7] = of_a_pair(v) + of_a_pair(v, kind=np.float64) + of_a_pair(v, (2.0, 3.0))
    out[i, 8] = np.isclose(v, v + 1e-3, atol=1.0) + np.isclose(v, 3, rtol=1.0)


def test_defaults_and_keywords_are_pythons(renderer, monkeypatch):
    x, found, wanted = np.arange(N) / 2, np.zeros((N, 9)), np.zeros((N, 9))
    for again in (False, True):
        if again:  # defaults are looked at in every call
            monkeypatch.setattr(scaled, "__defaults__", (7.0,))
            monkeypatch.setattr(by_name, "__defaults__", ("once", Edge.OPEN))
        pp.for_each(renderer, N, kernel, x, found)
        for i in range(N):
            kernel(i, x, wanted)
        np.testing.assert_array_equal(found, wanted)


def on_some_ways(x, scale=None):
    if x > 2:
        scale = 1.0
    return x * scale


def in_a_loop(x, scale=None):
    for k in range(3):
        if scale is None:
            scale = 1.0 * k
    return x * scale


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (lambda x: filled_in_at_once(x, "word"), r"'scale', which is 'word'.*Instead: .*pass a number"),
        (lambda x: on_some_ways(x), r"'scale' is None on some ways.*Instead: give it a number"),
        (lambda x: in_a_loop(x), r"'scale' is None on some ways.*Instead: give it a number"),
        (lambda x: sum_of(x, d=1.0), r"keywords d.*by position: sum_of\(x, a, b, c\)"),
        (lambda x: sum_of(x, x=1.0), r"keywords x.*by position: sum_of\(x, a, b, c\)"),
        (lambda x: sum_of(a=1.0), r"sum_of\(\) takes 4 arguments \(x, a, b, c\) and got 1"),
    ],
)
def test_what_is_missing_is_told(op, words):
    with pytest.raises(pp.KernelError, match=f"(?s){words}"):
        pp.transform(pp.par, np.ones(3), op=op)


FOUR = np.float32(4)


def bounded(a, b, mode="sum", w=0.0, sides=(1, 4), top=FOUR, far=np.inf):
    found = a + b + w if mode == "sum" else max(a, b) * sides[0]
    return min(found, top * sides[1]) if far > 0 else found


def check_folds(policy, monkeypatch, segments):
    values = np.array([3.0, 1.0, 7.0, 2.0, 2.0, 9.0, 4.0, 1.0, 0.5], np.float32)
    for defaults in (bounded.__defaults__, ("most", 0.0, (1, 0), np.float64(1), -np.inf)):
        monkeypatch.setattr(bounded, "__defaults__", defaults)  # they are looked at in every call
        whole = list(itertools.accumulate(values, bounded))
        for _ in range(2):  # the second call is a remembered one
            assert pp.reduce(policy, values, op=bounded) == whole[-1]
            np.testing.assert_array_equal(pp.asnumpy(pp.inclusive_scan(policy, values, op=pp.Monoid(bounded))), whole)
        if segments:
            ends, keys = [0, 4, 9], np.repeat([1, 2], [4, 5])
            parts = [list(itertools.accumulate(values[lo:hi], bounded)) for lo, hi in itertools.pairwise(ends)]
            scanned = pp.segmented_scan(policy, np.array(ends), values, op=bounded)
            np.testing.assert_array_equal(pp.asnumpy(scanned), sum(parts, []))
            folds = pp.reduce_by_key(policy, keys, values, op=bounded)[1]
            np.testing.assert_array_equal(pp.asnumpy(folds), [part[-1] for part in parts])
            columns = [functools.reduce(bounded, column) for column in values.reshape(3, 3).T]
            found = pp.reduce(policy, values.reshape(3, 3), op=bounded, axis=0)
            np.testing.assert_array_equal(pp.asnumpy(found), columns)


def test_defaults_of_operators_are_pythons(renderer, monkeypatch):
    check_folds(renderer, monkeypatch, False)


@pytest.mark.rare
def test_defaults_of_operators_of_segments(policy, monkeypatch):
    check_folds(policy, monkeypatch, True)


def test_operators_have_no_arrays():
    table = np.arange(3.0)
    with pytest.raises(pp.KernelError, match="captures 'table'.*Use transform= for what depends on other data"):
        pp.reduce(pp.par, np.ones(3), op=lambda a, b, table=table: a + b * table[0])
    with pytest.raises(pp.PlacementError, match="its identity is .*Pass the right identity"):
        pp.reduce(pp.par, np.arange(3), op=pp.Monoid(lambda a, b, k=3: a + b + k, 0))
