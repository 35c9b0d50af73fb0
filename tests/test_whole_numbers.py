"""Arguments that must be whole numbers, of everything that takes one: what is none is refused in one clear way."""

import math

import numpy as np
import pytest

import portapar as pp
from portapar import random

X, K = np.arange(10.0), np.arange(10)


def stencil(radius):
    return pp.stencil(pp.par, X, lambda x, i: x[i], radius=radius)


def edges(last):
    return pp.histogram(pp.par, X, np.array([0.0, 1.0, last]))


#: what it is → (the call, the least that it takes, whether beyond 64 bits is right, whether None is)
CALLS = {
    "histogram bins": (lambda v: pp.histogram(pp.par, X, v), 1, False, False),
    "histogram bins, weighted": (lambda v: pp.histogram(pp.par, X, bins=v, weights=X, range=(0, 9)), 1, False, False),
    "bincount minlength": (lambda v: pp.bincount(pp.par, K, minlength=v), 0, False, False),
    "kth_smallest k": (lambda v: pp.kth_smallest(pp.par, X, v), 0, False, False),
    "nth_element n": (lambda v: pp.nth_element(pp.par, X, v), 0, False, False),
    "rotate k": (lambda v: pp.rotate(pp.par, X, v), None, True, False),
    "stencil radius": (stencil, 0, False, False),
    "Worklist capacity": (lambda v: pp.Worklist(pp.par, v), 0, False, False),
    "fill_uniform seed": (lambda v: random.fill_uniform(pp.par, np.empty(3), v), None, False, False),
    "fill_normal seed": (lambda v: random.fill_normal(pp.par, np.empty(3), seed=v), None, False, False),
    "fill_integers low": (lambda v: random.fill_integers(pp.par, np.empty(3, int), 1, v, 2**62), None, False, False),
    "fill_integers high": (lambda v: random.fill_integers(pp.par, np.empty(3, int), 1, -9, v), None, False, False),
    "lazy.iota n": (lambda v: pp.lazy.iota(v), 0, False, False),
    "range start": (lambda v: pp.range(v, 9), None, False, False),
    "range stop": (lambda v: pp.range(0, v), None, False, True),
    "range step": (lambda v: pp.range(0, 9, v), None, False, False),
    "for_each n": (lambda v: pp.for_each(pp.par, v, lambda i: None), 0, False, False),
    "for_each an axis": (lambda v: pp.for_each(pp.par, (2, v), lambda i, j: None), 0, False, False),
    "empty": (lambda v: pp.threads().empty(v), 0, False, False),
    "empty an axis": (lambda v: pp.threads().empty((2, v)), 0, False, False),
    "empty of a hybrid": (lambda v: pp.hybrid(pp.threads(1), pp.simd()).empty(v), 0, False, False),
    "empty_like": (lambda v: pp.empty_like(pp.par, X, v), 0, False, True),
    "with_ chunk_size": (lambda v: pp.par.with_(schedule="dynamic", chunk_size=v), 1, False, True),
    "threads": (lambda v: pp.threads(v), 1, False, True),
    "opencl": (lambda v: pp.opencl(v), 0, False, False),
}
BAD = {
    "2.4": 2.4,
    "2.0": 2.0,
    "-1": -1,
    "True": True,
    "None": None,
    "'3'": "3",
    "2**70": 2**70,
    "nan": np.nan,
    "[]": [],
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_whole_number(name):
    call, least, large, none = CALLS[name]
    for told, value in {**BAD, "np.float32": np.float32(2), "np.bool_": np.bool_(True), "1j": 1j}.items():
        if (told == "None" and none) or (told == "2**70" and large) or (told == "-1" and least is None):
            continue
        if told == "[]" and name in ("empty", "empty of a hybrid", "empty_like"):  # a shape
            continue
        with pytest.raises(pp.PortaparError, match="must be|no room|must not be|bytes") as caught:
            call(value)
        assert len(str(caught.value)) < 300, told
        assert told == "nan" or str(value) in str(caught.value), (told, str(caught.value))


@pytest.mark.parametrize("name", CALLS)
def test_numpys_whole_numbers_are_right(name):
    for kind in (np.int8, np.uint64, np.int64):
        if name != "opencl":
            CALLS[name][0](kind(2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pp.histogram(pp.par, X, 3, (5, 2)), "range is .*5.*2.*lower one first"),
        (lambda: pp.histogram(pp.par, X, 3, (np.nan, 2)), "range is .*nan"),
        (lambda: pp.histogram(pp.par, X, 3, (0, np.inf)), "range is .*inf"),
        (lambda: pp.histogram(pp.par, X, 3, (0, 1, 2)), "range is .*two numbers"),
        (lambda: pp.histogram(pp.par, X, 3, "ab"), "range is 'ab': must be two numbers"),
        (lambda: pp.histogram(pp.par, X, 3, (0, 1j)), "two numbers"),
        (lambda: edges(np.nan), "bins"),
        (lambda: pp.histogram(pp.par, X, [np.nan, 1.0]), "bins"),
        (lambda: pp.histogram(pp.par, X, []), "bins"),
        (lambda: pp.histogram(pp.par, X, [3]), "bins"),
        (lambda: pp.histogram(pp.par, X, [[1, 2], [3, 4]]), "bins"),
        (lambda: pp.histogram(pp.par, X, ["a", "b"]), "bins"),
        (lambda: pp.kth_smallest(pp.par, X, 10), "k is 10: must be a whole number from 0 to 9"),
        (lambda: pp.nth_element(pp.par, X, -1), "n is -1: must be a whole number from 0 to 9"),
        (lambda: pp.kth_smallest(pp.par, X[:0], 0), "x has no elements"),
        (lambda: pp.nth_element(pp.par, X[:0], 0), "x has no elements"),
        (lambda: pp.kth_smallest(pp.par, X, 10**30), "k is 10"),
        (lambda: pp.for_each(pp.par, (2**40, 2**40), lambda i, j: None), "less than 2"),
    ],
)
def test_ranges_and_edges(call, says):
    with pytest.raises(pp.PlacementError, match=says):
        call()


def rounded(v):
    return round(v), math.trunc(v), math.floor(v), math.ceil(v)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_rounding_whole_numbers_changes_nothing(renderer, dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.max, 2**53 + 1, 2**62 + 1, 5, 0], dtype)
    found = pp.transform(renderer, x, op=rounded)
    for name in found.dtype.names:
        assert found[name].dtype == x.dtype
        np.testing.assert_array_equal(found[name], x)
