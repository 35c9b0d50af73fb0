"""Products and other folds that overflow where elements that are far apart meet: neighbours are combined first."""

import math

import numpy as np
import pytest
from test_monoids import pairwise

import portapar as pp


def chosen(a, b):
    return a * b if b > 0 else b


def scaled(a, b):
    """(product, how many)"""
    return a[0] * b[0], a[1] + b[1]


def with_helper(a, b):
    return product(a, b)


def product(a, b):
    return a / (1 / b)


PRODUCTS = {
    "multiplies": pp.multiplies,
    "ufunc": np.multiply,
    "lambda": lambda a, b: a * b,
    "condition": chosen,
    "helper": with_helper,
    "monoid": pp.Monoid(lambda a, b: a * b, 1.0),
}


def pattern(name, n=4096):
    """Elements of which every run of neighbours has a product within the range of doubles; all have 1."""
    rng = np.random.default_rng(5)
    if name == "pairs":
        x = np.tile([50.0, 1 / 50], n // 2)
    elif name == "threes":
        x = np.tile([64.0, 64.0, 1 / 4096], n // 3)
    elif name == "halves of 64":
        x = np.tile(np.repeat([8.0, 1 / 8], 32), n // 64)
    elif name == "halves of 256":
        x = np.tile(np.repeat([32.0, 1 / 32], 128), n // 256)
    elif name == "halves of 4096":
        x = np.repeat([1.125, 1 / 1.125], 2048)
    elif name == "large and small":
        x = np.tile([1e200, 1e-200], n // 2)
    else:  # powers of two, in pairs of random order
        x = 2.0 ** rng.integers(200, 500, n // 2)
        x = rng.permuted(np.stack([x, 1 / x], axis=1), axis=1).reshape(-1)
    return x


PATTERNS = ("pairs", "threes", "halves of 64", "halves of 256", "halves of 4096", "large and small", "random pairs")


@pytest.mark.parametrize("name", PATTERNS)
def test_products_of_what_cancels(policy, name):
    x = pattern(name)
    x = np.tile(x, 3)
    for n in (len(x), 4096, 1024, 5000):
        got = pp.reduce(policy, x[:n], op=pp.multiplies)
        assert got.tobytes() == pairwise(list(x[:n]), lambda a, b: a * b).tobytes()
        assert math.isclose(got, math.prod(x[:n].tolist()), rel_tol=1e-9)


@pytest.mark.extra
@pytest.mark.parametrize("op", PRODUCTS)
def test_operators_that_multiply(renderer, op):
    for x in (pattern("pairs"), pattern("random pairs", 5000)):
        assert np.isclose(pp.reduce(renderer, x, op=PRODUCTS[op]), 1.0)
        assert np.isclose(pp.inner_product(renderer, x, np.ones_like(x), op=PRODUCTS[op]), 1.0)
        if op in ("multiplies", "ufunc", "monoid"):
            offsets = np.array([0, 3, 3, len(x)])
            got = pp.segmented_reduce(renderer, offsets, x, op=PRODUCTS[op])
            assert np.allclose(got, [np.prod(x[:3]), 1.0, 1 / np.prod(x[:3])])
        assert np.isclose(pp.inclusive_scan(renderer, x, op=PRODUCTS[op])[-1], 1.0)


@pytest.mark.parametrize("dtype", ["f4", "c8", "c16"])
def test_products_of_other_kinds(renderer, dtype):
    x = np.tile([50.0, 1 / 50], 2048).astype(dtype)
    got = pp.reduce(renderer, x, op=pp.multiplies)
    assert got.dtype == dtype and np.isclose(got, 1.0, rtol=1e-3)
    assert got.tobytes() == pp.reduce(pp.seq, x, op=pp.multiplies).tobytes()


def test_products_in_tuples(renderer):
    x = pattern("pairs", 20_000)
    got = pp.transform_reduce(renderer, x, transform=lambda v: (v, 1), op=scaled)
    assert np.isclose(got[0], 1.0) and got[1] == 20_000


@pytest.mark.extra
def test_segments_of_products(policy):
    """A piece of a long segment is folded in one go; so are short ones."""
    x = np.concatenate([pattern("pairs"), pattern("halves of 256"), np.full(7, 3.0), pattern("random pairs", 9000)])
    offsets = np.array([0, 4096, 8192, 8199, len(x)])
    how = policy if policy.executor.kind != "hybrid" else pp.par
    got = pp.segmented_reduce(how, offsets, x, op=pp.multiplies)
    assert np.allclose(got, [1, 1, 3.0**7, 1])
    keys = np.repeat([4, 3, 2, 1], np.diff(offsets))
    _, found = pp.reduce_by_key(how, keys, x, op=pp.multiplies)
    assert found.tobytes() == got[::-1].tobytes()


def test_sums_keep_their_order(renderer):
    """Whoever writes a sum gets the bits of `pp.plus`, whatever it is called."""
    x = np.random.default_rng(3).normal(size=10_000)
    expected = pp.reduce(pp.seq, x).tobytes()
    for op in (lambda a, b: a + b, np.add, pp.Monoid(lambda a, b: b + a, 0)):
        assert pp.reduce(renderer, x, op=op).tobytes() == expected
