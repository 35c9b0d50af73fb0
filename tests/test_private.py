"""Private arrays have Python's values, or are refused: each lives on the stack of the function that makes it."""

import textwrap

import numpy as np
import pytest

import portapar as pp

N = 5

HELPERS = """
import numpy as np

def same(t):
    return t

def pair(s, t):
    return s, t

def total(t):
    return t[0] + t[1]

def fill(t, v):
    t[0] = v
    t[1] = 2 * v
"""

#: bodies of kernels of (i, y): what a stack can do
RIGHT = {
    "anew in every round": """
        for k in range(3):
            t = np.zeros(2)
            t[0] += k + 1
            y[i] += t[0] + t[1]
    """,
    "copied elements": """
        a = np.zeros(2)
        b = np.zeros(2)
        for k in range(4):
            b[0] = a[0] + 1
            b[1] = a[1] + b[0]
            a[0] = b[0]
            a[1] = b[1]
        y[i] = total(a)
    """,
    "two names": """
        t = np.zeros(2)
        s = t
        s[0] = i
        y[i] = t[0]
    """,
    "an element kept": """
        last = 0.0
        for k in range(4):
            t = np.full(2, 1.5)
            t[0] += last
            last = t[0]
        y[i] = last
    """,
    "named again in each round": """
        for k in range(3):
            t = np.zeros(2)
            s = t
            s[1] = k
            y[i] += t[1] + s[0]
    """,
    "kept until the end": """
        for k in range(3):
            t = np.zeros(2)
            t[1] += k + i
        y[i] = t[1]
    """,
    "made in the first round": """
        t = np.zeros(2)
        for k in range(3):
            if k == 1:
                t = np.ones(2)
            t[0] += 1
        y[i] = t[0]
    """,
    "by a helper": """
        t = np.empty(2)
        for k in range(3):
            fill(t, i + k)
            y[i] += total(t)
    """,
    "in nested loops": """
        for j in range(2):
            t = np.zeros(2)
            for k in range(3):
                s = np.zeros(2)
                s[0] = t[0] + 1
                t[0] = s[0] + s[1]
            y[i] += t[0]
    """,
    "left early": """
        for k in range(9):
            t = np.zeros(2)
            t[0] = k
            if k > i:
                break
        y[i] = t[0]
    """,
    "swapped": """
        a = np.zeros(1)
        for k in range(2):
            b = np.zeros(1)
            b[0] = a[0] + 1
            a = b
        y[i] = a[0]
    """,
    "by turns": """
        a = np.zeros(1)
        b = np.zeros(1)
        for k in range(2):
            c = np.zeros(1)
            c[0] = a[0] + 1
            a, b = b, c
        y[i] = b[0]
    """,
    "in a while loop": """
        a = np.zeros(1)
        k = 0
        while k < 2:
            b = np.ones(1)
            b[0] += a[0]
            a = b
            k += 1
        y[i] = a[0]
    """,
    "a row kept": """
        a = np.zeros(2)
        for k in range(2):
            b = np.zeros((2, 2))
            b[1, 0] = a[0] + 1
            a = b[1]
        y[i] = a[0]
    """,
    "chosen in each round": """
        a = np.zeros(1)
        for k in range(2):
            b = np.zeros(1)
            b[0] = a[0] + 1
            a = b if i > 1 else a
        y[i] = a[0]
    """,
    "before a continue": """
        a = np.zeros(1)
        for k in range(4):
            b = np.zeros(1)
            b[0] = a[0] + 1
            if k < 3:
                a = b
                continue
            y[i] = a[0]
    """,
    "in one expression": """
        b = np.zeros(1)
        for k in range(2):
            a, b = b, np.zeros(1)
            b[0] = a[0] + 1
        y[i] = b[0]
    """,
    "the best one": """
        best = np.zeros(3)
        for k in range(5):
            new = np.zeros(3)
            for j in range(3):
                new[j] = (i + 1) * k * (j + 2) % 7
            fill(new, new[0] + k % 3)
            if new.sum() > best.sum():
                best = new
        y[i] = best[0] + 10 * best[1] + 100 * best[2]
    """,
    "three in a row": """
        older, old = np.zeros(3), np.ones(3)
        k = 0
        while k < 6:
            new = np.array([old[0] + older[1], old[1] * i, older[2] - old[0]])
            older = old
            old = new
            k += 1
        y[i] = old[0] + older[1] * 3 + older[2]
    """,
    "one of two": """
        low, high = np.array([-2.0, i]), np.array([3.0, 2 * i])
        for k in range(12):
            new = np.array([(low[0] + high[0]) / 2, low[1] + 1])
            if new[0] > i / 9:
                high = new
            else:
                low = new
        y[i] = low[0] + low[1] + high[0] * high[1]
    """,
    "the one before": """
        new = np.zeros(3)
        old = new
        for k in range(4):
            old = new
            new = np.array([old[1] + 1, old[2] * 2, old[0] - i])
        y[i] = old[0] + new[1] * 10 + new[2]
    """,
}

#: and what it cannot
WRONG = {
    "kept in a tuple": """
        t = (np.zeros(1), 1.0)
        for k in range(2):
            b = np.zeros(1)
            b[0] = t[0][0] + 1
            t = (b, 2.0)
        y[i] = t[0][0]
    """,
    "through a helper": """
        a = np.zeros(1)
        for k in range(2):
            b = np.zeros(1)
            b[0] = a[0] + 1
            a = same(b)
        y[i] = a[0]
    """,
    "stored in when it is kept": """
        best = np.zeros(3)
        for k in range(3):
            new = np.zeros(3)
            if i > k:
                best = new
            new[0] = k
        y[i] = best[0]
    """,
    "stored in by a third name": """
        best = np.zeros(3)
        for k in range(3):
            new = np.zeros(3)
            third = new
            if i > k:
                best = new
            third[0] = k
        y[i] = best[0]
    """,
    "stored in by the other name": """
        best = np.zeros(3)
        for k in range(3):
            new = np.zeros(3)
            best[1] += 1
            for j in range(2):
                new[j] = k
                if j == k % 2:
                    best = new
            y[i] += best[1]
    """,
}

#: functions that give a private array back
RETURNED = {
    "in nested tuples": """
        t = np.zeros(2)
        return (1, (i, t))
    """,
    "chosen": """
        t = np.zeros(2)
        return t if i > 0 else y
    """,
    "a row": """
        t = np.zeros((2, 2))
        return t[0]
    """,
    "through a helper": """
        t = np.zeros(2)
        return pair(y, t)
    """,
    "in a local tuple": """
        t = (np.zeros(2), i)
        return t
    """,
}


def load(module, **bodies):
    """A module with the helpers and a function of (i, y) for every body."""
    texts = [f"def {name}(i, y):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n" for name, body in bodies.items()]
    return module("\n".join([HELPERS, *texts]))


@pytest.mark.parametrize("name", RIGHT)
def test_values_are_those_of_python(module, renderer, name):
    body = load(module, kernel=RIGHT[name]).kernel
    found, expected = np.zeros(N), np.zeros(N)
    for i in range(N):
        body(i, expected)
    pp.for_each(renderer, N, body, found)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", WRONG)
def test_an_array_that_outlives_its_round_is_refused(module, name):
    body = load(module, kernel=WRONG[name]).kernel
    y = np.full(N, 3.0)
    with pytest.raises(pp.KernelError, match=r"(?s)an earlier round of the loop.*np\.\w+\(.*Instead: .*copy elements"):
        pp.for_each(pp.par, N, body, y)
    assert (y == 3).all()


@pytest.mark.parametrize("name", RETURNED)
def test_a_returned_private_array_is_refused(module, name):
    made = load(module, given=RETURNED[name], kernel="t = given(i, y)\ny[i] = i")
    told = r"(?s)'given'.*private array made in line \d+.*return .*Instead: .*pass it in"
    with pytest.raises(pp.KernelError, match=told):
        pp.for_each(pp.par, N, made.kernel, np.zeros(N))


def valued(x):
    g = np.zeros(2)
    g[0], g[1] = 2 * x[0], 4 * x[1]
    return x[0] ** 2 + 2 * x[1] ** 2, g


def parts(a, b):
    w = np.array([a + b, a - b])
    if a > 1:
        return w / 2, np.array([[1.0, a], [b, 2.0]]), np.zeros(2, np.float32)
    w = w + 1
    return w, np.ones((2, 2)), np.full(2, 0.25, np.float32)


def onwards(y, h):
    k = np.array([y[1], -y[0]])
    y = y + h * k
    return y, k


def gives_arrays(i, x, out):
    w, m, single = parts(x[i, 0], x[i, 1])
    single[0] += 1 / 3
    w[1] += 1
    w = w * 2
    for r in range(2):
        out[i, 0] += m[r] @ w + single[r]
    y = np.array([x[i, 0], 1.0])
    for _ in range(5):
        y, k = onwards(y, 0.1)
    out[i, 1:], k = onwards(y + k, 0.2)
    pair = onwards(k, 0.1)
    k = pair[0]
    out[i, 0] += (k * pair[1][0]).sum()


def descends(i, x, out):
    at = x[i].copy()
    f, g = valued(at)
    for _ in range(5):
        t = 1.0
        while True:
            if t > 0.9:
                t *= 0.5
                continue
            new = at - t * g
            lower, slope = valued(new)
            if lower <= f - 0.3 * t * (g @ g):
                break
            t *= 0.5
        at, f, g = new, lower, slope
    out[i, 0], out[i, 1:] = f, at


@pytest.mark.parametrize("kernel", [gives_arrays, descends], ids=lambda f: f.__name__)
def test_arrays_in_returned_tuples(renderer, kernel):
    x = np.random.default_rng(1).normal(size=(N, 2)) + 0.5
    out, wanted = np.zeros((N, 3)), np.zeros((N, 3))
    for i in range(N):
        kernel(i, x, wanted)
    for policy in (renderer, renderer.with_(check=True)):
        out[:] = 0
        pp.for_each(policy, N, kernel, x, out)
        np.testing.assert_allclose(out, wanted, rtol=1e-12, atol=1e-15)


def test_an_argument_or_a_private_array_is_refused(module):
    given = "t = np.zeros(2)\nif i > 0:\n    return y\nreturn t"
    made = load(module, given=given, kernel="t = given(i, y)\ny[i] = t[0]")
    with pytest.raises(pp.KernelError, match=r"(?s)'given'.*an argument on one way.*Instead: .*pass it in"):
        pp.for_each(pp.par, N, made.kernel, np.zeros(N))


def test_elements_are_returned(renderer, module):
    moments = "t = np.zeros(2)\nfill(t, i)\nu = t\nreturn u[0] + y, t[1], (total(u), u[0])"
    made = load(module, moments=moments, kernel="a, b, c = moments(i + 1.0, y[i])\ny[i] = a + b + c[0] * c[1]")
    found, expected = np.arange(5.0), np.arange(5.0)
    for i in range(N):
        made.kernel(i, expected)
    pp.for_each(renderer, N, made.kernel, found)
    assert np.array_equal(found, expected)


def exchanged(i, out):
    a, b, c = np.zeros(4), np.ones(4), np.full(4, 2.0)
    for k in range(i):
        a, b = b, a
        a[1] += k
    out[i, 0] = a.sum() + b.max()
    for k in range(i + 2):
        a, b, c = b, c, a
        a[k % 4] += k
        b[:] = a * 2 + k
    out[i, 1] = np.dot(a, b) + c.sum()
    t = a
    a = c
    c = t
    a, n = b, (a - c).min()
    out[i, 2] = a.sum() + n


def test_arrays_that_exchange_their_names(renderer):
    found, wanted = np.zeros((6, 3)), np.zeros((6, 3))
    pp.for_each(renderer, 6, exchanged, found)
    for i in range(6):
        exchanged(i, wanted)
    np.testing.assert_array_equal(found, wanted)


WIDTH = 40


def scratch_of_an_expression(i, x, y):
    a = np.zeros(2 * WIDTH + 1)
    b = np.full((WIDTH - 38, 2), WIDTH * 0.5)
    a[2 * WIDTH] = x[i]
    y[i] = a[80] + b[1, 1] + len(a)


def too_much(i, y):
    a = np.zeros(1024 * 64)
    b = np.empty((300, 300), np.float32)
    c = np.full(WIDTH * WIDTH * WIDTH, 1, np.int32)
    y[i] = a[i] + b[i, i] + c[i]


def half(i, y):
    a = np.zeros(3, np.float16)
    y[i] = a[0]


def test_sizes_of_private_arrays(renderer):
    """Constant expressions are constants; what a stack cannot hold is refused, as are dtypes that no kernel has."""
    x, y = np.arange(9.0), np.empty(9)
    pp.for_each(renderer, 9, scratch_of_an_expression, x, y)
    assert (y == x + 20 + 81).all()
    with pytest.raises(pp.KernelError, match=r"take 1140288 bytes, more than the 1048576(?s:.*)c = np.full"):
        pp.for_each(renderer, 9, too_much, y)
    with pytest.raises(pp.KernelError, match="cannot have the dtype <f2"):
        pp.for_each(renderer, 9, half, y)


def sorted_four(i, x, y):
    p = np.zeros(4)
    for b in range(2):
        for a in range(2):
            p[2 * b + a] = x[i + b - 1, a]
    for a, b in ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)):
        least = min(p[a], p[b])
        p[b] = max(p[a], p[b])
        p[a] = least
    for a in range(4):
        y[i, a] = p[a]


def test_names_that_count_by_tuples_too(renderer):
    """The loops that count by a range alone have bounds, and indices that need no test."""
    x, y = np.random.default_rng(8).random((50, 2)), np.zeros((51, 4))
    pp.for_each(renderer, pp.range(1, 50), sorted_four, x, y)
    np.testing.assert_array_equal(y[1:50], np.sort(np.hstack([x[:-1], x[1:]]), axis=1))
    told = pp.inspect(sorted_four, pp.simd(), x, y, space=pp.range(1, 50))["Numba"]
    assert "fast(" in told
