"""Private arrays in vector registers: which loops get the hint, and that results stay what they are."""

import ast
import re

import numpy as np
import pytest

import portapar as pp
from examples.pareval.dense_matmul import tile
from portapar.kernel.cpu.registers import hinted

HEAD = "def body(i, a, c):\n    x = private_zeros((4, 8), np.float64)\n    for p in range(4):\n"


def product(i, a, b, c):
    x = np.zeros((2, 8))
    for k in range(len(b)):
        for p in range(2):
            for q in range(8):
                x[p, q] += a[2 * i + p, k] * b[k, q]
    for p in range(2):
        for q in range(8):
            c[2 * i + p, q] = x[p, q]


@pytest.mark.parametrize(
    "loop",
    [
        "for q in range(8):\n            x[p, q] += a[q]",
        "for q in range(8):\n            c[i + q] = x[p, q] * 2.0",
        "for q in range(4):\n            x[p, np.uint64(q)] = 1.0",
    ],
)
def test_loops_with_a_hint(loop):
    trees = hinted({"body": HEAD + "        " + loop + "\n"})
    assert ast.unparse(trees["body"]).splitlines()[-1] == "        vectors()"


@pytest.mark.parametrize(
    "loop",
    [
        "for q in range(5):\n            x[p, q] += a[q]",  # no whole vectors
        "for q in range(i):\n            x[p, q] += a[q]",  # of any length
        "for q in range(8):\n            c[i] += x[p, q]",  # a sum, in order
        "for q in range(8):\n            x[p, q] = x[p, q - 1]",  # steps that depend on each other
        "for q in range(8):\n            t = x[p, q]\n            c[q] = t",
        "for q in range(8):\n            if a[q] > 0:\n                x[p, q] = a[q]",
        "for q in range(8):\n            c[q] = a[q]",  # no private array
        "for q in range(8):\n            x[p, q] = c[q, p]",  # not side by side
        "for q in range(8):\n            x[p, q] = a[2 * q]",
        "for q in range(8):\n            x[p, q] = a[c[q]]",
    ],
)
def test_loops_without(loop):
    assert not hinted({"body": HEAD + "        " + loop + "\n"})


def test_a_tile_in_registers(renderer):
    rng = np.random.default_rng(3)
    a, b, c = rng.random((6, 5)), rng.random((5, 8)), np.zeros((6, 8))
    pp.for_each(renderer, 3, product, a, b, c)
    np.testing.assert_allclose(c, a @ b, rtol=1e-14)


@pytest.mark.parametrize("kernel", [product, tile])  # `tile` gives its private array to another function
def test_the_tile_is_vectorized(kernel):
    a, c = np.zeros((6, 5)), np.zeros((6, 8))
    b = np.zeros((5, 8)) if kernel is product else np.zeros((1, 5, 8))
    llvm = pp.inspect(kernel, pp.threads(1), a, b, c)["LLVM"]
    assert re.search(r"fmul <\d+ x double>", llvm) and not re.search(r"fmul double", llvm)


def residual(e, jacobian, u, gradient, out):
    r = np.zeros(8)
    for q in range(8):
        s = 0.0
        for a in range(8):
            s += gradient[q, a] * u[e, a]
        for a in range(8):
            r[a] += gradient[q, a] * s * jacobian[e, q]
    for a in range(8):
        out[e, a] = r[a]


def test_private_arrays_are_not_gathered(renderer):
    rng = np.random.default_rng(1)
    jacobian, u, gradient, out = rng.random((33, 8)), rng.random((33, 8)), rng.random((8, 8)), np.zeros((33, 8))
    pp.for_each(renderer, 33, residual, jacobian, u, gradient, out)
    np.testing.assert_allclose(out, (u @ gradient.T * jacobian) @ gradient, rtol=1e-12)
    code = pp.inspect(residual, pp.simd(), jacobian, u, gradient, out)["assembly"]
    assert "gather" not in code and "scatter" not in code


def small(e, a, b, out):
    for r in range(4):
        for c in range(4):
            s = 0.0
            for k in range(4):
                s += a[e, r, k] * b[e, k, c]
            out[e, r, c] = s - 0.5 * a[e, c, r]


def test_small_matrices_are_not_gathered(renderer):
    rng = np.random.default_rng(2)
    a, b, out = rng.random((37, 4, 4)), rng.random((37, 4, 4)), np.zeros((37, 4, 4))
    pp.for_each(renderer, 37, small, a, b, out)
    np.testing.assert_allclose(out, a @ b - 0.5 * a.transpose(0, 2, 1), rtol=1e-13)
    code = pp.inspect(small, pp.simd(), a, b, out)
    assert "gather" not in code["assembly"] and "scatter" not in code["assembly"]
    assert re.search(r"fmul <\d+ x double>", code["LLVM"])


NEST = "def body(i, a, b):\n x = private_zeros((4, 4), np.float64)\n y = private_zeros((4, 4), np.float64)\n"
SUM = "s = 0.0\n   for k in range(4):\n    v = {}[p, k]\n    s += v * b[k]\n   x[q, p] = s\n   y[q, p] = s + x[q, p]"
BOTH = " for p in range(4):\n  for q in range(4):\n   "


@pytest.mark.parametrize(
    "nest, turned",
    [
        (" for p in range(4):\n  for q in range(1, 4):\n   x[q, p] = a[p] * b[q]", True),
        (BOTH + "x[np.uint64(q), np.uint64(p)] += y[p, q]", True),
        (BOTH + SUM.format("a"), True),
        (BOTH + SUM.format("y"), False),  # which other rounds store
        (BOTH + "x[p, q] = a[q]", False),  # as it is stored
        (BOTH + "x[q, 0] = a[p]", False),  # the last round's stays
        (BOTH + "x[q, p] = y[q, p]\n   y[p, q] = a[q]", False),
        (" for p in range(4):\n  for q in range(p):\n   x[q, p] = a[q]", False),
        (" for p in range(4):\n  for q in range(0):\n   x[q, p] = a[q]", False),  # `q` would have a value
        (" s = 0.0\n" + BOTH + "s += a[q]\n   x[q, p] = s", False),
        (BOTH + "x[q, p] = a[q]\n   b[q, p] = a[p]", False),  # `b` may be `a`
        (BOTH + "x[q, p] = f(a, q)", False),
        (" z = x\n" + BOTH + "x[q, p] = z[p, q]", False),
    ],
)
def test_nests_are_turned_where_each_round_stands_alone(nest, turned):
    trees = hinted({"body": NEST + nest + "\n"})
    heads = re.findall(r"for (\w) in", ast.unparse(trees["body"])) if trees else ["p", "q"]
    assert heads[:2] == (["q", "p"] if turned else ["p", "q"])


def turned(e, b, u, out):
    t = np.zeros((3, 4, 5))
    for x in range(5):
        for y in range(4):
            for z in range(3):
                s = 0.0
                for k in range(3):
                    c = b[z, k]
                    s += c * u[e, k, y, x]
                t[z, y, x] = s
    for z in range(3):
        for y in range(4):
            for x in range(5):
                out[e, z, y, x] = t[z, y, x] + t[2 - z, y, x]


def test_a_turned_nest(renderer):
    rng = np.random.default_rng(4)
    b, u, out = rng.random((3, 3)), rng.random((9, 3, 4, 5)), np.zeros((9, 3, 4, 5))
    pp.for_each(renderer, len(u), turned, b, u, out)
    t = np.einsum("zk,ekyx->ezyx", b, u)
    np.testing.assert_allclose(out, t + t[:, ::-1], rtol=1e-13)
