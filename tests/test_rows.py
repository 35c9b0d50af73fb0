"""Rows in kernels: parts of arrays in expressions, stores and reductions, against NumPy on the same arrays."""

import math
import re

import numpy as np
import pytest

import portapar as pp

N = 7
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 4))
C = RANDOM.normal(size=(3, 4))
W = RANDOM.normal(size=4)
CUBE = RANDOM.normal(size=(N, 2, 3))
NARROW = RANDOM.integers(-100, 100, (N, 4)).astype(np.int8)
SINGLE = X.astype(np.float32)
SCALAR = np.array(1.5)
STARTS = np.array([0, 2, 2, 3, 4, 6, 6, 8])
VALUES = RANDOM.normal(size=8)


def distance(a, b):
    d = a - b
    return (d * d).sum()


def stores(i, x, y, out):
    y[i] = x[i]
    y[i] += W
    y[i] *= 2
    y[i, 1:3] = x[i, :2] - 0.5
    y[i, -1] = -1.0


def filled(i, x, y, out):
    y[i] = 0.5
    y[i, ::2] = x[i, 1]


def arithmetic(i, x, y, out):
    y[i] = (x[i] - C[1]) * 2 / (1 + x[i] ** 2) - -x[i]


def reductions(i, x, y, out):
    out[i] = x[i].sum() + x[i].min() * x[i].max() - x[i].argmin() + np.argmax(x[i]) + x[i].mean() + np.sum(x[i])
    out[i] += x[i].prod() + (x[i] > 0).any() + (x[i] > -1).all() + min(x[i]) + max(x[i, 1:]) + np.amax(x[i] * 2)


def products(i, x, y, out):
    out[i] = x[i] @ W + np.dot(x[i], W) + x[i].dot(C[0]) + x[i, 1:] @ W[1:] + np.inner(x[i], x[i])


def slices(i, x, y, out):
    out[i] = x[i, 1:].sum() + x[i, -2:].max() + x[i, ::2].sum() + x[i][1:3].sum() + x[i, ::-1][0] + len(x[i, 1:])


def several_of_a_name(i, x, y, out):
    for k in range(2):
        d = x[i] - C[k]
        out[i] += d.min()
        d = d * 3
        y[i] = d
    if i % 2:
        d = C[1, :3]
        out[i] += d @ d
    else:
        d = x[i, :2]
        out[i] -= d[1]
        d = 3.0
        out[i] += d


def bounds_that_vary(i, x, y, out):
    out[i] = VALUES[STARTS[i] : STARTS[i + 1]].sum() + W[: i % 4].sum() + W[i:].sum() + W[-i:].sum()


def backwards(i, x, y, out):
    y[i] = x[i, ::-1]
    y[i, 2:0:-1] += x[i, -1:-7:-2] - x[i, ::-2]
    y[i, i % 4 :: -1] *= W[i % 4 :: -1]
    out[i] = x[i, 2::-1].sum() + x[i, :1:-1] @ W[9:1:-1] + len(x[i, 1:3:-1]) + x[i, :-9:-3][1] + x[i, i % 4 :: -2].sum()


def in_step(i, x, y, out):  # eliminations: rows and columns of one table
    a = np.zeros((3, 4))
    for r in range(3):
        a[r] = x[(i + r) % N]
    for k in range(2):
        a[k + 1 :, k] /= a[k, k] + 9
        for r in range(k + 1, 3):
            a[r, k + 1 :] -= a[r, k] * a[k, k + 1 :]
    p = i % 3
    for r in range(3):
        a[r, 1:] = a[p, 1:] * 2 + a[r, 1:]
        a[r, r:] += W[r:]
    for k in range(4):
        a[:, k] -= a[:, i % 4] * a[0, k]
        y[i, k] = a[:, k].sum()


def names(i, x, y, out):
    d = x[i] - C[2]
    e = d * d
    out[i] = e.sum() + d[0] + d[-1] + len(d) + math.sqrt((d * e).max() ** 2)
    y[i] = d


def nearest(i, x, y, out):
    best = np.inf
    for k in range(len(C)):
        d = x[i] - C[k]
        if (d * d).sum() < best:
            best = (d * d).sum()
            out[i] = k


def helpers(i, x, y, out):
    out[i] = distance(x[i], C[2]) + distance(W, x[i])


def unpacking(i, x, y, out):
    a, b, c, d = x[i]
    b, a = x[i, 1:3] * 2
    out[i] = a - b * c + d


def functions(i, x, y, out):
    y[i] = np.where(x[i] > 0, np.sqrt(np.abs(x[i])), -1.0) + np.clip(x[i], -0.5, 0.5)
    y[i] += np.exp(x[i]) / np.exp(x[i]).sum() + np.maximum(x[i], W) + np.sinc(x[i]) + abs(x[i]) + np.fix(x[i])


def once(i, x, y, out):
    y[i] = x[i] / x[i].sum()
    y[i] = y[i] * y[i, 0]


def private(i, x, y, out):
    acc = np.zeros(4)
    for k in range(len(C)):
        acc += C[k] * x[i, k]
    acc[:] = acc * 2 + 1
    y[i] = acc
    out[i] = acc.sum() + math.sqrt((acc * acc).sum())


def tables(i, x, y, out):
    out[i] = CUBE[i].sum() + CUBE[i, 1].max() + (CUBE[i] * CUBE[0]).sum() + CUBE[i, :, 1].sum() + CUBE[i].mean()
    out[i] += (CUBE[i] - CUBE[0, 1]).min()


def views(i, x, y, out):
    own, target = x[i], y[i]
    own = x[i]
    target = y[i]
    target[:] = own - own.mean()
    out[i] = (own * target).sum()


def conditions(i, x, y, out):
    if (x[i] > 0).all() or (x[i] < -1).any() and not (x[i] == 0).any():
        y[i] = x[i]
    out[i] = x[i].sum() if i % 2 else y[i].sum()


def narrow(i, x, y, out):
    out[i] = NARROW[i].sum() + NARROW[i].argmax() + NARROW[i].mean() + (NARROW[i] > 3).sum()


def no_axes(i, x, y, out):
    out[i] = SCALAR[()] + SCALAR * 2 + (x[i] * SCALAR).sum()


KERNELS = [
    stores, filled, arithmetic, reductions, products, slices, bounds_that_vary, backwards, in_step, names, nearest,
    helpers, unpacking, several_of_a_name, functions, once, private, tables, conditions, narrow, no_axes,
]  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda f: f.__name__)
def test_as_numpy(kernel, renderer):
    y, out, wanted, expected = np.ones((N, 4)), np.zeros(N), np.ones((N, 4)), np.zeros(N)
    for i in range(N):
        kernel(i, X, wanted, expected)
    pp.for_each(renderer, N, kernel, X, y, out)
    np.testing.assert_allclose(y, wanted, rtol=1e-12)
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_sums_run_in_order_in_the_rows_own_precision(renderer):
    out = np.zeros(N, np.float32)
    pp.for_each(renderer, N, lambda i, x, out: store(i, out, x[i].sum() / 3), SINGLE, out)
    expected = np.zeros(N, np.float32)
    for column in SINGLE.T:
        expected = expected + column
    np.testing.assert_array_equal(out, expected / np.float32(3))
    assert pp.transform(renderer, np.arange(N), op=lambda i: SINGLE[i].sum()).dtype == np.float32
    assert pp.transform(renderer, np.arange(N), op=lambda i: SINGLE[i].mean()).dtype == np.float32
    assert pp.transform(renderer, np.arange(N), op=lambda i: NARROW[i].sum()).dtype == np.int64
    assert pp.transform(renderer, np.arange(N), op=lambda i: (NARROW[i] > 0).sum()).dtype == np.int64


def store(i, out, value):
    out[i] = value


def test_nan_and_ties(renderer):
    x = np.array([[1.0, np.nan, 0.0], [2.0, 2.0, 1.0], [np.nan, 1.0, np.nan], [-1.0, -1.0, -1.0]])

    def kernel(i, x, out):
        out[i, 0], out[i, 1] = x[i].argmin(), x[i].argmax()
        out[i, 2], out[i, 3] = x[i].min(), x[i].max()

    out = np.zeros((4, 4))
    pp.for_each(renderer, 4, kernel, x, out)
    np.testing.assert_array_equal(out, np.array([x.argmin(1), x.argmax(1), x.min(1), x.max(1)]).T)


def test_empty_rows_have_sums(renderer):
    out = np.ones(3)
    pp.for_each(renderer, 3, lambda i, x, out: store(i, out, x[i].sum() + 2 * x[i].prod()), np.zeros((3, 0)), out)
    np.testing.assert_array_equal(out, 2)


def test_rows_of_captured_arrays_in_other_algorithms(renderer):
    got = pp.transform(renderer, np.arange(N), op=lambda i: distance(X[i], W) + X[i, 1:].max())
    np.testing.assert_allclose(got, ((X - W) ** 2).sum(1) + X[:, 1:].max(1), rtol=1e-12)
    total = pp.transform_reduce(renderer, np.arange(N), transform=lambda i: X[i] @ W)
    np.testing.assert_allclose(total, (X @ W).sum(), rtol=1e-12)


def test_one_kernel_for_arrays_of_other_ranks(renderer):
    def kernel(i, x, y):
        y[i] = x[i] * 2 + 1

    for shape in ((5,), (5, 3), (5, 2, 3), (5, 4)):
        x, y = RANDOM.normal(size=shape), np.zeros(shape)
        pp.for_each(renderer, 5, kernel, x, y)
        np.testing.assert_array_equal(y, x * 2 + 1)


def test_arrays_without_axes_are_written(renderer):
    def kernel(i, s, count):
        s[()] = 2.5
        pp.atomic.add(count, (), 1)

    s, count = np.array(0.0), np.array(0)
    pp.for_each(renderer, N, kernel, s, count)
    assert s == 2.5 and count == N


def later(i, x, y, out):
    d = x[i] * 2
    y[i, 0] = 1.0
    out[i] = d.sum()


def shifted(i, x, y, out):
    y[i, 1:] = x[i, :-1]


@pytest.mark.parametrize("kernel", [later, shifted], ids=lambda f: f.__name__)
def test_arguments_that_share_memory(kernel):
    x, y, out = X.copy(), np.zeros((N, 4)), np.zeros(N)
    pp.for_each(pp.seq, N, kernel, x, y, out)
    for other in (x, x[:, ::-1], x[1:]):
        with pytest.raises(pp.KernelError, match="x and y share memory|y and x share memory"):
            pp.for_each(pp.seq, N - 1, kernel, x, other, out)


REFUSED = {
    "o[i] = (X[i] - v).sum()": r"X\[i\] has 4 elements|v has 3 elements",
    "Y[i] = v": "v has 3 elements and Y.i. has 4",
    "o[i] = X[i] @ v": "v has 3 elements",
    "a, b, c = X[i]\n    o[i] = a": r"X\[i\] has 4 elements and \(a, b, c\) has 3",
    "o[i] = X[i]": "stores the row.*reduce it",
    "o[i] += X[i]": "adds the row.*reduce it",
    "if X[i] > 0:\n        o[i] = 1": r"is true.*\(X\[i\] > 0\)\.any\(\)",
    "o[i] = 1 if X[i].any() and X[i] else 0": r"is true.*any\(\)",
    "o[i] = not X[i]": r"is true.*any\(\)",
    "o[i] = math.sqrt(X[i]).sum()": r"takes numbers.*write np\.sqrt",
    "o[i] = float(X[i])": r"float\(\) takes numbers.*loop over the elements",
    "o[i] = X[i].sum(axis=0)": "more than the row.*loop over the rows",
    "o[i] = X[i].std()": r"no \.std\(\).*math\.sqrt",
    "o[i] = np.median(X[i])": "loop over the elements",
    "o[i] = (v[i:] * v[:3]).sum()": "known only as it runs.*loop over the elements",
    "o[i] = X[i, :: i - 2].sum()": r"slice ::i - 2, whose step is no constant",
    "o[i] = X[v > 0].sum()": r"elements that a row names.*loop with an if, or np.where\(v > 0, X, 0\)",
    "X[i, v] = 1": "elements that a row names.*loop",
    "o[i] = X[i, v].sum()": r"X\[i, v\] is the elements that a row names.*loop.*with X\[i, v\[k\]\]; if v is a mask",
    "d = v[X[i]]\n    o[i] = d[0]": "elements that a row names.*loop",
    "X[i, v] += 1": "elements that a row names.*loop",
    "t = X[i] + 1, 2\n    o[i] = t[1]": "as a whole.*loop",
    "return X[i] * 2": "returns a row.*array argument",
    "pp.atomic.add(o, i, X[i])": "updates with a row.*loop",
    "Y[i], X[i] = X[i], Y[i]": r"write Y\[i\]\.copy\(\)",
}


#: once refused
TAKEN = [
    "Y[i, 1:] = Y[i, :-1]",
    "Y[i, 1:] += Y[i, :-1] * 2",
    "m = np.zeros((2, 4))\n    m[1] = X[i]\n    m[0] = m[1] * 2\n    m[0] -= m[0, ::-1]\n    o[i] = m[0] @ m[1]",
    "d = X[i] * 2\n    d += 1\n    o[i] = d.sum()",
    "d = X[i] * 2\n    if i:\n        d = X[i] * 3\n    o[i] = d.sum()",
    "d = X[i] * 2\n    for k in range(2):\n        o[i] = d[0]\n        d = X[k] * 2",
    "d = X[i] * 2\n    d[0] = 1\n    o[i] = d.sum()",
    "d = X[i] * 2\n    X[i, 0] = 1\n    o[i] = d.sum()",
    "d = X[i] * 2\n    helper(X)\n    o[i] = d.sum()",
    "d = X[i]\n    if i > 2:\n        d = X[i] * 2\n    o[i] = d.sum()",
    "o[i] = helper(X[i] * 2)",
    "o[i] = np.linalg.norm(X[i])",
    "for k in X[i] * 2:\n        o[i] += k",
    "o[i] = (1.0, 2.0)[0:1][0]",
    "Y[i], o[i] = X[i], 1.0",
    "X[i], Y[i] = Y[i] + 1, X[i].copy()",
]


def test_what_needs_arrays_of_its_own_has_them(module):
    text = "".join(f"def f{k}(i):\n    {statements}\n\n\n" for k, statements in enumerate(TAKEN))
    made = module(f"import math\nimport numpy as np\n\n\n{text}")
    for k, statements in enumerate(TAKEN):
        found = []
        for run in (lambda f: pp.for_each(pp.seq, N, f), lambda f: [f(i) for i in range(N)]):
            made.X, made.Y, made.v, made.o, made.helper = X.copy(), X.copy(), np.ones(3), np.zeros(N), written
            run(getattr(made, f"f{k}"))
            found.append((made.X, made.Y, made.o))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-14, err_msg=statements)


@pytest.mark.parametrize("statements", REFUSED)
def test_refused_in_the_users_words(module, statements):
    made = module(f"import math\nimport numpy as np\nimport portapar as pp\n\n\ndef f(i):\n    {statements}\n")
    made.X, made.Y, made.v, made.o, made.helper = X.copy(), X.copy(), np.ones(3), np.zeros(N), written
    with pytest.raises(pp.KernelError) as caught:
        pp.for_each(pp.seq, N, made.f)
    message = str(caught.value)
    assert re.search(REFUSED[statements], message, re.DOTALL), message
    assert re.search(rf"{re.escape(made.__file__)}:([789]|10)\b", message) and "Instead: " in message, message


@pytest.mark.parametrize("name", ["b", "n", "start", "stop", "step", "k", "total"])
def test_kernels_that_are_called_as_what_slices_are_made_of(module, name):
    kernel = getattr(module(f"def {name}(i, x, y):\n    y[i] = x[max(i - 1, 0) : i + 2].sum()\n"), name)
    x, y = np.arange(9.0), np.zeros(9)
    pp.for_each(pp.seq, 9, kernel, x, y)
    assert y.tolist() == [x[max(i - 1, 0) : i + 2].sum() for i in range(9)]


def written(x):
    x[0] = x[0] + 1
    return 0.0


def test_one_array_or_another_is_written(policy):
    def mark(i, x, y):
        z = y if x[i] > 2 else x
        z[i] = -1.0

    x = np.arange(5.0)
    y = x + 5
    pp.for_each(policy, 5, mark, x, y)
    assert x.tolist() == [-1, -1, -1, 3, 4] and y.tolist() == [5, 6, 7, -1, -1]


def test_pythons_functions_of_rows_and_tuples(renderer):
    def body(i, X, out, q0, p0):
        t = (X[i, 0], 2.5, X[i, 2])
        out[i, 0] = sum(X[i]) + sum(abs(X[i] - q0) * p0)
        out[i, 1] = max(X[i]) - min(X[i] * 2)
        out[i, 2] = sum(t) + sum((1, X[i, 1]))
        out[i, 3] = any(X[i] > 6)
        out[i, 4] = all(X[i] > 2) or all((X[i, 0], 0.0))

    X, out, wanted = np.arange(12.0).reshape(4, 3), np.zeros((4, 5)), np.zeros((4, 5))
    given = np.array([1.0, 5.0, 2.0]), 3.0
    pp.for_each(renderer, 4, body, X, out, *given)
    for i in range(4):
        body(i, X, wanted, *given)
    np.testing.assert_array_equal(out, wanted)


def test_rows_in_lazy_inputs(policy):
    X, c, two = np.arange(36.0).reshape(12, 3), np.array([1.0, 5.0, 2.0]), np.array(2.0)
    lazy = pp.lazy.transform(pp.lazy.iota(12), lambda i: (X[i] - c).max() + np.dot(X[i, 1:], c[1:]) * two)
    wanted = (X - c).max(axis=1) + X[:, 1:] @ c[1:] * 2
    assert pp.reduce(policy, lazy) == wanted.sum()
    np.testing.assert_array_equal(pp.transform(policy, lazy, c[:1].repeat(12), op=lambda v, w: v * w), wanted)
    out = np.zeros(12)
    pp.for_each(policy, 12, element, lazy, out)
    np.testing.assert_array_equal(out, wanted)


def element(i, x, out):
    out[i] = x[i] * 1.0


@pytest.mark.parametrize(
    ("statement", "array"),
    [("o[i] = (X[i] * C[i]).sum()", "C"), ("o[i] = np.dot(C[i], X[i])", "C"), ("X[i] = X[i] * C[i]", "C"),
     ("d = X[i] - C[i]\n    o[i] = (d * d).max()", "C")],
)  # fmt: skip
def test_checked_rows_are_told_in_the_users_words(module, statement, array):
    made = module(f"import numpy as np\n\n\ndef f(i, X, C, o):\n    {statement}\n")
    with pytest.raises(pp.BoundsError) as caught:
        pp.for_each(pp.par.with_(check=True), 4, made.f, np.ones((4, 3)), np.ones((2, 3)), np.zeros(4))
    message = str(caught.value)
    assert f"index (2, 0) is out of bounds for axis 0 of '{array}', which has shape (2, 3)" in message
    assert not re.search(r"\b[kpq]\d\b", message.partition("\n")[0]), message
