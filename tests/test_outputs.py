"""Unusual arrays in every algorithm: the right result, or an error that says so before anything is written."""

import numpy as np
import pytest
from conftest import executor
from every import EVERY, POSITIVE, WRITING, N, P, X, Y, add, same
from numpy.lib.stride_tricks import as_strided

import portapar as pp


def unaligned(n, dtype=np.float64):
    return np.zeros(n * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)


def frozen(n):
    x = np.zeros(n)
    x.flags.writeable = False
    return x


#: outputs that nobody can write to
WRONG = {
    "one place for all": lambda: as_strided(np.zeros(1), (N,), (0,)),
    "windows that overlap": lambda: as_strided(np.zeros(N), (N,), (4,)),
    "broadcast": lambda: np.broadcast_to(np.zeros(1), (N,)),
    "read-only": lambda: frozen(N),
    "unaligned": lambda: unaligned(N),
    "byte-swapped": lambda: np.zeros(N, ">f8"),
    "too short": lambda: np.zeros(N - 1),
    "too long": lambda: np.zeros(N + 1),
    "two-dimensional": lambda: np.zeros((N, 2)),
    "zero-dimensional": lambda: np.zeros(()),
    "masked": lambda: np.ma.masked_array(np.zeros(N), np.arange(N) == 3),
    "of booleans": lambda: np.zeros(N, bool),
    "of text": lambda: np.zeros(N, "U3"),
    "of objects": lambda: np.zeros(N, object),
    "a list": lambda: [0.0] * N,
    "a number": lambda: 3.0,
}

#: outputs that are unusual, and fine
FINE = {
    "every second": lambda: np.zeros(2 * N)[::2],
    "backwards": lambda: np.zeros(N)[::-1],
    "a column": lambda: np.zeros((N, 3))[:, 1],
    "a field": lambda: np.zeros(N, [("a", "f8"), ("b", "f8")])["b"],
    "a memmap's class": lambda: np.zeros(N).view(type("Mine", (np.ndarray,), {})),
}

#: those that write to an `out` of any length
ANY_LENGTH = {"fill", "iota", "scatter", "scatter_if"}
ANY_SHAPE = {"fill"}


def contents(out):
    return np.array(out, copy=True) if not isinstance(out, np.ma.MaskedArray) else np.array(out.data, copy=True)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", WRITING)
def test_outputs_that_are_refused(renderer, name, kind):
    call, _, inputs = WRITING[name]
    if (kind in ("too long", "too short") and name in ANY_LENGTH) or (kind == "two-dimensional" and name in ANY_SHAPE):
        pytest.skip("it may have any length")
    if kind == "zero-dimensional" and name in ANY_SHAPE:
        pytest.skip("it may have any shape")
    out = WRONG[kind]()
    before = contents(out)
    given = [x.copy() for x in inputs]
    for _ in range(2):  # the second call might be a remembered one
        with pytest.raises(pp.ArgumentError):
            call(renderer, out, *given)
    assert (contents(out) == before).all()
    for x, y in zip(given, inputs, strict=True):
        assert (x == y).all()


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("name", WRITING)
def test_outputs_that_are_written(renderer, name, kind):
    call, expected, inputs = WRITING[name]
    for _ in range(2):
        out = FINE[kind]()
        found = call(renderer, out, *inputs)
        assert same(found, expected)
        assert (out == np.asarray(found)).all()


@pytest.mark.extra
def test_outputs_of_several_parts_again_and_again():
    """Calls that one part would remember: each part writes its own rows in every one of them."""
    policy = pp.par.on(executor("hybrid:threads:2+simd"))
    calls = {**WRITING, "fill_uniform": (
        lambda p, out: pp.random.fill_uniform(p, out, 3), pp.random.fill_uniform(pp.seq, np.zeros(N), 3), ()
    )}  # fmt: skip
    for name, (call, expected, inputs) in calls.items():
        for _ in range(4):
            out = np.zeros(N)
            assert same(call(policy, out, *inputs), expected), name
            assert same(out, expected), name


def test_overlaps_are_refused_before_any_part_has_written():
    policy = pp.par.on(executor("hybrid:threads:2+opencl:0"))
    memory = np.arange(2.0 * N)
    x, same, before = memory[:N], memory[:N].view(), memory.copy()
    for call in (
        lambda: pp.for_each(policy, N, add, x, memory[1 : N + 1]),
        lambda: pp.for_each(policy, N, add, x[::-1], memory[: 2 * N : 2]),
        lambda: pp.for_each(policy, N, add, x.view(np.int64), x),
        lambda: pp.scatter_if(policy, x, P, POSITIVE, same),
        lambda: pp.scatter_if(policy, Y, P, x.view(np.int64), same),
    ):
        with pytest.raises(pp.ArgumentError, match="overlap"):
            call()
        assert (memory == before).all()


def test_outputs_that_are_no_arrays():
    grid = X.reshape(12, 5)
    for out in (3.0, np.float64(3), True, "out", (np.zeros((5, 12)),), float, pp.range(5), pp.lazy.iota(5)):
        with pytest.raises(pp.ArgumentError, match="out"):
            pp.transpose(pp.par, grid, out=out)


GRIDS = {
    "fill": lambda p, out: pp.fill(p, out, 1.0),
    "transform": lambda p, out: pp.transform(p, np.ones(out.shape), out=out, op=lambda v: v + 1),
    "stencil": lambda p, out: pp.stencil(p, np.ones(out.shape), lambda x, i, j: x[i - 1, j] + 1, out=out),
    "random": lambda p, out: pp.random.fill_uniform(p, out, 1),
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids_whose_elements_share_places(renderer, name):
    for shape, strides in (((4, 5), (8, 8)), ((4, 5), (0, 8)), ((5, 4), (-8, 16)), ((3, 3), (16, 8)), ((2, 9), (64, 8)),
                           ((1, 5), (8, 0)), ((2, 3), (8, -8))):  # fmt: skip
        memory = np.zeros(60)
        out = as_strided(memory[20:], shape, strides)
        for _ in range(2):
            with pytest.raises(pp.PlacementError, match="share one place"):
                GRIDS[name](renderer, out)
        assert not memory.any()
    for shape, strides in (((4, 5), (40, 8)), ((4, 5), (8, 32)), ((2, 3), (24, 16)), ((1, 5), (0, 8)),
                           ((3, 2), (16, 72))):  # fmt: skip
        memory = np.zeros(60)
        out = as_strided(memory[20:], shape, strides)
        GRIDS[name](renderer, out)
        assert np.count_nonzero(memory) == out.size


# outputs over inputs ------------------------------------------------------------------------------

SHIFTS = {
    "the same": lambda m: m[:N],
    "behind": lambda m: m[1 : N + 1],
    "backwards": lambda m: m[N - 1 :: -1],
    "spread": lambda m: m[: 2 * N : 2],
}


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", [name for name in WRITING if WRITING[name][2]])
def test_outputs_over_inputs(renderer, name, shift):
    """The right result, or an error before anything is written: in place, and for every way to overlap."""
    call, expected, inputs = WRITING[name]
    for k, x in enumerate(inputs):
        memory = np.zeros(2 * N, x.dtype)
        given = [memory[: len(x)] if j == k else y.copy() for j, y in enumerate(inputs)]
        memory[: len(x)] = x
        before = memory.copy()
        out = SHIFTS[shift](memory)
        try:
            found = call(renderer, out, *given)
        except pp.ArgumentError:
            assert (memory == before).all()
        else:
            assert same(found, expected) or x.dtype.kind == "i"
            assert shift == "the same" or not np.shares_memory(given[k], out)


def test_outputs_that_kernels_capture(renderer):
    x, table = np.arange(1.0, 11), np.arange(10.0)
    before = table.copy()
    for call in (
        lambda: pp.transform(renderer, x, out=table, op=lambda v: v + table[0]),
        lambda: pp.inclusive_scan(renderer, x, op=lambda a, b: a + b + 0 * table[1], out=table),
        lambda: pp.transform_scan(renderer, x, transform=lambda v: v * table[3], out=table),
        lambda: pp.adjacent_difference(renderer, x, lambda a, b: a - b * table[2], out=table),
        lambda: pp.stencil(renderer, x, lambda x, i: x[i - 1] * table[2], out=table),
        lambda: pp.segmented_scan(renderer, np.array([0, 10]), x, op=lambda a, b: a + b * table[0], out=table),
    ):
        with pytest.raises(pp.PortaparError, match="captures 'table'"):
            call()
        assert (table == before).all()


def test_device_arrays_that_overlap(renderer):
    where, plus = renderer.executor, lambda v: v + 1
    x = where.asarray(np.arange(101.0))
    before = np.arange(101.0)
    for out in (x[1:], x[:-1][::-1]):
        if getattr(out, "shape", None) != (100,):
            continue
        with pytest.raises(pp.PlacementError, match="overlap"):
            pp.transform(renderer, x[:-1], out=out, op=plus)
        assert (pp.asnumpy(x) == before).all()
    pp.transform(renderer, x[:50], out=x[51:], op=plus)
    assert (pp.asnumpy(x) == np.concatenate([before[:51], before[1:51]])).all()


# arrays without dimensions, and what is no array yet ------------------------------------------------


@pytest.mark.parametrize("name", [name for name in EVERY if "axis" not in name])  # rows have one themselves
def test_arrays_without_dimensions(renderer, name):
    """As one element would be, or refused in words."""
    call, _ = EVERY[name]
    for _ in range(2):
        try:
            found = call(renderer, lambda x: np.array(x[0]))
        except pp.PortaparError as error:
            words = ("dimension", "axes", "axis", "shape", "index", "offsets", "subscript")
            assert any(word in str(error) for word in words), error
        else:
            one = call(renderer, lambda x: x[:1].copy())
            assert same(found, tuple(map(pp.asnumpy, one)) if isinstance(one, tuple) else pp.asnumpy(one))


class Column:
    """Something that NumPy can make an array of, and nothing more, as a pandas column."""

    def __init__(self, values):
        self.values, self.dtype, self.shape = values, values.dtype, values.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def get(self, key, default=None):  # as pandas has it
        return self.values[key]


class Series(Column):
    def to_numpy(self):
        return self.values


@pytest.mark.parametrize("name", EVERY)
def test_what_has_only_array(name):
    call, _ = EVERY[name]
    for kind, remedy in ((Series, r"\.to_numpy\(\)"), (Column, r"np\.asarray\(")):
        with pytest.raises(pp.ArgumentError, match=remedy):
            call(pp.par, kind)


def test_asnumpy_of_what_has_only_array():
    for kind in (Series, Column):
        assert (pp.asnumpy(kind(X)) == X).all()
        with pytest.raises(pp.ArgumentError, match="is a " + kind.__name__):
            pp.for_each(pp.par, 3, lambda i, x: None, kind(X))
        with pytest.raises(pp.ArgumentError, match="is a " + kind.__name__):
            pp.transform(pp.par, X, out=kind(X), op=lambda v: v)
        assert (pp.threads().asarray(pp.asnumpy(kind(X))) == X).all()


class ByDLPack:
    """An array that only DLPack tells of."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **how):
        return self.x.__dlpack__(**how)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class ByInterface:
    """An array that only the array interface tells of."""

    def __init__(self, x):
        self.x, self.__array_interface__ = x, x.__array_interface__


class Subclass(np.ndarray):
    pass


SOME = ("merge", "scatter", "lexicographical_compare", "reduce along an axis", "scan along an axis", "inner_product")


@pytest.mark.parametrize("names", [SOME, *(pytest.param((name,), marks=pytest.mark.rare) for name in EVERY)])
def test_arrays_by_a_protocol(names):
    for name in names:
        call, expected = EVERY[name]
        for kind in (ByDLPack, ByInterface, memoryview, lambda x: x.view(Subclass)):
            assert same(call(pp.par, kind), expected), name


def test_graphs_of_arrays_by_a_protocol():
    offsets, targets, weights = np.array([0, 1, 2]), np.array([1, 0], np.int32), np.array([3, 4], np.int32)
    for kind in (ByDLPack, ByInterface, memoryview, lambda x: x.view(Subclass)):
        found = pp.graph.Graph(kind(offsets), kind(targets), kind(weights))
        assert (found.targets == targets).all() and (found.weights == weights).all()
        found = pp.graph.Graph.from_edges(pp.par, kind(np.array([0, 1])), kind(targets), kind(weights))
        assert (found.targets == targets).all() and (found.weights == 3).all()  # of both directions the least
